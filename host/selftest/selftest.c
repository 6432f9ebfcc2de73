#include "selftest.h"

#include <stdio.h>
#include <string.h>

#include "names.h"
#include "trial.h"

typedef struct selftest {
  clattn_context *context;
  clattn_selftest_fn row;
  void *user;
  char *wrong;
  size_t capacity;
  uint32_t count, trial, trials;
  clattn_report *report;
} selftest;

static const ca_trial_table *const tables[] = {&ca_attention_trials, &ca_scores_trials,     &ca_softmax_trials,
                                               &ca_values_trials,    &ca_projection_trials, &ca_merge_trials,
                                               &ca_extend_trials,    &ca_map_trials};
enum { TABLE_COUNT = sizeof tables / sizeof tables[0] };

/* Notes a kind once; true if it is news. */
static bool condemn(selftest *s, const clattn_selftest_row *row)
{
  if (ca_has_line(s->wrong, row->kind)) return false;
  ca_report_line(s->report, "%s: %s (%s)", row->kind, row->reason, row->problem);
  const size_t used = strlen(s->wrong);
  if (used + strlen(row->kind) + 2 <= s->capacity) snprintf(s->wrong + used, s->capacity - used, "%s\n", row->kind);
  s->count++;
  return true;
}

/* A failed call is a verdict on the variant, but for memory and the caller's own mistakes. */
static bool is_fault(clattn_status status)
{
  return status == CLATTN_OPENCL_FAILED || status == CLATTN_BUILD_FAILED || status == CLATTN_INTERNAL;
}

static clattn_status run_plan(const ca_trial *trial, const clattn_plan *plan, clattn_report *report)
{
  clattn_host_binding bindings[CLATTN_SLOT_COUNT];
  clattn_slot_info info = CLATTN_SLOT_INFO_INIT;
  uint32_t count = 0;
  for (uint32_t i = 0; clattn_plan_slot(plan, i, &info) == CLATTN_OK; i++) {
    const ca_part *part = &trial->part[info.slot];
    if (info.slot == CLATTN_WORKSPACE) continue;
    bindings[count++] = (clattn_host_binding){.slot = info.slot, .data = part->data, .bytes = part->bytes};
  }
  return clattn_run_host(plan, bindings, count, report);
}

/* Judges a variant, or the one that the leading part of an id chooses; its id goes to `id`. */
static clattn_status judge(selftest *s, ca_trial *trial, const char *variant, char id[CA_VARIANT_KIND_BYTES],
                           clattn_selftest_row *row, clattn_report *report)
{
  clattn_plan *plan = NULL;
  clattn_status status = trial->plan(s->context, trial, trial->judges ? NULL : variant, &plan, report);
  snprintf(id, CA_VARIANT_KIND_BYTES, "%s", plan && !trial->judges ? clattn_plan_variant(plan) : variant);
  ca_trial_poison(trial);
  if (status == CLATTN_OK) status = run_plan(trial, plan, report);
  clattn_plan_destroy(plan);
  row->status = status;
  row->reason = report->message;
  if (status != CLATTN_OK) return status;
  row->error = ca_trial_error(trial);
  row->right = row->error <= 1.0;
  row->reason = row->right ? "" : "wrong results";
  return status;
}

/* FAMILY_OPERATION of an id. */
static void family_of(const char *id, char family[CA_VARIANT_KIND_BYTES])
{
  const char *end = strchr(id, '_');
  end = end ? strchr(end + 1, '_') : NULL;
  snprintf(family, CA_VARIANT_KIND_BYTES, "%.*s", end ? (int)(end - id) : (int)strlen(id), id);
}

static bool is_family(const char *id)
{
  char family[CA_VARIANT_KIND_BYTES];
  family_of(id, family);
  return strcmp(family, id) == 0;
}

/* Tells the row of a variant; true if its kind is found wrong for the first time. What could not be made of a family
 * has no id, and is told of each of its variants by its own name. */
static bool try_variant(selftest *s, ca_trial *trial, const char *variant, char id[CA_VARIANT_KIND_BYTES])
{
  char kind[CA_VARIANT_KIND_BYTES];
  clattn_report report;
  clattn_selftest_row row = {
      .variant = id, .kind = kind, .problem = trial->text, .trial = s->trial, .trials = s->trials};
  const clattn_status status = judge(s, trial, variant, id, &row, &report);
  const bool wrong = status == CLATTN_OK ? !row.right : is_fault(status);
  ca_variant_kind(id, kind);
  if (wrong && trial->by_family && is_family(id)) return true;
  const bool news = wrong && condemn(s, &row);
  if (s->row) s->row(&row, s->user);
  return news;
}

/* The next line, cut off; NULL past the last. */
static char *next_line(char **rest)
{
  char *line = *rest;
  if (!*line) return NULL;
  const size_t length = strcspn(line, "\n");
  *rest = line + length + (line[length] == '\n');
  line[length] = '\0';
  return line;
}

/* Every id of the list; of a family whose choice is enough, the others only where that choice is wrong, which it was
 * not before: once they have been tried, or all their kinds are wrong, compiling them again tells nothing. */
static void try_list(selftest *s, ca_trial *trial, char *list)
{
  char family[CA_VARIANT_KIND_BYTES], last[CA_VARIANT_KIND_BYTES] = "", ran[CA_VARIANT_KIND_BYTES] = "";
  bool all = true;
  for (char *id = next_line(&list); id; id = next_line(&list)) {
    family_of(id, family);
    if (trial->by_family && strcmp(family, last) != 0) all = try_variant(s, trial, family, ran);
    memcpy(last, family, sizeof last);
    char own[CA_VARIANT_KIND_BYTES];
    if (all && strcmp(id, ran) != 0) try_variant(s, trial, id, own);
  }
}

static clattn_status try_all(selftest *s, ca_trial *trial)
{
  clattn_report list;
  clattn_plan *plan = NULL;
  if (trial->failed) return ca_fail(s->report, CLATTN_OUT_OF_HOST_MEMORY, "no memory for a trial: %s", trial->text);
  if (trial->judges) {
    char id[CA_VARIANT_KIND_BYTES];
    try_variant(s, trial, trial->judges, id);
    return CLATTN_OK;
  }
  const clattn_status status = trial->plan(s->context, trial, CA_NO_VARIANT, &plan, &list);
  if (status != CLATTN_UNKNOWN_VARIANT) { /* no memory to answer */
    if (s->report) *s->report = list;
    return status;
  }
  try_list(s, trial, list.detail);
  return CLATTN_OK;
}

clattn_status ca_selftest_run(clattn_context *context, clattn_selftest_fn row, void *user, char *wrong, size_t capacity,
                              uint32_t *count, clattn_report *report)
{
  selftest s = {.context = context, .row = row, .user = user, .wrong = wrong, .capacity = capacity, .report = report};
  clattn_status status = CLATTN_OK;
  wrong[0] = '\0';
  for (int t = 0; t < TABLE_COUNT; t++) s.trials += (uint32_t)tables[t]->count;
  for (int t = 0; t < TABLE_COUNT; t++)
    for (int i = 0; i < tables[t]->count && status == CLATTN_OK; i++) {
      ca_trial trial = {.random = s.trial++};
      tables[t]->make(i, &trial);
      status = try_all(&s, &trial);
      ca_trial_free(&trial);
    }
  *count = s.count;
  return status;
}
