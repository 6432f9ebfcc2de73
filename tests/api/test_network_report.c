/* What the reports of the network and of operators refuse, and with which words. */
#include <math.h>
#include <string.h>

#include "small.h"

static small_problem small;
static float lse[SMALL_HQ * SMALL_SQ];

typedef struct request {
  clattn_attention_desc attention;
  clattn_network_desc desc;
  clattn_network_head heads[SMALL_HQ];
  clattn_network_pair pairs[SMALL_HQ * 3];
  clattn_host_binding b[4];
  uint32_t n;
} request;

static void make(request *r)
{
  memset(r, 0, sizeof *r);
  r->attention = small.desc;
  r->attention.lse = clattn_dense(CLATTN_F32, 3, (int64_t[]){1, SMALL_HQ, SMALL_SQ});
  r->desc = (clattn_network_desc)CLATTN_NETWORK_DESC_INIT;
  r->desc.attention = &r->attention;
  r->desc.n_pairs = 3;
  r->desc.pairs = r->pairs;
  r->heads[0] = (clattn_network_head)CLATTN_NETWORK_HEAD_INIT;
  r->b[0] = (clattn_host_binding){CLATTN_Q, 0, small.q, sizeof small.q};
  r->b[1] = (clattn_host_binding){CLATTN_K, 0, small.k, sizeof small.k};
  r->b[2] = (clattn_host_binding){CLATTN_LSE, 0, lse, sizeof lse};
  r->b[3] = (clattn_host_binding){CLATTN_V, 0, small.v, sizeof small.v};
  r->n = 3;
}

#define REFUSED(edit, status, ...)                                                                                     \
  do {                                                                                                                 \
    const device_under_test *d = *state;                                                                               \
    clattn_report report;                                                                                              \
    request r;                                                                                                         \
    make(&r);                                                                                                          \
    edit;                                                                                                              \
    assert_status(status, clattn_network_report(d->context, &r.desc, r.b, r.n, r.heads, &report), &report);            \
    assert_says(&report, __VA_ARGS__);                                                                                 \
  } while (0)

static void descriptors(void **state)
{
  const device_under_test *d = *state;
  clattn_report report;
  request good;
  make(&good);
  assert_status(CLATTN_OK, clattn_network_report(d->context, &good.desc, good.b, 3, good.heads, &report), &report);
  assert_status(CLATTN_INVALID_ARGUMENT, clattn_network_report(NULL, &good.desc, good.b, 3, good.heads, &report), NULL);
  assert_status(CLATTN_INVALID_ARGUMENT, clattn_network_report(d->context, NULL, good.b, 3, good.heads, &report), NULL);
  assert_says(&report, "clattn_network_desc is NULL");
  assert_status(CLATTN_INVALID_ARGUMENT, clattn_network_report(d->context, &good.desc, good.b, 3, NULL, &report), NULL);
  assert_says(&report, "heads is NULL");
  REFUSED(r.desc.struct_size = 8, CLATTN_INVALID_STRUCT, "clattn_network_desc: struct_size is 8");
  REFUSED(r.heads[0].struct_size = 8, CLATTN_INVALID_STRUCT, "heads[0]: struct_size is 8, must be at least");
  REFUSED(r.heads[0].struct_size = sizeof r.heads[0] + 4, CLATTN_INVALID_STRUCT, "and a multiple of 8");
  REFUSED(r.desc.attention = NULL, CLATTN_INVALID_ARGUMENT, "clattn_attention_desc is NULL");
  REFUSED(r.desc.flags = 4, CLATTN_INVALID_VALUE, "flags is 0x4");
  REFUSED(r.desc.n_pairs = -1, CLATTN_INVALID_VALUE, "n_pairs is -1, must be 0 to 1048576");
  REFUSED(r.desc.pairs = NULL, CLATTN_INVALID_ARGUMENT, "n_pairs is 3 and pairs is NULL");
  REFUSED(r.attention.lse.rank = 0, CLATTN_INVALID_SHAPE, "lse is absent (rank 0) but needed");
  REFUSED(r.attention.q.rank = 0, CLATTN_INVALID_SHAPE, "q is absent");
  REFUSED(r.attention.q.dim[1] = INT64_MAX, CLATTN_INVALID_SHAPE, "q: dimension 1 is 9223372036854775807");
  REFUSED(r.attention.past_key = r.attention.k, CLATTN_INVALID_VALUE, "past_key is there: a map takes");
}

static void bindings(void **state)
{
  REFUSED(r.n = 2, CLATTN_INVALID_BINDING, "lse is not bound, but the plan needs it");
  REFUSED(r.n = 4, CLATTN_INVALID_BINDING, "v is bound, but the plan does not have it");
  REFUSED(r.b[1].bytes--, CLATTN_BUFFER_TOO_SMALL, "k: needs 576 bytes, its array has 575");
  REFUSED(r.b[0].data = NULL, CLATTN_INVALID_BINDING, "q: its data is NULL");
  REFUSED(r.b[2].slot = CLATTN_MAP, CLATTN_INVALID_BINDING, "map is bound twice");
  REFUSED(r.b[2].slot = 99, CLATTN_INVALID_BINDING, "slot is 99");
}

/* A caller of a later version, whose struct is longer: what is behind ours stays. */
static void longer_heads(void **state)
{
  const device_under_test *d = *state;
  struct {
    clattn_network_head head;
    int64_t later;
  } heads[SMALL_HQ];
  clattn_report report;
  request r;
  make(&r);
  memset(heads, 0x55, sizeof heads);
  heads[0].head.struct_size = sizeof heads[0];
  assert_status(CLATTN_OK, clattn_network_report(d->context, &r.desc, r.b, 3, &heads[0].head, &report), &report);
  for (int h = 0; h < SMALL_HQ; h++) {
    assert_int_equal(sizeof heads[0], heads[h].head.struct_size);
    assert_int_equal(SMALL_SQ, heads[h].head.rows);
    assert_int_equal(0, heads[h].later);
  }
}

/* A number that is none in one row, wherever it stands: least and most of its head are none either. And an lse that
 * rounding made too small gives no entropy below 0. */
static void odd_rows(void **state)
{
  const device_under_test *d = *state;
  double entropy[SMALL_HQ * SMALL_SQ];
  clattn_report report;
  for (int row = 0; row < SMALL_SQ; row++) {
    request r;
    make(&r);
    r.desc.row_entropy = entropy;
    for (int i = 0; i < SMALL_SQ; i++) lse[i] = i == row ? NAN : 0.0f;
    assert_status(CLATTN_OK, clattn_network_report(d->context, &r.desc, r.b, 3, r.heads, &report), &report);
    assert_true(isnan(entropy[row]));
    assert_true(isnan(r.heads[0].entropy_min) && isnan(r.heads[0].entropy_max) && isnan(r.heads[0].entropy_mean));
    for (int i = 0; i < SMALL_SQ; i++) lse[i] = -20.0f;
    assert_status(CLATTN_OK, clattn_network_report(d->context, &r.desc, r.b, 3, r.heads, &report), &report);
    assert_true(r.heads[0].entropy_min == 0.0 && entropy[row] == 0.0);
    memset(lse, 0, sizeof lse);
  }
}

static void operators(void **state)
{
  (void)state;
  static const float w[6 * 4];
  double share[3];
  clattn_report report;
  const clattn_tensor q = clattn_dense(CLATTN_F32, 2, (int64_t[]){6, 4});
  clattn_tensor k = clattn_dense(CLATTN_F32, 2, (int64_t[]){2, 4});
  assert_status(CLATTN_OK, clattn_operator_asymmetry(&q, w, &k, w, 3, 1, share, &report), &report);
  for (int h = 0; h < 3; h++) assert_true(share[h] != share[h]); /* of zeros: none */
#define OPERATORS_REFUSED(status, q, w_q, k, w_k, hq, hk, share, ...)                                                  \
  do {                                                                                                                 \
    assert_status(status, clattn_operator_asymmetry(q, w_q, k, w_k, hq, hk, share, &report), &report);                 \
    assert_says(&report, __VA_ARGS__);                                                                                 \
  } while (0)
  OPERATORS_REFUSED(CLATTN_INVALID_ARGUMENT, NULL, w, &k, w, 3, 1, share, "w_q is NULL");
  OPERATORS_REFUSED(CLATTN_INVALID_ARGUMENT, &q, w, &k, w, 3, 1, NULL, "share is NULL");
  OPERATORS_REFUSED(CLATTN_INVALID_ARGUMENT, &q, w, &k, NULL, 3, 1, share, "w_k_data is NULL");
  OPERATORS_REFUSED(CLATTN_INVALID_SHAPE, &q, w, &k, w, 4, 1, share,
                    "w_q has 6 rows, must be a multiple of hq, which is 4");
  OPERATORS_REFUSED(CLATTN_INVALID_SHAPE, &q, w, &k, w, 0, 1, share, "hq, which is 0");
  OPERATORS_REFUSED(CLATTN_INVALID_SHAPE, &q, w, &k, w, 3, 2, share, "hq is 3, must be a multiple of hk, which is 2");
  OPERATORS_REFUSED(CLATTN_INVALID_SHAPE, &q, w, &k, w, 2, 1, share, "w_k: dimension 0 is 2", "3 (hk times DK of w_q)");
  k.dtype = CLATTN_I64;
  OPERATORS_REFUSED(CLATTN_INVALID_DTYPE, &q, w, &k, w, 3, 1, share, "w_k: type is i64");
  k = clattn_dense(CLATTN_F32, 2, (int64_t[]){2, 5});
  OPERATORS_REFUSED(CLATTN_INVALID_SHAPE, &q, w, &k, w, 3, 1, share, "w_k: dimension 1 is 5, must be 4 (E of w_q)");
}

static int setup(void **state)
{
  small_make(&small, 8);
  return device_setup(state);
}

int main(void)
{
  const struct CMUnitTest tests[] = {cmocka_unit_test(descriptors), cmocka_unit_test(bindings),
                                     cmocka_unit_test(longer_heads), cmocka_unit_test(odd_rows),
                                     cmocka_unit_test(operators)};
  return cmocka_run_group_tests(tests, setup, device_teardown);
}
