/* Runs: on the caller's queue, or blocking on host memory. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bindings.h"
#include "map_launch.h"

static clattn_status check_queue(const clattn_plan *plan, cl_command_queue queue, bool *in_order, clattn_report *report)
{
  cl_context context;
  cl_device_id device;
  cl_command_queue_properties properties;
  cl_int error = clGetCommandQueueInfo(queue, CL_QUEUE_CONTEXT, sizeof context, &context, NULL);
  if (!error) error = clGetCommandQueueInfo(queue, CL_QUEUE_DEVICE, sizeof device, &device, NULL);
  if (!error) error = clGetCommandQueueInfo(queue, CL_QUEUE_PROPERTIES, sizeof properties, &properties, NULL);
  if (error) return ca_fail_cl(report, error, "clGetCommandQueueInfo");
  if (context != plan->context->cl || device != plan->context->device)
    return ca_fail(report, CLATTN_INVALID_QUEUE, "the queue belongs to another %s than the plan's",
                   context != plan->context->cl ? "cl_context" : "device");
  *in_order = !(properties & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE);
  return CLATTN_OK;
}

/* What the launches of a run are made for: the plan's problem, or one step of a map after the other. */
typedef struct run_step {
  const ca_problem *problem;
  const ca_bound *bound;
  ca_problem own;
  ca_bound own_bound[CLATTN_SLOT_COUNT];
} run_step;

static void begin_step(const clattn_plan *plan, const ca_bound *bound, uint64_t index, run_step *step)
{
  step->problem = &plan->problem;
  step->bound = bound;
  if (plan->problem.operation != CA_OP_MAP) return;
  ca_map_prepare(&plan->problem, &plan->choice, bound, (int64_t)index, &step->own, step->own_bound);
  step->problem = &step->own;
  step->bound = step->own_bound;
}

/* The launches, each after the one before: by order of the queue, or by events where it has none. */
static clattn_status enqueue_launches(const clattn_plan *plan, cl_command_queue queue, const ca_bound *bound,
                                      bool in_order, cl_uint n_wait, const cl_event *wait, cl_event *done,
                                      clattn_report *report)
{
  const uint32_t launches = plan->choice.n_launches;
  const uint64_t n = ca_plan_launches(plan);
  run_step step;
  cl_event before = NULL;
  clattn_status status = CLATTN_OK;
  for (uint64_t i = 0; i < n && status == CLATTN_OK; i++) {
    const uint32_t launch = (uint32_t)(i % launches);
    cl_event event = NULL;
    cl_event *want = i + 1 == n ? done : in_order ? NULL : &event;
    const cl_uint count = i == 0 ? n_wait : before ? 1 : 0;
    if (launch == 0) begin_step(plan, bound, i / launches, &step);
    status = ca_launch_enqueue(step.problem, &plan->choice, launch, plan->kernel[launch], step.bound, queue, count,
                               i == 0   ? wait
                               : before ? &before
                                        : NULL,
                               want, report);
    if (before) clReleaseEvent(before);
    before = event;
  }
  if (before) clReleaseEvent(before);
  return status;
}

static clattn_status enqueue_checked(const clattn_plan *plan, cl_command_queue queue, ca_bound *bound, cl_uint n_wait,
                                     const cl_event *wait, cl_event *done, bool in_order, clattn_report *report)
{
  if (plan->choice.n_launches == 0) {
    const cl_int error = clEnqueueMarkerWithWaitList(queue, n_wait, wait, done);
    return error ? ca_fail_cl(report, error, "clEnqueueMarkerWithWaitList") : CLATTN_OK;
  }
  cl_mem own = NULL;
  const size_t bytes = plan->choice.workspace_bytes;
  if (bytes && !bound[CLATTN_WORKSPACE].mem) {
    cl_int error;
    own = clCreateBuffer(plan->context->cl, CL_MEM_READ_WRITE, bytes, NULL, &error);
    if (error) return ca_fail_cl(report, error, "a workspace of %zu bytes", bytes);
    bound[CLATTN_WORKSPACE].mem = own;
  }
  ca_lock *lock = (ca_lock *)&plan->launching; /* the one part of a plan that changes */
  ca_lock_take(lock);
  const clattn_status status = enqueue_launches(plan, queue, bound, in_order, n_wait, wait, done, report);
  ca_lock_give(lock);
  if (own) clReleaseMemObject(own); /* OpenCL keeps it until the commands end */
  return status;
}

clattn_status clattn_enqueue(const clattn_plan *plan, cl_command_queue queue, const clattn_binding *bindings,
                             uint32_t n_bindings, cl_uint n_wait, const cl_event *wait, cl_event *done,
                             clattn_report *report)
{
  ca_report_clear(report);
  if (!plan || !queue) return ca_fail(report, CLATTN_INVALID_ARGUMENT, "%s is NULL", plan ? "queue" : "plan");
  if (!n_wait != !wait)
    return ca_fail(report, CLATTN_INVALID_ARGUMENT, "n_wait is %u and wait is %s", (unsigned)n_wait,
                   wait ? "not NULL" : "NULL");
  bool in_order = true;
  ca_bound bound[CLATTN_SLOT_COUNT];
  CA_TRY(check_queue(plan, queue, &in_order, report));
  CA_TRY(ca_bindings_take(plan, bindings, n_bindings, bound, report));
  return enqueue_checked(plan, queue, bound, n_wait, wait, done, in_order, report);
}

/* One host array and its buffer. */
static clattn_status upload(const clattn_plan *plan, cl_command_queue queue, const clattn_host_binding *host,
                            clattn_binding *binding, clattn_report *report)
{
  const int32_t slot = host->slot;
  const size_t need = ca_plan_slot_bytes(plan, slot);
  const ca_tensor *t = &plan->problem.tensor[slot];
  if (host->reserved)
    return ca_fail(report, CLATTN_INVALID_BINDING, "%s: reserved is %" PRId32 ", must be 0", ca_slot_text(slot),
                   host->reserved);
  if (need && !host->data) return ca_fail(report, CLATTN_INVALID_BINDING, "%s: its data is NULL", ca_slot_text(slot));
  if (host->bytes < need)
    return ca_fail(report, CLATTN_BUFFER_TOO_SMALL, "%s: needs %zu bytes, its array has %zu", ca_slot_text(slot), need,
                   host->bytes);
  cl_int error;
  binding->slot = slot;
  binding->mem = clCreateBuffer(plan->context->cl, CL_MEM_READ_WRITE, need ? need : 1, NULL, &error);
  if (error) return ca_fail_cl(report, error, "%s: a buffer of %zu bytes", ca_slot_text(slot), need);
  /* An output with gaps goes up too, so that what lies between its elements comes back unchanged. */
  const bool gaps = ca_tensor_elems(t) != t->span_elems;
  if (need && (!t->output || gaps)) {
    error = clEnqueueWriteBuffer(queue, binding->mem, CL_TRUE, 0, need, host->data, 0, NULL, NULL);
    if (error) return ca_fail_cl(report, error, "%s: writing %zu bytes", ca_slot_text(slot), need);
  }
  return CLATTN_OK;
}

static clattn_status check_host_bindings(const clattn_plan *plan, const clattn_host_binding *bindings, uint32_t n,
                                         clattn_report *report)
{
  if (n && !bindings) return ca_fail(report, CLATTN_INVALID_ARGUMENT, "bindings is NULL");
  for (uint32_t i = 0; i < n; i++) {
    const int32_t slot = bindings[i].slot;
    if (slot <= 0 || slot >= CLATTN_SLOT_COUNT)
      return ca_fail(report, CLATTN_INVALID_BINDING, "binding %" PRIu32 ": slot is %" PRId32 ", must be 1 to %d", i,
                     slot, CLATTN_SLOT_COUNT - 1);
    if (!ca_plan_wants(plan, slot))
      return ca_fail(report, CLATTN_INVALID_BINDING, "%s is bound, but %s", ca_slot_text(slot),
                     slot == CLATTN_WORKSPACE ? "clattn_run_host makes its own" : "the plan does not have it");
    for (uint32_t j = 0; j < i; j++)
      if (bindings[j].slot == slot)
        return ca_fail(report, CLATTN_INVALID_BINDING, "%s is bound twice", ca_slot_text(slot));
  }
  return CLATTN_OK;
}

static clattn_status download(const clattn_plan *plan, cl_command_queue queue, const clattn_host_binding *host,
                              const clattn_binding *binding, clattn_report *report)
{
  const size_t bytes = ca_plan_slot_bytes(plan, host->slot);
  if (!plan->problem.tensor[host->slot].output || !bytes) return CLATTN_OK;
  const cl_int error = clEnqueueReadBuffer(queue, binding->mem, CL_TRUE, 0, bytes, host->data, 0, NULL, NULL);
  return error ? ca_fail_cl(report, error, "%s: reading %zu bytes", ca_slot_text(host->slot), bytes) : CLATTN_OK;
}

clattn_status clattn_run_host(const clattn_plan *plan, const clattn_host_binding *bindings, uint32_t n_bindings,
                              clattn_report *report)
{
  ca_report_clear(report);
  if (!plan) return ca_fail(report, CLATTN_INVALID_ARGUMENT, "plan is NULL");
  CA_TRY(check_host_bindings(plan, bindings, n_bindings, report));
  clattn_binding device[CLATTN_SLOT_COUNT] = {{0}};
  cl_int error;
  cl_command_queue queue = clCreateCommandQueue(plan->context->cl, plan->context->device, 0, &error);
  if (error) return ca_fail_cl(report, error, "clCreateCommandQueue");
  clattn_status status = CLATTN_OK;
  for (uint32_t i = 0; i < n_bindings && status == CLATTN_OK; i++)
    status = upload(plan, queue, &bindings[i], &device[i], report);
  if (status == CLATTN_OK) status = clattn_enqueue(plan, queue, device, n_bindings, 0, NULL, NULL, report);
  for (uint32_t i = 0; i < n_bindings && status == CLATTN_OK; i++)
    status = download(plan, queue, &bindings[i], &device[i], report);
  const cl_int finish = clFinish(queue);
  if (status == CLATTN_OK && finish) status = ca_fail_cl(report, finish, "waiting for the run");
  for (uint32_t i = 0; i < n_bindings; i++)
    if (device[i].mem) clReleaseMemObject(device[i].mem);
  clReleaseCommandQueue(queue);
  return status;
}
