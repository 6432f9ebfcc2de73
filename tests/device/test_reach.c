/* Where sizes end, by one family on one path: empty sequences, lengths that the device alone knows, 100,000 keys, and
 * buffers past 2^31 elements: test_reach VARIANT|any PATH [FILTER]. */
#include <stdio.h>
#include <string.h>

#include "asserts.h"
#include "far.h"
#include "tester.h"

static way chosen;

static void run(void **state, const attention_case *c) { test_attention(*state, c, &chosen); }

/* For interpreters of kernels: few elements, every input. */
static void test_small(void **state)
{
  static const int64_t lengths[] = {0, 3, -((int64_t)1 << 31) - 5, 20};
  run(state, &(attention_case){.b = 4,
                               .sq = 3,
                               .sk = 18,
                               .dk = 4,
                               .nonpad = lengths,
                               .causal = true,
                               .has_window = true,
                               .window_left = 9,
                               .window_right = 0,
                               .mask = MASK_ADDITIVE,
                               .mask_rank = 3,
                               .mask_broadcast = 2,
                               .mask_short = 1,
                               .want_lse = true,
                               .poison = POISON_UNSEEN});
  run(state, &(attention_case){.sq = 3, .sk = 17, .dk = 4, .causal = true, .poison = POISON_SEEN_VALUE});
}

/* Negative and too long lengths are clamped; the causal offset is the length less SQ, and may be negative. */
static void lengths_on_the_device(void **state)
{
  /* The last three are other lengths in 32 bits. */
  static const int64_t lengths[] = {
      0, -3, 1, 9, 16, 17, 33, 64, 65, 1000, ((int64_t)1 << 32) + 3, -((int64_t)1 << 31) - 5, -((int64_t)1 << 32) + 9};
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

/* The descriptor of the problem whose elements lie far apart. */
static clattn_attention_desc far_desc;

static clattn_status plan_far(clattn_context *context, clattn_plan **plan, clattn_report *report)
{
  return clattn_plan_attention(context, &far_desc, plan, report);
}

/* float32 rows that lie together are read in place by some families, others are copied: q, k and v of two types. */
static void elements_far_apart(void **state)
{
  enum { B = 2, HQ = 4, HK = 2, SQ = 2, SK = 3, PAST = 2, KEYS = PAST + SK, DK = 3, DV = 2 };
  for (clattn_dtype type = CLATTN_F32; type <= CLATTN_F16; type++)
    for (int with_scores = 0; with_scores < 2; with_scores++) {
      /* The fused path shows no scores. */
      if (with_scores && chosen.path == CLATTN_PATH_FUSED) continue;
      variant_id id;
      clattn_attention_desc *a = &far_desc;
      *a = (clattn_attention_desc)CLATTN_ATTENTION_DESC_INIT;
      a->q = clattn_bhsd(CLATTN_F16, B, HQ, SQ, DK);
      a->k = clattn_bhsd(type, B, HK, SK, DK);
      a->v = clattn_bhsd(type, B, HK, SK, DV);
      a->y = clattn_bhsd(CLATTN_F16, B, HQ, SQ, DV);
      a->mask = clattn_bhsd(CLATTN_BOOL, B, HQ, SQ, KEYS);
      a->past_key = clattn_bhsd(type, B, HK, PAST, DK);
      a->past_value = clattn_bhsd(type, B, HK, PAST, DV);
      a->present_key = clattn_bhsd(type, B, HK, KEYS, DK);
      a->present_value = clattn_bhsd(type, B, HK, KEYS, DV);
      a->lse = clattn_dense(CLATTN_F32, 3, (const int64_t[]){B, HQ, SQ});
      if (with_scores) a->qk = clattn_bhsd(CLATTN_F16, B, HQ, SQ, KEYS);
      a->qk_mode = with_scores && type == CLATTN_F32 ? 3 : 0;
      a->variant = way_variant(&chosen, type == CLATTN_F32 ? "f16f32f32f16_d3v2" : "f16_d3v2", &id);
      a->path = chosen.path;
      far_problem p = {.n = 11,
                       .tensor = {{CLATTN_Q, &a->q, false, false},
                                  {CLATTN_K, &a->k, false, false},
                                  {CLATTN_V, &a->v, false, false},
                                  {CLATTN_MASK, &a->mask, false, false},
                                  {CLATTN_PAST_KEY, &a->past_key, false, false},
                                  {CLATTN_PAST_VALUE, &a->past_value, false, false},
                                  {CLATTN_Y, &a->y, true, false},
                                  {CLATTN_LSE, &a->lse, true, false},
                                  {CLATTN_PRESENT_KEY, &a->present_key, true, false},
                                  {CLATTN_PRESENT_VALUE, &a->present_value, true, false},
                                  {CLATTN_QK, &a->qk, true, false}},
                       .plan = plan_far};
      p.n = with_scores ? 11 : 10;
      test_far(*state, &p);
    }
}

/* Enough float32 keys for the family `vector` to read them where they lie. */
static void rows_in_place_far_apart(void **state)
{
  enum { H = 2, SK = 12, D = 4 };
  variant_id id;
  clattn_attention_desc *a = &far_desc;
  *a = (clattn_attention_desc)CLATTN_ATTENTION_DESC_INIT;
  a->q = a->y = clattn_bhsd(CLATTN_F32, 1, H, 1, D);
  a->k = a->v = clattn_bhsd(CLATTN_F32, 1, H, SK, D);
  a->variant = way_variant(&chosen, "f32_d4", &id);
  a->path = chosen.path;
  test_far(*state, &(far_problem){.n = 4,
                                  .tensor = {{CLATTN_Q, &a->q, false, false},
                                             {CLATTN_K, &a->k, false, false},
                                             {CLATTN_V, &a->v, false, false},
                                             {CLATTN_Y, &a->y, true, false}},
                                  .plan = plan_far});
}

/* Lengths and an additive mask. */
static void lengths_far_apart(void **state)
{
  enum { B = 3, SK = 3, D = 2 };
  variant_id id;
  clattn_attention_desc *a = &far_desc;
  *a = (clattn_attention_desc)CLATTN_ATTENTION_DESC_INIT;
  a->q = a->y = clattn_bhsd(CLATTN_F32, B, 2, 1, D);
  a->k = a->v = clattn_bhsd(CLATTN_BF16, B, 2, SK, D);
  a->mask = clattn_bhsd(CLATTN_F16, B, 2, 1, SK);
  a->nonpad_kv_seqlen = clattn_dense(CLATTN_I64, 1, (const int64_t[]){B});
  a->variant = way_variant(&chosen, "f32bf16bf16f32_d2", &id);
  a->path = chosen.path;
  test_far(*state, &(far_problem){.n = 6,
                                  .tensor = {{CLATTN_Q, &a->q, false, false},
                                             {CLATTN_K, &a->k, false, false},
                                             {CLATTN_V, &a->v, false, false},
                                             {CLATTN_MASK, &a->mask, false, false},
                                             {CLATTN_NONPAD_KV_SEQLEN, &a->nonpad_kv_seqlen, false, false},
                                             {CLATTN_Y, &a->y, true, false}},
                                  .plan = plan_far});
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
      cmocka_unit_test(test_small),
      cmocka_unit_test(lengths_on_the_device),
      cmocka_unit_test(empty_sequences),
      cmocka_unit_test(one_token),
      cmocka_unit_test(a_hundred_thousand_keys),
      cmocka_unit_test(elements_far_apart),
      cmocka_unit_test(lengths_far_apart),
      cmocka_unit_test(rows_in_place_far_apart),
  };
  return cmocka_run_group_tests(tests, device_setup, device_teardown);
}
