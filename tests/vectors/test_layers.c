/* Real layers through the public interface: test_layers FILE FAMILY|any PROJECTION_FAMILY|any auto|staged|fused.
 * A layer runs as an application would run it, on buffers from stage to stage; every tensor of its .expect file must be
 * met within 4e-6 x max(1, largest magnitude of that tensor). */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "asserts.h"
#include "device_under_test.h"
#include "safetensors.h"

static const char *file_name, *family, *projection_family;
static int32_t path;

typedef struct layer {
  device_under_test *d;
  st_file in, expect;
  int64_t b, hq, hk, s;
  bool causal;
} layer;

static void read_file(const char *suffix, st_file *file)
{
  char name[512];
  st_error error;
  snprintf(name, sizeof name, "%s/%s%s.safetensors", CLATTN_TEST_DATA, file_name, suffix);
  if (st_read(name, file, &error)) return;
  print_error("%s: %s\n", name, error.text);
  fail();
}

static const st_tensor *need(const st_file *file, const char *name)
{
  const st_tensor *t = st_find(file, name);
  if (!t) print_error("%s has no tensor %s\n", file_name, name);
  assert_non_null(t);
  return t;
}

static clattn_tensor view_of(const st_tensor *t)
{
  return clattn_dense((clattn_dtype)st_type_dtype(t->type), t->rank, t->dim);
}

static clattn_tensor view_if(const st_tensor *t) { return t ? view_of(t) : (clattn_tensor){0}; }

static cl_mem upload(const layer *l, const st_tensor *t) { return device_buffer(l->d, t->bytes, t->data); }

static int64_t count_of(const st_tensor *t)
{
  int64_t n = 1;
  for (int d = 0; d < t->rank; d++) n *= t->dim[d];
  return n;
}

/* Compares a float32 buffer with a tensor of the expect file. */
static void check(const layer *l, const st_file *file, const char *name, cl_mem buffer)
{
  const st_tensor *t = need(file, name);
  const int64_t n = count_of(t);
  double *got = test_alloc(sizeof *got * (size_t)n), *want = test_alloc(sizeof *want * (size_t)n);
  double *allowed = test_alloc(sizeof *allowed * (size_t)n), largest = 1.0, worst = 0.0;
  float *y = test_alloc(t->bytes);
  assert_int_equal(t->type, ST_F32);
  assert_true(t->rank <= 4);
  device_read(l->d, buffer, t->bytes, y);
  for (int64_t i = 0; i < n; i++) {
    got[i] = (double)y[i];
    want[i] = (double)((const float *)t->data)[i];
    if (isfinite(want[i])) largest = fmax(largest, fabs(want[i]));
  }
  for (int64_t i = 0; i < n; i++) {
    allowed[i] = 4e-6 * largest;
    if (isfinite(want[i])) worst = fmax(worst, fabs(got[i] - want[i]));
  }
  closeness c = {.what = name, .problem = file_name, .rank = t->rank, .exact_infinities = true};
  memcpy(c.dim, t->dim, sizeof c.dim);
  const bool close = is_close(&c, got, want, allowed);
  print_message("%s %s: largest error %.2e of %.2e allowed\n", file_name, name, worst, 4e-6 * largest);
  free(got);
  free(want);
  free(allowed);
  free(y);
  if (!close) fail();
}

static void enqueue(const layer *l, clattn_plan *plan, clattn_status status, clattn_report *report,
                    const clattn_binding *bindings, uint32_t n)
{
  assert_status(CLATTN_OK, status, report);
  print_message("%s\n", clattn_plan_variant(plan));
  assert_status(CLATTN_OK, clattn_enqueue(plan, l->d->queue, bindings, n, 0, NULL, NULL, report), report);
  clattn_plan_destroy(plan);
}

/* y = x w^T + bias, rotated where the layer has tables and `rotates`. Weights go packed. */
static cl_mem project(const layer *l, const char *w_name, const char *bias_name, bool rotates, cl_mem x,
                      clattn_tensor x_view, clattn_tensor y_view)
{
  const st_tensor *w = need(&l->in, w_name), *bias = st_find(&l->in, bias_name);
  const st_tensor *cosine = rotates ? st_find(&l->in, "cos_cache") : NULL;
  const st_tensor *sine = rotates ? st_find(&l->in, "sin_cache") : NULL;
  clattn_report report;
  clattn_weights *weights = NULL;
  clattn_weights_desc weights_desc = CLATTN_WEIGHTS_DESC_INIT;
  weights_desc.w = view_of(w);
  weights_desc.variant = projection_family;
  assert_status(CLATTN_OK, clattn_weights_create(l->d->context, &weights_desc, w->data, &weights, &report), &report);
  clattn_projection_desc desc = CLATTN_PROJECTION_DESC_INIT;
  desc.x = x_view;
  desc.y = y_view;
  desc.bias = view_if(bias);
  desc.cos_cache = view_if(cosine);
  desc.sin_cache = view_if(sine);
  desc.weights = weights;
  desc.variant = projection_family;
  clattn_plan *plan = NULL;
  const clattn_status status = clattn_plan_projection(l->d->context, &desc, &plan, &report);
  clattn_weights_destroy(weights);
  clattn_binding b[5] = {{.slot = CLATTN_X, .mem = x}};
  uint32_t n = 1;
  const size_t bytes = sizeof(float) * (size_t)(l->b * l->s * w->dim[0]);
  cl_mem y = device_buffer(l->d, bytes, NULL);
  b[n++] = (clattn_binding){.slot = CLATTN_Y, .mem = y};
  const st_tensor *extra[3] = {bias, cosine, sine};
  static const int32_t slots[3] = {CLATTN_BIAS, CLATTN_COS_CACHE, CLATTN_SIN_CACHE};
  for (int i = 0; i < 3; i++)
    if (extra[i]) b[n++] = (clattn_binding){.slot = slots[i], .mem = upload(l, extra[i])};
  enqueue(l, plan, status, &report, b, n);
  for (uint32_t i = 2; i < n; i++) assert_cl(clReleaseMemObject(b[i].mem));
  return y;
}

/* The slots of attention that stages 2 to 4 share. */
typedef struct heads {
  clattn_attention_desc desc;
  cl_mem q, k, v, mask;
} heads;

static void open_heads(const layer *l, int64_t dk, int64_t dv, const st_tensor *mask, heads *h)
{
  h->desc = (clattn_attention_desc)CLATTN_ATTENTION_DESC_INIT;
  h->desc.flags = l->causal ? CLATTN_CAUSAL : 0;
  h->desc.q = clattn_bhsd(CLATTN_F32, l->b, l->hq, l->s, dk);
  h->desc.k = clattn_bhsd(CLATTN_F32, l->b, l->hk, l->s, dk);
  h->desc.v = clattn_bhsd(CLATTN_F32, l->b, l->hk, l->s, dv);
  h->desc.variant = family;
  h->desc.path = path;
  h->desc.mask = view_if(mask);
  h->mask = mask ? upload(l, mask) : NULL;
}

static uint32_t bind_scores(const heads *h, clattn_binding *b)
{
  uint32_t n = 0;
  b[n++] = (clattn_binding){.slot = CLATTN_Q, .mem = h->q};
  b[n++] = (clattn_binding){.slot = CLATTN_K, .mem = h->k};
  if (h->mask) b[n++] = (clattn_binding){.slot = CLATTN_MASK, .mem = h->mask};
  return n;
}

/* y and lse. */
static cl_mem attend(const layer *l, const heads *h, clattn_tensor y_view, cl_mem *lse)
{
  clattn_binding b[8];
  clattn_report report;
  clattn_plan *plan = NULL;
  clattn_attention_desc desc = h->desc;
  desc.y = y_view;
  desc.lse = clattn_dense(CLATTN_F32, 3, (int64_t[]){l->b, l->hq, l->s});
  const clattn_status status = clattn_plan_attention(l->d->context, &desc, &plan, &report);
  uint32_t n = bind_scores(h, b);
  cl_mem y = device_buffer(l->d, sizeof(float) * (size_t)(l->b * l->hq * l->s * y_view.dim[3]), NULL);
  *lse = device_buffer(l->d, sizeof(float) * (size_t)(l->b * l->hq * l->s), NULL);
  b[n++] = (clattn_binding){.slot = CLATTN_V, .mem = h->v};
  b[n++] = (clattn_binding){.slot = CLATTN_Y, .mem = y};
  b[n++] = (clattn_binding){.slot = CLATTN_LSE, .mem = *lse};
  enqueue(l, plan, status, &report, b, n);
  return y;
}

static void check_scores(const layer *l, const heads *h, int mode, const char *name)
{
  clattn_binding b[8];
  clattn_report report;
  clattn_plan *plan = NULL;
  clattn_attention_desc desc = h->desc;
  desc.qk = clattn_bhsd(CLATTN_F32, l->b, l->hq, l->s, l->s);
  desc.qk_mode = mode;
  const clattn_status status = clattn_plan_scores(l->d->context, &desc, &plan, &report);
  cl_mem qk = device_buffer(l->d, sizeof(float) * (size_t)(l->b * l->hq * l->s * l->s), NULL);
  uint32_t n = bind_scores(h, b);
  b[n++] = (clattn_binding){.slot = CLATTN_QK, .mem = qk};
  enqueue(l, plan, status, &report, b, n);
  check(l, &l->expect, name, qk);
  assert_cl(clReleaseMemObject(qk));
}

static bool label_is_one(const st_file *file, const char *key)
{
  const char *value = st_label_value(file, key);
  return value && !strcmp(value, "1");
}

static void close_heads(const heads *h)
{
  assert_cl(clReleaseMemObject(h->q));
  assert_cl(clReleaseMemObject(h->k));
  assert_cl(clReleaseMemObject(h->v));
  if (h->mask) assert_cl(clReleaseMemObject(h->mask));
}

/* I through W_Q, W_K, W_V, the stages and W_O. */
static void a_whole_layer(void **state)
{
  layer l = {.d = *state};
  heads h;
  read_file("", &l.in);
  read_file(".expect", &l.expect);
  const st_tensor *input = need(&l.in, "I");
  const int64_t width = input->dim[2];
  l.b = input->dim[0];
  l.s = input->dim[1];
  l.hq = strtoll(st_label_value(&l.in, "q_num_heads"), NULL, 10);
  l.hk = strtoll(st_label_value(&l.in, "kv_num_heads"), NULL, 10);
  l.causal = label_is_one(&l.in, "is_causal");
  const int64_t dk = need(&l.in, "W_Q")->dim[0] / l.hq, dv = need(&l.in, "W_V")->dim[0] / l.hk;
  open_heads(&l, dk, dv, st_find(&l.in, "attn_mask"), &h);
  cl_mem x = upload(&l, input);
  h.q = project(&l, "W_Q", "b_Q", true, x, view_of(input), h.desc.q);
  h.k = project(&l, "W_K", "b_K", true, x, view_of(input), h.desc.k);
  h.v = project(&l, "W_V", "b_V", false, x, view_of(input), h.desc.v);
  check(&l, &l.expect, "Q", h.q);
  check(&l, &l.expect, "K", h.k);
  check(&l, &l.expect, "V", h.v);
  check_scores(&l, &h, 0, "A");
  check_scores(&l, &h, 3, "P");
  cl_mem lse, y = attend(&l, &h, clattn_bshd(CLATTN_F32, l.b, l.s, l.hq, dv), &lse);
  check(&l, &l.expect, "lse", lse);
  check(&l, &l.expect, "Y", y);
  const clattn_tensor y_view = clattn_dense(CLATTN_F32, 3, (int64_t[]){l.b, l.s, l.hq * dv});
  const clattn_tensor z_view = clattn_dense(CLATTN_F32, 3, (int64_t[]){l.b, l.s, width});
  cl_mem z = project(&l, "W_O", "b_O", false, y, y_view, z_view);
  check(&l, &l.expect, "Z", z);
  const cl_mem mine[] = {x, y, z, lse};
  for (size_t i = 0; i < sizeof mine / sizeof mine[0]; i++) assert_cl(clReleaseMemObject(mine[i]));
  close_heads(&h);
  st_free(&l.in);
  st_free(&l.expect);
}

/* Q, K and V from the file. */
static void stages_alone(void **state)
{
  layer l = {.d = *state};
  heads h;
  read_file("", &l.in);
  const st_tensor *q = need(&l.in, "Q"), *k = need(&l.in, "K"), *v = need(&l.in, "V");
  l.b = q->dim[0];
  l.hq = q->dim[1];
  l.hk = k->dim[1];
  l.s = q->dim[2];
  l.causal = label_is_one(&l.in, "is_causal");
  open_heads(&l, q->dim[3], v->dim[3], NULL, &h);
  h.q = upload(&l, q);
  h.k = upload(&l, k);
  h.v = upload(&l, v);
  cl_mem lse, y = attend(&l, &h, clattn_bhsd(CLATTN_F32, l.b, l.hq, l.s, v->dim[3]), &lse);
  check(&l, &l.in, "lse", lse);
  check(&l, &l.in, "Y", y);
  assert_cl(clReleaseMemObject(y));
  assert_cl(clReleaseMemObject(lse));
  close_heads(&h);
  st_free(&l.in);
}

static const char *wish(const char *text) { return strcmp(text, "any") ? text : NULL; }

int main(int argc, char **argv)
{
  static const char *const paths[] = {"auto", "staged", "fused"};
  path = -1;
  for (int32_t i = 0; argc == 5 && i < 3; i++)
    if (!strcmp(argv[4], paths[i])) path = i;
  if (path < 0) {
    fprintf(stderr, "usage: %s FILE FAMILY|any PROJECTION_FAMILY|any auto|staged|fused\n", argv[0]);
    return 2;
  }
  file_name = argv[1];
  family = wish(argv[2]);
  projection_family = wish(argv[3]);
  const struct CMUnitTest whole[] = {cmocka_unit_test(a_whole_layer)};
  const struct CMUnitTest stages[] = {cmocka_unit_test(stages_alone)};
  if (strstr(file_name, "-qkv-")) return cmocka_run_group_tests(stages, device_setup, device_teardown);
  return cmocka_run_group_tests(whole, device_setup, device_teardown);
}
