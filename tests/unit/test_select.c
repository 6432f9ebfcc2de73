/* What the planner chooses: tiles by limits and by size, stages, workspaces, launches, names. */
#include "select_fixture.h"

static void chooses_by_rule_on_every_device_on_record(void **state)
{
  (void)state;
  static const struct {
    const char *facts, *fused, *staged, *projected;
  } cases[] = {
      {"rtx-4090", "tiled_attention_f32_d64_q64k64", "tiled_staged_f32_d64_m64n64k16",
       "tiled_projection_f32bf16_m64n64k16"},
      {"rx-7900xtx", "tiled_attention_f32_d64_q64k64", "tiled_staged_f32_d64_m64n64k16",
       "tiled_projection_f32bf16_m64n64k16"},
      {"arc-a770", "tiled_attention_f32_d64_q64k64", "tiled_staged_f32_d64_m64n64k16",
       "tiled_projection_f32bf16_m64n64k16"},
      {"mali-g78", "tiled_attention_f32_d64_q64k64", "tiled_staged_f32_d64_m64n64k16",
       "tiled_projection_f32bf16_m64n64k16"},
      {"pocl-avx512", "vector_attention_f32_d64_l16t6x4q256k144", "vector_staged_f32_d64_l16t6x4",
       "vector_projection_f32bf16_l16t6x4m128n256"},
      {"pocl-avx2", "vector_attention_f32_d64_l8t4x3q96k144", "vector_staged_f32_d64_l8t6x2",
       "vector_projection_f32bf16_l8t4x3m48n256"},
      {"intel-cpu", "vector_attention_f32_d64_l16t6x4q256k144", "vector_staged_f32_d64_l16t6x4",
       "vector_projection_f32bf16_l16t6x4m128n256"},
      {"llvmpipe", "tiled_attention_f32_d64_q32k32", "tiled_staged_f32_d64_m32n32k16",
       "tiled_projection_f32bf16_m32n32k16"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    const ca_facts facts = facts_of(cases[i].facts);
    ca_problem problem = attention(1024, 1024, 64, 64);
    assert_string_equal(cases[i].fused, chosen(&problem, &facts).id);
    problem.path = CLATTN_PATH_STAGED;
    assert_string_equal(cases[i].staged, chosen(&problem, &facts).id);
    problem = projection(1, 1024, 576, 16, 64, CLATTN_BF16);
    assert_string_equal(cases[i].projected, chosen(&problem, &facts).id);
  }
}

/* Attention of 65,536 tokens by themselves, 8 heads: the fused path stays under 64 MiB whatever the device. */
static void long_attention_takes_little_workspace(void **state)
{
  (void)state;
  static const char *const devices[] = {"rtx-4090",  "rx-7900xtx", "arc-a770", "mali-g78", "pocl-avx512",
                                        "pocl-avx2", "intel-cpu",  "llvmpipe", "oclgrind"};
  enum { LONG = 65536, LIMIT_BYTES = 64 << 20 };
  for (size_t i = 0; i < sizeof devices / sizeof devices[0]; i++)
    for (int64_t channels = 64; channels <= 128; channels *= 2)
      for (int causal = 0; causal < 2; causal++) {
        const ca_facts facts = facts_of(devices[i]);
        ca_problem problem = attention(LONG, LONG, channels, channels);
        problem.path = CLATTN_PATH_FUSED;
        problem.attention.b = 1;
        problem.attention.causal = causal;
        assert_in_range(chosen(&problem, &facts).workspace_bytes, 0, LIMIT_BYTES - 1);
        problem.attention.sq = 1; /* decode of as many keys, which is cut into parts */
        assert_in_range(chosen(&problem, &facts).workspace_bytes, 0, LIMIT_BYTES - 1);
      }
}

/* Few queries go along the channels: by the tile that holds the rows that share a key, up to three halves of a vector.
 */
static void few_queries_are_decoded_on_cpus(void **state)
{
  (void)state;
  static const struct {
    const char *facts;
    int64_t sq, hk;
    const char *id;
  } cases[] = {
      {"pocl-avx512", 1, 8, "vector_attention_f32_d64_decode_l16r1"},
      {"pocl-avx512", 1, 4, "vector_attention_f32_d64_decode_l16r2"},
      {"pocl-avx512", 2, 8, "vector_attention_f32_d64_decode_l16r2"},
      {"pocl-avx512", 1, 2, "vector_attention_f32_d64_decode_l16r4"},
      {"pocl-avx512", 3, 8, "vector_attention_f32_d64_decode_l16r4"},
      {"pocl-avx512", 24, 1, "vector_attention_f32_d64_decode_l16r4"},
      {"pocl-avx512", 25, 8, "vector_attention_f32_d64_l16t12x2q32k144"},
      {"intel-cpu", 1, 8, "vector_attention_f32_d64_decode_l16r1"},
      {"pocl-avx2", 1, 8, "vector_attention_f32_d64_decode_l8r1"},
      {"pocl-avx2", 12, 1, "vector_attention_f32_d64_decode_l8r4"},
      {"pocl-avx2", 13, 1, "vector_attention_f32_d64_l8t6x2q16k144"},
      {"llvmpipe", 1, 4, "tiled_attention_f32_d64_q32k32"},
      {"rtx-4090", 1, 4, "tiled_attention_f32_d64_q16k64"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    const ca_facts facts = facts_of(cases[i].facts);
    ca_problem problem = attention(cases[i].sq, 2000, 64, 64);
    problem.attention.hk = cases[i].hk;
    assert_string_equal(cases[i].id, chosen(&problem, &facts).id);
  }
}

/* Keys are cut until every core has four work-items, into parts of 256 keys at least and 4096 at most. */
static void keys_are_cut_where_heads_are_few(void **state)
{
  (void)state;
  static const struct {
    uint64_t cores;
    int64_t b, hk, sq, sk;
    int parts;
  } cases[] = {{2, 1, 8, 1, 4000, 0}, {2, 1, 4, 1, 4000, 2},    {2, 1, 1, 1, 4000, 8},   {2, 1, 1, 1, 600, 2},
               {2, 1, 1, 1, 511, 0},  {64, 1, 8, 1, 8192, 32},  {64, 1, 8, 1, 4096, 16}, {2, 4, 8, 1, 4096, 0},
               {2, 4, 8, 1, 4097, 2}, {2, 1, 8, 1, 100000, 25}, {0, 1, 1, 1, 2048, 4},   {2, 1, 1, 16, 8192, 2},
               {2, 1, 1, 2, 8192, 8}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    ca_facts facts = facts_of("pocl-avx512");
    facts.compute_units = cases[i].cores;
    ca_problem problem = attention(cases[i].sq, cases[i].sk, 64, 48);
    problem.attention.b = cases[i].b;
    problem.attention.hk = cases[i].hk;
    const ca_choice choice = chosen(&problem, &facts);
    assert_int_equal(cases[i].parts, choice.parts);
    assert_int_equal(cases[i].b * 8 * cases[i].sq * cases[i].parts * (48 + 2) * 4, choice.workspace_bytes);
    assert_int_equal(cases[i].parts ? 2 : 1, choice.n_launches);
    assert_int_equal(cases[i].parts ? CA_STAGE_attention_parts : CA_STAGE_attention, choice.launch[0].stage);
    assert_int_equal(cases[i].b * cases[i].hk * (cases[i].parts ? cases[i].parts : 1), choice.launch[0].groups[0]);
    if (cases[i].parts == 0) continue;
    assert_int_equal(CA_STAGE_attention_join, choice.launch[1].stage);
    assert_int_equal(cases[i].b * 8 * cases[i].sq, choice.launch[1].groups[0]);
    assert_string_equal(choice.launch[0].options, choice.launch[1].options); /* one program */
  }
}

/* Of a window only the keys that it holds are cut. */
static void a_window_is_cut_no_finer_than_it_is_long(void **state)
{
  (void)state;
  const ca_facts facts = facts_of("pocl-avx512");
  ca_problem problem = attention(1, 100000, 64, 64);
  problem.attention.b = problem.attention.hk = 1;
  problem.attention.window_left = 1000;
  assert_int_equal(25, chosen(&problem, &facts).parts); /* no end to the right */
  problem.attention.causal = true;
  assert_int_equal(3, chosen(&problem, &facts).parts);
  problem.attention.causal = false;
  problem.attention.window_right = 1000;
  assert_int_equal(7, chosen(&problem, &facts).parts);
  problem.attention.window_left = problem.attention.window_right = 60;
  assert_int_equal(0, chosen(&problem, &facts).parts);
}

/* Every choice keeps within the limits it was given, and only work-groups under 64 are left to the reference. */
static void every_limit_gets_a_variant_that_keeps_it(void **state)
{
  (void)state;
  static const uint64_t local_bytes[] = {16384, 32768, 49152, 65536};
  static const int64_t channels[] = {1, 32, 40, 64, 80, 96, 128, 192, 256, 500, 512};
  static const ca_device_type types[] = {CA_DEVICE_GPU, CA_DEVICE_CPU};
  ca_facts facts = plain_gpu();
  for (int cpu = 0; cpu < 2; cpu++)
    for (size_t l = 0; l < 4; l++)
      for (uint64_t group = 32; group <= 1024; group *= 2)
        for (size_t d = 0; d < sizeof channels / sizeof channels[0]; d++)
          for (int path = CLATTN_PATH_STAGED; path <= CLATTN_PATH_FUSED; path++) {
            facts.type = types[cpu];
            facts.local_memory_bytes = local_bytes[l];
            facts.work_group_size = group;
            ca_problem problem = attention(300, 300, channels[d], channels[d]);
            problem.path = path;
            const ca_choice choice = chosen(&problem, &facts);
            assert_int_equal(group >= 64 ? 't' : 'r', choice.id[0]);
            for (uint32_t n = 0; n < choice.n_launches; n++) {
              assert_true(choice.launch[n].local[0] <= group);
              assert_true(choice.launch[n].local_memory_bytes <= local_bytes[l]);
              assert_true(choice.launch[n].groups[0] > 0);
              assert_true(choice.launch[n].groups[0] * choice.launch[n].local[0] <= INT32_MAX);
            }
          }
}

static void local_memory_decides_the_tile(void **state)
{
  (void)state;
  static const struct {
    uint64_t local_bytes;
    const char *tile;
  } cases[] = {{65536, "q64k64"}, {49152, "q64k64"}, {32768, "q64k64"}, {24576, "q32k64"}, {16384, "q32k32"}};
  ca_facts facts = plain_gpu();
  const ca_problem problem = attention(1024, 1024, 128, 128);
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    facts.local_memory_bytes = cases[i].local_bytes;
    assert_holds(chosen(&problem, &facts).id, cases[i].tile);
  }
}

static void few_rows_and_few_tiles_take_small_tiles(void **state)
{
  (void)state;
  ca_facts facts = plain_gpu();
  ca_problem problem = attention(1, 1000, 64, 64);
  assert_holds(chosen(&problem, &facts).id, "_q16k64");
  problem = attention(40, 1000, 64, 64);
  assert_holds(chosen(&problem, &facts).id, "_q64k64");
  facts.compute_units = 100; /* 2 x 8 heads x ceil(256 / 64) = 64 tiles, or 128 of 32 rows */
  problem = attention(256, 1000, 64, 64);
  assert_holds(chosen(&problem, &facts).id, "_q32k64");
}

static void staged_attention_is_three_launches_and_a_workspace(void **state)
{
  (void)state;
  const ca_facts facts = facts_of("pocl-avx512");
  ca_problem problem = with_qk(attention(100, 200, 64, 32), CA_QK_MASKED);
  const ca_choice choice = chosen(&problem, &facts); /* path auto: qk asks for the stages */
  assert_string_equal("vector_staged_f32_d64v32_l16t6x4", choice.id);
  assert_int_equal(3, choice.n_launches);
  assert_int_equal(CA_STAGE_scores, choice.launch[0].stage);
  assert_int_equal(CA_STAGE_softmax, choice.launch[1].stage);
  assert_int_equal(CA_STAGE_values, choice.launch[2].stage);
  assert_int_equal(2 * 8 * 100 * 200 * 4, choice.workspace_bytes);
  for (int i = 1; i < 3; i++) { /* one program for all */
    assert_string_equal(choice.launch[0].source, choice.launch[i].source);
    assert_string_equal(choice.launch[0].options, choice.launch[i].options);
  }
}

static void scores_need_a_workspace_for_probabilities_only(void **state)
{
  (void)state;
  const ca_facts facts = plain_gpu();
  for (int32_t mode = CA_QK_SCALED; mode <= CA_QK_PROBABILITIES; mode++)
    for (int family = 0; family < 2; family++) {
      ca_problem problem = with_qk(attention(10, 20, 64, 64), mode);
      problem.operation = CA_OP_SCORES;
      problem.variant = family ? "reference" : "tiled";
      const ca_choice choice = chosen(&problem, &facts);
      const bool two = mode == CA_QK_PROBABILITIES;
      assert_int_equal(two ? 2 : 1, choice.n_launches);
      assert_int_equal(two ? 2 * 8 * 10 * 20 * 4 : 0, choice.workspace_bytes);
    }
}

static void empty_tensors_need_few_launches_or_none(void **state)
{
  (void)state;
  const ca_facts facts = plain_gpu();
  for (int family = 0; family < 2; family++) {
    const char *variant = family ? "reference" : "tiled";
    ca_problem problem = attention(0, 20, 64, 64);
    problem.variant = variant;
    assert_int_equal(0, chosen(&problem, &facts).n_launches);
    problem.path = CLATTN_PATH_STAGED;
    assert_int_equal(0, chosen(&problem, &facts).n_launches);
    problem = attention(10, 0, 64, 64); /* no key: y is zero, but it is written */
    problem.variant = variant;
    assert_int_equal(1, chosen(&problem, &facts).n_launches);
    problem.path = CLATTN_PATH_STAGED;
    const ca_choice choice = chosen(&problem, &facts);
    assert_int_equal(CA_STAGE_values, choice.launch[choice.n_launches - 1].stage);
    assert_int_equal(0, choice.workspace_bytes);
    problem = projection(1, 0, 64, 2, 32, CLATTN_F32);
    problem.variant = variant;
    assert_int_equal(0, chosen(&problem, &facts).n_launches);
  }
}

/* One launch more in every family, on every path, and alone where the query is empty. */
static void present_keys_need_a_launch(void **state)
{
  (void)state;
  const ca_facts facts = plain_gpu();
  static const char *const variants[] = {"tiled", "reference"};
  for (int path = CLATTN_PATH_STAGED; path <= CLATTN_PATH_FUSED; path++)
    for (int sq = 0; sq < 2; sq++)
      for (int family = 0; family < 2; family++) {
        ca_problem problem = attention(sq, 20, 64, 64);
        problem.variant = variants[family];
        problem.path = path;
        const uint32_t without = chosen(&problem, &facts).n_launches;
        problem.tensor[CLATTN_PRESENT_VALUE] = dense(CLATTN_F32, 2, 4, 20, 64);
        const ca_choice choice = chosen(&problem, &facts);
        assert_int_equal(without + 1, choice.n_launches);
        assert_int_equal(CA_STAGE_extend, choice.launch[without].stage);
        assert_int_equal(2 * 4 * 20, choice.launch[without].groups[0]);
      }
}

/* PoCL compiles again for a grid of 65,535 work-items; the kernels take their tiles in turn. */
static void a_cpu_gets_a_grid_under_65535_items(void **state)
{
  (void)state;
  const ca_facts facts = facts_of("pocl-avx2");
  const ca_problem problem = attention(100000, 100, 64, 64);
  const ca_choice choice = chosen(&problem, &facts);
  assert_true(choice.launch[0].groups[0] * choice.launch[0].local[0] < 65535);
}

static void a_variant_is_any_leading_part_of_an_id(void **state)
{
  (void)state;
  static const struct {
    const char *variant, *id;
  } cases[] = {{"t", "tiled_attention_f32_d64_q64k64"},
               {"tiled", "tiled_attention_f32_d64_q64k64"},
               {"tiled_attention_f32_d64_q16k32", "tiled_attention_f32_d64_q16k32"},
               {"tiled_staged", "tiled_staged_f32_d64_m64n64k16"},
               {"tiled_staged_f32_d64_m16", "tiled_staged_f32_d64_m16n32k16"},
               {"reference", "reference_attention_f32_d64"},
               {"reference_staged", "reference_staged_f32_d64"},
               {"reference_attention_f32_d64", "reference_attention_f32_d64"}};
  const ca_facts facts = plain_gpu();
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    ca_problem problem = attention(1024, 1024, 64, 64);
    problem.variant = cases[i].variant;
    assert_string_equal(cases[i].id, chosen(&problem, &facts).id);
  }
}

static void a_named_tile_is_taken_against_the_rules_of_preference(void **state)
{
  (void)state;
  const ca_facts facts = facts_of("pocl-avx512");
  ca_problem problem = attention(5, 5, 64, 64);
  problem.variant = "tiled_attention_f32_d64_q64k64";
  assert_string_equal(problem.variant, chosen(&problem, &facts).id);
  problem.variant = "tiled";
  assert_string_equal("tiled_attention_f32_d64_q32k32", chosen(&problem, &facts).id);
}

/* Functions compile faster where work-items run one by one; where they are joined to vectors a call costs dear. */
static void only_a_cpu_that_prefers_vectors_gets_calls(void **state)
{
  (void)state;
  static const struct {
    const char *facts, *option;
  } cases[] = {{"pocl-avx512", "-DP_CALLS=1 "}, {"pocl-avx2", "-DP_CALLS=1 "}, {"intel-cpu", "-DP_CALLS=0 "},
               {"llvmpipe", "-DP_CALLS=0 "},    {"mali-g78", "-DP_CALLS=0 "},  {"rtx-4090", "-DP_CALLS=0 "}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    const ca_facts facts = facts_of(cases[i].facts);
    ca_problem problem = attention(64, 64, 64, 64);
    problem.variant = "tiled";
    assert_holds(chosen(&problem, &facts).launch[0].options, cases[i].option);
  }
}

static void ids_tell_types_and_sizes(void **state)
{
  (void)state;
  const ca_facts facts = plain_gpu();
  ca_problem problem = attention(64, 64, 64, 32);
  problem.variant = "reference";
  assert_string_equal("reference_attention_f32_d64v32", chosen(&problem, &facts).id);
  problem.tensor[CLATTN_K].dtype = problem.tensor[CLATTN_V].dtype = CLATTN_F16;
  assert_string_equal("reference_attention_f32f16f16f32_d64v32", chosen(&problem, &facts).id);
  problem.operation = CA_OP_SOFTMAX;
  assert_string_equal("reference_softmax_f32", chosen(&problem, &facts).id);
  problem.operation = CA_OP_VALUES;
  assert_string_equal("reference_values_f16f32_d32", chosen(&problem, &facts).id);
}

static void names_are_listed_in_order_of_preference(void **state)
{
  (void)state;
  static const char *const want[] = {
      "packed_projection",    "skinny_projection", "vector_projection",   "tiled_projection", "clblast_projection",
      "reference_projection", "vector_scores",     "tiled_scores",        "reference_scores", "vector_softmax",
      "tiled_softmax",        "reference_softmax", "vector_values",       "tiled_values",     "reference_values",
      "vector_attention",     "tiled_attention",   "reference_attention", "vector_staged",    "tiled_staged",
      "reference_staged",     "reference_merge"};
  const uint32_t count = sizeof want / sizeof want[0];
  for (uint32_t i = 0; i < count; i++) assert_string_equal(want[i], ca_variant_name(i));
  assert_null(ca_variant_name(count));
  assert_null(ca_variant_name(UINT32_MAX));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(chooses_by_rule_on_every_device_on_record),
      cmocka_unit_test(long_attention_takes_little_workspace),
      cmocka_unit_test(few_queries_are_decoded_on_cpus),
      cmocka_unit_test(keys_are_cut_where_heads_are_few),
      cmocka_unit_test(a_window_is_cut_no_finer_than_it_is_long),
      cmocka_unit_test(every_limit_gets_a_variant_that_keeps_it),
      cmocka_unit_test(local_memory_decides_the_tile),
      cmocka_unit_test(few_rows_and_few_tiles_take_small_tiles),
      cmocka_unit_test(staged_attention_is_three_launches_and_a_workspace),
      cmocka_unit_test(scores_need_a_workspace_for_probabilities_only),
      cmocka_unit_test(empty_tensors_need_few_launches_or_none),
      cmocka_unit_test(present_keys_need_a_launch),
      cmocka_unit_test(a_cpu_gets_a_grid_under_65535_items),
      cmocka_unit_test(a_variant_is_any_leading_part_of_an_id),
      cmocka_unit_test(a_named_tile_is_taken_against_the_rules_of_preference),
      cmocka_unit_test(only_a_cpu_that_prefers_vectors_gets_calls),
      cmocka_unit_test(ids_tell_types_and_sizes),
      cmocka_unit_test(names_are_listed_in_order_of_preference),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
