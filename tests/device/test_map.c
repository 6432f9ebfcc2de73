/* Maps: any block of scores, probabilities or entropy, and pooled pictures of them: test_map VARIANT|any [FILTER]. The
 * variant is that of the score stage; what follows it is one kernel for all of them. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "asserts.h"
#include "far.h"
#include "tester_map.h"

static const char *variant;

static void run(void **state, map_case c) { test_map(*state, &c, variant); }

/* For interpreters of kernels: every quantity, tiles of one work-item and of a whole group, a mask, a weight. */
static void test_small(void **state)
{
  for (int quantity = 0; quantity < 5; quantity++)
    run(state, (map_case){.hq = 2, .hk = 1, .sq = 5, .sk = 7, .dk = 3, .mask = MASK_BOOL, .quantity = quantity});
  run(state, (map_case){.b = 2,
                        .sq = 5,
                        .sk = 9,
                        .dk = 3,
                        .tile_rows = 2,
                        .tile_keys = 4,
                        .causal = true,
                        .weight = true,
                        .outputs = MAP_BOTH});
  run(state,
      (map_case){.sq = 19, .sk = 18, .dk = 2, .tile_rows = 16, .tile_keys = 17, .outputs = MAP_BOTH, .row_first = 1});
  run(state, (map_case){.sq = 4, .sk = 5, .dk = 2, .q_type = CLATTN_F64, .quantity = 1, .tile_keys = 5});
}

static void every_quantity(void **state)
{
  for (int quantity = 0; quantity < 5; quantity++)
    for (map_outputs outputs = MAP_SUM; outputs <= MAP_BOTH; outputs++) {
      run(state, (map_case){.b = 2,
                            .hq = 3,
                            .sq = 37,
                            .sk = 70,
                            .causal = true,
                            .quantity = quantity,
                            .outputs = outputs,
                            .softcap = 0.4,
                            .spread = 3.0});
      run(state, (map_case){.b = 2,
                            .hq = 3,
                            .sq = 37,
                            .sk = 70,
                            .causal = true,
                            .quantity = quantity,
                            .outputs = outputs,
                            .tile_rows = 10,
                            .tile_keys = 9,
                            .mask = MASK_INFINITE});
    }
}

/* Tiles that divide nothing, from one number to all of them. */
static void every_tile(void **state)
{
  static const int64_t tiles[] = {1, 2, 3, 7, 15, 16, 17, 31, 33, 64, 65, 99, 100, 1000};
  enum { TILES = sizeof tiles / sizeof tiles[0] };
  for (int i = 0; i < TILES; i++)
    for (int j = 0; j < TILES; j += i % 3 + 1)
      run(state, (map_case){.hq = 2,
                            .hk = 1,
                            .sq = 70,
                            .sk = 101,
                            .tile_rows = tiles[i],
                            .tile_keys = tiles[j],
                            .causal = i % 2,
                            .has_offset = true,
                            .offset = 31,
                            .quantity = (i + j) % 3,
                            .outputs = MAP_BOTH});
}

/* Rows and keys of every number of vectors and chunks, not pooled. */
static void every_size(void **state)
{
  static const int64_t sizes[] = {1, 2, 15, 16, 17, 33, 1023, 1024, 1025, 2050};
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    run(state, (map_case){.sq = 3, .sk = sizes[i], .weight = i % 2});
    run(state, (map_case){.sq = sizes[i], .sk = 3, .outputs = MAP_BOTH, .quantity = 1});
    run(state, (map_case){.sq = 2, .sk = sizes[i], .tile_keys = sizes[i], .outputs = MAP_BOTH, .quantity = 1});
  }
}

/* Ranges at every edge; heads that begin within a group and end in another. */
static void every_range(void **state)
{
  static const int64_t range[][2] = {{0, 0}, {0, 1}, {1, 0}, {22, 1}, {7, 11}, {0, 23}};
  static const int64_t heads[][2] = {{0, 0}, {1, 1}, {2, 3}, {5, 1}, {1, 4}};
  enum { RANGES = sizeof range / sizeof range[0], HEADS = sizeof heads / sizeof heads[0] };
  for (int i = 0; i < RANGES; i++)
    for (int j = 0; j < RANGES; j++)
      run(state, (map_case){.b = 1 + j % 2,
                            .hq = 6,
                            .hk = 2,
                            .sq = 23,
                            .sk = 23,
                            .head_first = heads[(i + j) % HEADS][0],
                            .head_count = heads[(i + j) % HEADS][1],
                            .row_first = range[i][0],
                            .row_count = range[i][1],
                            .key_first = range[j][0],
                            .key_count = range[j][1],
                            .tile_rows = i % 3 * 3,
                            .tile_keys = j % 2 * 5,
                            .causal = j % 3 == 0,
                            .mask = (j % 3 == 1) ? MASK_ADDITIVE : MASK_NONE,
                            .has_window = i % 2,
                            .window_left = 6,
                            .window_right = 3,
                            .weight = true,
                            .outputs = MAP_BOTH,
                            .seed = (uint64_t)(i * RANGES + j)});
}

static void every_mask(void **state)
{
  static const mask_case masks[] = {MASK_BOOL, MASK_EDGES, MASK_ADDITIVE, MASK_INFINITE};
  for (size_t m = 0; m < sizeof masks / sizeof masks[0]; m++)
    for (int rank = 1; rank <= 4; rank++)
      for (int shared = 0; shared < 2; shared++)
        run(state, (map_case){.b = 2,
                              .hq = 4,
                              .hk = 2,
                              .sq = 11,
                              .sk = 29,
                              .mask = masks[m],
                              .mask_rank = rank,
                              .mask_shared = shared,
                              .mask_short = rank % 2 ? 12 : 0,
                              .row_first = 2,
                              .row_count = 8,
                              .key_first = shared ? 5 : 20,
                              .tile_rows = rank,
                              .tile_keys = 3,
                              .mask_layout = rank > 2 ? LAYOUT_GAPS : LAYOUT_DENSE,
                              .head_first = 1,
                              .outputs = MAP_BOTH,
                              .quantity = (int)m % 2 ? 4 : 0});
}

static void order_windows_and_softcap(void **state)
{
  static const int64_t offsets[] = {-40, -7, 0, 1, 30, 200};
  for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++)
    for (int quantity = 0; quantity < 5; quantity += 2)
      for (int window = 0; window < 3; window++)
        run(state, (map_case){.hq = 2,
                              .sq = 33,
                              .sk = 50,
                              .causal = window != 1,
                              .has_offset = true,
                              .offset = offsets[i],
                              .has_window = window > 0,
                              .window_left = window == 1 ? 9 : -1,
                              .window_right = window == 1 ? 0 : 4,
                              .softcap = quantity ? 0.3 : 0.0,
                              .scale = -2.5,
                              .row_first = 5,
                              .key_first = 9,
                              .tile_rows = 6,
                              .tile_keys = 7,
                              .quantity = quantity,
                              .outputs = MAP_BOTH});
}

/* More than one step: bands of whole tiles, tiles taller than a band, batch items in parts, and all of that pooled to
 * nothing but one number. */
static void many_steps(void **state)
{
  const map_case banded = {.sq = 2100, .sk = 2101, .dk = 4, .causal = true, .outputs = MAP_BOTH};
  static const int64_t tiles[][2] = {{100, 90}, {2000, 700}, {2100, 2101}, {2100, 1}, {1999, 2}, {1, 2101}};
  for (size_t i = 0; i < sizeof tiles / sizeof tiles[0]; i++)
    for (int quantity = i < 2 ? 4 : 1; quantity >= 0; quantity -= i < 2 ? 1 : 2) {
      map_case c = banded;
      c.tile_rows = tiles[i][0];
      c.tile_keys = tiles[i][1];
      c.quantity = quantity;
      run(state, c);
    }
  /* A step in the middle ends a row of tiles and begins one that goes on. */
  run(state,
      (map_case){
          .sq = 6500, .sk = 2101, .dk = 2, .tile_rows = 2500, .tile_keys = 30, .causal = true, .outputs = MAP_BOTH});
  run(state, (map_case){.b = 20, .hq = 2, .hk = 1, .sq = 700, .sk = 700, .dk = 2, .tile_rows = 64, .tile_keys = 77});
  run(state, (map_case){.b = 2,
                        .sq = 2100,
                        .sk = 2100,
                        .dk = 2,
                        .tile_rows = 2050,
                        .tile_keys = 1000,
                        .weight = true,
                        .mask = MASK_ADDITIVE,
                        .mask_rank = 2,
                        .outputs = MAP_BOTH});
}

static void every_type(void **state)
{
  for (int32_t in = CLATTN_F32; in <= CLATTN_F64; in++)
    for (int32_t out = CLATTN_F32; out <= CLATTN_F64; out++)
      for (int tile = 0; tile < 2; tile++)
        run(state, (map_case){.hq = 2,
                              .sq = 18,
                              .sk = 35,
                              .q_type = in,
                              .k_type = 1 + in % 3,
                              .weight = true,
                              .weight_type = 1 + out % 4,
                              .mask = MASK_ADDITIVE,
                              .mask_type = 1 + (in + out) % 3,
                              .map_type = out,
                              .max_type = in,
                              .outputs = MAP_BOTH,
                              .tile_rows = tile * 17,
                              .tile_keys = tile * 18});
  run(state, (map_case){.sq = 18, .sk = 35, .lse_type = CLATTN_F64, .quantity = 1, .tile_rows = 3});
  run(state, (map_case){.sq = 18, .sk = 35, .lse_type = CLATTN_F64, .quantity = 4, .tile_rows = 3}); /* not read */
}

static void every_layout(void **state)
{
  for (box_layout layout = LAYOUT_DENSE; layout <= LAYOUT_REVERSED; layout++)
    for (int tile = 0; tile < 2; tile++)
      run(state, (map_case){.b = 2,
                            .hq = 4,
                            .hk = 2,
                            .sq = 19,
                            .sk = 37,
                            .q_layout = layout,
                            .k_layout = LAYOUT_REVERSED - layout,
                            .lse_layout = layout,
                            .weight = true,
                            .weight_layout = layout,
                            .map_layout = layout,
                            .max_layout = LAYOUT_REVERSED - layout,
                            .map_type = CLATTN_F16,
                            .outputs = MAP_BOTH,
                            .tile_rows = tile * 4,
                            .tile_keys = tile * 5,
                            .head_first = 1,
                            .row_first = 3,
                            .key_first = 2});
  run(state, (map_case){.b = 2,
                        .hq = 2,
                        .sq = 5,
                        .sk = 9,
                        .q_layout = LAYOUT_SHARED,
                        .k_layout = LAYOUT_CONSTANT,
                        .weight = true,
                        .weight_layout = LAYOUT_CONSTANT,
                        .lse_layout = LAYOUT_CONSTANT});
}

/* What no query attends is no number, and reaches nothing. */
static void what_is_not_attended(void **state)
{
  for (int quantity = 0; quantity < 2; quantity++)
    for (int tile = 0; tile < 3; tile++)
      run(state, (map_case){.hq = 2,
                            .hk = 1,
                            .sq = 12,
                            .sk = 40,
                            .causal = true,
                            .poison = true,
                            .quantity = quantity,
                            .weight = quantity == 0,
                            .tile_rows = tile * 2,
                            .tile_keys = tile * 9,
                            .outputs = MAP_BOTH});
}

static void nothing_to_do(void **state)
{
  run(state, (map_case){.b = TESTER_EMPTY});
  run(state, (map_case){.sq = TESTER_EMPTY, .sk = 5, .quantity = 4});
  run(state, (map_case){.sq = 5, .sk = TESTER_EMPTY});
  run(state, (map_case){.sq = 5, .sk = 6, .row_first = 5});
  run(state, (map_case){.hq = 2, .sq = 5, .sk = 6, .head_first = 2, .tile_rows = 2});
  run(state, (map_case){.sq = 5, .sk = 6, .key_first = 6, .tile_keys = 3});
}

enum { S = 45, D = 16, HEADS = 4 };

/* q, k and v, and what the library says of them on the staged path: P and lse. */
typedef struct attended {
  float q[HEADS * S * D], k[HEADS / 2 * S * D], y[HEADS * S * D], p[HEADS * S * S], lse[HEADS * S];
  clattn_attention_desc desc;
} attended;

static void attend(const device_under_test *d, attended *a)
{
  random_state r = {5};
  clattn_report report;
  clattn_plan *plan = NULL;
  for (int i = 0; i < HEADS * S * D; i++) a->q[i] = (float)(2.0 * random_unit(&r));
  for (int i = 0; i < HEADS / 2 * S * D; i++) a->k[i] = (float)random_unit(&r);
  a->desc = (clattn_attention_desc)CLATTN_ATTENTION_DESC_INIT;
  a->desc.q = a->desc.y = clattn_bhsd(CLATTN_F32, 1, HEADS, S, D);
  a->desc.k = a->desc.v = clattn_bhsd(CLATTN_F32, 1, HEADS / 2, S, D);
  a->desc.lse = clattn_dense(CLATTN_F32, 3, (const int64_t[]){1, HEADS, S});
  a->desc.qk = clattn_bhsd(CLATTN_F32, 1, HEADS, S, S);
  a->desc.qk_mode = 3;
  a->desc.path = CLATTN_PATH_STAGED;
  a->desc.flags = CLATTN_CAUSAL;
  assert_status(CLATTN_OK, clattn_plan_attention(d->context, &a->desc, &plan, &report), &report);
  const clattn_host_binding b[] = {{CLATTN_Q, 0, a->q, sizeof a->q},       {CLATTN_K, 0, a->k, sizeof a->k},
                                   {CLATTN_V, 0, a->k, sizeof a->k},       {CLATTN_Y, 0, a->y, sizeof a->y},
                                   {CLATTN_LSE, 0, a->lse, sizeof a->lse}, {CLATTN_QK, 0, a->p, sizeof a->p}};
  assert_status(CLATTN_OK, clattn_run_host(plan, b, 6, &report), &report);
  clattn_plan_destroy(plan);
}

static void run_map(const device_under_test *d, attended *a, const clattn_map_desc *said, float *map, size_t bytes)
{
  clattn_report report;
  clattn_plan *plan = NULL;
  clattn_map_desc desc = *said;
  desc.attention = &a->desc;
  a->desc.variant = variant;
  assert_status(CLATTN_OK, clattn_plan_map(d->context, &desc, &plan, &report), &report);
  const clattn_host_binding b[] = {{CLATTN_Q, 0, a->q, sizeof a->q},
                                   {CLATTN_K, 0, a->k, sizeof a->k},
                                   {CLATTN_LSE, 0, a->lse, sizeof a->lse},
                                   {desc.map.rank ? CLATTN_MAP : CLATTN_MAP_MAX, 0, map, bytes}};
  assert_status(CLATTN_OK, clattn_run_host(plan, b, 4, &report), &report);
  clattn_plan_destroy(plan);
}

/* A block is the staged P; pooled it is P's sums. The descriptor is the one that made them, with all its outputs. */
static void blocks_are_the_staged_weights(void **state)
{
  static attended a;
  static float block[HEADS * S * S], pooled[HEADS * 6 * 4];
  attend(*state, &a);
  clattn_map_desc desc = CLATTN_MAP_DESC_INIT;
  desc.map = clattn_bhsd(CLATTN_F32, 1, 2, 30, 40);
  desc.head_first = 1;
  desc.head_count = 2;
  desc.row_first = 15;
  desc.key_first = 2;
  desc.key_count = 40;
  run_map(*state, &a, &desc, block, sizeof block);
  for (int h = 0; h < 2; h++)
    for (int i = 0; i < 30; i++)
      for (int j = 0; j < 40; j++) {
        const float want = a.p[((h + 1) * S + i + 15) * S + j + 2], got = block[(h * 30 + i) * 40 + j];
        assert_true(fabsf(got - want) <= 4e-6f * want);
        assert_int_equal(0, signbit(got) != 0);
      }
  desc = (clattn_map_desc)CLATTN_MAP_DESC_INIT;
  desc.tile_rows = 8;
  desc.tile_keys = 14;
  desc.map = clattn_bhsd(CLATTN_F32, 1, HEADS, 6, 4);
  run_map(*state, &a, &desc, pooled, sizeof pooled);
  for (int n = 0; n < HEADS * 6 * 4; n++) {
    double want = 0.0;
    for (int i = n / 4 % 6 * 8; i < n / 4 % 6 * 8 + 8 && i < S; i++)
      for (int j = n % 4 * 14; j < n % 4 * 14 + 14 && j < S; j++) want += (double)a.p[(n / 24 * S + i) * S + j];
    assert_true(fabs((double)pooled[n] - want) <= 4e-6 * want);
  }
}

/* An lse that is none: -inf is a row without keys; what is no number says so, where a key is attended. */
static void an_lse_of_something_else(void **state)
{
  static attended a;
  static float block[HEADS * S * S];
  attend(*state, &a);
  a.lse[3] = -INFINITY;
  a.lse[4] = NAN;
  a.lse[5] = INFINITY;
  a.lse[6] = -200.0f;
  a.lse[7] -= 1.0f;
  clattn_map_desc desc = CLATTN_MAP_DESC_INIT;
  desc.tile_rows = 5;
  desc.tile_keys = S;
  desc.map_max = clattn_bhsd(CLATTN_F32, 1, HEADS, 9, 1);
  run_map(*state, &a, &desc, block, sizeof block);
  assert_true(isnan(block[0]) && block[1] == INFINITY && block[2] <= 1.0f);
  desc = (clattn_map_desc)CLATTN_MAP_DESC_INIT;
  desc.map = clattn_bhsd(CLATTN_F32, 1, HEADS, S, S);
  run_map(*state, &a, &desc, block, sizeof block);
  for (int j = 0; j < S; j++) {
    assert_true(block[3 * S + j] == 0.0f);
    assert_true(j <= 4 ? isnan(block[4 * S + j]) : block[4 * S + j] == 0.0f);
    assert_true(block[5 * S + j] == 0.0f);
    assert_true(j <= 6 ? isinf(block[6 * S + j]) : block[6 * S + j] == 0.0f);
    assert_true(fabsf(block[7 * S + j] - expf(1.0f) * a.p[7 * S + j]) <= 4e-6f);
  }
}

/* Equal terms, by the million and over several steps: their sum is their number times one of them, to the last place.
 */
static void sums_are_as_exact_as_their_terms(void **state)
{
  enum { ROWS = 2100, KEYS = 2101 };
  const device_under_test *d = *state;
  static float zero[KEYS], lse[ROWS], one, sum;
  clattn_attention_desc a = CLATTN_ATTENTION_DESC_INIT;
  a.q = clattn_bhsd(CLATTN_F32, 1, 1, ROWS, 1);
  a.k = clattn_bhsd(CLATTN_F32, 1, 1, KEYS, 1);
  a.lse = clattn_dense(CLATTN_F32, 3, (const int64_t[]){1, 1, ROWS});
  a.variant = variant;
  clattn_map_desc desc = CLATTN_MAP_DESC_INIT;
  desc.attention = &a;
  desc.map = clattn_bhsd(CLATTN_F32, 1, 1, 1, 1);
  for (int i = 0; i < ROWS; i++) lse[i] = -0.3f;
  for (int whole = 0; whole < 2; whole++) {
    clattn_report report;
    clattn_plan *plan = NULL;
    desc.row_count = desc.key_count = whole ? 0 : 1;
    desc.tile_rows = whole ? ROWS : 1;
    desc.tile_keys = whole ? KEYS : 1;
    const clattn_status status = clattn_plan_map(d->context, &desc, &plan, &report);
    if (status == CLATTN_UNSUPPORTED && strstr(report.detail, "ends a work-item's loops")) return;
    assert_status(CLATTN_OK, status, &report);
    const clattn_host_binding b[] = {{CLATTN_Q, 0, zero, sizeof(float) * ROWS},
                                     {CLATTN_K, 0, zero, sizeof zero},
                                     {CLATTN_LSE, 0, lse, sizeof lse},
                                     {CLATTN_MAP, 0, whole ? &sum : &one, sizeof sum}};
    assert_status(CLATTN_OK, clattn_run_host(plan, b, 4, &report), &report);
    clattn_plan_destroy(plan);
  }
  const double want = (double)one * ROWS * KEYS;
  if (fabs((double)sum - want) > number_half_ulp(CLATTN_F32, want)) fail_msg("%.9g, must be %.9g", (double)sum, want);
}

static clattn_map_desc far_map;
static clattn_attention_desc far_attention;

static clattn_status plan_far(clattn_context *context, clattn_plan **plan, clattn_report *report)
{
  return clattn_plan_map(context, &far_map, plan, report);
}

static void elements_far_apart(void **state)
{
  variant_id id;
  clattn_attention_desc *a = &far_attention;
  *a = (clattn_attention_desc)CLATTN_ATTENTION_DESC_INIT;
  a->q = clattn_bhsd(CLATTN_F16, 2, 4, 3, 3);
  a->k = clattn_bhsd(CLATTN_BF16, 2, 2, 5, 3);
  a->mask = clattn_bhsd(CLATTN_BOOL, 2, 4, 3, 5);
  a->lse = clattn_dense(CLATTN_F32, 3, (const int64_t[]){2, 4, 3});
  a->variant = variant_named(variant, "scores", "f16bf16_d3", &id);
  for (int tile = 0; tile < 2; tile++) {
    far_map = (clattn_map_desc)CLATTN_MAP_DESC_INIT;
    far_map.attention = a;
    far_map.key_weight = clattn_dense(CLATTN_F32, 3, (const int64_t[]){2, 2, 5});
    far_map.head_first = 1;
    far_map.key_first = 1;
    far_map.tile_rows = far_map.tile_keys = 1 + tile;
    far_map.map = clattn_bhsd(CLATTN_F32, 2, 3, tile ? 2 : 3, tile ? 2 : 4);
    far_map.map_max = clattn_bhsd(CLATTN_F16, 2, 3, tile ? 2 : 3, tile ? 2 : 4);
    test_far(*state, &(far_problem){.n = 7,
                                    .tensor = {{CLATTN_Q, &a->q, false, false},
                                               {CLATTN_K, &a->k, false, false},
                                               {CLATTN_MASK, &a->mask, false, false},
                                               {CLATTN_LSE, &a->lse, false, false},
                                               {CLATTN_KEY_WEIGHT, &far_map.key_weight, false, false},
                                               {CLATTN_MAP, &far_map.map, true, false},
                                               {CLATTN_MAP_MAX, &far_map.map_max, true, false}},
                                    .plan = plan_far});
  }
}

int main(int argc, char **argv)
{
  if (!take_variant(argc, argv, &variant)) return 2;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_small),
      cmocka_unit_test(every_quantity),
      cmocka_unit_test(every_tile),
      cmocka_unit_test(every_size),
      cmocka_unit_test(every_range),
      cmocka_unit_test(every_mask),
      cmocka_unit_test(order_windows_and_softcap),
      cmocka_unit_test(many_steps),
      cmocka_unit_test(every_type),
      cmocka_unit_test(every_layout),
      cmocka_unit_test(what_is_not_attended),
      cmocka_unit_test(nothing_to_do),
      cmocka_unit_test(blocks_are_the_staged_weights),
      cmocka_unit_test(an_lse_of_something_else),
      cmocka_unit_test(sums_are_as_exact_as_their_terms),
      cmocka_unit_test(elements_far_apart),
  };
  return cmocka_run_group_tests(tests, device_setup, device_teardown);
}
