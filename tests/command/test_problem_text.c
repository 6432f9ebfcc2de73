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

/* These are the shortest there are, and say every key. */
static void test_shortest(void **state)
{
  (void)state;
  static const char *const texts[] = {
      "seed=0",
      "b=3,nonpad=-1:0:900,mask=pad",
      "sq=5,mask=bool,mask_shared=none",
      "sq=5,mask=pad,mask_shared=h",
      "dtype=f64,lse_type=f32",
      "dtype=f16,k_type=f32,lse_type=f64",
      "b=2,hq=4,hk=2,sq=7,sk=9,dk=3,dv=5,past=2,causal=1,left=4,right=0,offset=-3,scale=-0.5,softcap=2,mask=lowest,"
      "mask_rank=3,mask_shared=bq,mask_short=1,mask_closed=1,present=kv,lse=1,qk=3,precision=11,dtype=f16,k_type=bf16,"
      "v_type=f32,y_type=f64,mask_type=bf16,lse_type=f64,qk_type=f32,q_layout=constant,k_layout=shared,v_layout=spread,"
      "y_layout=reversed,mask_layout=gaps,lse_layout=tokens,qk_layout=gaps,fill=large,poison=unseen,path=fused,"
      "variant=tiled/q32k32,seed=9",
  };
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
    char text[PROBLEM_TEXT_BYTES];
    const problem_text problem = parse(texts[i]);
    problem_print(&problem, text);
    assert_string_equal(text, texts[i]);
  }
  char text[PROBLEM_TEXT_BYTES];
  const problem_text problem =
      parse("b=1,hq=2,hk=2,sq=4,sk=4,dk=64,dv=64,past=0,scale=0.5,mask_rank=4,dtype=bf16,k_type=bf16,y_layout=dense");
  problem_print(&problem, text);
  assert_string_equal(text, "hq=2,sq=4,scale=0.5,dtype=bf16");
}

static void test_defaults(void **state)
{
  (void)state;
  char text[PROBLEM_TEXT_BYTES];
  problem_text problem = parse("sq=4,y_type=f16,offset=2,q_layout=gaps,seed=7");
  problem_drop(&problem, (const char *const[]){"y_type", "k_type", "offset", "q_layout", NULL}, text);
  assert_string_equal(text, "y_type,offset,q_layout");
  problem_print(&problem, text);
  assert_string_equal(text, "sq=4,seed=7");
  for (size_t row = 0; problem_key(row); row++) problem_reset(&problem, row);
  problem_print(&problem, text);
  assert_string_equal(text, "seed=0");
}

static const char *id_of(const char *text)
{
  static char id[PROBLEM_VARIANT_BYTES];
  const problem_text problem = parse(text);
  return problem_variant(&problem, id) == id ? id : problem_variant(&problem, id) ? "as it is" : "none";
}

static void test_variants(void **state)
{
  (void)state;
  assert_string_equal(id_of("seed=1"), "none");
  assert_string_equal(id_of("variant=tiled_attention_f32"), "as it is");
  assert_string_equal(id_of("variant=tiled/q32k32"), "tiled_attention_f32_d64_q32k32");
  assert_string_equal(id_of("variant=tiled/m64n64k16,path=staged,dk=3,dv=4"), "tiled_staged_f32_d3v4_m64n64k16");
  assert_string_equal(id_of("variant=tiled/m64n64k16,qk=2,v_type=f16"), "tiled_staged_f32f32f16f32_d64_m64n64k16");
}

static void test_bad_texts(void **state)
{
  (void)state;
  static const struct {
    const char *text, *reason;
  } bad[] = {
      {"", "not key=value"},
      {"b", "not key=value"},
      {"b=", "b is ''"},
      {"b=0", "b is '0'"},
      {"b=1.5", "b is '1.5'"},
      {"b=x", "b is 'x'"},
      {"b=1,", "not key=value"},
      {"q=1", "unknown key 'q'"},
      {"B=1", "unknown key 'B'"},
      {"b=1,b=1", "twice"},
      {"hq=3,hk=2", "multiple"},
      {"dtype=i8", "one of f32, f16, bf16, f64"},
      {"path=slow", "one of auto"},
      {"mask=soft", "one of none"},
      {"scale=nan", "scale is 'nan'"},
      {"scale=", "scale is ''"},
      {"softcap=-1", "softcap"},
      {"left=-2", "left is '-2'"},
      {"seed=-1", "seed is '-1'"},
      {"causal=2", "causal is '2'"},
      {"sk=99999999999", "sk is"},
      {"b= 1", "b is ' 1'"},
      {"b=2,nonpad=3", "nonpad has 1 lengths, must have b, 2"},
      {"nonpad=3:", "nonpad has '', must be lengths joined by ':'"},
      {"b=2,nonpad=3:x", "nonpad has 'x', must be lengths joined by ':'"},
      {"nonpad=1,past=1", "only one"},
      {"nonpad=1,offset=1", "only one"},
      {"nonpad=0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0", "more than 16"},
      {"sq=4,mask_short=5", "the limit is past + sk, 4"},
      {"mask_shared=bb", "must be none or letters of 'bhq'"},
      {"present=x", "must be none or letters of 'kv'"},
      {"mask_rank=0", "mask_rank is '0'"},
      {"precision=3", "must be 0, 1, 10, 11 or 16"},
      {"y_layout=shared", "which is for inputs"},
      {"lse_layout=constant", "which is for inputs"},
      {"q_layout=heap", "one of dense, tokens, gaps, spread, reversed, shared, constant"},
      {"qk=4", "qk is '4'"},
      {"fill=hot", "one of order, equal, large"},
      {"poison=all", "one of none, unseen, key, value"},
      {"variant=", "must have 1 to"},
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

static st_file fill(const char *text)
{
  const problem_text problem = parse(text);
  st_file file;
  st_error error;
  if (!problem_fill(&problem, &file, &error)) fail_msg("%s: %s", text, error.text);
  return file;
}

static void test_fill_kinds(void **state)
{
  (void)state;
  st_file file = fill("b=2,hq=4,sq=9,sk=30,dk=16,k_type=f64,v_type=bf16,mask=infinite,mask_rank=3,mask_shared=q,"
                      "mask_short=4,mask_closed=1,mask_type=f16,qk=2,precision=10,fill=large");
  assert_int_equal(st_find(&file, "K")->type, ST_F64);
  assert_int_equal(st_find(&file, "V")->type, ST_BF16);
  const st_tensor *mask = st_find(&file, "attn_mask");
  assert_int_equal(mask->type, ST_F16);
  assert_string_equal(st_show_shape(mask->rank, mask->dim).text, "[4,1,26]");
  const uint16_t minus_infinity = 0xFC00, *bias = mask->data;
  int closed = 0;
  for (int key = 0; key < 26; key++) {
    closed += bias[key] == minus_infinity;
    assert_int_equal(bias[2 * 26 + key], minus_infinity);
  }
  assert_true(closed > 0 && closed < 26);
  assert_string_equal(st_label_value(&file, "qk_matmul_output_mode"), "2");
  assert_string_equal(st_label_value(&file, "softmax_precision"), "10");
  const double k = ((const double *)st_find(&file, "K")->data)[0];
  assert_true((double)(float)k < k || (double)(float)k > k); /* float64 has digits of its own */
  st_free(&file);
  file = fill("b=2,sk=5,nonpad=-1:7,fill=equal");
  assert_int_equal(((const int64_t *)st_find(&file, "nonpad_kv_seqlen")->data)[0], -1);
  assert_memory_equal(st_find(&file, "K")->data, (const float *)st_find(&file, "K")->data + 1, 4 * 100);
  st_free(&file);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_round_trip), cmocka_unit_test(test_shortest),  cmocka_unit_test(test_defaults),
      cmocka_unit_test(test_variants),   cmocka_unit_test(test_bad_texts), cmocka_unit_test(test_fill_kinds),
      cmocka_unit_test(test_fill),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
