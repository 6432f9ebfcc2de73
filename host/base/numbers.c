#include "numbers.h"

#include <string.h>

bool ca_dtype_is_float(int32_t dtype)
{
  return dtype == CLATTN_F32 || dtype == CLATTN_F16 || dtype == CLATTN_BF16 || dtype == CLATTN_F64;
}

static double half_to_double(uint16_t h)
{
  const int exponent = (h >> 10) & 31, mantissa = h & 1023;
  double value;
  if (exponent == 31)
    value = mantissa ? (double)NAN : (double)INFINITY;
  else if (exponent == 0)
    value = ldexp(mantissa, -24);
  else
    value = ldexp(1024 + mantissa, exponent - 25);
  return h & 0x8000 ? -value : value;
}

/* Rounds |value| to a binary format of `bits` mantissa bits whose smallest normal is 2^min_exponent: nearest even is
 * what nearbyint does in the default rounding mode once the value is scaled so that its last place is one. */
static double round_to_format(double value, int bits, int min_exponent)
{
  int exponent;
  frexp(value, &exponent);
  exponent -= 1; /* value = 1.xxx * 2^exponent */
  if (exponent < min_exponent) exponent = min_exponent;
  return ldexp(nearbyint(ldexp(value, bits - exponent)), exponent - bits);
}

static uint16_t double_to_half(double value)
{
  const uint16_t sign = signbit(value) ? 0x8000 : 0;
  if (isnan(value)) return sign | 0x7e00;
  const double size = round_to_format(fabs(value), 10, -14);
  if (size == 0.0) return sign;
  if (size >= 65536.0) return sign | 0x7c00;
  if (size < 0x1p-14) return (uint16_t)(sign | (uint16_t)ldexp(size, 24));
  int exponent;
  const double fraction = frexp(size, &exponent); /* [0.5, 1) */
  return (uint16_t)(sign | ((exponent + 14) << 10) | ((int)ldexp(fraction, 11) - 1024));
}

static double bfloat_to_double(uint16_t b)
{
  const uint32_t bits = (uint32_t)b << 16;
  float value;
  memcpy(&value, &bits, sizeof value);
  return (double)value;
}

/* Rounded once: going through float first would round a double twice. */
static uint16_t double_to_bfloat(double value)
{
  const uint16_t sign = signbit(value) ? 0x8000 : 0;
  if (isnan(value)) return sign | 0x7fc0;
  const double size = round_to_format(fabs(value), 7, -126);
  if (size >= 0x1p128) return sign | 0x7f80;
  const float exact = (float)size;
  uint32_t bits;
  memcpy(&bits, &exact, sizeof bits);
  return (uint16_t)(sign | (bits >> 16));
}

double ca_number_load(int32_t dtype, const void *array, int64_t i)
{
  switch (dtype) {
  case CLATTN_F32:
    return (double)((const float *)array)[i];
  case CLATTN_F64:
    return ((const double *)array)[i];
  case CLATTN_F16:
    return half_to_double(((const uint16_t *)array)[i]);
  case CLATTN_BF16:
    return bfloat_to_double(((const uint16_t *)array)[i]);
  default:
    return (double)NAN;
  }
}

void ca_number_store(int32_t dtype, void *array, int64_t i, double value)
{
  switch (dtype) {
  case CLATTN_F32:
    ((float *)array)[i] = (float)value;
    break;
  case CLATTN_F64:
    ((double *)array)[i] = value;
    break;
  case CLATTN_F16:
    ((uint16_t *)array)[i] = double_to_half(value);
    break;
  case CLATTN_BF16:
    ((uint16_t *)array)[i] = double_to_bfloat(value);
    break;
  default:
    break;
  }
}
