/* Everything that `clattn attend` takes, in a few random layers: each is written as a file, its outputs are computed by
 * the float64 oracle, and the command must find every one of them right, by each family and path. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "asserts.h"
#include "device_under_test.h"
#include "numerics.h"
#include "oracle.h"
#include "safetensors.h"
#include "spawn.h"

enum { ROTARY_NONE, ROTARY_PAST, ROTARY_IDS, ROTARY_TABLE }; /* rows past + i, position_ids, a cache of [B,S,R/2] */

/* What is special about a layer; zero is the least. With e, Q, K and V come from projections. */
typedef struct spec {
  const char *name;
  st_type type, k_type, v_type, w_type, past_type; /* type: of Q or I */
  int64_t b, hq, hk, sq, sk, dk, dv;
  int64_t e, out;
  bool flat, bias, i_kv, nonpad;
  int rotary;
  int64_t rotary_dim;
  int64_t past;
  int mask_rank;
  int64_t mask[4];
  bool mask_is_bool;
  const char *attributes[8][2];
} spec;

/* Types of Q, K and V or I, of the weights, and of the past. */
#define TYPES(t, w, p) .type = (t), .k_type = (t), .v_type = (t), .w_type = (w), .past_type = (p)

static const spec specs[] = {
    {"flat-gqa", TYPES(ST_F32, ST_F32, ST_F32), .b = 2, .hq = 6, .hk = 2, .sq = 5, .sk = 9, .dk = 7, .dv = 12,
     .flat = true, .mask_rank = 1, .mask = {6}, .mask_is_bool = true,
     .attributes = {{"scale", "-0.7"}, {"softcap", "1.5"}, {"qk_matmul_output_mode", "1"}}},
    {"f16-past-causal", TYPES(ST_F16, ST_F16, ST_F16), .b = 1, .hq = 4, .hk = 1, .sq = 3, .sk = 3, .dk = 8, .dv = 5,
     .past = 6, .mask_rank = 2, .mask = {3, 9}, .attributes = {{"is_causal", "1"}, {"qk_matmul_output_mode", "2"}}},
    {"bf16-window-nonpad", TYPES(ST_BF16, ST_BF16, ST_BF16), .b = 3, .hq = 2, .hk = 2, .sq = 4, .sk = 11, .dk = 9,
     .dv = 9, .nonpad = true, .mask_rank = 3, .mask = {1, 4, 11},
     .attributes = {{"left_window_size", "3"}, {"right_window_size", "1"}, {"qk_matmul_output_mode", "3"}}},
    {"mixed-types", .type = ST_F32, .k_type = ST_F16, .v_type = ST_BF16, .past_type = ST_F16, .b = 2, .hq = 2, .hk = 1,
     .sq = 6, .sk = 6, .dk = 16, .dv = 4, .mask_rank = 4, .mask = {2, 1, 6, 6}, .mask_is_bool = true,
     .attributes = {{"scale", "0"}, {"qk_matmul_output_mode", "0"}}},
    {"half-split", TYPES(ST_F32, ST_F32, ST_F32), .b = 2, .hq = 4, .hk = 2, .sq = 5, .sk = 5, .dk = 8, .dv = 6, .e = 12,
     .out = 10, .bias = true, .rotary = ROTARY_PAST, .past = 4, .mask_rank = 4, .mask = {1, 4, 1, 7},
     .attributes = {{"is_causal", "1"}, {"qk_matmul_output_mode", "2"}}},
    {"interleaved-partial-ids", TYPES(ST_F32, ST_F16, ST_F16), .b = 2, .hq = 2, .hk = 1, .sq = 6, .sk = 6, .dk = 10,
     .dv = 3, .e = 7, .past = 2, .rotary = ROTARY_IDS, .rotary_dim = 6,
     .attributes = {{"rotary_interleaved", "1"}, {"rotary_embedding_dim", "6"}, {"left_window_size", "4"}}},
    {"table-f16", TYPES(ST_F16, ST_BF16, ST_F16), .b = 2, .hq = 2, .hk = 2, .sq = 4, .sk = 4, .dk = 6, .dv = 6, .e = 9,
     .out = 5, .bias = true, .rotary = ROTARY_TABLE, .attributes = {{"qk_matmul_output_mode", "3"}}},
    {"cross", TYPES(ST_F32, ST_F16, ST_F32), .b = 2, .hq = 3, .hk = 3, .sq = 4, .sk = 7, .dk = 5, .dv = 8, .e = 6,
     .out = 4, .bias = true, .i_kv = true, .past = 3, .attributes = {{"softmax_precision", "10"}, {"softcap", "0"}}},
    {"f64-flat", TYPES(ST_F64, ST_F64, ST_F64), .b = 1, .hq = 2, .hk = 1, .sq = 4, .sk = 6, .dk = 5, .dv = 3,
     .flat = true, .attributes = {{"softmax_precision", "11"}, {"qk_matmul_output_mode", "1"}, {"softcap", "2"}}},
    {"f64-projected", TYPES(ST_F64, ST_F64, ST_F64), .b = 1, .hq = 2, .hk = 2, .sq = 4, .sk = 4, .dk = 4, .dv = 3,
     .e = 5, .out = 6, .bias = true, .rotary = ROTARY_PAST, .past = 2, .attributes = {{"is_causal", "1"}}},
};
enum { SPECS = sizeof specs / sizeof specs[0], PATH_BYTES = 256 };

static struct {
  char path[PATH_BYTES], expect[PATH_BYTES];
  size_t expected; /* tensors */
} files[SPECS];

static random_state numbers;

static double *some(int64_t n) { return test_alloc((size_t)(n ? n : 1) * sizeof(double)); }

/* A tensor of what the type holds of these values; they become what is stored. */
static void add(st_file *file, const char *name, st_type type, int rank, const int64_t *dim, double *values)
{
  st_tensor *t = st_add(file, name, type, rank, dim);
  assert_non_null(t);
  const int32_t dtype = st_type_dtype(type);
  for (int64_t i = 0; i < (int64_t)(t->bytes / number_bytes(dtype)); i++) {
    number_store(dtype, t->data, i, values[i]);
    values[i] = number_load(dtype, t->data, i);
  }
}

static double *add_random(st_file *file, const char *name, st_type type, int rank, int64_t a, int64_t b, int64_t c,
                          int64_t d)
{
  const int64_t dim[4] = {a, b, c, d};
  int64_t n = 1;
  for (int i = 0; i < rank; i++) n *= dim[i];
  double *values = some(n);
  for (int64_t i = 0; i < n; i++) values[i] = random_unit(&numbers);
  add(file, name, type, rank, dim, values);
  return values;
}

/* [B,M,N,D] as [B,N,M,D]. */
static double *swapped(const double *from, int64_t b, int64_t m, int64_t n, int64_t d)
{
  double *to = some(b * m * n * d);
  for (int64_t i = 0; i < b * m * n * d; i++) {
    const int64_t c = i % d, y = i / d % n, x = i / d / n % m, z = i / d / n / m;
    to[((z * n + y) * m + x) * d + c] = from[i];
  }
  return to;
}

/* Q, K or V of the file, as [B,H,S,D]. */
static double *add_heads(st_file *file, const spec *s, const char *name, st_type type, int64_t heads, int64_t tokens,
                         int64_t channels)
{
  if (!s->flat) return add_random(file, name, type, 4, s->b, heads, tokens, channels);
  double *flat = add_random(file, name, type, 3, s->b, tokens, heads * channels, 0);
  double *dense = swapped(flat, s->b, tokens, heads, channels);
  free(flat);
  return dense;
}

static const char *attribute(const spec *s, const char *key)
{
  for (int i = 0; i < 8 && s->attributes[i][0]; i++)
    if (strcmp(s->attributes[i][0], key) == 0) return s->attributes[i][1];
  return NULL;
}
static double real(const spec *s, const char *key, double otherwise)
{
  return attribute(s, key) ? strtod(attribute(s, key), NULL) : otherwise;
}

/* The tables of the rotation, made once and shared by q and k. */
static void add_rotary(st_file *file, const spec *s, oracle_projection *p)
{
  const int64_t half = (s->rotary_dim ? s->rotary_dim : s->dk) / 2, rows = s->past + s->sq + 3;
  if (!s->rotary) return;
  p->cache_rank = s->rotary == ROTARY_TABLE ? 3 : 2;
  p->cache_rows = rows;
  p->rotary_dim = s->rotary_dim;
  p->interleaved = real(s, "rotary_interleaved", 0.0) > 0.0;
  const int64_t first = p->cache_rank == 3 ? s->b : rows, second = p->cache_rank == 3 ? s->sq : half;
  p->cosine = add_random(file, "cos_cache", s->type, p->cache_rank, first, second, half, 0);
  p->sine = add_random(file, "sin_cache", s->type, p->cache_rank, first, second, half, 0);
  if (s->rotary == ROTARY_PAST) p->position_offset = s->past;
  if (s->rotary != ROTARY_IDS) return;
  const int64_t dim[2] = {s->b, s->sq};
  st_tensor *ids = st_add(file, "position_ids", ST_I64, 2, dim);
  int64_t *copy = test_alloc(ids->bytes);
  for (int64_t i = 0; i < s->b * s->sq; i++) copy[i] = random_between(&numbers, 0, rows - 1);
  memcpy(ids->data, copy, ids->bytes);
  p->position_ids = copy;
}

/* One of q, k, v from x. */
static double *project(st_file *file, const spec *s, oracle_projection p, const char *w, const char *bias,
                       const double *x, int64_t tokens, int64_t heads, int64_t channels, bool rotate)
{
  p.b = s->b, p.s = tokens, p.h = heads, p.d = channels, p.x = x;
  if (!rotate) p.cosine = p.sine = NULL, p.position_ids = NULL;
  p.w = add_random(file, w, s->w_type, 2, heads * channels, p.e, 0, 0);
  p.bias = s->bias ? add_random(file, bias, s->w_type, 1, heads * channels, 0, 0, 0) : NULL;
  p.y = some(s->b * heads * tokens * channels);
  oracle_projection_run(&p);
  free((void *)(uintptr_t)p.w);
  free((void *)(uintptr_t)p.bias);
  return p.y;
}

static void add_qkv(st_file *file, const spec *s, oracle_attention *o)
{
  if (!s->e) {
    o->q = add_heads(file, s, "Q", s->type, s->hq, s->sq, s->dk);
    o->k = add_heads(file, s, "K", s->k_type, s->hk, s->sk, s->dk);
    o->v = add_heads(file, s, "V", s->v_type, s->hk, s->sk, s->dv);
    return;
  }
  oracle_projection p = {.e = s->e};
  double *x = add_random(file, "I", s->type, 3, s->b, s->sq, s->e, 0);
  double *x_kv = s->i_kv ? add_random(file, "I_kv", s->type, 3, s->b, s->sk, s->e, 0) : x;
  add_rotary(file, s, &p);
  o->q = project(file, s, p, "W_Q", "b_Q", x, s->sq, s->hq, s->dk, true);
  o->k = project(file, s, p, "W_K", "b_K", x_kv, s->sk, s->hk, s->dk, true);
  o->v = project(file, s, p, "W_V", "b_V", x_kv, s->sk, s->hk, s->dv, false);
  if (x_kv != x) free(x_kv);
  free(x);
  free((void *)(uintptr_t)p.cosine);
  free((void *)(uintptr_t)p.sine);
  free((void *)(uintptr_t)p.position_ids);
}

static void add_mask(st_file *file, const spec *s, oracle_attention *o)
{
  if (!s->mask_rank) return;
  int64_t n = 1;
  for (int i = 0; i < s->mask_rank; i++) n *= s->mask[i];
  double *values = some(n);
  for (int64_t i = 0; i < n; i++) {
    const double u = random_unit(&numbers);
    values[i] = s->mask_is_bool ? (double)(u < 0.5) : u < -0.7 ? -(double)INFINITY : u;
  }
  add(file, "attn_mask", s->mask_is_bool ? ST_BOOL : s->type, s->mask_rank, s->mask, values);
  o->mask = values;
  o->mask_rank = s->mask_rank;
  o->mask_is_bool = s->mask_is_bool;
  memcpy(o->mask_dim, s->mask, sizeof o->mask_dim);
}

static void add_nonpad(st_file *file, const spec *s, oracle_attention *o)
{
  if (!s->nonpad) return;
  st_tensor *t = st_add(file, "nonpad_kv_seqlen", ST_I64, 1, &s->b);
  int64_t *lengths = test_alloc(t->bytes);
  for (int64_t i = 0; i < s->b; i++) lengths[i] = random_between(&numbers, i ? s->sq : 0, s->sk);
  memcpy(t->data, lengths, t->bytes);
  o->nonpad = lengths;
}

/* An expected tensor, in float64. */
static void expect(st_file *file, const char *name, int rank, int64_t a, int64_t b, int64_t c, int64_t d,
                   double *values)
{
  const int64_t dim[4] = {a, b, c, d};
  add(file, name, ST_F64, rank, dim, values);
}

static void expect_scores(st_file *file, const spec *s, oracle_attention *o, const char *name, int mode)
{
  o->qk_mode = mode;
  o->qk = some(s->b * s->hq * s->sq * (s->past + s->sk));
  oracle_attention_run(o);
  expect(file, name, 4, s->b, s->hq, s->sq, s->past + s->sk, o->qk);
  free(o->qk);
  o->qk = NULL;
}

static void expect_all(st_file *in, st_file *out, const spec *s, oracle_attention *o)
{
  const int64_t sk = s->past + s->sk;
  o->y = some(s->b * s->hq * s->sq * s->dv);
  o->lse = some(s->b * s->hq * s->sq);
  o->present_k = some(s->b * s->hk * sk * s->dk);
  o->present_v = some(s->b * s->hk * sk * s->dv);
  expect_scores(out, s, o, "A", 0);
  expect_scores(out, s, o, "P", 3);
  if (attribute(s, "qk_matmul_output_mode"))
    expect_scores(out, s, o, "qk_matmul_output", (int)real(s, "qk_matmul_output_mode", 0.0));
  double *flat = swapped(o->y, s->b, s->hq, s->sq, s->dv);
  if (s->flat || s->e)
    expect(out, "Y", 3, s->b, s->sq, s->hq * s->dv, 0, flat);
  else
    expect(out, "Y", 4, s->b, s->hq, s->sq, s->dv, o->y);
  expect(out, "lse", 3, s->b, s->hq, s->sq, 0, o->lse);
  if (s->out) {
    double *z = project(in, s, (oracle_projection){.e = s->hq * s->dv}, "W_O", "b_O", flat, s->sq, 1, s->out, false);
    expect(out, "Z", 3, s->b, s->sq, s->out, 0, z);
    free(z);
  }
  if (s->past) {
    expect(out, "present_key", 4, s->b, s->hk, sk, s->dk, o->present_k);
    expect(out, "present_value", 4, s->b, s->hk, sk, s->dv, o->present_v);
  }
  if (s->e || s->flat) { /* otherwise they are what the input holds */
    expect(out, "Q", 4, s->b, s->hq, s->sq, s->dk, (double *)(uintptr_t)o->q);
    expect(out, "K", 4, s->b, s->hk, s->sk, s->dk, (double *)(uintptr_t)o->k);
    expect(out, "V", 4, s->b, s->hk, s->sk, s->dv, (double *)(uintptr_t)o->v);
  }
  free(flat);
  free(o->y);
  free(o->lse);
  free(o->present_k);
  free(o->present_v);
}

static void write_case(int at)
{
  const spec *s = &specs[at];
  st_file in = {0}, out = {0};
  st_error error;
  oracle_attention o = {.b = s->b,
                        .hq = s->hq,
                        .hk = s->hk,
                        .sq = s->sq,
                        .sk = s->sk,
                        .dk = s->dk,
                        .dv = s->dv,
                        .past = s->past,
                        .scale = real(s, "scale", (double)NAN),
                        .softcap = real(s, "softcap", 0.0),
                        .causal = real(s, "is_causal", 0.0) > 0.0,
                        .window_left = (int64_t)real(s, "left_window_size", -1.0),
                        .window_right = (int64_t)real(s, "right_window_size", -1.0)};
  numbers = (random_state){.at = (uint64_t)at + 1};
  for (int i = 0; i < 8 && s->attributes[i][0]; i++)
    assert_true(st_set_label(&in, s->attributes[i][0], s->attributes[i][1]));
  if (s->flat || s->e) {
    char heads[2][24];
    snprintf(heads[0], sizeof heads[0], "%lld", (long long)s->hq);
    snprintf(heads[1], sizeof heads[1], "%lld", (long long)s->hk);
    assert_true(st_set_label(&in, "q_num_heads", heads[0]) && st_set_label(&in, "kv_num_heads", heads[1]));
  }
  add_qkv(&in, s, &o);
  if (s->past) {
    o.past_k = add_random(&in, "past_key", s->past_type, 4, s->b, s->hk, s->past, s->dk);
    o.past_v = add_random(&in, "past_value", s->past_type, 4, s->b, s->hk, s->past, s->dv);
  }
  add_mask(&in, s, &o);
  add_nonpad(&in, s, &o);
  expect_all(&in, &out, s, &o);
  snprintf(files[at].path, PATH_BYTES, CLATTN_TEST_SCRATCH "/all-%s.safetensors", s->name);
  snprintf(files[at].expect, PATH_BYTES, CLATTN_TEST_SCRATCH "/all-%s.expect.safetensors", s->name);
  files[at].expected = out.n_tensors;
  if (!st_write(&in, files[at].path, &error) || !st_write(&out, files[at].expect, &error)) fail_msg("%s", error.text);
  const double *const made[] = {o.q, o.k, o.v, o.past_k, o.past_v, o.mask};
  for (int i = 0; i < 6; i++) free((void *)(uintptr_t)made[i]);
  free((void *)(uintptr_t)o.nonpad);
  st_free(&in);
  st_free(&out);
}

/* Of an input Q [B,S,H*D], Q [B,H,S,D] is expected, but it is an input's name: left uncompared, by contract. */
static size_t compared_of(int at) { return files[at].expected - (specs[at].flat ? 3 : 0); }

/* All layers of float64, or all others, in one call; every expected tensor is compared, and right. */
static void attend_all(bool wide, const char *path, const char *variant)
{
  const char *words[16 + 3 * SPECS] = {"attend", "--json", "--path", path};
  int n = 4;
  size_t wanted = 0, right = 0;
  if (variant) words[n++] = "--variant", words[n++] = variant;
  for (int at = 0; at < SPECS; at++)
    if ((specs[at].type == ST_F64) == wide) {
      words[n++] = files[at].path, words[n++] = "--expect", words[n++] = files[at].expect;
      wanted += compared_of(at);
    }
  if (wide) words[n++] = "--tolerance", words[n++] = "1e-12";
  words[n] = NULL;
  spawned run = spawn_clattn(true, words);
  assert_spawned(&run, 0, "{", NULL);
  for (const char *at = run.out; (at = strstr(at, "\"good\":true")); at++) right++;
  assert_int_equal(right, wanted);
  spawned_free(&run);
}

/* Q, K and V of one input are one stage; those of two are two. */
static void test_stages_of_projections(void **state)
{
  (void)state;
  for (int at = 0; at < SPECS; at++) {
    if (!specs[at].e || specs[at].type == ST_F64) continue;
    spawned run = SPAWN(true, "attend", "--json", files[at].path, "--expect", files[at].expect);
    assert_spawned(&run, 0, specs[at].i_kv ? "\"projection K V\"" : "\"projection Q K V\"", NULL);
    assert_int_equal(specs[at].i_kv, strstr(run.out, "\"projection Q\"") != NULL);
    spawned_free(&run);
  }
}

static void test_every_path(void **state)
{
  (void)state;
  attend_all(false, "auto", NULL);
  attend_all(false, "staged", "reference");
  attend_all(false, "fused", "reference");
  attend_all(false, "staged", "tiled");
  attend_all(false, "fused", "tiled");
}

static void test_float64(void **state)
{
  if (device_has_f64(*state)) {
    attend_all(true, "staged", NULL);
    attend_all(true, "fused", NULL);
    return;
  }
  spawned run = SPAWN(true, "attend", files[SPECS - 1].path, "--expect", files[SPECS - 1].expect);
  assert_spawned(&run, 1, "", "the device has no float64");
  spawned_free(&run);
}

/* --save of what the file held as [B,S,H*D] puts it in order: [B,H,S,D] in float32. */
static void test_saved_heads(void **state)
{
  (void)state;
  static const char out[] = CLATTN_TEST_SCRATCH "/all-out";
  st_file saved, wanted;
  st_error error;
  spawned run = SPAWN(true, "attend", files[0].path, "-o", out, "--save", "Q,K,V");
  assert_spawned(&run, 0, "wrote", NULL);
  spawned_free(&run);
  if (!st_read(CLATTN_TEST_SCRATCH "/all-out/all-flat-gqa.safetensors", &saved, &error)) fail_msg("%s", error.text);
  if (!st_read(files[0].expect, &wanted, &error)) fail_msg("%s", error.text);
  for (int i = 0; i < 3; i++) {
    const char *const names[] = {"Q", "K", "V"};
    const st_tensor *got = st_find(&saved, names[i]), *want = st_find(&wanted, names[i]);
    assert_non_null(got);
    assert_int_equal(got->type, ST_F32);
    assert_string_equal(st_show_shape(got->rank, got->dim).text, st_show_shape(want->rank, want->dim).text);
    for (size_t j = 0; j < got->bytes / 4; j++)
      assert_true(fabs((double)((const float *)got->data)[j] - ((const double *)want->data)[j]) < 1e-12);
  }
  st_free(&saved);
  st_free(&wanted);
}

/* What only a device can refuse, or only a result: said with the file's name, and the status is 1. */
static void test_refused_on_the_device(void **state)
{
  const char *wide = files[SPECS - 2].path;
  spawned run = SPAWN(true, "attend", wide, "-o", CLATTN_TEST_SCRATCH "/all-out", "--variant", "tiled");
  assert_spawned(&run, 1, NULL, "all-f64-flat.safetensors: attention: ");
  spawned_free(&run);
  run = SPAWN(true, "attend", files[0].path, "-o", CLATTN_TEST_SCRATCH "/all-out", "--device", "no such device");
  assert_spawned(&run, 1, NULL, "no such device");
  spawned_free(&run);
  st_file counts = {0};
  st_error error;
  const int64_t dim[3] = {2, 5, 72};
  assert_non_null(st_add(&counts, "Y", ST_U8, 3, dim));
  assert_true(st_write(&counts, CLATTN_TEST_SCRATCH "/all-counts.safetensors", &error));
  run = SPAWN(true, "attend", files[0].path, "--expect", CLATTN_TEST_SCRATCH "/all-counts.safetensors");
  assert_spawned(&run, 1, "WRONG", "type F32, expected U8: no numbers to compare");
  spawned_free(&run);
  st_free(&counts);
  (void)state;
}

/* A full disk under stdout is an error, not half an answer. */
static void test_full_stdout(void **state)
{
  (void)state;
  char said[512] = "";
  FILE *stream = popen(CLATTN_COMMAND_FILE " devices 2>&1 >/dev/full", "r");
  assert_non_null(stream);
  said[fread(said, 1, sizeof said - 1, stream)] = '\0';
  const int status = pclose(stream);
  assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
  if (!strstr(said, "writing to stdout failed: ")) fail_msg("it said: %s", said);
}

static int set_up(void **state)
{
  for (int at = 0; at < SPECS; at++) write_case(at);
  return device_setup(state);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_stages_of_projections),
      cmocka_unit_test(test_every_path),
      cmocka_unit_test(test_float64),
      cmocka_unit_test(test_saved_heads),
      cmocka_unit_test(test_refused_on_the_device),
      cmocka_unit_test(test_full_stdout),
  };
  return cmocka_run_group_tests(tests, set_up, device_teardown);
}
