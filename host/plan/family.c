#include "family.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "arith.h"
#include "quirks.h"

/* PoCL compiles a kernel once more for a grid of this many work-items or more in one dimension, at the first such
 * launch; a CPU gains nothing from a larger grid. */
#define CPU_GRID_LIMIT 65535
#define GRID_LIMIT INT32_MAX

#define SMALLEST_LANES 4 /* of the tiles of CPU families in variants.def */

bool ca_refuse(char reason[CA_REASON_BYTES], const char *format, ...)
{
  va_list args;
  va_start(args, format);
  vsnprintf(reason, CA_REASON_BYTES, format, args);
  va_end(args);
  return false;
}

/* One name where all types agree, else all of them in the order of the slots. */
static void join_types(const ca_problem *problem, const int32_t *slots, int count, char text[CA_TYPES_BYTES])
{
  bool same = true;
  for (int i = 1; i < count; i++) same = same && problem->tensor[slots[i]].dtype == problem->tensor[slots[0]].dtype;
  text[0] = '\0';
  for (int i = 0; i < (same ? 1 : count); i++) {
    const size_t used = strlen(text);
    snprintf(text + used, CA_TYPES_BYTES - used, "%s", ca_dtype_text(problem->tensor[slots[i]].dtype));
  }
}

/* x and the operators; what these agree in is said once. */
static void projection_types(const ca_problem *problem, char text[CA_TYPES_BYTES])
{
  const ca_projection_problem *p = &problem->projection;
  int32_t slots[1 + CA_MAX_PARTS] = {CLATTN_X};
  bool same = true;
  int count = 1;
  for (int i = 0; i < p->n_parts; i++) {
    const ca_tensor *tensor = problem->tensor;
    if (!tensor[p->part[i].w].present) continue;
    slots[count++] = p->part[i].w;
    same = same && tensor[p->part[i].w].dtype == tensor[slots[1]].dtype;
  }
  join_types(problem, slots, same ? 2 : count, text);
}

void ca_plan_types(const ca_problem *problem, ca_operation operation, char text[CA_TYPES_BYTES])
{
  static const int32_t attention_slots[4] = {CLATTN_Q, CLATTN_K, CLATTN_V, CLATTN_Y};
  static const int32_t merge_slots[3] = {CLATTN_Y1, CLATTN_Y2, CLATTN_Y};
  static const int32_t values_slots[2] = {CLATTN_V, CLATTN_Y};
  switch (operation) {
  case CA_OP_PROJECTION:
    projection_types(problem, text);
    return;
  case CA_OP_SOFTMAX:
    snprintf(text, CA_TYPES_BYTES, "f32");
    return;
  case CA_OP_MERGE:
    join_types(problem, merge_slots, 3, text);
    return;
  case CA_OP_VALUES:
    join_types(problem, values_slots, 2, text);
    return;
  case CA_OP_SCORES:
    join_types(problem, attention_slots, 2, text);
    return;
  default:
    join_types(problem, attention_slots, 4, text);
  }
}

void ca_plan_id(const ca_question *question, const char *tile_text, ca_choice *choice)
{
  const ca_problem *problem = question->problem;
  char types[CA_TYPES_BYTES], head[48] = "";
  ca_plan_types(problem, question->operation, types);
  switch (question->operation) {
  case CA_OP_PROJECTION:
  case CA_OP_SOFTMAX:
    break;
  case CA_OP_MERGE:
  case CA_OP_VALUES:
    snprintf(head, sizeof head, "_d%" PRId64, problem->attention.dv);
    break;
  case CA_OP_SCORES:
    snprintf(head, sizeof head, "_d%" PRId64, problem->attention.dk);
    break;
  default:
    snprintf(head, sizeof head, "_d%" PRId64, problem->attention.dk);
    if (problem->attention.dv != problem->attention.dk)
      snprintf(head, sizeof head, "_d%" PRId64 "v%" PRId64, problem->attention.dk, problem->attention.dv);
  }
  snprintf(choice->id, sizeof choice->id, "%s_%s_%s%s%s%s", question->family, ca_operation_text(question->operation),
           types, head, tile_text ? "_" : "", tile_text ? tile_text : "");
}

static const ca_tensor *f64_tensor(const ca_problem *problem, int32_t *slot)
{
  for (*slot = 1; *slot < CLATTN_SLOT_COUNT; ++*slot) {
    const ca_tensor *t = &problem->tensor[*slot];
    if (t->present && t->dtype == CLATTN_F64) return t;
  }
  return NULL;
}

static bool hints_double(const ca_question *question)
{
  return question->operation != CA_OP_PROJECTION && question->problem->attention.softmax_precision == 11;
}

bool ca_plan_real(const ca_question *question, ca_choice *choice, char reason[CA_REASON_BYTES])
{
  int32_t slot;
  const bool must = f64_tensor(question->problem, &slot) != NULL;
  if (must && !question->facts->has_f64)
    return ca_refuse(reason, "%s is f64, and the device has no float64 (cl_khr_fp64)", ca_slot_text(slot));
  if (must || (hints_double(question) && question->facts->has_f64)) choice->real_bytes = sizeof(double);
  return true;
}

/* A family that computes in float32. The hint of a precision yields to a family that the caller names. */
static bool float_suffices(const ca_question *question, char reason[CA_REASON_BYTES])
{
  int32_t slot;
  if (f64_tensor(question->problem, &slot))
    return ca_refuse(reason, "%s is f64, and %s computes in float32", ca_slot_text(slot), question->family);
  if (hints_double(question) && question->facts->has_f64 && !question->forced)
    return ca_refuse(reason, "softmax_precision is 11 (float64), and %s computes in float32", question->family);
  return true;
}

static bool is_at_most(const char *name, int64_t value, int64_t most, char reason[CA_REASON_BYTES])
{
  if (value > most) return ca_refuse(reason, "%s is %" PRId64 ", the limit is %" PRId64, name, value, most);
  return true;
}

static bool fits_32_bits(const char *name, int64_t value, char reason[CA_REASON_BYTES])
{
  return is_at_most(name, value, INT32_MAX, reason);
}

bool ca_plan_roundable(const char *name, int64_t size, char reason[CA_REASON_BYTES])
{
  return is_at_most(name, size, (int64_t)1 << 30, reason);
}

bool ca_plan_roundable_projection(const ca_question *question, char reason[CA_REASON_BYTES])
{
  const ca_projection_problem *p = &question->problem->projection;
  if (!ca_plan_roundable("E", p->e, reason)) return false;
  for (int i = 0; i < p->n_parts; i++)
    if (!ca_plan_roundable("N", ca_projection_width(&p->part[i]), reason)) return false;
  return true;
}

bool ca_plan_heads_rotate(const ca_problem *problem, int columns, char reason[CA_REASON_BYTES])
{
  const int64_t widest = ca_plan_widest_head(problem);
  if (widest > columns)
    return ca_refuse(reason, "heads that rotate have %" PRId64 " channels, the limit is %d", widest, columns);
  return true;
}

bool ca_plan_product(const char *name, const int64_t *factor, int count, char reason[CA_REASON_BYTES])
{
  int64_t product = 1;
  for (int i = 0; i < count; i++)
    if (!ca_mul(product, factor[i], &product)) return ca_refuse(reason, "%s has more than 2^63 elements", name);
  return true;
}

static bool sizes_fit(const ca_question *question, char reason[CA_REASON_BYTES])
{
  if (question->operation == CA_OP_PROJECTION) {
    const ca_projection_problem *p = &question->problem->projection;
    for (int i = 0; i < p->n_parts; i++) {
      const ca_projection_part *part = &p->part[i];
      const int64_t outputs[4] = {p->b, p->s, part->h, part->d};
      if (!ca_plan_product(ca_slot_text(part->y), outputs, 4, reason) ||
          !fits_32_bits("N", ca_projection_width(part), reason))
        return false;
    }
    return fits_32_bits("B", p->b, reason) && fits_32_bits("S", p->s, reason) && fits_32_bits("E", p->e, reason) &&
           fits_32_bits("rows of cos_cache", question->problem->tensor[CLATTN_COS_CACHE].dim[0], reason);
  }
  const ca_attention_problem *a = &question->problem->attention;
  const int64_t scores[4] = {a->b, a->hq, a->sq, a->sk}, outputs[4] = {a->b, a->hq, a->sq, a->dv};
  return fits_32_bits("B", a->b, reason) && fits_32_bits("HQ", a->hq, reason) &&
         ca_plan_product("the matrix of scores", scores, 4, reason) && ca_plan_product("y", outputs, 4, reason);
}

bool ca_plan_common(const ca_question *question, char reason[CA_REASON_BYTES])
{
  return float_suffices(question, reason) && ca_plan_sizes(question, reason);
}

/* Turns of the loops of one work-item go with keys times channels; this many leave every family below the limit. */
#define MOST_LOOP_WORK (1 << 19)

static bool loops_fit(const ca_question *question, char reason[CA_REASON_BYTES])
{
  if (!(question->facts->quirks & CA_QUIRK_BIT(short_loops)) || question->operation == CA_OP_PROJECTION ||
      question->operation == CA_OP_MERGE)
    return true;
  const ca_attention_problem *a = &question->problem->attention;
  const int64_t step = 16, work = a->sk * ((a->dk > a->dv ? a->dk : a->dv) + step);
  if (work > MOST_LOOP_WORK)
    return ca_refuse(reason, "%" PRId64 " keys are too many: this driver ends a work-item's loops after 65535 turns",
                     a->sk);
  return true;
}

/* Panels are read by the family that they are for, and by the one that takes whatever others refuse. */
static bool reads_weights(const ca_question *question, char reason[CA_REASON_BYTES])
{
  const ca_problem *problem = question->problem;
  if (question->operation != CA_OP_PROJECTION || strcmp(question->family, "packed") == 0 ||
      strcmp(question->family, "reference") == 0)
    return true;
  for (int i = 0; i < problem->projection.n_parts; i++) {
    const ca_projection_part *part = &problem->projection.part[i];
    if (part->panel)
      return ca_refuse(reason, "%s is packed in panels of %" PRId32 " columns, and %s reads rows",
                       ca_slot_text(part->w), part->panel, question->family);
  }
  return true;
}

bool ca_plan_sizes(const ca_question *question, char reason[CA_REASON_BYTES])
{
  const ca_problem *problem = question->problem;
  if (!sizes_fit(question, reason) || !loops_fit(question, reason) || !reads_weights(question, reason)) return false;
  if (question->operation == CA_OP_ATTENTION && problem->attention.qk_mode != CA_QK_NONE)
    return ca_refuse(reason, "qk is asked for, and the fused path has no scores to show");
  /* The largest stage of stages.def has nine buffers, `projections` thirteen. */
  const size_t pointer = question->facts->address_bits == 32 ? 4 : 8;
  const uint64_t bytes = question->operation == CA_OP_PROJECTION ? sizeof(ca_projections_args) + 13 * pointer
                                                                 : sizeof(ca_attention_args) + 9 * pointer;
  if (question->facts->max_parameter_bytes && bytes > question->facts->max_parameter_bytes)
    return ca_refuse(reason, "needs %" PRIu64 " bytes of arguments, has %" PRIu64, bytes,
                     question->facts->max_parameter_bytes);
  return true;
}

int64_t ca_plan_rows(const ca_problem *problem)
{
  return problem->attention.b * problem->attention.hq * problem->attention.sq;
}

int64_t ca_plan_scores(const ca_problem *problem) { return ca_plan_rows(problem) * problem->attention.sk; }

int64_t ca_plan_outputs(const ca_problem *problem) { return ca_plan_rows(problem) * problem->attention.dv; }

int64_t ca_plan_columns(const ca_problem *problem)
{
  int64_t columns = 0;
  for (int i = 0; i < problem->projection.n_parts; i++) columns += ca_projection_width(&problem->projection.part[i]);
  return columns;
}

int64_t ca_plan_widest_head(const ca_problem *problem)
{
  int64_t widest = 0;
  for (int i = 0; i < problem->projection.n_parts; i++) {
    const ca_projection_part *part = &problem->projection.part[i];
    if (part->rotary_dim > 0 && part->d > widest) widest = part->d;
  }
  return widest;
}

int32_t ca_plan_weight_type(const ca_problem *problem, int part)
{
  return problem->tensor[problem->projection.part[part].w].dtype;
}

int ca_plan_parts_alike(const ca_problem *problem, int first)
{
  int count = 1;
  for (; first + count < problem->projection.n_parts; count++) {
    const int32_t type = ca_plan_weight_type(problem, first + count);
    if (type && type != ca_plan_weight_type(problem, first)) break;
  }
  return count;
}

void ca_plan_part(ca_launch *launch, int part, int n_parts)
{
  launch->part = part;
  launch->n_parts = n_parts;
}

bool ca_plan_writes(const ca_question *question)
{
  const ca_problem *problem = question->problem;
  const bool lse = problem->tensor[CLATTN_LSE].present;
  switch (question->operation) {
  case CA_OP_PROJECTION:
    return ca_plan_columns(problem) > 0 && problem->projection.b * problem->projection.s > 0;
  case CA_OP_SCORES:
  case CA_OP_SOFTMAX:
    return ca_plan_scores(problem) > 0 || (lse && ca_plan_rows(problem) > 0);
  default:
    return ca_plan_rows(problem) > 0;
  }
}

bool ca_plan_workspace(const ca_question *question, int64_t elems, ca_choice *choice, char reason[CA_REASON_BYTES])
{
  int64_t bytes;
  if (!ca_mul(elems, (int64_t)choice->real_bytes, &bytes) || (uint64_t)bytes > SIZE_MAX)
    return ca_refuse(reason, "needs a workspace of %" PRId64 " numbers, more than can be addressed", elems);
  const uint64_t limit = question->facts->max_alloc_bytes;
  if (limit && (uint64_t)bytes > limit)
    return ca_refuse(reason, "needs a workspace of %" PRId64 " bytes, the largest buffer has %" PRIu64, bytes, limit);
  choice->workspace_bytes = (size_t)bytes;
  return true;
}

bool ca_plan_score_workspace(const ca_question *question, ca_choice *choice, char reason[CA_REASON_BYTES])
{
  return ca_plan_workspace(question, ca_plan_scores(question->problem), choice, reason);
}

size_t ca_plan_groups(const ca_facts *facts, int64_t items, size_t group_size)
{
  const int64_t grid = facts->type == CA_DEVICE_CPU ? CPU_GRID_LIMIT - 1 : GRID_LIMIT;
  const int64_t most = grid / (int64_t)group_size;
  return (size_t)(items < most ? items : most);
}

ca_launch *ca_plan_launch(ca_choice *choice, ca_stage stage, const char *source, const char *kernel, size_t groups,
                          size_t group_size, size_t local_memory_bytes)
{
  ca_launch *launch = &choice->launch[choice->n_launches++];
  *launch = (ca_launch){.stage = stage,
                        .source = source,
                        .kernel = kernel,
                        .dims = 1,
                        .groups = {groups, 1, 1},
                        .local = {group_size, 1, 1},
                        .local_memory_bytes = local_memory_bytes};
  return launch;
}

bool ca_plan_fits(const ca_facts *facts, size_t group_size, size_t local_memory_bytes, char reason[CA_REASON_BYTES])
{
  if (facts->work_group_size && group_size > facts->work_group_size)
    return ca_refuse(reason, "needs work-groups of %zu, has %" PRIu64, group_size, facts->work_group_size);
  if (facts->local_memory_bytes && local_memory_bytes > facts->local_memory_bytes)
    return ca_refuse(reason, "needs %zu bytes of local memory, has %" PRIu64, local_memory_bytes,
                     facts->local_memory_bytes);
  return true;
}

size_t ca_plan_group_size(const ca_facts *facts)
{
  size_t size = 64;
  while (size > 1 && facts->work_group_size && size > facts->work_group_size) size /= 2;
  return size;
}

bool ca_plan_is_named(const ca_question *question, const char *id)
{
  const char *asked = question->problem->variant;
  const size_t before_tile = (size_t)(strrchr(id, '_') - id) + 1;
  return asked && strlen(asked) > before_tile && strncmp(asked, id, strlen(asked)) == 0;
}

bool ca_plan_lanes(const ca_question *question, const char *id, int lanes, char reason[CA_REASON_BYTES])
{
  const uint64_t width = question->facts->native_width_f32;
  if (width == (uint64_t)lanes || (width >= SMALLEST_LANES && ca_plan_is_named(question, id))) return true;
  return ca_refuse(reason, "vectors of %d floats, the device has %" PRIu64, lanes, width);
}
