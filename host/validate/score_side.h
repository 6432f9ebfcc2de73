/* What every operation with scores has of a clattn_attention_desc. */
#ifndef CA_VALIDATE_SCORE_SIDE_H
#define CA_VALIDATE_SCORE_SIDE_H

#include "take.h"

/* q, k, the past's keys, mask, nonpad_kv_seqlen, scale, softcap, causal order, windows, precision: all but outputs.
 * `wide`: computed in float64. */
clattn_status ca_take_score_side(const clattn_attention_desc *desc, bool wide, ca_problem *problem,
                                 clattn_report *report);

/* Whether one of the tensors that are there is float64. */
bool ca_any_is_f64(const clattn_tensor *const *tensors, int count);

#endif
