#include <clattn/clattn.h>
#include <stdio.h>

int main(void)
{
  /* One head: two query tokens look at three key tokens, two channels each. */
  float q[] = {2, 0, 0, 2}, k[] = {2, 0, 0, 2, 1, 1}, v[] = {10, 0, 0, 10, 5, 5}, y[4];

  clattn_attention_desc desc = CLATTN_ATTENTION_DESC_INIT;
  desc.q = desc.y = clattn_bhsd(CLATTN_F32, 1, 1, 2, 2); /* batch, heads, tokens, channels */
  desc.k = desc.v = clattn_bhsd(CLATTN_F32, 1, 1, 3, 2);
  clattn_host_binding data[] = {
      {CLATTN_Q, 0, q, sizeof q}, {CLATTN_K, 0, k, sizeof k}, {CLATTN_V, 0, v, sizeof v}, {CLATTN_Y, 0, y, sizeof y}};

  clattn_context *context = NULL;
  clattn_plan *plan = NULL;
  clattn_report report;
  if (clattn_context_pick(NULL, NULL, &context, &report) != CLATTN_OK ||    /* the best device */
      clattn_plan_attention(context, &desc, &plan, &report) != CLATTN_OK || /* choose and compile, once */
      clattn_run_host(plan, data, 4, &report) != CLATTN_OK) {               /* run, as often as you like */
    fprintf(stderr, "%s\n%s", report.message, report.detail);
    return 1;
  }
  printf("%s: y = %.3f %.3f | %.3f %.3f\n", clattn_plan_variant(plan), y[0], y[1], y[2], y[3]);

  clattn_plan_destroy(plan);
  clattn_context_destroy(context);
  return 0;
}
