/* The trials of the projection and their answers. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "names.h"
#include "problem.h"
#include "selftest.h"
#include "trial.h"

/* Which row of the caches a token takes. */
typedef enum rotary_kind { NO_ROTARY, ROTARY_OFFSET, ROTARY_IDS, ROTARY_DENSE } rotary_kind;

typedef struct projection_row {
  int64_t b, s, e, h, d;
  clattn_dtype x_type, w_type; /* 0: float32; as x */
  bool bias, packed, flat;     /* packed: weights made for the device; flat: y is [B,S,N] */
  ca_trial_layout layout;      /* of y */
  rotary_kind rotary;
  bool interleaved;
  int64_t rotary_dim, offset; /* 0: all channels */
  bool by_family;
  int64_t hk, dv; /* hk: Q, K and V of one x, of h and twice hk heads; v has dv channels, and does not rotate */
} projection_row;

/* Around the edges of every tile. The family of CPUs is compiled for one or two sub-tiles of tokens and a range of
 * columns: what every variant runs has tokens enough for two and columns enough for one. */
static const projection_row projection[] = {
    {1, 97, 33, 3, 16, .bias = true},
    {2, 49, 257, 1, 33, .flat = true, .bias = true, .packed = true},
    {1, 97, 64, 2, 32, .bias = true, .rotary = ROTARY_OFFSET, .offset = 3, .layout = CA_TRIAL_TOKENS},
    {2, 49, 16, 2, 20, .rotary = ROTARY_IDS, .interleaved = true, .rotary_dim = 12, .layout = CA_TRIAL_PACKED},
    {2, 49, 7, 1, 9, .rotary = ROTARY_DENSE, .rotary_dim = 6, .packed = true},
    {1, 97, 1, 1, 1, .x_type = CLATTN_F32},
    {1, 97, 47, 2, 16, CLATTN_F16, .bias = true, .rotary = ROTARY_OFFSET},
    {1, 97, 47, 2, 16, CLATTN_BF16, .packed = true},
    {1, 97, 47, 2, 16, CLATTN_F32, CLATTN_F16, .packed = true, .by_family = true},
    {1, 97, 47, 2, 16, .w_type = CLATTN_BF16},
    {1, 97, 47, 2, 16, CLATTN_F64, .bias = true, .rotary = ROTARY_IDS},
    {1, 1, 64, 2, 64, .bias = true, .rotary = ROTARY_OFFSET, .offset = 9, .by_family = true},
    {1, 130, 300, 5, 64, .bias = true, .by_family = true},
    {1, 256, 260, 1, 66, CLATTN_F16, CLATTN_F32, .bias = true, .by_family = true},
    {1, 97, 33, 3, 16, .hk = 1, .dv = 9, .bias = true, .rotary = ROTARY_OFFSET, .rotary_dim = 6, .by_family = true},
    {2, 49, 18, 4, 12, .hk = 2, .dv = 12, .rotary = ROTARY_IDS, .layout = CA_TRIAL_PACKED, .by_family = true},
    {1, 1, 65, 9, 64, .hk = 3, .dv = 64, .rotary = ROTARY_OFFSET, .offset = 5, .packed = true, .by_family = true},
    {1, 3, 40, 2, 32, CLATTN_F16, CLATTN_F16, .hk = 1, .dv = 40, .bias = true, .by_family = true},
};

/* One of the operators and what comes of it. */
typedef struct operator_of {
  clattn_slot w, bias, y;
  int64_t h, d;
  bool rotates;
} operator_of;

static int operators(const projection_row *r, operator_of list[3])
{
  const bool rotates = r->rotary != NO_ROTARY;
  list[0] = (operator_of){CLATTN_W, CLATTN_BIAS, CLATTN_Y, r->h, r->d, rotates};
  if (!r->hk) return 1;
  list[0] = (operator_of){CLATTN_W_Q, CLATTN_BIAS_Q, CLATTN_Q, r->h, r->d, rotates};
  list[1] = (operator_of){CLATTN_W_K, CLATTN_BIAS_K, CLATTN_K, r->hk, r->d, rotates};
  list[2] = (operator_of){CLATTN_W_V, CLATTN_BIAS_V, CLATTN_V, r->hk, r->dv, false};
  return 3;
}

static clattn_dtype x_type(const projection_row *r) { return r->x_type ? r->x_type : CLATTN_F32; }
static clattn_dtype w_type(const projection_row *r) { return r->w_type ? r->w_type : x_type(r); }

static clattn_status plan_one(clattn_context *context, const ca_trial *trial, const clattn_weights *weights,
                              const char *variant, clattn_plan **plan, clattn_report *report)
{
  const projection_row *r = trial->row;
  const ca_part *part = trial->part;
  clattn_projection_desc desc = CLATTN_PROJECTION_DESC_INIT;
  desc.flags = r->interleaved ? CLATTN_ROTARY_INTERLEAVED : 0;
  desc.x = part[CLATTN_X].view;
  if (!weights) desc.w = part[CLATTN_W].view;
  desc.weights = weights;
  desc.bias = part[CLATTN_BIAS].view;
  desc.y = part[CLATTN_Y].view;
  desc.cos_cache = part[CLATTN_COS_CACHE].view;
  desc.sin_cache = part[CLATTN_SIN_CACHE].view;
  desc.position_ids = part[CLATTN_POSITION_IDS].view;
  desc.rotary_dim = r->rotary_dim;
  desc.position_offset = r->offset;
  desc.variant = variant;
  return clattn_plan_projection(context, &desc, plan, report);
}

static clattn_status plan_qkv(clattn_context *context, const ca_trial *trial, clattn_weights *const weights[3],
                              const char *variant, clattn_plan **plan, clattn_report *report)
{
  const projection_row *r = trial->row;
  const ca_part *part = trial->part;
  clattn_qkv_desc desc = CLATTN_QKV_DESC_INIT;
  desc.flags = r->interleaved ? CLATTN_ROTARY_INTERLEAVED : 0;
  desc.x = part[CLATTN_X].view;
  if (!weights[0]) desc.w_q = part[CLATTN_W_Q].view;
  if (!weights[1]) desc.w_k = part[CLATTN_W_K].view;
  if (!weights[2]) desc.w_v = part[CLATTN_W_V].view;
  desc.weights_q = weights[0];
  desc.weights_k = weights[1];
  desc.weights_v = weights[2];
  desc.bias_q = part[CLATTN_BIAS_Q].view;
  desc.bias_k = part[CLATTN_BIAS_K].view;
  desc.bias_v = part[CLATTN_BIAS_V].view;
  desc.q = part[CLATTN_Q].view;
  desc.k = part[CLATTN_K].view;
  desc.v = part[CLATTN_V].view;
  desc.cos_cache = part[CLATTN_COS_CACHE].view;
  desc.sin_cache = part[CLATTN_SIN_CACHE].view;
  desc.position_ids = part[CLATTN_POSITION_IDS].view;
  desc.rotary_dim = r->rotary_dim;
  desc.position_offset = r->offset;
  desc.variant = variant;
  return clattn_plan_qkv(context, &desc, plan, report);
}

static clattn_status plan_projection(clattn_context *context, const ca_trial *trial, const char *variant,
                                     clattn_plan **plan, clattn_report *report)
{
  const projection_row *r = trial->row;
  operator_of list[3];
  clattn_weights *weights[3] = {NULL};
  const bool panels = strncmp(variant, "packed", strlen("packed")) == 0; /* which that family reads alone */
  const int n = (r->packed || panels) && strcmp(variant, CA_NO_VARIANT) != 0 ? operators(r, list) : 0;
  clattn_status status = CLATTN_OK;
  for (int i = 0; i < n && status == CLATTN_OK; i++) {
    clattn_weights_desc packing = CLATTN_WEIGHTS_DESC_INIT;
    packing.w = trial->part[list[i].w].view;
    packing.variant = variant;
    status = clattn_weights_create(context, &packing, trial->part[list[i].w].data, &weights[i], report);
  }
  if (status == CLATTN_OK)
    status = r->hk ? plan_qkv(context, trial, weights, variant, plan, report)
                   : plan_one(context, trial, weights[0], variant, plan, report);
  for (int i = 0; i < n; i++) clattn_weights_destroy(weights[i]); /* the plan keeps what it needs */
  return status;
}

static void say_problem(ca_trial *trial)
{
  static const char *const rotary[] = {"none", "offset", "ids", "dense"};
  const projection_row *r = trial->row;
  ca_trial_say(trial, "b=%" PRId64 ",s=%" PRId64 ",e=%" PRId64 ",h=%" PRId64 ",d=%" PRId64 ",x=%s,w=%s", r->b, r->s,
               r->e, r->h, r->d, ca_dtype_text((int32_t)x_type(r)), ca_dtype_text((int32_t)w_type(r)));
  if (r->hk) ca_trial_say(trial, ",hk=%" PRId64 ",dv=%" PRId64 " Q, K and V", r->hk, r->dv);
  if (r->packed) ca_trial_say(trial, " packed weights");
  if (r->bias) ca_trial_say(trial, " bias");
  if (r->rotary) ca_trial_say(trial, " rotary by %s", rotary[r->rotary]);
  if (r->interleaved) ca_trial_say(trial, " interleaved");
  if (r->rotary_dim) ca_trial_say(trial, " of %" PRId64 " channels", r->rotary_dim);
  if (r->offset) ca_trial_say(trial, " from %" PRId64, r->offset);
  if (r->layout) ca_trial_say(trial, r->layout == CA_TRIAL_TOKENS ? " tokens first" : " packed y");
}

static int64_t channels_that_rotate(const projection_row *r) { return r->rotary_dim ? r->rotary_dim : r->d; }

static void add_input(ca_trial *trial, clattn_slot slot, clattn_tensor view)
{
  ca_trial_fill(trial, ca_trial_add(trial, slot, false, view), 1.0);
}

/* Positions go past both ends of the cache, where they are clamped. */
static void add_rotary(ca_trial *trial)
{
  const projection_row *r = trial->row;
  const int64_t half = channels_that_rotate(r) / 2, rows = r->offset + r->s + 1;
  const int64_t flat[2] = {rows, half}, dense[3] = {r->b, r->s, half}, tokens[2] = {r->b, r->s};
  const bool is_dense = r->rotary == ROTARY_DENSE;
  if (!r->rotary) return;
  const clattn_tensor view = clattn_dense(x_type(r), is_dense ? 3 : 2, is_dense ? dense : flat);
  add_input(trial, CLATTN_COS_CACHE, view);
  add_input(trial, CLATTN_SIN_CACHE, view);
  if (r->rotary != ROTARY_IDS) return;
  ca_part *ids = ca_trial_add(trial, CLATTN_POSITION_IDS, false, clattn_dense(CLATTN_I64, 2, tokens));
  const int64_t count = ca_part_count(ids);
  for (int64_t n = 0; n < count; n++) ca_part_store(ids, n, (double)(n * 7 % (rows + 4) - 2));
}

static int64_t cache_row(const ca_trial *trial, int64_t token)
{
  const projection_row *r = trial->row;
  if (r->rotary == ROTARY_DENSE) return token;
  if (r->rotary == ROTARY_OFFSET) return r->offset + token % r->s;
  const int64_t last = trial->part[CLATTN_COS_CACHE].view.dim[0] - 1;
  const int64_t id = (int64_t)ca_part_load(&trial->part[CLATTN_POSITION_IDS], token);
  return id < 0 ? 0 : id > last ? last : id;
}

/* A channel before it is rotated, and the sum of its absolute terms. */
static double product(const ca_trial *trial, const operator_of *o, int64_t token, int64_t n, double *size)
{
  const projection_row *r = trial->row;
  double sum = r->bias ? ca_part_load(&trial->part[o->bias], n) : 0.0;
  *size = fabs(sum);
  for (int64_t e = 0; e < r->e; e++) {
    const double term =
        ca_part_load(&trial->part[CLATTN_X], token * r->e + e) * ca_part_load(&trial->part[o->w], n * r->e + e);
    sum += term;
    *size += fabs(term);
  }
  return sum;
}

/* Channel d of head h of a token. */
static double answer(const ca_trial *trial, const operator_of *o, int64_t token, int64_t h, int64_t d, double *size)
{
  const projection_row *r = trial->row;
  const int64_t rotating = channels_that_rotate(r), half = rotating / 2;
  const double own = product(trial, o, token, h * o->d + d, size);
  if (!o->rotates || d >= rotating) return own;
  const bool is_second = r->interleaved ? d % 2 == 1 : d >= half;
  const int64_t pair = r->interleaved ? d / 2 : d % half;
  const int64_t step = r->interleaved ? 1 : half, partner = is_second ? d - step : d + step;
  const int64_t at = cache_row(trial, token) * half + pair;
  const double c = ca_part_load(&trial->part[CLATTN_COS_CACHE], at),
               s = ca_part_load(&trial->part[CLATTN_SIN_CACHE], at);
  double other_size;
  const double other = product(trial, o, token, h * o->d + partner, &other_size);
  *size = fabs(c) * *size + fabs(s) * other_size;
  return is_second ? s * other + c * own : c * own - s * other;
}

static void answer_all(ca_trial *trial, const operator_of *o)
{
  const projection_row *r = trial->row;
  ca_part *y = &trial->part[o->y];
  for (int64_t token = 0; token < r->b * r->s; token++)
    for (int64_t h = 0; h < o->h; h++)
      for (int64_t d = 0; d < o->d; d++) {
        const int64_t b = token / r->s, s = token % r->s;
        const int64_t n = r->flat ? (token * o->h + h) * o->d + d : ((b * o->h + h) * r->s + s) * o->d + d;
        double size;
        y->want[n] = answer(trial, o, token, h, d, &size);
        y->allowed[n] = ca_trial_allow(trial, x_type(r), y->want[n], 1.0, size);
      }
}

static void make_projection(int index, ca_trial *trial)
{
  const projection_row *r = &projection[index];
  const int64_t x[3] = {r->b, r->s, r->e};
  operator_of list[3];
  const int count = operators(r, list);
  trial->row = r;
  trial->plan = plan_projection;
  trial->by_family = r->by_family;
  say_problem(trial);
  add_input(trial, CLATTN_X, clattn_dense(x_type(r), 3, x));
  add_rotary(trial);
  for (int i = 0; i < count; i++) {
    const operator_of *o = &list[i];
    const int64_t n = o->h * o->d, w[2] = {n, r->e}, split[4] = {r->b, o->h, r->s, o->d}, flat[3] = {r->b, r->s, n};
    add_input(trial, o->w, clattn_dense(w_type(r), 2, w));
    if (r->bias) add_input(trial, o->bias, clattn_dense(x_type(r), 1, &n));
    ca_trial_add(trial, o->y, true,
                 r->flat ? clattn_dense(x_type(r), 3, flat) : ca_trial_view(x_type(r), r->layout, split));
    if (!trial->failed) answer_all(trial, o);
  }
}

const ca_trial_table ca_projection_trials = {sizeof projection / sizeof projection[0], make_projection};
