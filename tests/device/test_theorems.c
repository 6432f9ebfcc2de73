/* What must hold whatever the numbers are: test_theorems VARIANT|any [FILTER]. No oracle here. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "asserts.h"
#include "device_under_test.h"
#include "numerics.h"

enum { B = 2, HQ = 4, HK = 2, S = 37, T = 53, DK = 16, DV = 24, E = 32 };

static const char *variant;

static float *random_floats(uint64_t seed, size_t n)
{
  random_state r = {seed};
  float *data = test_alloc(n * sizeof *data);
  for (size_t i = 0; i < n; i++) data[i] = (float)random_unit(&r);
  return data;
}

static void run(clattn_plan *plan, clattn_status status, clattn_report *report, const clattn_host_binding *b,
                uint32_t n)
{
  assert_status(CLATTN_OK, status, report);
  assert_status(CLATTN_OK, clattn_run_host(plan, b, n, report), report);
  clattn_plan_destroy(plan);
}

static clattn_host_binding bind(int32_t slot, void *data, size_t floats)
{
  return (clattn_host_binding){.slot = slot, .data = data, .bytes = floats * sizeof(float)};
}

static clattn_attention_desc make_desc(int64_t hk, int64_t sq, int64_t sk)
{
  clattn_attention_desc desc = CLATTN_ATTENTION_DESC_INIT;
  desc.q = clattn_bhsd(CLATTN_F32, B, HQ, sq, DK);
  desc.k = clattn_bhsd(CLATTN_F32, B, hk, sk, DK);
  desc.v = clattn_bhsd(CLATTN_F32, B, hk, sk, DV);
  desc.y = clattn_bhsd(CLATTN_F32, B, HQ, sq, DV);
  desc.variant = variant;
  return desc;
}

/* qk at a point. */
static float *scores(const device_under_test *d, clattn_attention_desc desc, int mode, float *q, float *k,
                     unsigned char *mask, size_t mask_bytes)
{
  const size_t hk = (size_t)desc.k.dim[1], sq = (size_t)desc.q.dim[2], sk = (size_t)desc.k.dim[2];
  float *qk = test_alloc(B * HQ * sq * sk * sizeof *qk);
  clattn_report report;
  clattn_plan *plan = NULL;
  desc.qk = clattn_bhsd(CLATTN_F32, B, HQ, desc.q.dim[2], desc.k.dim[2]);
  desc.qk_mode = mode;
  const clattn_status status = clattn_plan_scores(d->context, &desc, &plan, &report);
  const clattn_host_binding b[4] = {bind(CLATTN_Q, q, B * HQ * sq * DK),
                                    bind(CLATTN_K, k, B * hk * sk * DK),
                                    bind(CLATTN_QK, qk, B * HQ * sq * sk),
                                    {.slot = CLATTN_MASK, .data = mask, .bytes = mask_bytes}};
  run(plan, status, &report, b, mask ? 4 : 3);
  return qk;
}

static float *attention(const device_under_test *d, clattn_attention_desc desc, clattn_path path, float *q, float *k,
                        float *v, unsigned char *mask, size_t mask_bytes)
{
  const size_t hk = (size_t)desc.k.dim[1], sq = (size_t)desc.q.dim[2], sk = (size_t)desc.k.dim[2];
  float *y = test_alloc(B * HQ * sq * DV * sizeof *y);
  clattn_report report;
  clattn_plan *plan = NULL;
  desc.path = (int32_t)path;
  const clattn_status status = clattn_plan_attention(d->context, &desc, &plan, &report);
  const clattn_host_binding b[5] = {bind(CLATTN_Q, q, B * HQ * sq * DK),
                                    bind(CLATTN_K, k, B * hk * sk * DK),
                                    bind(CLATTN_V, v, B * hk * sk * DV),
                                    bind(CLATTN_Y, y, B * HQ * sq * DV),
                                    {.slot = CLATTN_MASK, .data = mask, .bytes = mask_bytes}};
  run(plan, status, &report, b, mask ? 5 : 4);
  return y;
}

static void assert_all_near(const char *what, const float *a, const float *b, size_t n, double allowed)
{
  for (size_t i = 0; i < n; i++) {
    const double difference = fabs((double)a[i] - (double)b[i]);
    if (difference <= allowed) continue;
    print_error("%s: element %zu is %.9g on one side, %.9g on the other\n", what, i, (double)a[i], (double)b[i]);
    fail();
  }
}

/* A row of P sums to one, or to zero where no key is attended. */
static void rows_of_p_sum_to_one_or_zero(void **state)
{
  const device_under_test *d = *state;
  static unsigned char mask[S * T];
  random_state r = {3};
  for (int i = 0; i < S * T; i++) mask[i] = i / T % 5 != 2 && random_between(&r, 0, 9) < 6;
  float *q = random_floats(1, B * HQ * S * DK), *k = random_floats(2, B * HK * T * DK);
  clattn_attention_desc desc = make_desc(HK, S, T);
  desc.mask = clattn_dense(CLATTN_BOOL, 2, (int64_t[]){S, T});
  float *p = scores(d, desc, 3, q, k, mask, sizeof mask);
  int zeros = 0;
  for (size_t row = 0; row < B * HQ * S; row++) {
    const bool closed = row % S % 5 == 2;
    double sum = 0.0;
    for (size_t j = 0; j < T; j++) {
      const float weight = p[row * T + j];
      assert_true(weight >= 0.0f && weight <= 1.0f);
      if (!mask[row % S * T + j]) assert_true(weight == 0.0f);
      sum += (double)weight;
    }
    zeros += closed;
    if (fabs(sum - (closed ? 0.0 : 1.0)) > 1e-6) {
      print_error("row %zu of P sums to %.9g\n", row, sum);
      fail();
    }
  }
  assert_true(zeros > 0);
  free(q);
  free(k);
  free(p);
}

static float *project(const device_under_test *d, float *x, float *w, float *cosine, float *sine)
{
  float *y = test_alloc(B * HQ * S * DK * sizeof *y);
  clattn_report report;
  clattn_plan *plan = NULL;
  clattn_projection_desc desc = CLATTN_PROJECTION_DESC_INIT;
  desc.x = clattn_dense(CLATTN_F32, 3, (int64_t[]){B, S, E});
  desc.w = clattn_dense(CLATTN_F32, 2, (int64_t[]){HQ * DK, E});
  desc.y = clattn_bhsd(CLATTN_F32, B, HQ, S, DK);
  desc.variant = variant;
  if (cosine) desc.cos_cache = desc.sin_cache = clattn_dense(CLATTN_F32, 2, (int64_t[]){S, DK / 2});
  const clattn_status status = clattn_plan_projection(d->context, &desc, &plan, &report);
  const clattn_host_binding b[5] = {bind(CLATTN_X, x, B * S * E), bind(CLATTN_W, w, HQ * DK * E),
                                    bind(CLATTN_Y, y, B * HQ * S * DK), bind(CLATTN_COS_CACHE, cosine, S * DK / 2),
                                    bind(CLATTN_SIN_CACHE, sine, S * DK / 2)};
  run(plan, status, &report, b, cosine ? 5 : 3);
  return y;
}

/* |A - A^T| / |A|, norms over everything. */
static double asymmetry(const float *a)
{
  double part = 0.0, whole = 0.0;
  for (size_t bh = 0; bh < B * HQ; bh++)
    for (size_t i = 0; i < S; i++)
      for (size_t j = 0; j < S; j++) {
        const double one = (double)a[(bh * S + i) * S + j], other = (double)a[(bh * S + j) * S + i];
        part += (one - other) * (one - other) / 4.0;
        whole += one * one;
      }
  return sqrt(part / whole);
}

/* With W_K = W_Q and a key head for each query head A is symmetric, with rotation and without; with W_K of its own it
 * is not. */
static void one_operator_for_both_sides_is_symmetric(void **state)
{
  const device_under_test *d = *state;
  float *x = random_floats(4, B * S * E), *w = random_floats(5, HQ * DK * E), *other = random_floats(6, HQ * DK * E);
  float *cosine = test_alloc(S * DK / 2 * sizeof *cosine), *sine = test_alloc(S * DK / 2 * sizeof *sine);
  for (int s = 0; s < S; s++)
    for (int c = 0; c < DK / 2; c++) {
      const double angle = s * pow(10000.0, -2.0 * c / DK);
      cosine[s * DK / 2 + c] = (float)cos(angle);
      sine[s * DK / 2 + c] = (float)sin(angle);
    }
  for (int rotates = 0; rotates < 2; rotates++) {
    float *q = project(d, x, w, rotates ? cosine : NULL, sine),
          *k = project(d, x, other, rotates ? cosine : NULL, sine);
    float *same = scores(d, make_desc(HQ, S, S), 0, q, q, NULL, 0),
          *own = scores(d, make_desc(HQ, S, S), 0, q, k, NULL, 0);
    print_message("asymmetry %.1e with one operator, %.2f with two\n", asymmetry(same), asymmetry(own));
    assert_true(asymmetry(same) < 1e-6);
    assert_true(asymmetry(own) > 0.3);
    free(q);
    free(k);
    free(same);
    free(own);
  }
  free(x);
  free(w);
  free(other);
  free(cosine);
  free(sine);
}

static void fused_is_staged(void **state)
{
  const device_under_test *d = *state;
  float *q = random_floats(7, B * HQ * S * DK), *k = random_floats(8, B * HK * T * DK),
        *v = random_floats(9, B * HK * T * DV);
  for (int causal = 0; causal < 2; causal++) {
    clattn_attention_desc desc = make_desc(HK, S, T);
    desc.flags = causal ? CLATTN_CAUSAL : 0;
    float *staged = attention(d, desc, CLATTN_PATH_STAGED, q, k, v, NULL, 0);
    float *fused = attention(d, desc, CLATTN_PATH_FUSED, q, k, v, NULL, 0);
    assert_all_near("fused and staged", staged, fused, B * HQ * S * DV, 4e-6);
    free(staged);
    free(fused);
  }
  free(q);
  free(k);
  free(v);
}

/* A key that the mask closes is as good as absent. */
static void a_closed_key_is_an_absent_one(void **state)
{
  const device_under_test *d = *state;
  static unsigned char mask[T];
  size_t kept = 0;
  float *q = random_floats(10, B * HQ * S * DK), *k = random_floats(11, B * HK * T * DK),
        *v = random_floats(12, B * HK * T * DV);
  for (int j = 0; j < T; j++) kept += mask[j] = j % 3 != 1 && j != 20 && j != T - 1;
  float *few_k = test_alloc(B * HK * kept * DK * sizeof *k), *few_v = test_alloc(B * HK * kept * DV * sizeof *v);
  for (size_t bh = 0, to = 0; bh < B * HK; bh++)
    for (size_t j = 0; j < T; j++) {
      if (!mask[j]) continue;
      memcpy(few_k + to * DK, k + (bh * T + j) * DK, DK * sizeof *k);
      memcpy(few_v + to * DV, v + (bh * T + j) * DV, DV * sizeof *v);
      to++;
    }
  for (clattn_path path = CLATTN_PATH_STAGED; path <= CLATTN_PATH_FUSED; path++) {
    clattn_attention_desc closed = make_desc(HK, S, T), absent = make_desc(HK, S, (int64_t)kept);
    closed.mask = clattn_dense(CLATTN_BOOL, 1, (int64_t[]){T});
    float *a = attention(d, closed, path, q, k, v, mask, sizeof mask);
    float *b = attention(d, absent, path, q, few_k, few_v, NULL, 0);
    assert_all_near("closed and absent keys", a, b, B * HQ * S * DV, 4e-6);
    free(a);
    free(b);
  }
  free(q);
  free(k);
  free(v);
  free(few_k);
  free(few_v);
}

int main(int argc, char **argv)
{
  if (argc < 2) {
    fprintf(stderr, "usage: %s VARIANT|any [FILTER]\n", argv[0]);
    return 2;
  }
  variant = strcmp(argv[1], "any") ? argv[1] : NULL;
  if (argc > 2) cmocka_set_test_filter(argv[2]);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rows_of_p_sum_to_one_or_zero),
      cmocka_unit_test(one_operator_for_both_sides_is_symmetric),
      cmocka_unit_test(fused_is_staged),
      cmocka_unit_test(a_closed_key_is_an_absent_one),
  };
  return cmocka_run_group_tests(tests, device_setup, device_teardown);
}
