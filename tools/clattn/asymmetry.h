/* How far from symmetric a square matrix is: the norm of its antisymmetric part over the norm of the whole. 0 is
 * symmetric, 1 is antisymmetric, a random matrix is near 0.71. A matrix of zeros has none: NaN. */
#ifndef CLATTN_TOOLS_ASYMMETRY_H
#define CLATTN_TOOLS_ASYMMETRY_H

#include <stdint.h>

/* Of an n x n matrix, row-major. */
double asymmetry_share(const float *a, int64_t n);

#endif
