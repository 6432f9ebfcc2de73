/* Descriptors of projections and their weights. */
#include <inttypes.h>

#include "take.h"
#include "validate.h"

/* y is [B,H,S,D], or [B,S,N] seen as one head of N channels. */
static clattn_status take_output(const clattn_projection_desc *desc, ca_problem *problem, clattn_report *report)
{
  static const ca_tensor_rule rule = {CLATTN_Y, 3, 4, CA_FLOATS, true, true};
  ca_projection_problem *p = &problem->projection;
  CA_TRY(ca_take_tensor(&desc->y, &rule, problem, report));
  ca_tensor *y = &problem->tensor[CLATTN_Y];
  if (desc->y.rank == 3) {
    y->dim[3] = y->dim[2];
    y->stride[3] = y->stride[2];
    y->dim[2] = y->dim[1];
    y->stride[2] = y->stride[1];
    y->dim[1] = 1;
    y->stride[1] = 0;
  }
  p->h = y->dim[1];
  p->d = y->dim[3];
  CA_TRY(ca_want_dim(problem, CLATTN_Y, 0, p->b, "B of x", report));
  if (y->dim[2] != p->s)
    return ca_fail(report, CLATTN_INVALID_SHAPE, "y has %" PRId64 " tokens, must have %" PRId64 " (S of x)", y->dim[2],
                   p->s);
  const int64_t n = problem->tensor[CLATTN_W].dim[0];
  if (p->h * p->d != n)
    return ca_fail(report, CLATTN_INVALID_SHAPE,
                   "y has %" PRId64 " heads of %" PRId64 " channels, w has %" PRId64 " rows: must be their product",
                   p->h, p->d, n);
  return CLATTN_OK;
}

static clattn_status check_rotary_shapes(const clattn_projection_desc *desc, ca_problem *problem, clattn_report *report)
{
  const ca_projection_problem *p = &problem->projection;
  const ca_tensor *cosine = &problem->tensor[CLATTN_COS_CACHE];
  const bool has_ids = problem->tensor[CLATTN_POSITION_IDS].present;
  CA_TRY(ca_want_dim(problem, CLATTN_SIN_CACHE, 0, cosine->dim[0], "as cos_cache", report));
  CA_TRY(ca_want_dim(problem, CLATTN_SIN_CACHE, 1, cosine->dim[1], "as cos_cache", report));
  CA_TRY(ca_want_dim(problem, CLATTN_SIN_CACHE, 2, cosine->dim[2], "as cos_cache", report));
  CA_TRY(ca_want_dim(problem, CLATTN_COS_CACHE, p->cache_rank - 1, p->rotary_dim / 2, "half of rotary_dim", report));
  if (p->cache_rank == 3) {
    if (has_ids)
      return ca_fail(report, CLATTN_INVALID_SHAPE, "cos_cache: rank is 3, must be 2 together with position_ids");
    if (p->position_offset)
      return ca_fail(report, CLATTN_INVALID_VALUE, "position_offset is %" PRId64 ", must be 0 with a cache of rank 3",
                     p->position_offset);
    CA_TRY(ca_want_dim(problem, CLATTN_COS_CACHE, 0, p->b, "B of x", report));
    return ca_want_dim(problem, CLATTN_COS_CACHE, 1, p->s, "S of x", report);
  }
  if (has_ids) {
    CA_TRY(ca_want_dim(problem, CLATTN_POSITION_IDS, 0, p->b, "B of x", report));
    CA_TRY(ca_want_dim(problem, CLATTN_POSITION_IDS, 1, p->s, "S of x", report));
    if (desc->position_offset)
      return ca_fail(report, CLATTN_INVALID_VALUE, "position_offset is %" PRId64 ", must be 0 with position_ids",
                     desc->position_offset);
    if (cosine->dim[0] < 1) return ca_fail(report, CLATTN_INVALID_SHAPE, "cos_cache: it has no row");
    return CLATTN_OK;
  }
  if (desc->position_offset < 0 || desc->position_offset > cosine->dim[0] - p->s)
    return ca_fail(report, CLATTN_INVALID_SHAPE,
                   "cos_cache: %" PRId64 " rows, needs %" PRId64 " tokens from position_offset %" PRId64,
                   cosine->dim[0], p->s, desc->position_offset);
  return CLATTN_OK;
}

static clattn_status take_rotary(const clattn_projection_desc *desc, ca_problem *problem, clattn_report *report)
{
  static const ca_tensor_rule cos_rule = {CLATTN_COS_CACHE, 2, 3, CA_FLOATS, false, false};
  static const ca_tensor_rule sin_rule = {CLATTN_SIN_CACHE, 2, 3, CA_FLOATS, false, false};
  static const ca_tensor_rule ids_rule = {CLATTN_POSITION_IDS, 2, 2, CA_BIT(CLATTN_I64), false, false};
  ca_projection_problem *p = &problem->projection;
  CA_TRY(ca_take_tensor(&desc->cos_cache, &cos_rule, problem, report));
  CA_TRY(ca_take_tensor(&desc->sin_cache, &sin_rule, problem, report));
  CA_TRY(ca_take_tensor(&desc->position_ids, &ids_rule, problem, report));
  const ca_tensor *cosine = &problem->tensor[CLATTN_COS_CACHE], *sine = &problem->tensor[CLATTN_SIN_CACHE];
  if (cosine->present != sine->present)
    return ca_fail(report, CLATTN_INVALID_SHAPE, "%s_cache is absent but %s_cache is there",
                   cosine->present ? "sin" : "cos", cosine->present ? "cos" : "sin");
  if (!cosine->present) {
    if (problem->tensor[CLATTN_POSITION_IDS].present || desc->rotary_dim || desc->position_offset ||
        (desc->flags & CLATTN_ROTARY_INTERLEAVED))
      return ca_fail(report, CLATTN_INVALID_VALUE, "a rotary attribute is set, but cos_cache and sin_cache are absent");
    return CLATTN_OK;
  }
  if (desc->y.rank != 4)
    return ca_fail(report, CLATTN_INVALID_SHAPE, "y: rank is %" PRId32 ", must be 4 for the rotary embedding",
                   desc->y.rank);
  if (desc->cos_cache.rank != desc->sin_cache.rank || cosine->dtype != sine->dtype)
    return ca_fail(report, CLATTN_INVALID_SHAPE,
                   "sin_cache: rank %" PRId32 " and type %s, must be as cos_cache: rank %" PRId32 " and type %s",
                   desc->sin_cache.rank, ca_dtype_text(sine->dtype), desc->cos_cache.rank,
                   ca_dtype_text(cosine->dtype));
  p->cache_rank = desc->cos_cache.rank;
  p->interleaved = (desc->flags & CLATTN_ROTARY_INTERLEAVED) != 0;
  p->rotary_dim = desc->rotary_dim ? desc->rotary_dim : p->d;
  p->position_offset = desc->position_offset;
  if (p->rotary_dim < 2 || p->rotary_dim % 2 || p->rotary_dim > p->d)
    return ca_fail(report, CLATTN_INVALID_VALUE, "rotary_dim is %" PRId64 ", must be even, 2 to %" PRId64 " (D of y)",
                   p->rotary_dim, p->d);
  return check_rotary_shapes(desc, problem, report);
}

clattn_status ca_validate_projection(const clattn_projection_desc *theirs, const clattn_tensor *weights_tensor,
                                     ca_problem *problem, clattn_report *report)
{
  static const ca_tensor_rule x_rule = {CLATTN_X, 3, 3, CA_FLOATS, false, true};
  static const ca_tensor_rule w_rule = {CLATTN_W, 2, 2, CA_FLOATS, false, true};
  static const ca_tensor_rule bias_rule = {CLATTN_BIAS, 1, 1, CA_FLOATS, false, false};
  clattn_projection_desc desc;
  CA_TRY(ca_take_struct(&desc, sizeof desc, theirs, "clattn_projection_desc", report));
  *problem = (ca_problem){.operation = CA_OP_PROJECTION, .variant = desc.variant};
  CA_TRY(ca_check_flags(desc.flags, CLATTN_ROTARY_INTERLEAVED, report));
  if (desc.weights && desc.w.rank)
    return ca_fail(report, CLATTN_INVALID_VALUE, "w and weights are both there: only one may be");
  CA_TRY(ca_take_tensor(&desc.x, &x_rule, problem, report));
  CA_TRY(ca_take_tensor(weights_tensor ? weights_tensor : &desc.w, &w_rule, problem, report));
  CA_TRY(ca_take_tensor(&desc.bias, &bias_rule, problem, report));
  const ca_tensor *x = &problem->tensor[CLATTN_X], *w = &problem->tensor[CLATTN_W];
  problem->projection = (ca_projection_problem){.b = x->dim[0], .s = x->dim[1], .e = x->dim[2]};
  CA_TRY(ca_check_tokens("S of x", x->dim[1], report));
  CA_TRY(ca_want_dim(problem, CLATTN_W, 1, x->dim[2], "E of x", report));
  CA_TRY(ca_want_dim(problem, CLATTN_BIAS, 0, w->dim[0], "rows of w", report));
  CA_TRY(take_output(&desc, problem, report));
  return take_rotary(&desc, problem, report);
}

clattn_status ca_validate_weights(const clattn_weights_desc *theirs, ca_tensor *w, clattn_report *report)
{
  static const ca_tensor_rule rule = {CLATTN_W, 2, 2, CA_FLOATS, false, true};
  clattn_weights_desc desc;
  CA_TRY(ca_take_struct(&desc, sizeof desc, theirs, "clattn_weights_desc", report));
  CA_TRY(ca_check_flags(desc.flags, 0, report));
  ca_problem problem = {.operation = CA_OP_PROJECTION};
  CA_TRY(ca_take_tensor(&desc.w, &rule, &problem, report));
  *w = problem.tensor[CLATTN_W];
  if (w->span_elems == 0)
    return ca_fail(report, CLATTN_INVALID_SHAPE, "w is %" PRId64 " x %" PRId64 ", must not be empty", w->dim[0],
                   w->dim[1]);
  return CLATTN_OK;
}
