/* Tuning files through the public interface: what they choose, who goes before them, and how rows get into them. */
#include <stdio.h>
#include <string.h>

#include "small.h"

#define ROWS CLATTN_TEST_SCRATCH "/api-tuning/rows"
#define SMALL_CLASS "attention f32 heads=4 group=2 sq=6 sk=9 dk=8 dv=12"
static const char tuned_id[] = "reference_staged_f32_d8v12";

static void write_rows(const char *text)
{
  clattn_report report;
  remove(ROWS);
  assert_status(CLATTN_OK, clattn_tuning_keep(ROWS, "", &report), &report); /* makes the folder */
  FILE *file = fopen(ROWS, "wb");
  assert_non_null(file);
  fputs(text, file);
  assert_int_equal(0, fclose(file));
}

static int setup(void **state)
{
  const int failed = device_setup(state);
  if (!failed) write_rows("* | * | * | " SMALL_CLASS " | reference_staged_f32\n");
  return failed;
}

static int teardown(void **state)
{
  remove(ROWS);
  return device_teardown(state);
}

/* A context of the device under test with a tuning file; NULL: the default one. */
static device_under_test open_tuned(const device_under_test *d, const char *tuning, clattn_report *report)
{
  device_under_test own = *d;
  clattn_context_options options = CLATTN_CONTEXT_OPTIONS_INIT;
  options.tuning = tuning;
  assert_status(CLATTN_OK, clattn_context_create(d->cl, d->id, &options, &own.context, report), report);
  return own;
}

/* Plans and runs the small problem: whether its variant is a row's, and its result the right one. */
static clattn_plan *plan_checked(const device_under_test *d, bool tuned)
{
  small_problem s;
  clattn_binding b[SMALL_BINDINGS];
  float y[SMALL_Y];
  clattn_report report;
  clattn_plan_info info = CLATTN_PLAN_INFO_INIT;
  small_make(&s, 3);
  clattn_plan *plan = small_plan(d, &s, CLATTN_PATH_AUTO);
  assert_int_equal(CLATTN_OK, clattn_plan_get_info(plan, &info));
  assert_int_equal(tuned, info.tuned);
  assert_int_equal(tuned, strcmp(tuned_id, clattn_plan_variant(plan)) == 0);
  assert_int_equal(tuned, strstr(info.selection, "taken, tuned by the tuning file for " SMALL_CLASS) != NULL);
  small_bind(d, &s, 0.0f, b);
  assert_status(CLATTN_OK, clattn_enqueue(plan, d->queue, b, SMALL_BINDINGS, 0, NULL, NULL, &report), &report);
  small_read(d, b, y);
  small_check(&s, y);
  small_release(b);
  return plan;
}

static void check_context(const device_under_test *d, const char *tuning, bool tuned)
{
  clattn_report report;
  const device_under_test own = open_tuned(d, tuning, &report);
  assert_null(strstr(report.detail, "tuning"));
  clattn_plan_destroy(plan_checked(&own, tuned));
  clattn_context_destroy(own.context);
}

static void options_go_before_the_environment(void **state)
{
  const device_under_test *d = *state;
  static const char none[] = "/nonexistent/rows";
  setenv("CLATTN_TUNING", none, 1);
  check_context(d, ROWS, true);
  check_context(d, NULL, false);
  setenv("CLATTN_TUNING", ROWS, 1);
  check_context(d, NULL, true);
  check_context(d, "", false);
  check_context(d, none, false);
  setenv("CLATTN_TUNING", none, 1);
}

/* What a plan gives as its row is what the next context does. */
static void kept_rows_choose_in_the_next_context(void **state)
{
  const device_under_test *d = *state;
  char row[CLATTN_TUNING_ROW_BYTES];
  clattn_report report;
  small_problem s;
  static const uint32_t flags[] = {0, CLATTN_TUNING_ANY_DRIVER, CLATTN_TUNING_RULES};
  small_make(&s, 3);
  s.desc.variant = "reference_staged";
  for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
    const device_under_test named = open_tuned(d, "", &report);
    clattn_plan *plan = small_plan(&named, &s, CLATTN_PATH_AUTO);
    assert_status(CLATTN_OK, clattn_plan_tuning_row(plan, flags[i], row, sizeof row, &report), &report);
    assert_holds(row, flags[i] == CLATTN_TUNING_RULES ? " | " SMALL_CLASS " | rules"
                                                      : " | " SMALL_CLASS " | reference_staged_f32");
    assert_int_equal(flags[i] == CLATTN_TUNING_ANY_DRIVER, strstr(row, " | * | * | ") != NULL);
    clattn_plan_destroy(plan);
    clattn_context_destroy(named.context);
    write_rows("# mine\nelsewhere | * | * | " SMALL_CLASS " | rules\n");
    assert_status(CLATTN_OK, clattn_tuning_keep(ROWS, row, &report), &report);
    check_context(d, ROWS, flags[i] != CLATTN_TUNING_RULES);
    char text[1024] = "";
    FILE *file = fopen(ROWS, "rb");
    assert_non_null(file);
    assert_true(fread(text, 1, sizeof text - 1, file) > 0);
    fclose(file);
    assert_holds(text, "# mine\nelsewhere | * | * | " SMALL_CLASS " | rules\n");
  }
  write_rows("* | * | * | " SMALL_CLASS " | reference_staged_f32\n");
}

/* Damage costs its own lines alone, and the report tells of it. */
static void damaged_files_choose_as_far_as_they_can(void **state)
{
  const device_under_test *d = *state;
  clattn_report report;
  write_rows("\x01\xff garbage\n* | * | * | " SMALL_CLASS " | reference_staged_f32\n* | * | * | att");
  device_under_test own = open_tuned(d, ROWS, &report);
  assert_holds(report.detail, ROWS ": 2 lines are no rows and ignored, the first is line 1");
  clattn_plan_destroy(plan_checked(&own, true));
  clattn_context_destroy(own.context);
  own = open_tuned(d, "/proc/self/mem", &report);
  assert_holds(report.detail, "tuning file /proc/self/mem: it cannot be read: ignored");
  clattn_plan_destroy(plan_checked(&own, false));
  clattn_context_destroy(own.context);
  write_rows("* | * | * | " SMALL_CLASS " | vector_attention_f32_of_a_later_version\n");
  own = open_tuned(d, ROWS, &report);
  clattn_plan_destroy(plan_checked(&own, false));
  clattn_context_destroy(own.context);
  write_rows("* | * | * | " SMALL_CLASS " | reference_staged_f32\n");
}

/* Whoever names a variant gets it, and hears of candidates all the same: each once, the plan's own among them. */
static void candidates_are_listed(void **state)
{
  const device_under_test *d = *state;
  small_problem s;
  clattn_candidate_info info = CLATTN_CANDIDATE_INFO_INIT;
  uint32_t count = 0, taken = 0, reference = 0;
  small_make(&s, 3);
  s.desc.variant = "reference_attention";
  clattn_plan *plan = small_plan(d, &s, CLATTN_PATH_AUTO);
  for (; clattn_plan_candidate(plan, count, &info) == CLATTN_OK; count++) {
    taken += info.taken != 0;
    if (info.taken) assert_string_equal(clattn_plan_variant(plan), info.variant);
    reference += strcmp(info.variant, "reference_attention_f32_d8v12") == 0 || strcmp(info.variant, tuned_id) == 0;
  }
  assert_int_equal(1, taken);
  assert_int_equal(2, reference);
  assert_int_equal(CLATTN_INVALID_ARGUMENT, clattn_plan_candidate(plan, count, &info));
  assert_int_equal(CLATTN_INVALID_ARGUMENT, clattn_plan_candidate(NULL, 0, &info));
  assert_int_equal(CLATTN_INVALID_ARGUMENT, clattn_plan_candidate(plan, 0, NULL));
  info.struct_size--;
  assert_int_equal(CLATTN_INVALID_STRUCT, clattn_plan_candidate(plan, 0, &info));
  clattn_plan_destroy(plan);
}

static void mistakes_are_named(void **state)
{
  const device_under_test *d = *state;
  char row[CLATTN_TUNING_ROW_BYTES], path[8];
  clattn_report report;
  small_problem s;
  small_make(&s, 3);
  clattn_plan *plan = small_plan(d, &s, CLATTN_PATH_AUTO);
  assert_status(CLATTN_INVALID_ARGUMENT, clattn_plan_tuning_row(NULL, 0, row, sizeof row, &report), &report);
  assert_says(&report, "plan is NULL");
  assert_status(CLATTN_INVALID_ARGUMENT, clattn_plan_tuning_row(plan, 0, NULL, 0, &report), &report);
  assert_says(&report, "row is NULL");
  assert_status(CLATTN_INVALID_VALUE, clattn_plan_tuning_row(plan, 4, row, sizeof row, &report), &report);
  assert_says(&report, "flags is 0x4, known are 0x3");
  assert_status(CLATTN_INVALID_ARGUMENT, clattn_plan_tuning_row(plan, 0, row, 9, &report), &report);
  assert_says(&report, "capacity is 9, the row has ", " bytes");
  clattn_plan_destroy(plan);
  s.desc.softmax_precision = 11;
  plan = small_plan(d, &s, CLATTN_PATH_AUTO);
  assert_status(CLATTN_UNSUPPORTED, clattn_plan_tuning_row(plan, 0, row, sizeof row, &report), &report);
  assert_says(&report, clattn_plan_variant(plan), " is not tuned: no row has a say in its choice");
  clattn_plan_destroy(plan);
  assert_status(CLATTN_INVALID_VALUE, clattn_tuning_keep(ROWS, "* | * | * | x y | rules\nno row\n", &report), &report);
  assert_says(&report, "\"no row\" is no row of a tuning file");
  assert_status(CLATTN_INVALID_ARGUMENT, clattn_tuning_keep(ROWS, NULL, &report), &report);
  assert_says(&report, "rows is NULL");
  assert_int_equal(CLATTN_INVALID_ARGUMENT, clattn_tuning_path(path, sizeof path));
  assert_int_equal(CLATTN_INVALID_ARGUMENT, clattn_tuning_path(NULL, 0));
}

/* A file of the largest size, which contexts read, takes no row more: it stays as it is, and is read still. */
static void a_full_file_stays_as_it_is(void **state)
{
  enum { FULL = 1 << 20 };
  static const char first[] = "* | * | * | " SMALL_CLASS " | reference_staged_f32\n#";
  const device_under_test *d = *state;
  clattn_report report;
  char *full = calloc(1, FULL + 1), *after = calloc(1, FULL + 2);
  assert_true(full && after);
  memset(full, '#', FULL - 1);
  memcpy(full, first, sizeof first - 1);
  full[FULL - 1] = '\n';
  write_rows(full);
  assert_status(CLATTN_INVALID_VALUE, clattn_tuning_keep(ROWS, "another | * | * | " SMALL_CLASS " | rules", &report),
                &report);
  assert_says(&report, "tuning file " ROWS ": it would have ", " bytes, must be 1048576 at most");
  FILE *file = fopen(ROWS, "rb");
  assert_non_null(file);
  assert_int_equal(FULL, fread(after, 1, FULL + 1, file));
  fclose(file);
  assert_string_equal(full, after);
  check_context(d, ROWS, true);
  free(full);
  free(after);
  write_rows("* | * | * | " SMALL_CLASS " | reference_staged_f32\n");
}

/* Last: the environment is another one from here on. */
static void without_a_home_there_is_no_default(void **state)
{
  (void)state;
  char path[64];
  clattn_report report;
  unsetenv("CLATTN_TUNING");
  setenv("XDG_DATA_HOME", "/data", 1);
  assert_int_equal(CLATTN_OK, clattn_tuning_path(path, sizeof path));
  assert_string_equal("/data/clattn/tuning", path);
  unsetenv("XDG_DATA_HOME");
  unsetenv("HOME");
  assert_int_equal(CLATTN_INVALID_ARGUMENT, clattn_tuning_path(path, sizeof path));
  assert_status(CLATTN_INVALID_ARGUMENT, clattn_tuning_keep(NULL, "", &report), &report);
  assert_says(&report, "path is NULL, and the environment has no CLATTN_TUNING and no home");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(options_go_before_the_environment),
      cmocka_unit_test(kept_rows_choose_in_the_next_context),
      cmocka_unit_test(damaged_files_choose_as_far_as_they_can),
      cmocka_unit_test(candidates_are_listed),
      cmocka_unit_test(mistakes_are_named),
      cmocka_unit_test(a_full_file_stays_as_it_is),
      cmocka_unit_test(without_a_home_there_is_no_default),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
