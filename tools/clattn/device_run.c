#include "device_run.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

double clock_ms(void)
{
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return 1e3 * (double)now.tv_sec + 1e-6 * (double)now.tv_nsec;
}

static bool fail_status(const device *d, const char *what, clattn_status status, st_error *error)
{
  const char *message = d->report.message[0] ? d->report.message : clattn_status_text(status);
  return st_fail(error, "%s%s%s", what, *what ? ": " : "", message);
}

static bool fail_cl(device *d, const char *what, cl_int code, st_error *error)
{
  d->report = (clattn_report){.status = CLATTN_OPENCL_FAILED, .cl_error = code};
  return st_fail(error, "%s: OpenCL error %d on %s", what, (int)code, d->name);
}

bool device_open(device *d, const char *want, st_error *error)
{
  *d = (device){0};
  const clattn_status status = clattn_context_pick(want, NULL, &d->context, &d->report);
  if (status != CLATTN_OK) return fail_status(d, "", status, error);
  const cl_device_id id = clattn_context_cl_device(d->context);
  cl_int code = clGetDeviceInfo(id, CL_DEVICE_NAME, sizeof d->name, d->name, NULL);
  if (code) snprintf(d->name, sizeof d->name, "a device without a name");
  d->queue = clCreateCommandQueue(clattn_context_cl_context(d->context), id, CL_QUEUE_PROFILING_ENABLE, &code);
  if (!code) return true;
  fail_cl(d, "clCreateCommandQueue", code, error);
  device_close(d);
  return false;
}

void device_close(device *d)
{
  device_release(d);
  if (d->queue) clReleaseCommandQueue(d->queue);
  clattn_context_destroy(d->context);
  d->queue = NULL;
  d->context = NULL;
}

static bool make_buffer(device *d, cl_mem_flags flags, const void *data, size_t bytes, cl_mem *out, st_error *error)
{
  static const char nothing = 0;
  cl_int code = CL_OUT_OF_RESOURCES;
  *out = NULL;
  if (d->n_buffers < DEVICE_MAX_BUFFERS) {
    if (data) flags |= CL_MEM_COPY_HOST_PTR;
    /* Copied, never written: OpenCL has no const pointer here. */
    void *from = data ? (void *)(uintptr_t)(bytes ? data : &nothing) : NULL;
    *out = clCreateBuffer(clattn_context_cl_context(d->context), flags, bytes ? bytes : 1, from, &code);
  }
  if (code) {
    char what[64];
    snprintf(what, sizeof what, "a buffer of %zu bytes", bytes);
    return fail_cl(d, what, code, error);
  }
  d->buffers[d->n_buffers++] = *out;
  return true;
}

bool device_upload(device *d, const void *data, size_t bytes, cl_mem *out, st_error *error)
{
  return make_buffer(d, CL_MEM_READ_ONLY, data, bytes, out, error);
}

bool device_room(device *d, size_t bytes, cl_mem *out, st_error *error)
{
  return make_buffer(d, CL_MEM_READ_WRITE, NULL, bytes, out, error);
}

void device_bind(device_bindings *bindings, clattn_slot slot, cl_mem mem)
{
  if (mem && bindings->count < DEVICE_MAX_BINDINGS)
    bindings->list[bindings->count++] = (clattn_binding){.slot = (int32_t)slot, .mem = mem};
}

bool device_add(device *d, const char *name, clattn_status planned, clattn_plan *plan, const device_bindings *bindings,
                st_error *error)
{
  if (planned != CLATTN_OK) return fail_status(d, name, planned, error);
  if (d->n_stages == DEVICE_MAX_STAGES) {
    clattn_plan_destroy(plan);
    return st_fail(error, "%s: more than %d stages", name, DEVICE_MAX_STAGES);
  }
  clattn_plan_info info = {.struct_size = sizeof info};
  device_stage *stage = &d->stages[d->n_stages++];
  clattn_plan_get_info(plan, &info);
  *stage = (device_stage){
      .name = name, .plan = plan, .bindings = *bindings, .plan_ms = info.plan_ms, .kernels = info.kernels};
  snprintf(stage->variant, sizeof stage->variant, "%s", clattn_plan_variant(plan));
  if (!d->bar) return true;
  if (d->bar_per_stage) progress_advance(d->bar);
  progress_show(d->bar, name);
  return true;
}

bool device_submit(device *d, st_error *error)
{
  for (int i = 0; i < d->n_stages; i++) {
    device_stage *stage = &d->stages[i];
    /* The event of a run is its last kernel's: with several, the stage begins where the queue stood before. */
    if (stage->kernels > 1) clEnqueueMarkerWithWaitList(d->queue, 0, NULL, &stage->before);
    const clattn_status status = clattn_enqueue(stage->plan, d->queue, stage->bindings.list, stage->bindings.count, 0,
                                                NULL, &stage->done, &d->report);
    if (status != CLATTN_OK) return fail_status(d, stage->name, status, error);
  }
  const cl_int code = clFlush(d->queue);
  return code ? fail_cl(d, "clFlush", code, error) : true;
}

bool device_read(device *d, cl_mem mem, void *out, size_t bytes, st_error *error)
{
  if (!bytes) return true;
  const cl_int code = clEnqueueReadBuffer(d->queue, mem, CL_TRUE, 0, bytes, out, 0, NULL, NULL);
  return code ? fail_cl(d, "reading a result", code, error) : true;
}

static double stage_ms(const device_stage *stage)
{
  cl_ulong begin = 0, end = 0;
  cl_int code;
  if (stage->before)
    code = clGetEventProfilingInfo(stage->before, CL_PROFILING_COMMAND_END, sizeof begin, &begin, NULL);
  else
    code = clGetEventProfilingInfo(stage->done, CL_PROFILING_COMMAND_START, sizeof begin, &begin, NULL);
  if (!code) code = clGetEventProfilingInfo(stage->done, CL_PROFILING_COMMAND_END, sizeof end, &end, NULL);
  return code || end < begin ? 0.0 : 1e-6 * (double)(end - begin);
}

bool device_finish(device *d, st_error *error)
{
  const cl_int code = clFinish(d->queue);
  if (code) return fail_cl(d, "running", code, error);
  for (int i = 0; i < d->n_stages; i++) {
    cl_int state = CL_COMPLETE;
    clGetEventInfo(d->stages[i].done, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof state, &state, NULL);
    if (state < 0) return fail_cl(d, d->stages[i].name, state, error);
    d->stages[i].run_ms = stage_ms(&d->stages[i]);
  }
  return true;
}

void device_release(device *d)
{
  if (d->queue) clFinish(d->queue);
  for (int i = 0; i < d->n_stages; i++) {
    if (d->stages[i].before) clReleaseEvent(d->stages[i].before);
    if (d->stages[i].done) clReleaseEvent(d->stages[i].done);
    clattn_plan_destroy(d->stages[i].plan);
  }
  for (int i = 0; i < d->n_buffers; i++) clReleaseMemObject(d->buffers[i]);
  d->n_stages = 0;
  d->n_buffers = 0;
}
