/* The edges of a head that a picture shows: of each query the strongest, or all above a threshold. */
#ifndef CLATTN_TOOLS_NETWORK_EDGES_H
#define CLATTN_TOOLS_NETWORK_EDGES_H

#include "network.h"

typedef struct network_edge {
  int64_t query, key; /* indices into the layer's tokens */
  float weight;       /* never 0; negative ones occur in scores */
} network_edge;

typedef struct network_edge_list {
  network_edge *edges; /* by query, then by falling magnitude */
  size_t count;
} network_edge_list;

/* Of an antisymmetric part only the direction that has more. Of each query at most `top` edges (0: no limit) whose
 * magnitude is at least `threshold`. */
bool network_edges(network *n, int layer, int64_t head, network_quantity quantity, int64_t top, double threshold,
                   network_edge_list *out, st_error *error);
void network_edges_free(network_edge_list *list);

#endif
