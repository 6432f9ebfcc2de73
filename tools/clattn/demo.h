/* The demonstration: what it computed, and how it is shown. */
#ifndef CLATTN_TOOLS_DEMO_H
#define CLATTN_TOOLS_DEMO_H

#include "device_run.h"
#include "layer.h"

/* Everything that is shown, on the host. */
typedef struct demo_result {
  float *a;                  /* [HQ,S,S]: scaled scores before the mask */
  float *p;                  /* [HQ,S,S]: probabilities */
  double *a_share;           /* [HQ]: asymmetry of A */
  double *w_share;           /* [HQ]: of W_Q^T W_K */
  double symmetric_share[2]; /* largest over the heads with W_K := W_Q: [0] with rotation, [1] without */
  double open_ms, stages_ms, total_ms;
  int n_layer_stages; /* of the device's stages: those of the layer; the others belong to the symmetry check */
} demo_result;

enum { DEMO_STAGES = 13 };

/* Where float32 rounding ends and a fault begins. */
#define DEMO_SYMMETRIC_LIMIT 1e-6

bool demo_run(device *d, const layer *l, demo_result *out, st_error *error);
void demo_free(demo_result *result);

bool demo_show(const device *d, const layer *l, const demo_result *result, bool json, st_error *error);

#endif
