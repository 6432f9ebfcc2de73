#include "selftest.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "names.h"
#include "trials.h"

typedef struct selftest {
  clattn_context *context;
  clattn_selftest_fn row;
  void *user;
  char *wrong;
  size_t capacity;
  uint32_t count;
  clattn_report *report;
} selftest;

/* One tensor of a trial: where it belongs, and its bytes on the host. */
typedef struct part {
  int32_t slot;
  void *data;
  size_t bytes;
} part;

static size_t dense_bytes(const clattn_tensor *t)
{
  size_t n = clattn_dtype_bytes((clattn_dtype)t->dtype);
  for (int32_t i = 0; i < t->rank; i++) n *= (size_t)t->dim[i];
  return n;
}

/* Notes the kind of a variant once. */
static void condemn(selftest *s, const char *variant, const char *why)
{
  char kind[CA_VARIANT_KIND_BYTES];
  ca_variant_kind(variant, kind);
  ca_report_line(s->report, "%s: %s", kind, why);
  if (ca_has_line(s->wrong, kind)) return;
  const size_t used = strlen(s->wrong);
  if (used + strlen(kind) + 2 <= s->capacity) snprintf(s->wrong + used, s->capacity - used, "%s\n", kind);
  s->count++;
}

static void tell(selftest *s, const clattn_selftest_row *row)
{
  if (s->row) s->row(row, s->user);
}

/* A failed call is a verdict on the variant, but for memory and the caller's own mistakes. */
static bool is_fault(clattn_status status)
{
  return status == CLATTN_OPENCL_FAILED || status == CLATTN_BUILD_FAILED || status == CLATTN_INTERNAL;
}

static clattn_attention_desc describe(ca_trial_data *data, part parts[8], uint32_t *n)
{
  const ca_trial *t = &data->trial;
  const clattn_dtype dtype = (clattn_dtype)t->dtype;
  clattn_attention_desc desc = CLATTN_ATTENTION_DESC_INIT;
  desc.q = clattn_bhsd(dtype, t->b, t->hq, t->sq, t->dk);
  desc.k = clattn_bhsd(dtype, t->b, t->hk, t->sk, t->dk);
  desc.v = clattn_bhsd(dtype, t->b, t->hk, t->sk, t->dv);
  desc.y = clattn_bhsd(dtype, t->b, t->hq, t->sq, t->dv);
  desc.lse = clattn_dense(CLATTN_F32, 3, (const int64_t[]){t->b, t->hq, t->sq});
  desc.softcap = t->softcap;
  desc.window_left = t->left;
  desc.flags = t->causal ? CLATTN_CAUSAL : 0;
  if (t->past) {
    desc.past_key = clattn_bhsd(dtype, t->b, t->hk, t->past, t->dk);
    desc.past_value = clattn_bhsd(dtype, t->b, t->hk, t->past, t->dv);
  }
  if (t->mask != CA_TRIAL_NO_MASK)
    desc.mask =
        clattn_dense(t->mask == CA_TRIAL_BOOL ? CLATTN_BOOL : dtype, 2, (const int64_t[]){t->sq, t->past + t->sk});
  const struct {
    int32_t slot;
    const clattn_tensor *view;
    void *data;
  } all[8] = {{CLATTN_Q, &desc.q, data->q},
              {CLATTN_K, &desc.k, data->k},
              {CLATTN_V, &desc.v, data->v},
              {CLATTN_Y, &desc.y, data->y},
              {CLATTN_LSE, &desc.lse, data->lse},
              {CLATTN_MASK, &desc.mask, data->mask},
              {CLATTN_PAST_KEY, &desc.past_key, data->past_k},
              {CLATTN_PAST_VALUE, &desc.past_value, data->past_v}};
  *n = 0;
  for (int i = 0; i < 8; i++)
    if (all[i].view->rank) parts[(*n)++] = (part){all[i].slot, all[i].data, dense_bytes(all[i].view)};
  return desc;
}

static void try_variant(selftest *s, ca_trial_data *data, const char *variant)
{
  part parts[8];
  uint32_t n;
  clattn_report report;
  clattn_plan *plan = NULL;
  clattn_host_binding bindings[8];
  clattn_attention_desc desc = describe(data, parts, &n);
  desc.variant = variant;
  clattn_status status = clattn_plan_attention(s->context, &desc, &plan, &report);
  const size_t rows = (size_t)(data->trial.b * data->trial.hq * data->trial.sq);
  const size_t y_bytes = rows * (size_t)data->trial.dv * clattn_dtype_bytes((clattn_dtype)data->trial.dtype);
  memset(data->y, 0xff, y_bytes); /* no numbers: what is not written does not pass */
  memset(data->lse, 0xff, rows * sizeof(float));
  for (uint32_t i = 0; i < n; i++)
    bindings[i] = (clattn_host_binding){.slot = parts[i].slot, .data = parts[i].data, .bytes = parts[i].bytes};
  if (status == CLATTN_OK) status = clattn_run_host(plan, bindings, n, &report);
  clattn_plan_destroy(plan);
  clattn_selftest_row row = {.variant = variant, .problem = data->text, .status = status, .reason = report.message};
  if (status == CLATTN_OK) {
    row.error = ca_trial_error(data);
    row.right = row.error <= 1.0;
    row.reason = row.right ? "" : "wrong results";
    if (!row.right) condemn(s, variant, "wrong results");
  } else if (is_fault(status)) {
    condemn(s, variant, report.message);
  }
  tell(s, &row);
}

/* Every id for this trial: an unknown name is answered with the list. */
static clattn_status try_all(selftest *s, ca_trial_data *data)
{
  part parts[8];
  uint32_t n;
  clattn_report list;
  clattn_plan *plan = NULL;
  clattn_attention_desc desc = describe(data, parts, &n);
  desc.variant = "?";
  const clattn_status status = clattn_plan_attention(s->context, &desc, &plan, &list);
  if (status != CLATTN_UNKNOWN_VARIANT) { /* no memory to answer */
    if (s->report) *s->report = list;
    return status;
  }
  for (char *at = list.detail; *at;) {
    const size_t length = strcspn(at, "\n");
    const bool last = at[length] == '\0';
    at[length] = '\0';
    if (length) try_variant(s, data, at);
    at += length + !last;
  }
  return CLATTN_OK;
}

clattn_status ca_selftest_run(clattn_context *context, clattn_selftest_fn row, void *user, char *wrong, size_t capacity,
                              uint32_t *count, clattn_report *report)
{
  selftest s = {.context = context, .row = row, .user = user, .wrong = wrong, .capacity = capacity, .report = report};
  ca_trial trial;
  clattn_status status = CLATTN_OK;
  wrong[0] = '\0';
  for (int i = 0; status == CLATTN_OK && ca_trial_at(i, &trial); i++) {
    ca_trial_data data;
    status = ca_trial_make(&trial, &data) ? try_all(&s, &data)
                                          : ca_fail(report, CLATTN_OUT_OF_HOST_MEMORY, "no memory for a trial");
    ca_trial_free(&data);
  }
  *count = s.count;
  return status;
}
