#include "pipeline.h"

#include <stdlib.h>
#include <string.h>

#include "named_variants.h"
#include "projections.h"

static const char *const output_names[] = {
#define PIPELINE_OUTPUT_NAME(name) #name,
    PIPELINE_OUTPUT_LIST(PIPELINE_OUTPUT_NAME)
#undef PIPELINE_OUTPUT_NAME
};

/* What is on the device during one run. */
typedef struct run {
  device *d;
  const layer *l;
  const pipeline_options *options;
  clattn_tensor q, k, v, y;
  cl_mem q_mem, k_mem, v_mem, y_mem;
  cl_mem mask, past_key, past_value, nonpad, present_key, present_value, lse;
  cl_mem qk[3]; /* A, P, qk_matmul_output */
  cl_mem z;
} run;

const char *pipeline_output_name(pipeline_output output) { return output_names[output]; }

pipeline_output pipeline_output_of(const char *name)
{
  int output = 0;
  while (output < OUT_COUNT && strcmp(output_names[output], name) != 0) output++;
  return (pipeline_output)output;
}

bool pipeline_can_give(const layer *l, pipeline_output output)
{
  switch (output) {
  case OUT_Z:
    return l->input[LAYER_W_O] != NULL;
  case OUT_present_key:
  case OUT_present_value:
    return l->input[LAYER_past_key] != NULL;
  case OUT_qk_matmul_output:
    return l->attr.qk_matmul_output_mode >= 0;
  default:
    return true;
  }
}

bool pipeline_gives_unasked(const layer *l, pipeline_output output)
{
  return output <= OUT_qk_matmul_output && pipeline_can_give(l, output);
}

clattn_tensor pipeline_view(const st_tensor *tensor)
{
  return clattn_dense((clattn_dtype)st_type_dtype(tensor->type), tensor->rank, tensor->dim);
}

bool pipeline_upload(device *d, const st_tensor *tensor, cl_mem *out, st_error *error)
{
  *out = NULL;
  return !tensor || device_upload(d, tensor->data, tensor->bytes, out, error);
}

static size_t view_bytes(const clattn_tensor *view)
{
  size_t bytes = clattn_dtype_bytes((clattn_dtype)view->dtype);
  for (int i = 0; i < view->rank; i++) bytes *= (size_t)view->dim[i];
  return bytes;
}

bool pipeline_room(device *d, const clattn_tensor *view, cl_mem *out, st_error *error)
{
  return device_room(d, view_bytes(view), out, error);
}

static bool project_all(run *r, st_error *error)
{
  const layer *l = r->l;
  const clattn_dtype wide = (clattn_dtype)l->wide;
  r->q = clattn_bhsd(wide, l->b, l->hq, l->sq, l->dk);
  r->k = clattn_bhsd(wide, l->b, l->hk, l->sk, l->dk);
  r->v = clattn_bhsd(wide, l->b, l->hk, l->sk, l->dv);
  return projections_all(r->d, l, named_variant_for(r->options, "projection"),
                         (const clattn_tensor[]){r->q, r->k, r->v}, (cl_mem *const[]){&r->q_mem, &r->k_mem, &r->v_mem},
                         error);
}

/* A view [B,H,S,D] of what is dense as [B,H,S,D] or [B,S,H,D]. */
static clattn_tensor given_view(const layer *l, const st_tensor *t, int64_t heads)
{
  const clattn_dtype type = (clattn_dtype)st_type_dtype(t->type);
  if (l->flat) return clattn_bshd(type, t->dim[0], t->dim[1], heads, t->dim[2] / heads);
  return clattn_bhsd(type, t->dim[0], t->dim[1], t->dim[2], t->dim[3]);
}

static bool upload_given(run *r, st_error *error)
{
  const layer *l = r->l;
  r->q = given_view(l, l->input[LAYER_Q], l->hq);
  r->k = given_view(l, l->input[LAYER_K], l->hk);
  r->v = given_view(l, l->input[LAYER_V], l->hk);
  return pipeline_upload(r->d, l->input[LAYER_Q], &r->q_mem, error) &&
         pipeline_upload(r->d, l->input[LAYER_K], &r->k_mem, error) &&
         pipeline_upload(r->d, l->input[LAYER_V], &r->v_mem, error);
}

/* Past keys or values, in the type of those that follow them: projections give float32 or wider. */
static clattn_tensor past_view(const layer *l, layer_role role)
{
  clattn_tensor view = pipeline_view(l->input[role]);
  if (l->projected) view.dtype = l->wide;
  return view;
}

static bool upload_past(run *r, layer_role role, cl_mem *out, st_error *error)
{
  const st_tensor *past = r->l->input[role];
  if (!past) return true;
  const clattn_dtype from = (clattn_dtype)st_type_dtype(past->type);
  const clattn_dtype to = (clattn_dtype)past_view(r->l, role).dtype;
  if (from == to) return pipeline_upload(r->d, past, out, error);
  const size_t n = past->bytes / clattn_dtype_bytes(from), bytes = n * clattn_dtype_bytes(to);
  void *wide = malloc(bytes ? bytes : 1);
  if (!wide) return st_fail(error, "tensor '%s': no memory to widen it", layer_role_name(role));
  clattn_convert(to, wide, from, past->data, n);
  const bool good = device_upload(r->d, wide, bytes, out, error);
  free(wide);
  return good;
}

static bool upload_rest(run *r, st_error *error)
{
  const st_tensor *const *input = r->l->input;
  return pipeline_upload(r->d, input[LAYER_attn_mask], &r->mask, error) &&
         upload_past(r, LAYER_past_key, &r->past_key, error) &&
         upload_past(r, LAYER_past_value, &r->past_value, error) &&
         pipeline_upload(r->d, input[LAYER_nonpad_kv_seqlen], &r->nonpad, error);
}

clattn_attention_desc pipeline_attention_desc(const layer *l, clattn_tensor q, clattn_tensor k, clattn_tensor v)
{
  clattn_attention_desc desc = CLATTN_ATTENTION_DESC_INIT;
  desc.q = q;
  desc.k = k;
  desc.v = v;
  if (l->input[LAYER_attn_mask]) desc.mask = pipeline_view(l->input[LAYER_attn_mask]);
  if (l->input[LAYER_past_key]) desc.past_key = past_view(l, LAYER_past_key);
  if (l->input[LAYER_past_value]) desc.past_value = past_view(l, LAYER_past_value);
  if (l->input[LAYER_nonpad_kv_seqlen]) desc.nonpad_kv_seqlen = pipeline_view(l->input[LAYER_nonpad_kv_seqlen]);
  if (l->attr.is_causal) desc.flags |= CLATTN_CAUSAL;
  desc.scale = l->attr.scale;
  desc.softcap = l->attr.softcap;
  desc.window_left = l->attr.left_window_size;
  desc.window_right = l->attr.right_window_size;
  desc.softmax_precision = (int32_t)l->attr.softmax_precision;
  return desc;
}

static void bind_score_inputs(const run *r, device_bindings *bindings)
{
  device_bind(bindings, CLATTN_Q, r->q_mem);
  device_bind(bindings, CLATTN_K, r->k_mem);
  device_bind(bindings, CLATTN_PAST_KEY, r->past_key);
  device_bind(bindings, CLATTN_MASK, r->mask);
  device_bind(bindings, CLATTN_NONPAD_KV_SEQLEN, r->nonpad);
}

bool pipeline_wants_scores(const pipeline_options *options)
{
  const bool *want = options->want;
  return want[OUT_A] || want[OUT_P] || want[OUT_qk_matmul_output];
}

bool pipeline_wants_attention(const pipeline_options *options)
{
  const bool *want = options->want;
  return want[OUT_Y] || want[OUT_Z] || want[OUT_lse] || want[OUT_present_key] || want[OUT_present_value];
}

/* Y, lse and the extended K and V. */
static bool attend(run *r, st_error *error)
{
  const layer *l = r->l;
  const pipeline_options *o = r->options;
  const bool *want = o->want;
  if (!pipeline_wants_attention(o)) return true;
  const clattn_dtype y_type = (clattn_dtype)(l->projected ? l->wide : l->type);
  clattn_attention_desc desc = pipeline_attention_desc(l, r->q, r->k, r->v);
  device_bindings bindings = {0};
  clattn_plan *plan = NULL;
  r->y = l->flat ? clattn_bshd(y_type, l->b, l->sq, l->hq, l->dv) : clattn_bhsd(y_type, l->b, l->hq, l->sq, l->dv);
  desc.y = r->y;
  if (!pipeline_room(r->d, &r->y, &r->y_mem, error)) return false;
  if (want[OUT_lse]) {
    desc.lse = clattn_dense((clattn_dtype)l->wide, 3, (int64_t[]){l->b, l->hq, l->sq});
    if (!pipeline_room(r->d, &desc.lse, &r->lse, error)) return false;
  }
  if (want[OUT_present_key] || want[OUT_present_value]) {
    const clattn_dtype key_type = (clattn_dtype)desc.past_key.dtype, value_type = (clattn_dtype)desc.past_value.dtype;
    desc.present_key = clattn_bhsd(key_type, l->b, l->hk, l->past + l->sk, l->dk);
    desc.present_value = clattn_bhsd(value_type, l->b, l->hk, l->past + l->sk, l->dv);
    if (!pipeline_room(r->d, &desc.present_key, &r->present_key, error) ||
        !pipeline_room(r->d, &desc.present_value, &r->present_value, error))
      return false;
  }
  desc.path = named_path(o);
  desc.variant = named_variant_of_attention(o);
  bind_score_inputs(r, &bindings);
  device_bind(&bindings, CLATTN_V, r->v_mem);
  device_bind(&bindings, CLATTN_PAST_VALUE, r->past_value);
  device_bind(&bindings, CLATTN_PRESENT_KEY, r->present_key);
  device_bind(&bindings, CLATTN_PRESENT_VALUE, r->present_value);
  device_bind(&bindings, CLATTN_LSE, r->lse);
  device_bind(&bindings, CLATTN_Y, r->y_mem);
  const clattn_status status = clattn_plan_attention(r->d->context, &desc, &plan, &r->d->report);
  return device_add(r->d, "attention", status, plan, &bindings, error);
}

/* Where in `qk` an output goes, its stage's name and its point; the attribute's point is its own. */
static const struct {
  pipeline_output output;
  const char *stage;
  int32_t mode;
} points[3] = {{OUT_A, "scores A", 0}, {OUT_P, "scores P", 3}, {OUT_qk_matmul_output, "qk_matmul_output", -1}};

static int32_t qk_type(const layer *l, pipeline_output output)
{
  return output == OUT_qk_matmul_output && !l->projected ? l->type : l->wide;
}

static bool score_points(run *r, st_error *error)
{
  const layer *l = r->l;
  for (int i = 0; i < 3; i++) {
    if (!r->options->want[points[i].output]) continue;
    clattn_attention_desc desc = pipeline_attention_desc(l, r->q, r->k, r->v);
    device_bindings bindings = {0};
    clattn_plan *plan = NULL;
    desc.v = desc.past_value = (clattn_tensor){0};
    desc.qk = clattn_bhsd((clattn_dtype)qk_type(l, points[i].output), l->b, l->hq, l->sq, l->past + l->sk);
    desc.qk_mode = points[i].mode >= 0 ? points[i].mode : (int32_t)l->attr.qk_matmul_output_mode;
    desc.variant = named_variant_for(r->options, "scores");
    if (!pipeline_room(r->d, &desc.qk, &r->qk[i], error)) return false;
    bind_score_inputs(r, &bindings);
    device_bind(&bindings, CLATTN_QK, r->qk[i]);
    const clattn_status status = clattn_plan_scores(r->d->context, &desc, &plan, &r->d->report);
    if (!device_add(r->d, points[i].stage, status, plan, &bindings, error)) return false;
  }
  return true;
}

static bool project_out(run *r, st_error *error)
{
  const layer *l = r->l;
  if (!r->options->want[OUT_Z]) return true;
  const clattn_dtype wide = (clattn_dtype)l->wide;
  const projection_request z = {.stage = "projection O",
                                .variant = named_variant_for(r->options, "projection"),
                                .x = clattn_dense(wide, 3, (int64_t[]){l->b, l->sq, l->hq * l->dv}),
                                .y = clattn_dense(wide, 3, (int64_t[]){l->b, l->sq, l->out}),
                                .x_mem = r->y_mem,
                                .w = LAYER_W_O,
                                .bias = LAYER_b_O};
  return projection_add(r->d, l, &z, &r->z, error);
}

/* Reads a result of n elements of `from` into a new tensor of type `to`. */
static bool give(run *r, pipeline_output output, cl_mem mem, int32_t from, int32_t to, int rank, const int64_t *dim,
                 st_file *results, st_error *error)
{
  const char *name = output_names[output];
  st_tensor *tensor = st_add(results, name, st_type_of_dtype(to), rank, dim);
  if (!tensor) return st_fail(error, "tensor '%s': no memory for the result", name);
  if (from == to) return device_read(r->d, mem, tensor->data, tensor->bytes, error);
  const size_t n = tensor->bytes / clattn_dtype_bytes((clattn_dtype)to);
  void *raw = malloc(n ? n * clattn_dtype_bytes((clattn_dtype)from) : 1);
  if (!raw) return st_fail(error, "tensor '%s': no memory for the result", name);
  const bool good = device_read(r->d, mem, raw, n * clattn_dtype_bytes((clattn_dtype)from), error);
  if (good) clattn_convert((clattn_dtype)to, tensor->data, (clattn_dtype)from, raw, n);
  free(raw);
  return good;
}

/* Q, K or V as [B,H,S,D] float32 or wider. What the file held as [B,S,H*D] is put in order here. */
static bool give_heads(run *r, pipeline_output output, cl_mem mem, const clattn_tensor *view, st_file *results,
                       st_error *error)
{
  const layer *l = r->l;
  if (!give(r, output, mem, view->dtype, l->wide, 4, view->dim, results, error)) return false;
  if (l->projected || !l->flat) return true;
  st_tensor *tensor = &results->tensors[results->n_tensors - 1];
  const size_t row = clattn_dtype_bytes((clattn_dtype)l->wide) * (size_t)view->dim[3];
  char *from = tensor->data, *to = malloc(tensor->bytes ? tensor->bytes : 1);
  if (!to) return st_fail(error, "tensor '%s': no memory for the result", output_names[output]);
  const int64_t h_count = view->dim[1], s_count = view->dim[2];
  for (int64_t b = 0; b < view->dim[0]; b++)
    for (int64_t s = 0; s < s_count; s++)
      for (int64_t h = 0; h < h_count; h++)
        memcpy(to + row * (size_t)((b * h_count + h) * s_count + s),
               from + row * (size_t)((b * s_count + s) * h_count + h), row);
  free(from);
  tensor->data = to;
  return true;
}

static bool give_all(run *r, st_file *results, st_error *error)
{
  const layer *l = r->l;
  const bool *want = r->options->want;
  const int64_t sk = l->past + l->sk;
  const int64_t flat[] = {l->b, l->sq, l->hq * l->dv}, bhsd[] = {l->b, l->hq, l->sq, l->dv};
  const int64_t z[] = {l->b, l->sq, l->out}, lse[] = {l->b, l->hq, l->sq}, scores[] = {l->b, l->hq, l->sq, sk};
  const int64_t key[] = {l->b, l->hk, sk, l->dk}, value[] = {l->b, l->hk, sk, l->dv};
  bool good = true;
  if (want[OUT_Y])
    good = give(r, OUT_Y, r->y_mem, r->y.dtype, l->type, l->flat ? 3 : 4, l->flat ? flat : bhsd, results, error);
  if (good && want[OUT_Z]) good = give(r, OUT_Z, r->z, l->wide, l->type, 3, z, results, error);
  if (good && want[OUT_present_key]) {
    const int32_t type = st_type_dtype(l->input[LAYER_past_key]->type);
    good = give(r, OUT_present_key, r->present_key, past_view(l, LAYER_past_key).dtype, type, 4, key, results, error);
  }
  if (good && want[OUT_present_value]) {
    const int32_t type = st_type_dtype(l->input[LAYER_past_value]->type);
    good = give(r, OUT_present_value, r->present_value, past_view(l, LAYER_past_value).dtype, type, 4, value, results,
                error);
  }
  for (int i = 2; i >= 0 && good; i--) {
    const int32_t from = qk_type(l, points[i].output);
    const int32_t to = points[i].output == OUT_qk_matmul_output ? l->type : l->wide;
    if (want[points[i].output]) good = give(r, points[i].output, r->qk[i], from, to, 4, scores, results, error);
  }
  if (good && want[OUT_lse]) good = give(r, OUT_lse, r->lse, l->wide, l->wide, 3, lse, results, error);
  if (good && want[OUT_Q]) good = give_heads(r, OUT_Q, r->q_mem, &r->q, results, error);
  if (good && want[OUT_K]) good = give_heads(r, OUT_K, r->k_mem, &r->k, results, error);
  if (good && want[OUT_V]) good = give_heads(r, OUT_V, r->v_mem, &r->v, results, error);
  return good;
}

bool pipeline_run(device *d, const layer *l, const pipeline_options *options, st_file *results, st_error *error)
{
  run r = {.d = d, .l = l, .options = options};
  d->report = (clattn_report){0};
  bool good = l->projected ? project_all(&r, error) : upload_given(&r, error);
  good = good && upload_rest(&r, error) && attend(&r, error) && score_points(&r, error) && project_out(&r, error) &&
         device_submit(d, error) && device_finish(d, error) && give_all(&r, results, error);
  if (!good) st_free(results);
  return good;
}
