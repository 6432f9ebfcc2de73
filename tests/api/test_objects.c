/* Contexts, plans and weights: who keeps whom, what they tell of themselves, and the small helpers. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "numerics.h"
#include "small.h"

static void plans_outlive_their_context(void **state)
{
  (void)state;
  small_problem s;
  float y[SMALL_Y];
  clattn_report report;
  clattn_context *context = NULL;
  clattn_plan *plan = NULL;
  small_make(&s, 8);
  assert_status(CLATTN_OK, clattn_context_pick(NULL, NULL, &context, &report), &report);
  assert_status(CLATTN_OK, clattn_plan_attention(context, &s.desc, &plan, &report), &report);
  clattn_context_destroy(context);
  const clattn_host_binding host[4] = {{.slot = CLATTN_Q, .data = s.q, .bytes = sizeof s.q},
                                       {.slot = CLATTN_K, .data = s.k, .bytes = sizeof s.k},
                                       {.slot = CLATTN_V, .data = s.v, .bytes = sizeof s.v},
                                       {.slot = CLATTN_Y, .data = y, .bytes = sizeof y}};
  assert_status(CLATTN_OK, clattn_run_host(plan, host, 4, &report), &report);
  small_check(&s, y);
  clattn_plan_destroy(plan);
}

/* A run goes on after everything it was made from is gone. */
static void runs_outlive_their_plan(void **state)
{
  (void)state;
  device_under_test d;
  small_problem s;
  clattn_binding b[SMALL_BINDINGS];
  float y[SMALL_Y];
  clattn_report report;
  device_open(&d);
  small_make(&s, 9);
  small_bind(&d, &s, 0.0f, b);
  clattn_plan *plan = small_plan(&d, &s, CLATTN_PATH_STAGED);
  cl_int code;
  cl_event gate = clCreateUserEvent(d.cl, &code), done = NULL;
  assert_cl(code);
  assert_status(CLATTN_OK, clattn_enqueue(plan, d.unordered, b, SMALL_BINDINGS, 1, &gate, &done, &report), &report);
  clattn_plan_destroy(plan);
  clattn_context_destroy(d.context);
  d.context = NULL;
  assert_cl(clSetUserEventStatus(gate, CL_COMPLETE));
  assert_cl(clWaitForEvents(1, &done));
  assert_cl(clReleaseEvent(gate));
  assert_cl(clReleaseEvent(done));
  small_read(&d, b, y);
  small_check(&s, y);
  small_release(b);
  device_close(&d);
}

/* One set of packed weights under two plans of different token counts; destroyed before either runs. */
static void weights_serve_many_plans(void **state)
{
  const device_under_test *d = *state;
  enum { E = 6, N = 8, MOST = 5 };
  float w[N * E], x[MOST * E], y[MOST * N];
  for (int i = 0; i < N * E; i++) w[i] = (float)(i % 7) - 3.0f;
  for (int i = 0; i < MOST * E; i++) x[i] = (float)(i % 5) - 2.0f;
  clattn_report report;
  clattn_weights *weights = NULL;
  clattn_weights_desc desc = CLATTN_WEIGHTS_DESC_INIT;
  desc.w = clattn_dense(CLATTN_F32, 2, (int64_t[]){N, E});
  assert_status(CLATTN_OK, clattn_weights_create(d->context, &desc, w, &weights, &report), &report);
  memset(w, 0, sizeof w); /* packed means copied */
  clattn_plan *plans[2];
  for (int i = 0; i < 2; i++) {
    const int64_t tokens = i ? MOST : 2;
    clattn_projection_desc projection = CLATTN_PROJECTION_DESC_INIT;
    projection.x = clattn_dense(CLATTN_F32, 3, (int64_t[]){1, tokens, E});
    projection.y = clattn_dense(CLATTN_F32, 3, (int64_t[]){1, tokens, N});
    projection.weights = weights;
    assert_status(CLATTN_OK, clattn_plan_projection(d->context, &projection, &plans[i], &report), &report);
  }
  clattn_weights_destroy(weights);
  for (int i = 0; i < 2; i++) {
    const size_t tokens = i ? MOST : 2;
    const clattn_host_binding host[3] = {{.slot = CLATTN_X, .data = x, .bytes = tokens * E * sizeof *x},
                                         {.slot = CLATTN_Y, .data = y, .bytes = tokens * N * sizeof *y},
                                         {.slot = CLATTN_W, .data = w, .bytes = sizeof w}};
    assert_status(CLATTN_INVALID_BINDING, clattn_run_host(plans[i], host, 3, &report), &report);
    assert_says(&report, "w is bound");
    assert_status(CLATTN_OK, clattn_run_host(plans[i], host, 2, &report), &report);
    for (size_t s = 0; s < tokens; s++)
      for (size_t n = 0; n < N; n++) {
        float sum = 0.0f; /* small integers: exact */
        for (size_t e = 0; e < E; e++) sum += x[s * E + e] * ((float)((n * E + e) % 7) - 3.0f);
        assert_true(y[s * N + n] == sum);
      }
    clattn_plan_destroy(plans[i]);
  }
}

static void contexts_of_the_application(void **state)
{
  const device_under_test *d = *state;
  clattn_report report;
  clattn_context *context = NULL;
  small_problem s;
  clattn_plan *plan = NULL;
  small_make(&s, 10);
  assert_status(CLATTN_OK, clattn_context_create(d->cl, d->id, NULL, &context, &report), &report);
  assert_ptr_equal(clattn_context_cl_context(context), d->cl);
  assert_ptr_equal(clattn_context_cl_device(context), d->id);
  assert_status(CLATTN_OK, clattn_plan_attention(context, &s.desc, &plan, &report), &report);
  clattn_binding b[SMALL_BINDINGS];
  float y[SMALL_Y];
  small_bind(d, &s, 0.0f, b);
  assert_status(CLATTN_OK, clattn_enqueue(plan, d->queue, b, SMALL_BINDINGS, 0, NULL, NULL, &report), &report);
  small_read(d, b, y);
  small_check(&s, y);
  small_release(b);
  clattn_plan_destroy(plan);
  clattn_context_destroy(context);
  assert_status(CLATTN_INVALID_ARGUMENT, clattn_context_create(NULL, d->id, NULL, &context, &report), &report);
  assert_says(&report, "cl is NULL");
  assert_null(context);
  assert_status(CLATTN_INVALID_ARGUMENT, clattn_context_create(d->cl, NULL, NULL, &context, &report), &report);
  assert_says(&report, "device is NULL");
  assert_status(CLATTN_INVALID_ARGUMENT, clattn_context_create(d->cl, d->id, NULL, NULL, &report), &report);
  assert_says(&report, "context is NULL");
  assert_status(CLATTN_INVALID_ARGUMENT, /* only compared, never asked */
                clattn_context_create(d->cl, (cl_device_id)(void *)&report, NULL, &context, &report), &report);
  assert_says(&report, "device does not belong to the cl_context");
  clattn_context_options options = CLATTN_CONTEXT_OPTIONS_INIT;
  options.flags = 8;
  assert_status(CLATTN_INVALID_VALUE, clattn_context_create(d->cl, d->id, &options, &context, &report), &report);
  assert_says(&report, "flags is 0x8, known are 0x1");
  options.flags = 0;
  options.struct_size = 3;
  assert_status(CLATTN_INVALID_STRUCT, clattn_context_create(d->cl, d->id, &options, &context, &report), &report);
  assert_says(&report, "clattn_context_options", "struct_size is 3");
  assert_null(clattn_context_cl_context(NULL));
  assert_null(clattn_context_cl_device(NULL));
}

/* The file of CLATTN_LIMITS. */
static void limits_from_a_file(void **state)
{
  const device_under_test *d = *state;
  static const char path[] = CLATTN_TEST_SCRATCH "/limits.facts";
  clattn_context *context = NULL;
  clattn_report report;
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  for (int i = 0; i < 65536 / 16; i++) assert_true(fputs("# fifteen bytes\n", file) >= 0);
  assert_int_equal(0, fclose(file));
  assert_int_equal(0, setenv("CLATTN_LIMITS", path, 1));
  assert_status(CLATTN_INVALID_VALUE, clattn_context_create(d->cl, d->id, NULL, &context, &report), &report);
  assert_says(&report, "CLATTN_LIMITS: ", path, " has 65536 bytes or more");
  assert_int_equal(0, setenv("CLATTN_LIMITS", CLATTN_TEST_SCRATCH "/no-such.facts", 1));
  assert_status(CLATTN_INVALID_VALUE, clattn_context_create(d->cl, d->id, NULL, &context, &report), &report);
  assert_says(&report, "CLATTN_LIMITS: ", "/no-such.facts cannot be read");
  assert_int_equal(0, unsetenv("CLATTN_LIMITS"));
  assert_null(context);
}

static void plans_tell_what_they_are(void **state)
{
  const device_under_test *d = *state;
  small_problem s;
  small_make(&s, 11);
  clattn_plan *plan = small_plan(d, &s, CLATTN_PATH_STAGED);
  clattn_plan_info info = CLATTN_PLAN_INFO_INIT;
  assert_int_equal(CLATTN_OK, clattn_plan_get_info(plan, &info));
  assert_string_equal(info.variant, clattn_plan_variant(plan));
  assert_holds(info.variant, "_staged_f32_d8v12");
  assert_holds(info.selection, info.variant);
  assert_holds(info.selection, "taken");
  assert_int_equal(info.workspace_bytes, clattn_plan_workspace_bytes(plan));
  assert_true(info.kernels >= 1 && info.plan_ms >= info.build_ms && info.build_ms >= 0.0);
  assert_true(info.origin >= CLATTN_PROGRAM_MEMORY && info.origin <= CLATTN_PROGRAM_BUILT);
  info.struct_size = 4;
  assert_int_equal(CLATTN_INVALID_STRUCT, clattn_plan_get_info(plan, &info));
  assert_int_equal(CLATTN_INVALID_ARGUMENT, clattn_plan_get_info(NULL, &info));
  assert_int_equal(CLATTN_INVALID_ARGUMENT, clattn_plan_get_info(plan, NULL));
  /* The second plan of a variant finds its programs in the context. */
  clattn_plan *again = small_plan(d, &s, CLATTN_PATH_STAGED);
  info.struct_size = sizeof info;
  assert_int_equal(CLATTN_OK, clattn_plan_get_info(again, &info));
  assert_int_equal(info.origin, CLATTN_PROGRAM_MEMORY);
  clattn_plan_destroy(again);
  clattn_plan_destroy(plan);
  assert_int_equal(0, clattn_plan_workspace_bytes(NULL));
  assert_string_equal("", clattn_plan_variant(NULL));
}

/* Elements of the caller's size, which may be a later version's; the report names one that is too small. */
static void devices_are_listed(void **state)
{
  (void)state;
  struct {
    clattn_device_info info;
    uint64_t later;
  } list[16] = {{.info = CLATTN_DEVICE_INFO_INIT}};
  clattn_report report;
  uint32_t count = 0, taken = 0;
  list[0].info.struct_size = sizeof list[0];
  for (int i = 0; i < 16; i++) list[i].later = 77;
  assert_status(CLATTN_OK, clattn_devices(0, &list[0].info, 16, &count, &report), &report);
  assert_true(count >= 1);
  for (uint32_t i = 0; i < count && i < 16; i++) {
    assert_int_equal(list[i].info.struct_size, sizeof list[0]);
    assert_true(list[i].info.name[0] && list[i].info.compute_units >= 1);
    assert_int_equal(list[i].later, 0);
    taken += (uint32_t)list[i].info.taken;
  }
  assert_int_equal(taken, 1);
  list[0].info.struct_size = 8;
  assert_status(CLATTN_INVALID_STRUCT, clattn_devices(0, &list[0].info, 16, &count, &report), &report);
  assert_says(&report, "clattn_device_info: struct_size is 8, must be at least", "_INIT macro");
  list[0].info.struct_size = sizeof list[0] - 1;
  assert_status(CLATTN_INVALID_STRUCT, clattn_devices(0, &list[0].info, 16, &count, &report), &report);
  assert_says(&report, "and a multiple of 8");
  assert_status(CLATTN_INVALID_ARGUMENT, clattn_devices(0, NULL, 1, &count, &report), &report);
  assert_says(&report, "out is NULL");
  assert_status(CLATTN_INVALID_ARGUMENT, clattn_devices(0, NULL, 0, NULL, &report), &report);
  assert_says(&report, "count is NULL");
}

/* Each way to a context tells, and so does the list of devices, unless the environment pins the threads. */
static void check_placement(const device_under_test *d, bool told)
{
  static const char text[] = "POCL_AFFINITY=1";
  clattn_report report;
  clattn_context *context = NULL;
  assert_status(CLATTN_OK, clattn_context_create(d->cl, d->id, NULL, &context, &report), &report);
  clattn_context_destroy(context);
  assert_int_equal(told, strstr(report.detail, text) != NULL);
  assert_string_equal("", report.message);
  assert_status(CLATTN_OK, clattn_context_pick(NULL, NULL, &context, &report), &report);
  clattn_context_destroy(context);
  assert_int_equal(told, strstr(report.detail, text) != NULL);
  clattn_device_info list[16] = {CLATTN_DEVICE_INFO_INIT};
  uint32_t count = 0;
  assert_status(CLATTN_OK, clattn_devices(0, list, 16, &count, &report), &report);
  for (uint32_t i = 0; i < count && i < 16; i++) {
    if (list[i].taken) assert_int_equal(told, strstr(list[i].reason, text) != NULL);
    assert_non_null(strstr(list[i].reason, "compute units at "));
  }
}

static void threads_that_wander_are_told(void **state)
{
  const device_under_test *d = *state;
  cl_platform_id platform;
  char name[128] = "", own[64] = "";
  assert_cl(clGetDeviceInfo(d->id, CL_DEVICE_PLATFORM, sizeof platform, &platform, NULL));
  assert_cl(clGetPlatformInfo(platform, CL_PLATFORM_NAME, sizeof name - 1, name, NULL));
  const bool pocl = strstr(name, "Portable Computing") != NULL;
  if (getenv("POCL_AFFINITY")) snprintf(own, sizeof own, "%s", getenv("POCL_AFFINITY"));
  setenv("POCL_AFFINITY", "1", 1);
  check_placement(d, false);
  setenv("POCL_AFFINITY", "0", 1);
  check_placement(d, pocl);
  unsetenv("POCL_AFFINITY");
  check_placement(d, pocl);
  if (own[0]) setenv("POCL_AFFINITY", own, 1);
}

/* Each variant's own name forces it. */
static void variants_have_names(void **state)
{
  const device_under_test *d = *state;
  uint32_t n = 0;
  bool reference = false;
  small_problem s;
  small_make(&s, 12);
  for (const char *name; (name = clattn_variant_name(n)) != NULL; n++) {
    reference = reference || !strcmp(name, "reference_attention");
    if (!strstr(name, "_attention") && !strstr(name, "_staged")) continue;
    clattn_plan *plan = NULL;
    clattn_report report;
    s.desc.variant = name;
    assert_status(CLATTN_OK, clattn_plan_attention(d->context, &s.desc, &plan, &report), &report);
    assert_holds(clattn_plan_variant(plan), name);
    clattn_plan_destroy(plan);
  }
  assert_true(n >= 6);
  assert_true(reference);
}

static void texts(void **state)
{
  (void)state;
  assert_int_equal(clattn_version(), CLATTN_VERSION_MAJOR * 10000 + CLATTN_VERSION_MINOR * 100 + CLATTN_VERSION_PATCH);
#define CHECK_STATUS(name, value, text)                                                                                \
  assert_string_equal(#name, clattn_status_name(name));                                                                \
  assert_string_equal(text, clattn_status_text(name));
  CLATTN_STATUS_LIST(CHECK_STATUS)
#define CHECK_DTYPE(name, value, bytes, text)                                                                          \
  assert_string_equal(text, clattn_dtype_text(name));                                                                  \
  assert_int_equal(bytes, clattn_dtype_bytes(name));
  CLATTN_DTYPE_LIST(CHECK_DTYPE)
#define CHECK_SLOT(name, value, text) assert_string_equal(text, clattn_slot_text(name));
  CLATTN_SLOT_LIST(CHECK_SLOT)
  assert_non_null(clattn_status_name((clattn_status)12345));
  assert_non_null(clattn_status_text((clattn_status)12345));
  assert_string_equal("?", clattn_dtype_text((clattn_dtype)77));
  assert_int_equal(0, clattn_dtype_bytes((clattn_dtype)77));
  assert_string_equal("?", clattn_slot_text((clattn_slot)77));
}

/* Values of every kind: normal, subnormal, halfway between two neighbours, too large, infinite, no number. */
static const double numbers[] = {0.0,           -0.0,
                                 1.0,           -1.5,
                                 0.1,           1e-3,
                                 65504.0,       65519.9,
                                 65520.0,       1e6,
                                 -1e30,         3.4028234663852886e38,
                                 6e-8,          5.960464477539063e-8,
                                 2.98e-8,       2.9802322387695312e-8,
                                 3e-8,          6.1e-5,
                                 1.00048828125, 1.0014648437500000,
                                 1.00390625,    1.01171875,
                                 1e-40,         1e-45,
                                 4e38,          1e300,
                                 5e-324,        0.33333333333,
                                 INFINITY,      -INFINITY,
                                 NAN,           1.1754943508222875e-38,
                                 9.1e-41,       2049.0,
                                 2051.0};
enum { NUMBERS = sizeof numbers / sizeof numbers[0] };

static void conversions(void **state)
{
  (void)state;
  for (int32_t from = CLATTN_F32; from <= CLATTN_F64; from++)
    for (int32_t to = CLATTN_F32; to <= CLATTN_F64; to++) {
      double in[NUMBERS], out[NUMBERS];
      for (int i = 0; i < NUMBERS; i++) number_store(from, in, i, numbers[i]);
      assert_int_equal(CLATTN_OK, clattn_convert((clattn_dtype)to, out, (clattn_dtype)from, in, NUMBERS));
      for (int i = 0; i < NUMBERS; i++) {
        const double want = number_round(to, number_load(from, in, i)), got = number_load(to, out, i);
        if (isnan(want) ? isnan(got) : want == got && !signbit(want) == !signbit(got)) continue;
        print_error("%g from %s to %s is %.17g, expected %.17g\n", numbers[i], clattn_dtype_text((clattn_dtype)from),
                    clattn_dtype_text((clattn_dtype)to), got, want);
        fail();
      }
    }
  float x = 1.0f;
  assert_int_equal(CLATTN_INVALID_DTYPE, clattn_convert(CLATTN_BOOL, &x, CLATTN_F32, &x, 1));
  assert_int_equal(CLATTN_INVALID_DTYPE, clattn_convert(CLATTN_F32, &x, CLATTN_I64, &x, 1));
}

static void dense_views(void **state)
{
  (void)state;
  const clattn_tensor a = clattn_bhsd(CLATTN_F16, 2, 3, 5, 7), b = clattn_bshd(CLATTN_F32, 2, 5, 3, 7);
  const clattn_tensor c = clattn_dense(CLATTN_I64, 2, (int64_t[]){4, 9});
  const int64_t dims[4] = {2, 3, 5, 7}, bhsd[4] = {105, 35, 7, 1}, bshd[4] = {105, 7, 21, 1};
  assert_int_equal(a.rank, 4);
  assert_int_equal(a.dtype, CLATTN_F16);
  assert_memory_equal(a.dim, dims, sizeof dims);
  assert_memory_equal(a.stride, bhsd, sizeof bhsd);
  assert_memory_equal(b.dim, dims, sizeof dims);
  assert_memory_equal(b.stride, bshd, sizeof bshd);
  assert_true(c.rank == 2 && c.dim[0] == 4 && c.dim[1] == 9 && c.stride[0] == 9 && c.stride[1] == 1);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(plans_outlive_their_context),
      cmocka_unit_test(runs_outlive_their_plan),
      cmocka_unit_test(weights_serve_many_plans),
      cmocka_unit_test(contexts_of_the_application),
      cmocka_unit_test(limits_from_a_file),
      cmocka_unit_test(plans_tell_what_they_are),
      cmocka_unit_test(devices_are_listed),
      cmocka_unit_test(threads_that_wander_are_told),
      cmocka_unit_test(variants_have_names),
      cmocka_unit_test(texts),
      cmocka_unit_test(conversions),
      cmocka_unit_test(dense_views),
  };
  return cmocka_run_group_tests(tests, device_setup, device_teardown);
}
