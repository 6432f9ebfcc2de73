/* The report of the network against P and A written out in double: test_network [FILTER]. And the asymmetry of
 * operators against their product, E x E. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "asserts.h"
#include "box.h"
#include "oracle.h"
#include "tester.h"

typedef struct network_case {
  int64_t b, hq, hk, s, sk, dk; /* sk 0: s */
  int32_t type, mask_type;      /* 0: float32; mask_type 0: none */
  box_layout layout;
  bool causal;
  int64_t closed_rows; /* the mask closes every n-th row */
  int64_t pairs;
} network_case;

enum { AT_Q, AT_K, AT_LSE, AT_MASK, PARTS };

typedef struct bench {
  network_case c;
  box part[PARTS];
  oracle_attention o;
  double *p, *lse;
} bench;

static void fill(box *b, double largest, uint64_t seed)
{
  random_state r = {seed};
  for (int64_t i = 0; i < box_count(b); i++) box_put(b, i, largest * random_unit(&r));
  box_gather(b);
}

static void add_mask(bench *t)
{
  const network_case *c = &t->c;
  box *mask = &t->part[AT_MASK];
  box_make(mask, CLATTN_MASK, c->mask_type, 2, (int64_t[]){c->s, c->sk}, LAYOUT_GAPS, false);
  random_state r = {7};
  for (int64_t i = 0; i < c->s * c->sk; i++) {
    const bool open = random_unit(&r) > -0.3 && !(c->closed_rows && i / c->sk % c->closed_rows == 1);
    box_put(mask, i, c->mask_type == CLATTN_BOOL ? open : open ? random_unit(&r) : -(double)INFINITY);
  }
  box_gather(mask);
  t->o.mask = mask->dense;
  t->o.mask_rank = 2;
  t->o.mask_dim[0] = c->s;
  t->o.mask_dim[1] = c->sk;
  t->o.mask_is_bool = c->mask_type == CLATTN_BOOL;
}

static void make(bench *t, const network_case *given)
{
  *t = (bench){.c = *given};
  network_case *c = &t->c;
  if (!c->sk) c->sk = c->s;
  if (!c->type) c->type = CLATTN_F32;
  box_make(&t->part[AT_Q], CLATTN_Q, c->type, 4, (int64_t[]){c->b, c->hq, c->s, c->dk}, c->layout, false);
  box_make(&t->part[AT_K], CLATTN_K, c->type, 4, (int64_t[]){c->b, c->hk, c->sk, c->dk}, LAYOUT_DENSE, false);
  box_make(&t->part[AT_LSE], CLATTN_LSE, c->type == CLATTN_F64 ? CLATTN_F64 : CLATTN_F32, 3,
           (int64_t[]){c->b, c->hq, c->s}, c->layout, false);
  fill(&t->part[AT_Q], 2.0, 1);
  fill(&t->part[AT_K], 2.0, 2);
  t->o = (oracle_attention){.b = c->b,
                            .hq = c->hq,
                            .hk = c->hk,
                            .sq = c->s,
                            .sk = c->sk,
                            .dk = c->dk,
                            .q = t->part[AT_Q].dense,
                            .k = t->part[AT_K].dense,
                            .scale = (double)NAN,
                            .causal = c->causal,
                            .window_left = -1,
                            .window_right = -1,
                            .qk_mode = 3};
  if (c->mask_type) add_mask(t);
  t->p = t->o.qk = test_alloc(sizeof(double) * (size_t)(c->b * c->hq * c->s * c->sk));
  t->lse = t->o.lse = test_alloc(sizeof(double) * (size_t)(c->b * c->hq * c->s));
  oracle_attention_run(&t->o);
  for (int64_t i = 0; i < box_count(&t->part[AT_LSE]); i++) box_put(&t->part[AT_LSE], i, t->lse[i]);
}

static void release(bench *t)
{
  for (int i = 0; i < PARTS; i++)
    if (i < AT_MASK || t->c.mask_type) box_free(&t->part[i]);
  free(t->p);
  free(t->lse);
}

static double tolerance(const bench *t) { return t->c.type == CLATTN_F64 ? 1e-12 : 2e-5; }

static void assert_near(const bench *t, const char *what, double want, double got, double size)
{
  if (isnan(want) ? isnan(got) : fabs(got - want) <= tolerance(t) * fmax(size, 1.0)) return;
  fail_msg("%s: %.9g, must be %.9g (s=%d, hq=%d)", what, got, want, (int)t->c.s, (int)t->c.hq);
}

/* A head's A = q k^T, the scale left out, and its antisymmetric part. */
static double share_of(const bench *t, int64_t bh)
{
  const network_case *c = &t->c;
  const double *q = t->o.q + bh * c->s * c->dk;
  const double *k = t->o.k + (bh / c->hq * c->hk + bh % c->hq / (c->hq / c->hk)) * c->sk * c->dk;
  double whole = 0.0, anti = 0.0;
  if (c->s != c->sk) return (double)NAN;
  for (int64_t i = 0; i < c->s; i++)
    for (int64_t j = 0; j < c->s; j++) {
      double there = 0.0, back = 0.0;
      for (int64_t d = 0; d < c->dk; d++) {
        there += q[i * c->dk + d] * k[j * c->dk + d];
        back += q[j * c->dk + d] * k[i * c->dk + d];
      }
      whole += there * there;
      anti += 0.25 * (there - back) * (there - back);
    }
  return sqrt(anti / whole);
}

static double row_entropy(const double *p, int64_t n)
{
  double sum = 0.0;
  for (int64_t j = 0; j < n; j++)
    if (p[j] > 0.0) sum -= p[j] * log(p[j]);
  return sum;
}

static void check_rows(const bench *t, int64_t bh, const clattn_network_head *head, const double *entropy)
{
  const int64_t s = t->c.s, sk = t->c.sk;
  double sum = 0.0, least = (double)INFINITY, most = -(double)INFINITY, first = 0.0;
  int64_t rows = 0;
  for (int64_t i = bh * s; i < (bh + 1) * s; i++) {
    const double e = row_entropy(t->p + i * sk, sk);
    assert_near(t, "row_entropy", e, entropy[i], e);
    if (isinf(t->lse[i])) continue;
    rows++;
    sum += e;
    first += t->p[i * sk];
    least = fmin(least, e);
    most = fmax(most, e);
  }
  assert_int_equal(rows, head->rows);
  assert_near(t, "entropy_mean", sum / (double)rows, head->entropy_mean, sum / (double)rows);
  assert_near(t, "entropy_min", rows ? least : (double)NAN, head->entropy_min, least);
  assert_near(t, "entropy_max", rows ? most : (double)NAN, head->entropy_max, most);
  assert_near(t, "first_share", first / (double)rows, head->first_share, 1.0);
}

/* How many pairs of P are at least so strong. */
static int64_t stronger(const bench *t, int64_t bh, double than)
{
  const int64_t s = t->c.s;
  const double *p = t->p + bh * s * s;
  int64_t count = 0;
  for (int64_t i = 0; i < s; i++)
    for (int64_t j = i + 1; j < s; j++) count += fabs(p[i * s + j] - p[j * s + i]) > than;
  return count;
}

/* Each pair is one of P's, they fall, and no more of P's are stronger than have a place before it. */
static void check_pairs(const bench *t, int64_t bh, const clattn_network_head *head, const clattn_network_pair *pairs)
{
  const int64_t s = t->c.s;
  const double *p = t->p + bh * s * s, slack = tolerance(t) * 0.1;
  double before = (double)INFINITY;
  for (int64_t n = 0; n < t->c.pairs; n++) {
    const clattn_network_pair *a = &pairs[bh * t->c.pairs + n];
    if (n >= (int64_t)head->pairs) {
      assert_true(a->from == -1 && a->to == -1 && a->weight == 0.0 && a->back == 0.0);
      continue;
    }
    const double strength = a->weight - a->back;
    assert_true(a->from >= 0 && a->from < s && a->to >= 0 && a->to < s && a->from != a->to);
    assert_near(t, "weight", p[a->from * s + a->to], a->weight, 1.0);
    assert_near(t, "back", p[a->to * s + a->from], a->back, 1.0);
    assert_true(strength > 0.0 && strength <= before);
    if (n < 8 || n + 1 == (int64_t)head->pairs) assert_in_range(stronger(t, bh, strength + slack), 0, n);
    for (int64_t m = n - 1; m >= 0 && m > n - 5; m--)
      assert_false(pairs[bh * t->c.pairs + m].from == a->from && pairs[bh * t->c.pairs + m].to == a->to);
    before = strength;
  }
  if ((int64_t)head->pairs < t->c.pairs) assert_in_range(stronger(t, bh, slack), 0, head->pairs); /* all of them */
}

static void report_on(const device_under_test *d, const network_case *given)
{
  bench t;
  make(&t, given);
  const int64_t heads = t.c.b * t.c.hq;
  clattn_network_head *head = test_alloc(sizeof *head * (size_t)(heads + 1));
  clattn_network_pair *pairs = test_alloc(sizeof *pairs * (size_t)(heads * t.c.pairs + 1));
  double *entropy = test_alloc(sizeof *entropy * (size_t)(heads * t.c.s + 1));
  clattn_attention_desc attention = CLATTN_ATTENTION_DESC_INIT;
  clattn_network_desc desc = CLATTN_NETWORK_DESC_INIT;
  clattn_host_binding bound[PARTS];
  uint32_t n = 0;
  clattn_tensor *const view[PARTS] = {&attention.q, &attention.k, &attention.lse, &attention.mask};
  for (int i = 0; i < (t.c.mask_type ? PARTS : AT_MASK); i++) {
    const box *b = &t.part[i];
    *view[i] = b->view;
    bound[n++] = (clattn_host_binding){
        .slot = b->slot, .data = (char *)b->storage + box_offset_bytes(b), .bytes = box_bytes(b) - box_offset_bytes(b)};
  }
  attention.flags = t.c.causal ? CLATTN_CAUSAL : 0;
  desc.attention = &attention;
  desc.n_pairs = t.c.pairs;
  desc.pairs = t.c.pairs ? pairs : NULL;
  desc.row_entropy = entropy;
  head[0].struct_size = sizeof *head;
  clattn_report report;
  const clattn_status status = clattn_network_report(d->context, &desc, bound, n, head, &report);
  if (t.c.type == CLATTN_F64 && !device_has_f64(d)) {
    assert_status(CLATTN_UNSUPPORTED, status, &report);
  } else {
    assert_status(CLATTN_OK, status, &report);
    for (int64_t bh = 0; bh < heads; bh++) {
      assert_int_equal(sizeof *head, head[bh].struct_size);
      assert_near(&t, "antisymmetric_share", share_of(&t, bh), head[bh].antisymmetric_share, 1.0);
      check_rows(&t, bh, &head[bh], entropy);
      if (t.c.s == t.c.sk) check_pairs(&t, bh, &head[bh], pairs);
      if (t.c.s != t.c.sk) assert_int_equal(0, head[bh].pairs);
    }
  }
  free(head);
  free(pairs);
  free(entropy);
  release(&t);
}

static void test_small(void **state)
{
  report_on(*state, &(network_case){.b = 1, .hq = 2, .hk = 1, .s = 5, .dk = 3, .pairs = 4, .causal = true});
}

static void every_kind(void **state)
{
  report_on(*state, &(network_case){.b = 2, .hq = 4, .hk = 2, .s = 37, .dk = 16, .pairs = 9});
  report_on(
      *state,
      &(network_case){.b = 2, .hq = 3, .hk = 3, .s = 70, .dk = 8, .pairs = 50, .causal = true, .layout = LAYOUT_GAPS});
  report_on(*state,
            &(network_case){
                .b = 1, .hq = 2, .hk = 1, .s = 40, .dk = 8, .pairs = 20, .mask_type = CLATTN_BOOL, .closed_rows = 4});
  report_on(
      *state,
      &(network_case){
          .b = 1, .hq = 1, .hk = 1, .s = 33, .dk = 130, .pairs = 5, .mask_type = CLATTN_F32, .layout = LAYOUT_TOKENS});
  report_on(*state, &(network_case){.b = 1, .hq = 2, .hk = 2, .s = 21, .sk = 30, .dk = 8, .pairs = 5});
  report_on(*state, &(network_case){.b = 1, .hq = 2, .hk = 2, .s = 9, .dk = 8});
}

static void every_type(void **state)
{
  for (int32_t type = CLATTN_F16; type <= CLATTN_F64; type++)
    report_on(*state, &(network_case){.b = 1, .hq = 2, .hk = 1, .s = 50, .dk = 20, .pairs = 12, .type = type});
}

/* More places than there are pairs: all of them, in order, and nothing in the places that are left. */
static void all_pairs(void **state)
{
  report_on(*state, &(network_case){.b = 1, .hq = 2, .hk = 2, .s = 12, .dk = 4, .pairs = 100});
  report_on(*state, &(network_case){.b = 1, .hq = 1, .hk = 1, .s = 1, .dk = 4, .pairs = 3});
}

/* More than a band of rows: pairs of all bands compete. */
static void bands(void **state)
{
  report_on(*state, &(network_case){.b = 2, .hq = 1, .hk = 1, .s = 1500, .dk = 4, .pairs = 200, .causal = false});
}

static void no_rows(void **state)
{
  report_on(*state, &(network_case){.b = 1, .hq = 2, .hk = 2, .s = 0, .sk = 4, .dk = 4, .pairs = 3});
  report_on(*state,
            &(network_case){
                .b = 1, .hq = 1, .hk = 1, .s = 6, .dk = 4, .pairs = 3, .mask_type = CLATTN_BOOL, .closed_rows = 1});
}

/* M = W_Q^T W_K written out. */
static double operator_share(const double *w_q, const double *w_k, int64_t dk, int64_t e)
{
  double whole = 0.0, anti = 0.0;
  for (int64_t i = 0; i < e; i++)
    for (int64_t j = 0; j < e; j++) {
      double there = 0.0, back = 0.0;
      for (int64_t d = 0; d < dk; d++) {
        there += w_q[d * e + i] * w_k[d * e + j];
        back += w_q[d * e + j] * w_k[d * e + i];
      }
      whole += there * there;
      anti += 0.25 * (there - back) * (there - back);
    }
  return sqrt(anti / whole);
}

static void operators(void **state)
{
  (void)state;
  enum { HQ = 6, HK = 2, DK = 9, E = 70 };
  for (int32_t type = CLATTN_F32; type <= CLATTN_F64; type++)
    for (box_layout layout = LAYOUT_DENSE; layout <= LAYOUT_REVERSED; layout += 2) {
      box q, k;
      double share[HQ];
      clattn_report report;
      box_make(&q, CLATTN_W_Q, type, 2, (int64_t[]){HQ * DK, E}, layout, false);
      box_make(&k, CLATTN_W_K, 1 + type % 4, 2, (int64_t[]){HK * DK, E}, LAYOUT_REVERSED - layout, false);
      fill(&q, 1.0, 3);
      fill(&k, 1.0, 4);
      for (int64_t n = 0; n < DK * E; n++) /* a head that is as symmetric as its types let it be */
        box_put(&k, DK * E + n, q.dense[5 * DK * E + n]);
      box_gather(&k);
      assert_status(CLATTN_OK,
                    clattn_operator_asymmetry(&q.view, (char *)q.storage + box_offset_bytes(&q), &k.view,
                                              (char *)k.storage + box_offset_bytes(&k), HQ, HK, share, &report),
                    &report);
      for (int h = 0; h < HQ; h++) {
        const double want = operator_share(q.dense + h * DK * E, k.dense + h / (HQ / HK) * DK * E, DK, E);
        if (fabs(share[h] - want) > 1e-7) fail_msg("head %d: %.12g, must be %.12g", h, share[h], want);
      }
      assert_true(share[5] < 0.01 && share[0] > 0.5);
      box_free(&q);
      box_free(&k);
    }
}

int main(int argc, char **argv)
{
  if (argc > 1) cmocka_set_test_filter(argv[1]);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_small), cmocka_unit_test(every_kind), cmocka_unit_test(every_type),
      cmocka_unit_test(all_pairs),  cmocka_unit_test(bands),      cmocka_unit_test(no_rows),
      cmocka_unit_test(operators),
  };
  return cmocka_run_group_tests(tests, device_setup, device_teardown);
}
