#include "box.h"

#include <math.h>
#include <string.h>

#include "asserts.h"

enum { LEAD_ELEMS = 5, TAIL_ELEMS = 67, PATTERN = 0xA5, POISON = 0xFF };

/* Oclgrind 21.10 takes what a kernel writes for unwritten where the buffer's place served another before: under it no
 * buffer is released, the workspace is bound, and the run on host memory, which has buffers of its own, is left out. It
 * watches the ends of buffers itself, so they end with the view. */
static bool keeps_buffers(void) { return getenv("CLATTN_TEST_KEEP_BUFFERS") != NULL; }

/* Dimensions from the innermost in memory to the outermost. */
static void memory_order(int rank, box_layout layout, int order[4])
{
  for (int i = 0; i < rank; i++) order[i] = layout == LAYOUT_REVERSED ? i : rank - 1 - i;
  if (layout == LAYOUT_TOKENS && rank >= 3) {
    const int at = rank == 4 ? 1 : 0;
    const int kept = order[at];
    order[at] = order[at + 1];
    order[at + 1] = kept;
  }
}

static void make_strides(clattn_tensor *view, box_layout layout)
{
  static const int64_t gap[4] = {3, 7, 11, 0};
  const bool with_gaps = layout == LAYOUT_GAPS || layout == LAYOUT_SPREAD;
  int order[4];
  memory_order(view->rank, layout, order);
  int64_t step = layout == LAYOUT_SPREAD ? 2 : 1;
  for (int i = 0; i < view->rank; i++) {
    view->stride[order[i]] = step;
    const int64_t n = view->dim[order[i]];
    step = step * (n > 0 ? n : 1) + (with_gaps ? gap[i] : 0);
  }
  if (layout == LAYOUT_SHARED) view->stride[0] = 0;
  if (layout == LAYOUT_CONSTANT) view->stride[view->rank - 1] = 0;
}

int64_t box_count(const box *b)
{
  int64_t n = 1;
  for (int d = 0; d < b->view.rank; d++) n *= b->view.dim[d];
  return n;
}

/* Storage index of an element. */
static int64_t element_at(const box *b, int64_t dense_index)
{
  int64_t at = b->lead_elems;
  for (int d = b->view.rank - 1; d >= 0; d--) {
    at += dense_index % b->view.dim[d] * b->view.stride[d];
    dense_index /= b->view.dim[d];
  }
  return at;
}

void box_make(box *b, int32_t slot, int32_t dtype, int rank, const int64_t *dim, box_layout layout, bool output)
{
  clattn_tensor view = {.dtype = dtype, .rank = rank};
  for (int d = 0; d < rank; d++) view.dim[d] = dim[d];
  make_strides(&view, layout);
  box_make_view(b, slot, &view, layout == LAYOUT_DENSE ? 0 : LEAD_ELEMS, output);
}

void box_make_view(box *b, int32_t slot, const clattn_tensor *view, int64_t lead_elems, bool output)
{
  *b = (box){.view = *view, .slot = slot, .output = output, .lead_elems = lead_elems, .exact_infinities = true};
  int64_t span = 1;
  for (int d = 0; d < view->rank; d++) span += view->dim[d] > 0 ? (view->dim[d] - 1) * view->stride[d] : 0;
  b->all_elems = b->lead_elems + span + (keeps_buffers() ? 0 : TAIL_ELEMS);
  b->storage = test_alloc(box_bytes(b));
  memset(b->storage, output ? PATTERN : POISON, box_bytes(b));
  b->dense = test_alloc(sizeof *b->dense * (size_t)box_count(b));
  if (output) b->allowed = test_alloc(sizeof *b->allowed * (size_t)box_count(b));
}

void box_free(box *b)
{
  free(b->storage);
  free(b->dense);
  free(b->allowed);
}

void box_put(box *b, int64_t dense_index, double value)
{
  number_store(b->view.dtype, b->storage, element_at(b, dense_index), value);
}

void box_gather(box *b)
{
  for (int64_t i = 0; i < box_count(b); i++) b->dense[i] = number_load(b->view.dtype, b->storage, element_at(b, i));
}

size_t box_bytes(const box *b) { return (size_t)b->all_elems * number_bytes(b->view.dtype); }

size_t box_offset_bytes(const box *b) { return (size_t)b->lead_elems * number_bytes(b->view.dtype); }

static void check_canaries(const box *b, const unsigned char *storage, const char *problem)
{
  const size_t element = number_bytes(b->view.dtype);
  unsigned char *inside = test_alloc((size_t)b->all_elems);
  for (int64_t i = 0; i < box_count(b); i++) inside[element_at(b, i)] = 1;
  for (size_t byte = 0; byte < box_bytes(b); byte++) {
    if (inside[byte / element] || storage[byte] == PATTERN) continue;
    print_error("slot %d: byte %zu lies outside the view (first element at byte %zu) but was overwritten with 0x%02x\n"
                "  problem: %s\n",
                (int)b->slot, byte, box_offset_bytes(b), storage[byte], problem);
    fail();
  }
  free(inside);
}

void box_check(const box *b, const void *storage, const char *problem)
{
  const int64_t n = box_count(b);
  double *got = test_alloc(sizeof *got * (size_t)n);
  for (int64_t i = 0; i < n; i++) got[i] = number_load(b->view.dtype, storage, element_at(b, i));
  closeness c = {.what = clattn_slot_text((clattn_slot)b->slot),
                 .problem = problem,
                 .rank = b->view.rank,
                 .exact_infinities = b->exact_infinities};
  memcpy(c.dim, b->view.dim, sizeof c.dim);
  const bool close = is_close(&c, got, b->dense, b->allowed);
  free(got);
  if (!close) fail();
  check_canaries(b, storage, problem);
}

/* Every output gets its own copy of the storage, so that the pattern is there again for the next run. */
static unsigned char *copy_of(const box *b)
{
  unsigned char *copy = test_alloc(box_bytes(b));
  memcpy(copy, b->storage, box_bytes(b));
  return copy;
}

static void run_on_host(const clattn_plan *plan, const box *boxes, uint32_t n, unsigned char **results,
                        const char *problem)
{
  clattn_report report;
  clattn_host_binding bindings[CLATTN_SLOT_COUNT];
  for (uint32_t i = 0; i < n; i++) {
    results[i] = copy_of(&boxes[i]);
    bindings[i] = (clattn_host_binding){.slot = boxes[i].slot,
                                        .data = results[i] + box_offset_bytes(&boxes[i]),
                                        .bytes = box_bytes(&boxes[i]) - box_offset_bytes(&boxes[i])};
  }
  const clattn_status status = clattn_run_host(plan, bindings, n, &report);
  if (status != CLATTN_OK) print_error("problem: %s\n", problem);
  assert_status(CLATTN_OK, status, &report);
}

static void run_on_buffers(const device_under_test *d, const clattn_plan *plan, const box *boxes, uint32_t n,
                           unsigned char **results, const char *problem)
{
  clattn_report report;
  clattn_binding bindings[CLATTN_SLOT_COUNT + 1] = {{0}};
  uint32_t n_bound = n;
  const size_t workspace = clattn_plan_workspace_bytes(plan);
  for (uint32_t i = 0; i < n; i++)
    bindings[i] = (clattn_binding){.slot = boxes[i].slot,
                                   .offset_bytes = box_offset_bytes(&boxes[i]),
                                   .mem = device_buffer(d, box_bytes(&boxes[i]), boxes[i].storage)};
  if (keeps_buffers() && workspace)
    bindings[n_bound++] = (clattn_binding){.slot = CLATTN_WORKSPACE, .mem = device_buffer(d, workspace, NULL)};
  cl_event done = NULL;
  const clattn_status status = clattn_enqueue(plan, d->unordered, bindings, n_bound, 0, NULL, &done, &report);
  if (status != CLATTN_OK) print_error("problem: %s\n", problem);
  assert_status(CLATTN_OK, status, &report);
  assert_cl(clWaitForEvents(1, &done));
  assert_cl(clReleaseEvent(done));
  for (uint32_t i = 0; i < n; i++) {
    results[i] = test_alloc(box_bytes(&boxes[i]));
    device_read(d, bindings[i].mem, box_bytes(&boxes[i]), results[i]);
    if (!keeps_buffers()) assert_cl(clReleaseMemObject(bindings[i].mem));
  }
}

void boxes_run(const device_under_test *d, const clattn_plan *plan, const box *boxes, uint32_t n, const char *problem)
{
  unsigned char *on_host[CLATTN_SLOT_COUNT] = {0}, *on_device[CLATTN_SLOT_COUNT];
  if (!keeps_buffers()) run_on_host(plan, boxes, n, on_host, problem);
  run_on_buffers(d, plan, boxes, n, on_device, problem);
  for (uint32_t i = 0; i < n; i++) {
    if (boxes[i].output) box_check(&boxes[i], on_device[i], problem);
    if (boxes[i].output && on_host[i]) box_check(&boxes[i], on_host[i], problem);
    const void *other = on_host[i] ? on_host[i] : boxes[i].output ? on_device[i] : boxes[i].storage;
    if (memcmp(other, on_device[i], box_bytes(&boxes[i])) != 0) {
      print_error("slot %s: %s\n  problem: %s\n", clattn_slot_text((clattn_slot)boxes[i].slot),
                  boxes[i].output ? "the two runs differ in bits" : "a run changed its input", problem);
      fail();
    }
    free(on_host[i]);
    free(on_device[i]);
  }
}
