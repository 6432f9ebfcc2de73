#include "oracle.h"

#include <math.h>
#include <stdlib.h>

static int64_t total_keys(const oracle_attention *o) { return o->past + o->sk; }

static const double *key_row(const oracle_attention *o, int64_t b, int64_t g, int64_t j)
{
  if (j < o->past) return o->past_k + ((b * o->hk + g) * o->past + j) * o->dk;
  return o->k + ((b * o->hk + g) * o->sk + j - o->past) * o->dk;
}

static const double *value_row(const oracle_attention *o, int64_t b, int64_t g, int64_t j)
{
  if (j < o->past) return o->past_v + ((b * o->hk + g) * o->past + j) * o->dv;
  return o->v + ((b * o->hk + g) * o->sk + j - o->past) * o->dv;
}

static int64_t clamp(int64_t x, int64_t low, int64_t high) { return x < low ? low : x > high ? high : x; }

/* The mask's element for [b,h,i,j]; false: j lies past a short last dimension. */
static bool mask_at(const oracle_attention *o, int64_t b, int64_t h, int64_t i, int64_t j, double *value)
{
  const int64_t index[4] = {b, h, i, j};
  int64_t at = 0;
  for (int d = 0; d < o->mask_rank; d++) {
    const int64_t n = o->mask_dim[d];
    const int64_t want = index[4 - o->mask_rank + d];
    const bool is_last = d == o->mask_rank - 1;
    if (is_last && want >= n) return false;
    at = at * n + (!is_last && n == 1 ? 0 : want);
  }
  *value = o->mask[at];
  return true;
}

bool oracle_allows(const oracle_attention *o, int64_t b, int64_t h, int64_t i, int64_t j)
{
  int64_t offset = o->past;
  if (o->nonpad) {
    const int64_t valid = clamp(o->nonpad[b], 0, total_keys(o));
    if (j >= valid) return false;
    offset = valid - o->sq;
  }
  if (o->has_offset) offset = o->offset;
  if (o->causal && j > i + offset) return false;
  if (o->window_left >= 0 && j < i + offset - o->window_left) return false;
  if (o->window_right >= 0 && j > i + offset + o->window_right) return false;
  if (o->mask) {
    double m;
    if (!mask_at(o, b, h, i, j, &m)) return false;
    if (o->mask_is_bool ? m == 0.0 : m == -(double)INFINITY) return false;
  }
  return true;
}

void oracle_softmax_row(const double *a, int64_t n, double *p, double *lse)
{
  double most = -(double)INFINITY, sum = 0.0;
  bool broken = false;
  for (int64_t j = 0; j < n; j++) {
    if (isnan(a[j]) || a[j] == (double)INFINITY) broken = true;
    if (a[j] > most) most = a[j];
  }
  for (int64_t j = 0; j < n; j++) {
    if (a[j] == -(double)INFINITY)
      p[j] = 0.0;
    else
      p[j] = broken ? (double)NAN : exp(a[j] - most);
    sum += p[j];
  }
  for (int64_t j = 0; j < n; j++) {
    if (a[j] == -(double)INFINITY)
      p[j] = -0.0; /* marks what is not attended */
    else
      p[j] /= sum;
  }
  if (lse) *lse = broken ? (double)NAN : most == -(double)INFINITY ? most : most + log(sum);
}

static double dot(const double *x, const double *y, int64_t n)
{
  double sum = 0.0;
  for (int64_t i = 0; i < n; i++) sum += x[i] * y[i];
  return sum;
}

static double dot_abs(const double *x, const double *y, int64_t n)
{
  double sum = 0.0;
  for (int64_t i = 0; i < n; i++) sum += fabs(x[i] * y[i]);
  return sum;
}

/* Scores of one row at the points 0, 1 and 2. */
static void score_row(const oracle_attention *o, int64_t b, int64_t h, int64_t i, double *point[3], double *qk_abs,
                      double *s_abs)
{
  const double scale = isnan(o->scale) ? 1.0 / sqrt((double)o->dk) : o->scale;
  const int64_t g = h / (o->hq / o->hk);
  const double *q = o->q + ((b * o->hq + h) * o->sq + i) * o->dk;
  *s_abs = 0.0;
  for (int64_t j = 0; j < total_keys(o); j++) {
    const double *k = key_row(o, b, g, j);
    const double scaled = scale * dot(q, k, o->dk);
    const double capped = o->softcap > 0.0 ? o->softcap * tanh(scaled / o->softcap) : scaled;
    double masked = capped, bias = 0.0;
    if (!oracle_allows(o, b, h, i, j))
      masked = -(double)INFINITY;
    else if (o->mask && !o->mask_is_bool && mask_at(o, b, h, i, j, &bias))
      masked = capped + bias;
    qk_abs[j] = fabs(scale) * dot_abs(q, k, o->dk);
    if (masked != -(double)INFINITY) *s_abs = fmax(*s_abs, qk_abs[j]);
    point[0][j] = scaled;
    point[1][j] = capped;
    point[2][j] = masked;
  }
}

/* A score upon which a large bias is added keeps fewer digits in float32; from 2^53 on it keeps none in float64 either,
 * so that there is nothing to lose. */
static double largest_bias(const oracle_attention *o, int64_t b, int64_t h, int64_t i, const double *p)
{
  double largest = 0.0, bias;
  if (!o->mask || o->mask_is_bool) return largest;
  for (int64_t j = 0; j < total_keys(o); j++)
    if (p[j] > 0.0 && mask_at(o, b, h, i, j, &bias) && fabs(bias) < 0x1p53) largest = fmax(largest, fabs(bias));
  return largest;
}

static void value_row_sum(const oracle_attention *o, int64_t b, int64_t h, const double *p, double *y, double *pv_abs)
{
  const int64_t g = h / (o->hq / o->hk);
  for (int64_t d = 0; d < o->dv; d++) {
    double sum = 0.0, sum_abs = 0.0;
    for (int64_t j = 0; j < total_keys(o); j++) {
      if (p[j] == 0.0 && signbit(p[j])) continue;
      const double term = p[j] * value_row(o, b, g, j)[d];
      sum += term;
      sum_abs += fabs(term);
    }
    if (y) y[d] = sum;
    if (pv_abs) pv_abs[d] = sum_abs;
  }
}

static void copy_present(const oracle_attention *o)
{
  const int64_t n = total_keys(o);
  for (int64_t bg = 0; bg < o->b * o->hk; bg++)
    for (int64_t j = 0; j < n; j++) {
      for (int64_t d = 0; o->present_k && d < o->dk; d++)
        o->present_k[(bg * n + j) * o->dk + d] = key_row(o, bg / o->hk, bg % o->hk, j)[d];
      for (int64_t d = 0; o->present_v && d < o->dv; d++)
        o->present_v[(bg * n + j) * o->dv + d] = value_row(o, bg / o->hk, bg % o->hk, j)[d];
    }
}

void oracle_attention_run(const oracle_attention *o)
{
  const int64_t n = total_keys(o);
  double *rows = malloc(sizeof *rows * (size_t)(5 * n + 1));
  if (!rows) abort();
  double *point[4] = {rows, rows + n, rows + 2 * n, rows + 3 * n};
  for (int64_t row = 0; row < o->b * o->hq * o->sq; row++) {
    const int64_t b = row / (o->hq * o->sq), h = row / o->sq % o->hq, i = row % o->sq;
    double s_abs, lse, *qk_abs = rows + 4 * n;
    score_row(o, b, h, i, point, qk_abs, &s_abs);
    oracle_softmax_row(point[2], n, point[3], &lse);
    s_abs = fmax(s_abs, largest_bias(o, b, h, i, point[3]));
    if (o->y || o->pv_abs)
      value_row_sum(o, b, h, point[3], o->y ? o->y + row * o->dv : NULL, o->pv_abs ? o->pv_abs + row * o->dv : NULL);
    if (o->lse) o->lse[row] = lse;
    if (o->s_abs) o->s_abs[row] = s_abs;
    for (int64_t j = 0; o->qk && j < n; j++) o->qk[row * n + j] = point[o->qk_mode][j];
    for (int64_t j = 0; o->qk_abs && j < n; j++) o->qk_abs[row * n + j] = qk_abs[j];
  }
  copy_present(o);
  free(rows);
}

void oracle_values_run(const oracle_values *o)
{
  for (int64_t row = 0; row < o->b * o->hq * o->sq; row++) {
    const int64_t b = row / (o->hq * o->sq), g = row / o->sq % o->hq / (o->hq / o->hk);
    const double *p = o->p + row * o->sk;
    for (int64_t d = 0; d < o->dv; d++) {
      double sum = 0.0, sum_abs = 0.0;
      for (int64_t j = 0; j < o->sk; j++) {
        if (p[j] == 0.0 && signbit(p[j])) continue;
        const double term = p[j] * o->v[((b * o->hk + g) * o->sk + j) * o->dv + d];
        sum += term;
        sum_abs += fabs(term);
      }
      o->y[row * o->dv + d] = sum;
      if (o->pv_abs) o->pv_abs[row * o->dv + d] = sum_abs;
    }
  }
}
