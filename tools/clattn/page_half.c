#include "page_half.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS_MEASURED = 512 };

static const double largest_half = 65504.0;

/* One head: k and its rounding by channel [dk,sk], so that a row's scores add up along the keys. */
typedef struct measure {
  const network_layer *l;
  float *k, *k_half, *key_row;
  float *score, *error; /* of a row: q k, and how far the rounded ones' is from it */
  float *q_half;
  float *norm; /* of values */
  double bias; /* the most that a mask adds */
} measure;

typedef struct ranked {
  int64_t row;
  double norm;
} ranked;

static int by_norm(const void *a, const void *b)
{
  const ranked *x = a, *y = b;
  if (x->norm != y->norm) return x->norm < y->norm ? 1 : -1;
  return (x->row > y->row) - (x->row < y->row);
}

static double norm_of(const float *x, int64_t n)
{
  double sum = 0.0;
  for (int64_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
  return sqrt(sum);
}

static bool all_fit(const float *x, int64_t n)
{
  for (int64_t i = 0; i < n; i++)
    if (!(fabs((double)x[i]) <= largest_half)) return false;
  return true;
}

static bool round_to_half(const float *in, float *out, int64_t n)
{
  uint16_t *half = malloc((size_t)n * sizeof *half + 1);
  if (!half) return false;
  clattn_convert(CLATTN_F16, half, CLATTN_F32, in, (size_t)n);
  clattn_convert(CLATTN_F32, out, CLATTN_F16, half, (size_t)n);
  free(half);
  return true;
}

static bool take_keys(measure *m, int64_t head)
{
  const network_layer *l = m->l;
  const int64_t key_head = head / (l->heads / l->key_heads);
  const float *k = l->k + key_head * l->sk * l->dk, *v = l->v + key_head * l->sk * l->dv;
  if (!round_to_half(k, m->key_row, l->sk * l->dk)) return false;
  for (int64_t j = 0; j < l->sk; j++) {
    m->norm[j] = (float)norm_of(v + j * l->dv, l->dv);
    for (int64_t c = 0; c < l->dk; c++) {
      m->k[c * l->sk + j] = k[j * l->dk + c];
      m->k_half[c * l->sk + j] = m->key_row[j * l->dk + c];
    }
  }
  return true;
}

static void score_row(measure *m, const float *q)
{
  const int64_t sk = m->l->sk;
  memset(m->score, 0, (size_t)sk * sizeof *m->score);
  memset(m->error, 0, (size_t)sk * sizeof *m->error);
  for (int64_t c = 0; c < m->l->dk; c++) {
    const float exact = q[c], half = m->q_half[c];
    const float *k = m->k + c * sk, *k_half = m->k_half + c * sk;
    for (int64_t j = 0; j < sk; j++) {
      m->score[j] += exact * k[j];
      m->error[j] += half * k_half[j] - exact * k[j];
    }
  }
}

static double capped(const network_layer *l, double score)
{
  return l->softcap > 0.0 ? l->softcap * tanh(score / l->softcap) : score;
}

/* The keys that a query may attend to by order and windows; masks are taken as `bias`. */
static void attended(const network_layer *l, int64_t row, int64_t *first, int64_t *end)
{
  const int64_t at = row + l->offset;
  *first = l->window_left >= 0 && at > l->window_left ? at - l->window_left : 0;
  *end = l->sk;
  if (l->causal && *end > at + 1) *end = at + 1;
  if (l->window_right >= 0 && *end > at + l->window_right + 1) *end = at + l->window_right + 1;
}

static bool row_holds(measure *m, int64_t head, int64_t row)
{
  const network_layer *l = m->l;
  const float *q = l->q + (head * l->sq + row) * l->dk;
  const double lse = (double)l->lse[head * l->sq + row];
  int64_t first, end;
  if (!round_to_half(q, m->q_half, l->dk)) return false;
  score_row(m, q);
  attended(l, row, &first, &end);
  for (int64_t j = 0; j < l->sk; j++) {
    const double a = l->scale * (double)m->score[j], off = l->scale * (double)m->error[j];
    if (!(fabs(off) <= PAGE_HALF_LIMIT * fmax(1.0, fabs(a)))) return false;
    if (j < first || j >= end || lse == -INFINITY) continue;
    const double s = capped(l, a), p = exp(fmin(s + m->bias - lse, 0.0));
    const double p_off = p * fabs(expm1(capped(l, a + off) - s)), norm = (double)m->norm[j];
    if (p_off > PAGE_HALF_LIMIT || p_off * norm > PAGE_HALF_LIMIT * fmax(1.0, p * norm)) return false;
  }
  return true;
}

static bool head_holds(measure *m, int64_t head, ranked *rows)
{
  const network_layer *l = m->l;
  for (int64_t i = 0; i < l->sq; i++) rows[i] = (ranked){i, norm_of(l->q + (head * l->sq + i) * l->dk, l->dk)};
  qsort(rows, (size_t)l->sq, sizeof *rows, by_norm);
  for (int64_t i = 0; i < l->sq && i < ROWS_MEASURED; i++)
    if (!row_holds(m, head, rows[i].row)) return false;
  return true;
}

static double largest_bias(const network_layer *l)
{
  double most = 0.0;
  for (int64_t i = 0; l->mask && i < l->mask_heads * l->mask_rows * l->sk; i++) most = fmax(most, (double)l->mask[i]);
  return most;
}

bool page_half_holds(const network_layer *l, const int64_t *heads, int n_heads, bool *holds, st_error *error)
{
  const int64_t group = l->heads / l->key_heads, queries = l->sq * l->dk;
  for (int64_t h = 0; h < l->key_heads; h++) holds[h] = all_fit(l->k + h * l->sk * l->dk, l->sk * l->dk);
  const size_t keys = (size_t)(l->sk * l->dk) + 1;
  measure m = {.l = l, .bias = largest_bias(l)};
  m.k = malloc(keys * sizeof(float));
  m.k_half = malloc(keys * sizeof(float));
  m.key_row = malloc(keys * sizeof(float));
  m.score = malloc((size_t)(l->sk + 1) * sizeof(float));
  m.error = malloc((size_t)(l->sk + 1) * sizeof(float));
  m.norm = malloc((size_t)(l->sk + 1) * sizeof(float));
  m.q_half = malloc((size_t)(l->dk + 1) * sizeof(float));
  ranked *rows = malloc((size_t)(l->sq + 1) * sizeof *rows);
  bool good = m.k && m.k_half && m.key_row && m.score && m.error && m.norm && m.q_half && rows;
  for (int i = 0; i < n_heads && good; i++) {
    bool *held = &holds[heads[i] / group];
    *held = *held && all_fit(l->q + heads[i] * queries, queries);
    if (!*held) continue;
    good = take_keys(&m, heads[i]);
    *held = good && head_holds(&m, heads[i], rows);
  }
  free(m.k);
  free(m.k_half);
  free(m.key_row);
  free(m.score);
  free(m.error);
  free(m.norm);
  free(m.q_half);
  free(rows);
  return good || st_fail(error, "%s: out of memory", l->name);
}
