/* Blocks of A, P and what follows from them, out of Q, K and lse. */
#include <math.h>
#include <stdlib.h>

#include "network.h"

bool network_can_show(const network_layer *l, network_quantity quantity)
{
  const bool square = l->sq == l->sk;
  if (l->bare)
    return quantity == l->bare_is || (quantity == NETWORK_ANTISYMMETRIC && l->bare_is == NETWORK_A && square);
  return quantity != NETWORK_ANTISYMMETRIC || square;
}

network_quantity network_default_quantity(const network_layer *l) { return l->bare ? l->bare_is : NETWORK_P; }

static double dot(const float *a, const float *b, int64_t n)
{
  double sum = 0.0;
  for (int64_t i = 0; i < n; i++) sum += (double)a[i] * (double)b[i];
  return sum;
}

static const float *key_row(const network_layer *l, const float *rows, int64_t width, int64_t head, int64_t key)
{
  return rows + ((head / (l->heads / l->key_heads)) * l->sk + key) * width;
}

static double score(const network_layer *l, int64_t head, int64_t i, int64_t j)
{
  if (l->bare) return (double)l->bare[(head * l->sq + i) * l->sk + j];
  return l->scale * dot(l->q + (head * l->sq + i) * l->dk, key_row(l, l->k, l->dk, head, j), l->dk);
}

static bool attends(const network_layer *l, int64_t i, int64_t j)
{
  const int64_t at = i + l->offset;
  return !(l->causal && j > at) && (l->window_left < 0 || j >= at - l->window_left) &&
         (l->window_right < 0 || j <= at + l->window_right);
}

static double weight(const network_layer *l, int64_t head, int64_t i, int64_t j)
{
  if (l->bare) return score(l, head, i, j);
  const double lse = (double)l->lse[head * l->sq + i];
  if (!attends(l, i, j) || lse == -INFINITY) return 0.0;
  double s = score(l, head, i, j);
  if (l->softcap > 0.0) s = l->softcap * tanh(s / l->softcap);
  if (l->mask)
    s += (double)l->mask[((l->mask_heads > 1 ? head : 0) * l->mask_rows + (l->mask_rows > 1 ? i : 0)) * l->sk + j];
  return exp(s - lse);
}

static double cell(const network_layer *l, int64_t head, network_quantity quantity, int64_t i, int64_t j)
{
  switch (quantity) {
  case NETWORK_A:
    return score(l, head, i, j);
  case NETWORK_ANTISYMMETRIC:
    return 0.5 * (score(l, head, i, j) - score(l, head, j, i));
  case NETWORK_TRAVEL: {
    const double p = weight(l, head, i, j);
    const float *v = key_row(l, l->v, l->dv, head, j);
    return p != 0.0 ? p * sqrt(dot(v, v, l->dv)) : 0.0;
  }
  default:
    return weight(l, head, i, j);
  }
}

bool network_block(network *n, int layer, int64_t head, network_quantity quantity, network_range range, float *out,
                   st_error *error)
{
  const network_layer *l = &n->layers[layer];
  if (!network_can_show(l, quantity))
    return st_fail(error, "%s: %s cannot be shown of it", l->name, network_quantity_text(quantity));
  for (int64_t i = 0; i < range.rows; i++)
    for (int64_t j = 0; j < range.keys; j++)
      out[i * range.keys + j] = (float)cell(l, head, quantity, range.row + i, range.key + j);
  return true;
}

enum { CELLS_AT_ONCE = 1 << 20 };

bool network_each_row(network *n, int layer, int64_t head, network_quantity quantity, network_row_look *look,
                      void *user, st_error *error)
{
  const network_layer *l = &n->layers[layer];
  const int64_t at_once = l->sk < CELLS_AT_ONCE ? CELLS_AT_ONCE / l->sk : 1;
  float *block = malloc((size_t)((at_once < l->sq ? at_once : l->sq) * l->sk) * sizeof *block);
  bool good = block || st_fail(error, "out of memory");
  for (int64_t row = 0; row < l->sq && good; row += at_once) {
    const int64_t rows = l->sq - row < at_once ? l->sq - row : at_once;
    good = network_block(n, layer, head, quantity, (network_range){row, rows, 0, l->sk}, block, error);
    for (int64_t i = 0; i < rows && good; i++)
      good = look(user, row + i, block + i * l->sk) || st_fail(error, "out of memory");
  }
  free(block);
  return good;
}

bool network_pool(network *n, int layer, int64_t head, network_quantity quantity, int64_t tile_rows, int64_t tile_keys,
                  float *sum, float *most, st_error *error)
{
  const network_layer *l = &n->layers[layer];
  const int64_t across = (l->sk + tile_keys - 1) / tile_keys;
  float *row = malloc((size_t)l->sk * sizeof *row + 1);
  bool good = row || st_fail(error, "out of memory");
  for (int64_t i = 0; i < l->sq && good; i++) {
    good = network_block(n, layer, head, quantity, (network_range){i, 1, 0, l->sk}, row, error);
    for (int64_t j = 0; j < l->sk && good; j++) {
      const int64_t at = i / tile_rows * across + j / tile_keys;
      const bool first = i % tile_rows == 0 && j % tile_keys == 0;
      if (sum) sum[at] = first ? row[j] : sum[at] + row[j];
      if (most) most[at] = first || row[j] > most[at] ? row[j] : most[at];
    }
  }
  free(row);
  return good;
}
