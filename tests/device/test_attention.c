/* Attention by one family on one path against the double oracle: test_attention VARIANT PATH [FILTER], where VARIANT is
 * the leading part of an id or "any", PATH is auto, staged or fused and FILTER picks tests by name. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "asserts.h"
#include "tester.h"

static way chosen;

/* Around every tile size that a family may have: 1, T-1, T, T+1, 2T, and primes between. */
static const int64_t ladder[] = {1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 63, 64, 65, 97, 127, 128, 129, 131};
enum { LADDER = sizeof ladder / sizeof ladder[0] };

static void run(void **state, const attention_case *c) { test_attention(*state, c, &chosen); }

/* A named tile is run where it is meant to be; its family's own choice covers the rest, whose programs take seconds to
 * compile each and, on a slow device, minutes to run. */
static bool names_a_tile(void) { return chosen.variant && strchr(chosen.variant, '/'); }
enum { TILE_CHANNELS = 128, TILE_STEP = 3 };

/* For interpreters of kernels, which check every access and take seconds for what a device does in microseconds: sizes
 * just past a tile's edge, every input, every output. */
static void test_small(void **state)
{
  run(state, &(attention_case){.hq = 2,
                               .hk = 1,
                               .sq = 5,
                               .sk = 7,
                               .dk = 5,
                               .dv = 6,
                               .causal = true,
                               .mask = MASK_ADDITIVE,
                               .softcap = 2.0,
                               .want_lse = true});
  run(state, &(attention_case){.sq = 17,
                               .sk = 35,
                               .dk = 18,
                               .dv = 33,
                               .mask = MASK_BOOL,
                               .closed_rows = true,
                               .q_layout = LAYOUT_GAPS,
                               .v_layout = LAYOUT_TOKENS,
                               .y_layout = LAYOUT_SPREAD});
  run(state, &(attention_case){.b = 2,
                               .sq = 3,
                               .sk = 67,
                               .dk = 3,
                               .has_window = true,
                               .window_left = 40,
                               .window_right = 1,
                               .has_offset = true,
                               .offset = 50,
                               .poison = POISON_UNSEEN});
  if (chosen.path == CLATTN_PATH_FUSED) return;
  for (int mode = 0; mode < 4; mode += 3)
    run(state, &(attention_case){.sq = 3, .sk = 9, .want_qk = true, .qk_mode = mode, .causal = true, .want_lse = true});
}

static void test_sizes(void **state)
{
  static const int64_t keys[] = {1, 15, 16, 17, 31, 32, 33, 64, 65, 67};
  for (int i = 0; i < LADDER; i += names_a_tile() ? TILE_STEP : 1) {
    for (size_t j = 0; j < sizeof keys / sizeof keys[0]; j++)
      run(state, &(attention_case){.sq = ladder[i], .sk = keys[j], .dk = 8, .seed = (uint64_t)i});
    run(state, &(attention_case){.sq = 17, .sk = ladder[i], .dk = 8, .want_lse = true, .causal = true});
  }
  run(state, &(attention_case){.sq = 3, .sk = 1025, .dk = 8, .hq = 2});
  run(state, &(attention_case){.sq = 1, .sk = 4096, .dk = 16});
}

static void test_head_sizes(void **state)
{
  static const int64_t size[] = {1,  2,  3,  4,  5,   7,   16,  17,  31,  32,  33,
                                 64, 65, 80, 96, 127, 128, 129, 192, 255, 256, 257};
  enum { SIZES = sizeof size / sizeof size[0] };
  for (int i = 0; i < SIZES; i++) {
    if (names_a_tile() && size[i] > TILE_CHANNELS) break;
    run(state, &(attention_case){.sq = 9, .sk = 35, .dk = size[i]});
    const int64_t dv = size[(i * 7 + 3) % SIZES];
    if (names_a_tile() && dv > TILE_CHANNELS) continue;
    run(state, &(attention_case){.sq = 9, .sk = 35, .dk = size[i], .dv = dv, .causal = true});
  }
}

static void test_largest_heads(void **state)
{
  if (names_a_tile()) return;
  static const int64_t size[][2] = {{512, 512}, {511, 3}, {1, 512}, {320, 384}};
  for (size_t i = 0; i < sizeof size / sizeof size[0]; i++)
    run(state, &(attention_case){.hq = 2, .sq = 7, .sk = 37, .dk = size[i][0], .dv = size[i][1], .want_lse = true});
}

static void test_groups(void **state)
{
  static const int64_t heads[][2] = {{1, 1}, {2, 1}, {3, 1}, {8, 1}, {4, 2}, {6, 2}, {9, 3}, {16, 2}, {5, 5}};
  for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
    for (int64_t b = 1; b <= 3; b += 2)
      run(state, &(attention_case){.b = b, .hq = heads[i][0], .hk = heads[i][1], .sq = 11, .sk = 21, .causal = i % 2});
}

/* More tiles and rows than a launch has work-groups: each group takes several in turn. */
static void test_many_groups(void **state)
{
  run(state, &(attention_case){.b = 16,
                               .hq = 192,
                               .hk = 64,
                               .sq = 1,
                               .sk = 3,
                               .dk = 2,
                               .causal = true,
                               .has_offset = true,
                               .offset = 1,
                               .want_lse = true});
  run(state, &(attention_case){.hq = 3, .sq = 33333, .sk = 2, .dk = 1, .mask = MASK_BOOL, .mask_broadcast = 2});
}

static void test_mask_shapes(void **state)
{
  for (mask_case mask = MASK_BOOL; mask <= MASK_LOWEST; mask++)
    for (int rank = 1; rank <= 4; rank++)
      for (unsigned shared = 0; shared < 8; shared++) {
        /* A rank has no dimensions to share that it lacks. */
        if (rank < 4 && (shared & 1)) continue;
        if (rank < 3 && (shared & 2)) continue;
        if (rank < 2 && (shared & 4)) continue;
        attention_case c = {.b = 2,
                            .hq = 4,
                            .hk = 2,
                            .sq = 19,
                            .sk = 35,
                            .mask = mask,
                            .mask_rank = rank,
                            .mask_broadcast = shared,
                            .want_lse = true,
                            .seed = shared};
        run(state, &c);
        if (mask != MASK_BOOL && mask != MASK_INFINITE) continue;
        c.mask_short = 1 + 11 * (rank - 1);
        run(state, &c);
      }
}

static void test_masks(void **state)
{
  static const box_layout layouts[] = {LAYOUT_GAPS,   LAYOUT_SPREAD,   LAYOUT_REVERSED,
                                       LAYOUT_SHARED, LAYOUT_CONSTANT, LAYOUT_TOKENS};
  for (mask_case mask = MASK_BOOL; mask <= MASK_LOWEST; mask++) {
    attention_case c = {.b = 2, .hq = 2, .sq = 33, .sk = 65, .mask = mask, .want_lse = true};
    run(state, &c);
    for (size_t i = 0; i < sizeof layouts / sizeof layouts[0]; i++) {
      c.mask_layout = layouts[i];
      run(state, &c);
    }
    c.causal = true;
    c.mask_layout = LAYOUT_DENSE;
    run(state, &c);
    for (int64_t lacks = 1; lacks <= 64; lacks = lacks * 4 + 1) {
      c.mask_short = lacks;
      run(state, &c);
    }
    /* Shorter than what causal order leaves. */
    c.mask_short = 50;
    run(state, &c);
    /* A mask for one key alone is a short mask, not a broadcast one. */
    c.mask_short = 64;
    c.causal = false;
    run(state, &c);
    if (mask == MASK_ADDITIVE || mask == MASK_LOWEST) continue;
    c.mask_short = 0;
    c.closed_rows = true;
    run(state, &c);
  }
}

static void test_causal(void **state)
{
  static const int64_t sizes[][2] = {{1, 1},   {2, 1},   {1, 2},   {16, 16}, {17, 33},
                                     {33, 17}, {65, 65}, {31, 64}, {64, 31}, {5, 131}};
  static const int64_t offsets[] = {-40, -17, -1, 0, 1, 5, 16, 31, 1000};
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    attention_case c = {.hq = 2, .sq = sizes[i][0], .sk = sizes[i][1], .causal = true, .want_lse = true};
    run(state, &c);
    for (size_t j = 0; j < sizeof offsets / sizeof offsets[0]; j++) {
      c.has_offset = true;
      c.offset = offsets[j];
      run(state, &c);
    }
    c.offset = c.sk - c.sq;
    run(state, &c);
  }
}

static void test_windows(void **state)
{
  static const int64_t windows[][2] = {{0, 0},   {-1, 0}, {0, -1},      {3, -1}, {-1, 3},
                                       {16, 16}, {17, 2}, {1000, 1000}, {31, 0}};
  for (size_t i = 0; i < sizeof windows / sizeof windows[0]; i++)
    for (int causal = 0; causal < 2; causal++)
      for (int64_t offset = -20; offset <= 20; offset += 20)
        run(state, &(attention_case){.hq = 2,
                                     .sq = 33,
                                     .sk = 47,
                                     .causal = causal,
                                     .has_offset = offset != 0,
                                     .offset = offset,
                                     .has_window = true,
                                     .window_left = windows[i][0],
                                     .window_right = windows[i][1],
                                     .want_lse = true});
}

static void test_scales(void **state)
{
  static const double scales[] = {0.0, -0.5, 1.0, 3.0, -2.0, 1e-30};
  static const double caps[] = {0.0, 0.5, 5.0, 1e-3, 1e6};
  for (size_t i = 0; i < sizeof scales / sizeof scales[0]; i++)
    for (size_t j = 0; j < sizeof caps / sizeof caps[0]; j++)
      run(state, &(attention_case){.sq = 17,
                                   .sk = 35,
                                   .has_scale = true,
                                   .scale = scales[i],
                                   .softcap = caps[j],
                                   .mask = j % 2 ? MASK_INFINITE : MASK_NONE,
                                   .causal = i % 2,
                                   .want_lse = true});
}

static void test_layouts(void **state)
{
  for (box_layout layout = LAYOUT_DENSE; layout < LAYOUT_COUNT; layout++) {
    attention_case c = {.b = 2, .hq = 4, .hk = 2, .sq = 18, .sk = 35, .dk = 12, .dv = 20, .want_lse = true};
    attention_case q = c, k = c, v = c, y = c, all = c;
    q.q_layout = k.k_layout = v.v_layout = layout;
    run(state, &q);
    run(state, &k);
    run(state, &v);
    if (layout == LAYOUT_SHARED || layout == LAYOUT_CONSTANT) continue; /* outputs cannot share elements */
    y.y_layout = y.lse_layout = layout;
    run(state, &y);
    all.q_layout = all.k_layout = all.v_layout = all.y_layout = all.lse_layout = layout;
    run(state, &all);
  }
}

static void test_unseen(void **state)
{
  const attention_case cases[] = {
      {.sq = 19, .sk = 40, .causal = true},
      {.sq = 19, .sk = 40, .causal = true, .has_offset = true, .offset = -7},
      {.b = 2, .hq = 4, .hk = 2, .sq = 19, .sk = 67, .mask = MASK_BOOL, .mask_broadcast = 6, .mask_rank = 4},
      {.b = 2, .hq = 4, .hk = 2, .sq = 35, .sk = 67, .mask = MASK_INFINITE, .mask_rank = 1},
      {.sq = 35, .sk = 67, .mask = MASK_BOOL, .mask_short = 33, .closed_rows = true},
      {.sq = 35, .sk = 67, .mask = MASK_INFINITE, .mask_rank = 1, .mask_short = 66, .softcap = 2.0},
      {.sq = 35, .sk = 67, .has_window = true, .window_left = 3, .window_right = 2, .has_scale = true, .scale = 0.0},
      {.sq = 5, .sk = 9, .causal = true, .has_offset = true, .offset = -100},
      {.sq = 64, .sk = 64, .mask = MASK_BOOL, .mask_rank = 1, .mask_short = 32},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
    for (uint64_t seed = 0; seed < 3; seed++) {
      attention_case c = cases[i];
      c.poison = POISON_UNSEEN;
      c.want_lse = true;
      c.seed = seed;
      run(state, &c);
    }
}

/* What is seen and no number makes the row that sees it no number, and no other row. */
static void test_seen(void **state)
{
  for (poison_case poison = POISON_SEEN_KEY; poison <= POISON_SEEN_VALUE; poison++) {
    run(state, &(attention_case){.hq = 2, .sq = 35, .sk = 35, .causal = true, .poison = poison});
    run(state, &(attention_case){.hq = 2, .sq = 35, .sk = 67, .mask = MASK_BOOL, .poison = poison});
    run(state, &(attention_case){.sq = 3, .sk = 1, .poison = poison, .want_lse = true});
    /* Most weights underflow to a zero that is not the mark of what is not attended. */
    run(state,
        &(attention_case){.hq = 2, .sq = 67, .sk = 67, .dk = 64, .fill = FILL_LARGE, .causal = true, .poison = poison});
  }
}

/* What is no number, row by row: made by the query, the key, the mask or the value, attended or not. Key 7 is -inf and
 * key 11 beyond float32 when multiplied, which counts as not attended where the score is -inf; the values of both are
 * NaN. Keys past row + 12 are closed by causal order. */
static void test_no_numbers(void **state)
{
  enum { ROWS = 9, KEYS = 40, OFFSET = 12 };
  static const float query[ROWS] = {1.0f, 1.0f, 1.0f, NAN, INFINITY, -1.0f, 0.0f, 0.0f, 1.0f};
  static float key[KEYS], value[KEYS], mask[ROWS][KEYS], y[ROWS], lse[ROWS];
  const device_under_test *d = *state;
  for (int j = 0; j < KEYS; j++) {
    key[j] = (float)(j % 5) / 4.0f + 0.25f;
    value[j] = (float)(j % 7) / 8.0f;
  }
  key[7] = -INFINITY;
  key[11] = -FLT_MAX;
  value[7] = value[11] = NAN;
  memset(mask, 0, sizeof mask);
  for (int i = 0; i < ROWS; i++)
    for (int j = i + OFFSET + 1; j < KEYS; j++) mask[i][j] = j % 2 ? NAN : INFINITY;
  mask[1][2] = NAN;
  mask[2][2] = INFINITY;
  for (int i = 0; i < ROWS; i++) mask[i][11] = -FLT_MAX;
  for (int j = 0; j < KEYS; j++) mask[7][j] = -INFINITY; /* key 7's score is NaN here */
  mask[8][11] = 0.0f;                                    /* a score of -FLT_MAX: attended, with a value that is none */
  clattn_attention_desc desc = CLATTN_ATTENTION_DESC_INIT;
  desc.q = desc.y = clattn_bhsd(CLATTN_F32, 1, 1, ROWS, 1);
  desc.k = desc.v = clattn_bhsd(CLATTN_F32, 1, 1, KEYS, 1);
  desc.mask = clattn_dense(CLATTN_F32, 2, (const int64_t[]){ROWS, KEYS});
  desc.lse = clattn_dense(CLATTN_F32, 3, (const int64_t[]){1, 1, ROWS});
  desc.flags = CLATTN_CAUSAL | CLATTN_QUERY_OFFSET;
  desc.query_offset = OFFSET;
  desc.scale = 1.0;
  desc.path = chosen.path;
  variant_id id;
  desc.variant = way_variant(&chosen, "f32_d1", &id);
  clattn_report report;
  clattn_plan *plan = NULL;
  assert_status(CLATTN_OK, clattn_plan_attention(d->context, &desc, &plan, &report), &report);
  const clattn_host_binding b[] = {{.slot = CLATTN_Q, .data = (void *)query, .bytes = sizeof query},
                                   {.slot = CLATTN_K, .data = key, .bytes = sizeof key},
                                   {.slot = CLATTN_V, .data = value, .bytes = sizeof value},
                                   {.slot = CLATTN_MASK, .data = mask, .bytes = sizeof mask},
                                   {.slot = CLATTN_Y, .data = y, .bytes = sizeof y},
                                   {.slot = CLATTN_LSE, .data = lse, .bytes = sizeof lse}};
  assert_status(CLATTN_OK, clattn_run_host(plan, b, 6, &report), &report);
  clattn_plan_destroy(plan);
  for (int i = 0; i < ROWS; i++) {
    double sum = 0.0, weights = 0.0;
    bool wild = false;
    for (int j = 0; j <= i + OFFSET; j++) {
      const float score = query[i] * key[j] + mask[i][j];
      if (score == -INFINITY || mask[i][j] == -INFINITY) continue;
      wild = wild || isnan(score) || isinf(score) || isnan(value[j]);
      weights += exp((double)score);
      sum += exp((double)score) * (double)value[j];
    }
    const double want = weights > 0.0 ? sum / weights : 0.0;
    const bool right = wild ? !isfinite(y[i]) : fabs((double)y[i] - want) <= 4e-6;
    if (!right) print_error("row %d is %g, not %g (%s)\n", i, (double)y[i], want, wild ? "no number" : "a number");
    assert_true(right);
    if (!wild && weights == 0.0) assert_true(lse[i] == -INFINITY);
  }
}

static void test_extremes(void **state)
{
  run(state, &(attention_case){.hq = 2, .sq = 67, .sk = 197, .mask = MASK_EDGES, .want_lse = true});
  run(state,
      &(attention_case){.hq = 2, .sq = 67, .sk = 197, .mask = MASK_EDGES, .causal = true, .poison = POISON_UNSEEN});
  run(state, &(attention_case){.sq = 33, .sk = 67, .fill = FILL_EQUAL, .want_lse = true});
  run(state, &(attention_case){.sq = 2, .sk = 4096, .fill = FILL_EQUAL});
  run(state, &(attention_case){.sq = 2, .sk = 4093, .fill = FILL_EQUAL});
  run(state, &(attention_case){.sq = 33, .sk = 67, .fill = FILL_EQUAL, .mask = MASK_LOWEST});
  run(state, &(attention_case){.sq = 33, .sk = 67, .dk = 64, .fill = FILL_LARGE, .want_lse = true});
  run(state, &(attention_case){.sq = 33, .sk = 67, .dk = 64, .fill = FILL_LARGE, .causal = true, .mask = MASK_BOOL});
  /* A closed key far above the open ones: a maximum taken before the mask would lose the row. */
  run(state, &(attention_case){.sq = 33, .sk = 67, .dk = 64, .fill = FILL_LARGE, .mask = MASK_INFINITE});
  run(state, &(attention_case){.sq = 33, .sk = 67, .mask = MASK_LOWEST, .mask_rank = 2, .want_lse = true});
}

/* Enough queries and heads for tiles of several parts, and keys for several blocks. */
static void test_long(void **state)
{
  const attention_case cases[] = {
      {.b = 2, .hq = 4, .sq = 300, .sk = 517, .dk = 64},
      {.b = 2, .hq = 4, .hk = 2, .sq = 300, .sk = 300, .dk = 64, .causal = true},
      {.hq = 8, .hk = 1, .sq = 261, .sk = 390, .dk = 32, .dv = 40, .causal = true, .has_offset = true, .offset = 129},
      {.hq = 8, .sq = 270, .sk = 400, .dk = 80, .has_window = true, .window_left = 100, .window_right = 7},
      {.hq = 8, .sq = 270, .sk = 150, .past = 131, .dk = 66, .causal = true, .mask = MASK_BOOL, .mask_rank = 2},
      {.hq = 4, .sq = 280, .sk = 257, .dk = 128, .mask = MASK_ADDITIVE, .mask_broadcast = 4, .q_layout = LAYOUT_TOKENS},
      {.hq = 16, .sq = 200, .sk = 300, .dk = 64, .mask = MASK_BOOL, .mask_rank = 1, .poison = POISON_UNSEEN},
      {.hq = 8, .sq = 300, .sk = 300, .dk = 16, .causal = true, .poison = POISON_SEEN_VALUE},
      {.hq = 8, .sq = 77, .sk = 77, .dk = 32, .k_layout = LAYOUT_TOKENS, .v_layout = LAYOUT_GAPS},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    attention_case c = cases[i];
    c.want_lse = true;
    run(state, &c);
    c.q_type = i % 2 ? CLATTN_F16 : CLATTN_BF16;
    if (c.mask == MASK_NONE || c.mask == MASK_BOOL) run(state, &c);
  }
}

static void test_scores_output(void **state)
{
  /* The fused path writes no scores: asking for them has a refusal of its own (tests/api). */
  if (chosen.path == CLATTN_PATH_FUSED) return;
  for (int mode = 0; mode < 4; mode++) {
    attention_case c = {
        .b = 2, .hq = 4, .hk = 2, .sq = 19, .sk = 35, .want_qk = true, .want_lse = true, .qk_mode = mode};
    test_attention(*state, &c, &chosen);
    c.softcap = 0.7;
    c.mask = MASK_INFINITE;
    c.closed_rows = true;
    test_attention(*state, &c, &chosen);
    c.causal = true;
    c.qk_layout = LAYOUT_TOKENS;
    test_attention(*state, &c, &chosen);
    c.qk_layout = LAYOUT_SPREAD;
    c.poison = POISON_UNSEEN;
    test_attention(*state, &c, &chosen);
  }
}

static int usage(const char *program)
{
  fprintf(stderr, "usage: %s VARIANT|any auto|staged|fused [FILTER]\n", program);
  return 2;
}

int main(int argc, char **argv)
{
  static const char *const paths[] = {"auto", "staged", "fused"};
  if (argc < 3) return usage(argv[0]);
  chosen.variant = strcmp(argv[1], "any") ? argv[1] : NULL;
  chosen.path = -1;
  for (int32_t i = 0; i < 3; i++)
    if (!strcmp(argv[2], paths[i])) chosen.path = i;
  if (chosen.path < 0) return usage(argv[0]);
  if (argc > 3) cmocka_set_test_filter(argv[3]);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_small),         cmocka_unit_test(test_sizes),  cmocka_unit_test(test_head_sizes),
      cmocka_unit_test(test_largest_heads), cmocka_unit_test(test_groups), cmocka_unit_test(test_many_groups),
      cmocka_unit_test(test_mask_shapes),   cmocka_unit_test(test_masks),  cmocka_unit_test(test_causal),
      cmocka_unit_test(test_windows),       cmocka_unit_test(test_scales), cmocka_unit_test(test_layouts),
      cmocka_unit_test(test_unseen),        cmocka_unit_test(test_seen),   cmocka_unit_test(test_no_numbers),
      cmocka_unit_test(test_extremes),      cmocka_unit_test(test_long),   cmocka_unit_test(test_scores_output),
  };
  return cmocka_run_group_tests(tests, device_setup, device_teardown);
}
