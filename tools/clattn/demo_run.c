/* The layer of the demonstration, stage by stage: each stage is a plan of its own, so that each has its time. */
#include <math.h>
#include <stdlib.h>

#include "asymmetry.h"
#include "demo.h"
#include "operator_shares.h"
#include "pipeline.h"
#include "projections.h"

typedef struct demo {
  device *d;
  const layer *l;
  clattn_tensor x, q, k, v, scores, heads;
  cl_mem x_mem, q_mem, k_mem, v_mem, a_mem, masked, p_mem, y_mem, z_mem;
  cl_mem symmetric[2]; /* A with W_K := W_Q, with rotation and without */
} demo;

static size_t elements(const clattn_tensor *view)
{
  size_t count = 1;
  for (int i = 0; i < view->rank; i++) count *= (size_t)view->dim[i];
  return count;
}

static bool room(demo *m, const clattn_tensor *view, cl_mem *out, st_error *error)
{
  return device_room(m->d, elements(view) * sizeof(float), out, error);
}

/* A = scale q k^T at a point of the operator, into a new buffer. */
static bool score(demo *m, const char *stage, clattn_tensor k, cl_mem q_mem, cl_mem k_mem, int32_t point, cl_mem *out,
                  st_error *error)
{
  clattn_attention_desc desc = pipeline_attention_desc(m->l, m->q, k, (clattn_tensor){0});
  device_bindings bindings = {0};
  clattn_plan *plan = NULL;
  desc.qk = m->scores;
  desc.qk_mode = point;
  if (point == 0) desc.flags &= ~CLATTN_CAUSAL;
  if (!room(m, &m->scores, out, error)) return false;
  device_bind(&bindings, CLATTN_Q, q_mem);
  device_bind(&bindings, CLATTN_K, k_mem);
  device_bind(&bindings, CLATTN_QK, *out);
  const clattn_status status = clattn_plan_scores(m->d->context, &desc, &plan, &m->d->report);
  return device_add(m->d, stage, status, plan, &bindings, error);
}

static bool soften(demo *m, st_error *error)
{
  clattn_softmax_desc desc = CLATTN_SOFTMAX_DESC_INIT;
  device_bindings bindings = {0};
  clattn_plan *plan = NULL;
  desc.a = desc.p = m->scores;
  if (!room(m, &m->scores, &m->p_mem, error)) return false;
  device_bind(&bindings, CLATTN_A, m->masked);
  device_bind(&bindings, CLATTN_P, m->p_mem);
  const clattn_status status = clattn_plan_softmax(m->d->context, &desc, &plan, &m->d->report);
  return device_add(m->d, "softmax", status, plan, &bindings, error);
}

static bool sum_values(demo *m, st_error *error)
{
  clattn_values_desc desc = CLATTN_VALUES_DESC_INIT;
  device_bindings bindings = {0};
  clattn_plan *plan = NULL;
  desc.p = m->scores;
  desc.v = m->v;
  desc.y = m->heads;
  if (!room(m, &m->heads, &m->y_mem, error)) return false;
  device_bind(&bindings, CLATTN_P, m->p_mem);
  device_bind(&bindings, CLATTN_V, m->v_mem);
  device_bind(&bindings, CLATTN_Y, m->y_mem);
  const clattn_status status = clattn_plan_values(m->d->context, &desc, &plan, &m->d->report);
  return device_add(m->d, "values", status, plan, &bindings, error);
}

static bool project_out(demo *m, st_error *error)
{
  const layer *l = m->l;
  const projection_request z = {.stage = "projection O",
                                .x = clattn_dense(CLATTN_F32, 3, (int64_t[]){l->b, l->sq, l->hq * l->dv}),
                                .y = clattn_bhsd(CLATTN_F32, l->b, 1, l->sq, l->out),
                                .x_mem = m->y_mem,
                                .w = LAYER_W_O,
                                .bias = LAYER_b_O};
  return projection_add(m->d, l, &z, &m->z_mem, error);
}

/* W_K := W_Q, one key head for each query head: the same projection gives q and k, and A must be symmetric. */
static bool check_symmetry(demo *m, st_error *error)
{
  cl_mem k_mem, q_plain, k_plain;
  projection_request k = {"K by W_Q", NULL, m->x, m->q, m->x_mem, LAYER_W_Q, LAYER_b_Q, true};
  if (!projection_add(m->d, m->l, &k, &k_mem, error) ||
      !score(m, "scores of these", m->q, m->q_mem, k_mem, 0, &m->symmetric[0], error))
    return false;
  k.rotate = false;
  k.stage = "Q, not rotated";
  if (!projection_add(m->d, m->l, &k, &q_plain, error)) return false;
  k.stage = "K, not rotated";
  return projection_add(m->d, m->l, &k, &k_plain, error) &&
         score(m, "scores of these", m->q, q_plain, k_plain, 0, &m->symmetric[1], error);
}

static bool plan_all(demo *m, demo_result *out, st_error *error)
{
  const layer *l = m->l;
  const st_tensor *i = l->input[LAYER_I];
  m->x = pipeline_view(i);
  m->q = clattn_bhsd(CLATTN_F32, l->b, l->hq, l->sq, l->dk);
  m->k = clattn_bhsd(CLATTN_F32, l->b, l->hk, l->sk, l->dk);
  m->v = clattn_bhsd(CLATTN_F32, l->b, l->hk, l->sk, l->dv);
  m->heads = clattn_bshd(CLATTN_F32, l->b, l->sq, l->hq, l->dv);
  m->scores = clattn_bhsd(CLATTN_F32, l->b, l->hq, l->sq, l->sk);
  if (!pipeline_upload(m->d, i, &m->x_mem, error) ||
      !projections_all(m->d, l, NULL, (const clattn_tensor[]){m->q, m->k, m->v},
                       (cl_mem *const[]){&m->q_mem, &m->k_mem, &m->v_mem}, error) ||
      !score(m, "scores", m->k, m->q_mem, m->k_mem, 2, &m->masked, error) || !soften(m, error) ||
      !sum_values(m, error) || !project_out(m, error))
    return false;
  out->n_layer_stages = m->d->n_stages;
  return score(m, "scores, unmasked", m->k, m->q_mem, m->k_mem, 0, &m->a_mem, error) && check_symmetry(m, error);
}

/* The largest share over the heads; NaN where one is no number. */
static double largest_share(const float *a, int64_t heads, int64_t n)
{
  double largest = 0.0;
  for (int64_t h = 0; h < heads; h++) {
    const double share = asymmetry_share(a + h * n * n, n);
    if (isnan(share)) return share;
    if (share > largest) largest = share;
  }
  return largest;
}

static bool read_all(demo *m, demo_result *out, st_error *error)
{
  const int64_t heads = m->l->hq, n = m->l->sq;
  const size_t bytes = elements(&m->scores) * sizeof(float);
  for (int i = 0; i < 2; i++) {
    if (!device_read(m->d, m->symmetric[i], out->a, bytes, error)) return false;
    out->symmetric_share[i] = largest_share(out->a, heads, n);
  }
  if (!device_read(m->d, m->p_mem, out->p, bytes, error) || !device_read(m->d, m->a_mem, out->a, bytes, error))
    return false;
  for (int64_t h = 0; h < heads; h++) out->a_share[h] = asymmetry_share(out->a + h * n * n, n);
  return true;
}

bool demo_run(device *d, const layer *l, demo_result *out, st_error *error)
{
  demo m = {.d = d, .l = l};
  const size_t count = (size_t)(l->b * l->hq * l->sq * l->sk);
  const double start = clock_ms();
  out->a = malloc(count * sizeof *out->a);
  out->p = malloc(count * sizeof *out->p);
  out->a_share = malloc((size_t)l->hq * sizeof *out->a_share);
  out->w_share = malloc((size_t)l->hq * sizeof *out->w_share);
  if (!out->a || !out->p || !out->a_share || !out->w_share) return st_fail(error, "out of memory");
  if (!plan_all(&m, out, error) || !device_submit(d, error) || !operator_shares_take(l, out->w_share, error) ||
      !device_finish(d, error) || !read_all(&m, out, error))
    return false;
  out->stages_ms = clock_ms() - start;
  return true;
}

void demo_free(demo_result *result)
{
  free(result->a);
  free(result->p);
  free(result->a_share);
  free(result->w_share);
}
