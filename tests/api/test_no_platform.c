/* With a loader that finds no driver (OCL_ICD_VENDORS names a folder that is not there). */
#include "asserts.h"
#include "clattn/clattn.h"

static void everything_says_what_to_install(void **state)
{
  (void)state;
  clattn_context *context = (clattn_context *)&context;
  clattn_report report;
  uint32_t count = 9;
  assert_status(CLATTN_NO_PLATFORM, clattn_context_pick(NULL, NULL, &context, &report), &report);
  assert_says(&report, "no OpenCL platform: ", "install");
  assert_null(context);
  assert_status(CLATTN_NO_PLATFORM, clattn_context_pick("cpu", NULL, &context, NULL), NULL);
  assert_status(CLATTN_NO_PLATFORM, clattn_devices(1, NULL, 0, &count, &report), &report);
  assert_int_equal(0, count);
}

int main(void)
{
  const struct CMUnitTest tests[] = {cmocka_unit_test(everything_says_what_to_install)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
