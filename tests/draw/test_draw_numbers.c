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
  const int64_t dim[4] = {kind == BIASES ? o->b : 1, kind == BIASES ? o->hq : 1, o->sq,
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
    mask[i] = is_bool  ? (double)(i % 5 != 1)
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

static bool look_at_row(const drawn *d, const char *name, const char *show, int64_t b, const cJSON *line)
{
  if (!is_kind(line, "row")) return false;
  const int64_t head = (int64_t)number_of(line, "head"), i = (int64_t)number_of(line, "index");
  const cJSON *values = cJSON_GetObjectItemCaseSensitive(line, "values"), *value;
  const int64_t keys = d->o.nonpad ? d->nonpad[b] : d->keys;
  int64_t j = 0;
  assert_int_equal(cJSON_GetArraySize(values), keys);
  cJSON_ArrayForEach(value, values)
  {
    const double want = expected(d, show, b, head, i, j);
    if (!(fabs(value->valuedouble - want) <= 4e-6 * fmax(1.0, fabs(want))))
      fail_msg("%s, %s: entry %" PRId64 " head %" PRId64 " [%" PRId64 ",%" PRId64 "] is %.9g, must be %.9g", name, show,
               b, head, i, j, value->valuedouble, want);
    j++;
  }
  return true;
}

/* Runs the command for all heads of an entry of the batch; calls back with each line, and how many times it said true.
 */
typedef bool look(const drawn *d, const char *name, const char *show, int64_t b, const cJSON *line);

static int64_t each_line(const drawn *d, const char *name, const char *view, const char *show, int64_t b, look *at)
{
  char batch[8], heads[16];
  int64_t count = 0;
  snprintf(batch, sizeof batch, "%d", (int)b);
  snprintf(heads, sizeof heads, "0-%d", (int)d->o.hq - 1);
  spawned run =
      SPAWN(true, "draw", FILE_NAME, "--json", "--view", view, "--show", show, "--batch", batch, "--heads", heads);
  assert_spawned(&run, 0, "{", NULL);
  char *rest = run.out;
  for (char *text; (text = strtok_r(rest, "\n", &rest));) {
    cJSON *line = cJSON_ParseWithOpts(text, NULL, 1);
    if (!cJSON_IsObject(line)) fail_msg("no JSON object: %s", text);
    count += at(d, name, show, b, line);
    cJSON_Delete(line);
  }
  spawned_free(&run);
  return count;
}

static void look_at_quantity(const drawn *d, const char *name, const char *show, int64_t b)
{
  assert_int_equal(each_line(d, name, "matrix", show, b, look_at_row), d->o.hq * d->o.sq);
}

static void test_quantities(void **state)
{
  (void)state;
  static const char *const shows[] = {"P", "Pv", "A", "antisymmetric"};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    drawn d;
    make(&cases[i], &d);
    const int64_t b = d.o.b - 1, keys = d.o.nonpad ? d.nonpad[b] : d.keys;
    for (int q = 0; q < (d.o.sq == keys ? 4 : 3); q++) look_at_quantity(&d, cases[i].name, shows[q], b);
    if (b) look_at_quantity(&d, cases[i].name, "P", 0);
    drop(&d);
  }
}

/* ---- the strongest edges ---- */

/* Each is as heavy as the next strongest of its row in double. */
static bool look_at_edges(const drawn *d, const char *name, const char *show, int64_t b, const cJSON *line)
{
  if (!is_kind(line, "edges")) return false;
  const int64_t head = (int64_t)number_of(line, "head"), i = (int64_t)number_of(line, "index");
  const int64_t keys = d->o.nonpad ? d->nonpad[b] : d->keys;
  const cJSON *edges = cJSON_GetObjectItemCaseSensitive(line, "edges"), *edge;
  double left[64];
  int64_t attended = 0;
  for (int64_t j = 0; j < keys; j++) {
    left[j] = expected(d, show, b, head, i, j);
    attended += left[j] != 0.0;
  }
  assert_int_equal(cJSON_GetArraySize(edges), attended < 3 ? attended : 3);
  cJSON_ArrayForEach(edge, edges)
  {
    const int64_t key = (int64_t)number_of(edge, "index");
    double most = 0.0;
    for (int64_t j = 0; j < keys; j++) most = fmax(most, fabs(left[j]));
    assert_in_range(key, 0, keys - 1);
    if (!(fabs(number_of(edge, "weight") - left[key]) <= 4e-6 * fmax(1.0, most)) || fabs(left[key]) < most - 1e-5)
      fail_msg("%s, %s: head %" PRId64 " query %" PRId64 ": edge to %" PRId64 " weighs %.9g, must be %.9g of %.9g",
               name, show, head, i, key, number_of(edge, "weight"), left[key], most);
    left[key] = 0.0;
  }
  return true;
}

static void test_edges(void **state)
{
  (void)state;
  static const int chosen[] = {1, 3, 7};
  for (int i = 0; i < 3; i++) {
    drawn d;
    make(&cases[chosen[i]], &d);
    assert_int_equal(each_line(&d, d.o.past ? "P" : "A", "network", d.o.past ? "P" : "A", d.o.b - 1, look_at_edges),
                     d.o.hq * d.o.sq);
    drop(&d);
  }
}

/* ---- the report ---- */

typedef struct report {
  double entropies[64]; /* of rows */
  double entropy, least, most, first, sharp, share;
} report;

static report expected_report(const drawn *d, int64_t b, int64_t head, int64_t keys)
{
  const oracle_attention *o = &d->o;
  const int64_t offset = keys - o->sq;
  report r = {.least = (double)INFINITY, .most = -(double)INFINITY, .share = (double)NAN};
  double rows = 0.0, sharp_rows = 0.0, whole = 0.0, anti = 0.0;
  for (int64_t i = 0; i < o->sq; i++) {
    double entropy = 0.0, sum = 0.0, strongest = 0.0;
    for (int64_t j = 0; j < keys; j++) {
      const double p = expected(d, "P", b, head, i, j), a = expected(d, "A", b, head, i, j);
      if (p > 0.0) entropy -= p * log(p);
      sum += p;
      if (j > 0 && j != i + offset) strongest = fmax(strongest, p);
      whole += a * a;
      if (o->sq == keys) anti += pow(expected(d, "antisymmetric", b, head, i, j), 2.0);
    }
    if (i + offset >= 2) {
      r.sharp += strongest;
      sharp_rows++;
    }
    r.entropies[i] = entropy;
    if (sum == 0.0) continue;
    rows++;
    r.entropy += entropy;
    r.least = fmin(r.least, entropy);
    r.most = fmax(r.most, entropy);
    r.first += expected(d, "P", b, head, i, 0);
  }
  if (o->sq == keys) r.share = sqrt(anti / whole);
  r.entropy /= rows, r.first /= rows;
  r.sharp = sharp_rows > 0.0 ? r.sharp / sharp_rows : 0.0;
  return r;
}

static void want_number(const cJSON *line, const char *name, const char *key, double want)
{
  const cJSON *item = cJSON_GetObjectItemCaseSensitive(line, key);
  if (isnan(want) ? item != NULL : !item || !(fabs(item->valuedouble - want) <= 1e-5 * fmax(1.0, fabs(want))))
    fail_msg("%s, head %g: %s is %.9g, must be %.9g", name, number_of(line, "head"), key,
             item ? item->valuedouble : (double)NAN, want);
}

/* The largest P[from,to] - P[to,from], by falling difference. */
static void look_at_pairs(const drawn *d, const char *name, int64_t b, int64_t head, int64_t keys, const cJSON *list)
{
  double left[64][64] = {{0.0}};
  const cJSON *pair;
  int64_t count = 0;
  if (keys > 64) fail_msg("%s: too long for this test", name);
  for (int64_t i = 0; i < d->o.sq && d->o.sq == keys; i++)
    for (int64_t j = 0; j < keys; j++) {
      left[i][j] = expected(d, "P", b, head, i, j) - expected(d, "P", b, head, j, i);
      count += left[i][j] > 1e-7;
    }
  if (cJSON_GetArraySize(list) < (count < 5 ? count : 5)) fail_msg("%s: %d pairs", name, cJSON_GetArraySize(list));
  cJSON_ArrayForEach(pair, list)
  {
    const int64_t from = (int64_t)number_of(pair, "from"), to = (int64_t)number_of(pair, "to");
    double most = 0.0;
    for (int64_t i = 0; i < keys; i++)
      for (int64_t j = 0; j < keys; j++) most = fmax(most, left[i][j]);
    assert_true(from >= 0 && from < keys && to >= 0 && to < keys && left[from][to] > most - 1e-5);
    assert_true(fabs(number_of(pair, "weight") - expected(d, "P", b, head, from, to)) < 4e-6);
    assert_true(fabs(number_of(pair, "back") - expected(d, "P", b, head, to, from)) < 4e-6);
    left[from][to] = 0.0;
  }
}

static bool look_at_report(const drawn *d, const char *name, const char *show, int64_t b, const cJSON *line)
{
  (void)show;
  if (!is_kind(line, "asymmetry")) return false;
  const int64_t head = (int64_t)number_of(line, "head"), keys = d->o.nonpad ? d->nonpad[b] : d->keys;
  const report want = expected_report(d, b, head, keys);
  const cJSON *entropies = cJSON_GetObjectItemCaseSensitive(line, "entropies"), *entropy;
  int64_t i = 0;
  assert_int_equal(cJSON_GetArraySize(entropies), d->o.sq);
  cJSON_ArrayForEach(entropy, entropies) assert_true(fabs(entropy->valuedouble - want.entropies[i++]) < 1e-5);
  want_number(line, name, "entropy_mean", want.entropy);
  want_number(line, name, "entropy_least", want.least);
  want_number(line, name, "entropy_most", want.most);
  want_number(line, name, "first_share", want.first);
  want_number(line, name, "a", want.share);
  if (d->o.nonpad || d->o.past || d->o.sq == keys) want_number(line, name, "sharpness", want.sharp);
  look_at_pairs(d, name, b, head, keys, cJSON_GetObjectItemCaseSensitive(line, "pairs"));
  return true;
}

static void test_report(void **state)
{
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    drawn d;
    make(&cases[i], &d);
    assert_int_equal(each_line(&d, cases[i].name, "network", "P", d.o.b - 1, look_at_report), d.o.hq);
    drop(&d);
  }
}

/* ---- projected layers ---- */

enum { E = 12, TOKENS = 6, OTHERS = 9 };

/* Both sequences are two of the batch; four query heads on two key heads of eight channels. */
static void make_projected(drawn *d, bool cross, double **w_q, double **w_k)
{
  random_state r = {99};
  *d = (drawn){.keys = cross ? OTHERS : TOKENS};
  st_file *f = &d->file;
  static const struct {
    const char *name;
    int64_t rows;
  } weights[3] = {{"W_Q", 32}, {"W_K", 16}, {"W_V", 16}};
  double *x[2], *w[3], *made[3];
  for (int i = 0; i < 2; i++) {
    const int64_t s = i ? OTHERS : TOKENS;
    st_tensor *t = i && !cross ? NULL : st_add(f, i ? "I_kv" : "I", ST_F32, 3, (int64_t[]){2, s, E});
    x[i] = malloc(sizeof(double) * (size_t)(2 * s * E));
    for (int64_t j = 0; j < 2 * s * E; j++) {
      x[i][j] = number_round(CLATTN_F32, random_unit(&r));
      if (t) number_store(CLATTN_F32, t->data, j, x[i][j]);
    }
  }
  for (int i = 0; i < 3; i++) {
    st_tensor *t = st_add(f, weights[i].name, ST_F32, 2, (int64_t[]){weights[i].rows, E});
    const int64_t s = i && cross ? OTHERS : TOKENS, h = weights[i].rows / 8;
    w[i] = malloc(sizeof(double) * (size_t)(weights[i].rows * E));
    made[i] = malloc(sizeof(double) * (size_t)(2 * s * weights[i].rows));
    for (int64_t j = 0; j < weights[i].rows * E; j++) {
      w[i][j] = number_round(CLATTN_F32, random_unit(&r));
      number_store(CLATTN_F32, t->data, j, w[i][j]);
    }
    oracle_projection_run(
        &(oracle_projection){.b = 2, .s = s, .e = E, .h = h, .d = 8, .x = x[i && cross], .w = w[i], .y = made[i]});
  }
  assert_true(st_set_label(f, "q_num_heads", "4") && st_set_label(f, "kv_num_heads", "2"));
  d->o = (oracle_attention){.b = 2,
                            .hq = 4,
                            .hk = 2,
                            .sq = TOKENS,
                            .sk = d->keys,
                            .dk = 8,
                            .dv = 8,
                            .q = made[0],
                            .k = made[1],
                            .v = made[2],
                            .scale = (double)NAN,
                            .window_left = -1,
                            .window_right = -1};
  run_oracle(d);
  st_error error;
  if (!st_write(f, FILE_NAME, &error)) fail_msg("%s", error.text);
  *w_q = w[0], *w_k = w[1];
  free(w[2]);
  free(x[0]);
  free(x[1]);
}

/* Of the matrix E x E itself. */
static double dense_share(const double *w_q, const double *w_k, int64_t head)
{
  double m[E][E] = {{0.0}}, whole = 0.0, anti = 0.0;
  for (int c = 0; c < 8; c++)
    for (int i = 0; i < E; i++)
      for (int j = 0; j < E; j++) m[i][j] += w_q[(head * 8 + c) * E + i] * w_k[(head / 2 * 8 + c) * E + j];
  for (int i = 0; i < E; i++)
    for (int j = 0; j < E; j++) {
      whole += m[i][j] * m[i][j];
      anti += 0.25 * (m[i][j] - m[j][i]) * (m[i][j] - m[j][i]);
    }
  return sqrt(anti / whole);
}

static const double *operator_q, *operator_k; /* of the layer at hand; NULL: none is told */

static bool look_at_operators(const drawn *d, const char *name, const char *show, int64_t b, const cJSON *line)
{
  (void)d, (void)show, (void)b;
  if (!is_kind(line, "asymmetry")) return false;
  want_number(line, name, "w",
              operator_q ? dense_share(operator_q, operator_k, (int64_t)number_of(line, "head")) : (double)NAN);
  return true;
}

static void test_projected(void **state)
{
  (void)state;
  for (int cross = 0; cross < 2; cross++) {
    drawn d;
    double *w_q, *w_k;
    make_projected(&d, cross, &w_q, &w_k);
    const char *name = cross ? "cross-attention" : "a projected layer";
    look_at_quantity(&d, name, "P", 1);
    look_at_quantity(&d, name, "A", 0);
    operator_q = cross ? NULL : w_q, operator_k = w_k;
    assert_int_equal(each_line(&d, name, "network", "P", 0, look_at_operators), 4);
    drop(&d);
    free(w_q);
    free(w_k);
  }
}

int main(int argc, char **argv)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_quantities),
      cmocka_unit_test(test_edges),
      cmocka_unit_test(test_report),
      cmocka_unit_test(test_projected),
  };
  if (argc > 1) cmocka_set_test_filter(argv[1]);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
