/* Problems: from a text to tensors on the device, and how much there is to do. */
#include <stdio.h>
#include <string.h>

#include "bench.h"

/* ---- how much there is to do ---- */

static int64_t within(int64_t value, int64_t least, int64_t most)
{
  return value < least ? least : value > most ? most : value;
}

/* Pairs of a query and a key that order and windows let meet, for one head. */
static double count_pairs(const problem_text *p, int64_t keys, int64_t offset)
{
  double pairs = 0;
  for (int64_t i = 0; i < p->sq; i++) {
    const int64_t at = i + offset;
    int64_t begin = 0, end = keys;
    if (p->causal) end = within(at + 1, 0, end);
    if (p->right >= 0 && p->right < keys) end = within(at + p->right + 1, 0, end);
    if (p->left >= 0 && p->left < at) begin = at - p->left;
    if (begin < end) pairs += (double)(end - begin);
  }
  return pairs;
}

/* Operations and bytes of a batch item with so many keys. */
static void count_item(const problem_text *p, int64_t keys, int64_t offset, bench_problem *out)
{
  const double k_bytes = (double)p->dk * (double)clattn_dtype_bytes((clattn_dtype)p->k_type);
  const double v_bytes = (double)p->dv * (double)clattn_dtype_bytes((clattn_dtype)p->v_type);
  out->ops += 2.0 * (double)p->hq * count_pairs(p, keys, offset) * (double)(p->dk + p->dv);
  out->bytes += (double)(p->hk * keys) * (k_bytes + v_bytes);
}

static void count_attention(const problem_text *p, bench_problem *out)
{
  const int64_t keys = p->past + p->sk, said = p->offset == PROBLEM_NO_OFFSET ? p->past : p->offset;
  for (int64_t b = 0; b < p->b; b++) {
    const int64_t length = p->n_nonpad ? within(p->nonpad[b], 0, keys) : keys;
    count_item(p, length, p->n_nonpad ? length - p->sq : said, out);
  }
}

/* ---- tensors ---- */

static bool add_buffer(bench_problem *p, int32_t slot, cl_mem_flags flags, void *data, size_t bytes, st_error *error)
{
  cl_int code;
  if (data) flags |= CL_MEM_COPY_HOST_PTR;
  cl_mem mem = clCreateBuffer(p->device->cl, flags, bytes ? bytes : 1, data, &code);
  if (code)
    return st_fail(error, "no buffer of %zu bytes for %s: OpenCL error %d", bytes, clattn_slot_text((clattn_slot)slot),
                   (int)code);
  p->binding[p->n_bindings++] = (clattn_binding){.slot = slot, .mem = mem};
  return true;
}

static bool add_input(bench_problem *p, int32_t slot, const st_tensor *tensor, clattn_tensor *view, st_error *error)
{
  *view = clattn_dense((clattn_dtype)st_type_dtype(tensor->type), tensor->rank, tensor->dim);
  return add_buffer(p, slot, CL_MEM_READ_ONLY, tensor->data, tensor->bytes, error);
}

static bool add_output(bench_problem *p, int32_t slot, int64_t dtype, int rank, const int64_t *dim, clattn_tensor *view,
                       st_error *error)
{
  size_t bytes = clattn_dtype_bytes((clattn_dtype)dtype);
  for (int d = 0; d < rank; d++) bytes *= (size_t)dim[d];
  *view = clattn_dense((clattn_dtype)dtype, rank, dim);
  return add_buffer(p, slot, CL_MEM_READ_WRITE, NULL, bytes, error);
}

/* ---- attention ---- */

static bool add_attention_inputs(bench_problem *p, const st_file *file, st_error *error)
{
  clattn_attention_desc *desc = &p->attention_desc;
  const struct {
    const char *name;
    int32_t slot;
    clattn_tensor *view;
  } inputs[] = {{"Q", CLATTN_Q, &desc->q},
                {"K", CLATTN_K, &desc->k},
                {"V", CLATTN_V, &desc->v},
                {"attn_mask", CLATTN_MASK, &desc->mask},
                {"past_key", CLATTN_PAST_KEY, &desc->past_key},
                {"past_value", CLATTN_PAST_VALUE, &desc->past_value},
                {"nonpad_kv_seqlen", CLATTN_NONPAD_KV_SEQLEN, &desc->nonpad_kv_seqlen}};
  for (size_t i = 0; i < sizeof inputs / sizeof inputs[0]; i++) {
    const st_tensor *tensor = st_find(file, inputs[i].name);
    if (tensor && !add_input(p, inputs[i].slot, tensor, inputs[i].view, error)) return false;
  }
  return true;
}

static bool add_attention_outputs(bench_problem *p, const problem_text *t, st_error *error)
{
  clattn_attention_desc *desc = &p->attention_desc;
  const int64_t keys = t->past + t->sk, y[] = {t->b, t->hq, t->sq, t->dv}, qk[] = {t->b, t->hq, t->sq, keys};
  const int64_t key[] = {t->b, t->hk, keys, t->dk}, value[] = {t->b, t->hk, keys, t->dv};
  const struct {
    bool there;
    int32_t slot;
    int64_t dtype;
    int rank;
    const int64_t *dim;
    clattn_tensor *view;
  } outputs[] = {{true, CLATTN_Y, t->y_type, 4, y, &desc->y},
                 {t->lse != 0, CLATTN_LSE, t->lse_type, 3, y, &desc->lse},
                 {t->qk >= 0, CLATTN_QK, t->qk_type, 4, qk, &desc->qk},
                 {t->present & PROBLEM_PRESENT_KEY, CLATTN_PRESENT_KEY, t->k_type, 4, key, &desc->present_key},
                 {t->present & PROBLEM_PRESENT_VALUE, CLATTN_PRESENT_VALUE, t->v_type, 4, value, &desc->present_value}};
  for (size_t i = 0; i < sizeof outputs / sizeof outputs[0]; i++)
    if (outputs[i].there &&
        !add_output(p, outputs[i].slot, outputs[i].dtype, outputs[i].rank, outputs[i].dim, outputs[i].view, error))
      return false;
  return true;
}

static void set_attributes(const problem_text *t, clattn_attention_desc *desc)
{
  const bool has_offset = t->offset != PROBLEM_NO_OFFSET;
  desc->flags = (t->causal ? CLATTN_CAUSAL : 0) | (has_offset ? CLATTN_QUERY_OFFSET : 0);
  desc->query_offset = has_offset ? t->offset : 0;
  desc->scale = t->scale;
  desc->softcap = t->softcap;
  desc->window_left = t->left;
  desc->window_right = t->right;
  desc->qk_mode = t->qk >= 0 ? (int32_t)t->qk : 0;
  desc->softmax_precision = (int32_t)t->precision;
  desc->path = (int32_t)t->path;
}

static void drop_attention(problem_text *t, char dropped[PROBLEM_TEXT_BYTES])
{
  static const char *const keys[] = {"q_layout",   "k_layout",  "v_layout", "y_layout", "mask_layout",
                                     "lse_layout", "qk_layout", "poison",   NULL};
  problem_drop(t, keys, dropped);
}

static bool make_attention(bench_problem *p, st_error *error)
{
  problem_text t;
  st_file file = {0};
  char id[PROBLEM_VARIANT_BYTES];
  if (!problem_parse(p->text, &t, error)) return false;
  drop_attention(&t, p->dropped);
  const char *variant = problem_variant(&t, id);
  snprintf(p->variant, sizeof p->variant, "%s", variant ? variant : "");
  p->attention_desc = (clattn_attention_desc)CLATTN_ATTENTION_DESC_INIT;
  set_attributes(&t, &p->attention_desc);
  count_attention(&t, p);
  bool good = problem_fill(&t, &file, error);
  if (good) good = add_attention_inputs(p, &file, error) && add_attention_outputs(p, &t, error);
  st_free(&file);
  return good;
}

/* ---- projections ---- */

/* Of Q, K and V all are made, each in a buffer of its own. */
static void drop_projection(projection_text *t, char dropped[PROBLEM_TEXT_BYTES])
{
  static const projection_key keys[] = {PROJECTION_x_layout,     PROJECTION_w_layout, PROJECTION_y_layout,
                                        PROJECTION_cache_layout, PROJECTION_absent,   PROJECTION_mixed,
                                        PROJECTION_sliced};
  projection_drop(t, keys, sizeof keys / sizeof keys[0], dropped);
}

bool bench_is_qkv(const bench_problem *p) { return p->projects && p->projection.value[PROJECTION_hk] > 0; }

typedef struct projection_input {
  int32_t slot;
  clattn_tensor *view;
  bool weights; /* each plan packs them for its variant, where that is asked for */
} projection_input;

static bool add_projection_inputs(bench_problem *p, const projection_input *inputs, size_t n, st_error *error)
{
  bool good = true;
  for (size_t i = 0; i < n && good; i++) {
    st_file file = {0};
    if (inputs[i].weights && p->packs) continue;
    good = projection_fill(&p->projection, inputs[i].slot, &file, error) &&
           (!file.n_tensors || add_input(p, inputs[i].slot, file.tensors, inputs[i].view, error));
    st_free(&file);
  }
  return good;
}

/* A result of h heads of d channels. */
static bool add_projected(bench_problem *p, int32_t slot, int64_t h, int64_t d, clattn_tensor *view, st_error *error)
{
  const int64_t *v = p->projection.value;
  const int64_t flat[] = {v[PROJECTION_b], v[PROJECTION_s], h * d};
  const int64_t split[] = {v[PROJECTION_b], h, v[PROJECTION_s], d};
  const bool is_flat = v[PROJECTION_flat] != 0;
  const double weights = (double)(h * d) * (double)v[PROJECTION_e];
  p->ops += 2.0 * (double)(v[PROJECTION_b] * v[PROJECTION_s]) * weights;
  p->bytes += weights * (double)clattn_dtype_bytes((clattn_dtype)v[PROJECTION_w_type]);
  return add_output(p, slot, v[PROJECTION_y_type], is_flat ? 3 : 4, is_flat ? flat : split, view, error);
}

static bool make_one(bench_problem *p, st_error *error)
{
  const int64_t *v = p->projection.value;
  clattn_projection_desc *desc = &p->projection_desc;
  *desc = (clattn_projection_desc)CLATTN_PROJECTION_DESC_INIT;
  desc->flags = v[PROJECTION_interleaved] ? CLATTN_ROTARY_INTERLEAVED : 0;
  desc->rotary_dim = v[PROJECTION_rotary_dim];
  desc->position_offset = v[PROJECTION_position_offset];
  const projection_input inputs[] = {{CLATTN_X, &desc->x, false},
                                     {CLATTN_W, &desc->w, true},
                                     {CLATTN_BIAS, &desc->bias, false},
                                     {CLATTN_COS_CACHE, &desc->cos_cache, false},
                                     {CLATTN_SIN_CACHE, &desc->sin_cache, false},
                                     {CLATTN_POSITION_IDS, &desc->position_ids, false}};
  return add_projection_inputs(p, inputs, sizeof inputs / sizeof inputs[0], error) &&
         add_projected(p, CLATTN_Y, v[PROJECTION_h], v[PROJECTION_d], &desc->y, error);
}

static bool make_three(bench_problem *p, st_error *error)
{
  const int64_t *v = p->projection.value, hk = v[PROJECTION_hk];
  clattn_qkv_desc *desc = &p->qkv_desc;
  *desc = (clattn_qkv_desc)CLATTN_QKV_DESC_INIT;
  desc->flags = v[PROJECTION_interleaved] ? CLATTN_ROTARY_INTERLEAVED : 0;
  desc->rotary_dim = v[PROJECTION_rotary_dim];
  desc->position_offset = v[PROJECTION_position_offset];
  const projection_input inputs[] = {{CLATTN_X, &desc->x, false},
                                     {CLATTN_W_Q, &desc->w_q, true},
                                     {CLATTN_W_K, &desc->w_k, true},
                                     {CLATTN_W_V, &desc->w_v, true},
                                     {CLATTN_BIAS_Q, &desc->bias_q, false},
                                     {CLATTN_BIAS_K, &desc->bias_k, false},
                                     {CLATTN_BIAS_V, &desc->bias_v, false},
                                     {CLATTN_COS_CACHE, &desc->cos_cache, false},
                                     {CLATTN_SIN_CACHE, &desc->sin_cache, false},
                                     {CLATTN_POSITION_IDS, &desc->position_ids, false}};
  return add_projection_inputs(p, inputs, sizeof inputs / sizeof inputs[0], error) &&
         add_projected(p, CLATTN_Q, v[PROJECTION_h], v[PROJECTION_d], &desc->q, error) &&
         add_projected(p, CLATTN_K, hk, v[PROJECTION_d], &desc->k, error) &&
         add_projected(p, CLATTN_V, hk, projection_dv(&p->projection), &desc->v, error);
}

static bool make_projection(bench_problem *p, st_error *error)
{
  char id[PROBLEM_VARIANT_BYTES];
  projection_text *t = &p->projection;
  if (!projection_parse(p->text, t, error)) return false;
  drop_projection(t, p->dropped);
  const char *variant = projection_variant(t, id);
  snprintf(p->variant, sizeof p->variant, "%s", variant ? variant : "");
  p->packs = t->value[PROJECTION_packed] != 0;
  return bench_is_qkv(p) ? make_three(p, error) : make_one(p, error);
}

/* ---- both ---- */

bool bench_problem_check(const char *text, st_error *error)
{
  problem_text attention;
  projection_text projection;
  if (strlen(text) >= PROBLEM_TEXT_BYTES)
    return st_fail(error, "problem: the text has %zu letters, the limit is %d", strlen(text), PROBLEM_TEXT_BYTES - 1);
  return projection_is(text) ? projection_parse(text, &projection, error) : problem_parse(text, &attention, error);
}

bool bench_problem_make(bench_device *d, const char *text, bench_problem *p, st_error *error)
{
  *p = (bench_problem){.device = d, .projects = projection_is(text)};
  if (!bench_problem_check(text, error)) return false;
  snprintf(p->text, sizeof p->text, "%s", text);
  const bool good = p->projects ? make_projection(p, error) : make_attention(p, error);
  if (!good) bench_problem_free(p);
  return good;
}

void bench_problem_free(bench_problem *p)
{
  for (uint32_t i = 0; i < p->n_bindings; i++) clReleaseMemObject(p->binding[i].mem);
  p->n_bindings = 0;
}
