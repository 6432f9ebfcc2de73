/* Objects shared between threads: one plan run by many, one context planned on by many, two contexts at once. */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "small.h"

enum { THREADS = 8, RUNS = 12 };

typedef struct worker {
  device_under_test d; /* its own queue on a shared context */
  const clattn_plan *plan;
  small_problem small;
  float want[SMALL_Y]; /* the bits of a run alone */
  int wrong, failed;
  clattn_report report;
} worker;

/* cmocka's asserts jump, which only the main thread may: workers count. */
static void *run_often(void *argument)
{
  worker *w = argument;
  for (int i = 0; i < RUNS; i++) {
    float y[SMALL_Y];
    const clattn_host_binding host[4] = {{.slot = CLATTN_Q, .data = w->small.q, .bytes = sizeof w->small.q},
                                         {.slot = CLATTN_K, .data = w->small.k, .bytes = sizeof w->small.k},
                                         {.slot = CLATTN_V, .data = w->small.v, .bytes = sizeof w->small.v},
                                         {.slot = CLATTN_Y, .data = y, .bytes = sizeof y}};
    memset(y, 0, sizeof y);
    if (clattn_run_host(w->plan, host, 4, &w->report) != CLATTN_OK) w->failed++;
    if (memcmp(y, w->want, sizeof y)) w->wrong++;
  }
  return NULL;
}

static void *enqueue_often(void *argument)
{
  worker *w = argument;
  cl_int code[4];
  float y[SMALL_Y];
  cl_mem mem[4] = {clCreateBuffer(w->d.cl, CL_MEM_COPY_HOST_PTR, sizeof w->small.q, w->small.q, &code[0]),
                   clCreateBuffer(w->d.cl, CL_MEM_COPY_HOST_PTR, sizeof w->small.k, w->small.k, &code[1]),
                   clCreateBuffer(w->d.cl, CL_MEM_COPY_HOST_PTR, sizeof w->small.v, w->small.v, &code[2]),
                   clCreateBuffer(w->d.cl, CL_MEM_READ_WRITE, sizeof y, NULL, &code[3])};
  cl_command_queue queue = clCreateCommandQueue(w->d.cl, w->d.id, 0, &code[0]);
  clattn_binding b[4];
  for (int32_t i = 0; i < 4; i++) b[i] = (clattn_binding){.slot = CLATTN_Q + i, .mem = mem[i]};
  for (int i = 0; i < RUNS; i++) {
    memset(y, 0, sizeof y);
    if (clattn_enqueue(w->plan, queue, b, 4, 0, NULL, NULL, &w->report) != CLATTN_OK) w->failed++;
    if (clEnqueueReadBuffer(queue, mem[3], CL_TRUE, 0, sizeof y, y, 0, NULL, NULL)) w->failed++;
    if (memcmp(y, w->want, sizeof y)) w->wrong++;
  }
  for (int i = 0; i < 4; i++) clReleaseMemObject(mem[i]);
  clReleaseCommandQueue(queue);
  return NULL;
}

static void make_worker(worker *w, const device_under_test *d, const clattn_plan *plan, uint64_t seed)
{
  clattn_binding b[SMALL_BINDINGS];
  clattn_report report;
  *w = (worker){.d = *d, .plan = plan};
  small_make(&w->small, seed);
  small_bind(d, &w->small, 0.0f, b);
  assert_status(CLATTN_OK, clattn_enqueue(plan, d->queue, b, SMALL_BINDINGS, 0, NULL, NULL, &report), &report);
  small_read(d, b, w->want);
  small_check(&w->small, w->want);
  small_release(b);
}

static void start(pthread_t *threads, void *(*work)(void *), worker *workers)
{
  for (int i = 0; i < THREADS; i++) assert_int_equal(0, pthread_create(&threads[i], NULL, work, &workers[i]));
}

static void finish(pthread_t *threads, const worker *workers)
{
  for (int i = 0; i < THREADS; i++) assert_int_equal(0, pthread_join(threads[i], NULL));
  for (int i = 0; i < THREADS; i++) {
    if (workers[i].failed) print_error("thread %d: %s\n", i, workers[i].report.message);
    assert_int_equal(0, workers[i].failed);
    assert_int_equal(0, workers[i].wrong);
  }
}

static void one_plan_many_threads(void **state)
{
  const device_under_test *d = *state;
  static worker workers[THREADS];
  pthread_t threads[THREADS];
  small_problem s;
  small_make(&s, 0);
  for (clattn_path path = CLATTN_PATH_STAGED; path <= CLATTN_PATH_FUSED; path++) {
    clattn_plan *plan = small_plan(d, &s, path);
    for (int i = 0; i < THREADS; i++) make_worker(&workers[i], d, plan, (uint64_t)(10 + i));
    start(threads, enqueue_often, workers);
    finish(threads, workers);
    start(threads, run_often, workers);
    finish(threads, workers);
    clattn_plan_destroy(plan);
  }
}

static void two_contexts_many_threads(void **state)
{
  static worker workers[THREADS];
  pthread_t threads[THREADS];
  const device_under_test *d = *state;
  device_under_test other;
  small_problem s;
  device_open(&other);
  small_make(&s, 0);
  clattn_plan *plans[2] = {small_plan(d, &s, CLATTN_PATH_STAGED), small_plan(&other, &s, CLATTN_PATH_FUSED)};
  for (int i = 0; i < THREADS; i++) make_worker(&workers[i], i % 2 ? &other : d, plans[i % 2], (uint64_t)(30 + i));
  start(threads, enqueue_often, workers);
  finish(threads, workers);
  clattn_plan_destroy(plans[0]);
  clattn_plan_destroy(plans[1]);
  device_close(&other);
}

/* Plans, runs and destroys plans of many shapes, on one context. */
static void *plan_often(void *argument)
{
  worker *w = argument;
  for (int i = 0; i < RUNS; i++) {
    clattn_plan *plan = NULL;
    clattn_attention_desc desc = w->small.desc;
    desc.path = 1 + i % 2;
    if (clattn_plan_attention(w->d.context, &desc, &plan, &w->report) != CLATTN_OK) {
      w->failed++;
      continue;
    }
    float y[SMALL_Y];
    const clattn_host_binding host[4] = {{.slot = CLATTN_Q, .data = w->small.q, .bytes = sizeof w->small.q},
                                         {.slot = CLATTN_K, .data = w->small.k, .bytes = sizeof w->small.k},
                                         {.slot = CLATTN_V, .data = w->small.v, .bytes = sizeof w->small.v},
                                         {.slot = CLATTN_Y, .data = y, .bytes = sizeof y}};
    if (clattn_run_host(plan, host, 4, &w->report) != CLATTN_OK) w->failed++;
    for (int n = 0; n < SMALL_Y; n++) {
      const double error = (double)y[n] - w->small.want[n];
      if (!(error < 4e-6 && error > -4e-6)) w->wrong++;
    }
    clattn_plan_destroy(plan);
  }
  return NULL;
}

static void one_context_many_planners(void **state)
{
  (void)state;
  static worker workers[THREADS];
  pthread_t threads[THREADS];
  device_under_test d;
  device_open(&d); /* fresh: no program is loaded yet */
  for (int i = 0; i < THREADS; i++) {
    workers[i] = (worker){.d = d};
    small_make(&workers[i].small, (uint64_t)(50 + i));
  }
  start(threads, plan_often, workers);
  finish(threads, workers);
  device_close(&d);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_plan_many_threads),
      cmocka_unit_test(two_contexts_many_threads),
      cmocka_unit_test(one_context_many_planners),
  };
  return cmocka_run_group_tests(tests, device_setup, device_teardown);
}
