/* What `clattn attend` refuses, it refuses before it opens a device (there is none here), with a message that names the
 * file, the tensor or attribute and the limit, and without an output. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "safetensors.h"
#include "spawn.h"

#define BAD CLATTN_TEST_SCRATCH "/refused.safetensors"
#define OUT CLATTN_TEST_SCRATCH "/refused-out"

static st_file layer;

static void add_floats(const char *name, int rank, int64_t a, int64_t b, int64_t c, int64_t d)
{
  const int64_t dim[4] = {a, b, c, d};
  assert_non_null(st_add(&layer, name, ST_F32, rank, dim));
}

static void add_counts(const char *name, int rank, int64_t a, int64_t b, int64_t value)
{
  const int64_t dim[2] = {a, b};
  st_tensor *tensor = st_add(&layer, name, ST_I64, rank, dim);
  assert_non_null(tensor);
  for (size_t i = 0; i < tensor->bytes / 8; i++) ((int64_t *)tensor->data)[i] = value;
}

static void label(const char *key, const char *value) { assert_true(st_set_label(&layer, key, value)); }

/* B=2, S=5, E=12, four query heads on two key heads, DK=8, DV=6. */
static void begin_projected(void)
{
  st_free(&layer);
  add_floats("I", 3, 2, 5, 12, 0);
  add_floats("W_Q", 2, 32, 12, 0, 0);
  add_floats("W_K", 2, 16, 12, 0, 0);
  add_floats("W_V", 2, 12, 12, 0, 0);
}

static void begin_heads(void)
{
  begin_projected();
  label("q_num_heads", "4");
  label("kv_num_heads", "2");
}

/* The same sizes, Q K V as [B,H,S,D]. */
static void begin_given(void)
{
  st_free(&layer);
  add_floats("Q", 4, 2, 4, 5, 8);
  add_floats("K", 4, 2, 2, 7, 8);
  add_floats("V", 4, 2, 2, 7, 6);
}

static void begin_flat(void)
{
  st_free(&layer);
  add_floats("Q", 3, 2, 5, 32, 0);
  add_floats("K", 3, 2, 7, 16, 0);
  add_floats("V", 3, 2, 7, 12, 0);
}

static void drop(const char *name)
{
  for (size_t i = 0; i < layer.n_tensors; i++)
    if (strcmp(layer.tensors[i].name, name) == 0) {
      free(layer.tensors[i].name);
      free(layer.tensors[i].data);
      memmove(&layer.tensors[i], &layer.tensors[i + 1], (--layer.n_tensors - i) * sizeof layer.tensors[0]);
      return;
    }
  fail_msg("no tensor '%s'", name);
}

static spawned attend_bad(void)
{
  st_error error;
  if (!st_write(&layer, BAD, &error)) fail_msg("%s", error.text);
  return SPAWN(false, "attend", BAD, "-o", OUT);
}

static void refuse(const char *reason)
{
  spawned run = attend_bad();
  assert_spawned(&run, 1, NULL, reason);
  assert_non_null(strstr(run.err, BAD));
  assert_int_not_equal(access(OUT "/refused.safetensors", F_OK), 0);
  spawned_free(&run);
}

/* Accepted: it goes on to look for a device, and there is none. */
static void accept(void)
{
  spawned run = attend_bad();
  assert_spawned(&run, 1, NULL, "OpenCL platform");
  spawned_free(&run);
}

static void replace(void (*begin)(void), const char *name, int rank, int64_t a, int64_t b, int64_t c, int64_t d,
                    const char *reason)
{
  begin();
  drop(name);
  add_floats(name, rank, a, b, c, d);
  refuse(reason);
}

static void test_sound_layers_pass(void **state)
{
  (void)state;
  begin_heads();
  accept();
  begin_given();
  accept();
  begin_flat();
  label("q_num_heads", "4");
  label("kv_num_heads", "2");
  accept();
  begin_given();
  label("tokens", "not even JSON");
  label("clattn.mine", "anything");
  label("opset", "25");
  add_floats("Y", 1, 3, 0, 0, 0);
  add_floats("something", 2, 3, 1, 0, 0);
  accept();
}

static void test_missing_tensors(void **state)
{
  (void)state;
  static const char *const weights[] = {"W_Q", "W_K", "W_V"};
  static const char *const given[] = {"Q", "K", "V"};
  for (int i = 0; i < 3; i++) {
    char reason[64];
    begin_heads();
    drop(weights[i]);
    snprintf(reason, sizeof reason, "tensor '%s' is missing", weights[i]);
    refuse(reason);
    begin_given();
    drop(given[i]);
    snprintf(reason, sizeof reason, "tensor '%s' is missing", given[i]);
    refuse(reason);
  }
}

static void test_shapes_of_projections(void **state)
{
  (void)state;
  replace(begin_heads, "I", 2, 10, 12, 0, 0, "tensor 'I': rank 2");
  replace(begin_heads, "W_Q", 2, 32, 11, 0, 0, "tensor 'W_Q': shape [32,11], dimension 1 must be 12 (E of I)");
  replace(begin_heads, "W_Q", 2, 33, 12, 0, 0, "multiple of q_num_heads 4");
  replace(begin_heads, "W_K", 2, 16, 13, 0, 0, "tensor 'W_K'");
  replace(begin_heads, "W_K", 2, 18, 12, 0, 0, "9 channels, must be 8 as of W_Q");
  replace(begin_heads, "W_K", 2, 15, 12, 0, 0, "multiple of kv_num_heads 2");
  replace(begin_heads, "W_V", 2, 12, 1, 0, 0, "tensor 'W_V'");
  begin_heads();
  add_floats("W_O", 2, 12, 23, 0, 0);
  refuse("dimension 1 must be 24 (q_num_heads * DV)");
  begin_heads();
  add_floats("b_O", 1, 12, 0, 0, 0);
  refuse("tensor 'b_O' is there, but no W_O");
  begin_heads();
  add_floats("b_Q", 1, 31, 0, 0, 0);
  refuse("tensor 'b_Q'");
  begin_heads();
  add_floats("b_K", 2, 16, 1, 0, 0);
  refuse("tensor 'b_K': rank 2");
  begin_heads();
  add_floats("I_kv", 3, 1, 5, 12, 0);
  refuse("tensor 'I_kv'");
  begin_heads();
  add_counts("I", 1, 1, 0, 0);
  drop("I");
  refuse("tensor 'I'");
}

static void test_shapes_of_given(void **state)
{
  (void)state;
  replace(begin_given, "K", 3, 2, 7, 16, 0, "tensor 'K': rank 3");
  replace(begin_given, "K", 4, 3, 2, 7, 8, "tensor 'K'");
  replace(begin_given, "K", 4, 2, 2, 7, 9, "9 channels a head, must be 8");
  replace(begin_given, "K", 4, 2, 3, 7, 8, "heads");
  replace(begin_given, "V", 4, 2, 2, 6, 6, "tokens of K");
  replace(begin_given, "V", 4, 2, 1, 7, 6, "tensor 'V': 1 heads, must be 2");
  replace(begin_given, "Q", 4, 2, 5, 5, 8, "5 query heads and 2 key heads");
  replace(begin_given, "V", 4, 2, 2, 7, 0, "tensor 'V': no channels");
  begin_given();
  drop("Q");
  drop("K");
  add_floats("Q", 4, 2, 4, 5, 0);
  add_floats("K", 4, 2, 2, 7, 0);
  refuse("tensor 'Q': no channels");
  begin_given();
  label("q_num_heads", "2");
  refuse("q_num_heads");
  begin_flat();
  refuse("attribute q_num_heads is missing");
  begin_flat();
  label("q_num_heads", "4");
  refuse("attribute kv_num_heads is missing");
  begin_flat();
  label("q_num_heads", "3");
  label("kv_num_heads", "3");
  refuse("multiple of q_num_heads 3");
  begin_projected();
  refuse("attribute q_num_heads is missing");
}

static void test_types(void **state)
{
  (void)state;
  const int64_t dim[4] = {2, 2, 7, 8};
  begin_given();
  drop("K");
  assert_non_null(st_add(&layer, "K", ST_I8, 4, dim));
  refuse("tensor 'K': type I8, must be one of F16, BF16, F32, F64");
  begin_given();
  assert_non_null(st_add(&layer, "attn_mask", ST_U8, 1, dim + 2));
  refuse("tensor 'attn_mask': type U8");
  begin_given();
  assert_non_null(st_add(&layer, "nonpad_kv_seqlen", ST_I32, 1, dim));
  refuse("tensor 'nonpad_kv_seqlen': type I32");
}

static void test_masks_and_caches(void **state)
{
  (void)state;
  begin_given();
  add_floats("attn_mask", 2, 5, 8, 0, 0);
  refuse("dimension 1 must be at most 7");
  begin_given();
  add_floats("attn_mask", 4, 2, 3, 5, 7);
  refuse("dimension 1 must be 1 or 4 (query heads)");
  begin_given();
  add_floats("attn_mask", 2, 5, 3, 0, 0);
  accept();
  begin_given();
  add_floats("past_key", 4, 2, 2, 3, 8);
  refuse("tensor 'past_key' is there, but no past_value");
  begin_given();
  add_floats("past_key", 4, 2, 2, 3, 8);
  add_floats("past_value", 4, 2, 2, 4, 6);
  refuse("tensor 'past_value'");
  begin_given();
  add_floats("past_key", 4, 2, 2, 3, 8);
  add_floats("past_value", 4, 2, 2, 3, 6);
  add_counts("nonpad_kv_seqlen", 1, 2, 0, 3);
  refuse("tensor 'nonpad_kv_seqlen' is there together with past_key: only one may be");
  begin_given();
  add_counts("nonpad_kv_seqlen", 1, 2, 0, 8);
  refuse("tensor 'nonpad_kv_seqlen': element 0 is 8, must be 0 to 7");
  begin_given();
  add_counts("nonpad_kv_seqlen", 1, 2, 0, -1);
  refuse("element 0 is -1");
  begin_given();
  add_counts("nonpad_kv_seqlen", 1, 3, 0, 1);
  refuse("tensor 'nonpad_kv_seqlen'");
}

static void add_past(st_type key, st_type value)
{
  const int64_t key_dim[] = {2, 2, 3, 8}, value_dim[] = {2, 2, 3, 6};
  assert_non_null(st_add(&layer, "past_key", key, 4, key_dim));
  assert_non_null(st_add(&layer, "past_value", value, 4, value_dim));
}

static void test_types_of_past(void **state)
{
  (void)state;
  begin_given();
  add_past(ST_F16, ST_F32);
  refuse("tensor 'past_key': type F16, must be F32 as of K");
  begin_given();
  add_past(ST_F32, ST_F64);
  refuse("tensor 'past_value': type F64, must be F32 as of V");
  begin_heads();
  add_past(ST_F32, ST_F64);
  refuse("tensor 'past_value': type F64, must be F32, F16 or BF16 where I is F32");
  begin_heads();
  add_past(ST_F16, ST_BF16);
  accept();
}

static void test_limits(void **state)
{
  (void)state;
  st_free(&layer);
  add_floats("Q", 4, 1, 1, 1, 513);
  add_floats("K", 4, 1, 1, 1, 513);
  add_floats("V", 4, 1, 1, 1, 8);
  refuse("tensor 'Q': 513 channels a head, the limit is 512");
  st_free(&layer);
  add_floats("Q", 4, 1, 1, 1, 512);
  add_floats("K", 4, 1, 1, 1, 512);
  add_floats("V", 4, 1, 1, 1, 513);
  refuse("tensor 'V': 513 channels a head, the limit is 512");
  replace(begin_heads, "W_V", 2, 1026, 12, 0, 0, "tensor 'W_V': 513 channels a head, the limit is 512");
  st_free(&layer);
  add_floats("Q", 4, 0, 1, 536870913, 8);
  add_floats("K", 4, 0, 1, 1, 8);
  add_floats("V", 4, 0, 1, 1, 8);
  refuse("tensor 'Q': 536870913 tokens, the limit is 536870912");
  st_free(&layer);
  add_floats("Q", 4, 0, 1, 1, 8);
  add_floats("K", 4, 0, 1, 536870912, 8);
  add_floats("V", 4, 0, 1, 536870912, 8);
  accept();
  add_floats("past_key", 4, 0, 1, 1, 8);
  add_floats("past_value", 4, 0, 1, 1, 8);
  refuse("tensor 'K': 536870913 tokens, past included, the limit is 536870912");
}

static void begin_rotary(void)
{
  begin_heads();
  add_floats("cos_cache", 2, 9, 4, 0, 0);
  add_floats("sin_cache", 2, 9, 4, 0, 0);
}

static void test_rotary(void **state)
{
  (void)state;
  begin_rotary();
  accept();
  begin_rotary();
  drop("sin_cache");
  refuse("tensor 'cos_cache' is there, but no sin_cache");
  replace(begin_rotary, "sin_cache", 2, 9, 3, 0, 0, "tensor 'sin_cache'");
  begin_rotary();
  label("rotary_embedding_dim", "6");
  refuse("half of the channels that rotate");
  begin_rotary();
  label("rotary_embedding_dim", "7");
  refuse("must be even");
  begin_rotary();
  label("rotary_embedding_dim", "10");
  refuse("at most 8");
  begin_heads();
  add_floats("cos_cache", 2, 4, 4, 0, 0);
  add_floats("sin_cache", 2, 4, 4, 0, 0);
  refuse("4 rows, must be 5 or more");
  begin_rotary();
  add_counts("position_ids", 2, 2, 5, 9);
  refuse("element 0 is 9, must be 0 to 8");
  begin_rotary();
  add_counts("position_ids", 2, 2, 4, 0);
  refuse("tensor 'position_ids'");
  begin_rotary();
  add_floats("I_kv", 3, 2, 5, 12, 0);
  refuse("tensor 'I_kv' is there together with cos_cache");
  begin_heads();
  label("rotary_interleaved", "1");
  refuse("attribute rotary_interleaved is there, but no cos_cache");
  begin_heads();
  add_counts("position_ids", 2, 2, 5, 0);
  refuse("tensor 'position_ids' is there, but no cos_cache");
}

static void test_rotary_by_table(void **state)
{
  (void)state;
  begin_heads();
  add_floats("cos_cache", 3, 2, 5, 4, 0);
  add_floats("sin_cache", 3, 2, 5, 4, 0);
  accept();
  add_counts("position_ids", 2, 2, 5, 0);
  refuse("tensor 'cos_cache': rank 3, must be 2 together with position_ids");
  begin_heads();
  add_floats("cos_cache", 3, 1, 5, 4, 0);
  add_floats("sin_cache", 3, 1, 5, 4, 0);
  refuse("tensor 'cos_cache': shape [1,5,4], dimension 0 must be 2 (B of I)");
  begin_heads();
  add_floats("cos_cache", 3, 2, 6, 4, 0);
  add_floats("sin_cache", 3, 2, 6, 4, 0);
  refuse("tensor 'cos_cache': shape [2,6,4], dimension 1 must be 5 (S of I)");
  replace(begin_rotary, "sin_cache", 3, 2, 5, 4, 0, "tensor 'sin_cache': rank 3, must be 2 as of cos_cache");
  begin_rotary();
  drop("cos_cache");
  refuse("tensor 'sin_cache' is there, but no cos_cache");
  begin_rotary();
  add_counts("position_ids", 2, 1, 5, 0);
  refuse("tensor 'position_ids': shape [1,5], dimension 0 must be 2 (B of I)");
  begin_rotary();
  add_counts("position_ids", 2, 2, 5, -1);
  refuse("element 0 is -1, must be 0 to 8");
  begin_heads();
  label("rotary_embedding_dim", "4");
  refuse("attribute rotary_embedding_dim is there, but no cos_cache");
  begin_given();
  label("rotary_interleaved", "1");
  refuse("attribute rotary_interleaved is there, but Q, K and V are taken as they are");
}

/* Each tensor's own shape, by the row of the table that fills the layer, and what is said. */
static void test_more_shapes(void **state)
{
  (void)state;
  static const struct {
    void (*begin)(void);
    const char *name;
    int rank;
    int64_t dim[4];
    const char *reason;
  } rows[] = {
      {begin_heads, "I_kv", 3, {2, 7, 11}, "tensor 'W_K': shape [16,12], dimension 1 must be 11 (E of I_kv)"},
      {begin_heads, "I_kv", 2, {2, 12}, "tensor 'I_kv': rank 2 (shape [2,12]), must be 3"},
      {begin_heads, "W_O", 1, {24}, "tensor 'W_O': rank 1"},
      {begin_heads, "b_K", 1, {17}, "tensor 'b_K': shape [17], dimension 0 must be 16 (rows of W_K)"},
      {begin_heads, "b_V", 1, {11}, "tensor 'b_V': shape [11], dimension 0 must be 12 (rows of W_V)"},
      {begin_heads, "cos_cache", 1, {4}, "tensor 'cos_cache': rank 1 (shape [4]), must be 2 to 3"},
      {begin_given, "attn_mask", 5, {1, 1, 1, 1}, "tensor 'attn_mask': rank 5"},
      {begin_given, "attn_mask", 0, {0}, "tensor 'attn_mask': rank 0"},
      {begin_given, "attn_mask", 4, {3, 1, 5, 7}, "dimension 0 must be 1 or 2 (batch)"},
      {begin_given, "attn_mask", 3, {4, 4, 7}, "dimension 1 must be 1 or 5 (query tokens)"},
      {begin_given, "past_value", 4, {2, 2, 3, 6}, "tensor 'past_value' is there, but no past_key"},
      {begin_given, "past_key", 3, {2, 2, 8}, "tensor 'past_key': rank 3"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    int64_t dim[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    memcpy(dim, rows[i].dim, sizeof rows[i].dim);
    rows[i].begin();
    assert_non_null(st_add(&layer, rows[i].name, ST_F32, rows[i].rank, dim));
    refuse(rows[i].reason);
  }
  begin_heads();
  add_floats("W_O", 2, 10, 24, 0, 0);
  add_floats("b_O", 1, 11, 0, 0, 0);
  refuse("tensor 'b_O': shape [11], dimension 0 must be 10 (rows of W_O)");
}

/* Of past_key and past_value: each dimension by itself. */
static void test_shapes_of_past(void **state)
{
  (void)state;
  static const int64_t sound[2][4] = {{2, 2, 3, 8}, {2, 2, 3, 6}};
  static const char *const names[2] = {"past_key", "past_value"};
  static const char *const reasons[2][4] = {
      {"(batch)", "(heads of K)", NULL, "(channels of a head of K)"},
      {"(batch)", "(heads of K)", "(past of past_key)", "(channels of a head of V)"}};
  for (int wrong = 0; wrong < 2; wrong++)
    for (int at = 0; at < 4; at++) {
      char reason[96];
      if (!reasons[wrong][at]) continue;
      begin_given();
      for (int i = 0; i < 2; i++) {
        int64_t dim[4];
        memcpy(dim, sound[i], sizeof dim);
        dim[at] += i == wrong;
        assert_non_null(st_add(&layer, names[i], ST_F32, 4, dim));
      }
      snprintf(reason, sizeof reason, "dimension %d must be %d %s", at, (int)sound[wrong][at], reasons[wrong][at]);
      refuse(reason);
    }
}

/* Tokens of I and I_kv; the tensors are empty, so that they cost nothing. */
static void test_limits_of_projections(void **state)
{
  (void)state;
  replace(begin_heads, "I", 3, 0, 536870913, 12, 0, "tensor 'I': 536870913 tokens, the limit is 536870912");
  begin_heads();
  drop("I");
  add_floats("I", 3, 0, 5, 12, 0);
  add_floats("I_kv", 3, 0, 536870913, 12, 0);
  refuse("tensor 'I_kv': 536870913 tokens, past included, the limit is 536870912");
  begin_heads();
  drop("I");
  add_floats("I", 3, 0, 536870912, 12, 0);
  add_floats("past_key", 4, 0, 2, 1, 8);
  add_floats("past_value", 4, 0, 2, 1, 6);
  refuse("tensor 'I': 536870913 tokens, past included");
}

/* The command line's own: what is said, and with which status. */
static void test_command_line(void **state)
{
  (void)state;
  const char *many[2 + 2 * 17 + 3] = {"attend", BAD};
  int n = 2;
  for (int i = 0; i < 17; i++) many[n++] = "--variant", many[n++] = "tiled";
  spawned run = spawn_clattn(false, many);
  assert_spawned(&run, 2, NULL, "--variant: more than 16");
  spawned_free(&run);
  run = spawn_clattn(false, (const char *const[]){NULL});
  assert_spawned(&run, 2, NULL, "usage");
  spawned_free(&run);
  run = SPAWN(false, "attend", "-x");
  assert_spawned(&run, 2, NULL, "unknown option '-x'");
  spawned_free(&run);
  begin_given();
  st_error error;
  assert_true(st_write(&layer, BAD, &error));
  run = SPAWN(false, "attend", BAD, "--expect", CLATTN_TEST_SCRATCH "/no-expect.safetensors");
  assert_spawned(&run, 1, NULL, "no-expect.safetensors: cannot open");
  spawned_free(&run);
  run = SPAWN(false, "attend", BAD, "-o", BAD "/folder"); /* BAD is a file */
  assert_spawned(&run, 1, NULL, BAD "/folder: cannot make the folder: Not a directory");
  spawned_free(&run);
}

static void test_attributes(void **state)
{
  (void)state;
  static const struct {
    const char *key, *value;
  } bad[] = {
      {"scale", ""},
      {"scale", "nan"},
      {"scale", "inf"},
      {"scale", "1e400"},
      {"scale", "0x10"},
      {"scale", "1.0f"},
      {"scale", " 1"},
      {"scale", "1 "},
      {"scale", "1e39"},
      {"softcap", "-1"},
      {"softcap", "nan"},
      {"softcap", ""},
      {"softcap", "1e-60"},
      {"is_causal", "2"},
      {"is_causal", "-1"},
      {"is_causal", "true"},
      {"is_causal", ""},
      {"is_causal", "1.0"},
      {"is_causal", " 1"},
      {"rotary_interleaved", "2"},
      {"left_window_size", "-2"},
      {"left_window_size", "99999999999999999999"},
      {"right_window_size", "-2"},
      {"right_window_size", "1e3"},
      {"q_num_heads", "0"},
      {"kv_num_heads", "-1"},
      {"qk_matmul_output_mode", "4"},
      {"qk_matmul_output_mode", "-1"},
      {"softmax_precision", "2"},
      {"softmax_precision", ""},
      {"rotary_embedding_dim", "-2"},
  };
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    char reason[64];
    begin_given();
    label(bad[i].key, bad[i].value);
    snprintf(reason, sizeof reason, "attribute %s", bad[i].key);
    refuse(reason);
  }
  begin_given();
  label("Scale", "1");
  refuse("attribute 'Scale' is unknown");
  begin_given();
  label("clattn", "1");
  refuse("attribute 'clattn' is unknown");
}

/* Empty tensors may claim any shape: what would be made of them is looked at, too. */
static void test_monsters(void **state)
{
  (void)state;
  st_free(&layer);
  add_floats("Q", 4, 0, 1000000, 1000000, 64);
  add_floats("K", 4, 0, 1, 1000000, 64);
  add_floats("V", 4, 0, 1, 1000000, 64);
  refuse("a tensor of shape [0,1000000,1000000,1000000] would be made, more than 281474976710656 elements");
  st_free(&layer);
  add_floats("Q", 4, 0, 1, 3000000000, 64);
  add_floats("K", 4, 0, 1, 1, 64);
  add_floats("V", 4, 0, 1, 1, 64);
  refuse("dimension 2 is 3000000000");
}

static void test_damaged_files(void **state)
{
  (void)state;
  FILE *stream = fopen(BAD, "wb");
  assert_non_null(stream);
  fputs("not a model", stream);
  fclose(stream);
  spawned run = SPAWN(false, "attend", BAD, "-o", OUT);
  assert_spawned(&run, 1, NULL, "header of ");
  spawned_free(&run);
  run = SPAWN(false, "attend", CLATTN_TEST_SCRATCH "/there-is-none.safetensors", "-o", OUT);
  assert_spawned(&run, 1, NULL, "there-is-none.safetensors: cannot open");
  spawned_free(&run);
}

static int tear_down(void **state)
{
  (void)state;
  st_free(&layer);
  remove(BAD);
  return 0;
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_sound_layers_pass),
      cmocka_unit_test(test_missing_tensors),
      cmocka_unit_test(test_shapes_of_projections),
      cmocka_unit_test(test_shapes_of_given),
      cmocka_unit_test(test_types),
      cmocka_unit_test(test_masks_and_caches),
      cmocka_unit_test(test_types_of_past),
      cmocka_unit_test(test_limits),
      cmocka_unit_test(test_rotary),
      cmocka_unit_test(test_rotary_by_table),
      cmocka_unit_test(test_more_shapes),
      cmocka_unit_test(test_shapes_of_past),
      cmocka_unit_test(test_limits_of_projections),
      cmocka_unit_test(test_command_line),
      cmocka_unit_test(test_attributes),
      cmocka_unit_test(test_monsters),
      cmocka_unit_test(test_damaged_files),
  };
  return cmocka_run_group_tests(tests, NULL, tear_down);
}
