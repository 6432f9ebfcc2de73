/* Programs of one small kernel on drivers whose binaries are slow to take, and made of files that processes share: such
 * a program is built apart from all others, by one process, and its binary kept. */
#include <stdint.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "program_parts.h"
#include "quirks.h"

#define ROOT CLATTN_TEST_SCRATCH "/program-apart"
#include "program_fixture.h"

static const uint32_t slow = CA_QUIRK_BIT(slow_binary) | CA_QUIRK_BIT(binary_race) | CA_QUIRK_BIT(binary_room);

static ca_program *get_lone(ca_program_cache *cache, clattn_program_origin *origin)
{
  ca_program *program = NULL;
  clattn_report report = {.status = CLATTN_OK};
  assert_status(CLATTN_OK, ca_program_get(cache, "lone.cl", "-DP_ADD=3", true, &program, origin, &report), &report);
  return program;
}

static ca_program *expect_lone(ca_program_cache *cache, clattn_program_origin expected)
{
  clattn_program_origin origin;
  ca_program *program = get_lone(cache, &origin);
  assert_int_equal(expected, origin);
  return program;
}

static void run_and_store(const fixture *f, ca_program *program)
{
  run(f, program, 3);
  ca_program_mark_warm(program, "doubled");
  ca_program_store(program);
}

static void use_lone(const fixture *f, clattn_program_origin expected)
{
  ca_program_cache *cache = open_cache(f, f->cache_dir);
  ca_program *program = expect_lone(cache, expected);
  assert_int_equal(expected == CLATTN_PROGRAM_DISK, ca_program_is_warm(program, "doubled"));
  run_and_store(f, program);
  ca_program_cache_destroy(cache);
}

static void begin_slow(fixture *f, const char *name)
{
  begin(f, name);
  f->facts.quirks = slow;
}

/* ---- first, as a process that has called OpenCL must not fork ---- */

enum { PROCESSES = 8 };

/* Each in its own folder of the project: eight builds apart and eight binaries taken, in the driver's one folder. */
static void build_alone(int process)
{
  fixture f = {.cl = NULL};
  snprintf(f.cache_dir, sizeof f.cache_dir, "%s/alone-%d", ROOT, process);
  open_device(&f);
  f.facts.quirks = slow;
  for (int round = 0; round < 3; round++) {
    remove_files(f.cache_dir, "");
    use_lone(&f, CLATTN_PROGRAM_BUILT);
    use_lone(&f, CLATTN_PROGRAM_DISK);
  }
}

/* All in one folder: some build the usual way beside the one that builds apart, and some find its binary. */
static void build_together(int process)
{
  (void)process;
  fixture f = {.cl = NULL};
  snprintf(f.cache_dir, sizeof f.cache_dir, "%s/together", ROOT);
  open_device(&f);
  f.facts.quirks = slow;
  for (int round = 0; round < 3; round++) {
    ca_program_cache *cache = open_cache(&f, f.cache_dir);
    clattn_program_origin origin;
    run_and_store(&f, get_lone(cache, &origin));
    ca_program_cache_destroy(cache);
  }
}

static int end_of(pid_t child)
{
  int ended = -1;
  assert_int_equal(child, waitpid(child, &ended, 0));
  return ended;
}

static void run_processes(void (*work)(int process), int n)
{
  pid_t child[PROCESSES];
  put_kernels();
  for (int i = 0; i < n; i++) {
    child[i] = fork();
    assert_true(child[i] >= 0);
    if (child[i]) continue;
    work(i);
    _exit(0);
  }
  for (int i = 0; i < n; i++) assert_int_equal(0, end_of(child[i]));
}

static void look_together(int process)
{
  (void)process;
  fixture f = {.cl = NULL};
  snprintf(f.cache_dir, sizeof f.cache_dir, "%s/together", ROOT);
  open_device(&f);
  f.facts.quirks = slow;
  use_lone(&f, CLATTN_PROGRAM_DISK);
}

static void eight_processes_take_binaries_at_once(void **state)
{
  (void)state;
  run_processes(build_alone, PROCESSES);
}

static void eight_processes_share_all_folders(void **state)
{
  (void)state;
  for (int round = 0; round < 2; round++) {
    remove_files(ROOT "/together", "");
    run_processes(build_together, PROCESSES);
    run_processes(look_together, 1);
    assert_int_equal(1, remove_files(ROOT "/together", "")); /* the binary; neither the mark nor a temporary file */
  }
}

/* AddressSanitizer's malloc ends the process where there is no memory, unless it is told not to. */
const char *__asan_default_options(void) __attribute__((visibility("default")));
const char *__asan_default_options(void) { return "allocator_may_return_null=1"; }

/* The driver would write to memory that it did not get. */
static void take_without_room(int process)
{
  (void)process;
  enum { SPARE_BYTES = 200 << 20 };
  unsigned long pages = 0;
  fixture f = {.cl = NULL};
  snprintf(f.cache_dir, sizeof f.cache_dir, "%s/room", ROOT);
  remove_files(f.cache_dir, "");
  open_device(&f);
  f.facts.quirks = slow;
  ca_program_cache *cache = open_cache(&f, f.cache_dir);
  ca_program *program = expect_lone(cache, CLATTN_PROGRAM_BUILT);
  run(&f, program, 3);
  FILE *file = fopen("/proc/self/statm", "rb");
  assert_non_null(file);
  assert_int_equal(1, fscanf(file, "%lu", &pages));
  fclose(file);
  const rlim_t most = (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + SPARE_BYTES;
  const struct rlimit limit = {most, most};
  assert_int_equal(0, setrlimit(RLIMIT_AS, &limit));
  ca_program_mark_warm(program, "doubled");
  ca_program_store(program);
  assert_int_equal(1, remove_files(f.cache_dir, "")); /* the attempt's mark */
  ca_program_cache_destroy(cache);
}

static void a_binary_is_not_taken_without_room(void **state)
{
  (void)state;
  run_processes(take_without_room, 1);
}

/* PoCL tells the binaries of the devices that a program was built for, by the places of those of its context. */
static void build_for_the_second_device(int process)
{
  (void)process;
  cl_platform_id platform;
  cl_device_id device[2];
  cl_int error;
  fixture f = {.cl = NULL};
  assert_int_equal(0, setenv("POCL_DEVICES", "pthread basic", 1));
  snprintf(f.cache_dir, sizeof f.cache_dir, "%s/second", ROOT);
  remove_files(f.cache_dir, "");
  open_device(&f);
  clReleaseContext(f.cl);
  assert_int_equal(CL_SUCCESS, clGetPlatformIDs(1, &platform, NULL));
  assert_int_equal(CL_SUCCESS, clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 2, device, NULL));
  f.cl = clCreateContext(NULL, 2, device, NULL, NULL, &error);
  assert_int_equal(CL_SUCCESS, error);
  f.device = device[1];
  f.facts.quirks = slow;
  for (int i = 0; i < 3; i++) use_lone(&f, CLATTN_PROGRAM_BUILT);
  f.device = device[0];
  snprintf(f.facts.name, sizeof f.facts.name, "the first device");
  use_lone(&f, CLATTN_PROGRAM_BUILT);
  use_lone(&f, CLATTN_PROGRAM_DISK);
}

static void a_device_whose_binary_is_not_told_is_built_for(void **state)
{
  (void)state;
  run_processes(build_for_the_second_device, 1);
}

/* ---- in one process ---- */

/* Where taking a binary compiles again, a lone kernel's is worth it. What came from the disk is not taken once more:
 * the driver's files of it are no longer this process's alone. */
static void a_lone_kernel_is_kept_where_binaries_are_slow(void **state)
{
  (void)state;
  fixture f;
  begin_slow(&f, "lone");
  use_lone(&f, CLATTN_PROGRAM_BUILT);
  use_lone(&f, CLATTN_PROGRAM_DISK);
  ca_program_cache *cache = open_cache(&f, f.cache_dir);
  ca_program *program = expect_lone(cache, CLATTN_PROGRAM_DISK);
  assert_int_equal(1, remove_files(f.cache_dir, ""));
  ca_program_mark_warm(program, "another");
  ca_program_store(program);
  assert_int_equal(0, remove_files(f.cache_dir, ""));
  ca_program_cache_destroy(cache);
  end(&f);
}

static void unsafe_binaries_are_left_alone_all_the_same(void **state)
{
  (void)state;
  static const uint32_t unsafe[] = {CA_QUIRK_BIT(binary_abort), CA_QUIRK_BIT(binary_untried),
                                    CA_QUIRK_BIT(binary_files_removed)};
  fixture f;
  begin(&f, "unsafe");
  for (size_t i = 0; i < sizeof unsafe / sizeof unsafe[0]; i++) {
    f.facts.quirks = slow | unsafe[i];
    use_lone(&f, CLATTN_PROGRAM_BUILT); /* stores nothing, not even a mark */
    assert_int_equal(0, remove_files(f.cache_dir, ""));
    f.facts.quirks = slow;
    use_lone(&f, CLATTN_PROGRAM_BUILT); /* stores */
    f.facts.quirks = slow | unsafe[i];
    use_lone(&f, CLATTN_PROGRAM_BUILT); /* does not load */
    assert_int_equal(1, remove_files(f.cache_dir, ""));
  }
  end(&f);
}

/* Nothing tells that a driver will not end a process that takes a binary. If it does, it was the only one. */
static void a_binary_is_tried_once(void **state)
{
  (void)state;
  fixture f;
  begin_slow(&f, "once");
  ca_program_cache *cache = open_cache(&f, f.cache_dir);
  expect_lone(cache, CLATTN_PROGRAM_BUILT);
  ca_program_cache_destroy(cache); /* and nothing was stored, as if the process had ended */
  use_lone(&f, CLATTN_PROGRAM_BUILT);
  use_lone(&f, CLATTN_PROGRAM_BUILT);
  assert_int_equal(1, remove_files(f.cache_dir, "")); /* the mark */
  use_lone(&f, CLATTN_PROGRAM_BUILT);
  use_lone(&f, CLATTN_PROGRAM_DISK);
  end(&f);
}

/* A process may have been ended by its user: a day later somebody tries again. */
static void a_binary_is_tried_again_a_day_later(void **state)
{
  (void)state;
  fixture f;
  begin_slow(&f, "again");
  ca_program_cache *cache = open_cache(&f, f.cache_dir);
  const ca_program *program = expect_lone(cache, CLATTN_PROGRAM_BUILT);
  assert_non_null(program->attempt);
  for (int64_t hours = 23; hours <= 25; hours += 2) {
    const int64_t then = (int64_t)time(NULL) - hours * 3600;
    assert_true(ca_entry_save(cache, program->attempt, NULL, (ca_bytes){&then, sizeof then}));
    use_lone(&f, CLATTN_PROGRAM_BUILT);
  }
  use_lone(&f, CLATTN_PROGRAM_DISK); /* the second one's */
  ca_program_cache_destroy(cache);
  end(&f);
}

static void one_of_two_contexts_takes_the_binary(void **state)
{
  (void)state;
  fixture f;
  begin_slow(&f, "two");
  ca_program_cache *cache[2] = {open_cache(&f, f.cache_dir), open_cache(&f, f.cache_dir)};
  ca_program *first = expect_lone(cache[0], CLATTN_PROGRAM_BUILT),
             *second = expect_lone(cache[1], CLATTN_PROGRAM_BUILT);
  run_and_store(&f, second); /* nothing */
  assert_int_equal(1, remove_files(f.cache_dir, ""));
  run_and_store(&f, first);
  ca_program_cache *third = open_cache(&f, f.cache_dir);
  run_and_store(&f, expect_lone(third, CLATTN_PROGRAM_DISK));
  ca_program_cache_destroy(cache[0]);
  run(&f, second, 3);
  ca_program_cache_destroy(cache[1]);
  ca_program_cache_destroy(third);
  assert_int_equal(1, remove_files(f.cache_dir, ""));
  end(&f);
}

/* Two builds of one program are two to the driver where its folder must not be shared, and one where no binary can be
 * kept, so that its own cache of kernels serves. */
static void without_a_folder_a_lone_kernel_is_only_built(void **state)
{
  (void)state;
  fixture f;
  begin_slow(&f, "nowhere");
  snprintf(f.cache_dir, sizeof f.cache_dir, "%s/lone.cl", KERNELS); /* a file */
  use_lone(&f, CLATTN_PROGRAM_BUILT);
  use_lone(&f, CLATTN_PROGRAM_BUILT);
  end(&f);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(eight_processes_take_binaries_at_once), /* first: these fork */
      cmocka_unit_test(eight_processes_share_all_folders),
      cmocka_unit_test(a_binary_is_not_taken_without_room),
      cmocka_unit_test(a_device_whose_binary_is_not_told_is_built_for),
      cmocka_unit_test(a_lone_kernel_is_kept_where_binaries_are_slow),
      cmocka_unit_test(unsafe_binaries_are_left_alone_all_the_same),
      cmocka_unit_test(a_binary_is_tried_once),
      cmocka_unit_test(a_binary_is_tried_again_a_day_later),
      cmocka_unit_test(one_of_two_contexts_takes_the_binary),
      cmocka_unit_test(without_a_folder_a_lone_kernel_is_only_built),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
