/* A box: a tensor for a test, with its storage, what lies around its elements, and what is expected in it. */
#ifndef TESTS_BOX_H
#define TESTS_BOX_H

#include <stdbool.h>

#include "clattn/types.h"
#include "device_under_test.h"
#include "numerics.h"
#include "problem_text.h"

/* Where the elements lie, as problem texts name it. */
typedef enum box_layout {
  LAYOUT_DENSE = PROBLEM_LAYOUT_dense,       /* outermost first: [B,H,S,D] */
  LAYOUT_TOKENS = PROBLEM_LAYOUT_tokens,     /* the two middle dimensions swapped: [B,S,H,D]; of rank 3 the last two */
  LAYOUT_GAPS = PROBLEM_LAYOUT_gaps,         /* dense order, but something else lies between rows, heads and batches */
  LAYOUT_SPREAD = PROBLEM_LAYOUT_spread,     /* with gaps, and every other element in the innermost dimension */
  LAYOUT_REVERSED = PROBLEM_LAYOUT_reversed, /* innermost first: channels are farthest apart */
  LAYOUT_SHARED = PROBLEM_LAYOUT_shared,     /* inputs: dense, and the outermost dimension has stride 0 */
  LAYOUT_CONSTANT = PROBLEM_LAYOUT_constant, /* inputs: dense, and the innermost dimension has stride 0 */
  LAYOUT_COUNT = PROBLEM_LAYOUT_COUNT
} box_layout;

typedef struct box {
  clattn_tensor view;
  int32_t slot;
  bool output;
  int64_t lead_elems; /* before the first element */
  int64_t all_elems;  /* of the storage */
  void *storage;
  double *dense;   /* inputs: the stored values; outputs: what is expected */
  double *allowed; /* outputs: the largest error */
  bool exact_infinities;
} box;

/* Makes the view and the storage: NaN (bool: true, int64: -1) wherever there is no element of an input, a pattern
 * everywhere in an output. */
void box_make(box *b, int32_t slot, int32_t dtype, int rank, const int64_t *dim, box_layout layout, bool output);

/* The same for a view of any strides, whose first element has this many others before it. */
void box_make_view(box *b, int32_t slot, const clattn_tensor *view, int64_t lead_elems, bool output);
void box_free(box *b);

int64_t box_count(const box *b); /* elements of the view */

/* Puts a value at an element, by its dense index, rounded to the box's type. */
void box_put(box *b, int64_t dense_index, double value);

/* Reads what is stored into b->dense (inputs, after box_put: views may share elements). */
void box_gather(box *b);

/* Fails the test if `storage`, read back from a run, differs from what is expected, or if a byte around the
 * elements changed. `problem` repeats the case. */
void box_check(const box *b, const void *storage, const char *problem);

size_t box_bytes(const box *b); /* of the storage */
size_t box_offset_bytes(const box *b);

/* Runs a plan on all boxes, once on host memory and once on buffers with offsets, and checks the outputs of both; the
 * two runs must agree bit by bit. */
void boxes_run(const device_under_test *d, const clattn_plan *plan, const box *boxes, uint32_t n, const char *problem);

#endif
