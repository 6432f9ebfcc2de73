#include "page_half.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS_MEASURED = 512 };

static const double largest_half = 65504.0;

/* Queries or keys of a head, [n,dk], what rounding leaves of them, and both by channel, [dk,n]: so that the scores of
 * one vector with all of them add up along them. */
typedef struct vectors {
  int64_t n;
  const float *exact;
  float *half, *exact_by, *half_by;
} vectors;

/* Of one vector with n others: q k, and how far the rounded ones' is from it. */
typedef struct scores {
  float *score, *error;
} scores;

/* One head. */
typedef struct measure {
  const network_layer *l;
  vectors q, k;
  scores there, back; /* of a row; of its token as a key, where the antisymmetric part is shown */
  float *norm;        /* of values */
  double bias;        /* the most that a mask adds */
  bool both_ways;
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

static bool take_vectors(vectors *v, const float *exact, int64_t dk)
{
  v->exact = exact;
  if (!round_to_half(exact, v->half, v->n * dk)) return false;
  for (int64_t j = 0; j < v->n; j++)
    for (int64_t c = 0; c < dk; c++) {
      v->exact_by[c * v->n + j] = exact[j * dk + c];
      v->half_by[c * v->n + j] = v->half[j * dk + c];
    }
  return true;
}

static bool take_head(measure *m, int64_t head)
{
  const network_layer *l = m->l;
  const int64_t key_head = head / (l->heads / l->key_heads);
  const float *v = l->v + key_head * l->sk * l->dv;
  for (int64_t j = 0; j < l->sk; j++) m->norm[j] = (float)norm_of(v + j * l->dv, l->dv);
  return take_vectors(&m->q, l->q + head * l->sq * l->dk, l->dk) &&
         take_vectors(&m->k, l->k + key_head * l->sk * l->dk, l->dk);
}

static void score_one(const vectors *one, int64_t at, const vectors *all, int64_t dk, scores *out)
{
  const int64_t n = all->n;
  memset(out->score, 0, (size_t)n * sizeof *out->score);
  memset(out->error, 0, (size_t)n * sizeof *out->error);
  for (int64_t c = 0; c < dk; c++) {
    const float exact = one->exact[at * dk + c], half = one->half[at * dk + c];
    const float *exact_by = all->exact_by + c * n, *half_by = all->half_by + c * n;
    for (int64_t j = 0; j < n; j++) {
      out->score[j] += exact * exact_by[j];
      out->error[j] += half * half_by[j] - exact * exact_by[j];
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

/* A score of a row, or (A - A^T)/2 there. */
static bool score_holds(const measure *m, int64_t j)
{
  const double scale = m->l->scale, a = scale * (double)m->there.score[j], off = scale * (double)m->there.error[j];
  if (!(fabs(off) <= PAGE_HALF_LIMIT * fmax(1.0, fabs(a)))) return false;
  if (!m->both_ways) return true;
  const double turned = scale * (double)m->back.score[j], turned_off = scale * (double)m->back.error[j];
  return 0.5 * fabs(off - turned_off) <= PAGE_HALF_LIMIT * fmax(1.0, 0.5 * fabs(a - turned));
}

static bool row_holds(measure *m, int64_t head, int64_t row)
{
  const network_layer *l = m->l;
  const double lse = (double)l->lse[head * l->sq + row];
  int64_t first, end;
  score_one(&m->q, row, &m->k, l->dk, &m->there);
  if (m->both_ways) score_one(&m->k, row, &m->q, l->dk, &m->back);
  attended(l, row, &first, &end);
  for (int64_t j = 0; j < l->sk; j++) {
    if (!score_holds(m, j)) return false;
    if (j < first || j >= end || lse == -INFINITY) continue;
    const double a = l->scale * (double)m->there.score[j], off = l->scale * (double)m->there.error[j];
    const double s = capped(l, a), p = exp(fmin(s + m->bias - lse, 0.0));
    const double p_off = p * fabs(expm1(capped(l, a + off) - s)), norm = (double)m->norm[j];
    if (p_off > PAGE_HALF_LIMIT || p_off * norm > PAGE_HALF_LIMIT * fmax(1.0, p * norm)) return false;
  }
  return true;
}

static bool head_holds(measure *m, int64_t head, ranked *rows)
{
  const network_layer *l = m->l;
  for (int64_t i = 0; i < l->sq; i++) rows[i] = (ranked){i, norm_of(m->q.exact + i * l->dk, l->dk)};
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

static float *floats(int64_t n) { return malloc((size_t)(n + 1) * sizeof(float)); }

static bool make_vectors(vectors *v, int64_t n, int64_t dk)
{
  *v = (vectors){.n = n, .half = floats(n * dk), .exact_by = floats(n * dk), .half_by = floats(n * dk)};
  return v->half && v->exact_by && v->half_by;
}

static void free_vectors(vectors *v)
{
  free(v->half);
  free(v->exact_by);
  free(v->half_by);
}

static bool make_scores(scores *s, int64_t n)
{
  *s = (scores){floats(n), floats(n)};
  return s->score && s->error;
}

static void free_scores(scores *s)
{
  free(s->score);
  free(s->error);
}

bool page_half_holds(const network_layer *l, const int64_t *heads, int n_heads, bool *holds, st_error *error)
{
  const int64_t group = l->heads / l->key_heads, queries = l->sq * l->dk;
  measure m = {.l = l, .bias = largest_bias(l), .both_ways = network_can_show(l, NETWORK_ANTISYMMETRIC)};
  ranked *rows = malloc((size_t)(l->sq + 1) * sizeof *rows);
  m.norm = floats(l->sk);
  bool good = make_vectors(&m.q, l->sq, l->dk);
  good = make_vectors(&m.k, l->sk, l->dk) && good;
  good = make_scores(&m.there, l->sk) && good;
  good = make_scores(&m.back, l->sq) && good && m.norm && rows;
  for (int64_t h = 0; h < l->key_heads; h++) holds[h] = all_fit(l->k + h * l->sk * l->dk, l->sk * l->dk);
  for (int i = 0; i < n_heads && good; i++) {
    bool *held = &holds[heads[i] / group];
    *held = *held && all_fit(l->q + heads[i] * queries, queries);
    if (!*held) continue;
    good = take_head(&m, heads[i]);
    *held = good && head_holds(&m, heads[i], rows);
  }
  free_vectors(&m.q);
  free_vectors(&m.k);
  free_scores(&m.there);
  free_scores(&m.back);
  free(m.norm);
  free(rows);
  return good || st_fail(error, "%s: out of memory", l->name);
}
