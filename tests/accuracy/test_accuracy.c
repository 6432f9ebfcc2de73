/* The accuracy table: test_accuracy [MOST_KEYS [FAMILY...]], or test_accuracy --save FOLDER.
 * For every type and input a row: the largest |y - y64| of every family and path, the worst of them as a share of what
 * the formula allows that element, and what PyTorch's error was on the same inputs (pytorch.def). Fails where a share
 * is above 1, or, but in float64, an error above PYTORCH_GOAL times PyTorch's. Inputs are the same on every machine. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "accuracy.h"
#include "asserts.h"
#include "problem_text.h"

#define PYTORCH_GOAL 1.5

static const struct {
  const char *title;
  way way;
} columns[] = {
    {"reference staged", {"reference", CLATTN_PATH_STAGED}}, {"reference fused", {"reference", CLATTN_PATH_FUSED}},
    {"tiled staged", {"tiled", CLATTN_PATH_STAGED}},         {"tiled fused", {"tiled", CLATTN_PATH_FUSED}},
    {"vector staged", {"vector", CLATTN_PATH_STAGED}},       {"vector fused", {"vector", CLATTN_PATH_FUSED}},
};

/* Largest errors on a row's inputs: of scaled_dot_product_attention as it chooses by itself, and of its plain path. */
static const struct pytorch_row {
  const char *name;
  double chosen, plain;
} pytorch_rows[] = {
#define PYTORCH(name, chosen, plain) {name, chosen, plain},
#include "pytorch.def"
#undef PYTORCH
};
#define COUNT(list) (sizeof list / sizeof list[0])

/* 4,096 query rows, so that of rows with a close race of large scores there are some; fewer where keys are many. */
static const struct {
  int64_t keys, queries;
} sizes[] = {{1, 512}, {4, 512}, {16, 512}, {64, 512}, {256, 512}, {1024, 512}, {4096, 512}, {16384, 128}};

static const struct {
  const char *name, *inputs, *scale;
} fills[] = {{"unit", "order one", ""}, {"large", "scores to 1e4", "scale=250,"}};

static const struct {
  const char *name, *inputs;
} heads[] = {{"smollm2-qkv-layer00-seq200", "SmolLM2 heads, layer 0"},
             {"smollm2-qkv-layer29-seq200", "SmolLM2 heads, layer 29"}},
  layers[] = {{"smollm2-layer13-elephant", "SmolLM2 layer 13, whole"}, {"minilm-layer03-mat", "MiniLM layer 3, whole"}};

static int64_t most_keys = INT64_MAX;
static char **families; /* of the columns to fill; NULL: all */
static int n_families;
static const char *folder; /* of --save */

static void row_free(accuracy_row *row)
{
  st_free(&row->file);
  free(row->y);
  free(row->allowed);
}

static bool wants(const char *family)
{
  for (int i = 0; i < n_families; i++)
    if (!strcmp(families[i], family)) return true;
  return !n_families;
}

static const struct pytorch_row *pytorch_of(const char *name)
{
  for (size_t i = 0; i < COUNT(pytorch_rows); i++)
    if (!strcmp(pytorch_rows[i].name, name)) return &pytorch_rows[i];
  return NULL;
}

/* Q, K and V, or a layer, and Y64. */
static void save(accuracy_row *row)
{
  char path[512];
  st_error error;
  st_tensor *y = st_add(&row->file, "Y64", ST_F64, 1, &row->n);
  assert_non_null(y);
  memcpy(y->data, row->y, y->bytes);
  snprintf(path, sizeof path, "%s/%s.safetensors", folder, row->name);
  if (st_write(&row->file, path, &error)) return;
  print_error("%s: %s\n", path, error.text);
  fail();
}

/* The largest error; *share becomes the largest share if that is larger. */
static double compare(const accuracy_row *row, const double *y, double *share)
{
  double largest = 0.0;
  for (int64_t i = 0; i < row->n; i++) {
    const double error = isfinite(y[i]) ? fabs(y[i] - row->y[i]) : (double)INFINITY;
    largest = fmax(largest, error);
    *share = fmax(*share, error == 0.0 ? 0.0 : error / row->allowed[i]);
  }
  return largest;
}

static bool family_has(const char *family, int32_t dtype)
{
  return dtype != CLATTN_F64 || !strcmp(family, "reference");
}

/* Prints a line of the table. False: a number in it is above its limit. */
static bool print_row(const device_under_test *d, const accuracy_row *row,
                      void (*run)(const device_under_test *, const accuracy_row *, const way *, double *))
{
  const struct pytorch_row *pytorch = pytorch_of(row->name);
  double *y = test_alloc(sizeof *y * (size_t)row->n), share = 0.0, worst = 0.0;
  print_message("| %s | %s | %" PRId64 " |", clattn_dtype_text((clattn_dtype)row->dtype), row->inputs, row->keys);
  for (size_t c = 0; c < COUNT(columns); c++) {
    if (!wants(columns[c].way.variant) || !family_has(columns[c].way.variant, row->dtype)) {
      print_message(" - |");
      continue;
    }
    run(d, row, &columns[c].way, y);
    const double error = compare(row, y, &share);
    worst = fmax(worst, error);
    print_message(" %.1e |", error);
  }
  free(y);
  if (pytorch)
    print_message(" %.2f | %.1e | %.1e |\n", share, pytorch->chosen, pytorch->plain);
  else
    print_message(" %.2f | ? | ? |\n", share);
  if (share > 1.0) print_error("%s: %.3g times what the formula allows\n", row->name, share);
  if (!pytorch) print_error("%s: pytorch.def has no such row\n", row->name);
  /* The oracle is float64 itself, so that beside float64 nobody's error is only his own. */
  const bool near = row->dtype == CLATTN_F64 || (pytorch && worst <= PYTORCH_GOAL * pytorch->chosen);
  if (pytorch && !near)
    print_error("%s: %.3g is %.2f times PyTorch's %.3g\n", row->name, worst, worst / pytorch->chosen, pytorch->chosen);
  return share <= 1.0 && pytorch && near;
}

static void made_row(accuracy_row *row, int32_t dtype, size_t fill, size_t size)
{
  char text[PROBLEM_TEXT_BYTES];
  const char *type = clattn_dtype_text((clattn_dtype)dtype);
  problem_text problem;
  st_error error;
  *row = (accuracy_row){.inputs = fills[fill].inputs, .keys = sizes[size].keys, .dtype = dtype};
  snprintf(row->name, sizeof row->name, "%s-%s-%" PRId64, type, fills[fill].name, row->keys);
  snprintf(text, sizeof text, "hq=8,sq=%" PRId64 ",sk=%" PRId64 ",dk=64,%sdtype=%s,seed=%zu", sizes[size].queries,
           row->keys, fills[fill].scale, type, size);
  if (!problem_parse(text, &problem, &error) || !problem_fill(&problem, &row->file, &error)) {
    print_error("%s: %s\n", text, error.text);
    fail();
  }
}

static void read_row(accuracy_row *row, int32_t dtype, const char *name, const char *inputs)
{
  char path[512];
  st_error error;
  *row = (accuracy_row){.inputs = inputs, .dtype = dtype};
  snprintf(row->name, sizeof row->name, "%s-%s", clattn_dtype_text((clattn_dtype)dtype), name);
  snprintf(path, sizeof path, "%s/%s.safetensors", CLATTN_TEST_DATA, name);
  if (st_read(path, &row->file, &error)) return;
  print_error("%s: %s\n", path, error.text);
  fail();
}

/* The heads of a file, rounded to the row's type. */
static void heads_row(accuracy_row *row, int32_t dtype, size_t i)
{
  static const char *const names[3] = {"Q", "K", "V"};
  st_file file = {0};
  read_row(row, dtype, heads[i].name, heads[i].inputs);
  row->keys = file_tensor(&row->file, "K")->dim[2];
  for (int n = 0; n < 3; n++) {
    const st_tensor *from = file_tensor(&row->file, names[n]);
    st_tensor *to = st_add(&file, names[n], st_type_of_dtype(dtype), from->rank, from->dim);
    assert_non_null(to);
    assert_int_equal(CLATTN_OK, clattn_convert((clattn_dtype)dtype, to->data, (clattn_dtype)st_type_dtype(from->type),
                                               from->data, (size_t)file_count(from)));
  }
  assert_true(st_set_label(&file, "is_causal", file_is_causal(&row->file) ? "1" : "0"));
  st_free(&row->file);
  row->file = file;
}

static bool finish_attention(const device_under_test *d, accuracy_row *row)
{
  bool good = true;
  attention_row_expect(row);
  if (folder)
    save(row);
  else
    good = print_row(d, row, attention_row_run);
  row_free(row);
  return good;
}

static bool print_type(const device_under_test *d, int32_t dtype)
{
  accuracy_row row;
  bool good = true;
  for (size_t fill = 0; fill < COUNT(fills); fill++)
    for (size_t size = 0; size < COUNT(sizes) && sizes[size].keys <= most_keys; size++) {
      made_row(&row, dtype, fill, size);
      good = finish_attention(d, &row) && good;
    }
  for (size_t i = 0; i < COUNT(heads); i++) {
    heads_row(&row, dtype, i);
    good = finish_attention(d, &row) && good;
  }
  return good;
}

static bool print_layers(const device_under_test *d)
{
  accuracy_row row;
  bool good = true;
  for (size_t i = 0; i < COUNT(layers); i++) {
    read_row(&row, CLATTN_F32, layers[i].name, layers[i].inputs);
    row.keys = file_tensor(&row.file, "I")->dim[1];
    layer_row_expect(&row);
    if (folder)
      save(&row);
    else
      good = print_row(d, &row, layer_row_run) && good;
    row_free(&row);
  }
  return good;
}

static void test_table(void **state)
{
  static const int32_t types[] = {CLATTN_F32, CLATTN_F16, CLATTN_BF16, CLATTN_F64};
  const device_under_test *d = *state;
  bool good = true;
  print_message("| type | inputs | keys |");
  for (size_t c = 0; c < COUNT(columns); c++) print_message(" %s |", columns[c].title);
  print_message(" share | PyTorch | plain |\n|---|---|---|---|---|---|---|---|---|---|---|---|\n");
  for (size_t t = 0; t < COUNT(types); t++) {
    if (types[t] == CLATTN_F64 && !device_has_f64(d)) continue;
    good = print_type(d, types[t]) && good;
    if (types[t] == CLATTN_F32) good = print_layers(d) && good;
  }
  assert_true(good);
}

int main(int argc, char **argv)
{
  if (argc == 3 && !strcmp(argv[1], "--save")) {
    folder = argv[2];
  } else if (argc > 1) {
    most_keys = strtoll(argv[1], NULL, 10);
    families = argv + 2;
    n_families = argc - 2;
  }
  if (most_keys < 1) {
    fprintf(stderr, "usage: %s [MOST_KEYS [FAMILY...]] | --save FOLDER\n", argv[0]);
    return 2;
  }
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_table)};
  return cmocka_run_group_tests(tests, device_setup, device_teardown);
}
