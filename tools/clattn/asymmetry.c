/* With M = W_Q^T W_K:
 *   |M|^2 = <W_Q W_Q^T, W_K W_K^T>,   tr M^2 = tr((W_K W_Q^T)^2),
 *   |(M - M^T)/2|^2 / |M|^2 = (|M|^2 - tr M^2) / (2 |M|^2):
 * everything is DK x DK. */
#include "asymmetry.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

double asymmetry_share(const float *a, int64_t n)
{
  double whole = 0.0, anti = 0.0;
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < n; j++) {
      const double x = (double)a[i * n + j], y = (double)a[j * n + i];
      whole += x * x;
      anti += 0.25 * (x - y) * (x - y);
    }
  return sqrt(anti / whole);
}

/* c[dk,dk] = a[dk,e] b^T, with b given transposed as [e,dk]: the inner loop runs along memory. */
static void product(const double *restrict a, const double *restrict b_transposed, int64_t dk, int64_t e,
                    double *restrict c)
{
  memset(c, 0, (size_t)(dk * dk) * sizeof *c);
  for (int64_t i = 0; i < dk; i++) {
    double *restrict row = c + i * dk;
    for (int64_t k = 0; k < e; k++) {
      const double x = a[i * e + k];
      const double *restrict y = b_transposed + k * dk;
      for (int64_t j = 0; j < dk; j++) row[j] += x * y[j];
    }
  }
}

static void transpose(const double *a, int64_t rows, int64_t columns, double *out)
{
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < columns; j++) out[j * rows + i] = a[i * columns + j];
}

/* Sum of a_ij b_ij, and of a_ij a_ji. */
static double inner(const double *a, const double *b, int64_t n)
{
  double sum = 0.0;
  for (int64_t i = 0; i < n * n; i++) sum += a[i] * b[i];
  return sum;
}

static double trace_of_square(const double *a, int64_t n)
{
  double sum = 0.0;
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < n; j++) sum += a[i * n + j] * a[j * n + i];
  return sum;
}

bool asymmetry_of_operators(const double *w_q, const double *w_k, int64_t hq, int64_t hk, int64_t dk, int64_t e,
                            double *shares)
{
  const int64_t square = dk * dk;
  double *block = malloc((size_t)(3 * square + dk * e) * sizeof *block);
  if (!block) return false;
  double *const k_k = block, *const q_q = block + square, *const k_q = block + 2 * square;
  double *const transposed = block + 3 * square;
  for (int64_t h = 0; h < hq; h++) {
    const int64_t key_head = h / (hq / hk);
    const double *q = w_q + h * dk * e, *k = w_k + key_head * dk * e;
    if (h % (hq / hk) == 0) {
      transpose(k, dk, e, transposed);
      product(k, transposed, dk, e, k_k);
    }
    transpose(q, dk, e, transposed);
    product(q, transposed, dk, e, q_q);
    product(k, transposed, dk, e, k_q);
    const double whole = inner(q_q, k_k, dk), anti = 0.5 * (whole - trace_of_square(k_q, dk));
    shares[h] = sqrt((anti > 0.0 ? anti : 0.0) / whole); /* rounding may leave it below zero */
  }
  free(block);
  return true;
}
