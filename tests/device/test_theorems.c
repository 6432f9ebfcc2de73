/* What must hold whatever the numbers are: test_theorems VARIANT|any [FILTER], on every path the family has, in float32
 * and in a 16-bit type. No oracle here. Sizes go beyond one tile of any family. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "asserts.h"
#include "device_under_test.h"
#include "numerics.h"
#include "tester.h"

enum { B = 2, HQ = 4, HK = 2, S = 69, T = 149, DK = 16, DV = 24, E = 32 };

static const char *variant;

/* The paths under test. */
static way ways[2];
static int n_ways;

#define EACH_WAY_AND_TYPE(w, type)                                                                                     \
  for (const way *w = ways; w < ways + n_ways; w++)                                                                    \
    for (int32_t type = CLATTN_F32; type <= CLATTN_BF16; type += CLATTN_BF16 - CLATTN_F32)

/* Arrays are doubles that the type holds exactly. */
typedef struct problem {
  int32_t type, mask_type; /* mask_type 0: no mask */
  int64_t hk, sq, sk, past, mask_dim[4];
  bool causal, has_offset, has_window;
  int64_t offset;
  double softcap;
  const double *q, *k, *v, *past_k, *past_v, *mask;
  const double *nonpad; /* [B] */
} problem;

typedef struct result {
  double *y, *lse; /* [B,HQ,SQ,DV] [B,HQ,SQ] */
} result;

static void free_result(result r)
{
  free(r.y);
  free(r.lse);
}

static double *random_numbers(int32_t type, uint64_t seed, size_t n)
{
  random_state r = {seed};
  double *data = test_alloc(n * sizeof *data);
  for (size_t i = 0; i < n; i++) data[i] = number_round(type, random_unit(&r));
  return data;
}

/* Few steps to either side of zero: every type holds them, and twice one less another. */
static double *random_steps(uint64_t seed, size_t n, int64_t most, double step)
{
  random_state r = {seed};
  double *data = test_alloc(n * sizeof *data);
  for (size_t i = 0; i < n; i++) data[i] = (double)random_between(&r, -most, most) * step;
  return data;
}

static problem make_problem(int32_t type, uint64_t seed)
{
  return (problem){.type = type,
                   .hk = HK,
                   .sq = S,
                   .sk = T,
                   .q = random_numbers(type, seed, B * HQ * S * DK),
                   .k = random_numbers(type, seed + 1, B * HK * T * DK),
                   .v = random_numbers(type, seed + 2, B * HK * T * DV)};
}

static void free_problem(const problem *p)
{
  free((void *)p->q);
  free((void *)p->k);
  free((void *)p->v);
}

static double *copy_of(const double *from, size_t n)
{
  double *to = test_alloc(n * sizeof *to);
  memcpy(to, from, n * sizeof *to);
  return to;
}

static size_t elements(const clattn_tensor *t)
{
  size_t n = 1;
  for (int d = 0; d < t->rank; d++) n *= (size_t)t->dim[d];
  return n;
}

static void add(clattn_host_binding *b, uint32_t *n, int32_t slot, const clattn_tensor *view, const double *data)
{
  const size_t count = elements(view), bytes = count * number_bytes(view->dtype);
  void *stored = test_alloc(bytes);
  for (size_t i = 0; data && i < count; i++) number_store(view->dtype, stored, (int64_t)i, data[i]);
  b[(*n)++] = (clattn_host_binding){.slot = slot, .data = stored, .bytes = bytes};
}

static double *loaded(int32_t type, const void *array, size_t n)
{
  double *data = test_alloc(n * sizeof *data);
  for (size_t i = 0; i < n; i++) data[i] = number_load(type, array, (int64_t)i);
  return data;
}

static clattn_attention_desc describe(const problem *p, const way *w)
{
  const clattn_dtype type = (clattn_dtype)p->type;
  clattn_attention_desc desc = CLATTN_ATTENTION_DESC_INIT;
  desc.q = clattn_bhsd(type, B, HQ, p->sq, DK);
  desc.k = clattn_bhsd(type, B, p->hk, p->sk, DK);
  desc.v = clattn_bhsd(type, B, p->hk, p->sk, DV);
  desc.y = clattn_bhsd(type, B, HQ, p->sq, DV);
  desc.lse = clattn_dense(CLATTN_F32, 3, (const int64_t[]){B, HQ, p->sq});
  if (p->past) desc.past_key = clattn_bhsd(type, B, p->hk, p->past, DK);
  if (p->past) desc.past_value = clattn_bhsd(type, B, p->hk, p->past, DV);
  if (p->mask_type) desc.mask = clattn_dense((clattn_dtype)p->mask_type, 4, p->mask_dim);
  if (p->nonpad) desc.nonpad_kv_seqlen = clattn_dense(CLATTN_I64, 1, (const int64_t[]){B});
  desc.flags = (p->causal ? CLATTN_CAUSAL : 0) | (p->has_offset ? CLATTN_QUERY_OFFSET : 0);
  desc.query_offset = p->offset;
  if (p->has_window) desc.window_left = S / 2, desc.window_right = S / 4;
  desc.softcap = p->softcap;
  desc.path = w->path;
  desc.variant = w->variant;
  return desc;
}

static result attend(const device_under_test *d, const problem *p, const way *w)
{
  clattn_report report;
  clattn_plan *plan = NULL;
  clattn_host_binding b[CLATTN_SLOT_COUNT];
  uint32_t n = 0;
  const clattn_attention_desc desc = describe(p, w);
  assert_status(CLATTN_OK, clattn_plan_attention(d->context, &desc, &plan, &report), &report);
  add(b, &n, CLATTN_Y, &desc.y, NULL);
  add(b, &n, CLATTN_LSE, &desc.lse, NULL);
  add(b, &n, CLATTN_Q, &desc.q, p->q);
  add(b, &n, CLATTN_K, &desc.k, p->k);
  add(b, &n, CLATTN_V, &desc.v, p->v);
  if (p->past) add(b, &n, CLATTN_PAST_KEY, &desc.past_key, p->past_k);
  if (p->past) add(b, &n, CLATTN_PAST_VALUE, &desc.past_value, p->past_v);
  if (p->mask_type) add(b, &n, CLATTN_MASK, &desc.mask, p->mask);
  if (p->nonpad) add(b, &n, CLATTN_NONPAD_KV_SEQLEN, &desc.nonpad_kv_seqlen, p->nonpad);
  assert_status(CLATTN_OK, clattn_run_host(plan, b, n, &report), &report);
  clattn_plan_destroy(plan);
  const result r = {loaded(p->type, b[0].data, elements(&desc.y)), loaded(CLATTN_F32, b[1].data, elements(&desc.lse))};
  for (uint32_t i = 0; i < n; i++) free(b[i].data);
  return r;
}

/* Two results that differ by rounding alone: that of float32 sums of order one, and of each side's storing. */
static double near_enough(int32_t type, double size)
{
  return 4e-6 * fmax(1.0, fabs(size)) + (type == CLATTN_F32 ? 0.0 : 2.0 * number_half_ulp(type, size));
}

static void assert_near(const char *theorem, int32_t type, size_t i, double a, double b)
{
  if (a == b || fabs(a - b) <= near_enough(type, fmax(fabs(a), fabs(b)))) return;
  print_error("%s, %s: element %zu is %.9g on one side, %.9g on the other\n", theorem,
              clattn_dtype_text((clattn_dtype)type), i, a, b);
  fail();
}

static void assert_all_near(const char *theorem, int32_t type, result a, result b, int64_t rows)
{
  for (size_t i = 0; i < (size_t)rows * DV; i++) assert_near(theorem, type, i, a.y[i], b.y[i]);
  for (size_t i = 0; i < (size_t)rows; i++) assert_near(theorem, CLATTN_F32, i, a.lse[i], b.lse[i]);
}

static void mask_of(problem *p, int32_t type, const double *mask, int64_t b, int64_t h, int64_t sq)
{
  p->mask_type = type;
  p->mask = mask;
  memcpy(p->mask_dim, (const int64_t[]){b, h, sq, p->past + p->sk}, sizeof p->mask_dim);
}

/* A row of P sums to one, or to zero where no key is attended: as written, ... */
static void rows_of_p_sum_to_one_or_zero(void **state)
{
  const device_under_test *d = *state;
  const way staged = {n_ways > 1 ? variant : NULL, CLATTN_PATH_STAGED};
  static double mask[S * T];
  random_state r = {3};
  for (int i = 0; i < S * T; i++) mask[i] = i / T % 5 != 2 && random_between(&r, 0, 9) < 6;
  problem p = make_problem(CLATTN_F32, 1);
  mask_of(&p, CLATTN_BOOL, mask, 1, 1, S);
  clattn_attention_desc desc = describe(&p, &staged);
  clattn_report report;
  clattn_plan *plan = NULL;
  clattn_host_binding b[4];
  uint32_t n = 0;
  desc.lse = (clattn_tensor){0};
  desc.qk = clattn_bhsd(CLATTN_F32, B, HQ, S, T);
  desc.qk_mode = 3;
  assert_status(CLATTN_OK, clattn_plan_scores(d->context, &desc, &plan, &report), &report);
  add(b, &n, CLATTN_QK, &desc.qk, NULL);
  add(b, &n, CLATTN_Q, &desc.q, p.q);
  add(b, &n, CLATTN_K, &desc.k, p.k);
  add(b, &n, CLATTN_MASK, &desc.mask, mask);
  assert_status(CLATTN_OK, clattn_run_host(plan, b, n, &report), &report);
  clattn_plan_destroy(plan);
  const float *weights = b[0].data;
  for (size_t row = 0; row < B * HQ * S; row++) {
    const bool closed = row % S % 5 == 2;
    double sum = 0.0;
    for (size_t j = 0; j < T; j++) {
      const float weight = weights[row * T + j];
      assert_true(weight >= 0.0f && weight <= 1.0f && !signbit(weight));
      if (mask[row % S * T + j] == 0.0) assert_true(weight == 0.0f);
      sum += (double)weight;
    }
    if (fabs(sum - (closed ? 0.0 : 1.0)) > 1e-6) {
      print_error("row %zu of P sums to %.9g\n", row, sum);
      fail();
    }
  }
  for (uint32_t i = 0; i < n; i++) free(b[i].data);
  free_problem(&p);
}

/* ... and as it weighs values that are all one. */
static void values_of_one_give_one_or_zero(void **state)
{
  static double mask[S * T], ones[B * HK * T * DV];
  for (int i = 0; i < S * T; i++) mask[i] = i / T % 5 != 2 && i % 7 < 4;
  for (int i = 0; i < B * HK * T * DV; i++) ones[i] = 1.0;
  EACH_WAY_AND_TYPE(w, type)
  {
    problem p = make_problem(type, 4), of_ones = p;
    mask_of(&of_ones, CLATTN_BOOL, mask, 1, 1, S);
    of_ones.v = ones;
    const result r = attend(*state, &of_ones, w);
    for (size_t i = 0; i < B * HQ * S * DV; i++) {
      const bool closed = i / DV % S % 5 == 2;
      if (closed) assert_true(r.y[i] == 0.0);
      assert_near("a row of P", type, i, r.y[i], closed ? 0.0 : 1.0);
    }
    free_result(r);
    free_problem(&p);
  }
}

/* A constant added to all scores of a row leaves y as it is and goes into lse. Scores and constants are such that their
 * sums are exact, so y stays to the bit, however large the constant. */
static void a_constant_of_a_row_changes_nothing(void **state)
{
  static double zeros[S * T], raised[S * T];
  for (int i = 0; i < S; i++)
    for (int j = 0; j < T; j++) {
      const double closed = (i + j) % 6 == 0 || i == 5 ? -(double)INFINITY : 0.0;
      const double constant = i % 3 == 0 ? 262144.0 : i % 3 == 1 ? -262144.0 : (double)i / 8.0;
      zeros[i * T + j] = closed;
      raised[i * T + j] = closed + constant;
    }
  EACH_WAY_AND_TYPE(w, type)
  {
    problem p = make_problem(type, 7);
    double *q = random_steps(8, B * HQ * S * DK, 2, 1.0), *k = random_steps(9, B * HK * T * DK, 2, 1.0);
    problem plain = p; /* scores are quarters below 16: 2^18 more needs 20 bits */
    plain.q = q;
    plain.k = k;
    problem moved = plain;
    mask_of(&plain, CLATTN_F32, zeros, 1, 1, S);
    mask_of(&moved, CLATTN_F32, raised, 1, 1, S);
    const result a = attend(*state, &plain, w), b = attend(*state, &moved, w);
    assert_memory_equal(a.y, b.y, B * HQ * S * DV * sizeof *a.y);
    for (size_t row = 0; row < B * HQ * S; row++) {
      const double constant = raised[row % S * T + (row % S % 6 == 0)];
      if (row % S == 5) assert_true(a.lse[row] == b.lse[row] && isinf(a.lse[row]));
      if (row % S != 5 && fabs(a.lse[row] + constant - b.lse[row]) > 4e-6 + ldexp(fabs(constant), -23)) {
        print_error("lse of row %zu is %.9g, with %g added %.9g\n", row, a.lse[row], constant, b.lse[row]);
        fail();
      }
    }
    free_result(a);
    free_result(b);
    free(q);
    free(k);
    free_problem(&p);
  }
}

/* Key j of one side is key (37 j + 11) mod T of the other, with its value and its column of the mask. */
static void the_order_of_keys_is_nothing(void **state)
{
  double *mask = random_numbers(CLATTN_BF16, 20, B * HQ * S * T),
         *other_mask = test_alloc(B * HQ * S * T * sizeof *mask);
  for (size_t i = 0; i < B * HQ * S * T; i++) {
    if (i % 5 == 1) mask[i] = -(double)INFINITY;
    other_mask[i / T * T + (37 * (i % T) + 11) % T] = mask[i];
  }
  EACH_WAY_AND_TYPE(w, type)
  {
    problem p = make_problem(type, 21), other = p;
    double *k = test_alloc(B * HK * T * DK * sizeof *k), *v = test_alloc(B * HK * T * DV * sizeof *v);
    for (size_t row = 0; row < B * HK * T; row++) {
      const size_t to = row / T * T + (37 * (row % T) + 11) % T;
      memcpy(k + to * DK, p.k + row * DK, DK * sizeof *k);
      memcpy(v + to * DV, p.v + row * DV, DV * sizeof *v);
    }
    problem first = p;
    mask_of(&first, type, mask, B, HQ, S);
    other.k = k;
    other.v = v;
    mask_of(&other, type, other_mask, B, HQ, S);
    const result a = attend(*state, &first, w), b = attend(*state, &other, w);
    assert_all_near("keys in another order", type, a, b, B * HQ * S);
    free_result(a);
    free_result(b);
    free(k);
    free(v);
    free_problem(&p);
  }
  free(mask);
  free(other_mask);
}

/* y(2 V - U) = 2 y(V) - y(U), and lse does not know of values. */
static void y_is_linear_in_v(void **state)
{
  const size_t n = B * HK * T * DV;
  double *v = random_steps(30, n, 8, 0.125), *u = random_steps(31, n, 8, 0.125), *both = test_alloc(n * sizeof *both);
  for (size_t i = 0; i < n; i++) both[i] = 2.0 * v[i] - u[i];
  EACH_WAY_AND_TYPE(w, type)
  {
    problem p = make_problem(type, 32), of_v = p, of_u = p, of_both = p;
    of_v.v = v;
    of_u.v = u;
    of_both.v = both;
    of_v.causal = of_u.causal = of_both.causal = true;
    const result a = attend(*state, &of_v, w), b = attend(*state, &of_u, w), c = attend(*state, &of_both, w);
    for (size_t i = 0; i < B * HQ * S * DV; i++) {
      const double sum = 2.0 * a.y[i] - b.y[i];
      const double room = 3.0 * near_enough(type, fmax(fabs(a.y[i]), fmax(fabs(b.y[i]), fabs(c.y[i]))));
      if (fabs(sum - c.y[i]) <= room) continue;
      print_error("linear in v, %s: element %zu is %.9g, the sum %.9g\n", clattn_dtype_text((clattn_dtype)type), i,
                  c.y[i], sum);
      fail();
    }
    assert_memory_equal(a.lse, c.lse, B * HQ * S * sizeof *a.lse);
    free_result(a);
    free_result(b);
    free_result(c);
    free_problem(&p);
  }
  free(v);
  free(u);
  free(both);
}

/* Query heads that read key head G of batch item 0 are changed by what changes there; all others keep their bits, even
 * where it is a value that is no number. */
static void batches_and_heads_are_independent(void **state)
{
  enum { G = 1, GROUP = HQ / HK };
  EACH_WAY_AND_TYPE(w, type)
  for (int what = 0; what < 4; what++) {
    problem p = make_problem(type, 40), other = p;
    double *q = copy_of(p.q, B * HQ * S * DK), *k = copy_of(p.k, B * HK * T * DK), *v = copy_of(p.v, B * HK * T * DV);
    other.q = q;
    other.k = k;
    other.v = v;
    for (int i = 0; what == 0 && i < S * DK; i++) q[G * GROUP * S * DK + i] = number_round(type, q[i] / 3.0);
    for (int i = 0; what == 1 && i < T * DK; i++) k[G * T * DK + i] = number_round(type, -k[i]);
    for (int i = 0; what == 2 && i < T * DV; i++) v[G * T * DV + i] = v[i];
    if (what == 3) v[G * T * DV] = (double)NAN;
    const result a = attend(*state, &p, w), b = attend(*state, &other, w);
    for (size_t h = 0; h < B * HQ; h++) {
      const bool touched = what == 0 ? h == G * GROUP : h / GROUP == G;
      const bool same = !memcmp(a.y + h * S * DV, b.y + h * S * DV, S * DV * sizeof *a.y);
      if (same == touched) print_error("change %d, head %zu: %s\n", what, h, same ? "the same" : "changed");
      assert_true(same != touched);
      if (what != 1 && !touched) assert_memory_equal(a.lse + h * S, b.lse + h * S, S * sizeof *a.lse);
    }
    free_result(a);
    free_result(b);
    free(q);
    free(k);
    free(v);
    free_problem(&p);
  }
}

static double *project(const device_under_test *d, int32_t w_type, int flags, const double *x, const double *w,
                       const double *cosine, const double *sine)
{
  clattn_report report;
  clattn_plan *plan = NULL;
  clattn_host_binding b[5];
  uint32_t n = 0;
  clattn_projection_desc desc = CLATTN_PROJECTION_DESC_INIT;
  desc.x = clattn_dense(CLATTN_F32, 3, (const int64_t[]){B, S, E});
  desc.w = clattn_dense((clattn_dtype)w_type, 2, (const int64_t[]){HQ * DK, E});
  desc.y = clattn_bhsd(CLATTN_F32, B, HQ, S, DK);
  desc.flags = (uint32_t)flags;
  desc.variant = variant;
  if (cosine) desc.cos_cache = desc.sin_cache = clattn_dense(CLATTN_F32, 2, (const int64_t[]){S, DK / 2});
  assert_status(CLATTN_OK, clattn_plan_projection(d->context, &desc, &plan, &report), &report);
  add(b, &n, CLATTN_Y, &desc.y, NULL);
  add(b, &n, CLATTN_X, &desc.x, x);
  add(b, &n, CLATTN_W, &desc.w, w);
  if (cosine) add(b, &n, CLATTN_COS_CACHE, &desc.cos_cache, cosine);
  if (cosine) add(b, &n, CLATTN_SIN_CACHE, &desc.sin_cache, sine);
  assert_status(CLATTN_OK, clattn_run_host(plan, b, n, &report), &report);
  clattn_plan_destroy(plan);
  double *y = loaded(CLATTN_F32, b[0].data, elements(&desc.y));
  for (uint32_t i = 0; i < n; i++) free(b[i].data);
  return y;
}

/* A of S queries and S keys, a key head for each query head. */
static double *scores(const device_under_test *d, const double *q, const double *k)
{
  clattn_report report;
  clattn_plan *plan = NULL;
  clattn_host_binding b[3];
  uint32_t n = 0;
  clattn_attention_desc desc = CLATTN_ATTENTION_DESC_INIT;
  desc.q = desc.k = clattn_bhsd(CLATTN_F32, B, HQ, S, DK);
  desc.qk = clattn_bhsd(CLATTN_F32, B, HQ, S, S);
  desc.variant = n_ways > 1 ? variant : NULL;
  assert_status(CLATTN_OK, clattn_plan_scores(d->context, &desc, &plan, &report), &report);
  add(b, &n, CLATTN_QK, &desc.qk, NULL);
  add(b, &n, CLATTN_Q, &desc.q, q);
  add(b, &n, CLATTN_K, &desc.k, k);
  assert_status(CLATTN_OK, clattn_run_host(plan, b, n, &report), &report);
  clattn_plan_destroy(plan);
  double *a = loaded(CLATTN_F32, b[0].data, elements(&desc.qk));
  for (uint32_t i = 0; i < n; i++) free(b[i].data);
  return a;
}

/* |A - A^T| / |A|, norms over everything. */
static double asymmetry(const double *a)
{
  double part = 0.0, whole = 0.0;
  for (size_t bh = 0; bh < B * HQ; bh++)
    for (size_t i = 0; i < S; i++)
      for (size_t j = 0; j < S; j++) {
        const double one = a[(bh * S + i) * S + j], other = a[(bh * S + j) * S + i];
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
  double *x = random_numbers(CLATTN_F32, 50, B * S * E);
  double *cosine = test_alloc(S * DK / 2 * sizeof *cosine), *sine = test_alloc(S * DK / 2 * sizeof *sine);
  for (int s = 0; s < S; s++)
    for (int c = 0; c < DK / 2; c++) {
      const double angle = s * pow(10000.0, -2.0 * c / DK);
      cosine[s * DK / 2 + c] = number_round(CLATTN_F32, cos(angle));
      sine[s * DK / 2 + c] = number_round(CLATTN_F32, sin(angle));
    }
  for (int32_t type = CLATTN_F32; type <= CLATTN_BF16; type += CLATTN_BF16 - CLATTN_F32)
    for (int rotates = 0; rotates < 3; rotates++) {
      double *w = random_numbers(type, 51, HQ * DK * E), *other = random_numbers(type, 52, HQ * DK * E);
      const int flags = rotates == 2 ? CLATTN_ROTARY_INTERLEAVED : 0;
      double *q = project(d, type, flags, x, w, rotates ? cosine : NULL, sine),
             *k = project(d, type, flags, x, other, rotates ? cosine : NULL, sine);
      double *same = scores(d, q, q), *own = scores(d, q, k);
      print_message("asymmetry %.1e with one operator, %.2f with two\n", asymmetry(same), asymmetry(own));
      assert_true(asymmetry(same) < 1e-6);
      assert_true(asymmetry(own) > 0.3);
      free(w);
      free(other);
      free(q);
      free(k);
      free(same);
      free(own);
    }
  free(x);
  free(cosine);
  free(sine);
}

static void fused_is_staged(void **state)
{
  const way staged = {variant, CLATTN_PATH_STAGED}, fused = {variant, CLATTN_PATH_FUSED};
  static double mask[HQ * T];
  for (int i = 0; i < HQ * T; i++) mask[i] = i % 4 == 3 ? -(double)INFINITY : (double)(i % 9) / 8.0;
  for (int32_t type = CLATTN_F32; type <= CLATTN_BF16; type += CLATTN_BF16 - CLATTN_F32)
    for (int bits = 0; bits < 8; bits++) {
      problem p = make_problem(type, 60), shaped = p;
      shaped.causal = bits & 1;
      shaped.has_window = (bits & 2) != 0;
      shaped.has_offset = bits == 3;
      shaped.offset = bits == 3 ? -7 : 0;
      shaped.softcap = bits & 4 ? 0.75 : 0.0;
      if (bits & 4) mask_of(&shaped, CLATTN_F32, mask, 1, HQ, 1);
      const result a = attend(*state, &shaped, &staged), b = attend(*state, &shaped, &fused);
      assert_all_near("fused and staged", type, a, b, B * HQ * S);
      free_result(a);
      free_result(b);
      free_problem(&p);
    }
}

/* A key that is closed is as good as absent: by a boolean mask, by -inf, and by a length that ends before it. */
static void a_closed_key_is_an_absent_one(void **state)
{
  enum { KEPT = T - 50 };
  static double open[T], bias[T];
  static const double lengths[B] = {KEPT, KEPT};
  EACH_WAY_AND_TYPE(w, type)
  for (int how = 0; how < 3; how++) {
    problem p = make_problem(type, 70), closed = p, absent = p;
    double *k = test_alloc(B * HK * T * DK * sizeof *k), *v = test_alloc(B * HK * T * DV * sizeof *v);
    size_t kept = 0;
    for (int j = 0; j < T; j++) {
      open[j] = how == 2 ? j < KEPT : j % 3 != 1 && j != 20 && j != T - 1;
      bias[j] = open[j] != 0.0 ? 0.0 : -(double)INFINITY;
      kept += open[j] != 0.0;
    }
    for (size_t row = 0, to = 0; row < B * HK * T; row++) {
      if (open[row % T] == 0.0) continue;
      memcpy(k + to * DK, p.k + row * DK, DK * sizeof *k);
      memcpy(v + to++ * DV, p.v + row * DV, DV * sizeof *v);
    }
    absent.k = k;
    absent.v = v;
    absent.sk = (int64_t)kept;
    if (how == 0) mask_of(&closed, CLATTN_BOOL, open, 1, 1, 1);
    if (how == 1) mask_of(&closed, type, bias, 1, 1, 1);
    if (how == 2) closed.nonpad = lengths;
    const result a = attend(*state, &closed, w), b = attend(*state, &absent, w);
    assert_all_near("closed and absent keys", type, a, b, B * HQ * S);
    free_result(a);
    free_result(b);
    free(k);
    free(v);
    free_problem(&p);
  }
}

/* Rows [from, from + n) of each of the heads of a [heads,rows,width]. */
static double *rows_of(const double *all, size_t heads, size_t rows, size_t width, size_t from, size_t n)
{
  double *part = test_alloc(heads * n * width * sizeof *part);
  for (size_t h = 0; h < heads; h++)
    memcpy(part + h * n * width, all + (h * rows + from) * width, n * width * sizeof *part);
  return part;
}

/* Causal attention with a past is the last rows of causal attention over all of it. */
static void a_past_is_the_rows_before(void **state)
{
  EACH_WAY_AND_TYPE(w, type)
  for (size_t past = 1; past < S; past += 33) {
    const size_t fresh = S - past;
    problem p = make_problem(type, 80), whole = p, tail = p;
    whole.causal = tail.causal = true;
    whole.sk = S;
    double *k = rows_of(p.k, B * HK, T, DK, 0, S), *v = rows_of(p.v, B * HK, T, DV, 0, S);
    whole.k = k;
    whole.v = v;
    tail.past = (int64_t)past;
    tail.sq = tail.sk = (int64_t)fresh;
    tail.q = rows_of(p.q, B * HQ, S, DK, past, fresh);
    tail.k = rows_of(k, B * HK, S, DK, past, fresh);
    tail.v = rows_of(v, B * HK, S, DV, past, fresh);
    tail.past_k = rows_of(k, B * HK, S, DK, 0, past);
    tail.past_v = rows_of(v, B * HK, S, DV, 0, past);
    const result a = attend(*state, &whole, w), b = attend(*state, &tail, w);
    const result last = {rows_of(a.y, B * HQ, S, DV, past, fresh), rows_of(a.lse, B * HQ, S, 1, past, fresh)};
    assert_all_near("a past and the rows before", type, last, b, (int64_t)(B * HQ * fresh));
    free_result(a);
    free_result(b);
    free_result(last);
    free(k);
    free(v);
    free((void *)tail.past_k);
    free((void *)tail.past_v);
    free_problem(&tail);
    free_problem(&p);
  }
}

static result merged(const device_under_test *d, int32_t type, result one, result two)
{
  clattn_report report;
  clattn_plan *plan = NULL;
  clattn_host_binding b[6];
  uint32_t n = 0;
  clattn_merge_desc desc = CLATTN_MERGE_DESC_INIT;
  desc.y1 = desc.y2 = desc.y = clattn_bhsd((clattn_dtype)type, B, HQ, S, DV);
  desc.lse1 = desc.lse2 = desc.lse = clattn_dense(CLATTN_F32, 3, (const int64_t[]){B, HQ, S});
  assert_status(CLATTN_OK, clattn_plan_merge(d->context, &desc, &plan, &report), &report);
  add(b, &n, CLATTN_Y, &desc.y, NULL);
  add(b, &n, CLATTN_LSE, &desc.lse, NULL);
  add(b, &n, CLATTN_Y1, &desc.y1, one.y);
  add(b, &n, CLATTN_LSE1, &desc.lse1, one.lse);
  add(b, &n, CLATTN_Y2, &desc.y2, two.y);
  add(b, &n, CLATTN_LSE2, &desc.lse2, two.lse);
  assert_status(CLATTN_OK, clattn_run_host(plan, b, n, &report), &report);
  clattn_plan_destroy(plan);
  const result r = {loaded(type, b[0].data, elements(&desc.y)), loaded(CLATTN_F32, b[1].data, elements(&desc.lse))};
  for (uint32_t i = 0; i < n; i++) free(b[i].data);
  return r;
}

/* Attention over the first keys and over the last, merged by lse, is attention over all. Causal: some rows see no key
 * of the second part. */
static void parts_of_the_keys_merge_to_the_whole(void **state)
{
  EACH_WAY_AND_TYPE(w, type)
  for (size_t cut = 31; cut < T; cut += 59) {
    problem p = make_problem(type, 90), whole = p, first = p, second = p;
    whole.causal = first.causal = second.causal = whole.has_offset = first.has_offset = second.has_offset = true;
    whole.offset = first.offset = 60;
    second.offset = 60 - (int64_t)cut;
    first.sk = (int64_t)cut;
    second.sk = (int64_t)(T - cut);
    first.k = rows_of(p.k, B * HK, T, DK, 0, cut);
    first.v = rows_of(p.v, B * HK, T, DV, 0, cut);
    second.k = rows_of(p.k, B * HK, T, DK, cut, T - cut);
    second.v = rows_of(p.v, B * HK, T, DV, cut, T - cut);
    const result all = attend(*state, &whole, w), a = attend(*state, &first, w), b = attend(*state, &second, w);
    const result both = merged(*state, type, a, b);
    for (size_t i = 0; i < B * HQ * S * DV; i++) {
      /* In 16 bits each part was rounded once before. */
      const double parts = fmax(fabs(a.y[i]), fabs(b.y[i]));
      assert_true(fabs(both.y[i] - all.y[i]) <= near_enough(type, parts) + near_enough(type, all.y[i]));
    }
    for (size_t i = 0; i < B * HQ * S; i++) assert_near("merged lse", CLATTN_F32, i, both.lse[i], all.lse[i]);
    free_result(all);
    free_result(a);
    free_result(b);
    free_result(both);
    free((void *)first.k);
    free((void *)first.v);
    free((void *)second.k);
    free((void *)second.v);
    free_problem(&p);
  }
}

/* A part whose one key is no number is not taken for a part without keys. */
static void no_number_survives_a_merge(void **state)
{
  static double mask[T];
  for (int j = 0; j < T; j++) mask[j] = j == 40;
  EACH_WAY_AND_TYPE(w, type)
  {
    problem p = make_problem(type, 95), poisoned = p;
    double *k = copy_of(p.k, B * HK * T * DK);
    for (int c = 0; c < DK; c++) k[40 * DK + c] = (double)NAN;
    poisoned.k = k;
    mask_of(&poisoned, CLATTN_BOOL, mask, 1, 1, 1);
    const result a = attend(*state, &p, w), b = attend(*state, &poisoned, w), both = merged(*state, type, a, b);
    for (size_t row = 0; row < B * HQ * S; row++) {
      const bool touched = row < HQ / HK * S;
      if (isfinite(both.y[row * DV]) == touched)
        print_error("row %zu: lse %g and %g, y %g\n", row, a.lse[row], b.lse[row], both.y[row * DV]);
      assert_true(isfinite(both.y[row * DV]) != touched);
    }
    free_result(a);
    free_result(b);
    free_result(both);
    free(k);
    free_problem(&p);
  }
}

int main(int argc, char **argv)
{
  if (!take_variant(argc, argv, &variant)) return 2;
  ways[n_ways++] = (way){variant, CLATTN_PATH_FUSED};
  ways[n_ways++] = (way){variant, CLATTN_PATH_STAGED};
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rows_of_p_sum_to_one_or_zero),
      cmocka_unit_test(values_of_one_give_one_or_zero),
      cmocka_unit_test(a_constant_of_a_row_changes_nothing),
      cmocka_unit_test(the_order_of_keys_is_nothing),
      cmocka_unit_test(y_is_linear_in_v),
      cmocka_unit_test(batches_and_heads_are_independent),
      cmocka_unit_test(one_operator_for_both_sides_is_symmetric),
      cmocka_unit_test(fused_is_staged),
      cmocka_unit_test(a_closed_key_is_an_absent_one),
      cmocka_unit_test(a_past_is_the_rows_before),
      cmocka_unit_test(parts_of_the_keys_merge_to_the_whole),
      cmocka_unit_test(no_number_survives_a_merge),
  };
  return cmocka_run_group_tests(tests, device_setup, device_teardown);
}
