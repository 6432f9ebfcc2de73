/* Elements far apart: one dimension of one tensor at a time is stretched over as large a buffer as there may be, so
 * that an index of 32 bits misses it. Pages in between are never touched. */
#ifndef TESTS_FAR_H
#define TESTS_FAR_H

#include "device_under_test.h"

enum { FAR_TENSORS = 12 };

/* A small problem: its views are those of a descriptor that `plan` knows, dense at first. */
typedef struct far_problem {
  uint32_t n;
  struct {
    int32_t slot;
    clattn_tensor *view; /* its strides are changed and put back */
    bool output;
    bool stays; /* is not stretched */
  } tensor[FAR_TENSORS];
  clattn_status (*plan)(clattn_context *context, clattn_plan **plan, clattn_report *report);
} far_problem;

/* Runs it as it is, then with each dimension of each tensor stretched to a little less than 4 GiB and to the device's
 * largest buffer (9 GiB at most): the outputs must agree bit by bit. */
void test_far(const device_under_test *d, const far_problem *p);

#endif
