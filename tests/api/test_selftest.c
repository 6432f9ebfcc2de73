/* The selftest: every variant is found right, and one that is not is taken out of selection until it is. */
#include <stdio.h>
#include <string.h>

#include "planted.h"
#include "small.h"

typedef struct tally {
  int rows, right, refused, wrong;
  bool saw[16], saw_f64;
  uint32_t last_trial, trials;
} tally;

/* No tile of `tiled` fits such a device: of all else the fewest programs are compiled. */
static const char no_tiles[] = "work_group_size = 32";
/* Two of its tiles fit this one. */
static const char few_tiles[] = "work_group_size = 64";

/* Each operation, and the kinds of types, are among what was found right. */
static const char *const must_be_right[] = {
    "reference_attention_f32",
    "reference_staged_f16",
    "reference_scores_bf16",
    "reference_softmax_f32",
    "reference_values_f16",
    "reference_merge_f32",
    "reference_projection_f32f16",
    "extend",
    "map",
};
enum { MUST_BE_RIGHT = sizeof must_be_right / sizeof must_be_right[0] };

static void count_row(const clattn_selftest_row *row, void *user)
{
  tally *t = user;
  t->rows++;
  if (row->right) t->right++;
  if (row->status == CLATTN_UNSUPPORTED) t->refused++;
  if (row->status == CLATTN_OK && !row->right) t->wrong++;
  assert_non_null(strstr(row->problem, "b="));
  if (!row->right) assert_true(row->reason[0] != '\0');
  if (row->right && row->error > 1.0) fail();
  for (int i = 0; i < MUST_BE_RIGHT; i++)
    if (row->right && strncmp(row->kind, must_be_right[i], strlen(must_be_right[i])) == 0) t->saw[i] = true;
  assert_in_range(row->trial, t->last_trial, row->trials);
  t->last_trial = row->trial;
  t->trials = row->trials;
  if (row->right && strstr(row->variant, "reference_attention_f64")) t->saw_f64 = true;
}

static clattn_context *open_with(const device_under_test *d, const char *kernels, const char *limits)
{
  clattn_report report;
  clattn_context *context = NULL;
  clattn_context_options options = CLATTN_CONTEXT_OPTIONS_INIT;
  options.kernel_dir = kernels;
  options.limits = limits;
  assert_status(CLATTN_OK, clattn_context_create(d->cl, d->id, &options, &context, &report), &report);
  return context;
}

static void every_variant_is_right(void **state)
{
  const device_under_test *d = *state;
  clattn_context *context = open_with(d, NULL, no_tiles);
  tally t = {0};
  uint32_t wrong = 99;
  clattn_report report;
  assert_status(CLATTN_OK, clattn_selftest(context, count_row, &t, &wrong, &report), &report);
  print_message("%d rows: %d right, %d refused\n", t.rows, t.right, t.refused);
  assert_int_equal(0, wrong);
  assert_int_equal(t.rows, t.right + t.refused);
  assert_int_equal(t.trials, t.last_trial);
  for (int i = 0; i < MUST_BE_RIGHT; i++)
    if (!t.saw[i]) fail_msg("no right trial of %s", must_be_right[i]);
  assert_int_equal(device_has_f64(d), t.saw_f64);
  clattn_context_destroy(context);
  assert_status(CLATTN_INVALID_ARGUMENT, clattn_selftest(NULL, NULL, NULL, NULL, &report), &report);
  assert_says(&report, "context is NULL");
}

/* What is chosen for the small problem; the selection goes to `selection`. */
static void choose(clattn_context *context, char variant[128], char selection[4096])
{
  small_problem small;
  clattn_report report;
  clattn_plan *plan = NULL;
  small_make(&small, 1);
  assert_status(CLATTN_OK, clattn_plan_attention(context, &small.desc, &plan, &report), &report);
  clattn_plan_info info = CLATTN_PLAN_INFO_INIT;
  assert_status(CLATTN_OK, clattn_plan_get_info(plan, &info), NULL);
  snprintf(variant, 128, "%s", info.variant);
  snprintf(selection, 4096, "%s", info.selection);
  clattn_plan_destroy(plan);
}

static void check_taken_out(clattn_context *context, const char *family)
{
  char variant[128], selection[4096];
  choose(context, variant, selection);
  assert_null(strstr(variant, family));
  assert_holds(selection, "computed wrongly in the selftest of this device");
}

/* The family that the device prefers, and limits that leave little else; false: with these it has none. */
static bool preferred_family(const device_under_test *d, const char *kernels, const char *limits, char family[128])
{
  char selection[4096];
  clattn_context *context = open_with(d, kernels, limits);
  choose(context, family, selection);
  clattn_context_destroy(context);
  char *type = strstr(family, "_f32_d8v12");
  assert_non_null(type);
  *type = '\0';
  return strcmp(family, "reference_attention") != 0;
}

/* Wrong for long heads, which one tile of the family meets: the others are then tried too. */
static void plant_in(const char *kernels, const char *family)
{
  if (strcmp(family, "vector_attention") == 0) {
    planted_edit(kernels, "vector_attention.cl", "(vec)(1.0f) / total", "(vec)(P_HEAD > 64 ? 1.001f : 1.0f) / total");
    planted_edit(kernels, "vector_decode.cl", "0.0f : 1.0f / total", "0.0f : (args->dv > 64 ? 1.001f : 1.0f) / total");
  } else {
    planted_edit(kernels, "tiled_attention.cl", "own[c * ROWS_STRIDE + i] / row_sum[r]",
                 "(P_DV > 64 ? 1.001f : 1.0f) * own[c * ROWS_STRIDE + i] / row_sum[r]");
  }
}

static void a_wrong_variant_is_taken_out(void **state)
{
  const device_under_test *d = *state;
  static const char kernels[] = CLATTN_TEST_SCRATCH "/selftest-kernels";
  char family[128], variant[128], selection[4096];
  const char *limits = no_tiles;
  uint32_t wrong = 0;
  clattn_report report;
  planted_copy(CLATTN_TEST_KERNELS, kernels);
  if (!preferred_family(d, kernels, limits, family)) {
    limits = few_tiles;
    assert_true(preferred_family(d, kernels, limits, family));
  }
  plant_in(kernels, family);
  clattn_context *context = open_with(d, kernels, limits);
  assert_status(CLATTN_OK, clattn_selftest(context, NULL, NULL, &wrong, &report), &report);
  assert_true(wrong > 1);
  assert_holds(report.detail, family);
  assert_null(strstr(report.detail, "reference_attention"));
  check_taken_out(context, family);
  clattn_context_destroy(context);

  planted_copy(CLATTN_TEST_KERNELS, kernels);
  context = open_with(d, kernels, limits);
  check_taken_out(context, family); /* remembered */
  assert_status(CLATTN_OK, clattn_selftest(context, NULL, NULL, &wrong, &report), &report);
  assert_int_equal(0, wrong);
  choose(context, variant, selection);
  assert_holds(variant, family);
  clattn_context_destroy(context);
}

typedef struct verdicts {
  const char *const *wrong; /* beginnings of the kinds that are to be wrong */
  int count[10];
} verdicts;

static void expect_wrong(const clattn_selftest_row *row, void *user)
{
  verdicts *v = user;
  if (row->right || row->status == CLATTN_UNSUPPORTED) return;
  for (int i = 0; v->wrong[i]; i++) {
    if (strncmp(row->kind, v->wrong[i], strlen(v->wrong[i]))) continue;
    v->count[i]++;
    return;
  }
  fail_msg("%s is wrong: %s", row->kind, row->problem);
}

static clattn_status plan_small_scores(clattn_context *context, const char *variant, char selection[4096],
                                       clattn_report *report)
{
  small_problem small;
  clattn_plan *plan = NULL;
  clattn_plan_info info = {.struct_size = sizeof info};
  small_make(&small, 1);
  small.desc.variant = variant;
  small.desc.qk = clattn_bhsd(CLATTN_F32, 1, SMALL_HQ, SMALL_SQ, SMALL_SK);
  const clattn_status status = clattn_plan_scores(context, &small.desc, &plan, report);
  selection[0] = '\0';
  if (plan && clattn_plan_get_info(plan, &info) == CLATTN_OK) snprintf(selection, 4096, "%s", info.selection);
  clattn_plan_destroy(plan);
  return status;
}

static clattn_status plan_small_map(clattn_context *context, clattn_report *report)
{
  small_problem small;
  clattn_plan *plan = NULL;
  clattn_map_desc desc = CLATTN_MAP_DESC_INIT;
  small_make(&small, 1);
  small.desc.lse = clattn_dense(CLATTN_F32, 3, (int64_t[]){1, SMALL_HQ, SMALL_SQ});
  desc.attention = &small.desc;
  desc.map = clattn_bhsd(CLATTN_F32, 1, SMALL_HQ, SMALL_SQ, SMALL_SK);
  const clattn_status status = clattn_plan_map(context, &desc, &plan, report);
  clattn_plan_destroy(plan);
  return status;
}

/* Where the families for CPUs run: only they make Q, K and V in one launch. Asked of a context of sound kernels: one of
 * planted kernels remembers an earlier run's verdict. */
static bool has_fused_parts(clattn_context *context)
{
  clattn_report report;
  clattn_plan *plan = NULL;
  clattn_projection_desc desc = CLATTN_PROJECTION_DESC_INIT;
  desc.x = clattn_dense(CLATTN_F32, 3, (int64_t[]){1, 1, 8});
  desc.w = clattn_dense(CLATTN_F32, 2, (int64_t[]){8, 8});
  desc.y = clattn_dense(CLATTN_F32, 3, (int64_t[]){1, 1, 8});
  desc.variant = "skinny";
  const clattn_status status = clattn_plan_projection(context, &desc, &plan, &report);
  clattn_plan_destroy(plan);
  return status == CLATTN_OK;
}

/* Faults of seven operations in one copy: each is found, and nothing else is blamed. Another variant then takes the
 * problem, whatever it is worth in speed. */
static void each_operation_is_judged(void **state)
{
  const device_under_test *d = *state;
  static const char kernels[] = CLATTN_TEST_SCRATCH "/selftest-stages";
  static const char *const wrong[] = {"tiled_projection",
                                      "tiled_softmax",
                                      "tiled_values",
                                      "tiled_staged",
                                      "reference_scores",
                                      "reference_staged",
                                      "skinny_projection",
                                      "vector_projection",
                                      "packed_projection",
                                      "map",
                                      NULL};
  verdicts found = {.wrong = wrong};
  char selection[4096];
  uint32_t kinds = 0;
  clattn_report report;
  planted_copy(CLATTN_TEST_KERNELS, kernels);
  planted_edit(kernels, "tiled_stages.cl", "pair.x += ca_bias(args, bias, first);", "");
  planted_edit(kernels, "tiled_stages.cl", "args.y_type, own[c])", "args.y_type, 1.001f * own[c])");
  planted_edit(kernels, "tiled_stages.cl", "log(sum)", "log(sum) + 0.01f");
  planted_edit(kernels, "reference.cl", "const ca_real scaled = ", "const ca_real scaled = (ca_real)1.001 * ");
  planted_edit(kernels, "lib/parts.clh", "args->h = other->h;", "args->h = other->h - 1;");
  planted_edit(kernels, "map.cl", "b * args->key_weight.stride[0]", "0 * args->key_weight.stride[0]");
  clattn_context *context = open_with(d, kernels, few_tiles);
  const bool fused = has_fused_parts(d->context);
  assert_status(CLATTN_OK, clattn_selftest(context, expect_wrong, &found, &kinds, &report), &report);
  for (int i = 0; wrong[i]; i++) {
    const bool of_parts = strstr(wrong[i], "skinny") || strstr(wrong[i], "vector") || strstr(wrong[i], "packed");
    if (!found.count[i] != (of_parts && !fused)) fail_msg("%s: found wrong %d times", wrong[i], found.count[i]);
  }
  assert_true(kinds > 5);
  assert_status(CLATTN_OK, plan_small_scores(context, NULL, selection, &report), &report);
  if (!strstr(selection, "vector_scores_f32_d8")) /* stands before the others, where it runs */
    assert_holds(selection, "reference_scores_f32 computed wrongly in the selftest of this device");
  assert_status(CLATTN_UNSUPPORTED, plan_small_scores(context, "reference_scores", selection, &report), &report);
  assert_says(&report, "reference_scores_f32", "computed wrongly in the selftest of this device");
  assert_status(CLATTN_UNSUPPORTED, plan_small_map(context, &report), &report);
  assert_says(&report, "maps were wrong in the selftest of this device");
  clattn_context_destroy(context);
}

int main(int argc, char **argv)
{
  if (argc > 1) cmocka_set_test_filter(argv[1]);
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_variant_is_right),
                                     cmocka_unit_test(a_wrong_variant_is_taken_out),
                                     cmocka_unit_test(each_operation_is_judged)};
  return cmocka_run_group_tests(tests, device_setup, device_teardown);
}
