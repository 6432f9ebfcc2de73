#include "small.h"

#include <math.h>

#include "numerics.h"
#include "oracle.h"

static void fill(float *data, int n, random_state *r, double *as_double)
{
  for (int i = 0; i < n; i++) as_double[i] = (double)(data[i] = (float)random_unit(r));
}

void small_make(small_problem *s, uint64_t seed)
{
  static double q[SMALL_Q], k[SMALL_K], v[SMALL_V];
  random_state r = {seed};
  fill(s->q, SMALL_Q, &r, q);
  fill(s->k, SMALL_K, &r, k);
  fill(s->v, SMALL_V, &r, v);
  oracle_attention_run(&(oracle_attention){.b = 1,
                                           .hq = SMALL_HQ,
                                           .hk = SMALL_HK,
                                           .sq = SMALL_SQ,
                                           .sk = SMALL_SK,
                                           .dk = SMALL_DK,
                                           .dv = SMALL_DV,
                                           .q = q,
                                           .k = k,
                                           .v = v,
                                           .scale = (double)NAN,
                                           .window_left = -1,
                                           .window_right = -1,
                                           .y = s->want});
  s->desc = (clattn_attention_desc)CLATTN_ATTENTION_DESC_INIT;
  s->desc.q = clattn_bhsd(CLATTN_F32, 1, SMALL_HQ, SMALL_SQ, SMALL_DK);
  s->desc.k = clattn_bhsd(CLATTN_F32, 1, SMALL_HK, SMALL_SK, SMALL_DK);
  s->desc.v = clattn_bhsd(CLATTN_F32, 1, SMALL_HK, SMALL_SK, SMALL_DV);
  s->desc.y = clattn_bhsd(CLATTN_F32, 1, SMALL_HQ, SMALL_SQ, SMALL_DV);
}

clattn_plan *small_plan(const device_under_test *d, const small_problem *s, clattn_path path)
{
  clattn_attention_desc desc = s->desc;
  clattn_report report;
  clattn_plan *plan = NULL;
  desc.path = (int32_t)path;
  assert_status(CLATTN_OK, clattn_plan_attention(d->context, &desc, &plan, &report), &report);
  assert_non_null(plan);
  return plan;
}

void small_bind(const device_under_test *d, const small_problem *s, float before, clattn_binding *bindings)
{
  float y[SMALL_Y];
  for (int i = 0; i < SMALL_Y; i++) y[i] = before;
  bindings[0] = (clattn_binding){.slot = CLATTN_Q, .mem = device_buffer(d, sizeof s->q, s->q)};
  bindings[1] = (clattn_binding){.slot = CLATTN_K, .mem = device_buffer(d, sizeof s->k, s->k)};
  bindings[2] = (clattn_binding){.slot = CLATTN_V, .mem = device_buffer(d, sizeof s->v, s->v)};
  bindings[3] = (clattn_binding){.slot = CLATTN_Y, .mem = device_buffer(d, sizeof y, y)};
}

void small_release(const clattn_binding *bindings)
{
  for (int i = 0; i < SMALL_BINDINGS; i++) assert_cl(clReleaseMemObject(bindings[i].mem));
}

void small_read(const device_under_test *d, const clattn_binding *bindings, float *y)
{
  device_read(d, bindings[SMALL_AT_Y].mem, sizeof(float) * SMALL_Y, y);
}

void small_check(const small_problem *s, const float *y)
{
  double got[SMALL_Y], allowed[SMALL_Y];
  for (int i = 0; i < SMALL_Y; i++) {
    got[i] = (double)y[i];
    allowed[i] = 4e-6;
  }
  const closeness c = {.what = "y", .problem = "small", .rank = 4, .dim = {1, SMALL_HQ, SMALL_SQ, SMALL_DV}};
  if (!is_close(&c, got, s->want, allowed)) fail();
}

clattn_status small_report(const device_under_test *d, const small_problem *s, clattn_network_head heads[SMALL_HQ],
                           clattn_network_pair pairs[SMALL_HQ], clattn_report *report)
{
  static float lse[SMALL_HQ * SMALL_SQ];
  small_problem own = *s;
  clattn_network_desc desc = CLATTN_NETWORK_DESC_INIT;
  own.desc.k.dim[2] = SMALL_SQ;
  own.desc.lse = clattn_dense(CLATTN_F32, 3, (int64_t[]){1, SMALL_HQ, SMALL_SQ});
  desc.attention = &own.desc;
  desc.n_pairs = 1;
  desc.pairs = pairs;
  heads[0] = (clattn_network_head)CLATTN_NETWORK_HEAD_INIT;
  const clattn_host_binding b[3] = {{.slot = CLATTN_Q, .data = own.q, .bytes = sizeof own.q},
                                    {.slot = CLATTN_K, .data = own.k, .bytes = sizeof own.k},
                                    {.slot = CLATTN_LSE, .data = lse, .bytes = sizeof lse}};
  return clattn_network_report(d->context, &desc, b, 3, heads, report);
}
