/* What makes a layer of a network, whatever its numbers come from. */
#ifndef CLATTN_TOOLS_NETWORK_LAYER_H
#define CLATTN_TOOLS_NETWORK_LAYER_H

#include "network.h"

/* A new layer at the end: network_free frees whatever it holds. NULL: out of memory. */
network_layer *network_new_layer(network *n, const char *path, int64_t batch);

bool network_check_batch(int64_t batch, int64_t b, st_error *error);

/* The layer's name, labels and tokens, and what every head has; sizes are known, and checked. */
bool network_name_layer(network_layer *l, const st_file *file, st_error *error);

#endif
