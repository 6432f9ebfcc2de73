#include "asymmetry.h"

#include <math.h>

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
