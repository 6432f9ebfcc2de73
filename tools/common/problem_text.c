#include "problem_text.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clattn/clattn.h"

static const char *const mask_names[] = {
#define PROBLEM_MASK_NAME(name) #name,
    PROBLEM_MASK_LIST(PROBLEM_MASK_NAME)
#undef PROBLEM_MASK_NAME
};
static const char *const path_names[] = {"auto", "staged", "fused"};
static const char *const dtype_names[] = {"", "f32", "f16", "bf16", "f64"};

enum {
  UNSET = -2, /* of a size whose default is another size */
  CHUNK = 256 /* numbers that are made at a time */
};

/* Whole numbers, in the order in which they are printed. */
static const struct {
  const char *key;
  size_t at;
  int64_t least, most, unsaid;
} counts[] = {
    {"b", offsetof(problem_text, b), 1, INT32_MAX, 1},
    {"hq", offsetof(problem_text, hq), 1, INT32_MAX, 1},
    {"hk", offsetof(problem_text, hk), 1, INT32_MAX, UNSET},
    {"sq", offsetof(problem_text, sq), 0, INT32_MAX, 1},
    {"sk", offsetof(problem_text, sk), 0, INT32_MAX, UNSET},
    {"dk", offsetof(problem_text, dk), 1, INT32_MAX, 64},
    {"dv", offsetof(problem_text, dv), 1, INT32_MAX, UNSET},
    {"past", offsetof(problem_text, past), 0, INT32_MAX, 0},
    {"causal", offsetof(problem_text, causal), 0, 1, 0},
    {"left", offsetof(problem_text, left), -1, INT64_MAX, -1},
    {"right", offsetof(problem_text, right), -1, INT64_MAX, -1},
};
#define COUNT(list) (sizeof list / sizeof list[0])

static int64_t get(const problem_text *p, size_t at)
{
  int64_t value;
  memcpy(&value, (const char *)p + at, sizeof value);
  return value;
}

static void set(problem_text *p, size_t at, int64_t value) { memcpy((char *)p + at, &value, sizeof value); }

static bool take_count(problem_text *p, size_t row, const char *value, st_error *error)
{
  char *end;
  errno = 0;
  const int64_t number = strtoll(value, &end, 10);
  if (errno || end == value || *end || strspn(value, "-0123456789") != strlen(value) || number < counts[row].least ||
      number > counts[row].most)
    return st_fail(error, "problem: %s is '%s', must be %" PRId64 " to %" PRId64, counts[row].key, st_show(value).text,
                   counts[row].least, counts[row].most);
  set(p, counts[row].at, number);
  return true;
}

static bool take_real(const char *key, const char *value, double *out, st_error *error)
{
  char *end;
  *out = strtod(value, &end);
  if (end == value || *end || strspn(value, "+-.eE0123456789") != strlen(value) || !isfinite((float)*out))
    return st_fail(error, "problem: %s is '%s', must be a number finite in float32", key, st_show(value).text);
  return true;
}

/* The index of a word in a list, from `first`; the list is printed when there is none. */
static bool take_word(const char *key, const char *value, const char *const *words, int first, int count, int32_t *out,
                      st_error *error)
{
  char list[96] = "";
  for (int i = first; i < count; i++) {
    if (strcmp(words[i], value) == 0) {
      *out = i;
      return true;
    }
    snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", i > first ? ", " : "", words[i]);
  }
  return st_fail(error, "problem: %s is '%s', must be one of %s", key, st_show(value).text, list);
}

static bool take_seed(const char *value, uint64_t *seed, st_error *error)
{
  char *end;
  errno = 0;
  *seed = strtoull(value, &end, 10);
  if (errno || !*value || *end || strspn(value, "0123456789") != strlen(value))
    return st_fail(error, "problem: seed is '%s', must be 0 to %" PRIu64, st_show(value).text, UINT64_MAX);
  return true;
}

static bool take_pair(problem_text *p, const char *key, const char *value, st_error *error)
{
  int32_t mask = 0;
  for (size_t row = 0; row < COUNT(counts); row++)
    if (strcmp(key, counts[row].key) == 0) return take_count(p, row, value, error);
  if (strcmp(key, "scale") == 0) return take_real(key, value, &p->scale, error);
  if (strcmp(key, "softcap") == 0)
    return take_real(key, value, &p->softcap, error) &&
           (p->softcap >= 0.0 || st_fail(error, "problem: softcap is %s, must be 0 or more", value));
  if (strcmp(key, "seed") == 0) return take_seed(value, &p->seed, error);
  if (strcmp(key, "dtype") == 0) return take_word(key, value, dtype_names, 1, COUNT(dtype_names), &p->dtype, error);
  if (strcmp(key, "path") == 0) return take_word(key, value, path_names, 0, COUNT(path_names), &p->path, error);
  if (strcmp(key, "mask") == 0) {
    if (!take_word(key, value, mask_names, 0, COUNT(mask_names), &mask, error)) return false;
    p->mask = (problem_mask)mask;
    return true;
  }
  return st_fail(error, "problem: unknown key '%s'", st_show(key).text);
}

static bool take_pairs(problem_text *p, char *text, st_error *error)
{
  char seen[PROBLEM_TEXT_BYTES] = ",";
  for (char *pair = text, *next; pair; pair = next) {
    next = strchr(pair, ',');
    if (next) *next++ = '\0';
    char *value = strchr(pair, '=');
    if (!value) return st_fail(error, "problem: '%s' is not key=value", st_show(pair).text);
    *value++ = '\0';
    char word[40];
    snprintf(word, sizeof word, ",%.30s,", pair);
    if (strstr(seen, word)) return st_fail(error, "problem: key '%s' is there twice", st_show(pair).text);
    if (!take_pair(p, pair, value, error)) return false;
    snprintf(seen + strlen(seen), sizeof seen - strlen(seen), "%s,", pair);
  }
  return true;
}

bool problem_parse(const char *text, problem_text *p, st_error *error)
{
  *p = (problem_text){.scale = (double)NAN, .dtype = CLATTN_F32};
  for (size_t row = 0; row < COUNT(counts); row++) set(p, counts[row].at, counts[row].unsaid);
  char *copy = strdup(text);
  if (!copy) return st_fail(error, "problem: out of memory");
  const bool good = take_pairs(p, copy, error);
  free(copy);
  if (!good) return false;
  if (p->hk == UNSET) p->hk = p->hq;
  if (p->sk == UNSET) p->sk = p->sq;
  if (p->dv == UNSET) p->dv = p->dk;
  if (p->hq % p->hk)
    return st_fail(error, "problem: hq is %" PRId64 ", must be a multiple of hk, %" PRId64, p->hq, p->hk);
  return true;
}

void problem_print(const problem_text *p, char text[PROBLEM_TEXT_BYTES])
{
  size_t used = 0;
  text[0] = '\0';
#define SAY(...) (used += (size_t)snprintf(text + used, PROBLEM_TEXT_BYTES - used, __VA_ARGS__))
  for (size_t row = 0; row < COUNT(counts); row++) {
    int64_t unsaid = counts[row].unsaid;
    if (counts[row].at == offsetof(problem_text, hk)) unsaid = p->hq;
    if (counts[row].at == offsetof(problem_text, sk)) unsaid = p->sq;
    if (counts[row].at == offsetof(problem_text, dv)) unsaid = p->dk;
    const int64_t value = get(p, counts[row].at);
    if (value != unsaid) SAY("%s=%" PRId64 ",", counts[row].key, value);
  }
  if (!isnan(p->scale)) SAY("scale=%.17g,", p->scale);
  if (p->softcap > 0.0) SAY("softcap=%.17g,", p->softcap);
  if (p->mask != PROBLEM_MASK_none) SAY("mask=%s,", mask_names[p->mask]);
  if (p->path) SAY("path=%s,", path_names[p->path]);
  SAY("dtype=%s,seed=%" PRIu64, dtype_names[p->dtype], p->seed);
#undef SAY
}

/* SplitMix64 (Steele, Lea, Flood 2014). */
static uint64_t next_word(uint64_t *state)
{
  uint64_t z = *state += 0x9E3779B97F4A7C15u;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
  z = (z ^ z >> 27) * 0x94D049BB133111EBu;
  return z ^ z >> 31;
}

/* The sum of three uniform numbers of [-1,1): bell-shaped, variance 1, and exact, so no machine's libm enters. */
static float next_number(uint64_t *state)
{
  const uint64_t word = next_word(state);
  const int32_t a = (int32_t)(word & 0xFFFFF), b = (int32_t)(word >> 20 & 0xFFFFF), c = (int32_t)(word >> 40 & 0xFFFFF);
  return (float)(a + b + c - 3 * 0x80000) / (float)0x80000;
}

/* Each tensor has a stream of its own, so that one more tensor changes no other. */
static uint64_t stream_of(const problem_text *p, const char *name)
{
  uint64_t state = p->seed;
  for (; *name; name++) state = next_word(&state) ^ (unsigned char)*name;
  return state;
}

static st_tensor *add(st_file *file, const char *name, st_type type, const int64_t *dim, st_error *error)
{
  st_tensor *tensor = st_add(file, name, type, 4, dim);
  if (!tensor) st_fail(error, "problem: no memory for %s %s", name, st_show_shape(4, dim).text);
  return tensor;
}

static bool add_numbers(const problem_text *p, st_file *file, const char *name, const int64_t *dim, st_error *error)
{
  st_tensor *tensor = add(file, name, st_type_of_dtype(p->dtype), dim, error);
  if (!tensor) return false;
  const size_t bytes = st_type_bytes(tensor->type), n = tensor->bytes / bytes;
  uint64_t state = stream_of(p, name);
  for (size_t i = 0; i < n; i += CHUNK) {
    float numbers[CHUNK];
    const size_t count = n - i < CHUNK ? n - i : CHUNK;
    for (size_t j = 0; j < count; j++) numbers[j] = next_number(&state);
    clattn_convert((clattn_dtype)p->dtype, (char *)tensor->data + i * bytes, CLATTN_F32, numbers, count);
  }
  return true;
}

static bool add_mask(const problem_text *p, st_file *file, st_error *error)
{
  const int64_t sk = p->past + p->sk;
  const int64_t dim[4] = {p->b, 1, p->mask == PROBLEM_MASK_pad ? 1 : p->sq, sk};
  if (p->mask == PROBLEM_MASK_none) return true;
  if (p->mask == PROBLEM_MASK_float) return add_numbers(p, file, "attn_mask", dim, error);
  st_tensor *tensor = add(file, "attn_mask", ST_BOOL, dim, error);
  if (!tensor) return false;
  uint64_t state = stream_of(p, "attn_mask");
  unsigned char *flag = tensor->data;
  if (p->mask == PROBLEM_MASK_bool) {
    for (size_t i = 0; i < tensor->bytes; i++) flag[i] = next_word(&state) % 4 != 0;
  } else {
    for (int64_t b = 0; b < p->b; b++) {
      const int64_t length = sk ? 1 + (int64_t)(next_word(&state) % (uint64_t)sk) : 0;
      if (length) memset(flag + b * sk, 1, (size_t)length);
    }
  }
  return true;
}

static bool set_real(st_file *file, const char *key, double value)
{
  char text[40];
  snprintf(text, sizeof text, "%.17g", value);
  return st_set_label(file, key, text);
}

static bool set_attributes(const problem_text *p, st_file *file)
{
  bool good = true;
  if (p->causal) good = st_set_label(file, "is_causal", "1");
  if (good && !isnan(p->scale)) good = set_real(file, "scale", p->scale);
  if (good && p->softcap > 0.0) good = set_real(file, "softcap", p->softcap);
  char text[24];
  if (good && p->left >= 0) {
    snprintf(text, sizeof text, "%" PRId64, p->left);
    good = st_set_label(file, "left_window_size", text);
  }
  if (good && p->right >= 0) {
    snprintf(text, sizeof text, "%" PRId64, p->right);
    good = st_set_label(file, "right_window_size", text);
  }
  return good;
}

bool problem_fill(const problem_text *p, st_file *file, st_error *error)
{
  *file = (st_file){0};
  const int64_t q[] = {p->b, p->hq, p->sq, p->dk}, k[] = {p->b, p->hk, p->sk, p->dk}, v[] = {p->b, p->hk, p->sk, p->dv};
  const int64_t past_k[] = {p->b, p->hk, p->past, p->dk}, past_v[] = {p->b, p->hk, p->past, p->dv};
  bool good = add_numbers(p, file, "Q", q, error) && add_numbers(p, file, "K", k, error) &&
              add_numbers(p, file, "V", v, error) && add_mask(p, file, error);
  if (good && p->past)
    good = add_numbers(p, file, "past_key", past_k, error) && add_numbers(p, file, "past_value", past_v, error);
  if (good && !set_attributes(p, file)) good = st_fail(error, "problem: out of memory");
  if (!good) st_free(file);
  return good;
}
