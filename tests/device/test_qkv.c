/* Q, K and V of one x by one plan, by one family: test_qkv VARIANT|any [FILTER]. Each case is held to the oracle and to
 * what three projections give, bit by bit (tester.h). */
#include <stdio.h>
#include <string.h>

#include "asserts.h"
#include "tester.h"

static const char *variant;

/* What a BLAS cannot take as it lies: NULL, or what the refusal says. */
static const char *refusal_of_clblast(const projection_case *c)
{
  const bool is_mixed = (c->mixed & 1) && c->absent != 6; /* q alone has the first of the types */
  const bool w_is_rows = c->w_layout != LAYOUT_SPREAD && c->w_layout != LAYOUT_REVERSED;
  if (c->x_type > CLATTN_F32) return "must be f32";
  if (c->x_layout != LAYOUT_DENSE) return "the rows of x do not lie at one distance";
  if (!c->packed && (c->w_type > CLATTN_F32 || is_mixed)) return "must be f32";
  if (!c->packed && !w_is_rows) return "do not lie at one distance";
  return NULL;
}

/* A family that reads packed weights alone gets none but those. */
static void run(void **state, const projection_case *given)
{
  projection_case own = *given;
  const projection_case *c = &own;
  own.packed = given->packed || (variant && !strncmp(variant, "packed", 6));
  const char *refusal = variant && !strcmp(variant, "clblast") ? refusal_of_clblast(c) : NULL;
  if (refusal)
    test_projection_refused(*state, c, variant, refusal);
  else
    test_projection(*state, c, variant);
}

static const int64_t ladder[] = {1, 2, 3, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129};
enum { LADDER = sizeof ladder / sizeof ladder[0] };

/* The parts of one size, and of three. */
static void test_sizes(void **state)
{
  for (int i = 0; i < LADDER; i++) {
    run(state, &(projection_case){.s = ladder[i], .e = 33, .h = 2, .hk = 2, .d = 17, .bias = true});
    run(state, &(projection_case){.s = 9, .e = ladder[i], .h = 3, .hk = 1, .d = 8, .dv = 5});
    run(state, &(projection_case){.b = 2,
                                  .s = ladder[LADDER - 1 - i],
                                  .e = ladder[i],
                                  .h = 4,
                                  .hk = 2,
                                  .d = ladder[(i * 5) % LADDER],
                                  .dv = ladder[(i * 7) % LADDER],
                                  .bias = true});
  }
}

/* Heads as models have them: more than one range of columns for every part, and what is left over. */
static void test_models(void **state)
{
  static const int64_t tokens[] = {1, 4, 16, 70, 131};
  for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++)
    for (int rotates = 0; rotates < 2; rotates++) {
      run(state, &(projection_case){.s = tokens[i],
                                    .e = 96,
                                    .h = 9,
                                    .hk = 3,
                                    .d = 64,
                                    .bias = true,
                                    .rotary = rotates ? ROTARY_OFFSET : ROTARY_NONE,
                                    .position_offset = rotates ? 11 : 0});
      run(state, &(projection_case){.s = tokens[i],
                                    .e = 40,
                                    .h = 12,
                                    .hk = 12,
                                    .d = 64,
                                    .y_is_flat = !rotates,
                                    .rotary = rotates ? ROTARY_IDS : ROTARY_NONE,
                                    .sliced = true});
    }
}

static void test_one_buffer(void **state)
{
  for (int32_t type = CLATTN_F32; type <= CLATTN_BF16; type++)
    for (int bits = 0; bits < 8; bits++)
      run(state, &(projection_case){.b = 1 + (bits & 1),
                                    .s = bits & 2 ? 19 : 1,
                                    .e = 21,
                                    .h = 4,
                                    .hk = 2,
                                    .d = 6,
                                    .dv = 10,
                                    .y_type = type,
                                    .bias = true,
                                    .packed = bits % 3 == 0,
                                    .rotary = bits & 4 ? ROTARY_OFFSET : ROTARY_NONE,
                                    .y_is_flat = bits == 3,
                                    .sliced = true});
}

static void test_absent_parts(void **state)
{
  for (unsigned absent = 0; absent < 7; absent++)
    for (unsigned mixed = 0; mixed < 4; mixed++) {
      const bool rotates = mixed < 3 && (absent & 3u) != 3u;
      run(state, &(projection_case){.b = 2,
                                    .s = 5,
                                    .e = 19,
                                    .h = 3,
                                    .hk = 3,
                                    .d = 12,
                                    .dv = 7,
                                    .absent = absent,
                                    .bias = true,
                                    .mixed = mixed,
                                    .packed = mixed == 1,
                                    .rotary = rotates ? ROTARY_IDS : ROTARY_NONE});
    }
}

static void test_types(void **state)
{
  for (int32_t type = CLATTN_F32; type <= CLATTN_BF16; type++)
    for (int bits = 0; bits < 16; bits++)
      run(state, &(projection_case){.b = 2,
                                    .s = bits & 8 ? 33 : 2,
                                    .e = 48,
                                    .h = 4,
                                    .hk = 2,
                                    .d = 12,
                                    .x_type = type,
                                    .w_type = CLATTN_F32 + (type - CLATTN_F32 + bits) % 3,
                                    .y_type = CLATTN_F32 + (type - CLATTN_F32 + bits / 2) % 3,
                                    .mixed = bits & 3,
                                    .bias = bits % 3 != 0,
                                    .packed = bits % 5 == 0,
                                    .rotary = bits & 4 ? ROTARY_OFFSET : ROTARY_NONE,
                                    .seed = (uint64_t)bits});
}

static void test_layouts(void **state)
{
  for (box_layout layout = LAYOUT_DENSE; layout <= LAYOUT_REVERSED; layout++)
    for (int packed = 0; packed < 2; packed++) {
      projection_case c = {.b = 2, .s = 17, .e = 21, .h = 2, .hk = 1, .d = 12, .bias = true, .packed = packed};
      c.y_layout = layout;
      run(state, &c);
      c.x_layout = layout;
      run(state, &c);
      c.w_layout = c.bias_layout = layout;
      run(state, &c);
      c.rotary = ROTARY_IDS;
      c.cache_layout = layout;
      run(state, &c);
      c.rotary = ROTARY_NONE;
      c.y_is_flat = true;
      run(state, &c);
    }
}

static void test_rotary(void **state)
{
  static const int64_t dims[][2] = {{8, 0}, {8, 2}, {64, 0}, {64, 16}, {2, 2}, {33, 32}};
  for (rotary_case rotary = ROTARY_OFFSET; rotary <= ROTARY_DENSE; rotary++)
    for (int interleaved = 0; interleaved < 2; interleaved++)
      for (size_t i = 0; i < sizeof dims / sizeof dims[0]; i++)
        run(state, &(projection_case){.b = 2,
                                      .s = 9,
                                      .e = 24,
                                      .h = 4,
                                      .hk = 2,
                                      .d = dims[i][0],
                                      .dv = i % 2 ? 0 : 13,
                                      .rotary_dim = dims[i][1],
                                      .rotary = rotary,
                                      .interleaved = interleaved,
                                      .bias = i % 2,
                                      .position_offset = rotary == ROTARY_OFFSET ? (int64_t)(i * 3) : 0,
                                      .y_layout = i % 3 ? LAYOUT_TOKENS : LAYOUT_GAPS,
                                      .seed = i});
}

/* More tiles than a launch has work-groups, long rows, and heads as wide as a work-item's columns. */
static void test_far_from_small(void **state)
{
  run(state, &(projection_case){.s = 33333, .e = 1, .h = 2, .hk = 1, .d = 2, .bias = true});
  run(state, &(projection_case){.s = 2, .e = 4111, .h = 2, .hk = 1, .d = 6, .rotary = ROTARY_OFFSET});
  run(state, &(projection_case){.s = 3, .e = 17, .h = 4, .hk = 2, .d = 256, .bias = true, .rotary = ROTARY_OFFSET});
  run(state, &(projection_case){.s = 5, .e = 18, .h = 3, .hk = 1, .d = 301, .dv = 2, .bias = true});
}

static void test_empty(void **state)
{
  run(state, &(projection_case){.s = TESTER_EMPTY, .h = 2, .hk = 1, .d = 4});
  run(state, &(projection_case){.b = TESTER_EMPTY, .h = 2, .hk = 1, .d = 4});
}

int main(int argc, char **argv)
{
  if (!take_variant(argc, argv, &variant)) return 2;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_sizes),  cmocka_unit_test(test_models),         cmocka_unit_test(test_one_buffer),
      cmocka_unit_test(test_types),  cmocka_unit_test(test_absent_parts),   cmocka_unit_test(test_layouts),
      cmocka_unit_test(test_rotary), cmocka_unit_test(test_far_from_small), cmocka_unit_test(test_empty)};
  return cmocka_run_group_tests(tests, device_setup, device_teardown);
}
