/* What the planner chooses and refuses for projections: families by tokens and by device, layouts of weights. */
#include "select_fixture.h"

/* Up to where `vector` becomes faster; each type of weights is a program, everything else is an argument. */
static void few_tokens_on_a_cpu_go_to_skinny(void **state)
{
  (void)state;
  static const struct {
    const char *facts, *few;
    int64_t most;
  } cases[] = {{"pocl-avx512", "skinny_projection_f32_l16t6x4", 104},
               {"intel-cpu", "skinny_projection_f32_l16t6x4", 104},
               {"pocl-avx2", "skinny_projection_f32_l8t4x3", 12}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    const ca_facts facts = facts_of(cases[i].facts);
    ca_problem problem = projection(1, 1, 100, 3, 40, CLATTN_F32);
    const ca_choice one = chosen(&problem, &facts);
    assert_string_equal(cases[i].few, one.id);
    problem = projection(cases[i].most / 2, 2, 4096, 32, 128, CLATTN_F32);
    const ca_choice most = chosen(&problem, &facts);
    assert_string_equal(cases[i].few, most.id);
    assert_string_equal(one.launch[0].options, most.launch[0].options);
    problem = projection(1, cases[i].most + 1, 4096, 32, 128, CLATTN_F32);
    assert_holds(chosen(&problem, &facts).id, "vector_projection");
    problem = projection(1, 1, 100, 3, 40, CLATTN_BF16);
    assert_string_not_equal(one.launch[0].options, chosen(&problem, &facts).launch[0].options);
  }
  ca_facts facts = facts_of("rtx-4090");
  ca_problem problem = projection(1, 1, 4096, 32, 128, CLATTN_F32);
  assert_holds(chosen(&problem, &facts).id, "tiled_projection");
  facts = facts_of("pocl-avx512");
  for (int64_t tokens = 55; tokens <= 66; tokens++) { /* where vector's tile of 64 is nearly full */
    problem = projection(1, tokens, 64, 2, 64, CLATTN_F32);
    assert_holds(chosen(&problem, &facts).id, tokens > 56 && tokens <= 64 ? "vector_projection" : "skinny_projection");
    problem = projection(1, tokens, 64, 2, 64, CLATTN_F16);
    assert_holds(chosen(&problem, &facts).id, "skinny_projection");
  }
}

/* A range for each core a few times, but none so narrow that copying x counts, nor wider than its room. */
static void skinny_divides_the_columns_among_the_cores(void **state)
{
  (void)state;
  ca_facts facts = facts_of("pocl-avx512"); /* two cores */
  ca_problem problem = projection(1, 1, 64, 1, 33, CLATTN_F32);
  assert_int_equal(2, chosen(&problem, &facts).launch[0].groups[0]);
  problem = projection(1, 1, 64, 8, 128, CLATTN_F32);
  assert_int_equal(8, chosen(&problem, &facts).launch[0].groups[0]);
  facts.compute_units = 64;
  assert_int_equal(32, chosen(&problem, &facts).launch[0].groups[0]);
  facts.compute_units = 1;
  problem = projection(1, 1, 64, 32, 128, CLATTN_F32);
  assert_int_equal(16, chosen(&problem, &facts).launch[0].groups[0]);
  facts.compute_units = 2;
  problem = projection(1, 1, 64, 9, 256, CLATTN_F32); /* nine of 256 would leave a core idle for one */
  assert_int_equal(10, chosen(&problem, &facts).launch[0].groups[0]);
}

static ca_weights_layout layout_of(int32_t dtype, const char *variant, const ca_facts *facts)
{
  clattn_report report = {.status = CLATTN_OK};
  ca_weights_layout layout;
  assert_status(CLATTN_OK, ca_select_weights(dtype, variant, facts, &layout, &report), &report);
  return layout;
}

static void weights_keep_their_type_but_for_clblast(void **state)
{
  (void)state;
  clattn_report report = {.status = CLATTN_OK};
  ca_weights_layout layout;
  const ca_facts gpu = plain_gpu();
  static const struct {
    const char *variant;
    int32_t dtype;
  } cases[] = {{NULL, CLATTN_BF16},
               {"tiled_projection_f32bf16_m32", CLATTN_BF16},
               {"reference", CLATTN_BF16},
               {"clblast", CLATTN_F32},
               {"clblast_projection_f32", CLATTN_F32}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    layout = layout_of(CLATTN_BF16, cases[i].variant, &gpu);
    assert_int_equal(cases[i].dtype, layout.dtype);
    assert_int_equal(0, layout.panel);
  }
  /* float32 would round it in silence */
  assert_int_equal(CLATTN_F64, layout_of(CLATTN_F64, "clblast", &gpu).dtype);
  assert_status(CLATTN_UNKNOWN_VARIANT, ca_select_weights(CLATTN_BF16, "vectors", &gpu, &layout, &report), &report);
  assert_says(&report, "\"vectors\"");
  assert_holds(report.detail, "tiled_projection");
}

static void weights_go_into_panels_on_cpus(void **state)
{
  (void)state;
  const ca_facts wide = facts_of("pocl-avx512"), narrow = facts_of("pocl-avx2"), gpu = plain_gpu();
  const ca_facts scalar = facts_of("llvmpipe");
  ca_facts wrong = wide;
  snprintf(wrong.wrong_variants, sizeof wrong.wrong_variants,
           "vector_attention_f32_l16t6x4\npacked_projection_f32_l16t6x4\n");
  const struct {
    const ca_facts *facts;
    const char *variant;
    int32_t dtype, panel;
  } cases[] = {{&wide, NULL, CLATTN_F32, 64},
               {&wide, NULL, CLATTN_BF16, 64},
               {&wide, NULL, CLATTN_F64, 0},
               {&narrow, NULL, CLATTN_F32, 16},
               {&gpu, NULL, CLATTN_F32, 0},
               {&scalar, NULL, CLATTN_F32, 0},
               {&scalar, "packed_projection_f32_l4t6x2", CLATTN_F32, 0},
               {&gpu, "packed", CLATTN_F32, 0},
               {&wrong, NULL, CLATTN_F32, 0},
               {&wrong, "packed", CLATTN_F32, 64},
               {&wide, "packed", CLATTN_F16, 64},
               {&wide, "packed_projection_f32", CLATTN_F32, 64},
               {&wide, "packed_projection_f32_l8t6x2", CLATTN_F32, 16},
               {&wide, "packed_projection_f32f16_l4t6x2", CLATTN_F16, 8},
               {&wide, "packed_projection_f32_l8", CLATTN_F32, 16},
               {&wide, "packed_projection_f32_l", CLATTN_F32, 64},
               {&wide, "packed_projection_f32_l3", CLATTN_F32, 0},
               {&wide, "vector", CLATTN_F32, 0},
               {&wide, "tiled_projection_f32_m32n32k16", CLATTN_F32, 0}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    const ca_weights_layout layout = layout_of(cases[i].dtype, cases[i].variant, cases[i].facts);
    assert_int_equal(cases[i].dtype, layout.dtype);
    assert_int_equal(cases[i].panel, layout.panel);
  }
}

static void packed_weights_choose_the_family(void **state)
{
  (void)state;
  const ca_facts facts = facts_of("pocl-avx512");
  /* Few tokens: a panel for each work-item; many: 256 columns and 132 tokens at most, while each core has six. */
  static const int64_t cases[][2] = {{1, 9}, {64, 9}, {132, 9}, {133, 18}, {512, 12}, {4096, 96}};
  assert_int_equal(2, facts.compute_units);
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    ca_problem p = projection(1, cases[i][0], 576, 9, 64, CLATTN_F16);
    p.projection.part[0].panel = 64;
    const ca_choice choice = chosen(&p, &facts);
    assert_string_equal("packed_projection_f32f16_l16t6x4", choice.id);
    assert_int_equal(1, choice.n_launches);
    assert_int_equal(cases[i][1], choice.launch[0].groups[0]);
  }
}

static void skinny_is_for_few_tokens_on_wide_cpus(void **state)
{
  (void)state;
  ca_facts facts = plain_gpu();
  ca_problem problem = projection(1, 4, 64, 2, 300, CLATTN_F16);
  problem.variant = "skinny";
  refuses(&problem, &facts, CLATTN_UNSUPPORTED, "skinny_projection_f32f16_l16t6x4", "the family is for CPU devices");
  facts = facts_of("llvmpipe");
  refuses(&problem, &facts, CLATTN_UNSUPPORTED, "skinny_projection_f32f16_l16t6x4",
          "vectors of 16 floats, the device has 1");
  facts = facts_of("pocl-avx512");
  problem.projection.part[0].rotary_dim = 2;
  refuses(&problem, &facts, CLATTN_UNSUPPORTED, "skinny_projection_f32f16_l16t6x4",
          "heads that rotate have 300 channels, the limit is 256");
  problem.projection.part[0].rotary_dim = 0;
  problem.tensor[CLATTN_X].dtype = CLATTN_F64;
  refuses(&problem, &facts, CLATTN_UNSUPPORTED, "skinny_projection_f64f16_l16t6x4",
          "x is f64, and skinny computes in float32");
  problem = projection(1, 1, ((int64_t)1 << 30) + 1, 2, 64, CLATTN_F32); /* E */
  problem.variant = "skinny_projection_f32_l16t6x4";
  refuses(&problem, &facts, CLATTN_UNSUPPORTED, problem.variant, "E is 1073741825, the limit is 1073741824");
  problem.variant = "vector_projection_f32_l16t6x4";
  refuses(&problem, &facts, CLATTN_UNSUPPORTED, "vector_projection_f32_l16t6x4m64n64",
          "E is 1073741825, the limit is 1073741824");
  problem = projection(1, 1, 64, (int64_t)1 << 20, 1 << 11, CLATTN_F32); /* N */
  problem.projection.part[0].d--;
  problem.variant = "skinny_projection_f32_l16t6x4";
  refuses(&problem, &facts, CLATTN_UNSUPPORTED, problem.variant, "N is 2146435072, the limit is 1073741824");
  problem.variant = "vector_projection_f32_l16t6x4";
  refuses(&problem, &facts, CLATTN_UNSUPPORTED, "vector_projection_f32_l16t6x4m64n256",
          "N is 2146435072, the limit is 1073741824");
  problem = projection(1, 105, 64, 2, 64, CLATTN_F32);
  refuses(&problem, &facts, CLATTN_OK, "skinny_projection_f32_l16t6x4", "105 tokens, the tile is for 104 at most");
  problem = projection(2, 30, 64, 2, 64, CLATTN_F32);
  refuses(&problem, &facts, CLATTN_OK, "skinny_projection_f32_l16t6x4", "60 tokens nearly fill a tile of 64 of vector");
  problem.variant = "skinny_projection_f32_l8t4x3"; /* by name on wider vectors, and for any number of tokens */
  assert_string_equal(problem.variant, chosen(&problem, &facts).id);
}

/* q and k of one x, in panels of these columns. */
static ca_problem two_parts(int32_t q_panel, int32_t k_panel)
{
  ca_problem problem = projection(1, 8, 64, 2, 64, CLATTN_F32);
  ca_projection_part *part = problem.projection.part;
  part[0].panel = q_panel;
  part[1] = part[0];
  part[1].panel = k_panel;
  part[1].w = CLATTN_W_K;
  part[1].y = CLATTN_K;
  problem.tensor[CLATTN_W_K] = problem.tensor[CLATTN_W];
  problem.tensor[CLATTN_K] = problem.tensor[CLATTN_Y];
  problem.projection.n_parts = 2;
  return problem;
}

static void packed_reads_panels_of_its_own_width(void **state)
{
  (void)state;
  ca_facts facts = plain_gpu();
  ca_problem problem = projection(1, 8, 64, 2, 64, CLATTN_F32);
  problem.variant = "packed";
  refuses(&problem, &facts, CLATTN_UNSUPPORTED, "packed_projection_f32_l16t6x4", "the family is for CPU devices");
  facts = facts_of("llvmpipe");
  refuses(&problem, &facts, CLATTN_UNSUPPORTED, "packed_projection_f32_l16t6x4",
          "vectors of 16 floats, the device has 1");
  facts = facts_of("pocl-avx512");
  refuses(&problem, &facts, CLATTN_UNSUPPORTED, "packed_projection_f32_l16t6x4",
          "w is not packed (clattn_weights_create)");
  problem.projection.part[0].panel = 16;
  refuses(&problem, &facts, CLATTN_OK, "packed_projection_f32_l16t6x4",
          "w is packed in panels of 16 columns, the tile wants 64");
  problem.variant = NULL;
  assert_string_equal("packed_projection_f32_l8t6x2", chosen(&problem, &facts).id);
  problem.variant = "tiled_projection_f32_m32n32k16";
  refuses(&problem, &facts, CLATTN_UNSUPPORTED, problem.variant,
          "w is packed in panels of 16 columns, and tiled reads rows");
  problem = two_parts(16, 0);
  refuses(&problem, &facts, CLATTN_OK, "packed_projection_f32_l8t6x2", "w_k is not packed (clattn_weights_create)");
  problem.projection.part[1].h = 0; /* of a part without columns there is nothing to pack */
  assert_string_equal("packed_projection_f32_l8t6x2", chosen(&problem, &facts).id);
  problem = projection(1, 8, 64, 2, 64, CLATTN_F32);
  problem.projection.part[0].panel = 16;
  problem.tensor[CLATTN_X].dtype = CLATTN_F64; /* what the family refuses goes where everything goes */
  facts.has_f64 = 1;
  refuses(&problem, &facts, CLATTN_OK, "packed_projection_f64f32_l8t6x2", "x is f64, and packed computes in float32");
  assert_string_equal("reference_projection_f64f32", chosen(&problem, &facts).id);
  problem = projection(1, 1, ((int64_t)1 << 30) + 1, 2, 64, CLATTN_F32);
  problem.projection.part[0].panel = 64;
  refuses(&problem, &facts, CLATTN_OK, "packed_projection_f32_l16t6x4", "E is 1073741825, the limit is 1073741824");
  problem = projection(1, 1, 64, 2, 514, CLATTN_F32);
  problem.projection.part[0].panel = 64;
  problem.projection.part[0].rotary_dim = 514;
  refuses(&problem, &facts, CLATTN_OK, "packed_projection_f32_l16t6x4",
          "heads that rotate have 514 channels, the limit is 512");
}

static void clblast_is_taken_by_name_for_float_matrices(void **state)
{
  (void)state;
  ca_facts facts = plain_gpu();
  ca_problem problem = projection(2, 16, 32, 2, 8, CLATTN_F32);
  problem.variant = "clblast";
  char selection[CA_SELECTION_BYTES];
  clattn_report report;
  ca_choice found;
  if (ca_select(&problem, &facts, &found, selection, &report) != CLATTN_OK) { /* this build has none */
    refuses(&problem, &facts, CLATTN_UNSUPPORTED, "clblast_projection_f32", "compiled without CLBlast");
    return;
  }
  facts.work_group_size = 32; /* too small for the tiles, so that the walk gets past them */
  problem.variant = NULL;
  refuses(&problem, &facts, CLATTN_OK, "clblast_projection_f32", "CLBlast is taken only by name");
  facts = plain_gpu();
  problem.variant = "clblast";
  const ca_choice choice = chosen(&problem, &facts);
  assert_string_equal("clblast_projection_f32", choice.id);
  assert_int_equal(2, choice.n_launches);
  assert_int_equal(CA_STAGE_clblast_gemm, choice.launch[0].stage);
  assert_int_equal(CA_STAGE_projection_finish, choice.launch[1].stage);
  assert_int_equal(2 * 16 * 16 * 4, choice.workspace_bytes);
  problem.tensor[CLATTN_W].dtype = CLATTN_F16;
  refuses(&problem, &facts, CLATTN_UNSUPPORTED, "clblast_projection_f32f16", "w is f16, must be f32");
  problem = projection(2, 16, 32, 2, 8, CLATTN_F32);
  problem.variant = "clblast";
  problem.tensor[CLATTN_X].stride[0] = 16 * 32 + 1;
  refuses(&problem, &facts, CLATTN_UNSUPPORTED, "clblast_projection_f32",
          "the rows of x do not lie at one distance, or overlap");
  problem = projection(2, 16, 0, 2, 8, CLATTN_F32);
  problem.variant = "clblast";
  refuses(&problem, &facts, CLATTN_UNSUPPORTED, "clblast_projection_f32", "E is 0, CLBlast wants at least 1");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(few_tokens_on_a_cpu_go_to_skinny),
      cmocka_unit_test(skinny_divides_the_columns_among_the_cores),
      cmocka_unit_test(weights_keep_their_type_but_for_clblast),
      cmocka_unit_test(weights_go_into_panels_on_cpus),
      cmocka_unit_test(packed_weights_choose_the_family),
      cmocka_unit_test(skinny_is_for_few_tokens_on_wide_cpus),
      cmocka_unit_test(packed_reads_panels_of_its_own_width),
      cmocka_unit_test(clblast_is_taken_by_name_for_float_matrices),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
