/* The text of a problem: printing and parsing are inverse, bad texts are refused by key, and the same seed gives the
 * same tensors. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "problem_text.h"

static problem_text parse(const char *text)
{
  problem_text problem;
  st_error error;
  if (!problem_parse(text, &problem, &error)) fail_msg("\"%s\": %s", text, error.text);
  return problem;
}

static void test_round_trip(void **state)
{
  (void)state;
  static const char *const texts[] = {
      "seed=7",
      "b=2,hq=8,hk=2,sq=77,sk=333,dk=64,dtype=f16,causal=1,seed=7",
      "hq=3,sq=5,dk=1,dv=512,past=4,left=0,right=9,scale=-0.125,softcap=30,mask=pad,path=fused,dtype=bf16,seed=1",
      "sk=0,scale=0,seed=18446744073709551615",
  };
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
    char once[PROBLEM_TEXT_BYTES], twice[PROBLEM_TEXT_BYTES];
    problem_text problem = parse(texts[i]);
    problem_print(&problem, once);
    problem = parse(once);
    problem_print(&problem, twice);
    assert_string_equal(once, twice);
  }
  const problem_text problem = parse("hq=8,hk=2,sq=77,dk=64,seed=3");
  assert_int_equal(problem.b, 1);
  assert_int_equal(problem.hk, 2);
  assert_int_equal(problem.sk, 77);
  assert_int_equal(problem.dv, 64);
  assert_true(problem.scale != problem.scale);
}

static void test_bad_texts(void **state)
{
  (void)state;
  static const struct {
    const char *text, *reason;
  } bad[] = {
      {"", "not key=value"},        {"b", "not key=value"},        {"b=", "b is ''"},
      {"b=0", "b is '0'"},          {"b=1.5", "b is '1.5'"},       {"b=x", "b is 'x'"},
      {"b=1,", "not key=value"},    {"q=1", "unknown key 'q'"},    {"B=1", "unknown key 'B'"},
      {"b=1,b=1", "twice"},         {"hq=3,hk=2", "multiple"},     {"dtype=i8", "one of f32, f16, bf16, f64"},
      {"path=slow", "one of auto"}, {"mask=soft", "one of none"},  {"scale=nan", "scale is 'nan'"},
      {"scale=", "scale is ''"},    {"softcap=-1", "softcap"},     {"left=-2", "left is '-2'"},
      {"seed=-1", "seed is '-1'"},  {"causal=2", "causal is '2'"}, {"sk=99999999999", "sk is"},
      {"b= 1", "b is ' 1'"},
  };
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    problem_text problem;
    st_error error;
    if (problem_parse(bad[i].text, &problem, &error)) fail_msg("\"%s\" was accepted", bad[i].text);
    if (!strstr(error.text, bad[i].reason)) fail_msg("\"%s\": %s", bad[i].text, error.text);
  }
}

static void test_fill(void **state)
{
  (void)state;
  const problem_text problem = parse("b=2,hq=4,hk=2,sq=9,sk=300,dk=16,dv=8,past=3,mask=bool,causal=1,seed=5");
  st_file a, b;
  st_error error;
  assert_true(problem_fill(&problem, &a, &error));
  assert_true(problem_fill(&problem, &b, &error));
  assert_int_equal(a.n_tensors, 6);
  for (size_t i = 0; i < a.n_tensors; i++)
    assert_memory_equal(a.tensors[i].data, b.tensors[i].data, a.tensors[i].bytes);
  st_free(&b);
  const st_tensor *k = st_find(&a, "K"), *mask = st_find(&a, "attn_mask");
  assert_string_equal(st_show_shape(k->rank, k->dim).text, "[2,2,300,16]");
  assert_string_equal(st_show_shape(mask->rank, mask->dim).text, "[2,1,9,303]");
  assert_string_equal(st_label_value(&a, "is_causal"), "1");
  double sum = 0.0, squares = 0.0;
  const size_t n = k->bytes / sizeof(float);
  for (size_t i = 0; i < n; i++) {
    const double x = (double)((const float *)k->data)[i];
    sum += x;
    squares += x * x;
  }
  assert_true(sum / (double)n < 0.05 && sum / (double)n > -0.05);
  assert_true(squares / (double)n < 1.05 && squares / (double)n > 0.95);
  const problem_text other = parse("b=2,hq=4,hk=2,sq=9,sk=300,dk=16,dv=8,seed=6");
  assert_true(problem_fill(&other, &b, &error));
  assert_memory_not_equal(st_find(&b, "K")->data, k->data, k->bytes);
  st_free(&a);
  st_free(&b);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_round_trip),
      cmocka_unit_test(test_bad_texts),
      cmocka_unit_test(test_fill),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
