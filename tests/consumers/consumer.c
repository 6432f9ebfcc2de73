/* A program outside the project: attention whose result is known exactly, through the installed headers and library.
 * Scores ln 1, ln 2, ln 5 make the weights 1/8, 2/8, 5/8. */
#include <clattn/clattn.h>
#include <math.h>
#include <stdio.h>

static int check(const float *y)
{
  const float want[2] = {3.5f, 4.5f};
  for (int c = 0; c < 2; c++) {
    if (!(fabsf(y[c] - want[c]) <= 1e-5f)) {
      fprintf(stderr, "y[%d] = %.9g, not %.9g\n", c, (double)y[c], (double)want[c]);
      return 1;
    }
  }
  return 0;
}

int main(void)
{
  float q[2] = {1.0f, 0.0f}, y[2] = {0.0f, 0.0f};
  float k[6] = {0.0f, 0.0f, logf(2.0f), 0.0f, logf(5.0f), 0.0f};
  float v[6] = {8.0f, 0.0f, 0.0f, 8.0f, 4.0f, 4.0f};
  clattn_attention_desc desc = CLATTN_ATTENTION_DESC_INIT;
  desc.q = desc.y = clattn_bhsd(CLATTN_F32, 1, 1, 1, 2);
  desc.k = desc.v = clattn_bhsd(CLATTN_F32, 1, 1, 3, 2);
  desc.scale = 1.0;
  clattn_host_binding data[] = {
      {CLATTN_Q, 0, q, sizeof q}, {CLATTN_K, 0, k, sizeof k}, {CLATTN_V, 0, v, sizeof v}, {CLATTN_Y, 0, y, sizeof y}};

  if (clattn_version() / 100 != CLATTN_VERSION_MAJOR * 100 + CLATTN_VERSION_MINOR) {
    fprintf(stderr, "header %d.%d, library %u\n", CLATTN_VERSION_MAJOR, CLATTN_VERSION_MINOR, clattn_version());
    return 1;
  }
  clattn_context *context = NULL;
  clattn_plan *plan = NULL;
  clattn_report report;
  if (clattn_context_pick(NULL, NULL, &context, &report) != CLATTN_OK ||
      clattn_plan_attention(context, &desc, &plan, &report) != CLATTN_OK ||
      clattn_run_host(plan, data, 4, &report) != CLATTN_OK) {
    fprintf(stderr, "%s\n%s\n", report.message, report.detail);
    return 1;
  }
  /* OpenCL itself has to be within reach of whoever links the library. */
  cl_context shared = clattn_context_cl_context(context);
  if (clRetainContext(shared) != CL_SUCCESS || clReleaseContext(shared) != CL_SUCCESS) return 1;
  clattn_plan_destroy(plan);
  clattn_context_destroy(context);
  return check(y);
}
