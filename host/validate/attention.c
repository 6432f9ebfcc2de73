/* Descriptors of attention and its stages. */
#include <inttypes.h>
#include <string.h>

#include "score_side.h"
#include "validate.h"

static clattn_status check_head(const char *name, int64_t channels, clattn_report *report)
{
  if (channels < 1 || channels > CA_MAX_HEAD)
    return ca_fail(report, CLATTN_INVALID_SHAPE, "%s is %" PRId64 " channels, must be 1 to %d", name, channels,
                   CA_MAX_HEAD);
  return CLATTN_OK;
}

static clattn_status check_groups(const char *queries, int64_t hq, const char *keys, int64_t hk, clattn_report *report)
{
  if (hq < 1 || hk < 1 || hq % hk)
    return ca_fail(report, CLATTN_INVALID_SHAPE,
                   "%s has %" PRId64 " heads and %s has %" PRId64 ": the first must be a multiple of the second",
                   queries, hq, keys, hk);
  return CLATTN_OK;
}

static clattn_status want_dtype(const ca_problem *problem, int32_t slot, int32_t as, clattn_report *report)
{
  const ca_tensor *t = &problem->tensor[slot], *like = &problem->tensor[as];
  if (!t->present || t->dtype == like->dtype) return CLATTN_OK;
  return ca_fail(report, CLATTN_INVALID_DTYPE, "%s: type is %s, must be %s as %s", ca_slot_text(slot),
                 ca_dtype_text(t->dtype), ca_dtype_text(like->dtype), ca_slot_text(as));
}

/* Q and K, and from them B, HQ, HK, SQ, SK, DK. */
static clattn_status take_query_key(const clattn_attention_desc *desc, ca_problem *problem, clattn_report *report)
{
  static const ca_tensor_rule q_rule = {CLATTN_Q, 4, 4, CA_FLOATS, false, true};
  static const ca_tensor_rule k_rule = {CLATTN_K, 4, 4, CA_FLOATS, false, true};
  static const ca_tensor_rule past_rule = {CLATTN_PAST_KEY, 4, 4, CA_FLOATS, false, false};
  CA_TRY(ca_take_tensor(&desc->q, &q_rule, problem, report));
  CA_TRY(ca_take_tensor(&desc->k, &k_rule, problem, report));
  CA_TRY(ca_take_tensor(&desc->past_key, &past_rule, problem, report));
  const ca_tensor *q = &problem->tensor[CLATTN_Q], *k = &problem->tensor[CLATTN_K];
  const ca_tensor *past = &problem->tensor[CLATTN_PAST_KEY];
  ca_attention_problem *a = &problem->attention;
  a->b = q->dim[0];
  a->hq = q->dim[1];
  a->sq = q->dim[2];
  a->dk = q->dim[3];
  a->hk = k->dim[1];
  a->past = past->present ? past->dim[2] : 0;
  a->sk = k->dim[2] + a->past;
  CA_TRY(ca_want_dim(problem, CLATTN_K, 0, a->b, "B of q", report));
  CA_TRY(ca_want_dim(problem, CLATTN_K, 3, a->dk, "DK of q", report));
  CA_TRY(ca_want_dim(problem, CLATTN_PAST_KEY, 0, a->b, "B of q", report));
  CA_TRY(ca_want_dim(problem, CLATTN_PAST_KEY, 1, a->hk, "HK of k", report));
  CA_TRY(ca_want_dim(problem, CLATTN_PAST_KEY, 3, a->dk, "DK of q", report));
  CA_TRY(want_dtype(problem, CLATTN_PAST_KEY, CLATTN_K, report));
  CA_TRY(check_head("DK of q", a->dk, report));
  CA_TRY(ca_check_tokens("SQ of q", a->sq, report));
  CA_TRY(ca_check_tokens("SK of k, past included,", a->sk, report));
  return check_groups("q", a->hq, "k", a->hk, report);
}

/* The extended K and V: either, both or none. */
static clattn_status take_present(const clattn_attention_desc *desc, ca_problem *problem, clattn_report *report)
{
  static const ca_tensor_rule key_rule = {CLATTN_PRESENT_KEY, 4, 4, CA_FLOATS, true, false};
  static const ca_tensor_rule value_rule = {CLATTN_PRESENT_VALUE, 4, 4, CA_FLOATS, true, false};
  static const char *const names[3] = {"B of q", "HK of k", "SK of k, past included"};
  const ca_attention_problem *a = &problem->attention;
  const int64_t want[3] = {a->b, a->hk, a->sk};
  CA_TRY(ca_take_tensor(&desc->present_key, &key_rule, problem, report));
  CA_TRY(ca_take_tensor(&desc->present_value, &value_rule, problem, report));
  for (int i = 0; i < 3; i++) {
    CA_TRY(ca_want_dim(problem, CLATTN_PRESENT_KEY, i, want[i], names[i], report));
    CA_TRY(ca_want_dim(problem, CLATTN_PRESENT_VALUE, i, want[i], names[i], report));
  }
  CA_TRY(ca_want_dim(problem, CLATTN_PRESENT_KEY, 3, a->dk, "DK of q", report));
  CA_TRY(ca_want_dim(problem, CLATTN_PRESENT_VALUE, 3, a->dv, "DV of v", report));
  CA_TRY(want_dtype(problem, CLATTN_PRESENT_KEY, CLATTN_K, report));
  return want_dtype(problem, CLATTN_PRESENT_VALUE, CLATTN_V, report);
}

static clattn_status take_value_output(const clattn_attention_desc *desc, ca_problem *problem, clattn_report *report)
{
  static const ca_tensor_rule v_rule = {CLATTN_V, 4, 4, CA_FLOATS, false, true};
  static const ca_tensor_rule y_rule = {CLATTN_Y, 4, 4, CA_FLOATS, true, true};
  static const ca_tensor_rule past_rule = {CLATTN_PAST_VALUE, 4, 4, CA_FLOATS, false, false};
  CA_TRY(ca_take_tensor(&desc->v, &v_rule, problem, report));
  CA_TRY(ca_take_tensor(&desc->y, &y_rule, problem, report));
  CA_TRY(ca_take_tensor(&desc->past_value, &past_rule, problem, report));
  ca_attention_problem *a = &problem->attention;
  a->dv = problem->tensor[CLATTN_V].dim[3];
  CA_TRY(check_head("DV of v", a->dv, report));
  CA_TRY(ca_want_dim(problem, CLATTN_V, 0, a->b, "B of q", report));
  CA_TRY(ca_want_dim(problem, CLATTN_V, 1, a->hk, "HK of k", report));
  CA_TRY(ca_want_dim(problem, CLATTN_V, 2, problem->tensor[CLATTN_K].dim[2], "SK of k", report));
  CA_TRY(ca_want_dim(problem, CLATTN_Y, 0, a->b, "B of q", report));
  CA_TRY(ca_want_dim(problem, CLATTN_Y, 1, a->hq, "HQ of q", report));
  CA_TRY(ca_want_dim(problem, CLATTN_Y, 2, a->sq, "SQ of q", report));
  CA_TRY(ca_want_dim(problem, CLATTN_Y, 3, a->dv, "DV of v", report));
  const bool past_key = problem->tensor[CLATTN_PAST_KEY].present;
  if (past_key != problem->tensor[CLATTN_PAST_VALUE].present)
    return ca_fail(report, CLATTN_INVALID_SHAPE, "past_%s is absent but past_%s is there", past_key ? "value" : "key",
                   past_key ? "key" : "value");
  CA_TRY(ca_want_dim(problem, CLATTN_PAST_VALUE, 0, a->b, "B of q", report));
  CA_TRY(ca_want_dim(problem, CLATTN_PAST_VALUE, 1, a->hk, "HK of k", report));
  CA_TRY(ca_want_dim(problem, CLATTN_PAST_VALUE, 2, a->past, "past of past_key", report));
  CA_TRY(ca_want_dim(problem, CLATTN_PAST_VALUE, 3, a->dv, "DV of v", report));
  CA_TRY(want_dtype(problem, CLATTN_PAST_VALUE, CLATTN_V, report));
  return take_present(desc, problem, report);
}

/* Right-aligned to [B,HQ,SQ,SK]; a dimension of 1 is broadcast by stride 0, but not the keys' own. */
static clattn_status take_mask(const clattn_attention_desc *desc, ca_problem *problem, clattn_report *report)
{
  static const ca_tensor_rule rule = {CLATTN_MASK, 1, 4, CA_FLOATS | CA_BIT(CLATTN_BOOL), false, false};
  ca_attention_problem *a = &problem->attention;
  CA_TRY(ca_take_tensor(&desc->mask, &rule, problem, report));
  ca_tensor *mask = &problem->tensor[CLATTN_MASK];
  a->mask_kind = CA_MASK_NONE;
  a->mask_len = 0;
  if (!mask->present) return CLATTN_OK;
  const int shift = 4 - desc->mask.rank;
  const int64_t full[4] = {a->b, a->hq, a->sq, a->sk};
  static const char *const names[4] = {"B", "HQ", "SQ", "SK"};
  for (int i = 3; i >= 0; i--) {
    mask->dim[i] = i >= shift ? desc->mask.dim[i - shift] : 1;
    mask->stride[i] = i >= shift ? desc->mask.stride[i - shift] : 0;
    if (i < 3 && mask->dim[i] == 1) mask->stride[i] = 0;
    const bool fits = i == 3 ? mask->dim[i] <= full[i] : mask->dim[i] == 1 || mask->dim[i] == full[i];
    if (!fits)
      return ca_fail(report, CLATTN_INVALID_SHAPE, "mask: dimension %d is %" PRId64 ", must be %s %" PRId64 " (%s)",
                     i - shift, mask->dim[i], i == 3 ? "at most" : "1 or", full[i], names[i]);
  }
  a->mask_kind = mask->dtype == CLATTN_BOOL ? CA_MASK_BOOL : CA_MASK_FLOAT;
  a->mask_len = mask->dim[3];
  return CLATTN_OK;
}

static clattn_status take_nonpad(const clattn_attention_desc *desc, ca_problem *problem, clattn_report *report)
{
  static const ca_tensor_rule rule = {CLATTN_NONPAD_KV_SEQLEN, 1, 1, CA_BIT(CLATTN_I64), false, false};
  CA_TRY(ca_take_tensor(&desc->nonpad_kv_seqlen, &rule, problem, report));
  CA_TRY(ca_want_dim(problem, CLATTN_NONPAD_KV_SEQLEN, 0, problem->attention.b, "B of q", report));
  if (problem->tensor[CLATTN_NONPAD_KV_SEQLEN].present && problem->tensor[CLATTN_PAST_KEY].present)
    return ca_fail(report, CLATTN_INVALID_VALUE, "nonpad_kv_seqlen and past_key are both there: only one may be");
  return CLATTN_OK;
}

static clattn_status take_window(const char *name, int64_t window, int64_t unbounded_from, int64_t *out,
                                 clattn_report *report)
{
  if (window < -1)
    return ca_fail(report, CLATTN_INVALID_VALUE, "%s is %" PRId64 ", must be -1 (unbounded) or more", name, window);
  *out = window >= unbounded_from ? -1 : window;
  return CLATTN_OK;
}

bool ca_any_is_f64(const clattn_tensor *const *tensors, int count)
{
  for (int i = 0; i < count; i++)
    if (tensors[i]->rank && tensors[i]->dtype == CLATTN_F64) return true;
  return false;
}

/* One tensor of float64 makes a computation in float64; the score stage has no values. */
static bool computes_in_double(const clattn_attention_desc *desc, ca_operation operation)
{
  const clattn_tensor *const all[7] = {&desc->q, &desc->k, &desc->mask, &desc->lse, &desc->qk, &desc->v, &desc->y};
  return ca_any_is_f64(all, operation == CA_OP_SCORES ? 5 : 7);
}

/* scale, softcap, causal offset, windows, precision. */
static clattn_status take_attributes(const clattn_attention_desc *desc, bool wide, ca_problem *problem,
                                     clattn_report *report)
{
  ca_attention_problem *a = &problem->attention;
  CA_TRY(ca_check_flags(desc->flags, CLATTN_CAUSAL | CLATTN_QUERY_OFFSET, report));
  a->scale = isnan(desc->scale) ? 1.0 / sqrt((double)a->dk) : desc->scale;
  const char *type = wide ? "float64" : "float32";
  if (!isfinite(a->scale) || (!wide && !isfinite((float)a->scale)))
    return ca_fail(report, CLATTN_INVALID_VALUE, "scale is %g, must be finite in %s", desc->scale, type);
  a->softcap = desc->softcap;
  if (!(desc->softcap >= 0.0) || !isfinite(desc->softcap) || (!wide && !isfinite((float)desc->softcap)))
    return ca_fail(report, CLATTN_INVALID_VALUE, "softcap is %g, must be 0 (off) or positive and finite in %s",
                   desc->softcap, type);
  if (!wide && desc->softcap > 0.0 && (float)desc->softcap == 0.0f)
    return ca_fail(report, CLATTN_INVALID_VALUE, "softcap is %g, which is 0 in float32", desc->softcap);
  a->causal = (desc->flags & CLATTN_CAUSAL) != 0;
  a->offset = a->past;
  if (desc->flags & CLATTN_QUERY_OFFSET) {
    if (problem->tensor[CLATTN_NONPAD_KV_SEQLEN].present)
      return ca_fail(report, CLATTN_INVALID_VALUE, "query_offset is set, but nonpad_kv_seqlen gives the offset");
    a->offset = desc->query_offset;
  } else if (desc->query_offset) {
    return ca_fail(report, CLATTN_INVALID_VALUE, "query_offset is %" PRId64 " without the flag CLATTN_QUERY_OFFSET",
                   desc->query_offset);
  }
  if (a->offset > CA_MAX_TOKENS || a->offset < -CA_MAX_TOKENS)
    return ca_fail(report, CLATTN_INVALID_VALUE, "query_offset is %" PRId64 ", must be within %" PRId64 " of 0",
                   a->offset, CA_MAX_TOKENS);
  /* Under nonpad the offset is known on the device only; it lies within [-sq, sk]. */
  const int64_t reach = problem->tensor[CLATTN_NONPAD_KV_SEQLEN].present ? a->sq + a->sk
                        : a->offset < 0                                  ? -a->offset
                                                                         : a->offset;
  CA_TRY(take_window("window_left", desc->window_left, a->sq + reach, &a->window_left, report));
  CA_TRY(take_window("window_right", desc->window_right, a->sk + reach, &a->window_right, report));
  const int32_t p = desc->softmax_precision;
  if (p != 0 && p != 1 && p != 10 && p != 11 && p != 16)
    return ca_fail(report, CLATTN_INVALID_VALUE, "softmax_precision is %" PRId32 ", must be 0, 1, 10, 11 or 16", p);
  a->softmax_precision = p;
  if (desc->reserved)
    return ca_fail(report, CLATTN_INVALID_VALUE, "reserved is %" PRId32 ", must be 0", desc->reserved);
  return CLATTN_OK;
}

/* The optional outputs lse and qk. */
static clattn_status take_optional_outputs(const clattn_attention_desc *desc, ca_problem *problem,
                                           clattn_report *report)
{
  static const ca_tensor_rule lse_rule = {CLATTN_LSE, 3, 3, CA_REALS, true, false};
  static const ca_tensor_rule qk_rule = {CLATTN_QK, 4, 4, CA_FLOATS, true, false};
  ca_attention_problem *a = &problem->attention;
  CA_TRY(ca_take_tensor(&desc->lse, &lse_rule, problem, report));
  CA_TRY(ca_take_tensor(&desc->qk, &qk_rule, problem, report));
  const int64_t full[4] = {a->b, a->hq, a->sq, a->sk};
  static const char *const names[4] = {"B of q", "HQ of q", "SQ of q", "SK of k, past included"};
  for (int i = 0; i < 4; i++) {
    if (i < 3) CA_TRY(ca_want_dim(problem, CLATTN_LSE, i, full[i], names[i], report));
    CA_TRY(ca_want_dim(problem, CLATTN_QK, i, full[i], names[i], report));
  }
  if (desc->qk_mode < CA_QK_SCALED || desc->qk_mode > CA_QK_PROBABILITIES)
    return ca_fail(report, CLATTN_INVALID_VALUE, "qk_mode is %" PRId32 ", must be 0 to 3", desc->qk_mode);
  a->qk_mode = problem->tensor[CLATTN_QK].present ? desc->qk_mode : CA_QK_NONE;
  return CLATTN_OK;
}

clattn_status ca_take_score_side(const clattn_attention_desc *desc, bool wide, ca_problem *problem,
                                 clattn_report *report)
{
  CA_TRY(take_query_key(desc, problem, report));
  CA_TRY(take_mask(desc, problem, report));
  CA_TRY(take_nonpad(desc, problem, report));
  return take_attributes(desc, wide, problem, report);
}

static clattn_status take_score_side(const clattn_attention_desc *desc, ca_problem *problem, clattn_report *report)
{
  CA_TRY(ca_take_score_side(desc, computes_in_double(desc, problem->operation), problem, report));
  return take_optional_outputs(desc, problem, report);
}

clattn_status ca_validate_attention(const clattn_attention_desc *theirs, ca_problem *problem, clattn_report *report)
{
  clattn_attention_desc desc;
  CA_TRY(ca_take_struct(&desc, sizeof desc, theirs, "clattn_attention_desc", report));
  *problem = (ca_problem){.operation = CA_OP_ATTENTION, .path = desc.path, .variant = desc.variant};
  if (desc.path < CLATTN_PATH_AUTO || desc.path > CLATTN_PATH_FUSED)
    return ca_fail(report, CLATTN_INVALID_VALUE, "path is %" PRId32 ", must be 0 (auto), 1 (staged) or 2 (fused)",
                   desc.path);
  CA_TRY(take_score_side(&desc, problem, report));
  return take_value_output(&desc, problem, report);
}

clattn_status ca_validate_scores(const clattn_attention_desc *theirs, ca_problem *problem, clattn_report *report)
{
  clattn_attention_desc desc;
  CA_TRY(ca_take_struct(&desc, sizeof desc, theirs, "clattn_attention_desc", report));
  *problem = (ca_problem){.operation = CA_OP_SCORES, .variant = desc.variant};
  CA_TRY(take_score_side(&desc, problem, report));
  if (!problem->tensor[CLATTN_QK].present)
    return ca_fail(report, CLATTN_INVALID_SHAPE, "qk is absent (rank 0) but it is what the score stage writes");
  if (problem->tensor[CLATTN_LSE].present && problem->attention.qk_mode != CA_QK_PROBABILITIES)
    return ca_fail(report, CLATTN_INVALID_VALUE,
                   "lse is asked of the score stage with qk_mode %" PRId32 ", must be 3 (probabilities)",
                   problem->attention.qk_mode);
  return CLATTN_OK;
}

clattn_status ca_validate_softmax(const clattn_softmax_desc *theirs, ca_problem *problem, clattn_report *report)
{
  static const ca_tensor_rule a_rule = {CLATTN_A, 4, 4, CA_REALS, false, true};
  static const ca_tensor_rule p_rule = {CLATTN_P, 4, 4, CA_REALS, true, true};
  static const ca_tensor_rule lse_rule = {CLATTN_LSE, 3, 3, CA_REALS, true, false};
  clattn_softmax_desc desc;
  CA_TRY(ca_take_struct(&desc, sizeof desc, theirs, "clattn_softmax_desc", report));
  *problem = (ca_problem){.operation = CA_OP_SOFTMAX, .variant = desc.variant};
  CA_TRY(ca_check_flags(desc.flags, 0, report));
  CA_TRY(ca_take_tensor(&desc.a, &a_rule, problem, report));
  CA_TRY(ca_take_tensor(&desc.p, &p_rule, problem, report));
  CA_TRY(ca_take_tensor(&desc.lse, &lse_rule, problem, report));
  const int64_t *dim = problem->tensor[CLATTN_A].dim;
  static const char *const names[4] = {"B of a", "HQ of a", "SQ of a", "SK of a"};
  for (int i = 0; i < 4; i++) {
    CA_TRY(ca_want_dim(problem, CLATTN_P, i, dim[i], names[i], report));
    if (i < 3) CA_TRY(ca_want_dim(problem, CLATTN_LSE, i, dim[i], names[i], report));
  }
  CA_TRY(ca_check_tokens("SQ of a", dim[2], report));
  CA_TRY(ca_check_tokens("SK of a", dim[3], report));
  problem->attention = (ca_attention_problem){.b = dim[0],
                                              .hq = dim[1],
                                              .hk = dim[1],
                                              .sq = dim[2],
                                              .sk = dim[3],
                                              .window_left = -1,
                                              .window_right = -1,
                                              .qk_mode = CA_QK_NONE};
  return CLATTN_OK;
}

clattn_status ca_validate_values(const clattn_values_desc *theirs, ca_problem *problem, clattn_report *report)
{
  static const ca_tensor_rule p_rule = {CLATTN_P, 4, 4, CA_REALS, false, true};
  static const ca_tensor_rule v_rule = {CLATTN_V, 4, 4, CA_FLOATS, false, true};
  static const ca_tensor_rule y_rule = {CLATTN_Y, 4, 4, CA_FLOATS, true, true};
  clattn_values_desc desc;
  CA_TRY(ca_take_struct(&desc, sizeof desc, theirs, "clattn_values_desc", report));
  *problem = (ca_problem){.operation = CA_OP_VALUES, .variant = desc.variant};
  CA_TRY(ca_check_flags(desc.flags, 0, report));
  CA_TRY(ca_take_tensor(&desc.p, &p_rule, problem, report));
  CA_TRY(ca_take_tensor(&desc.v, &v_rule, problem, report));
  CA_TRY(ca_take_tensor(&desc.y, &y_rule, problem, report));
  const int64_t *p = problem->tensor[CLATTN_P].dim, *v = problem->tensor[CLATTN_V].dim;
  CA_TRY(ca_want_dim(problem, CLATTN_V, 0, p[0], "B of p", report));
  CA_TRY(ca_want_dim(problem, CLATTN_V, 2, p[3], "SK of p", report));
  CA_TRY(check_head("DV of v", v[3], report));
  CA_TRY(ca_check_tokens("SQ of p", p[2], report));
  CA_TRY(ca_check_tokens("SK of p", p[3], report));
  CA_TRY(check_groups("p", p[1], "v", v[1], report));
  CA_TRY(ca_want_dim(problem, CLATTN_Y, 0, p[0], "B of p", report));
  CA_TRY(ca_want_dim(problem, CLATTN_Y, 1, p[1], "HQ of p", report));
  CA_TRY(ca_want_dim(problem, CLATTN_Y, 2, p[2], "SQ of p", report));
  CA_TRY(ca_want_dim(problem, CLATTN_Y, 3, v[3], "DV of v", report));
  problem->attention = (ca_attention_problem){.b = p[0],
                                              .hq = p[1],
                                              .hk = v[1],
                                              .sq = p[2],
                                              .sk = p[3],
                                              .dv = v[3],
                                              .window_left = -1,
                                              .window_right = -1,
                                              .qk_mode = CA_QK_NONE};
  return CLATTN_OK;
}
