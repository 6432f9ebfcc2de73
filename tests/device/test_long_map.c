/* 16,384 causal tokens, looked at: a pooled map and the report of the network. The matrix would have 1 GiB; the process
 * stays below. For devices that make such a map within a test's time. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "asserts.h"
#include "device_under_test.h"
#include "numerics.h"

enum { TOKENS = 16384, D = 64, TILE = 64, TILES = TOKENS / TILE, PAIRS = 40, MOST_MIB = 640 };

typedef struct tokens {
  float *q, *k, *lse, *map;
  clattn_attention_desc attention;
} tokens;

static float *filled(uint64_t seed, double largest)
{
  random_state r = {seed};
  float *numbers = test_alloc(sizeof *numbers * TOKENS * D);
  for (int64_t i = 0; i < (int64_t)TOKENS * D; i++) numbers[i] = (float)(largest * random_unit(&r));
  return numbers;
}

static double score(const tokens *t, int64_t i, int64_t j)
{
  double sum = 0.0;
  for (int d = 0; d < D; d++) sum += (double)t->q[i * D + d] * (double)t->k[j * D + d];
  return sum / 8.0;
}

/* lse of a row, by the formula. */
static double row_lse(const tokens *t, int64_t i)
{
  double sum = 0.0;
  for (int64_t j = 0; j <= i; j++) sum += exp(score(t, i, j));
  return log(sum);
}

/* The library's own lse of all rows. */
static void attend(const device_under_test *d, tokens *t)
{
  const size_t bytes = sizeof(float) * TOKENS * D;
  float *y = test_alloc(bytes);
  clattn_report report;
  clattn_plan *plan = NULL;
  t->q = filled(1, 2.0);
  t->k = filled(2, 2.0);
  t->lse = test_alloc(sizeof(float) * TOKENS);
  t->map = test_alloc(sizeof(float) * TILES * TILES);
  t->attention = (clattn_attention_desc)CLATTN_ATTENTION_DESC_INIT;
  t->attention.flags = CLATTN_CAUSAL;
  t->attention.q = t->attention.k = t->attention.v = t->attention.y = clattn_bhsd(CLATTN_F32, 1, 1, TOKENS, D);
  t->attention.lse = clattn_dense(CLATTN_F32, 3, (int64_t[]){1, 1, TOKENS});
  const clattn_host_binding b[] = {{CLATTN_Q, 0, t->q, bytes},
                                   {CLATTN_K, 0, t->k, bytes},
                                   {CLATTN_V, 0, t->k, bytes},
                                   {CLATTN_Y, 0, y, bytes},
                                   {CLATTN_LSE, 0, t->lse, sizeof(float) * TOKENS}};
  assert_status(CLATTN_OK, clattn_plan_attention(d->context, &t->attention, &plan, &report), &report);
  assert_status(CLATTN_OK, clattn_run_host(plan, b, 5, &report), &report);
  clattn_plan_destroy(plan);
  free(y);
}

static void check_memory(void)
{
  struct rusage usage;
  assert_int_equal(0, getrusage(RUSAGE_SELF, &usage));
  print_message("at most %ld MiB\n", usage.ru_maxrss / 1024);
  assert_in_range(usage.ru_maxrss / 1024, 1, MOST_MIB);
}

/* Tile (I,J) of sums in double. */
static void check_tile(const tokens *t, int64_t tile_row, int64_t tile_key)
{
  double want = 0.0;
  for (int64_t i = tile_row * TILE; i < (tile_row + 1) * TILE; i++) {
    const double lse = row_lse(t, i);
    for (int64_t j = tile_key * TILE; j < (tile_key + 1) * TILE && j <= i; j++) want += exp(score(t, i, j) - lse);
  }
  const double got = (double)t->map[tile_row * TILES + tile_key];
  if (fabs(got - want) > 2e-5 * want) fail_msg("tile %d,%d: %g, must be %g", (int)tile_row, (int)tile_key, got, want);
}

static void a_pooled_map(void **state)
{
  tokens t;
  clattn_report report;
  clattn_plan *plan = NULL;
  clattn_map_desc desc = CLATTN_MAP_DESC_INIT;
  const device_under_test *d = *state;
  attend(d, &t);
  desc.attention = &t.attention;
  desc.tile_rows = desc.tile_keys = TILE;
  desc.map = clattn_bhsd(CLATTN_F32, 1, 1, TILES, TILES);
  const clattn_host_binding b[] = {{CLATTN_Q, 0, t.q, sizeof(float) * TOKENS * D},
                                   {CLATTN_K, 0, t.k, sizeof(float) * TOKENS * D},
                                   {CLATTN_LSE, 0, t.lse, sizeof(float) * TOKENS},
                                   {CLATTN_MAP, 0, t.map, sizeof(float) * TILES * TILES}};
  assert_status(CLATTN_OK, clattn_plan_map(d->context, &desc, &plan, &report), &report);
  assert_true(clattn_plan_workspace_bytes(plan) <= (size_t)16 << 20);
  assert_status(CLATTN_OK, clattn_run_host(plan, b, 4, &report), &report);
  clattn_plan_destroy(plan);
  for (int i = 0; i < TILES; i++) { /* a tile's rows share out one each */
    double sum = 0.0;
    for (int j = 0; j < TILES; j++) sum += (double)t.map[i * TILES + j];
    assert_true(fabs(sum - TILE) < 2e-5 * TILE);
    for (int j = i + 1; j < TILES; j++) assert_true(t.map[i * TILES + j] == 0.0f);
  }
  check_tile(&t, 0, 0);
  check_tile(&t, 100, 37);
  check_tile(&t, TILES - 1, TILES - 1);
  check_tile(&t, TILES - 1, 0);
  check_memory();
  free(t.q);
  free(t.k);
  free(t.lse);
  free(t.map);
}

static void a_report(void **state)
{
  tokens t;
  clattn_report report;
  clattn_network_head head = CLATTN_NETWORK_HEAD_INIT;
  clattn_network_pair pairs[PAIRS];
  clattn_network_desc desc = CLATTN_NETWORK_DESC_INIT;
  const device_under_test *d = *state;
  double *entropy = test_alloc(sizeof *entropy * TOKENS);
  attend(d, &t);
  desc.attention = &t.attention;
  desc.n_pairs = PAIRS;
  desc.pairs = pairs;
  desc.row_entropy = entropy;
  const clattn_host_binding b[] = {{CLATTN_Q, 0, t.q, sizeof(float) * TOKENS * D},
                                   {CLATTN_K, 0, t.k, sizeof(float) * TOKENS * D},
                                   {CLATTN_LSE, 0, t.lse, sizeof(float) * TOKENS}};
  assert_status(CLATTN_OK, clattn_network_report(d->context, &desc, b, 3, &head, &report), &report);
  assert_int_equal(TOKENS, head.rows);
  assert_int_equal(PAIRS, head.pairs);
  assert_true(fabs(head.antisymmetric_share - sqrt(0.5)) < 0.01);                             /* random q and k */
  assert_true(head.entropy_min >= 0.0 && head.entropy_min < 1e-6 && fabs(entropy[0]) < 1e-6); /* one key alone */
  static const int64_t rows[] = {1, 255, 256, 9000, TOKENS - 1};
  for (size_t n = 0; n < sizeof rows / sizeof rows[0]; n++) {
    const double lse = row_lse(&t, rows[n]);
    double want = 0.0;
    for (int64_t j = 0; j <= rows[n]; j++) want += exp(score(&t, rows[n], j) - lse) * (lse - score(&t, rows[n], j));
    assert_true(fabs(entropy[rows[n]] - want) < 2e-5 * fmax(want, 1.0));
  }
  for (int n = 0; n < PAIRS; n++) { /* causal: the later token looks at the earlier, which does not look back */
    assert_true(pairs[n].from > pairs[n].to && pairs[n].back == 0.0);
    const double want = exp(score(&t, pairs[n].from, pairs[n].to) - row_lse(&t, pairs[n].from));
    assert_true(fabs(pairs[n].weight - want) < 2e-5);
    assert_true(n == 0 || pairs[n].weight <= pairs[n - 1].weight);
  }
  check_memory();
  free(t.q);
  free(t.k);
  free(t.lse);
  free(t.map);
  free(entropy);
}

int main(void)
{
  const struct CMUnitTest tests[] = {cmocka_unit_test(a_pooled_map), cmocka_unit_test(a_report)};
  return cmocka_run_group_tests(tests, device_setup, device_teardown);
}
