#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "device_text.h"

/* Queries that the OpenCL 1.2 headers lack. */
#define NV_COMPUTE_CAPABILITY_MAJOR 0x4000 /* cl_nv_device_attribute_query */
#define NV_COMPUTE_CAPABILITY_MINOR 0x4001
#define OPENCL_C_FEATURES 0x106F /* OpenCL 3.0: an array of `feature` */

typedef struct feature {
  cl_uint version;
  char name[64];
} feature;

/* Where answers go while one device is asked: the first failed query ends the others. */
typedef struct asking {
  cl_device_id device;
  clattn_report *report;
  clattn_status status;
} asking;

/* The answer's bytes, with a zero byte behind them; NULL where the query fails. The caller frees it. */
static void *ask_bytes(asking *ask, cl_device_info what, size_t *bytes)
{
  if (ask->status) return NULL;
  size_t size = 0;
  char *answer = NULL;
  cl_int error = clGetDeviceInfo(ask->device, what, 0, NULL, &size);
  if (!error) {
    answer = calloc(size + 1, 1);
    error = answer ? clGetDeviceInfo(ask->device, what, size, answer, NULL) : CL_OUT_OF_HOST_MEMORY;
  }
  if (error) {
    free(answer);
    ask->status = ca_fail_cl(ask->report, error, "clGetDeviceInfo(0x%x)", (unsigned)what);
    return NULL;
  }
  if (bytes) *bytes = size;
  return answer;
}

static void ask_text(asking *ask, cl_device_info what, char *out, size_t capacity)
{
  char *answer = ask_bytes(ask, what, NULL);
  ca_text_copy(out, capacity, answer ? answer : "");
  free(answer);
}

/* cl_uint, cl_bool, size_t and cl_ulong alike: the answer's size tells which. */
static uint64_t ask_number(asking *ask, cl_device_info what)
{
  size_t bytes = 0;
  void *answer = ask_bytes(ask, what, &bytes);
  uint64_t number = 0;
  if (answer && bytes == sizeof(uint32_t)) {
    uint32_t narrow;
    memcpy(&narrow, answer, sizeof narrow);
    number = narrow;
  } else if (answer && bytes == sizeof number) {
    memcpy(&number, answer, sizeof number);
  }
  free(answer);
  return number;
}

/* A whole word of a space-separated list. */
static bool has_word(const char *list, const char *word)
{
  const size_t bytes = strlen(word);
  for (const char *at = strstr(list, word); at; at = strstr(at + bytes, word)) {
    const bool begins = at == list || at[-1] == ' ';
    if (begins && (at[bytes] == ' ' || at[bytes] == '\0')) return true;
  }
  return false;
}

/* An optional feature of OpenCL C 3.0; older devices have no such list. */
static bool has_feature(cl_device_id device, const ca_facts *facts, const char *name)
{
  if (strncmp(facts->version, "OpenCL 3", 8) != 0) return false;
  asking ask = {device, NULL, CLATTN_OK};
  size_t bytes = 0;
  const feature *features = ask_bytes(&ask, OPENCL_C_FEATURES, &bytes);
  bool found = false;
  for (size_t i = 0; features && !found && i < bytes / sizeof *features; i++)
    found = strncmp(features[i].name, name, sizeof features[i].name) == 0;
  free((void *)features);
  return found;
}

static ca_device_type type_of(cl_device_type bits)
{
  /* Emulators claim several types at once: the least promise counts. */
  if (bits & CL_DEVICE_TYPE_CPU) return CA_DEVICE_CPU;
  if (bits & CL_DEVICE_TYPE_GPU) return CA_DEVICE_GPU;
  if (bits & CL_DEVICE_TYPE_ACCELERATOR) return CA_DEVICE_ACCELERATOR;
  return CA_DEVICE_OTHER;
}

static void ask_limits(asking *ask, ca_facts *facts)
{
  facts->compute_units = ask_number(ask, CL_DEVICE_MAX_COMPUTE_UNITS);
  facts->clock_mhz = ask_number(ask, CL_DEVICE_MAX_CLOCK_FREQUENCY);
  facts->work_group_size = ask_number(ask, CL_DEVICE_MAX_WORK_GROUP_SIZE);
  facts->local_memory_bytes = ask_number(ask, CL_DEVICE_LOCAL_MEM_SIZE);
  facts->private_memory_bytes = UINT64_MAX; /* no query exists: a limit only where an application sets one */
  facts->global_memory_bytes = ask_number(ask, CL_DEVICE_GLOBAL_MEM_SIZE);
  facts->max_alloc_bytes = ask_number(ask, CL_DEVICE_MAX_MEM_ALLOC_SIZE);
  facts->max_parameter_bytes = ask_number(ask, CL_DEVICE_MAX_PARAMETER_SIZE);
  facts->native_width_f32 = ask_number(ask, CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT);
  facts->preferred_width_f32 = ask_number(ask, CL_DEVICE_PREFERRED_VECTOR_WIDTH_FLOAT);
  facts->address_bits = ask_number(ask, CL_DEVICE_ADDRESS_BITS);
  facts->local_memory_is_real = ask_number(ask, CL_DEVICE_LOCAL_MEM_TYPE) == CL_LOCAL;
  facts->shares_host_memory = ask_number(ask, CL_DEVICE_HOST_UNIFIED_MEMORY) != 0;
  facts->has_compiler = ask_number(ask, CL_DEVICE_COMPILER_AVAILABLE) != 0;
  facts->little_endian = ask_number(ask, CL_DEVICE_ENDIAN_LITTLE) != 0;
  facts->type = type_of(ask_number(ask, CL_DEVICE_TYPE));
}

static void ask_texts(asking *ask, ca_facts *facts)
{
  ask_text(ask, CL_DEVICE_NAME, facts->name, sizeof facts->name);
  ask_text(ask, CL_DEVICE_VENDOR, facts->vendor, sizeof facts->vendor);
  ask_text(ask, CL_DRIVER_VERSION, facts->driver, sizeof facts->driver);
  ask_text(ask, CL_DEVICE_VERSION, facts->version, sizeof facts->version);
  char language[64];
  ask_text(ask, CL_DEVICE_OPENCL_C_VERSION, language, sizeof language);
  facts->opencl_c = ca_language_version(language);
}

static void ask_abilities(asking *ask, ca_facts *facts)
{
  char *extensions = ask_bytes(ask, CL_DEVICE_EXTENSIONS, NULL);
  if (!extensions) return;
  facts->has_f16 = has_word(extensions, "cl_khr_fp16");
  facts->has_f64 = has_word(extensions, "cl_khr_fp64") || has_feature(ask->device, facts, "__opencl_c_fp64");
  facts->has_subgroups = has_word(extensions, "cl_khr_subgroups") || has_word(extensions, "cl_intel_subgroups") ||
                         has_feature(ask->device, facts, "__opencl_c_subgroups");
  if (has_word(extensions, "cl_nv_device_attribute_query"))
    facts->nv_compute_capability =
        10 * ask_number(ask, NV_COMPUTE_CAPABILITY_MAJOR) + ask_number(ask, NV_COMPUTE_CAPABILITY_MINOR);
  free(extensions);
}

static void ask_platform(asking *ask, ca_facts *facts)
{
  size_t bytes = 0;
  void *answer = ask_bytes(ask, CL_DEVICE_PLATFORM, &bytes);
  cl_platform_id platform = NULL;
  if (answer && bytes == sizeof platform) memcpy(&platform, answer, sizeof platform);
  free(answer);
  ca_platform_text(platform, CL_PLATFORM_NAME, facts->platform, sizeof facts->platform);
  ca_platform_text(platform, CL_PLATFORM_VERSION, facts->platform_version, sizeof facts->platform_version);
}

clattn_status ca_device_facts(cl_device_id device, ca_facts *facts, clattn_report *report)
{
  asking ask = {device, report, CLATTN_OK};
  memset(facts, 0, sizeof *facts);
  ask_texts(&ask, facts);
  ask_limits(&ask, facts);
  ask_abilities(&ask, facts);
  ask_platform(&ask, facts);
  if (ask.status) return ask.status;
  ca_device_quirks(facts);
  return CLATTN_OK;
}
