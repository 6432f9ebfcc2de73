/* Where sizes end, by one family on one path: empty sequences, lengths that the device alone knows, 100,000 keys, and
 * buffers past 2^31 elements: test_reach VARIANT|any PATH [FILTER]. */
#include <stdio.h>
#include <string.h>

#include "asserts.h"
#include "tester.h"

static way chosen;

static void run(void **state, const attention_case *c) { test_attention(*state, c, &chosen); }

/* Negative and too long lengths are clamped; the causal offset is the length less SQ, and may be negative. */
static void lengths_on_the_device(void **state)
{
  static const int64_t lengths[] = {0, -3, 1, 9, 16, 17, 33, 64, 65, 1000};
  enum { LENGTHS = sizeof lengths / sizeof lengths[0] };
  for (int bits = 0; bits < 16; bits++) {
    attention_case c = {.b = LENGTHS,
                        .hq = 4,
                        .hk = 2,
                        .sq = bits & 8 ? 1 : 19,
                        .sk = 65,
                        .nonpad = lengths,
                        .causal = bits & 1,
                        .has_window = (bits & 2) != 0,
                        .window_left = 7,
                        .window_right = 2,
                        .mask = bits & 4 ? MASK_BOOL : MASK_NONE,
                        .want_lse = true,
                        .poison = POISON_UNSEEN,
                        .seed = (uint64_t)bits};
    run(state, &c);
    c.mask_short = 20;
    c.want_present = true;
    if (bits & 4) run(state, &c);
  }
}

static void empty_sequences(void **state)
{
  run(state, &(attention_case){.sq = 3, .sk = TESTER_EMPTY, .want_lse = true});
  run(state, &(attention_case){.sq = TESTER_EMPTY, .sk = 4, .want_lse = true});
  run(state, &(attention_case){.b = TESTER_EMPTY, .sq = 3, .sk = 4, .want_lse = true});
  run(state, &(attention_case){.sq = TESTER_EMPTY, .sk = TESTER_EMPTY});
  run(state, &(attention_case){.sq = 3, .sk = 4, .mask = MASK_BOOL, .mask_short = 4, .want_lse = true});
  run(state, &(attention_case){.sq = 3, .sk = TESTER_EMPTY, .mask = MASK_ADDITIVE, .mask_rank = 2, .causal = true});
}

static void one_token(void **state)
{
  for (int64_t past = 0; past < 70; past += 23)
    run(state, &(attention_case){
                   .b = 3, .hq = 8, .hk = 1, .sq = 1, .past = past, .dk = 64, .causal = true, .want_present = true});
}

/* A driver that ends long loops is told apart by a refusal that says so (quirks.def). */
static bool ends_long_loops(const device_under_test *d)
{
  clattn_report report;
  clattn_plan *plan = NULL;
  clattn_attention_desc desc = CLATTN_ATTENTION_DESC_INIT;
  char platform[128] = "";
  cl_platform_id id;
  desc.q = desc.y = clattn_bhsd(CLATTN_F32, 1, 1, 1, 8);
  desc.k = desc.v = clattn_bhsd(CLATTN_F32, 1, 1, 100003, 8);
  const clattn_status status = clattn_plan_attention(d->context, &desc, &plan, &report);
  clattn_plan_destroy(plan);
  assert_cl(clGetDeviceInfo(d->id, CL_DEVICE_PLATFORM, sizeof id, &id, NULL));
  assert_cl(clGetPlatformInfo(id, CL_PLATFORM_NAME, sizeof platform, platform, NULL));
  if (strcmp(platform, "rusticl")) {
    assert_status(CLATTN_OK, status, &report);
    return false;
  }
  assert_status(CLATTN_UNSUPPORTED, status, &report);
  assert_holds(report.detail, "100003 keys are too many: this driver ends a work-item's loops after 65535 turns");
  return true;
}

static void a_hundred_thousand_keys(void **state)
{
  if (ends_long_loops(*state)) return;
  run(state, &(attention_case){.hq = 2, .hk = 1, .sq = 2, .sk = 100003, .dk = 8, .want_lse = true});
  run(state, &(attention_case){.sq = 3,
                               .sk = 131,
                               .past = 100000,
                               .dk = 4,
                               .dv = 3,
                               .causal = true,
                               .k_type = CLATTN_BF16,
                               .v_type = CLATTN_F16,
                               .want_lse = true,
                               .want_present = true});
}

/* The same rows close together and as far apart as one buffer allows: pages in between are never touched. */
enum { ROWS = 8, D = 8 };
static const int32_t far_slots[] = {CLATTN_K, CLATTN_V, CLATTN_MASK, CLATTN_Y};

static size_t largest_buffer(const device_under_test *d)
{
  cl_ulong bytes = 0;
  assert_cl(clGetDeviceInfo(d->id, CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof bytes, &bytes, NULL));
  const cl_ulong most = (cl_ulong)9 << 30;
  return (size_t)(bytes < most ? bytes : most);
}

static void run_far(const device_under_test *d, int32_t far, unsigned char *y)
{
  clattn_report report;
  clattn_plan *plan = NULL;
  variant_id id;
  clattn_attention_desc desc = CLATTN_ATTENTION_DESC_INIT;
  desc.q = desc.k = desc.v = desc.y = clattn_bhsd(CLATTN_F16, 1, 1, ROWS, D);
  desc.mask = clattn_bhsd(CLATTN_BOOL, 1, 1, ROWS, ROWS);
  desc.variant =
      variant_named(chosen.variant, chosen.path == CLATTN_PATH_STAGED ? "staged" : "attention", "f16_d8", &id);
  desc.path = chosen.path;
  clattn_tensor *const views[] = {&desc.k, &desc.v, &desc.mask, &desc.y, &desc.q};
  static const int32_t slots[] = {CLATTN_K, CLATTN_V, CLATTN_MASK, CLATTN_Y, CLATTN_Q};
  unsigned char dense[5][ROWS * D * 2];
  clattn_binding bindings[5] = {{0}};
  size_t row_bytes[5], step_bytes[5];
  for (int i = 0; i < 5; i++) {
    const size_t element = slots[i] == CLATTN_MASK ? 1 : 2;
    row_bytes[i] = element * 8;
    step_bytes[i] = row_bytes[i];
    if (slots[i] == far) step_bytes[i] = (largest_buffer(d) / (ROWS - 1) - 64) / 64 * 64;
    views[i]->stride[2] = (int64_t)(step_bytes[i] / element);
    for (int e = 0; e < ROWS * D; e++) {
      if (element == 1) dense[i][e] = (e * 5 + i) % 3 != 0;
      if (element == 2) number_store(CLATTN_F16, dense[i], e, (double)((e * 37 + i * 11) % 64) / 32.0 - 1.0);
    }
    bindings[i].slot = slots[i];
    bindings[i].mem = device_buffer(d, (ROWS - 1) * step_bytes[i] + row_bytes[i], NULL);
    for (size_t r = 0; r < ROWS; r++)
      assert_cl(clEnqueueWriteBuffer(d->queue, bindings[i].mem, CL_TRUE, r * step_bytes[i], row_bytes[i],
                                     dense[i] + r * row_bytes[i], 0, NULL, NULL));
  }
  assert_status(CLATTN_OK, clattn_plan_attention(d->context, &desc, &plan, &report), &report);
  assert_status(CLATTN_OK, clattn_enqueue(plan, d->queue, bindings, 5, 0, NULL, NULL, &report), &report);
  for (size_t r = 0; r < ROWS; r++)
    assert_cl(clEnqueueReadBuffer(d->queue, bindings[3].mem, CL_TRUE, r * step_bytes[3], row_bytes[3],
                                  y + r * row_bytes[3], 0, NULL, NULL));
  for (int i = 0; i < 5; i++) assert_cl(clReleaseMemObject(bindings[i].mem));
  clattn_plan_destroy(plan);
}

static void rows_far_apart(void **state)
{
  unsigned char near[ROWS * D * 2], far[ROWS * D * 2];
  run_far(*state, CLATTN_NO_SLOT, near);
  for (size_t i = 0; i < sizeof far_slots / sizeof far_slots[0]; i++) {
    memset(far, 0, sizeof far);
    run_far(*state, far_slots[i], far);
    if (memcmp(near, far, sizeof far))
      print_error("%s far apart gives another y\n", clattn_slot_text((clattn_slot)far_slots[i]));
    assert_memory_equal(near, far, sizeof far);
  }
}

int main(int argc, char **argv)
{
  static const char *const paths[] = {"auto", "staged", "fused"};
  chosen.path = -1;
  for (int32_t i = 0; argc > 2 && i < 3; i++)
    if (!strcmp(argv[2], paths[i])) chosen.path = i;
  if (chosen.path < 0) {
    fprintf(stderr, "usage: %s VARIANT|any auto|staged|fused [FILTER]\n", argv[0]);
    return 2;
  }
  chosen.variant = strcmp(argv[1], "any") ? argv[1] : NULL;
  if (argc > 3) cmocka_set_test_filter(argv[3]);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lengths_on_the_device),   cmocka_unit_test(empty_sequences), cmocka_unit_test(one_token),
      cmocka_unit_test(a_hundred_thousand_keys), cmocka_unit_test(rows_far_apart),
  };
  return cmocka_run_group_tests(tests, device_setup, device_teardown);
}
