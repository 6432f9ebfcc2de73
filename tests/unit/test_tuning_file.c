/* The tuning file: where it lies, what is read of a damaged one, and that nothing else is replaced by one. */
#include "tuning_file.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "asserts.h"

#define FOLDER CLATTN_TEST_SCRATCH "/tuning"
#define FILE_NAME FOLDER "/deep/rows"

static int clean(void **state)
{
  (void)state;
  remove(FILE_NAME);
  rmdir(FOLDER "/deep");
  return 0;
}

static void put(const char *text, size_t bytes)
{
  FILE *file = fopen(FILE_NAME, "wb");
  assert_non_null(file);
  assert_int_equal(bytes, fwrite(text, 1, bytes, file));
  assert_int_equal(0, fclose(file));
}

static void lies_where_the_environment_says(void **state)
{
  (void)state;
  char path[64] = "";
  setenv("CLATTN_TUNING", "/x/rows", 1);
  setenv("XDG_DATA_HOME", "/xdg", 1);
  setenv("HOME", "/home/me", 1);
  assert_true(ca_tuning_path_default(path, sizeof path));
  assert_string_equal("/x/rows", path);
  setenv("CLATTN_TUNING", "", 1);
  assert_true(ca_tuning_path_default(path, sizeof path));
  assert_string_equal("/xdg/clattn/tuning", path);
  setenv("XDG_DATA_HOME", "relative", 1);
  assert_true(ca_tuning_path_default(path, sizeof path));
  assert_string_equal("/home/me/.local/share/clattn/tuning", path);
  assert_false(ca_tuning_path_default(path, 8));
  unsetenv("HOME");
  assert_false(ca_tuning_path_default(path, sizeof path));
}

static void comes_back_as_it_was_written(void **state)
{
  (void)state;
  clattn_report report = {.status = CLATTN_OK};
  char *text = NULL;
  clean(state);
  assert_status(CLATTN_OK, ca_tuning_read(FILE_NAME, &text, &report), &report);
  assert_string_equal("", text);
  free(text);
  assert_status(CLATTN_OK, ca_tuning_write(FILE_NAME, "a row\n", &report), &report);
  assert_status(CLATTN_OK, ca_tuning_write(FILE_NAME, "another\n", &report), &report);
  assert_status(CLATTN_OK, ca_tuning_read(FILE_NAME, &text, &report), &report);
  assert_string_equal("another\n", text);
  free(text);
}

static void damage_is_read_or_told(void **state)
{
  (void)state;
  clattn_report report = {.status = CLATTN_OK};
  char *text = NULL;
  put("a\0b\n", 4);
  assert_status(CLATTN_OK, ca_tuning_read(FILE_NAME, &text, &report), &report);
  assert_string_equal("a?b\n", text);
  free(text);
  char *large = calloc(1, CA_TUNING_BYTES_MAX + 1);
  assert_non_null(large);
  put(large, CA_TUNING_BYTES_MAX);
  assert_status(CLATTN_OK, ca_tuning_read(FILE_NAME, &text, &report), &report);
  assert_int_equal(CA_TUNING_BYTES_MAX, strlen(text));
  free(text);
  put(large, CA_TUNING_BYTES_MAX + 1);
  free(large);
  assert_status(CLATTN_INVALID_VALUE, ca_tuning_read(FILE_NAME, &text, &report), &report);
  assert_says(&report, FILE_NAME ": it has more than 1048576 bytes");
  assert_status(CLATTN_INVALID_VALUE, ca_tuning_read("/proc/self/mem", &text, &report), &report);
  assert_says(&report, "tuning file /proc/self/mem: it cannot be read");
}

/* A pipe, as a device, and a folder have no rows, and stay what they are. */
static void only_files_are_read_and_replaced(void **state)
{
  (void)state;
  static const char *const others[] = {FOLDER "/pipe", FOLDER};
  remove(others[0]);
  assert_int_equal(0, mkfifo(others[0], 0600));
  for (size_t i = 0; i < 2; i++) {
    clattn_report report = {.status = CLATTN_OK};
    char *text = NULL;
    assert_status(CLATTN_OK, ca_tuning_read(others[i], &text, &report), &report);
    assert_string_equal("", text);
    free(text);
    assert_status(CLATTN_INVALID_VALUE, ca_tuning_write(others[i], "a row\n", &report), &report);
    assert_says(&report, others[i], ": it is no file that can be replaced");
  }
  remove(others[0]);
}

/* A folder that cannot be made: its parent is a file. */
static void a_failed_write_leaves_the_old_file(void **state)
{
  (void)state;
  clattn_report report = {.status = CLATTN_OK};
  char *text = NULL;
  assert_status(CLATTN_OK, ca_tuning_write(FILE_NAME, "old\n", &report), &report);
  assert_status(CLATTN_INVALID_VALUE, ca_tuning_write(FOLDER "/deep/", "new\n", &report), &report);
  assert_status(CLATTN_INVALID_VALUE, ca_tuning_write(FILE_NAME "/below", "new\n", &report), &report);
  assert_says(&report, FILE_NAME "/below: ");
  assert_status(CLATTN_INVALID_VALUE, ca_tuning_write("/proc/no/rows", "new\n", &report), &report);
  assert_says(&report, "tuning file /proc/no/rows: it cannot be written; CLATTN_TUNING may name another one");
  report = (clattn_report){.status = CLATTN_OK};
  assert_status(CLATTN_OK, ca_tuning_read(FILE_NAME, &text, &report), &report);
  assert_string_equal("old\n", text);
  free(text);
}

/* What no reader would take is not written, up to the byte. */
static void what_is_too_large_leaves_the_old_file(void **state)
{
  (void)state;
  clattn_report report = {.status = CLATTN_OK};
  char *text = NULL, *large = calloc(1, CA_TUNING_BYTES_MAX + 2);
  assert_non_null(large);
  memset(large, '#', CA_TUNING_BYTES_MAX + 1);
  assert_status(CLATTN_OK, ca_tuning_write(FILE_NAME, "old\n", &report), &report);
  assert_status(CLATTN_INVALID_VALUE, ca_tuning_write(FILE_NAME, large, &report), &report);
  assert_says(&report, "tuning file " FILE_NAME ": it would have 1048577 bytes, must be 1048576 at most");
  report = (clattn_report){.status = CLATTN_OK};
  assert_status(CLATTN_OK, ca_tuning_read(FILE_NAME, &text, &report), &report);
  assert_string_equal("old\n", text);
  free(text);
  large[CA_TUNING_BYTES_MAX] = '\0';
  assert_status(CLATTN_OK, ca_tuning_write(FILE_NAME, large, &report), &report);
  assert_status(CLATTN_OK, ca_tuning_read(FILE_NAME, &text, &report), &report);
  assert_string_equal(large, text);
  free(text);
  free(large);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lies_where_the_environment_says),
      cmocka_unit_test(comes_back_as_it_was_written),
      cmocka_unit_test(damage_is_read_or_told),
      cmocka_unit_test(only_files_are_read_and_replaced),
      cmocka_unit_test(a_failed_write_leaves_the_old_file),
      cmocka_unit_test(what_is_too_large_leaves_the_old_file),
  };
  return cmocka_run_group_tests(tests, NULL, clean);
}
