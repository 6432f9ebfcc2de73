/* 131,072 causal tokens on one head: the run ends, and rows of it agree with the oracle. For devices that compute two
 * tera-operations within a test's time. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "asserts.h"
#include "numerics.h"
#include "oracle.h"
#include "tester.h"

enum { TOKENS = 131072, D = 64, RANDOM_ROWS = 16, LONGEST_SUM = 4096 };

static float *filled(uint64_t seed)
{
  random_state r = {seed};
  float *numbers = test_alloc(sizeof *numbers * TOKENS * D);
  for (int64_t i = 0; i < (int64_t)TOKENS * D; i++) numbers[i] = (float)(2.0 * random_unit(&r));
  return numbers;
}

static double *widened(const float *numbers, int64_t n)
{
  double *wide = test_alloc(sizeof *wide * (size_t)n);
  for (int64_t i = 0; i < n; i++) wide[i] = (double)numbers[i];
  return wide;
}

/* The error that the formula allows grows with the root of the keys beyond the longest that it is written for. */
static double growth(int64_t keys) { return keys > LONGEST_SUM ? sqrt((double)keys / LONGEST_SUM) : 1.0; }

static void check_row(int64_t row, const double *q, const double *k, const double *v, const float *y, const float *lse)
{
  double want[D], pv_abs[D], want_lse, s_abs;
  oracle_attention_run(&(oracle_attention){.b = 1,
                                           .hq = 1,
                                           .hk = 1,
                                           .sq = 1,
                                           .sk = row + 1,
                                           .dk = D,
                                           .dv = D,
                                           .q = q + row * D,
                                           .k = k,
                                           .v = v,
                                           .scale = (double)NAN,
                                           .window_left = -1,
                                           .window_right = -1,
                                           .y = want,
                                           .lse = &want_lse,
                                           .s_abs = &s_abs,
                                           .pv_abs = pv_abs});
  for (int d = 0; d < D; d++) {
    const double allowed = growth(row + 1) * accuracy_allowed(CLATTN_F32, want[d], pv_abs[d], s_abs);
    const double error = fabs((double)y[row * D + d] - want[d]);
    if (!(error <= allowed))
      fail_msg("row %lld, channel %d: %g, must be %g within %g", (long long)row, d, (double)y[row * D + d], want[d],
               allowed);
  }
  const double allowed = growth(row + 1) * accuracy_allowed(CLATTN_F32, want_lse, 1.0, s_abs);
  if (!(fabs((double)lse[row] - want_lse) <= allowed))
    fail_msg("row %lld: lse %g, must be %g within %g", (long long)row, (double)lse[row], want_lse, allowed);
}

static void a_long_sequence(void **state)
{
  static const int64_t rows[] = {0, 1, 63, 64, 255, 256, 257, 65535, 65536, TOKENS - 257, TOKENS - 2, TOKENS - 1};
  const device_under_test *d = *state;
  const size_t bytes = sizeof(float) * TOKENS * D;
  float *q = filled(1), *k = filled(2), *v = filled(3);
  float *y = test_alloc(bytes), *lse = test_alloc(sizeof *lse * TOKENS);
  clattn_attention_desc desc = CLATTN_ATTENTION_DESC_INIT;
  desc.flags = CLATTN_CAUSAL;
  desc.q = desc.k = desc.v = desc.y = clattn_bhsd(CLATTN_F32, 1, 1, TOKENS, D);
  desc.lse = clattn_dense(CLATTN_F32, 3, (const int64_t[]){1, 1, TOKENS});
  clattn_host_binding bindings[] = {{CLATTN_Q, 0, q, bytes},
                                    {CLATTN_K, 0, k, bytes},
                                    {CLATTN_V, 0, v, bytes},
                                    {CLATTN_Y, 0, y, bytes},
                                    {CLATTN_LSE, 0, lse, sizeof *lse * TOKENS}};
  clattn_report report;
  clattn_plan *plan = NULL;
  assert_status(CLATTN_OK, clattn_plan_attention(d->context, &desc, &plan, &report), &report);
  assert_true(clattn_plan_workspace_bytes(plan) < (size_t)64 << 20);
  assert_status(CLATTN_OK, clattn_run_host(plan, bindings, 5, &report), &report);
  clattn_plan_destroy(plan);
  double *wide[3] = {widened(q, (int64_t)TOKENS * D), widened(k, (int64_t)TOKENS * D), widened(v, (int64_t)TOKENS * D)};
  random_state r = {4};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) check_row(rows[i], wide[0], wide[1], wide[2], y, lse);
  for (int i = 0; i < RANDOM_ROWS; i++) check_row(random_between(&r, 0, TOKENS - 1), wide[0], wide[1], wide[2], y, lse);
  for (int i = 0; i < 3; i++) free(wide[i]);
  free(q);
  free(k);
  free(v);
  free(y);
  free(lse);
}

int main(void)
{
  const struct CMUnitTest tests[] = {cmocka_unit_test(a_long_sequence)};
  return cmocka_run_group_tests(tests, device_setup, device_teardown);
}
