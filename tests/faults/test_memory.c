/* Every allocation of the library fails once, in turn: the caller gets CLATTN_OUT_OF_HOST_MEMORY with a message, or
 * what was asked for without what the memory was for; nothing crashes, and the next try works. The linker gives the
 * library these three functions in place of the C library's (CMakeLists.txt), so a driver's own memory is never
 * refused. */
#include <stdio.h>
#include <string.h>

#include "small.h"

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t n, size_t bytes);
void *__real_realloc(void *old, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t n, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);

enum { MANY_ALLOCATIONS = 2000 };

/* Allocations until the one that fails; 0: none will. */
static int countdown;

static bool fails_now(void) { return countdown > 0 && --countdown == 0; }

void *__wrap_malloc(size_t bytes) { return fails_now() ? NULL : __real_malloc(bytes); }
void *__wrap_calloc(size_t n, size_t bytes) { return fails_now() ? NULL : __real_calloc(n, bytes); }
void *__wrap_realloc(void *old, size_t bytes) { return fails_now() ? NULL : __real_realloc(old, bytes); }

/* What the library says of each thing there may be no memory for. */
static struct {
  const char *text;
  bool heard;
} sayings[] = {
    {"a context of ", false},
    {"a list of ", false},
    {"an order of ", false},
    {"a plan of ", false},
    {"packed weights of ", false},
    {"no memory for 8 devices", false},
    {"no memory for 1 device ids", false},
    {"no memory for 1 platforms", false},
    {"a program cache of ", false},
    {"no memory for the program ", false},
    {"no memory for the key of ", false},
    {"no memory to assemble ", false},
    {"no memory for a trial: ", false},
    {"CLATTN_LIMITS: no memory for ", false},
    {"no memory for columns of ", false},
    {"no memory for products of ", false},
    {"no memory for a block of ", false},
};
enum { SAYINGS = sizeof sayings / sizeof sayings[0] };

static small_problem small;
static device_under_test dut;

static clattn_status pick(clattn_report *report)
{
  clattn_context *context = NULL;
  const clattn_status status = clattn_context_pick(NULL, NULL, &context, report);
  assert_int_equal(context != NULL, status == CLATTN_OK);
  clattn_context_destroy(context);
  return status;
}

static clattn_status create_and_plan(clattn_report *report)
{
  clattn_context *context = NULL;
  clattn_plan *plan = NULL;
  clattn_attention_desc desc = small.desc;
  desc.variant = "reference";
  clattn_status status = clattn_context_create(dut.cl, dut.id, NULL, &context, report);
  assert_int_equal(context != NULL, status == CLATTN_OK);
  if (status == CLATTN_OK) {
    status = clattn_plan_attention(context, &desc, &plan, report);
    assert_int_equal(plan != NULL, status == CLATTN_OK);
  }
  clattn_plan_destroy(plan);
  clattn_context_destroy(context);
  return status;
}

static clattn_status pack_weights(clattn_report *report)
{
  static const float w[8 * 6];
  clattn_weights *weights = NULL;
  clattn_weights_desc desc = CLATTN_WEIGHTS_DESC_INIT;
  desc.w = clattn_dense(CLATTN_F32, 2, (int64_t[]){8, 6});
  const clattn_status status = clattn_weights_create(dut.context, &desc, w, &weights, report);
  assert_int_equal(weights != NULL, status == CLATTN_OK);
  clattn_weights_destroy(weights);
  return status;
}

static clattn_status run_on_host(clattn_report *report)
{
  float y[SMALL_Y];
  clattn_plan *plan = NULL;
  clattn_status status = clattn_plan_attention(dut.context, &small.desc, &plan, report);
  const clattn_host_binding b[4] = {{.slot = CLATTN_Q, .data = small.q, .bytes = sizeof small.q},
                                    {.slot = CLATTN_K, .data = small.k, .bytes = sizeof small.k},
                                    {.slot = CLATTN_V, .data = small.v, .bytes = sizeof small.v},
                                    {.slot = CLATTN_Y, .data = y, .bytes = sizeof y}};
  if (status == CLATTN_OK) status = clattn_run_host(plan, b, 4, report);
  if (status == CLATTN_OK) small_check(&small, y);
  clattn_plan_destroy(plan);
  return status;
}

static clattn_status report_on_network(clattn_report *report)
{
  clattn_network_head heads[SMALL_HQ];
  clattn_network_pair pairs[SMALL_HQ];
  return small_report(&dut, &small, heads, pairs, report);
}

/* Fails each allocation of `act` in turn; `most` is how many are tried. */
static void starve(clattn_status (*act)(clattn_report *report), int most)
{
  for (int nth = 1; nth <= most; nth++) {
    clattn_report report = {.status = CLATTN_OK};
    countdown = nth;
    const clattn_status status = act(&report);
    const bool struck = countdown == 0;
    countdown = 0;
    if (!struck) {
      assert_status(CLATTN_OK, status, &report);
      print_message("%d allocations failed in turn\n", nth - 1);
      return;
    }
    if (status == CLATTN_OK) continue;
    if (status == CLATTN_NO_DEVICE) { /* one whose facts cannot be asked is stepped over */
      assert_holds(report.detail, "OpenCL error -6");
      continue;
    }
    assert_status(CLATTN_OUT_OF_HOST_MEMORY, status, &report);
    assert_true(report.message[0]);
    for (int i = 0; i < SAYINGS; i++)
      if (strstr(report.message, sayings[i].text)) sayings[i].heard = true;
  }
  assert_true(most < MANY_ALLOCATIONS); /* otherwise it never ends */
}

static void picking(void **state)
{
  (void)state;
  starve(pick, MANY_ALLOCATIONS);
}

static void planning(void **state)
{
  (void)state;
  starve(create_and_plan, MANY_ALLOCATIONS);
}

static void packing(void **state)
{
  (void)state;
  starve(pack_weights, MANY_ALLOCATIONS);
}

static void running(void **state)
{
  (void)state;
  starve(run_on_host, MANY_ALLOCATIONS);
}

/* Once with memory, so that programs are there: what is asked for later is then reached too. */
static void reporting(void **state)
{
  (void)state;
  clattn_report report;
  starve(report_on_network, MANY_ALLOCATIONS);
  assert_status(CLATTN_OK, report_on_network(&report), &report);
  starve(report_on_network, MANY_ALLOCATIONS);
}

static clattn_status create_with_limits(clattn_report *report)
{
  clattn_context *context = NULL;
  const clattn_status status = clattn_context_create(dut.cl, dut.id, NULL, &context, report);
  clattn_context_destroy(context);
  return status;
}

static void limits(void **state)
{
  (void)state;
  assert_int_equal(0, setenv("CLATTN_LIMITS", CLATTN_TEST_FACTS "/rtx-4090.facts", 1));
  starve(create_with_limits, MANY_ALLOCATIONS);
  assert_int_equal(0, unsetenv("CLATTN_LIMITS"));
}

static clattn_status selftest(clattn_report *report) { return clattn_selftest(dut.context, NULL, NULL, NULL, report); }

/* Its first steps; to the end it takes seconds. */
static void testing_itself(void **state)
{
  (void)state;
  starve(selftest, 12);
}

static void everything_was_said(void **state)
{
  (void)state;
  int unheard = 0;
  for (int i = 0; i < SAYINGS; i++) {
    if (sayings[i].heard) continue;
    print_error("no failure said \"%s\"\n", sayings[i].text);
    unheard++;
  }
  assert_int_equal(0, unheard);
}

static int setup(void **state)
{
  (void)state;
  small_make(&small, 33);
  device_open(&dut);
  return 0;
}

static int teardown(void **state)
{
  (void)state;
  device_close(&dut);
  return 0;
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(picking),        cmocka_unit_test(planning),
      cmocka_unit_test(packing),        cmocka_unit_test(running),
      cmocka_unit_test(reporting),      cmocka_unit_test(limits),
      cmocka_unit_test(testing_itself), cmocka_unit_test(everything_was_said),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
