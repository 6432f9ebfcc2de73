#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "asserts.h"
#include "oracle.h"
#include "tester.h"

double accuracy_allowed(int32_t dtype, double want, double sum_abs, double s_abs)
{
  return 2e-6 * fmax(1.0, sum_abs) + ldexp(s_abs * sum_abs, -22) +
         (dtype == CLATTN_F32 ? 0.0 : number_half_ulp(dtype, want));
}

double accuracy_allowed_f64(int32_t dtype, double want, double sum_abs, double s_abs)
{
  return TESTER_F64_GAIN * accuracy_allowed(CLATTN_F32, want, sum_abs, s_abs) + number_half_ulp(dtype, want);
}

void test_no_f64(clattn_status status, clattn_plan *plan, const clattn_report *report)
{
  assert_status(CLATTN_UNSUPPORTED, status, report);
  assert_holds(report->detail, "the device has no float64");
  assert_null(plan);
}

static int64_t size_or(int64_t size, int64_t otherwise) { return size == TESTER_EMPTY ? 0 : size ? size : otherwise; }

static int32_t type_or(int32_t type, int32_t otherwise) { return type ? type : otherwise; }

static bool is_bool(mask_case mask) { return mask == MASK_BOOL || mask == MASK_EDGES; }

static attention_case with_defaults(const attention_case *given)
{
  attention_case c = *given;
  c.b = size_or(c.b, 1);
  c.hq = size_or(c.hq, 1);
  c.hk = size_or(c.hk, c.hq);
  c.sq = size_or(c.sq, 5);
  c.sk = size_or(c.sk, c.sq);
  c.dk = size_or(c.dk, 8);
  c.dv = size_or(c.dv, c.dk);
  c.q_type = type_or(c.q_type, CLATTN_F32);
  c.k_type = type_or(c.k_type, c.q_type);
  c.v_type = type_or(c.v_type, c.k_type);
  c.y_type = type_or(c.y_type, c.q_type);
  c.qk_type = type_or(c.qk_type, c.q_type);
  c.lse_type = type_or(c.lse_type, CLATTN_F32);
  c.mask_type = is_bool(c.mask) ? CLATTN_BOOL : type_or(c.mask_type, c.q_type);
  if (!c.mask_rank) c.mask_rank = 4;
  if (!c.has_scale) c.scale = (double)NAN;
  if (!c.has_window) c.window_left = c.window_right = -1;
  return c;
}

static void describe(const attention_case *c, const way *w, char *text, size_t capacity)
{
  static const char *const masks[] = {"none", "bool", "edges", "additive", "infinite", "lowest"};
  static const char *const paths[] = {"auto", "staged", "fused"};
  int n = snprintf(text, capacity,
                   "b=%" PRId64 ",hq=%" PRId64 ",hk=%" PRId64 ",sq=%" PRId64 ",sk=%" PRId64 ",dk=%" PRId64
                   ",dv=%" PRId64 ",past=%" PRId64 ",dtype=%s,causal=%d,left=%" PRId64 ",right=%" PRId64
                   ",scale=%g,softcap=%g,mask=%s,seed=%" PRIu64 ",path=%s",
                   c->b, c->hq, c->hk, c->sq, c->sk, c->dk, c->dv, c->past, clattn_dtype_text((clattn_dtype)c->q_type),
                   c->causal, c->window_left, c->window_right, c->scale, c->softcap, masks[c->mask], c->seed,
                   paths[w->path]);
  snprintf(text + n, capacity - (size_t)n,
           " (variant %s, offset %" PRId64
           ", layouts q%d k%d v%d y%d qk%d mask%d, mask rank %d shared %u short %" PRId64
           " closed rows %d, qk mode %d, fill %d, poison %d)",
           w->variant ? w->variant : "any", c->offset, c->q_layout, c->k_layout, c->v_layout, c->y_layout, c->qk_layout,
           c->mask_layout, c->mask_rank, c->mask_broadcast, c->mask_short, c->closed_rows, c->want_qk ? c->qk_mode : -1,
           (int)c->fill, (int)c->poison);
}

/* The boxes of one case by slot, and the oracle over them. */
typedef struct bench {
  attention_case c;
  box box[CLATTN_SLOT_COUNT];
  bool present[CLATTN_SLOT_COUNT];
  int64_t nonpad[16];
  oracle_attention oracle;
  double *s_abs, *pv_abs;
} bench;

static box *add_box(bench *t, int32_t slot, int32_t dtype, int rank, const int64_t *dim, box_layout layout, bool output)
{
  box_make(&t->box[slot], slot, dtype, rank, dim, layout, output);
  t->present[slot] = true;
  return &t->box[slot];
}

static double input_value(const attention_case *c, int32_t slot, random_state *r)
{
  const double u = random_unit(r);
  const bool is_value = slot == CLATTN_V || slot == CLATTN_PAST_VALUE;
  /* Equal values besides: the roundings of their sum then all go the same way. */
  if (c->fill == FILL_EQUAL) return is_value ? 0.7 : 0.25;
  if (is_value) return u;
  /* With the default scale a score of size u u sqrt(DK) / 3: grown to reach 1e4. */
  if (c->fill == FILL_LARGE) return u * sqrt(3e4 / sqrt((double)c->dk));
  return u;
}

static void add_input(bench *t, int32_t slot, int32_t dtype, const int64_t *dim, box_layout layout, random_state *r)
{
  box *b = add_box(t, slot, dtype, 4, dim, layout, false);
  for (int64_t i = 0; i < box_count(b); i++) box_put(b, i, input_value(&t->c, slot, r));
  box_gather(b);
}

static double lowest_of(int32_t dtype)
{
  return dtype == CLATTN_F16 ? -65504.0 : dtype == CLATTN_BF16 ? -0x1.fep127 : -0x1.fffffep127;
}

static double mask_value(const attention_case *c, int64_t row, int64_t key, random_state *r)
{
  enum { STEP = 13 }; /* no tile's divisor */
  const double u = random_unit(r);
  const bool closed = random_between(r, 0, 9) < 3;
  if (c->closed_rows && row % 3 == 2) return is_bool(c->mask) ? 0.0 : -(double)INFINITY;
  switch (c->mask) {
  case MASK_BOOL:
    return closed ? 0.0 : 1.0;
  case MASK_EDGES:
    return row % 2 ? key <= row * STEP % (c->past + c->sk) : key >= row * STEP % (c->past + c->sk);
  case MASK_INFINITE:
    return closed ? -(double)INFINITY : u;
  case MASK_LOWEST:
    return closed || row % 4 == 1 ? lowest_of(c->mask_type) : 0.0;
  default:
    return 2.0 * u;
  }
}

static void add_mask(bench *t, random_state *r)
{
  const attention_case *c = &t->c;
  const int64_t full[4] = {c->mask_broadcast & 1 ? 1 : c->b, c->mask_broadcast & 2 ? 1 : c->hq,
                           c->mask_broadcast & 4 ? 1 : c->sq, c->past + c->sk - c->mask_short};
  box *b = add_box(t, CLATTN_MASK, c->mask_type, c->mask_rank, full + 4 - c->mask_rank, c->mask_layout, false);
  for (int64_t i = 0; i < box_count(b); i++)
    box_put(b, i, mask_value(c, i / full[3], i % full[3], r)); /* no elements where full[3] is 0 */
  box_gather(b);
}

static void add_inputs(bench *t)
{
  const attention_case *c = &t->c;
  random_state r = {c->seed + 1};
  add_input(t, CLATTN_Q, c->q_type, (const int64_t[]){c->b, c->hq, c->sq, c->dk}, c->q_layout, &r);
  add_input(t, CLATTN_K, c->k_type, (const int64_t[]){c->b, c->hk, c->sk, c->dk}, c->k_layout, &r);
  add_input(t, CLATTN_V, c->v_type, (const int64_t[]){c->b, c->hk, c->sk, c->dv}, c->v_layout, &r);
  if (c->past) {
    add_input(t, CLATTN_PAST_KEY, c->k_type, (const int64_t[]){c->b, c->hk, c->past, c->dk}, c->k_layout, &r);
    add_input(t, CLATTN_PAST_VALUE, c->v_type, (const int64_t[]){c->b, c->hk, c->past, c->dv}, c->v_layout, &r);
  }
  if (c->mask != MASK_NONE) add_mask(t, &r);
  if (!c->nonpad) return;
  box *b = add_box(t, CLATTN_NONPAD_KV_SEQLEN, CLATTN_I64, 1, &c->b, LAYOUT_DENSE, false);
  for (int64_t i = 0; i < c->b; i++) {
    t->nonpad[i] = c->nonpad[i];
    box_put(b, i, (double)c->nonpad[i]);
  }
  box_gather(b);
}

static void add_outputs(bench *t, bool with_y)
{
  const attention_case *c = &t->c;
  const int64_t keys = c->past + c->sk;
  if (with_y) {
    add_box(t, CLATTN_Y, c->y_type, 4, (const int64_t[]){c->b, c->hq, c->sq, c->dv}, c->y_layout, true)
        ->exact_infinities = false;
  }
  if (c->want_lse) add_box(t, CLATTN_LSE, c->lse_type, 3, (const int64_t[]){c->b, c->hq, c->sq}, c->lse_layout, true);
  if (c->want_qk) {
    box *qk = add_box(t, CLATTN_QK, c->qk_type, 4, (const int64_t[]){c->b, c->hq, c->sq, keys}, c->qk_layout, true);
    qk->exact_infinities = c->qk_mode == 2;
  }
  if (!c->want_present) return;
  add_box(t, CLATTN_PRESENT_KEY, c->k_type, 4, (const int64_t[]){c->b, c->hk, keys, c->dk}, c->k_layout, true);
  add_box(t, CLATTN_PRESENT_VALUE, c->v_type, 4, (const int64_t[]){c->b, c->hk, keys, c->dv}, c->v_layout, true);
}

static void point_oracle(bench *t)
{
  const attention_case *c = &t->c;
  const box *mask = &t->box[CLATTN_MASK];
  const size_t rows = (size_t)(c->b * c->hq * c->sq);
  t->s_abs = test_alloc(sizeof(double) * rows);
  t->pv_abs = test_alloc(sizeof(double) * rows * (size_t)c->dv);
  t->oracle = (oracle_attention){.b = c->b,
                                 .hq = c->hq,
                                 .hk = c->hk,
                                 .sq = c->sq,
                                 .sk = c->sk,
                                 .dk = c->dk,
                                 .dv = c->dv,
                                 .past = c->past,
                                 .q = t->box[CLATTN_Q].dense,
                                 .k = t->box[CLATTN_K].dense,
                                 .v = t->box[CLATTN_V].dense,
                                 .past_k = t->box[CLATTN_PAST_KEY].dense,
                                 .past_v = t->box[CLATTN_PAST_VALUE].dense,
                                 .mask = mask->dense,
                                 .mask_rank = c->mask_rank,
                                 .mask_is_bool = is_bool(c->mask),
                                 .nonpad = c->nonpad ? t->nonpad : NULL,
                                 .scale = c->scale,
                                 .softcap = c->softcap,
                                 .causal = c->causal,
                                 .has_offset = c->has_offset,
                                 .offset = c->offset,
                                 .window_left = c->window_left,
                                 .window_right = c->window_right,
                                 .qk_mode = c->qk_mode,
                                 .y = t->box[CLATTN_Y].dense,
                                 .lse = t->box[CLATTN_LSE].dense,
                                 .qk = t->box[CLATTN_QK].dense,
                                 .present_k = t->box[CLATTN_PRESENT_KEY].dense,
                                 .present_v = t->box[CLATTN_PRESENT_VALUE].dense,
                                 .s_abs = t->s_abs,
                                 .pv_abs = t->pv_abs};
  memcpy(t->oracle.mask_dim, mask->view.dim, sizeof mask->view.dim);
}

static bool key_is_seen(const bench *t, int64_t b, int64_t g, int64_t j)
{
  const int64_t group = t->c.hq / t->c.hk;
  for (int64_t h = g * group; h < (g + 1) * group; h++)
    for (int64_t i = 0; i < t->c.sq; i++)
      if (oracle_allows(&t->oracle, b, h, i, j)) return true;
  return false;
}

static bool query_sees(const bench *t, int64_t b, int64_t h, int64_t i)
{
  for (int64_t j = 0; j < t->c.past + t->c.sk; j++)
    if (oracle_allows(&t->oracle, b, h, i, j)) return true;
  return false;
}

static void put_row(box *b, int64_t row, int64_t width, double value)
{
  for (int64_t d = 0; d < width; d++) box_put(b, row * width + d, value);
}

static void poison_unseen(bench *t)
{
  static const double bad[3] = {(double)NAN, (double)INFINITY, -(double)INFINITY};
  const attention_case *c = &t->c;
  for (int64_t b = 0; b < c->b; b++) {
    for (int64_t g = 0; g < c->hk; g++)
      for (int64_t j = 0; j < c->past + c->sk; j++) {
        if (key_is_seen(t, b, g, j)) continue;
        const bool old = j < c->past;
        const int64_t row = old ? (b * c->hk + g) * c->past + j : (b * c->hk + g) * c->sk + j - c->past;
        put_row(&t->box[old ? CLATTN_PAST_KEY : CLATTN_K], row, c->dk, bad[j % 3]);
        put_row(&t->box[old ? CLATTN_PAST_VALUE : CLATTN_V], row, c->dv, bad[(j + 1) % 3]);
      }
    for (int64_t h = 0; h < c->hq; h++)
      for (int64_t i = 0; i < c->sq; i++)
        if (!query_sees(t, b, h, i)) put_row(&t->box[CLATTN_Q], (b * c->hq + h) * c->sq + i, c->dk, bad[i % 3]);
  }
}

static void poison(bench *t)
{
  const attention_case *c = &t->c;
  const int64_t last = c->b * c->hk * c->sk - 1;
  if (c->poison == POISON_UNSEEN) poison_unseen(t);
  if (c->poison == POISON_SEEN_KEY) put_row(&t->box[CLATTN_K], last, c->dk, (double)NAN);
  if (c->poison == POISON_SEEN_VALUE) put_row(&t->box[CLATTN_V], last, c->dv, (double)INFINITY);
  for (int32_t slot = 0; slot < CLATTN_SLOT_COUNT; slot++)
    if (t->present[slot] && !t->box[slot].output) box_gather(&t->box[slot]);
}

static bool has_f64_tensor(const bench *t)
{
  for (int32_t slot = 0; slot < CLATTN_SLOT_COUNT; slot++)
    if (t->present[slot] && t->box[slot].view.dtype == CLATTN_F64) return true;
  return false;
}

/* What rounding may do to one element of an output. */
static double allow_element(const bench *t, int32_t slot, int64_t i)
{
  const attention_case *c = &t->c;
  const int64_t keys = c->past + c->sk;
  const int32_t dtype = t->box[slot].view.dtype;
  const double want = t->box[slot].dense[i];
  double sum = fmax(1.0, fabs(want)), s_abs = 0.0;
  switch (slot) {
  case CLATTN_Y:
    sum = t->pv_abs[i];
    s_abs = t->s_abs[i / c->dv];
    break;
  case CLATTN_QK:
    s_abs = t->s_abs[i / keys];
    if (c->qk_mode == 3) sum = want;
    break;
  case CLATTN_LSE:
    s_abs = t->s_abs[i];
    break;
  default:
    return 0.0; /* a copy */
  }
  /* Beside a softmax's sum of one, the score's own rounding counts once. */
  const bool plain = slot == CLATTN_LSE || (slot == CLATTN_QK && c->qk_mode != 3);
  if (plain) s_abs /= sum;
  return (has_f64_tensor(t) ? accuracy_allowed_f64 : accuracy_allowed)(dtype, want, sum, s_abs);
}

static void allow(bench *t)
{
  for (int32_t slot = 0; slot < CLATTN_SLOT_COUNT; slot++) {
    box *b = &t->box[slot];
    for (int64_t i = 0; t->present[slot] && b->output && i < box_count(b); i++)
      b->allowed[i] = allow_element(t, slot, i);
  }
}

static void bench_make(bench *t, const attention_case *given, bool with_y)
{
  *t = (bench){.c = with_defaults(given)};
  assert_true(t->c.b <= 16);
  add_inputs(t);
  add_outputs(t, with_y);
  point_oracle(t);
  poison(t);
  oracle_attention_run(&t->oracle);
  allow(t);
}

static uint32_t bench_pack(const bench *t, box *packed)
{
  uint32_t n = 0;
  for (int32_t slot = 0; slot < CLATTN_SLOT_COUNT; slot++)
    if (t->present[slot]) packed[n++] = t->box[slot];
  return n;
}

static void bench_free(bench *t)
{
  for (int32_t slot = 0; slot < CLATTN_SLOT_COUNT; slot++) box_free(&t->box[slot]);
  free(t->s_abs);
  free(t->pv_abs);
}

/* "f32_d64v32": what stands between operation and tile in an id. */
static void name_head(const attention_case *c, bool scores_only, char *text, size_t capacity)
{
  const int32_t types[4] = {c->q_type, c->k_type, c->v_type, c->y_type};
  const int count = scores_only ? 2 : 4;
  char type[32] = "";
  bool same = true;
  for (int i = 1; i < count; i++) same = same && types[i] == types[0];
  for (int i = 0; i < (same ? 1 : count); i++) strcat(type, clattn_dtype_text((clattn_dtype)types[i]));
  if (scores_only || c->dk == c->dv)
    snprintf(text, capacity, "%s_d%" PRId64, type, c->dk);
  else
    snprintf(text, capacity, "%s_d%" PRId64 "v%" PRId64, type, c->dk, c->dv);
}

static clattn_attention_desc make_desc(const bench *t, const way *w)
{
  const attention_case *c = &t->c;
  clattn_attention_desc desc = CLATTN_ATTENTION_DESC_INIT;
  desc.flags = (c->causal ? CLATTN_CAUSAL : 0) | (c->has_offset ? CLATTN_QUERY_OFFSET : 0);
  desc.q = t->box[CLATTN_Q].view;
  desc.k = t->box[CLATTN_K].view;
  desc.v = t->box[CLATTN_V].view;
  desc.y = t->box[CLATTN_Y].view;
  desc.mask = t->box[CLATTN_MASK].view;
  desc.past_key = t->box[CLATTN_PAST_KEY].view;
  desc.past_value = t->box[CLATTN_PAST_VALUE].view;
  desc.present_key = t->box[CLATTN_PRESENT_KEY].view;
  desc.present_value = t->box[CLATTN_PRESENT_VALUE].view;
  desc.nonpad_kv_seqlen = t->box[CLATTN_NONPAD_KV_SEQLEN].view;
  desc.lse = t->box[CLATTN_LSE].view;
  desc.qk = t->box[CLATTN_QK].view;
  desc.scale = c->scale;
  desc.softcap = c->softcap;
  desc.window_left = c->window_left;
  desc.window_right = c->window_right;
  desc.query_offset = c->has_offset ? c->offset : 0;
  desc.qk_mode = c->want_qk ? c->qk_mode : 0;
  desc.softmax_precision = c->softmax_precision;
  desc.path = w->path;
  desc.variant = w->variant;
  return desc;
}

static void run_bench(const device_under_test *d, bench *t, const way *w, bool scores_only)
{
  char problem[1024], head[64];
  variant_id id;
  box packed[CLATTN_SLOT_COUNT];
  clattn_report report;
  clattn_plan *plan = NULL;
  describe(&t->c, w, problem, sizeof problem);
  name_head(&t->c, scores_only, head, sizeof head);
  clattn_attention_desc desc = make_desc(t, w);
  desc.variant = variant_named(w->variant,
                               scores_only                     ? "scores"
                               : w->path == CLATTN_PATH_STAGED ? "staged"
                                                               : "attention",
                               head, &id);
  const uint32_t n = bench_pack(t, packed);
  if (scores_only) desc.v = desc.past_value = (clattn_tensor){0};
  const clattn_status status =
      (scores_only ? clattn_plan_scores : clattn_plan_attention)(d->context, &desc, &plan, &report);
  if (tile_may_refuse(w->variant, t->c.dv, &report)) return;
  if (has_f64_tensor(t) && !device_has_f64(d)) {
    test_no_f64(status, plan, &report);
    return;
  }
  if (status != CLATTN_OK) print_error("problem: %s\n", problem);
  assert_status(CLATTN_OK, status, &report);
  if (desc.variant && t->c.b * t->c.hq * t->c.sq > 0) assert_holds(clattn_plan_variant(plan), desc.variant);
  boxes_run(d, plan, packed, n, problem);
  clattn_plan_destroy(plan);
}

void test_attention(const device_under_test *d, const attention_case *c, const way *w)
{
  bench t;
  bench_make(&t, c, true);
  run_bench(d, &t, w, false);
  bench_free(&t);
}

void test_scores(const device_under_test *d, const attention_case *c, const char *variant)
{
  bench t;
  bench_make(&t, c, false);
  /* The score stage reads no values. */
  t.present[CLATTN_V] = t.present[CLATTN_PAST_VALUE] = false;
  run_bench(d, &t, &(way){variant, CLATTN_PATH_AUTO}, true);
  bench_free(&t);
}
