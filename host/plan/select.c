#include "select.h"

#include <stdio.h>
#include <string.h>

#include "family.h"
#include "names.h"
#include "tuned_rows.h"

typedef struct variant_row {
  const char *family, *name;
  ca_operation operation;
  ca_planner *plan;
  ca_tile tile;
} variant_row;

static const variant_row rows[] = {
#define CA_VARIANT(family, operation, OPERATION, planner, ...)                                                         \
  {#family, #family "_" #operation, CA_OP_##OPERATION, planner, __VA_ARGS__},
#include "variants.def"
#undef CA_VARIANT
};
enum { ROW_COUNT = sizeof rows / sizeof rows[0] };

/* Attention is fused or staged, a map is made from scores; each other operation is itself. */
static bool row_serves(const variant_row *row, const ca_problem *problem)
{
  if (problem->operation == CA_OP_MAP) return row->operation == CA_OP_SCORES;
  if (problem->operation != CA_OP_ATTENTION) return row->operation == problem->operation;
  if (row->operation == CA_OP_ATTENTION) return problem->path != CLATTN_PATH_STAGED;
  return row->operation == CA_OP_STAGED && problem->path != CLATTN_PATH_FUSED;
}

static bool starts_with(const char *text, const char *lead) { return strncmp(text, lead, strlen(lead)) == 0; }

/* Adds a line to the selection, cut where it is full. */
static void note(char selection[CA_SELECTION_BYTES], const char *id, const char *verdict, const char *reason)
{
  const size_t used = strlen(selection);
  snprintf(selection + used, CA_SELECTION_BYTES - used, "%s: %s%s\n", id, verdict, reason);
}

/* A hint that is not followed is said, in the selection and in the report. */
static void note_precision(const ca_problem *problem, const ca_facts *facts, const ca_choice *choice,
                           char selection[CA_SELECTION_BYTES], clattn_report *report)
{
  if (problem->operation == CA_OP_PROJECTION || problem->attention.softmax_precision != 11) return;
  if (choice->real_bytes == sizeof(double)) return;
  const char *why = facts->has_f64 ? "the variant asked for has no float64" : "the device has no float64";
  note(selection, "softmax_precision 11", "computed in float32, ", why);
  ca_report_line(report, "softmax_precision 11: computed in float32, %s", why);
}

/* The reason of a variant that was chosen before and could not be made, as far as the line goes; false: it was not. */
static bool find_failed(const char *failed, const char *id, char reason[CA_REASON_BYTES])
{
  const size_t length = strlen(id);
  for (const char *line = failed; line && *line; line = strchr(line, '\n') + 1) {
    if (strncmp(line, id, length) || line[length] != ':') continue;
    snprintf(reason, CA_REASON_BYTES, "%.*s", (int)strcspn(line + length + 2, "\n"), line + length + 2);
    return true;
  }
  return false;
}

static bool try_row(const variant_row *row, const ca_problem *problem, const ca_facts *facts, ca_choice *choice,
                    char reason[CA_REASON_BYTES])
{
  const ca_question question = {.problem = problem,
                                .facts = facts,
                                .operation = row->operation,
                                .family = row->family,
                                .tile = row->tile,
                                .forced = problem->variant && starts_with(problem->variant, row->family)};
  *choice = (ca_choice){.real_bytes = sizeof(float)};
  reason[0] = '\0';
  if (!row->plan(&question, choice, reason) || !ca_plan_extend(&question, choice, reason) ||
      !ca_plan_map(&question, choice, reason))
    return false;
  char kind[CA_VARIANT_KIND_BYTES];
  ca_variant_kind(choice->id, kind);
  if (ca_has_line(facts->wrong_variants, kind))
    return ca_refuse(reason, "%s computed wrongly in the selftest of this device", kind);
  return !find_failed(problem->failed, choice->id, reason);
}

/* The same with the row's own variant named in full: the rules of speed do not count, and the id is the problem's. */
static bool try_named(const variant_row *row, const ca_problem *problem, const ca_facts *facts, ca_choice *choice,
                      char reason[CA_REASON_BYTES])
{
  ca_problem named = *problem;
  char id[CA_VARIANT_ID_BYTES];
  try_row(row, problem, facts, choice, reason);
  memcpy(id, choice->id, sizeof id);
  named.variant = id;
  return try_row(row, &named, facts, choice, reason);
}

/* The variant of a tuned row. False where it is none of the problem's, or refuses. */
static bool take_kind(const char *wanted, const ca_problem *problem, const ca_facts *facts, ca_choice *choice,
                      char reason[CA_REASON_BYTES])
{
  char kind[CA_VARIANT_KIND_BYTES];
  for (int i = 0; i < ROW_COUNT; i++) {
    if (!row_serves(&rows[i], problem)) continue;
    const bool accepted = try_named(&rows[i], problem, facts, choice, reason);
    ca_variant_kind(choice->id, kind);
    if (strcmp(kind, wanted) == 0) return accepted;
  }
  return ca_refuse(reason, "this library has no such variant for the problem");
}

/* What tuned rows say of such problems, until one of their variants accepts. Whoever names a variant asks none. */
static bool take_tuned(const ca_problem *problem, const ca_facts *facts, ca_choice *choice,
                       char selection[CA_SELECTION_BYTES])
{
  static const char *const from[CA_TUNED_SOURCES] = {
      [CA_TUNED_FILE] = "the tuning file", [CA_TUNED_BUILT_IN] = "the built-in table"};
  ca_tuned_class own;
  char of[CA_TUNED_CLASS_BYTES], by[CA_TUNED_CLASS_BYTES + 64], reason[CA_REASON_BYTES],
      why[sizeof by + CA_REASON_BYTES + 4];
  if (problem->variant || !facts->tuned || !ca_tuned_class_of(problem, &own)) return false;
  for (int i = 0; i < CA_TUNED_SOURCES; i++) {
    const ca_tuned_row *row = ca_tuned_find(&facts->tuned->source[i], &own);
    if (!row) continue;
    ca_tuned_class_text(&row->problems, of);
    snprintf(by, sizeof by, "tuned by %s for %s", from[i], of);
    if (strcmp(row->kind, CA_TUNED_RULES) == 0) {
      note(selection, CA_TUNED_RULES, by, "");
      return false;
    }
    if (take_kind(row->kind, problem, facts, choice, reason)) {
      note(selection, choice->id, "taken, ", by);
      choice->tuned = true;
      return true;
    }
    snprintf(why, sizeof why, "%s (%s)", reason, by);
    note(selection, row->kind, "refused, ", why);
  }
  return false;
}

/* The first variant that computes rightly although the rules of speed are against it, which do not hold for what is
 * named: where those that they prefer compute wrongly or cannot be made. */
static bool take_any(const ca_problem *problem, const ca_facts *facts, ca_choice *choice)
{
  char reason[CA_REASON_BYTES];
  for (int i = 0; i < ROW_COUNT; i++) {
    if (!row_serves(&rows[i], problem)) continue;
    try_row(&rows[i], problem, facts, choice, reason);
    if (problem->variant && !starts_with(choice->id, problem->variant)) continue;
    if (try_named(&rows[i], problem, facts, choice, reason)) return true;
  }
  return false;
}

bool ca_select_candidate(const ca_problem *problem, const ca_facts *facts, uint32_t index, char id[CA_VARIANT_ID_BYTES])
{
  ca_choice choice;
  char reason[CA_REASON_BYTES];
  for (int i = 0; i < ROW_COUNT; i++) {
    if (!row_serves(&rows[i], problem) || !try_named(&rows[i], problem, facts, &choice, reason) || index-- > 0)
      continue;
    memcpy(id, choice.id, sizeof choice.id);
    return true;
  }
  return false;
}

static clattn_status fail_unknown(const ca_problem *problem, const ca_facts *facts, clattn_report *report)
{
  for (int i = 0; i < ROW_COUNT; i++) {
    ca_choice choice;
    char reason[CA_REASON_BYTES];
    if (!row_serves(&rows[i], problem)) continue;
    try_row(&rows[i], problem, facts, &choice, reason);
    ca_report_line(report, "%s", choice.id);
  }
  return ca_fail(report, CLATTN_UNKNOWN_VARIANT, "variant \"%s\" is none of those for this %s (listed in the detail)",
                 problem->variant, ca_operation_text(problem->operation));
}

clattn_status ca_select(const ca_problem *problem, const ca_facts *facts, ca_choice *choice,
                        char selection[CA_SELECTION_BYTES], clattn_report *report)
{
  char own_selection[CA_SELECTION_BYTES], reason[CA_REASON_BYTES],
      first_refusal[CA_VARIANT_ID_BYTES + CA_REASON_BYTES + 4] = "";
  if (!selection) selection = own_selection;
  selection[0] = '\0';
  if (take_tuned(problem, facts, choice, selection)) {
    note_precision(problem, facts, choice, selection, report);
    return CLATTN_OK;
  }
  for (int i = 0; i < ROW_COUNT; i++) {
    if (!row_serves(&rows[i], problem)) continue;
    const bool accepted = try_row(&rows[i], problem, facts, choice, reason);
    if (problem->variant && !starts_with(choice->id, problem->variant)) continue;
    if (!accepted && !reason[0] && !problem->variant) continue; /* for another kind of device */
    note(selection, choice->id, accepted ? "taken" : "refused, ", reason);
    if (accepted) {
      note_precision(problem, facts, choice, selection, report);
      return CLATTN_OK;
    }
    if (!first_refusal[0]) snprintf(first_refusal, sizeof first_refusal, "%s: %s", choice->id, reason);
  }
  if (take_any(problem, facts, choice)) {
    note(selection, choice->id, "taken", " against the rules of speed: nothing else is left");
    note_precision(problem, facts, choice, selection, report);
    return CLATTN_OK;
  }
  *choice = (ca_choice){0};
  if (!first_refusal[0]) return fail_unknown(problem, facts, report);
  ca_report_line(report, "%s", selection);
  return ca_fail(report, CLATTN_UNSUPPORTED, "no variant takes this %s on %s; the first refusal: %s",
                 ca_operation_text(problem->operation), facts->name, first_refusal);
}

const char *ca_variant_name(uint32_t index)
{
  for (int i = 0; i < ROW_COUNT; i++) {
    const bool another_tile = i > 0 && strcmp(rows[i].name, rows[i - 1].name) == 0;
    if (!another_tile && index-- == 0) return rows[i].name;
  }
  return NULL;
}

/* A family that the selftest found wrong gets no weights that it alone can read. */
static bool is_wrong(const variant_row *row, const ca_facts *facts)
{
  for (const char *at = facts->wrong_variants; *at; at += strcspn(at, "\n"), at += *at == '\n')
    if (starts_with(at, row->name)) return true;
  return false;
}

clattn_status ca_select_weights(int32_t dtype, const char *variant, const ca_facts *facts, ca_weights_layout *layout,
                                clattn_report *report)
{
  *layout = (ca_weights_layout){0};
  for (int i = 0; i < ROW_COUNT; i++) {
    if (rows[i].operation != CA_OP_PROJECTION) continue;
    const bool named = !variant || starts_with(rows[i].name, variant) || starts_with(variant, rows[i].name);
    if (!named) continue;
    /* float64 stays, so that the projection is refused rather than computed from rounded weights */
    const bool widens = strcmp(rows[i].family, "clblast") == 0 && dtype != CLATTN_F64;
    const bool packs = rows[i].plan == ca_plan_packed && (variant || !is_wrong(&rows[i], facts));
    layout->dtype = widens ? CLATTN_F32 : dtype;
    layout->panel = packs ? ca_plan_panel(&rows[i].tile, facts, dtype, variant) : 0;
    if (layout->panel || rows[i].plan != ca_plan_packed) return CLATTN_OK;
  }
  if (layout->dtype) return CLATTN_OK; /* packed by name, and the device has no panels: its plan says why */
  for (uint32_t i = 0; ca_variant_name(i); i++) ca_report_line(report, "%s", ca_variant_name(i));
  return ca_fail(report, CLATTN_UNKNOWN_VARIANT, "variant \"%s\" is no variant of the projection", variant);
}
