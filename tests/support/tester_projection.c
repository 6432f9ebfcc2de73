#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "asserts.h"
#include "oracle.h"
#include "tester.h"

enum { CACHE_SPARE_ROWS = 3 };

typedef struct bench {
  projection_case c;
  box box[CLATTN_SLOT_COUNT];
  bool present[CLATTN_SLOT_COUNT];
  int64_t *ids;
  double *y_bhsd, *xw_abs; /* [B,H,S,D] */
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
  return c;
}

static void describe(const projection_case *c, const char *variant, char *text, size_t capacity)
{
  static const char *const rotary[] = {"none", "offset", "ids", "dense"};
  snprintf(text, capacity,
           "projection b=%" PRId64 " s=%" PRId64 " e=%" PRId64 " h=%" PRId64 " d=%" PRId64
           " x=%s w=%s bias=%s y=%s cache=%s seed=%" PRIu64
           " has_bias=%d packed=%d flat=%d rotary=%s interleaved=%d rotary_dim=%" PRId64 " position_offset=%" PRId64
           " layouts x%d w%d bias%d y%d cache%d equal=%d (variant %s)",
           c->b, c->s, c->e, c->h, c->d, clattn_dtype_text((clattn_dtype)c->x_type),
           clattn_dtype_text((clattn_dtype)c->w_type), clattn_dtype_text((clattn_dtype)c->bias_type),
           clattn_dtype_text((clattn_dtype)c->y_type), clattn_dtype_text((clattn_dtype)c->cache_type), c->seed, c->bias,
           c->packed, c->y_is_flat, rotary[c->rotary], c->interleaved, c->rotary_dim, c->position_offset, c->x_layout,
           c->w_layout, c->bias_layout, c->y_layout, c->cache_layout, c->equal, variant ? variant : "any");
}

static box *add_input(bench *t, int32_t slot, int32_t dtype, int rank, const int64_t *dim, box_layout layout,
                      random_state *r)
{
  box *b = &t->box[slot];
  box_make(b, slot, dtype, rank, dim, layout, false);
  t->present[slot] = true;
  const bool equal = t->c.equal && (slot == CLATTN_X || slot == CLATTN_W);
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

static void expect(bench *t)
{
  const projection_case *c = &t->c;
  const size_t n = (size_t)(c->b * c->h * c->s * c->d);
  const box *cosine = &t->box[CLATTN_COS_CACHE];
  t->y_bhsd = test_alloc(sizeof(double) * n);
  t->xw_abs = test_alloc(sizeof(double) * n);
  oracle_projection_run(&(oracle_projection){.b = c->b,
                                             .s = c->s,
                                             .e = c->e,
                                             .h = c->h,
                                             .d = c->d,
                                             .x = t->box[CLATTN_X].dense,
                                             .w = t->box[CLATTN_W].dense,
                                             .bias = t->box[CLATTN_BIAS].dense,
                                             .cosine = cosine->dense,
                                             .sine = t->box[CLATTN_SIN_CACHE].dense,
                                             .cache_rank = c->rotary == ROTARY_DENSE ? 3 : 2,
                                             .cache_rows = cosine->view.dim[0],
                                             .rotary_dim = c->rotary_dim,
                                             .position_ids = t->ids,
                                             .position_offset = c->position_offset,
                                             .interleaved = c->interleaved,
                                             .y = t->y_bhsd,
                                             .xw_abs = t->xw_abs});
  box *y = &t->box[CLATTN_Y];
  for (int64_t b = 0; b < c->b; b++)
    for (int64_t h = 0; h < c->h; h++)
      for (int64_t s = 0; s < c->s; s++)
        for (int64_t d = 0; d < c->d; d++) {
          const int64_t from = ((b * c->h + h) * c->s + s) * c->d + d;
          const int64_t to = c->y_is_flat ? ((b * c->s + s) * c->h + h) * c->d + d : from;
          y->dense[to] = t->y_bhsd[from];
          /* A dot product's rounding grows with its terms. */
          y->allowed[to] =
              (uses_f64(c) ? accuracy_allowed_f64 : accuracy_allowed)(c->y_type, y->dense[to], 1.0, t->xw_abs[from]);
        }
}

static void bench_make(bench *t, const projection_case *given)
{
  *t = (bench){.c = with_defaults(given)};
  const projection_case *c = &t->c;
  const int64_t n = c->h * c->d;
  random_state r = {c->seed + 3};
  add_input(t, CLATTN_X, c->x_type, 3, (const int64_t[]){c->b, c->s, c->e}, c->x_layout, &r);
  add_input(t, CLATTN_W, c->w_type, 2, (const int64_t[]){n, c->e}, c->w_layout, &r);
  if (c->bias) add_input(t, CLATTN_BIAS, c->bias_type, 1, &n, c->bias_layout, &r);
  if (c->rotary != ROTARY_NONE) add_rotary(t, &r);
  const int64_t split[4] = {c->b, c->h, c->s, c->d}, flat[3] = {c->b, c->s, n};
  box_make(&t->box[CLATTN_Y], CLATTN_Y, c->y_type, c->y_is_flat ? 3 : 4, c->y_is_flat ? flat : split, c->y_layout,
           true);
  t->present[CLATTN_Y] = true;
  expect(t);
}

static clattn_weights *pack_weights(const device_under_test *d, bench *t, const char *variant)
{
  const box *w = &t->box[CLATTN_W];
  clattn_report report;
  clattn_weights *weights = NULL;
  clattn_weights_desc desc = CLATTN_WEIGHTS_DESC_INIT;
  desc.w = w->view;
  desc.variant = variant;
  const clattn_status status =
      clattn_weights_create(d->context, &desc, (const char *)w->storage + box_offset_bytes(w), &weights, &report);
  assert_status(CLATTN_OK, status, &report);
  t->present[CLATTN_W] = false;
  return weights;
}

static clattn_status make_plan(const device_under_test *d, const bench *t, clattn_weights *weights, const char *variant,
                               clattn_plan **plan, clattn_report *report)
{
  clattn_projection_desc desc = CLATTN_PROJECTION_DESC_INIT;
  desc.flags = t->c.interleaved ? CLATTN_ROTARY_INTERLEAVED : 0;
  desc.x = t->box[CLATTN_X].view;
  if (!weights) desc.w = t->box[CLATTN_W].view;
  desc.bias = t->box[CLATTN_BIAS].view;
  desc.y = t->box[CLATTN_Y].view;
  desc.cos_cache = t->box[CLATTN_COS_CACHE].view;
  desc.sin_cache = t->box[CLATTN_SIN_CACHE].view;
  desc.position_ids = t->box[CLATTN_POSITION_IDS].view;
  desc.rotary_dim = t->c.rotary_dim;
  desc.position_offset = t->c.position_offset;
  desc.weights = weights;
  desc.variant = variant;
  return clattn_plan_projection(d->context, &desc, plan, report);
}

static void bench_free(bench *t)
{
  for (int32_t slot = 0; slot < CLATTN_SLOT_COUNT; slot++) box_free(&t->box[slot]);
  free(t->ids);
  free(t->y_bhsd);
  free(t->xw_abs);
}

/* The variant as an id of the case's types. */
static const char *name_variant(const bench *t, const char *variant, variant_id *id)
{
  char types[32];
  snprintf(types, sizeof types, "%s%s", clattn_dtype_text((clattn_dtype)t->c.x_type),
           t->c.w_type == t->c.x_type ? "" : clattn_dtype_text((clattn_dtype)t->c.w_type));
  return variant_named(variant, "projection", types, id);
}

static clattn_plan *plan_projection(const device_under_test *d, bench *t, const char *variant, clattn_report *report)
{
  clattn_plan *plan = NULL;
  clattn_weights *weights = t->c.packed ? pack_weights(d, t, variant) : NULL;
  const clattn_status status = make_plan(d, t, weights, variant, &plan, report);
  assert_int_equal(status, report->status);
  clattn_weights_destroy(weights); /* the plan keeps what it needs */
  return plan;
}

static void run_plan(const device_under_test *d, const bench *t, clattn_plan *plan, const char *variant)
{
  char problem[512];
  box packed[CLATTN_SLOT_COUNT];
  uint32_t n = 0;
  describe(&t->c, variant, problem, sizeof problem);
  if (variant && box_count(&t->box[CLATTN_Y])) assert_holds(clattn_plan_variant(plan), variant);
  for (int32_t slot = 0; slot < CLATTN_SLOT_COUNT; slot++)
    if (t->present[slot]) packed[n++] = t->box[slot];
  boxes_run(d, plan, packed, n, problem);
  clattn_plan_destroy(plan);
}

bool test_projection_unless_refused(const device_under_test *d, const projection_case *given, const char *variant,
                                    clattn_report *report)
{
  bench t;
  variant_id id;
  bench_make(&t, given);
  variant = name_variant(&t, variant, &id);
  clattn_plan *plan = plan_projection(d, &t, variant, report);
  if (plan) run_plan(d, &t, plan, variant);
  bench_free(&t);
  return plan != NULL;
}

void test_projection(const device_under_test *d, const projection_case *given, const char *variant)
{
  char problem[512];
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
  clattn_weights *weights = t.c.packed ? pack_weights(d, &t, variant) : NULL;
  assert_status(CLATTN_UNSUPPORTED, make_plan(d, &t, weights, variant, &plan, &report), &report);
  assert_says(&report, text);
  clattn_weights_destroy(weights);
  bench_free(&t);
}
