/* Scores and picking, on recorded facts: no device is needed here. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "asserts.h"
#include "device.h"
#include "device_text.h"
#include "quirks.h"

static void read_facts(const char *name, ca_facts *facts)
{
  char path[4096], text[8192];
  snprintf(path, sizeof path, "%s/%s.facts", CLATTN_TEST_FACTS, name);
  FILE *file = fopen(path, "rb");
  assert_non_null(file);
  text[fread(text, 1, sizeof text - 1, file)] = '\0';
  fclose(file);
  memset(facts, 0, sizeof *facts);
  assert_status(CLATTN_OK, ca_facts_parse(text, facts, NULL), NULL);
}

enum { LLVMPIPE, POCL, MALI, ARC, RADEON, GEFORCE, DEVICES };

/* Worst first, two on one platform. */
static void make_devices(ca_device devices[DEVICES])
{
  static const char *const names[DEVICES] = {"llvmpipe", "pocl-avx512", "mali-g78",
                                             "arc-a770", "rx-7900xtx",  "rtx-4090"};
  static const uint32_t platform[DEVICES] = {0, 1, 2, 3, 4, 4};
  static const uint32_t device[DEVICES] = {0, 0, 0, 0, 0, 1};
  memset(devices, 0, DEVICES * sizeof *devices);
  for (int i = 0; i < DEVICES; i++) {
    read_facts(names[i], &devices[i].facts);
    devices[i].platform_index = platform[i];
    devices[i].device_index = device[i];
    devices[i].score = ca_device_score(&devices[i].facts, devices[i].reason, sizeof devices[i].reason);
  }
}

static int32_t score(const char *name, const char *reason)
{
  ca_facts facts;
  char text[256];
  read_facts(name, &facts);
  const int32_t value = ca_device_score(&facts, text, sizeof text);
  assert_holds(text, reason);
  return value;
}

static void classes_outweigh_speed(void **state)
{
  (void)state;
  assert_true(score("rtx-4090", "discrete GPU, 128 compute units at 2520 MHz") > score("mali-g78", "integrated GPU"));
  assert_true(score("mali-g78", "integrated GPU") > score("pocl-avx512", "native CPU"));
  assert_true(score("pocl-avx512", "native CPU") > score("llvmpipe", "software renderer"));
  assert_true(score("intel-cpu", "native CPU") > score("oclgrind", "software renderer"));
  ca_facts accelerator = {.type = CA_DEVICE_ACCELERATOR, .name = "Board", .compute_units = 1, .clock_mhz = 1};
  ca_facts emulator = {.type = CA_DEVICE_ACCELERATOR, .platform = "Intel(R) FPGA Emulation Platform"};
  ca_facts other = {.type = CA_DEVICE_OTHER};
  ca_facts huge = {.type = CA_DEVICE_CPU, .compute_units = UINT64_MAX, .clock_mhz = UINT64_MAX};
  char reason[256];
  const int32_t cpu = ca_device_score(&huge, reason, sizeof reason);
  assert_true(ca_device_score(&accelerator, reason, sizeof reason) > cpu);
  assert_true(cpu > score("pocl-avx512", "native CPU")); /* its speed does not overflow */
  assert_true(cpu > ca_device_score(&other, reason, sizeof reason));
  assert_true(ca_device_score(&other, reason, sizeof reason) > ca_device_score(&emulator, reason, sizeof reason));
}

/* `want` and the order of what matches it. */
static void want_chooses(void **state)
{
  (void)state;
  static const struct {
    const char *want;
    uint32_t matches, order[DEVICES];
  } cases[] = {
      {NULL, 6, {ARC, GEFORCE, RADEON, MALI, POCL, LLVMPIPE}},
      {"", 6, {ARC, GEFORCE, RADEON, MALI, POCL, LLVMPIPE}},
      {"gpu", 4, {ARC, GEFORCE, RADEON, MALI}},
      {"GPU", 4, {ARC, GEFORCE, RADEON, MALI}},
      {"cpu", 2, {POCL, LLVMPIPE}},
      {"4:1", 1, {GEFORCE}},
      {"4:0", 1, {RADEON}},
      {"0:0", 1, {LLVMPIPE}},
      {"geforce", 1, {GEFORCE}},
      {"PORTABLE computing", 1, {POCL}},
      {"mali", 1, {MALI}},
  };
  ca_device devices[DEVICES];
  make_devices(devices);
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    uint32_t order[DEVICES] = {99, 99, 99, 99, 99, 99}, matches = 99;
    clattn_report report = {.status = CLATTN_OK};
    assert_status(CLATTN_OK, ca_devices_order(devices, DEVICES, cases[i].want, order, &matches, &report), &report);
    assert_int_equal(cases[i].matches, matches);
    assert_memory_equal(cases[i].order, order, matches * sizeof *order);
  }
}

static void equals_keep_the_loaders_order(void **state)
{
  (void)state;
  ca_device devices[4] = {{.score = 1}, {.score = 2}, {.score = 1}, {.score = 2}};
  const uint32_t want[4] = {1, 3, 0, 2};
  uint32_t order[4], matches = 0;
  assert_status(CLATTN_OK, ca_devices_order(devices, 4, NULL, order, &matches, NULL), NULL);
  assert_memory_equal(want, order, sizeof want);
}

static void what_is_not_there_is_named_with_what_is(void **state)
{
  (void)state;
  static const char *const wants[] = {"9:0", "4:2", "4:1x", "accelerator", "no such card", "-1:0", " 4:1", "4:1:0"};
  ca_device devices[DEVICES];
  make_devices(devices);
  for (size_t i = 0; i < sizeof wants / sizeof wants[0]; i++) {
    uint32_t order[DEVICES], matches = 99;
    clattn_report report = {.status = CLATTN_OK};
    assert_status(CLATTN_DEVICE_NOT_FOUND, ca_devices_order(devices, DEVICES, wants[i], order, &matches, &report),
                  &report);
    assert_int_equal(0, matches);
    assert_says(&report, "no device matches '", wants[i], "6 devices", "0:0 llvmpipe");
    assert_holds(report.detail, "4:1 NVIDIA GeForce RTX 4090 (NVIDIA CUDA)\n");
    assert_holds(report.detail, "0:0 llvmpipe (LLVM 15.0.6, 256 bits) (rusticl)\n");
  }
}

static void nothing_to_choose_from_is_said(void **state)
{
  (void)state;
  uint32_t matches = 99;
  clattn_report report = {.status = CLATTN_OK};
  assert_status(CLATTN_NO_DEVICE, ca_devices_order(NULL, 0, NULL, NULL, &matches, &report), &report);
  assert_says(&report, "no OpenCL device to choose from");
  assert_int_equal(0, matches);
}

static void texts_are_cut_between_characters(void **state)
{
  (void)state;
  char out[8];
  ca_text_copy(out, sizeof out, "  Card \n");
  assert_string_equal("Card", out);
  ca_text_copy(out, sizeof out, "0123456789");
  assert_string_equal("0123456", out);
  ca_text_copy(out, sizeof out, "012345\xC3\xA4x"); /* the umlaut would be cut in two */
  assert_string_equal("012345", out);
  ca_text_copy(out, sizeof out, "01234 789");
  assert_string_equal("01234 7", out);
  ca_text_copy(out, sizeof out, "");
  assert_string_equal("", out);
}

static void language_versions_are_read(void **state)
{
  (void)state;
  assert_int_equal(120, ca_language_version("OpenCL C 1.2 PoCL"));
  assert_int_equal(200, ca_language_version("OpenCL C 2.0"));
  assert_int_equal(300, ca_language_version("OpenCL C 3.0 v1.g13p0"));
  assert_int_equal(110, ca_language_version("OpenCL C 1.1 "));
  assert_int_equal(0, ca_language_version("OpenCL 1.2"));
  assert_int_equal(0, ca_language_version(""));
}

/* Asked twice, or with old bits set, the answer is the same. */
static void quirks_are_asked_anew(void **state)
{
  (void)state;
  ca_device devices[DEVICES];
  make_devices(devices);
  for (int i = 0; i < DEVICES; i++) {
    ca_facts again = devices[i].facts;
    ca_device_quirks(&devices[i].facts);
    again.quirks = UINT32_MAX;
    ca_device_quirks(&again);
    assert_int_equal(devices[i].facts.quirks, again.quirks);
    assert_true(CA_QUIRK_COUNT == 32 || again.quirks >> CA_QUIRK_COUNT == 0);
  }
}

static const uint32_t pocl_quirks = CA_QUIRK_BIT(slow_binary) | CA_QUIRK_BIT(binary_race) | CA_QUIRK_BIT(binary_room);

static void quirks_match_the_drivers_that_have_them(void **state)
{
  (void)state;
  static const struct {
    const char *facts;
    uint32_t quirks;
  } cases[] = {{"pocl-avx512", pocl_quirks},
               {"pocl-avx2", pocl_quirks},
               {"llvmpipe", CA_QUIRK_BIT(binary_abort) | CA_QUIRK_BIT(kernel_figures) | CA_QUIRK_BIT(short_loops)},
               {"intel-cpu", 0},
               {"rtx-4090", 0},
               {"oclgrind", 0}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    ca_facts facts;
    read_facts(cases[i].facts, &facts);
    ca_device_quirks(&facts);
    assert_int_equal(cases[i].quirks, facts.quirks);
  }
  ca_facts newer = {.platform = "rusticl", .driver = "24.0.0"};
  ca_device_quirks(&newer);
  assert_int_equal(0, newer.quirks);
  newer = (ca_facts){.platform = "Portable Computing Language", .driver = "6.0"};
  ca_device_quirks(&newer);
  assert_int_equal(pocl_quirks | CA_QUIRK_BIT(binary_untried), newer.quirks);
}

/* A driver that is told to keep no kernels removes a program's files. */
static void quirks_follow_the_drivers_environment(void **state)
{
  (void)state;
  static const struct {
    const char *value;
    bool removes;
  } cases[] = {{"1", false}, {"1yes", false}, {"0", true}, {"no", true}, {"", true}};
  ca_facts pocl, intel;
  char own[64] = "";
  read_facts("pocl-avx512", &pocl);
  read_facts("intel-cpu", &intel);
  if (getenv("POCL_KERNEL_CACHE")) snprintf(own, sizeof own, "%s", getenv("POCL_KERNEL_CACHE"));
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    setenv("POCL_KERNEL_CACHE", cases[i].value, 1);
    ca_device_quirks(&pocl);
    ca_device_quirks(&intel);
    assert_int_equal(cases[i].removes, (pocl.quirks & CA_QUIRK_BIT(binary_files_removed)) != 0);
    assert_int_equal(0, intel.quirks);
  }
  unsetenv("POCL_KERNEL_CACHE");
  ca_device_quirks(&pocl);
  assert_int_equal(pocl_quirks, pocl.quirks);
  if (own[0]) setenv("POCL_KERNEL_CACHE", own, 1);
}

/* Where threads stay put the driver is told by its environment; others have nothing to be told. */
static void unpinned_threads_are_reported(void **state)
{
  (void)state;
  ca_facts pocl, intel;
  read_facts("pocl-avx512", &pocl);
  read_facts("intel-cpu", &intel);
  char own[64] = "";
  if (getenv("POCL_AFFINITY")) snprintf(own, sizeof own, "%s", getenv("POCL_AFFINITY"));
  setenv("POCL_AFFINITY", "1", 1);
  assert_string_equal("", ca_device_placement(&pocl));
  setenv("POCL_AFFINITY", "0", 1);
  assert_holds(ca_device_placement(&pocl), "POCL_AFFINITY=1");
  assert_string_equal("", ca_device_placement(&intel));
  unsetenv("POCL_AFFINITY");
  assert_holds(ca_device_placement(&pocl), "not pinned");
  assert_string_equal("", ca_device_placement(&intel));
  pocl.type = CA_DEVICE_GPU;
  assert_string_equal("", ca_device_placement(&pocl));
  if (own[0]) setenv("POCL_AFFINITY", own, 1);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(classes_outweigh_speed),
      cmocka_unit_test(want_chooses),
      cmocka_unit_test(equals_keep_the_loaders_order),
      cmocka_unit_test(what_is_not_there_is_named_with_what_is),
      cmocka_unit_test(nothing_to_choose_from_is_said),
      cmocka_unit_test(texts_are_cut_between_characters),
      cmocka_unit_test(language_versions_are_read),
      cmocka_unit_test(quirks_are_asked_anew),
      cmocka_unit_test(unpinned_threads_are_reported),
      cmocka_unit_test(quirks_match_the_drivers_that_have_them),
      cmocka_unit_test(quirks_follow_the_drivers_environment),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
