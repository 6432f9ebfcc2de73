/* Every status code of clattn/status.h is reached, and its message read. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "fault_layer.h"
#include "small.h"

static const fault_layer *layer;
static small_problem small;

#define STATUS_SEEN(name, value, text) {name, #name, false},
static struct {
  clattn_status status;
  const char *name;
  bool seen;
} seen[] = {CLATTN_STATUS_LIST(STATUS_SEEN)};
enum { STATUSES = sizeof seen / sizeof seen[0] };

static void reached(clattn_status want, clattn_status status, const clattn_report *report, const char *a, const char *b)
{
  assert_status(want, status, report);
  assert_says(report, a, b);
  for (int i = 0; i < STATUSES; i++)
    if (seen[i].status == want) seen[i].seen = true;
}

static clattn_status plan(clattn_context *context, const clattn_attention_desc *desc, clattn_report *report)
{
  clattn_plan *made = NULL;
  const clattn_status status = clattn_plan_attention(context, desc, &made, report);
  assert_int_equal(made != NULL, status == CLATTN_OK);
  clattn_plan_destroy(made);
  return status;
}

static clattn_status open_with(const device_under_test *d, const clattn_context_options *options,
                               const clattn_attention_desc *desc, clattn_report *report)
{
  clattn_context *context = NULL;
  clattn_status status = clattn_context_create(d->cl, d->id, options, &context, report);
  if (status == CLATTN_OK && desc) status = plan(context, desc, report);
  clattn_context_destroy(context);
  return status;
}

static void mistakes(void **state)
{
  const device_under_test *d = *state;
  clattn_report report;
  clattn_attention_desc desc = small.desc;
  reached(CLATTN_OK, plan(d->context, &desc, &report), &report, "", "");
  reached(CLATTN_INVALID_ARGUMENT, plan(NULL, &desc, &report), &report, "context", "NULL");
  desc.struct_size = 1;
  reached(CLATTN_INVALID_STRUCT, plan(d->context, &desc, &report), &report, "struct_size is 1", "at least");
  desc = small.desc;
  desc.q.dtype = CLATTN_BOOL;
  reached(CLATTN_INVALID_DTYPE, plan(d->context, &desc, &report), &report, "q", "bool");
  desc = small.desc;
  desc.v.dim[2] = 1;
  reached(CLATTN_INVALID_SHAPE, plan(d->context, &desc, &report), &report, "v: dimension 2 is 1", "9 (SK of k)");
  desc = small.desc;
  desc.softcap = -2.0;
  reached(CLATTN_INVALID_VALUE, plan(d->context, &desc, &report), &report, "softcap is -2", "0");
  desc = small.desc;
  desc.y.stride[3] = 0;
  reached(CLATTN_OVERLAP, plan(d->context, &desc, &report), &report, "y", "share");
  desc = small.desc;
  desc.variant = "astrolabe";
  reached(CLATTN_UNKNOWN_VARIANT, plan(d->context, &desc, &report), &report, "astrolabe", "");
}

static void mistakes_of_a_run(void **state)
{
  const device_under_test *d = *state;
  clattn_report report;
  clattn_binding b[SMALL_BINDINGS];
  clattn_plan *staged = small_plan(d, &small, CLATTN_PATH_STAGED);
  small_bind(d, &small, 0.0f, b);
  reached(CLATTN_INVALID_BINDING, clattn_enqueue(staged, d->queue, b, 2, 0, NULL, NULL, &report), &report, "v",
          "bound");
  b[0].offset_bytes = 64;
  reached(CLATTN_BUFFER_TOO_SMALL, clattn_enqueue(staged, d->queue, b, 4, 0, NULL, NULL, &report), &report, "q", "768");
  device_under_test other;
  device_open(&other);
  reached(CLATTN_INVALID_QUEUE, clattn_enqueue(staged, other.queue, b, 4, 0, NULL, NULL, &report), &report, "queue",
          "another");
  device_close(&other);
  small_release(b);
  clattn_plan_destroy(staged);
}

static void limits(void **state)
{
  const device_under_test *d = *state;
  clattn_report report;
  clattn_context_options options = CLATTN_CONTEXT_OPTIONS_INIT;
  options.limits = "local_memory_bytes = 64\n";
  clattn_attention_desc desc = small.desc;
  desc.path = CLATTN_PATH_STAGED;
  desc.variant = "tiled"; /* needs local memory on this path */
  reached(CLATTN_UNSUPPORTED, open_with(d, &options, &desc, &report), &report, "local memory", "64");
  assert_holds(report.detail, "refused");
  options.limits = "nonsense = 3\n";
  assert_status(CLATTN_INVALID_VALUE, open_with(d, &options, NULL, &report), &report);
  assert_says(&report, "nonsense");
}

static void write_file(const char *folder, const char *name, const char *text)
{
  char path[1024];
  mkdir(folder, 0777);
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_true(fputs(text, file) >= 0);
  assert_int_equal(0, fclose(file));
}

static void kernel_folders(void **state)
{
  const device_under_test *d = *state;
  clattn_report report;
  clattn_context_options options = CLATTN_CONTEXT_OPTIONS_INIT;
  clattn_attention_desc desc = small.desc;
  options.flags = CLATTN_NO_DISK_CACHE;
  desc.variant = "reference";
  options.kernel_dir = CLATTN_TEST_SCRATCH "/no-such-folder";
  reached(CLATTN_INTERNAL, open_with(d, &options, &desc, &report), &report, "reference.cl", "");
  options.kernel_dir = CLATTN_TEST_SCRATCH "/foreign-kernels";
  write_file(options.kernel_dir, "reference.cl", "__kernel void something_else(void) {}\n");
  assert_status(CLATTN_INTERNAL, open_with(d, &options, &desc, &report), &report);
  assert_says(&report, "reference_attention");
  options.kernel_dir = CLATTN_TEST_SCRATCH "/broken-kernels";
  write_file(options.kernel_dir, "reference.cl",
             "\n__kernel void reference_attention(int x) { this is no OpenCL C; }\n");
  reached(CLATTN_BUILD_FAILED, open_with(d, &options, &desc, &report), &report, "reference.cl", "");
  assert_holds(report.detail, "reference.cl:2"); /* the compiler names the real file and line */
}

static void memory_and_failing_calls(void **state)
{
  const device_under_test *d = *state;
  clattn_report report;
  clattn_binding b[SMALL_BINDINGS];
  clattn_plan *staged = small_plan(d, &small, CLATTN_PATH_STAGED);
  small_bind(d, &small, 0.0f, b);
  layer->arm("clCreateBuffer", 1, CL_MEM_OBJECT_ALLOCATION_FAILURE);
  reached(CLATTN_OUT_OF_DEVICE_MEMORY, clattn_enqueue(staged, d->queue, b, 4, 0, NULL, NULL, &report), &report,
          "workspace", "864 bytes");
  assert_int_equal(report.cl_error, CL_MEM_OBJECT_ALLOCATION_FAILURE);
  layer->arm("clEnqueueNDRangeKernel", 1, CL_OUT_OF_HOST_MEMORY);
  reached(CLATTN_OUT_OF_HOST_MEMORY, clattn_enqueue(staged, d->queue, b, 4, 0, NULL, NULL, &report), &report, "-6", "");
  layer->arm("clEnqueueNDRangeKernel", 1, CL_INVALID_WORK_GROUP_SIZE);
  reached(CLATTN_OPENCL_FAILED, clattn_enqueue(staged, d->queue, b, 4, 0, NULL, NULL, &report), &report, "-54", "");
  assert_int_equal(report.cl_error, CL_INVALID_WORK_GROUP_SIZE);
  layer->disarm();
  small_release(b);
  clattn_plan_destroy(staged);
}

static clattn_status pick_with(const char *want, const char *kernel_dir, clattn_report *report)
{
  clattn_context *context = NULL;
  clattn_context_options options = CLATTN_CONTEXT_OPTIONS_INIT;
  options.kernel_dir = kernel_dir;
  options.flags = CLATTN_NO_DISK_CACHE; /* a verdict on disk would spare the probe */
  const clattn_status status = clattn_context_pick(want, &options, &context, report);
  assert_int_equal(context != NULL, status == CLATTN_OK);
  clattn_context_destroy(context);
  return status;
}

static clattn_status pick(const char *want, clattn_report *report) { return pick_with(want, NULL, report); }

static void devices(void **state)
{
  const device_under_test *d = *state;
  clattn_report report;
  uint32_t count = 77;
  reached(CLATTN_DEVICE_NOT_FOUND, pick("an abacus", &report), &report, "an abacus", "");
  assert_status(CLATTN_DEVICE_NOT_FOUND, pick("9:9", &report), &report);
  assert_says(&report, "9:9");
  layer->arm("clGetPlatformIDs", FAULT_EVERY, -1001); /* the loader's own code */
  reached(CLATTN_NO_PLATFORM, pick(NULL, &report), &report, "no OpenCL platform: install", "pocl");
  assert_status(CLATTN_NO_PLATFORM, clattn_devices(0, NULL, 0, &count, &report), &report);
  assert_int_equal(0, count);
  layer->arm("clGetDeviceIDs", FAULT_EVERY, CL_DEVICE_NOT_FOUND);
  reached(CLATTN_NO_DEVICE, pick(NULL, &report), &report, "no OpenCL device: ", "install");
  layer->disarm();
  layer->hide_compiler(true);
  static const char no_compiler[] = ": it has no compiler for OpenCL C; clattn needs one";
  reached(CLATTN_NO_COMPILER, pick(NULL, &report), &report, no_compiler, "");
  assert_holds(report.detail, ": passed over: ");
  clattn_context *context = NULL;
  assert_status(CLATTN_NO_COMPILER, clattn_context_create(d->cl, d->id, NULL, &context, &report), &report);
  assert_says(&report, no_compiler);
  assert_null(context);
  layer->hide_compiler(false);
  layer->spoil_reads(true);
  reached(CLATTN_DEVICE_UNUSABLE, pick(NULL, &report), &report, ": the probe computed ", ", must be ");
  layer->spoil_reads(false);
  write_file(CLATTN_TEST_SCRATCH "/broken-probe", "probe.cl", "this is no OpenCL C\n");
  assert_status(CLATTN_DEVICE_UNUSABLE, pick_with(NULL, CLATTN_TEST_SCRATCH "/broken-probe", &report), &report);
  assert_says(&report, ": the probe did not compile");
  assert_status(CLATTN_OK, pick(NULL, &report), &report);
}

static void none_was_left_out(void **state)
{
  (void)state;
  int missing = 0;
  for (int i = 0; i < STATUSES; i++) {
    if (!seen[i].seen) print_error("%s was not reached\n", seen[i].name);
    missing += !seen[i].seen;
  }
  assert_int_equal(0, missing);
}

int main(void)
{
  layer = fault_layer_find();
  if (!layer) {
    fprintf(stderr,
            "the fault layer is not in this process: OPENCL_LAYERS does not name it, or the loader refused it\n");
    return 1;
  }
  small_make(&small, 31);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(mistakes),          cmocka_unit_test(mistakes_of_a_run),        cmocka_unit_test(limits),
      cmocka_unit_test(kernel_folders),    cmocka_unit_test(memory_and_failing_calls), cmocka_unit_test(devices),
      cmocka_unit_test(none_was_left_out),
  };
  return cmocka_run_group_tests(tests, device_setup, device_teardown);
}
