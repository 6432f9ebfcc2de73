/* Planning in the background: while one thread is held up inside the driver, building a program or launching a kernel
 * for the first time, another runs a plan that is there and plans once more what is ready. */
#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "fault_layer.h"
#include "small.h"

static const fault_layer *layer;

typedef struct planner {
  clattn_context *context;
  clattn_plan *plan;
  clattn_report report;
} planner;

/* A merge: its program is no other operation's. */
static void *plan_merge(void *argument)
{
  planner *p = argument;
  clattn_merge_desc desc = CLATTN_MERGE_DESC_INIT;
  desc.y = desc.y1 = desc.y2 = clattn_bhsd(CLATTN_F32, 1, SMALL_HQ, SMALL_SQ, SMALL_DV);
  desc.lse1 = desc.lse2 = clattn_dense(CLATTN_F32, 3, desc.y.dim);
  clattn_plan_merge(p->context, &desc, &p->plan, &p->report);
  return NULL;
}

/* Nothing on disk: every context builds and launches for itself. */
static void make_context(device_under_test *d)
{
  clattn_report report;
  clattn_context *context = NULL;
  clattn_context_options options = CLATTN_CONTEXT_OPTIONS_INIT;
  options.flags = CLATTN_NO_DISK_CACHE;
  device_open(d);
  assert_status(CLATTN_OK, clattn_context_create(d->cl, d->id, &options, &context, &report), &report);
  clattn_context_destroy(d->context);
  d->context = context; /* queues and buffers hold on to the OpenCL context */
}

static void wait_until_held(void)
{
  const struct timespec moment = {.tv_nsec = 1000000};
  for (int i = 0; i < HOLD_SECONDS * 1000 && layer->held() == 0; i++) nanosleep(&moment, NULL);
  assert_int_equal(1, layer->held());
}

static void others_go_on_while_held_in(const char *function)
{
  device_under_test d;
  small_problem small;
  clattn_binding bound[SMALL_BINDINGS];
  float y[SMALL_Y];
  pthread_t thread;
  clattn_report report;
  make_context(&d);
  small_make(&small, 7);
  clattn_plan *plan = small_plan(&d, &small, CLATTN_PATH_FUSED);
  small_bind(&d, &small, 0.0f, bound);
  planner background = {.context = d.context};

  layer->hold(function);
  assert_int_equal(0, pthread_create(&thread, NULL, plan_merge, &background));
  wait_until_held();
  assert_status(CLATTN_OK, clattn_enqueue(plan, d.queue, bound, SMALL_BINDINGS, 0, NULL, NULL, &report), &report);
  small_read(&d, bound, y);
  clattn_plan *again = small_plan(&d, &small, CLATTN_PATH_FUSED);
  assert_int_equal(1, layer->held());
  assert_true(layer->let_go()); /* nobody waited for the hold to end by itself */

  assert_int_equal(0, pthread_join(thread, NULL));
  assert_status(CLATTN_OK, background.report.status, &background.report);
  small_check(&small, y);
  clattn_plan_destroy(background.plan);
  clattn_plan_destroy(again);
  clattn_plan_destroy(plan);
  small_release(bound);
  device_close(&d);
}

static void others_go_on_during_a_build(void **state)
{
  (void)state;
  others_go_on_while_held_in("clBuildProgram");
}

static void others_go_on_during_a_first_launch(void **state)
{
  (void)state;
  others_go_on_while_held_in("clFinish");
}

int main(void)
{
  layer = fault_layer_find();
  if (!layer) {
    fprintf(stderr, "the fault layer is not in the process: OPENCL_LAYERS, and a loader that takes layers\n");
    return 1;
  }
  const struct CMUnitTest tests[] = {cmocka_unit_test(others_go_on_during_a_build),
                                     cmocka_unit_test(others_go_on_during_a_first_launch)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
