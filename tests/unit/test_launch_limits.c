/* A kernel that was built is held to the device once more: what the driver says of it against what there is. */
#include "asserts.h"
#include "launch.h"
#include "quirks.h"

/* What the driver's answers are; the program's own function stands before the loader's. */
static size_t group_limit;
static cl_ulong local_bytes, private_bytes;

CL_API_ENTRY cl_int CL_API_CALL clGetKernelWorkGroupInfo(cl_kernel kernel, cl_device_id device,
                                                         cl_kernel_work_group_info what, size_t bytes, void *out,
                                                         size_t *size)
{
  (void)kernel, (void)device, (void)bytes, (void)size;
  if (what == CL_KERNEL_WORK_GROUP_SIZE) *(size_t *)out = group_limit;
  if (what == CL_KERNEL_LOCAL_MEM_SIZE) *(cl_ulong *)out = local_bytes;
  if (what == CL_KERNEL_PRIVATE_MEM_SIZE) *(cl_ulong *)out = private_bytes;
  return CL_SUCCESS;
}

static clattn_status check(const ca_facts *facts, clattn_report *report)
{
  const ca_launch launch = {.kernel = "tile", .dims = 1, .groups = {3, 1, 1}, .local = {64, 1, 1}};
  return ca_launch_check(&launch, NULL, NULL, facts, report);
}

static void figures_are_held_to_the_facts(void **state)
{
  (void)state;
  ca_facts facts = {.local_memory_bytes = 1024, .private_memory_bytes = 512};
  clattn_report report = {.status = CLATTN_OK};
  group_limit = 64, local_bytes = 1024, private_bytes = 512;
  assert_status(CLATTN_OK, check(&facts, &report), &report);
  group_limit = 63;
  assert_status(CLATTN_UNSUPPORTED, check(&facts, &report), &report);
  assert_says(&report, "tile needs work-groups of 64, the device runs it with 63 at most");
  group_limit = 64, local_bytes = 1025;
  assert_status(CLATTN_UNSUPPORTED, check(&facts, &report), &report);
  assert_says(&report, "tile needs 1025 bytes of local memory, the limit is 1024");
  local_bytes = 0, private_bytes = 513;
  assert_status(CLATTN_UNSUPPORTED, check(&facts, &report), &report);
  assert_says(&report, "tile needs 513 bytes of private memory, the limit is 512");
  report = (clattn_report){.status = CLATTN_OK};
  facts.quirks = CA_QUIRK_BIT(kernel_figures); /* a driver whose figures mean nothing */
  assert_status(CLATTN_OK, check(&facts, &report), &report);
}

int main(void)
{
  const struct CMUnitTest tests[] = {cmocka_unit_test(figures_are_held_to_the_facts)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
