/* Programs that cannot be, folders that cannot be written, and many threads. */
#define ROOT CLATTN_TEST_SCRATCH "/program_failures"
#include <pthread.h>

#include "program_fixture.h"

static void a_folder_that_cannot_be_is_only_no_cache(void **state)
{
  (void)state;
  fixture f;
  begin(&f, "nowhere");
  put(ROOT "/a_file", "x", 1);
  const char *const dirs[] = {NULL, "", ROOT "/a_file", ROOT "/a_file/under/it", "/proc/self/nowhere/clattn"};
  for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++) {
    ca_program_cache *cache = open_cache(&f, dirs[i]);
    ca_program *program = get(cache, "-DP_ADD=3", CLATTN_PROGRAM_BUILT);
    run(&f, program, 3);
    ca_program_mark_warm(program, "doubled");
    ca_program_store(program);
    ca_program_cache_remember(cache, "probe", "ok");
    char text[8];
    assert_false(ca_program_cache_recall(cache, "probe", text, sizeof text));
    ca_program_cache_destroy(cache);
  }
  end(&f);
}

static void failures_name_file_line_and_reason(void **state)
{
  (void)state;
  fixture f;
  begin(&f, "failures");
  ca_program_cache *cache = open_cache(&f, f.cache_dir);
  ca_program *program = NULL;
  clattn_program_origin origin;
  for (int again = 0; again < 2; again++) {
    clattn_report report = {.status = CLATTN_OK};
    assert_status(CLATTN_BUILD_FAILED, ca_program_get(cache, "broken.cl", "-DX=1", false, &program, &origin, &report),
                  &report);
    assert_says(&report, "broken.cl did not compile with '", "-DX=1': OpenCL error");
    assert_holds(report.detail, "undeclared_name");
    /* The real file and line; Oclgrind alone counts the lines of the whole program. */
    if (!strstr(f.platform, "Oclgrind")) assert_holds(report.detail, "broken.cl:3");
    assert_int_not_equal(CL_SUCCESS, report.cl_error);
  }
  clattn_report report = {.status = CLATTN_OK};
  assert_status(CLATTN_INTERNAL, ca_program_get(cache, "gone.cl", "", false, &program, &origin, &report), &report);
  assert_says(&report, "gone.cl", KERNELS);
  cl_kernel kernel = NULL;
  program = get(cache, "-DP_ADD=3", CLATTN_PROGRAM_BUILT);
  assert_status(CLATTN_INTERNAL, ca_program_kernel(program, "gone", &kernel, &report), &report);
  assert_says(&report, "twice.cl has no kernel gone");
  ca_program_cache_destroy(cache);
  end(&f);
}

static void devices_without_the_language_are_refused(void **state)
{
  (void)state;
  static const struct {
    uint64_t has_compiler, opencl_c;
    const char *says;
  } cases[] = {{0, 120, ": the driver has no compiler for OpenCL C"},
               {1, 110, ": it compiles OpenCL C 1.1, clattn needs 1.2"},
               {1, 0, "OpenCL C 0.0"}};
  fixture f;
  begin(&f, "languages");
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    f.facts.has_compiler = cases[i].has_compiler;
    f.facts.opencl_c = cases[i].opencl_c;
    ca_program_cache *cache = open_cache(&f, NULL);
    ca_program *program = NULL;
    clattn_program_origin origin;
    clattn_report report = {.status = CLATTN_OK};
    assert_status(CLATTN_NO_COMPILER, ca_program_get(cache, "twice.cl", "", false, &program, &origin, &report),
                  &report);
    assert_says(&report, "a device", cases[i].says);
    ca_program_cache_destroy(cache);
  }
  end(&f);
}

/* What a thread asks for and gets. */
typedef struct asker {
  ca_program_cache *cache;
  const char *options;
  clattn_status status;
  clattn_program_origin origin;
  ca_program *program;
} asker;

static void *ask(void *argument)
{
  asker *a = argument;
  a->status = ca_program_get(a->cache, "twice.cl", a->options, false, &a->program, &a->origin, NULL);
  return NULL;
}

static void threads_wait_for_one_build(void **state)
{
  (void)state;
  enum { THREADS = 8 };
  fixture f;
  begin(&f, "threads");
  ca_program_cache *cache = open_cache(&f, NULL);
  pthread_t thread[THREADS];
  asker askers[THREADS];
  for (int i = 0; i < THREADS; i++) {
    askers[i] = (asker){.cache = cache, .options = i & 1 ? "-DP_ADD=3" : "-DP_ADD=4"};
    assert_int_equal(0, pthread_create(&thread[i], NULL, ask, &askers[i]));
  }
  int built[2] = {0, 0};
  for (int i = 0; i < THREADS; i++) {
    assert_int_equal(0, pthread_join(thread[i], NULL));
    assert_status(CLATTN_OK, askers[i].status, NULL);
    built[i & 1] += askers[i].origin == CLATTN_PROGRAM_BUILT;
    assert_ptr_equal(askers[i & 1].program, askers[i].program);
  }
  assert_int_equal(1, built[0]);
  assert_int_equal(1, built[1]);
  run(&f, askers[1].program, 3);
  ca_program_cache_destroy(cache);
  end(&f);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_folder_that_cannot_be_is_only_no_cache),
      cmocka_unit_test(failures_name_file_line_and_reason),
      cmocka_unit_test(devices_without_the_language_are_refused),
      cmocka_unit_test(threads_wait_for_one_build),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
