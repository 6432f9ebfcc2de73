/* The device's own peaks: what kernels are measured against. */
#include <stdio.h>
#include <string.h>

#include "bench_kernels.h"
#include "timing.h"

enum {
  CHAINS = 12,         /* of peak.cl */
  STEPS = 16,          /* of a chain, in a turn */
  TURNS = 60000,       /* of a loop: llvmpipe's end after 65,535 */
  STREAMS = 4,         /* of read.cl */
  GROUP = 64,          /* work-items, of devices that are not CPUs */
  GROUPS_A_UNIT = 16,  /* of the same */
  READ_BYTES = 1 << 28 /* what is read lies far outside of all caches */
};

/* How many work-items, and in what groups; of a CPU, one for each of its threads. */
typedef struct shape {
  size_t items, group;
  int lanes;
  bool cpu;
} shape;

static shape shape_of(const bench_device *d)
{
  cl_device_type type = CL_DEVICE_TYPE_CPU;
  cl_uint width = 0;
  clGetDeviceInfo(d->id, CL_DEVICE_TYPE, sizeof type, &type, NULL);
  clGetDeviceInfo(d->id, CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT, sizeof width, &width, NULL);
  const bool cpu = (type & CL_DEVICE_TYPE_CPU) != 0;
  return (shape){.items = cpu ? d->units : d->units * GROUPS_A_UNIT * GROUP,
                 .group = cpu ? 1 : GROUP,
                 .lanes = width >= 16  ? 16
                          : width >= 8 ? 8
                                       : 4,
                 .cpu = cpu};
}

/* Reading makes as many turns as there is memory: of a CPU, a thread's share is cut until a loop may have them. */
static size_t reading_items(const shape *s, int64_t vectors)
{
  size_t items = s->items;
  while (vectors / ((int64_t)items * STREAMS) > TURNS) items *= 2;
  return items;
}

static bool make_measure(bench_device *d, const char *file, const char *name, const shape *s, bench_measure *m,
                         st_error *error)
{
  char options[128];
  cl_int code;
  const bench_kernel_file *source = bench_kernel_files;
  while (strcmp(source->name, file) != 0) source++;
  snprintf(options, sizeof options, "-cl-std=CL1.2 -DP_LANES=%d -DP_STEPS=%d -DP_TOGETHER=%d", s->lanes, STEPS,
           !s->cpu);
  const char *text = source->text;
  cl_program program = clCreateProgramWithSource(d->cl, 1, &text, NULL, &code);
  if (!code) code = clBuildProgram(program, 1, &d->id, options, NULL, NULL);
  if (!code) m->kernel = clCreateKernel(program, name, &code);
  if (program) clReleaseProgram(program);
  m->name = name;
  m->group = s->group;
  return !code || st_fail(error, "%s does not build on %s: OpenCL error %d", file, d->name, (int)code);
}

/* Memory that is there, page by page; and where both kernels put their sums. */
static bool make_memory(bench_device *d, const shape *s, size_t bytes, st_error *error)
{
  cl_int code;
  const float one = 1.0f;
  d->memory = clCreateBuffer(d->cl, CL_MEM_READ_WRITE, bytes, NULL, &code);
  if (!code)
    d->sums = clCreateBuffer(d->cl, CL_MEM_READ_WRITE, d->read.items * (size_t)s->lanes * sizeof one, NULL, &code);
  if (!code) code = clEnqueueFillBuffer(d->queue, d->memory, &one, sizeof one, 0, bytes, 0, NULL, NULL);
  if (!code) code = clFinish(d->queue);
  return !code || st_fail(error, "a buffer of %zu bytes to read from: OpenCL error %d", bytes, (int)code);
}

static bool set_arguments(const bench_device *d, cl_long vectors, st_error *error)
{
  const cl_int turns = TURNS;
  const float start = 0.5f;
  const cl_int code = clSetKernelArg(d->peak.kernel, 0, sizeof d->sums, &d->sums) ||
                      clSetKernelArg(d->peak.kernel, 1, sizeof turns, &turns) ||
                      clSetKernelArg(d->peak.kernel, 2, sizeof start, &start) ||
                      clSetKernelArg(d->read.kernel, 0, sizeof d->memory, &d->memory) ||
                      clSetKernelArg(d->read.kernel, 1, sizeof vectors, &vectors) ||
                      clSetKernelArg(d->read.kernel, 2, sizeof d->sums, &d->sums);
  return !code || st_fail(error, "clSetKernelArg failed for the peaks");
}

static bool make_measures(bench_device *d, st_error *error)
{
  const shape s = shape_of(d);
  const int64_t vector_bytes = s.lanes * (int64_t)sizeof(float);
  cl_ulong most = READ_BYTES;
  clGetDeviceInfo(d->id, CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof most, &most, NULL);
  const int64_t vectors = (most < READ_BYTES ? (int64_t)most : READ_BYTES) / vector_bytes;
  d->peak.items = s.items;
  d->peak.work = 2.0 * CHAINS * s.lanes * STEPS * TURNS * (double)s.items;
  d->read.items = reading_items(&s, vectors);
  const int64_t part = vectors / ((int64_t)d->read.items * STREAMS); /* as the kernel has it */
  d->read.work = (double)(part * STREAMS * (int64_t)d->read.items * vector_bytes);
  return make_measure(d, "peak.cl", "peak", &s, &d->peak, error) &&
         make_measure(d, "read.cl", "read_all", &s, &d->read, error) &&
         make_memory(d, &s, (size_t)(vectors * vector_bytes), error) && set_arguments(d, vectors, error);
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

/* Work a second, in units of 1e9. */
static bool measure(const bench_device *d, bench_measure *m, double *rate, st_error *error)
{
  double ms;
  if (!m->runs) { /* the first run may compile: the second tells how many make a timing */
    if (!run(d, m, 1, &ms, error) || !run(d, m, 1, &ms, error)) return false;
    m->runs = bench_runs_of(ms);
  }
  if (!run(d, m, m->runs, &ms, error)) return false;
  *rate = ms > 0 ? m->work / ms * 1e-6 : 0.0;
  return true;
}

bool bench_device_peaks(bench_device *d, bench_peaks *peaks, st_error *error)
{
  if (!d->sums && !make_measures(d, error)) return false;
  return measure(d, &d->peak, &peaks->gflops, error) && measure(d, &d->read, &peaks->gbytes, error);
}
