/* Merging partial results: splitting the keys and merging gives the whole: test_merge [FILTER]. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "asserts.h"
#include "far.h"
#include "oracle.h"
#include "tester.h"

/* How a merge is made: sizes, types in the order y1 lse1 y2 lse2 y lse, layouts of inputs and outputs. */
typedef struct merge_case {
  int64_t b, h, s, d;
  int32_t type[6];
  box_layout in, out;
  bool no_lse;
} merge_case;

static const int32_t slots[6] = {CLATTN_Y1, CLATTN_LSE1, CLATTN_Y2, CLATTN_LSE2, CLATTN_Y, CLATTN_LSE};

/* lse of some rows is -inf in one part or in both, and y is then no number. */
static void fill(box *boxes, const merge_case *c)
{
  random_state r = {17};
  for (int64_t row = 0; row < c->b * c->h * c->s; row++)
    for (int part = 0; part < 2; part++) {
      const bool closed = row % 5 == 2 + part || row % 5 == 4;
      box_put(&boxes[2 * part + 1], row, closed ? -(double)INFINITY : 30.0 * random_unit(&r));
      for (int64_t d = 0; d < c->d; d++)
        box_put(&boxes[2 * part], row * c->d + d, closed ? (double)NAN : random_unit(&r));
    }
  for (int i = 0; i < 4; i++) box_gather(&boxes[i]);
}

static void expect(box *boxes, const merge_case *c, bool in_double)
{
  double (*const allowed)(int32_t, double, double, double) = in_double ? accuracy_allowed_f64 : accuracy_allowed;
  for (int64_t row = 0; row < c->b * c->h * c->s; row++) {
    const double l1 = boxes[1].dense[row], l2 = boxes[3].dense[row], m = fmax(l1, l2);
    const double w1 = exp(l1 - m), w2 = exp(l2 - m);
    const bool none = m == -(double)INFINITY;
    const double lse = none ? m : m + log(w1 + w2);
    for (int64_t d = 0; d < c->d; d++) {
      const int64_t at = row * c->d + d;
      const double y1 = l1 == -(double)INFINITY ? 0.0 : boxes[0].dense[at];
      const double y2 = l2 == -(double)INFINITY ? 0.0 : boxes[2].dense[at];
      const double y = none ? 0.0 : (w1 * y1 + w2 * y2) / (w1 + w2);
      boxes[4].dense[at] = y;
      boxes[4].allowed[at] = allowed(c->type[4], y, 1.0, 0.0);
    }
    if (c->no_lse) continue;
    boxes[5].dense[row] = lse;
    boxes[5].allowed[row] = none ? 0.0 : allowed(c->type[5], lse, fabs(lse), 0.0);
  }
}

static void merge_boxes(const device_under_test *d, const merge_case *given)
{
  merge_case c = *given;
  box boxes[6];
  char problem[160];
  bool in_double = false;
  const uint32_t n = c.no_lse ? 5 : 6;
  for (uint32_t i = 0; i < 6; i++) {
    if (!c.type[i]) c.type[i] = CLATTN_F32;
    in_double = in_double || (i < n && c.type[i] == CLATTN_F64);
  }
  const int64_t dim[4] = {c.b, c.h, c.s, c.d};
  for (uint32_t i = 0; i < n; i++)
    box_make(&boxes[i], slots[i], c.type[i], i % 2 ? 3 : 4, dim, i < 4 ? c.in : c.out, i >= 4);
  fill(boxes, &c);
  expect(boxes, &c, in_double);
  snprintf(problem, sizeof problem, "merge b=%d h=%d s=%d d=%d layouts %d %d", (int)c.b, (int)c.h, (int)c.s, (int)c.d,
           c.in, c.out);
  clattn_merge_desc desc = CLATTN_MERGE_DESC_INIT;
  desc.y1 = boxes[0].view;
  desc.lse1 = boxes[1].view;
  desc.y2 = boxes[2].view;
  desc.lse2 = boxes[3].view;
  desc.y = boxes[4].view;
  if (!c.no_lse) desc.lse = boxes[5].view;
  clattn_report report;
  clattn_plan *plan = NULL;
  const clattn_status status = clattn_plan_merge(d->context, &desc, &plan, &report);
  if (in_double && !device_has_f64(d)) {
    test_no_f64(status, plan, &report);
  } else {
    assert_status(CLATTN_OK, status, &report);
    boxes_run(d, plan, boxes, n, problem);
  }
  clattn_plan_destroy(plan);
  for (uint32_t i = 0; i < n; i++) box_free(&boxes[i]);
}

/* For interpreters of kernels: few elements, every input. */
static void test_small(void **state)
{
  merge_boxes(*state, &(merge_case){.b = 2, .h = 1, .s = 6, .d = 3, .in = LAYOUT_GAPS, .out = LAYOUT_TOKENS});
  merge_boxes(*state,
              &(merge_case){.b = 1, .h = 2, .s = 3, .d = 66, .type = {CLATTN_F16, 0, CLATTN_BF16, 0, CLATTN_F16}});
  merge_boxes(*state, &(merge_case){.b = 1, .h = 1, .s = 5, .d = 2, .type = {CLATTN_F64}, .no_lse = true});
}

static void every_size(void **state)
{
  static const int64_t sizes[] = {1, 2, 5, 63, 64, 65, 130};
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    merge_boxes(*state, &(merge_case){.b = 2, .h = 3, .s = 11, .d = sizes[i]});
    merge_boxes(*state, &(merge_case){.b = 1, .h = 2, .s = sizes[i], .d = 7, .no_lse = i % 2});
  }
  merge_boxes(*state, &(merge_case){.b = 1, .h = 2, .s = 0, .d = 7});
}

static void every_layout(void **state)
{
  for (box_layout layout = LAYOUT_DENSE; layout <= LAYOUT_REVERSED; layout++)
    merge_boxes(*state, &(merge_case){.b = 2, .h = 3, .s = 11, .d = 9, .in = layout, .out = LAYOUT_REVERSED - layout});
}

static void every_type(void **state)
{
  for (int32_t a = CLATTN_F32; a <= CLATTN_F64; a++)
    for (int32_t b = CLATTN_F32; b <= CLATTN_F64; b++)
      merge_boxes(*state, &(merge_case){.b = 1, .h = 2, .s = 10, .d = 9, .type = {a, 0, b, 0, 1 + (a + b) % 4, 0}});
  for (int which = 1; which < 6; which += 2) {
    merge_case c = {.b = 1, .h = 2, .s = 10, .d = 9};
    c.type[which] = CLATTN_F64;
    merge_boxes(*state, &c);
  }
}

/* The theorem: attention over the first keys and over the last, merged, is attention over all. */
enum { B = 2, HQ = 4, HK = 2, SQ = 9, SK = 77, D = 16, Q = B * HQ * SQ * D, K = B * HK * SK * D, ROWS = B * HQ * SQ };

static void attend(const device_under_test *d, const float *q, const float *k, const float *v,
                   const unsigned char *mask, int64_t first, int64_t keys, float *y, float *lse)
{
  clattn_report report;
  clattn_plan *plan = NULL;
  clattn_attention_desc desc = CLATTN_ATTENTION_DESC_INIT;
  desc.q = desc.y = clattn_bhsd(CLATTN_F32, B, HQ, SQ, D);
  desc.k = desc.v = clattn_bhsd(CLATTN_F32, B, HK, SK, D);
  desc.mask = clattn_dense(CLATTN_BOOL, 2, (const int64_t[]){SQ, SK});
  desc.k.dim[2] = desc.v.dim[2] = desc.mask.dim[1] = keys;
  desc.lse = clattn_dense(CLATTN_F32, 3, (const int64_t[]){B, HQ, SQ});
  desc.flags = CLATTN_CAUSAL | CLATTN_QUERY_OFFSET;
  desc.query_offset = 40 - first;
  assert_status(CLATTN_OK, clattn_plan_attention(d->context, &desc, &plan, &report), &report);
  const clattn_host_binding bindings[] = {
      {.slot = CLATTN_Q, .data = (void *)q, .bytes = sizeof(float) * Q},
      {.slot = CLATTN_K, .data = (void *)(k + first * D), .bytes = sizeof(float) * (size_t)(K - first * D)},
      {.slot = CLATTN_V, .data = (void *)(v + first * D), .bytes = sizeof(float) * (size_t)(K - first * D)},
      {.slot = CLATTN_MASK, .data = (void *)(mask + first), .bytes = (size_t)(SQ * SK - first)},
      {.slot = CLATTN_Y, .data = y, .bytes = sizeof(float) * Q},
      {.slot = CLATTN_LSE, .data = lse, .bytes = sizeof(float) * ROWS}};
  assert_status(CLATTN_OK, clattn_run_host(plan, bindings, 6, &report), &report);
  clattn_plan_destroy(plan);
}

static void splitting_the_keys_gives_the_whole(void **state)
{
  const device_under_test *d = *state;
  static float q[Q], k[K], v[K], y[2][Q], whole[Q], merged[Q], lse[2][ROWS], whole_lse[ROWS], merged_lse[ROWS];
  static unsigned char mask[SQ * SK];
  random_state r = {3};
  for (int i = 0; i < Q; i++) q[i] = (float)(3.0 * random_unit(&r));
  for (int i = 0; i < K; i++) k[i] = (float)(3.0 * random_unit(&r));
  for (int i = 0; i < K; i++) v[i] = (float)random_unit(&r);
  /* Row 4 sees the first keys alone, row 5 the last alone, row 6 none. */
  for (int i = 0; i < SQ; i++)
    for (int j = 0; j < SK; j++) mask[i * SK + j] = i == 4 ? j < 10 : i == 5 ? j > 40 && j < 45 : i != 6 && (i + j) % 3;
  clattn_report report;
  clattn_plan *plan = NULL;
  clattn_merge_desc desc = CLATTN_MERGE_DESC_INIT;
  desc.y1 = desc.y2 = desc.y = clattn_bhsd(CLATTN_F32, B, HQ, SQ, D);
  desc.lse1 = desc.lse2 = desc.lse = clattn_dense(CLATTN_F32, 3, (const int64_t[]){B, HQ, SQ});
  assert_status(CLATTN_OK, clattn_plan_merge(d->context, &desc, &plan, &report), &report);
  assert_string_equal("reference_merge_f32_d16", clattn_plan_variant(plan));
  attend(d, q, k, v, mask, 0, SK, whole, whole_lse);
  static const int64_t cuts[] = {0, 1, 16, 33, 76, 77};
  for (size_t n = 0; n < sizeof cuts / sizeof cuts[0]; n++) {
    attend(d, q, k, v, mask, 0, cuts[n], y[0], lse[0]);
    attend(d, q, k, v, mask, cuts[n], SK - cuts[n], y[1], lse[1]);
    const clattn_host_binding bindings[] = {{.slot = CLATTN_Y1, .data = y[0], .bytes = sizeof y[0]},
                                            {.slot = CLATTN_LSE1, .data = lse[0], .bytes = sizeof lse[0]},
                                            {.slot = CLATTN_Y2, .data = y[1], .bytes = sizeof y[1]},
                                            {.slot = CLATTN_LSE2, .data = lse[1], .bytes = sizeof lse[1]},
                                            {.slot = CLATTN_Y, .data = merged, .bytes = sizeof merged},
                                            {.slot = CLATTN_LSE, .data = merged_lse, .bytes = sizeof merged_lse}};
    assert_status(CLATTN_OK, clattn_run_host(plan, bindings, 6, &report), &report);
    for (int i = 0; i < Q; i++) assert_true(fabsf(merged[i] - whole[i]) <= 8e-6f);
    for (int i = 0; i < ROWS; i++)
      assert_true(merged_lse[i] == whole_lse[i] || fabsf(merged_lse[i] - whole_lse[i]) <= 8e-6f);
    assert_true(isinf(merged_lse[6]) && merged[6 * D] == 0.0f);
  }
  clattn_plan_destroy(plan);
}

/* Parts are gathered in place: y and lse lie upon the first part, then upon the second. */
static void in_place(void **state)
{
  const device_under_test *d = *state;
  enum { R = 3, W = 70 };
  float y1[R][W], y2[R][W], lse1[R] = {0.5f, -INFINITY, 1.0f}, lse2[R] = {0.25f, 2.0f, -INFINITY};
  float apart[R][W], apart_lse[R], same[R][W], same_lse[R];
  for (int i = 0; i < R * W; i++) (&y1[0][0])[i] = (float)i, (&y2[0][0])[i] = (float)(i * i % 101);
  clattn_merge_desc desc = CLATTN_MERGE_DESC_INIT;
  desc.y1 = desc.y2 = desc.y = clattn_bhsd(CLATTN_F32, 1, 1, R, W);
  desc.lse1 = desc.lse2 = desc.lse = clattn_dense(CLATTN_F32, 3, (const int64_t[]){1, 1, R});
  clattn_report report;
  clattn_plan *plan = NULL;
  assert_status(CLATTN_OK, clattn_plan_merge(d->context, &desc, &plan, &report), &report);
  for (int onto = 0; onto < 3; onto++) {
    const cl_mem y[3] = {device_buffer(d, sizeof y1, y1), device_buffer(d, sizeof y2, y2),
                         device_buffer(d, sizeof y1, NULL)};
    const cl_mem lse[3] = {device_buffer(d, sizeof lse1, lse1), device_buffer(d, sizeof lse2, lse2),
                           device_buffer(d, sizeof lse1, NULL)};
    const int to = onto == 0 ? 2 : onto - 1;
    const clattn_binding bindings[] = {{.slot = CLATTN_Y1, .mem = y[0]}, {.slot = CLATTN_LSE1, .mem = lse[0]},
                                       {.slot = CLATTN_Y2, .mem = y[1]}, {.slot = CLATTN_LSE2, .mem = lse[1]},
                                       {.slot = CLATTN_Y, .mem = y[to]}, {.slot = CLATTN_LSE, .mem = lse[to]}};
    assert_status(CLATTN_OK, clattn_enqueue(plan, d->queue, bindings, 6, 0, NULL, NULL, &report), &report);
    device_read(d, y[to], sizeof same, onto ? same : apart);
    device_read(d, lse[to], sizeof same_lse, onto ? same_lse : apart_lse);
    if (onto) assert_memory_equal(same, apart, sizeof same);
    if (onto) assert_memory_equal(same_lse, apart_lse, sizeof same_lse);
    for (int i = 0; i < 3; i++) {
      assert_cl(clReleaseMemObject(y[i]));
      assert_cl(clReleaseMemObject(lse[i]));
    }
  }
  clattn_plan_destroy(plan);
}

/* A part whose lse is no number, or +inf, has met such a score: whatever the other is, the whole is no number. */
static void a_part_that_is_no_number(void **state)
{
  const device_under_test *d = *state;
  enum { R = 6 };
  float y1[R], y2[R], y[R], lse[R];
  float lse1[R] = {NAN, 0.5f, NAN, -INFINITY, INFINITY, -INFINITY},
        lse2[R] = {0.5f, NAN, -INFINITY, NAN, 0.5f, INFINITY};
  for (int i = 0; i < R; i++) {
    y1[i] = isfinite(lse1[i]) ? 1.0f : NAN;
    y2[i] = isfinite(lse2[i]) ? 1.0f : NAN;
  }
  clattn_merge_desc desc = CLATTN_MERGE_DESC_INIT;
  desc.y1 = desc.y2 = desc.y = clattn_bhsd(CLATTN_F32, 1, 1, R, 1);
  desc.lse1 = desc.lse2 = desc.lse = clattn_dense(CLATTN_F32, 3, (const int64_t[]){1, 1, R});
  clattn_report report;
  clattn_plan *plan = NULL;
  assert_status(CLATTN_OK, clattn_plan_merge(d->context, &desc, &plan, &report), &report);
  const clattn_host_binding b[] = {{.slot = CLATTN_Y1, .data = y1, .bytes = sizeof y1},
                                   {.slot = CLATTN_Y2, .data = y2, .bytes = sizeof y2},
                                   {.slot = CLATTN_LSE1, .data = lse1, .bytes = sizeof lse1},
                                   {.slot = CLATTN_LSE2, .data = lse2, .bytes = sizeof lse2},
                                   {.slot = CLATTN_Y, .data = y, .bytes = sizeof y},
                                   {.slot = CLATTN_LSE, .data = lse, .bytes = sizeof lse}};
  assert_status(CLATTN_OK, clattn_run_host(plan, b, 6, &report), &report);
  clattn_plan_destroy(plan);
  for (int i = 0; i < R; i++) {
    if (isfinite(y[i]) || isfinite(lse[i]) || lse[i] == -INFINITY)
      print_error("lse %g and %g: y %g, lse %g\n", (double)lse1[i], (double)lse2[i], (double)y[i], (double)lse[i]);
    assert_false(isfinite(y[i]) || isfinite(lse[i]) || lse[i] == -INFINITY);
  }
}

static clattn_merge_desc far_desc;

static clattn_status plan_far(clattn_context *context, clattn_plan **plan, clattn_report *report)
{
  return clattn_plan_merge(context, &far_desc, plan, report);
}

static void parts_far_apart(void **state)
{
  clattn_merge_desc *m = &far_desc;
  *m = (clattn_merge_desc)CLATTN_MERGE_DESC_INIT;
  m->y1 = m->y2 = m->y = clattn_bhsd(CLATTN_F16, 2, 2, 3, 3);
  m->lse1 = m->lse2 = m->lse = clattn_dense(CLATTN_F32, 3, (const int64_t[]){2, 2, 3});
  test_far(*state, &(far_problem){.n = 6,
                                  .tensor = {{CLATTN_Y1, &m->y1, false, false},
                                             {CLATTN_LSE1, &m->lse1, false, false},
                                             {CLATTN_Y2, &m->y2, false, false},
                                             {CLATTN_LSE2, &m->lse2, false, false},
                                             {CLATTN_Y, &m->y, true, false},
                                             {CLATTN_LSE, &m->lse, true, false}},
                                  .plan = plan_far});
}

#define REFUSED(edit, status, ...)                                                                                     \
  do {                                                                                                                 \
    clattn_merge_desc desc = CLATTN_MERGE_DESC_INIT;                                                                   \
    desc.y1 = desc.y2 = desc.y = clattn_bhsd(CLATTN_F32, 1, 2, 3, 4);                                                  \
    desc.lse1 = desc.lse2 = desc.lse = clattn_dense(CLATTN_F32, 3, (const int64_t[]){1, 2, 3});                        \
    clattn_report report;                                                                                              \
    clattn_plan *plan = (clattn_plan *)&report;                                                                        \
    edit;                                                                                                              \
    const device_under_test *d = *state;                                                                               \
    assert_status(status, clattn_plan_merge(d->context, &desc, &plan, &report), &report);                              \
    assert_says(&report, __VA_ARGS__);                                                                                 \
    assert_null(plan);                                                                                                 \
  } while (0)

static void refusals(void **state)
{
  REFUSED(desc.struct_size = 8, CLATTN_INVALID_STRUCT, "clattn_merge_desc", "struct_size is 8");
  REFUSED(desc.flags = 1, CLATTN_INVALID_VALUE, "flags is 0x1");
  REFUSED(desc.y1.rank = 0, CLATTN_INVALID_SHAPE, "y1 is absent");
  REFUSED(desc.lse2.rank = 0, CLATTN_INVALID_SHAPE, "lse2 is absent");
  REFUSED(desc.y2.dim[2] = 4, CLATTN_INVALID_SHAPE, "y2: dimension 2 is 4", "3 (SQ of y1)");
  REFUSED(desc.lse1.dim[1] = 3, CLATTN_INVALID_SHAPE, "lse1: dimension 1 is 3", "2 (HQ of y1)");
  REFUSED(desc.y.dim[3] = 3, CLATTN_INVALID_SHAPE, "y: dimension 3 is 3", "4 (DV of y1)");
  REFUSED(desc.lse1.dtype = CLATTN_F16, CLATTN_INVALID_DTYPE, "lse1: type is f16", "f32, f64");
  REFUSED(desc.y2.dtype = CLATTN_BOOL, CLATTN_INVALID_DTYPE, "y2: type is bool");
  REFUSED(desc.y.stride[1] = 0, CLATTN_OVERLAP, "y", "share");
  REFUSED(desc.variant = "tiled", CLATTN_UNKNOWN_VARIANT, "\"tiled\"", "merge");
  REFUSED((desc.y1.dim[2] = desc.y2.dim[2] = desc.y.dim[2] = desc.lse1.dim[2] = desc.lse2.dim[2] = desc.lse.dim[2] =
               1 << 30,
           desc.y.stride[1] = desc.lse.stride[1] = (int64_t)1 << 40),
          CLATTN_INVALID_SHAPE, "SQ of y1", "1073741824", "536870912");
}

int main(int argc, char **argv)
{
  if (argc > 1) cmocka_set_test_filter(argv[1]);
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_small),
                                     cmocka_unit_test(every_size),
                                     cmocka_unit_test(every_layout),
                                     cmocka_unit_test(every_type),
                                     cmocka_unit_test(splitting_the_keys_gives_the_whole),
                                     cmocka_unit_test(in_place),
                                     cmocka_unit_test(parts_far_apart),
                                     cmocka_unit_test(a_part_that_is_no_number),
                                     cmocka_unit_test(refusals)};
  return cmocka_run_group_tests(tests, device_setup, device_teardown);
}
