#include <math.h>
#include <string.h>

#include "accuracy.h"
#include "asserts.h"
#include "numerics.h"
#include "oracle.h"

/* Sizes of a layer: d is the width of a head of q, k and v alike. */
typedef struct layer_sizes {
  int64_t b, s, e, hq, hk, d;
} layer_sizes;

static int64_t label_number(const st_file *file, const char *key)
{
  const char *text = st_label_value(file, key);
  assert_non_null(text);
  return strtoll(text, NULL, 10);
}

static layer_sizes sizes_of(const st_file *file)
{
  const st_tensor *input = file_tensor(file, "I");
  layer_sizes z = {input->dim[0],
                   input->dim[1],
                   input->dim[2],
                   label_number(file, "q_num_heads"),
                   label_number(file, "kv_num_heads"),
                   0};
  z.d = file_tensor(file, "W_Q")->dim[0] / z.hq;
  return z;
}

/* The operators of a layer: I into q, k and v, and y into z. */
typedef struct operator_names {
  const char *w, *bias;
  bool rotates;
} operator_names;
static const operator_names into_q = {"W_Q", "b_Q", true}, into_k = {"W_K", "b_K", true},
                            into_v = {"W_V", "b_V", false}, into_z = {"W_O", "b_O", false};

/* x [B,S,E] to y [B,h,S,d], in float64. */
static double *expect_projection(const st_file *file, const operator_names *names, const double *x, int64_t e,
                                 int64_t h)
{
  const layer_sizes z = sizes_of(file);
  const st_tensor *w = file_tensor(file, names->w), *cosine = names->rotates ? st_find(file, "cos_cache") : NULL;
  oracle_projection o = {.b = z.b, .s = z.s, .e = e, .h = h, .d = w->dim[0] / h, .x = x};
  double *weights = file_doubles(file, names->w), *bias = file_doubles(file, names->bias);
  double *turns[2] = {cosine ? file_doubles(file, "cos_cache") : NULL, cosine ? file_doubles(file, "sin_cache") : NULL};
  o.w = weights;
  o.bias = bias;
  o.cosine = turns[0];
  o.sine = turns[1];
  o.cache_rank = 2;
  o.cache_rows = cosine ? cosine->dim[0] : 0;
  o.y = test_alloc(sizeof(double) * (size_t)(z.b * z.s * w->dim[0]));
  oracle_projection_run(&o);
  free(weights);
  free(bias);
  free(turns[0]);
  free(turns[1]);
  return o.y;
}

/* [B,H,S,D] to [B,S,H*D] */
static double *join_heads(const layer_sizes *z, const double *y)
{
  double *joined = test_alloc(sizeof *joined * (size_t)(z->b * z->hq * z->s * z->d));
  for (int64_t row = 0; row < z->b * z->hq * z->s; row++) {
    const int64_t b = row / (z->hq * z->s), h = row / z->s % z->hq, s = row % z->s;
    memcpy(joined + ((b * z->s + s) * z->hq + h) * z->d, y + row * z->d, sizeof *y * (size_t)z->d);
  }
  return joined;
}

void layer_row_expect(accuracy_row *row)
{
  const layer_sizes z = sizes_of(&row->file);
  const st_tensor *mask = st_find(&row->file, "attn_mask");
  double *x = file_doubles(&row->file, "I"), *flags = file_doubles(&row->file, "attn_mask");
  double *q = expect_projection(&row->file, &into_q, x, z.e, z.hq),
         *k = expect_projection(&row->file, &into_k, x, z.e, z.hk);
  double *v = expect_projection(&row->file, &into_v, x, z.e, z.hk);
  double *y = test_alloc(sizeof *y * (size_t)(z.b * z.hq * z.s * z.d));
  oracle_attention oracle = {.b = z.b,
                             .hq = z.hq,
                             .hk = z.hk,
                             .sq = z.s,
                             .sk = z.s,
                             .dk = z.d,
                             .dv = z.d,
                             .q = q,
                             .k = k,
                             .v = v,
                             .mask = flags,
                             .mask_rank = mask ? mask->rank : 0,
                             .mask_is_bool = true,
                             .scale = (double)NAN,
                             .causal = file_is_causal(&row->file),
                             .window_left = -1,
                             .window_right = -1,
                             .y = y};
  if (mask) memcpy(oracle.mask_dim, mask->dim, sizeof oracle.mask_dim);
  oracle_attention_run(&oracle);
  double *joined = join_heads(&z, y), largest = 1.0;
  row->n = z.b * z.s * file_tensor(&row->file, "W_O")->dim[0];
  row->y = expect_projection(&row->file, &into_z, joined, z.hq * z.d, 1);
  row->allowed = test_alloc(sizeof(double) * (size_t)row->n);
  for (int64_t i = 0; i < row->n; i++) largest = fmax(largest, fabs(row->y[i]));
  for (int64_t i = 0; i < row->n; i++) row->allowed[i] = 4e-6 * largest;
  double *const mine[] = {x, flags, q, k, v, y, joined};
  for (size_t i = 0; i < sizeof mine / sizeof mine[0]; i++) free(mine[i]);
}

static clattn_tensor view_if(const st_tensor *tensor)
{
  if (!tensor) return (clattn_tensor){0};
  return clattn_dense((clattn_dtype)st_type_dtype(tensor->type), tensor->rank, tensor->dim);
}

/* Adds a tensor of the file where it has one. */
static void bind(clattn_host_binding *bindings, uint32_t *n, int32_t slot, const st_tensor *tensor)
{
  if (tensor) bindings[(*n)++] = (clattn_host_binding){slot, 0, tensor->data, tensor->bytes};
}

static void run_projection(const device_under_test *d, const st_file *file, const operator_names *names,
                           const char *family, void *x, clattn_tensor x_view, float *y, clattn_tensor y_view)
{
  const st_tensor *w = file_tensor(file, names->w), *bias = st_find(file, names->bias);
  const st_tensor *cosine = names->rotates ? st_find(file, "cos_cache") : NULL;
  const st_tensor *sine = names->rotates ? st_find(file, "sin_cache") : NULL;
  const size_t x_bytes = sizeof(float) * (size_t)(x_view.dim[0] * x_view.dim[1] * x_view.dim[2]);
  const size_t y_bytes = sizeof(float) * (size_t)(x_view.dim[0] * x_view.dim[1] * w->dim[0]);
  clattn_projection_desc desc = CLATTN_PROJECTION_DESC_INIT;
  clattn_plan *plan = NULL;
  clattn_report report;
  desc.x = x_view;
  desc.w = view_if(w);
  desc.bias = view_if(bias);
  desc.y = y_view;
  desc.cos_cache = view_if(cosine);
  desc.sin_cache = view_if(sine);
  desc.variant = family;
  assert_status(CLATTN_OK, clattn_plan_projection(d->context, &desc, &plan, &report), &report);
  clattn_host_binding bindings[6] = {{CLATTN_X, 0, x, x_bytes}, {CLATTN_Y, 0, y, y_bytes}};
  uint32_t n = 2;
  bind(bindings, &n, CLATTN_W, w);
  bind(bindings, &n, CLATTN_BIAS, bias);
  bind(bindings, &n, CLATTN_COS_CACHE, cosine);
  bind(bindings, &n, CLATTN_SIN_CACHE, sine);
  assert_status(CLATTN_OK, clattn_run_host(plan, bindings, n, &report), &report);
  clattn_plan_destroy(plan);
}

/* q, k and v [B,H,S,D] to y [B,S,HQ,D]. */
static void run_heads(const device_under_test *d, const st_file *file, const way *w, float *const qkv[3], float *y)
{
  const layer_sizes z = sizes_of(file);
  const st_tensor *mask = st_find(file, "attn_mask");
  const size_t row_bytes = sizeof(float) * (size_t)(z.b * z.s * z.d);
  clattn_attention_desc desc = CLATTN_ATTENTION_DESC_INIT;
  clattn_plan *plan = NULL;
  clattn_report report;
  desc.flags = file_is_causal(file) ? CLATTN_CAUSAL : 0;
  desc.q = clattn_bhsd(CLATTN_F32, z.b, z.hq, z.s, z.d);
  desc.k = desc.v = clattn_bhsd(CLATTN_F32, z.b, z.hk, z.s, z.d);
  desc.y = clattn_bshd(CLATTN_F32, z.b, z.s, z.hq, z.d);
  desc.mask = view_if(mask);
  desc.variant = w->variant;
  desc.path = w->path;
  assert_status(CLATTN_OK, clattn_plan_attention(d->context, &desc, &plan, &report), &report);
  clattn_host_binding bindings[5] = {{CLATTN_Q, 0, qkv[0], row_bytes * (size_t)z.hq},
                                     {CLATTN_K, 0, qkv[1], row_bytes * (size_t)z.hk},
                                     {CLATTN_V, 0, qkv[2], row_bytes * (size_t)z.hk},
                                     {CLATTN_Y, 0, y, row_bytes * (size_t)z.hq}};
  uint32_t n = 4;
  bind(bindings, &n, CLATTN_MASK, mask);
  assert_status(CLATTN_OK, clattn_run_host(plan, bindings, n, &report), &report);
  clattn_plan_destroy(plan);
}

void layer_row_run(const device_under_test *d, const accuracy_row *row, const way *w, double *out)
{
  static const operator_names *const into[3] = {&into_q, &into_k, &into_v};
  const layer_sizes z = sizes_of(&row->file);
  const st_tensor *input = file_tensor(&row->file, "I");
  float *qkv[3], *y = test_alloc(sizeof *y * (size_t)(z.b * z.s * z.hq * z.d));
  float *stored = test_alloc(sizeof *stored * (size_t)row->n);
  for (int i = 0; i < 3; i++) {
    const int64_t heads = i ? z.hk : z.hq;
    qkv[i] = test_alloc(sizeof(float) * (size_t)(z.b * heads * z.s * z.d));
    run_projection(d, &row->file, into[i], w->variant, input->data, view_if(input), qkv[i],
                   clattn_bhsd(CLATTN_F32, z.b, heads, z.s, z.d));
  }
  run_heads(d, &row->file, w, qkv, y);
  const clattn_tensor y_view = clattn_dense(CLATTN_F32, 3, (int64_t[]){z.b, z.s, z.hq * z.d});
  const clattn_tensor z_view = clattn_dense(CLATTN_F32, 3, (int64_t[]){z.b, z.s, row->n / (z.b * z.s)});
  run_projection(d, &row->file, &into_z, w->variant, y, y_view, stored, z_view);
  for (int64_t i = 0; i < row->n; i++) out[i] = (double)stored[i];
  for (int i = 0; i < 3; i++) free(qkv[i]);
  free(y);
  free(stored);
}
