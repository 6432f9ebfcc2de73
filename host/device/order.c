#include <stdio.h>
#include <string.h>

#include "device.h"
#include "device_text.h"

/* Classes of devices, worst first; a class outweighs any speed within another. */
typedef enum device_class {
  CLASS_SOFTWARE,
  CLASS_OTHER,
  CLASS_CPU,
  CLASS_ACCELERATOR,
  CLASS_INTEGRATED_GPU,
  CLASS_DISCRETE_GPU
} device_class;

#define SPEED_LIMIT 99999999 /* one less than what a class is worth */

/* Renderers and simulators that run a GPU's interface on the CPU, slower than a native CPU driver would. */
static bool is_software(const ca_facts *facts)
{
  static const char *const names[] = {"llvmpipe", "softpipe", "swiftshader", "oclgrind", "emulat"}; /* FPGA emulators */
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
    if (ca_text_contains(facts->name, names[i]) || ca_text_contains(facts->platform, names[i])) return true;
  return false;
}

static device_class class_of(const ca_facts *facts)
{
  if (is_software(facts)) return CLASS_SOFTWARE;
  switch (facts->type) {
  case CA_DEVICE_GPU:
    return facts->shares_host_memory ? CLASS_INTEGRATED_GPU : CLASS_DISCRETE_GPU;
  case CA_DEVICE_ACCELERATOR:
    return CLASS_ACCELERATOR;
  case CA_DEVICE_CPU:
    return CLASS_CPU;
  case CA_DEVICE_OTHER:
    break;
  }
  return CLASS_OTHER;
}

int32_t ca_device_score(const ca_facts *facts, char *reason, size_t reason_bytes)
{
  static const char *const texts[] = {[CLASS_SOFTWARE] = "software renderer",
                                      [CLASS_OTHER] = "device of another kind",
                                      [CLASS_CPU] = "native CPU",
                                      [CLASS_ACCELERATOR] = "accelerator",
                                      [CLASS_INTEGRATED_GPU] = "integrated GPU",
                                      [CLASS_DISCRETE_GPU] = "discrete GPU"};
  const device_class class = class_of(facts);
  uint64_t speed = SPEED_LIMIT;
  if (!facts->clock_mhz || facts->compute_units <= SPEED_LIMIT / facts->clock_mhz)
    speed = facts->compute_units * facts->clock_mhz;
  snprintf(reason, reason_bytes, "%s, %llu compute units at %llu MHz", texts[class],
           (unsigned long long)facts->compute_units, (unsigned long long)facts->clock_mhz);
  return (int32_t) class * (SPEED_LIMIT + 1) + (int32_t)speed;
}

/* "P:D" and nothing behind it. */
static bool parse_index(const char *want, uint32_t *platform, uint32_t *device)
{
  unsigned p, d;
  int end = 0;
  if (strspn(want, "0123456789:") != strlen(want)) return false; /* sscanf would take signs and spaces */
  if (sscanf(want, "%9u:%9u%n", &p, &d, &end) != 2 || want[end]) return false;
  *platform = p;
  *device = d;
  return true;
}

static bool is_wanted(const ca_device *device, const char *want)
{
  static const struct {
    const char *text;
    ca_device_type type;
  } types[] = {{"cpu", CA_DEVICE_CPU}, {"gpu", CA_DEVICE_GPU}, {"accelerator", CA_DEVICE_ACCELERATOR}};
  uint32_t p, d;
  if (!want || !*want) return true;
  if (parse_index(want, &p, &d)) return device->platform_index == p && device->device_index == d;
  for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
    if (ca_text_equal(want, types[i].text)) return device->facts.type == types[i].type;
  return ca_text_contains(device->facts.name, want) || ca_text_contains(device->facts.platform, want);
}

static clattn_status not_found(const ca_device *devices, uint32_t count, const char *want, clattn_report *report)
{
  for (uint32_t i = 0; i < count; i++)
    ca_report_line(report, "%u:%u %s (%s)", (unsigned)devices[i].platform_index, (unsigned)devices[i].device_index,
                   devices[i].facts.name, devices[i].facts.platform);
  return ca_fail(report, CLATTN_DEVICE_NOT_FOUND, "no device matches '%.100s': %u device%s, the first is %u:%u %s (%s)",
                 want, (unsigned)count, count == 1 ? "" : "s", (unsigned)devices[0].platform_index,
                 (unsigned)devices[0].device_index, devices[0].facts.name, devices[0].facts.platform);
}

clattn_status ca_devices_order(const ca_device *devices, uint32_t count, const char *want, uint32_t *order,
                               uint32_t *matches, clattn_report *report)
{
  uint32_t n = 0;
  for (uint32_t i = 0; i < count; i++) {
    if (!is_wanted(&devices[i], want)) continue;
    uint32_t at = n++; /* insertion keeps the loader's order among equals */
    for (; at > 0 && devices[order[at - 1]].score < devices[i].score; at--) order[at] = order[at - 1];
    order[at] = i;
  }
  *matches = n;
  if (n) return CLATTN_OK;
  if (!count) return ca_fail(report, CLATTN_NO_DEVICE, "no OpenCL device to choose from");
  return not_found(devices, count, want, report);
}
