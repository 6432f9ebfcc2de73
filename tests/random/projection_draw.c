#include "projection_draw.h"

#include <stdio.h>
#include <string.h>

#define COUNT(list) (sizeof list / sizeof list[0])
#define PICK(r, list) list[random_between(r, 0, (int64_t)COUNT(list) - 1)]

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
      "vector/l4t4x3",  "vector/l4t6x2",   "skinny/l16t6x4",  "skinny/l8t4x3",   "skinny/l4t4x3",
      "packed/l16t6x4", "packed/l8t6x2",   "packed/l4t6x2"};
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
  static const int64_t tokens[] = {1, 2, 3, 5, 15, 16, 17, 31, 32, 33, 63, 64, 65, 97, 128, 131, 255, 256, 257};
  static const int64_t widths[] = {1, 2, 7, 15, 16, 17, 31, 32, 33, 64, 100, 127, 128, 129, 255, 256, 257, 300};
  static const int64_t heads[] = {1, 3, 8, 15, 16, 17, 32, 33, 63, 64, 65, 96, 127, 128, 129, 256, 300, 512};
  projection_text p = projection_defaults();
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
  v[PROJECTION_packed] = strncmp(variant, "packed", 6) == 0 || (v[PROJECTION_w_type] != CLATTN_F64 && one_in(r, 2));
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

static bool take(projection_text *best, projection_key key, int64_t value, int *tries, projection_fails *fails,
                 void *user)
{
  projection_text candidate = *best;
  st_error error;
  candidate.value[key] = value;
  if (*tries <= 0 || value == best->value[key] || value < projection_least(key) ||
      !projection_check(&candidate, &error))
    return false;
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
      const int64_t now = p->value[key], unsaid = projection_unsaid((projection_key)key);
      const bool size = key <= PROJECTION_d || key == PROJECTION_rotary_dim || key == PROJECTION_position_offset ||
                        key == PROJECTION_hk || key == PROJECTION_dv;
      smaller = ((!size || unsaid < now) && take(p, (projection_key)key, unsaid, &tries, fails, user)) ||
                (size && (take(p, (projection_key)key, now / 2, &tries, fails, user) ||
                          take(p, (projection_key)key, now - 1, &tries, fails, user))) ||
                smaller;
    }
  }
}
