/* What is known of a head at a glance. */
#include <math.h>
#include <stdlib.h>

#include "asymmetry.h"
#include "network.h"

/* ---- by the rows of P that go by ---- */

typedef struct row_sums {
  const network_layer *l;
  double *entropies; /* [sq] */
  double sharpness, first, entropy, least, most;
  int64_t sharp_rows, rows; /* that have another token to attend, that attend any */
} row_sums;

static float largest(const float *numbers, int64_t first, int64_t end)
{
  float most = 0.0f;
  for (int64_t j = first; j < end; j++) most = numbers[j] > most ? numbers[j] : most;
  return most;
}

/* The first key is left aside: nearly every head rests much of its weight there, whatever the sentence says. */
static bool look_for_strongest(void *user, int64_t query, const float *row)
{
  row_sums *s = user;
  const network_layer *l = s->l;
  const int64_t self = l->one_sequence ? query + l->offset : l->sk;
  if (self < 2) return true;
  const float before = largest(row, 1, self), after = largest(row, self + 1, l->sk);
  s->sharpness += (double)(before > after ? before : after);
  s->sharp_rows++;
  return true;
}

static bool look_at_row(void *user, int64_t query, const float *row)
{
  row_sums *s = user;
  double entropy = 0.0, sum = 0.0;
  for (int64_t j = 0; j < s->l->sk; j++) {
    const double p = (double)row[j];
    sum += p;
    if (p > 0.0) entropy -= p * log(p);
  }
  if (entropy < 0.0) entropy = 0.0; /* of a P above 1 by rounding */
  s->entropies[query] = entropy;
  if (sum > 0.0) {
    if (s->rows == 0 || entropy < s->least) s->least = entropy;
    if (s->rows == 0 || entropy > s->most) s->most = entropy;
    s->rows++;
    s->entropy += entropy;
    s->first += (double)row[0];
  }
  return look_for_strongest(user, query, row);
}

/* All that rows tell; of a layer that was run the library has told the rest. */
static bool report_rows(network *n, int layer, int64_t head, network_head *out, st_error *error)
{
  const network_layer *l = &n->layers[layer];
  row_sums s = {.l = l, .entropies = l->row_entropy + head * l->sq};
  if (!network_each_row(n, layer, head, NETWORK_P, l->bare ? look_at_row : look_for_strongest, &s, error)) return false;
  out->sharpness = s.sharp_rows ? s.sharpness / (double)s.sharp_rows : 0.0;
  if (s.rows) {
    out->entropy_mean = s.entropy / (double)s.rows;
    out->entropy_least = s.least, out->entropy_most = s.most;
    out->first_share = s.first / (double)s.rows;
  }
  return true;
}

/* ---- of a matrix that is there wholly ---- */

static void keep_pair(network_head *out, network_pair pair)
{
  int at = out->n_pairs < NETWORK_PAIRS ? out->n_pairs++ : NETWORK_PAIRS;
  for (; at > 0 && out->pairs[at - 1].weight - out->pairs[at - 1].back < pair.weight - pair.back; at--)
    if (at < NETWORK_PAIRS) out->pairs[at] = out->pairs[at - 1];
  if (at < NETWORK_PAIRS) out->pairs[at] = pair;
}

static void report_pairs(const float *p, int64_t s, network_head *out)
{
  out->n_pairs = 0;
  for (int64_t i = 0; i < s; i++)
    for (int64_t j = 0; j < s; j++) {
      const double weight = (double)p[i * s + j], back = (double)p[j * s + i];
      if (weight > back) keep_pair(out, (network_pair){i, j, weight, back});
    }
}

/* ---- of a layer that was run, by the library ---- */

static clattn_host_binding binding(clattn_slot slot, float *numbers, int64_t count)
{
  return (clattn_host_binding){.slot = (int32_t)slot, .data = numbers, .bytes = (size_t)count * sizeof *numbers};
}

/* The head's attention, and its arrays on the host. */
static uint32_t describe(const network_layer *l, int64_t head, clattn_attention_desc *desc,
                         clattn_host_binding bindings[4])
{
  const int64_t key_head = head / (l->heads / l->key_heads);
  uint32_t count = 3;
  desc->flags = CLATTN_QUERY_OFFSET | (l->causal ? CLATTN_CAUSAL : 0u);
  desc->query_offset = l->offset;
  desc->q = clattn_bhsd(CLATTN_F32, 1, 1, l->sq, l->dk);
  desc->k = clattn_bhsd(CLATTN_F32, 1, 1, l->sk, l->dk);
  desc->lse = clattn_dense(CLATTN_F32, 3, (int64_t[]){1, 1, l->sq});
  desc->scale = l->scale;
  desc->softcap = l->softcap;
  desc->window_left = l->window_left, desc->window_right = l->window_right;
  bindings[0] = binding(CLATTN_Q, l->q + head * l->sq * l->dk, l->sq * l->dk);
  bindings[1] = binding(CLATTN_K, l->k + key_head * l->sk * l->dk, l->sk * l->dk);
  bindings[2] = binding(CLATTN_LSE, l->lse + head * l->sq, l->sq);
  if (l->mask) {
    const int64_t cells = l->mask_rows * l->sk, first = l->mask_heads > 1 ? head * cells : 0;
    desc->mask = clattn_dense(CLATTN_F32, 2, (int64_t[]){l->mask_rows, l->sk});
    bindings[count++] = binding(CLATTN_MASK, l->mask + first, cells);
  }
  return count;
}

static bool report_run(network *n, const network_layer *l, int64_t head, network_head *out, st_error *error)
{
  clattn_attention_desc attention = CLATTN_ATTENTION_DESC_INIT;
  clattn_network_desc desc = CLATTN_NETWORK_DESC_INIT;
  clattn_network_head found = CLATTN_NETWORK_HEAD_INIT;
  clattn_network_pair pairs[NETWORK_PAIRS];
  clattn_host_binding bindings[4];
  const uint32_t count = describe(l, head, &attention, bindings);
  const bool square = l->one_sequence && l->sq == l->sk;
  desc.attention = &attention;
  desc.n_pairs = square ? NETWORK_PAIRS : 0;
  desc.pairs = square ? pairs : NULL;
  desc.row_entropy = l->row_entropy + head * l->sq;
  if (clattn_network_report(n->d->context, &desc, bindings, count, &found, &n->d->report) != CLATTN_OK)
    return st_fail(error, "report: %.400s", n->d->report.message);
  out->a_share = found.antisymmetric_share;
  out->entropy_mean = found.entropy_mean;
  out->entropy_least = found.entropy_min, out->entropy_most = found.entropy_max;
  out->first_share = found.first_share;
  out->n_pairs = (int)found.pairs;
  for (int i = 0; i < out->n_pairs; i++)
    out->pairs[i] = (network_pair){pairs[i].from, pairs[i].to, fmin(pairs[i].weight, 1.0), fmin(pairs[i].back, 1.0)};
  return true;
}

bool network_report_head(network *n, int layer, int64_t head, st_error *error)
{
  network_layer *l = &n->layers[layer];
  network_head *out = &l->head[head];
  if (!l->row_entropy) l->row_entropy = calloc((size_t)(l->heads * l->sq), sizeof *l->row_entropy);
  if (!l->row_entropy) return st_fail(error, "out of memory");
  if (!l->bare && !report_run(n, l, head, out, error)) return false;
  if (network_can_show(l, NETWORK_P) && !report_rows(n, layer, head, out, error)) return false;
  if (!l->bare || l->sq != l->sk) return true;
  const float *matrix = l->bare + head * l->sq * l->sk;
  if (l->bare_is == NETWORK_P) report_pairs(matrix, l->sq, out);
  if (l->bare_is == NETWORK_A) out->a_share = asymmetry_share(matrix, l->sq);
  return true;
}

bool network_report(network *n, int layer, st_error *error)
{
  for (int64_t h = 0; h < n->layers[layer].heads; h++)
    if (!network_report_head(n, layer, h, error)) return false;
  return true;
}
