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
  REFUSED(desc.struct_size -= 8, CLATTN_INVALID_STRUCT, "struct_size", "must be at least",
          ": start from its _INIT macro");
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
  assert_says(&report, "clattn_attention_desc: struct_size is", "is set: this library knows");
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
  REFUSED(desc.q.dtype = 99, CLATTN_INVALID_DTYPE, "q: type is ? (99), must be one of f32, f16, bf16, f64");
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
  REFUSED(desc.q.rank = 0, CLATTN_INVALID_SHAPE, "q is absent (rank 0) but needed");
  REFUSED(desc.y.rank = 0, CLATTN_INVALID_SHAPE, "y is absent");
  REFUSED(desc.q.rank = 3, CLATTN_INVALID_SHAPE, "q: rank is 3, must be 4 to 4");
  REFUSED(desc.q.rank = 5, CLATTN_INVALID_SHAPE, "q: rank is 5, must be 4 to 4");
  REFUSED(desc.k.rank = -1, CLATTN_INVALID_SHAPE, "k", "rank is -1");
  REFUSED(desc.k.dim[0] = 2, CLATTN_INVALID_SHAPE, "k: dimension 0 is 2", "1 (B of q)");
  REFUSED(desc.k.dim[3] = 7, CLATTN_INVALID_SHAPE, "k: dimension 3 is 7", "8 (DK of q)");
  REFUSED(desc.v.dim[1] = 1, CLATTN_INVALID_SHAPE, "v: dimension 1 is 1", "2 (HK of k)");
  REFUSED(desc.v.dim[2] = 8, CLATTN_INVALID_SHAPE, "v: dimension 2 is 8", "9 (SK of k)");
  REFUSED(desc.y.dim[1] = 2, CLATTN_INVALID_SHAPE, "y: dimension 1 is 2", "4 (HQ of q)");
  REFUSED(desc.y = clattn_bhsd(CLATTN_F32, 1, SMALL_HQ, 7, SMALL_DV), CLATTN_INVALID_SHAPE, "y: dimension 2 is 7",
          "6 (SQ of q)");
  REFUSED(desc.y.dim[3] = 8, CLATTN_INVALID_SHAPE, "y: dimension 3 is 8", "12 (DV of v)");
  REFUSED(desc.q.dim[2] = -1, CLATTN_INVALID_SHAPE, "q: dimension 2 is -1, must be 0 to 2147483647");
  REFUSED(desc.q.stride[2] = -8, CLATTN_INVALID_SHAPE, "q: stride 2 is -8, must not be negative");
  REFUSED(desc.q.dim[1] = desc.y.dim[1] = 3, CLATTN_INVALID_SHAPE,
          "q has 3 heads and k has 2: the first must be a multiple of the second");
  REFUSED(desc.q.dim[1] = desc.y.dim[1] = 0, CLATTN_INVALID_SHAPE, "q has 0 heads");
  REFUSED(desc.q.dim[3] = desc.k.dim[3] = 513, CLATTN_INVALID_SHAPE, "DK of q is 513 channels, must be 1 to 512");
  REFUSED(desc.q.dim[3] = desc.k.dim[3] = 0, CLATTN_INVALID_SHAPE, "DK of q is 0 channels, must be 1 to 512");
  REFUSED((desc.v.dim[3] = 513, desc.y = clattn_bhsd(CLATTN_F32, 1, SMALL_HQ, SMALL_SQ, 513)), CLATTN_INVALID_SHAPE,
          "DV of v is 513 channels, must be 1 to 512");
  REFUSED(desc.q.dim[2] = 1 << 30, CLATTN_INVALID_SHAPE, "SQ of q is 1073741824 tokens, the limit is 536870912");
  REFUSED(desc.q.stride[2] = INT64_MAX / 2, CLATTN_INVALID_SHAPE, "q: its view spans more than 2^63 bytes");
  REFUSED(desc.lse = clattn_dense(CLATTN_F32, 3, ((int64_t[]){1, SMALL_HQ, 5})), CLATTN_INVALID_SHAPE,
          "lse: dimension 2 is 5", "6 (SQ of q)");
  REFUSED(desc.qk = clattn_bhsd(CLATTN_F32, 1, SMALL_HQ, SMALL_SQ, 8), CLATTN_INVALID_SHAPE, "qk: dimension 3 is 8",
          "9 (SK of k");
  REFUSED(desc.past_key = clattn_bhsd(CLATTN_F32, 1, 2, 3, SMALL_DK), CLATTN_INVALID_SHAPE,
          "past_value is absent but past_key is there");
  REFUSED(desc.past_value = clattn_bhsd(CLATTN_F32, 1, 2, 3, SMALL_DV), CLATTN_INVALID_SHAPE,
          "past_key is absent but past_value is there");
  REFUSED((desc.k.dim[2] = desc.v.dim[2] = 1 << 29, desc.past_key = clattn_bhsd(CLATTN_F32, 1, 2, 1, SMALL_DK),
           desc.past_value = clattn_bhsd(CLATTN_F32, 1, 2, 1, SMALL_DV)),
          CLATTN_INVALID_SHAPE, "SK of k, past included, is 536870913 tokens, the limit is 536870912");
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
          CLATTN_OVERLAP, "present_key: its strides may make elements share memory");
}

static void masks(void **state)
{
  REFUSED(desc.mask = clattn_dense(CLATTN_BOOL, 1, ONE_DIM(10)), CLATTN_INVALID_SHAPE,
          "mask: dimension 0 is 10, must be at most 9 (SK)");
  REFUSED(desc.mask = clattn_dense(CLATTN_BOOL, 2, ((int64_t[]){5, 9})), CLATTN_INVALID_SHAPE,
          "mask: dimension 0 is 5, must be 1 or 6 (SQ)");
  REFUSED(desc.mask = clattn_dense(CLATTN_F32, 3, ((int64_t[]){2, 6, 9})), CLATTN_INVALID_SHAPE, "mask",
          "dimension 0 is 2", "1 or 4 (HQ)");
  REFUSED(desc.mask = clattn_bhsd(CLATTN_BOOL, 2, 1, 1, 9), CLATTN_INVALID_SHAPE, "mask", "dimension 0 is 2",
          "1 or 1 (B)");
}

static void values(void **state)
{
  REFUSED(desc.scale = INFINITY, CLATTN_INVALID_VALUE, "scale is inf, must be finite in float32");
  REFUSED(desc.scale = 1e300, CLATTN_INVALID_VALUE, "scale is 1e+300, must be finite in float32");
  REFUSED(desc.softcap = -1.0, CLATTN_INVALID_VALUE,
          "softcap is -1, must be 0 (off) or positive and finite in float32");
  REFUSED(desc.softcap = NAN, CLATTN_INVALID_VALUE, "softcap is nan");
  REFUSED(desc.softcap = 1e-300, CLATTN_INVALID_VALUE, "softcap is 1e-300, which is 0 in float32");
  REFUSED(desc.window_left = -2, CLATTN_INVALID_VALUE, "window_left is -2, must be -1 (unbounded) or more");
  REFUSED(desc.window_right = INT64_MIN, CLATTN_INVALID_VALUE, "window_right is -9223372036854775808");
  REFUSED(desc.flags = 0x80, CLATTN_INVALID_VALUE, "flags is 0x80, known are 0x3");
  REFUSED(desc.query_offset = 3, CLATTN_INVALID_VALUE, "query_offset is 3 without the flag CLATTN_QUERY_OFFSET");
  REFUSED((desc.query_offset = INT64_MIN, desc.flags = CLATTN_QUERY_OFFSET), CLATTN_INVALID_VALUE,
          "query_offset is -9223372036854775808, must be within 536870912 of 0");
  REFUSED((desc.query_offset = 1, desc.flags = CLATTN_QUERY_OFFSET,
           desc.nonpad_kv_seqlen = clattn_dense(CLATTN_I64, 1, ONE_DIM(1))),
          CLATTN_INVALID_VALUE, "query_offset is set, but nonpad_kv_seqlen gives the offset");
  REFUSED((desc.qk = clattn_bhsd(CLATTN_F32, 1, SMALL_HQ, SMALL_SQ, SMALL_SK), desc.qk_mode = 4), CLATTN_INVALID_VALUE,
          "qk_mode is 4, must be 0 to 3");
  REFUSED(desc.softmax_precision = 2, CLATTN_INVALID_VALUE, "softmax_precision is 2, must be 0, 1, 10, 11 or 16");
  REFUSED(desc.path = 3, CLATTN_INVALID_VALUE, "path is 3, must be 0 (auto), 1 (staged) or 2 (fused)");
  REFUSED(desc.reserved = 1, CLATTN_INVALID_VALUE, "reserved is 1, must be 0");
  REFUSED((desc.past_key = clattn_bhsd(CLATTN_F32, 1, 2, 3, SMALL_DK),
           desc.past_value = clattn_bhsd(CLATTN_F32, 1, 2, 3, SMALL_DV),
           desc.nonpad_kv_seqlen = clattn_dense(CLATTN_I64, 1, ONE_DIM(1))),
          CLATTN_INVALID_VALUE, "nonpad_kv_seqlen and past_key are both there: only one may be");
}

static void outputs_that_share_elements(void **state)
{
  REFUSED(desc.y.stride[1] = 0, CLATTN_OVERLAP, "y: its strides may make elements share memory");
  REFUSED(desc.y.stride[2] = SMALL_DV - 1, CLATTN_OVERLAP, "y: its strides may make elements share memory");
}

static void what_no_variant_does(void **state)
{
  const clattn_tensor qk = clattn_bhsd(CLATTN_F32, 1, SMALL_HQ, SMALL_SQ, SMALL_SK);
  REFUSED((desc.qk = qk, desc.path = CLATTN_PATH_FUSED), CLATTN_UNSUPPORTED, "no variant takes this attention on ",
          "qk is asked for, and the fused path has no scores to show");
  REFUSED((desc.qk = qk, desc.qk.dtype = CLATTN_F64, desc.variant = "tiled", desc.path = CLATTN_PATH_STAGED),
          CLATTN_UNSUPPORTED, "qk is f64", "tiled computes in float32");
}

static void variants(void **state)
{
  REFUSED(desc.variant = "nonsense", CLATTN_UNKNOWN_VARIANT,
          "variant \"nonsense\" is none of those for this attention (listed in the detail)");
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
  assert_says(&report, "p: type is f16 (2), must be one of f32, f64");
  clattn_values_desc values = CLATTN_VALUES_DESC_INIT;
  values.p = clattn_bhsd(CLATTN_F32, 1, 4, 3, 5);
  values.v = clattn_bhsd(CLATTN_F32, 1, 3, 5, 8);
  values.y = clattn_bhsd(CLATTN_F32, 1, 4, 3, 8);
  assert_status(CLATTN_INVALID_SHAPE, clattn_plan_values(d->context, &values, &plan, &report), &report);
  assert_says(&report, "p has 4 heads and v has 3: the first must be a multiple of the second");
  clattn_attention_desc scores = small.desc;
  assert_status(CLATTN_INVALID_SHAPE, clattn_plan_scores(d->context, &scores, &plan, &report), &report);
  assert_says(&report, "qk is absent (rank 0) but it is what the score stage writes");
  scores.qk = clattn_bhsd(CLATTN_F32, 1, SMALL_HQ, SMALL_SQ, SMALL_SK);
  scores.lse = clattn_dense(CLATTN_F32, 3, (int64_t[]){1, SMALL_HQ, SMALL_SQ});
  assert_status(CLATTN_INVALID_VALUE, clattn_plan_scores(d->context, &scores, &plan, &report), &report);
  assert_says(&report, "lse is asked of the score stage with qk_mode 0, must be 3 (probabilities)");
}

/* Merging refuses what cannot be merged; each part is told by its name. */
static void merges(void **state)
{
  const device_under_test *d = *state;
  clattn_merge_desc good = CLATTN_MERGE_DESC_INIT;
  good.y1 = good.y2 = good.y = clattn_bhsd(CLATTN_F32, 1, 2, 3, 4);
  good.lse1 = good.lse2 = good.lse = clattn_dense(CLATTN_F32, 3, (int64_t[]){1, 2, 3});
  clattn_report report;
  clattn_plan *plan = NULL;
  assert_status(CLATTN_OK, clattn_plan_merge(d->context, &good, &plan, &report), &report);
  clattn_plan_destroy(plan);
#define MERGE_REFUSED(edit, status, ...)                                                                               \
  do {                                                                                                                 \
    clattn_merge_desc desc = good;                                                                                     \
    edit;                                                                                                              \
    assert_status(status, clattn_plan_merge(d->context, &desc, &plan, &report), &report);                              \
    assert_says(&report, __VA_ARGS__);                                                                                 \
    assert_null(plan);                                                                                                 \
  } while (0)
  MERGE_REFUSED(desc.flags = 1, CLATTN_INVALID_VALUE, "flags is 0x1, known are 0x0");
  MERGE_REFUSED(desc.struct_size = 8, CLATTN_INVALID_STRUCT, "clattn_merge_desc: struct_size is 8, must be at least");
  MERGE_REFUSED((desc.y1 = desc.y2 = desc.y = clattn_bhsd(CLATTN_F32, 1, 2, (1 << 29) + 1, 4),
                 desc.lse1 = desc.lse2 = desc.lse = clattn_dense(CLATTN_F32, 3, (int64_t[]){1, 2, (1 << 29) + 1})),
                CLATTN_INVALID_SHAPE, "SQ of y1 is 536870913 tokens, the limit is 536870912");
  MERGE_REFUSED(desc.lse2.rank = 0, CLATTN_INVALID_SHAPE, "lse2 is absent (rank 0) but needed");
  MERGE_REFUSED(desc.lse1.dtype = CLATTN_F16, CLATTN_INVALID_DTYPE, "lse1: type is f16 (2), must be one of f32, f64");
  MERGE_REFUSED(desc.y2 = clattn_bhsd(CLATTN_F32, 1, 2, 3, 5), CLATTN_INVALID_SHAPE,
                "y2: dimension 3 is 5, must be 4 (DV of y1)");
  MERGE_REFUSED(desc.lse2 = clattn_dense(CLATTN_F32, 3, ((int64_t[]){1, 2, 4})), CLATTN_INVALID_SHAPE,
                "lse2: dimension 2 is 4, must be 3 (SQ of y1)");
}

/* A number of float64 that float32 cannot hold is refused only where the computation is in float32. */
static void attributes_of_float64(void **state)
{
  REFUSED((desc.y.dtype = CLATTN_F64, desc.scale = INFINITY), CLATTN_INVALID_VALUE,
          "scale is inf, must be finite in float64");
  REFUSED((desc.y.dtype = CLATTN_F64, desc.softcap = INFINITY), CLATTN_INVALID_VALUE,
          "softcap is inf, must be 0 (off) or positive and finite in float64");
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
      cmocka_unit_test(merges),
      cmocka_unit_test(attributes_of_float64),
  };
  return cmocka_run_group_tests(tests, setup, device_teardown);
}
