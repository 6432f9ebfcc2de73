/* Attention in double, row by row, from the formulas. */
#include <math.h>
#include <stdlib.h>

#include "attention_trials.h"

/* One row: scores as they come, capped and masked, and their weights. */
typedef struct row_scores {
  double *scaled, *capped, *masked, *weight; /* by key; the weight of what is not attended is -1 */
  double most, sum, size;                    /* size: the largest sum of absolute terms of what is attended */
} row_scores;

static int64_t all_keys(const ca_attention_row *r) { return r->past + r->sk; }

static int64_t valid_keys(const ca_trial *trial, int64_t b)
{
  const ca_attention_row *r = trial->row;
  return r->nonpad ? (int64_t)ca_part_load(&trial->part[CLATTN_NONPAD_KV_SEQLEN], b) : all_keys(r);
}

/* The mask's element of a pair; its dimensions count from the right, and those of 1 are for all. */
static double mask_value(const ca_trial *trial, int64_t b, int64_t h, int64_t i, int64_t j)
{
  const ca_part *mask = &trial->part[CLATTN_MASK];
  const int64_t at[4] = {b, h, i, j};
  int64_t element = 0;
  for (int32_t n = 0; n < mask->view.rank; n++) {
    const int64_t dim = mask->view.dim[n];
    element = element * dim + (dim == 1 ? 0 : at[4 - mask->view.rank + n]);
  }
  return ca_part_load(mask, element);
}

bool ca_attention_allows(const ca_trial *trial, int64_t b, int64_t h, int64_t i, int64_t j)
{
  const ca_attention_row *r = trial->row;
  const int64_t valid = valid_keys(trial, b);
  const int64_t at = i + (r->nonpad ? valid - r->sq : r->has_offset ? r->offset : r->past);
  if (j >= valid || (r->causal && j > at)) return false;
  if (r->window && ((r->left >= 0 && j < at - r->left) || (r->right >= 0 && j > at + r->right))) return false;
  if (r->mask == CA_TRIAL_NO_MASK) return true;
  if (j >= all_keys(r) - r->mask_short) return false;
  const double value = mask_value(trial, b, h, i, j);
  return r->mask == CA_TRIAL_BOOL ? value != 0.0 : value > -(double)INFINITY;
}

/* Element d of a key or value j: of the past first. */
static double load_row(const ca_trial *trial, clattn_slot past_slot, clattn_slot slot, int64_t bg, int64_t j, int64_t d)
{
  const ca_attention_row *r = trial->row;
  const ca_part *part = &trial->part[j < r->past ? past_slot : slot];
  const int64_t at = j < r->past ? j : j - r->past;
  return ca_part_load(part, (bg * part->view.dim[2] + at) * part->view.dim[3] + d);
}

/* Before the masks every key has its score. */
static bool shows_all_scores(const ca_attention_row *r) { return r->qk == 1 || r->qk == 2; }

static void score_key(const ca_trial *trial, int64_t row, int64_t bg, int64_t j, row_scores *s)
{
  const ca_attention_row *r = trial->row;
  const int64_t i = row % r->sq, h = row / r->sq % r->hq, b = row / r->sq / r->hq;
  const double scale = r->has_scale ? r->scale : 1.0 / sqrt((double)r->dk);
  double sum = 0.0, size = 0.0;
  for (int64_t d = 0; d < r->dk; d++) {
    const double q = ca_part_load(&trial->part[CLATTN_Q], row * r->dk + d);
    const double term = scale * q * load_row(trial, CLATTN_PAST_KEY, CLATTN_K, bg, j, d);
    sum += term;
    size += fabs(term);
  }
  s->scaled[j] = sum;
  s->capped[j] = r->softcap > 0.0 ? r->softcap * tanh(sum / r->softcap) : sum;
  s->masked[j] = -(double)INFINITY;
  const bool allowed = ca_attention_allows(trial, b, h, i, j);
  if ((allowed || shows_all_scores(r)) && size > s->size) s->size = size;
  if (!allowed) return;
  const bool adds = r->mask == CA_TRIAL_FLOAT || r->mask == CA_TRIAL_LOW;
  s->masked[j] = s->capped[j] + (adds ? mask_value(trial, b, h, i, j) : 0.0);
  if (s->masked[j] > s->most || isnan(s->masked[j])) s->most = s->masked[j];
}

/* Scores and weights of a row. */
static void score_row(const ca_trial *trial, int64_t row, int64_t bg, row_scores *s)
{
  const int64_t keys = all_keys(trial->row);
  s->most = -(double)INFINITY;
  s->sum = s->size = 0.0;
  for (int64_t j = 0; j < keys; j++) score_key(trial, row, bg, j, s);
  for (int64_t j = 0; j < keys; j++) {
    s->weight[j] = s->masked[j] == -(double)INFINITY ? -1.0 : exp(s->masked[j] - s->most);
    if (s->weight[j] != -1.0) s->sum += s->weight[j];
  }
}

static void answer_lse(ca_trial *trial, int64_t row, const row_scores *s)
{
  ca_part *lse = &trial->part[CLATTN_LSE];
  if (!lse->want) return;
  const double want = s->most == -(double)INFINITY ? s->most : s->most + log(s->sum);
  const double size = fmax(1.0, isfinite(want) ? fabs(want) : 1.0);
  lse->want[row] = want;
  lse->allowed[row] =
      ca_trial_allow(trial, (clattn_dtype)lse->view.dtype, isfinite(want) ? want : 0.0, size, s->size / size);
}

static void answer_y(ca_trial *trial, int64_t row, int64_t bg, const row_scores *s)
{
  const ca_attention_row *r = trial->row;
  ca_part *y = &trial->part[CLATTN_Y];
  for (int64_t d = 0; y->want && d < r->dv; d++) {
    double sum = 0.0, size = 0.0;
    for (int64_t j = 0; j < all_keys(r); j++) {
      if (s->weight[j] == -1.0) continue;
      const double term = s->weight[j] / s->sum * load_row(trial, CLATTN_PAST_VALUE, CLATTN_V, bg, j, d);
      sum += term;
      size += fabs(term);
    }
    y->want[row * r->dv + d] = sum;
    y->allowed[row * r->dv + d] = ca_trial_allow(trial, (clattn_dtype)y->view.dtype, sum, size, s->size);
  }
}

static void answer_qk(ca_trial *trial, int64_t row, const row_scores *s)
{
  enum { PROBABILITIES = 3 };
  const ca_attention_row *r = trial->row;
  ca_part *qk = &trial->part[CLATTN_QK];
  const double *points[3] = {s->scaled, s->capped, s->masked};
  for (int64_t j = 0; qk->want && j < all_keys(r); j++) {
    const bool is_probability = r->qk - 1 == PROBABILITIES;
    const double p = s->weight[j] == -1.0 ? 0.0 : s->weight[j] / s->sum;
    const double want = is_probability ? p : points[r->qk - 1][j];
    const double value = isfinite(want) ? want : 0.0, size = is_probability ? p : fmax(1.0, fabs(value));
    qk->want[row * all_keys(r) + j] = want;
    qk->allowed[row * all_keys(r) + j] =
        ca_trial_allow(trial, (clattn_dtype)qk->view.dtype, value, size, is_probability ? s->size : s->size / size);
  }
}

void ca_attention_answer(ca_trial *trial)
{
  const ca_attention_row *r = trial->row;
  const size_t keys = (size_t)all_keys(r) + 1;
  double *all = calloc(4 * keys, sizeof *all);
  trial->failed = trial->failed || !all;
  row_scores s = {.scaled = all};
  for (int64_t row = 0; !trial->failed && row < r->b * r->hq * r->sq; row++) {
    const int64_t h = row / r->sq % r->hq, b = row / r->sq / r->hq;
    const int64_t bg = b * r->hk + h / (r->hq / r->hk);
    s.capped = all + keys;
    s.masked = all + 2 * keys;
    s.weight = all + 3 * keys;
    score_row(trial, row, bg, &s);
    answer_lse(trial, row, &s);
    answer_y(trial, row, bg, &s);
    answer_qk(trial, row, &s);
  }
  free(all);
}
