#include "compare.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clattn/clattn.h"

static double default_tolerance(st_type type) { return type == ST_F16 ? 2e-3 : type == ST_BF16 ? 1.6e-2 : 4e-6; }

static double *as_doubles(const st_tensor *tensor, size_t n)
{
  double *out = malloc(n ? n * sizeof *out : 1);
  if (out && clattn_convert(CLATTN_F64, out, (clattn_dtype)st_type_dtype(tensor->type), tensor->data, n) != CLATTN_OK) {
    free(out);
    return NULL;
  }
  return out;
}

/* Distance of one element: NaN matches NaN, an infinity only itself. */
static double distance(double x, double e)
{
  if (isnan(x) && isnan(e)) return 0.0;
  if (isnan(x) || isnan(e)) return INFINITY;
  if (isinf(x) || isinf(e)) return x == e ? 0.0 : INFINITY;
  return fabs(x - e);
}

/* "[0,3,1]" of a flat index. */
static st_shape_text position(const st_tensor *tensor, size_t flat)
{
  int64_t index[ST_MAX_RANK] = {0};
  for (int i = tensor->rank - 1; i >= 0; i--) {
    index[i] = (int64_t)(flat % (size_t)tensor->dim[i]);
    flat /= (size_t)tensor->dim[i];
  }
  return st_show_shape(tensor->rank, index);
}

static void compare_numbers(const st_tensor *result, const double *x, const double *e, size_t n, comparison *out)
{
  double largest = 1.0, worst = -1.0;
  size_t at = 0;
  for (size_t i = 0; i < n; i++) {
    const double d = distance(x[i], e[i]);
    if (isfinite(e[i]) && fabs(e[i]) > largest) largest = fabs(e[i]);
    if (d > worst) {
      worst = d;
      at = i;
    }
  }
  out->error = n ? worst / largest : 0.0;
  out->good = out->error <= out->limit;
  if (!out->good)
    snprintf(out->why, sizeof out->why, "element %s is %.9g, expected %.9g", position(result, at).text, x[at], e[at]);
}

comparison compare_tensors(const st_tensor *result, const st_tensor *expected, double tolerance)
{
  comparison out = {.error = INFINITY, .limit = isnan(tolerance) ? default_tolerance(result->type) : tolerance};
  if (result->rank != expected->rank || memcmp(result->dim, expected->dim, sizeof result->dim) != 0) {
    snprintf(out.why, sizeof out.why, "shape %.110s, expected %.110s", st_show_shape(result->rank, result->dim).text,
             st_show_shape(expected->rank, expected->dim).text);
    return out;
  }
  const size_t n = result->bytes / st_type_bytes(result->type);
  double *x = as_doubles(result, n), *e = as_doubles(expected, n);
  if (x && e)
    compare_numbers(result, x, e, n, &out);
  else
    snprintf(out.why, sizeof out.why, "type %s, expected %s: no numbers to compare, or no memory",
             st_type_name(result->type), st_type_name(expected->type));
  free(x);
  free(e);
  return out;
}
