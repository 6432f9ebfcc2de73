/* The trials of attention: their table's row, and its answers. */
#ifndef CA_SELFTEST_ATTENTION_TRIALS_H
#define CA_SELFTEST_ATTENTION_TRIALS_H

#include "trial.h"

/* FLOAT closes keys by -inf, LOW by -3.4e38, which is a score like any other. */
typedef enum ca_trial_mask { CA_TRIAL_NO_MASK, CA_TRIAL_BOOL, CA_TRIAL_FLOAT, CA_TRIAL_LOW } ca_trial_mask;

/* What is special about a problem; what is left out is the operator's default. */
typedef struct ca_attention_row {
  int64_t b, hq, hk, sq, sk, dk, dv, past;
  clattn_dtype dtype; /* 0: float32 */
  ca_trial_layout layout;
  ca_trial_mask mask;
  int mask_rank;      /* 0: 2; from 3 on heads differ */
  int64_t mask_short; /* keys that the mask's last dimension lacks */
  bool causal, window, nonpad, has_offset, has_scale;
  bool wild;   /* what no query sees, and a query that sees nothing, is no number */
  bool poison; /* the last key and its value are no number, whoever sees them */
  int64_t left, right, offset;
  double scale, softcap, spread; /* spread: the largest |q|, 0: 1 */
  int qk;                        /* 1 + qk_mode; 0: no qk */
  bool by_family;
} ca_attention_row;

/* Whether query i may look at key j before its score is known. */
bool ca_attention_allows(const ca_trial *trial, int64_t b, int64_t h, int64_t i, int64_t j);

/* Fills want and allowed of y, lse and qk, as far as they are there. */
void ca_attention_answer(ca_trial *trial);

#endif
