#include "clblast_gemm.h"

#ifdef CA_WITH_CLBLAST
#include <clblast_c.h>

clattn_status ca_clblast_gemm(const ca_problem *problem, int part, const ca_bound bound[CLATTN_SLOT_COUNT],
                              cl_command_queue queue, cl_uint n_wait, const cl_event *wait, cl_event *done,
                              clattn_report *report)
{
  const ca_projection_problem *p = &problem->projection;
  const int32_t w_slot = p->part[part].w;
  const ca_tensor *x = &problem->tensor[CLATTN_X], *w = &problem->tensor[w_slot];
  if (n_wait) {
    const cl_int error = clEnqueueBarrierWithWaitList(queue, n_wait, wait, NULL);
    if (error) return ca_fail_cl(report, error, "clEnqueueBarrierWithWaitList");
  }
  const size_t m = (size_t)(p->b * p->s), n = (size_t)w->dim[0], k = (size_t)p->e;
  /* The planner took x only where its rows have one distance; a single row may have any. */
  const size_t x_row = p->s > 1 ? (size_t)x->stride[1] : p->b > 1 ? (size_t)x->stride[0] : k;
  const size_t w_row = n > 1 ? (size_t)w->stride[0] : k;
  const CLBlastStatusCode code =
      CLBlastSgemm(CLBlastLayoutRowMajor, CLBlastTransposeNo, CLBlastTransposeYes, m, n, k, 1.0f, bound[CLATTN_X].mem,
                   bound[CLATTN_X].offset_bytes / sizeof(float), x_row, bound[w_slot].mem,
                   bound[w_slot].offset_bytes / sizeof(float), w_row, 0.0f, bound[CLATTN_WORKSPACE].mem,
                   bound[CLATTN_WORKSPACE].offset_bytes / sizeof(float), n, &queue, done);
  if (code != CLBlastSuccess) return ca_fail_cl(report, (int32_t)code, "CLBlastSgemm %zu x %zu x %zu", m, n, k);
  return CLATTN_OK;
}

#else
#include <assert.h>

clattn_status ca_clblast_gemm(const ca_problem *problem, int part, const ca_bound bound[CLATTN_SLOT_COUNT],
                              cl_command_queue queue, cl_uint n_wait, const cl_event *wait, cl_event *done,
                              clattn_report *report)
{
  (void)problem, (void)part, (void)bound, (void)queue, (void)n_wait, (void)wait, (void)done, (void)report;
  assert(!"the planner never chooses CLBlast in a build without it");
  return CLATTN_INTERNAL;
}

#endif
