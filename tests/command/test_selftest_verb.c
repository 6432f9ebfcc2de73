/* clattn selftest: right kernels, planted wrong ones, and what later runs make of the verdict. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "asserts.h"
#include "planted.h"
#include "spawn.h"

#define KERNELS CLATTN_TEST_SCRATCH "/selftest-verb-kernels"
#define OUT CLATTN_TEST_SCRATCH "/selftest-verb-out"
#define LIMITS CLATTN_TEST_SCRATCH "/selftest-verb.limits"

/* Kinds that the planted faults make wrong. */
static const char *const planted[] = {"tiled_projection", "tiled_softmax",   "tiled_values",
                                      "tiled_staged",     "reference_merge", "extend"};
enum { PLANTED = sizeof planted / sizeof planted[0] };

/* Tiles of `tiled` need 64: the fewer fit, the fewer programs are compiled. */
static void limit_groups(int size)
{
  FILE *file = fopen(LIMITS, "wb");
  assert_non_null(file);
  fprintf(file, "work_group_size = %d\n", size);
  fclose(file);
  assert_int_equal(0, setenv("CLATTN_LIMITS", LIMITS, 1));
}

static int which_planted(const char *kind)
{
  for (int i = 0; i < PLANTED; i++)
    if (strncmp(kind, planted[i], strlen(planted[i])) == 0) return i;
  return -1;
}

/* Counts the variants by verdict; planted ones are to be wrong, if there are any, and no other. */
static void read_lines(const spawned *run, bool faults, int wrong[PLANTED], int *right)
{
  char *rest = run->out;
  for (char *line; (line = strtok_r(rest, "\n", &rest));) {
    cJSON *object = cJSON_ParseWithOpts(line, NULL, 1);
    if (!cJSON_IsObject(object)) fail_msg("no JSON object: %s", line);
    const char *kind = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, "variant"));
    const cJSON *verdict = cJSON_GetObjectItemCaseSensitive(object, "right");
    assert_non_null(kind);
    const int plant = faults ? which_planted(kind) : -1;
    if (!verdict) {
      assert_non_null(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, "problem")));
      if (plant < 0) assert_string_equal("a fault of its own", line);
    } else if (cJSON_IsTrue(verdict)) {
      ++*right;
    } else {
      if (plant < 0) fail_msg("%s is wrong", kind);
      wrong[plant]++;
    }
    cJSON_Delete(object);
  }
}

static void test_right_kernels(void **state)
{
  (void)state;
  static const char *const operations[] = {"attention", "staged", "scores", "softmax", "values", "projection", "merge"};
  int wrong[PLANTED] = {0}, right = 0;
  char kind[64];
  limit_groups(32);
  spawned run = SPAWN(true, "selftest", "--json");
  assert_spawned(&run, 0, "\"extend\"", NULL);
  assert_holds(run.out, "\"map\"");
  for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++) {
    snprintf(kind, sizeof kind, "\"reference_%s_f32\"", operations[i]);
    assert_holds(run.out, kind);
  }
  read_lines(&run, false, wrong, &right);
  assert_true(right > 20);
  spawned_free(&run);
}

static void test_planted_kernels(void **state)
{
  (void)state;
  int wrong[PLANTED] = {0}, right = 0;
  limit_groups(64);
  planted_copy(CLATTN_TEST_KERNELS, KERNELS);
  /* The same as in tests/api/test_selftest.c: the driver's cache has these programs then. */
  planted_edit(KERNELS, "tiled_stages.cl", "pair.x += ca_bias(args, bias, first);", "");
  planted_edit(KERNELS, "tiled_stages.cl", "args.y_type, own[c])", "args.y_type, 1.001f * own[c])");
  planted_edit(KERNELS, "tiled_stages.cl", "log(sum)", "log(sum) + 0.01f");
  planted_edit(KERNELS, "merge.cl", "m + log(sum)", "m");
  planted_edit(KERNELS, "extend.cl", "d < side->width", "d + 1 < side->width");
  setenv("CLATTN_KERNEL_DIR", KERNELS, 1);
  spawned run = SPAWN(true, "selftest", "--json");
  assert_spawned(&run, 1, "\"right\":false", "are wrong on");
  read_lines(&run, true, wrong, &right);
  for (int i = 0; i < PLANTED; i++)
    if (!wrong[i]) fail_msg("%s is not wrong", planted[i]);
  assert_true(right > 30);
  spawned_free(&run);

  static const char problem[] = "b=1,hq=2,sq=4,sk=5,dk=8,past=0,path=staged";
  run = SPAWN(true, "attend", "--problem", problem, "-o", OUT, "--variant", "tiled_staged");
  assert_spawned(&run, 1, NULL, "computed wrongly in the selftest of this device");
  spawned_free(&run);
  run = SPAWN(true, "attend", "--problem", problem, "-o", OUT);
  assert_spawned(&run, 0, "", NULL);
  spawned_free(&run);
  run = SPAWN(true, "attend", "--problem", "sq=4,sk=5,dk=8,past=3", "-o", OUT);
  assert_spawned(&run, 1, NULL, "the extended keys were wrong in the selftest");
  spawned_free(&run);
  unsetenv("CLATTN_KERNEL_DIR");
}

/* The table for people: a line of each kind, and of each trial that went wrong. */
static void test_table(void **state)
{
  (void)state;
  limit_groups(32);
  planted_copy(CLATTN_TEST_KERNELS, KERNELS);
  planted_edit(KERNELS, "merge.cl", "m + log(sum)", "m");
  setenv("CLATTN_KERNEL_DIR", KERNELS, 1);
  spawned run = SPAWN(true, "selftest");
  unsetenv("CLATTN_KERNEL_DIR");
  assert_spawned(&run, 1, "WRONG in ", "are wrong on");
  assert_holds(run.out, "reference_merge_f32_d64: wrong results, error ");
  assert_holds(run.out, "b=2,h=3,s=7,d=64,dtype=f32");
  const char *line = strstr(run.out, "\nreference_attention_f32 ");
  assert_non_null(line);
  assert_int_equal(0, strncmp(line + strcspn(line + 1, "\n") - 4, "right", 5));
  spawned_free(&run);
}

int main(int argc, char **argv)
{
  if (argc > 1) cmocka_set_test_filter(argv[1]);
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_right_kernels), cmocka_unit_test(test_planted_kernels),
                                     cmocka_unit_test(test_table)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
