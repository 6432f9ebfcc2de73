/* Blocks of a head's matrix, and sums over its tiles: of a layer that was run by the device, of a bare one out of what
 * it holds. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "network_map.h"

bool network_can_show(const network_layer *l, network_quantity quantity)
{
  const bool square = l->sq == l->sk;
  if (l->bare)
    return quantity == l->bare_is || (quantity == NETWORK_ANTISYMMETRIC && l->bare_is == NETWORK_A && square);
  return quantity != NETWORK_ANTISYMMETRIC || square;
}

network_quantity network_default_quantity(const network_layer *l) { return l->bare ? l->bare_is : NETWORK_P; }

/* Where the one or the other is not attended, neither is their difference. */
static float antisymmetric(float there, float back)
{
  return isfinite(there) && isfinite(back) ? (float)(0.5 * ((double)there - (double)back)) : -INFINITY;
}

static void bare_block(const network_layer *l, int64_t head, network_quantity quantity, network_range range, float *out)
{
  const float *matrix = l->bare + head * l->sq * l->sk;
  for (int64_t i = 0; i < range.rows; i++) {
    const float *row = matrix + (range.row + i) * l->sk + range.key;
    float *to = out + i * range.keys;
    memcpy(to, row, (size_t)range.keys * sizeof *to);
    if (quantity != NETWORK_ANTISYMMETRIC) continue;
    for (int64_t j = 0; j < range.keys; j++)
      to[j] = antisymmetric(row[j], matrix[(range.key + j) * l->sk + range.row + i]);
  }
}

/* Of two blocks of A, the one across the diagonal from the other. */
static bool antisymmetric_block(network *n, int layer, int64_t head, network_range range, float *out, st_error *error)
{
  const network_range across = {range.key, range.keys, range.row, range.rows};
  float *back = malloc((size_t)(range.rows * range.keys) * sizeof *back);
  const bool good = (back || st_fail(error, "out of memory")) &&
                    network_map_run(n, layer, head, NETWORK_A, range, 1, 1, out, NULL, error) &&
                    network_map_run(n, layer, head, NETWORK_A, across, 1, 1, back, NULL, error);
  for (int64_t i = 0; i < range.rows && good; i++)
    for (int64_t j = 0; j < range.keys; j++)
      out[i * range.keys + j] = antisymmetric(out[i * range.keys + j], back[j * range.rows + i]);
  free(back);
  return good;
}

bool network_block(network *n, int layer, int64_t head, network_quantity quantity, network_range range, float *out,
                   st_error *error)
{
  const network_layer *l = &n->layers[layer];
  if (!network_can_show(l, quantity))
    return st_fail(error, "%s: %s cannot be shown of it", l->name, network_quantity_text(quantity));
  if (range.rows < 1 || range.keys < 1) return true;
  if (!l->bare && quantity == NETWORK_ANTISYMMETRIC) return antisymmetric_block(n, layer, head, range, out, error);
  if (!l->bare) return network_map_run(n, layer, head, quantity, range, 1, 1, out, NULL, error);
  bare_block(l, head, quantity, range, out);
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

/* The rows of a matrix that go by, summed up in tiles. */
typedef struct pooling {
  int64_t rows, keys, tile_rows, tile_keys, across;
  float *sum, *most;
  double *sums; /* of the row of tiles that goes by */
} pooling;

static bool pool_row(void *user, int64_t query, const float *row)
{
  pooling *p = user;
  const int64_t first = query / p->tile_rows * p->across;
  const bool begins = query % p->tile_rows == 0,
             ends = query % p->tile_rows == p->tile_rows - 1 || query == p->rows - 1;
  for (int64_t tile = 0; tile < p->across; tile++) {
    const int64_t end = (tile + 1) * p->tile_keys < p->keys ? (tile + 1) * p->tile_keys : p->keys;
    double sum = begins ? -INFINITY : p->sums[tile]; /* of nothing but -inf, as on the device */
    float most = begins || !p->most ? -INFINITY : p->most[first + tile];
    for (int64_t j = tile * p->tile_keys; j < end; j++) {
      if (row[j] > most) most = row[j];
      if (row[j] > -INFINITY) sum = (sum > -INFINITY ? sum : 0.0) + (double)row[j];
    }
    p->sums[tile] = sum;
    if (p->most) p->most[first + tile] = most;
    if (p->sum && ends) p->sum[first + tile] = (float)sum;
  }
  return true;
}

bool network_pool(network *n, int layer, int64_t head, network_quantity quantity, int64_t tile_rows, int64_t tile_keys,
                  float *sum, float *most, st_error *error)
{
  const network_layer *l = &n->layers[layer];
  const network_range all = {0, l->sq, 0, l->sk};
  if (!l->bare && quantity != NETWORK_ANTISYMMETRIC)
    return network_map_run(n, layer, head, quantity, all, tile_rows, tile_keys, sum, most, error);
  pooling p = {l->sq, l->sk, tile_rows, tile_keys, (l->sk + tile_keys - 1) / tile_keys, sum, most, NULL};
  p.sums = malloc((size_t)p.across * sizeof *p.sums);
  const bool good =
      (p.sums || st_fail(error, "out of memory")) && network_each_row(n, layer, head, quantity, pool_row, &p, error);
  free(p.sums);
  return good;
}
