/* 64-bit arithmetic on sizes: values are never negative; false means overflow and leaves *out alone. */
#ifndef CA_BASE_ARITH_H
#define CA_BASE_ARITH_H

#include <stdbool.h>
#include <stdint.h>

static inline bool ca_add(int64_t a, int64_t b, int64_t *out)
{
  if (a > INT64_MAX - b) return false;
  *out = a + b;
  return true;
}

static inline bool ca_mul(int64_t a, int64_t b, int64_t *out)
{
  if (a != 0 && b > INT64_MAX / a) return false;
  *out = a * b;
  return true;
}

/* How many pieces of this size hold n. */
static inline int64_t ca_divide_up(int64_t n, int64_t by) { return n / by + (n % by != 0); }

#endif
