#include "launch.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "clblast_gemm.h"
#include "pack.h"
#include "quirks.h"

/* What a stage's kernel takes, from stages.def. */
typedef struct stage_row {
  size_t args_bytes;
  int n_slots;
  int32_t slot[13];
} stage_row;

static const stage_row stage_rows[CA_STAGE_COUNT] = {
#define CA_STAGE(name, args, n_slots, ...) [CA_STAGE_##name] = {sizeof(ca_##args##_args), n_slots, {__VA_ARGS__}},
#include "stages.def"
#undef CA_STAGE
};

/* What a projection's stages call W, BIAS and Y are slots of the launch's parts; 0 where it has no such part. */
static int32_t slot_of(const ca_problem *problem, const ca_launch *launch, int32_t said)
{
  const int index = said / CLATTN_SLOT_COUNT;
  const int32_t slot = said % CLATTN_SLOT_COUNT;
  if (problem->operation != CA_OP_PROJECTION || (slot != CLATTN_W && slot != CLATTN_BIAS && slot != CLATTN_Y))
    return slot;
  if (index >= launch->n_parts) return 0;
  const ca_projection_part *part = &problem->projection.part[launch->part + index];
  return slot == CLATTN_W ? part->w : slot == CLATTN_BIAS ? part->bias : part->y;
}

/* The buffer of a slot: its own, the workspace for A and P of staged attention, or none. */
static cl_mem buffer_of(const ca_problem *problem, const ca_launch *launch, int32_t said, const ca_bound *bound)
{
  const int32_t slot = slot_of(problem, launch, said);
  const bool in_workspace = (slot == CLATTN_A || slot == CLATTN_P) && !problem->tensor[slot].present;
  return bound[in_workspace ? (int32_t)CLATTN_WORKSPACE : slot].mem;
}

/* The argument struct first, then the buffers; bound == NULL: all zero, for the warm-up. */
static clattn_status set_arguments(const ca_problem *problem, const ca_choice *choice, const ca_launch *launch,
                                   cl_kernel kernel, const ca_bound *bound, clattn_report *report)
{
  const stage_row *row = &stage_rows[launch->stage];
  ca_any_args args;
  memset(&args, 0, sizeof args);
  if (bound) ca_pack(problem, choice, launch, bound, &args);
  cl_int error = clSetKernelArg(kernel, 0, row->args_bytes, &args);
  for (int i = 0; i < row->n_slots && !error; i++) {
    cl_mem mem = bound ? buffer_of(problem, launch, row->slot[i], bound) : NULL;
    error = clSetKernelArg(kernel, (cl_uint)(i + 1), sizeof mem, mem ? &mem : NULL);
  }
  return error ? ca_fail_cl(report, error, "clSetKernelArg") : CLATTN_OK;
}

clattn_status ca_launch_enqueue(const ca_problem *problem, const ca_choice *choice, uint32_t index, cl_kernel kernel,
                                const ca_bound bound[CLATTN_SLOT_COUNT], cl_command_queue queue, cl_uint n_wait,
                                const cl_event *wait, cl_event *done, clattn_report *report)
{
  const ca_launch *launch = &choice->launch[index];
  if (launch->stage == CA_STAGE_clblast_gemm)
    return ca_clblast_gemm(problem, launch->part, bound, queue, n_wait, wait, done, report);
  CA_TRY(set_arguments(problem, choice, launch, kernel, bound, report));
  size_t global[3];
  for (uint32_t i = 0; i < launch->dims; i++) global[i] = launch->groups[i] * launch->local[i];
  const cl_int error =
      clEnqueueNDRangeKernel(queue, kernel, launch->dims, NULL, global, launch->local, n_wait, wait, done);
  return error ? ca_fail_cl(report, error, "enqueueing %s", launch->kernel) : CLATTN_OK;
}

/* CLBlast compiles for the sizes it meets, so it is run once on buffers of the real sizes. */
static clattn_status warm_up_clblast(const ca_problem *problem, const ca_choice *choice, int part, cl_context context,
                                     cl_command_queue queue, clattn_report *report)
{
  const int32_t slots[3] = {CLATTN_X, problem->projection.part[part].w, CLATTN_WORKSPACE};
  ca_bound bound[CLATTN_SLOT_COUNT] = {{0}};
  clattn_status status = CLATTN_OK;
  for (int i = 0; i < 3 && status == CLATTN_OK; i++) {
    const size_t bytes = slots[i] == CLATTN_WORKSPACE ? choice->workspace_bytes
                                                      : (size_t)problem->tensor[slots[i]].span_elems * sizeof(float);
    cl_int error;
    bound[slots[i]].mem = clCreateBuffer(context, CL_MEM_READ_WRITE, bytes, NULL, &error);
    if (error) status = ca_fail_cl(report, error, "a buffer of %zu bytes for CLBlast's first run", bytes);
  }
  if (status == CLATTN_OK) status = ca_clblast_gemm(problem, part, bound, queue, 0, NULL, NULL, report);
  const cl_int error = clFinish(queue);
  if (status == CLATTN_OK && error) status = ca_fail_cl(report, error, "CLBlast's first run");
  for (int i = 0; i < 3; i++)
    if (bound[slots[i]].mem) clReleaseMemObject(bound[slots[i]].mem);
  return status;
}

clattn_status ca_launch_warm_up(const ca_problem *problem, const ca_choice *choice, uint32_t index, cl_kernel kernel,
                                cl_context context, cl_command_queue queue, clattn_report *report)
{
  const ca_launch *launch = &choice->launch[index];
  if (launch->stage == CA_STAGE_clblast_gemm)
    return warm_up_clblast(problem, choice, launch->part, context, queue, report);
  CA_TRY(set_arguments(problem, choice, launch, kernel, NULL, report));
  cl_int error = clEnqueueNDRangeKernel(queue, kernel, launch->dims, NULL, launch->local, launch->local, 0, NULL, NULL);
  if (!error) error = clFinish(queue);
  return error ? ca_fail_cl(report, error, "the first launch of %s", launch->kernel) : CLATTN_OK;
}

clattn_status ca_launch_check(const ca_launch *launch, cl_kernel kernel, cl_device_id device, const ca_facts *facts,
                              clattn_report *report)
{
  if (facts->quirks & CA_QUIRK_BIT(kernel_figures)) return CLATTN_OK;
  size_t group_limit = 0;
  cl_ulong local_bytes = 0, private_bytes = 0;
  cl_int error =
      clGetKernelWorkGroupInfo(kernel, device, CL_KERNEL_WORK_GROUP_SIZE, sizeof group_limit, &group_limit, NULL);
  if (!error)
    error = clGetKernelWorkGroupInfo(kernel, device, CL_KERNEL_LOCAL_MEM_SIZE, sizeof local_bytes, &local_bytes, NULL);
  if (!error)
    error = clGetKernelWorkGroupInfo(kernel, device, CL_KERNEL_PRIVATE_MEM_SIZE, sizeof private_bytes, &private_bytes,
                                     NULL);
  if (error) return ca_fail_cl(report, error, "clGetKernelWorkGroupInfo of %s", launch->kernel);
  const size_t group = launch->local[0] * launch->local[1] * launch->local[2];
  if (group > group_limit)
    return ca_fail(report, CLATTN_UNSUPPORTED, "%s needs work-groups of %zu, the device runs it with %zu at most",
                   launch->kernel, group, group_limit);
  if (facts->local_memory_bytes && local_bytes > facts->local_memory_bytes)
    return ca_fail(report, CLATTN_UNSUPPORTED, "%s needs %" PRIu64 " bytes of local memory, the limit is %" PRIu64,
                   launch->kernel, (uint64_t)local_bytes, facts->local_memory_bytes);
  if (facts->private_memory_bytes && private_bytes > facts->private_memory_bytes)
    return ca_fail(report, CLATTN_UNSUPPORTED, "%s needs %" PRIu64 " bytes of private memory, the limit is %" PRIu64,
                   launch->kernel, (uint64_t)private_bytes, facts->private_memory_bytes);
  return CLATTN_OK;
}
