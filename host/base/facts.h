/* What is known of a device: asked once (host/device), or read from a fact file, or lowered by limits. Pure data. */
#ifndef CA_BASE_FACTS_H
#define CA_BASE_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "report.h"

typedef enum ca_device_type { CA_DEVICE_OTHER, CA_DEVICE_CPU, CA_DEVICE_GPU, CA_DEVICE_ACCELERATOR } ca_device_type;

/* X(field, key in a fact file, is a limit that an application may lower) — the numeric facts */
#define CA_FACT_LIST(X)                                                                                                \
  X(compute_units, "compute_units", 0)                                                                                 \
  X(clock_mhz, "clock_mhz", 0)                                                                                         \
  X(work_group_size, "work_group_size", 1)                                                                             \
  X(local_memory_bytes, "local_memory_bytes", 1)                                                                       \
  X(private_memory_bytes, "private_memory_bytes", 1)                                                                   \
  X(global_memory_bytes, "global_memory_bytes", 1)                                                                     \
  X(max_alloc_bytes, "max_alloc_bytes", 1)                                                                             \
  X(max_parameter_bytes, "max_parameter_bytes", 1)                                                                     \
  X(native_width_f32, "native_width_f32", 0)                                                                           \
  X(preferred_width_f32, "preferred_width_f32", 0)                                                                     \
  X(address_bits, "address_bits", 0)                                                                                   \
  X(opencl_c, "opencl_c", 0) /* 120, 200, 300 */                                                                       \
  X(local_memory_is_real, "local_memory_is_real", 0)                                                                   \
  X(shares_host_memory, "shares_host_memory", 0)                                                                       \
  X(has_compiler, "has_compiler", 0)                                                                                   \
  X(has_f16, "has_f16", 0)                                                                                             \
  X(has_f64, "has_f64", 0)                                                                                             \
  X(has_subgroups, "has_subgroups", 0)                                                                                 \
  X(nv_compute_capability, "nv_compute_capability", 0) /* 80 for 8.0, 0 where it is not NVIDIA's */                    \
  X(little_endian, "little_endian", 0)

typedef struct ca_facts {
#define CA_FACT_FIELD(field, key, limit) uint64_t field;
  CA_FACT_LIST(CA_FACT_FIELD)
#undef CA_FACT_FIELD
  ca_device_type type;
  char name[128], vendor[128], driver[64], version[128], platform[128], platform_version[128];
  uint32_t quirks;              /* bits of quirks.def */
  char wrong_variants[8192];    /* lines: kinds of variants (names.h) that computed wrongly in the selftest */
  const struct ca_tuned *tuned; /* rows of this device (tuned.h); NULL: none. Borrowed */
} ca_facts;

/* Reads `key = value` lines ('#' begins a comment; name, vendor, driver, version, platform, type are text) over
 * *facts: what the text does not name stays. CLATTN_INVALID_VALUE names the line. */
clattn_status ca_facts_parse(const char *text, ca_facts *facts, clattn_report *report);

/* Lowers every limit of *facts to that of *limits where *limits has a smaller one that is not zero. */
void ca_facts_limit(ca_facts *facts, const ca_facts *limits);

#endif
