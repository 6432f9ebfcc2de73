#include "map_launch.h"

#include <string.h>

#include "map_steps.h"

/* Moves the beginning of a slot's view by so many elements of its dimensions. */
static void move(const ca_problem *problem, int32_t slot, const int64_t by[4], ca_bound *bound)
{
  const ca_tensor *t = &problem->tensor[slot];
  int64_t elems = 0;
  if (!t->present) return;
  for (int i = 0; i < 4; i++) elems += by[i] * t->stride[i];
  bound[slot].offset_bytes += (size_t)elems * ca_dtype_bytes(t->dtype);
}

/* The step's scores: dense, in the workspace after what tiles take along. */
static void place_scores(const ca_choice *choice, ca_problem *step, ca_bound *bound)
{
  const ca_attention_problem *a = &step->attention;
  const bool wide = choice->real_bytes == sizeof(double);
  step->tensor[CLATTN_QK] = (ca_tensor){.present = true,
                                        .output = true,
                                        .dtype = wide ? CLATTN_F64 : CLATTN_F32,
                                        .dim = {a->b, 1, a->sq, a->sk},
                                        .stride = {a->sq * a->sk, a->sq * a->sk, a->sk, 1},
                                        .span_elems = a->b * a->sq * a->sk};
  bound[CLATTN_QK] = bound[CLATTN_WORKSPACE];
  bound[CLATTN_QK].offset_bytes += (size_t)step->map.carry * choice->real_bytes;
}

void ca_map_prepare(const ca_problem *whole, const ca_choice *choice, const ca_bound bound[CLATTN_SLOT_COUNT],
                    int64_t index, ca_problem *step, ca_bound step_bound[CLATTN_SLOT_COUNT])
{
  const ca_map_problem *map = &whole->map;
  const ca_map_step part = ca_map_step_at(whole, index);
  const int64_t head = map->head_first + part.head, row = map->row_first + part.row;
  memcpy(step_bound, bound, CLATTN_SLOT_COUNT * sizeof *bound);
  *step = *whole;
  step->operation = CA_OP_SCORES; /* what its first launch makes */
  step->attention.b = part.batches;
  step->attention.sq = part.rows;
  step->attention.offset += part.row;
  step->map.row = part.row;
  move(whole, CLATTN_Q, (const int64_t[4]){part.batch, head, row, 0}, step_bound);
  move(whole, CLATTN_K, (const int64_t[4]){part.batch, head / map->group, map->key_first, 0}, step_bound);
  move(whole, CLATTN_MASK, (const int64_t[4]){part.batch, head, row, map->key_first}, step_bound);
  move(whole, CLATTN_LSE, (const int64_t[4]){part.batch, head, row, 0}, step_bound);
  move(whole, CLATTN_KEY_WEIGHT, (const int64_t[4]){part.batch, head / map->group, map->key_first, 0}, step_bound);
  move(whole, CLATTN_MAP, (const int64_t[4]){part.batch, part.head, 0, 0}, step_bound);
  move(whole, CLATTN_MAP_MAX, (const int64_t[4]){part.batch, part.head, 0, 0}, step_bound);
  place_scores(choice, step, step_bound);
}
