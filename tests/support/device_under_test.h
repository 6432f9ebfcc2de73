/* The device under test: a context of the library's choice and queues on it. */
#ifndef TESTS_DEVICE_UNDER_TEST_H
#define TESTS_DEVICE_UNDER_TEST_H

#include <stdbool.h>

#include "clattn/clattn.h"

typedef struct device_under_test {
  clattn_context *context;
  cl_context cl;
  cl_device_id id;
  cl_command_queue queue;     /* in order */
  cl_command_queue unordered; /* out of order where the device can, else in order */
} device_under_test;

/* Group fixtures for cmocka: *state is the device_under_test. They fail where there is no device. */
int device_setup(void **state);
int device_teardown(void **state);

void device_open(device_under_test *d);
void device_close(device_under_test *d);

/* Whether the device computes in float64. */
bool device_has_f64(const device_under_test *d);

/* Buffers on it; a failed call fails the test. data may be NULL. */
cl_mem device_buffer(const device_under_test *d, size_t bytes, const void *data);
void device_read(const device_under_test *d, cl_mem buffer, size_t bytes, void *data);

/* Fails the test unless an OpenCL call gave CL_SUCCESS. */
#define assert_cl(call) assert_cl_at(call, #call, __FILE__, __LINE__)
void assert_cl_at(cl_int code, const char *call, const char *file, int line);

#endif
