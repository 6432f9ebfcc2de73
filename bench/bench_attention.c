/* Times attention problems beside the device's own FMA peak and the rate at which it reads memory:
 * bench_attention [--rounds N] [--cpu-time] [--variant ID] PROBLEM...
 * Problems are texts as tests and the command take them. In each round the peaks are measured, then every problem, so
 * that a machine whose speed drifts bends all alike; medians are told. Causal problems count the pairs they attend.
 * Bytes are those of K and V, each read once. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clattn/clattn.h"
#include "problem_text.h"

enum { MOST_PROBLEMS = 64, MOST_ROUNDS = 101, PEAK_ROUNDS = 1000000, PEAK_OPS = 2 * 16 * 12, SOURCE_BYTES = 4096 };
enum { READ_BYTES = 1 << 28, VECTOR_BYTES = 64 }; /* what is read lies far outside of all caches */

/* A timing lasts at least about as long as this many operations take at a GFLOP/s per million. */
static const double ops_of_a_timing = 3e9;

typedef struct timed {
  const char *text;
  clattn_plan *plan;
  clattn_binding binding[CLATTN_SLOT_COUNT];
  uint32_t n_bindings;
  double ops, kv_bytes, ms[MOST_ROUNDS];
} timed;

typedef struct bench {
  clattn_context *context;
  cl_context cl;
  cl_device_id device;
  cl_command_queue queue;
  cl_kernel peak, read;
  cl_mem peak_out, read_from;
  size_t units;
  double peak_gflops[MOST_ROUNDS], read_gbytes[MOST_ROUNDS];
  timed problem[MOST_PROBLEMS];
  int n_problems, rounds, cpu_time;
} bench;

/* Wall time; or, for a machine that others use too, this process's CPU time, shared by the device's units. */
static double now_ms(const bench *b)
{
  if (b->cpu_time) return (double)clock() * 1e3 / (double)CLOCKS_PER_SEC / (double)b->units;
  struct timespec t;
  timespec_get(&t, TIME_UTC);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static int compare(const void *a, const void *b)
{
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median(double *values, int n)
{
  qsort(values, (size_t)n, sizeof *values, compare);
  return values[n / 2];
}

static void check(int good, const char *what, const char *why)
{
  if (good) return;
  fprintf(stderr, "bench_attention: %s: %s\n", what, why);
  exit(1);
}

static cl_kernel make_kernel(const bench *b, const char *path, const char *name)
{
  char source[SOURCE_BYTES] = {0};
  FILE *file = fopen(path, "rb");
  check(file && fread(source, 1, sizeof source - 1, file) > 0, path, "cannot be read");
  fclose(file);
  const char *text = source;
  cl_int error;
  cl_kernel kernel = NULL;
  cl_program program = clCreateProgramWithSource(b->cl, 1, &text, NULL, &error);
  if (!error) error = clBuildProgram(program, 1, &b->device, "-cl-std=CL1.2", NULL, NULL);
  if (!error) kernel = clCreateKernel(program, name, &error);
  check(!error, path, "does not build");
  clReleaseProgram(program);
  return kernel;
}

static void open_device(bench *b)
{
  clattn_report report;
  check(!clattn_context_pick(NULL, NULL, &b->context, &report), "no device", report.message);
  b->cl = clattn_context_cl_context(b->context);
  b->device = clattn_context_cl_device(b->context);
  cl_int error;
  b->queue = clCreateCommandQueue(b->cl, b->device, 0, &error);
  check(!error, "clCreateCommandQueue", "failed");
  b->peak = make_kernel(b, CLATTN_BENCH_KERNELS "/peak.cl", "peak");
  b->read = make_kernel(b, CLATTN_BENCH_KERNELS "/read.cl", "read_all");
  cl_uint units = 1;
  clGetDeviceInfo(b->device, CL_DEVICE_MAX_COMPUTE_UNITS, sizeof units, &units, NULL);
  b->units = units;
  b->peak_out = clCreateBuffer(b->cl, CL_MEM_READ_WRITE, units * 16 * sizeof(float), NULL, &error);
  if (!error) b->read_from = clCreateBuffer(b->cl, CL_MEM_READ_WRITE, READ_BYTES, NULL, &error);
  const float one = 1.0f; /* written, so that every page is there */
  if (!error) error = clEnqueueFillBuffer(b->queue, b->read_from, &one, sizeof one, 0, READ_BYTES, 0, NULL, NULL);
  check(!error && !clFinish(b->queue), "clCreateBuffer", "failed");
}

/* Pairs of a query and a key that it attends. */
static double count_pairs(const problem_text *p)
{
  if (!p->causal) return (double)p->sq * (double)(p->past + p->sk);
  double pairs = 0;
  const int64_t keys = p->past + p->sk, offset = p->offset == PROBLEM_NO_OFFSET ? p->past : p->offset;
  for (int64_t i = 0; i < p->sq; i++) {
    const int64_t end = i + offset + 1;
    pairs += (double)(end < 0 ? 0 : end < keys ? end : keys);
  }
  return pairs;
}

/* An input of the problem, if it has it: its view, and its buffer among the bindings. */
static void add_input(const bench *b, timed *t, const st_file *file, const char *name, int32_t slot,
                      clattn_tensor *view)
{
  const st_tensor *tensor = st_find(file, name);
  if (!tensor) return;
  cl_int error = CL_SUCCESS;
  const size_t bytes = tensor->bytes ? tensor->bytes : 1;
  cl_mem mem = clCreateBuffer(b->cl, CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR, bytes, tensor->data, &error);
  check(!error, t->text, "no buffer for its tensors");
  *view = clattn_dense((clattn_dtype)st_type_dtype(tensor->type), tensor->rank, tensor->dim);
  t->binding[t->n_bindings++] = (clattn_binding){.slot = slot, .mem = mem};
}

static void add_inputs(const bench *b, timed *t, const problem_text *p, clattn_attention_desc *desc)
{
  st_error why;
  st_file file = {0};
  check(problem_fill(p, &file, &why), t->text, why.text);
  add_input(b, t, &file, "Q", CLATTN_Q, &desc->q);
  add_input(b, t, &file, "K", CLATTN_K, &desc->k);
  add_input(b, t, &file, "V", CLATTN_V, &desc->v);
  add_input(b, t, &file, "attn_mask", CLATTN_MASK, &desc->mask);
  add_input(b, t, &file, "past_key", CLATTN_PAST_KEY, &desc->past_key);
  add_input(b, t, &file, "past_value", CLATTN_PAST_VALUE, &desc->past_value);
  add_input(b, t, &file, "nonpad_kv_seqlen", CLATTN_NONPAD_KV_SEQLEN, &desc->nonpad_kv_seqlen);
  st_free(&file);
}

static void add_room(const bench *b, timed *t, int32_t slot, size_t bytes)
{
  cl_int error = CL_SUCCESS;
  cl_mem mem = clCreateBuffer(b->cl, 0, bytes ? bytes : 1, NULL, &error);
  check(!error, t->text, "no buffer for its outputs");
  t->binding[t->n_bindings++] = (clattn_binding){.slot = slot, .mem = mem};
}

static void add_output(const bench *b, timed *t, int32_t slot, int64_t dtype, int rank, const int64_t *dim,
                       clattn_tensor *view)
{
  size_t count = 1;
  for (int d = 0; d < rank; d++) count *= (size_t)dim[d];
  *view = clattn_dense((clattn_dtype)dtype, rank, dim);
  add_room(b, t, slot, count * clattn_dtype_bytes((clattn_dtype)dtype));
}

static void add_outputs(const bench *b, timed *t, const problem_text *p, clattn_attention_desc *desc)
{
  const int64_t keys = p->past + p->sk, y[] = {p->b, p->hq, p->sq, p->dv}, qk[] = {p->b, p->hq, p->sq, keys};
  const int64_t key[] = {p->b, p->hk, keys, p->dk}, value[] = {p->b, p->hk, keys, p->dv};
  add_output(b, t, CLATTN_Y, p->y_type, 4, y, &desc->y);
  if (p->lse) add_output(b, t, CLATTN_LSE, p->lse_type, 3, y, &desc->lse);
  if (p->qk >= 0) add_output(b, t, CLATTN_QK, p->qk_type, 4, qk, &desc->qk);
  if (p->present & PROBLEM_PRESENT_KEY) add_output(b, t, CLATTN_PRESENT_KEY, p->k_type, 4, key, &desc->present_key);
  if (p->present & PROBLEM_PRESENT_VALUE)
    add_output(b, t, CLATTN_PRESENT_VALUE, p->v_type, 4, value, &desc->present_value);
}

static void set_attributes(const problem_text *p, clattn_attention_desc *desc)
{
  const bool has_offset = p->offset != PROBLEM_NO_OFFSET;
  desc->flags = (p->causal ? CLATTN_CAUSAL : 0) | (has_offset ? CLATTN_QUERY_OFFSET : 0);
  desc->query_offset = has_offset ? p->offset : 0;
  desc->scale = p->scale;
  desc->softcap = p->softcap;
  desc->window_left = p->left;
  desc->window_right = p->right;
  desc->qk_mode = p->qk >= 0 ? (int32_t)p->qk : 0;
  desc->softmax_precision = (int32_t)p->precision;
  desc->path = (int32_t)p->path;
}

/* Dense tensors of numbers are timed. */
static void take_problem(const char *text, problem_text *p)
{
  static const char *const keys[] = {"q_layout",   "k_layout",  "v_layout", "y_layout", "mask_layout",
                                     "lse_layout", "qk_layout", "poison",   NULL};
  char dropped[PROBLEM_TEXT_BYTES];
  st_error why;
  check(problem_parse(text, p, &why), text, why.text);
  problem_drop(p, keys, dropped);
  if (dropped[0]) fprintf(stderr, "bench_attention: %s: not honoured here: %s\n", text, dropped);
}

static void add_problem(bench *b, const char *text, const char *variant)
{
  timed *t = &b->problem[b->n_problems++];
  problem_text p;
  clattn_report report;
  char id[PROBLEM_VARIANT_BYTES];
  clattn_attention_desc desc = CLATTN_ATTENTION_DESC_INIT;
  t->text = text;
  take_problem(text, &p);
  add_inputs(b, t, &p, &desc);
  add_outputs(b, t, &p, &desc);
  set_attributes(&p, &desc);
  desc.variant = variant ? variant : problem_variant(&p, id);
  check(!clattn_plan_attention(b->context, &desc, &t->plan, &report), text, report.message);
  const size_t workspace = clattn_plan_workspace_bytes(t->plan);
  if (workspace) add_room(b, t, CLATTN_WORKSPACE, workspace);
  t->ops = 2.0 * (double)(p.b * p.hq) * count_pairs(&p) * (double)(p.dk + p.dv);
  t->kv_bytes =
      (double)(p.b * p.hk * (p.past + p.sk)) * ((double)p.dk * (double)clattn_dtype_bytes((clattn_dtype)p.k_type) +
                                                (double)p.dv * (double)clattn_dtype_bytes((clattn_dtype)p.v_type));
}

static void time_peak(bench *b, int round)
{
  const int rounds = PEAK_ROUNDS;
  const float start = 0.5f;
  clSetKernelArg(b->peak, 0, sizeof b->peak_out, &b->peak_out);
  clSetKernelArg(b->peak, 1, sizeof rounds, &rounds);
  clSetKernelArg(b->peak, 2, sizeof start, &start);
  const size_t one = 1;
  const double begin = now_ms(b);
  check(!clEnqueueNDRangeKernel(b->queue, b->peak, 1, NULL, &b->units, &one, 0, NULL, NULL) && !clFinish(b->queue),
        "the peak", "does not run");
  b->peak_gflops[round] = (double)PEAK_OPS * PEAK_ROUNDS * (double)b->units / (now_ms(b) - begin) * 1e-6;
}

static void time_read(bench *b, int round)
{
  const cl_long vectors = READ_BYTES / VECTOR_BYTES;
  clSetKernelArg(b->read, 0, sizeof b->read_from, &b->read_from);
  clSetKernelArg(b->read, 1, sizeof vectors, &vectors);
  clSetKernelArg(b->read, 2, sizeof b->peak_out, &b->peak_out);
  const size_t one = 1;
  const double begin = now_ms(b);
  check(!clEnqueueNDRangeKernel(b->queue, b->read, 1, NULL, &b->units, &one, 0, NULL, NULL) && !clFinish(b->queue),
        "reading memory", "does not run");
  b->read_gbytes[round] = (double)READ_BYTES / (now_ms(b) - begin) * 1e-6;
}

static void time_problem(bench *b, timed *t, int round)
{
  clattn_report report;
  const double most_runs = 1000, wanted = ops_of_a_timing / (t->ops + 1.0);
  const int runs = wanted < 1.0 ? 1 : (int)(wanted < most_runs ? wanted : most_runs);
  const double begin = now_ms(b);
  for (int i = 0; i < runs; i++)
    check(!clattn_enqueue(t->plan, b->queue, t->binding, t->n_bindings, 0, NULL, NULL, &report), t->text,
          report.message);
  check(!clFinish(b->queue), t->text, "does not run");
  t->ms[round] = (now_ms(b) - begin) / runs;
}

int main(int argc, char **argv)
{
  static bench b;
  const char *variant = NULL;
  b.rounds = 7;
  open_device(&b);
  for (int i = 1; i < argc; i++) {
    if (!strcmp(argv[i], "--rounds") && i + 1 < argc)
      b.rounds = atoi(argv[++i]);
    else if (!strcmp(argv[i], "--variant") && i + 1 < argc)
      variant = argv[++i];
    else if (!strcmp(argv[i], "--cpu-time"))
      b.cpu_time = 1;
    else if (b.n_problems < MOST_PROBLEMS)
      add_problem(&b, argv[i], variant);
  }
  check(b.n_problems > 0 && b.rounds >= 1 && b.rounds <= MOST_ROUNDS, "usage",
        "bench_attention [--rounds 1..101] [--cpu-time] [--variant ID] PROBLEM...");
  time_peak(&b, 0); /* first runs are not counted */
  time_read(&b, 0);
  for (int i = 0; i < b.n_problems; i++) time_problem(&b, &b.problem[i], 0);
  for (int round = 0; round < b.rounds; round++) {
    time_peak(&b, round);
    time_read(&b, round);
    for (int i = 0; i < b.n_problems; i++) time_problem(&b, &b.problem[i], round);
  }
  char device[256] = "?";
  clGetDeviceInfo(b.device, CL_DEVICE_NAME, sizeof device, device, NULL);
  const double peak = median(b.peak_gflops, b.rounds), read = median(b.read_gbytes, b.rounds);
  printf("%s: FMA peak %.0f GFLOP/s, reads %.1f GB/s; medians of %d rounds%s\n", device, peak, read, b.rounds,
         b.cpu_time ? " of CPU time" : "");
  for (int i = 0; i < b.n_problems; i++) {
    timed *t = &b.problem[i];
    const double ms = median(t->ms, b.rounds), gflops = t->ops / ms * 1e-6, gbytes = t->kv_bytes / ms * 1e-6;
    printf("%-48s %-40s %9.3f ms, least %9.3f ms %7.1f GFLOP/s %5.1f %% of peak, %6.2f GB/s %5.1f %% of reading, "
           "workspace %zu bytes\n",
           t->text, clattn_plan_variant(t->plan), ms, t->ms[0], gflops, 100 * gflops / peak, gbytes,
           100 * gbytes / read, clattn_plan_workspace_bytes(t->plan));
    for (uint32_t j = 0; j < t->n_bindings; j++) clReleaseMemObject(t->binding[j].mem);
    clattn_plan_destroy(t->plan);
  }
  clReleaseMemObject(b.read_from);
  clReleaseMemObject(b.peak_out);
  clReleaseKernel(b.read);
  clReleaseKernel(b.peak);
  clReleaseCommandQueue(b.queue);
  clattn_context_destroy(b.context);
  return 0;
}
