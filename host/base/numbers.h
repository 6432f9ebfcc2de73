/* Conversion between storage types on the host: IEEE half, bfloat16, float, double; nearest even. */
#ifndef CA_BASE_NUMBERS_H
#define CA_BASE_NUMBERS_H

#include <stdbool.h>

#include "problem.h"

/* Element i of an array of a float type, as double; its counterpart stores one. */
double ca_number_load(int32_t dtype, const void *array, int64_t i);
void ca_number_store(int32_t dtype, void *array, int64_t i, double value);

/* f32, f16, bf16 or f64. */
bool ca_dtype_is_float(int32_t dtype);

#endif
