/* Contexts: made by picking, or from the application's own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "objects.h"
#include "take.h"

/* The largest fact file that is read. */
enum { LIMITS_BYTES = 65536 };

static clattn_status take_options(const clattn_context_options *theirs, clattn_context_options *own,
                                  clattn_report *report)
{
  *own = (clattn_context_options)CLATTN_CONTEXT_OPTIONS_INIT;
  if (!theirs) return CLATTN_OK;
  CA_TRY(ca_take_struct(own, sizeof *own, theirs, "clattn_context_options", report));
  return ca_check_flags(own->flags, CLATTN_NO_DISK_CACHE, report);
}

/* Lowers facts to the limits that the options give as text, or the file that CLATTN_LIMITS names. */
static clattn_status apply_limits(const char *text, ca_facts *facts, clattn_report *report)
{
  ca_facts limits = {0};
  const char *path = getenv("CLATTN_LIMITS");
  if (text) {
    CA_TRY(ca_facts_parse(text, &limits, report));
  } else if (path && *path) {
    FILE *file = fopen(path, "rb");
    if (!file) return ca_fail(report, CLATTN_INVALID_VALUE, "CLATTN_LIMITS: %s cannot be read", path);
    char *own = calloc(1, LIMITS_BYTES);
    const size_t bytes = own ? fread(own, 1, LIMITS_BYTES, file) : 0;
    fclose(file);
    if (!own) return ca_fail(report, CLATTN_OUT_OF_HOST_MEMORY, "CLATTN_LIMITS: no memory for %s", path);
    const clattn_status status =
        bytes == LIMITS_BYTES
            ? ca_fail(report, CLATTN_INVALID_VALUE, "CLATTN_LIMITS: %s has %d bytes or more", path, LIMITS_BYTES)
            : ca_facts_parse(own, &limits, report);
    free(own);
    CA_TRY(status);
  }
  ca_facts_limit(facts, &limits);
  return CLATTN_OK;
}

clattn_context *ca_context_retain(clattn_context *context)
{
  atomic_fetch_add(&context->references, 1);
  return context;
}

void clattn_context_destroy(clattn_context *context)
{
  if (!context || atomic_fetch_sub(&context->references, 1) != 1) return;
  if (context->parent) {
    clattn_context_destroy(context->parent);
  } else {
    ca_program_cache_destroy(context->programs);
    ca_context_free_tuning(context);
    clReleaseContext(context->cl);
  }
  ca_lock_destroy(&context->planning);
  ca_lock_destroy(&context->judging);
  free(context);
}

cl_context clattn_context_cl_context(const clattn_context *context) { return context ? context->cl : NULL; }
cl_device_id clattn_context_cl_device(const clattn_context *context) { return context ? context->device : NULL; }

clattn_status ca_context_open(cl_context cl, cl_device_id device, const ca_facts *facts,
                              const clattn_context_options *options, clattn_context **out, clattn_report *report)
{
  clattn_context_options own;
  CA_TRY(take_options(options, &own, report));
  clattn_context *context = calloc(1, sizeof *context);
  if (!context) return ca_fail(report, CLATTN_OUT_OF_HOST_MEMORY, "a context of %zu bytes", sizeof *context);
  context->facts = *facts;
  char default_dir[1024];
  ca_program_cache_options cache = {.cache_dir = own.cache_dir, .kernel_dir = own.kernel_dir};
  if (!cache.kernel_dir) cache.kernel_dir = getenv("CLATTN_KERNEL_DIR");
  if (cache.kernel_dir && !*cache.kernel_dir) cache.kernel_dir = NULL;
  if (!cache.cache_dir && ca_cache_dir_default(default_dir, sizeof default_dir)) cache.cache_dir = default_dir;
  if (own.flags & CLATTN_NO_DISK_CACHE) cache.cache_dir = NULL;
  clattn_status status = apply_limits(own.limits, &context->facts, report);
  if (status == CLATTN_OK)
    status = ca_program_cache_create(cl, device, &context->facts, &cache, &context->programs, report);
  const cl_int error = status == CLATTN_OK ? clRetainContext(cl) : CL_SUCCESS;
  if (error) {
    ca_program_cache_destroy(context->programs);
    status = ca_fail_cl(report, error, "clRetainContext");
  }
  if (status != CLATTN_OK) {
    free(context);
    return status;
  }
  context->cl = cl;
  context->device = device;
  atomic_init(&context->references, 1);
  ca_lock_init(&context->planning);
  ca_lock_init(&context->judging);
  ca_context_recall_verdict(context);
  ca_context_read_tuning(context, own.tuning, report);
  *out = context;
  return CLATTN_OK;
}

/* What an application would want to know of a context that was made. */
static void tell_placement(const clattn_context *context, clattn_report *report)
{
  const char *placement = ca_device_placement(&context->facts);
  if (report && *placement) ca_report_line(report, "%s: %s", context->facts.name, placement);
}

/* True if the application's context has the device. */
static clattn_status check_membership(cl_context cl, cl_device_id device, clattn_report *report)
{
  size_t bytes = 0;
  cl_int error = clGetContextInfo(cl, CL_CONTEXT_DEVICES, 0, NULL, &bytes);
  if (error) return ca_fail_cl(report, error, "clGetContextInfo");
  cl_device_id *devices = malloc(bytes ? bytes : 1);
  if (!devices) return ca_fail(report, CLATTN_OUT_OF_HOST_MEMORY, "a list of %zu bytes", bytes);
  error = clGetContextInfo(cl, CL_CONTEXT_DEVICES, bytes, devices, NULL);
  bool found = false;
  for (size_t i = 0; !error && i < bytes / sizeof *devices; i++) found = found || devices[i] == device;
  free(devices);
  if (error) return ca_fail_cl(report, error, "clGetContextInfo");
  if (!found) return ca_fail(report, CLATTN_INVALID_ARGUMENT, "device does not belong to the cl_context");
  return CLATTN_OK;
}

static clattn_status check_compiler(const ca_facts *facts, clattn_report *report)
{
  if (!facts->has_compiler)
    return ca_fail(report, CLATTN_NO_COMPILER, "%s: it has no compiler for OpenCL C; clattn needs one", facts->name);
  return CLATTN_OK;
}

clattn_status clattn_context_create(cl_context cl, cl_device_id device, const clattn_context_options *options,
                                    clattn_context **context, clattn_report *report)
{
  ca_report_clear(report);
  if (!context) return ca_fail(report, CLATTN_INVALID_ARGUMENT, "context is NULL");
  *context = NULL;
  if (!cl || !device) return ca_fail(report, CLATTN_INVALID_ARGUMENT, "%s is NULL", cl ? "device" : "cl");
  ca_facts facts;
  CA_TRY(check_membership(cl, device, report));
  CA_TRY(ca_device_facts(device, &facts, report));
  CA_TRY(check_compiler(&facts, report));
  CA_TRY(ca_context_open(cl, device, &facts, options, context, report));
  tell_placement(*context, report);
  return CLATTN_OK;
}

/* A fresh cl_context on one device, opened and probed. */
static clattn_status open_candidate(const ca_device *candidate, const clattn_context_options *options,
                                    clattn_context **context, clattn_report *report)
{
  CA_TRY(check_compiler(&candidate->facts, report));
  const cl_context_properties properties[] = {CL_CONTEXT_PLATFORM, (cl_context_properties)candidate->platform, 0};
  cl_int error;
  cl_context cl = clCreateContext(properties, 1, &candidate->device, NULL, NULL, &error);
  if (error) return ca_fail_cl(report, error, "clCreateContext on %s", candidate->facts.name);
  clattn_status status = ca_context_open(cl, candidate->device, &candidate->facts, options, context, report);
  clReleaseContext(cl); /* the context holds its own reference */
  if (status != CLATTN_OK) return status;
  status = ca_context_probe(*context, report);
  if (status != CLATTN_OK) {
    clattn_context_destroy(*context);
    *context = NULL;
  }
  return status;
}

/* A caller's mistake would meet every candidate alike. */
static bool is_device_fault(clattn_status status) { return status <= CLATTN_OUT_OF_DEVICE_MEMORY; }

clattn_status clattn_context_pick(const char *want, const clattn_context_options *options, clattn_context **context,
                                  clattn_report *report)
{
  ca_report_clear(report);
  if (!context) return ca_fail(report, CLATTN_INVALID_ARGUMENT, "context is NULL");
  *context = NULL;
  if (!want) want = getenv("CLATTN_DEVICE");
  if (want && !*want) want = NULL;
  ca_device *devices = NULL;
  uint32_t count = 0, matches = 0;
  CA_TRY(ca_devices_list(&devices, &count, report));
  uint32_t *order = malloc(count * sizeof *order);
  clattn_status status = order ? ca_devices_order(devices, count, want, order, &matches, report)
                               : ca_fail(report, CLATTN_OUT_OF_HOST_MEMORY, "an order of %u devices", (unsigned)count);
  if (status == CLATTN_OK) {
    for (uint32_t i = 0; i < matches; i++) {
      status = open_candidate(&devices[order[i]], options, context, report);
      if (status == CLATTN_OK || !is_device_fault(status)) break;
      if (report) ca_report_line(report, "%s: passed over: %s", devices[order[i]].facts.name, report->message);
    }
  }
  free(order);
  free(devices);
  if (status == CLATTN_OK && report) { /* the messages of those passed over stay in the detail */
    report->status = CLATTN_OK;
    report->cl_error = 0;
    report->message[0] = '\0';
  }
  if (status == CLATTN_OK) tell_placement(*context, report);
  return status;
}

/* Of the caller's array, whose elements may be larger than this library knows them. */
static clattn_device_info *device_info_at(clattn_device_info *out, uint32_t struct_size, uint32_t index)
{
  return (clattn_device_info *)(void *)((char *)out + (size_t)index * struct_size);
}

static void describe_device(const ca_device *device, uint32_t struct_size, clattn_device_info *info)
{
  const ca_facts *f = &device->facts;
  static const char *const types[] = {[CA_DEVICE_OTHER] = "other",
                                      [CA_DEVICE_CPU] = "cpu",
                                      [CA_DEVICE_GPU] = "gpu",
                                      [CA_DEVICE_ACCELERATOR] = "accelerator"};
  memset(info, 0, struct_size); /* what only a later version knows too */
  *info = (clattn_device_info){
      .struct_size = struct_size,
      .platform = device->platform_index,
      .device = device->device_index,
      .score = device->score,
      .compute_units = (uint32_t)f->compute_units,
      .native_width_f32 = (uint32_t)f->native_width_f32,
      .clock_mhz = (uint32_t)f->clock_mhz,
      .local_memory_bytes = f->local_memory_bytes,
      .global_memory_bytes = f->global_memory_bytes,
      .max_alloc_bytes = f->max_alloc_bytes,
      .work_group_size = f->work_group_size,
      .has_f16 = f->has_f16 != 0,
      .has_f64 = f->has_f64 != 0,
      .has_subgroups = f->has_subgroups != 0,
      .shares_host_memory = f->shares_host_memory != 0,
  };
  snprintf(info->platform_name, sizeof info->platform_name, "%s", f->platform);
  snprintf(info->name, sizeof info->name, "%s", f->name);
  snprintf(info->vendor, sizeof info->vendor, "%s", f->vendor);
  snprintf(info->driver, sizeof info->driver, "%s", f->driver);
  snprintf(info->version, sizeof info->version, "%s", f->version);
  snprintf(info->type, sizeof info->type, "%s", types[f->type]);
  snprintf(info->engine, sizeof info->engine, "none");
  const char *placement = ca_device_placement(f);
  snprintf(info->reason, sizeof info->reason, "%.120s%s%.130s", device->reason, *placement ? "; " : "", placement);
}

clattn_status clattn_devices(int probe, clattn_device_info *out, uint32_t capacity, uint32_t *count,
                             clattn_report *report)
{
  ca_report_clear(report);
  if (!count || (capacity && !out))
    return ca_fail(report, CLATTN_INVALID_ARGUMENT, "%s is NULL", count ? "out" : "count");
  *count = 0;
  const uint32_t size = capacity ? out->struct_size : 0;
  if (capacity) CA_TRY(ca_check_element(size, sizeof *out, _Alignof(clattn_device_info), "clattn_device_info", report));
  ca_device *devices = NULL;
  uint32_t n = 0, matches = 0;
  CA_TRY(ca_devices_list(&devices, &n, report));
  *count = n;
  for (uint32_t i = 0; i < n && i < capacity; i++) {
    clattn_device_info *info = device_info_at(out, size, i);
    describe_device(&devices[i], size, info);
    if (!devices[i].facts.has_compiler) info->status = CLATTN_NO_COMPILER;
    if (!probe) continue;
    clattn_context *context = NULL;
    clattn_report why;
    ca_report_clear(&why);
    info->status = open_candidate(&devices[i], NULL, &context, &why);
    if (info->status != CLATTN_OK) snprintf(info->reason, sizeof info->reason, "%.255s", why.message);
    clattn_context_destroy(context);
  }
  const char *want = getenv("CLATTN_DEVICE");
  uint32_t *order = malloc(n * sizeof *order);
  if (order && ca_devices_order(devices, n, want && *want ? want : NULL, order, &matches, NULL) == CLATTN_OK)
    for (uint32_t i = 0; i < matches && order[i] < capacity; i++) { /* what is not in `out` may be better */
      clattn_device_info *info = device_info_at(out, size, order[i]);
      if (info->status != CLATTN_OK) continue;
      info->taken = 1;
      break;
    }
  free(order);
  free(devices);
  return CLATTN_OK;
}
