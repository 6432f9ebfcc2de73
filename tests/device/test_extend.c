/* The past and the extended keys and values, by one family on one path: test_extend VARIANT|any PATH [FILTER]. */
#include <stdio.h>
#include <string.h>

#include "asserts.h"
#include "tester.h"

static way chosen;

static void run(void **state, const attention_case *c) { test_attention(*state, c, &chosen); }

/* For interpreters of kernels: few elements, every input. */
static void test_small(void **state)
{
  run(state, &(attention_case){.b = 2,
                               .hq = 2,
                               .hk = 1,
                               .sq = 3,
                               .sk = 5,
                               .past = 4,
                               .dk = 5,
                               .dv = 3,
                               .k_type = CLATTN_F16,
                               .v_type = CLATTN_BF16,
                               .k_layout = LAYOUT_TOKENS,
                               .v_layout = LAYOUT_SPREAD,
                               .causal = true,
                               .mask = MASK_BOOL,
                               .mask_rank = 1,
                               .mask_short = 1,
                               .want_present = true,
                               .want_lse = true,
                               .poison = POISON_UNSEEN});
  run(state, &(attention_case){.sq = 2, .sk = 1, .past = 18, .want_present = true});
}

static void every_past(void **state)
{
  static const int64_t past[] = {1, 3, 15, 16, 17, 33, 64}, fresh[] = {1, 5, 16, 33};
  for (size_t i = 0; i < sizeof past / sizeof past[0]; i++)
    for (size_t j = 0; j < sizeof fresh / sizeof fresh[0]; j++)
      run(state, &(attention_case){.b = 2,
                                   .hq = 4,
                                   .hk = 2,
                                   .sq = fresh[j],
                                   .sk = fresh[j],
                                   .past = past[i],
                                   .dk = 12,
                                   .dv = 20,
                                   .causal = j % 2 == 0,
                                   .want_present = i % 2 == 0,
                                   .want_lse = true,
                                   .seed = i});
}

static void without_a_past(void **state)
{
  run(state, &(attention_case){.b = 2, .hq = 6, .hk = 3, .sq = 4, .sk = 65, .dk = 3, .dv = 70, .want_present = true});
}

/* present is written where the query is empty, and where there is nothing new. */
static void empty_parts(void **state)
{
  run(state, &(attention_case){.sq = TESTER_EMPTY, .sk = 7, .past = 3, .want_present = true});
  run(state, &(attention_case){.sq = 3, .sk = TESTER_EMPTY, .past = 5, .want_present = true});
  run(state, &(attention_case){.sq = 3, .sk = TESTER_EMPTY, .want_present = true, .want_lse = true});
  run(state, &(attention_case){.b = TESTER_EMPTY, .hq = 2, .sq = 3, .sk = 4, .past = 2, .want_present = true});
}

static void every_layout(void **state)
{
  for (box_layout layout = LAYOUT_DENSE; layout <= LAYOUT_REVERSED; layout++)
    run(state, &(attention_case){.b = 2,
                                 .hq = 4,
                                 .hk = 2,
                                 .sq = 9,
                                 .past = 18,
                                 .dk = 12,
                                 .dv = 5,
                                 .k_layout = layout,
                                 .v_layout = LAYOUT_REVERSED - layout,
                                 .want_present = true});
}

static void every_type(void **state)
{
  for (int32_t k = CLATTN_F32; k <= CLATTN_BF16; k++)
    for (int32_t v = CLATTN_F32; v <= CLATTN_BF16; v++)
      run(state, &(attention_case){
                     .hq = 2, .sq = 9, .past = 21, .k_type = k, .v_type = v, .causal = true, .want_present = true});
}

/* What nobody attends is copied all the same, and masks, windows and caps see past and new keys as one row. */
static void with_everything(void **state)
{
  for (uint64_t seed = 0; seed < 3; seed++)
    run(state, &(attention_case){.b = 2,
                                 .hq = 4,
                                 .hk = 2,
                                 .sq = 17,
                                 .sk = 35,
                                 .past = 30,
                                 .causal = true,
                                 .has_window = true,
                                 .window_left = 9,
                                 .window_right = 3,
                                 .mask = seed == 1 ? MASK_INFINITE : MASK_BOOL,
                                 .mask_short = 11,
                                 .softcap = 3.0,
                                 .want_present = true,
                                 .want_lse = true,
                                 .poison = POISON_UNSEEN,
                                 .seed = seed});
}

/* A cache that grows in place: present lies upon the past. */
static void in_place(void **state)
{
  const device_under_test *d = *state;
  enum { CAPACITY = 8, PAST = 5, NEW = 2, D = 4 };
  float cache[CAPACITY][D], fresh[NEW][D], value[CAPACITY][D], out[CAPACITY][D];
  for (int i = 0; i < CAPACITY * D; i++) (&cache[0][0])[i] = (&value[0][0])[i] = (float)i;
  for (int i = 0; i < NEW * D; i++) (&fresh[0][0])[i] = 100.0f + (float)i;
  variant_id id;
  clattn_attention_desc desc = CLATTN_ATTENTION_DESC_INIT;
  desc.q = desc.y = clattn_bhsd(CLATTN_F32, 1, 1, 1, D);
  desc.k = desc.v = clattn_bhsd(CLATTN_F32, 1, 1, NEW, D);
  desc.past_key = desc.past_value = clattn_bhsd(CLATTN_F32, 1, 1, PAST, D);
  desc.present_key = clattn_bhsd(CLATTN_F32, 1, 1, PAST + NEW, D);
  for (int i = 0; i < 2; i++) desc.past_key.stride[i] = desc.present_key.stride[i] = CAPACITY * D;
  desc.variant = way_variant(&chosen, "f32_d4", &id);
  desc.path = chosen.path;
  clattn_report report;
  clattn_plan *plan = NULL;
  assert_status(CLATTN_OK, clattn_plan_attention(d->context, &desc, &plan, &report), &report);
  const cl_mem keys = device_buffer(d, sizeof cache, cache), values = device_buffer(d, sizeof value, value);
  const cl_mem added = device_buffer(d, sizeof fresh, fresh), q = device_buffer(d, sizeof fresh, fresh);
  const cl_mem y = device_buffer(d, sizeof fresh, NULL);
  clattn_binding bindings[] = {{.slot = CLATTN_Q, .mem = q},
                               {.slot = CLATTN_K, .mem = added},
                               {.slot = CLATTN_V, .mem = added},
                               {.slot = CLATTN_PAST_KEY, .mem = keys},
                               {.slot = CLATTN_PAST_VALUE, .mem = values},
                               {.slot = CLATTN_PRESENT_KEY, .mem = keys},
                               {.slot = CLATTN_Y, .mem = y}};
  assert_status(CLATTN_OK, clattn_enqueue(plan, d->queue, bindings, 7, 0, NULL, NULL, &report), &report);
  device_read(d, keys, sizeof out, out);
  memcpy(cache[PAST], fresh, sizeof fresh);
  assert_memory_equal(out, cache, sizeof out);
  bindings[5].offset_bytes = D * sizeof(float); /* a row further: an element upon another */
  assert_status(CLATTN_OVERLAP, clattn_enqueue(plan, d->queue, bindings, 7, 0, NULL, NULL, &report), &report);
  assert_says(&report, "present_key", "past_key");
  const cl_mem all[] = {keys, values, added, q, y};
  for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) assert_cl(clReleaseMemObject(all[i]));
  clattn_plan_destroy(plan);
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
      cmocka_unit_test(test_small),      cmocka_unit_test(every_past),   cmocka_unit_test(without_a_past),
      cmocka_unit_test(empty_parts),     cmocka_unit_test(every_layout), cmocka_unit_test(every_type),
      cmocka_unit_test(with_everything), cmocka_unit_test(in_place),
  };
  return cmocka_run_group_tests(tests, device_setup, device_teardown);
}
