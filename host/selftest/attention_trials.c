#include "attention_trials.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "names.h"
#include "problem.h"

/* Around the edges of every tile: 1, T-1, T, T+1 tokens and keys, odd heads and channels, all that shapes a row. A
 * fused kernel is compiled for its tile, its types and its class of head sizes, so the rows that every variant runs
 * keep to float32 and one class, and few shapes by which sub-tiles are chosen; the others run one variant of each
 * family. */
static const ca_attention_row attention[] = {
    {1, 1, 1, 1, 1, 1, 1, .dtype = CLATTN_F32},
    {2, 4, 2, 7, 33, 16, 16, .layout = CA_TRIAL_TOKENS},
    {1, 1, 1, 65, 129, 64, 20, .causal = true, .wild = true},
    {1, 1, 1, 65, 96, 24, 32, .layout = CA_TRIAL_PACKED, .window = true, .left = 9, .right = 40},
    {1, 3, 1, 8, 67, 33, 31, .layout = CA_TRIAL_PACKED, .mask = CA_TRIAL_FLOAT, .mask_rank = 4, .spread = 2.0},
    {2, 2, 2, 8, 63, 8, 32, .mask = CA_TRIAL_BOOL, .wild = true, .softcap = 5.0, .spread = 3.0},
    {1, 4, 1, 1, 1, 64, 32, 256, .causal = true},
    {1, 2, 2, 8, 64, 32, 32, 24, .causal = true, .wild = true, .window = true, .left = 9, .right = -1},
    {1, 1, 1, 8, 0, 16, 16, .dtype = CLATTN_F32},
    {3, 2, 1, 8, 40, 16, 16, .causal = true, .nonpad = true, .wild = true},
    {1, 1, 1, 8, 97, 64, 32, .mask = CA_TRIAL_BOOL, .spread = 3e4},
    {2, 2, 1, 8, 65, 16, 8, .mask = CA_TRIAL_LOW, .mask_rank = 3},
    {1, 2, 1, 5, 31, 7, 5, .has_scale = true, .scale = 0.0},
    {1, 2, 1, 5, 145, 7, 5, .has_scale = true, .scale = -0.5, .mask = CA_TRIAL_FLOAT, .mask_rank = 1, .mask_short = 9,
     .wild = true},
    {1, 1, 1, 8, 8, 16, 16, 25, .causal = true, .poison = true},
    {1, 1, 1, 3, 1, 16, 16, .poison = true},
    {1, 1, 1, 8, 64, 16, 16, .causal = true, .has_offset = true, .offset = 30, .wild = true},
    {1, 1, 1, 3, 3001, 16, 16, .spread = 4.0},
    {1, 4, 2, 390, 100, 64, 32, .causal = true, .by_family = true},
    {1, 2, 2, 64, 64, 128, 128, .causal = true, .window = true, .left = 9, .right = -1, .by_family = true},
    {1, 1, 1, 9, 35, 512, 256, .by_family = true},
    {1, 1, 1, 3, 19, 320, 101, .by_family = true},
    {1, 2, 1, 19, 47, 32, 32, 16, CLATTN_F16, .causal = true, .wild = true, .by_family = true},
    {1, 2, 1, 19, 47, 32, 32, .dtype = CLATTN_BF16, .mask = CA_TRIAL_FLOAT, .by_family = true},
    {1, 2, 1, 19, 47, 32, 32, .dtype = CLATTN_F64, .mask = CA_TRIAL_BOOL, .causal = true, .by_family = true},
    {1, 2, 1, 19, 47, 32, 32, 9, CLATTN_F64, .mask = CA_TRIAL_FLOAT, .qk = 4, .by_family = true},
    /* More queries: families with a kernel for few of them choose the other one. */
    {1, 1, 1, 37, 35, 512, 256, .by_family = true},
    {1, 2, 1, 37, 47, 32, 32, 16, CLATTN_F16, .causal = true, .wild = true, .by_family = true},
    {1, 2, 1, 37, 47, 32, 32, .dtype = CLATTN_BF16, .mask = CA_TRIAL_FLOAT, .by_family = true},
};

/* The stage alone: what it writes at each point. Types are arguments of its kernels. */
static const ca_attention_row scores[] = {
    {1, 1, 1, 1, 1, 1, 1, .qk = 1},
    {1, 4, 2, 33, 65, 33, 1, .layout = CA_TRIAL_TOKENS, .causal = true, .qk = 1},
    {2, 2, 1, 15, 31, 16, 1, 8, .mask = CA_TRIAL_BOOL, .softcap = 3.0, .spread = 5.0, .qk = 2},
    {1, 2, 2, 65, 65, 64, 1, .causal = true, .wild = true, .qk = 3},
    {1, 2, 1, 17, 63, 20, 1, .mask = CA_TRIAL_FLOAT, .mask_rank = 4, .mask_short = 5, .qk = 3},
    {3, 1, 1, 9, 40, 16, 1, .causal = true, .nonpad = true, .wild = true, .qk = 4},
    {1, 1, 1, 65, 97, 512, 1, .mask = CA_TRIAL_BOOL, .wild = true, .spread = 3e4, .qk = 4},
    {1, 2, 1, 19, 47, 32, 1, 16, CLATTN_F16, .causal = true, .wild = true, .qk = 3},
    {1, 2, 1, 19, 47, 32, 1, .dtype = CLATTN_BF16, .mask = CA_TRIAL_LOW, .qk = 3},
    {1, 2, 1, 19, 47, 32, 1, .dtype = CLATTN_F64, .mask = CA_TRIAL_BOOL, .qk = 4},
};

/* The extended keys and values alone: elements of each size, with a past and without. */
static const ca_attention_row extend[] = {
    {2, 4, 2, 3, 5, 16, 20, 9, .dtype = CLATTN_F32}, {1, 2, 2, 1, 1, 64, 33, 70, .layout = CA_TRIAL_TOKENS},
    {1, 2, 1, 3, 33, 7, 8, .dtype = CLATTN_BF16},    {2, 2, 1, 3, 5, 16, 8, 4, CLATTN_F16, .layout = CA_TRIAL_PACKED},
    {1, 1, 1, 2, 3, 8, 8, 4, .dtype = CLATTN_F64},
};

static clattn_attention_desc describe(const ca_trial *trial, const char *variant)
{
  const ca_attention_row *r = trial->row;
  const ca_part *part = trial->part;
  clattn_attention_desc desc = CLATTN_ATTENTION_DESC_INIT;
  desc.q = part[CLATTN_Q].view;
  desc.k = part[CLATTN_K].view;
  desc.v = part[CLATTN_V].view;
  desc.y = part[CLATTN_Y].view;
  desc.mask = part[CLATTN_MASK].view;
  desc.past_key = part[CLATTN_PAST_KEY].view;
  desc.past_value = part[CLATTN_PAST_VALUE].view;
  desc.present_key = part[CLATTN_PRESENT_KEY].view;
  desc.present_value = part[CLATTN_PRESENT_VALUE].view;
  desc.nonpad_kv_seqlen = part[CLATTN_NONPAD_KV_SEQLEN].view;
  desc.lse = part[CLATTN_LSE].view;
  desc.qk = part[CLATTN_QK].view;
  desc.qk_mode = r->qk ? r->qk - 1 : 0;
  desc.flags = (r->causal ? CLATTN_CAUSAL : 0) | (r->has_offset ? CLATTN_QUERY_OFFSET : 0);
  desc.query_offset = r->has_offset ? r->offset : 0;
  desc.softcap = r->softcap;
  if (r->has_scale) desc.scale = r->scale;
  if (r->window) desc.window_left = r->left;
  if (r->window) desc.window_right = r->right;
  desc.variant = variant;
  return desc;
}

static clattn_status plan_attention(clattn_context *context, const ca_trial *trial, const char *variant,
                                    clattn_plan **plan, clattn_report *report)
{
  const clattn_attention_desc desc = describe(trial, variant);
  return clattn_plan_attention(context, &desc, plan, report);
}

static clattn_status plan_scores(clattn_context *context, const ca_trial *trial, const char *variant,
                                 clattn_plan **plan, clattn_report *report)
{
  const clattn_attention_desc desc = describe(trial, variant);
  return clattn_plan_scores(context, &desc, plan, report);
}

static clattn_dtype type_of(const ca_attention_row *r) { return r->dtype ? r->dtype : CLATTN_F32; }
static clattn_dtype real_of(const ca_attention_row *r) { return r->dtype == CLATTN_F64 ? CLATTN_F64 : CLATTN_F32; }

static void say_problem(ca_trial *trial)
{
  static const char *const masks[] = {"none", "bool", "float", "float"};
  const ca_attention_row *r = trial->row;
  ca_trial_say(trial,
               "b=%" PRId64 ",hq=%" PRId64 ",hk=%" PRId64 ",sq=%" PRId64 ",sk=%" PRId64 ",dk=%" PRId64 ",dv=%" PRId64
               ",dtype=%s",
               r->b, r->hq, r->hk, r->sq, r->sk, r->dk, r->dv, ca_dtype_text((int32_t)type_of(r)));
  if (r->past) ca_trial_say(trial, ",past=%" PRId64, r->past);
  if (r->causal) ca_trial_say(trial, ",causal=1");
  if (r->window) ca_trial_say(trial, ",left=%" PRId64 ",right=%" PRId64, r->left, r->right);
  if (r->has_scale) ca_trial_say(trial, ",scale=%g", r->scale);
  if (r->softcap > 0.0) ca_trial_say(trial, ",softcap=%g", r->softcap);
  if (r->mask) ca_trial_say(trial, ",mask=%s", masks[r->mask]);
  if (r->mask == CA_TRIAL_LOW) ca_trial_say(trial, " mask of -3.4e38");
  if (r->mask_rank) ca_trial_say(trial, " mask of rank %d", r->mask_rank);
  if (r->mask_short) ca_trial_say(trial, " %" PRId64 " keys short", r->mask_short);
  if (r->nonpad) ca_trial_say(trial, " nonpad");
  if (r->has_offset) ca_trial_say(trial, " offset %" PRId64, r->offset);
  if (r->spread > 0.0) ca_trial_say(trial, " |q| to %g", r->spread);
  if (r->wild) ca_trial_say(trial, " NaN unseen");
  if (r->poison) ca_trial_say(trial, " NaN in the last key and value");
  if (r->layout) ca_trial_say(trial, r->layout == CA_TRIAL_TOKENS ? " tokens first" : " packed");
  if (r->qk) ca_trial_say(trial, " qk at point %d", r->qk - 1);
}

/* The mask's element: of a row of three nothing is left, if rows differ. */
static double mask_element(const ca_attention_row *r, int rank, int64_t h, int64_t i, int64_t j)
{
  const bool closed = (rank > 1 && i % 3 == 2) || (h * 3 + i * 7 + j * 5) % 4 == 1;
  if (r->mask == CA_TRIAL_BOOL) return closed ? 0.0 : 1.0;
  if (!closed) return (double)((h + i + j) % 5) * 0.25;
  return r->mask == CA_TRIAL_LOW ? -3.4e38 : -(double)INFINITY;
}

static void add_mask(ca_trial *trial)
{
  const ca_attention_row *r = trial->row;
  const int rank = r->mask_rank ? r->mask_rank : 2;
  const int64_t keys = r->past + r->sk - r->mask_short;
  const int64_t dim[4] = {1, rank > 2 ? r->hq : 1, rank > 1 ? r->sq : 1, keys};
  if (r->mask == CA_TRIAL_NO_MASK) return;
  const clattn_dtype dtype = r->mask == CA_TRIAL_BOOL ? CLATTN_BOOL : type_of(r);
  ca_part *mask = ca_trial_add(trial, CLATTN_MASK, false, clattn_dense(dtype, rank, dim + 4 - rank));
  const int64_t count = ca_part_count(mask);
  for (int64_t n = 0; n < count; n++)
    ca_part_store(mask, n, mask_element(r, rank, n / (keys * dim[2]), n / keys % dim[2], n % keys));
}

/* Sequences of all keys, of a third, and of none. */
static void add_nonpad(ca_trial *trial)
{
  const ca_attention_row *r = trial->row;
  if (!r->nonpad) return;
  ca_part *nonpad = ca_trial_add(trial, CLATTN_NONPAD_KV_SEQLEN, false, clattn_dense(CLATTN_I64, 1, &r->b));
  const int64_t count = ca_part_count(nonpad);
  for (int64_t b = 0; b < count; b++) {
    const int64_t lengths[3] = {r->sk, r->sk / 3, 0};
    ca_part_store(nonpad, b, (double)lengths[b % 3]);
  }
}

static void add_inputs(ca_trial *trial)
{
  const ca_attention_row *r = trial->row;
  const struct {
    clattn_slot slot;
    double largest;
    int64_t dim[4];
  } inputs[5] = {{CLATTN_Q, r->spread > 0.0 ? r->spread : 1.0, {r->b, r->hq, r->sq, r->dk}},
                 {CLATTN_K, 1.0, {r->b, r->hk, r->sk, r->dk}},
                 {CLATTN_V, 1.0, {r->b, r->hk, r->sk, r->dv}},
                 {CLATTN_PAST_KEY, 1.0, {r->b, r->hk, r->past, r->dk}},
                 {CLATTN_PAST_VALUE, 1.0, {r->b, r->hk, r->past, r->dv}}};
  for (int i = 0; i < (r->past ? 5 : 3); i++)
    ca_trial_fill(trial,
                  ca_trial_add(trial, inputs[i].slot, false, ca_trial_view(type_of(r), r->layout, inputs[i].dim)),
                  inputs[i].largest);
  add_mask(trial);
  add_nonpad(trial);
}

static void spoil(ca_part *part, int64_t row)
{
  const int64_t width = part->view.rank ? part->view.dim[3] : 0;
  for (int64_t d = 0; part->data && d < width; d++) ca_part_store(part, row * width + d, (double)NAN);
}

/* True if a query of the group sees the key. */
static bool key_is_seen(const ca_trial *trial, int64_t b, int64_t g, int64_t j)
{
  const ca_attention_row *r = trial->row;
  const int64_t group = r->hq / r->hk;
  for (int64_t n = 0; n < group * r->sq; n++)
    if (ca_attention_allows(trial, b, g * group + n / r->sq, n % r->sq, j)) return true;
  return false;
}

static bool query_sees(const ca_trial *trial, int64_t row)
{
  const ca_attention_row *r = trial->row;
  for (int64_t j = 0; j < r->past + r->sk; j++)
    if (ca_attention_allows(trial, row / r->sq / r->hq, row / r->sq % r->hq, row % r->sq, j)) return true;
  return false;
}

static void spoil_unseen(ca_trial *trial)
{
  const ca_attention_row *r = trial->row;
  for (int64_t row = 0; row < r->b * r->hq * r->sq; row++)
    if (!query_sees(trial, row)) spoil(&trial->part[CLATTN_Q], row);
  for (int64_t bg = 0; bg < r->b * r->hk; bg++)
    for (int64_t j = 0; j < r->past + r->sk; j++) {
      if (key_is_seen(trial, bg / r->hk, bg % r->hk, j)) continue;
      const bool old = j < r->past;
      const int64_t row = old ? bg * r->past + j : bg * r->sk + j - r->past;
      spoil(&trial->part[old ? CLATTN_PAST_KEY : CLATTN_K], row);
      spoil(&trial->part[old ? CLATTN_PAST_VALUE : CLATTN_V], row);
    }
}

/* The inputs of a row; with their answers later. */
static void begin(ca_trial *trial, const ca_attention_row *r, ca_trial_planner *plan)
{
  trial->row = r;
  trial->plan = plan;
  trial->by_family = r->by_family;
  say_problem(trial);
  add_inputs(trial);
  if (trial->failed) return;
  if (r->wild) spoil_unseen(trial);
  if (r->poison) spoil(&trial->part[CLATTN_K], r->sk - 1);
  if (r->poison) spoil(&trial->part[CLATTN_V], r->sk - 1);
}

static ca_part *add_y(ca_trial *trial)
{
  const ca_attention_row *r = trial->row;
  const int64_t dim[4] = {r->b, r->hq, r->sq, r->dv};
  return ca_trial_add(trial, CLATTN_Y, true, ca_trial_view(type_of(r), r->layout, dim));
}

static void add_qk(ca_trial *trial)
{
  const ca_attention_row *r = trial->row;
  if (r->qk) ca_trial_add(trial, CLATTN_QK, true, clattn_bhsd(type_of(r), r->b, r->hq, r->sq, r->past + r->sk));
}

static void make_attention(int index, ca_trial *trial)
{
  const ca_attention_row *r = &attention[index];
  begin(trial, r, plan_attention);
  add_y(trial);
  add_qk(trial);
  ca_trial_add(trial, CLATTN_LSE, true, clattn_dense(real_of(r), 3, (const int64_t[]){r->b, r->hq, r->sq}));
  ca_attention_answer(trial);
}

static void make_scores(int index, ca_trial *trial)
{
  begin(trial, &scores[index], plan_scores);
  add_qk(trial);
  ca_attention_answer(trial);
}

static void add_present(ca_trial *trial, clattn_slot present_slot, clattn_slot past_slot, clattn_slot slot)
{
  const ca_attention_row *r = trial->row;
  const ca_part *rows = &trial->part[slot], *past = &trial->part[past_slot];
  const int64_t keys = r->past + r->sk, width = rows->view.dim[3];
  ca_part *present = ca_trial_add(trial, present_slot, true,
                                  ca_trial_view(type_of(r), r->layout, (const int64_t[]){r->b, r->hk, keys, width}));
  const int64_t count = trial->failed ? 0 : ca_part_count(present);
  for (int64_t n = 0; n < count; n++) {
    const int64_t d = n % width, j = n / width % keys, bg = n / width / keys;
    present->want[n] = j < r->past ? ca_part_load(past, (bg * r->past + j) * width + d)
                                   : ca_part_load(rows, (bg * r->sk + j - r->past) * width + d);
  }
}

/* Whichever variant makes y: it has its own trials. */
static void make_extend(int index, ca_trial *trial)
{
  begin(trial, &extend[index], plan_attention);
  trial->judges = CA_EXTEND_KIND;
  ca_part *y = add_y(trial);
  free(y->want);
  y->want = NULL;
  add_present(trial, CLATTN_PRESENT_KEY, CLATTN_PAST_KEY, CLATTN_K);
  add_present(trial, CLATTN_PRESENT_VALUE, CLATTN_PAST_VALUE, CLATTN_V);
}

const ca_trial_table ca_attention_trials = {sizeof attention / sizeof attention[0], make_attention};
const ca_trial_table ca_scores_trials = {sizeof scores / sizeof scores[0], make_scores};
const ca_trial_table ca_extend_trials = {sizeof extend / sizeof extend[0], make_extend};
