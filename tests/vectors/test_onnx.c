/* The published cases of the ONNX operator Attention, through the public interface and through the command, and the
 * table that shows that none was left out: test_onnx [FAMILY...], by default every family. A row is a file of
 * tests/data/onnx-attention, a column a family and path, once of the interface (api) and once of the command (cmd); a
 * cell is the largest error of all outputs that the file holds, or the letter of a refusal below the table.
 * On the fused path Y and the present keys come from the fused kernel, qk_matmul_output from the score stages.
 * Error = max |x - e| / max(1, largest finite |e|); infinities must match. */
#include <cjson/cJSON.h>
#include <dirent.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "asserts.h"
#include "device_under_test.h"
#include "numerics.h"
#include "safetensors.h"
#include "spawn.h"

enum { CASES = 87, NAME_BYTES = 128, OUTPUTS = 4, REASONS = 26, REASON_BYTES = 512 };

static const char folder[] = CLATTN_TEST_DATA "/onnx-attention";

/* Family and path of a column. */
typedef struct column {
  const char *family, *path_name;
  int32_t path;
} column;
static const column columns[] = {
    {"any", "auto", CLATTN_PATH_AUTO},         {"any", "staged", CLATTN_PATH_STAGED},
    {"any", "fused", CLATTN_PATH_FUSED},       {"reference", "staged", CLATTN_PATH_STAGED},
    {"reference", "fused", CLATTN_PATH_FUSED}, {"tiled", "staged", CLATTN_PATH_STAGED},
    {"tiled", "fused", CLATTN_PATH_FUSED},     {"vector", "staged", CLATTN_PATH_STAGED},
    {"vector", "fused", CLATTN_PATH_FUSED},
};
enum { COLUMNS = sizeof columns / sizeof columns[0] };
enum { API, COMMAND, WAYS };
static const char *const way_names[WAYS] = {"api", "cmd"};

/* What one case gave in one column. */
typedef struct cell {
  enum { EMPTY, RIGHT, WRONG, REFUSED } state;
  double error;
  unsigned compared; /* a bit an output */
  char reason;       /* of a refusal: its letter */
} cell;
static cell table[CASES][COLUMNS][WAYS];
static char reasons[REASONS][REASON_BYTES];

/* One case: its file, and its tensors by what they are bound to. */
typedef struct onnx_case {
  char name[NAME_BYTES], path[sizeof folder + NAME_BYTES];
  st_file file;
  clattn_attention_desc desc;
  bool wants_qk;
  unsigned holds; /* the outputs that the file holds, a bit each */
} onnx_case;
static onnx_case cases[CASES];

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

/* OUTPUTS where it is none. */
static int output_index(const char *name)
{
  int i = 0;
  while (i < OUTPUTS && strcmp(outputs[i].name, name)) i++;
  return i;
}

/* Everything in a file is bound or compared; outputs by their bit. */
static void know_tensors(onnx_case *c)
{
  for (size_t i = 0; i < c->file.n_tensors; i++) {
    const char *name = c->file.tensors[i].name;
    const int output = output_index(name);
    bool known = output < OUTPUTS;
    for (int j = 0; j < INPUTS; j++) known |= strcmp(inputs[j].name, name) == 0;
    if (!known) fail_msg("%s: what is tensor '%s'?", c->name, name);
    if (output < OUTPUTS) c->holds |= 1u << output;
  }
  assert_true(c->holds & 1u);
}

static void note_error(cell *out, int output, double error)
{
  out->compared |= 1u << output;
  out->error = fmax(out->error, error);
  out->state = out->state == WRONG || error < 0.0 ? WRONG : RIGHT;
}

/* The letter of a reason, the same for the same text. */
static void note_refusal(cell *out, const char *reason)
{
  int letter = 0;
  while (letter < REASONS - 1 && reasons[letter][0] && strcmp(reasons[letter], reason)) letter++;
  snprintf(reasons[letter], sizeof reasons[letter], "%.*s", REASON_BYTES - 1, reason);
  out->state = REFUSED;
  out->reason = (char)('a' + letter);
}

/* ---- through the interface ---- */

static void run(const onnx_case *c, clattn_plan *plan, cell *out)
{
  clattn_report report;
  clattn_slot_info info = CLATTN_SLOT_INFO_INIT;
  clattn_host_binding bindings[INPUTS + OUTPUTS];
  void *results[OUTPUTS] = {0};
  uint32_t n = 0;
  for (uint32_t at = 0; clattn_plan_slot(plan, at, &info) == CLATTN_OK; at++) {
    for (int i = 0; i < INPUTS; i++) {
      const st_tensor *t = inputs[i].slot == info.slot ? st_find(&c->file, inputs[i].name) : NULL;
      if (t) bindings[n++] = (clattn_host_binding){.slot = info.slot, .data = t->data, .bytes = t->bytes};
    }
    for (int i = 0; i < OUTPUTS; i++) {
      const st_tensor *t = outputs[i].slot == info.slot ? st_find(&c->file, outputs[i].name) : NULL;
      if (!t) continue;
      results[i] = test_alloc(t->bytes + 1);
      bindings[n++] = (clattn_host_binding){.slot = info.slot, .data = results[i], .bytes = t->bytes};
    }
  }
  const bool good = clattn_run_host(plan, bindings, n, &report) == CLATTN_OK;
  if (!good) print_error("%s: %s\n", c->name, report.message);
  for (int i = 0; i < OUTPUTS; i++) {
    if (results[i]) note_error(out, i, good ? compare(c, st_find(&c->file, outputs[i].name), results[i]) : -1.0);
    free(results[i]);
  }
}

/* Plans, runs, destroys; `scores`: the score stages alone. */
static void take(const device_under_test *d, const onnx_case *c, const clattn_attention_desc *desc, bool scores,
                 cell *out)
{
  clattn_report report;
  clattn_plan *plan = NULL;
  const clattn_status status = (scores ? clattn_plan_scores : clattn_plan_attention)(d->context, desc, &plan, &report);
  if (status != CLATTN_OK) {
    note_refusal(out, report.message);
    return;
  }
  run(c, plan, out);
  clattn_plan_destroy(plan);
}

static void fill_api(const device_under_test *d, int at)
{
  const column *col = &columns[at];
  const char *family = strcmp(col->family, "any") ? col->family : NULL;
  for (int i = 0; i < CASES; i++) {
    const onnx_case *c = &cases[i];
    clattn_attention_desc desc = c->desc, scores = c->desc;
    desc.path = col->path;
    desc.variant = family;
    scores.variant = family;
    scores.qk = heads_of(st_find(&c->file, "qk_matmul_output"), 0);
    scores.qk_mode = (int32_t)attribute(c, "qk_matmul_output_mode", 0.0);
    if (col->path != CLATTN_PATH_FUSED) {
      desc.qk = scores.qk;
      desc.qk_mode = scores.qk_mode;
    }
    take(d, c, &desc, false, &table[i][at][API]);
    if (c->wants_qk && col->path == CLATTN_PATH_FUSED) take(d, c, &scores, true, &table[i][at][API]);
  }
}

/* ---- through the command, all files in one call ---- */

static const char *text_of(const cJSON *line, const char *key)
{
  const cJSON *item = cJSON_GetObjectItemCaseSensitive(line, key);
  return cJSON_IsString(item) ? item->valuestring : "";
}

static int case_of(const char *file_name)
{
  const char *slash = strrchr(file_name, '/');
  for (int i = 0; slash && i < CASES; i++)
    if (strcmp(slash + 1, cases[i].name) == 0) return i;
  fail_msg("the command speaks of '%s'", file_name);
  return 0;
}

/* A line tells of a run, its stages and variants, or of one comparison. */
static void take_line(const cJSON *line, int at)
{
  const column *col = &columns[at];
  const int i = case_of(text_of(line, "input"));
  const cJSON *stage, *error = cJSON_GetObjectItemCaseSensitive(line, "error");
  if (error) {
    const bool good = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(line, "good"));
    const int output = output_index(text_of(line, "tensor"));
    assert_true(output < OUTPUTS);
    note_error(&table[i][at][COMMAND], output, good ? error->valuedouble : -1.0);
    return;
  }
  cJSON_ArrayForEach(stage, cJSON_GetObjectItemCaseSensitive(line, "stages"))
  {
    const char *variant = text_of(stage, "variant");
    if (strcmp(text_of(stage, "stage"), "attention") || strcmp(col->family, "any") == 0) continue;
    if (strncmp(variant, col->family, strlen(col->family)))
      fail_msg("%s: %s runs by %s", cases[i].name, col->family, variant);
  }
}

/* What is said of a whole call that was refused: its first line, without the program's and the case's name. */
static void refuse_all(int at, const char *said)
{
  char reason[REASON_BYTES];
  snprintf(reason, sizeof reason, "%.*s", (int)strcspn(said, "\n"), said);
  char *name = strstr(reason, folder), *end = name ? strstr(name, ".safetensors") : NULL;
  if (end) {
    memcpy(name, "FILE", 4);
    memmove(name + 4, end + 12, strlen(end + 12) + 1);
  }
  for (int i = 0; i < CASES; i++) note_refusal(&table[i][at][COMMAND], reason);
}

static void fill_command(int at)
{
  const column *col = &columns[at];
  const char *words[8 + 3 * CASES] = {"attend", "--json", "--path", col->path_name};
  int n = 4;
  if (strcmp(col->family, "any")) {
    words[n++] = "--variant";
    words[n++] = col->family;
  }
  for (int i = 0; i < CASES; i++) {
    words[n++] = cases[i].path;
    words[n++] = "--expect";
    words[n++] = cases[i].path;
  }
  words[n] = NULL;
  spawned done = spawn_clattn(true, words);
  char *rest = done.out;
  for (char *line; (line = strtok_r(rest, "\n", &rest));) {
    cJSON *object = cJSON_ParseWithOpts(line, NULL, 1);
    if (!cJSON_IsObject(object)) fail_msg("no JSON object: %s", line);
    take_line(object, at);
    cJSON_Delete(object);
  }
  if (!done.out[0] && done.status == 1)
    refuse_all(at, done.err);
  else
    assert_spawned(&done, 0, "", NULL);
  spawned_free(&done);
}

/* ---- the table ---- */

static bool is_right(const onnx_case *c, const cell *cell)
{
  return cell->state == RIGHT && cell->compared == c->holds;
}

/* "4e-8", the letter of a refusal, or what is wrong: nothing at all, a wrong result, a tensor nobody compared. */
static void print_cell(const onnx_case *c, const cell *cell)
{
  char text[16];
  if (cell->state == EMPTY || (cell->state == RIGHT && cell->compared != c->holds))
    snprintf(text, sizeof text, "LEFT");
  else if (cell->state == WRONG)
    snprintf(text, sizeof text, "BAD");
  else if (cell->state == REFUSED)
    snprintf(text, sizeof text, "(%c)", cell->reason);
  else if (cell->error < 1e-9)
    snprintf(text, sizeof text, "0");
  else
    snprintf(text, sizeof text, "%.0fe%d", cell->error / pow(10.0, floor(log10(cell->error))),
             (int)floor(log10(cell->error)));
  print_message(" %4s", text);
}

/* Prints the columns that were asked for; the number of cells that are not as they must be. */
static int print_table(const bool *wanted)
{
  int bad = 0;
  print_message("%-60s %s", "", "outputs");
  for (int at = 0; at < COLUMNS; at++)
    if (wanted[at]) print_message(" %.4s %.4s", columns[at].family, columns[at].path_name);
  print_message("\n%-67s", "");
  for (int at = 0; at < COLUMNS; at++)
    if (wanted[at]) print_message(" %4s %4s", way_names[API], way_names[COMMAND]);
  print_message("\n");
  for (int i = 0; i < CASES; i++) {
    int held = 0;
    for (int o = 0; o < OUTPUTS; o++) held += (cases[i].holds >> o & 1u) != 0;
    print_message("%-66.*s%d", (int)(strlen(cases[i].name) - strlen(".safetensors") - strlen("test_attention_")),
                  cases[i].name + strlen("test_attention_"), held);
    for (int at = 0; at < COLUMNS; at++)
      for (int way = 0; wanted[at] && way < WAYS; way++) {
        print_cell(&cases[i], &table[i][at][way]);
        bad += !is_right(&cases[i], &table[i][at][way]);
      }
    print_message("\n");
  }
  for (int i = 0; i < REASONS && reasons[i][0]; i++) print_message("(%c) %s\n", 'a' + i, reasons[i]);
  return bad;
}

static int by_name(const void *a, const void *b)
{
  return strcmp(((const onnx_case *)a)->name, ((const onnx_case *)b)->name);
}

static void read_cases(void)
{
  int n = 0;
  DIR *dir = opendir(folder);
  assert_non_null(dir);
  for (const struct dirent *entry; (entry = readdir(dir));) {
    if (entry->d_name[0] == '.') continue;
    assert_true(n < CASES);
    assert_true(strlen(entry->d_name) < NAME_BYTES);
    memcpy(cases[n].name, entry->d_name, strlen(entry->d_name) + 1);
    snprintf(cases[n].path, sizeof cases[n].path, "%s/%.*s", folder, NAME_BYTES - 1, entry->d_name);
    n++;
  }
  closedir(dir);
  assert_int_equal(CASES, n);
  qsort(cases, CASES, sizeof cases[0], by_name);
  for (int i = 0; i < CASES; i++) {
    st_error error;
    if (!st_read(cases[i].path, &cases[i].file, &error)) fail_msg("%s: %s", cases[i].name, error.text);
    describe(&cases[i]);
    know_tensors(&cases[i]);
  }
}

static bool wanted_columns[COLUMNS];

static void every_case(void **state)
{
  int n = 0;
  read_cases();
  for (int at = 0; at < COLUMNS; at++) {
    if (!wanted_columns[at]) continue;
    fill_api(*state, at);
    fill_command(at);
    n += WAYS;
  }
  const int bad = print_table(wanted_columns);
  print_message("%d cases, %d columns, %d of %d cells as they must be\n", CASES, n, CASES * n - bad, CASES * n);
  for (int i = 0; i < CASES; i++) st_free(&cases[i].file);
  assert_int_equal(0, bad);
}

int main(int argc, char **argv)
{
  for (int i = 1; i < argc || i == 1; i++) {
    bool known = false;
    for (int at = 0; at < COLUMNS; at++)
      if (argc == 1 || strcmp(argv[i], columns[at].family) == 0) known = wanted_columns[at] = true;
    if (!known) {
      fprintf(stderr, "usage: %s [any] [reference] [tiled] [vector]\n", argv[0]);
      return 2;
    }
  }
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_case)};
  return cmocka_run_group_tests(tests, device_setup, device_teardown);
}
