/* What the planner tells of a launch's program. */
#include <string.h>

#include "select_fixture.h"

static int count_kernels(const char *source)
{
  char path[512], text[65536];
  int kernels = 0;
  snprintf(path, sizeof path, "%s/%s", CLATTN_TEST_KERNELS, source);
  FILE *file = fopen(path, "rb");
  assert_non_null(file);
  text[fread(text, 1, sizeof text - 1, file)] = '\0';
  assert_int_equal(0, fclose(file));
  for (const char *at = text; (at = strstr(at, "\nKERNEL void ")); at++) kernels++;
  assert_true(kernels > 0);
  return kernels;
}

static void assert_lone_is_true(ca_problem problem, const char *variant)
{
  const ca_facts facts = facts_of("pocl-avx512");
  problem.variant = variant;
  const ca_choice choice = chosen(&problem, &facts);
  assert_int_equal(0, strncmp(variant, choice.id, strlen(variant)));
  assert_true(choice.n_launches > 0);
  for (uint32_t i = 0; i < choice.n_launches; i++) {
    const ca_launch *launch = &choice.launch[i];
    assert_int_equal(count_kernels(launch->source) == 1 && launch->local[0] == 1, launch->lone);
  }
}

/* The program room keeps the binaries of lone kernels where it would not keep others'. */
static void a_launch_is_lone_where_its_program_has_one_small_kernel(void **state)
{
  (void)state;
  static const char *const fused[] = {"vector_attention", "vector_attention_f32_d64_decode", "tiled_attention",
                                      "reference_attention"},
                           *const staged[] = {"vector_staged", "tiled_staged", "reference_staged"},
                           *const projections[] = {"skinny", "vector", "tiled", "reference"};
  for (size_t i = 0; i < sizeof fused / sizeof fused[0]; i++)
    assert_lone_is_true(attention(16, 1000, 64, 64), fused[i]);
  for (size_t i = 0; i < sizeof staged / sizeof staged[0]; i++) {
    ca_problem problem = attention(100, 100, 64, 64);
    problem.path = CLATTN_PATH_STAGED;
    assert_lone_is_true(problem, staged[i]);
  }
  for (size_t i = 0; i < sizeof projections / sizeof projections[0]; i++)
    assert_lone_is_true(projection(1, 16, 768, 12, 64, CLATTN_F32), projections[i]);
  ca_problem packed = projection(1, 16, 768, 12, 64, CLATTN_F32);
  packed.projection.part[0].panel = 64;
  assert_lone_is_true(packed, "packed");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_launch_is_lone_where_its_program_has_one_small_kernel),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
