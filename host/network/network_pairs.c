/* The strongest one-way pairs. P[i,j] and P[j,i] meet in two blocks: rows i, i + 1, ... of a band with the keys from i
 * on, and the rows from i on with the band's keys. So each element of P is made once, and of memory there are two
 * blocks. What is kept is a heap, the weakest on top. */
#include <math.h>
#include <stdlib.h>

#include "ca_network.h"

#define BLOCK_BYTES ((int64_t)8 << 20)

enum { AT_Q, AT_K, AT_LSE, AT_MASK, INPUTS };
static const int32_t input_slot[INPUTS] = {CLATTN_Q, CLATTN_K, CLATTN_LSE, CLATTN_MASK};

typedef struct pair_run {
  const ca_network *network;
  cl_command_queue queue;
  cl_mem input[INPUTS], block_mem[2];
  void *block[2]; /* [B,band,S - i] of its rows, [B,S - i,band] of its keys */
  size_t block_bytes;
  int64_t band;
} pair_run;

static double strength(const clattn_network_pair *p) { return p->weight - p->back; }

/* Whether a is weaker than b: of equal ones the later. */
static bool is_weaker(const clattn_network_pair *a, const clattn_network_pair *b)
{
  const double x = strength(a), y = strength(b);
  if (x != y) return x < y;
  return a->from != b->from ? a->from > b->from : a->to > b->to;
}

/* Puts p where the weakest of n was, and lets it sink. */
static void sink(clattn_network_pair *heap, int64_t n, int64_t at, clattn_network_pair p)
{
  for (int64_t child; (child = 2 * at + 1) < n; at = child) {
    if (child + 1 < n && is_weaker(&heap[child + 1], &heap[child])) child++;
    if (!is_weaker(&heap[child], &p)) break;
    heap[at] = heap[child];
  }
  heap[at] = p;
}

static void rise(clattn_network_pair *heap, int64_t at, clattn_network_pair p)
{
  for (; at > 0 && is_weaker(&p, &heap[(at - 1) / 2]); at = (at - 1) / 2) heap[at] = heap[(at - 1) / 2];
  heap[at] = p;
}

/* What a pair has to have to be kept: 0 while there is room. */
static double least_of(const pair_run *run, int64_t head)
{
  const int64_t n = run->network->desc->n_pairs;
  return ca_network_head(run->network, head)->pairs < (uint64_t)n ? 0.0
                                                                  : strength(run->network->desc->pairs + head * n);
}

static void keep(const pair_run *run, int64_t head, int64_t i, int64_t j, double there, double back)
{
  clattn_network_head *h = ca_network_head(run->network, head);
  const int64_t n = run->network->desc->n_pairs;
  clattn_network_pair *heap = run->network->desc->pairs + head * n;
  const clattn_network_pair p =
      there > back ? (clattn_network_pair){i, j, there, back} : (clattn_network_pair){j, i, back, there};
  if (h->pairs < (uint64_t)n)
    rise(heap, h->pairs++, p);
  else if (is_weaker(&heap[0], &p))
    sink(heap, n, 0, p);
}

/* From a heap to falling order. */
static void put_in_order(const pair_run *run, int64_t head)
{
  clattn_network_pair *heap = run->network->desc->pairs + head * run->network->desc->n_pairs;
  for (int64_t n = (int64_t)ca_network_head(run->network, head)->pairs - 1; n > 0; n--) {
    const clattn_network_pair weakest = heap[0], last = heap[n];
    sink(heap, n, 0, last);
    heap[n] = weakest;
  }
}

/* What both blocks of a band have of batch item b; `rest` tokens from `first` on. Almost all pairs are too weak. */
#define COMPARE(name, type)                                                                                            \
  static void name(const pair_run *run, int64_t head, int64_t b, int64_t first, int64_t rows, int64_t rest)            \
  {                                                                                                                    \
    const type *there = (const type *)run->block[0] + b * rows * rest;                                                 \
    const type *back = (const type *)run->block[1] + b * rest * rows;                                                  \
    double least = least_of(run, head);                                                                                \
    for (int64_t j = 1; j < rest; j++)                                                                                 \
      for (int64_t i = 0; i < rows && i < j; i++) {                                                                    \
        const double x = (double)there[i * rest + j], y = (double)back[j * rows + i], size = fabs(x - y);              \
        if (!(size >= least && size > 0.0)) continue; /* or no numbers */                                              \
        keep(run, head, first + i, first + j, x, y);                                                                   \
        least = least_of(run, head);                                                                                   \
      }                                                                                                                \
  }
COMPARE(compare_floats, float)
COMPARE(compare_doubles, double)

/* One block of a head into its buffer. */
static clattn_status enqueue_block(const pair_run *run, int which, clattn_map_desc *desc, const int64_t dim[4],
                                   clattn_report *report)
{
  clattn_plan *plan = NULL;
  clattn_binding b[INPUTS + 1] = {{.slot = CLATTN_MAP, .mem = run->block_mem[which]}};
  uint32_t n = 1;
  CA_TRY(ca_network_plan(run->network, desc, dim, &plan, report));
  for (int i = 0; i < INPUTS; i++)
    if (run->input[i]) b[n++] = (clattn_binding){.slot = input_slot[i], .mem = run->input[i]};
  const clattn_status status = clattn_enqueue(plan, run->queue, b, n, 0, NULL, NULL, report);
  clattn_plan_destroy(plan); /* what is under way is not disturbed */
  CA_TRY(status);
  const size_t bytes = (size_t)(dim[0] * dim[2] * dim[3]) * ca_dtype_bytes(run->network->real);
  const cl_int error =
      clEnqueueReadBuffer(run->queue, run->block_mem[which], CL_TRUE, 0, bytes, run->block[which], 0, NULL, NULL);
  return error ? ca_fail_cl(report, error, "%s: reading %zu bytes", ca_slot_text(CLATTN_MAP), bytes) : CLATTN_OK;
}

static clattn_status run_band(const pair_run *run, int64_t h, int64_t first, clattn_report *report)
{
  const ca_map_problem *map = &run->network->problem->map;
  const int64_t rest = map->rows - first, rows = run->band < rest ? run->band : rest;
  clattn_map_desc desc = CLATTN_MAP_DESC_INIT;
  desc.head_first = h;
  desc.head_count = 1;
  desc.row_first = desc.key_first = first;
  desc.row_count = rows;
  CA_TRY(enqueue_block(run, 0, &desc, (const int64_t[4]){map->b, 1, rows, rest}, report));
  desc.row_count = 0;
  desc.key_count = rows;
  CA_TRY(enqueue_block(run, 1, &desc, (const int64_t[4]){map->b, 1, rest, rows}, report));
  for (int64_t b = 0; b < map->b; b++)
    (run->network->real == CLATTN_F64 ? compare_doubles : compare_floats)(run, b * map->heads + h, b, first, rows,
                                                                          rest);
  return CLATTN_OK;
}

static clattn_status upload(pair_run *run, clattn_report *report)
{
  const ca_network *network = run->network;
  for (int i = 0; i < INPUTS; i++) {
    const ca_tensor *t = &network->problem->tensor[input_slot[i]];
    const size_t bytes = (size_t)t->span_elems * ca_dtype_bytes(t->dtype);
    if (!t->present) continue;
    cl_int error;
    run->input[i] =
        clCreateBuffer(clattn_context_cl_context(network->context), CL_MEM_READ_ONLY, bytes ? bytes : 1, NULL, &error);
    if (error) return ca_fail_cl(report, error, "%s: a buffer of %zu bytes", ca_slot_text(input_slot[i]), bytes);
    if (bytes)
      error = clEnqueueWriteBuffer(run->queue, run->input[i], CL_TRUE, 0, bytes,
                                   ca_network_bound(network, input_slot[i]), 0, NULL, NULL);
    if (error) return ca_fail_cl(report, error, "%s: writing %zu bytes", ca_slot_text(input_slot[i]), bytes);
  }
  return CLATTN_OK;
}

static clattn_status make_blocks(pair_run *run, clattn_report *report)
{
  for (int i = 0; i < 2; i++) {
    cl_int error;
    run->block[i] = malloc(run->block_bytes);
    if (!run->block[i])
      return ca_fail(report, CLATTN_OUT_OF_HOST_MEMORY, "no memory for a block of %zu bytes", run->block_bytes);
    run->block_mem[i] = clCreateBuffer(clattn_context_cl_context(run->network->context), CL_MEM_READ_WRITE,
                                       run->block_bytes, NULL, &error);
    if (error)
      return ca_fail_cl(report, error, "%s: a buffer of %zu bytes", ca_slot_text(CLATTN_MAP), run->block_bytes);
  }
  return CLATTN_OK;
}

static clattn_status run_all(pair_run *run, clattn_report *report)
{
  const ca_map_problem *map = &run->network->problem->map;
  CA_TRY(upload(run, report));
  CA_TRY(make_blocks(run, report));
  for (int64_t h = 0; h < map->heads; h++) {
    for (int64_t first = 0; first < map->rows; first += run->band) CA_TRY(run_band(run, h, first, report));
    for (int64_t b = 0; b < map->b; b++) put_in_order(run, b * map->heads + h);
  }
  return CLATTN_OK;
}

clattn_status ca_network_pairs(const ca_network *network, clattn_report *report)
{
  const ca_map_problem *map = &network->problem->map;
  const int64_t row_bytes = map->b * map->rows * (int64_t)ca_dtype_bytes(network->real);
  pair_run run = {.network = network, .band = BLOCK_BYTES / row_bytes};
  if (run.band < 1) run.band = 1;
  if (run.band > map->rows) run.band = map->rows;
  run.block_bytes = (size_t)(run.band * row_bytes);
  cl_int error;
  run.queue = clCreateCommandQueue(clattn_context_cl_context(network->context),
                                   clattn_context_cl_device(network->context), 0, &error);
  if (error) return ca_fail_cl(report, error, "clCreateCommandQueue");
  clattn_status status = run_all(&run, report);
  const cl_int finish = clFinish(run.queue);
  if (status == CLATTN_OK && finish) status = ca_fail_cl(report, finish, "waiting for the run");
  for (int i = 0; i < 2; i++) {
    free(run.block[i]);
    if (run.block_mem[i]) clReleaseMemObject(run.block_mem[i]);
  }
  for (int i = 0; i < INPUTS; i++)
    if (run.input[i]) clReleaseMemObject(run.input[i]);
  clReleaseCommandQueue(run.queue);
  return status;
}
