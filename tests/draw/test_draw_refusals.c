/* What `clattn draw` refuses, it refuses before it opens a device (there is none here), with a message that names the
 * file, the thing, its value and the limit, and without an output. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "safetensors.h"
#include "spawn.h"

#define BAD CLATTN_TEST_SCRATCH "/draw-refused.safetensors"
#define OTHER CLATTN_TEST_SCRATCH "/draw-other.safetensors"
#define PICTURE CLATTN_TEST_SCRATCH "/draw-refused.svg"
#define ELEPHANT CLATTN_TEST_DATA "/smollm2-layer13-elephant.safetensors"
#define MAT CLATTN_TEST_DATA "/minilm-layer03-mat.safetensors"

static st_file file;

static st_tensor *add(const char *name, st_type type, int rank, int64_t a, int64_t b, int64_t c, int64_t d)
{
  st_tensor *t = st_add(&file, name, type, rank, (int64_t[]){a, b, c, d});
  assert_non_null(t);
  return t;
}

static void label(const char *key, const char *value) { assert_true(st_set_label(&file, key, value)); }

static void begin(void) { st_free(&file); }

static void begin_given(int64_t b, int64_t sq, int64_t sk)
{
  begin();
  add("Q", ST_F32, 4, b, 2, sq, 8);
  add("K", ST_F32, 4, b, 1, sk, 8);
  add("V", ST_F32, 4, b, 1, sk, 8);
}

static void write_to(const char *path)
{
  st_error error;
  if (!st_write(&file, path, &error)) fail_msg("%s", error.text);
}

/* Status 1, the file's name and the reason, no picture. */
static void refuse_words(const char *const *words, const char *named, const char *reason)
{
  remove(PICTURE);
  spawned run = spawn_clattn(false, words);
  assert_spawned(&run, 1, NULL, reason);
  if (named && !strstr(run.err, named)) fail_msg("'%s' is not named in: %s", named, run.err);
  assert_int_not_equal(access(PICTURE, F_OK), 0);
  spawned_free(&run);
}

static void refuse(const char *reason)
{
  write_to(BAD);
  refuse_words((const char *const[]){"draw", BAD, "-o", PICTURE, NULL}, BAD, reason);
}

/* Accepted: it goes on to look for a device, and there is none. */
static void accept_words(const char *const *words)
{
  spawned run = spawn_clattn(false, words);
  assert_spawned(&run, 1, NULL, "OpenCL platform");
  spawned_free(&run);
}

static void test_command_lines(void **state)
{
  (void)state;
  static const struct {
    const char *words[10], *reason;
  } wrong[] = {
      {{"draw"}, "no input"},
      {{"draw", ELEPHANT, "-o"}, "needs a value"},
      {{"draw", ELEPHANT, "--nonsense"}, "unknown option '--nonsense'"},
      {{"draw", ELEPHANT, "--dark=1"}, "takes no value"},
      {{"draw", ELEPHANT, "-o", "x.gif"}, "-o: 'x.gif' ends in none of .svg, .png, .html"},
      {{"draw", ELEPHANT, "-o", ".svg"}, "ends in none of"},
      {{"draw", ELEPHANT, "-o", "x/.svg"}, "ends in none of"},
      {{"draw", ELEPHANT, "-o", ""}, "-o: '' ends in none of"},
      {{"draw", ELEPHANT, "--view", "map"}, "--view: 'map' is none of matrix, network, grid"},
      {{"draw", ELEPHANT, "--show", "p"}, "--show: 'p' is none of P, Pv, A, antisymmetric"},
      {{"draw", ELEPHANT, "--head", ""}, "--heads: '' is no list"},
      {{"draw", ELEPHANT, "--heads", "3-1"}, "--heads: '3-1' is no list such as 0,3-5"},
      {{"draw", ELEPHANT, "--heads", "1,"}, "--heads: '1,' is no list"},
      {{"draw", ELEPHANT, "--heads", "-1"}, "--heads: '-1' is no list"},
      {{"draw", ELEPHANT, "--heads", "1000000"}, "of numbers up to 999999"},
      {{"draw", ELEPHANT, "--layer", "x"}, "--layers: 'x' is no list"},
      {{"draw", ELEPHANT, "--batch", "-1"}, "--batch: '-1' is no whole number of 0 to 999999"},
      {{"draw", ELEPHANT, "--top", "3.5"}, "--top: '3.5' is no whole number"},
      {{"draw", ELEPHANT, "--top", "99999999999999999999"}, "is no whole number of 0 to 999999"},
      {{"draw", ELEPHANT, "--threshold", "-0.1"}, "--threshold: '-0.1' is no number of 0 or more"},
      {{"draw", ELEPHANT, "--threshold", "nan"}, "--threshold: 'nan' is no number"},
      {{"draw", ELEPHANT, "--threshold", ""}, "--threshold: '' is no number"},
      {{"draw", ELEPHANT, "--title", "a\xFF"}, "--title: no valid UTF-8 at byte 1"},
  };
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    spawned run = spawn_clattn(false, wrong[i].words);
    assert_spawned(&run, 2, NULL, wrong[i].reason);
    spawned_free(&run);
  }
  accept_words((const char *const[]){"draw", ELEPHANT, "--heads", "0,3-5,8", "--layer", "0", "--top", "0", NULL});
}

static void test_choices(void **state)
{
  (void)state;
  refuse_words((const char *const[]){"draw", ELEPHANT, "--head", "9", NULL}, NULL,
               "--heads: there is no head 9, but 9 from 0 to 8");
  refuse_words((const char *const[]){"draw", ELEPHANT, "--head", "5-12", NULL}, NULL, "there is no head 12");
  refuse_words((const char *const[]){"draw", ELEPHANT, MAT, "--layers", "0-2", NULL}, NULL,
               "--layers: there is no layer 2, but 2 from 0 to 1 in the order given");
  refuse_words((const char *const[]){"draw", MAT, "--batch", "2", NULL}, MAT,
               "--batch is 2, but the batch has entries 0 to 1");
  refuse_words((const char *const[]){"draw", ELEPHANT, "--pin", "13", "-o", PICTURE, NULL}, ELEPHANT,
               "token 13 cannot be pinned, queries are 0 to 12");
  refuse_words((const char *const[]){"draw", ELEPHANT, "--colours", "mud", "-o", PICTURE, NULL}, NULL, "'mud'");
  begin_given(1, 3, 5);
  label("layer", "7");
  write_to(BAD);
  refuse_words((const char *const[]){"draw", BAD, "--layers", "0", NULL}, NULL,
               "there is no layer 0, but 1 from 7 to 7 by their labels");
  refuse_words((const char *const[]){"draw", BAD, "--show", "antisymmetric", NULL}, BAD,
               "antisymmetric needs as many queries as keys, there are 3 and 5");
  accept_words((const char *const[]){"draw", BAD, "--layers", "7", NULL});
}

/* Every bad file is told of. */
static void test_files(void **state)
{
  (void)state;
  refuse_words((const char *const[]){"draw", "/no/such.safetensors", MAT, "/nor/this.safetensors", NULL},
               "/nor/this.safetensors: cannot open", "/no/such.safetensors: cannot open");
  begin();
  add("Y", ST_F32, 2, 3, 3, 0, 0);
  refuse("neither I nor all of Q, K and V are there");
  begin_given(1, 3, 3);
  label("scale", "much");
  refuse("attribute scale: 'much' is not a number");
  begin_given(1, 0, 3);
  refuse("2 heads, 0 query tokens, 3 key tokens: there is nothing to draw");
  begin_given(0, 3, 3);
  refuse("the batch is empty: there is nothing to draw");
  begin_given(1, 3, 4);
  add("nonpad_kv_seqlen", ST_I64, 1, 1, 0, 0, 0);
  refuse("2 heads, 3 query tokens, 0 key tokens: there is nothing to draw");
  begin_given(1, 3, 4);
  ((float *)add("attn_mask", ST_F32, 1, 4, 0, 0, 0)->data)[2] = NAN;
  refuse("tensor 'attn_mask': a bias of key 2 is nan, must be below infinity");
}

static void test_tokens(void **state)
{
  (void)state;
  static const struct {
    const char *label, *reason;
  } wrong[] = {
      {"not JSON", "label 'tokens': no JSON array of texts"},
      {"{}", "label 'tokens': no JSON array of texts"},
      {"[\"a\"] x", "label 'tokens': no JSON array of texts"},
      {"[\"a\\u0000b\"]", "label 'tokens': NUL character inside a string at byte 3"},
      {"[\"a\", 1]", "label 'tokens': an element is no text"},
      {"[[\"a\"]]", "label 'tokens': no texts for entry 1 of the batch"},
  };
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    begin_given(2, 3, 3);
    label("tokens", wrong[i].label);
    write_to(BAD);
    refuse_words((const char *const[]){"draw", BAD, "--batch", "1", NULL}, BAD, wrong[i].reason);
  }
}

static void bare(const char *name, st_type type, int rank, int64_t a, int64_t b, int64_t c, int64_t d)
{
  begin();
  add(name, type, rank, a, b, c, d);
}

static void test_bare_files(void **state)
{
  (void)state;
  bare("P", ST_F32, 1, 3, 0, 0, 0);
  refuse("tensor 'P': rank 1 (shape [3]), must be 2 to 4");
  begin();
  assert_non_null(st_add(&file, "A", ST_F32, 5, (int64_t[]){1, 1, 1, 3, 3}));
  refuse("tensor 'A': rank 5 (shape [1,1,1,3,3]), must be 2 to 4");
  bare("P", ST_I64, 2, 3, 3, 0, 0);
  refuse("tensor 'P': type I64, must be one of F32, F16, BF16, F64");
  bare("P", ST_F32, 2, 0, 3, 0, 0);
  refuse("1 heads, 0 query tokens, 3 key tokens: there is nothing to draw");
  bare("P", ST_F32, 4, 0, 2, 3, 3);
  refuse("the batch is empty: there is nothing to draw");
  bare("P", ST_F32, 3, 2, 3, 3, 0);
  ((float *)file.tensors[0].data)[13] = NAN;
  refuse("tensor 'P': head 1, query 1, key 1 is nan in float32, must be finite");
  bare("P", ST_F32, 2, 3, 3, 0, 0);
  ((float *)file.tensors[0].data)[0] = -INFINITY;
  refuse("tensor 'P': head 0, query 0, key 0 is -inf in float32, must be finite");
  bare("A", ST_F64, 2, 3, 3, 0, 0);
  ((double *)file.tensors[0].data)[5] = 1e300;
  refuse("tensor 'A': head 0, query 1, key 2 is inf in float32, must be finite or -inf");
  bare("A", ST_F32, 2, 3, 4, 0, 0);
  write_to(BAD);
  refuse_words((const char *const[]){"draw", BAD, "--show", "P", NULL}, BAD, "it holds just A, of which P cannot be");
  refuse_words((const char *const[]){"draw", BAD, "--show", "antisymmetric", NULL}, BAD,
               "needs as many queries as keys, there are 3 and 4");
  refuse_words((const char *const[]){"draw", BAD, "--batch", "1", NULL}, BAD,
               "--batch is 1, but the batch has entries");
  bare("P", ST_F32, 2, 3, 4, 0, 0);
  write_to(OTHER);
  refuse_words((const char *const[]){"draw", BAD, OTHER, NULL}, BAD, "it holds just A, of which P cannot be shown");
}

static void test_outputs(void **state)
{
  (void)state;
  begin_given(1, 3, 3);
  write_to(CLATTN_TEST_SCRATCH "/draw-input.svg");
  refuse_words((const char *const[]){"draw", CLATTN_TEST_SCRATCH "/draw-input.svg", "-o",
                                     CLATTN_TEST_SCRATCH "/../test-scratch/draw-input.svg", NULL},
               "draw-input.svg, which is read", "would overwrite");
  refuse_words((const char *const[]){"draw", ELEPHANT, "-o", "/no/such/folder/x.svg", NULL}, "/no/such/folder/x.svg",
               "its folder is not there");
  refuse_words((const char *const[]){"draw", ELEPHANT, "-o", ELEPHANT "/x.svg", NULL}, NULL, "its folder is not there");
  remove(CLATTN_TEST_SCRATCH "/draw-input.svg");
}

int main(int argc, char **argv)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_command_lines), cmocka_unit_test(test_choices),    cmocka_unit_test(test_files),
      cmocka_unit_test(test_tokens),        cmocka_unit_test(test_bare_files), cmocka_unit_test(test_outputs),
  };
  if (argc > 1) cmocka_set_test_filter(argv[1]);
  const int failed = cmocka_run_group_tests(tests, NULL, NULL);
  st_free(&file);
  return failed;
}
