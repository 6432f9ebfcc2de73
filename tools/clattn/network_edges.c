#include "network_edges.h"

#include <math.h>
#include <stdlib.h>

typedef struct collector {
  network_edge_list *list;
  size_t room;
  int64_t keys, top;
  double threshold;
} collector;

static bool append(collector *c, network_edge edge)
{
  network_edge_list *list = c->list;
  if (list->count == c->room) {
    const size_t more = c->room ? c->room * 2 : 256;
    network_edge *grown = realloc(list->edges, more * sizeof *grown);
    if (!grown) return false;
    list->edges = grown;
    c->room = more;
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
static bool take_row(void *user, int64_t query, const float *row)
{
  collector *c = user;
  network_edge_list *list = c->list;
  const size_t first = list->count;
  for (int64_t j = 0; j < c->keys; j++) {
    const float weight = row[j];
    if (weight == 0.0f || !isfinite(weight) || (double)fabsf(weight) < c->threshold) continue;
    if (!append(c, (network_edge){query, j, weight})) return false;
  }
  if (list->count == first) return true;
  qsort(list->edges + first, list->count - first, sizeof *list->edges, by_magnitude);
  if (c->top > 0 && list->count - first > (size_t)c->top) list->count = first + (size_t)c->top;
  return true;
}

bool network_edges(network *n, int layer, int64_t head, network_quantity quantity, int64_t top, double threshold,
                   network_edge_list *out, st_error *error)
{
  collector c = {.list = out, .keys = n->layers[layer].sk, .top = top, .threshold = threshold};
  *out = (network_edge_list){0};
  if (network_each_row(n, layer, head, quantity, take_row, &c, error)) return true;
  network_edges_free(out);
  return false;
}

void network_edges_free(network_edge_list *list)
{
  free(list->edges);
  *list = (network_edge_list){0};
}
