/* Q, K and V of one x: how many launches, and which parts each makes. */
#include <string.h>

#include "select_fixture.h"

/* float32 x, hq heads of q and hk of k and v, all of d channels; weights of three types. */
static ca_problem qkv(int64_t s, int64_t e, int64_t hq, int64_t hk, int64_t d, const int32_t types[3])
{
  static const int32_t w[3] = {CLATTN_W_Q, CLATTN_W_K, CLATTN_W_V},
                       bias[3] = {CLATTN_BIAS_Q, CLATTN_BIAS_K, CLATTN_BIAS_V}, y[3] = {CLATTN_Q, CLATTN_K, CLATTN_V};
  ca_problem problem = projection(1, s, e, hq, d, types[0]);
  const ca_tensor nothing = {0};
  problem.tensor[CLATTN_W] = problem.tensor[CLATTN_Y] = nothing;
  problem.projection.n_parts = 3;
  for (int i = 0; i < 3; i++) {
    const int64_t h = i ? hk : hq;
    const ca_problem alone = projection(1, s, e, h, d, types[i]);
    problem.tensor[w[i]] = alone.tensor[CLATTN_W];
    problem.tensor[y[i]] = alone.tensor[CLATTN_Y];
    problem.projection.part[i] = (ca_projection_part){.w = w[i], .bias = bias[i], .y = y[i], .h = h, .d = d};
  }
  return problem;
}

static void leave_out(ca_problem *problem, int part)
{
  ca_projection_part *p = &problem->projection.part[part];
  problem->tensor[p->w] = problem->tensor[p->y] = (ca_tensor){0};
  p->h = p->d = 0;
}

static const int32_t floats[3] = {CLATTN_F32, CLATTN_F32, CLATTN_F32};

static void assert_parts(const ca_launch *launch, ca_stage stage, int part, int n_parts)
{
  assert_int_equal(stage, launch->stage);
  assert_int_equal(part, launch->part);
  assert_int_equal(n_parts, launch->n_parts);
}

static void cpus_make_all_parts_in_one_launch(void **state)
{
  (void)state;
  const ca_facts facts = facts_of("pocl-avx512");
  ca_problem problem = qkv(4, 576, 9, 3, 64, floats);
  ca_choice choice = chosen(&problem, &facts);
  assert_string_equal("skinny_projection_f32_l16t6x4", choice.id);
  assert_int_equal(1, choice.n_launches);
  assert_parts(&choice.launch[0], CA_STAGE_projections, 0, 3);
  problem = qkv(512, 576, 9, 3, 64, floats);
  choice = chosen(&problem, &facts);
  assert_string_equal("vector_projection_f32_l16t6x4m128n256", choice.id);
  assert_int_equal(1, choice.n_launches);
  assert_parts(&choice.launch[0], CA_STAGE_projections, 0, 3);
  assert_int_equal(4 * (3 + 1 + 1), choice.launch[0].groups[0]); /* tiles of 128 tokens, ranges of 256 columns */
  problem = qkv(512, 576, 9, 3, 96, floats);                     /* heads that rotate stay whole: two to a range */
  problem.projection.part[0].rotary_dim = problem.projection.part[1].rotary_dim = 96;
  assert_int_equal(4 * (5 + 2 + 2), chosen(&problem, &facts).launch[0].groups[0]);
  problem = projection(1, 512, 576, 9, 64, CLATTN_F32);
  choice = chosen(&problem, &facts);
  assert_parts(&choice.launch[0], CA_STAGE_projections, 0, 1);
}

/* Types of weights are compiled into skinny's program; vector has one for all. */
static void weights_of_several_types(void **state)
{
  (void)state;
  const ca_facts facts = facts_of("pocl-avx512");
  ca_problem problem = qkv(4, 64, 4, 2, 32, (const int32_t[]){CLATTN_F32, CLATTN_BF16, CLATTN_BF16});
  ca_choice choice = chosen(&problem, &facts);
  assert_string_equal("skinny_projection_f32f32bf16bf16_l16t6x4", choice.id);
  assert_int_equal(2, choice.n_launches);
  assert_parts(&choice.launch[0], CA_STAGE_projections, 0, 1);
  assert_parts(&choice.launch[1], CA_STAGE_projections, 1, 2);
  assert_non_null(strstr(choice.launch[0].options, "-DP_WEIGHT=1 "));
  assert_non_null(strstr(choice.launch[1].options, "-DP_WEIGHT=3 "));
  problem = qkv(64, 64, 4, 2, 32, (const int32_t[]){CLATTN_F32, CLATTN_BF16, CLATTN_F16});
  problem.variant = "vector";
  choice = chosen(&problem, &facts);
  assert_int_equal(1, choice.n_launches);
  assert_parts(&choice.launch[0], CA_STAGE_projections, 0, 3);
  problem = qkv(4, 64, 4, 2, 32, (const int32_t[]){CLATTN_F16, CLATTN_F16, CLATTN_F16});
  assert_string_equal("skinny_projection_f32f16_l16t6x4", chosen(&problem, &facts).id);
}

static void other_families_launch_once_a_part(void **state)
{
  (void)state;
  const ca_facts facts = plain_gpu();
  ca_problem problem = qkv(512, 576, 9, 3, 64, floats);
  static const char *const families[] = {"tiled", "reference"};
  for (int f = 0; f < 2; f++) {
    problem.variant = families[f];
    const ca_choice choice = chosen(&problem, &facts);
    assert_int_equal(3, choice.n_launches);
    for (int i = 0; i < 3; i++) assert_parts(&choice.launch[i], CA_STAGE_projection, i, 1);
    assert_true(choice.launch[1].groups[0] < choice.launch[0].groups[0]);
  }
}

/* The product of each part goes through the workspace in turn, so it has room for the widest. */
static void clblast_has_a_workspace_for_the_widest_part(void **state)
{
  (void)state;
  const ca_facts facts = plain_gpu();
  ca_problem problem = qkv(10, 576, 9, 3, 64, floats);
  problem.variant = "clblast";
  ca_choice choice;
  clattn_report report = {.status = CLATTN_OK};
  const clattn_status status = ca_select(&problem, &facts, &choice, NULL, &report);
  if (strstr(report.message, "compiled without CLBlast")) {
    assert_status(CLATTN_UNSUPPORTED, status, &report);
    return;
  }
  assert_status(CLATTN_OK, status, &report);
  assert_int_equal(6, choice.n_launches);
  for (int i = 0; i < 3; i++) {
    assert_parts(&choice.launch[2 * i], CA_STAGE_clblast_gemm, i, 1);
    assert_parts(&choice.launch[2 * i + 1], CA_STAGE_projection_finish, i, 1);
  }
  assert_int_equal(sizeof(float) * 10 * 9 * 64, choice.workspace_bytes);
  problem.tensor[CLATTN_W_K].dtype = CLATTN_F16;
  assert_status(CLATTN_UNSUPPORTED, ca_select(&problem, &facts, &choice, NULL, &report), &report);
  assert_says(&report, "w_k is f16, must be f32");
}

static void absent_parts_cost_nothing(void **state)
{
  (void)state;
  const ca_facts cpu = facts_of("pocl-avx512"), gpu = plain_gpu();
  ca_problem problem = qkv(4, 64, 4, 2, 32, floats);
  leave_out(&problem, 1);
  ca_choice choice = chosen(&problem, &cpu);
  assert_string_equal("skinny_projection_f32_l16t6x4", choice.id);
  assert_int_equal(1, choice.n_launches);
  assert_parts(&choice.launch[0], CA_STAGE_projections, 0, 3);
  choice = chosen(&problem, &gpu);
  assert_int_equal(2, choice.n_launches);
  assert_parts(&choice.launch[1], CA_STAGE_projection, 2, 1);
  leave_out(&problem, 0);
  choice = chosen(&problem, &cpu);
  assert_int_equal(1, choice.n_launches);
  leave_out(&problem, 2);
  assert_int_equal(0, chosen(&problem, &cpu).n_launches);
}

static void a_limit_of_one_part_is_told(void **state)
{
  (void)state;
  const ca_facts facts = facts_of("pocl-avx512");
  ca_problem problem = qkv(4, 64, 4, 2, 300, floats);
  ca_choice choice;
  clattn_report report = {.status = CLATTN_OK};
  problem.projection.part[1].rotary_dim = 2;
  problem.variant = "skinny";
  assert_status(CLATTN_UNSUPPORTED, ca_select(&problem, &facts, &choice, NULL, &report), &report);
  assert_says(&report, "heads that rotate have 300 channels, the limit is 256");
  problem = qkv(4, 64, 4, 2, 32, floats);
  problem.projection.part[2].h = (int64_t)1 << 26;
  problem.variant = "vector";
  assert_status(CLATTN_UNSUPPORTED, ca_select(&problem, &facts, &choice, NULL, &report), &report);
  assert_says(&report, "N is 2147483648, the limit is");
  problem = qkv(4, 64, 1, 2, 32, floats);
  problem.projection.b = INT32_MAX;
  problem.projection.s = (int64_t)1 << 29;
  problem.projection.part[0].d = 1;
  problem.variant = "reference";
  assert_status(CLATTN_UNSUPPORTED, ca_select(&problem, &facts, &choice, NULL, &report), &report);
  assert_says(&report, "k has more than 2^63 elements");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(cpus_make_all_parts_in_one_launch),
      cmocka_unit_test(weights_of_several_types),
      cmocka_unit_test(other_families_launch_once_a_part),
      cmocka_unit_test(clblast_has_a_workspace_for_the_widest_part),
      cmocka_unit_test(absent_parts_cost_nothing),
      cmocka_unit_test(a_limit_of_one_part_is_told),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
