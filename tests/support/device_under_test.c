#include "device_under_test.h"

#include "asserts.h"

void assert_cl_at(cl_int code, const char *call, const char *file, int line)
{
  if (code == CL_SUCCESS) return;
  print_error("%s:%d: %s gave %d\n", file, line, call, (int)code);
  fail();
}

/* OpenCL 1.2's call: it is what the library promises to work with, and newer loaders only deprecate it. */
static cl_command_queue make_queue(const device_under_test *d, cl_command_queue_properties properties)
{
  cl_int code;
  cl_command_queue queue = clCreateCommandQueue(d->cl, d->id, properties, &code);
  assert_cl(code);
  return queue;
}

void device_open(device_under_test *d)
{
  clattn_report *report = test_alloc(sizeof *report);
  assert_status(CLATTN_OK, clattn_context_pick(NULL, NULL, &d->context, report), report);
  free(report);
  d->cl = clattn_context_cl_context(d->context);
  d->id = clattn_context_cl_device(d->context);
  cl_command_queue_properties able = 0;
  assert_cl(clGetDeviceInfo(d->id, CL_DEVICE_QUEUE_PROPERTIES, sizeof able, &able, NULL));
  d->queue = make_queue(d, 0);
  d->unordered = make_queue(d, able & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE);
}

void device_close(device_under_test *d)
{
  clReleaseCommandQueue(d->queue);
  clReleaseCommandQueue(d->unordered);
  clattn_context_destroy(d->context);
}

int device_setup(void **state)
{
  device_under_test *d = test_alloc(sizeof *d);
  device_open(d);
  *state = d;
  return 0;
}

int device_teardown(void **state)
{
  device_close(*state);
  free(*state);
  return 0;
}

cl_mem device_buffer(const device_under_test *d, size_t bytes, const void *data)
{
  cl_int code;
  cl_mem buffer = clCreateBuffer(d->cl, CL_MEM_READ_WRITE, bytes ? bytes : 1, NULL, &code);
  assert_cl(code);
  if (data && bytes) {
    /* Blocking only frees `data` for the caller: a run on another queue could still come before the write. */
    assert_cl(clEnqueueWriteBuffer(d->queue, buffer, CL_TRUE, 0, bytes, data, 0, NULL, NULL));
    assert_cl(clFinish(d->queue));
  }
  return buffer;
}

void device_read(const device_under_test *d, cl_mem buffer, size_t bytes, void *data)
{
  if (bytes) assert_cl(clEnqueueReadBuffer(d->queue, buffer, CL_TRUE, 0, bytes, data, 0, NULL, NULL));
}

bool device_has_f64(const device_under_test *d)
{
  cl_device_fp_config config = 0;
  const cl_int code = clGetDeviceInfo(d->id, CL_DEVICE_DOUBLE_FP_CONFIG, sizeof config, &config, NULL);
  return code == CL_SUCCESS && config != 0;
}
