/* The descriptor of a map. */
#include <inttypes.h>

#include "map_steps.h"
#include "score_side.h"
#include "validate.h"

_Static_assert((int)CLATTN_QUANTITY_ENTROPY == CA_MAP_ENTROPY && (int)CLATTN_QUANTITY_SCALED == CA_MAP_SCALED &&
                   (int)CLATTN_QUANTITY_CAPPED == CA_MAP_CAPPED && (int)CLATTN_QUANTITY_SCORE == CA_MAP_SCORE,
               "kernels know quantities by the same numbers");

/* A range of `all`: count 0 is to the end. */
static clattn_status take_range(const char *name, const char *of, int64_t first, int64_t count, int64_t all,
                                int64_t *begin, int64_t *length, clattn_report *report)
{
  if (first < 0 || first > all)
    return ca_fail(report, CLATTN_INVALID_VALUE, "%s_first is %" PRId64 ", must be 0 to %" PRId64 " (%s)", name, first,
                   all, of);
  if (count < 0 || count > all - first)
    return ca_fail(report, CLATTN_INVALID_VALUE,
                   "%s_count is %" PRId64 ", must be 0 (to the end) to %" PRId64 " (%s less %s_first)", name, count,
                   all - first, of, name);
  *begin = first;
  *length = count ? count : all - first;
  return CLATTN_OK;
}

/* A tile that is larger than its range is the range. */
static clattn_status take_tile(const char *name, int64_t tile, int64_t range, int64_t *out, clattn_report *report)
{
  if (tile < 0) return ca_fail(report, CLATTN_INVALID_VALUE, "%s is %" PRId64 ", must be 0 (1) or more", name, tile);
  *out = tile == 0 || range == 0 ? 1 : tile < range ? tile : range;
  return CLATTN_OK;
}

static clattn_status take_part(const clattn_map_desc *desc, ca_problem *problem, clattn_report *report)
{
  const ca_attention_problem *a = &problem->attention;
  ca_map_problem *map = &problem->map;
  *map = (ca_map_problem){.b = a->b, .group = a->hq / a->hk, .quantity = desc->quantity};
  CA_TRY(
      take_range("head", "HQ of q", desc->head_first, desc->head_count, a->hq, &map->head_first, &map->heads, report));
  CA_TRY(take_range("row", "SQ of q", desc->row_first, desc->row_count, a->sq, &map->row_first, &map->rows, report));
  CA_TRY(take_range("key", "SK of k", desc->key_first, desc->key_count, a->sk, &map->key_first, &map->keys, report));
  CA_TRY(take_tile("tile_rows", desc->tile_rows, map->rows, &map->tile_rows, report));
  CA_TRY(take_tile("tile_keys", desc->tile_keys, map->keys, &map->tile_keys, report));
  if (desc->quantity < CA_MAP_PROBABILITY || desc->quantity > CA_MAP_SCORE)
    return ca_fail(report, CLATTN_INVALID_VALUE, "quantity is %" PRId32 ", must be 0 to %d", desc->quantity,
                   CA_MAP_SCORE);
  if (desc->reserved)
    return ca_fail(report, CLATTN_INVALID_VALUE, "reserved is %" PRId32 ", must be 0", desc->reserved);
  return CLATTN_OK;
}

/* lse is what other passes over the whole rows found. Scores need none. */
static clattn_status take_lse(const clattn_attention_desc *attention, ca_problem *problem, clattn_report *report)
{
  static const ca_tensor_rule rule = {CLATTN_LSE, 3, 3, CA_REALS, false, true};
  const ca_attention_problem *a = &problem->attention;
  if (problem->map.quantity >= CA_MAP_SCALED) return CLATTN_OK;
  CA_TRY(ca_take_tensor(&attention->lse, &rule, problem, report));
  CA_TRY(ca_want_dim(problem, CLATTN_LSE, 0, a->b, "B of q", report));
  CA_TRY(ca_want_dim(problem, CLATTN_LSE, 1, a->hq, "HQ of q", report));
  return ca_want_dim(problem, CLATTN_LSE, 2, a->sq, "SQ of q", report);
}

static clattn_status take_key_weight(const clattn_map_desc *desc, ca_problem *problem, clattn_report *report)
{
  static const ca_tensor_rule rule = {CLATTN_KEY_WEIGHT, 3, 3, CA_FLOATS, false, false};
  const ca_attention_problem *a = &problem->attention;
  CA_TRY(ca_take_tensor(&desc->key_weight, &rule, problem, report));
  if (problem->tensor[CLATTN_KEY_WEIGHT].present && desc->quantity != CA_MAP_PROBABILITY)
    return ca_fail(report, CLATTN_INVALID_VALUE, "key_weight is there with quantity %" PRId32 ", it is for 0",
                   desc->quantity);
  CA_TRY(ca_want_dim(problem, CLATTN_KEY_WEIGHT, 0, a->b, "B of q", report));
  CA_TRY(ca_want_dim(problem, CLATTN_KEY_WEIGHT, 1, a->hk, "HK of k", report));
  return ca_want_dim(problem, CLATTN_KEY_WEIGHT, 2, a->sk, "SK of k", report);
}

static clattn_status take_maps(const clattn_map_desc *desc, ca_problem *problem, clattn_report *report)
{
  static const ca_tensor_rule rules[2] = {{CLATTN_MAP, 4, 4, CA_FLOATS, true, false},
                                          {CLATTN_MAP_MAX, 4, 4, CA_FLOATS, true, false}};
  static const char *const names[4] = {"B of q", "heads of the range", "tiles of rows", "tiles of keys"};
  const ca_map_problem *map = &problem->map;
  const int64_t dim[4] = {map->b, map->heads, ca_map_tiles(map->rows, map->tile_rows),
                          ca_map_tiles(map->keys, map->tile_keys)};
  CA_TRY(ca_take_tensor(&desc->map, &rules[0], problem, report));
  CA_TRY(ca_take_tensor(&desc->map_max, &rules[1], problem, report));
  for (int r = 0; r < 2; r++)
    for (int i = 0; i < 4; i++) CA_TRY(ca_want_dim(problem, rules[r].slot, i, dim[i], names[i], report));
  if (!problem->tensor[CLATTN_MAP].present && !problem->tensor[CLATTN_MAP_MAX].present)
    return ca_fail(report, CLATTN_INVALID_SHAPE, "map and map_max are both absent (rank 0): one of them is needed");
  return CLATTN_OK;
}

static clattn_status refuse_lengths(const clattn_attention_desc *attention, clattn_report *report)
{
  if (attention->past_key.rank)
    return ca_fail(report, CLATTN_INVALID_VALUE,
                   "past_key is there: a map takes the extended keys as k, and their past's length as query_offset");
  if (attention->nonpad_kv_seqlen.rank)
    return ca_fail(report, CLATTN_INVALID_VALUE,
                   "nonpad_kv_seqlen is there: a map takes the valid keys as a view k, and their number less SQ as "
                   "query_offset");
  return CLATTN_OK;
}

/* The scores that a step makes, in place of the whole's. */
static void narrow(ca_problem *problem, bool wide)
{
  const ca_map_problem *map = &problem->map;
  ca_attention_problem *a = &problem->attention;
  a->hq = a->hk = 1;
  a->sk = map->keys;
  a->offset += map->row_first - map->key_first;
  a->mask_len = a->mask_len <= map->key_first ? 0 : a->mask_len - map->key_first;
  if (a->mask_len > map->keys) a->mask_len = map->keys;
  a->qk_mode = map->quantity == CA_MAP_SCALED   ? CA_QK_SCALED
               : map->quantity == CA_MAP_CAPPED ? CA_QK_CAPPED
                                                : CA_QK_MASKED;
  ca_map_cut(problem, wide || a->softmax_precision == 11 ? sizeof(double) : sizeof(float));
}

clattn_status ca_validate_map(const clattn_map_desc *theirs, ca_problem *problem, clattn_report *report)
{
  clattn_map_desc desc;
  clattn_attention_desc attention;
  CA_TRY(ca_take_struct(&desc, sizeof desc, theirs, "clattn_map_desc", report));
  CA_TRY(ca_check_flags(desc.flags, 0, report));
  CA_TRY(ca_take_struct(&attention, sizeof attention, desc.attention, "clattn_attention_desc", report));
  *problem = (ca_problem){.operation = CA_OP_MAP, .variant = attention.variant};
  CA_TRY(refuse_lengths(&attention, report));
  if (desc.quantity >= CA_MAP_SCALED) attention.lse.rank = 0;
  const clattn_tensor *const all[7] = {&attention.q,     &attention.k, &attention.mask, &attention.lse,
                                       &desc.key_weight, &desc.map,    &desc.map_max};
  const bool wide = ca_any_is_f64(all, 7);
  CA_TRY(ca_take_score_side(&attention, wide, problem, report));
  CA_TRY(take_part(&desc, problem, report));
  CA_TRY(take_lse(&attention, problem, report));
  CA_TRY(take_key_weight(&desc, problem, report));
  CA_TRY(take_maps(&desc, problem, report));
  narrow(problem, wide);
  return CLATTN_OK;
}
