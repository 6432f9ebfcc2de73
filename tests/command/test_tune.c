/* clattn tune: the rows that it keeps and prints, who picks them up, and files that it cannot or must not write. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "asserts.h"
#include "clattn/clattn.h"
#include "spawn.h"

#define ROWS CLATTN_TEST_SCRATCH "/tune/rows"
#define LIMITS CLATTN_TEST_SCRATCH "/tune.limits"
#define FEW "op=projection,s=3,e=8,h=2,d=4"
#define MORE "op=projection,s=5,e=8,h=2,d=4"
#define FEW_CLASS "projection f32 tokens=3 n=8 e=8"

/* Tiles of `tiled` need work-groups of 64: without them there is less to compile. */
static int setup(void **state)
{
  (void)state;
  FILE *file = fopen(LIMITS, "wb");
  if (!file) return 1;
  fprintf(file, "work_group_size = 32\n");
  return fclose(file) || setenv("CLATTN_LIMITS", LIMITS, 1);
}

static void read_rows(char text[8192])
{
  FILE *file = fopen(ROWS, "rb");
  assert_non_null(file);
  text[fread(text, 1, 8191, file)] = '\0';
  fclose(file);
}

static void write_rows(const char *text)
{
  FILE *file = fopen(ROWS, "wb");
  assert_non_null(file);
  fputs(text, file);
  assert_int_equal(0, fclose(file));
}

static int count_lines(const char *text)
{
  int lines = 0;
  for (; *text; text++) lines += *text == '\n';
  return lines;
}

/* The variant that this process, which has tuned nothing, takes for FEW; whether it is a row's. */
static bool takes_tuned(const char *variant)
{
  clattn_context *context = NULL;
  clattn_plan *plan = NULL;
  clattn_report report;
  clattn_plan_info info = CLATTN_PLAN_INFO_INIT;
  clattn_projection_desc desc = CLATTN_PROJECTION_DESC_INIT;
  desc.x = clattn_dense(CLATTN_F32, 3, (int64_t[]){1, 3, 8});
  desc.w = clattn_dense(CLATTN_F32, 2, (int64_t[]){8, 8});
  desc.y = clattn_bhsd(CLATTN_F32, 1, 2, 3, 4);
  assert_status(CLATTN_OK, clattn_context_pick(NULL, NULL, &context, &report), &report);
  assert_status(CLATTN_OK, clattn_plan_projection(context, &desc, &plan, &report), &report);
  assert_int_equal(CLATTN_OK, clattn_plan_get_info(plan, &info));
  const bool tuned = info.tuned != 0;
  if (tuned) assert_holds(info.variant, variant);
  clattn_plan_destroy(plan);
  clattn_context_destroy(context);
  return tuned;
}

/* A row a problem, in the place of what was there; the row's variant is what the next process takes. */
static void keeps_rows_for_later_runs(void **state)
{
  (void)state;
  char text[8192], before[512];
  remove(ROWS);
  spawned run = SPAWN(true, "tune", "--output", ROWS, "--rounds", "1", FEW, MORE);
  assert_spawned(&run, 0, "2 rows in " ROWS, NULL);
  assert_holds(run.out, FEW);
  spawned_free(&run);
  read_rows(text);
  assert_int_equal(3, count_lines(text)); /* the first says what the file is */
  assert_holds(text, " | " FEW_CLASS " | ");
  assert_holds(text, " | projection f32 tokens=5 n=8 e=8 | ");
  run = SPAWN(true, "tune", "--output", ROWS, "--rounds", "1", FEW);
  assert_spawned(&run, 0, "1 rows in " ROWS, NULL);
  spawned_free(&run);
  read_rows(text);
  assert_int_equal(3, count_lines(text));

  snprintf(before, sizeof before, "%s", getenv("CLATTN_TUNING") ? getenv("CLATTN_TUNING") : "/dev/null");
  char *kind = strstr(text, " | " FEW_CLASS " | ");
  assert_non_null(kind);
  snprintf(kind, sizeof text - (size_t)(kind - text), "%s", " | " FEW_CLASS " | reference_projection_f32\n");
  write_rows(text);
  setenv("CLATTN_TUNING", ROWS, 1);
  assert_true(takes_tuned("reference_projection_f32"));
  setenv("CLATTN_TUNING", before, 1);
  assert_false(takes_tuned(""));
}

/* Rows of before have no say in what is measured against: it is the rules' choice again. */
static void measures_against_the_rules(void **state)
{
  (void)state;
  char rules[2][96];
  for (int tuned = 0; tuned < 2; tuned++) {
    write_rows(tuned ? "* | * | * | " FEW_CLASS " | reference_projection_f32\n" : "");
    setenv("CLATTN_TUNING", ROWS, 1);
    spawned run = SPAWN(true, "tune", "--json", "--rounds", "1", FEW);
    assert_spawned(&run, 0, "", NULL);
    cJSON *line = cJSON_ParseWithOpts(run.out, NULL, 0);
    assert_true(cJSON_IsObject(line));
    const char *variant = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(line, "rules_variant"));
    assert_non_null(variant);
    snprintf(rules[tuned], sizeof rules[tuned], "%s", variant);
    const char *row = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(line, "row"));
    const char *winner = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(line, "variant"));
    assert_non_null(winner);
    assert_holds(row, " | " FEW_CLASS " | ");
    assert_int_equal(strcmp(winner, variant) == 0, strcmp(row + strlen(row) - strlen(" | rules"), " | rules") == 0);
    const cJSON *candidates = cJSON_GetObjectItemCaseSensitive(line, "candidates"), *item;
    int n = 0, has_reference = 0;
    cJSON_ArrayForEach(item, candidates)
    {
      const bool has_ms = cJSON_IsNumber(cJSON_GetObjectItemCaseSensitive(item, "ms"));
      const char *id = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, "variant"));
      assert_non_null(id);
      assert_true(has_ms != cJSON_IsString(cJSON_GetObjectItemCaseSensitive(item, "why")));
      if (n++ == 0) assert_string_equal(variant, id);
      has_reference += strcmp(id, "reference_projection_f32") == 0;
    }
    assert_int_equal(1, has_reference);
    assert_true(cJSON_IsNumber(cJSON_GetObjectItemCaseSensitive(line, "gain")));
    cJSON_Delete(line);
    spawned_free(&run);
    unsetenv("CLATTN_TUNING");
  }
  assert_string_equal(rules[0], rules[1]);
}

/* Printed rows are of any driver, and lie in no file. */
static void prints_rows_for_the_built_in_table(void **state)
{
  (void)state;
  remove(ROWS);
  setenv("CLATTN_TUNING", ROWS, 1);
  spawned run = SPAWN(true, "tune", "--print", "--rounds", "1", FEW);
  unsetenv("CLATTN_TUNING");
  assert_spawned(&run, 0, " | * | * | " FEW_CLASS " | ", NULL);
  assert_int_equal(0, strncmp(run.out, "CA_TUNED(\"", strlen("CA_TUNED(\"")));
  assert_string_equal("\")\n", run.out + strlen(run.out) - 3);
  assert_int_equal(1, count_lines(run.out));
  assert_null(fopen(ROWS, "rb"));
  spawned_free(&run);
}

/* What is in the file and no row stays; a file that is none of these stays as it is. */
static void other_files_stay_whole(void **state)
{
  (void)state;
  enum { LARGE = (1 << 20) + 1 };
  char text[8192];
  struct stat info;
  write_rows("\x01 garbage\nelsewhere | 1 | 2 | " FEW_CLASS " | rules\n* | * | * | att");
  spawned run = SPAWN(true, "tune", "--output", ROWS, "--rounds", "1", FEW);
  assert_spawned(&run, 0, "", NULL);
  spawned_free(&run);
  read_rows(text);
  assert_int_equal(0, strncmp(text, "\x01 garbage\nelsewhere | 1 | 2 | " FEW_CLASS " | rules\n* | * | * | att\n",
                              strlen("\x01 garbage\nelsewhere | 1 | 2 | " FEW_CLASS " | rules\n* | * | * | att\n")));
  assert_int_equal(4, count_lines(text));
  char *large = calloc(1, LARGE + 1);
  assert_non_null(large);
  memset(large, 'x', LARGE);
  write_rows(large);
  free(large);
  run = SPAWN(false, "tune", "--output", ROWS, FEW);
  assert_spawned(&run, 1, NULL, ROWS ": it has more than 1048576 bytes");
  spawned_free(&run);
  assert_int_equal(0, stat(ROWS, &info));
  assert_int_equal(LARGE, info.st_size);
  remove(ROWS);
}

/* Seen before a device is opened: none is here. */
static void files_that_cannot_be_written_are_refused_first(void **state)
{
  (void)state;
  spawned run = SPAWN(false, "tune", "--output", "/proc/no/rows", FEW);
  assert_spawned(&run, 1, NULL, "tuning file /proc/no/rows: it cannot be written");
  spawned_free(&run);
  setenv("CLATTN_TUNING", CLATTN_TEST_SCRATCH, 1);
  run = SPAWN(false, "tune", FEW);
  assert_spawned(&run, 1, NULL, "tuning file " CLATTN_TEST_SCRATCH ": it is no file that can be replaced");
  spawned_free(&run);
  const char *home = getenv("HOME"), *data = getenv("XDG_DATA_HOME");
  char kept[2][512];
  snprintf(kept[0], sizeof kept[0], "%s", home ? home : "");
  snprintf(kept[1], sizeof kept[1], "%s", data ? data : "");
  unsetenv("CLATTN_TUNING");
  unsetenv("HOME");
  unsetenv("XDG_DATA_HOME");
  run = SPAWN(false, "tune", FEW);
  if (home) setenv("HOME", kept[0], 1);
  if (data) setenv("XDG_DATA_HOME", kept[1], 1);
  assert_spawned(&run, 1, NULL, "neither CLATTN_TUNING nor a home; --output names one");
  spawned_free(&run);
}

/* A problem that cannot be tuned gets its message, the others are tuned. */
static void other_problems_are_tuned_still(void **state)
{
  (void)state;
  char text[8192];
  remove(ROWS);
  spawned run = SPAWN(true, "tune", "--output", ROWS, "--rounds", "1", "sq=3,dk=4,variant=reference",
                      "sq=3,dk=4,precision=11", FEW);
  assert_spawned(&run, 1, "1 rows in " ROWS, "sq=3,dk=4,variant=reference: it names the variant reference");
  assert_holds(run.err, "sq=3,dk=4,precision=11: ");
  assert_holds(run.err, " is not tuned: no row has a say in its choice");
  spawned_free(&run);
  read_rows(text);
  assert_int_equal(2, count_lines(text));
  remove(ROWS);
}

static void wrong_command_lines_are_told(void **state)
{
  (void)state;
  static const struct {
    const char *words[6];
    const char *says;
  } cases[] = {
      {{"tune", "--rounds", "0", FEW}, "--rounds: '0' must be 1 to 101"},
      {{"tune", "--rounds", "3x", FEW}, "--rounds: '3x' must be 1 to 101"},
      {{"tune", "--output", "", FEW}, "--output: it names no file"},
      {{"tune", "--output", ROWS, "--print", FEW}, "--output and --print are two things"},
      {{"tune", "--fast", FEW}, "unknown option '--fast'"},
      {{"tune", "nonesuch"}, "'nonesuch' is no problem, and no set"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    spawned run = spawn_clattn(false, cases[i].words);
    assert_spawned(&run, 2, NULL, cases[i].says);
    spawned_free(&run);
  }
}

int main(int argc, char **argv)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(keeps_rows_for_later_runs),
      cmocka_unit_test(measures_against_the_rules),
      cmocka_unit_test(prints_rows_for_the_built_in_table),
      cmocka_unit_test(other_files_stay_whole),
      cmocka_unit_test(files_that_cannot_be_written_are_refused_first),
      cmocka_unit_test(other_problems_are_tuned_still),
      cmocka_unit_test(wrong_command_lines_are_told),
  };
  if (argc > 1) cmocka_set_test_filter(argv[1]);
  return cmocka_run_group_tests(tests, setup, NULL);
}
