#include "problem_text.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clattn/clattn.h"

#define WORD(name) #name,
static const char *const mask_words[] = {PROBLEM_MASK_LIST(WORD) NULL};
const char *const problem_layout_words[] = {PROBLEM_LAYOUT_LIST(WORD) NULL};
static const char *const fill_words[] = {PROBLEM_FILL_LIST(WORD) NULL};
static const char *const poison_words[] = {PROBLEM_POISON_LIST(WORD) NULL};
#undef WORD
static const char *const path_words[] = {"auto", "staged", "fused", NULL};
const char *const problem_dtype_words[] = {"", "f32", "f16", "bf16", "f64", NULL};

#define UNSET INT64_MIN /* while parsing: of what has no default of its own */

typedef enum field_kind {
  A_COUNT,
  A_WORD,   /* the index of one of `words`, from `least` */
  A_SUBSET, /* bits of `letters`; none */
  A_REAL,
  A_LIST, /* of lengths */
  A_NAME,
  A_SEED
} field_kind;

typedef struct field {
  const char *key;
  field_kind kind;
  size_t at;
  int64_t least, most, unsaid;
  const char *const *words;
  const char *letters;
} field;

#define AT(member) offsetof(problem_text, member)
#define LENGTH(member, least, unsaid)                                                                                  \
  {                                                                                                                    \
#member, A_COUNT, AT(member), least, INT32_MAX, unsaid, NULL, NULL                                                 \
  }
#define NUMBER(member, least, most, unsaid)                                                                            \
  {                                                                                                                    \
#member, A_COUNT, AT(member), least, most, unsaid, NULL, NULL                                                      \
  }
#define CHOICE(member, words, first, unsaid)                                                                           \
  {                                                                                                                    \
#member, A_WORD, AT(member), first, 0, unsaid, words, NULL                                                         \
  }
#define LAYOUT(member) CHOICE(member, problem_layout_words, 0, PROBLEM_LAYOUT_dense)
#define SUBSET(member, letters, unsaid)                                                                                \
  {                                                                                                                    \
#member, A_SUBSET, AT(member), 0, 0, unsaid, NULL, letters                                                         \
  }
#define OTHER(member, kind)                                                                                            \
  {                                                                                                                    \
#member, kind, AT(member), 0, 0, 0, NULL, NULL                                                                     \
  }

/* Every key. What is UNSET unsaid is found by unsaid_of, from keys that stand before it. */
static const field fields[] = {
    LENGTH(b, 1, 1),
    LENGTH(hq, 1, 1),
    LENGTH(hk, 1, UNSET),
    LENGTH(sq, 0, 1),
    LENGTH(sk, 0, UNSET),
    LENGTH(dk, 1, 64),
    LENGTH(dv, 1, UNSET),
    LENGTH(past, 0, 0),
    OTHER(nonpad, A_LIST),
    NUMBER(causal, 0, 1, 0),
    NUMBER(left, -1, INT64_MAX, -1),
    NUMBER(right, -1, INT64_MAX, -1),
    NUMBER(offset, INT64_MIN + 1, INT64_MAX - 1, PROBLEM_NO_OFFSET),
    OTHER(scale, A_REAL),
    OTHER(softcap, A_REAL),
    CHOICE(mask, mask_words, 0, PROBLEM_MASK_none),
    NUMBER(mask_rank, 1, 4, 4),
    SUBSET(mask_shared, "bhq", UNSET),
    LENGTH(mask_short, 0, 0),
    NUMBER(mask_closed, 0, 1, 0),
    SUBSET(present, "kv", 0),
    NUMBER(lse, 0, 1, 0),
    NUMBER(qk, -1, 3, -1),
    NUMBER(precision, 0, 16, 0),
    CHOICE(dtype, problem_dtype_words, 1, CLATTN_F32),
    CHOICE(k_type, problem_dtype_words, 1, UNSET),
    CHOICE(v_type, problem_dtype_words, 1, UNSET),
    CHOICE(y_type, problem_dtype_words, 1, UNSET),
    CHOICE(mask_type, problem_dtype_words, 1, UNSET),
    CHOICE(lse_type, problem_dtype_words, 1, UNSET),
    CHOICE(qk_type, problem_dtype_words, 1, UNSET),
    LAYOUT(q_layout),
    LAYOUT(k_layout),
    LAYOUT(v_layout),
    LAYOUT(y_layout),
    LAYOUT(mask_layout),
    LAYOUT(lse_layout),
    LAYOUT(qk_layout),
    CHOICE(fill, fill_words, 0, PROBLEM_FILL_order),
    CHOICE(poison, poison_words, 0, PROBLEM_POISON_none),
    CHOICE(path, path_words, 0, CLATTN_PATH_AUTO),
    OTHER(variant, A_NAME),
    OTHER(seed, A_SEED),
};
#undef OTHER
#undef SUBSET
#undef LAYOUT
#undef CHOICE
#undef NUMBER
#undef LENGTH
#define COUNT(list) (sizeof list / sizeof list[0])

static bool is_whole(const field *f) { return f->kind == A_COUNT || f->kind == A_WORD || f->kind == A_SUBSET; }

static int64_t get(const problem_text *p, const field *f)
{
  int64_t value;
  memcpy(&value, (const char *)p + f->at, sizeof value);
  return value;
}

static void set(problem_text *p, const field *f, int64_t value) { memcpy((char *)p + f->at, &value, sizeof value); }

static int64_t unsaid_of(const problem_text *p, const field *f)
{
  if (f->unsaid != UNSET) return f->unsaid;
  switch (f->at) {
  case AT(hk):
    return p->hq;
  case AT(sk):
    return p->sq;
  case AT(dv):
    return p->dk;
  case AT(mask_shared):
    return p->mask == PROBLEM_MASK_pad ? PROBLEM_MASK_PER_HEAD | PROBLEM_MASK_PER_QUERY : PROBLEM_MASK_PER_HEAD;
  case AT(lse_type):
    return p->dtype == CLATTN_F64 ? CLATTN_F64 : CLATTN_F32;
  default:
    return p->dtype;
  }
}

static bool is_unsaid(const problem_text *p, const field *f)
{
  switch (f->kind) {
  case A_REAL:
    return f->at == AT(scale) ? isnan(p->scale) : p->softcap == 0.0;
  case A_LIST:
    return p->n_nonpad == 0;
  case A_NAME:
    return !p->variant[0];
  case A_SEED:
    return p->seed == 0;
  default:
    return get(p, f) == unsaid_of(p, f);
  }
}

/* ---- from text ---- */

static bool take_whole(const char *value, int64_t *out)
{
  char *end;
  errno = 0;
  *out = strtoll(value, &end, 10);
  return !errno && end != value && !*end && strspn(value, "-0123456789") == strlen(value);
}

static bool take_count(problem_text *p, const field *f, const char *value, st_error *error)
{
  int64_t number;
  if (!take_whole(value, &number) || number < f->least || number > f->most)
    return st_fail(error, "problem: %s is '%s', must be %" PRId64 " to %" PRId64, f->key, st_show(value).text, f->least,
                   f->most);
  set(p, f, number);
  return true;
}

static bool take_real(problem_text *p, const field *f, const char *value, st_error *error)
{
  char *end;
  double *out = f->at == AT(scale) ? &p->scale : &p->softcap;
  *out = strtod(value, &end);
  if (end == value || *end || strspn(value, "+-.eE0123456789") != strlen(value) || !isfinite((float)*out))
    return st_fail(error, "problem: %s is '%s', must be a number finite in float32", f->key, st_show(value).text);
  return p->softcap >= 0.0 || st_fail(error, "problem: softcap is %s, must be 0 or more", value);
}

/* The list is printed when there is no such word. */
static bool take_word(problem_text *p, const field *f, const char *value, st_error *error)
{
  char list[96] = "";
  for (int64_t i = f->least; f->words[i]; i++) {
    if (strcmp(f->words[i], value) == 0) {
      set(p, f, i);
      return true;
    }
    snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", i > f->least ? ", " : "", f->words[i]);
  }
  return st_fail(error, "problem: %s is '%s', must be one of %s", f->key, st_show(value).text, list);
}

static bool take_subset(problem_text *p, const field *f, const char *value, st_error *error)
{
  int64_t bits = 0;
  bool good = *value != '\0';
  for (const char *c = value; strcmp(value, "none") != 0 && *c && good; c++) {
    const char *letter = strchr(f->letters, *c);
    good = letter && !(bits & INT64_C(1) << (letter - f->letters));
    if (good) bits |= INT64_C(1) << (letter - f->letters);
  }
  if (!good)
    return st_fail(error, "problem: %s is '%s', must be none or letters of '%s'", f->key, st_show(value).text,
                   f->letters);
  set(p, f, bits);
  return true;
}

static bool take_list(problem_text *p, char *value, st_error *error)
{
  for (char *item = value, *next; item; item = next) {
    next = strchr(item, ':');
    if (next) *next++ = '\0';
    if (p->n_nonpad == PROBLEM_NONPAD_BATCHES)
      return st_fail(error, "problem: nonpad has more than %d lengths", PROBLEM_NONPAD_BATCHES);
    if (!take_whole(item, &p->nonpad[p->n_nonpad++]))
      return st_fail(error, "problem: nonpad has '%s', must be lengths joined by ':'", st_show(item).text);
  }
  return true;
}

static bool take_name(problem_text *p, const char *value, st_error *error)
{
  if (!*value || strlen(value) >= sizeof p->variant)
    return st_fail(error, "problem: variant is '%s', must have 1 to %zu letters", st_show(value).text,
                   sizeof p->variant - 1);
  strcpy(p->variant, value);
  return true;
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

static bool take_field(problem_text *p, const field *f, char *value, st_error *error)
{
  switch (f->kind) {
  case A_COUNT:
    return take_count(p, f, value, error);
  case A_WORD:
    return take_word(p, f, value, error);
  case A_SUBSET:
    return take_subset(p, f, value, error);
  case A_REAL:
    return take_real(p, f, value, error);
  case A_LIST:
    return take_list(p, value, error);
  case A_NAME:
    return take_name(p, value, error);
  default:
    return take_seed(value, &p->seed, error);
  }
}

static const field *find(const char *key)
{
  for (size_t row = 0; row < COUNT(fields); row++)
    if (strcmp(key, fields[row].key) == 0) return &fields[row];
  return NULL;
}

static bool take_pairs(problem_text *p, char *text, st_error *error)
{
  bool seen[COUNT(fields)] = {false};
  for (char *pair = text, *next; pair; pair = next) {
    next = strchr(pair, ',');
    if (next) *next++ = '\0';
    char *value = strchr(pair, '=');
    if (!value) return st_fail(error, "problem: '%s' is not key=value", st_show(pair).text);
    *value++ = '\0';
    const field *f = find(pair);
    if (!f) return st_fail(error, "problem: unknown key '%s'", st_show(pair).text);
    if (seen[f - fields]) return st_fail(error, "problem: key '%s' is there twice", pair);
    seen[f - fields] = true;
    if (!take_field(p, f, value, error)) return false;
  }
  return true;
}

/* Outputs whose elements would lie upon each other. */
static bool check_layouts(const problem_text *p, st_error *error)
{
  const struct {
    const char *key;
    int64_t layout;
  } outputs[] = {{"y_layout", p->y_layout}, {"lse_layout", p->lse_layout}, {"qk_layout", p->qk_layout}};
  for (size_t i = 0; i < COUNT(outputs); i++)
    if (outputs[i].layout == PROBLEM_LAYOUT_shared || outputs[i].layout == PROBLEM_LAYOUT_constant)
      return st_fail(error, "problem: %s is %s, which is for inputs", outputs[i].key,
                     problem_layout_words[outputs[i].layout]);
  return true;
}

static bool check(const problem_text *p, st_error *error)
{
  if (p->hq % p->hk)
    return st_fail(error, "problem: hq is %" PRId64 ", must be a multiple of hk, %" PRId64, p->hq, p->hk);
  if (p->n_nonpad && p->n_nonpad != p->b)
    return st_fail(error, "problem: nonpad has %" PRId64 " lengths, must have b, %" PRId64, p->n_nonpad, p->b);
  if (p->n_nonpad && p->past) return st_fail(error, "problem: nonpad and past are there, only one may be");
  if (p->n_nonpad && p->offset != PROBLEM_NO_OFFSET)
    return st_fail(error, "problem: nonpad and offset are there, only one may be");
  if (p->mask_short > p->past + p->sk)
    return st_fail(error, "problem: mask_short is %" PRId64 ", the limit is past + sk, %" PRId64, p->mask_short,
                   p->past + p->sk);
  if (p->precision != 0 && p->precision != 1 && p->precision != 10 && p->precision != 11 && p->precision != 16)
    return st_fail(error, "problem: precision is %" PRId64 ", must be 0, 1, 10, 11 or 16", p->precision);
  return check_layouts(p, error);
}

bool problem_parse(const char *text, problem_text *p, st_error *error)
{
  *p = (problem_text){.scale = (double)NAN};
  for (size_t row = 0; row < COUNT(fields); row++)
    if (is_whole(&fields[row])) set(p, &fields[row], fields[row].unsaid);
  char *copy = strdup(text);
  if (!copy) return st_fail(error, "problem: out of memory");
  const bool good = take_pairs(p, copy, error);
  free(copy);
  if (!good) return false;
  for (size_t row = 0; row < COUNT(fields); row++)
    if (is_whole(&fields[row]) && get(p, &fields[row]) == UNSET) problem_reset(p, row);
  return check(p, error);
}

/* ---- to text ---- */

typedef struct line {
  char *text;
  size_t used;
} line;

static void say(line *l, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  const int n = vsnprintf(l->text + l->used, PROBLEM_TEXT_BYTES - l->used, format, args);
  va_end(args);
  l->used += (size_t)n;
}

static void say_subset(line *l, const field *f, int64_t bits)
{
  if (!bits) say(l, "none");
  for (int i = 0; f->letters[i]; i++)
    if (bits & INT64_C(1) << i) say(l, "%c", f->letters[i]);
}

static void say_value(line *l, const problem_text *p, const field *f)
{
  switch (f->kind) {
  case A_COUNT:
    say(l, "%" PRId64, get(p, f));
    break;
  case A_WORD:
    say(l, "%s", f->words[get(p, f)]);
    break;
  case A_SUBSET:
    say_subset(l, f, get(p, f));
    break;
  case A_REAL:
    say(l, "%.17g", f->at == AT(scale) ? p->scale : p->softcap);
    break;
  case A_LIST:
    for (int64_t i = 0; i < p->n_nonpad; i++) say(l, "%s%" PRId64, i ? ":" : "", p->nonpad[i]);
    break;
  case A_NAME:
    say(l, "%s", p->variant);
    break;
  default:
    say(l, "%" PRIu64, p->seed);
  }
}

void problem_print(const problem_text *p, char text[PROBLEM_TEXT_BYTES])
{
  line l = {text, 0};
  text[0] = '\0';
  for (size_t row = 0; row < COUNT(fields); row++) {
    if (is_unsaid(p, &fields[row])) continue;
    say(&l, "%s%s=", l.used ? "," : "", fields[row].key);
    say_value(&l, p, &fields[row]);
  }
  if (!l.used) say(&l, "seed=%" PRIu64, p->seed); /* a text has one pair at least */
}

const char *problem_key(size_t row) { return row < COUNT(fields) ? fields[row].key : NULL; }

bool problem_reset(problem_text *p, size_t row)
{
  const field *f = &fields[row];
  if (is_unsaid(p, f)) return false;
  switch (f->kind) {
  case A_REAL:
    if (f->at == AT(scale))
      p->scale = (double)NAN;
    else
      p->softcap = 0.0;
    break;
  case A_LIST:
    p->n_nonpad = 0;
    break;
  case A_NAME:
    p->variant[0] = '\0';
    break;
  case A_SEED:
    p->seed = 0;
    break;
  default:
    set(p, f, unsaid_of(p, f));
  }
  return true;
}

void problem_drop(problem_text *p, const char *const *keys, char dropped[PROBLEM_TEXT_BYTES])
{
  line l = {dropped, 0};
  dropped[0] = '\0';
  for (; *keys; keys++)
    if (problem_reset(p, (size_t)(find(*keys) - fields))) say(&l, "%s%s", l.used ? "," : "", *keys);
}

const char *problem_variant(const problem_text *p, char id[PROBLEM_VARIANT_BYTES])
{
  const char *tile = strchr(p->variant, '/');
  if (!p->variant[0]) return NULL;
  if (!tile) return p->variant;
  const bool staged = p->path == CLATTN_PATH_STAGED || (p->path == CLATTN_PATH_AUTO && p->qk >= 0);
  const int64_t types[4] = {p->dtype, p->k_type, p->v_type, p->y_type};
  const bool same = p->k_type == p->dtype && p->v_type == p->dtype && p->y_type == p->dtype;
  int n = snprintf(id, PROBLEM_VARIANT_BYTES, "%.*s_%s_", (int)(tile - p->variant), p->variant,
                   staged ? "staged" : "attention");
  for (int i = 0; i < (same ? 1 : 4) && n < PROBLEM_VARIANT_BYTES; i++)
    n += snprintf(id + n, PROBLEM_VARIANT_BYTES - (size_t)n, "%s", problem_dtype_words[types[i]]);
  if (n < PROBLEM_VARIANT_BYTES) n += snprintf(id + n, PROBLEM_VARIANT_BYTES - (size_t)n, "_d%" PRId64, p->dk);
  if (n < PROBLEM_VARIANT_BYTES && p->dv != p->dk)
    n += snprintf(id + n, PROBLEM_VARIANT_BYTES - (size_t)n, "v%" PRId64, p->dv);
  if (n < PROBLEM_VARIANT_BYTES) snprintf(id + n, PROBLEM_VARIANT_BYTES - (size_t)n, "_%s", tile + 1);
  return id;
}
