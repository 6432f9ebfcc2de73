#include "projection_text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(list) (sizeof list / sizeof list[0])
#define PICK(r, list) list[random_between(r, 0, (int64_t)COUNT(list) - 1)]

static const char prefix[] = "op=projection";

static const struct {
  const char *key;
  int64_t unsaid, least, most;
} keys[PROJECTION_KEYS] = {
#define PROJECTION_ROW(name, unsaid, least, most) {#name, unsaid, least, most},
    PROJECTION_LIST(PROJECTION_ROW)
#undef PROJECTION_ROW
};

bool projection_is(const char *text) { return strncmp(text, prefix, sizeof prefix - 1) == 0; }

static projection_text defaults(void)
{
  projection_text p = {.variant = ""};
  for (int i = 0; i < PROJECTION_KEYS; i++) p.value[i] = keys[i].unsaid;
  return p;
}

/* What the library would refuse, or what makes two outputs of one element. */
static bool check(const projection_text *p, st_error *error)
{
  const int64_t *v = p->value, dim = v[PROJECTION_rotary_dim];
  const bool rotates = v[PROJECTION_rotary] != ROTARY_NONE;
  if (rotates && (v[PROJECTION_flat] || (dim ? dim % 2 || dim > v[PROJECTION_d] : v[PROJECTION_d] % 2)))
    return st_fail(error, "projection: what rotates is not flat, and of an even number of channels up to d");
  if (!rotates && (dim || v[PROJECTION_interleaved] || v[PROJECTION_position_offset]))
    return st_fail(error, "projection: rotary_dim, interleaved and position_offset go with rotary");
  if (v[PROJECTION_position_offset] && v[PROJECTION_rotary] != ROTARY_OFFSET)
    return st_fail(error, "projection: position_offset goes with rotary=%d", ROTARY_OFFSET);
  if (!v[PROJECTION_hk] && (v[PROJECTION_dv] || v[PROJECTION_absent] || v[PROJECTION_mixed] || v[PROJECTION_sliced]))
    return st_fail(error, "projection: dv, absent, mixed and sliced go with hk");
  if (rotates && (v[PROJECTION_absent] & 3) == 3)
    return st_fail(error, "projection: rotary goes with one of q and k, which absent=3 leaves out");
  if (v[PROJECTION_sliced] && v[PROJECTION_y_layout]) return st_fail(error, "projection: y_layout goes without sliced");
  return true;
}

static bool take_pair(projection_text *p, const char *key, const char *value, st_error *error)
{
  char *end;
  if (strcmp(key, "variant") == 0 && strlen(value) < sizeof p->variant) {
    strcpy(p->variant, value);
    return true;
  }
  for (int i = 0; i < PROJECTION_KEYS; i++) {
    if (strcmp(key, keys[i].key) != 0) continue;
    errno = 0;
    p->value[i] = strtoll(value, &end, 10);
    if (!errno && end != value && !*end && p->value[i] >= keys[i].least && p->value[i] <= keys[i].most) return true;
    return st_fail(error, "projection: %s is '%s', must be %" PRId64 " to %" PRId64, key, st_show(value).text,
                   keys[i].least, keys[i].most);
  }
  return st_fail(error, "projection: unknown key '%s'", st_show(key).text);
}

bool projection_parse(const char *text, projection_text *p, st_error *error)
{
  char copy[PROBLEM_TEXT_BYTES];
  *p = defaults();
  snprintf(copy, sizeof copy, "%s", text);
  for (char *pair = strchr(copy, ','), *next; pair; pair = next) {
    next = strchr(++pair, ',');
    if (next) *next = '\0';
    char *value = strchr(pair, '=');
    if (!value) return st_fail(error, "projection: '%s' is not key=value", st_show(pair).text);
    *value++ = '\0';
    if (!take_pair(p, pair, value, error)) return false;
  }
  return check(p, error);
}

void projection_print(const projection_text *p, char text[PROBLEM_TEXT_BYTES])
{
  size_t used = (size_t)snprintf(text, PROBLEM_TEXT_BYTES, "%s", prefix);
  for (int i = 0; i < PROJECTION_KEYS; i++)
    if (p->value[i] != keys[i].unsaid)
      used += (size_t)snprintf(text + used, PROBLEM_TEXT_BYTES - used, ",%s=%" PRId64, keys[i].key, p->value[i]);
  if (p->variant[0]) snprintf(text + used, PROBLEM_TEXT_BYTES - used, ",variant=%s", p->variant);
}

projection_case projection_case_of(const projection_text *p)
{
  const int64_t *v = p->value;
  return (projection_case){.b = v[PROJECTION_b],
                           .s = v[PROJECTION_s] ? v[PROJECTION_s] : TESTER_EMPTY,
                           .e = v[PROJECTION_e],
                           .h = v[PROJECTION_h],
                           .d = v[PROJECTION_d],
                           .x_type = (int32_t)v[PROJECTION_x_type],
                           .w_type = (int32_t)v[PROJECTION_w_type],
                           .y_type = (int32_t)v[PROJECTION_y_type],
                           .cache_type = (int32_t)v[PROJECTION_cache_type],
                           .x_layout = (box_layout)v[PROJECTION_x_layout],
                           .w_layout = (box_layout)v[PROJECTION_w_layout],
                           .y_layout = (box_layout)v[PROJECTION_y_layout],
                           .cache_layout = (box_layout)v[PROJECTION_cache_layout],
                           .y_is_flat = v[PROJECTION_flat],
                           .bias = v[PROJECTION_bias],
                           .packed = v[PROJECTION_packed],
                           .rotary = (rotary_case)v[PROJECTION_rotary],
                           .interleaved = v[PROJECTION_interleaved],
                           .rotary_dim = v[PROJECTION_rotary_dim],
                           .position_offset = v[PROJECTION_position_offset],
                           .hk = v[PROJECTION_hk],
                           .dv = v[PROJECTION_dv],
                           .absent = (unsigned)v[PROJECTION_absent],
                           .mixed = (unsigned)v[PROJECTION_mixed],
                           .sliced = v[PROJECTION_sliced],
                           .seed = (uint64_t)v[PROJECTION_seed]};
}

/* ---- drawing ---- */

size_t projection_variants(const char *variant, const char **variants, size_t room)
{
  static const char *const all[] = {
      "reference",      "tiled/m64n64k16", "tiled/m32n32k16", "tiled/m16n32k16", "",
      "vector/l16t6x4", "vector/l16t12x2", "vector/l16t24x1", "vector/l8t4x3",   "vector/l8t6x2",
      "vector/l4t4x3",  "vector/l4t6x2",   "skinny/l16t6x4",  "skinny/l8t4x3",   "skinny/l4t4x3"};
  size_t n = 0;
  for (size_t i = 0; i < COUNT(all) && n < room; i++) {
    const bool any = variant && strcmp(variant, "any") == 0;
    if (!variant || (any ? !all[i][0] : strncmp(all[i], variant, strlen(variant)) == 0)) variants[n++] = all[i];
  }
  return n;
}

static bool one_in(random_state *r, int64_t n) { return random_between(r, 1, n) == 1; }

static int64_t draw_layout(random_state *r, int64_t most)
{
  return one_in(r, 2) ? LAYOUT_DENSE : random_between(r, 0, most);
}

static void draw_types(random_state *r, projection_text *p)
{
  static const int64_t types[] = {CLATTN_F32, CLATTN_F32, CLATTN_F16, CLATTN_BF16};
  const bool wide = !strchr(p->variant, '/') && one_in(r, 12);
  p->value[PROJECTION_x_type] = wide ? CLATTN_F64 : PICK(r, types);
  p->value[PROJECTION_w_type] = wide && one_in(r, 2) ? CLATTN_F64 : PICK(r, types);
  p->value[PROJECTION_y_type] = wide && one_in(r, 2) ? CLATTN_F64 : PICK(r, types);
  p->value[PROJECTION_cache_type] = PICK(r, types);
}

static void draw_rotary(random_state *r, projection_text *p)
{
  static const int64_t heads[] = {2, 4, 6, 16, 18, 32, 62, 64, 66, 80, 128, 130, 256};
  int64_t *v = p->value;
  v[PROJECTION_rotary] = random_between(r, ROTARY_OFFSET, ROTARY_DENSE);
  v[PROJECTION_d] = PICK(r, heads);
  v[PROJECTION_interleaved] = one_in(r, 2);
  if (one_in(r, 2)) v[PROJECTION_rotary_dim] = 2 * random_between(r, 1, v[PROJECTION_d] / 2);
  if (v[PROJECTION_rotary] == ROTARY_OFFSET && one_in(r, 2)) v[PROJECTION_position_offset] = random_between(r, 1, 70);
}

/* Q, K and V: as many heads of k as divide those of q, or any. */
static void draw_parts(random_state *r, projection_text *p)
{
  static const int64_t heads[] = {1, 3, 16, 17, 64, 65, 128};
  int64_t *v = p->value;
  v[PROJECTION_hk] = random_between(r, 1, 4);
  if (one_in(r, 3)) v[PROJECTION_dv] = PICK(r, heads);
  if (one_in(r, 3)) v[PROJECTION_absent] = random_between(r, 1, v[PROJECTION_rotary] ? 2 : 6);
  if (one_in(r, 3)) v[PROJECTION_mixed] = random_between(r, 1, 3);
  v[PROJECTION_sliced] = !v[PROJECTION_y_layout] && one_in(r, 2);
}

projection_text projection_draw(random_state *r, const char *variant)
{
  static const int64_t tokens[] = {1, 2, 3, 5, 15, 16, 17, 31, 32, 33, 63, 64, 65, 97, 128, 131};
  static const int64_t widths[] = {1, 2, 7, 15, 16, 17, 31, 32, 33, 64, 100, 127, 128, 129, 255, 256, 257, 300};
  static const int64_t heads[] = {1, 3, 8, 15, 16, 17, 32, 33, 63, 64, 65, 96, 127, 128, 129, 256, 300, 512};
  projection_text p = defaults();
  int64_t *v = p.value;
  snprintf(p.variant, sizeof p.variant, "%s", variant);
  draw_types(r, &p);
  v[PROJECTION_b] = random_between(r, 1, 3);
  v[PROJECTION_s] = one_in(r, 30) ? 0 : PICK(r, tokens);
  v[PROJECTION_e] = PICK(r, widths);
  v[PROJECTION_h] = random_between(r, 1, 4);
  v[PROJECTION_d] = PICK(r, heads);
  v[PROJECTION_x_layout] = draw_layout(r, LAYOUT_CONSTANT);
  v[PROJECTION_w_layout] = draw_layout(r, LAYOUT_SHARED); /* and not both constant: as in draw.c */
  v[PROJECTION_y_layout] = draw_layout(r, LAYOUT_REVERSED);
  v[PROJECTION_bias] = one_in(r, 2);
  v[PROJECTION_packed] = v[PROJECTION_w_type] != CLATTN_F64 && one_in(r, 2);
  if (one_in(r, 2)) {
    draw_rotary(r, &p);
    v[PROJECTION_cache_layout] = draw_layout(r, LAYOUT_CONSTANT);
  } else {
    v[PROJECTION_flat] = one_in(r, 2);
  }
  if (one_in(r, 2)) draw_parts(r, &p);
  v[PROJECTION_seed] = random_between(r, 0, 99999);
  return p;
}

/* ---- shrinking ---- */

static bool take(projection_text *best, int key, int64_t value, int *tries, projection_fails *fails, void *user)
{
  projection_text candidate = *best;
  st_error error;
  candidate.value[key] = value;
  if (*tries <= 0 || value == best->value[key] || value < keys[key].least || !check(&candidate, &error)) return false;
  --*tries;
  if (!fails(&candidate, user)) return false;
  *best = candidate;
  return true;
}

void projection_shrink(projection_text *p, int tries, projection_fails *fails, void *user)
{
  bool smaller = true;
  while (smaller && tries > 0) {
    smaller = false;
    for (int key = PROJECTION_KEYS - 1; key >= 0; key--) {
      const int64_t now = p->value[key];
      const bool size = key <= PROJECTION_d || key == PROJECTION_rotary_dim || key == PROJECTION_position_offset ||
                        key == PROJECTION_hk || key == PROJECTION_dv;
      smaller = ((!size || keys[key].unsaid < now) && take(p, key, keys[key].unsaid, &tries, fails, user)) ||
                (size && (take(p, key, now / 2, &tries, fails, user) || take(p, key, now - 1, &tries, fails, user))) ||
                smaller;
    }
  }
}
