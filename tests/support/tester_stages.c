#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "asserts.h"
#include "oracle.h"
#include "tester.h"

/* A stage's sizes: defaults as for attention. */
typedef struct sizes {
  int64_t b, hq, hk, sq, sk, dv;
} sizes;

static int64_t size_or(int64_t size, int64_t otherwise) { return size == TESTER_EMPTY ? 0 : size ? size : otherwise; }

static int32_t type_or(int32_t type) { return type ? type : CLATTN_F32; }

static bool uses_f64(const box *boxes)
{
  for (int i = 0; i < 3; i++)
    if (boxes[i].view.dtype == CLATTN_F64) return true;
  return false;
}

static double allowed(const box *boxes, const box *b, double want, double sum_abs)
{
  return (uses_f64(boxes) ? accuracy_allowed_f64 : accuracy_allowed)(b->view.dtype, want, sum_abs, 0.0);
}

static sizes sizes_of(const attention_case *c)
{
  sizes s = {.b = size_or(c->b, 1), .hq = size_or(c->hq, 1), .sq = size_or(c->sq, 5), .dv = size_or(c->dv, 8)};
  s.hk = size_or(c->hk, s.hq);
  s.sk = size_or(c->sk, s.sq);
  return s;
}

static void describe(const sizes *s, uint64_t seed, const char *stage, const char *variant, char *text, size_t capacity)
{
  snprintf(text, capacity,
           "b=%" PRId64 ",hq=%" PRId64 ",hk=%" PRId64 ",sq=%" PRId64 ",sk=%" PRId64 ",dv=%" PRId64 ",seed=%" PRIu64
           " (stage %s, variant %s)",
           s->b, s->hq, s->hk, s->sq, s->sk, s->dv, seed, stage, variant ? variant : "any");
}

static void run(const device_under_test *d, clattn_plan *plan, clattn_status status, const clattn_report *report,
                box *boxes, uint32_t n, const char *problem)
{
  if (uses_f64(boxes) && !device_has_f64(d)) {
    test_no_f64(status, plan, report);
  } else {
    if (status != CLATTN_OK) print_error("problem: %s\n", problem);
    assert_status(CLATTN_OK, status, report);
    boxes_run(d, plan, boxes, n, problem);
    clattn_plan_destroy(plan);
  }
  for (uint32_t i = 0; i < n; i++) box_free(&boxes[i]);
}

/* Row 2 of 3 is -inf everywhere, and three scores of ten are in the others. */
static double score_value(int64_t row, random_state *r)
{
  const double u = 5.0 * random_unit(r);
  return random_between(r, 0, 9) < 3 || row % 3 == 2 ? -(double)INFINITY : u;
}

void test_softmax(const device_under_test *d, const attention_case *c, const char *variant)
{
  const sizes s = sizes_of(c);
  const int64_t dim[4] = {s.b, s.hq, s.sq, s.sk};
  char problem[512];
  box boxes[3];
  describe(&s, c->seed, "softmax", variant, problem, sizeof problem);
  box *a = &boxes[0], *p = &boxes[1], *lse = &boxes[2];
  box_make(a, CLATTN_A, type_or(c->q_type), 4, dim, c->q_layout, false);
  box_make(p, CLATTN_P, type_or(c->y_type), 4, dim, c->y_layout, true);
  box_make(lse, CLATTN_LSE, type_or(c->lse_type), 3, dim, c->lse_layout, true);
  random_state r = {c->seed + 7};
  for (int64_t i = 0; i < box_count(a); i++) box_put(a, i, score_value(i / s.sk, &r));
  box_gather(a);
  for (int64_t row = 0; row < s.b * s.hq * s.sq; row++)
    oracle_softmax_row(a->dense + row * s.sk, s.sk, p->dense + row * s.sk, lse->dense + row);
  for (int64_t i = 0; i < box_count(p); i++) p->allowed[i] = allowed(boxes, p, p->dense[i], p->dense[i]);
  for (int64_t i = 0; i < box_count(lse); i++)
    lse->allowed[i] = allowed(boxes, lse, lse->dense[i], fabs(lse->dense[i]));
  clattn_softmax_desc desc = CLATTN_SOFTMAX_DESC_INIT;
  desc.a = a->view;
  desc.p = p->view;
  desc.lse = lse->view;
  variant_id id;
  desc.variant = variant_named(variant, "softmax", "f32", &id);
  clattn_report report;
  clattn_plan *plan = NULL;
  const clattn_status status = clattn_plan_softmax(d->context, &desc, &plan, &report);
  run(d, plan, status, &report, boxes, 3, problem);
}

void test_values(const device_under_test *d, const attention_case *c, const char *variant)
{
  const sizes s = sizes_of(c);
  char problem[512];
  box boxes[3];
  describe(&s, c->seed, "values", variant, problem, sizeof problem);
  box *p = &boxes[0], *v = &boxes[1], *y = &boxes[2];
  box_make(p, CLATTN_P, type_or(c->q_type), 4, (const int64_t[]){s.b, s.hq, s.sq, s.sk}, c->q_layout, false);
  box_make(v, CLATTN_V, type_or(c->v_type), 4, (const int64_t[]){s.b, s.hk, s.sk, s.dv}, c->v_layout, false);
  box_make(y, CLATTN_Y, type_or(c->y_type), 4, (const int64_t[]){s.b, s.hq, s.sq, s.dv}, c->y_layout, true);
  random_state r = {c->seed + 9};
  for (int64_t i = 0; i < box_count(p); i++) {
    const double u = random_unit(&r);
    /* Nobody attends the last key, whose value is no number. */
    box_put(p, i, random_between(&r, 0, 9) < 3 || i % s.sk == s.sk - 1 ? -0.0 : (1.0 + u) / (double)s.sk);
  }
  for (int64_t i = 0; i < box_count(v); i++) {
    const double u = random_unit(&r);
    box_put(v, i, i / s.dv % s.sk == s.sk - 1 ? (double)NAN : u);
  }
  box_gather(p);
  box_gather(v);
  oracle_values_run(&(oracle_values){.b = s.b,
                                     .hq = s.hq,
                                     .hk = s.hk,
                                     .sq = s.sq,
                                     .sk = s.sk,
                                     .dv = s.dv,
                                     .p = p->dense,
                                     .v = v->dense,
                                     .y = y->dense,
                                     .pv_abs = y->allowed});
  for (int64_t i = 0; i < box_count(y); i++) y->allowed[i] = allowed(boxes, y, y->dense[i], y->allowed[i]);
  clattn_values_desc desc = CLATTN_VALUES_DESC_INIT;
  desc.p = p->view;
  desc.v = v->view;
  desc.y = y->view;
  char head[64];
  variant_id id;
  snprintf(head, sizeof head, "f32_d%" PRId64, s.dv);
  desc.variant = variant_named(variant, "values", head, &id);
  clattn_report report;
  clattn_plan *plan = NULL;
  const clattn_status status = clattn_plan_values(d->context, &desc, &plan, &report);
  run(d, plan, status, &report, boxes, 3, problem);
}
