/* Sources put together: includes once, marks that name the real line, refusals. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "asserts.h"
#include "source.h"

#define FOLDER CLATTN_TEST_SCRATCH "/sources"

static void put(const char *name, const char *text)
{
  char path[4096];
  snprintf(path, sizeof path, "%s/%s", FOLDER, name);
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(strlen(text), fwrite(text, 1, strlen(text), file));
  assert_int_equal(0, fclose(file));
}

static int make_folders(void **state)
{
  (void)state;
  mkdir(CLATTN_TEST_SCRATCH, 0700);
  mkdir(FOLDER, 0700);
  mkdir(FOLDER "/lib", 0700);
  return 0;
}

static void expect_text(const char *name, const char *want)
{
  char *text = NULL;
  clattn_report report = {.status = CLATTN_OK};
  assert_status(CLATTN_OK, ca_source_assemble(FOLDER, name, &text, &report), &report);
  assert_string_equal(want, text);
  free(text);
}

static void expect_refusal(const char *name, const char *thing, const char *value)
{
  char *text = NULL;
  clattn_report report = {.status = CLATTN_OK};
  assert_status(CLATTN_INTERNAL, ca_source_assemble(FOLDER, name, &text, &report), &report);
  assert_says(&report, thing, value);
  assert_null(text);
}

static void includes_come_once_and_lines_are_marked(void **state)
{
  (void)state;
  put("a.cl", "one\n#include \"lib/b.clh\"\nthree\n  #  include \"root.clh\" // why\nfive");
  put("lib/b.clh", "#include \"c.clh\"\nb2\n#include \"lib/c.clh\"\nb4\n");
  put("lib/c.clh", "c1\n#include \"lib/b.clh\"\n");
  put("root.clh", "r1\n");
  expect_text("a.cl", "#line 1 \"a.cl\"\none\n"
                      "#line 1 \"lib/b.clh\"\n"
                      "#line 1 \"lib/c.clh\"\nc1\n#line 3 \"lib/c.clh\"\n"
                      "#line 2 \"lib/b.clh\"\nb2\n#line 4 \"lib/b.clh\"\nb4\n"
                      "#line 3 \"a.cl\"\nthree\n"
                      "#line 1 \"root.clh\"\nr1\n"
                      "#line 5 \"a.cl\"\nfive\n");
}

/* The file beside the including one comes before one of the root. */
static void neighbours_come_first(void **state)
{
  (void)state;
  put("n.cl", "#include \"lib/n.clh\"\n");
  put("lib/n.clh", "#include \"same.clh\"\n");
  put("lib/same.clh", "near\n");
  put("same.clh", "far\n");
  expect_text("n.cl", "#line 1 \"n.cl\"\n#line 1 \"lib/n.clh\"\n#line 1 \"lib/same.clh\"\nnear\n"
                      "#line 2 \"lib/n.clh\"\n#line 2 \"n.cl\"\n");
}

static void comments_and_other_lines_are_left_alone(void **state)
{
  (void)state;
  const char text[] = "/* #include \"x\"\n#include \"gone.clh\"\n*/ int i; // /*\n// #include \"gone.clh\"\n"
                      "#include <gone.h>\n#included \"gone\"\n#define I \"include\"\n#\n";
  char want[512];
  put("comments.cl", text);
  snprintf(want, sizeof want, "#line 1 \"comments.cl\"\n%s", text);
  expect_text("comments.cl", want);
  put("empty.cl", "");
  expect_text("empty.cl", "#line 1 \"empty.cl\"\n");
}

static void missing_files_are_named(void **state)
{
  (void)state;
  put("m.cl", "1\n2\n#include \"gone.clh\"\n");
  put("up.cl", "#include \"lib/../m.cl\"\n");
  put("root.cl", "#include \"/etc/passwd\"\n");
  expect_refusal("gone.cl", "no kernel source \"gone.cl\"", FOLDER);
  expect_refusal("m.cl", "m.cl:3: no kernel source \"", "gone.clh\"");
  expect_refusal("up.cl", "up.cl:1", "\"lib/../m.cl\"");
  expect_refusal("root.cl", "root.cl:1", "\"/etc/passwd\"");
  expect_refusal("lib", "\"lib\"", FOLDER); /* a folder is no file */
}

static void a_program_has_an_end(void **state)
{
  (void)state;
  char name[32], text[64 * 32] = "";
  for (int i = 0; i < 64; i++) { /* and the program's own file is the 65th */
    snprintf(name, sizeof name, "part%d.clh", i);
    put(name, "x\n");
    snprintf(text + strlen(text), sizeof text - strlen(text), "#include \"%s\"\n", name);
  }
  put("many.cl", text);
  expect_refusal("many.cl", "part63.clh: a program may have 64 files", "");
}

static void embedded_files_agree_with_their_folder(void **state)
{
  (void)state;
  int programs = 0;
  for (const ca_source_file *file = ca_embedded_sources; file->name; file++) {
    assert_int_equal(strlen(file->text), file->bytes);
    if (!strstr(file->name, ".cl") || strstr(file->name, ".clh")) continue;
    char *embedded = NULL, *folder = NULL;
    clattn_report report = {.status = CLATTN_OK};
    assert_status(CLATTN_OK, ca_source_assemble(NULL, file->name, &embedded, &report), &report);
    assert_status(CLATTN_OK, ca_source_assemble(CLATTN_TEST_KERNELS, file->name, &folder, &report), &report);
    assert_string_equal(folder, embedded);
    free(embedded);
    free(folder);
    programs++;
  }
  assert_in_range(programs, 1, 1000);
  char *text = NULL;
  clattn_report report = {.status = CLATTN_OK};
  assert_status(CLATTN_INTERNAL, ca_source_assemble(NULL, "gone.cl", &text, &report), &report);
  assert_says(&report, "gone.cl", "the library");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(includes_come_once_and_lines_are_marked),
      cmocka_unit_test(neighbours_come_first),
      cmocka_unit_test(comments_and_other_lines_are_left_alone),
      cmocka_unit_test(missing_files_are_named),
      cmocka_unit_test(a_program_has_an_end),
      cmocka_unit_test(embedded_files_agree_with_their_folder),
  };
  return cmocka_run_group_tests(tests, make_folders, NULL);
}
