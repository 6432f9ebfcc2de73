#include "numerics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

size_t number_bytes(int32_t dtype)
{
  switch (dtype) {
  case CLATTN_F32:
    return 4;
  case CLATTN_F16:
    return 2;
  case CLATTN_BF16:
    return 2;
  case CLATTN_F64:
    return 8;
  case CLATTN_BOOL:
    return 1;
  case CLATTN_I64:
    return 8;
  default:
    return 0;
  }
}

/* A 16-bit float by its definition: sign, exponent and fraction of the given widths. */
static double decode16(uint16_t bits, int fraction_bits)
{
  const int exponent_bits = 15 - fraction_bits;
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const int exponent = (bits >> fraction_bits) & ((1 << exponent_bits) - 1);
  const int fraction = bits & ((1 << fraction_bits) - 1);
  const double sign = bits & 0x8000 ? -1.0 : 1.0;
  if (exponent == (1 << exponent_bits) - 1) return fraction ? (double)NAN : sign * (double)INFINITY;
  if (exponent == 0) return sign * ldexp(fraction, 1 - bias - fraction_bits);
  return sign * ldexp(fraction + (1 << fraction_bits), exponent - bias - fraction_bits);
}

static uint16_t encode16(double value, int fraction_bits)
{
  const int exponent_bits = 15 - fraction_bits;
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const int top = (1 << exponent_bits) - 1;
  const uint16_t sign = signbit(value) ? 0x8000 : 0;
  if (isnan(value)) return (uint16_t)(sign | (top << fraction_bits) | (1 << (fraction_bits - 1)));
  if (isinf(value)) return (uint16_t)(sign | (top << fraction_bits));
  if (value == 0.0) return sign;
  int exponent;
  frexp(fabs(value), &exponent); /* |value| = m 2^exponent, m in [0.5, 1) */
  exponent -= 1;
  if (exponent < 1 - bias) exponent = 1 - bias;
  const double units = nearbyint(ldexp(fabs(value), fraction_bits - exponent)); /* the default mode: to even */
  /* A carry into the next binade or out of the subnormals comes out right by adding. */
  const double code = units + ldexp(exponent + bias - 1, fraction_bits);
  if (code >= ldexp(top, fraction_bits)) return (uint16_t)(sign | (top << fraction_bits));
  return (uint16_t)(sign | (uint16_t)code);
}

double number_load(int32_t dtype, const void *array, int64_t i)
{
  const unsigned char *at = (const unsigned char *)array + (size_t)i * number_bytes(dtype);
  float f32;
  double f64;
  int64_t i64;
  uint16_t bits;
  switch (dtype) {
  case CLATTN_F32:
    memcpy(&f32, at, sizeof f32);
    return (double)f32;
  case CLATTN_F16:
    memcpy(&bits, at, sizeof bits);
    return decode16(bits, 10);
  case CLATTN_BF16:
    memcpy(&bits, at, sizeof bits);
    return decode16(bits, 7);
  case CLATTN_F64:
    memcpy(&f64, at, sizeof f64);
    return f64;
  case CLATTN_BOOL:
    return *at ? 1.0 : 0.0;
  case CLATTN_I64:
    memcpy(&i64, at, sizeof i64);
    return (double)i64;
  default:
    abort();
  }
}

void number_store(int32_t dtype, void *array, int64_t i, double value)
{
  unsigned char *at = (unsigned char *)array + (size_t)i * number_bytes(dtype);
  const float f32 = dtype == CLATTN_F32 ? (float)value : 0.0f;
  const int64_t i64 = dtype == CLATTN_I64 ? (int64_t)value : 0;
  uint16_t bits;
  switch (dtype) {
  case CLATTN_F32:
    memcpy(at, &f32, sizeof f32);
    return;
  case CLATTN_F16:
    bits = encode16(value, 10);
    memcpy(at, &bits, sizeof bits);
    return;
  case CLATTN_BF16:
    bits = encode16(value, 7);
    memcpy(at, &bits, sizeof bits);
    return;
  case CLATTN_F64:
    memcpy(at, &value, sizeof value);
    return;
  case CLATTN_BOOL:
    *at = value != 0.0;
    return;
  case CLATTN_I64:
    memcpy(at, &i64, sizeof i64);
    return;
  default:
    abort();
  }
}

double number_round(int32_t dtype, double value)
{
  unsigned char bytes[8];
  number_store(dtype, bytes, 0, value);
  return number_load(dtype, bytes, 0);
}

double number_half_ulp(int32_t dtype, double magnitude)
{
  const double m = fabs(magnitude);
  switch (dtype) {
  case CLATTN_F16:
    return fmax(ldexp(m, -11), ldexp(1.0, -25));
  case CLATTN_BF16:
    return ldexp(m, -8);
  case CLATTN_F32:
    return ldexp(m, -24);
  default:
    return 0.0;
  }
}

uint64_t random_bits(random_state *r)
{
  uint64_t z = r->at += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

double random_unit(random_state *r) { return ldexp((double)(random_bits(r) >> 11), -52) - 1.0; }

int64_t random_between(random_state *r, int64_t lowest, int64_t highest)
{
  return lowest + (int64_t)(random_bits(r) % (uint64_t)(highest - lowest + 1));
}
