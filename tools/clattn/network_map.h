/* Parts of a run layer's matrices, computed on the device. */
#ifndef CLATTN_TOOLS_NETWORK_MAP_H
#define CLATTN_TOOLS_NETWORK_MAP_H

#include "network.h"

/* The range of a head's matrix, summed up in tiles: sum and largest of each; either may be NULL. Not of the
 * antisymmetric part, which is of two ranges. Plans and the layer's buffers are kept for the next call. */
bool network_map_run(network *n, int layer, int64_t head, network_quantity quantity, network_range range,
                     int64_t tile_rows, int64_t tile_keys, float *sum, float *most, st_error *error);

void network_map_free(network *n);

#endif
