/* Whether a result is what was expected. */
#ifndef CLATTN_TOOLS_COMPARE_H
#define CLATTN_TOOLS_COMPARE_H

#include "safetensors.h"

typedef struct comparison {
  bool good;
  double error; /* max |x - e| / max(1, largest finite |e|); infinite where infinities or NaN do not match */
  double limit;
  char why[256]; /* where not good: the worst element, or the shapes */
} comparison;

/* tolerance: NaN for the result type's own, 4e-6 (float32, float64), 2e-3 (float16), 1.6e-2 (bfloat16). */
comparison compare_tensors(const st_tensor *result, const st_tensor *expected, double tolerance);

#endif
