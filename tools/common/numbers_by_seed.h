/* Numbers that are the same on every machine, by a seed. */
#ifndef CLATTN_TOOLS_NUMBERS_BY_SEED_H
#define CLATTN_TOOLS_NUMBERS_BY_SEED_H

#include <stdint.h>

/* SplitMix64 (Steele, Lea, Flood 2014). */
static inline uint64_t next_word(uint64_t *state)
{
  uint64_t z = *state += 0x9E3779B97F4A7C15u;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
  z = (z ^ z >> 27) * 0x94D049BB133111EBu;
  return z ^ z >> 31;
}

/* The sum of three uniform numbers of [-1,1): bell-shaped, variance 1, and exact, so no machine's libm enters. */
static inline double next_number(uint64_t *state)
{
  const uint64_t word = next_word(state);
  const int32_t a = (int32_t)(word & 0xFFFFF), b = (int32_t)(word >> 20 & 0xFFFFF), c = (int32_t)(word >> 40 & 0xFFFFF);
  return (double)(a + b + c - 3 * 0x80000) / (double)0x80000;
}

/* Each tensor has a stream of its own, so that one more tensor changes no other. */
static inline uint64_t stream_of(uint64_t seed, const char *name)
{
  for (; *name; name++) seed = next_word(&seed) ^ (unsigned char)*name;
  return seed;
}

#endif
