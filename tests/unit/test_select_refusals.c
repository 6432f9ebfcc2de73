/* Why the planner refuses: each reason, with its numbers. */
#include "names.h"
#include "quirks.h"
#include "select_fixture.h"

static void too_little_local_memory(void **state)
{
  (void)state;
  ca_facts facts = plain_gpu();
  const ca_problem problem = attention(1024, 1024, 64, 64);
  facts.local_memory_bytes = 16384;
  refuses(&problem, &facts, CLATTN_OK, "tiled_attention_f32_d64_q64k64",
          "needs 32004 bytes of local memory, has 16384");
  facts.local_memory_bytes = 128;
  refuses(&problem, &facts, CLATTN_UNSUPPORTED, "tiled_attention_f32_d64_q64k64",
          "needs 32004 bytes of local memory, has 128");
  facts.local_memory_bytes = 1024;
  assert_string_equal("reference_staged_f32_d64", chosen(&problem, &facts).id);
  ca_problem by_reference = problem;
  by_reference.variant = "reference";
  by_reference.path = CLATTN_PATH_FUSED;
  refuses(&by_reference, &facts, CLATTN_UNSUPPORTED, "reference_attention_f32_d64",
          "needs 2560 bytes of local memory, has 1024");
  by_reference.path = CLATTN_PATH_STAGED; /* its softmax needs 256, its other stages none */
  assert_string_equal("reference_staged_f32_d64", chosen(&by_reference, &facts).id);
  facts.local_memory_bytes = 255;
  refuses(&by_reference, &facts, CLATTN_UNSUPPORTED, "reference_staged_f32_d64",
          "needs 256 bytes of local memory, has 255");
  ca_problem alone = with_qk(by_reference, CA_QK_SCALED);
  alone.operation = CA_OP_SCORES;
  assert_string_equal("reference_scores_f32_d64", chosen(&alone, &facts).id);
  alone.attention.qk_mode = CA_QK_PROBABILITIES;
  refuses(&alone, &facts, CLATTN_UNSUPPORTED, "reference_scores_f32_d64", "needs 256 bytes of local memory, has 255");
  alone = projection(2, 16, 32, 2, 8, CLATTN_F32);
  assert_string_equal("reference_projection_f32", chosen(&alone, &facts).id);
}

static void too_small_work_groups(void **state)
{
  (void)state;
  ca_facts facts = plain_gpu();
  facts.work_group_size = 128;
  const ca_problem problem = attention(1024, 1024, 64, 64);
  refuses(&problem, &facts, CLATTN_OK, "tiled_attention_f32_d64_q64k64", "needs work-groups of 256, has 128");
  facts.work_group_size = 48;
  const ca_problem small = projection(1, 64, 64, 1, 64, CLATTN_F32);
  refuses(&small, &facts, CLATTN_OK, "tiled_projection_f32_m16n32k16", "needs work-groups of 64, has 48");
  assert_string_equal("-DP_WG=32 -DP_DOUBLE=0",
                      chosen(&small, &facts).launch[0].options); /* the reference halves its own */
}

static void too_many_registers(void **state)
{
  (void)state;
  ca_facts facts = plain_gpu();
  facts.local_memory_bytes = 16384;
  facts.work_group_size = 64;
  const ca_problem wide = attention(1024, 1024, 512, 512);
  refuses(&wide, &facts, CLATTN_OK, "tiled_attention_f32_d512_q32k32",
          "needs 272 floats of registers a work-item, the limit is 136");
  facts.private_memory_bytes = 100;
  const ca_problem problem = attention(1024, 1024, 64, 64);
  refuses(&problem, &facts, CLATTN_OK, "tiled_attention_f32_d64_q32k32",
          "needs 192 bytes of private memory a work-item, has 100");
}

static void too_few_argument_bytes(void **state)
{
  (void)state;
  ca_facts facts = plain_gpu();
  facts.max_parameter_bytes = 256;
  char reason[96];
  snprintf(reason, sizeof reason, "needs %zu bytes of arguments, has 256", sizeof(ca_attention_args) + 72);
  const ca_problem problem = attention(64, 64, 64, 64);
  refuses(&problem, &facts, CLATTN_UNSUPPORTED, "reference_attention_f32_d64", reason);
}

static void a_workspace_larger_than_a_buffer(void **state)
{
  (void)state;
  ca_facts facts = plain_gpu();
  facts.max_alloc_bytes = 1000000;
  ca_problem problem = attention(1000, 1000, 64, 64);
  static const char reason[] = "needs a workspace of 64000000 bytes, the largest buffer has 1000000";
  problem.path = CLATTN_PATH_STAGED;
  refuses(&problem, &facts, CLATTN_UNSUPPORTED, "tiled_staged_f32_d64_m64n64k16", reason);
  refuses(&problem, &facts, CLATTN_UNSUPPORTED, "reference_staged_f32_d64", reason);
  problem = attention((int64_t)1 << 29, (int64_t)1 << 29, 64, 64);
  problem.path = CLATTN_PATH_STAGED;
  refuses(&problem, &facts, CLATTN_UNSUPPORTED, "reference_staged_f32_d64",
          "needs a workspace of 4611686018427387904 numbers, more than can be addressed");
}

static void the_fused_path_has_no_scores(void **state)
{
  (void)state;
  const ca_facts facts = plain_gpu();
  ca_problem problem = with_qk(attention(64, 64, 64, 64), CA_QK_SCALED);
  static const char reason[] = "qk is asked for, and the fused path has no scores to show";
  refuses(&problem, &facts, CLATTN_OK, "tiled_attention_f32_d64_q64k64", reason);
  problem.path = CLATTN_PATH_FUSED;
  refuses(&problem, &facts, CLATTN_UNSUPPORTED, "reference_attention_f32_d64", reason);
}

static void float64_wants_a_device_and_a_family_that_have_it(void **state)
{
  (void)state;
  ca_facts facts = plain_gpu();
  ca_problem problem = attention(64, 64, 64, 64);
  problem.tensor[CLATTN_V].dtype = CLATTN_F64;
  problem.variant = "reference";
  refuses(&problem, &facts, CLATTN_UNSUPPORTED, "reference_attention_f32f32f64f32_d64",
          "v is f64, and the device has no float64 (cl_khr_fp64)");
  facts.has_f64 = 1;
  problem.variant = NULL;
  refuses(&problem, &facts, CLATTN_OK, "tiled_attention_f32f32f64f32_d64_q16k32",
          "v is f64, and tiled computes in float32");
  problem.path = CLATTN_PATH_STAGED;
  const ca_choice choice = chosen(&problem, &facts);
  assert_string_equal("reference_staged_f32f32f64f32_d64", choice.id);
  assert_int_equal(8 * 2 * 8 * 64 * 64, choice.workspace_bytes);
  assert_holds(choice.launch[0].options, "-DP_DOUBLE=1");
}

/* A hint: followed where that is possible, said where it is not. */
static void a_precision_of_float64_is_followed_or_said(void **state)
{
  (void)state;
  static const char note[] = "softmax_precision 11: computed in float32, ";
  char selection[CA_SELECTION_BYTES];
  clattn_report report;
  ca_facts facts = plain_gpu();
  ca_problem problem = attention(64, 64, 64, 64);
  problem.attention.softmax_precision = 11;
  selection_of(&problem, &facts, CLATTN_OK, selection, &report);
  assert_holds(selection, note);
  assert_holds(report.detail, "the device has no float64");
  assert_holds(chosen(&problem, &facts).id, "tiled");
  facts.has_f64 = 1;
  refuses(&problem, &facts, CLATTN_OK, "tiled_attention_f32_d64_q16k32",
          "softmax_precision is 11 (float64), and tiled computes in float32");
  selection_of(&problem, &facts, CLATTN_OK, selection, &report);
  assert_null(strstr(selection, note));
  assert_holds(chosen(&problem, &facts).launch[0].options, "-DP_DOUBLE=1");
  problem.variant = "tiled";
  selection_of(&problem, &facts, CLATTN_OK, selection, &report);
  assert_holds(selection, note);
  assert_holds(report.detail, "the variant asked for has no float64");
}

/* For every head size, but for its own types and tile alone. */
static void what_computed_wrongly_is_taken_out(void **state)
{
  (void)state;
  static const char reason[] = "tiled_attention_f32_q64k64 computed wrongly in the selftest of this device";
  ca_facts facts = plain_gpu();
  strcpy(facts.wrong_variants, "tiled_attention_f16_q32k64\ntiled_attention_f32_q64k64\nreference_scores_f32\n");
  ca_problem problem = attention(1024, 1024, 64, 64);
  refuses(&problem, &facts, CLATTN_OK, "tiled_attention_f32_d64_q64k64", reason);
  assert_string_equal("tiled_attention_f32_d64_q32k64", chosen(&problem, &facts).id);
  problem = attention(1024, 1024, 64, 48);
  refuses(&problem, &facts, CLATTN_OK, "tiled_attention_f32_d64v48_q64k64", reason);
  problem.variant = "tiled_attention_f32_d64v48_q64k64";
  refuses(&problem, &facts, CLATTN_UNSUPPORTED, "tiled_attention_f32_d64v48_q64k64", reason);
}

/* Rules of speed yield where what they prefer computes wrongly; a limit of the device does not. */
static void rules_of_speed_yield(void **state)
{
  (void)state;
  ca_facts facts = plain_gpu();
  facts.type = CA_DEVICE_CPU;
  facts.native_width_f32 = 0;
  ca_problem problem = attention(8, 8, 16, 16);
  problem.path = CLATTN_PATH_STAGED;
  assert_string_equal("reference_staged_f32_d16", chosen(&problem, &facts).id);
  strcpy(facts.wrong_variants, "reference_staged_f32\ntiled_staged_f32_m64n64k16\n");
  assert_string_equal("tiled_staged_f32_d16_m32n32k16", chosen(&problem, &facts).id);
  facts.work_group_size = 16;
  problem.variant = "tiled";
  refuses(&problem, &facts, CLATTN_UNSUPPORTED, "tiled_staged_f32_d16_m64n64k16", "needs work-groups of 256, has 16");
}

static void extended_keys_that_came_out_wrong(void **state)
{
  (void)state;
  ca_facts facts = plain_gpu();
  ca_problem problem = attention(1024, 1024, 64, 64);
  strcpy(facts.wrong_variants, "extend\n");
  assert_string_equal("tiled_attention_f32_d64_q64k64", chosen(&problem, &facts).id);
  problem.tensor[CLATTN_PRESENT_KEY] = problem.tensor[CLATTN_K];
  refuses(&problem, &facts, CLATTN_UNSUPPORTED, "tiled_attention_f32_d64_q64k64",
          "the extended keys were wrong in the selftest of this device");
}

static void kinds_of_variants(void **state)
{
  (void)state;
  static const char *const kinds[][2] = {
      {"tiled_attention_f32_d64v32_q32k32", "tiled_attention_f32_q32k32"},
      {"vector_attention_f32_d64_l16t6x4q64k144", "vector_attention_f32_l16t6x4"},
      {"vector_projection_f32bf16_l8t4x3m48n64", "vector_projection_f32bf16_l8t4x3"},
      {"reference_merge_f64_d20", "reference_merge_f64"},
      {"tiled_staged_f32_d7v5_m64n64k16", "tiled_staged_f32_m64n64k16"},
      {"extend", "extend"},
  };
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
    char kind[CA_VARIANT_KIND_BYTES];
    ca_variant_kind(kinds[i][0], kind);
    assert_string_equal(kinds[i][1], kind);
  }
}

static void sizes_beyond_the_arguments(void **state)
{
  (void)state;
  const ca_facts facts = plain_gpu();
  ca_problem problem = attention(64, 64, 64, 64);
  problem.attention.b = (int64_t)INT32_MAX + 1;
  refuses(&problem, &facts, CLATTN_UNSUPPORTED, "reference_attention_f32_d64",
          "B is 2147483648, the limit is 2147483647");
  problem.attention.b = problem.attention.hq = INT32_MAX;
  refuses(&problem, &facts, CLATTN_UNSUPPORTED, "reference_attention_f32_d64",
          "the matrix of scores has more than 2^63 elements");
  problem = projection(1, 2, 4, (int64_t)1 << 20, (int64_t)1 << 12, CLATTN_F32);
  refuses(&problem, &facts, CLATTN_UNSUPPORTED, "reference_projection_f32", "N is 4294967296, the limit is 2147483647");
}

static void preferences_between_tiles(void **state)
{
  (void)state;
  ca_facts facts = plain_gpu();
  ca_problem problem = attention(20, 64, 64, 64);
  refuses(&problem, &facts, CLATTN_OK, "tiled_attention_f32_d64_q64k64", "64 rows are too many for 20");
  facts.compute_units = 500;
  problem = attention(256, 64, 64, 64);
  refuses(&problem, &facts, CLATTN_OK, "tiled_attention_f32_d64_q64k64", "64 tiles are too few for 500 compute units");
  facts.type = CA_DEVICE_CPU;
  refuses(&problem, &facts, CLATTN_OK, "tiled_attention_f32_d64_q64k64",
          "64 x 64 gains nothing on a CPU over 32 x 32, whose program serves all sizes");
  problem = attention(20, 64, 64, 64);
  refuses(&problem, &facts, CLATTN_OK, "tiled_attention_f32_d64_q32k32",
          "2949120 products are too few on a CPU, the limit is 4000000: reference starts sooner");
}

static void vector_is_for_wide_cpus_by_its_fastest_tile(void **state)
{
  (void)state;
  ca_facts facts = plain_gpu();
  ca_problem problem = attention(1024, 64, 64, 64);
  problem.variant = "vector";
  refuses(&problem, &facts, CLATTN_UNSUPPORTED, "vector_attention_f32_d64_l16t6x4q256k144",
          "the family is for CPU devices");
  facts = facts_of("llvmpipe");
  refuses(&problem, &facts, CLATTN_UNSUPPORTED, "vector_attention_f32_d64_l16t6x4q256k144",
          "vectors of 16 floats, the device has 1");
  facts = facts_of("pocl-avx512");
  ca_problem rotating = projection(1, 64, 64, 1, 4096, CLATTN_F32);
  rotating.projection.part[0].rotary_dim = 4096;
  rotating.variant = "vector";
  refuses(&rotating, &facts, CLATTN_UNSUPPORTED, "vector_projection_f32_l16t6x4m64n256",
          "heads that rotate have 4096 channels, the limit is 256");
  problem = attention(77, 77, 64, 64);
  refuses(&problem, &facts, CLATTN_OK, "vector_attention_f32_d64_l16t6x4q128k144",
          "sub-tiles of 80 rows take 62 % of the time of those of 64");
  problem.variant = "vector_attention_f32_d64_l8t6x2q64k144"; /* a named tile is taken on wider vectors too */
  assert_string_equal(problem.variant, chosen(&problem, &facts).id);
}

static void stages_of_vector_are_for_wide_cpus(void **state)
{
  (void)state;
  ca_facts facts = plain_gpu();
  ca_problem problem = attention(1024, 64, 64, 64);
  problem.path = CLATTN_PATH_STAGED;
  problem.variant = "vector";
  refuses(&problem, &facts, CLATTN_UNSUPPORTED, "vector_staged_f32_d64_l16t6x4", "the family is for CPU devices");
  facts = facts_of("llvmpipe");
  refuses(&problem, &facts, CLATTN_UNSUPPORTED, "vector_staged_f32_d64_l16t6x4",
          "vectors of 16 floats, the device has 1");
  facts = facts_of("pocl-avx512");
  facts.max_alloc_bytes = 1000;
  refuses(&problem, &facts, CLATTN_UNSUPPORTED, "vector_staged_f32_d64_l16t6x4",
          "needs a workspace of 4194304 bytes, the largest buffer has 1000");
  facts.max_alloc_bytes = 0;
  problem.variant = "vector_staged_f32_d64_l8t6x2"; /* a named tile is taken on wider vectors too */
  assert_string_equal(problem.variant, chosen(&problem, &facts).id);
  problem.tensor[CLATTN_V].dtype = CLATTN_F64;
  problem.variant = "vector";
  refuses(&problem, &facts, CLATTN_UNSUPPORTED, "vector_staged_f32f32f64f32_d64_l16t6x4",
          "v is f64, and vector computes in float32");
}

static void decode_is_for_few_queries_on_wide_cpus(void **state)
{
  (void)state;
  ca_facts facts = plain_gpu();
  ca_problem problem = attention(1, 2000, 64, 64);
  problem.variant = "vector_attention_f32_d64_decode";
  refuses(&problem, &facts, CLATTN_UNSUPPORTED, "vector_attention_f32_d64_decode_l16r1",
          "the family is for CPU devices");
  facts = facts_of("llvmpipe");
  refuses(&problem, &facts, CLATTN_UNSUPPORTED, "vector_attention_f32_d64_decode_l16r1",
          "vectors of 16 floats, the device has 1");
  facts = facts_of("pocl-avx512");
  refuses(&problem, &facts, CLATTN_OK, "vector_attention_f32_d64_decode_l16r1",
          "2 rows of queries share a key, the tile has 1");
  problem = attention(25, 2000, 64, 64);
  refuses(&problem, &facts, CLATTN_OK, "vector_attention_f32_d64_decode_l16r4",
          "25 queries are too many for lanes along the channels, the limit is 24");
  problem.variant = "vector_attention_f32_d64_decode"; /* asked for by name it takes any number */
  assert_string_equal("vector_attention_f32_d64_decode_l16r4", chosen(&problem, &facts).id);
  problem.variant = "vector_attention_f32_d64_decode_l8r1"; /* a named tile is taken on wider vectors too */
  assert_string_equal(problem.variant, chosen(&problem, &facts).id);
  problem.variant = "vector_attention_f32_d64_decode_l16r4";
  problem.attention.sq = ((int64_t)1 << 30) + 1;
  refuses(&problem, &facts, CLATTN_UNSUPPORTED, problem.variant,
          "queries that share a key is 2147483650, the limit is 1073741824");
  problem.attention.sq = 2;
  facts.compute_units = 64;
  facts.max_alloc_bytes = 1000;
  refuses(&problem, &facts, CLATTN_UNSUPPORTED, problem.variant,
          "needs a workspace of 59136 bytes, the largest buffer has 1000");
}

static void a_driver_that_ends_long_loops_gets_short_ones(void **state)
{
  (void)state;
  ca_facts facts = facts_of("llvmpipe");
  facts.quirks = CA_QUIRK_BIT(short_loops);
  ca_problem problem = attention(2, 100003, 8, 8);
  refuses(&problem, &facts, CLATTN_UNSUPPORTED, "reference_attention_f32_d8",
          "100003 keys are too many: this driver ends a work-item's loops after 65535 turns");
  problem = attention(2, 4096, 64, 64);
  assert_true(chosen(&problem, &facts).n_launches > 0);
}

static void an_unknown_variant_is_told_what_there_is(void **state)
{
  (void)state;
  const ca_facts facts = plain_gpu();
  char selection[CA_SELECTION_BYTES];
  clattn_report report;
  static const char *const unknown[] = {"vectors", "tiled_projection", "tiled_attention_f16", "tiled_attentionx", "T"};
  for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
    ca_problem problem = attention(64, 64, 64, 64);
    problem.variant = unknown[i];
    selection_of(&problem, &facts, CLATTN_UNKNOWN_VARIANT, selection, &report);
    assert_says(&report, unknown[i], "\" is none of those for this attention");
    assert_holds(report.detail, "tiled_attention_f32_d64_q64k64\n");
    assert_holds(report.detail, "reference_staged_f32_d64\n");
  }
}

static void a_refused_choice_is_empty_and_null_arguments_are_fine(void **state)
{
  (void)state;
  ca_facts facts = plain_gpu();
  facts.local_memory_bytes = 16;
  const ca_problem problem = attention(64, 64, 64, 64);
  ca_choice choice;
  assert_int_equal(CLATTN_UNSUPPORTED, ca_select(&problem, &facts, &choice, NULL, NULL));
  assert_int_equal(0, choice.n_launches);
  assert_string_equal("", choice.id);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(too_little_local_memory),
      cmocka_unit_test(too_small_work_groups),
      cmocka_unit_test(too_many_registers),
      cmocka_unit_test(too_few_argument_bytes),
      cmocka_unit_test(a_workspace_larger_than_a_buffer),
      cmocka_unit_test(the_fused_path_has_no_scores),
      cmocka_unit_test(float64_wants_a_device_and_a_family_that_have_it),
      cmocka_unit_test(a_precision_of_float64_is_followed_or_said),
      cmocka_unit_test(what_computed_wrongly_is_taken_out),
      cmocka_unit_test(rules_of_speed_yield),
      cmocka_unit_test(extended_keys_that_came_out_wrong),
      cmocka_unit_test(kinds_of_variants),
      cmocka_unit_test(sizes_beyond_the_arguments),
      cmocka_unit_test(preferences_between_tiles),
      cmocka_unit_test(vector_is_for_wide_cpus_by_its_fastest_tile),
      cmocka_unit_test(stages_of_vector_are_for_wide_cpus),
      cmocka_unit_test(decode_is_for_few_queries_on_wide_cpus),
      cmocka_unit_test(a_driver_that_ends_long_loops_gets_short_ones),
      cmocka_unit_test(an_unknown_variant_is_told_what_there_is),
      cmocka_unit_test(a_refused_choice_is_empty_and_null_arguments_are_fine),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
