#include "network_edges.h"

#include <math.h>
#include <stdlib.h>

enum { FEW = 32 };

typedef struct collector {
  network_edge_list *list;
  size_t room;
  int64_t keys, top;
  double threshold;
  bool one_way; /* of an antisymmetric part: what is negative says the same of the other direction */
} collector;

static bool reserve(collector *c, size_t more)
{
  network_edge_list *list = c->list;
  if (c->room - list->count >= more) return true;
  const size_t room = list->count + more > 2 * c->room ? list->count + more : 2 * c->room;
  network_edge *grown = realloc(list->edges, room * sizeof *grown);
  if (!grown) return false;
  list->edges = grown;
  c->room = room;
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

/* Puts an edge among the strongest so far, which are in order. Of equal ones the earlier key stays before. */
static void put_in_order(network_edge *edges, size_t *count, size_t most, network_edge edge)
{
  size_t at = *count < most ? (*count)++ : most;
  for (; at > 0 && fabsf(edges[at - 1].weight) < fabsf(edge.weight); at--)
    if (at < most) edges[at] = edges[at - 1];
  if (at < most) edges[at] = edge;
}

/* The strongest few are kept in order as the row goes by; of more, all are put in order at its end. */
static bool take_row(void *user, int64_t query, const float *row)
{
  collector *c = user;
  const bool few = c->top > 0 && c->top <= FEW;
  if (!reserve(c, (size_t)(few ? c->top : c->keys))) return false;
  network_edge *edges = c->list->edges + c->list->count;
  size_t count = 0;
  for (int64_t j = 0; j < c->keys; j++) {
    const float weight = row[j];
    if (weight == 0.0f || !isfinite(weight) || (c->one_way && weight < 0.0f) || (double)fabsf(weight) < c->threshold)
      continue;
    if (few)
      put_in_order(edges, &count, (size_t)c->top, (network_edge){query, j, weight});
    else
      edges[count++] = (network_edge){query, j, weight};
  }
  if (!few) qsort(edges, count, sizeof *edges, by_magnitude);
  if (c->top > 0 && count > (size_t)c->top) count = (size_t)c->top;
  c->list->count += count;
  return true;
}

bool network_edges(network *n, int layer, int64_t head, network_quantity quantity, int64_t top, double threshold,
                   network_edge_list *out, st_error *error)
{
  collector c = {.list = out,
                 .keys = n->layers[layer].sk,
                 .top = top,
                 .threshold = threshold,
                 .one_way = quantity == NETWORK_ANTISYMMETRIC};
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
