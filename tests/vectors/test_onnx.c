/* The published cases of the ONNX operator Attention through the public interface: test_onnx FAMILY|any staged|fused.
 * Every file of tests/data/onnx-attention runs, and the table says how: one line a case, with the largest error of each
 * output. On the fused path Y and the present keys come from the fused kernel, qk_matmul_output from the score stages.
 * Error = max |x - e| / max(1, largest finite |e|); infinities must match. */
#include <dirent.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "asserts.h"
#include "device_under_test.h"
#include "numerics.h"
#include "safetensors.h"

enum { CASES = 87, NAME_BYTES = 128, OUTPUTS = 4 };

static const char folder[] = CLATTN_TEST_DATA "/onnx-attention";
static const char *family;
static int32_t path;

/* One case: its file, and its tensors by what they are bound to. */
typedef struct onnx_case {
  char name[NAME_BYTES];
  st_file file;
  clattn_attention_desc desc;
  bool wants_qk;
} onnx_case;

static const struct {
  int32_t slot;
  const char *name;
} inputs[] = {{CLATTN_Q, "Q"},
              {CLATTN_K, "K"},
              {CLATTN_V, "V"},
              {CLATTN_MASK, "attn_mask"},
              {CLATTN_PAST_KEY, "past_key"},
              {CLATTN_PAST_VALUE, "past_value"},
              {CLATTN_NONPAD_KV_SEQLEN, "nonpad_kv_seqlen"}},
  outputs[OUTPUTS] = {{CLATTN_Y, "Y"},
                      {CLATTN_PRESENT_KEY, "present_key"},
                      {CLATTN_PRESENT_VALUE, "present_value"},
                      {CLATTN_QK, "qk_matmul_output"}};
enum { INPUTS = sizeof inputs / sizeof inputs[0] };

static double attribute(const onnx_case *c, const char *key, double otherwise)
{
  const char *text = st_label_value(&c->file, key);
  return text ? strtod(text, NULL) : otherwise;
}

/* 4-D as it lies; 3-D [B,S,H*D] as [B,H,S,D]. */
static clattn_tensor heads_of(const st_tensor *t, int64_t heads)
{
  if (!t) return (clattn_tensor){0};
  const clattn_dtype dtype = (clattn_dtype)st_type_dtype(t->type);
  if (t->rank != 3) return clattn_dense(dtype, t->rank, t->dim);
  assert_true(heads > 0 && t->dim[2] % heads == 0);
  return clattn_bshd(dtype, t->dim[0], t->dim[1], heads, t->dim[2] / heads);
}

static void describe(onnx_case *c)
{
  const int64_t hq = (int64_t)attribute(c, "q_num_heads", 0), hk = (int64_t)attribute(c, "kv_num_heads", 0);
  const st_file *f = &c->file;
  clattn_attention_desc *desc = &c->desc;
  *desc = (clattn_attention_desc)CLATTN_ATTENTION_DESC_INIT;
  desc->q = heads_of(st_find(f, "Q"), hq);
  desc->k = heads_of(st_find(f, "K"), hk);
  desc->v = heads_of(st_find(f, "V"), hk);
  desc->y = heads_of(st_find(f, "Y"), hq);
  const st_tensor *mask = st_find(f, "attn_mask");
  if (mask) desc->mask = clattn_dense((clattn_dtype)st_type_dtype(mask->type), mask->rank, mask->dim);
  desc->past_key = heads_of(st_find(f, "past_key"), hk);
  desc->past_value = heads_of(st_find(f, "past_value"), hk);
  desc->present_key = heads_of(st_find(f, "present_key"), hk);
  desc->present_value = heads_of(st_find(f, "present_value"), hk);
  desc->nonpad_kv_seqlen = heads_of(st_find(f, "nonpad_kv_seqlen"), hk);
  desc->flags = attribute(c, "is_causal", 0.0) != 0.0 ? CLATTN_CAUSAL : 0;
  desc->scale = attribute(c, "scale", (double)NAN);
  desc->softcap = attribute(c, "softcap", 0.0);
  desc->window_left = (int64_t)attribute(c, "left_window_size", -1.0);
  desc->window_right = (int64_t)attribute(c, "right_window_size", -1.0);
  desc->softmax_precision = (int32_t)attribute(c, "softmax_precision", 0.0);
  desc->variant = family;
  c->wants_qk = st_label_value(f, "qk_matmul_output_mode") != NULL;
  assert_true(c->wants_qk == (st_find(f, "qk_matmul_output") != NULL));
}

/* -1: wrong. Prints what differs. */
static double compare(const onnx_case *c, const st_tensor *want, const void *got)
{
  const int32_t dtype = st_type_dtype(want->type);
  const int64_t n = (int64_t)(want->bytes / number_bytes(dtype));
  const double tolerance = dtype == CLATTN_F16 ? 2e-3 : 4e-6;
  double largest = 1.0, worst = 0.0;
  for (int64_t i = 0; i < n; i++) {
    const double e = number_load(dtype, want->data, i);
    if (isfinite(e)) largest = fmax(largest, fabs(e));
  }
  for (int64_t i = 0; i < n; i++) {
    const double e = number_load(dtype, want->data, i), x = number_load(dtype, got, i);
    const bool same = isnan(e) ? isnan(x) : isinf(e) ? x == e : fabs(x - e) <= tolerance * largest;
    if (!same) {
      print_error("%s: %s[%" PRId64 "] is %.9g, expected %.9g within %g\n", c->name, want->name, i, x, e,
                  tolerance * largest);
      return -1.0;
    }
    if (isfinite(e)) worst = fmax(worst, fabs(x - e) / largest);
  }
  return worst;
}

/* Runs a plan and adds its outputs' errors to the line; false where something is wrong. */
static bool run(const onnx_case *c, clattn_plan *plan, char *line, size_t capacity)
{
  clattn_report report;
  clattn_slot_info info = CLATTN_SLOT_INFO_INIT;
  clattn_host_binding bindings[INPUTS + OUTPUTS];
  const st_tensor *made[OUTPUTS];
  void *results[OUTPUTS];
  uint32_t n = 0, n_made = 0;
  for (uint32_t at = 0; clattn_plan_slot(plan, at, &info) == CLATTN_OK; at++) {
    for (int i = 0; i < INPUTS; i++) {
      const st_tensor *t = inputs[i].slot == info.slot ? st_find(&c->file, inputs[i].name) : NULL;
      if (t) bindings[n++] = (clattn_host_binding){.slot = info.slot, .data = t->data, .bytes = t->bytes};
    }
    for (int i = 0; i < OUTPUTS; i++) {
      const st_tensor *t = outputs[i].slot == info.slot ? st_find(&c->file, outputs[i].name) : NULL;
      if (!t) continue;
      results[n_made] = test_alloc(t->bytes + 1);
      bindings[n++] = (clattn_host_binding){.slot = info.slot, .data = results[n_made], .bytes = t->bytes};
      made[n_made++] = t;
    }
  }
  const clattn_status status = clattn_run_host(plan, bindings, n, &report);
  bool good = status == CLATTN_OK;
  if (!good) print_error("%s: %s\n", c->name, report.message);
  for (uint32_t i = 0; i < n_made; i++) {
    const double error = good ? compare(c, made[i], results[i]) : -1.0;
    good = good && error >= 0.0;
    const size_t used = strlen(line);
    snprintf(line + used, capacity - used, "  %s %.1e", made[i]->name, error);
    free(results[i]);
  }
  return good;
}

/* Plans, runs, destroys; `scores`: the score stages alone. */
static bool take(const device_under_test *d, const onnx_case *c, const clattn_attention_desc *desc, bool scores,
                 char *line, size_t capacity)
{
  clattn_report report;
  clattn_plan *plan = NULL;
  const clattn_status status = (scores ? clattn_plan_scores : clattn_plan_attention)(d->context, desc, &plan, &report);
  if (status != CLATTN_OK) {
    print_error("%s: %s\n", c->name, report.message);
    return false;
  }
  const size_t used = strlen(line);
  snprintf(line + used, capacity - used, "  [%s]", clattn_plan_variant(plan));
  const bool good = run(c, plan, line, capacity);
  clattn_plan_destroy(plan);
  return good;
}

static bool run_case(const device_under_test *d, onnx_case *c)
{
  char file_name[sizeof folder + NAME_BYTES], line[512];
  st_error error;
  snprintf(file_name, sizeof file_name, "%s/%s", folder, c->name);
  if (!st_read(file_name, &c->file, &error)) {
    print_error("%s: %s\n", c->name, error.text);
    return false;
  }
  describe(c);
  snprintf(line, sizeof line, "%-72.*s", (int)(strlen(c->name) - strlen(".safetensors")), c->name);
  clattn_attention_desc desc = c->desc, scores = c->desc;
  desc.path = path;
  scores.qk = heads_of(st_find(&c->file, "qk_matmul_output"), 0);
  scores.qk_mode = (int32_t)attribute(c, "qk_matmul_output_mode", 0.0);
  if (path == CLATTN_PATH_STAGED) {
    desc.qk = scores.qk;
    desc.qk_mode = scores.qk_mode;
  }
  bool good = take(d, c, &desc, false, line, sizeof line);
  if (c->wants_qk && path != CLATTN_PATH_STAGED) good = take(d, c, &scores, true, line, sizeof line) && good;
  print_message("%s %s\n", good ? "ok  " : "BAD ", line);
  st_free(&c->file);
  return good;
}

static int by_name(const void *a, const void *b) { return strcmp(a, b); }

static void every_case(void **state)
{
  static char names[CASES + 1][NAME_BYTES];
  int n = 0, bad = 0;
  DIR *dir = opendir(folder);
  assert_non_null(dir);
  for (const struct dirent *entry; (entry = readdir(dir));) {
    if (entry->d_name[0] == '.') continue;
    assert_true(n < CASES);
    assert_true(strlen(entry->d_name) < NAME_BYTES);
    memcpy(names[n++], entry->d_name, strlen(entry->d_name) + 1);
  }
  closedir(dir);
  assert_int_equal(CASES, n);
  qsort(names, (size_t)n, sizeof names[0], by_name);
  for (int i = 0; i < n; i++) {
    onnx_case c = {.file = {0}};
    memcpy(c.name, names[i], sizeof c.name);
    bad += !run_case(*state, &c);
  }
  print_message("%d of %d cases right\n", n - bad, n);
  assert_int_equal(0, bad);
}

int main(int argc, char **argv)
{
  if (argc < 3 || (strcmp(argv[2], "staged") && strcmp(argv[2], "fused"))) {
    fprintf(stderr, "usage: %s FAMILY|any staged|fused\n", argv[0]);
    return 2;
  }
  family = strcmp(argv[1], "any") ? argv[1] : NULL;
  path = strcmp(argv[2], "fused") ? CLATTN_PATH_STAGED : CLATTN_PATH_FUSED;
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_case)};
  return cmocka_run_group_tests(tests, device_setup, device_teardown);
}
