/* Enumeration and facts of the devices that are here, and the cases without any. */
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "asserts.h"
#include "device.h"

/* The loader reads its environment once, so each case without devices has a process of its own, begun before this one
 * has called OpenCL. */
static clattn_status list_elsewhere(const char *vendors, char message[CLATTN_REPORT_MESSAGE_BYTES])
{
  int pipes[2];
  assert_int_equal(0, pipe(pipes));
  const pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    ca_device *devices;
    uint32_t count;
    clattn_report report = {.status = CLATTN_OK};
    setenv("OCL_ICD_VENDORS", vendors, 1);
    ca_devices_list(&devices, &count, &report);
    const ssize_t written = write(pipes[1], &report, sizeof report);
    _exit(written == (ssize_t)sizeof report ? 0 : 1);
  }
  clattn_report report;
  close(pipes[1]);
  FILE *from = fdopen(pipes[0], "rb");
  assert_non_null(from);
  assert_int_equal(1, fread(&report, sizeof report, 1, from));
  fclose(from);
  int ended = 0;
  assert_true(waitpid(child, &ended, 0) == child && ended == 0);
  memcpy(message, report.message, CLATTN_REPORT_MESSAGE_BYTES);
  return report.status;
}

static void no_platform_says_what_to_install(void **state)
{
  (void)state;
  char message[CLATTN_REPORT_MESSAGE_BYTES];
  assert_status(CLATTN_NO_PLATFORM, list_elsewhere("/nonexistent", message), NULL);
  assert_holds(message, "no OpenCL platform");
  assert_holds(message, "pocl-opencl-icd");
}

static void facts_are_whole(void **state)
{
  (void)state;
  ca_device *devices = NULL;
  uint32_t count = 0;
  clattn_report report = {.status = CLATTN_OK};
  assert_status(CLATTN_OK, ca_devices_list(&devices, &count, &report), &report);
  assert_in_range(count, 1, 1000);
  for (uint32_t i = 0; i < count; i++) {
    const ca_facts *f = &devices[i].facts;
    assert_true(f->name[0] && f->version[0] && f->driver[0] && f->platform[0] && f->platform_version[0]);
    assert_holds(f->version, "OpenCL ");
    assert_in_range(f->compute_units, 1, 1000000);
    assert_in_range(f->work_group_size, 1, 1 << 20);
    assert_true(f->local_memory_bytes >= 16384 && f->global_memory_bytes >= f->max_alloc_bytes / 2);
    assert_in_range(f->max_parameter_bytes, 256, 1 << 20);
    assert_in_range(f->native_width_f32, 1, 64);
    assert_true(f->address_bits == 32 || f->address_bits == 64);
    assert_in_range(f->opencl_c, 110, 400);
    assert_true(f->private_memory_bytes == UINT64_MAX);
    assert_true(devices[i].reason[0] != '\0');
    ca_facts again;
    assert_status(CLATTN_OK, ca_device_facts(devices[i].device, &again, &report), &report);
    assert_string_equal(f->name, again.name);
    assert_int_equal(f->local_memory_bytes, again.local_memory_bytes);
  }
  free(devices);
}

static void a_bad_device_is_a_failed_call(void **state)
{
  (void)state;
  ca_facts facts;
  clattn_report report = {.status = CLATTN_OK};
  assert_status(CLATTN_OPENCL_FAILED, ca_device_facts(NULL, &facts, &report), &report);
  assert_int_equal(CL_INVALID_DEVICE, report.cl_error);
  assert_says(&report, "clGetDeviceInfo");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(no_platform_says_what_to_install), /* first: see list_elsewhere */
      cmocka_unit_test(facts_are_whole),
      cmocka_unit_test(a_bad_device_is_a_failed_call),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
