#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "asserts.h"
#include "oracle.h"
#include "tester.h"

enum { CACHE_SPARE_ROWS = 3 };

/* One of the operators. */
typedef struct part {
  int32_t w, bias, y; /* slots */
  int64_t h, d;
  int32_t w_type, bias_type, y_type;
  bool rotates;
  clattn_weights *weights;
} part;

typedef struct bench {
  projection_case c;
  int n_parts;
  part part[3];
  box box[CLATTN_SLOT_COUNT];
  bool present[CLATTN_SLOT_COUNT];
  int64_t *ids;
} bench;

static int64_t size_or(int64_t size, int64_t otherwise) { return size == TESTER_EMPTY ? 0 : size ? size : otherwise; }

static projection_case with_defaults(const projection_case *given)
{
  projection_case c = *given;
  c.b = size_or(c.b, 1);
  c.s = size_or(c.s, 5);
  c.e = size_or(c.e, 7);
  c.h = size_or(c.h, 1);
  c.d = size_or(c.d, 8);
  if (!c.x_type) c.x_type = CLATTN_F32;
  if (!c.w_type) c.w_type = c.x_type;
  if (!c.bias_type) c.bias_type = c.x_type;
  if (!c.y_type) c.y_type = c.x_type;
  if (!c.cache_type) c.cache_type = c.x_type;
  if (!c.dv) c.dv = c.d;
  return c;
}

/* Another type for each part, where they are mixed. */
static int32_t mixed_type(const projection_case *c, unsigned what, int32_t type, int index)
{
  return (c->mixed & what) && type != CLATTN_F64 ? CLATTN_F32 + (type - CLATTN_F32 + index) % 3 : type;
}

static void make_parts(bench *t)
{
  static const part of_qkv[3] = {{.w = CLATTN_W_Q, .bias = CLATTN_BIAS_Q, .y = CLATTN_Q},
                                 {.w = CLATTN_W_K, .bias = CLATTN_BIAS_K, .y = CLATTN_K},
                                 {.w = CLATTN_W_V, .bias = CLATTN_BIAS_V, .y = CLATTN_V}};
  const projection_case *c = &t->c;
  for (int i = 0; i < (c->hk ? 3 : 1); i++) {
    if (c->absent >> i & 1) continue;
    part *p = &t->part[t->n_parts++];
    *p = c->hk ? of_qkv[i] : (part){.w = CLATTN_W, .bias = CLATTN_BIAS, .y = CLATTN_Y};
    p->h = i ? c->hk : c->h;
    p->d = i == 2 ? c->dv : c->d;
    p->rotates = c->rotary != ROTARY_NONE && i < 2;
    p->w_type = mixed_type(c, 1, c->w_type, i);
    p->bias_type = mixed_type(c, 2, c->bias_type, i);
    p->y_type = c->sliced ? c->y_type : mixed_type(c, 2, c->y_type, i);
  }
}

static void describe(const projection_case *c, const char *variant, char *text, size_t capacity)
{
  static const char *const rotary[] = {"none", "offset", "ids", "dense"};
  snprintf(text, capacity,
           "projection b=%" PRId64 " s=%" PRId64 " e=%" PRId64 " h=%" PRId64 " d=%" PRId64
           " x=%s w=%s bias=%s y=%s cache=%s seed=%" PRIu64
           " has_bias=%d packed=%d flat=%d rotary=%s interleaved=%d rotary_dim=%" PRId64 " position_offset=%" PRId64
           " layouts x%d w%d bias%d y%d cache%d equal=%d hk=%" PRId64 " dv=%" PRId64
           " absent=%u mixed=%u sliced=%d (variant %s)",
           c->b, c->s, c->e, c->h, c->d, clattn_dtype_text((clattn_dtype)c->x_type),
           clattn_dtype_text((clattn_dtype)c->w_type), clattn_dtype_text((clattn_dtype)c->bias_type),
           clattn_dtype_text((clattn_dtype)c->y_type), clattn_dtype_text((clattn_dtype)c->cache_type), c->seed, c->bias,
           c->packed, c->y_is_flat, rotary[c->rotary], c->interleaved, c->rotary_dim, c->position_offset, c->x_layout,
           c->w_layout, c->bias_layout, c->y_layout, c->cache_layout, c->equal, c->hk, c->dv, c->absent, c->mixed,
           c->sliced, variant ? variant : "any");
}

static box *add_input(bench *t, int32_t slot, int32_t dtype, int rank, const int64_t *dim, box_layout layout,
                      random_state *r)
{
  box *b = &t->box[slot];
  box_make(b, slot, dtype, rank, dim, layout, false);
  t->present[slot] = true;
  const bool equal = t->c.equal && rank > 1 && slot != CLATTN_COS_CACHE && slot != CLATTN_SIN_CACHE;
  for (int64_t i = 0; i < box_count(b); i++) box_put(b, i, equal ? 0.7 / sqrt((double)t->c.e) : random_unit(r));
  box_gather(b);
  return b;
}

static void add_rotary(bench *t, random_state *r)
{
  const projection_case *c = &t->c;
  const int64_t half = (c->rotary_dim ? c->rotary_dim : c->d) / 2;
  const int64_t rows = c->position_offset + c->s + CACHE_SPARE_ROWS;
  const int64_t flat[2] = {rows, half}, dense[3] = {c->b, c->s, half};
  const bool is_dense = c->rotary == ROTARY_DENSE;
  for (int32_t slot = CLATTN_COS_CACHE; slot <= CLATTN_SIN_CACHE; slot++)
    add_input(t, slot, c->cache_type, is_dense ? 3 : 2, is_dense ? dense : flat,
              slot == CLATTN_COS_CACHE ? c->cache_layout : LAYOUT_REVERSED - c->cache_layout, r);
  if (c->rotary != ROTARY_IDS) return;
  const int64_t shape[2] = {c->b, c->s};
  box *ids = &t->box[CLATTN_POSITION_IDS];
  box_make(ids, CLATTN_POSITION_IDS, CLATTN_I64, 2, shape, c->cache_layout, false);
  t->present[CLATTN_POSITION_IDS] = true;
  t->ids = test_alloc(sizeof *t->ids * (size_t)(c->b * c->s));
  /* Some are other rows in 32 bits. */
  for (int64_t i = 0; i < c->b * c->s; i++)
    box_put(ids, i, (double)random_between(r, -2, rows + 1) + (i % 5 == 3 ? 0x1p32 : i % 5 == 4 ? -0x1p32 : 0.0));
  box_gather(ids);
  for (int64_t i = 0; i < c->b * c->s; i++) t->ids[i] = (int64_t)ids->dense[i];
}

static bool uses_f64(const projection_case *c)
{
  return c->x_type == CLATTN_F64 || c->w_type == CLATTN_F64 || c->bias_type == CLATTN_F64 || c->y_type == CLATTN_F64 ||
         c->cache_type == CLATTN_F64;
}

/* A part's result, in double. */
static void expect(bench *t, const part *p)
{
  const projection_case *c = &t->c;
  const size_t n = (size_t)(c->b * p->h * c->s * p->d);
  const box *cosine = &t->box[CLATTN_COS_CACHE];
  double *y_bhsd = test_alloc(sizeof(double) * n), *xw_abs = test_alloc(sizeof(double) * n);
  oracle_projection_run(&(oracle_projection){.b = c->b,
                                             .s = c->s,
                                             .e = c->e,
                                             .h = p->h,
                                             .d = p->d,
                                             .x = t->box[CLATTN_X].dense,
                                             .w = t->box[p->w].dense,
                                             .bias = t->box[p->bias].dense,
                                             .cosine = p->rotates ? cosine->dense : NULL,
                                             .sine = t->box[CLATTN_SIN_CACHE].dense,
                                             .cache_rank = c->rotary == ROTARY_DENSE ? 3 : 2,
                                             .cache_rows = cosine->view.dim[0],
                                             .rotary_dim = c->rotary_dim,
                                             .position_ids = t->ids,
                                             .position_offset = c->position_offset,
                                             .interleaved = c->interleaved,
                                             .y = y_bhsd,
                                             .xw_abs = xw_abs});
  box *y = &t->box[p->y];
  for (int64_t b = 0; b < c->b; b++)
    for (int64_t h = 0; h < p->h; h++)
      for (int64_t s = 0; s < c->s; s++)
        for (int64_t d = 0; d < p->d; d++) {
          const int64_t from = ((b * p->h + h) * c->s + s) * p->d + d;
          const int64_t to = c->y_is_flat ? ((b * c->s + s) * p->h + h) * p->d + d : from;
          y->dense[to] = y_bhsd[from];
          /* A dot product's rounding grows with its terms. */
          y->allowed[to] =
              (uses_f64(c) ? accuracy_allowed_f64 : accuracy_allowed)(p->y_type, y->dense[to], 1.0, xw_abs[from]);
        }
  free(y_bhsd);
  free(xw_abs);
}

/* Elements of a row of the one buffer, and those before a part's. */
static int64_t slice_pitch(const bench *t, const part *until)
{
  int64_t elems = 0;
  for (const part *p = t->part; p < (until ? until : t->part + t->n_parts); p++) elems += p->h * p->d;
  return elems;
}

static void add_output(bench *t, const part *p)
{
  const projection_case *c = &t->c;
  const int64_t split[4] = {c->b, p->h, c->s, p->d}, flat[3] = {c->b, c->s, p->h * p->d};
  t->present[p->y] = true;
  if (!c->sliced) {
    box_make(&t->box[p->y], p->y, p->y_type, c->y_is_flat ? 3 : 4, c->y_is_flat ? flat : split, c->y_layout, true);
    return;
  }
  clattn_tensor view = c->y_is_flat ? clattn_dense((clattn_dtype)p->y_type, 3, flat)
                                    : clattn_bshd((clattn_dtype)p->y_type, c->b, c->s, p->h, p->d);
  const int64_t pitch = slice_pitch(t, NULL);
  view.stride[0] = (c->s ? c->s : 1) * pitch;
  view.stride[c->y_is_flat ? 1 : 2] = pitch;
  box_make_view(&t->box[p->y], p->y, &view, slice_pitch(t, p), true);
}

static void bench_make(bench *t, const projection_case *given)
{
  *t = (bench){.c = with_defaults(given)};
  make_parts(t);
  const projection_case *c = &t->c;
  random_state r = {c->seed + 3};
  add_input(t, CLATTN_X, c->x_type, 3, (const int64_t[]){c->b, c->s, c->e}, c->x_layout, &r);
  for (int i = 0; i < t->n_parts; i++) {
    const part *p = &t->part[i];
    const int64_t n = p->h * p->d;
    add_input(t, p->w, p->w_type, 2, (const int64_t[]){n, c->e}, c->w_layout, &r);
    if (c->bias && !(i == 1 && (c->mixed & 2))) add_input(t, p->bias, p->bias_type, 1, &n, c->bias_layout, &r);
  }
  if (c->rotary != ROTARY_NONE) add_rotary(t, &r);
  for (int i = 0; i < t->n_parts; i++) {
    add_output(t, &t->part[i]);
    expect(t, &t->part[i]);
  }
}

static void pack_weights(const device_under_test *d, bench *t, part *p, const char *variant)
{
  const box *w = &t->box[p->w];
  clattn_report report;
  clattn_weights_desc desc = CLATTN_WEIGHTS_DESC_INIT;
  desc.w = w->view;
  desc.variant = variant;
  const clattn_status status =
      clattn_weights_create(d->context, &desc, (const char *)w->storage + box_offset_bytes(w), &p->weights, &report);
  assert_status(CLATTN_OK, status, &report);
  t->present[p->w] = false;
}

static clattn_status plan_part(const device_under_test *d, const bench *t, const part *p, const char *variant,
                               clattn_plan **plan, clattn_report *report)
{
  clattn_projection_desc desc = CLATTN_PROJECTION_DESC_INIT;
  desc.x = t->box[CLATTN_X].view;
  if (!p->weights) desc.w = t->box[p->w].view;
  desc.bias = t->box[p->bias].view;
  desc.y = t->box[p->y].view;
  if (p->rotates) {
    desc.flags = t->c.interleaved ? CLATTN_ROTARY_INTERLEAVED : 0;
    desc.cos_cache = t->box[CLATTN_COS_CACHE].view;
    desc.sin_cache = t->box[CLATTN_SIN_CACHE].view;
    desc.position_ids = t->box[CLATTN_POSITION_IDS].view;
    desc.rotary_dim = t->c.rotary_dim;
    desc.position_offset = t->c.position_offset;
  }
  desc.weights = p->weights;
  desc.variant = variant;
  return clattn_plan_projection(d->context, &desc, plan, report);
}

static clattn_status plan_qkv(const device_under_test *d, const bench *t, const char *variant, clattn_plan **plan,
                              clattn_report *report)
{
  clattn_qkv_desc desc = CLATTN_QKV_DESC_INIT;
  clattn_tensor *const w[3] = {&desc.w_q, &desc.w_k, &desc.w_v}, *const y[3] = {&desc.q, &desc.k, &desc.v},
                       *const bias[3] = {&desc.bias_q, &desc.bias_k, &desc.bias_v};
  const clattn_weights **const weights[3] = {&desc.weights_q, &desc.weights_k, &desc.weights_v};
  desc.flags = t->c.interleaved ? CLATTN_ROTARY_INTERLEAVED : 0;
  desc.x = t->box[CLATTN_X].view;
  for (int i = 0; i < t->n_parts; i++) {
    const part *p = &t->part[i];
    const int at = p->y - CLATTN_Q;
    if (!p->weights) *w[at] = t->box[p->w].view;
    *weights[at] = p->weights;
    *bias[at] = t->box[p->bias].view;
    *y[at] = t->box[p->y].view;
  }
  desc.cos_cache = t->box[CLATTN_COS_CACHE].view;
  desc.sin_cache = t->box[CLATTN_SIN_CACHE].view;
  desc.position_ids = t->box[CLATTN_POSITION_IDS].view;
  desc.rotary_dim = t->c.rotary_dim;
  desc.position_offset = t->c.position_offset;
  desc.variant = variant;
  return clattn_plan_qkv(d->context, &desc, plan, report);
}

static clattn_status make_plan(const device_under_test *d, bench *t, const char *variant, clattn_plan **plan,
                               clattn_report *report)
{
  for (int i = 0; i < t->n_parts && t->c.packed; i++) pack_weights(d, t, &t->part[i], variant);
  return t->c.hk ? plan_qkv(d, t, variant, plan, report) : plan_part(d, t, &t->part[0], variant, plan, report);
}

static void bench_free(bench *t)
{
  for (int32_t slot = 0; slot < CLATTN_SLOT_COUNT; slot++) box_free(&t->box[slot]);
  for (int i = 0; i < t->n_parts; i++) clattn_weights_destroy(t->part[i].weights);
  free(t->ids);
}

/* The variant as an id of the types of x and of some operators, which are said once where they agree. */
static const char *name_variant(const bench *t, const part *parts, int n, const char *variant, variant_id *id)
{
  const char *x = clattn_dtype_text((clattn_dtype)t->c.x_type);
  char types[32];
  bool same = true, as_x = true;
  for (int i = 0; i < n; i++) {
    same = same && parts[i].w_type == parts[0].w_type;
    as_x = as_x && parts[i].w_type == t->c.x_type;
  }
  snprintf(types, sizeof types, "%s", x);
  for (int i = 0; i < (as_x ? 0 : same ? 1 : n); i++) {
    const size_t used = strlen(types);
    snprintf(types + used, sizeof types - used, "%s", clattn_dtype_text((clattn_dtype)parts[i].w_type));
  }
  return variant_named(variant, "projection", types, id);
}

/* ---- Q, K and V as three projections ---- */

/* Where the outputs of a run lie: a buffer each, or one for all. */
typedef struct outputs {
  cl_mem mem[3];
  size_t bytes[3];
  int n;
} outputs;

static outputs make_outputs(const device_under_test *d, const bench *t)
{
  outputs o = {.n = t->c.sliced ? 1 : t->n_parts};
  for (int i = 0; i < t->n_parts; i++) {
    const size_t bytes = box_bytes(&t->box[t->part[i].y]);
    size_t *const all = &o.bytes[t->c.sliced ? 0 : i];
    if (bytes > *all) *all = bytes;
  }
  for (int i = 0; i < o.n; i++) {
    void *blank = test_alloc(o.bytes[i]);
    o.mem[i] = device_buffer(d, o.bytes[i], blank);
    free(blank);
  }
  return o;
}

static void bind_input(const device_under_test *d, const bench *t, int32_t from, int32_t slot, clattn_binding *list,
                       uint32_t *n)
{
  const box *b = &t->box[from];
  if (!t->present[from]) return;
  list[(*n)++] = (clattn_binding){
      .slot = slot, .mem = device_buffer(d, box_bytes(b), b->storage), .offset_bytes = box_offset_bytes(b)};
}

/* Runs a plan of some parts; `alone`: the part is a projection with slots of its own names. */
static void run_parts(const device_under_test *d, const bench *t, const clattn_plan *plan, int first, int count,
                      bool alone, const outputs *o)
{
  clattn_binding list[CLATTN_SLOT_COUNT];
  clattn_report report;
  uint32_t n = 0;
  bind_input(d, t, CLATTN_X, CLATTN_X, list, &n);
  for (int i = first; i < first + count; i++) {
    bind_input(d, t, t->part[i].w, alone ? CLATTN_W : t->part[i].w, list, &n);
    bind_input(d, t, t->part[i].bias, alone ? CLATTN_BIAS : t->part[i].bias, list, &n);
  }
  for (int32_t slot = CLATTN_COS_CACHE; slot <= CLATTN_POSITION_IDS; slot++)
    if (!alone || t->part[first].rotates) bind_input(d, t, slot, slot, list, &n);
  const uint32_t inputs = n;
  for (int i = first; i < first + count; i++)
    list[n++] = (clattn_binding){.slot = alone ? CLATTN_Y : t->part[i].y,
                                 .mem = o->mem[t->c.sliced ? 0 : i],
                                 .offset_bytes = box_offset_bytes(&t->box[t->part[i].y])};
  assert_status(CLATTN_OK, clattn_enqueue(plan, d->queue, list, n, 0, NULL, NULL, &report), &report);
  assert_cl(clFinish(d->queue));
  for (uint32_t i = 0; i < inputs; i++) assert_cl(clReleaseMemObject(list[i].mem));
}

static void compare_outputs(const device_under_test *d, const outputs *fused, const outputs *apart, const char *problem)
{
  for (int i = 0; i < fused->n; i++) {
    unsigned char *a = test_alloc(fused->bytes[i]), *b = test_alloc(fused->bytes[i]);
    device_read(d, fused->mem[i], fused->bytes[i], a);
    device_read(d, apart->mem[i], apart->bytes[i], b);
    if (memcmp(a, b, fused->bytes[i]) != 0) {
      print_error("output %d is not what a projection alone gives, bit by bit\n  problem: %s\n", i, problem);
      fail();
    }
    free(a);
    free(b);
    assert_cl(clReleaseMemObject(fused->mem[i]));
    assert_cl(clReleaseMemObject(apart->mem[i]));
  }
}

/* wish: as the test names a variant; without one the projections are of the family that was chosen. */
static void compare_with_projections(const device_under_test *d, const bench *t, const clattn_plan *plan,
                                     const char *wish, const char *problem)
{
  const outputs fused = make_outputs(d, t), apart = make_outputs(d, t);
  char family[32];
  snprintf(family, sizeof family, "%.*s", (int)strcspn(clattn_plan_variant(plan), "_"), clattn_plan_variant(plan));
  run_parts(d, t, plan, 0, t->n_parts, false, &fused);
  for (int i = 0; i < t->n_parts; i++) {
    clattn_plan *alone = NULL;
    clattn_report report;
    variant_id id;
    const char *variant = name_variant(t, &t->part[i], 1, wish ? wish : family, &id);
    assert_status(CLATTN_OK, plan_part(d, t, &t->part[i], variant, &alone, &report), &report);
    run_parts(d, t, alone, i, 1, true, &apart);
    clattn_plan_destroy(alone);
  }
  compare_outputs(d, &fused, &apart, problem);
}

static bool has_outputs(const bench *t)
{
  for (int i = 0; i < t->n_parts; i++)
    if (box_count(&t->box[t->part[i].y])) return true;
  return false;
}

static void run_plan(const device_under_test *d, const bench *t, clattn_plan *plan, const char *variant,
                     const char *wish)
{
  char problem[640];
  box packed[CLATTN_SLOT_COUNT];
  uint32_t n = 0;
  describe(&t->c, variant, problem, sizeof problem);
  if (variant && has_outputs(t)) assert_holds(clattn_plan_variant(plan), variant);
  for (int32_t slot = 0; slot < CLATTN_SLOT_COUNT; slot++)
    if (t->present[slot]) packed[n++] = t->box[slot];
  boxes_run(d, plan, packed, n, problem);
  /* One float64 tensor makes all three be computed in double, but only those of three projections that have it. */
  if (t->c.hk && has_outputs(t) && (!uses_f64(&t->c) || t->c.x_type == CLATTN_F64))
    compare_with_projections(d, t, plan, wish, problem);
  clattn_plan_destroy(plan);
}

bool test_projection_unless_refused(const device_under_test *d, const projection_case *given, const char *variant,
                                    clattn_report *report)
{
  bench t;
  variant_id id;
  clattn_plan *plan = NULL;
  bench_make(&t, given);
  const char *named = name_variant(&t, t.part, t.n_parts, variant, &id);
  const clattn_status status = make_plan(d, &t, named, &plan, report);
  assert_int_equal(status, report->status);
  if (plan) run_plan(d, &t, plan, named, variant);
  bench_free(&t);
  return plan != NULL;
}

void test_projection(const device_under_test *d, const projection_case *given, const char *variant)
{
  char problem[640];
  clattn_report report;
  if (test_projection_unless_refused(d, given, variant, &report)) return;
  const projection_case c = with_defaults(given);
  if (uses_f64(&c) && !device_has_f64(d)) {
    test_no_f64(report.status, NULL, &report);
    return;
  }
  describe(&c, variant, problem, sizeof problem);
  print_error("problem: %s\n", problem);
  assert_status(CLATTN_OK, report.status, &report);
}

void test_projection_refused(const device_under_test *d, const projection_case *given, const char *variant,
                             const char *text)
{
  bench t;
  clattn_report report;
  clattn_plan *plan = NULL;
  bench_make(&t, given);
  assert_status(CLATTN_UNSUPPORTED, make_plan(d, &t, variant, &plan, &report), &report);
  assert_says(&report, text);
  bench_free(&t);
}
