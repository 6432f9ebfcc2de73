#include "projections.h"

#include <string.h>

#include "pipeline.h"

/* What a layer says of the rotary embedding; all zero without. */
typedef struct rotary {
  clattn_tensor cos_cache, sin_cache, position_ids;
  int64_t rotary_dim, position_offset;
  uint32_t flags;
} rotary;

static bool bind_rotary(device *d, const layer *l, rotary *r, device_bindings *bindings, st_error *error)
{
  static const struct {
    layer_role role;
    clattn_slot slot;
  } parts[] = {{LAYER_cos_cache, CLATTN_COS_CACHE},
               {LAYER_sin_cache, CLATTN_SIN_CACHE},
               {LAYER_position_ids, CLATTN_POSITION_IDS}};
  clattn_tensor *const views[] = {&r->cos_cache, &r->sin_cache, &r->position_ids};
  if (!l->input[LAYER_cos_cache]) return true;
  for (int i = 0; i < 3; i++) {
    const st_tensor *tensor = l->input[parts[i].role];
    cl_mem mem;
    if (!pipeline_upload(d, tensor, &mem, error)) return false;
    if (tensor) *views[i] = pipeline_view(tensor);
    device_bind(bindings, parts[i].slot, mem);
  }
  r->rotary_dim = l->attr.rotary_embedding_dim;
  if (l->attr.rotary_interleaved) r->flags |= CLATTN_ROTARY_INTERLEAVED;
  if (!l->input[LAYER_position_ids] && l->input[LAYER_cos_cache]->rank == 2) r->position_offset = l->past;
  return true;
}

/* Operator, bias and output of a projection, or of one of Q, K and V; the slots they are bound to. */
typedef struct operands {
  clattn_tensor w, bias;   /* w: absent where it is packed */
  clattn_weights *weights; /* the plan keeps them */
  cl_mem y;
} operands;

typedef struct operand_slots {
  clattn_slot w, bias, y;
} operand_slots;

/* The operator: packed, where a type can be, in the layout that the variant reads; otherwise a buffer of the run. */
static bool take_weights(device *d, const projection_request *request, const st_tensor *w, clattn_slot slot,
                         operands *o, device_bindings *bindings, st_error *error)
{
  cl_mem mem;
  if (w->bytes == 0 || w->type == ST_F64) {
    o->w = pipeline_view(w);
    if (!pipeline_upload(d, w, &mem, error)) return false;
    device_bind(bindings, slot, mem);
    return true;
  }
  clattn_weights_desc weights = CLATTN_WEIGHTS_DESC_INIT;
  weights.w = pipeline_view(w);
  weights.variant = request->variant;
  const clattn_status status = clattn_weights_create(d->context, &weights, w->data, &o->weights, &d->report);
  return status == CLATTN_OK || device_add(d, request->stage, status, NULL, bindings, error);
}

static bool take_operands(device *d, const layer *l, const projection_request *request, operand_slots slots,
                          operands *o, device_bindings *bindings, st_error *error)
{
  const st_tensor *bias = l->input[request->bias];
  cl_mem bias_mem;
  if (bias) o->bias = pipeline_view(bias);
  if (!pipeline_upload(d, bias, &bias_mem, error) || !pipeline_room(d, &request->y, &o->y, error) ||
      !take_weights(d, request, l->input[request->w], slots.w, o, bindings, error))
    return false;
  device_bind(bindings, slots.bias, bias_mem);
  device_bind(bindings, slots.y, o->y);
  return true;
}

bool projection_add(device *d, const layer *l, const projection_request *request, cl_mem *y, st_error *error)
{
  static const operand_slots slots = {CLATTN_W, CLATTN_BIAS, CLATTN_Y};
  clattn_projection_desc desc = CLATTN_PROJECTION_DESC_INIT;
  device_bindings bindings = {0};
  operands o = {0};
  rotary r = {0};
  clattn_plan *plan = NULL;
  if ((request->rotate && !bind_rotary(d, l, &r, &bindings, error)) ||
      !take_operands(d, l, request, slots, &o, &bindings, error))
    return false;
  desc.flags = r.flags;
  desc.x = request->x;
  desc.w = o.w;
  desc.weights = o.weights;
  desc.bias = o.bias;
  desc.y = request->y;
  desc.cos_cache = r.cos_cache;
  desc.sin_cache = r.sin_cache;
  desc.position_ids = r.position_ids;
  desc.rotary_dim = r.rotary_dim;
  desc.position_offset = r.position_offset;
  desc.variant = request->variant;
  device_bind(&bindings, CLATTN_X, request->x_mem);
  const clattn_status status = clattn_plan_projection(d->context, &desc, &plan, &d->report);
  clattn_weights_destroy(o.weights);
  *y = o.y;
  return device_add(d, request->stage, status, plan, &bindings, error);
}

static bool take_all_operands(device *d, const layer *l, const projection_request request[3], operands o[3],
                              device_bindings *bindings, st_error *error)
{
  static const operand_slots slots[3] = {{CLATTN_W_Q, CLATTN_BIAS_Q, CLATTN_Q},
                                         {CLATTN_W_K, CLATTN_BIAS_K, CLATTN_K},
                                         {CLATTN_W_V, CLATTN_BIAS_V, CLATTN_V}};
  bool good = true;
  for (int i = 0; i < 3 && good; i++)
    good = !request[i].stage || take_operands(d, l, &request[i], slots[i], &o[i], bindings, error);
  return good;
}

/* Q, K and V of the x of the last of them; one whose stage is NULL is left out. */
static bool project_qkv(device *d, const layer *l, const projection_request request[3], cl_mem *const mem[3],
                        st_error *error)
{
  const projection_request *v = &request[2];
  clattn_qkv_desc desc = CLATTN_QKV_DESC_INIT;
  device_bindings bindings = {0};
  operands o[3];
  rotary r = {0};
  clattn_plan *plan = NULL;
  clattn_status status = CLATTN_INTERNAL;
  memset(o, 0, sizeof o);
  const bool good = bind_rotary(d, l, &r, &bindings, error) && take_all_operands(d, l, request, o, &bindings, error);
  if (good) {
    desc.flags = r.flags;
    desc.x = v->x;
    desc.w_q = o[0].w, desc.w_k = o[1].w, desc.w_v = o[2].w;
    desc.weights_q = o[0].weights, desc.weights_k = o[1].weights, desc.weights_v = o[2].weights;
    desc.bias_q = o[0].bias, desc.bias_k = o[1].bias, desc.bias_v = o[2].bias;
    desc.q = request[0].y, desc.k = request[1].y, desc.v = request[2].y;
    desc.cos_cache = r.cos_cache;
    desc.sin_cache = r.sin_cache;
    desc.position_ids = r.position_ids;
    desc.rotary_dim = r.rotary_dim;
    desc.position_offset = r.position_offset;
    desc.variant = v->variant;
    device_bind(&bindings, CLATTN_X, v->x_mem);
    status = clattn_plan_qkv(d->context, &desc, &plan, &d->report);
  }
  for (int i = 0; i < 3; i++) {
    clattn_weights_destroy(o[i].weights);
    if (request[i].stage) *mem[i] = o[i].y;
  }
  return good && device_add(d, v->stage, status, plan, &bindings, error);
}

bool projections_all(device *d, const layer *l, const char *variant, const clattn_tensor y[3], cl_mem *const mem[3],
                     st_error *error)
{
  const st_tensor *i = l->input[LAYER_I], *i_kv = l->input[LAYER_I_kv];
  cl_mem i_mem, kv_mem = NULL;
  if (!pipeline_upload(d, i, &i_mem, error) || !pipeline_upload(d, i_kv, &kv_mem, error)) return false;
  const clattn_tensor x = pipeline_view(i), x_kv = pipeline_view(i_kv ? i_kv : i);
  const char *stage = i_kv ? "projection K V" : "projection Q K V";
  const projection_request q = {i_kv ? "projection Q" : stage, variant, x, y[0], i_mem, LAYER_W_Q, LAYER_b_Q, true};
  const cl_mem x_mem = i_kv ? kv_mem : i_mem;
  const projection_request all[3] = {i_kv ? (projection_request){0} : q,
                                     {stage, variant, x_kv, y[1], x_mem, LAYER_W_K, LAYER_b_K, true},
                                     {stage, variant, x_kv, y[2], x_mem, LAYER_W_V, LAYER_b_V, false}};
  return (!i_kv || projection_add(d, l, &q, mem[0], error)) && project_qkv(d, l, all, mem, error);
}
