/* Every refusal of a descriptor: its status, and a message that names the thing, the value and the limit. */
#include <math.h>
#include <string.h>

#include "small.h"

static small_problem small;

/* Plans a copy of the small problem with one thing wrong. */
#define REFUSED(edit, status, ...)                                                                                     \
  do {                                                                                                                 \
    clattn_attention_desc desc = small.desc;                                                                           \
    clattn_report report;                                                                                              \
    clattn_plan *plan = (clattn_plan *)&report; /* must come back as NULL */                                           \
    edit;                                                                                                              \
    const device_under_test *d = *state;                                                                               \
    assert_status(status, clattn_plan_attention(d->context, &desc, &plan, &report), &report);                          \
    assert_says(&report, __VA_ARGS__);                                                                                 \
    assert_null(plan);                                                                                                 \
    assert_status(status, clattn_plan_attention(d->context, &desc, &plan, NULL), NULL);                                \
  } while (0)

#define ONE_DIM(n) ((int64_t[]){n})

static void struct_sizes(void **state)
{
  REFUSED(desc.struct_size = 0, CLATTN_INVALID_STRUCT, "clattn_attention_desc", "struct_size is 0");
  REFUSED(desc.struct_size -= 8, CLATTN_INVALID_STRUCT, "struct_size", "at least");
  const device_under_test *d = *state;
  struct {
    clattn_attention_desc desc;
    char tail[16];
  } larger = {.desc = small.desc};
  clattn_report report;
  clattn_plan *plan = NULL;
  larger.desc.struct_size = sizeof larger;
  assert_status(CLATTN_OK, clattn_plan_attention(d->context, &larger.desc, &plan, &report), &report);
  clattn_plan_destroy(plan);
  larger.tail[9] = 1;
  assert_status(CLATTN_INVALID_STRUCT, clattn_plan_attention(d->context, &larger.desc, &plan, &report), &report);
  assert_says(&report, "clattn_attention_desc", "struct_size");
  assert_null(plan);
}

static void null_arguments(void **state)
{
  const device_under_test *d = *state;
  clattn_report report;
  clattn_plan *plan = NULL;
  assert_status(CLATTN_INVALID_ARGUMENT, clattn_plan_attention(NULL, &small.desc, &plan, &report), &report);
  assert_says(&report, "context is NULL");
  assert_status(CLATTN_INVALID_ARGUMENT, clattn_plan_attention(d->context, &small.desc, NULL, &report), &report);
  assert_says(&report, "plan is NULL");
  assert_status(CLATTN_INVALID_ARGUMENT, clattn_plan_attention(d->context, NULL, &plan, &report), &report);
  assert_says(&report, "clattn_attention_desc is NULL");
  assert_status(CLATTN_INVALID_ARGUMENT, clattn_plan_scores(d->context, NULL, &plan, &report), &report);
  assert_status(CLATTN_INVALID_ARGUMENT, clattn_plan_softmax(d->context, NULL, &plan, &report), &report);
  assert_status(CLATTN_INVALID_ARGUMENT, clattn_plan_values(d->context, NULL, &plan, &report), &report);
  assert_status(CLATTN_INVALID_ARGUMENT, clattn_plan_projection(d->context, NULL, &plan, &report), &report);
  assert_says(&report, "clattn_projection_desc is NULL");
  clattn_plan_destroy(NULL);
  clattn_context_destroy(NULL);
  clattn_weights_destroy(NULL);
}

static void types(void **state)
{
  REFUSED(desc.q.dtype = 99, CLATTN_INVALID_DTYPE, "q", "99", "f32");
  REFUSED(desc.q.dtype = 0, CLATTN_INVALID_DTYPE, "q", "0");
  REFUSED(desc.q.dtype = -1, CLATTN_INVALID_DTYPE, "q", "-1");
  REFUSED(desc.k.dtype = CLATTN_BOOL, CLATTN_INVALID_DTYPE, "k", "bool");
  REFUSED(desc.v.dtype = CLATTN_I64, CLATTN_INVALID_DTYPE, "v", "i64");
  REFUSED(desc.y.dtype = CLATTN_BOOL, CLATTN_INVALID_DTYPE, "y", "bool");
  REFUSED(desc.mask = clattn_dense(CLATTN_I64, 1, ONE_DIM(SMALL_SK)), CLATTN_INVALID_DTYPE, "mask", "i64", "bool");
  REFUSED(desc.lse = clattn_bhsd(CLATTN_F16, 1, SMALL_HQ, SMALL_SQ, 1), CLATTN_INVALID_SHAPE, "lse", "rank");
  REFUSED(desc.nonpad_kv_seqlen = clattn_dense(CLATTN_F32, 1, ONE_DIM(1)), CLATTN_INVALID_DTYPE, "nonpad_kv_seqlen");
}

static void shapes(void **state)
{
  REFUSED(desc.q.rank = 0, CLATTN_INVALID_SHAPE, "q is absent");
  REFUSED(desc.y.rank = 0, CLATTN_INVALID_SHAPE, "y is absent");
  REFUSED(desc.q.rank = 3, CLATTN_INVALID_SHAPE, "q", "rank is 3");
  REFUSED(desc.q.rank = 5, CLATTN_INVALID_SHAPE, "q", "rank is 5");
  REFUSED(desc.k.rank = -1, CLATTN_INVALID_SHAPE, "k", "rank is -1");
  REFUSED(desc.k.dim[0] = 2, CLATTN_INVALID_SHAPE, "k: dimension 0 is 2", "1 (B of q)");
  REFUSED(desc.k.dim[3] = 7, CLATTN_INVALID_SHAPE, "k: dimension 3 is 7", "8 (DK of q)");
  REFUSED(desc.v.dim[1] = 1, CLATTN_INVALID_SHAPE, "v: dimension 1 is 1", "2 (HK of k)");
  REFUSED(desc.v.dim[2] = 8, CLATTN_INVALID_SHAPE, "v: dimension 2 is 8", "9 (SK of k)");
  REFUSED(desc.y.dim[1] = 2, CLATTN_INVALID_SHAPE, "y: dimension 1 is 2", "4 (HQ of q)");
  REFUSED(desc.y = clattn_bhsd(CLATTN_F32, 1, SMALL_HQ, 7, SMALL_DV), CLATTN_INVALID_SHAPE, "y: dimension 2 is 7",
          "6 (SQ of q)");
  REFUSED(desc.y.dim[3] = 8, CLATTN_INVALID_SHAPE, "y: dimension 3 is 8", "12 (DV of v)");
  REFUSED(desc.q.dim[2] = -1, CLATTN_INVALID_SHAPE, "q: dimension 2 is -1");
  REFUSED(desc.q.stride[2] = -8, CLATTN_INVALID_SHAPE, "q: stride 2 is -8");
  REFUSED(desc.q.dim[1] = desc.y.dim[1] = 3, CLATTN_INVALID_SHAPE, "q has 3 heads", "k has 2");
  REFUSED(desc.q.dim[1] = desc.y.dim[1] = 0, CLATTN_INVALID_SHAPE, "q has 0 heads");
  REFUSED(desc.q.dim[3] = desc.k.dim[3] = 513, CLATTN_INVALID_SHAPE, "DK", "513", "512");
  REFUSED(desc.q.dim[3] = desc.k.dim[3] = 0, CLATTN_INVALID_SHAPE, "DK", "0", "1 to 512");
  REFUSED((desc.v.dim[3] = 513, desc.y = clattn_bhsd(CLATTN_F32, 1, SMALL_HQ, SMALL_SQ, 513)), CLATTN_INVALID_SHAPE,
          "DV", "513", "512");
  REFUSED(desc.q.dim[2] = 1 << 30, CLATTN_INVALID_SHAPE, "SQ", "1073741824", "536870912");
  REFUSED(desc.q.stride[2] = INT64_MAX / 2, CLATTN_INVALID_SHAPE, "q", "2^63");
  REFUSED(desc.lse = clattn_dense(CLATTN_F32, 3, ((int64_t[]){1, SMALL_HQ, 5})), CLATTN_INVALID_SHAPE,
          "lse: dimension 2 is 5", "6 (SQ of q)");
  REFUSED(desc.qk = clattn_bhsd(CLATTN_F32, 1, SMALL_HQ, SMALL_SQ, 8), CLATTN_INVALID_SHAPE, "qk: dimension 3 is 8",
          "9 (SK of k");
  REFUSED(desc.past_key = clattn_bhsd(CLATTN_F32, 1, 2, 3, SMALL_DK), CLATTN_INVALID_SHAPE, "past_value is absent");
}

static void pasts(void **state)
{
  REFUSED((desc.past_key = clattn_bhsd(CLATTN_F16, 1, 2, 3, SMALL_DK),
           desc.past_value = clattn_bhsd(CLATTN_F32, 1, 2, 3, SMALL_DV)),
          CLATTN_INVALID_DTYPE, "past_key: type is f16", "f32 as k");
  REFUSED((desc.past_key = clattn_bhsd(CLATTN_F32, 1, 2, 3, SMALL_DK),
           desc.past_value = clattn_bhsd(CLATTN_BF16, 1, 2, 3, SMALL_DV)),
          CLATTN_INVALID_DTYPE, "past_value: type is bf16", "f32 as v");
  REFUSED(desc.present_key = clattn_bhsd(CLATTN_F32, 1, 2, SMALL_SK + 1, SMALL_DK), CLATTN_INVALID_SHAPE,
          "present_key: dimension 2 is 10", "9 (SK of k, past included)");
  REFUSED(desc.present_value = clattn_bhsd(CLATTN_F32, 1, 4, SMALL_SK, SMALL_DV), CLATTN_INVALID_SHAPE,
          "present_value: dimension 1 is 4", "2 (HK of k)");
  REFUSED(desc.present_value = clattn_bhsd(CLATTN_F32, 1, 2, SMALL_SK, SMALL_DK), CLATTN_INVALID_SHAPE,
          "present_value: dimension 3 is 8", "12 (DV of v)");
  REFUSED(desc.present_key = clattn_bhsd(CLATTN_F16, 1, 2, SMALL_SK, SMALL_DK), CLATTN_INVALID_DTYPE,
          "present_key: type is f16", "f32 as k");
  REFUSED((desc.present_key = clattn_bhsd(CLATTN_F32, 1, 2, SMALL_SK, SMALL_DK), desc.present_key.stride[1] = 0),
          CLATTN_OVERLAP, "present_key", "share");
}

static void masks(void **state)
{
  REFUSED(desc.mask = clattn_dense(CLATTN_BOOL, 1, ONE_DIM(10)), CLATTN_INVALID_SHAPE, "mask", "10", "at most 9");
  REFUSED(desc.mask = clattn_dense(CLATTN_BOOL, 2, ((int64_t[]){5, 9})), CLATTN_INVALID_SHAPE, "mask",
          "dimension 0 is 5", "1 or 6 (SQ)");
  REFUSED(desc.mask = clattn_dense(CLATTN_F32, 3, ((int64_t[]){2, 6, 9})), CLATTN_INVALID_SHAPE, "mask",
          "dimension 0 is 2", "1 or 4 (HQ)");
  REFUSED(desc.mask = clattn_bhsd(CLATTN_BOOL, 2, 1, 1, 9), CLATTN_INVALID_SHAPE, "mask", "dimension 0 is 2",
          "1 or 1 (B)");
}

static void values(void **state)
{
  REFUSED(desc.scale = INFINITY, CLATTN_INVALID_VALUE, "scale is inf", "finite");
  REFUSED(desc.scale = 1e300, CLATTN_INVALID_VALUE, "scale is 1e+300", "finite");
  REFUSED(desc.softcap = -1.0, CLATTN_INVALID_VALUE, "softcap is -1");
  REFUSED(desc.softcap = NAN, CLATTN_INVALID_VALUE, "softcap is nan");
  REFUSED(desc.softcap = 1e-300, CLATTN_INVALID_VALUE, "softcap is 1e-300");
  REFUSED(desc.window_left = -2, CLATTN_INVALID_VALUE, "window_left is -2", "-1");
  REFUSED(desc.window_right = INT64_MIN, CLATTN_INVALID_VALUE, "window_right is -9223372036854775808");
  REFUSED(desc.flags = 0x80, CLATTN_INVALID_VALUE, "flags is 0x80", "0x3");
  REFUSED(desc.query_offset = 3, CLATTN_INVALID_VALUE, "query_offset is 3", "CLATTN_QUERY_OFFSET");
  REFUSED((desc.query_offset = INT64_MIN, desc.flags = CLATTN_QUERY_OFFSET), CLATTN_INVALID_VALUE, "query_offset",
          "536870912");
  REFUSED((desc.qk = clattn_bhsd(CLATTN_F32, 1, SMALL_HQ, SMALL_SQ, SMALL_SK), desc.qk_mode = 4), CLATTN_INVALID_VALUE,
          "qk_mode is 4", "0 to 3");
  REFUSED(desc.softmax_precision = 2, CLATTN_INVALID_VALUE, "softmax_precision is 2", "11");
  REFUSED(desc.path = 3, CLATTN_INVALID_VALUE, "path is 3", "fused");
  REFUSED(desc.reserved = 1, CLATTN_INVALID_VALUE, "reserved is 1");
  REFUSED((desc.past_key = clattn_bhsd(CLATTN_F32, 1, 2, 3, SMALL_DK),
           desc.past_value = clattn_bhsd(CLATTN_F32, 1, 2, 3, SMALL_DV),
           desc.nonpad_kv_seqlen = clattn_dense(CLATTN_I64, 1, ONE_DIM(1))),
          CLATTN_INVALID_VALUE, "nonpad_kv_seqlen", "past_key");
}

static void outputs_that_share_elements(void **state)
{
  REFUSED(desc.y.stride[1] = 0, CLATTN_OVERLAP, "y", "share");
  REFUSED(desc.y.stride[2] = SMALL_DV - 1, CLATTN_OVERLAP, "y", "share");
}

static void what_no_variant_does(void **state)
{
  const clattn_tensor qk = clattn_bhsd(CLATTN_F32, 1, SMALL_HQ, SMALL_SQ, SMALL_SK);
  REFUSED((desc.qk = qk, desc.path = CLATTN_PATH_FUSED), CLATTN_UNSUPPORTED, "qk is asked for", "fused");
  REFUSED((desc.qk = qk, desc.qk.dtype = CLATTN_F64, desc.variant = "tiled", desc.path = CLATTN_PATH_STAGED),
          CLATTN_UNSUPPORTED, "qk is f64", "tiled computes in float32");
}

static void variants(void **state)
{
  REFUSED(desc.variant = "nonsense", CLATTN_UNKNOWN_VARIANT, "\"nonsense\"");
  const device_under_test *d = *state;
  clattn_attention_desc desc = small.desc;
  clattn_report report;
  clattn_plan *plan = NULL;
  desc.variant = "nonsense";
  clattn_plan_attention(d->context, &desc, &plan, &report);
  assert_holds(report.detail, "reference_attention_f32_d8v12"); /* what there is */
  desc.variant = "clblast";                                     /* a family of the projection only */
  assert_status(CLATTN_UNKNOWN_VARIANT, clattn_plan_attention(d->context, &desc, &plan, &report), &report);
}

static void other_operations(void **state)
{
  const device_under_test *d = *state;
  clattn_report report;
  clattn_plan *plan = NULL;
  clattn_softmax_desc softmax = CLATTN_SOFTMAX_DESC_INIT;
  softmax.a = clattn_bhsd(CLATTN_F32, 1, 2, 3, 4);
  softmax.p = clattn_bhsd(CLATTN_F32, 1, 2, 3, 5);
  assert_status(CLATTN_INVALID_SHAPE, clattn_plan_softmax(d->context, &softmax, &plan, &report), &report);
  assert_says(&report, "p: dimension 3 is 5", "4 (SK of a)");
  softmax.p.dtype = CLATTN_F16;
  assert_status(CLATTN_INVALID_DTYPE, clattn_plan_softmax(d->context, &softmax, &plan, &report), &report);
  assert_says(&report, "p: type is f16");
  clattn_values_desc values = CLATTN_VALUES_DESC_INIT;
  values.p = clattn_bhsd(CLATTN_F32, 1, 4, 3, 5);
  values.v = clattn_bhsd(CLATTN_F32, 1, 3, 5, 8);
  values.y = clattn_bhsd(CLATTN_F32, 1, 4, 3, 8);
  assert_status(CLATTN_INVALID_SHAPE, clattn_plan_values(d->context, &values, &plan, &report), &report);
  assert_says(&report, "p has 4 heads", "v has 3");
  clattn_attention_desc scores = small.desc;
  assert_status(CLATTN_INVALID_SHAPE, clattn_plan_scores(d->context, &scores, &plan, &report), &report);
  assert_says(&report, "qk is absent");
  scores.qk = clattn_bhsd(CLATTN_F32, 1, SMALL_HQ, SMALL_SQ, SMALL_SK);
  scores.lse = clattn_dense(CLATTN_F32, 3, (int64_t[]){1, SMALL_HQ, SMALL_SQ});
  assert_status(CLATTN_INVALID_VALUE, clattn_plan_scores(d->context, &scores, &plan, &report), &report);
  assert_says(&report, "lse", "qk_mode 0");
}

static int setup(void **state)
{
  small_make(&small, 1);
  return device_setup(state);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(struct_sizes),
      cmocka_unit_test(null_arguments),
      cmocka_unit_test(types),
      cmocka_unit_test(shapes),
      cmocka_unit_test(pasts),
      cmocka_unit_test(masks),
      cmocka_unit_test(values),
      cmocka_unit_test(variants),
      cmocka_unit_test(what_no_variant_does),
      cmocka_unit_test(other_operations),
      cmocka_unit_test(outputs_that_share_elements),
  };
  return cmocka_run_group_tests(tests, setup, device_teardown);
}
