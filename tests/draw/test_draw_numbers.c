/* What `clattn draw` shows of a layer, read back as JSON, against sums in double: every quantity, masks, windows, a
 * past, lengths, groups, entries of a batch, and the report of each head. */
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "numerics.h"
#include "oracle.h"
#include "safetensors.h"
#include "spawn.h"

#define FILE_NAME CLATTN_TEST_SCRATCH "/draw-numbers.safetensors"

typedef enum mask_kind { NO_MASK, SHORT_BOOL, BIASES, HIDDEN_ROWS } mask_kind;

/* A problem; what is zero is usual, windows one more than they are (0: unbounded). */
typedef struct network_case {
  const char *name;
  int64_t b, hq, hk, sq, sk, dk, dv, past, left, right;
  bool causal, nonpad;
  mask_kind mask;
  double softcap, scale;
  int32_t type; /* of Q, K and V */
} network_case;

static const network_case cases[] = {
    {"a causal head", .hq = 1, .hk = 1, .sq = 13, .sk = 13, .dk = 64, .dv = 64, .causal = true},
    {"groups, the second of a batch", .b = 2, .hq = 6, .hk = 2, .sq = 17, .sk = 17, .dk = 24, .dv = 8},
    {"other queries than keys", .hq = 2, .hk = 2, .sq = 5, .sk = 29, .dk = 16, .dv = 16, .softcap = 2.0},
    {"a past", .b = 2, .hq = 2, .hk = 1, .sq = 7, .sk = 7, .past = 11, .dk = 32, .dv = 32, .causal = true},
    {"lengths", .b = 2, .hq = 2, .hk = 1, .sq = 4, .sk = 19, .dk = 16, .dv = 16, .causal = true, .nonpad = true},
    {"a window", .hq = 1, .hk = 1, .sq = 33, .sk = 33, .dk = 16, .dv = 16, .left = 5, .right = 3, .scale = -0.3},
    {"a short mask", .b = 2, .hq = 2, .hk = 2, .sq = 9, .sk = 9, .dk = 16, .dv = 4, .mask = SHORT_BOOL},
    {"biases", .b = 2, .hq = 3, .hk = 3, .sq = 8, .sk = 8, .dk = 16, .dv = 16, .mask = BIASES, .causal = true},
    {"rows without a key", .hq = 2, .hk = 1, .sq = 6, .sk = 6, .dk = 16, .dv = 16, .mask = HIDDEN_ROWS},
    {"float16", .hq = 2, .hk = 1, .sq = 12, .sk = 12, .dk = 32, .dv = 32, .causal = true, .type = CLATTN_F16},
    {"one token", .hq = 1, .hk = 1, .sq = 1, .sk = 1, .dk = 8, .dv = 8},
};

/* The problem in double, and as a file. */
typedef struct drawn {
  oracle_attention o;
  double *p, *a; /* [B,HQ,SQ,keys] */
  int64_t keys;  /* past and new ones */
  int64_t nonpad[2];
  st_file file;
} drawn;

static double *add_numbers(drawn *d, const char *name, int32_t type, int64_t b, int64_t h, int64_t s, int64_t width,
                           random_state *r)
{
  st_tensor *t = st_add(&d->file, name, st_type_of_dtype(type), 4, (int64_t[]){b, h, s, width});
  const int64_t count = b * h * s * width;
  double *numbers = malloc((size_t)count * sizeof *numbers + 1);
  assert_true(t && numbers);
  for (int64_t i = 0; i < count; i++) {
    numbers[i] = number_round(type, 2.0 * random_unit(r));
    number_store(type, t->data, i, numbers[i]);
  }
  return numbers;
}

static void add_mask(drawn *d, mask_kind kind, random_state *r)
{
  oracle_attention *o = &d->o;
  const bool is_bool = kind == SHORT_BOOL;
  const int64_t dim[4] = {kind == BIASES ? o->b : 1, kind == BIASES ? o->hq : 1, kind == SHORT_BOOL ? 1 : o->sq,
                          kind == SHORT_BOOL ? d->keys - 2 : d->keys};
  const int skipped = kind == BIASES ? 0 : 2;
  const int64_t count = dim[0] * dim[1] * dim[2] * dim[3];
  double *mask = malloc((size_t)count * sizeof *mask);
  if (kind == NO_MASK) {
    free(mask);
    return;
  }
  o->mask = mask;
  o->mask_rank = 4 - skipped;
  o->mask_is_bool = is_bool;
  memcpy(o->mask_dim, dim + skipped, (size_t)o->mask_rank * sizeof *dim);
  st_tensor *t = st_add(&d->file, "attn_mask", is_bool ? ST_BOOL : ST_F32, o->mask_rank, o->mask_dim);
  assert_true(t && mask);
  for (int64_t i = 0; i < count; i++) {
    const bool hidden = kind == HIDDEN_ROWS && i / dim[3] % 3 == 1;
    mask[i] = is_bool  ? (double)(i % 4 != 1)
              : hidden ? -(double)INFINITY
                       : number_round(CLATTN_F32, i % 7 == 3 ? -(double)INFINITY : random_unit(r));
    if (is_bool)
      ((uint8_t *)t->data)[i] = (uint8_t)mask[i];
    else
      ((float *)t->data)[i] = (float)mask[i];
  }
}

static void label_number(drawn *d, const char *key, const char *format, double value)
{
  char text[40];
  snprintf(text, sizeof text, format, value);
  assert_true(st_set_label(&d->file, key, text));
}

static void add_labels(drawn *d, const network_case *c)
{
  if (c->causal) label_number(d, "is_causal", "%.0f", 1.0);
  if (c->softcap > 0.0) label_number(d, "softcap", "%.17g", c->softcap);
  if (!isnan(d->o.scale)) label_number(d, "scale", "%.17g", d->o.scale);
  if (c->left) label_number(d, "left_window_size", "%.0f", (double)d->o.window_left);
  if (c->right) label_number(d, "right_window_size", "%.0f", (double)d->o.window_right);
  if (!c->nonpad) return;
  st_tensor *t = st_add(&d->file, "nonpad_kv_seqlen", ST_I64, 1, (int64_t[]){d->o.b});
  d->nonpad[0] = d->o.sk - 6, d->nonpad[1] = d->o.sk;
  memcpy(t->data, d->nonpad, t->bytes);
  d->o.nonpad = d->nonpad;
}

static void run_oracle(drawn *d)
{
  const size_t count = (size_t)(d->o.b * d->o.hq * d->o.sq * d->keys);
  d->a = malloc(count * sizeof *d->a);
  d->p = malloc(count * sizeof *d->p);
  assert_true(d->a && d->p);
  d->o.qk = d->a;
  d->o.qk_mode = 0;
  oracle_attention_run(&d->o);
  d->o.qk = d->p;
  d->o.qk_mode = 3;
  oracle_attention_run(&d->o);
}

static void make(const network_case *c, drawn *d)
{
  random_state r = {(uint64_t)(c - cases) + 1};
  const int64_t b = c->b ? c->b : 1;
  const int32_t type = c->type ? c->type : CLATTN_F32;
  *d = (drawn){.keys = c->past + c->sk};
  d->o = (oracle_attention){.b = b,
                            .hq = c->hq,
                            .hk = c->hk,
                            .sq = c->sq,
                            .sk = c->sk,
                            .dk = c->dk,
                            .dv = c->dv,
                            .past = c->past,
                            .softcap = c->softcap,
                            .causal = c->causal,
                            .scale = c->scale < 0.0 ? c->scale : (double)NAN,
                            .window_left = c->left - 1,
                            .window_right = c->right - 1};
  d->o.q = add_numbers(d, "Q", type, b, c->hq, c->sq, c->dk, &r);
  d->o.k = add_numbers(d, "K", type, b, c->hk, c->sk, c->dk, &r);
  d->o.v = add_numbers(d, "V", type, b, c->hk, c->sk, c->dv, &r);
  if (c->past) {
    d->o.past_k = add_numbers(d, "past_key", type, b, c->hk, c->past, c->dk, &r);
    d->o.past_v = add_numbers(d, "past_value", type, b, c->hk, c->past, c->dv, &r);
  }
  add_mask(d, c->mask, &r);
  add_labels(d, c);
  run_oracle(d);
  st_error error;
  if (!st_write(&d->file, FILE_NAME, &error)) fail_msg("%s", error.text);
}

static void drop(drawn *d)
{
  const double *const owned[] = {d->o.q, d->o.k, d->o.v, d->o.past_k, d->o.past_v, d->o.mask, d->p, d->a};
  for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) free((void *)(uintptr_t)owned[i]);
  st_free(&d->file);
}

static double value_norm(const drawn *d, int64_t b, int64_t head, int64_t key)
{
  const oracle_attention *o = &d->o;
  const int64_t at = b * o->hk + head / (o->hq / o->hk);
  const double *v =
      key < o->past ? o->past_v + (at * o->past + key) * o->dv : o->v + (at * o->sk + key - o->past) * o->dv;
  double sum = 0.0;
  for (int64_t i = 0; i < o->dv; i++) sum += v[i] * v[i];
  return sqrt(sum);
}

static double expected(const drawn *d, const char *show, int64_t b, int64_t head, int64_t i, int64_t j)
{
  const int64_t at = (b * d->o.hq + head) * d->o.sq;
  const double p = d->p[(at + i) * d->keys + j], a = d->a[(at + i) * d->keys + j];
  if (strcmp(show, "P") == 0) return p;
  if (strcmp(show, "Pv") == 0) return p * value_norm(d, b, head, j);
  if (strcmp(show, "A") == 0) return a;
  return 0.5 * (a - d->a[(at + j) * d->keys + i]);
}

static double number_of(const cJSON *line, const char *key)
{
  const cJSON *item = cJSON_GetObjectItemCaseSensitive(line, key);
  if (!cJSON_IsNumber(item)) fail_msg("no number '%s'", key);
  return item->valuedouble;
}

static bool is_kind(const cJSON *line, const char *kind)
{
  const cJSON *item = cJSON_GetObjectItemCaseSensitive(line, "kind");
  return cJSON_IsString(item) && strcmp(item->valuestring, kind) == 0;
}

/* A row of the matrix; how many numbers were right. */
static void look_at_row(const drawn *d, const network_case *c, const char *show, int64_t b, const cJSON *line)
{
  const int64_t head = (int64_t)number_of(line, "head"), i = (int64_t)number_of(line, "index");
  const cJSON *values = cJSON_GetObjectItemCaseSensitive(line, "values"), *value;
  const int64_t keys = d->o.nonpad ? d->nonpad[b] : d->keys;
  int64_t j = 0;
  assert_int_equal(cJSON_GetArraySize(values), keys);
  cJSON_ArrayForEach(value, values)
  {
    const double want = expected(d, show, b, head, i, j);
    if (!(fabs(value->valuedouble - want) <= 4e-6 * fmax(1.0, fabs(want))))
      fail_msg("%s, %s: entry %" PRId64 " head %" PRId64 " [%" PRId64 ",%" PRId64 "] is %.9g, must be %.9g", c->name,
               show, b, head, i, j, value->valuedouble, want);
    j++;
  }
}

static char **words_for(const char *show, const char *batch, const char *heads)
{
  static const char *words[16];
  const char *const list[] = {"draw", FILE_NAME, "--json", "--view",  "matrix", "--show",
                              show,   "--batch", batch,    "--heads", heads,    NULL};
  memcpy(words, list, sizeof list);
  return (char **)(uintptr_t)words;
}

static void look_at_quantity(const drawn *d, const network_case *c, const char *show, int64_t b)
{
  char batch[8], heads[16];
  int64_t rows = 0;
  snprintf(batch, sizeof batch, "%d", (int)b);
  snprintf(heads, sizeof heads, "0-%d", (int)c->hq - 1);
  spawned run = spawn_clattn(true, (const char *const *)words_for(show, batch, heads));
  assert_spawned(&run, 0, "{", NULL);
  char *rest = run.out;
  for (char *text; (text = strtok_r(rest, "\n", &rest));) {
    cJSON *line = cJSON_ParseWithOpts(text, NULL, 1);
    if (!cJSON_IsObject(line)) fail_msg("no JSON object: %s", text);
    if (is_kind(line, "row")) {
      look_at_row(d, c, show, b, line);
      rows++;
    }
    cJSON_Delete(line);
  }
  assert_int_equal(rows, c->hq * c->sq);
  spawned_free(&run);
}

static void test_quantities(void **state)
{
  (void)state;
  static const char *const shows[] = {"P", "Pv", "A", "antisymmetric"};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    drawn d;
    make(&cases[i], &d);
    const int64_t b = d.o.b - 1, keys = d.o.nonpad ? d.nonpad[b] : d.keys;
    for (int q = 0; q < (d.o.sq == keys ? 4 : 3); q++) look_at_quantity(&d, &cases[i], shows[q], b);
    if (b) look_at_quantity(&d, &cases[i], "P", 0);
    drop(&d);
  }
}

int main(int argc, char **argv)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_quantities),
  };
  if (argc > 1) cmocka_set_test_filter(argv[1]);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
