/* Projections by one family: test_projection VARIANT|any [FILTER]. */
#include <stdio.h>
#include <string.h>

#include "asserts.h"
#include "far.h"
#include "tester.h"

static const char *variant;

static const int64_t ladder[] = {1, 2, 3, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129};
enum { LADDER = sizeof ladder / sizeof ladder[0] };

/* What a BLAS cannot take as it lies: NULL, or what the refusal says. */
static const char *refusal_of_clblast(const projection_case *c)
{
  const bool w_is_rows = c->w_layout != LAYOUT_SPREAD && c->w_layout != LAYOUT_REVERSED;
  if (c->e == TESTER_EMPTY) return "E is 0, CLBlast wants at least 1";
  if (c->x_type > CLATTN_F32) return "must be f32";
  if (c->x_layout != LAYOUT_DENSE) return "the rows of x do not lie at one distance";
  if (!c->packed && c->w_type > CLATTN_F32) return "must be f32";
  if (!c->packed && !w_is_rows) return "the rows of w do not lie at one distance";
  return NULL;
}

static bool is_family(const char *name) { return variant && strncmp(variant, name, strlen(name)) == 0; }

/* A family that reads packed weights alone gets none but those. */
static void run(void **state, const projection_case *given)
{
  projection_case own = *given;
  const projection_case *c = &own;
  own.packed = given->packed || is_family("packed");
  const char *refusal = is_family("clblast") ? refusal_of_clblast(c) : NULL;
  if (refusal)
    test_projection_refused(*state, c, variant, refusal);
  else
    test_projection(*state, c, variant);
}

/* For interpreters of kernels: few elements, every input. */
static void test_small(void **state)
{
  run(state, &(projection_case){.b = 2,
                                .s = 3,
                                .e = 5,
                                .h = 2,
                                .d = 6,
                                .bias = true,
                                .rotary = ROTARY_IDS,
                                .packed = true,
                                .w_type = CLATTN_BF16,
                                .y_layout = LAYOUT_GAPS});
  run(state, &(projection_case){.s = 17, .e = 18, .h = 1, .d = 35, .w_type = CLATTN_F16, .packed = true});
  run(state, &(projection_case){.s = 2,
                                .e = 33,
                                .h = 3,
                                .d = 12,
                                .rotary = ROTARY_OFFSET,
                                .rotary_dim = 4,
                                .interleaved = true,
                                .y_is_flat = false});
}

static void test_sizes(void **state)
{
  for (int i = 0; i < LADDER; i++) {
    run(state, &(projection_case){.s = ladder[i], .e = 33, .h = 2, .d = 17});
    run(state, &(projection_case){.s = 9, .e = ladder[i], .h = 3, .d = 8, .bias = true});
    run(state, &(projection_case){.s = 5, .e = 20, .h = 1, .d = ladder[i], .bias = true});
    run(state,
        &(projection_case){.b = 2, .s = ladder[LADDER - 1 - i], .e = ladder[i], .h = 2, .d = ladder[(i * 5) % LADDER]});
  }
  run(state, &(projection_case){.s = 3, .e = 2049, .h = 2, .d = 8});
}

/* A width of 0: y is the bias, rotated. Weights without an element cannot be packed. */
static void test_no_channels(void **state)
{
  static const int64_t tokens[] = {1, 5, 130};
  for (size_t i = 0; i < sizeof tokens / sizeof tokens[0] && !is_family("packed"); i++) {
    run(state, &(projection_case){.s = tokens[i], .e = TESTER_EMPTY, .h = 2, .d = 17});
    run(state, &(projection_case){
                   .b = 2, .s = tokens[i], .e = TESTER_EMPTY, .h = 3, .d = 8, .bias = true, .rotary = ROTARY_OFFSET});
  }
}

static void test_weight_types(void **state)
{
  for (int32_t type = CLATTN_F32; type <= CLATTN_BF16; type++)
    for (int bits = 0; bits < 8; bits++)
      run(state, &(projection_case){.b = 2,
                                    .s = 19,
                                    .e = 48,
                                    .h = 3,
                                    .d = 12,
                                    .w_type = type,
                                    .bias = bits & 1,
                                    .packed = (bits & 2) != 0,
                                    .rotary = bits & 4 ? ROTARY_OFFSET : ROTARY_NONE,
                                    .seed = (uint64_t)bits});
}

/* x, weights, bias, y and caches each in a type of its own. */
static void test_every_mixture(void **state)
{
  const int32_t n = CLATTN_BF16 - CLATTN_F32 + 1;
  for (int32_t i = 0; i < n * n * n * n * n; i++)
    run(state, &(projection_case){.s = 3,
                                  .e = 5,
                                  .h = 2,
                                  .d = 6,
                                  .x_type = CLATTN_F32 + i % n,
                                  .w_type = CLATTN_F32 + i / n % n,
                                  .bias_type = CLATTN_F32 + i / (n * n) % n,
                                  .y_type = CLATTN_F32 + i / (n * n * n) % n,
                                  .cache_type = CLATTN_F32 + i / (n * n * n * n),
                                  .bias = true,
                                  .bias_layout = i % 2 ? LAYOUT_SPREAD : LAYOUT_DENSE,
                                  .packed = i % 4 == 1,
                                  .rotary = ROTARY_IDS,
                                  .rotary_dim = i % 5 ? 0 : 4,
                                  .interleaved = i % 3 == 0,
                                  .seed = (uint64_t)i});
}

/* Terms that are all equal: their roundings go one way, and a plain sum of them drifts, as CLBlast's does. */
static void test_long_sums(void **state)
{
  const int64_t e = is_family("clblast") ? 128 : 4096;
  run(state, &(projection_case){.s = 2, .e = e, .h = 2, .d = 3, .equal = true});
  run(state, &(projection_case){.s = 17, .e = e - 3, .h = 1, .d = 8, .equal = true, .packed = true});
}

static void test_layouts(void **state)
{
  for (box_layout layout = LAYOUT_DENSE; layout <= LAYOUT_REVERSED; layout++)
    for (int packed = 0; packed < 2; packed++) {
      projection_case c = {
          .b = 2, .s = 17, .e = 21, .h = 2, .d = 12, .bias = true, .packed = packed, .w_type = CLATTN_BF16};
      c.y_layout = layout;
      run(state, &c);
      c.x_layout = layout;
      run(state, &c);
      c.w_layout = layout;
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
  static const int64_t dims[][2] = {{8, 0}, {8, 2}, {8, 4}, {64, 0}, {64, 16}, {6, 6}, {2, 2}, {33, 32}, {128, 0}};
  for (rotary_case rotary = ROTARY_OFFSET; rotary <= ROTARY_DENSE; rotary++)
    for (int interleaved = 0; interleaved < 2; interleaved++)
      for (size_t i = 0; i < sizeof dims / sizeof dims[0]; i++)
        run(state, &(projection_case){.b = 2,
                                      .s = 9,
                                      .e = 24,
                                      .h = 3,
                                      .d = dims[i][0],
                                      .rotary_dim = dims[i][1],
                                      .rotary = rotary,
                                      .interleaved = interleaved,
                                      .bias = i % 2,
                                      .position_offset = rotary == ROTARY_OFFSET ? (int64_t)(i * 3) : 0,
                                      .y_layout = i % 3 ? LAYOUT_TOKENS : LAYOUT_GAPS,
                                      .seed = i});
}

/* More tiles and elements than a launch has work-groups and work-items: each takes several in turn. */
static void test_many_groups(void **state)
{
  run(state, &(projection_case){.s = 33333, .e = 2, .h = 2, .d = 3, .bias = true});
  run(state, &(projection_case){.b = 3, .s = 11111, .e = 1, .h = 1, .d = 4, .rotary = ROTARY_OFFSET});
}

static void test_one_token(void **state)
{
  for (int32_t type = CLATTN_F32; type <= CLATTN_BF16; type++)
    run(state, &(projection_case){.s = 1,
                                  .e = 130,
                                  .h = 5,
                                  .d = 32,
                                  .w_type = type,
                                  .bias = true,
                                  .rotary = ROTARY_OFFSET,
                                  .position_offset = 77});
}

static clattn_projection_desc far_desc;

static clattn_status plan_far(clattn_context *context, clattn_plan **plan, clattn_report *report)
{
  return clattn_plan_projection(context, &far_desc, plan, report);
}

/* The weights are the device's own: nothing of them is stretched. */
static clattn_status plan_far_packed(clattn_context *context, clattn_plan **plan, clattn_report *report)
{
  float host[64];
  clattn_projection_desc desc = far_desc;
  clattn_weights *weights = NULL;
  clattn_weights_desc packing = CLATTN_WEIGHTS_DESC_INIT;
  packing.w = clattn_dense(CLATTN_F32, 2, desc.w.dim);
  packing.variant = desc.variant;
  for (int i = 0; i < 64; i++) host[i] = (float)(i % 7) - 3.0f;
  clattn_status status = clattn_weights_create(context, &packing, host, &weights, report);
  if (status != CLATTN_OK) return status;
  desc.w = (clattn_tensor){0};
  desc.weights = weights;
  status = clattn_plan_projection(context, &desc, plan, report);
  clattn_weights_destroy(weights);
  return status;
}

/* Caches of rank 2 with ids and of rank 3. */
static void test_far_apart(void **state)
{
  enum { B = 2, S = 3, E = 3, H = 2, D = 4 };
  /* A BLAS takes float32 rows at one distance. */
  const bool blas = is_family("clblast"), packed = is_family("packed");
  for (int ids = 0; ids < 2; ids++) {
    clattn_projection_desc *a = &far_desc;
    *a = (clattn_projection_desc)CLATTN_PROJECTION_DESC_INIT;
    a->x = clattn_dense(blas ? CLATTN_F32 : CLATTN_F16, 3, (const int64_t[]){B, S, E});
    a->w = clattn_dense(blas || ids ? CLATTN_F32 : CLATTN_F16, 2, (const int64_t[]){H * D, E});
    a->bias = clattn_dense(CLATTN_F16, 1, (const int64_t[]){H * D});
    a->y = clattn_bhsd(CLATTN_F16, B, H, S, D);
    a->cos_cache = a->sin_cache = ids ? clattn_dense(CLATTN_F16, 2, (const int64_t[]){5, D / 2})
                                      : clattn_dense(CLATTN_F16, 3, (const int64_t[]){B, S, D / 2});
    if (ids) a->position_ids = clattn_dense(CLATTN_I64, 2, (const int64_t[]){B, S});
    if (packed) a->x = clattn_dense(ids ? CLATTN_F32 : CLATTN_F16, 3, (const int64_t[]){B, S, E});
    const char *types = blas || (packed && ids) ? "f32" : packed || ids ? "f16f32" : "f16";
    variant_id id;
    a->variant = variant_named(variant, "projection", types, &id);
    far_problem p = {.tensor = {{CLATTN_X, &a->x, false, blas},
                                {CLATTN_BIAS, &a->bias, false, false},
                                {CLATTN_COS_CACHE, &a->cos_cache, false, false},
                                {CLATTN_SIN_CACHE, &a->sin_cache, false, false},
                                {CLATTN_Y, &a->y, true, false}},
                     .plan = packed ? plan_far_packed : plan_far};
    p.n = 5;
    if (!packed) {
      p.tensor[p.n].slot = CLATTN_W;
      p.tensor[p.n].view = &a->w;
      p.tensor[p.n++].stays = blas;
    }
    if (ids) {
      p.tensor[p.n].slot = CLATTN_POSITION_IDS;
      p.tensor[p.n++].view = &a->position_ids;
    }
    test_far(*state, &p);
  }
}

/* Around a register tile of tokens, with rows that are multiples of nothing, each type of weights, and tensors of
 * several types. */
static void test_few_tokens(void **state)
{
  static const int64_t tokens[] = {1, 2, 3, 4, 5, 7, 15, 16, 17};
  for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++)
    for (int32_t type = CLATTN_F32; type <= CLATTN_BF16; type++)
      run(state, &(projection_case){.b = tokens[i] % 2 ? 1 : 2,
                                    .s = tokens[i] % 2 ? tokens[i] : tokens[i] / 2,
                                    .e = 13 + 37 * (int64_t)i,
                                    .h = 3,
                                    .d = 14,
                                    .x_type = CLATTN_F32 + (int32_t)i % 3,
                                    .w_type = type,
                                    .y_type = CLATTN_F32 + (int32_t)(i + 1) % 3,
                                    .cache_type = CLATTN_F32,
                                    .bias = true,
                                    .packed = type == CLATTN_F16,
                                    .rotary = i % 2 ? ROTARY_IDS : ROTARY_NONE,
                                    .rotary_dim = i % 2 ? 10 : 0,
                                    .interleaved = i % 4 == 1});
}

/* Rows of several blocks and a rest, more than a tile of tokens, and columns that fill a work-item's range and more. */
static void test_few_tokens_blocks(void **state)
{
  run(state, &(projection_case){.s = 2, .e = 8195, .h = 1, .d = 7});
  run(state, &(projection_case){.s = 3, .e = 4111, .h = 2, .d = 3, .w_type = CLATTN_F16, .w_layout = LAYOUT_SPREAD});
  run(state, &(projection_case){.s = 64, .e = 1061, .h = 1, .d = 9, .w_type = CLATTN_BF16});
  run(state, &(projection_case){.b = 2, .s = 35, .e = 20, .h = 2, .d = 11, .bias = true, .rotary = ROTARY_NONE});
  run(state, &(projection_case){.s = 3, .e = 17, .h = 8, .d = 256, .bias = true, .rotary = ROTARY_OFFSET});
  run(state, &(projection_case){.s = 5, .e = 18, .h = 7, .d = 301, .bias = true});
}

/* Beyond a tile of tokens and a block of channels, around a panel's columns, in heads that rotate within a panel,
 * across panels, and in more panels than a work-item takes. */
static void test_panels(void **state)
{
  static const int64_t heads[] = {64, 80, 96, 100, 128, 250, 301, 512};
  run(state, &(projection_case){.s = 193, .e = 257, .h = 1, .d = 65, .bias = true});
  run(state, &(projection_case){.b = 3, .s = 131, .e = 129, .h = 2, .d = 63, .x_layout = LAYOUT_GAPS});
  run(state, &(projection_case){.b = 2, .s = 8, .e = 130, .h = 1, .d = 48, .x_type = CLATTN_F16, .bias = true});
  /* Whole tiles of tokens that are copied, and one token less or more. */
  for (int64_t s = 255; s <= 257; s++) {
    run(state, &(projection_case){.s = s, .e = 300, .h = 1, .d = 64, .x_type = CLATTN_F16});
    run(state, &(projection_case){.b = 2, .s = s, .e = 33, .h = 1, .d = 17, .x_layout = LAYOUT_GAPS, .bias = true});
  }
  run(state, &(projection_case){.s = 512, .e = 257, .h = 1, .d = 65, .x_type = CLATTN_BF16});
  const bool narrow = is_family("vector") || is_family("skinny"); /* no head that rotates is wider than a work-item */
  for (size_t i = 0; i < sizeof heads / sizeof heads[0] && (!narrow || heads[i] <= 256); i++)
    run(state, &(projection_case){.b = 2,
                                  .s = 7 + (int64_t)i,
                                  .e = 36,
                                  .h = 3,
                                  .d = heads[i],
                                  .w_type = CLATTN_F32 + (int32_t)i % 3,
                                  .bias = true,
                                  .rotary = ROTARY_OFFSET,
                                  .rotary_dim = heads[i] % 2 ? heads[i] - 1 : 0,
                                  .interleaved = i % 3 == 1,
                                  .y_layout = LAYOUT_TOKENS});
}

int main(int argc, char **argv)
{
  if (!take_variant(argc, argv, &variant)) return 2;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_small),       cmocka_unit_test(test_sizes),      cmocka_unit_test(test_weight_types),
      cmocka_unit_test(test_layouts),     cmocka_unit_test(test_rotary),     cmocka_unit_test(test_one_token),
      cmocka_unit_test(test_many_groups), cmocka_unit_test(test_far_apart),  cmocka_unit_test(test_every_mixture),
      cmocka_unit_test(test_long_sums),   cmocka_unit_test(test_few_tokens), cmocka_unit_test(test_few_tokens_blocks),
      cmocka_unit_test(test_panels),      cmocka_unit_test(test_no_channels)};
  return cmocka_run_group_tests(tests, device_setup, device_teardown);
}
