#include "problem_draw.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "clattn/clattn.h"

#define COUNT(list) (sizeof list / sizeof list[0])
#define PICK(r, list) list[random_between(r, 0, (int64_t)COUNT(list) - 1)]

/* Products of one problem: a hundredth of a second for the oracle. */
#define MOST_PRODUCTS 1.2e7

static const drawn_way all_ways[] = {
    {"reference", CLATTN_PATH_STAGED, 16, 16},
    {"reference", CLATTN_PATH_FUSED, 16, 16},
    {"tiled/q64k64", CLATTN_PATH_FUSED, 64, 64},
    {"tiled/q32k64", CLATTN_PATH_FUSED, 32, 64},
    {"tiled/q32k32", CLATTN_PATH_FUSED, 32, 32},
    {"tiled/q16k64", CLATTN_PATH_FUSED, 16, 64},
    {"tiled/q16k32", CLATTN_PATH_FUSED, 16, 32},
    {"tiled/m64n64k16", CLATTN_PATH_STAGED, 64, 64},
    {"tiled/m32n32k16", CLATTN_PATH_STAGED, 32, 32},
    {"tiled/m16n32k16", CLATTN_PATH_STAGED, 16, 32},
    {"vector/l16t6x4", CLATTN_PATH_FUSED, 64, 144},
    {"vector/l16t5x5", CLATTN_PATH_FUSED, 80, 140},
    {"vector/l16t8x3", CLATTN_PATH_FUSED, 48, 144},
    {"vector/l16t12x2", CLATTN_PATH_FUSED, 32, 144},
    {"vector/l8t4x3", CLATTN_PATH_FUSED, 24, 144},
    {"vector/l8t6x2", CLATTN_PATH_FUSED, 16, 144},
    {"vector/l4t4x3", CLATTN_PATH_FUSED, 12, 144},
    {"vector/l4t6x2", CLATTN_PATH_FUSED, 8, 144},
    {"vector/decode_l16r1", CLATTN_PATH_FUSED, 1, 256},
    {"vector/decode_l16r2", CLATTN_PATH_FUSED, 2, 256},
    {"vector/decode_l16r4", CLATTN_PATH_FUSED, 4, 256},
    {"vector/decode_l8r4", CLATTN_PATH_FUSED, 4, 256},
    {"vector/decode_l4r2", CLATTN_PATH_FUSED, 2, 256},
    {"", CLATTN_PATH_AUTO, 2, 256},
    {"vector/l16t6x4", CLATTN_PATH_STAGED, 12, 64},
    {"vector/l8t6x2", CLATTN_PATH_STAGED, 12, 64},
    {"vector/l4t6x2", CLATTN_PATH_STAGED, 12, 64},
    {"", CLATTN_PATH_AUTO, 32, 64},
    {"", CLATTN_PATH_STAGED, 32, 32},
    {"", CLATTN_PATH_FUSED, 64, 72},
};

size_t draw_ways(const char *variant, int32_t path, drawn_way *ways, size_t room)
{
  size_t n = 0;
  for (size_t i = 0; i < COUNT(all_ways) && n < room; i++) {
    const drawn_way *way = &all_ways[i];
    const bool named = !variant                      ? true
                       : strcmp(variant, "any") == 0 ? !way->variant[0]
                                                     : strncmp(way->variant, variant, strlen(variant)) == 0;
    if (named && (path < 0 || way->path == path)) ways[n++] = *way;
  }
  return n;
}

static bool one_in(random_state *r, int64_t n) { return random_between(r, 1, n) == 1; }

static bool computes_in_float(const drawn_way *way)
{
  return way->variant[0] && strcmp(way->variant, "reference") != 0;
}

/* float64 where it can be; where it is refused, now and then, so that the refusal is seen. */
static int64_t draw_type(random_state *r, const drawn_way *way)
{
  static const int64_t common[] = {CLATTN_F32, CLATTN_F32, CLATTN_F32, CLATTN_F16, CLATTN_F16, CLATTN_BF16};
  return one_in(r, computes_in_float(way) ? 200 : 12) ? CLATTN_F64 : PICK(r, common);
}

drawn_group draw_group(random_state *r, const drawn_way *way)
{
  static const struct {
    int64_t least, most;
  } heads[] = {{1, 32}, {1, 32}, {33, 64}, {33, 64}, {65, 128}, {129, 256}, {257, 512}};
  const size_t i = (size_t)random_between(r, 0, (int64_t)COUNT(heads) - 1);
  drawn_group g = {.way = way, .least_dv = heads[i].least, .most_dv = heads[i].most};
  g.dtype = g.k_type = g.v_type = g.y_type = draw_type(r, way);
  if (one_in(r, 2)) return g;
  g.k_type = draw_type(r, way);
  g.v_type = one_in(r, 2) ? g.k_type : draw_type(r, way);
  g.y_type = draw_type(r, way);
  return g;
}

static int64_t draw_head(random_state *r, int64_t least, int64_t most)
{
  static const int64_t ladder[] = {1,  2,  3,  5,  8,  13,  16,  17,  31,  32,  33,  40,  48,  63,
                                   64, 65, 80, 96, 97, 127, 128, 129, 160, 192, 256, 257, 300, 512};
  for (int tries = 0; tries < 64; tries++) {
    const int64_t head = PICK(r, ladder);
    if (head >= least && head <= most) return head;
  }
  return most;
}

/* 1, T-1, T, T+1, 2T, a prime; now and then nothing at all, or much. */
static int64_t draw_tokens(random_state *r, int64_t tile)
{
  static const int64_t primes[] = {2, 3, 5, 7, 11, 13, 17, 23, 31, 37, 53, 67, 97, 131, 197};
  if (one_in(r, 40)) return 0;
  const int64_t rungs[] = {1, tile - 1, tile, tile + 1, 2 * tile, PICK(r, primes), PICK(r, primes)};
  return PICK(r, rungs);
}

static void draw_sizes(random_state *r, const drawn_group *g, problem_text *p)
{
  static const int64_t groups[][2] = {{1, 1}, {1, 1}, {2, 2}, {2, 1}, {4, 2}, {3, 1}, {6, 2}, {8, 1}, {5, 5}, {12, 4}};
  const size_t i = (size_t)random_between(r, 0, (int64_t)COUNT(groups) - 1);
  p->b = random_between(r, 1, 3);
  p->hq = groups[i][0];
  p->hk = groups[i][1];
  p->sq = draw_tokens(r, g->way->queries);
  p->sk = one_in(r, 4) ? p->sq : draw_tokens(r, g->way->keys);
  p->past = one_in(r, 4) ? draw_tokens(r, g->way->keys) : 0;
  p->dv = draw_head(r, g->least_dv, g->most_dv);
  p->dk = one_in(r, 3) ? p->dv : draw_head(r, 1, one_in(r, 8) ? 512 : g->most_dv < 64 ? 64 : g->most_dv);
  while ((double)(p->b * p->hq * p->sq) * (double)(p->past + p->sk) * (double)(p->dk + p->dv) > MOST_PRODUCTS) {
    if (p->b > 1) {
      p->b--;
    } else if (p->hq > p->hk) {
      p->hq = p->hk;
    } else if (p->hq > 1) {
      p->hq = p->hk = p->hq - 1;
    } else {
      p->past = 0;
      p->sq = (p->sq + 1) / 2;
    }
  }
}

static int64_t draw_window(random_state *r, int64_t tile)
{
  const int64_t rungs[] = {0, 1, tile - 1, tile, tile + 1, 2 * tile, 5, INT64_C(1) << 40};
  return one_in(r, 3) ? -1 : PICK(r, rungs);
}

static void draw_order(random_state *r, const drawn_group *g, problem_text *p)
{
  const int64_t keys = p->past + p->sk;
  p->causal = one_in(r, 2);
  if (one_in(r, 4)) {
    p->left = draw_window(r, g->way->keys);
    p->right = draw_window(r, g->way->keys);
  }
  if (p->past == 0 && one_in(r, 5)) {
    p->n_nonpad = p->b;
    for (int64_t i = 0; i < p->b; i++)
      p->nonpad[i] = one_in(r, 4) ? random_between(r, -2, p->sk + 2) : random_between(r, 0, p->sk);
  } else if (one_in(r, 6)) {
    p->offset = random_between(r, -keys - 2, keys + 2);
  }
}

static void draw_mask(random_state *r, problem_text *p)
{
  if (one_in(r, 2)) return;
  p->mask = random_between(r, 1, PROBLEM_MASK_COUNT - 1);
  p->mask_rank = one_in(r, 2) ? 4 : random_between(r, 1, 4);
  p->mask_shared = random_between(r, 0, 7);
  if (one_in(r, 4)) p->mask_short = random_between(r, 0, p->past + p->sk);
  p->mask_closed = one_in(r, 4);
  static const int64_t types[] = {CLATTN_F32, CLATTN_F16, CLATTN_BF16};
  p->mask_type = one_in(r, 2) && p->dtype != CLATTN_F64 ? p->dtype : PICK(r, types);
}

static void draw_attributes(random_state *r, problem_text *p)
{
  static const double scales[] = {0.0, -0.37, 1.0, 0.05, -2.0}, softcaps[] = {0.5, 5.0, 30.0, 1000.0};
  static const int64_t precisions[] = {1, 10, 16, 11};
  if (one_in(r, 4)) p->scale = PICK(r, scales);
  if (one_in(r, 4)) p->softcap = PICK(r, softcaps);
  if (one_in(r, 8)) p->precision = PICK(r, precisions);
  if (one_in(r, 6)) p->fill = one_in(r, 2) ? PROBLEM_FILL_equal : PROBLEM_FILL_large;
  /* Hundreds of equal products: their roundings go one way, further than the formula allows any sum. */
  const int64_t few = 32;
  if (p->fill == PROBLEM_FILL_equal && p->dk > few) p->dk = few;
}

static void draw_outputs(random_state *r, const drawn_group *g, problem_text *p)
{
  static const int64_t types[] = {CLATTN_F32, CLATTN_F32, CLATTN_F16, CLATTN_BF16};
  p->lse = one_in(r, 2);
  if (p->lse && one_in(r, computes_in_float(g->way) ? 200 : 12)) p->lse_type = CLATTN_F64;
  if (one_in(r, 4)) p->present = random_between(r, 1, 3);
  if (!one_in(r, g->way->path == CLATTN_PATH_FUSED ? 200 : 3)) return;
  p->qk = random_between(r, 0, 3);
  /* Numbers that the type cannot hold are for tests of their own. */
  const bool wide = p->fill == PROBLEM_FILL_large || p->mask == PROBLEM_MASK_lowest;
  p->qk_type = wide ? CLATTN_F32 : PICK(r, types);
}

static int64_t draw_layout(random_state *r, bool output)
{
  return one_in(r, 2) ? PROBLEM_LAYOUT_dense
                      : random_between(r, 0, output ? PROBLEM_LAYOUT_reversed : PROBLEM_LAYOUT_constant);
}

static void draw_layouts(random_state *r, problem_text *p)
{
  if (one_in(r, 2)) return;
  p->q_layout = draw_layout(r, false);
  p->k_layout = draw_layout(r, false);
  /* Equal products again. */
  if (p->q_layout == PROBLEM_LAYOUT_constant && p->k_layout == p->q_layout) p->k_layout = PROBLEM_LAYOUT_gaps;
  p->v_layout = draw_layout(r, false);
  p->mask_layout = draw_layout(r, false);
  p->y_layout = draw_layout(r, true);
  p->lse_layout = draw_layout(r, true);
  p->qk_layout = draw_layout(r, true);
}

static bool repeats(int64_t layout) { return layout == PROBLEM_LAYOUT_shared || layout == PROBLEM_LAYOUT_constant; }

problem_text draw_problem(random_state *r, const drawn_group *g)
{
  problem_text p;
  st_error error;
  problem_parse("seed=0", &p, &error);
  draw_sizes(r, g, &p);
  p.dtype = p.mask_type = p.qk_type = g->dtype;
  p.k_type = g->k_type;
  p.v_type = g->v_type;
  p.y_type = g->y_type;
  p.lse_type = g->dtype == CLATTN_F64 ? CLATTN_F64 : CLATTN_F32;
  draw_order(r, g, &p);
  draw_mask(r, &p);
  draw_attributes(r, &p);
  draw_outputs(r, g, &p);
  draw_layouts(r, &p);
  /* A bad element that others share would be seen everywhere. */
  if (one_in(r, 4) && !repeats(p.q_layout) && !repeats(p.k_layout) && !repeats(p.v_layout))
    p.poison = p.sk ? random_between(r, 1, PROBLEM_POISON_COUNT - 1) : PROBLEM_POISON_unseen;
  p.path = g->way->path;
  snprintf(p.variant, sizeof p.variant, "%s", g->way->variant);
  p.seed = random_bits(r) % 100000;
  return p;
}
