#include "device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device_text.h"

#define PLATFORM_NOT_FOUND_KHR (-1001) /* the loader's, from cl_khr_icd: no driver is installed */
#define INSTALL_HINT "install the device's OpenCL driver, or pocl-opencl-icd for the CPU"

/* The list while it grows, and the names of platforms that gave nothing. */
typedef struct listing {
  ca_device *devices;
  uint32_t count, capacity;
  char stepped_over[256];
} listing;

static void step_over(listing *list, const char *platform, const char *why, clattn_report *report)
{
  const size_t used = strlen(list->stepped_over);
  snprintf(list->stepped_over + used, sizeof list->stepped_over - used, "%s'%s'", used ? ", " : "", platform);
  ca_report_line(report, "%s: %s", platform, why);
}

static clattn_status append(listing *list, const ca_device *device, clattn_report *report)
{
  if (list->count == list->capacity) {
    const uint32_t capacity = list->capacity ? 2 * list->capacity : 8;
    ca_device *grown = realloc(list->devices, capacity * sizeof *grown);
    if (!grown) return ca_fail(report, CLATTN_OUT_OF_HOST_MEMORY, "no memory for %u devices", (unsigned)capacity);
    list->devices = grown;
    list->capacity = capacity;
  }
  list->devices[list->count++] = *device;
  return CLATTN_OK;
}

/* A device that does not even tell its facts is stepped over: it must not hide the others. */
static clattn_status list_device(listing *list, ca_device *device, const char *platform, clattn_report *report)
{
  clattn_report own = {.status = CLATTN_OK};
  if (ca_device_facts(device->device, &device->facts, &own)) {
    char why[sizeof own.message + 32];
    snprintf(why, sizeof why, "device %u: %s", (unsigned)device->device_index, own.message);
    step_over(list, platform, why, report);
    return CLATTN_OK;
  }
  device->score = ca_device_score(&device->facts, device->reason, sizeof device->reason);
  return append(list, device, report);
}

static clattn_status list_platform(listing *list, cl_platform_id platform, uint32_t index, clattn_report *report)
{
  char name[128];
  ca_platform_text(platform, CL_PLATFORM_NAME, name, sizeof name);
  cl_uint count = 0;
  cl_int error = clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 0, NULL, &count);
  if (error || !count) {
    char why[64];
    snprintf(why, sizeof why, "no device (OpenCL error %d)", (int)error);
    step_over(list, name, why, report);
    return CLATTN_OK;
  }
  cl_device_id *ids = calloc(count, sizeof *ids);
  if (!ids) return ca_fail(report, CLATTN_OUT_OF_HOST_MEMORY, "no memory for %u device ids", (unsigned)count);
  error = clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, count, ids, NULL);
  clattn_status status = CLATTN_OK;
  if (error) { /* one platform must not hide the others */
    char why[64];
    snprintf(why, sizeof why, "its devices are not told (OpenCL error %d)", (int)error);
    step_over(list, name, why, report);
    count = 0;
  }
  for (cl_uint i = 0; !status && i < count; i++) {
    ca_device device = {.platform = platform, .device = ids[i], .platform_index = index, .device_index = i};
    status = list_device(list, &device, name, report);
  }
  free(ids);
  return status;
}

static clattn_status list_platforms(cl_platform_id **platforms, cl_uint *count, clattn_report *report)
{
  cl_int error = clGetPlatformIDs(0, NULL, count);
  if (error == PLATFORM_NOT_FOUND_KHR || (!error && !*count)) {
    ca_fail(report, CLATTN_NO_PLATFORM, "no OpenCL platform: " INSTALL_HINT);
    if (report) report->cl_error = error;
    return CLATTN_NO_PLATFORM;
  }
  if (error) return ca_fail_cl(report, error, "clGetPlatformIDs");
  *platforms = calloc(*count, sizeof **platforms);
  if (!*platforms) return ca_fail(report, CLATTN_OUT_OF_HOST_MEMORY, "no memory for %u platforms", (unsigned)*count);
  error = clGetPlatformIDs(*count, *platforms, NULL);
  return error ? ca_fail_cl(report, error, "clGetPlatformIDs") : CLATTN_OK;
}

clattn_status ca_devices_list(ca_device **devices, uint32_t *count, clattn_report *report)
{
  cl_platform_id *platforms = NULL;
  cl_uint n_platforms = 0;
  listing list = {.devices = NULL};
  clattn_status status = list_platforms(&platforms, &n_platforms, report);
  for (cl_uint i = 0; !status && i < n_platforms; i++) status = list_platform(&list, platforms[i], i, report);
  free(platforms);
  if (!status && !list.count)
    status = ca_fail(report, CLATTN_NO_DEVICE, "no OpenCL device: %u platform%s without one (%s); " INSTALL_HINT,
                     (unsigned)n_platforms, n_platforms == 1 ? "" : "s", list.stepped_over);
  if (status) {
    free(list.devices);
    return status;
  }
  *devices = list.devices;
  *count = list.count;
  return CLATTN_OK;
}
