/* Tuned rows: their text, which row is for a problem, and what planning makes of it. */
#include "select_fixture.h"
#include "tuned.h"
#include "tuned_rows.h"

#define LONG_ROW "heads=16 group=2 sq=1024 sk=1024 dk=64 dv=64"

/* A table of the lines. */
static ca_tuned_table table_of(const char *lines, const ca_facts *facts)
{
  ca_tuned_table table = {0};
  uint32_t bad, first;
  ca_tuned_read(lines, facts, &table, &bad, &first);
  assert_int_equal(0, bad);
  return table;
}

/* Facts of a device on record with rows "CLASS | KIND" of the file and of the built-in table; NULL: none. */
typedef struct tuned_device {
  ca_facts facts;
  ca_tuned tuned;
} tuned_device;

static void add_row(const char *row, const ca_facts *facts, ca_tuned_table *table)
{
  char line[512];
  snprintf(line, sizeof line, "* | * | * | %s", row);
  assert_true(ca_tuned_add(line, strlen(line), facts, table));
}

static void device_open_tuned(tuned_device *d, const char *name, const char *file_row, const char *built_in_row)
{
  *d = (tuned_device){.facts = facts_of(name)};
  if (file_row) add_row(file_row, &d->facts, &d->tuned.source[CA_TUNED_FILE]);
  if (built_in_row) add_row(built_in_row, &d->facts, &d->tuned.source[CA_TUNED_BUILT_IN]);
  d->facts.tuned = &d->tuned;
}

static void device_close_tuned(tuned_device *d)
{
  for (int i = 0; i < CA_TUNED_SOURCES; i++) free(d->tuned.source[i].row);
}

/* What is written of a device is read by it, and by no other driver unless it says so. */
static void rows_are_read_as_they_are_written(void **state)
{
  (void)state;
  ca_facts facts = plain_gpu(), other = plain_gpu();
  snprintf(facts.name, sizeof facts.name, "  Mesa | X*1 \"a\\b\" #2\n ");
  snprintf(facts.driver, sizeof facts.driver, "1.0");
  snprintf(other.name, sizeof other.name, "%s", facts.name);
  snprintf(other.driver, sizeof other.driver, "2.0");
  ca_tuned_row row = {.problems = {.operation = "attention", .types = "f32f16f16f32"}, .kind = "tiled_attention_f32"};
  for (int i = 0; i < CA_TUNED_SIZE_COUNT; i++) row.problems.size[i] = i + 1;
  for (int drivers = 0; drivers < 2; drivers++) {
    char line[CA_TUNED_LINE_BYTES];
    ca_tuned_table own = {0}, of_other = {0};
    ca_tuned_text(&facts, &row, drivers, line);
    assert_true(ca_tuned_add(line, strlen(line), &facts, &own));
    assert_true(ca_tuned_add(line, strlen(line), &other, &of_other));
    assert_int_equal(1, own.count);
    assert_int_equal(drivers, of_other.count);
    assert_memory_equal(row.problems.size, own.row->problems.size, sizeof row.problems.size);
    assert_string_equal(row.problems.operation, own.row->problems.operation);
    assert_string_equal(row.problems.types, own.row->problems.types);
    assert_string_equal(row.kind, own.row->kind);
    free(own.row);
    free(of_other.row);
  }
}

/* A star is any text, also none. */
static void stars_stand_for_any_text(void **state)
{
  (void)state;
  static const struct {
    const char *pattern;
    bool fits;
  } cases[] = {{"*", true},     {"plain gpu", true},  {"plain*", true},      {"*gpu", true},
               {"p*n*u", true}, {"plain gpu*", true}, {"*plain*gpu*", true}, {"plain", false},
               {"gpu", false},  {"*gp", false},       {"q*", false},         {"plain gpu 2", false}};
  const ca_facts facts = plain_gpu();
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    char line[128];
    snprintf(line, sizeof line, "%s | | | attention f32 sq=1 | rules", cases[i].pattern);
    const ca_tuned_table table = table_of(line, &facts);
    if ((table.count == 1) != cases[i].fits) fail_msg("\"%s\" on \"%s\": %zu rows", line, facts.name, table.count);
    free(table.row);
  }
}

static void other_lines_are_passed_over(void **state)
{
  (void)state;
  static const char *const lines[] = {"no row",
                                      "* | * | * | attention f32 sq=1",
                                      "* | * | * | attention f32 sq=1 |",
                                      "* | * | * | attention f32 sq=1 | rules | more",
                                      " | * | * | attention f32 sq=1 | rules",
                                      "* | * | * | attention | rules",
                                      "* | * | * | | rules",
                                      "* | * | * | attention f32 sq= | rules",
                                      "* | * | * | attention f32 sq=-1 | rules",
                                      "* | * | * | attention f32 sq=1x | rules",
                                      "* | * | * | attention f32 sq=1 sq=2 | rules",
                                      "* | * | * | attention f32 sq=9999999999999999999 | rules",
                                      "* | * | * | attention f32 width=1 | rules",
                                      "* | * | * | attention f32 sq=1 | Two Words",
                                      "\xff\x01\x7f|\x80|\xfe| | ||||"};
  const ca_facts facts = plain_gpu();
  char text[4096] = "# a comment\n\n  \n* | * | * | attention f32 sq=1 | rules\r\n";
  const uint32_t good_lines = 4;
  for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
    ca_tuned_line line;
    if (ca_tuned_parse(lines[i], strlen(lines[i]), &line)) fail_msg("taken as a row: %s", lines[i]);
    snprintf(text + strlen(text), sizeof text - strlen(text), "%s\n", lines[i]);
  }
  char wide[2000]; /* longer than any field */
  memset(wide, 'x', sizeof wide - 1);
  wide[sizeof wide - 1] = '\0';
  snprintf(text + strlen(text), sizeof text - strlen(text), "%s | * | * | attention f32 sq=1 | rules", wide);
  ca_tuned_table table = {0};
  uint32_t bad, first_bad;
  ca_tuned_read(text, &facts, &table, &bad, &first_bad);
  assert_int_equal(1, table.count);
  assert_int_equal(sizeof lines / sizeof lines[0] + 1, bad);
  assert_int_equal(good_lines + 1, first_bad);
  free(table.row);
}

/* A file that ends anywhere is read up to there; what is cut is a row of another variant, or none. */
static void a_cut_file_is_read_as_far_as_it_goes(void **state)
{
  (void)state;
  const ca_facts facts = plain_gpu();
  const char *whole =
      "* | * | * | attention f32 sq=1 | rules\n* | * | * | attention f32 " LONG_ROW " | vector_staged_f32\n";
  for (size_t length = 0; length <= strlen(whole); length++) {
    char text[256];
    ca_tuned_table table = {0};
    uint32_t bad, first_bad;
    snprintf(text, sizeof text, "%.*s", (int)length, whole);
    ca_tuned_read(text, &facts, &table, &bad, &first_bad);
    assert_true(table.count + bad <= 2);
    assert_true(length < strlen(whole) || table.count == 2);
    free(table.row);
  }
}

/* How far a row reaches: each case changes the row's class, which is asked for the problem's. */
static void a_row_serves_its_class_and_those_near(void **state)
{
  (void)state;
  static const struct {
    const char *row;
    bool serves;
  } cases[] = {
      {"attention f32 " LONG_ROW, true},
      {"attention f32 heads=8 group=2 sq=1024 sk=1024 dk=64 dv=64", true},
      {"attention f32 heads=32 group=2 sq=1024 sk=1024 dk=64 dv=64", true},
      {"attention f32 heads=33 group=2 sq=1024 sk=1024 dk=64 dv=64", false},
      {"attention f32 heads=7 group=2 sq=1024 sk=1024 dk=64 dv=64", false},
      {"attention f32 heads=16 group=1 sq=1024 sk=1024 dk=64 dv=64", false},
      {"attention f32 heads=16 group=2 sq=512 sk=2048 dk=64 dv=64", true},
      {"attention f32 heads=16 group=2 sq=511 sk=1024 dk=64 dv=64", false},
      {"attention f32 heads=16 group=2 sq=1024 sk=2049 dk=64 dv=64", false},
      {"attention f32 heads=16 group=2 sq=1024 sk=1024 dk=72 dv=64", false},
      {"attention f32 heads=16 group=2 sq=1024 sk=1024 dk=64 dv=72", false},
      {"attention f32 " LONG_ROW " causal=1", false},
      {"attention f16 " LONG_ROW, false},
      {"staged f32 " LONG_ROW, false},
  };
  const ca_facts facts = plain_gpu();
  const ca_problem problem = attention(1024, 1024, 64, 64);
  ca_tuned_class own;
  assert_true(ca_tuned_class_of(&problem, &own));
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    ca_tuned_table table = {0};
    char row[256];
    snprintf(row, sizeof row, "%s | rules", cases[i].row);
    add_row(row, &facts, &table);
    if ((ca_tuned_find(&table, &own) != NULL) != cases[i].serves) fail_msg("row %zu: %s", i, row);
    free(table.row);
  }
}

/* Short lengths are rounded up to whole tiles, each tile in its own way: their rows serve no other length. */
static void short_lengths_are_equal(void **state)
{
  (void)state;
  const ca_facts facts = plain_gpu();
  static const struct {
    int64_t row, problem;
    bool serves;
  } cases[] = {{1, 1, true}, {1, 2, false}, {96, 128, false}, {200, 256, false}, {256, 300, true}, {512, 256, true}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    ca_tuned_table table = {0};
    char row[256];
    ca_tuned_class own;
    const ca_problem problem = projection(1, cases[i].problem, 512, 8, 64, CLATTN_F32);
    snprintf(row, sizeof row, "projection f32 tokens=%d n=512 e=512 | rules", (int)cases[i].row);
    add_row(row, &facts, &table);
    assert_true(ca_tuned_class_of(&problem, &own));
    if ((ca_tuned_find(&table, &own) != NULL) != cases[i].serves) fail_msg("case %zu", i);
    free(table.row);
  }
}

/* The very class, wherever it stands; else the nearest; of equals the first. */
static void the_nearest_row_wins(void **state)
{
  (void)state;
  const ca_facts facts = plain_gpu();
  static const struct {
    int64_t tokens;
    const char *kind;
  } cases[] = {{1024, "exact"}, {600, "near"}, {520, "near"}, {900, "exact"}, {3000, "first"}, {300, "near"}};
  const ca_tuned_table table = table_of("* | | | projection f32 tokens=512 n=512 e=512 | near\n"
                                        "* | | | projection f32 tokens=4096 n=512 e=512 | first\n"
                                        "* | | | projection f32 tokens=4096 n=512 e=512 | second\n"
                                        "* | | | projection f32 tokens=1024 n=512 e=512 | exact\n",
                                        &facts);
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    ca_tuned_class own;
    const ca_problem problem = projection(2, cases[i].tokens / 2, 512, 8, 64, CLATTN_F32);
    assert_true(ca_tuned_class_of(&problem, &own));
    const ca_tuned_row *row = ca_tuned_find(&table, &own);
    assert_non_null(row);
    assert_string_equal(cases[i].kind, row->kind);
  }
  free(table.row);
}

static void new_rows_take_the_place_of_old_ones(void **state)
{
  (void)state;
  static const char old[] = "# mine\n"
                            "a | 1 | x | attention f32 sq=1 | old\n"
                            "b | 1 | x | attention f32 sq=1 | other_device\n"
                            "a | 2 | x | attention f32 sq=1 | other_driver\n"
                            "of a later version ? ?\n"
                            "a | 1 | x | attention f32 sq=2 | other_class\n"
                            "a|1|x|attention  f32 sq=1|old_too";
  char *text = ca_tuned_merge(old, "a | 1 | x | attention f32 sq=1 | new");
  assert_string_equal("# mine\n"
                      "b | 1 | x | attention f32 sq=1 | other_device\n"
                      "a | 2 | x | attention f32 sq=1 | other_driver\n"
                      "of a later version ? ?\n"
                      "a | 1 | x | attention f32 sq=2 | other_class\n"
                      "a | 1 | x | attention f32 sq=1 | new\n",
                      text);
  free(text);
  text = ca_tuned_merge("a | 1 | x | attention f32 sq=1 | old", "");
  assert_string_equal("a | 1 | x | attention f32 sq=1 | old\n", text);
  free(text);
}

/* A kind has no sizes of a problem: the variant is the problem's own tile of it, whatever the rules of speed say. */
static void a_row_chooses_its_variant(void **state)
{
  (void)state;
  static const struct {
    const char *device, *kind, *id;
    int path;
  } cases[] = {
      {"pocl-avx512", "vector_attention_f32_l16t12x2", "vector_attention_f32_d64_l16t12x2q128k144", CLATTN_PATH_AUTO},
      {"pocl-avx512", "vector_attention_f32_l8t4x3", "vector_attention_f32_d64_l8t4x3q96k144", CLATTN_PATH_FUSED},
      {"pocl-avx512", "vector_attention_f32_decode_l16r4", "vector_attention_f32_d64_decode_l16r4", CLATTN_PATH_AUTO},
      {"pocl-avx512", "vector_staged_f32_l16t6x4", "vector_staged_f32_d64_l16t6x4", CLATTN_PATH_AUTO},
      {"pocl-avx512", "tiled_staged_f32_m32n32k16", "tiled_staged_f32_d64_m32n32k16", CLATTN_PATH_STAGED},
      {"pocl-avx512", "reference_attention_f32", "reference_attention_f32_d64", CLATTN_PATH_AUTO},
      {"rtx-4090", "tiled_attention_f32_q16k32", "tiled_attention_f32_d64_q16k32", CLATTN_PATH_AUTO},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    tuned_device d;
    char row[256], selection[CA_SELECTION_BYTES];
    clattn_report report;
    ca_problem problem = attention(1024, 1024, 64, 64);
    problem.path = cases[i].path;
    snprintf(row, sizeof row, "%s f32 " LONG_ROW " | %s", cases[i].path == CLATTN_PATH_STAGED ? "staged" : "attention",
             cases[i].kind);
    device_open_tuned(&d, cases[i].device, row, NULL);
    const ca_choice choice = chosen(&problem, &d.facts);
    assert_string_equal(cases[i].id, choice.id);
    assert_true(choice.tuned);
    assert_true(choice.n_launches > 0);
    selection_of(&problem, &d.facts, CLATTN_OK, selection, &report);
    assert_non_null(strstr(selection, ": taken, tuned by the tuning file for "));
    assert_non_null(strstr(selection, LONG_ROW "\n"));
    device_close_tuned(&d);
  }
}

/* What one source says and refuses, the next may still answer; then the rules do, and the selection says why. */
static void refusals_leave_the_choice_to_the_next(void **state)
{
  (void)state;
  static const char rule[] = "vector_attention_f32_d64_l16t6x4q256k144";
  static const struct {
    const char *kind, *built_in, *wrong, *failed, *says, *id;
    bool tuned;
  } cases[] = {
      {"tiled_attention_f32_q64k64", NULL, "", NULL,
       "tiled_attention_f32_q64k64: refused, needs 32004 bytes of local memory, has 16384 (tuned by the tuning file "
       "for "
       "attention f32 " LONG_ROW ")\n",
       rule, false},
      {"vector_attention_f32_l16t12x9", NULL, "", NULL,
       "vector_attention_f32_l16t12x9: refused, this library has no such variant for the problem (tuned by", rule,
       false},
      {"vector_attention_f32_l16t12x2", NULL, "vector_attention_f32_l16t12x2\n", NULL,
       "vector_attention_f32_l16t12x2: refused, vector_attention_f32_l16t12x2 computed wrongly in the selftest of this "
       "device (tuned by",
       rule, false},
      {"vector_attention_f32_l16t12x2", NULL, "", "vector_attention_f32_d64_l16t12x2q128k144: it did not compile\n",
       "vector_attention_f32_l16t12x2: refused, it did not compile (tuned by", rule, false},
      {"vector_attention_f32_l16t12x9", "vector_attention_f32_l16t5x5", "", NULL,
       "taken, tuned by the built-in table for", "vector_attention_f32_d64_l16t5x5q320k140", true},
      {"vector_attention_f32_l16t8x3", "vector_attention_f32_l16t5x5", "", NULL, "taken, tuned by the tuning file for",
       "vector_attention_f32_d64_l16t8x3q192k144", true},
      {"rules", "vector_attention_f32_l16t5x5", "", NULL, "rules: tuned by the tuning file for attention f32 " LONG_ROW,
       rule, false},
      {NULL, "vector_attention_f32_l16t5x5", "", NULL, "taken, tuned by the built-in table for",
       "vector_attention_f32_d64_l16t5x5q320k140", true},
      {NULL, NULL, "", NULL, "vector_attention_f32_d64_l16t6x4q256k144: taken\n", rule, false},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    tuned_device d;
    char row[256], built_in[256], selection[CA_SELECTION_BYTES];
    clattn_report report;
    ca_problem problem = attention(1024, 1024, 64, 64);
    problem.failed = cases[i].failed;
    snprintf(row, sizeof row, "attention f32 " LONG_ROW " | %s", cases[i].kind ? cases[i].kind : "");
    snprintf(built_in, sizeof built_in, "attention f32 " LONG_ROW " | %s", cases[i].built_in ? cases[i].built_in : "");
    device_open_tuned(&d, "pocl-avx512", cases[i].kind ? row : NULL, cases[i].built_in ? built_in : NULL);
    d.facts.local_memory_bytes = 16384;
    snprintf(d.facts.wrong_variants, sizeof d.facts.wrong_variants, "%s", cases[i].wrong);
    selection_of(&problem, &d.facts, CLATTN_OK, selection, &report);
    if (!strstr(selection, cases[i].says)) fail_msg("case %zu: no \"%s\" in\n%s", i, cases[i].says, selection);
    const ca_choice choice = chosen(&problem, &d.facts);
    assert_string_equal(cases[i].id, choice.id);
    assert_int_equal(cases[i].tuned, choice.tuned);
    device_close_tuned(&d);
  }
}

/* A path that is asked for, a variant that is named and a hint at float64 go before every row. */
static void what_is_asked_for_goes_before_rows(void **state)
{
  (void)state;
  tuned_device d;
  device_open_tuned(&d, "pocl-avx512", "attention f32 " LONG_ROW " | vector_staged_f32_l16t6x4", NULL);
  ca_problem problem = attention(1024, 1024, 64, 64);
  assert_string_equal("vector_staged_f32_d64_l16t6x4", chosen(&problem, &d.facts).id);
  problem.path = CLATTN_PATH_FUSED;
  assert_string_equal("vector_attention_f32_d64_l16t6x4q256k144", chosen(&problem, &d.facts).id);
  problem = attention(1024, 1024, 64, 64);
  problem.variant = "reference_attention";
  assert_string_equal("reference_attention_f32_d64", chosen(&problem, &d.facts).id);
  problem = attention(1024, 1024, 64, 64);
  problem.attention.softmax_precision = 11;
  d.facts.has_f64 = 1;
  const ca_choice choice = chosen(&problem, &d.facts);
  assert_string_equal("reference_attention_f32_d64", choice.id);
  assert_false(choice.tuned);
  device_close_tuned(&d);
}

/* Each operation's class by what its kernels see. */
static void classes_have_what_counts(void **state)
{
  (void)state;
  static const struct {
    ca_operation operation;
    const char *text;
  } cases[] = {{CA_OP_ATTENTION, "attention f32 heads=16 group=2 sq=3 sk=5 dk=7 dv=9 causal=1"},
               {CA_OP_SCORES, "scores f32 heads=16 group=2 sq=3 sk=5 dk=7 causal=1"},
               {CA_OP_VALUES, "values f32 heads=16 group=2 sq=3 sk=5 dv=9"},
               {CA_OP_SOFTMAX, "softmax f32 heads=16 sq=3 sk=5"}};
  char text[CA_TUNED_CLASS_BYTES];
  ca_tuned_class own;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    ca_problem problem = attention(3, 5, 7, 9);
    problem.operation = cases[i].operation;
    problem.attention.causal = cases[i].operation == CA_OP_ATTENTION || cases[i].operation == CA_OP_SCORES;
    assert_true(ca_tuned_class_of(&problem, &own));
    ca_tuned_class_text(&own, text);
    assert_string_equal(cases[i].text, text);
  }
  ca_problem problem = projection(2, 3, 5, 7, 9, CLATTN_BF16);
  assert_true(ca_tuned_class_of(&problem, &own));
  ca_tuned_class_text(&own, text);
  assert_string_equal("projection f32bf16 tokens=6 n=63 e=5", text);
  problem = attention(3, 5, 7, 9);
  problem.operation = CA_OP_MERGE;
  assert_false(ca_tuned_class_of(&problem, &own));
}

/* Every candidate is taken when it is named, none stands twice, and what computes wrongly is none. */
static void candidates_are_what_may_be_named(void **state)
{
  (void)state;
  ca_facts facts = facts_of("pocl-avx512");
  const ca_problem problem = attention(64, 64, 64, 64);
  static const char *const some[] = {"vector_attention_f32_d64_l16t6x4q64k144",
                                     "vector_attention_f32_d64_l4t6x2q32k144",
                                     "vector_attention_f32_d64_decode_l16r1",
                                     "tiled_attention_f32_d64_q16k32",
                                     "reference_attention_f32_d64",
                                     "vector_staged_f32_d64_l8t6x2",
                                     "tiled_staged_f32_d64_m64n64k16",
                                     "reference_staged_f32_d64"};
  char id[64][CA_VARIANT_ID_BYTES];
  uint32_t count = 0;
  while (ca_select_candidate(&problem, &facts, count, id[count])) {
    ca_problem named = problem;
    named.variant = id[count];
    assert_string_equal(id[count], chosen(&named, &facts).id);
    for (uint32_t i = 0; i < count; i++) assert_string_not_equal(id[i], id[count]);
    assert_true(++count < 64);
  }
  for (size_t i = 0; i < sizeof some / sizeof some[0]; i++) {
    uint32_t at = 0;
    while (at < count && strcmp(id[at], some[i]) != 0) at++;
    if (at == count) fail_msg("%s is no candidate", some[i]);
  }
  snprintf(facts.wrong_variants, sizeof facts.wrong_variants, "reference_attention_f32\n");
  uint32_t fewer = 0;
  while (ca_select_candidate(&problem, &facts, fewer, id[0])) fewer++;
  assert_int_equal(count - 1, fewer);
}

static void the_built_in_rows_are_rows(void **state)
{
  (void)state;
  ca_tuned_line line;
  const char *row;
  for (uint32_t i = 0; (row = ca_tuned_built_in(i)) != NULL; i++)
    if (!ca_tuned_parse(row, strlen(row), &line)) fail_msg("tuned.def: %s", row);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rows_are_read_as_they_are_written),
      cmocka_unit_test(stars_stand_for_any_text),
      cmocka_unit_test(other_lines_are_passed_over),
      cmocka_unit_test(a_cut_file_is_read_as_far_as_it_goes),
      cmocka_unit_test(a_row_serves_its_class_and_those_near),
      cmocka_unit_test(short_lengths_are_equal),
      cmocka_unit_test(the_nearest_row_wins),
      cmocka_unit_test(new_rows_take_the_place_of_old_ones),
      cmocka_unit_test(a_row_chooses_its_variant),
      cmocka_unit_test(refusals_leave_the_choice_to_the_next),
      cmocka_unit_test(what_is_asked_for_goes_before_rows),
      cmocka_unit_test(classes_have_what_counts),
      cmocka_unit_test(candidates_are_what_may_be_named),
      cmocka_unit_test(the_built_in_rows_are_rows),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
