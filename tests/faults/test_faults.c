/* Every OpenCL call that the library makes fails once, in every place: each time the caller gets a status with a
 * message, nothing leaks, nothing crashes, and the next try works. And: which calls a run makes at all. */
#include <stdio.h>
#include <string.h>

#include "fault_layer.h"
#include "small.h"

enum { CHANNELS = 6, ROWS = 8, TOKENS = 3, MANY_CALLS = 400 };

/* What the library says of each call that may fail, and whether it was heard: in clattn's own process, in CLBlast's. */
typedef struct saying {
  const char *text;
  bool clblast, heard;
} saying;
static saying sayings[] = {
    {": clGetMemObjectInfo: OpenCL error", .clblast = false},
    {"clRetainContext: OpenCL error", .clblast = false},
    {"clGetContextInfo: OpenCL error", .clblast = false},
    {"clCreateContext on ", .clblast = false},
    {"clCreateCommandQueue: OpenCL error", .clblast = false},
    {"running the probe: OpenCL error", .clblast = false},
    {"bytes for packed weights: OpenCL error", .clblast = false},
    {"a queue for first launches: OpenCL error", .clblast = false},
    {"clGetCommandQueueInfo: OpenCL error", .clblast = false},
    {"clEnqueueMarkerWithWaitList: OpenCL error", .clblast = false},
    {"a workspace of 864 bytes: OpenCL error", .clblast = false},
    {"q: a buffer of 768 bytes: OpenCL error", .clblast = false},
    {"q: writing 768 bytes: OpenCL error", .clblast = false},
    {"y: reading 1152 bytes: OpenCL error", .clblast = false},
    {"waiting for the run: OpenCL error", .clblast = false},
    {"building probe.cl: OpenCL error", .clblast = false},
    {"clCreateProgramWithSource(probe.cl): OpenCL error", .clblast = false},
    {"clRetainDevice: OpenCL error", .clblast = false},
    {"clCreateKernel(probe): OpenCL error", .clblast = false},
    {"clSetKernelArg: OpenCL error", .clblast = false},
    {"enqueueing ", .clblast = false},
    {"the first launch of ", .clblast = false},
    {"clGetKernelWorkGroupInfo of ", .clblast = false},
    {"clGetPlatformIDs: OpenCL error", .clblast = false},
    {"clGetDeviceInfo(0x", .clblast = false},
    {"bytes for CLBlast's first run: OpenCL error", .clblast = true},
    {"CLBlast's first run: OpenCL error", .clblast = true},
    {"CLBlastSgemm 3 x 8 x 6: OpenCL error", .clblast = true},
    {"clEnqueueBarrierWithWaitList: OpenCL error", .clblast = true},
};
enum { SAYINGS = sizeof sayings / sizeof sayings[0] };

static void hear(const clattn_report *report)
{
  for (int i = 0; i < SAYINGS; i++)
    if (strstr(report->message, sayings[i].text)) sayings[i].heard = true;
}

static void check_heard(bool clblast)
{
  int unheard = 0;
  for (int i = 0; i < SAYINGS; i++) {
    if (sayings[i].clblast != clblast || sayings[i].heard) continue;
    print_error("no failure said \"%s\"\n", sayings[i].text);
    unheard++;
  }
  assert_int_equal(0, unheard);
}

static void every_failure_was_told(void **state)
{
  (void)state;
  check_heard(false);
}

static const fault_layer *layer;
static small_problem small;
static float x[TOKENS * CHANNELS], w[ROWS * CHANNELS];

/* Made before any fault: what the scenarios work on. */
static device_under_test dut;
static clattn_plan *staged, *fused, *idle, *map_plan;
static cl_mem map_buffer;
static clattn_binding bound[SMALL_BINDINGS];

/* What a scenario did under a fault. */
typedef struct attempt {
  clattn_status status;
  clattn_report report;
  bool wrong; /* it claims what is not so */
  float y[SMALL_Y];
  cl_event done;
} attempt;

/* `act` is what a fault may strike; it asserts nothing, for it may end at any step. `look` follows without a fault. */
typedef struct scenario {
  const char *name;
  void (*act)(attempt *a);
  void (*look)(attempt *a);
  bool keeps_objects; /* CLBlast does, in caches of its own */
} scenario;

static bool small_is_right(const float *y)
{
  for (int i = 0; i < SMALL_Y; i++) {
    const double error = (double)y[i] - small.want[i];
    if (!(error < 4e-6 && error > -4e-6)) return false;
  }
  return true;
}

static void pick(uint32_t flags, attempt *a)
{
  clattn_context *context = NULL;
  clattn_context_options options = CLATTN_CONTEXT_OPTIONS_INIT;
  options.flags = flags;
  a->status = clattn_context_pick(NULL, &options, &context, &a->report);
  a->wrong = (a->status == CLATTN_OK) != (context != NULL);
  clattn_context_destroy(context);
}

static void act_pick(attempt *a) { pick(0, a); }
static void act_pick_and_probe(attempt *a) { pick(CLATTN_NO_DISK_CACHE, a); } /* no verdict on disk spares the probe */

static void act_list(attempt *a)
{
  clattn_device_info info[8] = {CLATTN_DEVICE_INFO_INIT};
  uint32_t n = 0;
  a->status = clattn_devices(1, info, 8, &n, &a->report);
  a->wrong = a->status == CLATTN_OK && n == 0;
}

static void plan_in(clattn_context *context, clattn_path path, attempt *a)
{
  clattn_plan *plan = NULL;
  clattn_attention_desc desc = small.desc;
  desc.path = (int32_t)path;
  a->status = clattn_plan_attention(context, &desc, &plan, &a->report);
  a->wrong = (a->status == CLATTN_OK) != (plan != NULL);
  clattn_plan_destroy(plan);
}

static void plan_in_fresh_context(uint32_t flags, attempt *a)
{
  clattn_context *context = NULL;
  clattn_context_options options = CLATTN_CONTEXT_OPTIONS_INIT;
  options.flags = flags;
  a->status = clattn_context_create(dut.cl, dut.id, &options, &context, &a->report);
  if (a->status == CLATTN_OK) plan_in(context, CLATTN_PATH_STAGED, a);
  clattn_context_destroy(context);
}

static void act_plan_from_source(attempt *a) { plan_in_fresh_context(CLATTN_NO_DISK_CACHE, a); }
static void act_plan_from_disk(attempt *a) { plan_in_fresh_context(0, a); }
static void act_plan_again(attempt *a) { plan_in(dut.context, CLATTN_PATH_FUSED, a); }

static void act_weights(attempt *a)
{
  clattn_weights *weights = NULL;
  clattn_weights_desc desc = CLATTN_WEIGHTS_DESC_INIT;
  desc.w = clattn_dense(CLATTN_F32, 2, (int64_t[]){ROWS, CHANNELS});
  a->status = clattn_weights_create(dut.context, &desc, w, &weights, &a->report);
  a->wrong = (a->status == CLATTN_OK) != (weights != NULL);
  clattn_plan *plan = NULL;
  clattn_projection_desc projection = CLATTN_PROJECTION_DESC_INIT;
  projection.x = clattn_dense(CLATTN_F32, 3, (int64_t[]){1, TOKENS, CHANNELS});
  projection.y = clattn_dense(CLATTN_F32, 3, (int64_t[]){1, TOKENS, ROWS});
  projection.weights = weights;
  if (weights) a->status = clattn_plan_projection(dut.context, &projection, &plan, &a->report);
  clattn_weights_destroy(weights);
  float y[TOKENS * ROWS];
  const clattn_host_binding b[2] = {{.slot = CLATTN_X, .data = x, .bytes = sizeof x},
                                    {.slot = CLATTN_Y, .data = y, .bytes = sizeof y}};
  if (plan) a->status = clattn_run_host(plan, b, 2, &a->report);
  clattn_plan_destroy(plan);
}

/* Q, K and V by the same packed weights, which the plan holds three times. */
static void act_qkv(attempt *a)
{
  clattn_weights *weights = NULL;
  clattn_weights_desc packing = CLATTN_WEIGHTS_DESC_INIT;
  packing.w = clattn_dense(CLATTN_F32, 2, (int64_t[]){ROWS, CHANNELS});
  a->status = clattn_weights_create(dut.context, &packing, w, &weights, &a->report);
  clattn_plan *plan = NULL;
  clattn_qkv_desc desc = CLATTN_QKV_DESC_INIT;
  desc.x = clattn_dense(CLATTN_F32, 3, (int64_t[]){1, TOKENS, CHANNELS});
  desc.q = desc.k = desc.v = clattn_dense(CLATTN_F32, 3, (int64_t[]){1, TOKENS, ROWS});
  desc.weights_q = desc.weights_k = desc.weights_v = weights;
  if (weights) a->status = clattn_plan_qkv(dut.context, &desc, &plan, &a->report);
  clattn_weights_destroy(weights);
  float y[3][TOKENS * ROWS];
  const clattn_host_binding b[4] = {{.slot = CLATTN_X, .data = x, .bytes = sizeof x},
                                    {.slot = CLATTN_Q, .data = y[0], .bytes = sizeof y[0]},
                                    {.slot = CLATTN_K, .data = y[1], .bytes = sizeof y[1]},
                                    {.slot = CLATTN_V, .data = y[2], .bytes = sizeof y[2]}};
  if (plan) a->status = clattn_run_host(plan, b, 4, &a->report);
  a->wrong = plan && a->status == CLATTN_OK && (memcmp(y[0], y[1], sizeof y[0]) || memcmp(y[0], y[2], sizeof y[0]));
  clattn_plan_destroy(plan);
}

/* The small problem's scores as a map, planned and run: a step a head. */
static void act_map(attempt *a)
{
  clattn_plan *plan = NULL;
  clattn_map_desc desc = CLATTN_MAP_DESC_INIT;
  static float map[SMALL_HQ * SMALL_SQ * SMALL_SK];
  desc.attention = &small.desc;
  desc.quantity = CLATTN_QUANTITY_SCALED;
  desc.map = clattn_bhsd(CLATTN_F32, 1, SMALL_HQ, SMALL_SQ, SMALL_SK);
  a->status = clattn_plan_map(dut.context, &desc, &plan, &a->report);
  a->wrong = (a->status == CLATTN_OK) != (plan != NULL);
  const clattn_host_binding b[3] = {{.slot = CLATTN_Q, .data = small.q, .bytes = sizeof small.q},
                                    {.slot = CLATTN_K, .data = small.k, .bytes = sizeof small.k},
                                    {.slot = CLATTN_MAP, .data = map, .bytes = sizeof map}};
  memset(map, 0, sizeof map);
  if (plan) a->status = clattn_run_host(plan, b, 3, &a->report);
  float last = 0.0f; /* of the last head, query and key */
  for (int d = 1; d <= SMALL_DK; d++) last += small.q[SMALL_Q - d] * small.k[SMALL_K - d];
  const float error = map[SMALL_HQ * SMALL_SQ * SMALL_SK - 1] - last * 0.35355339f;
  a->wrong = a->wrong || (a->status == CLATTN_OK && !(error < 1e-5f && error > -1e-5f));
  clattn_plan_destroy(plan);
}

/* The report of as many tokens as there are queries: maps, a queue, blocks of pairs. */
static void act_network(attempt *a)
{
  clattn_network_head heads[SMALL_HQ];
  clattn_network_pair pairs[SMALL_HQ];
  a->status = small_report(&dut, &small, heads, pairs, &a->report);
  a->wrong = a->status == CLATTN_OK && (heads[SMALL_HQ - 1].pairs != 1 || !(pairs[SMALL_HQ - 1].weight > 0.0));
}

/* What a run of CLBlast waits for, and its buffers. */
static cl_event ready;
static clattn_binding clblast_bound[3];

/* A projection through CLBlast, planned, run, and enqueued behind an event. */
static void act_clblast(attempt *a)
{
  clattn_plan *plan = NULL;
  float y[TOKENS * ROWS];
  clattn_projection_desc desc = CLATTN_PROJECTION_DESC_INIT;
  desc.x = clattn_dense(CLATTN_F32, 3, (int64_t[]){1, TOKENS, CHANNELS});
  desc.w = clattn_dense(CLATTN_F32, 2, (int64_t[]){ROWS, CHANNELS});
  desc.y = clattn_dense(CLATTN_F32, 3, (int64_t[]){1, TOKENS, ROWS});
  desc.variant = "clblast";
  a->status = clattn_plan_projection(dut.context, &desc, &plan, &a->report);
  const clattn_host_binding b[3] = {{.slot = CLATTN_X, .data = x, .bytes = sizeof x},
                                    {.slot = CLATTN_W, .data = w, .bytes = sizeof w},
                                    {.slot = CLATTN_Y, .data = y, .bytes = sizeof y}};
  if (plan) a->status = clattn_run_host(plan, b, 3, &a->report);
  if (plan && a->status == CLATTN_OK)
    a->status = clattn_enqueue(plan, dut.queue, clblast_bound, 3, 1, &ready, NULL, &a->report);
  clattn_plan_destroy(plan);
}

static void run_host(const clattn_plan *plan, attempt *a)
{
  const clattn_host_binding b[4] = {{.slot = CLATTN_Q, .data = small.q, .bytes = sizeof small.q},
                                    {.slot = CLATTN_K, .data = small.k, .bytes = sizeof small.k},
                                    {.slot = CLATTN_V, .data = small.v, .bytes = sizeof small.v},
                                    {.slot = CLATTN_Y, .data = a->y, .bytes = sizeof a->y}};
  a->status = clattn_run_host(plan, b, 4, &a->report);
  a->wrong = a->status == CLATTN_OK && !small_is_right(a->y);
}

static void act_run_host_staged(attempt *a) { run_host(staged, a); }
static void act_run_host_fused(attempt *a) { run_host(fused, a); }

static void enqueue(const clattn_plan *plan, attempt *a)
{
  a->status = clattn_enqueue(plan, dut.unordered, bound, SMALL_BINDINGS, 0, NULL, &a->done, &a->report);
}

static void act_enqueue_staged(attempt *a) { enqueue(staged, a); }
static void act_enqueue_fused(attempt *a) { enqueue(fused, a); }
static void act_enqueue_idle(attempt *a) { enqueue(idle, a); }

/* Many launches, each after the one before, and an event at the end. */
static void act_enqueue_map(attempt *a)
{
  const clattn_binding b[3] = {bound[0], bound[1], {.slot = CLATTN_MAP, .mem = map_buffer}};
  a->status = clattn_enqueue(map_plan, dut.unordered, b, 3, 0, NULL, &a->done, &a->report);
}

static void look_at_map(attempt *a)
{
  assert_int_equal(a->done != NULL, a->status == CLATTN_OK);
  if (a->done) assert_cl(clReleaseEvent(a->done));
  assert_cl(clFinish(dut.unordered));
}

static void look_at_run(attempt *a)
{
  assert_int_equal(a->done != NULL, a->status == CLATTN_OK);
  if (a->done) assert_cl(clReleaseEvent(a->done));
  assert_cl(clFinish(dut.unordered));
  small_read(&dut, bound, a->y);
  a->wrong = a->status == CLATTN_OK && !small_is_right(a->y);
}

/* Without a query there is nothing to look at but the event. */
static void look_at_idle(attempt *a)
{
  assert_int_equal(a->done != NULL, a->status == CLATTN_OK);
  if (a->done) assert_cl(clReleaseEvent(a->done));
  assert_cl(clFinish(dut.unordered));
}

static void look_at_clblast(attempt *a)
{
  (void)a;
  assert_cl(clFinish(dut.queue));
}

static void look_at_nothing(attempt *a) { (void)a; }

static const scenario scenarios[] = {
    {.name = "pick", .act = act_pick, .look = look_at_nothing},
    {.name = "pick_and_probe", .act = act_pick_and_probe, .look = look_at_nothing},
    {.name = "list", .act = act_list, .look = look_at_nothing},
    {.name = "plan_from_source", .act = act_plan_from_source, .look = look_at_nothing},
    {.name = "plan_from_disk", .act = act_plan_from_disk, .look = look_at_nothing},
    {.name = "plan_again", .act = act_plan_again, .look = look_at_nothing},
    {.name = "weights", .act = act_weights, .look = look_at_nothing},
    {.name = "qkv", .act = act_qkv, .look = look_at_nothing},
    {.name = "map", .act = act_map, .look = look_at_nothing},
    {.name = "enqueue_map", .act = act_enqueue_map, .look = look_at_map},
    {.name = "network", .act = act_network, .look = look_at_nothing},
    {.name = "run_host_staged", .act = act_run_host_staged, .look = look_at_nothing},
    {.name = "run_host_fused", .act = act_run_host_fused, .look = look_at_nothing},
    {.name = "enqueue_staged", .act = act_enqueue_staged, .look = look_at_run},
    {.name = "enqueue_idle", .act = act_enqueue_idle, .look = look_at_idle},
    {.name = "enqueue_fused", .act = act_enqueue_fused, .look = look_at_run},
};
enum { SCENARIOS = sizeof scenarios / sizeof scenarios[0] };

static void count_live(int32_t *live)
{
  for (int kind = 0; kind < FAULT_KIND_COUNT; kind++) live[kind] = layer->live((fault_kind)kind);
}

static void check_live(const int32_t *before, const char *what)
{
#define KIND_NAME(name) #name,
  static const char *const kinds[] = {FAULT_KINDS(KIND_NAME)};
  for (int kind = 0; kind < FAULT_KIND_COUNT; kind++) {
    const int32_t now = layer->live((fault_kind)kind);
    if (now == before[kind]) continue;
    print_error("%s: %d %s references, were %d\n", what, (int)now, kinds[kind], (int)before[kind]);
    fail();
  }
}

/* A release that fails tells nobody anything; it is not a call that can be handled. */
static bool is_release(const char *function) { return strncmp(function, "clRelease", 9) == 0; }

/* Its failure may go unnoticed: facts that a driver need not know, binaries and logs that can be done without, one
 * device of several. Whatever is then claimed to work must work. */
static bool is_dispensable(const scenario *s, const char *function)
{
  static const char *const always[] = {"clGetProgramInfo", "clGetProgramBuildInfo", "clCreateProgramWithBinary",
                                       "clGetDeviceInfo", "clGetPlatformInfo"};
  for (size_t i = 0; i < sizeof always / sizeof always[0]; i++)
    if (!strcmp(function, always[i])) return true;
  const bool many =
      s->act == act_list || s->act == act_pick || s->act == act_pick_and_probe; /* each device is tried by itself */
  const bool from_disk = s->act == act_plan_from_disk; /* a binary that does not build is built from source */
  return many || (from_disk && !strcmp(function, "clBuildProgram"));
}

static void check_attempt(const scenario *s, const char *function, uint32_t nth, cl_int code, const attempt *a)
{
  char what[160];
  snprintf(what, sizeof what, "%s, call %u of %s gives %d", s->name, (unsigned)nth, function, (int)code);
  if (a->status == CLATTN_OK && (!is_dispensable(s, function) || a->wrong)) {
    print_error("%s: the status is CLATTN_OK%s\n", what, a->wrong ? " and the result is wrong" : "");
    fail();
  }
  if (a->wrong) {
    print_error("%s: a failed call left an object\n", what);
    fail();
  }
  if (a->status == CLATTN_OK) return;
  hear(&a->report);
  const bool fitting = a->status <= CLATTN_OUT_OF_HOST_MEMORY && a->status > CLATTN_INTERNAL;
  if (!fitting || a->report.status != a->status || !a->report.message[0]) {
    print_error("%s: status %s, report %s \"%s\"\n", what, clattn_status_name(a->status),
                clattn_status_name(a->report.status), a->report.message);
    fail();
  }
}

/* Strikes the nth call of one function, for n = 1, 2, ... until the scenario makes no nth call. The codes take turns:
 * two kinds of no memory, and a plain failure. */
static void strike(const scenario *s, const char *function, uint32_t turn)
{
  static const cl_int codes[] = {CL_OUT_OF_RESOURCES, CL_OUT_OF_HOST_MEMORY, CL_INVALID_OPERATION};
  for (uint32_t nth = 1; nth < MANY_CALLS; nth++) {
    const cl_int code = codes[(turn + nth) % (sizeof codes / sizeof codes[0])];
    attempt a = {0};
    int32_t live[FAULT_KIND_COUNT];
    char what[160];
    count_live(live);
    layer->arm(function, nth, code);
    s->act(&a);
    const bool struck = layer->disarm();
    s->look(&a);
    if (struck) check_attempt(s, function, nth, code, &a);
    snprintf(what, sizeof what, "after %s, call %u of %s", s->name, (unsigned)nth, function);
    if (!s->keeps_objects) check_live(live, what);
    if (struck) continue;
    assert_status(CLATTN_OK, a.status, &a.report);
    assert_false(a.wrong);
    return;
  }
  print_error("%s makes %d calls of %s or more\n", s->name, MANY_CALLS, function);
  fail();
}

/* Every function that the scenario calls. */
static void strike_everything(const scenario *s)
{
  uint32_t called[64] = {0}, functions = 0, places = 0;
  attempt a = {0};
  layer->forget_calls();
  s->act(&a);
  for (; layer->function(functions); functions++) called[functions] = layer->calls(layer->function(functions));
  assert_true(functions <= sizeof called / sizeof called[0]);
  s->look(&a);
  assert_status(CLATTN_OK, a.status, &a.report);
  for (uint32_t i = 0; i < functions; i++) {
    if (!called[i] || is_release(layer->function(i))) continue;
    strike(s, layer->function(i), i);
    places += called[i];
  }
  print_message("%s: %u calls failed in turn\n", s->name, (unsigned)places);
  assert_true(places > 0); /* the scenario does talk to OpenCL */
}

static void faults_in(void **state) { strike_everything(*state); }

/* Enqueueing enqueues: it neither waits, nor asks the device, nor compiles, nor makes a queue; a bound workspace
 * spares it the only buffer. */
static void enqueueing_only_enqueues(void **state)
{
  (void)state;
  static const char *const never[] = {"clFinish",        "clWaitForEvents",     "clGetDeviceInfo",
                                      "clBuildProgram",  "clCreateKernel",      "clCreateCommandQueue",
                                      "clCreateContext", "clEnqueueReadBuffer", "clEnqueueWriteBuffer"};
  const clattn_plan *plans[] = {staged, fused};
  for (int p = 0; p < 2; p++) {
    clattn_binding b[SMALL_BINDINGS + 1];
    memcpy(b, bound, sizeof bound);
    const size_t bytes = clattn_plan_workspace_bytes(plans[p]);
    b[SMALL_BINDINGS] = (clattn_binding){.slot = CLATTN_WORKSPACE, .mem = device_buffer(&dut, bytes, NULL)};
    for (int own = 0; own < 2; own++) {
      clattn_report report;
      cl_event done = NULL;
      layer->forget_calls();
      const clattn_status status =
          clattn_enqueue(plans[p], dut.unordered, b, own || !bytes ? 4 : 5, 0, NULL, &done, &report);
      for (size_t i = 0; i < sizeof never / sizeof never[0]; i++)
        if (layer->calls(never[i])) print_error("clattn_enqueue calls %s\n", never[i]);
      for (size_t i = 0; i < sizeof never / sizeof never[0]; i++) assert_int_equal(0, layer->calls(never[i]));
      assert_int_equal(layer->calls("clCreateBuffer"), own && bytes ? 1 : 0);
      assert_true(layer->calls("clEnqueueNDRangeKernel") >= 1);
      assert_status(CLATTN_OK, status, &report);
      assert_cl(clWaitForEvents(1, &done));
      assert_cl(clReleaseEvent(done));
    }
    assert_cl(clReleaseMemObject(b[SMALL_BINDINGS].mem));
  }
}

/* Facts are asked once, when a context is made. */
static void facts_are_asked_once(void **state)
{
  (void)state;
  attempt a = {0};
  layer->forget_calls();
  act_plan_again(&a);
  act_run_host_staged(&a);
  act_weights(&a);
  assert_status(CLATTN_OK, a.status, &a.report);
  assert_int_equal(0, layer->calls("clGetDeviceInfo"));
  /* And planning what is already there compiles nothing and waits for nothing. */
  layer->forget_calls();
  act_plan_again(&a);
  assert_int_equal(0, layer->calls("clBuildProgram"));
  assert_int_equal(0, layer->calls("clFinish"));
  assert_int_equal(0, layer->calls("clEnqueueNDRangeKernel"));
}

/* What a driver cannot compile gives way to what it can, and the selection says so; without any, the compiler's word.
 */
static void another_variant_takes_over(void **state)
{
  (void)state;
  attempt a = {0};
  clattn_context *context = NULL;
  clattn_context_options options = CLATTN_CONTEXT_OPTIONS_INIT;
  clattn_plan *plan = NULL;
  clattn_plan_info info = CLATTN_PLAN_INFO_INIT;
  options.flags = CLATTN_NO_DISK_CACHE;
  assert_status(CLATTN_OK, clattn_context_create(dut.cl, dut.id, &options, &context, &a.report), &a.report);
  layer->arm("clBuildProgram", 1, CL_BUILD_PROGRAM_FAILURE);
  assert_status(CLATTN_OK, clattn_plan_attention(context, &small.desc, &plan, &a.report), &a.report);
  assert_true(layer->disarm());
  assert_string_equal("", a.report.message);
  assert_status(CLATTN_OK, clattn_plan_get_info(plan, &info), NULL);
  assert_string_not_equal(info.variant, clattn_plan_variant(fused));
  assert_non_null(strstr(info.selection, clattn_plan_variant(fused)));
  assert_non_null(strstr(info.selection, ".cl did not compile with '"));
  run_host(plan, &a);
  assert_status(CLATTN_OK, a.status, &a.report);
  assert_false(a.wrong);
  /* The context knows it from now on: nothing is built for the next plan, and the reason is told again. */
  clattn_plan *again = NULL;
  clattn_plan_info later = CLATTN_PLAN_INFO_INIT;
  layer->forget_calls();
  assert_status(CLATTN_OK, clattn_plan_attention(context, &small.desc, &again, &a.report), &a.report);
  assert_int_equal(0, layer->calls("clBuildProgram"));
  assert_status(CLATTN_OK, clattn_plan_get_info(again, &later), NULL);
  assert_string_equal(info.selection, later.selection);
  clattn_plan_destroy(again);
  clattn_attention_desc named = small.desc; /* but who names it gets it tried */
  named.variant = clattn_plan_variant(fused);
  assert_status(CLATTN_OK, clattn_plan_attention(context, &named, &again, &a.report), &a.report);
  assert_string_equal(named.variant, clattn_plan_variant(again));
  clattn_plan_destroy(again);
  clattn_plan_destroy(plan);
  layer->arm("clBuildProgram", FAULT_EVERY, CL_BUILD_PROGRAM_FAILURE);
  clattn_context_destroy(context);
  assert_status(CLATTN_OK, clattn_context_create(dut.cl, dut.id, &options, &context, &a.report), &a.report);
  for (int time = 0; time < 2; time++) {
    assert_status(CLATTN_BUILD_FAILED, clattn_plan_attention(context, &small.desc, &plan, &a.report), &a.report);
    assert_null(plan);
    assert_non_null(strstr(a.report.message, "did not compile"));
    assert_non_null(strstr(a.report.detail, "reference_"));
  }
  assert_true(layer->disarm());
  clattn_context_destroy(context);
}

static int setup(void **state)
{
  (void)state;
  attempt a = {0};
  small_make(&small, 21);
  device_open(&dut);
  act_plan_from_disk(&a); /* from now on the programs are on disk */
  assert_status(CLATTN_OK, a.status, &a.report);
  staged = small_plan(&dut, &small, CLATTN_PATH_STAGED);
  fused = small_plan(&dut, &small, CLATTN_PATH_FUSED);
  small_bind(&dut, &small, 0.0f, bound);
  clattn_attention_desc without_queries = small.desc;
  without_queries.q.dim[2] = without_queries.y.dim[2] = 0;
  assert_status(CLATTN_OK, clattn_plan_attention(dut.context, &without_queries, &idle, &a.report), &a.report);
  clattn_map_desc map = CLATTN_MAP_DESC_INIT;
  map.attention = &small.desc;
  map.quantity = CLATTN_QUANTITY_SCALED;
  map.map = clattn_bhsd(CLATTN_F32, 1, SMALL_HQ, SMALL_SQ, SMALL_SK);
  assert_status(CLATTN_OK, clattn_plan_map(dut.context, &map, &map_plan, &a.report), &a.report);
  map_buffer = device_buffer(&dut, sizeof(float) * SMALL_HQ * SMALL_SQ * SMALL_SK, NULL);
  return 0;
}

static int teardown(void **state)
{
  (void)state;
  small_release(bound);
  clattn_plan_destroy(staged);
  clattn_plan_destroy(fused);
  clattn_plan_destroy(idle);
  clattn_plan_destroy(map_plan);
  assert_cl(clReleaseMemObject(map_buffer));
  device_close(&dut);
  return 0;
}

static void every_failure_of_clblast_was_told(void **state)
{
  (void)state;
  check_heard(true);
}

static int setup_clblast(void **state)
{
  setup(state);
  clblast_bound[0] = (clattn_binding){.slot = CLATTN_X, .mem = device_buffer(&dut, sizeof x, x)};
  clblast_bound[1] = (clattn_binding){.slot = CLATTN_W, .mem = device_buffer(&dut, sizeof w, w)};
  clblast_bound[2] = (clattn_binding){.slot = CLATTN_Y, .mem = device_buffer(&dut, TOKENS * ROWS * sizeof *x, NULL)};
  assert_cl(clEnqueueMarkerWithWaitList(dut.queue, 0, NULL, &ready));
  assert_cl(clFinish(dut.queue));
  return 0;
}

static int teardown_clblast(void **state)
{
  for (int i = 0; i < 3; i++) assert_cl(clReleaseMemObject(clblast_bound[i].mem));
  assert_cl(clReleaseEvent(ready));
  return teardown(state);
}

/* CLBlast throws, keeps programs and serialises: its faults have a process of their own. */
static int test_clblast(void)
{
  static const scenario clblast = {"clblast", act_clblast, look_at_clblast, true};
  const struct CMUnitTest tests[] = {{"faults_in_clblast", faults_in, NULL, NULL, (void *)(uintptr_t)&clblast},
                                     cmocka_unit_test(every_failure_of_clblast_was_told)};
  return cmocka_run_group_tests(tests, setup_clblast, teardown_clblast);
}

static int test_clattn(void)
{
  struct CMUnitTest tests[SCENARIOS + 4];
  char names[SCENARIOS][64];
  for (int i = 0; i < SCENARIOS; i++) {
    snprintf(names[i], sizeof names[i], "faults_in_%s", scenarios[i].name);
    tests[i] = (struct CMUnitTest){names[i], faults_in, NULL, NULL, (void *)(uintptr_t)&scenarios[i]};
  }
  tests[SCENARIOS] = (struct CMUnitTest)cmocka_unit_test(enqueueing_only_enqueues);
  tests[SCENARIOS + 1] = (struct CMUnitTest)cmocka_unit_test(facts_are_asked_once);
  tests[SCENARIOS + 2] = (struct CMUnitTest)cmocka_unit_test(another_variant_takes_over);
  tests[SCENARIOS + 3] = (struct CMUnitTest)cmocka_unit_test(every_failure_was_told);
  const int failed = cmocka_run_group_tests(tests, setup, teardown);
  /* Whatever was made in this process is released. */
  for (int kind = 0; kind < FAULT_KIND_COUNT; kind++)
    if (layer->live((fault_kind)kind)) {
      fprintf(stderr, "kind %d: %d references are left at the end\n", kind, (int)layer->live((fault_kind)kind));
      return 1;
    }
  return failed;
}

int main(int argc, char **argv)
{
  layer = fault_layer_find();
  if (!layer) {
    fprintf(stderr,
            "the fault layer is not in this process: OPENCL_LAYERS does not name it, or the loader refused it\n");
    return 1;
  }
  return argc > 1 && !strcmp(argv[1], "clblast") ? test_clblast() : test_clattn();
}
