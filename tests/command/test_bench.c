/* clattn bench: its options, what it prints, what it refuses, first calls, turns. No time is asserted. */
#include <cjson/cJSON.h>
#include <dirent.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "asserts.h"
#include "spawn.h"

#define UNTOUCHED CLATTN_TEST_SCRATCH "/bench-untouched"
#define ERRORS CLATTN_TEST_SCRATCH "/bench-errors"

static cJSON *parse(const char *line)
{
  cJSON *object = cJSON_ParseWithOpts(line, NULL, 1);
  if (!cJSON_IsObject(object)) fail_msg("no JSON object: %s", line);
  return object;
}

static double number(const cJSON *line, const char *key)
{
  const cJSON *value = cJSON_GetObjectItemCaseSensitive(line, key);
  if (!cJSON_IsNumber(value)) fail_msg("no number '%s'", key);
  assert_true(isfinite(value->valuedouble));
  return value->valuedouble;
}

static double positive(const cJSON *line, const char *key)
{
  const double value = number(line, key);
  if (!(value > 0)) fail_msg("%s is %g", key, value);
  return value;
}

static const char *text(const cJSON *line, const char *key)
{
  const char *value = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(line, key));
  if (!value) fail_msg("no text '%s'", key);
  return value;
}

static bool near(double a, double b) { return fabs(a - b) <= 1e-9 * fabs(b); }

/* ---- the rounds ---- */

static void check_line(const cJSON *line, const char *problem, double ops, double bytes)
{
  const double ms = positive(line, "ms_median"), gflops = positive(line, "gflops");
  assert_string_equal(problem, text(line, "problem"));
  assert_true(text(line, "device")[0] && text(line, "variant")[0]);
  assert_true(number(line, "ms_min") <= ms && ms <= number(line, "ms_max") && number(line, "ms_min") > 0);
  assert_true(near(gflops * ms * 1e6, ops));
  assert_true(near(positive(line, "peak_fraction") * positive(line, "peak_gflops"), gflops));
  assert_true(near(positive(line, "bandwidth_fraction") * positive(line, "read_gbytes") * ms * 1e6, bytes));
  assert_true(positive(line, "runs") >= 1);
  assert_true(number(line, "rounds") == 2);
  assert_true(cJSON_IsBool(cJSON_GetObjectItemCaseSensitive(line, "tuned")));
}

static void test_json(void **state)
{
  (void)state;
  static const char *const problems[] = {"hq=2,sq=9,sk=30,dk=16,path=staged", "hq=2,sq=8,dk=16,causal=1",
                                         "op=projection,s=3,e=20,h=2,d=8,w_type=f16,packed=1"};
  static const double ops[] = {2 * 2 * 9 * 30 * 32, 2 * 2 * 36 * 32, 2 * 3 * 20 * 16};
  static const double bytes[] = {2 * 30 * 32 * 4, 2 * 8 * 32 * 4, 20 * 16 * 2};
  spawned run = SPAWN(true, "bench", "--json", "--rounds", "2", problems[0], problems[1], problems[2]);
  assert_spawned(&run, 0, "\"problem\":", NULL);
  char *rest = run.out;
  for (int i = 0; i < 3; i++) {
    cJSON *line = parse(strtok_r(rest, "\n", &rest));
    check_line(line, problems[i], ops[i], bytes[i]);
    /* Staged attention keeps a row of scores for every query at least. */
    if (i == 0) assert_true(number(line, "workspace_bytes") >= 2 * 9 * 30 * 4);
    cJSON_Delete(line);
  }
  assert_null(strtok_r(rest, "\n", &rest));
  spawned_free(&run);
}

/* The table; a variant that is named; what is not honoured; threads, as the environment has them. */
static void test_table(void **state)
{
  (void)state;
  spawned run = SPAWN(true, "bench", "--rounds", "1", "--variant", "reference", "--cpu-time", "sq=4,q_layout=gaps");
  assert_spawned(&run, 0, "medians of 1 rounds of CPU time", "sq=4,q_layout=gaps: not honoured here: q_layout");
  assert_holds(run.out, "FMA peak ");
  assert_holds(run.out, "\nsq=4,q_layout=gaps ");
  assert_holds(run.out, "% peak");
  assert_holds(run.out, " KiB  reference_attention_f32_d64\n");
  spawned_free(&run);
}

/* PoCL's threads: the command pins them, unless its user has said otherwise. */
static void test_placement(void **state)
{
  (void)state;
  static const char free_threads[] = "NOT pinned to cores (POCL_AFFINITY=1 pins them)";
  const char *icd = getenv("OCL_ICD_VENDORS");
  const bool pocl = icd && strstr(icd, "pocl");
  char own[64] = "";
  if (getenv("POCL_AFFINITY")) snprintf(own, sizeof own, "%s", getenv("POCL_AFFINITY"));
  setenv("POCL_AFFINITY", "0", 1);
  spawned run = SPAWN(true, "bench", "--rounds", "1", "sq=4");
  assert_spawned(&run, 0, pocl ? free_threads : "compute units;", NULL);
  spawned_free(&run);
  run = SPAWN(true, "devices");
  assert_spawned(&run, 0, pocl ? "POCL_AFFINITY=1" : "", NULL);
  spawned_free(&run);
  unsetenv("POCL_AFFINITY");
  run = SPAWN(true, "bench", "--rounds", "1", "sq=4");
  assert_spawned(&run, 0, pocl ? "compute units pinned to cores;" : "compute units;", NULL);
  spawned_free(&run);
  if (own[0]) setenv("POCL_AFFINITY", own, 1);
}

static void test_help(void **state)
{
  (void)state;
  static const char *const words[] = {"  prefill ",
                                      "  causal ",
                                      "  small ",
                                      "  decode ",
                                      "  projection ",
                                      "  long ",
                                      "--rounds N",
                                      "--variant ID",
                                      "--cpu-time",
                                      "--device",
                                      "--json",
                                      "--start",
                                      "--turns",
                                      "\"ready\":true",
                                      "release  ",
                                      "% peak",
                                      "example: clattn bench"};
  spawned run = SPAWN(false, "bench", "--help");
  assert_spawned(&run, 0, "usage: clattn bench", NULL);
  for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) assert_holds(run.out, words[i]);
  spawned_free(&run);
}

/* Sets and problems pass, and it goes on to look for a device: there is none. By itself it takes the first set. */
static void test_sets(void **state)
{
  (void)state;
  spawned run = SPAWN(false, "bench", "prefill", "causal", "small", "decode", "projection", "long", "sq=4");
  assert_spawned(&run, 1, NULL, "OpenCL platform");
  spawned_free(&run);
  run = SPAWN(false, "bench");
  assert_spawned(&run, 1, NULL, "OpenCL platform");
  spawned_free(&run);
  run = SPAWN(false, "bench", "--turns");
  assert_spawned(&run, 1, NULL, "OpenCL platform");
  spawned_free(&run);
}

/* Before a device is opened, and before anything is timed or written. */
static void test_refusals(void **state)
{
  (void)state;
  static const struct {
    int status;
    const char *words[4], *why;
  } cases[] = {
      {2, {"decodes"}, "'decodes' is no problem, and no set; see clattn bench --help\n  prefill "},
      {1, {"sq=4", "sq=x"}, "sq=x: problem: sq is 'x', must be 0 to 2147483647"},
      {1, {"op=projection,s=-2"}, "projection: s is '-2', must be 0 to 2147483647"},
      {2, {"--rounds", "0"}, "--rounds: '0' must be 1 to 101"},
      {2, {"--rounds", "102"}, "--rounds: '102' must be 1 to 101"},
      {2, {"--rounds", "3x"}, "--rounds: '3x' must be 1 to 101"},
      {2, {"--rounds"}, "option '--rounds' needs a value"},
      {2, {"--fast"}, "unknown option '--fast'"},
      {2, {"--json=yes"}, "option '--json=yes' takes no value"},
      {2, {"--turns", "sq=4"}, "'sq=4' is not wanted here"},
      {2, {"--turns", "--start"}, "of --start, --turns and --list only one can be"},
      {2, {"--start", "--cpu-time"}, "--cpu-time goes with no --start"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    const char *argv[6] = {"bench", cases[i].words[0], cases[i].words[1], cases[i].words[2], NULL};
    spawned run = spawn_clattn(false, argv);
    assert_spawned(&run, cases[i].status, NULL, cases[i].why);
    spawned_free(&run);
  }
}

/* What the device or the library refuses leaves no half of a table behind. */
static void test_refused_plans(void **state)
{
  (void)state;
  spawned run = SPAWN(true, "bench", "--json", "sq=4", "sq=4,variant=nonsense");
  assert_spawned(&run, 1, NULL, "sq=4,variant=nonsense: variant \"nonsense\" is none of those");
  assert_holds(run.err, "reference_attention_f32_d64"); /* what there is */
  spawned_free(&run);
  run = SPAWN(true, "bench", "--device", "no such device", "sq=4");
  assert_spawned(&run, 1, NULL, "no device matches 'no such device'");
  spawned_free(&run);
}

static void test_list(void **state)
{
  (void)state;
  spawned run = SPAWN(true, "bench", "--list", "sq=4", "decode");
  assert_spawned(&run, 0, "sq=4\nhq=32,hk=8,sk=16384,dk=128\n", "");
  spawned_free(&run);
  /* Weights packed and as they lie: the latter are what every family reads. */
  run = SPAWN(true, "bench", "--list", "projection");
  assert_spawned(&run, 0, "op=projection,s=1,e=768,h=12,d=64,packed=1\n", "");
  assert_holds(run.out, "\nop=projection,s=1,e=768,h=12,d=64\n");
  assert_holds(run.out, "\nop=projection,s=2048,e=4096,h=32,d=128\n");
  spawned_free(&run);
  run = SPAWN(true, "bench", "--list", "sq=4,sk=");
  assert_spawned(&run, 1, NULL, "sq=4,sk=");
  spawned_free(&run);
}

/* ---- turns ---- */

static void test_turns(void **state)
{
  (void)state;
  static const char problem[] = "hq=2,sq=4,dk=16";
  conversation c;
  conversation_begin(&c, (const char *const[]){"bench", "--turns", "--variant", "reference", NULL});
  cJSON *line = parse(conversation_hear(&c));
  assert_true(cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(line, "ready")));
  assert_true(text(line, "device")[0] && number(line, "threads") >= 1);
  assert_true(cJSON_IsBool(cJSON_GetObjectItemCaseSensitive(line, "pinned")));
  cJSON_Delete(line);
  for (int turn = 0; turn < 2; turn++) {
    line = parse(conversation_ask(&c, problem));
    assert_string_equal(problem, text(line, "problem"));
    assert_holds(text(line, "variant"), "reference_attention_f32_d16");
    assert_true(near(positive(line, "ms") * positive(line, "gflops") * 1e6, 2 * 2 * 16 * 32));
    assert_true(near(positive(line, "ms") * positive(line, "gbytes") * 1e6, 2 * 4 * (16 + 16) * 4));
    assert_true(number(line, "workspace_bytes") >= 0);
    cJSON_Delete(line);
  }
  line = parse(conversation_ask(&c, "peak"));
  assert_true(positive(line, "peak_gflops") > 0 && positive(line, "read_gbytes") > 0);
  cJSON_Delete(line);
  static const char *const bad[][2] = {
      {"sq=4,sk=", "must be 0 to"}, {"", "not key=value"}, {"dk=4000", "DK of q is 4000 channels"}};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    line = parse(conversation_ask(&c, bad[i][0]));
    assert_string_equal(bad[i][0], text(line, "problem"));
    assert_holds(text(line, "error"), bad[i][1]);
    cJSON_Delete(line);
  }
  line = parse(conversation_ask(&c, "op=projection,s=2,e=4,packed=1"));
  assert_holds(text(line, "variant"), "reference_projection_");
  cJSON_Delete(line);
  static const double released[] = {2, 0};
  for (int i = 0; i < 2; i++) {
    line = parse(conversation_ask(&c, "release"));
    assert_true(number(line, "released") == released[i]);
    cJSON_Delete(line);
  }
  assert_int_equal(0, conversation_end(&c));
}

/* ---- first calls ---- */

/* An empty folder for temporary ones; it can be removed only if nothing was left in it. */
static char folder[64];

static void make_folder(void)
{
  snprintf(folder, sizeof folder, "/tmp/clattn-test-XXXXXX");
  assert_non_null(mkdtemp(folder));
  setenv("TMPDIR", folder, 1);
}

static void remove_empty_folder(void)
{
  unsetenv("TMPDIR");
  if (rmdir(folder) != 0) fail_msg("%s: something was left in it", folder);
}

static void check_first_call(const cJSON *line, const char *caches)
{
  const double total = positive(line, "total_ms");
  assert_string_equal("sq=4,dk=16", text(line, "problem"));
  assert_string_equal(caches, text(line, "caches"));
  assert_holds(text(line, "variant"), "reference_attention_f32_d16");
  assert_true(text(line, "device")[0]);
  assert_true(positive(line, "process_ms") + positive(line, "plan_ms") + positive(line, "run_ms") <= total);
  assert_true(positive(line, "build_ms") <= number(line, "plan_ms"));
  assert_true(number(line, "total_ms_min") == total && number(line, "total_ms_max") == total);
  assert_true(number(line, "rounds") == 1);
}

static void test_start(void **state)
{
  (void)state;
  char *cache = strdup(getenv("CLATTN_CACHE_DIR"));
  make_folder();
  setenv("CLATTN_CACHE_DIR", UNTOUCHED, 1);
  spawned run = SPAWN(true, "bench", "--start", "--json", "--rounds", "1", "--variant", "reference", "sq=4,dk=16");
  setenv("CLATTN_CACHE_DIR", cache, 1);
  free(cache);
  assert_spawned(&run, 0, "\"caches\":", NULL);
  char *rest = run.out;
  static const char *const caches[] = {"empty", "filled"};
  for (int warm = 0; warm < 2; warm++) {
    cJSON *line = parse(strtok_r(rest, "\n", &rest));
    check_first_call(line, caches[warm]);
    /* With empty caches there is nothing to be loaded. */
    if (!warm) assert_string_equal("built", text(line, "origin"));
    cJSON_Delete(line);
  }
  assert_null(strtok_r(rest, "\n", &rest));
  spawned_free(&run);
  remove_empty_folder();
  assert_int_not_equal(0, access(UNTOUCHED, F_OK));
}

static void test_start_table(void **state)
{
  (void)state;
  make_folder();
  spawned run = SPAWN(true, "bench", "--start", "--rounds", "1", "--variant", "reference", "sq=4,dk=16");
  assert_spawned(&run, 0, "first calls in milliseconds, medians of 1", NULL);
  assert_holds(run.out, "to device");
  assert_holds(run.out, "\nsq=4,dk=16 empty ");
  assert_holds(run.out, "\nsq=4,dk=16 filled ");
  spawned_free(&run);
  remove_empty_folder();
}

/* Without stdin and stdout the pipe of a call gets their numbers: the calls are made, and their table is what cannot be
 * written. */
static void test_start_without_stdout(void **state)
{
  (void)state;
  char said[1024];
  make_folder();
  const int status = system("'" CLATTN_COMMAND_FILE "' bench --start --rounds 1 --variant reference sq=4,dk=16 "
                            "<&- >&- 2>'" ERRORS "'");
  FILE *file = fopen(ERRORS, "rb");
  assert_non_null(file);
  said[fread(said, 1, sizeof said - 1, file)] = '\0';
  fclose(file);
  assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
  assert_holds(said, "clattn bench --start: writing to stdout failed");
  remove_empty_folder();
}

static void await_something_in(const char *path)
{
  static const struct timespec pause = {0, 10 * 1000 * 1000};
  for (int found = 0; found <= 2; nanosleep(&pause, NULL)) {
    DIR *entries = opendir(path);
    assert_non_null(entries);
    for (found = 0; readdir(entries);) found++;
    closedir(entries);
  }
}

/* The rounds end with the call that runs, not after all of them, and the folders go. */
static void test_start_stops(void **state)
{
  (void)state;
  static const int signals[] = {SIGTERM, SIGHUP, SIGINT};
  for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
    conversation c;
    make_folder();
    conversation_begin(
        &c, (const char *const[]){"bench", "--start", "--rounds", "9", "--variant", "reference", "sq=4,dk=16", NULL});
    await_something_in(folder);
    assert_int_equal(0, kill(c.child, signals[i]));
    assert_null(fgets(c.line, sizeof c.line, c.from));
    assert_int_equal(1, conversation_end(&c));
    remove_empty_folder();
  }
}

/* The child's complaint is told, and the folders go. */
static void test_start_fails(void **state)
{
  (void)state;
  make_folder();
  spawned run = SPAWN(false, "bench", "--start");
  assert_spawned(&run, 1, NULL, "OpenCL platform");
  spawned_free(&run);
  remove_empty_folder();
  setenv("TMPDIR", CLATTN_TEST_SCRATCH "/nowhere", 1);
  run = SPAWN(false, "bench", "--start");
  assert_spawned(&run, 1, NULL, "cannot make a temporary folder");
  spawned_free(&run);
}

int main(int argc, char **argv)
{
  if (argc > 1) cmocka_set_test_filter(argv[1]);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_json),
      cmocka_unit_test(test_table),
      cmocka_unit_test(test_placement),
      cmocka_unit_test(test_help),
      cmocka_unit_test(test_sets),
      cmocka_unit_test(test_refusals),
      cmocka_unit_test(test_refused_plans),
      cmocka_unit_test(test_turns),
      cmocka_unit_test(test_list),
      cmocka_unit_test(test_start),
      cmocka_unit_test(test_start_table),
      cmocka_unit_test(test_start_fails),
      cmocka_unit_test(test_start_without_stdout),
      cmocka_unit_test(test_start_stops),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
