/* What bench/ makes of texts: how many operations and bytes a problem has, plans of it, the named sets. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "asserts.h"
#include "bench.h"

static bench_device device;

static bench_problem made(const char *text)
{
  bench_problem p;
  st_error error = {""};
  if (!bench_problem_make(&device, text, &p, &error)) fail_msg("%s: %s", text, error.text);
  return p;
}

static void operations_and_bytes_are_counted(void **state)
{
  (void)state;
  static const struct {
    const char *text;
    double pairs_and_channels; /* of all heads, times DK + DV; or tokens, widths and columns */
    double bytes;
  } cases[] = {
      {"sq=7,sk=9,dk=16", 7 * 9 * 32, 9 * 32 * 4},
      {"b=2,hq=4,hk=2,sq=7,sk=9,dk=16,dv=24,dtype=f16", 8 * 7 * 9 * 40, 4 * 9 * 40 * 2},
      {"sq=3,sk=4,past=5,dk=8,k_type=f16,v_type=bf16", 3 * 9 * 16, 9 * 16 * 2},
      {"sq=4,dk=8,causal=1", 10 * 16, 4 * 16 * 4},
      {"sq=4,sk=4,past=3,dk=8,causal=1", (4 + 5 + 6 + 7) * 16, 7 * 16 * 4},
      {"sq=4,sk=9,dk=8,causal=1,offset=-2", (0 + 0 + 1 + 2) * 16, 9 * 16 * 4},
      {"sq=4,sk=9,dk=8,causal=1,offset=7", (8 + 9 + 9 + 9) * 16, 9 * 16 * 4},
      {"sq=6,dk=8,left=1,right=2", (3 + 4 + 4 + 4 + 3 + 2) * 16, 6 * 16 * 4},
      {"sq=6,dk=8,left=2,causal=1", (1 + 2 + 3 + 3 + 3 + 3) * 16, 6 * 16 * 4},
      {"b=2,sq=2,sk=9,dk=8,nonpad=3:20,causal=1", (2 + 3 + 8 + 9) * 16, (3 + 9) * 16 * 4},
      {"b=2,sq=2,sk=9,dk=8,nonpad=-1:5", (0 + 2 * 5) * 16, 5 * 16 * 4},
      {"sq=2,dk=8,right=9223372036854775807,left=9223372036854775807", 4 * 16, 2 * 16 * 4},
      {"op=projection,b=2,s=3,e=5,h=2,d=4", 6 * 5 * 8, 5 * 8 * 4},
      {"op=projection,s=3,e=5,h=2,d=4,w_type=f16,packed=1,flat=1", 3 * 5 * 8, 5 * 8 * 2},
      {"op=projection,b=2,s=3,e=5,h=4,hk=2,d=4,dv=6", 6 * 5 * (16 + 8 + 12), 5 * (16 + 8 + 12) * 4},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    bench_problem p = made(cases[i].text);
    if (p.ops != 2 * cases[i].pairs_and_channels || p.bytes != cases[i].bytes)
      fail_msg("%s: %.0f operations and %.0f bytes, must be %.0f and %.0f", cases[i].text, p.ops, p.bytes,
               2 * cases[i].pairs_and_channels, cases[i].bytes);
    bench_problem_free(&p);
  }
}

/* Everything that a text can ask for is planned and runs; what cannot be honoured is told. */
static void texts_become_plans(void **state)
{
  (void)state;
  static const struct {
    const char *text, *variant, *in_id, *dropped;
  } cases[] = {
      {"hq=2,sq=9,dk=16", NULL, "_attention_f32_", ""},
      {"hq=2,sq=9,dk=16,path=staged", NULL, "_staged_f32_", ""},
      {"hq=2,sq=9,dk=16", "reference", "reference_attention_", ""},
      {"hq=2,sq=9,dk=16,variant=reference", NULL, "reference_attention_", ""},
      {"b=2,hq=2,sq=9,sk=0,past=30,mask=edges,mask_shared=bh,lse=1,qk=1,present=k,offset=3,y_type=f16,q_layout=gaps",
       NULL, "_staged_", "q_layout"},
      {"b=2,sq=9,nonpad=3:9,precision=1,poison=unseen", NULL, "_attention_", "poison"},
      {"sq=5,sk=3,past=4,present=kv,mask=lowest,softcap=2,left=3", NULL, "_attention_", ""},
      {"op=projection,s=5,e=7,h=2,d=8", NULL, "_projection_f32", ""},
      {"op=projection,s=5,e=7,h=2,d=8,w_type=bf16,packed=1,bias=1,rotary=ids,interleaved=1,x_layout=gaps", NULL,
       "_projection_f32bf16", "x_layout"},
      {"op=projection,b=2,s=5,e=7,h=2,d=8,y_type=f16,rotary=dense,rotary_dim=4", NULL, "_projection_f32", ""},
      {"op=projection,s=5,e=7,h=2,d=8,rotary=offset,position_offset=3,cache_type=f16", "reference",
       "reference_projection_", ""},
      {"op=projection,s=5,e=7,h=2,d=8,flat=1,packed=1", "reference", "reference_projection_", ""},
      {"op=projection,s=5,e=7,h=4,d=8,hk=2,bias=1,rotary=offset,w_type=f16", NULL, "_projection_f32f16", ""},
      {"op=projection,s=5,e=7,h=4,d=8,hk=1,dv=5,packed=1,sliced=1,absent=4", NULL, "_projection_f32", "absent,sliced"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    bench_plan plan;
    st_error error = {""};
    double ms = -1.0;
    bench_problem p = made(cases[i].text);
    assert_string_equal(cases[i].dropped, p.dropped);
    if (!bench_plan_make(&p, cases[i].variant, &plan, &error)) fail_msg("%s: %s", cases[i].text, error.text);
    assert_holds(plan.info.variant, cases[i].in_id);
    assert_int_equal(plan.info.workspace_bytes, clattn_plan_workspace_bytes(plan.plan));
    assert_int_equal(plan.info.workspace_bytes != 0, plan.workspace != NULL);
    if (!bench_plan_run(&plan, 2, &ms, &error)) fail_msg("%s: %s", cases[i].text, error.text);
    assert_true(ms > 0);
    bench_plan_free(&plan);
    bench_problem_free(&p);
  }
}

/* One set of tensors for several plans, each timed turn by turn. */
static void plans_share_a_problem(void **state)
{
  (void)state;
  st_error error = {""};
  bench_plan plans[2];
  double ms[2] = {-1, -1};
  bench_problem p = made("hq=2,sq=9,dk=16");
  assert_true(bench_plan_make(&p, NULL, &plans[0], &error));
  assert_true(bench_plan_make(&p, "reference", &plans[1], &error));
  for (int round = 0; round < 2; round++)
    for (int i = 0; i < 2; i++) {
      const int runs = plans[i].runs;
      assert_true(bench_plan_time(&plans[i], &ms[i], &error));
      assert_true(ms[i] > 0 && plans[i].runs >= 1);
      if (round) assert_int_equal(runs, plans[i].runs);
    }
  for (int i = 0; i < 2; i++) bench_plan_free(&plans[i]);
  assert_false(bench_plan_make(&p, "tiled_nonsense", &plans[0], &error));
  assert_holds(error.text, "\"tiled_nonsense\"");
  assert_holds(device.report.detail, "reference_attention_f32_d16");
  bench_plan_free(&plans[0]); /* nothing to free */
  bench_problem_free(&p);
}

static void texts_are_refused(void **state)
{
  (void)state;
  static char lengthy[2 * PROBLEM_TEXT_BYTES] = "variant=";
  memset(lengthy + strlen(lengthy), 'x', sizeof lengthy - strlen(lengthy) - 1);
  const struct {
    const char *text, *why;
  } cases[] = {
      {"sq=-1", "problem: sq is '-1', must be 0 to 2147483647"},
      {"op=nothing", "problem: unknown key 'op'"},
      {"op=projections", "problem: unknown key 'op'"},
      {"op=projection,s=x", "projection: s is 'x', must be 0 to 2147483647"},
      {"op=projection,d=513", "projection: d is '513', must be 1 to 512"},
      {"op=projection,s=1,s=2", "projection: key 's' is there twice"},
      {"op=projection,variant=a,variant=b", "projection: key 'variant' is there twice"},
      {"op=projection,variant=", "projection: variant is '', must have 1 to 95 letters"},
      {"op=projection,causal=1", "projection: unknown key 'causal'"},
      {"op=projection,s", "projection: 's' is not key=value"},
      {"op=projection,w_type=f8", "projection: w_type is 'f8', must be one of f32, f16, bf16, f64"},
      {"op=projection,y_layout=shared", "projection: y_layout is 'shared', must be one of dense, tokens"},
      {"op=projection,rotary=1", "projection: rotary is '1', must be one of none, offset, ids, dense"},
      {"op=projection,rotary=ids,flat=1", "what rotates is not flat"},
      {"op=projection,rotary_dim=2", "go with rotary"},
      {"op=projection,rotary=ids,position_offset=2", "position_offset goes with rotary=offset"},
      {lengthy, "the text has 3071 letters, the limit is 1535"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    bench_problem p;
    st_error error = {""};
    assert_false(bench_problem_check(cases[i].text, &error));
    assert_holds(error.text, cases[i].why);
    assert_false(bench_problem_make(&device, cases[i].text, &p, &error));
    assert_int_equal(0, p.n_bindings);
  }
}

/* Every set is of problems, each once, and of those that its name promises. */
static void sets_are_problems(void **state)
{
  (void)state;
  static const struct {
    const char *name, *among_them;
    int problems;
  } sets[] = {{"prefill", "hq=8,sq=4096,dk=128", 8},
              {"causal", "hq=8,sq=1024,dk=64,causal=1", 8},
              {"small", "b=32,hq=12,sq=333,dk=32", 6},
              {"decode", "hq=32,hk=8,sk=16384,dk=128,dtype=f16", 6},
              {"projection", "op=projection,s=16,e=4096,h=32,d=128,w_type=f16,packed=1", 36},
              {"long", "hq=8,sq=65536,dk=64,causal=1", 3}};
  enum { SETS = sizeof sets / sizeof sets[0] };
  for (size_t i = 0; i < SETS; i++) {
    st_error error = {""};
    const char *const *set = bench_set(sets[i].name);
    int n = 0, found = 0;
    assert_string_equal(sets[i].name, bench_set_name(i));
    assert_true(bench_set_summary(i)[0] != '\0');
    for (; set[n]; n++) {
      if (!bench_problem_check(set[n], &error)) fail_msg("%s: %s", set[n], error.text);
      found += strcmp(set[n], sets[i].among_them) == 0;
      for (int other = 0; other < n; other++) assert_string_not_equal(set[n], set[other]);
    }
    assert_int_equal(sets[i].problems, n);
    assert_int_equal(1, found);
  }
  assert_null(bench_set_name(SETS));
  assert_null(bench_set_summary(SETS));
  assert_null(bench_set("sets"));
}

static void peaks_are_measured(void **state)
{
  (void)state;
  bench_peaks peaks = {0};
  st_error error = {""};
  for (int round = 0; round < 2; round++) {
    if (!bench_device_peaks(&device, &peaks, &error)) fail_msg("%s", error.text);
    assert_true(isfinite(peaks.gflops) && peaks.gflops > 0);
    assert_true(isfinite(peaks.gbytes) && peaks.gbytes > 0);
  }
}

static void figures(void **state)
{
  (void)state;
  double odd[] = {3, 1, 2}, even[] = {4, 1, 3, 9}, one[] = {5};
  assert_true(bench_median(odd, 3) == 2 && odd[0] == 1 && odd[2] == 3);
  assert_true(bench_median(even, 4) == 3.5 && even[3] == 9);
  assert_true(bench_median(one, 1) == 5);
}

static int open_device(void **state)
{
  (void)state;
  st_error error = {""};
  const bool good = bench_device_open(&device, NULL, &error);
  if (!good) print_error("%s\n", error.text);
  return !good;
}

static int close_device(void **state)
{
  (void)state;
  bench_device_close(&device);
  return 0;
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(operations_and_bytes_are_counted),
      cmocka_unit_test(texts_become_plans),
      cmocka_unit_test(plans_share_a_problem),
      cmocka_unit_test(texts_are_refused),
      cmocka_unit_test(sets_are_problems),
      cmocka_unit_test(peaks_are_measured),
      cmocka_unit_test(figures),
  };
  return cmocka_run_group_tests(tests, open_device, close_device);
}
