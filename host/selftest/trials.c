#include "trials.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "numbers.h"

/* Around the edges of every tile: 1, T-1, T, T+1, 2T+1 tokens, odd heads, all types, all that shapes a row. Few widths
 * of v: a fused kernel is compiled for each. */
static const ca_trial trials[] = {
    {1, 1, 1, 1, 1, 1, 1, 0, CLATTN_F32, CA_TRIAL_NO_MASK, false, false, -1, 0.0, 1.0},
    {2, 4, 2, 17, 33, 16, 16, 0, CLATTN_F32, CA_TRIAL_NO_MASK, false, false, -1, 0.0, 1.0},
    {1, 2, 1, 65, 129, 64, 20, 0, CLATTN_F32, CA_TRIAL_NO_MASK, true, true, -1, 0.0, 1.0},
    {1, 3, 1, 31, 67, 33, 31, 0, CLATTN_F32, CA_TRIAL_ADDITIVE, false, false, -1, 0.0, 2.0},
    {2, 2, 2, 15, 63, 8, 32, 0, CLATTN_F32, CA_TRIAL_BOOL, false, true, -1, 5.0, 3.0},
    {1, 4, 1, 1, 1, 64, 32, 256, CLATTN_F32, CA_TRIAL_NO_MASK, true, false, -1, 0.0, 1.0},
    {1, 2, 2, 64, 64, 128, 128, 0, CLATTN_F32, CA_TRIAL_NO_MASK, true, false, 9, 0.0, 1.0},
    {1, 1, 1, 9, 35, 320, 101, 0, CLATTN_F32, CA_TRIAL_NO_MASK, false, false, -1, 0.0, 1.0},
    {1, 1, 1, 33, 97, 64, 32, 0, CLATTN_F32, CA_TRIAL_BOOL, false, false, -1, 0.0, 100.0},
    {1, 2, 1, 19, 47, 32, 32, 16, CLATTN_F16, CA_TRIAL_NO_MASK, true, true, -1, 0.0, 1.0},
    {1, 2, 1, 19, 47, 32, 32, 0, CLATTN_BF16, CA_TRIAL_ADDITIVE, false, false, -1, 0.0, 1.0},
    {1, 2, 1, 19, 47, 32, 32, 0, CLATTN_F64, CA_TRIAL_BOOL, true, false, -1, 0.0, 1.0},
};

bool ca_trial_at(int index, ca_trial *trial)
{
  if (index < 0 || index >= (int)(sizeof trials / sizeof trials[0])) return false;
  *trial = trials[index];
  return true;
}

/* splitmix64, as a number in [-1, 1). */
static double next_unit(uint64_t *state)
{
  uint64_t z = *state += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return ldexp((double)((z ^ (z >> 31)) >> 11), -52) - 1.0;
}

static int64_t all_keys(const ca_trial *t) { return t->past + t->sk; }

/* The mask's element: its last row of three attends nothing. */
static double mask_value(const ca_trial *t, int64_t i, int64_t j)
{
  const bool closed = i % 3 == 2 || (i * 7 + j * 5) % 4 == 1;
  if (t->mask == CA_TRIAL_BOOL) return closed ? 0.0 : 1.0;
  return closed ? -(double)INFINITY : (double)((i + j) % 5) * 0.25;
}

static bool attends(const ca_trial *t, int64_t i, int64_t j)
{
  const int64_t at = i + t->past;
  if (t->causal && j > at) return false;
  if (t->left >= 0 && j < at - t->left) return false;
  if (t->mask == CA_TRIAL_NO_MASK) return true;
  return t->mask == CA_TRIAL_BOOL ? mask_value(t, i, j) != 0.0 : isfinite(mask_value(t, i, j));
}

static bool is_seen(const ca_trial *t, int64_t j)
{
  for (int64_t i = 0; i < t->sq; i++)
    if (attends(t, i, j)) return true;
  return false;
}

/* [n heads, rows, width] random numbers; rows that nobody attends are NaN where the trial is wild. first: which key the
 * first row is, -1 for queries. */
static void *fill(const ca_trial *t, int64_t heads, int64_t rows, int64_t width, int64_t first, double largest,
                  uint64_t seed)
{
  void *array = calloc((size_t)(heads * rows * width) + 1, sizeof(double));
  for (int64_t n = 0; array && n < heads * rows * width; n++) {
    const double u = largest * next_unit(&seed);
    const bool unseen = t->wild && first >= 0 && !is_seen(t, first + n / width % rows);
    ca_number_store(t->dtype, array, n, unseen ? (double)NAN : u);
  }
  return array;
}

static void *fill_mask(const ca_trial *t)
{
  const int64_t keys = all_keys(t);
  void *mask = calloc((size_t)(t->sq * keys) + 1, sizeof(double));
  for (int64_t n = 0; mask && n < t->sq * keys; n++) {
    const double value = mask_value(t, n / keys, n % keys);
    if (t->mask == CA_TRIAL_BOOL)
      ((unsigned char *)mask)[n] = value != 0.0;
    else
      ca_number_store(t->dtype, mask, n, value);
  }
  return mask;
}

/* Element d of key (or value) j of head g. */
static double load_row(const ca_trial *t, const void *past, const void *rows, int64_t bg, int64_t j, int64_t width,
                       int64_t d)
{
  if (j < t->past) return ca_number_load(t->dtype, past, (bg * t->past + j) * width + d);
  return ca_number_load(t->dtype, rows, (bg * t->sk + j - t->past) * width + d);
}

static double score(const ca_trial_data *data, int64_t row, int64_t bg, int64_t i, int64_t j, double *size)
{
  const ca_trial *t = &data->trial;
  double sum = 0.0;
  *size = 0.0;
  for (int64_t d = 0; d < t->dk; d++) {
    const double q = ca_number_load(t->dtype, data->q, row * t->dk + d);
    const double term = q * load_row(t, data->past_k, data->k, bg, j, t->dk, d) / sqrt((double)t->dk);
    sum += term;
    *size += fabs(term);
  }
  if (t->softcap > 0.0) sum = t->softcap * tanh(sum / t->softcap);
  return t->mask == CA_TRIAL_ADDITIVE ? sum + mask_value(t, i, j) : sum;
}

static double stored_error(int32_t dtype, double value)
{
  const int bits = dtype == CLATTN_F16 ? 11 : dtype == CLATTN_BF16 ? 8 : 53;
  return ldexp(fabs(value), -bits) + (dtype == CLATTN_F16 ? ldexp(1.0, -25) : 0.0);
}

/* One row of y and lse. p has room for all keys. */
static void answer_row(ca_trial_data *data, int64_t row, double *p)
{
  const ca_trial *t = &data->trial;
  const int64_t i = row % t->sq, h = row / t->sq % t->hq, b = row / t->sq / t->hq;
  const int64_t bg = b * t->hk + h / (t->hq / t->hk), keys = all_keys(t);
  double most = -(double)INFINITY, sum = 0.0, size, s_abs = 0.0;
  for (int64_t j = 0; j < keys; j++) {
    p[j] = attends(t, i, j) ? score(data, row, bg, i, j, &size) : -(double)INFINITY;
    if (p[j] > most) most = p[j];
    if (isfinite(p[j])) s_abs = fmax(s_abs, size);
  }
  for (int64_t j = 0; j < keys; j++) {
    p[j] = isfinite(p[j]) ? exp(p[j] - most) : -1.0; /* -1: not attended */
    if (p[j] > 0.0) sum += p[j];
  }
  data->want_lse[row] = isfinite(most) ? most + log(sum) : most;
  data->allowed_lse[row] = 2e-6 * fmax(1.0, fabs(data->want_lse[row])) + ldexp(s_abs, -22);
  for (int64_t d = 0; d < t->dv; d++) {
    double y = 0.0, y_abs = 0.0;
    for (int64_t j = 0; j < keys; j++) {
      if (p[j] < 0.0) continue;
      const double term = p[j] / sum * load_row(t, data->past_v, data->v, bg, j, t->dv, d);
      y += term;
      y_abs += fabs(term);
    }
    data->want_y[row * t->dv + d] = y;
    data->allowed_y[row * t->dv + d] = 2e-6 * fmax(1.0, y_abs) + ldexp(s_abs * y_abs, -22) + stored_error(t->dtype, y);
  }
}

static void write_text(ca_trial_data *data)
{
  static const char *const masks[] = {"none", "bool", "additive"};
  const ca_trial *t = &data->trial;
  snprintf(data->text, sizeof data->text,
           "b=%" PRId64 ",hq=%" PRId64 ",hk=%" PRId64 ",sq=%" PRId64 ",sk=%" PRId64 ",dk=%" PRId64 ",dv=%" PRId64
           ",dtype=%s,causal=%d,left=%" PRId64 ",softcap=%g,past=%" PRId64 ",mask=%s",
           t->b, t->hq, t->hk, t->sq, t->sk, t->dk, t->dv, ca_dtype_text(t->dtype), t->causal, t->left, t->softcap,
           t->past, masks[t->mask]);
}

bool ca_trial_make(const ca_trial *t, ca_trial_data *data)
{
  const size_t rows = (size_t)(t->b * t->hq * t->sq), outputs = rows * (size_t)t->dv;
  const int64_t kv = t->b * t->hk;
  *data = (ca_trial_data){.trial = *t};
  write_text(data);
  data->q = fill(t, t->b * t->hq, t->sq, t->dk, -1, t->spread, 1);
  data->k = fill(t, kv, t->sk, t->dk, t->past, 1.0, 2);
  data->v = fill(t, kv, t->sk, t->dv, t->past, 1.0, 3);
  data->past_k = fill(t, kv, t->past, t->dk, 0, 1.0, 4);
  data->past_v = fill(t, kv, t->past, t->dv, 0, 1.0, 5);
  data->mask = fill_mask(t);
  data->y = calloc(outputs, sizeof(double));
  data->lse = calloc(rows, sizeof(float));
  data->want_y = calloc(outputs, sizeof(double));
  data->allowed_y = calloc(outputs, sizeof(double));
  data->want_lse = calloc(rows, sizeof(double));
  data->allowed_lse = calloc(rows, sizeof(double));
  double *p = calloc((size_t)all_keys(t), sizeof(double));
  const bool made = data->q && data->k && data->v && data->past_k && data->past_v && data->mask && data->y &&
                    data->lse && data->want_y && data->allowed_y && data->want_lse && data->allowed_lse && p;
  for (size_t row = 0; made && row < rows; row++) answer_row(data, (int64_t)row, p);
  free(p);
  return made;
}

void ca_trial_free(ca_trial_data *data)
{
  void *const all[] = {data->q, data->k,   data->v,      data->past_k,    data->past_v,   data->mask,
                       data->y, data->lse, data->want_y, data->allowed_y, data->want_lse, data->allowed_lse};
  for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) free(all[i]);
}

static double share(double got, double want, double allowed)
{
  if (!isfinite(want)) return got == want ? 0.0 : (double)INFINITY;
  return isfinite(got) ? fabs(got - want) / allowed : (double)INFINITY;
}

double ca_trial_error(const ca_trial_data *data)
{
  const ca_trial *t = &data->trial;
  const int64_t rows = t->b * t->hq * t->sq;
  double worst = 0.0;
  for (int64_t n = 0; n < rows * t->dv; n++)
    worst = fmax(worst, share(ca_number_load(t->dtype, data->y, n), data->want_y[n], data->allowed_y[n]));
  for (int64_t n = 0; n < rows; n++)
    worst = fmax(worst, share((double)data->lse[n], data->want_lse[n], data->allowed_lse[n]));
  return worst;
}
