#include <math.h>
#include <string.h>

#include "accuracy.h"
#include "asserts.h"
#include "numerics.h"
#include "oracle.h"

const st_tensor *file_tensor(const st_file *file, const char *name)
{
  const st_tensor *tensor = st_find(file, name);
  if (!tensor) print_error("no tensor %s\n", name);
  assert_non_null(tensor);
  return tensor;
}

int64_t file_count(const st_tensor *tensor)
{
  int64_t n = 1;
  for (int d = 0; d < tensor->rank; d++) n *= tensor->dim[d];
  return n;
}

double *file_doubles(const st_file *file, const char *name)
{
  const st_tensor *tensor = st_find(file, name);
  if (!tensor) return NULL;
  const int64_t n = file_count(tensor);
  double *numbers = test_alloc(sizeof *numbers * (size_t)n);
  for (int64_t i = 0; i < n; i++) numbers[i] = number_load(st_type_dtype(tensor->type), tensor->data, i);
  return numbers;
}

bool file_is_causal(const st_file *file)
{
  const char *value = st_label_value(file, "is_causal");
  return value && !strcmp(value, "1");
}

static double scale_of(const st_file *file)
{
  const char *value = st_label_value(file, "scale");
  return value ? strtod(value, NULL) : (double)NAN;
}

void attention_row_expect(accuracy_row *row)
{
  const st_tensor *q = file_tensor(&row->file, "Q"), *v = file_tensor(&row->file, "V");
  double *numbers[3] = {file_doubles(&row->file, "Q"), file_doubles(&row->file, "K"), file_doubles(&row->file, "V")};
  const int64_t rows = q->dim[0] * q->dim[1] * q->dim[2], dv = v->dim[3];
  row->n = rows * dv;
  row->y = test_alloc(sizeof(double) * (size_t)row->n);
  row->allowed = test_alloc(sizeof(double) * (size_t)row->n);
  double *s_abs = test_alloc(sizeof *s_abs * (size_t)rows), *pv_abs = row->allowed;
  const oracle_attention oracle = {.b = q->dim[0],
                                   .hq = q->dim[1],
                                   .hk = v->dim[1],
                                   .sq = q->dim[2],
                                   .sk = v->dim[2],
                                   .dk = q->dim[3],
                                   .dv = dv,
                                   .q = numbers[0],
                                   .k = numbers[1],
                                   .v = numbers[2],
                                   .scale = scale_of(&row->file),
                                   .causal = file_is_causal(&row->file),
                                   .window_left = -1,
                                   .window_right = -1,
                                   .y = row->y,
                                   .s_abs = s_abs,
                                   .pv_abs = pv_abs};
  oracle_attention_run(&oracle);
  for (int64_t i = 0; i < row->n; i++)
    row->allowed[i] = (row->dtype == CLATTN_F64 ? accuracy_allowed_f64 : accuracy_allowed)(row->dtype, row->y[i],
                                                                                           pv_abs[i], s_abs[i / dv]);
  for (int i = 0; i < 3; i++) free(numbers[i]);
  free(s_abs);
}

static clattn_tensor view_of(const accuracy_row *row, const st_tensor *tensor)
{
  return clattn_dense((clattn_dtype)row->dtype, 4, tensor->dim);
}

void attention_row_run(const device_under_test *d, const accuracy_row *row, const way *w, double *y)
{
  const st_tensor *q = file_tensor(&row->file, "Q"), *k = file_tensor(&row->file, "K"),
                  *v = file_tensor(&row->file, "V");
  const size_t bytes = number_bytes(row->dtype) * (size_t)row->n;
  void *stored = test_alloc(bytes);
  clattn_attention_desc desc = CLATTN_ATTENTION_DESC_INIT;
  clattn_report report;
  clattn_plan *plan = NULL;
  desc.flags = file_is_causal(&row->file) ? CLATTN_CAUSAL : 0;
  desc.scale = scale_of(&row->file);
  desc.q = view_of(row, q);
  desc.k = view_of(row, k);
  desc.v = view_of(row, v);
  desc.y = clattn_bhsd((clattn_dtype)row->dtype, q->dim[0], q->dim[1], q->dim[2], v->dim[3]);
  desc.variant = w->variant;
  desc.path = w->path;
  assert_status(CLATTN_OK, clattn_plan_attention(d->context, &desc, &plan, &report), &report);
  const clattn_host_binding bindings[] = {{CLATTN_Q, 0, q->data, q->bytes},
                                          {CLATTN_K, 0, k->data, k->bytes},
                                          {CLATTN_V, 0, v->data, v->bytes},
                                          {CLATTN_Y, 0, stored, bytes}};
  assert_status(CLATTN_OK, clattn_run_host(plan, bindings, 4, &report), &report);
  clattn_plan_destroy(plan);
  for (int64_t i = 0; i < row->n; i++) y[i] = number_load(row->dtype, stored, i);
  free(stored);
}
