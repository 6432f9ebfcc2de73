/* What clattn_plan_map refuses, and with which words; what its plan says of itself. */
#include <string.h>

#include "small.h"

static small_problem small;

/* A good map of the small problem, whole. */
static void describe(clattn_attention_desc *attention, clattn_map_desc *desc)
{
  *attention = small.desc;
  attention->lse = clattn_dense(CLATTN_F32, 3, (int64_t[]){1, SMALL_HQ, SMALL_SQ});
  *desc = (clattn_map_desc)CLATTN_MAP_DESC_INIT;
  desc->attention = attention;
  desc->map = clattn_bhsd(CLATTN_F32, 1, SMALL_HQ, SMALL_SQ, SMALL_SK);
}

#define REFUSED(edit, status, ...)                                                                                     \
  do {                                                                                                                 \
    const device_under_test *d = *state;                                                                               \
    clattn_attention_desc attention;                                                                                   \
    clattn_map_desc desc;                                                                                              \
    clattn_report report;                                                                                              \
    clattn_plan *plan = (clattn_plan *)&report;                                                                        \
    describe(&attention, &desc);                                                                                       \
    edit;                                                                                                              \
    assert_status(status, clattn_plan_map(d->context, &desc, &plan, &report), &report);                                \
    assert_says(&report, __VA_ARGS__);                                                                                 \
    assert_null(plan);                                                                                                 \
  } while (0)

static void structs(void **state)
{
  const device_under_test *d = *state;
  clattn_report report;
  clattn_plan *plan = NULL;
  clattn_attention_desc attention;
  clattn_map_desc desc;
  describe(&attention, &desc);
  assert_status(CLATTN_INVALID_ARGUMENT, clattn_plan_map(d->context, NULL, &plan, &report), &report);
  assert_says(&report, "clattn_map_desc is NULL");
  assert_status(CLATTN_INVALID_ARGUMENT, clattn_plan_map(NULL, &desc, &plan, &report), &report);
  assert_status(CLATTN_INVALID_ARGUMENT, clattn_plan_map(d->context, &desc, NULL, &report), &report);
  REFUSED(desc.attention = NULL, CLATTN_INVALID_ARGUMENT, "clattn_attention_desc is NULL");
  REFUSED(desc.struct_size = 8, CLATTN_INVALID_STRUCT, "clattn_map_desc: struct_size is 8, must be at least");
  REFUSED(attention.struct_size = 8, CLATTN_INVALID_STRUCT, "clattn_attention_desc: struct_size is 8");
  REFUSED(desc.flags = 2, CLATTN_INVALID_VALUE, "flags is 0x2, known are 0x0");
  REFUSED(desc.reserved = 1, CLATTN_INVALID_VALUE, "reserved is 1, must be 0");
  REFUSED(attention.flags = 0x80, CLATTN_INVALID_VALUE, "flags is 0x80");
}

static void ranges(void **state)
{
  REFUSED(desc.head_first = 5, CLATTN_INVALID_VALUE, "head_first is 5, must be 0 to 4 (HQ of q)");
  REFUSED(desc.head_first = -1, CLATTN_INVALID_VALUE, "head_first is -1");
  REFUSED((desc.head_first = 3, desc.head_count = 2), CLATTN_INVALID_VALUE,
          "head_count is 2, must be 0 (to the end) to 1 (HQ of q less head_first)");
  REFUSED(desc.row_first = 7, CLATTN_INVALID_VALUE, "row_first is 7, must be 0 to 6 (SQ of q)");
  REFUSED(desc.row_count = -1, CLATTN_INVALID_VALUE, "row_count is -1");
  REFUSED(desc.row_count = INT64_MAX, CLATTN_INVALID_VALUE, "row_count is 9223372036854775807");
  REFUSED(desc.key_first = 10, CLATTN_INVALID_VALUE, "key_first is 10, must be 0 to 9 (SK of k)");
  REFUSED((desc.key_first = 5, desc.key_count = 5), CLATTN_INVALID_VALUE, "key_count is 5", "to 4");
  REFUSED(desc.tile_rows = -1, CLATTN_INVALID_VALUE, "tile_rows is -1, must be 0 (1) or more");
  REFUSED(desc.tile_keys = INT64_MIN, CLATTN_INVALID_VALUE, "tile_keys is -9223372036854775808");
  REFUSED(desc.quantity = 5, CLATTN_INVALID_VALUE, "quantity is 5, must be 0 to 4");
  REFUSED(desc.quantity = -1, CLATTN_INVALID_VALUE, "quantity is -1");
}

static void tensors(void **state)
{
  REFUSED(desc.map.rank = 0, CLATTN_INVALID_SHAPE, "map and map_max are both absent (rank 0): one of them is needed");
  REFUSED(desc.map.dim[3] = 8, CLATTN_INVALID_SHAPE, "map: dimension 3 is 8, must be 9 (tiles of keys)");
  REFUSED(desc.tile_rows = 4, CLATTN_INVALID_SHAPE, "map: dimension 2 is 6, must be 2 (tiles of rows)");
  REFUSED(desc.head_first = 1, CLATTN_INVALID_SHAPE, "map: dimension 1 is 4, must be 3 (heads of the range)");
  REFUSED(desc.map_max = clattn_bhsd(CLATTN_F32, 2, SMALL_HQ, SMALL_SQ, SMALL_SK), CLATTN_INVALID_SHAPE,
          "map_max: dimension 0 is 2, must be 1 (B of q)");
  REFUSED(desc.map.dtype = CLATTN_BOOL, CLATTN_INVALID_DTYPE, "map: type is bool");
  REFUSED(desc.map.stride[2] = 1, CLATTN_OVERLAP, "map: its strides may make elements share memory");
  REFUSED(attention.lse.rank = 0, CLATTN_INVALID_SHAPE, "lse is absent (rank 0) but needed");
  REFUSED((attention.lse.rank = 0, desc.quantity = 1), CLATTN_INVALID_SHAPE, "lse is absent (rank 0) but needed");
  REFUSED(attention.lse.dim[2] = 5, CLATTN_INVALID_SHAPE, "lse: dimension 2 is 5, must be 6 (SQ of q)");
  REFUSED(attention.lse.dtype = CLATTN_F16, CLATTN_INVALID_DTYPE, "lse: type is f16 (2), must be one of f32, f64");
  REFUSED(desc.key_weight = clattn_dense(CLATTN_F32, 3, ((int64_t[]){1, SMALL_HQ, SMALL_SK})), CLATTN_INVALID_SHAPE,
          "key_weight: dimension 1 is 4, must be 2 (HK of k)");
  REFUSED((desc.key_weight = clattn_dense(CLATTN_F32, 3, ((int64_t[]){1, SMALL_HK, SMALL_SK})), desc.quantity = 4),
          CLATTN_INVALID_VALUE, "key_weight is there with quantity 4, it is for 0");
  REFUSED(attention.q.dim[3] = 7, CLATTN_INVALID_SHAPE, "k: dimension 3 is 8, must be 7 (DK of q)");
  REFUSED(attention.mask = clattn_dense(CLATTN_BOOL, 1, (int64_t[]){10}), CLATTN_INVALID_SHAPE,
          "mask: dimension 0 is 10");
}

/* A past and lengths on the device are for the caller to resolve: the words say how. */
static void lengths(void **state)
{
  REFUSED(attention.past_key = clattn_bhsd(CLATTN_F32, 1, SMALL_HK, 3, SMALL_DK), CLATTN_INVALID_VALUE,
          "past_key is there: a map takes the extended keys as k, and their past's length as query_offset");
  REFUSED(
      attention.nonpad_kv_seqlen = clattn_dense(CLATTN_I64, 1, (int64_t[]){1}), CLATTN_INVALID_VALUE,
      "nonpad_kv_seqlen is there: a map takes the valid keys as a view k, and their number less SQ as query_offset");
}

static void attributes(void **state)
{
  REFUSED(attention.scale = 1e300, CLATTN_INVALID_VALUE, "scale is 1e+300, must be finite in float32");
  REFUSED(attention.window_left = -2, CLATTN_INVALID_VALUE, "window_left is -2");
  REFUSED(attention.softmax_precision = 2, CLATTN_INVALID_VALUE, "softmax_precision is 2");
  REFUSED(attention.variant = "nonsense", CLATTN_UNKNOWN_VARIANT,
          "variant \"nonsense\" is none of those for this map (listed in the detail)");
  REFUSED((attention.variant = "tiled", desc.map.dtype = CLATTN_F64), CLATTN_UNSUPPORTED, "map is f64",
          "tiled computes in float32");
}

/* More steps than can be counted: elements that share memory make such a problem possible. */
static void steps(void **state)
{
  const device_under_test *d = *state;
  const int64_t many = INT32_MAX;
  clattn_attention_desc attention = CLATTN_ATTENTION_DESC_INIT;
  clattn_map_desc desc = CLATTN_MAP_DESC_INIT;
  clattn_report report;
  clattn_plan *plan = NULL;
  attention.q = clattn_bhsd(CLATTN_F32, many, 2, 1 << 13, 1);
  attention.q.stride[0] = attention.q.stride[1] = 0;
  attention.k = clattn_bhsd(CLATTN_F32, many, 1, 1 << 9, 1);
  attention.k.stride[0] = 0;
  desc.attention = &attention;
  desc.quantity = CLATTN_QUANTITY_SCORE;
  desc.tile_rows = desc.tile_keys = 1 << 13;
  desc.map = clattn_bhsd(CLATTN_F32, many, 2, 1, 1);
  assert_status(CLATTN_UNSUPPORTED, clattn_plan_map(d->context, &desc, &plan, &report), &report);
  assert_holds(report.detail, "the map takes more than 2147483647 steps");
  assert_null(plan);
}

/* What the fields of others say does not matter: the descriptor that made y serves. */
static void what_is_not_read(void **state)
{
  const device_under_test *d = *state;
  clattn_attention_desc attention;
  clattn_map_desc desc;
  clattn_report report;
  clattn_plan *plan = NULL;
  describe(&attention, &desc);
  attention.path = CLATTN_PATH_FUSED;
  attention.qk = clattn_bhsd(CLATTN_BOOL, 9, 9, 9, 9);
  attention.present_key = attention.qk;
  attention.v.rank = 0;
  attention.y.dtype = 77;
  attention.qk_mode = 9;
  assert_status(CLATTN_OK, clattn_plan_map(d->context, &desc, &plan, &report), &report);
  memset(&attention, 0xff, sizeof attention); /* planning is over */
  clattn_slot_info info = CLATTN_SLOT_INFO_INIT;
  static const struct {
    int32_t slot, output;
    size_t bytes;
  } want[] = {{CLATTN_Q, 0, sizeof small.q},
              {CLATTN_K, 0, sizeof small.k},
              {CLATTN_LSE, 0, sizeof(float) * SMALL_HQ * SMALL_SQ},
              {CLATTN_WORKSPACE, 1, sizeof(float) * SMALL_SQ * SMALL_SK},
              {CLATTN_MAP, 1, sizeof(float) * SMALL_HQ * SMALL_SQ * SMALL_SK}};
  for (uint32_t i = 0; i < sizeof want / sizeof want[0]; i++) {
    assert_status(CLATTN_OK, clattn_plan_slot(plan, i, &info), NULL);
    assert_int_equal(want[i].slot, info.slot);
    assert_int_equal(want[i].output, info.output);
    assert_int_equal(want[i].bytes, info.bytes);
  }
  assert_status(CLATTN_INVALID_ARGUMENT, clattn_plan_slot(plan, sizeof want / sizeof want[0], &info), NULL);
  clattn_plan_destroy(plan);
}

/* The variant is the score stage's, and so are candidates and rows of a tuning file. */
static void what_the_plan_says(void **state)
{
  const device_under_test *d = *state;
  clattn_attention_desc attention;
  clattn_map_desc desc;
  clattn_report report;
  clattn_plan *plan = NULL;
  describe(&attention, &desc);
  attention.variant = "reference";
  assert_status(CLATTN_OK, clattn_plan_map(d->context, &desc, &plan, &report), &report);
  assert_string_equal("reference_scores_f32_d8", clattn_plan_variant(plan));
  clattn_plan_info info = CLATTN_PLAN_INFO_INIT;
  assert_status(CLATTN_OK, clattn_plan_get_info(plan, &info), NULL);
  assert_int_equal(2 * SMALL_HQ, info.kernels);
  assert_int_equal(sizeof(float) * SMALL_SQ * SMALL_SK, info.workspace_bytes);
  assert_holds(info.selection, "reference_scores_f32_d8: taken");
  clattn_candidate_info candidate = CLATTN_CANDIDATE_INFO_INIT;
  bool taken = false;
  for (uint32_t i = 0; clattn_plan_candidate(plan, i, &candidate) == CLATTN_OK; i++) {
    assert_holds(candidate.variant, "_scores_f32_d8");
    taken = taken || candidate.taken;
  }
  assert_true(taken);
  char row[CLATTN_TUNING_ROW_BYTES];
  assert_status(CLATTN_OK, clattn_plan_tuning_row(plan, 0, row, sizeof row, &report), &report);
  assert_holds(row, "| scores f32 heads=1 group=1 sq=6 sk=9 dk=8 | reference_scores_f32");
  clattn_plan_destroy(plan);
}

/* Long sequences: a band of whole tiles, or of what fits, is all the memory there is. */
static void workspaces(void **state)
{
  const device_under_test *d = *state;
  static const struct {
    int64_t tokens, tile, bytes, kernels;
  } cases[] = {{16384, 64, 16 << 20, 2 * 64},
               {16384, 100, 200 * 65536, 2 * 82},
               {16384, 16384, 255 * 65536 + 2 * 12, 2 * 65},
               {1 << 23, 1 << 20, (1 << 25) + 2 * 12 * 8, 2 << 23},
               {1 << 23, 1, 1 << 25, 2 << 23}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    clattn_attention_desc attention = CLATTN_ATTENTION_DESC_INIT;
    clattn_map_desc desc = CLATTN_MAP_DESC_INIT;
    clattn_report report;
    clattn_plan *plan = NULL;
    const int64_t n = cases[i].tokens, tiles = (n + cases[i].tile - 1) / cases[i].tile;
    attention.q = attention.k = clattn_bhsd(CLATTN_F32, 1, 1, n, 8);
    attention.lse = clattn_dense(CLATTN_F32, 3, (int64_t[]){1, 1, n});
    desc.attention = &attention;
    desc.tile_rows = desc.tile_keys = cases[i].tile;
    desc.map = clattn_bhsd(CLATTN_F32, 1, 1, tiles, tiles);
    const clattn_status status = clattn_plan_map(d->context, &desc, &plan, &report);
    if (status == CLATTN_UNSUPPORTED && strstr(report.detail, "ends a work-item's loops")) continue; /* a quirk */
    assert_status(CLATTN_OK, status, &report);
    clattn_plan_info info = CLATTN_PLAN_INFO_INIT;
    assert_status(CLATTN_OK, clattn_plan_get_info(plan, &info), NULL);
    assert_int_equal(cases[i].bytes, info.workspace_bytes);
    assert_int_equal(cases[i].kernels, info.kernels);
    clattn_plan_destroy(plan);
  }
}

/* Buffers too small, and outputs upon inputs or each other. */
static void bindings(void **state)
{
  const device_under_test *d = *state;
  enum { MAP = SMALL_HQ * SMALL_SQ * SMALL_SK, LSE = SMALL_HQ * SMALL_SQ, ALL = SMALL_Q + SMALL_K + LSE + 2 * MAP };
  clattn_attention_desc attention;
  clattn_map_desc desc;
  clattn_report report;
  clattn_plan *plan = NULL;
  describe(&attention, &desc);
  desc.map_max = desc.map;
  assert_status(CLATTN_OK, clattn_plan_map(d->context, &desc, &plan, &report), &report);
  static const float nothing[ALL];
  const cl_mem all = device_buffer(d, sizeof nothing, nothing);
  const size_t at[5] = {0, SMALL_Q, SMALL_Q + SMALL_K, SMALL_Q + SMALL_K + LSE, SMALL_Q + SMALL_K + LSE + MAP};
  static const int32_t slot[5] = {CLATTN_Q, CLATTN_K, CLATTN_LSE, CLATTN_MAP, CLATTN_MAP_MAX};
  clattn_binding good[5];
  for (int i = 0; i < 5; i++)
    good[i] = (clattn_binding){.slot = slot[i], .mem = all, .offset_bytes = sizeof(float) * at[i]};
  assert_status(CLATTN_OK, clattn_enqueue(plan, d->queue, good, 5, 0, NULL, NULL, &report), &report);
  clattn_binding bad[5];
  memcpy(bad, good, sizeof bad);
  bad[4].offset_bytes -= sizeof(float);
  assert_status(CLATTN_OVERLAP, clattn_enqueue(plan, d->queue, bad, 5, 0, NULL, NULL, &report), &report);
  assert_says(&report, "map", "overlaps map_max");
  bad[4].offset_bytes += 2 * sizeof(float);
  assert_status(CLATTN_BUFFER_TOO_SMALL, clattn_enqueue(plan, d->queue, bad, 5, 0, NULL, NULL, &report), &report);
  assert_says(&report, "map_max: needs 864 bytes");
  memcpy(bad, good, sizeof bad);
  bad[3].offset_bytes = 0;
  assert_status(CLATTN_OVERLAP, clattn_enqueue(plan, d->queue, bad, 5, 0, NULL, NULL, &report), &report);
  assert_says(&report, "map", "overlaps q");
  assert_status(CLATTN_INVALID_BINDING, clattn_enqueue(plan, d->queue, good, 4, 0, NULL, NULL, &report), &report);
  assert_says(&report, "map_max is not bound, but the plan needs it");
  bad[3] = (clattn_binding){.slot = CLATTN_V, .mem = all};
  assert_status(CLATTN_INVALID_BINDING, clattn_enqueue(plan, d->queue, bad, 5, 0, NULL, NULL, &report), &report);
  assert_says(&report, "v is bound, but the plan does not have it");
  assert_cl(clFinish(d->queue));
  assert_cl(clReleaseMemObject(all));
  clattn_plan_destroy(plan);
}

static int setup(void **state)
{
  small_make(&small, 8);
  return device_setup(state);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(structs),          cmocka_unit_test(ranges),     cmocka_unit_test(tensors),
      cmocka_unit_test(lengths),          cmocka_unit_test(attributes), cmocka_unit_test(steps),
      cmocka_unit_test(what_is_not_read), cmocka_unit_test(workspaces), cmocka_unit_test(what_the_plan_says),
      cmocka_unit_test(bindings),
  };
  return cmocka_run_group_tests(tests, setup, device_teardown);
}
