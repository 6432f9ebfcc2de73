/* Two that were timed turn by turn: whether one is faster by more than noise. */
#ifndef CLATTN_TOOLS_TURNS_H
#define CLATTN_TOOLS_TURNS_H

#include <stdbool.h>

/* By the medians by this factor, and in this share of the rounds. */
#define TURNS_LEAST_GAIN 1.02
#define TURNS_LEAST_SHARE 0.75

typedef struct turns {
  const double *ms; /* one a round */
  double median_ms;
} turns;

bool turns_are_faster(turns one, turns other, int rounds);

#endif
