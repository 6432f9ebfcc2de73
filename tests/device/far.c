#define _DEFAULT_SOURCE /* MAP_ANONYMOUS, MAP_NORESERVE */
#include "far.h"

#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#include "asserts.h"
#include "numerics.h"

enum { ELEMENTS = 256, PAGE = 4096 };
#define FOUR_GIB ((int64_t)4 << 30)
#define MOST ((int64_t)9 << 30)

static int64_t count(const clattn_tensor *t)
{
  int64_t n = 1;
  for (int d = 0; d < t->rank; d++) n *= t->dim[d];
  return n;
}

static int64_t element_at(const clattn_tensor *t, int64_t dense_index)
{
  int64_t at = 0;
  for (int d = t->rank - 1; d >= 0; d--) {
    at += dense_index % t->dim[d] * t->stride[d];
    dense_index /= t->dim[d];
  }
  return at;
}

/* Order one, of either sign and different in every tensor; three mask elements of four are true. */
static double value_of(int32_t dtype, int32_t slot, int64_t i)
{
  if (dtype == CLATTN_BOOL) return i % 4 != 2;
  if (dtype == CLATTN_I64) return (double)(i % 3 + 1);
  return (double)((i * 37 + slot * 11) % 64) / 32.0 - 1.0;
}

/* Memory for a buffer that the kernel fills page by page as they are touched. */
static void *make_room(int64_t bytes)
{
  void *room = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  assert_true(room != MAP_FAILED);
  return room;
}

static cl_mem buffer_over(const device_under_test *d, void *room, int64_t bytes)
{
  cl_int code;
  const cl_mem buffer = clCreateBuffer(d->cl, CL_MEM_READ_WRITE | CL_MEM_USE_HOST_PTR, (size_t)bytes, room, &code);
  assert_cl(code);
  return buffer;
}

/* One run with the views as they are; every output's elements, dense, one after the other. */
static size_t run(const device_under_test *d, const far_problem *p, unsigned char *outputs)
{
  clattn_report report;
  clattn_plan *plan = NULL;
  clattn_binding b[FAR_TENSORS] = {{0}};
  void *room[FAR_TENSORS];
  int64_t bytes[FAR_TENSORS];
  size_t written = 0;
  assert_status(CLATTN_OK, p->plan(d->context, &plan, &report), &report);
  for (uint32_t i = 0; i < p->n; i++) {
    const clattn_tensor *t = p->tensor[i].view;
    const int64_t n = count(t);
    assert_true(n <= ELEMENTS);
    bytes[i] = (element_at(t, n - 1) + 1) * (int64_t)number_bytes(t->dtype);
    bytes[i] = (bytes[i] + PAGE - 1) / PAGE * PAGE;
    room[i] = make_room(bytes[i]);
    for (int64_t e = 0; e < n && !p->tensor[i].output; e++)
      number_store(t->dtype, room[i], element_at(t, e), value_of(t->dtype, p->tensor[i].slot, e));
    b[i] = (clattn_binding){.slot = p->tensor[i].slot, .mem = buffer_over(d, room[i], bytes[i])};
  }
  assert_status(CLATTN_OK, clattn_enqueue(plan, d->queue, b, p->n, 0, NULL, NULL, &report), &report);
  for (uint32_t i = 0; i < p->n; i++) {
    const clattn_tensor *t = p->tensor[i].view;
    const size_t element = number_bytes(t->dtype);
    for (int64_t e = 0; e < count(t) && p->tensor[i].output; e++, written += element)
      assert_cl(clEnqueueReadBuffer(d->queue, b[i].mem, CL_TRUE, (size_t)element_at(t, e) * element, element,
                                    outputs + written, 0, NULL, NULL));
  }
  assert_cl(clFinish(d->queue));
  for (uint32_t i = 0; i < p->n; i++) {
    assert_cl(clReleaseMemObject(b[i].mem));
    assert_int_equal(munmap(room[i], (size_t)bytes[i]), 0);
  }
  clattn_plan_destroy(plan);
  return written;
}

static int64_t largest_buffer(const device_under_test *d)
{
  cl_ulong bytes = 0;
  assert_cl(clGetDeviceInfo(d->id, CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof bytes, &bytes, NULL));
  return bytes < (cl_ulong)MOST ? (int64_t)bytes : MOST;
}

void test_far(const device_under_test *d, const far_problem *p)
{
  static unsigned char near[FAR_TENSORS * ELEMENTS * 8], far[FAR_TENSORS * ELEMENTS * 8];
  const int64_t largest = largest_buffer(d), sizes[] = {largest < FOUR_GIB ? largest : FOUR_GIB, largest};
  const size_t bytes = run(d, p, near);
  for (uint32_t i = 0; i < p->n; i++) {
    clattn_tensor *t = p->tensor[i].view;
    const int64_t element = (int64_t)number_bytes(t->dtype);
    for (int dim = 0; dim < t->rank; dim++)
      for (int size = 0; size < 2 && t->dim[dim] > 1 && !p->tensor[i].stays; size++) {
        const int64_t kept = t->stride[dim];
        t->stride[dim] = (sizes[size] - 2 * PAGE - count(t) * element) / (t->dim[dim] - 1) / element;
        memset(far, 0, bytes);
        run(d, p, far);
        if (memcmp(near, far, bytes) != 0)
          print_error("%s: elements along dimension %d at a distance of %" PRId64 " give other outputs\n",
                      clattn_slot_text((clattn_slot)p->tensor[i].slot), dim, t->stride[dim]);
        assert_memory_equal(near, far, bytes);
        t->stride[dim] = kept;
      }
  }
}
