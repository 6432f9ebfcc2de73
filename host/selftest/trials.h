/* The small problems of the selftest and their answers. */
#ifndef CA_SELFTEST_TRIALS_H
#define CA_SELFTEST_TRIALS_H

#include <stdbool.h>

#include "clattn/clattn.h"

enum { CA_TRIAL_NO_MASK, CA_TRIAL_BOOL, CA_TRIAL_ADDITIVE };

/* What is special about a problem; every row of the mask but each third leaves something to attend. */
typedef struct ca_trial {
  int64_t b, hq, hk, sq, sk, dk, dv, past;
  int32_t dtype, mask;
  bool causal, wild;      /* wild: keys and values that nobody attends hold no numbers */
  int64_t left;           /* window to the left; -1: unbounded */
  double softcap, spread; /* spread: the largest |q| */
} ca_trial;

/* Trial number `index`; false past the last. */
bool ca_trial_at(int index, ca_trial *trial);

/* The trial's tensors on the host, and what must come out. */
typedef struct ca_trial_data {
  ca_trial trial;
  char text[160]; /* the problem, as the command takes it */
  void *q, *k, *v, *past_k, *past_v, *mask;
  void *y; /* a result goes here */
  float *lse;
  double *want_y, *allowed_y, *want_lse, *allowed_lse;
} ca_trial_data;

/* Makes it all; false: no memory. Freed in any case by ca_trial_free. */
bool ca_trial_make(const ca_trial *trial, ca_trial_data *data);
void ca_trial_free(ca_trial_data *data);

/* The largest error of y and lse as a share of what is allowed; infinity where a result is no number. */
double ca_trial_error(const ca_trial_data *data);

#endif
