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

static int64_t type_or(int32_t type, int64_t otherwise) { return type ? type : otherwise; }

static void take_nonpad(const attention_case *c, problem_text *p)
{
  if (!c->nonpad) return;
  assert_true(p->b <= PROBLEM_NONPAD_BATCHES);
  p->n_nonpad = p->b;
  memcpy(p->nonpad, c->nonpad, sizeof *p->nonpad * (size_t)p->b);
}

static void take_types(const attention_case *c, problem_text *p)
{
  p->dtype = type_or(c->q_type, CLATTN_F32);
  p->k_type = type_or(c->k_type, p->dtype);
  p->v_type = type_or(c->v_type, p->k_type);
  p->y_type = type_or(c->y_type, p->dtype);
  p->mask_type = type_or(c->mask_type, p->dtype);
  p->lse_type = type_or(c->lse_type, CLATTN_F32);
  p->qk_type = type_or(c->qk_type, p->dtype);
}

static void take_layouts(const attention_case *c, problem_text *p)
{
  p->q_layout = (int64_t)c->q_layout;
  p->k_layout = (int64_t)c->k_layout;
  p->v_layout = (int64_t)c->v_layout;
  p->y_layout = (int64_t)c->y_layout;
  p->mask_layout = (int64_t)c->mask_layout;
  p->lse_layout = (int64_t)c->lse_layout;
  p->qk_layout = (int64_t)c->qk_layout;
}

static problem_text problem_of(const attention_case *c, const char *variant, int32_t path)
{
  problem_text p = {.b = size_or(c->b, 1), .hq = size_or(c->hq, 1), .sq = size_or(c->sq, 5), .dk = size_or(c->dk, 8)};
  p.hk = size_or(c->hk, p.hq);
  p.sk = size_or(c->sk, p.sq);
  p.dv = size_or(c->dv, p.dk);
  p.past = c->past;
  p.causal = c->causal;
  p.left = c->has_window ? c->window_left : -1;
  p.right = c->has_window ? c->window_right : -1;
  p.offset = c->has_offset ? c->offset : PROBLEM_NO_OFFSET;
  p.scale = c->has_scale ? c->scale : (double)NAN;
  p.softcap = c->softcap;
  p.mask = (int64_t)c->mask;
  p.mask_rank = c->mask_rank ? c->mask_rank : 4;
  p.mask_shared = c->mask_broadcast;
  p.mask_short = c->mask_short;
  p.mask_closed = c->closed_rows;
  p.present = c->want_present ? PROBLEM_PRESENT_KEY | PROBLEM_PRESENT_VALUE : 0;
  p.lse = c->want_lse;
  p.qk = c->want_qk ? c->qk_mode : -1;
  p.precision = c->softmax_precision;
  p.fill = (int64_t)c->fill;
  p.poison = (int64_t)c->poison;
  p.path = path;
  if (variant) snprintf(p.variant, sizeof p.variant, "%s", variant);
  p.seed = c->seed;
  take_nonpad(c, &p);
  take_types(c, &p);
  take_layouts(c, &p);
  return p;
}

/* The boxes of one case by slot, and the oracle over them. */
typedef struct bench {
  problem_text p;
  box box[CLATTN_SLOT_COUNT];
  bool present[CLATTN_SLOT_COUNT];
  oracle_attention oracle;
  double *s_abs, *pv_abs, *qk_abs;
} bench;

static box *add_box(bench *t, int32_t slot, int64_t dtype, int rank, const int64_t *dim, int64_t layout, bool output)
{
  box_make(&t->box[slot], slot, (int32_t)dtype, rank, dim, (box_layout)layout, output);
  t->present[slot] = true;
  return &t->box[slot];
}

/* The file's tensor in another layout. */
static void add_input(bench *t, const st_file *file, const char *name, int32_t slot, int64_t layout)
{
  const st_tensor *tensor = st_find(file, name);
  if (!tensor) return;
  const int32_t dtype = st_type_dtype(tensor->type);
  box *b = add_box(t, slot, dtype, tensor->rank, tensor->dim, layout, false);
  for (int64_t i = 0; i < box_count(b); i++) box_put(b, i, number_load(dtype, tensor->data, i));
  box_gather(b);
}

static void add_inputs(bench *t)
{
  const problem_text *p = &t->p;
  st_file file;
  st_error error;
  if (!problem_fill(p, &file, &error)) fail_msg("%s", error.text);
  add_input(t, &file, "Q", CLATTN_Q, p->q_layout);
  add_input(t, &file, "K", CLATTN_K, p->k_layout);
  add_input(t, &file, "V", CLATTN_V, p->v_layout);
  add_input(t, &file, "past_key", CLATTN_PAST_KEY, p->k_layout);
  add_input(t, &file, "past_value", CLATTN_PAST_VALUE, p->v_layout);
  add_input(t, &file, "attn_mask", CLATTN_MASK, p->mask_layout);
  add_input(t, &file, "nonpad_kv_seqlen", CLATTN_NONPAD_KV_SEQLEN, LAYOUT_DENSE);
  st_free(&file);
}

/* Outputs have an element of their own for everything. */
static int64_t present_layout(int64_t layout)
{
  return layout == LAYOUT_SHARED || layout == LAYOUT_CONSTANT ? LAYOUT_DENSE : layout;
}

static void add_outputs(bench *t, bool with_y)
{
  const problem_text *p = &t->p;
  const int64_t keys = p->past + p->sk;
  const int64_t y[] = {p->b, p->hq, p->sq, p->dv}, qk[] = {p->b, p->hq, p->sq, keys};
  const int64_t key[] = {p->b, p->hk, keys, p->dk}, value[] = {p->b, p->hk, keys, p->dv};
  if (with_y) add_box(t, CLATTN_Y, p->y_type, 4, y, p->y_layout, true)->exact_infinities = false;
  if (p->lse) add_box(t, CLATTN_LSE, p->lse_type, 3, y, p->lse_layout, true);
  if (p->qk >= 0) add_box(t, CLATTN_QK, p->qk_type, 4, qk, p->qk_layout, true)->exact_infinities = p->qk == 2;
  if (p->present & PROBLEM_PRESENT_KEY)
    add_box(t, CLATTN_PRESENT_KEY, p->k_type, 4, key, present_layout(p->k_layout), true);
  if (p->present & PROBLEM_PRESENT_VALUE)
    add_box(t, CLATTN_PRESENT_VALUE, p->v_type, 4, value, present_layout(p->v_layout), true);
}

static void point_oracle(bench *t)
{
  const problem_text *p = &t->p;
  const box *mask = &t->box[CLATTN_MASK];
  const size_t rows = (size_t)(p->b * p->hq * p->sq);
  t->s_abs = test_alloc(sizeof(double) * rows);
  t->pv_abs = test_alloc(sizeof(double) * rows * (size_t)p->dv);
  t->qk_abs = test_alloc(sizeof(double) * rows * (size_t)(p->past + p->sk));
  t->oracle = (oracle_attention){.b = p->b,
                                 .hq = p->hq,
                                 .hk = p->hk,
                                 .sq = p->sq,
                                 .sk = p->sk,
                                 .dk = p->dk,
                                 .dv = p->dv,
                                 .past = p->past,
                                 .q = t->box[CLATTN_Q].dense,
                                 .k = t->box[CLATTN_K].dense,
                                 .v = t->box[CLATTN_V].dense,
                                 .past_k = t->box[CLATTN_PAST_KEY].dense,
                                 .past_v = t->box[CLATTN_PAST_VALUE].dense,
                                 .mask = mask->dense,
                                 .mask_rank = mask->view.rank,
                                 .mask_is_bool = mask->view.dtype == CLATTN_BOOL,
                                 .nonpad = p->n_nonpad ? p->nonpad : NULL,
                                 .scale = p->scale,
                                 .softcap = p->softcap,
                                 .causal = p->causal,
                                 .has_offset = p->offset != PROBLEM_NO_OFFSET,
                                 .offset = p->offset,
                                 .window_left = p->left,
                                 .window_right = p->right,
                                 .qk_mode = p->qk >= 0 ? (int)p->qk : 0,
                                 .y = t->box[CLATTN_Y].dense,
                                 .lse = t->box[CLATTN_LSE].dense,
                                 .qk = t->box[CLATTN_QK].dense,
                                 .present_k = t->box[CLATTN_PRESENT_KEY].dense,
                                 .present_v = t->box[CLATTN_PRESENT_VALUE].dense,
                                 .s_abs = t->s_abs,
                                 .pv_abs = t->pv_abs,
                                 .qk_abs = t->qk_abs};
  memcpy(t->oracle.mask_dim, mask->view.dim, sizeof mask->view.dim);
}

static bool key_is_seen(const bench *t, int64_t b, int64_t g, int64_t j)
{
  const int64_t group = t->p.hq / t->p.hk;
  for (int64_t h = g * group; h < (g + 1) * group; h++)
    for (int64_t i = 0; i < t->p.sq; i++)
      if (oracle_allows(&t->oracle, b, h, i, j)) return true;
  return false;
}

static bool query_sees(const bench *t, int64_t b, int64_t h, int64_t i)
{
  for (int64_t j = 0; j < t->p.past + t->p.sk; j++)
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
  const problem_text *p = &t->p;
  for (int64_t b = 0; b < p->b; b++) {
    for (int64_t g = 0; g < p->hk; g++)
      for (int64_t j = 0; j < p->past + p->sk; j++) {
        if (key_is_seen(t, b, g, j)) continue;
        const bool old = j < p->past;
        const int64_t row = old ? (b * p->hk + g) * p->past + j : (b * p->hk + g) * p->sk + j - p->past;
        put_row(&t->box[old ? CLATTN_PAST_KEY : CLATTN_K], row, p->dk, bad[j % 3]);
        put_row(&t->box[old ? CLATTN_PAST_VALUE : CLATTN_V], row, p->dv, bad[(j + 1) % 3]);
      }
    for (int64_t h = 0; h < p->hq; h++)
      for (int64_t i = 0; i < p->sq; i++)
        if (!query_sees(t, b, h, i)) put_row(&t->box[CLATTN_Q], (b * p->hq + h) * p->sq + i, p->dk, bad[i % 3]);
  }
}

static void poison(bench *t)
{
  const problem_text *p = &t->p;
  const int64_t last = p->b * p->hk * p->sk - 1;
  if (p->poison == POISON_UNSEEN) poison_unseen(t);
  if (last >= 0 && p->poison == POISON_SEEN_KEY) put_row(&t->box[CLATTN_K], last, p->dk, (double)NAN);
  if (last >= 0 && p->poison == POISON_SEEN_VALUE) put_row(&t->box[CLATTN_V], last, p->dv, (double)INFINITY);
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
  const problem_text *p = &t->p;
  const int64_t keys = p->past + p->sk;
  const int32_t dtype = t->box[slot].view.dtype;
  const double want = t->box[slot].dense[i];
  double sum = fmax(1.0, fabs(want)), s_abs = 0.0;
  switch (slot) {
  case CLATTN_Y:
    sum = t->pv_abs[i];
    s_abs = t->s_abs[i / p->dv];
    break;
  case CLATTN_QK:
    s_abs = p->qk == 3 ? t->s_abs[i / keys] : t->qk_abs[i];
    if (p->qk == 3) sum = want;
    break;
  case CLATTN_LSE:
    s_abs = t->s_abs[i];
    break;
  default:
    return 0.0; /* a copy */
  }
  /* A capped score was divided, went through tanh, and was multiplied: as many roundings again, of at most the cap. */
  if (p->softcap > 0.0 && !(slot == CLATTN_QK && p->qk == 0)) s_abs += fmin(p->softcap, s_abs);
  /* Beside a softmax's sum of one, the score's own rounding counts once. */
  const bool plain = slot == CLATTN_LSE || (slot == CLATTN_QK && p->qk != 3);
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

static void bench_make(bench *t, const problem_text *p, bool with_y)
{
  *t = (bench){.p = *p};
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
  free(t->qk_abs);
}

static clattn_attention_desc make_desc(const bench *t)
{
  const problem_text *p = &t->p;
  const bool has_offset = p->offset != PROBLEM_NO_OFFSET;
  clattn_attention_desc desc = CLATTN_ATTENTION_DESC_INIT;
  desc.flags = (p->causal ? CLATTN_CAUSAL : 0) | (has_offset ? CLATTN_QUERY_OFFSET : 0);
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
  desc.scale = p->scale;
  desc.softcap = p->softcap;
  desc.window_left = p->left;
  desc.window_right = p->right;
  desc.query_offset = has_offset ? p->offset : 0;
  desc.qk_mode = p->qk >= 0 ? (int32_t)p->qk : 0;
  desc.softmax_precision = (int32_t)p->precision;
  desc.path = (int32_t)p->path;
  return desc;
}

/* Runs the plan, if there is one, and destroys it. */
static void run_plan(const device_under_test *d, const bench *t, clattn_plan *plan, const char *variant)
{
  char problem[PROBLEM_TEXT_BYTES];
  box packed[CLATTN_SLOT_COUNT];
  if (!plan) return;
  problem_print(&t->p, problem);
  if (variant && t->p.b * t->p.hq * t->p.sq > 0) assert_holds(clattn_plan_variant(plan), variant);
  boxes_run(d, plan, packed, bench_pack(t, packed), problem);
  clattn_plan_destroy(plan);
}

/* Refusals fail the test, but for those that any problem of the tester may meet. */
static void check_refusal(const device_under_test *d, const bench *t, clattn_plan *plan, const clattn_report *report)
{
  char problem[PROBLEM_TEXT_BYTES];
  problem_print(&t->p, problem);
  if (tile_may_refuse(t->p.variant, t->p.dv, report)) return;
  if (has_f64_tensor(t) && !device_has_f64(d)) {
    test_no_f64(report->status, plan, report);
    return;
  }
  if (report->status != CLATTN_OK) print_error("problem: %s\n", problem);
  assert_status(CLATTN_OK, report->status, report);
}

static clattn_plan *plan_attention(const device_under_test *d, const bench *t, const char *variant,
                                   clattn_report *report)
{
  clattn_plan *plan = NULL;
  clattn_attention_desc desc = make_desc(t);
  desc.variant = variant;
  const clattn_status status = clattn_plan_attention(d->context, &desc, &plan, report);
  assert_int_equal(status, report->status);
  return plan;
}

void test_attention(const device_under_test *d, const attention_case *c, const way *w)
{
  bench t;
  char id[PROBLEM_VARIANT_BYTES];
  clattn_report report;
  const problem_text p = problem_of(c, w->variant, w->path);
  bench_make(&t, &p, true);
  clattn_plan *plan = plan_attention(d, &t, problem_variant(&p, id), &report);
  check_refusal(d, &t, plan, &report);
  run_plan(d, &t, plan, problem_variant(&p, id));
  bench_free(&t);
}

bool test_problem(const device_under_test *d, const problem_text *p, clattn_report *report)
{
  bench t;
  char id[PROBLEM_VARIANT_BYTES];
  bench_make(&t, p, true);
  clattn_plan *plan = plan_attention(d, &t, problem_variant(p, id), report);
  const bool good = plan != NULL;
  run_plan(d, &t, plan, problem_variant(p, id));
  bench_free(&t);
  return good;
}

void test_scores(const device_under_test *d, const attention_case *c, const char *variant)
{
  bench t;
  variant_id id;
  char head[64];
  clattn_report report;
  clattn_plan *plan = NULL;
  const problem_text p = problem_of(c, variant, CLATTN_PATH_AUTO);
  bench_make(&t, &p, false);
  /* The score stage reads no values. */
  t.present[CLATTN_V] = t.present[CLATTN_PAST_VALUE] = false;
  clattn_attention_desc desc = make_desc(&t);
  desc.v = desc.past_value = (clattn_tensor){0};
  snprintf(head, sizeof head, "%s_d%" PRId64, clattn_dtype_text((clattn_dtype)p.dtype), p.dk);
  desc.variant = variant_named(variant, "scores", head, &id);
  clattn_plan_scores(d->context, &desc, &plan, &report);
  check_refusal(d, &t, plan, &report);
  run_plan(d, &t, plan, desc.variant);
  bench_free(&t);
}
