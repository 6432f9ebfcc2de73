/* The projections of a layer. */
#ifndef CLATTN_TOOLS_PROJECTIONS_H
#define CLATTN_TOOLS_PROJECTIONS_H

#include "device_run.h"
#include "layer.h"

/* One projection, planned and added; y becomes a new buffer of the view's size. */
typedef struct projection_request {
  const char *stage, *variant;
  clattn_tensor x, y;
  cl_mem x_mem;
  layer_role w, bias;
  bool rotate;
} projection_request;
bool projection_add(device *d, const layer *l, const projection_request *request, cl_mem *y, st_error *error);

/* Q, K and V of a projected layer as y: one stage, or, with I_kv, that of Q and that of K and V; mem become new
 * buffers. */
bool projections_all(device *d, const layer *l, const char *variant, const clattn_tensor y[3], cl_mem *const mem[3],
                     st_error *error);

#endif
