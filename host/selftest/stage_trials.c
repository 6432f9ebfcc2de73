/* The trials of softmax and values, the two stages after the scores, and their answers. */
#include <inttypes.h>
#include <math.h>

#include "names.h"
#include "problem.h"
#include "trial.h"

typedef struct stage_row {
  int64_t b, hq, hk, sq, sk, dv;
  clattn_dtype dtype; /* of the values; of the scores where it is f64; 0: float32 */
  ca_trial_layout layout;
  double spread; /* the largest score; 0: 5 */
} stage_row;

static const stage_row softmax[] = {
    {1, 1, 1, 1, 1, 0, .dtype = CLATTN_F32},  {2, 2, 2, 5, 17, 0, .layout = CA_TRIAL_TOKENS},
    {1, 1, 1, 3, 63, 0, .dtype = CLATTN_F32}, {1, 2, 2, 7, 257, 0, .layout = CA_TRIAL_PACKED, .spread = 1e4},
    {1, 1, 1, 3, 4097, 0, .spread = 20.0},    {1, 2, 2, 5, 33, 0, .dtype = CLATTN_F64},
};

static const stage_row values[] = {
    {1, 1, 1, 1, 2, 1, .dtype = CLATTN_F32},    {2, 4, 2, 17, 33, 16, .layout = CA_TRIAL_TOKENS},
    {1, 2, 2, 65, 97, 64, .dtype = CLATTN_F32}, {1, 3, 1, 31, 15, 33, .layout = CA_TRIAL_PACKED},
    {1, 1, 1, 3, 64, 512, .dtype = CLATTN_F32}, {1, 1, 1, 3, 2001, 20, .dtype = CLATTN_F32},
    {1, 2, 1, 19, 47, 32, .dtype = CLATTN_F16}, {1, 2, 1, 19, 47, 32, .dtype = CLATTN_BF16},
    {1, 2, 1, 19, 47, 32, .dtype = CLATTN_F64},
};

static clattn_dtype type_of(const stage_row *r) { return r->dtype ? r->dtype : CLATTN_F32; }
static clattn_dtype real_of(const stage_row *r) { return r->dtype == CLATTN_F64 ? CLATTN_F64 : CLATTN_F32; }

static clattn_status plan_softmax(clattn_context *context, const ca_trial *trial, const char *variant,
                                  clattn_plan **plan, clattn_report *report)
{
  clattn_softmax_desc desc = CLATTN_SOFTMAX_DESC_INIT;
  desc.a = trial->part[CLATTN_A].view;
  desc.p = trial->part[CLATTN_P].view;
  desc.lse = trial->part[CLATTN_LSE].view;
  desc.variant = variant;
  return clattn_plan_softmax(context, &desc, plan, report);
}

static clattn_status plan_values(clattn_context *context, const ca_trial *trial, const char *variant,
                                 clattn_plan **plan, clattn_report *report)
{
  clattn_values_desc desc = CLATTN_VALUES_DESC_INIT;
  desc.p = trial->part[CLATTN_P].view;
  desc.v = trial->part[CLATTN_V].view;
  desc.y = trial->part[CLATTN_Y].view;
  desc.variant = variant;
  return clattn_plan_values(context, &desc, plan, report);
}

static void begin(ca_trial *trial, const stage_row *r, ca_trial_planner *plan)
{
  trial->row = r;
  trial->plan = plan;
  ca_trial_say(trial, "b=%" PRId64 ",hq=%" PRId64 ",hk=%" PRId64 ",sq=%" PRId64 ",sk=%" PRId64, r->b, r->hq, r->hk,
               r->sq, r->sk);
  if (r->dv) ca_trial_say(trial, ",dv=%" PRId64, r->dv);
  ca_trial_say(trial, ",dtype=%s", ca_dtype_text((int32_t)type_of(r)));
  if (r->spread > 0.0) ca_trial_say(trial, " scores to %g", r->spread);
  if (r->layout) ca_trial_say(trial, r->layout == CA_TRIAL_TOKENS ? " tokens first" : " packed");
}

/* Rows of nothing but -inf, and keys of -inf in the others. */
static void fill_scores(ca_trial *trial, ca_part *a)
{
  const stage_row *r = trial->row;
  const int64_t count = ca_part_count(a);
  for (int64_t n = 0; n < count; n++) {
    const double score = (r->spread > 0.0 ? r->spread : 5.0) * ca_trial_random(trial);
    const bool closed = n / r->sk % 3 == 2 || n % 4 == 1;
    ca_part_store(a, n, closed ? -(double)INFINITY : score);
  }
}

static void answer_softmax_row(ca_trial *trial, int64_t row)
{
  const stage_row *r = trial->row;
  const ca_part *a = &trial->part[CLATTN_A], *p = &trial->part[CLATTN_P], *lse = &trial->part[CLATTN_LSE];
  double most = -(double)INFINITY, sum = 0.0;
  for (int64_t j = 0; j < r->sk; j++) most = fmax(most, ca_part_load(a, row * r->sk + j));
  for (int64_t j = 0; isfinite(most) && j < r->sk; j++) sum += exp(ca_part_load(a, row * r->sk + j) - most);
  const double want = isfinite(most) ? most + log(sum) : most;
  lse->want[row] = want;
  lse->allowed[row] = ca_trial_allow(trial, real_of(r), isfinite(want) ? want : 0.0, fabs(want), 0.0);
  for (int64_t j = 0; j < r->sk; j++) {
    const double weight = isfinite(most) ? exp(ca_part_load(a, row * r->sk + j) - most) / sum : 0.0;
    p->want[row * r->sk + j] = weight;
    p->allowed[row * r->sk + j] = ca_trial_allow(trial, real_of(r), weight, weight, 0.0);
  }
}

static void make_softmax(int index, ca_trial *trial)
{
  const stage_row *r = &softmax[index];
  const int64_t dim[4] = {r->b, r->hq, r->sq, r->sk};
  begin(trial, r, plan_softmax);
  fill_scores(trial, ca_trial_add(trial, CLATTN_A, false, ca_trial_view(real_of(r), r->layout, dim)));
  ca_trial_add(trial, CLATTN_P, true, ca_trial_view(real_of(r), r->layout, dim));
  ca_trial_add(trial, CLATTN_LSE, true, clattn_dense(real_of(r), 3, dim));
  for (int64_t row = 0; !trial->failed && row < r->b * r->hq * r->sq; row++) answer_softmax_row(trial, row);
}

/* A weight of -0.0 is a key that is not attended; nobody attends the middle one, whose value is no number. */
static void fill_weights(ca_trial *trial, ca_part *p, ca_part *v)
{
  const stage_row *r = trial->row;
  const int64_t weights = ca_part_count(p), numbers = ca_part_count(v);
  for (int64_t n = 0; n < weights; n++) {
    const double weight = (1.0 + ca_trial_random(trial)) / (double)r->sk;
    ca_part_store(p, n, n % 4 == 1 || n % r->sk == r->sk / 2 ? -0.0 : weight);
  }
  ca_trial_fill(trial, v, 1.0);
  for (int64_t n = 0; n < numbers; n++)
    if (n / r->dv % r->sk == r->sk / 2) ca_part_store(v, n, (double)NAN);
}

static void answer_values(ca_trial *trial)
{
  const stage_row *r = trial->row;
  const ca_part *p = &trial->part[CLATTN_P], *v = &trial->part[CLATTN_V], *y = &trial->part[CLATTN_Y];
  for (int64_t n = 0; n < r->b * r->hq * r->sq * r->dv; n++) {
    const int64_t d = n % r->dv, row = n / r->dv, h = row / r->sq % r->hq, b = row / r->sq / r->hq;
    const int64_t bg = b * r->hk + h / (r->hq / r->hk);
    double sum = 0.0, size = 0.0;
    for (int64_t j = 0; j < r->sk; j++) {
      const double weight = ca_part_load(p, row * r->sk + j);
      if (weight == 0.0) continue;
      const double term = weight * ca_part_load(v, (bg * r->sk + j) * r->dv + d);
      sum += term;
      size += fabs(term);
    }
    y->want[n] = sum;
    y->allowed[n] = ca_trial_allow(trial, type_of(r), sum, size, 0.0);
  }
}

static void make_values(int index, ca_trial *trial)
{
  const stage_row *r = &values[index];
  const int64_t p[4] = {r->b, r->hq, r->sq, r->sk}, v[4] = {r->b, r->hk, r->sk, r->dv};
  const int64_t y[4] = {r->b, r->hq, r->sq, r->dv};
  begin(trial, r, plan_values);
  ca_part *weights = ca_trial_add(trial, CLATTN_P, false, clattn_dense(real_of(r), 4, p));
  fill_weights(trial, weights, ca_trial_add(trial, CLATTN_V, false, ca_trial_view(type_of(r), r->layout, v)));
  ca_trial_add(trial, CLATTN_Y, true, ca_trial_view(type_of(r), r->layout, y));
  if (!trial->failed) answer_values(trial);
}

const ca_trial_table ca_softmax_trials = {sizeof softmax / sizeof softmax[0], make_softmax};
const ca_trial_table ca_values_trials = {sizeof values / sizeof values[0], make_values};
