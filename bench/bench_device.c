#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "timing.h"

enum { MOST_RUNS = 1000 /* of a timing */ };

double bench_clock_ms(void)
{
  struct timespec now;
#ifdef CLOCK_MONOTONIC
  clock_gettime(CLOCK_MONOTONIC, &now);
#else
  timespec_get(&now, TIME_UTC);
#endif
  return 1e3 * (double)now.tv_sec + 1e-6 * (double)now.tv_nsec;
}

double bench_now_ms(const bench_device *d)
{
  if (!d->cpu_time) return bench_clock_ms();
  return (double)clock() * 1e3 / (double)CLOCKS_PER_SEC / (double)d->units;
}

int bench_runs_of(double ms)
{
  const double runs = ms > 0 ? (double)BENCH_TIMING_MS / ms : MOST_RUNS;
  return runs < 1 ? 1 : runs > MOST_RUNS ? MOST_RUNS : (int)(runs + 0.5);
}

static int compare(const void *a, const void *b)
{
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

double bench_median(double *values, int n)
{
  qsort(values, (size_t)n, sizeof *values, compare);
  return (values[(n - 1) / 2] + values[n / 2]) / 2;
}

/* PoCL's threads stay on their cores where its environment says so; the library tells where it does not. */
static void ask_placement(bench_device *d)
{
  char platform_name[128] = "";
  cl_platform_id platform = NULL;
  d->unpinned = strstr(d->report.detail, "POCL_AFFINITY") != NULL;
  if (clGetDeviceInfo(d->id, CL_DEVICE_PLATFORM, sizeof platform, &platform, NULL) == CL_SUCCESS)
    clGetPlatformInfo(platform, CL_PLATFORM_NAME, sizeof platform_name - 1, platform_name, NULL);
  d->pinned = strstr(platform_name, "Portable Computing") && !d->unpinned;
}

bool bench_device_open(bench_device *d, const char *want, st_error *error)
{
  *d = (bench_device){0};
  const clattn_status status = clattn_context_pick(want, NULL, &d->context, &d->report);
  if (status != CLATTN_OK)
    return st_fail(error, "%s", d->report.message[0] ? d->report.message : clattn_status_text(status));
  d->cl = clattn_context_cl_context(d->context);
  d->id = clattn_context_cl_device(d->context);
  cl_uint units = 1;
  cl_int code = clGetDeviceInfo(d->id, CL_DEVICE_NAME, sizeof d->name, d->name, NULL);
  if (code) snprintf(d->name, sizeof d->name, "a device without a name");
  clGetDeviceInfo(d->id, CL_DEVICE_MAX_COMPUTE_UNITS, sizeof units, &units, NULL);
  d->units = units ? units : 1;
  ask_placement(d);
  d->queue = clCreateCommandQueue(d->cl, d->id, 0, &code);
  if (!code) return true;
  bench_device_close(d);
  return st_fail(error, "clCreateCommandQueue: OpenCL error %d", (int)code);
}

void bench_device_close(bench_device *d)
{
  bench_peaks_free(d);
  if (d->queue) clReleaseCommandQueue(d->queue);
  clattn_context_destroy(d->context);
  d->queue = NULL;
  d->context = NULL;
}
