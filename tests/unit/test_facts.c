/* Fact texts: what is read, what is refused and how, and limits. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "asserts.h"
#include "facts.h"

static void read_file(const char *path, char *text, size_t capacity)
{
  FILE *file = fopen(path, "rb");
  assert_non_null(file);
  const size_t bytes = fread(text, 1, capacity - 1, file);
  fclose(file);
  assert_true(bytes < capacity - 1);
  text[bytes] = '\0';
}

static void reads_numbers_texts_and_comments(void **state)
{
  (void)state;
  ca_facts facts = {.clock_mhz = 7};
  clattn_report report = {.status = CLATTN_OK};
  const char text[] =
      "# a comment\n\n  compute_units=12\r\nlocal_memory_bytes = 32768 # of them\nname =  A card, v = 2 \n"
      "type = accelerator\nmax_alloc_bytes = 18446744073709551615";
  assert_status(CLATTN_OK, ca_facts_parse(text, &facts, &report), &report);
  assert_int_equal(12, facts.compute_units);
  assert_int_equal(32768, facts.local_memory_bytes);
  assert_true(facts.max_alloc_bytes == UINT64_MAX);
  assert_string_equal("A card, v = 2", facts.name);
  assert_int_equal(CA_DEVICE_ACCELERATOR, facts.type);
  assert_int_equal(7, facts.clock_mhz); /* not named: stays */
}

static void refuses_with_line_key_and_value(void **state)
{
  (void)state;
  static const struct {
    const char *text, *line, *thing, *value;
  } cases[] = {
      {"compute_units = 1\nwarp_size = 32", "facts, line 2", ": unknown key '", "warp_size"},
      {"compute_units = many", "line 1", "compute_units", "'many' is not a whole number"},
      {"compute_units = -1", "line 1", "compute_units", "'-1' is not a whole number"},
      {"compute_units = 1.5", "line 1", "compute_units", "'1.5' is not a whole number"},
      {"compute_units = 0x10", "line 1", "compute_units", "'0x10' is not a whole number"},
      {"compute_units = 3 4", "line 1", "compute_units", "'3 4' is not a whole number"},
      {"\n\ncompute_units = 18446744073709551616", "line 3", "compute_units", "exceeds 18446744073709551615"},
      {"compute_units = 99999999999999999999999", "line 1", "compute_units", "exceeds 18446744073709551615"},
      {"compute_units =", "line 1", "compute_units", "has no value"},
      {"compute_units = # 12", "line 1", "compute_units", "has no value"},
      {"compute_units 12", "line 1", "compute_units 12", "' is not 'key = value'"},
      {"= 12", "line 1", "unknown key", "''"},
      {"Compute_Units = 12", "line 1", "unknown key", "Compute_Units"},
      {"compute_unit = 12", "line 1", "unknown key", "compute_unit"},
      {"type = fpga", "line 1", "type = 'fpga", "', must be cpu, gpu, accelerator or other"},
      {"driver = 0123456789012345678901234567890123456789012345678901234567890123", "line 1", "driver has 64",
       " bytes, may have 63"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    ca_facts facts = {.compute_units = 5}, before = facts;
    clattn_report report = {.status = CLATTN_OK};
    assert_status(CLATTN_INVALID_VALUE, ca_facts_parse(cases[i].text, &facts, &report), &report);
    assert_says(&report, cases[i].line, cases[i].thing, cases[i].value);
    assert_memory_equal(&before, &facts, sizeof facts); /* a refused text changes nothing */
  }
}

static void a_null_report_is_allowed(void **state)
{
  (void)state;
  ca_facts facts = {.compute_units = 5};
  assert_int_equal(CLATTN_INVALID_VALUE, ca_facts_parse("x = 1", &facts, NULL));
}

static void limits_only_lower(void **state)
{
  (void)state;
  ca_facts facts = {.local_memory_bytes = 65536, .work_group_size = 256, .compute_units = 40, .max_alloc_bytes = 9};
  const ca_facts limits = {.local_memory_bytes = 32768, .work_group_size = 1024, .compute_units = 2};
  ca_facts_limit(&facts, &limits);
  assert_int_equal(32768, facts.local_memory_bytes);
  assert_int_equal(256, facts.work_group_size); /* larger than what there is */
  assert_int_equal(40, facts.compute_units);    /* no limit, a description */
  assert_int_equal(9, facts.max_alloc_bytes);   /* zero: not limited */
}

/* Every recorded file says everything that a planner may ask. */
static void recorded_files_are_complete(void **state)
{
  (void)state;
  DIR *folder = opendir(CLATTN_TEST_FACTS);
  assert_non_null(folder);
  int files = 0;
  for (struct dirent *entry; (entry = readdir(folder));) {
    if (!strstr(entry->d_name, ".facts")) continue;
    char path[4096], text[8192];
    snprintf(path, sizeof path, "%s/%s", CLATTN_TEST_FACTS, entry->d_name);
    read_file(path, text, sizeof text);
    ca_facts facts = {.type = CA_DEVICE_OTHER};
    clattn_report report = {.status = CLATTN_OK};
    assert_status(CLATTN_OK, ca_facts_parse(text, &facts, &report), &report);
#define IS_THERE(field, key, limit) assert_holds(text, "\n" key " = ");
    CA_FACT_LIST(IS_THERE)
#undef IS_THERE
    assert_true(facts.name[0] && facts.driver[0] && facts.platform[0]);
    assert_int_not_equal(CA_DEVICE_OTHER, facts.type);
    assert_in_range(facts.opencl_c, 120, 310);
    assert_int_equal('#', text[0]); /* the source */
    files++;
  }
  closedir(folder);
  assert_in_range(files, 8, 1000);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads_numbers_texts_and_comments), cmocka_unit_test(refuses_with_line_key_and_value),
      cmocka_unit_test(a_null_report_is_allowed),         cmocka_unit_test(limits_only_lower),
      cmocka_unit_test(recorded_files_are_complete),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
