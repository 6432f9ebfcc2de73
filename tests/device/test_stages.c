/* The stages one by one: test_stages VARIANT|any [FILTER]. */
#include <stdio.h>
#include <string.h>

#include "asserts.h"
#include "far.h"
#include "tester.h"

static const char *variant;

static const int64_t ladder[] = {1, 2, 3, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 97, 128, 129, 257};
enum { LADDER = sizeof ladder / sizeof ladder[0] };

/* For interpreters of kernels: few elements, every input. */
static void test_small(void **state)
{
  for (int mode = 0; mode < 4; mode++)
    test_scores(*state,
                &(attention_case){.hq = 2,
                                  .hk = 1,
                                  .sq = 3,
                                  .sk = 5,
                                  .dk = 3,
                                  .q_type = CLATTN_F32 + mode % 3,
                                  .past = mode,
                                  .want_qk = true,
                                  .qk_mode = mode,
                                  .mask = MASK_INFINITE,
                                  .softcap = 2.0},
                variant);
  test_softmax(*state, &(attention_case){.hq = 2, .sq = 3, .sk = 67, .y_layout = LAYOUT_GAPS}, variant);
  test_values(*state, &(attention_case){.hq = 2, .hk = 1, .sq = 3, .sk = 19, .dv = 5}, variant);
}

static void scores_of_every_size(void **state)
{
  for (int i = 0; i < LADDER; i++)
    for (int j = 0; j < LADDER; j += 3)
      test_scores(*state,
                  &(attention_case){
                      .hq = 2, .sq = ladder[i], .sk = ladder[j], .dk = 8, .want_qk = true, .qk_mode = (i + j) % 4},
                  variant);
}

static void scores_of_every_head_size(void **state)
{
  for (int i = 0; i < LADDER; i++)
    test_scores(*state, &(attention_case){.sq = 9, .sk = 21, .dk = ladder[i], .want_qk = true}, variant);
  test_scores(*state, &(attention_case){.sq = 9, .sk = 21, .dk = 512, .want_qk = true}, variant);
}

static void scores_at_every_point(void **state)
{
  for (int mode = 0; mode < 4; mode++)
    for (box_layout layout = LAYOUT_DENSE; layout <= LAYOUT_REVERSED; layout++)
      test_scores(*state,
                  &(attention_case){.b = 2,
                                    .hq = 6,
                                    .hk = 2,
                                    .sq = 17,
                                    .sk = 35,
                                    .want_qk = true,
                                    .qk_mode = mode,
                                    .want_lse = mode == 3,
                                    .softcap = 0.5,
                                    .mask = MASK_INFINITE,
                                    .causal = true,
                                    .q_layout = layout,
                                    .k_layout = layout,
                                    .qk_layout = layout},
                  variant);
}

static void softmax_of_every_size(void **state)
{
  for (int i = 0; i < LADDER; i++)
    test_softmax(*state, &(attention_case){.hq = 2, .sq = 9, .sk = ladder[i], .seed = (uint64_t)i}, variant);
  test_softmax(*state, &(attention_case){.sq = 3, .sk = 5000}, variant);
}

static void softmax_of_every_layout(void **state)
{
  for (box_layout layout = LAYOUT_DENSE; layout <= LAYOUT_REVERSED; layout++)
    test_softmax(*state,
                 &(attention_case){.b = 2,
                                   .hq = 3,
                                   .sq = 9,
                                   .sk = 33,
                                   .q_layout = layout,
                                   .y_layout = LAYOUT_REVERSED - layout,
                                   .lse_layout = layout},
                 variant);
}

/* The same buffer and view for scores and weights. */
static void softmax_in_place(void **state)
{
  const device_under_test *d = *state;
  enum { ROWS = 5, KEYS = 37 };
  float a[ROWS][KEYS], p[ROWS][KEYS];
  random_state r = {5};
  for (int i = 0; i < ROWS; i++)
    for (int j = 0; j < KEYS; j++) a[i][j] = (float)random_unit(&r);
  clattn_softmax_desc desc = CLATTN_SOFTMAX_DESC_INIT;
  desc.a = desc.p = clattn_bhsd(CLATTN_F32, 1, 1, ROWS, KEYS);
  variant_id id;
  desc.variant = variant_named(variant, "softmax", "f32", &id);
  clattn_report report;
  clattn_plan *plan = NULL;
  assert_status(CLATTN_OK, clattn_plan_softmax(d->context, &desc, &plan, &report), &report);
  cl_mem in = device_buffer(d, sizeof a, a), out = device_buffer(d, sizeof p, NULL);
  clattn_binding apart[2] = {{.slot = CLATTN_A, .mem = in}, {.slot = CLATTN_P, .mem = out}};
  assert_status(CLATTN_OK, clattn_enqueue(plan, d->queue, apart, 2, 0, NULL, NULL, &report), &report);
  clattn_binding same[2] = {{.slot = CLATTN_A, .mem = in}, {.slot = CLATTN_P, .mem = in}};
  assert_status(CLATTN_OK, clattn_enqueue(plan, d->queue, same, 2, 0, NULL, NULL, &report), &report);
  device_read(d, out, sizeof p, p);
  device_read(d, in, sizeof a, a);
  assert_memory_equal(a, p, sizeof p);
  clReleaseMemObject(in);
  clReleaseMemObject(out);
  clattn_plan_destroy(plan);
}

static void values_of_every_size(void **state)
{
  for (int i = 0; i < LADDER; i++)
    for (int j = 0; j < LADDER; j += 3)
      test_values(*state,
                  &(attention_case){.hq = 2, .hk = 1, .sq = ladder[i], .sk = ladder[j], .dv = ladder[(i + j) % LADDER]},
                  variant);
  test_values(*state, &(attention_case){.hq = 2, .sq = 3, .sk = 33, .dv = 512}, variant);
}

static void values_of_every_layout(void **state)
{
  for (box_layout layout = LAYOUT_DENSE; layout <= LAYOUT_REVERSED; layout++)
    test_values(*state,
                &(attention_case){.b = 2,
                                  .hq = 6,
                                  .hk = 2,
                                  .sq = 9,
                                  .sk = 33,
                                  .dv = 20,
                                  .q_layout = layout,
                                  .v_layout = LAYOUT_REVERSED - layout,
                                  .y_layout = layout},
                variant);
}

static clattn_softmax_desc far_softmax;
static clattn_values_desc far_values;

static clattn_status plan_far_softmax(clattn_context *context, clattn_plan **plan, clattn_report *report)
{
  return clattn_plan_softmax(context, &far_softmax, plan, report);
}

static clattn_status plan_far_values(clattn_context *context, clattn_plan **plan, clattn_report *report)
{
  return clattn_plan_values(context, &far_values, plan, report);
}

static void stages_far_apart(void **state)
{
  variant_id id;
  clattn_softmax_desc *s = &far_softmax;
  *s = (clattn_softmax_desc)CLATTN_SOFTMAX_DESC_INIT;
  s->a = s->p = clattn_bhsd(CLATTN_F32, 2, 2, 3, 5);
  s->lse = clattn_dense(CLATTN_F32, 3, (const int64_t[]){2, 2, 3});
  s->variant = variant_named(variant, "softmax", "f32", &id);
  test_far(*state, &(far_problem){.n = 3,
                                  .tensor = {{CLATTN_A, &s->a, false, false},
                                             {CLATTN_P, &s->p, true, false},
                                             {CLATTN_LSE, &s->lse, true, false}},
                                  .plan = plan_far_softmax});
  clattn_values_desc *v = &far_values;
  *v = (clattn_values_desc)CLATTN_VALUES_DESC_INIT;
  v->p = clattn_bhsd(CLATTN_F32, 2, 4, 3, 5);
  v->v = clattn_bhsd(CLATTN_BF16, 2, 2, 5, 3);
  v->y = clattn_bhsd(CLATTN_F16, 2, 4, 3, 3);
  v->variant = variant_named(variant, "values", "bf16f16_d3", &id);
  test_far(*state, &(far_problem){.n = 3,
                                  .tensor = {{CLATTN_P, &v->p, false, false},
                                             {CLATTN_V, &v->v, false, false},
                                             {CLATTN_Y, &v->y, true, false}},
                                  .plan = plan_far_values});
}

int main(int argc, char **argv)
{
  if (!take_variant(argc, argv, &variant)) return 2;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_small),
      cmocka_unit_test(scores_of_every_size),
      cmocka_unit_test(scores_of_every_head_size),
      cmocka_unit_test(scores_at_every_point),
      cmocka_unit_test(softmax_of_every_size),
      cmocka_unit_test(softmax_of_every_layout),
      cmocka_unit_test(softmax_in_place),
      cmocka_unit_test(values_of_every_size),
      cmocka_unit_test(values_of_every_layout),
      cmocka_unit_test(stages_far_apart),
  };
  return cmocka_run_group_tests(tests, device_setup, device_teardown);
}
