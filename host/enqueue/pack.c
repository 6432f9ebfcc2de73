#include "pack.h"

#include <string.h>

#include "map_steps.h"

/* Offset and strides of a slot, in elements. */
static ca_tensor_arg pack_tensor(const ca_problem *problem, int32_t slot, const ca_bound *bound)
{
  const ca_tensor *t = &problem->tensor[slot];
  ca_tensor_arg arg = {0};
  if (!t->present) return arg;
  arg.offset = (ca_i64)(bound[slot].offset_bytes / ca_dtype_bytes(t->dtype));
  for (int i = 0; i < 4; i++) arg.stride[i] = t->stride[i];
  return arg;
}

/* A and P live in the workspace, dense, unless the caller bound them. */
static ca_tensor_arg pack_scores(const ca_problem *problem, int32_t slot, const ca_bound *bound, size_t real_bytes)
{
  if (problem->tensor[slot].present) return pack_tensor(problem, slot, bound);
  const ca_attention_problem *a = &problem->attention;
  return (ca_tensor_arg){.offset = (ca_i64)(bound[CLATTN_WORKSPACE].offset_bytes / real_bytes),
                         .stride = {a->hq * a->sq * a->sk, a->sq * a->sk, a->sk, 1}};
}

static ca_i32 scores_type(const ca_problem *problem, int32_t slot, size_t real_bytes)
{
  const ca_tensor *t = &problem->tensor[slot];
  return t->present ? t->dtype : real_bytes == sizeof(double) ? CA_F64 : CA_F32;
}

static ca_i64 double_bits(double x)
{
  ca_i64 bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

/* The point of qk that a stage writes: probabilities come from softmax, the others from scores. */
static ca_i32 qk_mode_of(const ca_problem *problem, ca_stage stage)
{
  const ca_i32 mode = problem->attention.qk_mode;
  const bool by_softmax = mode == CA_QK_PROBABILITIES;
  if (stage == CA_STAGE_scores && !by_softmax) return mode;
  if (stage == CA_STAGE_softmax && by_softmax) return mode;
  return CA_QK_NONE;
}

static void pack_attention(const ca_problem *problem, const ca_choice *choice, ca_stage stage,
                           const ca_bound bound[CLATTN_SLOT_COUNT], ca_attention_args *args)
{
  const size_t real_bytes = choice->real_bytes;
  const ca_attention_problem *a = &problem->attention;
  const ca_tensor *tensor = problem->tensor;
  *args = (ca_attention_args){
      .q = pack_tensor(problem, CLATTN_Q, bound),
      .k = pack_tensor(problem, CLATTN_K, bound),
      .v = pack_tensor(problem, CLATTN_V, bound),
      .y = pack_tensor(problem, CLATTN_Y, bound),
      .mask = pack_tensor(problem, CLATTN_MASK, bound),
      .qk = pack_tensor(problem, CLATTN_QK, bound),
      .a = pack_scores(problem, CLATTN_A, bound, real_bytes),
      .p = pack_scores(problem, CLATTN_P, bound, real_bytes),
      .lse = pack_tensor(problem, CLATTN_LSE, bound),
      .past_k = pack_tensor(problem, CLATTN_PAST_KEY, bound),
      .past_v = pack_tensor(problem, CLATTN_PAST_VALUE, bound),
      .nonpad = pack_tensor(problem, CLATTN_NONPAD_KV_SEQLEN, bound),
      .scale_bits = double_bits(a->scale),
      .softcap_bits = double_bits(a->softcap),
      .parts_offset = (ca_i64)(bound[CLATTN_WORKSPACE].offset_bytes / sizeof(float)),
      .b = (ca_i32)a->b,
      .hq = (ca_i32)a->hq,
      .hk = (ca_i32)a->hk,
      .sq = (ca_i32)a->sq,
      .sk = (ca_i32)a->sk,
      .dk = (ca_i32)a->dk,
      .dv = (ca_i32)a->dv,
      .past = (ca_i32)a->past,
      .group = (ca_i32)(a->hq / a->hk),
      .causal = a->causal,
      .offset = (ca_i32)a->offset,
      .window_left = (ca_i32)a->window_left,
      .window_right = (ca_i32)a->window_right,
      .mask_kind = a->mask_kind,
      .mask_len = (ca_i32)a->mask_len,
      .has_nonpad = tensor[CLATTN_NONPAD_KV_SEQLEN].present,
      .qk_mode = qk_mode_of(problem, stage),
      .want_a = problem->operation != CA_OP_SCORES || a->qk_mode == CA_QK_PROBABILITIES,
      .want_p = problem->operation != CA_OP_SCORES,
      .want_lse = tensor[CLATTN_LSE].present,
      .q_type = tensor[CLATTN_Q].dtype,
      .k_type = tensor[CLATTN_K].dtype,
      .v_type = tensor[CLATTN_V].dtype,
      .y_type = tensor[CLATTN_Y].dtype,
      .mask_type = tensor[CLATTN_MASK].dtype,
      .qk_type = tensor[CLATTN_QK].dtype,
      .a_type = scores_type(problem, CLATTN_A, real_bytes),
      .p_type = scores_type(problem, CLATTN_P, real_bytes),
      .lse_type = tensor[CLATTN_LSE].dtype,
      .parts = choice->parts,
      .scale = (ca_f32)a->scale,
      .softcap = (ca_f32)a->softcap,
  };
}

static void pack_projection(const ca_problem *problem, int index, const ca_bound bound[CLATTN_SLOT_COUNT],
                            ca_projection_args *args)
{
  const ca_projection_problem *p = &problem->projection;
  const ca_projection_part *part = &p->part[index];
  const ca_tensor *tensor = problem->tensor;
  *args = (ca_projection_args){
      .x = pack_tensor(problem, CLATTN_X, bound),
      .w = pack_tensor(problem, part->w, bound),
      .bias = pack_tensor(problem, part->bias, bound),
      .y = pack_tensor(problem, part->y, bound),
      .cosine = pack_tensor(problem, CLATTN_COS_CACHE, bound),
      .sine = pack_tensor(problem, CLATTN_SIN_CACHE, bound),
      .position = pack_tensor(problem, CLATTN_POSITION_IDS, bound),
      .product_offset = (ca_i64)(bound[CLATTN_WORKSPACE].offset_bytes / sizeof(float)),
      .position_offset = p->position_offset,
      .b = (ca_i32)p->b,
      .s = (ca_i32)p->s,
      .e = (ca_i32)p->e,
      .h = (ca_i32)part->h,
      .d = (ca_i32)part->d,
      .has_bias = tensor[part->bias].present,
      .has_rotary = part->rotary_dim > 0,
      .has_position = tensor[CLATTN_POSITION_IDS].present,
      .rotary_dim = (ca_i32)part->rotary_dim,
      .interleaved = p->interleaved,
      .cache_rank = p->cache_rank,
      .cache_rows = (ca_i32)tensor[CLATTN_COS_CACHE].dim[0],
      .x_type = tensor[CLATTN_X].dtype,
      .w_type = tensor[part->w].dtype,
      .bias_type = tensor[part->bias].dtype,
      .y_type = tensor[part->y].dtype,
      .cache_type = tensor[CLATTN_COS_CACHE].dtype,
      .panel = part->panel,
  };
}

static void pack_projections(const ca_problem *problem, const ca_launch *launch,
                             const ca_bound bound[CLATTN_SLOT_COUNT], ca_projections_args *args)
{
  pack_projection(problem, launch->part, bound, &args->first);
  for (int i = 1; i < launch->n_parts; i++) {
    ca_projection_args one;
    pack_projection(problem, launch->part + i, bound, &one);
    args->other[i - 1] = (ca_projection_other){.w = one.w,
                                               .bias = one.bias,
                                               .y = one.y,
                                               .h = one.h,
                                               .d = one.d,
                                               .has_bias = one.has_bias,
                                               .has_rotary = one.has_rotary,
                                               .rotary_dim = one.rotary_dim,
                                               .w_type = one.w_type,
                                               .bias_type = one.bias_type,
                                               .y_type = one.y_type};
  }
}

static ca_extend_side pack_side(const ca_problem *problem, const ca_bound *bound, int32_t rows, int32_t past,
                                int32_t present)
{
  const ca_tensor *t = &problem->tensor[present];
  return (ca_extend_side){.rows = pack_tensor(problem, rows, bound),
                          .past = pack_tensor(problem, past, bound),
                          .present = pack_tensor(problem, present, bound),
                          .width = t->dim[3],
                          .element_bytes = t->present ? (ca_i64)ca_dtype_bytes(t->dtype) : 0};
}

static void pack_extend(const ca_problem *problem, const ca_bound bound[CLATTN_SLOT_COUNT], ca_extend_args *args)
{
  const ca_attention_problem *a = &problem->attention;
  *args = (ca_extend_args){.k = pack_side(problem, bound, CLATTN_K, CLATTN_PAST_KEY, CLATTN_PRESENT_KEY),
                           .v = pack_side(problem, bound, CLATTN_V, CLATTN_PAST_VALUE, CLATTN_PRESENT_VALUE),
                           .b = (ca_i32)a->b,
                           .hk = (ca_i32)a->hk,
                           .sk = (ca_i32)(a->sk - a->past),
                           .past = (ca_i32)a->past};
}

static void pack_merge(const ca_problem *problem, const ca_bound bound[CLATTN_SLOT_COUNT], ca_merge_args *args)
{
  const ca_attention_problem *a = &problem->attention;
  const ca_tensor *tensor = problem->tensor;
  *args = (ca_merge_args){.y1 = pack_tensor(problem, CLATTN_Y1, bound),
                          .y2 = pack_tensor(problem, CLATTN_Y2, bound),
                          .y = pack_tensor(problem, CLATTN_Y, bound),
                          .lse1 = pack_tensor(problem, CLATTN_LSE1, bound),
                          .lse2 = pack_tensor(problem, CLATTN_LSE2, bound),
                          .lse = pack_tensor(problem, CLATTN_LSE, bound),
                          .b = (ca_i32)a->b,
                          .h = (ca_i32)a->hq,
                          .s = (ca_i32)a->sq,
                          .d = (ca_i32)a->dv,
                          .y1_type = tensor[CLATTN_Y1].dtype,
                          .y2_type = tensor[CLATTN_Y2].dtype,
                          .y_type = tensor[CLATTN_Y].dtype,
                          .lse1_type = tensor[CLATTN_LSE1].dtype,
                          .lse2_type = tensor[CLATTN_LSE2].dtype,
                          .lse_type = tensor[CLATTN_LSE].dtype,
                          .want_lse = tensor[CLATTN_LSE].present};
}

/* Of a step: problem->attention has its scores, and each slot is bound where the step's part of it begins. */
static void pack_map(const ca_problem *problem, const ca_choice *choice, const ca_launch *launch,
                     const ca_bound bound[CLATTN_SLOT_COUNT], ca_map_args *args)
{
  const ca_attention_problem *a = &problem->attention;
  const ca_map_problem *map = &problem->map;
  const ca_tensor *tensor = problem->tensor;
  int64_t down, across;
  ca_map_share(map, (int64_t)launch->local[0], &down, &across);
  *args = (ca_map_args){.lse = pack_tensor(problem, CLATTN_LSE, bound),
                        .key_weight = pack_tensor(problem, CLATTN_KEY_WEIGHT, bound),
                        .map = pack_tensor(problem, CLATTN_MAP, bound),
                        .map_max = pack_tensor(problem, CLATTN_MAP_MAX, bound),
                        .scores = (ca_i64)(bound[CLATTN_QK].offset_bytes / choice->real_bytes),
                        .carry = (ca_i64)(bound[CLATTN_WORKSPACE].offset_bytes / choice->real_bytes),
                        .b = (ca_i32)a->b,
                        .rows = (ca_i32)a->sq,
                        .keys = (ca_i32)a->sk,
                        .row = (ca_i32)map->row,
                        .all_rows = (ca_i32)map->rows,
                        .tile_rows = (ca_i32)map->tile_rows,
                        .tile_keys = (ca_i32)map->tile_keys,
                        .down = (ca_i32)down,
                        .across = (ca_i32)across,
                        .quantity = map->quantity,
                        .lse_type = tensor[CLATTN_LSE].dtype,
                        .weight_type = tensor[CLATTN_KEY_WEIGHT].dtype,
                        .map_type = tensor[CLATTN_MAP].dtype,
                        .max_type = tensor[CLATTN_MAP_MAX].dtype};
}

void ca_pack(const ca_problem *problem, const ca_choice *choice, const ca_launch *launch,
             const ca_bound bound[CLATTN_SLOT_COUNT], ca_any_args *args)
{
  switch (launch->stage) {
  case CA_STAGE_projection:
  case CA_STAGE_projection_finish:
    pack_projection(problem, launch->part, bound, &args->projection);
    break;
  case CA_STAGE_projections:
    pack_projections(problem, launch, bound, &args->projections);
    break;
  case CA_STAGE_extend:
    pack_extend(problem, bound, &args->extend);
    break;
  case CA_STAGE_merge:
    pack_merge(problem, bound, &args->merge);
    break;
  case CA_STAGE_map:
    pack_map(problem, choice, launch, bound, &args->map);
    break;
  default:
    pack_attention(problem, choice, launch->stage, bound, &args->attention);
  }
}
