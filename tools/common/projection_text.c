#include "projection_text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clattn/clattn.h"

static const char prefix[] = "op=projection";

static const char *const projection_rotary_words[] = {
#define WORD(name) #name,
    PROJECTION_ROTARY_LIST(WORD) NULL
#undef WORD
};

static const struct {
  const char *name;
  int64_t unsaid, least, most;
  const char *const *words;
} keys[PROJECTION_KEYS] = {
#define PROJECTION_ROW(name, unsaid, least, most, words) {#name, unsaid, least, most, words},
    PROJECTION_LIST(PROJECTION_ROW)
#undef PROJECTION_ROW
};

bool projection_is(const char *text)
{
  const size_t bytes = sizeof prefix - 1;
  return strncmp(text, prefix, bytes) == 0 && (text[bytes] == ',' || text[bytes] == '\0');
}

projection_text projection_defaults(void)
{
  projection_text p = {.variant = ""};
  for (int i = 0; i < PROJECTION_KEYS; i++) p.value[i] = keys[i].unsaid;
  return p;
}

int64_t projection_unsaid(projection_key key) { return keys[key].unsaid; }
int64_t projection_least(projection_key key) { return keys[key].least; }

int64_t projection_dv(const projection_text *p)
{
  return p->value[PROJECTION_dv] ? p->value[PROJECTION_dv] : p->value[PROJECTION_d];
}

/* What the library would refuse, or what makes two outputs of one element. */
bool projection_check(const projection_text *p, st_error *error)
{
  const int64_t *v = p->value, dim = v[PROJECTION_rotary_dim];
  const bool rotates = v[PROJECTION_rotary] != PROJECTION_ROTARY_none;
  if (rotates && (v[PROJECTION_flat] || (dim ? dim % 2 || dim > v[PROJECTION_d] : v[PROJECTION_d] % 2)))
    return st_fail(error, "projection: what rotates is not flat, and of an even number of channels up to d");
  if (!rotates && (dim || v[PROJECTION_interleaved] || v[PROJECTION_position_offset]))
    return st_fail(error, "projection: rotary_dim, interleaved and position_offset go with rotary");
  if (v[PROJECTION_position_offset] && v[PROJECTION_rotary] != PROJECTION_ROTARY_offset)
    return st_fail(error, "projection: position_offset goes with rotary=%s",
                   projection_rotary_words[PROJECTION_ROTARY_offset]);
  if (!v[PROJECTION_hk] && (v[PROJECTION_dv] || v[PROJECTION_absent] || v[PROJECTION_mixed] || v[PROJECTION_sliced]))
    return st_fail(error, "projection: dv, absent, mixed and sliced go with hk");
  if (rotates && (v[PROJECTION_absent] & 3) == 3)
    return st_fail(error, "projection: rotary goes with one of q and k, which absent=3 leaves out");
  if (v[PROJECTION_sliced] && v[PROJECTION_y_layout]) return st_fail(error, "projection: y_layout goes without sliced");
  return true;
}

/* ---- from text ---- */

/* The list is printed when there is no such word. */
static bool take_word(int key, const char *value, int64_t *out, st_error *error)
{
  char list[96] = "";
  for (int64_t i = keys[key].least; i <= keys[key].most; i++) {
    if (strcmp(keys[key].words[i], value) == 0) {
      *out = i;
      return true;
    }
    snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", i > keys[key].least ? ", " : "",
             keys[key].words[i]);
  }
  return st_fail(error, "projection: %s is '%s', must be one of %s", keys[key].name, st_show(value).text, list);
}

static bool take_number(int key, const char *value, int64_t *out, st_error *error)
{
  char *end;
  errno = 0;
  *out = strtoll(value, &end, 10);
  const bool whole = !errno && end != value && !*end && strspn(value, "0123456789") == strlen(value);
  if (whole && *out >= keys[key].least && *out <= keys[key].most) return true;
  return st_fail(error, "projection: %s is '%s', must be %" PRId64 " to %" PRId64, keys[key].name, st_show(value).text,
                 keys[key].least, keys[key].most);
}

static bool take_pair(projection_text *p, bool seen[PROJECTION_KEYS], const char *name, const char *value,
                      st_error *error)
{
  if (strcmp(name, "variant") == 0) {
    if (!*value || strlen(value) >= sizeof p->variant)
      return st_fail(error, "projection: variant is '%s', must have 1 to %zu letters", st_show(value).text,
                     sizeof p->variant - 1);
    if (p->variant[0]) return st_fail(error, "projection: key '%s' is there twice", name);
    strcpy(p->variant, value);
    return true;
  }
  for (int i = 0; i < PROJECTION_KEYS; i++) {
    if (strcmp(name, keys[i].name) != 0) continue;
    if (seen[i]) return st_fail(error, "projection: key '%s' is there twice", name);
    seen[i] = true;
    return (keys[i].words ? take_word : take_number)(i, value, &p->value[i], error);
  }
  return st_fail(error, "projection: unknown key '%s'", st_show(name).text);
}

bool projection_parse(const char *text, projection_text *p, st_error *error)
{
  char copy[PROBLEM_TEXT_BYTES];
  bool seen[PROJECTION_KEYS] = {false};
  *p = projection_defaults();
  if (!projection_is(text)) return st_fail(error, "projection: the text does not begin with %s", prefix);
  if (snprintf(copy, sizeof copy, "%s", text) >= (int)sizeof copy)
    return st_fail(error, "projection: the text has %zu letters, the limit is %zu", strlen(text), sizeof copy - 1);
  for (char *pair = strchr(copy, ','), *next; pair; pair = next) {
    next = strchr(++pair, ',');
    if (next) *next = '\0';
    char *value = strchr(pair, '=');
    if (!value) return st_fail(error, "projection: '%s' is not key=value", st_show(pair).text);
    *value++ = '\0';
    if (!take_pair(p, seen, pair, value, error)) return false;
  }
  return projection_check(p, error);
}

/* ---- to text ---- */

void projection_print(const projection_text *p, char text[PROBLEM_TEXT_BYTES])
{
  size_t used = (size_t)snprintf(text, PROBLEM_TEXT_BYTES, "%s", prefix);
  for (int i = 0; i < PROJECTION_KEYS; i++) {
    if (p->value[i] == keys[i].unsaid) continue;
    char *at = text + used;
    const size_t room = PROBLEM_TEXT_BYTES - used;
    used += (size_t)(keys[i].words ? snprintf(at, room, ",%s=%s", keys[i].name, keys[i].words[p->value[i]])
                                   : snprintf(at, room, ",%s=%" PRId64, keys[i].name, p->value[i]));
  }
  if (p->variant[0]) snprintf(text + used, PROBLEM_TEXT_BYTES - used, ",variant=%s", p->variant);
}

void projection_drop(projection_text *p, const projection_key *wanted, size_t n, char dropped[PROBLEM_TEXT_BYTES])
{
  size_t used = 0;
  dropped[0] = '\0';
  for (size_t i = 0; i < n; i++) {
    const projection_key key = wanted[i];
    if (p->value[key] == keys[key].unsaid) continue;
    p->value[key] = keys[key].unsaid;
    used += (size_t)snprintf(dropped + used, PROBLEM_TEXT_BYTES - used, "%s%s", used ? "," : "", keys[key].name);
  }
}

const char *projection_variant(const projection_text *p, char id[PROBLEM_VARIANT_BYTES])
{
  const char *tile = strchr(p->variant, '/');
  if (!p->variant[0]) return NULL;
  if (!tile) return p->variant;
  const int64_t x = p->value[PROJECTION_x_type], w = p->value[PROJECTION_w_type];
  snprintf(id, PROBLEM_VARIANT_BYTES, "%.*s_projection_%s%s_%s", (int)(tile - p->variant), p->variant,
           problem_dtype_words[x], w == x ? "" : problem_dtype_words[w], tile + 1);
  return id;
}
