/* Storage types, alone and mixed, by one family on one path: test_types VARIANT|any PATH [FILTER]. float64 is computed
 * by `reference`; another family has to refuse it. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "asserts.h"
#include "tester.h"

static way chosen;

static void run(void **state, const attention_case *c) { test_attention(*state, c, &chosen); }

/* For interpreters of kernels: few elements, every input. */
static void test_small(void **state)
{
  for (int32_t type = CLATTN_F32; type <= CLATTN_BF16; type++) {
    attention_case c = {.hq = 2,
                        .sq = 3,
                        .sk = 7,
                        .dk = 5,
                        .dv = 6,
                        .q_type = type,
                        .k_type = CLATTN_F32 + type % 3,
                        .v_type = CLATTN_F32 + (type + 1) % 3,
                        .y_type = CLATTN_F32 + (type + 2) % 3,
                        .mask = type == CLATTN_F32 ? MASK_LOWEST : MASK_INFINITE,
                        .mask_type = type,
                        .mask_rank = 2,
                        .mask_broadcast = 4,
                        .softcap = type == CLATTN_F16 ? 3.0 : 0.0,
                        .want_lse = true};
    run(state, &c);
    if (chosen.path == CLATTN_PATH_FUSED) continue;
    c.want_qk = true;
    c.qk_type = CLATTN_F32 + type % 3;
    c.qk_mode = type;
    run(state, &c);
  }
  if (!chosen.variant || strncmp(chosen.variant, "reference", 9)) return;
  run(state, &(attention_case){.sq = 3,
                               .sk = 35,
                               .q_type = CLATTN_F64,
                               .y_type = CLATTN_F16,
                               .mask = MASK_BOOL,
                               .causal = true,
                               .lse_type = CLATTN_F64,
                               .want_lse = true});
}

static void sixteen_bits_mixed(void **state)
{
  for (int32_t q = CLATTN_F32; q <= CLATTN_BF16; q++)
    for (int32_t k = CLATTN_F32; k <= CLATTN_BF16; k++)
      run(state, &(attention_case){.b = 2,
                                   .hq = 4,
                                   .hk = 2,
                                   .sq = 9,
                                   .sk = 35,
                                   .dk = 12,
                                   .dv = 20,
                                   .q_type = q,
                                   .k_type = k,
                                   .v_type = CLATTN_F32 + (q + k) % 3,
                                   .y_type = CLATTN_F32 + (q + 2 * k) % 3,
                                   .mask = q == k ? MASK_INFINITE : MASK_NONE,
                                   .want_lse = true,
                                   .causal = q < k});
}

/* The fused path shows no scores, and its tiles are not those of the stages. */
static way way_with_scores(void)
{
  if (chosen.path != CLATTN_PATH_FUSED) return chosen;
  const bool is_tile = chosen.variant && strchr(chosen.variant, '/');
  return (way){is_tile ? NULL : chosen.variant, CLATTN_PATH_STAGED};
}

/* A mask's type is its own, and so is that of qk. */
static void masks_and_scores(void **state)
{
  const way with_scores = way_with_scores();
  for (int32_t mask = CLATTN_F32; mask <= CLATTN_BF16; mask++)
    for (mask_case kind = MASK_ADDITIVE; kind <= MASK_LOWEST; kind++) {
      /* A score beside -65504 is rounded to 2^-8, in any float32 sum. */
      if (kind == MASK_LOWEST && mask == CLATTN_F16) continue;
      attention_case c = {.sq = 9, .sk = 35, .mask = kind, .mask_type = mask, .want_lse = true};
      run(state, &c);
      c.want_qk = true;
      c.qk_type = CLATTN_F32 + (mask + (int)kind) % 3;
      c.qk_mode = (int)kind % 4;
      if (kind != MASK_LOWEST) test_attention(*state, &c, &with_scores);
    }
}

static bool computes_f64(void) { return !chosen.variant || !strncmp(chosen.variant, "reference", 9); }

static void refuse(void **state)
{
  const device_under_test *d = *state;
  clattn_report report;
  clattn_plan *plan = NULL;
  variant_id id;
  clattn_attention_desc desc = CLATTN_ATTENTION_DESC_INIT;
  desc.q = desc.k = desc.v = desc.y = clattn_bhsd(CLATTN_F64, 1, 1, 4, 8);
  desc.variant = way_variant(&chosen, "f64_d8", &id);
  desc.path = chosen.path;
  assert_status(CLATTN_UNSUPPORTED, clattn_plan_attention(d->context, &desc, &plan, &report), &report);
  char reason[64];
  snprintf(reason, sizeof reason, "q is f64, and %.6s", chosen.variant); /* "tiled" and its tile, or "vector" */
  reason[strcspn(reason, "/")] = '\0';
  assert_holds(report.detail, reason);
  assert_holds(report.detail, "computes in float32");
}

static void float64(void **state)
{
  if (!computes_f64()) {
    refuse(state);
    return;
  }
  const attention_case whole = {.b = 2,
                                .hq = 4,
                                .hk = 2,
                                .sq = 9,
                                .sk = 67,
                                .dk = 12,
                                .dv = 20,
                                .q_type = CLATTN_F64,
                                .lse_type = CLATTN_F64,
                                .want_lse = true};
  attention_case c = whole;
  run(state, &c);
  c.causal = true;
  c.past = 5;
  c.want_present = true;
  run(state, &c);
  for (mask_case mask = MASK_BOOL; mask <= MASK_INFINITE; mask++) {
    c = whole;
    c.mask = mask;
    c.closed_rows = mask != MASK_ADDITIVE;
    c.poison = POISON_UNSEEN;
    run(state, &c);
  }
  c = whole;
  c.softcap = 0.1; /* not a float32 */
  c.has_scale = true;
  c.scale = 0.3;
  run(state, &c);
  c.fill = FILL_LARGE;
  run(state, &c);
  c = whole;
  c.sk = 5000;
  run(state, &c);
  for (box_layout layout = LAYOUT_TOKENS; layout <= LAYOUT_REVERSED; layout++) {
    c = whole;
    c.q_layout = c.k_layout = c.v_layout = c.y_layout = c.lse_layout = layout;
    run(state, &c);
  }
}

/* One float64 tensor, and all is computed in float64 and stored with one rounding. */
static void float64_mixed(void **state)
{
  if (!computes_f64()) return;
  for (int which = 0; which < 5; which++)
    for (int32_t other = CLATTN_F32; other <= CLATTN_BF16; other++) {
      attention_case c = {.hq = 2,
                          .sq = 9,
                          .sk = 33,
                          .q_type = other,
                          .k_type = other,
                          .v_type = other,
                          .y_type = other,
                          .mask = MASK_ADDITIVE,
                          .mask_type = other,
                          .want_lse = true};
      int32_t *const types[5] = {&c.q_type, &c.k_type, &c.v_type, &c.y_type, &c.mask_type};
      *types[which] = CLATTN_F64;
      run(state, &c);
    }
}

static void float64_scores(void **state)
{
  if (!computes_f64()) return;
  const way with_scores = way_with_scores();
  for (int mode = 0; mode < 4; mode++)
    test_attention(*state,
                   &(attention_case){.hq = 2,
                                     .sq = 9,
                                     .sk = 33,
                                     .q_type = CLATTN_F64,
                                     .softcap = 0.7,
                                     .mask = MASK_INFINITE,
                                     .want_qk = true,
                                     .qk_mode = mode},
                   &with_scores);
  test_scores(*state, &(attention_case){.sq = 9, .sk = 33, .q_type = CLATTN_F64, .want_qk = true, .qk_mode = 3},
              chosen.variant);
}

static void float64_stages(void **state)
{
  if (!computes_f64()) return;
  for (int32_t a = 0; a < 2; a++)
    for (int32_t p = 0; p < 2; p++) {
      const int32_t in = a ? CLATTN_F64 : CLATTN_F32, out = p ? CLATTN_F64 : CLATTN_F32;
      const attention_case c = {.hq = 2, .sq = 7, .sk = 70, .q_type = in, .v_type = CLATTN_F64, .y_type = out};
      test_softmax(*state, &c, chosen.variant);
      test_values(*state, &c, chosen.variant);
    }
}

static void float64_projection(void **state)
{
  if (!computes_f64()) return;
  static const int32_t types[][3] = {{CLATTN_F64, 0, 0},
                                     {CLATTN_F64, CLATTN_F32, CLATTN_F32},
                                     {CLATTN_F32, CLATTN_F64, CLATTN_BF16},
                                     {CLATTN_F16, CLATTN_BF16, CLATTN_F64}};
  for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
    for (int packed = 0; packed < 2; packed++)
      test_projection(*state,
                      &(projection_case){.b = 2,
                                         .s = 9,
                                         .e = 40,
                                         .h = 3,
                                         .d = 8,
                                         .x_type = types[i][0],
                                         .w_type = types[i][1],
                                         .y_type = types[i][2],
                                         .bias = true,
                                         .packed = packed,
                                         .rotary = packed ? ROTARY_NONE : ROTARY_IDS,
                                         .interleaved = !packed && i % 2},
                      chosen.variant);
}

/* The hint 11: float64 where the device has it, else float32 and the report says so. */
static void precision(void **state)
{
  const device_under_test *d = *state;
  static const int32_t hints[] = {0, 1, 10, 16, 11};
  for (size_t i = 0; i < sizeof hints / sizeof hints[0]; i++) {
    clattn_report report;
    clattn_plan *plan = NULL;
    variant_id id;
    clattn_attention_desc desc = CLATTN_ATTENTION_DESC_INIT;
    desc.q = desc.k = desc.v = desc.y = clattn_bhsd(CLATTN_F32, 1, 1, 4, 8);
    desc.softmax_precision = hints[i];
    desc.variant = way_variant(&chosen, "f32_d8", &id);
    desc.path = chosen.path;
    assert_status(CLATTN_OK, clattn_plan_attention(d->context, &desc, &plan, &report), &report);
    clattn_plan_info info = {.struct_size = sizeof info};
    assert_status(CLATTN_OK, clattn_plan_get_info(plan, &info), NULL);
    const bool in_double = hints[i] == 11 && computes_f64() && device_has_f64(d);
    const size_t scores = chosen.path == CLATTN_PATH_STAGED ? 4 * 4 : 0;
    assert_int_equal(info.workspace_bytes, scores * (in_double ? sizeof(double) : sizeof(float)));
    assert_int_equal(strstr(report.detail, "softmax_precision 11: computed in float32") != NULL,
                     hints[i] == 11 && !in_double);
    if (in_double) assert_holds(info.variant, "reference");
    clattn_plan_destroy(plan);
    run(state, &(attention_case){.sq = 9, .sk = 35, .softmax_precision = hints[i], .causal = true});
  }
}

/* A row that attends one key alone gives its value, rounded once to nearest even; no number stays none whatever its
 * bits. `from`: the type of v. */
static void round_values(void **state, int32_t from, int32_t to, const double *values, int64_t n)
{
  const device_under_test *d = *state;
  enum { MOST = 32 };
  unsigned char v[MOST * 8], q[8] = {0}, k[8] = {0}, y[MOST * 8], expected[MOST * 8];
  assert_true(n + 2 <= MOST);
  for (int64_t i = 0; i < n; i++) number_store(from, v, i + 1, values[i]);
  for (int64_t i = 0; i < n; i++) number_store(to, expected, i + 1, values[i]);
  const uint32_t nan = 0x7fffffffu;
  for (int64_t i = 0; i <= n + 1; i += n + 1) {
    if (from == CLATTN_F32) memcpy(v + i * 4, &nan, 4);
    if (from == CLATTN_F64) number_store(from, v, i, (double)NAN);
  }
  clattn_attention_desc desc = CLATTN_ATTENTION_DESC_INIT;
  desc.q = desc.k = clattn_bhsd(CLATTN_F32, 1, 1, 1, 1);
  desc.v = clattn_bhsd((clattn_dtype)from, 1, 1, 1, n + 2);
  desc.y = clattn_bhsd((clattn_dtype)to, 1, 1, 1, n + 2);
  char types_and_head[64];
  variant_id id;
  const bool floats = from == CLATTN_F32 && to == CLATTN_F32;
  snprintf(types_and_head, sizeof types_and_head, "f32%s%s%s_d1v%d", floats ? "" : "f32",
           floats ? "" : clattn_dtype_text((clattn_dtype)from), floats ? "" : clattn_dtype_text((clattn_dtype)to),
           (int)n + 2);
  desc.variant = way_variant(&chosen, types_and_head, &id);
  desc.path = chosen.path;
  clattn_report report;
  clattn_plan *plan = NULL;
  const clattn_status status = clattn_plan_attention(d->context, &desc, &plan, &report);
  if (from == CLATTN_F64 && !device_has_f64(d)) {
    test_no_f64(status, plan, &report);
    return;
  }
  assert_status(CLATTN_OK, status, &report);
  const size_t out = number_bytes(to);
  const clattn_host_binding b[] = {{.slot = CLATTN_Q, .data = q, .bytes = 4},
                                   {.slot = CLATTN_K, .data = k, .bytes = 4},
                                   {.slot = CLATTN_V, .data = v, .bytes = (size_t)(n + 2) * number_bytes(from)},
                                   {.slot = CLATTN_Y, .data = y, .bytes = (size_t)(n + 2) * out}};
  assert_status(CLATTN_OK, clattn_run_host(plan, b, 4, &report), &report);
  clattn_plan_destroy(plan);
  for (int64_t i = 0; i < n; i++) {
    const double got = number_load(to, y, i + 1), want = number_load(to, expected, i + 1);
    if (got != want) print_error("%a as %s is %a, not %a\n", values[i], clattn_dtype_text((clattn_dtype)to), want, got);
    assert_true(got == want);
  }
  assert_true(isnan(number_load(to, y, 0)) && isnan(number_load(to, y, n + 1)));
}

static void stores_round_to_even(void **state)
{
  /* Ties and their neighbours, of bf16 and of f16; a carry; subnormal and infinite f16. 19 of them: whole vectors and a
   * rest. */
  static const double values[] = {0x1.00p0,  0x1.01p0,    0x1.03p0,   0x1.0101p0, -0x1.01p0,  -0x1.03p0, 0x1.02fep0,
                                  0x1.ffp0,  0x1.002p0,   0x1.006p0,  0x1.0021p0, -0x1.002p0, 0x1.ffep0, 0x1p-25,
                                  0x1.8p-24, 0x1.004p-15, 0x1.ffdp15, 0x1.ffcp15, -0x1.ffep15};
  /* Beside a tie by less than a float can tell. */
  static const double doubles[] = {0x1.01000000001p0, 0x1.00ffffffffffp0, 0x1.03000000001p0,  0x1.02ffffffffffp0,
                                   0x1.00200000001p0, 0x1.001ffffffffp0,  -0x1.01000000001p0, 0x1p-25 + 0x1p-70};
  for (int32_t to = CLATTN_F32; to <= CLATTN_BF16; to++) {
    round_values(state, CLATTN_F32, to, values, sizeof values / sizeof *values);
    if (computes_f64()) round_values(state, CLATTN_F64, to, doubles, sizeof doubles / sizeof *doubles);
  }
}

int main(int argc, char **argv)
{
  static const char *const paths[] = {"auto", "staged", "fused"};
  chosen.path = -1;
  for (int32_t i = 0; argc > 2 && i < 3; i++)
    if (!strcmp(argv[2], paths[i])) chosen.path = i;
  if (chosen.path < 0) {
    fprintf(stderr, "usage: %s VARIANT|any auto|staged|fused [FILTER]\n", argv[0]);
    return 2;
  }
  chosen.variant = strcmp(argv[1], "any") ? argv[1] : NULL;
  if (argc > 3) cmocka_set_test_filter(argv[3]);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_small),         cmocka_unit_test(sixteen_bits_mixed),
      cmocka_unit_test(masks_and_scores),   cmocka_unit_test(float64),
      cmocka_unit_test(float64_mixed),      cmocka_unit_test(float64_scores),
      cmocka_unit_test(float64_stages),     cmocka_unit_test(precision),
      cmocka_unit_test(float64_projection), cmocka_unit_test(stores_round_to_even),
  };
  return cmocka_run_group_tests(tests, device_setup, device_teardown);
}
