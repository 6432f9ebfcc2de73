/* The command as a user meets it: help, exit statuses, what is printed and what is written. */
#include <cjson/cJSON.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "safetensors.h"
#include "spawn.h"

#define ELEPHANT CLATTN_TEST_DATA "/smollm2-layer13-elephant.safetensors"
#define ELEPHANT_EXPECT CLATTN_TEST_DATA "/smollm2-layer13-elephant.expect.safetensors"
#define MAT CLATTN_TEST_DATA "/minilm-layer03-mat.safetensors"
#define OUT CLATTN_TEST_SCRATCH "/command-out"
#define VENDORS CLATTN_TEST_SCRATCH "/command-vendors"
#define COPY CLATTN_TEST_SCRATCH "/command-copy"

/* Every line of stdout is one JSON object; calls back with each. */
static int each_json(const spawned *run, void (*look)(const cJSON *line, void *user), void *user)
{
  int count = 0;
  char *rest = run->out;
  for (char *line; (line = strtok_r(rest, "\n", &rest)); count++) {
    cJSON *object = cJSON_ParseWithOpts(line, NULL, 1);
    if (!cJSON_IsObject(object)) fail_msg("no JSON object: %s", line);
    if (look) look(object, user);
    cJSON_Delete(object);
  }
  return count;
}

static const char *text_of(const cJSON *line, const char *key)
{
  const cJSON *item = cJSON_GetObjectItemCaseSensitive(line, key);
  return cJSON_IsString(item) ? item->valuestring : "";
}

static void test_help(void **state)
{
  (void)state;
  static const char *const verbs[] = {"devices", "attend", "draw", "demo", "selftest", "tune"};
  for (int i = 0; i < 6; i++) {
    spawned run = SPAWN(false, verbs[i], "--help");
    assert_spawned(&run, 0, "example: ", NULL);
    assert_non_null(strstr(run.out, "--device"));
    spawned_free(&run);
    run = SPAWN(false, verbs[i], "--nonsense");
    assert_spawned(&run, 2, NULL, "unknown option '--nonsense'");
    spawned_free(&run);
  }
  spawned run = SPAWN(false, "--help");
  assert_spawned(&run, 0, "attend", NULL);
  spawned_free(&run);
  run = SPAWN(false, "--version");
  assert_spawned(&run, 0, "clattn ", NULL);
  spawned_free(&run);
}

static void test_wrong_command_lines(void **state)
{
  (void)state;
  static const struct {
    const char *words[10], *reason;
  } wrong[] = {
      {{"nonsense"}, "no verb 'nonsense'"},
      {{"devices", "x"}, "'x' is not wanted"},
      {{"demo", "x"}, "'x' is not wanted"},
      {{"selftest", "x"}, "'x' is not wanted"},
      {{"attend"}, "no input"},
      {{"attend", ELEPHANT}, "neither -o DIR nor --expect FILE"},
      {{"attend", ELEPHANT, "-o"}, "needs a value"},
      {{"attend", ELEPHANT, "-o", ""}, "name is empty"},
      {{"attend", ELEPHANT, "-o", OUT, "--path", "slow"}, "'slow' is none of auto, staged, fused"},
      {{"attend", ELEPHANT, "-o", OUT, "--save", "Q,X"}, "--save: 'X' is none of Q, K, V, A, P, lse"},
      {{"attend", ELEPHANT, "-o", OUT, "--save", ""}, "--save: '' is none of Q, K, V, A, P, lse"},
      {{"attend", ELEPHANT, "-o", OUT, "--tolerance", "x"}, "'x' is no number"},
      {{"attend", ELEPHANT, "-o", OUT, "--tolerance", "nan"}, "'nan' is no number"},
      {{"attend", ELEPHANT, MAT, "--expect", ELEPHANT_EXPECT}, "1 times for 2 inputs"},
      {{"attend", ELEPHANT, "--problem", "sq=5", "--expect", ELEPHANT_EXPECT, "--expect", ELEPHANT_EXPECT},
       "not with both"},
      {{"attend", "--json=1"}, "takes no value"},
  };
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    spawned run = spawn_clattn(false, wrong[i].words);
    assert_spawned(&run, 2, NULL, wrong[i].reason);
    spawned_free(&run);
  }
}

static void test_no_platform(void **state)
{
  (void)state;
  static const char *const calls[][5] = {
      {"devices"},       {"demo"}, {"selftest"}, {"attend", ELEPHANT, "-o", OUT}, {"tune", "--print", "sq=3,dk=4"},
      {"draw", ELEPHANT}};
  for (int i = 0; i < 6; i++) {
    spawned run = spawn_clattn(false, calls[i]);
    assert_spawned(&run, 1, NULL, "no OpenCL platform");
    spawned_free(&run);
  }
}

static void test_unknown_variant(void **state)
{
  (void)state;
  spawned run = SPAWN(false, "attend", ELEPHANT, "-o", OUT, "--variant", "nonsense");
  assert_spawned(&run, 1, NULL, "'nonsense' is the beginning of none of these");
  assert_non_null(strstr(run.err, "reference_projection"));
  spawned_free(&run);
}

/* An entry that no stage would be planned with is refused before a device is looked for. */
static void test_unused_variant(void **state)
{
  (void)state;
  static const struct {
    const char *words[10], *reason;
  } runs[] = {
      {{"--path", "staged", "--variant", "tiled_attention"}, "are projection, staged, and"},
      {{"--path", "fused", "--variant", "tiled_staged"}, "are projection, attention, and"},
      {{"--save", "A", "--variant", "tiled_attention"}, "are projection, staged, scores, and"},
      {{"--variant", "reference_merge"}, "are projection, attention, staged, and"},
      {{"--variant", "tiled", "--variant", "reference"}, "'reference' would be used by no stage"},
      {{"--variant", "tiled"}, "no OpenCL platform"},
      {{"--variant", "clblast"}, "no OpenCL platform"},
      {{"--variant", "reference", "--path", "staged"}, "no OpenCL platform"},
      {{"--variant", "clblast", "--variant", "tiled"}, "no OpenCL platform"},
      {{"--variant", "tiled_scores", "--save", "A"}, "no OpenCL platform"},
      {{"--variant", "tiled_staged"}, "no OpenCL platform"},
  };
  for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++) {
    const char *words[14] = {"attend", ELEPHANT, "-o", OUT};
    for (int w = 0; runs[i].words[w]; w++) words[4 + w] = runs[i].words[w];
    spawned run = spawn_clattn(false, words);
    assert_spawned(&run, 1, NULL, runs[i].reason);
    spawned_free(&run);
  }
  spawned run = SPAWN(false, "attend", "--problem", "sq=5,dk=16", "-o", OUT, "--variant", "tiled_projection");
  assert_spawned(&run, 1, NULL, "the operations of sq=5,dk=16 are attention, staged, and");
  spawned_free(&run);
  run = SPAWN(false, "attend", ELEPHANT, "--problem", "sq=5,dk=16", "-o", OUT, "--variant", "tiled_projection");
  assert_spawned(&run, 1, NULL, "no OpenCL platform");
  spawned_free(&run);
}

static void copy_file(const char *from, const char *to)
{
  st_file file;
  st_error error;
  if (!st_read(from, &file, &error) || !st_write(&file, to, &error)) fail_msg("%s: %s", from, error.text);
  st_free(&file);
}

static void test_colliding_names(void **state)
{
  (void)state;
  mkdir(COPY, 0777);
  copy_file(MAT, COPY "/minilm-layer03-mat.safetensors");
  spawned run = SPAWN(false, "attend", MAT, COPY "/minilm-layer03-mat.safetensors", "-o", OUT);
  assert_spawned(&run, 1, NULL, "would both be written to");
  spawned_free(&run);
  run = SPAWN(false, "attend", COPY "/minilm-layer03-mat.safetensors", "-o", COPY "/../command-copy");
  assert_spawned(&run, 1, NULL, "would overwrite");
  spawned_free(&run);
  run = SPAWN(false, "attend", MAT, "-o", COPY "/minilm-layer03-mat.safetensors");
  assert_spawned(&run, 1, NULL, "");
  spawned_free(&run);
}

static void look_at_device(const cJSON *line, void *user)
{
  assert_true(text_of(line, "platform")[0] != '\0');
  assert_true(text_of(line, "reason")[0] != '\0');
  if (!cJSON_HasObjectItem(line, "index")) return; /* a platform without a device */
  assert_true(strlen(text_of(line, "index")) >= 3);
  assert_true(text_of(line, "name")[0] != '\0');
  if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(line, "taken"))) ++*(int *)user;
}

static void test_devices(void **state)
{
  (void)state;
  int taken = 0;
  spawned run = SPAWN(true, "devices", "--json");
  assert_spawned(&run, 0, "{", NULL);
  assert_true(each_json(&run, look_at_device, &taken) >= 1);
  assert_int_equal(taken, 1);
  spawned_free(&run);
  run = SPAWN(true, "devices");
  assert_spawned(&run, 0, "<- taken", NULL);
  spawned_free(&run);
  run = SPAWN(true, "devices", "--device", "no such device");
  assert_spawned(&run, 1, "", "no usable device matches 'no such device'");
  spawned_free(&run);
  run = SPAWN(true, "demo", "--device", "no such device");
  assert_spawned(&run, 1, NULL, "no such device");
  spawned_free(&run);
}

static void copy_text(const char *from, const char *to)
{
  char text[256];
  FILE *in = fopen(from, "r"), *out = fopen(to, "w");
  assert_non_null(out);
  if (in && fgets(text, sizeof text, in)) fputs(text, out);
  if (in) fclose(in);
  fclose(out);
}

static void look_at_passed_over(const cJSON *line, void *user)
{
  if (!cJSON_HasObjectItem(line, "index") && strcmp(text_of(line, "platform"), "Clover") == 0 &&
      strstr(text_of(line, "reason"), "no device"))
    ++*(int *)user;
}

/* A platform without a device beside one that has some: Mesa's Clover. Where it has a GPU, it is listed instead. */
static void test_devices_passed_over(void **state)
{
  (void)state;
  int passed_over = 0;
  const char *before = getenv("OCL_ICD_VENDORS");
  char vendors[256];
  snprintf(vendors, sizeof vendors, "%s", before ? before : "");
  setenv("OCL_ICD_VENDORS", "mesa.icd", 1);
  spawned alone = SPAWN(true, "devices");
  mkdir(VENDORS, 0777);
  copy_text("/etc/OpenCL/vendors/pocl.icd", VENDORS "/pocl.icd");
  copy_text("/etc/OpenCL/vendors/mesa.icd", VENDORS "/mesa.icd");
  setenv("OCL_ICD_VENDORS", VENDORS, 1);
  spawned run = SPAWN(true, "devices");
  spawned lines = SPAWN(true, "devices", "--json");
  setenv("OCL_ICD_VENDORS", vendors, 1);
  if (alone.status == 0) {
    assert_spawned(&run, 0, "Clover", NULL);
  } else {
    assert_spawned(&alone, 1, NULL, "Clover: no device");
    assert_spawned(&run, 0, "not listed: Clover: no device", NULL);
    assert_spawned(&lines, 0, "{", NULL);
    each_json(&lines, look_at_passed_over, &passed_over);
    assert_int_equal(passed_over, 1);
  }
  spawned_free(&alone);
  spawned_free(&run);
  spawned_free(&lines);
}

typedef struct demo_seen {
  int edges, asymmetry, symmetric, stages;
  bool too, qkv;
} demo_seen;

static void look_at_demo(const cJSON *line, void *user)
{
  demo_seen *seen = user;
  const char *kind = text_of(line, "kind");
  if (strcmp(kind, "stage") == 0) seen->stages++;
  if (strcmp(kind, "stage") == 0 && strcmp(text_of(line, "stage"), "projection Q K V") == 0) seen->qkv = true;
  if (strcmp(kind, "asymmetry") == 0) {
    const double a = cJSON_GetObjectItemCaseSensitive(line, "a")->valuedouble;
    const double w = cJSON_GetObjectItemCaseSensitive(line, "w")->valuedouble;
    assert_true(a > 0.05 && a < 1.0 && w > 0.5 && w < 0.8);
    seen->asymmetry++;
  }
  if (strcmp(kind, "symmetry") == 0 && cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(line, "good"))) seen->symmetric++;
  if (strcmp(kind, "edges") != 0) return;
  seen->edges++;
  if (cJSON_GetObjectItemCaseSensitive(line, "head")->valuedouble != 8.0 || strcmp(text_of(line, "token"), " too") != 0)
    return;
  static const struct {
    const char *token;
    double weight;
  } want[3] = {{" car", 0.40}, {" elephant", 0.23}, {" it", 0.12}};
  const cJSON *edges = cJSON_GetObjectItemCaseSensitive(line, "edges");
  for (int i = 0; i < 3; i++) {
    const cJSON *edge = cJSON_GetArrayItem(edges, i);
    assert_string_equal(text_of(edge, "token"), want[i].token);
    const double weight = cJSON_GetObjectItemCaseSensitive(edge, "weight")->valuedouble;
    assert_true(fabs(weight - want[i].weight) < 0.005);
  }
  seen->too = true;
}

static void test_demo(void **state)
{
  (void)state;
  spawned run = SPAWN(true, "demo");
  assert_spawned(&run, 0, "\" too\": \" car\" 0.40, \" elephant\" 0.23, \" it\" 0.12", NULL);
  assert_non_null(strstr(run.out, "with rotation"));
  assert_null(strstr(run.out, "NOT SYMMETRIC"));
  for (const char *line = run.out; *line;) {
    const size_t length = strcspn(line, "\n");
    if (length > 100) fail_msg("%zu columns: %.*s", length, (int)length, line);
    line += length + (line[length] == '\n');
  }
  spawned_free(&run);
  demo_seen seen = {0};
  run = SPAWN(true, "demo", "--json");
  assert_spawned(&run, 0, "{", NULL);
  each_json(&run, look_at_demo, &seen);
  assert_int_equal(seen.edges, 3 * 13);
  assert_int_equal(seen.asymmetry, 9);
  assert_int_equal(seen.symmetric, 2);
  assert_true(seen.qkv);
  assert_true(seen.stages >= 7);
  assert_true(seen.too);
  spawned_free(&run);
}

static void read_output(const char *path, st_file *file)
{
  st_error error;
  if (!st_read(path, file, &error)) fail_msg("%s: %s", path, error.text);
}

static void test_attend_writes(void **state)
{
  (void)state;
  st_file file, expect;
  remove(OUT "/smollm2-layer13-elephant.safetensors");
  spawned run = SPAWN(true, "attend", ELEPHANT, "-o", OUT, "--save", "A,P,lse");
  assert_spawned(&run, 0, "wrote", NULL);
  spawned_free(&run);
  read_output(OUT "/smollm2-layer13-elephant.safetensors", &file);
  read_output(ELEPHANT_EXPECT, &expect);
  assert_int_equal(file.n_tensors, 5);
  static const char *const names[] = {"Y", "Z", "A", "P", "lse"};
  for (int i = 0; i < 5; i++) {
    const st_tensor *got = st_find(&file, names[i]), *want = st_find(&expect, names[i]);
    assert_non_null(got);
    assert_int_equal(got->type, ST_F32);
    assert_string_equal(st_show_shape(got->rank, got->dim).text, st_show_shape(want->rank, want->dim).text);
  }
  assert_non_null(st_label_value(&file, "tokens"));
  assert_string_equal(st_label_value(&file, "next_token"), " big");
  assert_null(st_label_value(&file, "is_causal"));
  st_free(&file);
  st_free(&expect);
  run = SPAWN(true, "attend", ELEPHANT, "-o", OUT);
  assert_spawned(&run, 0, "_attention_f32_d64", NULL); /* fused, by whichever family suits the device */
  spawned_free(&run);
  read_output(OUT "/smollm2-layer13-elephant.safetensors", &file);
  assert_int_equal(file.n_tensors, 2);
  st_free(&file);
}

/* Of a float64 input, lse is computed in float64: most of its numbers have no float32. */
static void test_wide_lse(void **state)
{
  (void)state;
  st_file file;
  int wide = 0;
  remove(OUT "/problem.safetensors");
  spawned run =
      SPAWN(true, "attend", "--problem", "hq=2,hk=1,sq=5,sk=9,dk=16,dtype=f64,seed=3", "-o", OUT, "--save", "lse");
  if (run.status == 1) { /* the device has none, and that is what it says */
    assert_spawned(&run, 1, NULL, "the device has no float64");
    spawned_free(&run);
    return;
  }
  assert_spawned(&run, 0, "lse", NULL);
  spawned_free(&run);
  read_output(OUT "/problem.safetensors", &file);
  const st_tensor *lse = st_find(&file, "lse");
  assert_non_null(lse);
  assert_int_equal(lse->type, ST_F64);
  for (size_t i = 0; i < lse->bytes / 8; i++) {
    const double value = ((const double *)lse->data)[i];
    wide += (double)(float)value < value || (double)(float)value > value;
  }
  assert_true(wide > 0);
  st_free(&file);
}

/* A text of the random tester: what files can say is run, the rest is named. */
static void test_whole_text(void **state)
{
  (void)state;
  st_file file;
  remove(OUT "/problem.safetensors");
  spawned run = SPAWN(true, "attend", "--problem",
                      "b=2,hq=4,hk=2,sq=7,sk=9,dk=16,nonpad=-1:20,causal=1,mask=infinite,mask_rank=2,present=kv,lse=1,"
                      "qk=2,precision=1,k_type=f16,y_type=bf16,q_layout=gaps,poison=unseen,path=staged,"
                      "variant=tiled/m32n32k16",
                      "-o", OUT);
  assert_spawned(&run, 0, "tiled_staged_f32f16f32f32_d16_m32n32k16",
                 "not honoured here: present,y_type,q_layout,poison\n"
                 "clattn attend: --problem: nonpad is clamped to the tokens of K");
  spawned_free(&run);
  read_output(OUT "/problem.safetensors", &file);
  assert_non_null(st_find(&file, "lse"));
  assert_non_null(st_find(&file, "qk_matmul_output"));
  st_free(&file);
  run = SPAWN(true, "attend", "--problem", "sq=5,variant=tilde/q1", "-o", OUT);
  assert_spawned(&run, 1, NULL, "'tilde_attention_f32_d64_q1' is the beginning of none of these");
  spawned_free(&run);
}

/* One bad input of three: its message, no output for it, the others done, status 1. */
static void test_others_still_run(void **state)
{
  (void)state;
  remove(OUT "/minilm-layer03-mat.safetensors");
  remove(OUT "/problem.safetensors");
  spawned run = SPAWN(true, "attend", MAT, CLATTN_TEST_SCRATCH "/no-such.safetensors", "--problem",
                      "hq=2,hk=1,sq=5,sk=9,dk=16,causal=1,seed=3", "-o", OUT);
  assert_spawned(&run, 1, "wrote", "no-such.safetensors: cannot open");
  spawned_free(&run);
  assert_int_equal(access(OUT "/minilm-layer03-mat.safetensors", F_OK), 0);
  assert_int_equal(access(OUT "/problem.safetensors", F_OK), 0);
  assert_int_not_equal(access(OUT "/no-such.safetensors", F_OK), 0);
}

static void look_at_expect(const cJSON *line, void *user)
{
  const cJSON *good = cJSON_GetObjectItemCaseSensitive(line, "good");
  if (good) ++*(int *)user;
  if (good) assert_true(cJSON_IsTrue(good));
}

static void test_expect(void **state)
{
  (void)state;
  int compared = 0;
  spawned run = SPAWN(true, "attend", ELEPHANT, "--expect", ELEPHANT_EXPECT, "--json");
  assert_spawned(&run, 0, "{", NULL);
  each_json(&run, look_at_expect, &compared);
  assert_int_equal(compared, 8);
  spawned_free(&run);
  run = SPAWN(true, "attend", ELEPHANT, "--expect", ELEPHANT_EXPECT, "--tolerance", "1e-12");
  assert_spawned(&run, 1, "WRONG", "exceeds 1e-12");
  spawned_free(&run);
  run = SPAWN(true, "attend", ELEPHANT, "--expect", ELEPHANT);
  assert_spawned(&run, 1, NULL, "no tensor there is an output of this run");
  spawned_free(&run);
}

static void expect_wrong(st_file *expect, const char *reason)
{
  const char *path = CLATTN_TEST_SCRATCH "/wrong.expect.safetensors";
  st_error error;
  assert_true(st_write(expect, path, &error));
  spawned run = SPAWN(true, "attend", ELEPHANT, "--expect", path);
  assert_spawned(&run, 1, "WRONG", reason);
  spawned_free(&run);
  remove(path);
}

/* A NaN, an infinity, another shape: none of them is near enough, whatever the tolerance. */
static void test_expect_sees_wrong_numbers(void **state)
{
  (void)state;
  st_file expect;
  read_output(ELEPHANT_EXPECT, &expect);
  float *lse = (float *)st_find(&expect, "lse")->data;
  const float before = lse[5];
  lse[5] = NAN;
  expect_wrong(&expect, "tensor 'lse': error inf exceeds");
  lse[5] = INFINITY;
  expect_wrong(&expect, "element [0,0,5]");
  lse[5] = before;
  for (size_t i = 0; i < expect.n_tensors; i++)
    if (strcmp(expect.tensors[i].name, "P") == 0) expect.tensors[i].dim[1] = 3, expect.tensors[i].dim[3] = 39;
  expect_wrong(&expect, "shape [1,9,13,13], expected [1,3,13,39]");
  st_free(&expect);
}

int main(int argc, char **argv)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_help),
      cmocka_unit_test(test_wrong_command_lines),
      cmocka_unit_test(test_no_platform),
      cmocka_unit_test(test_unknown_variant),
      cmocka_unit_test(test_unused_variant),
      cmocka_unit_test(test_colliding_names),
      cmocka_unit_test(test_devices),
      cmocka_unit_test(test_devices_passed_over),
      cmocka_unit_test(test_demo),
      cmocka_unit_test(test_attend_writes),
      cmocka_unit_test(test_wide_lse),
      cmocka_unit_test(test_whole_text),
      cmocka_unit_test(test_others_still_run),
      cmocka_unit_test(test_expect),
      cmocka_unit_test(test_expect_sees_wrong_numbers),
  };
  if (argc > 1) cmocka_set_test_filter(argv[1]);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
