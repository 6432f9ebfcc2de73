/* Every refusal of the descriptor of Q, K and V, and what a run of its plan asks for. */
#include <string.h>

#include "asserts.h"
#include "device_under_test.h"

enum { B = 2, S = 5, E = 6, HQ = 4, HK = 2, D = 8, DV = 3, ROWS = 9, PITCH = HQ * D + HK * (D + DV) };

static clattn_tensor dense(int32_t rank, int64_t d0, int64_t d1, int64_t d2)
{
  return clattn_dense(CLATTN_F32, rank, (int64_t[]){d0, d1, d2});
}

static clattn_qkv_desc good(void)
{
  clattn_qkv_desc desc = CLATTN_QKV_DESC_INIT;
  desc.x = dense(3, B, S, E);
  desc.w_q = dense(2, HQ * D, E, 0);
  desc.w_k = dense(2, HK * D, E, 0);
  desc.w_v = dense(2, HK * DV, E, 0);
  desc.bias_q = dense(1, HQ * D, 0, 0);
  desc.bias_k = dense(1, HK * D, 0, 0);
  desc.bias_v = dense(1, HK * DV, 0, 0);
  desc.q = clattn_bhsd(CLATTN_F32, B, HQ, S, D);
  desc.k = clattn_bhsd(CLATTN_F32, B, HK, S, D);
  desc.v = clattn_bhsd(CLATTN_F32, B, HK, S, DV);
  desc.cos_cache = desc.sin_cache = dense(2, ROWS, D / 2, 0);
  return desc;
}

#define REFUSED(edit, status, ...)                                                                                     \
  do {                                                                                                                 \
    clattn_qkv_desc desc = good();                                                                                     \
    clattn_report report;                                                                                              \
    clattn_plan *plan = (clattn_plan *)&report;                                                                        \
    edit;                                                                                                              \
    const device_under_test *d = *state;                                                                               \
    assert_status(status, clattn_plan_qkv(d->context, &desc, &plan, &report), &report);                                \
    assert_says(&report, __VA_ARGS__);                                                                                 \
    assert_null(plan);                                                                                                 \
  } while (0)

static void shapes(void **state)
{
  const clattn_tensor none = {0};
  REFUSED(desc.struct_size = 12, CLATTN_INVALID_STRUCT, "clattn_qkv_desc", "struct_size is 12");
  REFUSED(desc.x.rank = 0, CLATTN_INVALID_SHAPE, "x is absent (rank 0) but needed");
  REFUSED(desc.w_k.rank = 0, CLATTN_INVALID_SHAPE, "w_k is absent (rank 0) but needed");
  REFUSED(desc.q.rank = desc.k.rank = desc.v.rank = 0, CLATTN_INVALID_SHAPE,
          "q, k and v are absent (rank 0): one of them must be there");
  REFUSED(desc.q.rank = 0, CLATTN_INVALID_SHAPE, "q is absent (rank 0), but w_q is there");
  REFUSED(desc.v = desc.w_v = none, CLATTN_INVALID_SHAPE, "v is absent (rank 0), but bias_v is there");
  REFUSED(desc.w_q.dim[1] = 7, CLATTN_INVALID_SHAPE, "w_q: dimension 1 is 7, must be 6 (E of x)");
  REFUSED(desc.w_v.dim[1] = 7, CLATTN_INVALID_SHAPE, "w_v: dimension 1 is 7, must be 6 (E of x)");
  REFUSED(desc.bias_k.dim[0] = 15, CLATTN_INVALID_SHAPE, "bias_k: dimension 0 is 15, must be 16 (rows of w_k)");
  REFUSED(desc.k.dim[0] = 1, CLATTN_INVALID_SHAPE, "k: dimension 0 is 1, must be 2 (B of x)");
  REFUSED(desc.v.dim[2] = 4, CLATTN_INVALID_SHAPE, "v has 4 tokens, must have 5 (S of x)");
  REFUSED(desc.k = clattn_bhsd(CLATTN_F32, B, 3, S, D), CLATTN_INVALID_SHAPE,
          "k has 3 heads of 8 channels, w_k has 16 rows: must be their product");
  REFUSED(desc.w_q.dtype = CLATTN_I64, CLATTN_INVALID_DTYPE, "w_q", "i64", "bf16");
  REFUSED(desc.bias_v.dtype = CLATTN_BOOL, CLATTN_INVALID_DTYPE, "bias_v", "bool");
  REFUSED(desc.k.dtype = CLATTN_BOOL, CLATTN_INVALID_DTYPE, "k", "bool");
  REFUSED(desc.flags = 2, CLATTN_INVALID_VALUE, "flags is 0x2, known are 0x1");
  REFUSED(desc.k.stride[2] = 0, CLATTN_OVERLAP, "k: its strides may make elements share memory");
  REFUSED(desc.variant = "none such", CLATTN_UNKNOWN_VARIANT, "variant \"none such\"", "this projection");
}

static void rotary(void **state)
{
  const clattn_tensor none = {0};
  REFUSED(desc.sin_cache.rank = 0, CLATTN_INVALID_SHAPE, "sin_cache is absent but cos_cache is there");
  REFUSED((desc.cos_cache.rank = desc.sin_cache.rank = 0, desc.rotary_dim = 4), CLATTN_INVALID_VALUE,
          "a rotary attribute is set, but cos_cache and sin_cache are absent");
  REFUSED((desc.q = desc.w_q = desc.bias_q = none, desc.k = desc.w_k = desc.bias_k = none), CLATTN_INVALID_SHAPE,
          "cos_cache is there, but q and k, which it rotates, are absent");
  REFUSED(desc.k = clattn_bhsd(CLATTN_F32, B, 4, S, 4), CLATTN_INVALID_SHAPE,
          "k: dimension 3 is 4, must be 8 (D of q)");
  REFUSED(desc.q = dense(3, B, S, HQ * D), CLATTN_INVALID_SHAPE, "q: rank is 3, must be 4 for the rotary embedding");
  REFUSED(desc.k = dense(3, B, S, HK * D), CLATTN_INVALID_SHAPE, "k: rank is 3, must be 4 for the rotary embedding");
  REFUSED(desc.rotary_dim = 10, CLATTN_INVALID_VALUE, "rotary_dim is 10, must be even, 2 to 8 (D of q)");
  REFUSED((desc.q = desc.w_q = desc.bias_q = none, desc.rotary_dim = 3), CLATTN_INVALID_VALUE,
          "rotary_dim is 3, must be even, 2 to 8 (D of k)");
  REFUSED(desc.cos_cache.dim[1] = desc.sin_cache.dim[1] = 3, CLATTN_INVALID_SHAPE, "cos_cache: dimension 1 is 3",
          "4 (half of rotary_dim)");
  REFUSED(desc.position_offset = 5, CLATTN_INVALID_SHAPE, "cos_cache: 9 rows, needs 5 tokens from position_offset 5");
}

static clattn_plan *plan_of(const device_under_test *d, const clattn_qkv_desc *desc)
{
  clattn_report report;
  clattn_plan *plan = NULL;
  assert_status(CLATTN_OK, clattn_plan_qkv(d->context, desc, &plan, &report), &report);
  return plan;
}

static void arguments(void **state)
{
  const device_under_test *d = *state;
  const clattn_qkv_desc desc = good();
  clattn_report report;
  clattn_plan *plan = (clattn_plan *)&report;
  assert_status(CLATTN_INVALID_ARGUMENT, clattn_plan_qkv(d->context, NULL, &plan, &report), &report);
  assert_says(&report, "clattn_qkv_desc is NULL");
  assert_null(plan);
  assert_status(CLATTN_INVALID_ARGUMENT, clattn_plan_qkv(NULL, &desc, &plan, &report), &report);
  assert_says(&report, "context is NULL");
  assert_status(CLATTN_INVALID_ARGUMENT, clattn_plan_qkv(d->context, &desc, NULL, &report), &report);
  assert_says(&report, "plan is NULL");
}

/* A larger struct of a later library is taken while its tail is zero. */
static void a_longer_struct(void **state)
{
  const device_under_test *d = *state;
  struct {
    clattn_qkv_desc desc;
    uint64_t later;
  } larger = {.desc = good()};
  clattn_report report;
  clattn_plan *plan = NULL;
  larger.desc.struct_size = sizeof larger;
  assert_status(CLATTN_OK, clattn_plan_qkv(d->context, &larger.desc, &plan, &report), &report);
  clattn_plan_destroy(plan);
  larger.later = 1;
  assert_status(CLATTN_INVALID_STRUCT, clattn_plan_qkv(d->context, &larger.desc, &plan, &report), &report);
  assert_says(&report, "clattn_qkv_desc", "is set");
}

static void weights(void **state)
{
  const device_under_test *d = *state;
  static const float host[HK * D * E];
  clattn_report report;
  clattn_weights *packed = NULL;
  clattn_weights_desc packing = CLATTN_WEIGHTS_DESC_INIT;
  packing.w = dense(2, HK * D, E, 0);
  assert_status(CLATTN_OK, clattn_weights_create(d->context, &packing, host, &packed, &report), &report);
  REFUSED(desc.weights_k = packed, CLATTN_INVALID_VALUE, "w_k and weights_k are both there: only one may be");
  REFUSED((desc.weights_k = packed, desc.w_k.rank = 0, desc.x.dim[2] = 7, desc.w_q.dim[1] = 7), CLATTN_INVALID_SHAPE,
          "w_k: dimension 1 is 6, must be 7 (E of x)");
  REFUSED((desc.weights_k = packed, desc.w_k.rank = 0, desc.k.rank = 0), CLATTN_INVALID_SHAPE,
          "k is absent (rank 0), but w_k is there");
  device_under_test other;
  device_open(&other);
  clattn_qkv_desc desc = good();
  clattn_plan *plan = NULL;
  desc.weights_k = packed;
  desc.w_k.rank = 0;
  assert_status(CLATTN_INVALID_ARGUMENT, clattn_plan_qkv(other.context, &desc, &plan, &report), &report);
  assert_says(&report, "weights belong to another context");
  device_close(&other);
  plan = plan_of(d, &desc);
  clattn_weights_destroy(packed); /* the plan keeps what it needs */
  clattn_slot_info info = CLATTN_SLOT_INFO_INIT;
  for (uint32_t i = 0; clattn_plan_slot(plan, i, &info) == CLATTN_OK; i++) assert_true(info.slot != CLATTN_W_K);
  clattn_plan_destroy(plan);
}

/* What a plan asks to be bound: of what is there, all; q, k and v are written. */
static void slots(void **state)
{
  static const int32_t want[] = {CLATTN_K,   CLATTN_V,   CLATTN_X,      CLATTN_COS_CACHE, CLATTN_SIN_CACHE,
                                 CLATTN_W_K, CLATTN_W_V, CLATTN_BIAS_K, CLATTN_BIAS_V};
  const size_t count = sizeof want / sizeof want[0];
  clattn_qkv_desc desc = good();
  desc.q = desc.w_q = desc.bias_q = (clattn_tensor){0};
  clattn_plan *plan = plan_of(*state, &desc);
  clattn_slot_info info = CLATTN_SLOT_INFO_INIT;
  size_t found = 0;
  for (uint32_t i = 0; clattn_plan_slot(plan, i, &info) == CLATTN_OK; i++) {
    if (info.slot == CLATTN_WORKSPACE) continue;
    assert_true(found < count);
    assert_int_equal(want[found++], info.slot);
    assert_int_equal(info.slot == CLATTN_K || info.slot == CLATTN_V, info.output);
  }
  assert_int_equal(count, found);
  clattn_plan_destroy(plan);
}

/* q, k and v as slices of the rows of one buffer. */
static clattn_tensor slice(int64_t heads, int64_t channels)
{
  clattn_tensor view = clattn_bshd(CLATTN_F32, B, S, heads, channels);
  view.stride[0] = S * PITCH;
  view.stride[2] = PITCH;
  return view;
}

static clattn_status run_sliced(const device_under_test *d, size_t k_offset, size_t v_offset, clattn_report *report)
{
  clattn_qkv_desc desc = good();
  desc.q = slice(HQ, D);
  desc.k = slice(HK, D);
  desc.v = slice(HK, DV);
  clattn_plan *plan = plan_of(d, &desc);
  clattn_binding list[CLATTN_SLOT_COUNT];
  clattn_slot_info info = CLATTN_SLOT_INFO_INIT;
  const cl_mem shared = device_buffer(d, sizeof(float) * B * S * PITCH, NULL);
  uint32_t n = 0;
  for (; clattn_plan_slot(plan, n, &info) == CLATTN_OK; n++)
    list[n] = (clattn_binding){.slot = info.slot,
                               .mem = info.output ? shared : device_buffer(d, info.bytes, NULL),
                               .offset_bytes = sizeof(float) * (info.slot == CLATTN_K   ? k_offset
                                                                : info.slot == CLATTN_V ? v_offset
                                                                                        : 0)};
  const clattn_status status = clattn_enqueue(plan, d->queue, list, n, 0, NULL, NULL, report);
  assert_cl(clFinish(d->queue));
  for (uint32_t i = 0; i < n; i++)
    if (list[i].mem != shared) assert_cl(clReleaseMemObject(list[i].mem));
  assert_cl(clReleaseMemObject(shared));
  clattn_plan_destroy(plan);
  return status;
}

static void overlaps(void **state)
{
  clattn_report report;
  assert_status(CLATTN_OK, run_sliced(*state, HQ * D, (HQ + HK) * D, &report), &report);
  assert_status(CLATTN_OVERLAP, run_sliced(*state, HQ * D - 1, (HQ + HK) * D, &report), &report);
  assert_says(&report, "q (bytes 0 to ", "overlaps k (bytes 124 to ");
  assert_status(CLATTN_OVERLAP, run_sliced(*state, HQ * D, (HQ + HK) * D - 1, &report), &report);
  assert_says(&report, "k (bytes 128 to ", "overlaps v (bytes 188 to ");
}

int main(void)
{
  const struct CMUnitTest tests[] = {cmocka_unit_test(shapes),    cmocka_unit_test(rotary),
                                     cmocka_unit_test(arguments), cmocka_unit_test(a_longer_struct),
                                     cmocka_unit_test(weights),   cmocka_unit_test(slots),
                                     cmocka_unit_test(overlaps)};
  return cmocka_run_group_tests(tests, device_setup, device_teardown);
}
