/* The trials of merging two partial results, and their answers. */
#include <inttypes.h>
#include <math.h>

#include "names.h"
#include "problem.h"
#include "trial.h"

typedef struct merge_row {
  int64_t b, h, s, d;
  clattn_dtype dtype; /* 0: float32 */
  ca_trial_layout layout;
  double spread; /* the largest lse; 0: 3 */
} merge_row;

static const merge_row merge[] = {
    {1, 1, 1, 1, .dtype = CLATTN_F32},
    {2, 3, 7, 64, .layout = CA_TRIAL_TOKENS},
    {1, 2, 9, 129, .layout = CA_TRIAL_PACKED, .spread = 1e4},
    {1, 1, 5, 512, .dtype = CLATTN_F32},
    {1, 2, 9, 20, .dtype = CLATTN_F16},
    {1, 2, 9, 20, .dtype = CLATTN_BF16},
    {1, 2, 9, 20, .dtype = CLATTN_F64},
};

static clattn_status plan_merge(clattn_context *context, const ca_trial *trial, const char *variant, clattn_plan **plan,
                                clattn_report *report)
{
  clattn_merge_desc desc = CLATTN_MERGE_DESC_INIT;
  desc.y1 = trial->part[CLATTN_Y1].view;
  desc.y2 = trial->part[CLATTN_Y2].view;
  desc.lse1 = trial->part[CLATTN_LSE1].view;
  desc.lse2 = trial->part[CLATTN_LSE2].view;
  desc.y = trial->part[CLATTN_Y].view;
  desc.lse = trial->part[CLATTN_LSE].view;
  desc.variant = variant;
  return clattn_plan_merge(context, &desc, plan, report);
}

/* Row n of four: both parts, the first alone, the second alone, neither; what a part without keys holds is no number.
 */
static bool has_keys(int part, int64_t row) { return row % 4 == 0 || row % 4 == part; }

static void fill_part(ca_trial *trial, int number, ca_part *y, ca_part *lse)
{
  const merge_row *r = trial->row;
  const int64_t rows = ca_part_count(lse);
  ca_trial_fill(trial, y, 1.0);
  ca_trial_fill(trial, lse, r->spread > 0.0 ? r->spread : 3.0);
  for (int64_t row = 0; row < rows; row++) {
    if (has_keys(number, row)) continue;
    ca_part_store(lse, row, -(double)INFINITY);
    for (int64_t d = 0; y->data && d < r->d; d++) ca_part_store(y, row * r->d + d, (double)NAN);
  }
}

static void answer_row(ca_trial *trial, int64_t row)
{
  const merge_row *r = trial->row;
  const ca_part *y = &trial->part[CLATTN_Y], *lse = &trial->part[CLATTN_LSE];
  const double l1 = ca_part_load(&trial->part[CLATTN_LSE1], row), l2 = ca_part_load(&trial->part[CLATTN_LSE2], row);
  const double most = fmax(l1, l2), w1 = isfinite(l1) ? exp(l1 - most) : 0.0, w2 = isfinite(l2) ? exp(l2 - most) : 0.0;
  const double want = isfinite(most) ? most + log(w1 + w2) : most;
  lse->want[row] = want;
  lse->allowed[row] =
      ca_trial_allow(trial, (clattn_dtype)lse->view.dtype, isfinite(want) ? want : 0.0, fabs(want), 0.0);
  for (int64_t d = row * r->d; d < (row + 1) * r->d; d++) {
    const double first = isfinite(l1) ? w1 / (w1 + w2) * ca_part_load(&trial->part[CLATTN_Y1], d) : 0.0;
    const double second = isfinite(l2) ? w2 / (w1 + w2) * ca_part_load(&trial->part[CLATTN_Y2], d) : 0.0;
    y->want[d] = first + second;
    y->allowed[d] = ca_trial_allow(trial, (clattn_dtype)y->view.dtype, first + second, fabs(first) + fabs(second), 0.0);
  }
}

static void make_merge(int index, ca_trial *trial)
{
  const merge_row *r = &merge[index];
  const clattn_dtype dtype = r->dtype ? r->dtype : CLATTN_F32, real = dtype == CLATTN_F64 ? CLATTN_F64 : CLATTN_F32;
  const int64_t dim[4] = {r->b, r->h, r->s, r->d};
  trial->row = r;
  trial->plan = plan_merge;
  ca_trial_say(trial, "b=%" PRId64 ",h=%" PRId64 ",s=%" PRId64 ",d=%" PRId64 ",dtype=%s", r->b, r->h, r->s, r->d,
               ca_dtype_text((int32_t)dtype));
  if (r->spread > 0.0) ca_trial_say(trial, " lse to %g", r->spread);
  if (r->layout) ca_trial_say(trial, r->layout == CA_TRIAL_TOKENS ? " tokens first" : " packed");
  ca_part *y1 = ca_trial_add(trial, CLATTN_Y1, false, ca_trial_view(dtype, r->layout, dim));
  ca_part *y2 = ca_trial_add(trial, CLATTN_Y2, false, clattn_dense(dtype, 4, dim));
  fill_part(trial, 1, y1, ca_trial_add(trial, CLATTN_LSE1, false, clattn_dense(real, 3, dim)));
  fill_part(trial, 2, y2, ca_trial_add(trial, CLATTN_LSE2, false, clattn_dense(real, 3, dim)));
  ca_trial_add(trial, CLATTN_Y, true, ca_trial_view(dtype, r->layout, dim));
  ca_trial_add(trial, CLATTN_LSE, true, clattn_dense(real, 3, dim));
  for (int64_t row = 0; !trial->failed && row < r->b * r->h * r->s; row++) answer_row(trial, row);
}

const ca_trial_table ca_merge_trials = {sizeof merge / sizeof merge[0], make_merge};
