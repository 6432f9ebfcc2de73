#include "turns.h"

bool turns_are_faster(turns one, turns other, int rounds)
{
  int faster = 0;
  for (int round = 0; round < rounds; round++) faster += one.ms[round] < other.ms[round];
  return other.median_ms > TURNS_LEAST_GAIN * one.median_ms && faster >= TURNS_LEAST_SHARE * rounds;
}
