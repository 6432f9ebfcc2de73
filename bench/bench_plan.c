/* Plans of a problem, and their times. */
#include <stdio.h>
#include <string.h>

#include "timing.h"

static bool refuse(bench_device *d, clattn_status status, st_error *error)
{
  return st_fail(error, "%s", d->report.message[0] ? d->report.message : clattn_status_text(status));
}

/* Packed from the tensor that the problem's seed makes: no copy is kept on the host. */
static bool pack_weights(const bench_problem *p, int32_t slot, const char *variant, clattn_weights **weights,
                         st_error *error)
{
  st_file file = {0};
  bench_device *d = p->device;
  clattn_weights_desc desc = CLATTN_WEIGHTS_DESC_INIT;
  if (!projection_fill(&p->projection, slot, &file, error)) return false;
  const st_tensor *w = file.tensors;
  desc.w = clattn_dense((clattn_dtype)st_type_dtype(w->type), w->rank, w->dim);
  desc.variant = variant;
  const clattn_status status = clattn_weights_create(d->context, &desc, w->data, weights, &d->report);
  st_free(&file);
  return status == CLATTN_OK || refuse(d, status, error);
}

static bool pack_all(const bench_problem *p, const char *variant, bench_plan *plan, st_error *error)
{
  static const int32_t alone[] = {CLATTN_W}, three[] = {CLATTN_W_Q, CLATTN_W_K, CLATTN_W_V};
  const bool is_qkv = bench_is_qkv(p);
  for (int i = 0; i < (is_qkv ? 3 : 1); i++)
    if (!pack_weights(p, (is_qkv ? three : alone)[i], variant, &plan->weights[i], error)) return false;
  return true;
}

static clattn_status plan_attention(const bench_problem *p, const char *variant, bench_plan *plan)
{
  clattn_attention_desc desc = p->attention_desc;
  desc.variant = variant;
  return clattn_plan_attention(p->device->context, &desc, &plan->plan, &p->device->report);
}

static clattn_status plan_projection(const bench_problem *p, const char *variant, bench_plan *plan)
{
  clattn_projection_desc desc = p->projection_desc;
  desc.weights = plan->weights[0];
  desc.variant = variant;
  return clattn_plan_projection(p->device->context, &desc, &plan->plan, &p->device->report);
}

static clattn_status plan_qkv(const bench_problem *p, const char *variant, bench_plan *plan)
{
  clattn_qkv_desc desc = p->qkv_desc;
  desc.weights_q = plan->weights[0];
  desc.weights_k = plan->weights[1];
  desc.weights_v = plan->weights[2];
  desc.variant = variant;
  return clattn_plan_qkv(p->device->context, &desc, &plan->plan, &p->device->report);
}

static bool make(const bench_problem *p, const char *variant, bench_plan *plan, st_error *error)
{
  bench_device *d = p->device;
  cl_int code = CL_SUCCESS;
  if (p->packs && !pack_all(p, variant, plan, error)) return false;
  const clattn_status status = (!p->projects      ? plan_attention
                                : bench_is_qkv(p) ? plan_qkv
                                                  : plan_projection)(p, variant, plan);
  if (status != CLATTN_OK) return refuse(d, status, error);
  clattn_plan_get_info(plan->plan, &plan->info);
  if (plan->info.workspace_bytes)
    plan->workspace = clCreateBuffer(d->cl, CL_MEM_READ_WRITE, plan->info.workspace_bytes, NULL, &code);
  return !code || st_fail(error, "no buffer of %zu bytes for the workspace: OpenCL error %d",
                          plan->info.workspace_bytes, (int)code);
}

bool bench_plan_make(bench_problem *p, const char *variant, bench_plan *plan, st_error *error)
{
  *plan = (bench_plan){.problem = p, .info = CLATTN_PLAN_INFO_INIT};
  if (!variant && p->variant[0]) variant = p->variant;
  const bool good = make(p, variant, plan, error);
  if (!good) bench_plan_free(plan);
  return good;
}

void bench_plan_free(bench_plan *plan)
{
  clattn_plan_destroy(plan->plan);
  for (int i = 0; i < 3; i++) clattn_weights_destroy(plan->weights[i]);
  if (plan->workspace) clReleaseMemObject(plan->workspace);
  plan->plan = NULL;
  for (int i = 0; i < 3; i++) plan->weights[i] = NULL;
  plan->workspace = NULL;
}

bool bench_plan_run(const bench_plan *plan, int runs, double *ms, st_error *error)
{
  const bench_problem *p = plan->problem;
  bench_device *d = p->device;
  clattn_binding binding[CLATTN_SLOT_COUNT];
  uint32_t n = p->n_bindings;
  clattn_status status = CLATTN_OK;
  memcpy(binding, p->binding, sizeof binding);
  if (plan->workspace) binding[n++] = (clattn_binding){.slot = CLATTN_WORKSPACE, .mem = plan->workspace};
  const double begin = bench_now_ms(d);
  for (int i = 0; i < runs && status == CLATTN_OK; i++)
    status = clattn_enqueue(plan->plan, d->queue, binding, n, 0, NULL, NULL, &d->report);
  const cl_int code = clFinish(d->queue);
  *ms = bench_now_ms(d) - begin;
  if (status != CLATTN_OK) return refuse(d, status, error);
  return !code || st_fail(error, "%s does not run on %s: OpenCL error %d", plan->info.variant, d->name, (int)code);
}

bool bench_plan_time(bench_plan *plan, double *ms, st_error *error)
{
  enum { LONG_MS = 20 * BENCH_TIMING_MS }; /* what the first run has more to do is lost in it */
  if (!plan->runs) {
    if (!bench_plan_run(plan, 1, ms, error)) return false;
    plan->runs = 1;
    if (*ms >= LONG_MS) return true;
    if (!bench_plan_run(plan, 1, ms, error)) return false;
    plan->runs = bench_runs_of(*ms);
  }
  if (!bench_plan_run(plan, plan->runs, ms, error)) return false;
  *ms /= plan->runs;
  return true;
}
