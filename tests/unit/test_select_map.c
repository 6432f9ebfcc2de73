/* Maps: the score stage of each family with a launch appended, and the steps that a run is cut into. */
#include "map_steps.h"
#include "names.h"
#include "quirks.h"
#include "select_fixture.h"

/* A map of all of [b, heads, rows, keys], float32, D 16. */
static ca_problem map_of(int64_t b, int64_t heads, int64_t rows, int64_t keys, int64_t tile_rows, int64_t tile_keys)
{
  ca_problem problem = attention(rows, keys, 16, 16);
  problem.operation = CA_OP_MAP;
  problem.tensor[CLATTN_V] = problem.tensor[CLATTN_Y] = (ca_tensor){0};
  problem.tensor[CLATTN_LSE] = dense(CLATTN_F32, b, heads, rows, 1);
  problem.tensor[CLATTN_MAP] =
      dense(CLATTN_F32, b, heads, ca_map_tiles(rows, tile_rows), ca_map_tiles(keys, tile_keys));
  problem.attention.hq = problem.attention.hk = 1;
  problem.attention.qk_mode = CA_QK_MASKED;
  problem.map = (ca_map_problem){
      .b = b, .group = 1, .heads = heads, .rows = rows, .keys = keys, .tile_rows = tile_rows, .tile_keys = tile_keys};
  ca_map_cut(&problem, sizeof(float));
  return problem;
}

/* Every row of every head and batch item is in one step, in order, and a step is no larger than promised. */
static void check_steps(int64_t b, int64_t heads, int64_t rows, int64_t keys, int64_t tile_rows)
{
  const ca_problem problem = map_of(b, heads, rows, keys, tile_rows, 7);
  const ca_attention_problem *a = &problem.attention;
  const int64_t steps = ca_map_steps(&problem);
  int64_t covered = 0, next_row = 0;
  assert_true(!problem.map.carry || tile_rows > 1);
  assert_true((a->b * a->sq * keys + problem.map.carry) * 4 <= CA_MAP_STEP_BYTES || (a->b == 1 && a->sq == 1));
  for (int64_t i = 0; i < steps; i++) {
    const ca_map_step step = ca_map_step_at(&problem, i);
    assert_in_range(step.rows, 1, a->sq);
    assert_in_range(step.batches, 1, a->b);
    assert_int_equal(next_row, step.row);
    next_row = step.row + step.rows == rows ? 0 : step.row + step.rows;
    assert_true(problem.map.carry || !(step.row % tile_rows)); /* whole tiles, or what they take along */
    assert_true(!problem.map.carry || a->b == 1);
    covered += step.rows * step.batches;
  }
  assert_int_equal(b * heads * rows, covered);
}

static void steps_cover_everything_once(void **state)
{
  (void)state;
  check_steps(1, 1, 5, 5, 1);
  check_steps(3, 4, 100, 100, 7);
  check_steps(50, 2, 700, 700, 64);
  check_steps(2, 3, 5000, 5000, 64);
  check_steps(2, 3, 5000, 5000, 5000);
  check_steps(1, 1, 3, 5000000, 2);
  check_steps(1, 2, 3, 5000000, 1);
  check_steps(7, 2, 2048, 2048, 2000);
  assert_int_equal(0, ca_map_steps(&(ca_problem){.operation = CA_OP_MAP}));
}

static void work_items_share_large_tiles(void **state)
{
  (void)state;
  static const struct {
    int64_t rows, keys, size, down, across;
  } cases[] = {{1, 1, 64, 1, 1},    {15, 17, 64, 1, 1},  {16, 16, 64, 4, 16}, {64, 64, 64, 1, 64},
               {300, 3, 64, 16, 4}, {1, 300, 64, 1, 64}, {999, 999, 1, 1, 1}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    int64_t down, across;
    ca_map_share(&(ca_map_problem){.tile_rows = cases[i].rows, .tile_keys = cases[i].keys}, cases[i].size, &down,
                 &across);
    assert_int_equal(cases[i].down, down);
    assert_int_equal(cases[i].across, across);
  }
}

/* The id is the score stage's; the launch that follows has vectors on a CPU, groups elsewhere and in float64. */
static void a_launch_follows_the_scores(void **state)
{
  (void)state;
  static const struct {
    const char *device, *id, *options;
  } cases[] = {{"pocl-avx512", "vector_scores_f32_d16_l16t6x4", "-DP_WG=1 -DP_LANES=16 -DP_DOUBLE=0"},
               {"pocl-avx2", "vector_scores_f32_d16_l8t6x2", "-DP_WG=1 -DP_LANES=8 -DP_DOUBLE=0"},
               {"rtx-4090", "tiled_scores_f32_d16_m32n32k16", "-DP_WG=64 -DP_LANES=1 -DP_DOUBLE=0"}};
  ca_problem problem = map_of(2, 8, 300, 300, 10, 10);
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    const ca_facts facts = facts_of(cases[i].device);
    const ca_choice choice = chosen(&problem, &facts);
    assert_string_equal(cases[i].id, choice.id);
    assert_int_equal(2, choice.n_launches);
    assert_int_equal(CA_STAGE_scores, choice.launch[0].stage);
    assert_int_equal(CA_STAGE_map, choice.launch[1].stage);
    assert_string_equal(cases[i].options, choice.launch[1].options);
    assert_int_equal(strstr(cases[i].options, "-DP_WG=1 ") != NULL, choice.launch[1].lone);
    assert_int_equal(2 * 300 * 300 * 4, choice.workspace_bytes);
  }
  const ca_facts facts = facts_of("pocl-avx512");
  problem.tensor[CLATTN_MAP].dtype = CLATTN_F64;
  const ca_choice choice = chosen(&problem, &facts);
  assert_string_equal("reference_scores_f32_d16", choice.id);
  assert_string_equal("-DP_WG=64 -DP_LANES=1 -DP_DOUBLE=1", choice.launch[1].options);
  assert_int_equal(2 * 300 * 300 * 8, choice.workspace_bytes);
  problem = map_of(2, 8, 0, 300, 1, 1);
  assert_int_equal(0, chosen(&problem, &facts).n_launches);
}

static void refusals(void **state)
{
  (void)state;
  ca_problem problem = map_of(1, 1, 1000, 1000, 1000, 1000);
  ca_facts facts = plain_gpu();
  facts.max_alloc_bytes = 1000;
  refuses(&problem, &facts, CLATTN_UNSUPPORTED, "reference_scores_f32_d16",
          "needs a workspace of 4000000 bytes, the largest buffer has 1000");
  facts = plain_gpu();
  snprintf(facts.wrong_variants, sizeof facts.wrong_variants, CA_MAP_KIND "\n");
  refuses(&problem, &facts, CLATTN_UNSUPPORTED, "tiled_scores_f32_d16_m64n64k16",
          "maps were wrong in the selftest of this device");
  problem = map_of(1, 1, 4000, 4000, 4000, 4000);
  facts = plain_gpu();
  facts.quirks = CA_QUIRK_BIT(short_loops);
  refuses(&problem, &facts, CLATTN_UNSUPPORTED, "reference_scores_f32_d16",
          "tiles of 4000 x 4000 are too large: this driver ends a work-item's loops");
  problem = map_of(1, 1, 4000, 4000, 400, 400);
  assert_int_equal(2, chosen(&problem, &facts).n_launches);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(steps_cover_everything_once),
      cmocka_unit_test(work_items_share_large_tiles),
      cmocka_unit_test(a_launch_follows_the_scores),
      cmocka_unit_test(refusals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
