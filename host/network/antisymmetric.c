/* With M = X Y^T, of n rows of d numbers each:
 *   |M|^2 = <X^T X, Y^T Y>,   tr M^2 = tr((Y^T X)^2),
 *   |(M - M^T)/2|^2 / |M|^2 = (|M|^2 - tr M^2) / (2 |M|^2):
 * everything is d x d, summed over blocks of rows. */
#include <math.h>
#include <stdlib.h>

#include "ca_network.h"
#include "numbers.h"

#define BLOCK_ROWS 64

/* Rows first, first + 1, ... as double, dense. */
static void load(const ca_rows *rows, int64_t first, int64_t count, int64_t d, double *restrict to)
{
  for (int64_t i = 0; i < count; i++)
    for (int64_t c = 0; c < d; c++)
      to[i * d + c] =
          ca_number_load(rows->dtype, rows->data, rows->begin + (first + i) * rows->row_stride + c * rows->stride);
}

/* sum[d,d] += a^T b over `count` rows. */
static void add_product(const double *restrict a, const double *restrict b, int64_t count, int64_t d,
                        double *restrict sum)
{
  for (int64_t c = 0; c < d; c++) {
    double *restrict row = sum + c * d;
    for (int64_t i = 0; i < count; i++) {
      const double factor = a[i * d + c];
      const double *restrict other = b + i * d;
      for (int64_t e = 0; e < d; e++) row[e] += factor * other[e];
    }
  }
}

/* Sum of a_ij b_ij, and of a_ij a_ji. */
static double inner(const double *a, const double *b, int64_t d)
{
  double sum = 0.0;
  for (int64_t i = 0; i < d * d; i++) sum += a[i] * b[i];
  return sum;
}

static double trace_of_square(const double *a, int64_t d)
{
  double sum = 0.0;
  for (int64_t i = 0; i < d; i++)
    for (int64_t j = 0; j < d; j++) sum += a[i * d + j] * a[j * d + i];
  return sum;
}

clattn_status ca_antisymmetric_share(const ca_rows *x, const ca_rows *y, int64_t n, int64_t d, double *share,
                                     clattn_report *report)
{
  const size_t square = (size_t)(d * d), block = (size_t)(BLOCK_ROWS * d);
  double *numbers = calloc(3 * square + 2 * block + 1, sizeof *numbers);
  if (!numbers)
    return ca_fail(report, CLATTN_OUT_OF_HOST_MEMORY, "no memory for products of %lld channels", (long long)d);
  double *const x_x = numbers, *const y_y = x_x + square, *const y_x = y_y + square, *const x_block = y_x + square;
  double *const y_block = x_block + block;
  for (int64_t first = 0; first < n; first += BLOCK_ROWS) {
    const int64_t count = n - first < BLOCK_ROWS ? n - first : BLOCK_ROWS;
    load(x, first, count, d, x_block);
    load(y, first, count, d, y_block);
    add_product(x_block, x_block, count, d, x_x);
    add_product(y_block, y_block, count, d, y_y);
    add_product(y_block, x_block, count, d, y_x);
  }
  const double whole = inner(x_x, y_y, d), anti = 0.5 * (whole - trace_of_square(y_x, d));
  *share = sqrt((anti < 0.0 ? 0.0 : anti) / whole); /* rounding may leave it below zero */
  free(numbers);
  return CLATTN_OK;
}

clattn_status ca_network_operators(const ca_tensor w[2], const void *const data[2], int64_t hq, int64_t hk,
                                   double *share, clattn_report *report)
{
  const int64_t dk = w[0].dim[0] / hq, e = w[0].dim[1];
  for (int64_t h = 0; h < hq; h++) {
    const int64_t first[2] = {h * dk, h / (hq / hk) * dk};
    ca_rows rows[2];
    for (int i = 0; i < 2; i++) /* a row is an input's: the operator's column */
      rows[i] = (ca_rows){data[i], w[i].dtype, first[i] * w[i].stride[0], w[i].stride[1], w[i].stride[0]};
    CA_TRY(ca_antisymmetric_share(&rows[0], &rows[1], e, dk, &share[h], report));
  }
  return CLATTN_OK;
}
