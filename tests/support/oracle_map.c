#include <math.h>

#include "oracle.h"

/* One query and key: the quantity, and what may be missing. */
typedef struct term {
  double value, error;
  bool counts; /* in a sum of scores */
} term;

static term term_of(const oracle_map *o, int64_t b, int64_t h, int64_t i, int64_t j)
{
  const int64_t row = (b * o->hq + h) * o->sq + i;
  const double s = o->score[row * o->sk + j], error = o->score_error[row * o->sk + j];
  const bool dead = s == -(double)INFINITY;
  if (o->quantity >= 2) return (term){.value = s, .error = dead ? 0.0 : error, .counts = !dead};
  const double lse = o->lse[row];
  if (dead || lse == -(double)INFINITY) return (term){.counts = true};
  const double p = exp(s - lse), of_exponent = error + ldexp(fabs(lse) + fabs(s), -23);
  if (o->quantity == 1)
    return (term){
        .value = p * (lse - s), .error = p * fabs(lse - s) * (2e-6 + of_exponent) + p * of_exponent, .counts = true};
  const double weight = o->weight ? o->weight[(b * o->hk + h / (o->hq / o->hk)) * o->sk + j] : 1.0;
  return (term){.value = p * weight, .error = fabs(p * weight) * (2e-6 + of_exponent), .counts = true};
}

static void tile(const oracle_map *o, int64_t b, int64_t head, int64_t row, int64_t key, int64_t at)
{
  double sum = 0.0, error = 0.0, most = -(double)INFINITY, most_error = 0.0;
  bool any = false;
  for (int64_t i = row; i < row + o->tile_rows && i < o->rows; i++)
    for (int64_t j = key; j < key + o->tile_keys && j < o->keys; j++) {
      const term t = term_of(o, b, o->head_first + head, o->row_first + i, o->key_first + j);
      if (isnan(t.value) || t.value > most) most = t.value;
      most_error = fmax(most_error, t.error);
      if (!t.counts) continue;
      any = true;
      sum += t.value;
      error += t.error;
    }
  if (o->map) o->map[at] = any ? sum : -(double)INFINITY;
  if (o->map_error) o->map_error[at] = error + 0x1p-120;
  if (o->map_max) o->map_max[at] = most;
  if (o->max_error) o->max_error[at] = most_error + 0x1p-120;
}

void oracle_map_run(const oracle_map *o)
{
  int64_t at = 0;
  for (int64_t b = 0; b < o->b; b++)
    for (int64_t head = 0; head < o->heads; head++)
      for (int64_t row = 0; row < o->rows; row += o->tile_rows)
        for (int64_t key = 0; key < o->keys; key += o->tile_keys) tile(o, b, head, row, key, at++);
}
