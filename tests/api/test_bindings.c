/* What a run refuses before anything is enqueued. */
#include <string.h>

#include "small.h"

typedef struct fixture {
  device_under_test d;
  small_problem small;
  clattn_plan *plan; /* staged: it has a workspace */
  clattn_binding bound[SMALL_BINDINGS];
} fixture;

static int setup(void **state)
{
  fixture *f = test_alloc(sizeof *f);
  device_open(&f->d);
  small_make(&f->small, 2);
  f->plan = small_plan(&f->d, &f->small, CLATTN_PATH_STAGED);
  small_bind(&f->d, &f->small, 77.0f, f->bound);
  *state = f;
  return 0;
}

static int teardown(void **state)
{
  fixture *f = *state;
  small_release(f->bound);
  clattn_plan_destroy(f->plan);
  device_close(&f->d);
  free(f);
  return 0;
}

/* A run with these bindings fails, says so, and leaves y alone. */
static void refused(fixture *f, const clattn_binding *bindings, uint32_t n, clattn_status status, const char *a,
                    const char *b)
{
  clattn_report report;
  float y[SMALL_Y];
  cl_event done = (cl_event)f;
  assert_status(status, clattn_enqueue(f->plan, f->d.queue, bindings, n, 0, NULL, &done, &report), &report);
  assert_says(&report, a, b);
  assert_status(status, clattn_enqueue(f->plan, f->d.queue, bindings, n, 0, NULL, NULL, NULL), NULL);
  small_read(&f->d, f->bound, y);
  for (int i = 0; i < SMALL_Y; i++) assert_true(y[i] == 77.0f);
}

static void copy(const fixture *f, clattn_binding *bindings)
{
  memset(bindings, 0, (SMALL_BINDINGS + 2) * sizeof *bindings);
  memcpy(bindings, f->bound, sizeof f->bound);
}

static void missing_and_surplus(void **state)
{
  fixture *f = *state;
  clattn_binding b[SMALL_BINDINGS + 2];
  copy(f, b);
  refused(f, b, 3, CLATTN_INVALID_BINDING, "y is not bound, but the plan needs it", "");
  refused(f, b + 1, 3, CLATTN_INVALID_BINDING, "q is not bound", "needs");
  refused(f, NULL, 0, CLATTN_INVALID_BINDING, "is not bound", "needs");
  refused(f, NULL, 2, CLATTN_INVALID_ARGUMENT, "bindings is NULL", "");
  b[4] = b[3];
  refused(f, b, 5, CLATTN_INVALID_BINDING, "y is bound twice", "");
  b[4].slot = CLATTN_MASK;
  refused(f, b, 5, CLATTN_INVALID_BINDING, "mask is bound, but the plan does not have it", "");
  b[4].slot = CLATTN_A; /* inside the workspace, not a buffer of the caller */
  refused(f, b, 5, CLATTN_INVALID_BINDING, "a is bound", "does not have it");
  b[4].slot = 0;
  refused(f, b, 5, CLATTN_INVALID_BINDING, "binding 4: slot is 0, must be 1 to 34", "");
  b[4].slot = CLATTN_SLOT_COUNT;
  refused(f, b, 5, CLATTN_INVALID_BINDING, "binding 4: slot is 35", "1 to 34");
  b[4].slot = -3;
  refused(f, b, 5, CLATTN_INVALID_BINDING, "binding 4: slot is -3", "1 to 34");
  copy(f, b);
  b[2].mem = NULL;
  refused(f, b, 4, CLATTN_INVALID_BINDING, "v: its buffer is NULL", "");
  copy(f, b);
  b[2].reserved = 5;
  refused(f, b, 4, CLATTN_INVALID_BINDING, "v: reserved is 5", "");
}

static void offsets_and_sizes(void **state)
{
  fixture *f = *state;
  clattn_binding b[SMALL_BINDINGS + 2];
  copy(f, b);
  b[0].offset_bytes = 2;
  refused(f, b, 4, CLATTN_INVALID_BINDING, "q: offset_bytes is 2, must be a multiple of 4", "");
  b[0].offset_bytes = 4;
  refused(f, b, 4, CLATTN_BUFFER_TOO_SMALL, "q: needs 768 bytes from offset 4, its buffer has 768", "");
  b[0].offset_bytes = (size_t)0 - 4;
  refused(f, b, 4, CLATTN_BUFFER_TOO_SMALL, "q", "has 768");
  copy(f, b);
  cl_mem shorter = device_buffer(&f->d, sizeof(float) * SMALL_Y - 1, NULL);
  b[3].mem = shorter;
  refused(f, b, 4, CLATTN_BUFFER_TOO_SMALL, "y: needs 1152 bytes", "has 1151");
  copy(f, b);
  b[4] = (clattn_binding){.slot = CLATTN_WORKSPACE, .mem = shorter};
  if (clattn_plan_workspace_bytes(f->plan) <= sizeof(float) * SMALL_Y - 1) b[4].offset_bytes = 1000;
  refused(f, b, 5, CLATTN_BUFFER_TOO_SMALL, "workspace: needs", "");
  b[4].offset_bytes = 2;
  refused(f, b, 5, CLATTN_INVALID_BINDING, "workspace: offset_bytes is 2", "multiple of 4");
  assert_cl(clReleaseMemObject(shorter));
}

static void overlaps(void **state)
{
  fixture *f = *state;
  clattn_binding b[SMALL_BINDINGS + 2];
  copy(f, b);
  b[3].mem = b[2].mem; /* y over v: too small, so on a larger one */
  cl_mem shared = device_buffer(&f->d, 65536, NULL);
  b[2].mem = b[3].mem = shared;
  refused(f, b, 4, CLATTN_OVERLAP, "y", "v");
  b[2].offset_bytes = sizeof(float) * SMALL_Y - 4;
  refused(f, b, 4, CLATTN_OVERLAP, "y (bytes 0 to 1152) overlaps v (bytes 1148", ") in one buffer");
  b[2].offset_bytes = sizeof(float) * SMALL_Y;
  b[4] = (clattn_binding){.slot = CLATTN_WORKSPACE, .mem = shared};
  refused(f, b, 5, CLATTN_OVERLAP, "workspace", "");
  /* Inputs may overlap as they like. */
  clattn_report report;
  copy(f, b);
  b[0].mem = b[1].mem = b[2].mem = shared;
  assert_status(CLATTN_OK, clattn_enqueue(f->plan, f->d.queue, b, 4, 0, NULL, NULL, &report), &report);
  assert_cl(clFinish(f->d.queue));
  float y[SMALL_Y]; /* as it was for the tests that follow */
  for (int i = 0; i < SMALL_Y; i++) y[i] = 77.0f;
  assert_cl(clEnqueueWriteBuffer(f->d.queue, f->bound[3].mem, CL_TRUE, 0, sizeof y, y, 0, NULL, NULL));
  assert_cl(clReleaseMemObject(shared));
}

/* Two views into sub-buffers of one buffer overlap where their parents' bytes do. */
static void overlapping_sub_buffers(void **state)
{
  fixture *f = *state;
  clattn_binding b[SMALL_BINDINGS + 2];
  cl_uint align_bits = 0;
  assert_cl(clGetDeviceInfo(f->d.id, CL_DEVICE_MEM_BASE_ADDR_ALIGN, sizeof align_bits, &align_bits, NULL));
  const size_t align = align_bits / 8;
  cl_mem whole = device_buffer(&f->d, 8 * align + 65536, NULL);
  cl_int code_a, code_b;
  const cl_buffer_region near = {0, 4 * align + 4096}, far = {align, 4 * align + 4096};
  cl_mem a = clCreateSubBuffer(whole, CL_MEM_READ_WRITE, CL_BUFFER_CREATE_TYPE_REGION, &near, &code_a);
  cl_mem c = clCreateSubBuffer(whole, CL_MEM_READ_WRITE, CL_BUFFER_CREATE_TYPE_REGION, &far, &code_b);
  assert_cl(code_a);
  assert_cl(code_b);
  copy(f, b);
  b[2].mem = a;
  b[2].offset_bytes = align > 2048 ? align - 4 : 0;
  b[3].mem = c;
  refused(f, b, 4, CLATTN_OVERLAP, "y", "v");
  assert_cl(clReleaseMemObject(a));
  assert_cl(clReleaseMemObject(c));
  assert_cl(clReleaseMemObject(whole));
}

static void buffers_of_the_wrong_kind(void **state)
{
  fixture *f = *state;
  clattn_binding b[SMALL_BINDINGS + 2];
  cl_int code;
  cl_mem read_only = clCreateBuffer(f->d.cl, CL_MEM_READ_ONLY, 4096, NULL, &code);
  assert_cl(code);
  cl_mem write_only = clCreateBuffer(f->d.cl, CL_MEM_WRITE_ONLY, 4096, NULL, &code);
  assert_cl(code);
  copy(f, b);
  b[3].mem = read_only;
  refused(f, b, 4, CLATTN_INVALID_BINDING, "y: its buffer is read-only for kernels", "");
  copy(f, b);
  b[0].mem = write_only;
  refused(f, b, 4, CLATTN_INVALID_BINDING, "q: its buffer is write-only for kernels", "");
  const cl_image_format format = {CL_RGBA, CL_FLOAT};
  const cl_image_desc shape = {.image_type = CL_MEM_OBJECT_IMAGE2D, .image_width = 32, .image_height = 32};
  cl_bool has_images = CL_FALSE;
  assert_cl(clGetDeviceInfo(f->d.id, CL_DEVICE_IMAGE_SUPPORT, sizeof has_images, &has_images, NULL));
  cl_mem image = clCreateImage(f->d.cl, CL_MEM_READ_WRITE, &format, &shape, NULL, &code);
  assert_int_equal(image != NULL, has_images); /* a device without images cannot be handed one */
  copy(f, b);
  b[0].mem = image;
  refused(f, b, 4, CLATTN_INVALID_BINDING, image ? "q: it is not a buffer" : "q: its buffer is NULL", "");
  if (image) assert_cl(clReleaseMemObject(image));
  device_under_test other;
  device_open(&other);
  cl_mem foreign = device_buffer(&other, 4096, NULL);
  copy(f, b);
  b[1].mem = foreign;
  refused(f, b, 4, CLATTN_INVALID_BINDING, "k: its buffer belongs to another cl_context", "");
  assert_cl(clReleaseMemObject(foreign));
  device_close(&other);
  assert_cl(clReleaseMemObject(read_only));
  assert_cl(clReleaseMemObject(write_only));
}

static void queues_and_wait_lists(void **state)
{
  fixture *f = *state;
  clattn_report report;
  cl_event none = NULL;
  assert_status(CLATTN_INVALID_ARGUMENT, clattn_enqueue(NULL, f->d.queue, f->bound, 4, 0, NULL, NULL, &report),
                &report);
  assert_says(&report, "plan is NULL");
  assert_status(CLATTN_INVALID_ARGUMENT, clattn_enqueue(f->plan, NULL, f->bound, 4, 0, NULL, NULL, &report), &report);
  assert_says(&report, "queue is NULL");
  assert_status(CLATTN_INVALID_ARGUMENT, clattn_enqueue(f->plan, f->d.queue, f->bound, 4, 1, NULL, NULL, &report),
                &report);
  assert_says(&report, "n_wait is 1 and wait is NULL");
  assert_status(CLATTN_INVALID_ARGUMENT, clattn_enqueue(f->plan, f->d.queue, f->bound, 4, 0, &none, NULL, &report),
                &report);
  assert_says(&report, "n_wait is 0 and wait is not NULL");
  device_under_test other;
  device_open(&other);
  assert_status(CLATTN_INVALID_QUEUE, clattn_enqueue(f->plan, other.queue, f->bound, 4, 0, NULL, NULL, &report),
                &report);
  assert_says(&report, "the queue belongs to another cl_context than the plan's");
  device_close(&other);
}

static void host_bindings(void **state)
{
  fixture *f = *state;
  float y[SMALL_Y];
  clattn_report report;
  clattn_host_binding good[5] = {{.slot = CLATTN_Q, .data = f->small.q, .bytes = sizeof f->small.q},
                                 {.slot = CLATTN_K, .data = f->small.k, .bytes = sizeof f->small.k},
                                 {.slot = CLATTN_V, .data = f->small.v, .bytes = sizeof f->small.v},
                                 {.slot = CLATTN_Y, .data = y, .bytes = sizeof y}};
  assert_status(CLATTN_OK, clattn_run_host(f->plan, good, 4, &report), &report);
  small_check(&f->small, y);
  assert_status(CLATTN_OK, clattn_run_host(f->plan, good, 4, NULL), NULL);
#define HOST_REFUSED(edit, n, status, ...)                                                                             \
  do {                                                                                                                 \
    clattn_host_binding b[5];                                                                                          \
    memcpy(b, good, sizeof b);                                                                                         \
    edit;                                                                                                              \
    assert_status(status, clattn_run_host(f->plan, b, n, &report), &report);                                           \
    assert_says(&report, __VA_ARGS__);                                                                                 \
  } while (0)
  HOST_REFUSED(b[0].bytes--, 4, CLATTN_BUFFER_TOO_SMALL, "q: needs 768 bytes, its array has 767");
  HOST_REFUSED(b[3].bytes = 0, 4, CLATTN_BUFFER_TOO_SMALL, "y: needs 1152 bytes", "has 0");
  HOST_REFUSED(b[1].data = NULL, 4, CLATTN_INVALID_BINDING, "k: its data is NULL");
  HOST_REFUSED(b[1].slot = CLATTN_Q, 4, CLATTN_INVALID_BINDING, "q is bound twice");
  HOST_REFUSED(b[1].slot = 400, 4, CLATTN_INVALID_BINDING, "binding 1: slot is 400, must be 1 to 34");
  HOST_REFUSED(b[1].reserved = 1, 4, CLATTN_INVALID_BINDING, "k: reserved is 1");
  HOST_REFUSED((void)b, 3, CLATTN_INVALID_BINDING, "y is not bound");
  HOST_REFUSED((b[4] = b[3], b[4].slot = CLATTN_LSE), 5, CLATTN_INVALID_BINDING,
               "lse is bound, but the plan does not have it");
  HOST_REFUSED((b[4] = b[3], b[4].slot = CLATTN_WORKSPACE), 5, CLATTN_INVALID_BINDING,
               "workspace is bound, but clattn_run_host makes its own");
  assert_status(CLATTN_INVALID_ARGUMENT, clattn_run_host(NULL, good, 4, &report), &report);
  assert_says(&report, "plan is NULL");
  assert_status(CLATTN_INVALID_ARGUMENT, clattn_run_host(f->plan, NULL, 4, &report), &report);
  assert_says(&report, "bindings is NULL");
}

/* The slots that a plan lists are those that it takes. */
static void listed_slots(void **state)
{
  fixture *f = *state;
  static const int32_t order[] = {CLATTN_Q, CLATTN_K, CLATTN_V, CLATTN_Y, CLATTN_WORKSPACE};
  clattn_slot_info info = CLATTN_SLOT_INFO_INIT;
  for (uint32_t i = 0; i < 5; i++) {
    assert_int_equal(CLATTN_OK, clattn_plan_slot(f->plan, i, &info));
    assert_int_equal(info.slot, order[i]);
    assert_int_equal(info.output, i >= 3);
    assert_int_equal(info.optional, i == 4);
    assert_int_equal(info.align, 4);
  }
  assert_int_equal(info.bytes, clattn_plan_workspace_bytes(f->plan));
  assert_int_equal(CLATTN_INVALID_ARGUMENT, clattn_plan_slot(f->plan, 5, &info));
  assert_int_equal(CLATTN_INVALID_ARGUMENT, clattn_plan_slot(NULL, 0, &info));
  assert_int_equal(info.struct_size, sizeof info);
  info.struct_size--;
  assert_int_equal(CLATTN_INVALID_STRUCT, clattn_plan_slot(f->plan, 0, &info));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(missing_and_surplus),
      cmocka_unit_test(offsets_and_sizes),
      cmocka_unit_test(overlaps),
      cmocka_unit_test(overlapping_sub_buffers),
      cmocka_unit_test(buffers_of_the_wrong_kind),
      cmocka_unit_test(queues_and_wait_lists),
      cmocka_unit_test(host_bindings),
      cmocka_unit_test(listed_slots),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
