/* Every refusal of a projection's and of a weights' descriptor. */
#include <string.h>

#include "asserts.h"
#include "device_under_test.h"

enum { B = 2, S = 5, E = 6, H = 2, D = 8, N = H * D, ROWS = 9 };

static clattn_tensor dense(int32_t rank, int64_t d0, int64_t d1, int64_t d2)
{
  return clattn_dense(CLATTN_F32, rank, (int64_t[]){d0, d1, d2});
}

static clattn_projection_desc good(void)
{
  clattn_projection_desc desc = CLATTN_PROJECTION_DESC_INIT;
  desc.x = dense(3, B, S, E);
  desc.w = dense(2, N, E, 0);
  desc.bias = dense(1, N, 0, 0);
  desc.y = clattn_bhsd(CLATTN_F32, B, H, S, D);
  desc.cos_cache = desc.sin_cache = dense(2, ROWS, D / 2, 0);
  return desc;
}

#define REFUSED(edit, status, ...)                                                                                     \
  do {                                                                                                                 \
    clattn_projection_desc desc = good();                                                                              \
    clattn_report report;                                                                                              \
    clattn_plan *plan = (clattn_plan *)&report;                                                                        \
    edit;                                                                                                              \
    const device_under_test *d = *state;                                                                               \
    assert_status(status, clattn_plan_projection(d->context, &desc, &plan, &report), &report);                         \
    assert_says(&report, __VA_ARGS__);                                                                                 \
    assert_null(plan);                                                                                                 \
  } while (0)

static void the_good_one_is_taken(void **state)
{
  const device_under_test *d = *state;
  const clattn_projection_desc desc = good();
  clattn_report report;
  clattn_plan *plan = NULL;
  assert_status(CLATTN_OK, clattn_plan_projection(d->context, &desc, &plan, &report), &report);
  clattn_plan_destroy(plan);
}

static void shapes(void **state)
{
  REFUSED(desc.struct_size = 12, CLATTN_INVALID_STRUCT, "clattn_projection_desc", "struct_size is 12");
  REFUSED(desc.x.rank = 0, CLATTN_INVALID_SHAPE, "x is absent");
  REFUSED(desc.w.rank = 0, CLATTN_INVALID_SHAPE, "w is absent");
  REFUSED(desc.x.rank = 2, CLATTN_INVALID_SHAPE, "x", "rank is 2");
  REFUSED(desc.w.dim[1] = 7, CLATTN_INVALID_SHAPE, "w: dimension 1 is 7", "6 (E of x)");
  REFUSED(desc.bias.dim[0] = 8, CLATTN_INVALID_SHAPE, "bias: dimension 0 is 8", "16 (rows of w)");
  REFUSED(desc.y.dim[0] = 1, CLATTN_INVALID_SHAPE, "y: dimension 0 is 1", "2 (B of x)");
  REFUSED(desc.y.dim[2] = 4, CLATTN_INVALID_SHAPE, "y has 4 tokens, must have 5 (S of x)");
  REFUSED(desc.y = clattn_bhsd(CLATTN_F32, B, 3, S, D), CLATTN_INVALID_SHAPE,
          "y has 3 heads of 8 channels, w has 16 rows: must be their product");
  REFUSED(desc.w.dtype = CLATTN_I64, CLATTN_INVALID_DTYPE, "w", "i64", "bf16");
  REFUSED(desc.bias.dtype = CLATTN_BOOL, CLATTN_INVALID_DTYPE, "bias", "bool");
  REFUSED(desc.flags = 2, CLATTN_INVALID_VALUE, "flags is 0x2, known are 0x1");
  REFUSED(desc.y.stride[2] = 0, CLATTN_OVERLAP, "y: its strides may make elements share memory");
  REFUSED((desc.x = dense(3, 1, (1 << 29) + 1, 0), desc.w = dense(2, N, 0, 0)), CLATTN_INVALID_SHAPE,
          "S of x is 536870913 tokens, the limit is 536870912");
  REFUSED(desc.variant = "none such", CLATTN_UNKNOWN_VARIANT, "none such");
}

static void rotary(void **state)
{
  const clattn_tensor ids = clattn_dense(CLATTN_I64, 2, (int64_t[]){B, S});
  REFUSED(desc.sin_cache.rank = 0, CLATTN_INVALID_SHAPE, "sin_cache is absent but cos_cache is there");
  REFUSED(desc.cos_cache.rank = 0, CLATTN_INVALID_SHAPE, "cos_cache is absent but sin_cache is there");
  REFUSED(desc.sin_cache.dim[0] = 8, CLATTN_INVALID_SHAPE, "sin_cache: dimension 0 is 8", "9");
  REFUSED(desc.cos_cache.dim[1] = desc.sin_cache.dim[1] = 3, CLATTN_INVALID_SHAPE, "cos_cache", "is 3", "4");
  REFUSED(desc.rotary_dim = 3, CLATTN_INVALID_VALUE, "rotary_dim is 3, must be even, 2 to 8 (D of y)");
  REFUSED(desc.rotary_dim = 10, CLATTN_INVALID_VALUE, "rotary_dim is 10", "8");
  REFUSED(desc.rotary_dim = -2, CLATTN_INVALID_VALUE, "rotary_dim is -2");
  REFUSED(desc.position_offset = 5, CLATTN_INVALID_SHAPE, "cos_cache: 9 rows, needs 5 tokens from position_offset 5");
  REFUSED(desc.position_offset = -1, CLATTN_INVALID_SHAPE, "position_offset -1");
  REFUSED((desc.position_ids = ids, desc.position_offset = 1), CLATTN_INVALID_VALUE,
          "position_offset is 1, must be 0 with position_ids");
  REFUSED((desc.position_ids = ids, desc.cos_cache = desc.sin_cache = dense(2, 0, D / 2, 0)), CLATTN_INVALID_SHAPE,
          "cos_cache: it has no row");
  REFUSED((desc.cos_cache = desc.sin_cache = dense(3, B, S, D / 2), desc.position_offset = 2), CLATTN_INVALID_VALUE,
          "position_offset is 2, must be 0 with a cache of rank 3");
  REFUSED(desc.sin_cache.dtype = CLATTN_F16, CLATTN_INVALID_SHAPE,
          "sin_cache: rank 2 and type f16, must be as cos_cache: rank 2 and type f32");
  REFUSED(desc.sin_cache = dense(3, B, S, D / 2), CLATTN_INVALID_SHAPE,
          "sin_cache: rank 3 and type f32, must be as cos_cache: rank 2 and type f32");
  REFUSED((desc.position_ids = ids, desc.position_ids.dim[1] = 4), CLATTN_INVALID_SHAPE, "position_ids: dimension 1");
  REFUSED((desc.position_ids = ids, desc.position_ids.dtype = CLATTN_F32), CLATTN_INVALID_DTYPE, "position_ids", "i64");
  REFUSED((desc.position_ids = ids, desc.cos_cache = desc.sin_cache = dense(3, B, S, D / 2)), CLATTN_INVALID_SHAPE,
          "cos_cache: rank is 3, must be 2 together with position_ids");
  REFUSED(desc.cos_cache = desc.sin_cache = dense(3, B, S + 1, D / 2), CLATTN_INVALID_SHAPE, "cos_cache: dimension 1");
  REFUSED((desc.cos_cache.rank = desc.sin_cache.rank = 0, desc.rotary_dim = 4), CLATTN_INVALID_VALUE,
          "a rotary attribute is set, but cos_cache and sin_cache are absent");
  REFUSED(desc.y = dense(3, B, S, N), CLATTN_INVALID_SHAPE, "y: rank is 3, must be 4 for the rotary embedding");
}

static void weights(void **state)
{
  const device_under_test *d = *state;
  static const float host[N * E];
  clattn_report report;
  clattn_weights *packed = (clattn_weights *)&report;
  clattn_weights_desc desc = CLATTN_WEIGHTS_DESC_INIT;
  desc.w = dense(2, N, E, 0);
  assert_status(CLATTN_INVALID_ARGUMENT, clattn_weights_create(d->context, &desc, NULL, &packed, &report), &report);
  assert_says(&report, "host is NULL");
  assert_null(packed);
  assert_status(CLATTN_INVALID_ARGUMENT, clattn_weights_create(NULL, &desc, host, &packed, &report), &report);
  assert_status(CLATTN_INVALID_ARGUMENT, clattn_weights_create(d->context, &desc, host, NULL, &report), &report);
  assert_says(&report, "weights is NULL");
  assert_status(CLATTN_INVALID_ARGUMENT, clattn_weights_create(d->context, NULL, host, &packed, &report), &report);
  desc.flags = 1;
  assert_status(CLATTN_INVALID_VALUE, clattn_weights_create(d->context, &desc, host, &packed, &report), &report);
  assert_says(&report, "flags is 0x1, known are 0x0");
  desc.flags = 0;
  desc.variant = "none such";
  assert_status(CLATTN_UNKNOWN_VARIANT, clattn_weights_create(d->context, &desc, host, &packed, &report), &report);
  assert_says(&report, "variant \"none such\" is no variant of the projection");
  desc.variant = NULL;
  desc.w.dtype = CLATTN_BOOL;
  assert_status(CLATTN_INVALID_DTYPE, clattn_weights_create(d->context, &desc, host, &packed, &report), &report);
  assert_says(&report, "w", "bool");
  desc.w = dense(2, N, 0, 0);
  assert_status(CLATTN_INVALID_SHAPE, clattn_weights_create(d->context, &desc, host, &packed, &report), &report);
  assert_says(&report, "w is 16 x 0, must not be empty");
  clattn_context *limited = NULL;
  clattn_context_options options = CLATTN_CONTEXT_OPTIONS_INIT;
  options.limits = "max_alloc_bytes = 383\n";
  assert_status(CLATTN_OK, clattn_context_create(d->cl, d->id, &options, &limited, &report), &report);
  desc.w = dense(2, N, E, 0);
  assert_status(CLATTN_INVALID_SHAPE, clattn_weights_create(limited, &desc, host, &packed, &report), &report);
  assert_says(&report, "w is 16 x 6 of f32, more than the device's largest buffer of 383 bytes");
  clattn_context_destroy(limited);
  desc.w = dense(2, N, E, 0);
  assert_status(CLATTN_OK, clattn_weights_create(d->context, &desc, host, &packed, &report), &report);
  REFUSED(desc.weights = packed, CLATTN_INVALID_VALUE, "w and weights are both there: only one may be");
  REFUSED((desc.weights = packed, desc.w.rank = 0, desc.x.dim[2] = 7), CLATTN_INVALID_SHAPE, "w: dimension 1 is 6",
          "7 (E of x)");
  device_under_test other;
  device_open(&other);
  clattn_projection_desc strange = good();
  clattn_plan *plan = NULL;
  strange.weights = packed;
  strange.w.rank = 0;
  assert_status(CLATTN_INVALID_ARGUMENT, clattn_plan_projection(other.context, &strange, &plan, &report), &report);
  assert_says(&report, "weights belong to another context");
  device_close(&other);
  clattn_weights_destroy(packed);
}

int main(void)
{
  const struct CMUnitTest tests[] = {cmocka_unit_test(the_good_one_is_taken), cmocka_unit_test(shapes),
                                     cmocka_unit_test(rotary), cmocka_unit_test(weights)};
  return cmocka_run_group_tests(tests, device_setup, device_teardown);
}
