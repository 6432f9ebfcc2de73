/* Tuned rows: read with a context, told of a plan, kept in a file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "objects.h"
#include "tuned_rows.h"
#include "tuning_file.h"

enum { PATH_BYTES = 4096 };

static void read_file(const char *path, const ca_facts *facts, ca_tuned_table *table, clattn_report *report)
{
  char *text = NULL;
  clattn_report why;
  uint32_t bad, first_bad;
  ca_report_clear(&why);
  if (ca_tuning_read(path, &text, &why) != CLATTN_OK) {
    ca_report_line(report, "%s: ignored", why.message);
    return;
  }
  ca_tuned_read(text, facts, table, &bad, &first_bad);
  if (bad)
    ca_report_line(report, "tuning file %s: %u lines are no rows and ignored, the first is line %u", path,
                   (unsigned)bad, (unsigned)first_bad);
  free(text);
}

void ca_context_read_tuning(clattn_context *context, const char *path, clattn_report *report)
{
  char own[PATH_BYTES];
  ca_tuned *tuned = &context->tuned;
  const char *row;
  if (!path) path = ca_tuning_path_default(own, sizeof own) ? own : "";
  if (*path) read_file(path, &context->facts, &tuned->source[CA_TUNED_FILE], report);
  for (uint32_t i = 0; (row = ca_tuned_built_in(i)) != NULL; i++)
    ca_tuned_add(row, strlen(row), &context->facts, &tuned->source[CA_TUNED_BUILT_IN]);
  context->facts.tuned = tuned;
}

void ca_context_free_tuning(clattn_context *context)
{
  for (int i = 0; i < CA_TUNED_SOURCES; i++) free(context->tuned.source[i].row);
}

clattn_status clattn_plan_candidate(const clattn_plan *plan, uint32_t index, clattn_candidate_info *info)
{
  char id[CA_VARIANT_ID_BYTES];
  if (!plan || !info) return CLATTN_INVALID_ARGUMENT;
  if (info->struct_size < sizeof *info) return CLATTN_INVALID_STRUCT;
  ca_lock_take(&plan->context->judging);
  const bool found = ca_select_candidate(&plan->problem, &plan->context->facts, index, id);
  ca_lock_give(&plan->context->judging);
  if (!found) return CLATTN_INVALID_ARGUMENT;
  *info = (clattn_candidate_info){.struct_size = info->struct_size, .taken = strcmp(id, plan->choice.id) == 0};
  snprintf(info->variant, sizeof info->variant, "%s", id);
  return CLATTN_OK;
}

clattn_status clattn_plan_tuning_row(const clattn_plan *plan, uint32_t flags, char *row, size_t capacity,
                                     clattn_report *report)
{
  const uint32_t known = CLATTN_TUNING_RULES | CLATTN_TUNING_ANY_DRIVER;
  char text[CA_TUNED_LINE_BYTES];
  ca_tuned_row own;
  ca_report_clear(report);
  if (!plan || !row) return ca_fail(report, CLATTN_INVALID_ARGUMENT, "%s is NULL", plan ? "row" : "plan");
  if (flags & ~known)
    return ca_fail(report, CLATTN_INVALID_VALUE, "flags is 0x%x, known are 0x%x", (unsigned)flags, (unsigned)known);
  if (!ca_tuned_class_of(&plan->problem, &own.problems))
    return ca_fail(report, CLATTN_UNSUPPORTED, "%s is not tuned: no row has a say in its choice", plan->choice.id);
  if (flags & CLATTN_TUNING_RULES)
    snprintf(own.kind, sizeof own.kind, "%s", CA_TUNED_RULES);
  else
    ca_variant_kind(plan->choice.id, own.kind);
  ca_tuned_text(&plan->context->facts, &own, flags & CLATTN_TUNING_ANY_DRIVER, text);
  if (strlen(text) >= capacity)
    return ca_fail(report, CLATTN_INVALID_ARGUMENT, "capacity is %zu, the row has %zu bytes", capacity,
                   strlen(text) + 1);
  memcpy(row, text, strlen(text) + 1);
  return CLATTN_OK;
}

clattn_status clattn_tuning_path(char *path, size_t capacity)
{
  return path && ca_tuning_path_default(path, capacity) ? CLATTN_OK : CLATTN_INVALID_ARGUMENT;
}

static clattn_status check_rows(const char *rows, clattn_report *report)
{
  ca_tuned_line line;
  for (const char *at = rows; *at;) {
    const size_t length = strcspn(at, "\n");
    if (!ca_tuned_parse(at, length, &line))
      return ca_fail(report, CLATTN_INVALID_VALUE, "\"%.*s\" is no row of a tuning file", (int)length, at);
    at += length + (at[length] == '\n');
  }
  return CLATTN_OK;
}

clattn_status clattn_tuning_keep(const char *path, const char *rows, clattn_report *report)
{
  static const char header[] = "# clattn: variants measured on devices; a row a line, made by clattn tune\n";
  char own[PATH_BYTES], *old = NULL;
  ca_report_clear(report);
  if (!rows) return ca_fail(report, CLATTN_INVALID_ARGUMENT, "rows is NULL");
  if (!path && !ca_tuning_path_default(own, sizeof own))
    return ca_fail(report, CLATTN_INVALID_ARGUMENT,
                   "path is NULL, and the environment has no CLATTN_TUNING and no home");
  if (!path) path = own;
  CA_TRY(check_rows(rows, report));
  CA_TRY(ca_tuning_read(path, &old, report));
  char *text = ca_tuned_merge(*old ? old : header, rows);
  free(old);
  const clattn_status status =
      text ? ca_tuning_write(path, text, report) : ca_fail(report, CLATTN_OUT_OF_HOST_MEMORY, "no memory for %s", path);
  free(text);
  return status;
}
