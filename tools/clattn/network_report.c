/* What is known of a head at a glance. */
#include <math.h>
#include <string.h>

#include "asymmetry.h"
#include "network.h"

/* Of the rows of P that go by. */
typedef struct row_sums {
  const network_layer *l;
  double sharpness, first, entropy, least, most;
  int64_t sharp_rows, rows; /* that have another token to attend, that attend any */
} row_sums;

/* The first key is left aside: nearly every head rests much of its weight there, whatever the sentence says. */
static float strongest_other(const network_layer *l, int64_t query, const float *row)
{
  const int64_t self = l->one_sequence ? query + l->offset : -1;
  float strongest = 0.0f;
  for (int64_t j = 1; j < l->sk; j++)
    if (j != self && row[j] > strongest) strongest = row[j];
  return strongest;
}

static bool look_at_row(void *user, int64_t query, const float *row)
{
  row_sums *s = user;
  double entropy = 0.0, sum = 0.0;
  if (!s->l->one_sequence || query + s->l->offset >= 2) {
    s->sharpness += (double)strongest_other(s->l, query, row);
    s->sharp_rows++;
  }
  for (int64_t j = 0; j < s->l->sk; j++) {
    const double p = (double)row[j];
    sum += p;
    if (p > 0.0) entropy -= p * log(p);
  }
  if (sum == 0.0) return true;
  if (s->rows == 0 || entropy < s->least) s->least = entropy;
  if (s->rows == 0 || entropy > s->most) s->most = entropy;
  s->rows++;
  s->entropy += entropy;
  s->first += (double)row[0];
  return true;
}

static bool report_rows(network *n, int layer, int64_t head, network_head *out, st_error *error)
{
  row_sums s = {.l = &n->layers[layer]};
  if (!network_each_row(n, layer, head, NETWORK_P, look_at_row, &s, error)) return false;
  out->sharpness = s.sharp_rows ? s.sharpness / (double)s.sharp_rows : 0.0;
  if (s.rows) {
    out->entropy_mean = s.entropy / (double)s.rows;
    out->entropy_least = s.least, out->entropy_most = s.most;
    out->first_share = s.first / (double)s.rows;
  }
  return true;
}

static void keep_pair(network_head *out, network_pair pair)
{
  int at = out->n_pairs < NETWORK_PAIRS ? out->n_pairs++ : NETWORK_PAIRS;
  for (; at > 0 && out->pairs[at - 1].weight - out->pairs[at - 1].back < pair.weight - pair.back; at--)
    if (at < NETWORK_PAIRS) out->pairs[at] = out->pairs[at - 1];
  if (at < NETWORK_PAIRS) out->pairs[at] = pair;
}

/* Of a matrix that is there wholly. */
static void report_pairs(const float *p, int64_t s, network_head *out)
{
  for (int64_t i = 0; i < s; i++)
    for (int64_t j = 0; j < s; j++) {
      const double weight = (double)p[i * s + j], back = (double)p[j * s + i];
      if (weight > back) keep_pair(out, (network_pair){i, j, weight, back});
    }
}

bool network_report(network *n, int layer, st_error *error)
{
  network_layer *l = &n->layers[layer];
  for (int64_t h = 0; h < l->heads; h++) {
    network_head *out = &l->head[h];
    const bool square = l->sq == l->sk;
    if (network_can_show(l, NETWORK_P) && !report_rows(n, layer, h, out, error)) return false;
    if (!l->bare || !square) continue;
    const float *matrix = l->bare + h * l->sq * l->sk;
    if (l->bare_is == NETWORK_P) report_pairs(matrix, l->sq, out);
    if (l->bare_is == NETWORK_A) out->a_share = asymmetry_share(matrix, l->sq);
  }
  return true;
}
