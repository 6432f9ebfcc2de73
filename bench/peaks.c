/* The device's own peaks: what kernels are measured against. */
#include <stdio.h>
#include <string.h>

#include "bench_kernels.h"
#include "timing.h"

enum {
  CHAINS = 12,         /* of peak.cl */
  FIRST_TURNS = 64,    /* of a loop, to learn from */
  MOST_TURNS = 60000,  /* of a loop: llvmpipe's end after 65,535 */
  TRIES = 3,           /* of which the fastest counts */
  STREAMS = 8,         /* of read.cl */
  AHEAD_BYTES = 2048,  /* of the same, where vectors have hardware */
  ITEMS_A_THREAD = 64, /* of CPUs: with one each, one thread may get them all */
  GROUP = 64,          /* work-items, of other devices */
  GROUPS_A_UNIT = 16,  /* of the same */
  READ_BYTES = 1 << 28 /* what is read lies far outside of all caches */
};

static bool is_cpu(const bench_device *d)
{
  cl_device_type type = CL_DEVICE_TYPE_CPU;
  clGetDeviceInfo(d->id, CL_DEVICE_TYPE, sizeof type, &type, NULL);
  return (type & CL_DEVICE_TYPE_CPU) != 0;
}

/* Floats in the widest vectors that are worth a try: 4 where the driver says that it has none. */
static int most_lanes(const bench_device *d)
{
  cl_uint width = 0;
  clGetDeviceInfo(d->id, CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT, sizeof width, &width, NULL);
  return is_cpu(d) && width > 1 ? 16 : 4;
}

/* A kernel with so many floats in a vector; its work is not known yet. */
static bool make_measure(const bench_device *d, const char *file, const char *name, int lanes, bench_measure *m,
                         st_error *error)
{
  char options[128];
  cl_int code;
  const bool cpu = is_cpu(d);
  const bench_kernel_file *source = bench_kernel_files;
  while (strcmp(source->name, file) != 0) source++;
  snprintf(options, sizeof options, "-cl-std=CL1.2 -DP_LANES=%d -DP_TOGETHER=%d -DP_AHEAD=%d", lanes, !cpu,
           most_lanes(d) > 4 ? AHEAD_BYTES : 0);
  const char *text = source->text;
  *m = (bench_measure){.name = name,
                       .lanes = lanes,
                       .items = d->units * (size_t)(cpu ? ITEMS_A_THREAD : GROUPS_A_UNIT * GROUP),
                       .group = cpu ? 1 : GROUP};
  cl_program program = clCreateProgramWithSource(d->cl, 1, &text, NULL, &code);
  if (!code) code = clBuildProgram(program, 1, &d->id, options, NULL, NULL);
  if (!code) m->kernel = clCreateKernel(program, name, &code);
  if (program) clReleaseProgram(program);
  return !code || st_fail(error, "%s does not build on %s: OpenCL error %d", file, d->name, (int)code);
}

static bool run(const bench_device *d, const bench_measure *m, int runs, double *ms, st_error *error)
{
  cl_int code = CL_SUCCESS;
  const double begin = bench_now_ms(d);
  for (int i = 0; i < runs && !code; i++)
    code = clEnqueueNDRangeKernel(d->queue, m->kernel, 1, NULL, &m->items, &m->group, 0, NULL, NULL);
  if (!code) code = clFinish(d->queue);
  *ms = (bench_now_ms(d) - begin) / runs;
  return !code || st_fail(error, "%s does not run on %s: OpenCL error %d", m->name, d->name, (int)code);
}

static void free_measure(bench_measure *m)
{
  if (m->kernel) clReleaseKernel(m->kernel);
  if (m->sums) clReleaseMemObject(m->sums);
  *m = (bench_measure){0};
}

/* Where each work-item puts a vector, once their number is known. */
static bool make_sums(const bench_device *d, bench_measure *m, st_error *error)
{
  cl_int code;
  const size_t bytes = m->items * (size_t)m->lanes * sizeof(float);
  m->sums = clCreateBuffer(d->cl, CL_MEM_READ_WRITE, bytes, NULL, &code);
  return !code ||
         st_fail(error, "a buffer of %zu bytes for the sums of %s: OpenCL error %d", bytes, m->name, (int)code);
}

/* The fastest of some runs, but for the first, which may compile. */
static bool try_out(const bench_device *d, const bench_measure *m, double *ms, st_error *error)
{
  double now;
  if (!run(d, m, 1, &now, error)) return false;
  for (int i = 0; i < TRIES; i++) {
    if (!run(d, m, 1, &now, error)) return false;
    if (i == 0 || now < *ms) *ms = now;
    if (now > BENCH_TIMING_MS) break;
  }
  return true;
}

/* ---- operations ---- */

static bool set_turns(bench_measure *m, int turns, st_error *error)
{
  const cl_int count = turns;
  const float start = 0.5f;
  m->work = 2.0 * CHAINS * m->lanes * turns * (double)m->items;
  const cl_int code = clSetKernelArg(m->kernel, 0, sizeof m->sums, &m->sums) ||
                      clSetKernelArg(m->kernel, 1, sizeof count, &count) ||
                      clSetKernelArg(m->kernel, 2, sizeof start, &start);
  return !code || st_fail(error, "clSetKernelArg failed for %s", m->name);
}

/* Turns that last long enough to be compared. */
static bool try_turns(const bench_device *d, bench_measure *m, double *ms, st_error *error)
{
  const double enough_ms = 2.0;
  for (int turns = FIRST_TURNS;; turns *= 8) {
    if (!set_turns(m, turns, error) || !try_out(d, m, ms, error)) return false;
    if (*ms >= enough_ms || turns > MOST_TURNS / 8) return true;
  }
}

/* The vectors with which a CPU is fastest: what drivers say of their width is not always what they compile for, and
 * chains that are too wide do not stay in registers. */
static bool make_peak(bench_device *d, st_error *error)
{
  double ms = 0.0, best = 0.0;
  for (int lanes = most_lanes(d); lanes >= 4; lanes /= 2) {
    bench_measure m;
    const bool good =
        make_measure(d, "peak.cl", "peak", lanes, &m, error) && make_sums(d, &m, error) && try_turns(d, &m, &ms, error);
    const bool faster = good && m.work > best * ms;
    bench_measure other = faster ? d->peak : m;
    if (faster) d->peak = m;
    if (faster) best = m.work / ms;
    free_measure(&other);
    if (!good) return false;
  }
  return true;
}

/* ---- reading ---- */

/* Memory that is there, page by page; a thread's share is cut until a loop may have so many turns. */
static bool make_read(bench_device *d, st_error *error)
{
  bench_measure *m = &d->read;
  const float one = 1.0f;
  cl_int code;
  cl_ulong most = READ_BYTES;
  if (!make_measure(d, "read.cl", "read_all", most_lanes(d), m, error)) return false;
  clGetDeviceInfo(d->id, CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof most, &most, NULL);
  const int64_t vector_bytes = m->lanes * (int64_t)sizeof one;
  const cl_long vectors = (most < READ_BYTES ? (int64_t)most : READ_BYTES) / vector_bytes;
  while (vectors / ((int64_t)m->items * STREAMS) > MOST_TURNS) m->items *= 2;
  const int64_t part = vectors / ((int64_t)m->items * STREAMS); /* as the kernel has it */
  m->work = (double)(part * STREAMS * (int64_t)m->items * vector_bytes);
  const size_t bytes = (size_t)(vectors * vector_bytes);
  if (!make_sums(d, m, error)) return false;
  d->memory = clCreateBuffer(d->cl, CL_MEM_READ_WRITE, bytes, NULL, &code);
  if (!code) code = clEnqueueFillBuffer(d->queue, d->memory, &one, sizeof one, 0, bytes, 0, NULL, NULL);
  if (!code) code = clFinish(d->queue);
  if (code) return st_fail(error, "a buffer of %zu bytes to read from: OpenCL error %d", bytes, (int)code);
  code = clSetKernelArg(m->kernel, 0, sizeof d->memory, &d->memory) ||
         clSetKernelArg(m->kernel, 1, sizeof vectors, &vectors) ||
         clSetKernelArg(m->kernel, 2, sizeof m->sums, &m->sums);
  return !code || st_fail(error, "clSetKernelArg failed for %s", m->name);
}

/* ---- both ---- */

/* Work a second, in units of 1e9. */
static bool measure(const bench_device *d, bench_measure *m, double *rate, st_error *error)
{
  double ms = 0.0;
  if (!m->runs && !try_out(d, m, &ms, error)) return false;
  if (!m->runs) m->runs = bench_runs_of(ms);
  if (!run(d, m, m->runs, &ms, error)) return false;
  *rate = ms > 0 ? m->work / ms * 1e-6 : 0.0;
  return true;
}

void bench_peaks_free(bench_device *d)
{
  free_measure(&d->peak);
  free_measure(&d->read);
  if (d->memory) clReleaseMemObject(d->memory);
  d->memory = NULL;
}

bool bench_device_peaks(bench_device *d, bench_peaks *peaks, st_error *error)
{
  if (!d->memory && !(make_peak(d, error) && make_read(d, error))) {
    bench_peaks_free(d);
    return false;
  }
  return measure(d, &d->peak, &peaks->gflops, error) && measure(d, &d->read, &peaks->gbytes, error);
}
