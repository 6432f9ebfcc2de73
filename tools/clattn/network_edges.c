#include "network_edges.h"

#include <math.h>
#include <stdlib.h>

enum { CELLS_AT_ONCE = 1 << 20 };

static bool append(network_edge_list *list, size_t *room, network_edge edge)
{
  if (list->count == *room) {
    const size_t more = *room ? *room * 2 : 256;
    network_edge *grown = realloc(list->edges, more * sizeof *grown);
    if (!grown) return false;
    list->edges = grown;
    *room = more;
  }
  list->edges[list->count++] = edge;
  return true;
}

/* Stronger first; of equal ones the earlier key, so that a picture is the same each time. */
static int by_magnitude(const void *a, const void *b)
{
  const network_edge *x = a, *y = b;
  const float p = fabsf(x->weight), q = fabsf(y->weight);
  if (p != q) return p < q ? 1 : -1;
  return (x->key > y->key) - (x->key < y->key);
}

/* A row's edges go to the end of the list, are put in order there, and the weakest are cut off again. */
static bool take_row(network_edge_list *list, size_t *room, int64_t query, const float *row, int64_t keys, int64_t top,
                     double threshold)
{
  const size_t first = list->count;
  for (int64_t j = 0; j < keys; j++) {
    const float weight = row[j];
    if (weight == 0.0f || !isfinite(weight) || (double)fabsf(weight) < threshold) continue;
    if (!append(list, room, (network_edge){query, j, weight})) return false;
  }
  if (list->count == first) return true;
  qsort(list->edges + first, list->count - first, sizeof *list->edges, by_magnitude);
  if (top > 0 && list->count - first > (size_t)top) list->count = first + (size_t)top;
  return true;
}

bool network_edges(network *n, int layer, int64_t head, network_quantity quantity, int64_t top, double threshold,
                   network_edge_list *out, st_error *error)
{
  const network_layer *l = &n->layers[layer];
  const int64_t at_once = l->sk < CELLS_AT_ONCE ? CELLS_AT_ONCE / (l->sk ? l->sk : 1) : 1;
  size_t room = 0;
  *out = (network_edge_list){0};
  float *block = malloc((size_t)at_once * (size_t)(l->sk ? l->sk : 1) * sizeof *block);
  bool good = block || st_fail(error, "out of memory");
  for (int64_t row = 0; row < l->sq && good; row += at_once) {
    const int64_t rows = l->sq - row < at_once ? l->sq - row : at_once;
    good = network_block(n, layer, head, quantity, (network_range){row, rows, 0, l->sk}, block, error);
    for (int64_t i = 0; i < rows && good; i++)
      good = take_row(out, &room, row + i, block + i * l->sk, l->sk, top, threshold) || st_fail(error, "out of memory");
  }
  free(block);
  if (!good) network_edges_free(out);
  return good;
}

void network_edges_free(network_edge_list *list)
{
  free(list->edges);
  *list = (network_edge_list){0};
}
