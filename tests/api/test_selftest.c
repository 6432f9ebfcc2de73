/* The selftest: every variant is found right, and one that is not is taken out of selection until it is. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "small.h"

typedef struct tally {
  int rows, right, refused, wrong;
  bool saw_tiled, saw_reference, saw_f64;
} tally;

static void count_row(const clattn_selftest_row *row, void *user)
{
  tally *t = user;
  t->rows++;
  if (row->right) t->right++;
  if (row->status == CLATTN_UNSUPPORTED) t->refused++;
  if (row->status == CLATTN_OK && !row->right) t->wrong++;
  assert_non_null(strstr(row->problem, "b="));
  if (!row->right) assert_true(row->reason[0] != '\0');
  if (row->right && row->error > 1.0) fail();
  if (row->right && strstr(row->variant, "tiled_attention_f32")) t->saw_tiled = true;
  if (row->right && strstr(row->variant, "reference_staged_f16")) t->saw_reference = true;
  if (row->right && strstr(row->variant, "reference_attention_f64")) t->saw_f64 = true;
}

/* Few tiles fit such a device, so few programs are compiled. */
static clattn_context *open_with(const device_under_test *d, const char *kernels, const char *cache)
{
  clattn_report report;
  clattn_context *context = NULL;
  clattn_context_options options = CLATTN_CONTEXT_OPTIONS_INIT;
  options.kernel_dir = kernels;
  options.cache_dir = cache;
  options.limits = "work_group_size = 64";
  assert_status(CLATTN_OK, clattn_context_create(d->cl, d->id, &options, &context, &report), &report);
  return context;
}

static void every_variant_is_right(void **state)
{
  const device_under_test *d = *state;
  clattn_context *context = open_with(d, NULL, NULL);
  tally t = {0};
  uint32_t wrong = 99;
  clattn_report report;
  assert_status(CLATTN_OK, clattn_selftest(context, count_row, &t, &wrong, &report), &report);
  print_message("%d rows: %d right, %d refused\n", t.rows, t.right, t.refused);
  assert_int_equal(0, wrong);
  assert_int_equal(t.rows, t.right + t.refused);
  assert_true(t.saw_tiled && t.saw_reference);
  assert_int_equal(device_has_f64(d), t.saw_f64);
  clattn_context_destroy(context);
  assert_status(CLATTN_INVALID_ARGUMENT, clattn_selftest(NULL, NULL, NULL, NULL, &report), &report);
  assert_says(&report, "context is NULL");
}

static void copy_file(const char *folder, const char *name, const char *first_line)
{
  static char text[1 << 20];
  char path[1024];
  snprintf(path, sizeof path, "%s/%s", CLATTN_TEST_KERNELS, name);
  FILE *file = fopen(path, "rb");
  assert_non_null(file);
  const size_t bytes = fread(text, 1, sizeof text, file);
  fclose(file);
  snprintf(path, sizeof path, "%s/%s", folder, name);
  file = fopen(path, "wb");
  assert_non_null(file);
  fputs(first_line, file);
  fwrite(text, 1, bytes, file);
  fclose(file);
}

static void copy_folder(const char *folder, const char *inside)
{
  char path[1024];
  snprintf(path, sizeof path, "%s%s", CLATTN_TEST_KERNELS, inside);
  DIR *dir = opendir(path);
  assert_non_null(dir);
  for (const struct dirent *entry; (entry = readdir(dir));) {
    const char *dot = strrchr(entry->d_name, '.');
    if (!dot || (strcmp(dot, ".cl") && strcmp(dot, ".clh") && strcmp(dot, ".h"))) continue;
    snprintf(path, sizeof path, "%s/%s", inside[0] ? inside + 1 : ".", entry->d_name);
    copy_file(folder, path, "");
  }
  closedir(dir);
}

/* What is chosen for the small problem; the selection goes to `selection`. */
static void choose(clattn_context *context, char variant[128], char selection[4096])
{
  small_problem small;
  clattn_report report;
  clattn_plan *plan = NULL;
  small_make(&small, 1);
  assert_status(CLATTN_OK, clattn_plan_attention(context, &small.desc, &plan, &report), &report);
  clattn_plan_info info = {.struct_size = sizeof info};
  assert_status(CLATTN_OK, clattn_plan_get_info(plan, &info), NULL);
  snprintf(variant, 128, "%s", info.variant);
  snprintf(selection, 4096, "%s", info.selection);
  clattn_plan_destroy(plan);
}

static void check_taken_out(clattn_context *context, const char *family)
{
  char variant[128], selection[4096];
  choose(context, variant, selection);
  assert_null(strstr(variant, family));
  assert_holds(selection, "computed wrongly in the selftest of this device");
}

static void a_wrong_variant_is_taken_out(void **state)
{
  const device_under_test *d = *state;
  static const char kernels[] = CLATTN_TEST_SCRATCH "/selftest-kernels",
                    cache[] = CLATTN_TEST_SCRATCH "/selftest-cache";
  char variant[128], selection[4096];
  uint32_t wrong = 0;
  clattn_report report;
  mkdir(kernels, 0777);
  mkdir(CLATTN_TEST_SCRATCH "/selftest-kernels/lib", 0777);
  copy_folder(kernels, "");
  copy_folder(kernels, "/lib");
  clattn_context *context = open_with(d, kernels, cache);
  choose(context, variant, selection);
  assert_holds(variant, "_attention_f32_d8v12");
  clattn_context_destroy(context);
  /* The family that the device prefers, its id's first two words, becomes the wrong one. */
  char family[64], source[80];
  snprintf(family, sizeof family, "%.*s", (int)(strstr(variant, "_f32_") - variant), variant);
  assert_string_not_equal(family, "reference_attention");
  snprintf(source, sizeof source, "%s.cl", family);

  static const char wrong_sums[] = "#define fma(x, y, z) (1.001f * fma(x, y, z))\n";
  copy_file(kernels, source, wrong_sums);
  copy_file(kernels, "vector_decode.cl", wrong_sums); /* the other file of its family */
  context = open_with(d, kernels, cache);
  assert_status(CLATTN_OK, clattn_selftest(context, NULL, NULL, &wrong, &report), &report);
  assert_true(wrong > 0);
  assert_holds(report.detail, family);
  assert_null(strstr(report.detail, "reference_attention"));
  check_taken_out(context, family);
  clattn_context_destroy(context);

  context = open_with(d, kernels, cache); /* remembered */
  check_taken_out(context, family);
  clattn_context_destroy(context);

  copy_file(kernels, source, "");
  copy_file(kernels, "vector_decode.cl", "");
  context = open_with(d, kernels, cache);
  check_taken_out(context, family);
  assert_status(CLATTN_OK, clattn_selftest(context, NULL, NULL, &wrong, &report), &report);
  assert_int_equal(0, wrong);
  choose(context, variant, selection);
  assert_holds(variant, family);
  clattn_context_destroy(context);
}

int main(int argc, char **argv)
{
  if (argc > 1) cmocka_set_test_filter(argv[1]);
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_variant_is_right),
                                     cmocka_unit_test(a_wrong_variant_is_taken_out)};
  return cmocka_run_group_tests(tests, device_setup, device_teardown);
}
