/* Few queries on many keys by a kernel made for that: test_decode VARIANT [FILTER]. What is its own: queries and heads
 * that share a key row, ranges of keys whose results are joined, head sizes that fill vectors and that do not. The rest
 * it shares with every family (test_attention, test_types, test_reach, test_extend). */
#include <stdio.h>
#include <string.h>

#include "asserts.h"
#include "tester.h"

static way chosen = {.path = CLATTN_PATH_FUSED};

static void run(void **state, attention_case c)
{
  c.want_lse = true;
  test_attention(*state, &c, &chosen);
}

/* Rows that share a key: 1 to 16 queries of 1 to 8 heads. */
static void queries_and_groups(void **state)
{
  static const int64_t heads[][2] = {{1, 1}, {2, 1}, {3, 1}, {4, 1}, {8, 1}, {5, 5}, {14, 2}};
  for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
    for (int64_t sq = 1; sq <= 16; sq += i % 2 ? 3 : 1)
      run(state, (attention_case){.b = 1 + sq % 2,
                                  .hq = heads[i][0],
                                  .hk = heads[i][1],
                                  .sq = sq,
                                  .sk = sq % 3 ? sq : 67,
                                  .past = sq % 3 ? 50 : 0,
                                  .dk = 32,
                                  .dv = sq % 2 ? 16 : 48,
                                  .causal = sq % 2,
                                  .seed = (uint64_t)sq});
}

/* More rows than one work-item takes. */
static void many_rows(void **state)
{
  run(state, (attention_case){.hq = 8, .hk = 1, .sq = 70, .sk = 70, .dk = 64, .causal = true});
  run(state, (attention_case){.b = 2, .hq = 6, .hk = 2, .sq = 41, .sk = 53, .dk = 144, .mask = MASK_BOOL});
  run(state, (attention_case){.hq = 4, .hk = 1, .sq = 13, .sk = 20, .dk = 512, .mask = MASK_EDGES});
}

static void head_sizes(void **state)
{
  static const int64_t size[][2] = {{16, 16},   {48, 80},   {96, 112}, {128, 128}, {144, 15}, {17, 144},
                                    {256, 192}, {512, 512}, {511, 3},  {1, 512},   {320, 384}};
  for (size_t i = 0; i < sizeof size / sizeof size[0]; i++)
    for (int32_t type = CLATTN_F32; type <= CLATTN_BF16; type++)
      run(state, (attention_case){.hq = 3,
                                  .hk = 1,
                                  .sq = 1 + (int64_t)i % 3,
                                  .sk = 147,
                                  .dk = size[i][0],
                                  .dv = size[i][1],
                                  .k_type = type,
                                  .v_type = CLATTN_F32 + (type + 1) % 3,
                                  .k_layout = i % 2 ? LAYOUT_TOKENS : LAYOUT_DENSE,
                                  .v_layout = i % 2 ? LAYOUT_GAPS : LAYOUT_DENSE});
}

/* A plan that cuts the keys has a workspace; more than 4096 keys are cut on any device. */
static void long_sequences_have_parts(void **state)
{
  const device_under_test *d = *state;
  static const struct {
    int64_t sk, least_parts;
  } cases[] = {{255, 0}, {4096, 0}, {4097, 2}, {100000, 25}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    clattn_report report;
    clattn_plan *plan = NULL;
    variant_id id;
    clattn_attention_desc desc = CLATTN_ATTENTION_DESC_INIT;
    desc.q = desc.y = clattn_bhsd(CLATTN_F32, 1, 4, 2, 16);
    desc.k = desc.v = clattn_bhsd(CLATTN_F32, 1, 2, cases[i].sk, 16);
    desc.variant = variant_named(chosen.variant, "attention", "f32_d16", &id);
    assert_status(CLATTN_OK, clattn_plan_attention(d->context, &desc, &plan, &report), &report);
    const size_t part = 4 * 2 * (16 + 2) * sizeof(float), bytes = clattn_plan_workspace_bytes(plan);
    assert_int_equal(0, bytes % part);
    assert_true(bytes / part >= (size_t)cases[i].least_parts);
    if (cases[i].sk < 256) assert_int_equal(0, bytes);
    clattn_plan_destroy(plan);
  }
}

/* Lengths around the ends of parts, however many a device gets; what lies in one part alone. */
static void parts_are_joined(void **state)
{
  static const int64_t keys[] = {511, 512, 513, 528, 1023, 1025, 2055, 4097};
  for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
    attention_case c = {.hq = 4, .hk = 1, .sq = 1 + (int64_t)i % 2, .sk = keys[i], .dk = 16, .dv = 20, .seed = i};
    run(state, c);
    c.causal = c.has_offset = true;
    c.offset = keys[i] / 2 - 3;
    c.poison = POISON_UNSEEN;
    run(state, c);
    c.mask = i % 2 ? MASK_EDGES : MASK_INFINITE;
    c.softcap = i % 3 ? 0.0 : 2.0;
    run(state, c);
    c = (attention_case){.hq = 2, .hk = 1, .sq = 3, .sk = keys[i], .dk = 8, .fill = FILL_LARGE};
    run(state, c);
    c.mask = MASK_LOWEST;
    run(state, c);
    c = (attention_case){.hq = 2, .hk = 1, .sq = 2, .sk = keys[i] - 300, .past = 300, .dk = 16, .want_present = true};
    c.k_type = CLATTN_F16;
    c.v_type = CLATTN_BF16;
    run(state, c);
    c.has_window = true;
    c.window_left = c.window_right = 40;
    run(state, c);
  }
}

static void parts_without_keys(void **state)
{
  static const int64_t lengths[] = {0, 1, 16, 17, 255, 256, 300, 599, 600, 700};
  for (int bits = 0; bits < 4; bits++)
    run(state, (attention_case){.b = 10,
                                .hq = 2,
                                .hk = 1,
                                .sq = bits & 1 ? 3 : 1,
                                .sk = 9000,
                                .dk = 8,
                                .nonpad = lengths,
                                .causal = bits & 1,
                                .mask = bits & 2 ? MASK_BOOL : MASK_NONE,
                                .poison = POISON_UNSEEN});
  run(state, (attention_case){.sq = 3, .sk = 5000, .mask = MASK_BOOL, .closed_rows = true, .poison = POISON_UNSEEN});
  run(state, (attention_case){.sq = 2, .sk = 5000, .causal = true, .has_offset = true, .offset = -1});
}

/* What is no number in one part reaches its row from there. */
static void parts_seen(void **state)
{
  for (poison_case poison = POISON_SEEN_KEY; poison <= POISON_SEEN_VALUE; poison++) {
    run(state, (attention_case){.hq = 2, .sq = 2, .sk = 4300, .past = 0, .poison = poison});
    run(state, (attention_case){.hq = 2, .hk = 1, .sq = 3, .sk = 4300, .mask = MASK_BOOL, .poison = poison});
    run(state, (attention_case){.sq = 3, .sk = 3, .past = 4300, .causal = true, .poison = poison});
  }
}

/* The formula of the accuracy section, where sums are longest. */
static void a_hundred_thousand_equal_keys(void **state)
{
  run(state, (attention_case){.hq = 2, .hk = 1, .sq = 1, .sk = 100003, .dk = 16, .fill = FILL_EQUAL});
  run(state, (attention_case){.hq = 4, .hk = 1, .sq = 1, .sk = 100003, .dk = 16, .v_type = CLATTN_F16});
}

int main(int argc, char **argv)
{
  if (argc < 2) {
    fprintf(stderr, "usage: %s VARIANT [FILTER]\n", argv[0]);
    return 2;
  }
  chosen.variant = argv[1];
  if (argc > 2) cmocka_set_test_filter(argv[2]);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(queries_and_groups), cmocka_unit_test(many_rows),
      cmocka_unit_test(head_sizes),         cmocka_unit_test(long_sequences_have_parts),
      cmocka_unit_test(parts_are_joined),   cmocka_unit_test(parts_without_keys),
      cmocka_unit_test(parts_seen),         cmocka_unit_test(a_hundred_thousand_equal_keys),
  };
  return cmocka_run_group_tests(tests, device_setup, device_teardown);
}
