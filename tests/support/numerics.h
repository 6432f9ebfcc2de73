/* Numbers for tests: storage types seen as doubles, and random values that every machine repeats. Written apart from
 * host/base/numbers.c, so that one can find the other's mistakes. */
#ifndef TESTS_NUMERICS_H
#define TESTS_NUMERICS_H

#include <stddef.h>
#include <stdint.h>

#include "clattn/types.h"

size_t number_bytes(int32_t dtype);

/* Element i of an array. Bool is 0 or 1, int64 its value. */
double number_load(int32_t dtype, const void *array, int64_t i);

/* Stores with one rounding to nearest even. */
void number_store(int32_t dtype, void *array, int64_t i, double value);

/* What `value` becomes when stored. */
double number_round(int32_t dtype, double value);

/* The largest error of storing a value of this size: half a unit in the last place. */
double number_half_ulp(int32_t dtype, double magnitude);

/* splitmix64: the same sequence from the same seed everywhere. */
typedef struct random_state {
  uint64_t at;
} random_state;
uint64_t random_bits(random_state *r);
double random_unit(random_state *r);                                      /* [-1, 1) */
int64_t random_between(random_state *r, int64_t lowest, int64_t highest); /* both included */

#endif
