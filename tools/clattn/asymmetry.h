/* How far from symmetric a square matrix is: the norm of its antisymmetric part over the norm of the whole. 0 is
 * symmetric, 1 is antisymmetric, a random matrix is near 0.71. A matrix of zeros has none: NaN. */
#ifndef CLATTN_TOOLS_ASYMMETRY_H
#define CLATTN_TOOLS_ASYMMETRY_H

#include <stdbool.h>
#include <stdint.h>

/* Of an n x n matrix, row-major. */
double asymmetry_share(const float *a, int64_t n);

/* Of W_Q^T W_K of every query head, shares[hq], without forming these E x E matrices. w_q is [hq*dk, e], w_k is
 * [hk*dk, e]; head h uses key head h / (hq/hk). False when memory is short. */
bool asymmetry_of_operators(const double *w_q, const double *w_k, int64_t hq, int64_t hk, int64_t dk, int64_t e,
                            double *shares);

#endif
