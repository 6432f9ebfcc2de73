/* Runs on the caller's queue: wait lists, events, out-of-order queues, workspaces, empty tensors, repeated runs. */
#include <string.h>
#include <time.h>

#include "small.h"
#include "tester.h"

static cl_event user_event(const device_under_test *d)
{
  cl_int code;
  cl_event event = clCreateUserEvent(d->cl, &code);
  assert_cl(code);
  return event;
}

static cl_int event_state(cl_event event)
{
  cl_int state = 0;
  assert_cl(clGetEventInfo(event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof state, &state, NULL));
  return state;
}

/* Long enough for a command that ignores its wait list to show itself. */
static void give_it_time(void)
{
  const struct timespec pause = {0, 30 * 1000 * 1000};
  nanosleep(&pause, NULL);
}

/* A run whose buffers are all bound; its output is a float buffer that holds 77 everywhere. */
typedef struct bound_run {
  const clattn_plan *plan;
  const clattn_binding *bindings;
  uint32_t n;
  cl_mem out;
  size_t floats;
} bound_run;

static bool is_untouched(cl_command_queue reader, const bound_run *run)
{
  float *y = test_alloc(run->floats * sizeof *y);
  size_t same = 0;
  assert_cl(clEnqueueReadBuffer(reader, run->out, CL_TRUE, 0, run->floats * sizeof *y, y, 0, NULL, NULL));
  for (size_t i = 0; i < run->floats; i++) same += y[i] == 77.0f;
  free(y);
  return same == run->floats;
}

/* Nothing of a run happens before the events of its wait list: y is untouched until the last is set. */
static void check_waiting(const device_under_test *d, cl_command_queue queue, const bound_run *run)
{
  clattn_report report;
  cl_event wait[2] = {user_event(d), user_event(d)}, done = NULL;
  cl_int code;
  cl_command_queue reader =
      clCreateCommandQueue(d->cl, d->id, 0, &code); /* one that does not wait for the run itself */
  assert_cl(code);
  assert_status(CLATTN_OK, clattn_enqueue(run->plan, queue, run->bindings, run->n, 2, wait, &done, &report), &report);
  assert_non_null(done);
  assert_cl(clFlush(queue));
  for (int set = 0; set < 2; set++) {
    give_it_time();
    assert_int_not_equal(event_state(done), CL_COMPLETE);
    assert_true(is_untouched(reader, run));
    assert_cl(clSetUserEventStatus(wait[1 - set], CL_COMPLETE));
  }
  assert_cl(clWaitForEvents(1, &done));
  assert_false(is_untouched(reader, run));
  assert_cl(clReleaseEvent(wait[0]));
  assert_cl(clReleaseEvent(wait[1]));
  assert_cl(clReleaseEvent(done));
  assert_cl(clReleaseCommandQueue(reader));
}

static void runs_wait_for_their_events(void **state)
{
  const device_under_test *d = *state;
  cl_command_queue queues[2] = {d->queue, d->unordered};
  for (int i = 0; i < 4; i++) {
    small_problem s;
    clattn_binding b[SMALL_BINDINGS];
    float y[SMALL_Y];
    small_make(&s, 3);
    small_bind(d, &s, 77.0f, b);
    clattn_plan *plan = small_plan(d, &s, i / 2 ? CLATTN_PATH_FUSED : CLATTN_PATH_STAGED);
    check_waiting(d, queues[i % 2], &(bound_run){plan, b, SMALL_BINDINGS, b[SMALL_AT_Y].mem, SMALL_Y});
    small_read(d, b, y);
    small_check(&s, y);
    small_release(b);
    clattn_plan_destroy(plan);
  }
}

/* Of every family: CLBlast for one takes no wait list. */
static void projections_wait_for_their_events(void **state)
{
  enum { TOKENS = 5, ROWS = 8, CHANNELS = 6 };
  const device_under_test *d = *state;
  static const char *const families[] = {"reference", "tiled", CLATTN_TEST_CLBLAST};
  cl_command_queue queues[2] = {d->queue, d->unordered};
  float x[TOKENS * CHANNELS], w[ROWS * CHANNELS], y[TOKENS * ROWS];
  for (int i = 0; i < TOKENS * CHANNELS; i++) x[i] = 1.0f;
  for (int i = 0; i < ROWS * CHANNELS; i++) w[i] = 0.5f;
  for (int i = 0; i < 6; i++) {
    clattn_report report;
    clattn_plan *plan = NULL;
    clattn_projection_desc desc = CLATTN_PROJECTION_DESC_INIT;
    desc.x = clattn_dense(CLATTN_F32, 3, (int64_t[]){1, TOKENS, CHANNELS});
    desc.w = clattn_dense(CLATTN_F32, 2, (int64_t[]){ROWS, CHANNELS});
    desc.y = clattn_dense(CLATTN_F32, 3, (int64_t[]){1, TOKENS, ROWS});
    desc.variant = families[i / 2];
    assert_status(CLATTN_OK, clattn_plan_projection(d->context, &desc, &plan, &report), &report);
    for (int n = 0; n < TOKENS * ROWS; n++) y[n] = 77.0f;
    const clattn_binding b[3] = {{.slot = CLATTN_X, .mem = device_buffer(d, sizeof x, x)},
                                 {.slot = CLATTN_W, .mem = device_buffer(d, sizeof w, w)},
                                 {.slot = CLATTN_Y, .mem = device_buffer(d, sizeof y, y)}};
    check_waiting(d, queues[i % 2], &(bound_run){plan, b, 3, b[2].mem, TOKENS * ROWS});
    device_read(d, b[2].mem, sizeof y, y);
    for (int n = 0; n < TOKENS * ROWS; n++) assert_true(y[n] == 3.0f);
    for (int n = 0; n < 3; n++) assert_cl(clReleaseMemObject(b[n].mem));
    clattn_plan_destroy(plan);
  }
}

/* A run's event stands for all its launches: what waits for it, on another queue, sees the whole result. */
static void events_chain_runs(void **state)
{
  const device_under_test *d = *state;
  enum { LINKS = 12 };
  small_problem s;
  float y[SMALL_Y], again[SMALL_Y];
  clattn_report report;
  small_make(&s, 4);
  /* Each link reads what the one before wrote: values of the next are outputs of the last. */
  s.desc.v = clattn_bhsd(CLATTN_F32, 1, SMALL_HK, SMALL_SK, SMALL_DV);
  clattn_attention_desc desc = s.desc;
  desc.q = clattn_bhsd(CLATTN_F32, 1, SMALL_HK, SMALL_SK, SMALL_DK);
  desc.y = clattn_bhsd(CLATTN_F32, 1, SMALL_HK, SMALL_SK, SMALL_DV);
  desc.path = CLATTN_PATH_STAGED;
  clattn_plan *plan = NULL;
  assert_status(CLATTN_OK, clattn_plan_attention(d->context, &desc, &plan, &report), &report);
  cl_mem k = device_buffer(d, sizeof s.k, s.k);
  float *results[2] = {y, again};
  const size_t bytes = sizeof s.v;
  assert_true(bytes <= sizeof y);
  for (int round = 0; round < 2; round++) {
    cl_mem v[2] = {device_buffer(d, bytes, s.v), device_buffer(d, bytes, NULL)};
    cl_event before = NULL, done;
    for (int i = 0; i < LINKS; i++) {
      const clattn_binding b[4] = {{.slot = CLATTN_Q, .mem = k},
                                   {.slot = CLATTN_K, .mem = k},
                                   {.slot = CLATTN_V, .mem = v[i % 2]},
                                   {.slot = CLATTN_Y, .mem = v[1 - i % 2]}};
      /* The first round takes the in-order queue, the second hops between both. */
      cl_command_queue queue = round && i % 3 ? d->unordered : d->queue;
      assert_status(CLATTN_OK,
                    clattn_enqueue(plan, queue, b, 4, before ? 1 : 0, before ? &before : NULL, &done, &report),
                    &report);
      assert_cl(clFlush(queue));
      if (before) assert_cl(clReleaseEvent(before));
      before = done;
    }
    assert_cl(clWaitForEvents(1, &before));
    assert_cl(clReleaseEvent(before));
    device_read(d, v[LINKS % 2], bytes, results[round]);
    assert_cl(clReleaseMemObject(v[0]));
    assert_cl(clReleaseMemObject(v[1]));
  }
  assert_memory_equal(y, again, bytes);
  assert_cl(clReleaseMemObject(k));
  clattn_plan_destroy(plan);
}

/* Many runs of one plan under way at once on an out-of-order queue, each with a workspace of its own. */
static void runs_side_by_side(void **state)
{
  const device_under_test *d = *state;
  enum { RUNS = 10 };
  static small_problem s[RUNS];
  clattn_binding b[RUNS][SMALL_BINDINGS];
  cl_event done[RUNS];
  float y[SMALL_Y];
  clattn_report report;
  small_make(&s[0], 100);
  clattn_plan *plan = small_plan(d, &s[0], CLATTN_PATH_STAGED);
  for (int i = 0; i < RUNS; i++) {
    small_make(&s[i], (uint64_t)(100 + i));
    small_bind(d, &s[i], 0.0f, b[i]);
  }
  for (int i = 0; i < RUNS; i++)
    assert_status(CLATTN_OK, clattn_enqueue(plan, d->unordered, b[i], SMALL_BINDINGS, 0, NULL, &done[i], &report),
                  &report);
  assert_cl(clWaitForEvents(RUNS, done));
  for (int i = 0; i < RUNS; i++) {
    small_read(d, b[i], y);
    small_check(&s[i], y);
    small_release(b[i]);
    assert_cl(clReleaseEvent(done[i]));
  }
  clattn_plan_destroy(plan);
}

/* The caller's workspace, at an offset, gives the bits that the run's own gives; so does every further run. */
static void workspaces_and_repetition(void **state)
{
  const device_under_test *d = *state;
  small_problem s;
  clattn_binding b[SMALL_BINDINGS + 1];
  float first[SMALL_Y], y[SMALL_Y];
  clattn_report report;
  small_make(&s, 5);
  small_bind(d, &s, 1.0f, b);
  for (clattn_path path = CLATTN_PATH_STAGED; path <= CLATTN_PATH_FUSED; path++) {
    clattn_plan *plan = small_plan(d, &s, path);
    const size_t bytes = clattn_plan_workspace_bytes(plan);
    if (path == CLATTN_PATH_STAGED) assert_true(bytes > 0);
    unsigned char *garbage = test_alloc(bytes + 64), *after = test_alloc(bytes + 64);
    memset(garbage, 0xA5, bytes + 64);
    cl_mem workspace = device_buffer(d, bytes + 64, garbage);
    b[4] = (clattn_binding){.slot = CLATTN_WORKSPACE, .mem = workspace, .offset_bytes = 12};
    assert_status(CLATTN_OK, clattn_enqueue(plan, d->queue, b, 4, 0, NULL, NULL, &report), &report);
    small_read(d, b, first);
    small_check(&s, first);
    for (int again = 0; again < 3; again++) {
      const uint32_t n = again == 1 || !bytes ? 4 : 5;
      assert_status(CLATTN_OK, clattn_enqueue(plan, d->queue, b, n, 0, NULL, NULL, &report), &report);
      small_read(d, b, y);
      assert_memory_equal(first, y, sizeof y);
    }
    device_read(d, workspace, bytes + 64, after);
    assert_memory_equal(after, garbage, 12);
    assert_memory_equal(after + 12 + bytes, garbage + 12 + bytes, 52);
    assert_cl(clReleaseMemObject(workspace));
    free(garbage);
    free(after);
    clattn_plan_destroy(plan);
  }
  small_release(b);
}

static void empty_tensors(void **state)
{
  const attention_case cases[] = {
      {.b = TESTER_EMPTY, .hq = 2, .want_lse = true},
      {.hq = 2, .sq = TESTER_EMPTY, .sk = 5, .want_lse = true},
      /* No keys: rows of zeros, lse -inf. */
      {.hq = 2, .sq = 5, .sk = TESTER_EMPTY, .want_lse = true},
      {.hq = 2, .sq = 5, .sk = TESTER_EMPTY, .want_lse = true, .causal = true, .mask = MASK_BOOL},
      {.hq = 2, .sq = 5, .sk = 7, .want_lse = true, .mask = MASK_BOOL, .mask_short = 7},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
    for (int32_t path = CLATTN_PATH_AUTO; path <= CLATTN_PATH_FUSED; path++)
      test_attention(*state, &cases[i], &(way){NULL, path});
  test_projection(*state, &(projection_case){.s = TESTER_EMPTY}, NULL);
  test_projection(*state, &(projection_case){.b = TESTER_EMPTY}, NULL);
  test_projection(*state, &(projection_case){.e = TESTER_EMPTY, .bias = true}, NULL); /* y = bias */
}

/* Even a run without work keeps the order: its event comes after those it waits for. */
static void empty_runs_wait_too(void **state)
{
  const device_under_test *d = *state;
  small_problem s;
  clattn_binding b[SMALL_BINDINGS];
  clattn_report report;
  small_make(&s, 6);
  s.desc.q.dim[2] = s.desc.y.dim[2] = 0;
  small_bind(d, &s, 0.0f, b);
  clattn_plan *plan = small_plan(d, &s, CLATTN_PATH_AUTO);
  cl_event gate = user_event(d), done = NULL;
  assert_status(CLATTN_OK, clattn_enqueue(plan, d->unordered, b, SMALL_BINDINGS, 1, &gate, &done, &report), &report);
  assert_cl(clFlush(d->unordered));
  give_it_time();
  assert_int_not_equal(event_state(done), CL_COMPLETE);
  assert_cl(clSetUserEventStatus(gate, CL_COMPLETE));
  assert_cl(clWaitForEvents(1, &done));
  assert_cl(clReleaseEvent(gate));
  assert_cl(clReleaseEvent(done));
  small_release(b);
  clattn_plan_destroy(plan);
}

/* q, k and v as slices of one buffer, and y beside them in the same buffer: they do not overlap, so they are taken. */
static void slices_of_one_buffer(void **state)
{
  const device_under_test *d = *state;
  enum { S = 7, D = 8, HEADS = 2, ROW = 4 * HEADS * D };
  float packed[S * ROW];
  int changed = 0;
  for (int i = 0; i < S * ROW; i++) packed[i] = (float)((i * 37) % 101) / 101.0f - 0.5f;
  clattn_attention_desc desc = CLATTN_ATTENTION_DESC_INIT;
  desc.q = (clattn_tensor){CLATTN_F32, 4, {1, HEADS, S, D}, {S * ROW, D, ROW, 1}};
  desc.k = desc.v = desc.y = desc.q;
  clattn_report report;
  clattn_plan *plan = NULL;
  assert_status(CLATTN_OK, clattn_plan_attention(d->context, &desc, &plan, &report), &report);
  cl_mem buffer = device_buffer(d, sizeof packed, packed), out = device_buffer(d, sizeof packed, NULL);
  clattn_binding b[4];
  for (int32_t i = 0; i < 4; i++)
    b[i] = (clattn_binding){.slot = CLATTN_Q + i, .mem = buffer, .offset_bytes = (size_t)i * HEADS * D * sizeof(float)};
  assert_status(CLATTN_OK, clattn_enqueue(plan, d->queue, b, 4, 0, NULL, NULL, &report), &report);
  b[3].mem = out;
  assert_status(CLATTN_OK, clattn_enqueue(plan, d->queue, b, 4, 0, NULL, NULL, &report), &report);
  float after[S * ROW], beside[S * ROW];
  device_read(d, buffer, sizeof after, after);
  device_read(d, out, sizeof beside, beside);
  for (int s = 0; s < S; s++)
    for (int i = 0; i < ROW; i++) {
      const bool is_y = i >= 3 * HEADS * D;
      assert_true(after[s * ROW + i] == (is_y ? beside[s * ROW + i] : packed[s * ROW + i]));
      /* The mean of values, and no longer what was there before. */
      if (is_y) assert_true(after[s * ROW + i] > -0.5f && after[s * ROW + i] < 0.5f);
      if (is_y) changed += after[s * ROW + i] != packed[s * ROW + i];
    }
  assert_true(changed > HEADS * S * D / 2);
  assert_cl(clReleaseMemObject(buffer));
  assert_cl(clReleaseMemObject(out));
  clattn_plan_destroy(plan);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(runs_wait_for_their_events), cmocka_unit_test(projections_wait_for_their_events),
      cmocka_unit_test(events_chain_runs),          cmocka_unit_test(runs_side_by_side),
      cmocka_unit_test(workspaces_and_repetition),  cmocka_unit_test(empty_tensors),
      cmocka_unit_test(empty_runs_wait_too),        cmocka_unit_test(slices_of_one_buffer),
  };
  return cmocka_run_group_tests(tests, device_setup, device_teardown);
}
