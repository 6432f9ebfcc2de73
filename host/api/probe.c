/* GPU drivers lie: before a device is taken, a small kernel must compile there and give the right result. */
#include <string.h>

#include "objects.h"

enum { N = 64 };

static clattn_status run_probe(clattn_context *context, cl_kernel kernel, clattn_report *report)
{
  float x[N], y[N] = {0};
  for (int i = 0; i < N; i++) x[i] = (float)(i - 20) * 0.5f;
  cl_int error, error_x, error_y;
  size_t size = N;
  cl_command_queue queue = clCreateCommandQueue(context->cl, context->device, 0, &error);
  if (error) return ca_fail_cl(report, error, "clCreateCommandQueue");
  cl_mem in = clCreateBuffer(context->cl, CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR, sizeof x, x, &error_x);
  cl_mem out = clCreateBuffer(context->cl, CL_MEM_READ_WRITE, sizeof y, NULL, &error_y);
  error = error_x ? error_x : error_y;
  if (!error) error = clSetKernelArg(kernel, 0, sizeof in, &in);
  if (!error) error = clSetKernelArg(kernel, 1, sizeof out, &out);
  if (!error) error = clEnqueueNDRangeKernel(queue, kernel, 1, NULL, &size, &size, 0, NULL, NULL);
  if (!error) error = clEnqueueReadBuffer(queue, out, CL_TRUE, 0, sizeof y, y, 0, NULL, NULL);
  if (in) clReleaseMemObject(in);
  if (out) clReleaseMemObject(out);
  clReleaseCommandQueue(queue);
  if (error) return ca_fail_cl(report, error, "running the probe");
  for (int i = 0; i < N; i++) {
    const float want = 3.0f * x[N - 1 - i] + (float)(1 << (i & 7));
    if (y[i] != want)
      return ca_fail(report, CLATTN_DEVICE_UNUSABLE, "%s: the probe computed %g, must be %g", context->facts.name,
                     (double)y[i], (double)want);
  }
  return CLATTN_OK;
}

clattn_status ca_context_probe(clattn_context *context, clattn_report *report)
{
  char verdict[16];
  if (ca_program_cache_recall(context->programs, "probe", verdict, sizeof verdict) && !strcmp(verdict, "ok"))
    return CLATTN_OK;
  ca_program *program = NULL;
  clattn_program_origin origin;
  cl_kernel kernel = NULL;
  clattn_status status = ca_program_get(context->programs, "probe.cl", "", false, &program, &origin, report);
  if (status == CLATTN_OK) status = ca_program_kernel(program, "probe", &kernel, report);
  if (status == CLATTN_OK) status = run_probe(context, kernel, report);
  if (kernel) clReleaseKernel(kernel);
  if (status == CLATTN_BUILD_FAILED)
    return ca_fail(report, CLATTN_DEVICE_UNUSABLE, "%s: the probe did not compile", context->facts.name);
  if (status == CLATTN_OK) ca_program_cache_remember(context->programs, "probe", "ok");
  return status;
}
