/* Descriptors of projections, of one and of Q, K and V, and their weights. */
#include <inttypes.h>
#include <stdio.h>

#include "take.h"
#include "validate.h"

/* What a descriptor says of one of its outputs. */
typedef struct said_part {
  int32_t w_slot, bias_slot, y_slot;
  const clattn_tensor *w, *bias, *y;
  bool rotates; /* where there are caches */
  bool required;
} said_part;

/* What the descriptors of projections say alike. */
typedef struct said_projection {
  uint32_t flags;
  const clattn_tensor *x, *cos_cache, *sin_cache, *position_ids;
  int64_t rotary_dim, position_offset;
  int n_parts;
  said_part part[CA_MAX_PARTS];
} said_projection;

/* y is [B,H,S,D], or [B,S,N] seen as one head of N channels. */
static clattn_status take_output(const said_part *said, ca_projection_part *part, ca_problem *problem,
                                 clattn_report *report)
{
  const ca_tensor_rule rule = {said->y_slot, 3, 4, CA_FLOATS, true, true};
  const ca_projection_problem *p = &problem->projection;
  const char *name = ca_slot_text(said->y_slot);
  CA_TRY(ca_take_tensor(said->y, &rule, problem, report));
  ca_tensor *y = &problem->tensor[said->y_slot];
  if (said->y->rank == 3) {
    y->dim[3] = y->dim[2];
    y->stride[3] = y->stride[2];
    y->dim[2] = y->dim[1];
    y->stride[2] = y->stride[1];
    y->dim[1] = 1;
    y->stride[1] = 0;
  }
  part->h = y->dim[1];
  part->d = y->dim[3];
  CA_TRY(ca_want_dim(problem, said->y_slot, 0, p->b, "B of x", report));
  if (y->dim[2] != p->s)
    return ca_fail(report, CLATTN_INVALID_SHAPE, "%s has %" PRId64 " tokens, must have %" PRId64 " (S of x)", name,
                   y->dim[2], p->s);
  const int64_t n = problem->tensor[said->w_slot].dim[0];
  if (part->h * part->d != n)
    return ca_fail(report, CLATTN_INVALID_SHAPE,
                   "%s has %" PRId64 " heads of %" PRId64 " channels, %s has %" PRId64 " rows: must be their product",
                   name, part->h, part->d, ca_slot_text(said->w_slot), n);
  return CLATTN_OK;
}

/* Operator, bias and output of a part, or none of them. */
static clattn_status take_part(const said_part *said, ca_projection_part *part, ca_problem *problem,
                               clattn_report *report)
{
  const ca_tensor_rule w_rule = {said->w_slot, 2, 2, CA_FLOATS, false, true};
  const ca_tensor_rule bias_rule = {said->bias_slot, 1, 1, CA_FLOATS, false, false};
  const char *w_name = ca_slot_text(said->w_slot);
  char rows[32];
  *part = (ca_projection_part){.w = said->w_slot, .bias = said->bias_slot, .y = said->y_slot};
  if (!said->required && said->y->rank == 0) {
    if (said->w->rank || said->bias->rank)
      return ca_fail(report, CLATTN_INVALID_SHAPE, "%s is absent (rank 0), but %s is there", ca_slot_text(said->y_slot),
                     said->w->rank ? w_name : ca_slot_text(said->bias_slot));
    return CLATTN_OK;
  }
  CA_TRY(ca_take_tensor(said->w, &w_rule, problem, report));
  CA_TRY(ca_take_tensor(said->bias, &bias_rule, problem, report));
  CA_TRY(ca_want_dim(problem, said->w_slot, 1, problem->projection.e, "E of x", report));
  snprintf(rows, sizeof rows, "rows of %s", w_name);
  CA_TRY(ca_want_dim(problem, said->bias_slot, 0, problem->tensor[said->w_slot].dim[0], rows, report));
  return take_output(said, part, problem, report);
}

static clattn_status check_rotary_shapes(const said_projection *said, int64_t rotary_dim, ca_problem *problem,
                                         clattn_report *report)
{
  const ca_projection_problem *p = &problem->projection;
  const ca_tensor *cosine = &problem->tensor[CLATTN_COS_CACHE];
  const bool has_ids = problem->tensor[CLATTN_POSITION_IDS].present;
  CA_TRY(ca_want_dim(problem, CLATTN_SIN_CACHE, 0, cosine->dim[0], "as cos_cache", report));
  CA_TRY(ca_want_dim(problem, CLATTN_SIN_CACHE, 1, cosine->dim[1], "as cos_cache", report));
  CA_TRY(ca_want_dim(problem, CLATTN_SIN_CACHE, 2, cosine->dim[2], "as cos_cache", report));
  CA_TRY(ca_want_dim(problem, CLATTN_COS_CACHE, p->cache_rank - 1, rotary_dim / 2, "half of rotary_dim", report));
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
    if (said->position_offset)
      return ca_fail(report, CLATTN_INVALID_VALUE, "position_offset is %" PRId64 ", must be 0 with position_ids",
                     said->position_offset);
    if (cosine->dim[0] < 1) return ca_fail(report, CLATTN_INVALID_SHAPE, "cos_cache: it has no row");
    return CLATTN_OK;
  }
  if (said->position_offset < 0 || said->position_offset > cosine->dim[0] - p->s)
    return ca_fail(report, CLATTN_INVALID_SHAPE,
                   "cos_cache: %" PRId64 " rows, needs %" PRId64 " tokens from position_offset %" PRId64,
                   cosine->dim[0], p->s, said->position_offset);
  return CLATTN_OK;
}

/* The channels that rotate, in heads of one size; 0 where all parts that could are absent. */
static clattn_status take_rotating_parts(const said_projection *said, ca_problem *problem, int64_t *rotary_dim,
                                         clattn_report *report)
{
  ca_projection_problem *p = &problem->projection;
  const ca_projection_part *first = NULL;
  *rotary_dim = 0;
  for (int i = 0; i < p->n_parts; i++) {
    ca_projection_part *part = &p->part[i];
    const char *name = ca_slot_text(part->y);
    char why[32];
    if (!said->part[i].rotates || !problem->tensor[part->y].present) continue;
    if (said->part[i].y->rank != 4)
      return ca_fail(report, CLATTN_INVALID_SHAPE, "%s: rank is %" PRId32 ", must be 4 for the rotary embedding", name,
                     said->part[i].y->rank);
    if (!first) first = part;
    snprintf(why, sizeof why, "D of %s", ca_slot_text(first->y));
    CA_TRY(ca_want_dim(problem, part->y, 3, first->d, why, report));
    *rotary_dim = part->rotary_dim = said->rotary_dim ? said->rotary_dim : part->d;
    if (*rotary_dim < 2 || *rotary_dim % 2 || *rotary_dim > part->d)
      return ca_fail(report, CLATTN_INVALID_VALUE,
                     "rotary_dim is %" PRId64 ", must be even, 2 to %" PRId64 " (D of %s)", *rotary_dim, part->d, name);
  }
  return CLATTN_OK;
}

static clattn_status take_rotary(const said_projection *said, ca_problem *problem, clattn_report *report)
{
  static const ca_tensor_rule cos_rule = {CLATTN_COS_CACHE, 2, 3, CA_FLOATS, false, false};
  static const ca_tensor_rule sin_rule = {CLATTN_SIN_CACHE, 2, 3, CA_FLOATS, false, false};
  static const ca_tensor_rule ids_rule = {CLATTN_POSITION_IDS, 2, 2, CA_BIT(CLATTN_I64), false, false};
  ca_projection_problem *p = &problem->projection;
  int64_t rotary_dim;
  CA_TRY(ca_take_tensor(said->cos_cache, &cos_rule, problem, report));
  CA_TRY(ca_take_tensor(said->sin_cache, &sin_rule, problem, report));
  CA_TRY(ca_take_tensor(said->position_ids, &ids_rule, problem, report));
  const ca_tensor *cosine = &problem->tensor[CLATTN_COS_CACHE], *sine = &problem->tensor[CLATTN_SIN_CACHE];
  if (cosine->present != sine->present)
    return ca_fail(report, CLATTN_INVALID_SHAPE, "%s_cache is absent but %s_cache is there",
                   cosine->present ? "sin" : "cos", cosine->present ? "cos" : "sin");
  if (!cosine->present) {
    if (problem->tensor[CLATTN_POSITION_IDS].present || said->rotary_dim || said->position_offset ||
        (said->flags & CLATTN_ROTARY_INTERLEAVED))
      return ca_fail(report, CLATTN_INVALID_VALUE, "a rotary attribute is set, but cos_cache and sin_cache are absent");
    return CLATTN_OK;
  }
  CA_TRY(take_rotating_parts(said, problem, &rotary_dim, report));
  if (!rotary_dim)
    return ca_fail(report, CLATTN_INVALID_SHAPE, "cos_cache is there, but q and k, which it rotates, are absent");
  if (said->cos_cache->rank != said->sin_cache->rank || cosine->dtype != sine->dtype)
    return ca_fail(report, CLATTN_INVALID_SHAPE,
                   "sin_cache: rank %" PRId32 " and type %s, must be as cos_cache: rank %" PRId32 " and type %s",
                   said->sin_cache->rank, ca_dtype_text(sine->dtype), said->cos_cache->rank,
                   ca_dtype_text(cosine->dtype));
  p->cache_rank = said->cos_cache->rank;
  p->interleaved = (said->flags & CLATTN_ROTARY_INTERLEAVED) != 0;
  p->position_offset = said->position_offset;
  return check_rotary_shapes(said, rotary_dim, problem, report);
}

static clattn_status take_projection(const said_projection *said, ca_problem *problem, clattn_report *report)
{
  static const ca_tensor_rule x_rule = {CLATTN_X, 3, 3, CA_FLOATS, false, true};
  ca_projection_problem *p = &problem->projection;
  CA_TRY(ca_check_flags(said->flags, CLATTN_ROTARY_INTERLEAVED, report));
  CA_TRY(ca_take_tensor(said->x, &x_rule, problem, report));
  const ca_tensor *x = &problem->tensor[CLATTN_X];
  *p = (ca_projection_problem){.b = x->dim[0], .s = x->dim[1], .e = x->dim[2], .n_parts = said->n_parts};
  CA_TRY(ca_check_tokens("S of x", x->dim[1], report));
  for (int i = 0; i < said->n_parts; i++) CA_TRY(take_part(&said->part[i], &p->part[i], problem, report));
  return take_rotary(said, problem, report);
}

clattn_status ca_validate_projection(const clattn_projection_desc *theirs, const clattn_tensor *weights_tensor,
                                     ca_problem *problem, clattn_report *report)
{
  clattn_projection_desc desc;
  CA_TRY(ca_take_struct(&desc, sizeof desc, theirs, "clattn_projection_desc", report));
  *problem = (ca_problem){.operation = CA_OP_PROJECTION, .variant = desc.variant};
  if (desc.weights && desc.w.rank)
    return ca_fail(report, CLATTN_INVALID_VALUE, "w and weights are both there: only one may be");
  const said_projection said = {.flags = desc.flags,
                                .x = &desc.x,
                                .cos_cache = &desc.cos_cache,
                                .sin_cache = &desc.sin_cache,
                                .position_ids = &desc.position_ids,
                                .rotary_dim = desc.rotary_dim,
                                .position_offset = desc.position_offset,
                                .n_parts = 1,
                                .part = {{CLATTN_W, CLATTN_BIAS, CLATTN_Y, weights_tensor ? weights_tensor : &desc.w,
                                          &desc.bias, &desc.y, .rotates = true, .required = true}}};
  return take_projection(&said, problem, report);
}

clattn_status ca_validate_qkv(const clattn_qkv_desc *theirs, const clattn_tensor *const weights_tensor[CA_MAX_PARTS],
                              ca_problem *problem, clattn_report *report)
{
  clattn_qkv_desc desc;
  CA_TRY(ca_take_struct(&desc, sizeof desc, theirs, "clattn_qkv_desc", report));
  *problem = (ca_problem){.operation = CA_OP_PROJECTION, .variant = desc.variant};
  const clattn_tensor *w[CA_MAX_PARTS] = {&desc.w_q, &desc.w_k, &desc.w_v};
  for (int i = 0; i < CA_MAX_PARTS; i++) {
    if (weights_tensor[i] && w[i]->rank)
      return ca_fail(report, CLATTN_INVALID_VALUE, "w_%c and weights_%c are both there: only one may be", "qkv"[i],
                     "qkv"[i]);
    if (weights_tensor[i]) w[i] = weights_tensor[i];
  }
  if (!desc.q.rank && !desc.k.rank && !desc.v.rank)
    return ca_fail(report, CLATTN_INVALID_SHAPE, "q, k and v are absent (rank 0): one of them must be there");
  const said_projection said = {
      .flags = desc.flags,
      .x = &desc.x,
      .cos_cache = &desc.cos_cache,
      .sin_cache = &desc.sin_cache,
      .position_ids = &desc.position_ids,
      .rotary_dim = desc.rotary_dim,
      .position_offset = desc.position_offset,
      .n_parts = CA_MAX_PARTS,
      .part = {{CLATTN_W_Q, CLATTN_BIAS_Q, CLATTN_Q, w[0], &desc.bias_q, &desc.q, .rotates = true},
               {CLATTN_W_K, CLATTN_BIAS_K, CLATTN_K, w[1], &desc.bias_k, &desc.k, .rotates = true},
               {CLATTN_W_V, CLATTN_BIAS_V, CLATTN_V, w[2], &desc.bias_v, &desc.v, .rotates = false}}};
  return take_projection(&said, problem, report);
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
