/* Planning: validate, select, build, warm up. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "map_steps.h"
#include "names.h"
#include "objects.h"
#include "validate.h"

static double now_ms(void)
{
  struct timespec t;
#ifdef CLOCK_MONOTONIC
  clock_gettime(CLOCK_MONOTONIC, &t); /* a step of the wall clock is no build time */
#else
  timespec_get(&t, TIME_UTC);
#endif
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static bool is_warm(const clattn_plan *plan, ca_program *const *program)
{
  for (uint32_t i = 0; i < plan->choice.n_launches; i++)
    if (!program[i] || !ca_program_is_warm(program[i], plan->choice.launch[i].kernel)) return false;
  return true;
}

/* Launches each kernel that was never launched, so that no run compiles. One plan at a time: CLBlast and some drivers
 * compile inside a first launch and do not expect company. A plan of warm kernels does not wait for the others. */
static clattn_status warm_up(clattn_plan *plan, ca_program *const *program, clattn_report *report)
{
  if (is_warm(plan, program)) return CLATTN_OK;
  clattn_context *context = plan->context;
  cl_command_queue queue = NULL;
  clattn_status status = CLATTN_OK;
  ca_lock *planning = context->parent ? &context->parent->planning : &context->planning;
  ca_lock_take(planning);
  for (uint32_t i = 0; i < plan->choice.n_launches && status == CLATTN_OK; i++) {
    const char *name = plan->choice.launch[i].kernel;
    if (program[i] && ca_program_is_warm(program[i], name)) continue;
    cl_int error = CL_SUCCESS;
    if (!queue) queue = clCreateCommandQueue(context->cl, context->device, 0, &error);
    status = error ? ca_fail_cl(report, error, "a queue for first launches")
                   : ca_launch_warm_up(&plan->problem, &plan->choice, i, plan->kernel[i], context->cl, queue, report);
    if (status == CLATTN_OK && program[i]) ca_program_mark_warm(program[i], name);
  }
  for (uint32_t i = 0; i < plan->choice.n_launches && status == CLATTN_OK && queue; i++)
    if (program[i]) ca_program_store(program[i]);
  ca_lock_give(planning);
  if (queue) clReleaseCommandQueue(queue);
  return status;
}

/* Programs and kernels of one plan: found or built, checked against the facts, warmed up. */
static clattn_status ready_plan(clattn_plan *plan, clattn_report *report)
{
  const double begin = now_ms();
  clattn_context *context = plan->context;
  ca_program *program[CA_MAX_LAUNCHES] = {NULL};
  for (uint32_t i = 0; i < plan->choice.n_launches; i++) {
    const ca_launch *launch = &plan->choice.launch[i];
    if (launch->stage == CA_STAGE_clblast_gemm) continue;
    clattn_program_origin origin;
    CA_TRY(
        ca_program_get(context->programs, launch->source, launch->options, launch->lone, &program[i], &origin, report));
    if (origin > plan->origin) plan->origin = origin;
    CA_TRY(ca_program_kernel(program[i], launch->kernel, &plan->kernel[i], report));
    CA_TRY(ca_launch_check(launch, plan->kernel[i], context->device, &context->facts, report));
  }
  CA_TRY(warm_up(plan, program, report));
  plan->build_ms = now_ms() - begin;
  return CLATTN_OK;
}

static void release_kernels(clattn_plan *plan)
{
  for (uint32_t i = 0; i < CA_MAX_LAUNCHES; i++) {
    if (plan->kernel[i]) clReleaseKernel(plan->kernel[i]);
    plan->kernel[i] = NULL;
  }
}

/* A variant that this driver cannot build or launch is no reason to refuse what another one can do. Whoever works on
 * the kernels of a folder wants to see the compiler's message instead. */
static bool may_try_another(const clattn_plan *plan, clattn_status status)
{
  if (status == CLATTN_UNSUPPORTED) return true;
  return status == CLATTN_BUILD_FAILED && !ca_program_cache_kernel_dir(plan->context->programs);
}

/* What could not be made in this context before. Whoever names a variant wants it tried, and the compiler's message. */
static void recall_failed(clattn_context *context, const ca_problem *problem, char failed[CA_SELECTION_BYTES])
{
  failed[0] = '\0';
  if (problem->variant) return;
  ca_lock_take(&context->judging);
  memcpy(failed, context->failed, sizeof context->failed);
  ca_lock_give(&context->judging);
}

/* Keeps the lines that are new, as far as there is room: a line that is not kept costs another try. */
static void remember_failed(clattn_context *context, const char *failed)
{
  ca_lock_take(&context->judging);
  for (const char *line = failed; *line; line = strchr(line, '\n') + 1) {
    char text[512];
    snprintf(text, sizeof text, "%.*s", (int)strcspn(line, "\n"), line);
    const size_t used = strlen(context->failed);
    if (!ca_has_line(context->failed, text) && used + strlen(text) + 1 < sizeof context->failed)
      snprintf(context->failed + used, sizeof context->failed - used, "%s\n", text);
  }
  ca_lock_give(&context->judging);
}

/* False where there is no room for another line. */
static bool note_failed(char failed[CA_SELECTION_BYTES], const char *id, const clattn_report *why)
{
  const size_t used = strlen(failed), room = CA_SELECTION_BYTES - used;
  const int line = snprintf(failed + used, room, "%s: %.150s\n", id, why->message);
  if ((size_t)line < room) return true;
  failed[used] = '\0';
  return false;
}

/* Selects and readies, one variant after the other until one is ready. What is told in the end is the first failure's
 * report, with all refusals. Only what another variant made up for is remembered: a problem that none takes is told the
 * same each time. */
static clattn_status choose_and_ready(clattn_plan *plan, const ca_problem *asked, clattn_report *report)
{
  clattn_context *context = plan->context;
  char failed[CA_SELECTION_BYTES];
  bool tried = false;
  clattn_report first, now;
  ca_problem problem = *asked;
  problem.failed = failed;
  recall_failed(context, asked, failed);
  ca_report_clear(&first);
  for (;;) {
    ca_report_clear(&now);
    ca_lock_take(&context->judging);
    clattn_status status = ca_select(&problem, &context->facts, &plan->choice, plan->selection, &now);
    ca_lock_give(&context->judging);
    const bool selected = status == CLATTN_OK;
    if (selected) status = ready_plan(plan, &now);
    if (status != CLATTN_OK && first.status == CLATTN_OK) first = now;
    if (status != CLATTN_OK && selected && may_try_another(plan, status) &&
        note_failed(failed, plan->choice.id, &now)) {
      release_kernels(plan);
      tried = true;
      continue;
    }
    if (status == CLATTN_OK && tried) remember_failed(context, failed);
    if (status != CLATTN_OK && !selected && tried) ca_report_line(&first, "%s", now.detail);
    if (report) *report = status == CLATTN_OK ? now : first;
    return status == CLATTN_OK ? status : first.status;
  }
}

/* The packed weights of a projection's parts, and their views; NULL: none. */
typedef struct packed_parts {
  clattn_weights *of[CA_MAX_PARTS];
  const clattn_tensor *view[CA_MAX_PARTS];
} packed_parts;

/* From a checked problem to a plan. */
static clattn_status make_plan(clattn_context *context, const ca_problem *problem, const packed_parts *weights,
                               double begin, clattn_plan **out, clattn_report *report)
{
  clattn_plan *plan = calloc(1, sizeof *plan);
  if (!plan) return ca_fail(report, CLATTN_OUT_OF_HOST_MEMORY, "a plan of %zu bytes", sizeof *plan);
  plan->context = ca_context_retain(context);
  for (int i = 0; weights && i < CA_MAX_PARTS; i++)
    plan->weights[i] = weights->of[i] ? ca_weights_retain(weights->of[i]) : NULL;
  plan->problem = *problem;
  plan->problem.variant = NULL;
  ca_lock_init(&plan->launching);
  const clattn_status status = choose_and_ready(plan, problem, report);
  if (status != CLATTN_OK) {
    clattn_plan_destroy(plan);
    return status;
  }
  plan->plan_ms = now_ms() - begin;
  *out = plan;
  return CLATTN_OK;
}

static clattn_status check_arguments(const clattn_context *context, clattn_plan **plan, clattn_report *report)
{
  ca_report_clear(report);
  if (!plan) return ca_fail(report, CLATTN_INVALID_ARGUMENT, "plan is NULL");
  *plan = NULL;
  if (!context) return ca_fail(report, CLATTN_INVALID_ARGUMENT, "context is NULL");
  return CLATTN_OK;
}

clattn_status clattn_plan_attention(clattn_context *context, const clattn_attention_desc *desc, clattn_plan **plan,
                                    clattn_report *report)
{
  const double begin = now_ms();
  ca_problem problem;
  CA_TRY(check_arguments(context, plan, report));
  CA_TRY(ca_validate_attention(desc, &problem, report));
  return make_plan(context, &problem, NULL, begin, plan, report);
}

clattn_status clattn_plan_scores(clattn_context *context, const clattn_attention_desc *desc, clattn_plan **plan,
                                 clattn_report *report)
{
  const double begin = now_ms();
  ca_problem problem;
  CA_TRY(check_arguments(context, plan, report));
  CA_TRY(ca_validate_scores(desc, &problem, report));
  return make_plan(context, &problem, NULL, begin, plan, report);
}

clattn_status clattn_plan_softmax(clattn_context *context, const clattn_softmax_desc *desc, clattn_plan **plan,
                                  clattn_report *report)
{
  const double begin = now_ms();
  ca_problem problem;
  CA_TRY(check_arguments(context, plan, report));
  CA_TRY(ca_validate_softmax(desc, &problem, report));
  return make_plan(context, &problem, NULL, begin, plan, report);
}

clattn_status clattn_plan_values(clattn_context *context, const clattn_values_desc *desc, clattn_plan **plan,
                                 clattn_report *report)
{
  const double begin = now_ms();
  ca_problem problem;
  CA_TRY(check_arguments(context, plan, report));
  CA_TRY(ca_validate_values(desc, &problem, report));
  return make_plan(context, &problem, NULL, begin, plan, report);
}

static clattn_status find_weights(const clattn_context *context, const clattn_weights *const said[CA_MAX_PARTS],
                                  packed_parts *weights, clattn_report *report)
{
  *weights = (packed_parts){{NULL}, {NULL}};
  for (int i = 0; i < CA_MAX_PARTS; i++) {
    if (!said[i]) continue;
    memcpy(&weights->of[i], &said[i], sizeof weights->of[i]); /* a plan counts as a user of them */
    weights->view[i] = &weights->of[i]->tensor;
    if (weights->of[i]->context->cl != context->cl)
      return ca_fail(report, CLATTN_INVALID_ARGUMENT, "weights belong to another context");
  }
  return CLATTN_OK;
}

static void note_panels(const packed_parts *weights, ca_projection_problem *problem)
{
  for (int i = 0; i < CA_MAX_PARTS; i++)
    if (weights->of[i]) problem->part[i].panel = weights->of[i]->panel;
}

clattn_status clattn_plan_projection(clattn_context *context, const clattn_projection_desc *desc, clattn_plan **plan,
                                     clattn_report *report)
{
  const double begin = now_ms();
  ca_problem problem;
  packed_parts weights;
  CA_TRY(check_arguments(context, plan, report));
  if (!desc) return ca_fail(report, CLATTN_INVALID_ARGUMENT, "clattn_projection_desc is NULL");
  const bool whole = desc->struct_size >= sizeof *desc;
  const clattn_weights *said[CA_MAX_PARTS] = {whole ? desc->weights : NULL};
  CA_TRY(find_weights(context, said, &weights, report));
  CA_TRY(ca_validate_projection(desc, weights.view[0], &problem, report));
  note_panels(&weights, &problem.projection);
  return make_plan(context, &problem, &weights, begin, plan, report);
}

clattn_status clattn_plan_qkv(clattn_context *context, const clattn_qkv_desc *desc, clattn_plan **plan,
                              clattn_report *report)
{
  const double begin = now_ms();
  ca_problem problem;
  packed_parts weights;
  CA_TRY(check_arguments(context, plan, report));
  if (!desc) return ca_fail(report, CLATTN_INVALID_ARGUMENT, "clattn_qkv_desc is NULL");
  const bool whole = desc->struct_size >= sizeof *desc;
  const clattn_weights *said[CA_MAX_PARTS] = {whole ? desc->weights_q : NULL, whole ? desc->weights_k : NULL,
                                              whole ? desc->weights_v : NULL};
  CA_TRY(find_weights(context, said, &weights, report));
  CA_TRY(ca_validate_qkv(desc, weights.view, &problem, report));
  note_panels(&weights, &problem.projection);
  return make_plan(context, &problem, &weights, begin, plan, report);
}

clattn_status clattn_plan_merge(clattn_context *context, const clattn_merge_desc *desc, clattn_plan **plan,
                                clattn_report *report)
{
  const double begin = now_ms();
  ca_problem problem;
  CA_TRY(check_arguments(context, plan, report));
  CA_TRY(ca_validate_merge(desc, &problem, report));
  return make_plan(context, &problem, NULL, begin, plan, report);
}

clattn_status clattn_plan_map(clattn_context *context, const clattn_map_desc *desc, clattn_plan **plan,
                              clattn_report *report)
{
  const double begin = now_ms();
  ca_problem problem;
  CA_TRY(check_arguments(context, plan, report));
  CA_TRY(ca_validate_map(desc, &problem, report));
  return make_plan(context, &problem, NULL, begin, plan, report);
}

void clattn_plan_destroy(clattn_plan *plan)
{
  if (!plan) return;
  release_kernels(plan);
  for (int i = 0; i < CA_MAX_PARTS; i++) clattn_weights_destroy(plan->weights[i]);
  clattn_context_destroy(plan->context);
  ca_lock_destroy(&plan->launching);
  free(plan);
}

size_t clattn_plan_workspace_bytes(const clattn_plan *plan) { return plan ? plan->choice.workspace_bytes : 0; }
const char *clattn_plan_variant(const clattn_plan *plan) { return plan ? plan->choice.id : ""; }
const char *clattn_variant_name(uint32_t index) { return ca_variant_name(index); }

uint64_t ca_plan_launches(const clattn_plan *plan)
{
  const bool steps = plan->problem.operation == CA_OP_MAP;
  return plan->choice.n_launches * (steps ? (uint64_t)ca_map_steps(&plan->problem) : 1);
}

clattn_status clattn_plan_get_info(const clattn_plan *plan, clattn_plan_info *info)
{
  if (!plan || !info) return CLATTN_INVALID_ARGUMENT;
  if (info->struct_size < sizeof *info) return CLATTN_INVALID_STRUCT;
  *info = (clattn_plan_info){
      .struct_size = info->struct_size,
      .origin = (int32_t)plan->origin,
      .variant = plan->choice.id,
      .selection = plan->selection,
      .workspace_bytes = plan->choice.workspace_bytes,
      .plan_ms = plan->plan_ms,
      .build_ms = plan->build_ms,
      .kernels = (uint32_t)ca_plan_launches(plan),
      .tuned = plan->choice.tuned,
  };
  return CLATTN_OK;
}

size_t ca_plan_slot_bytes(const clattn_plan *plan, int32_t slot)
{
  if (slot == CLATTN_WORKSPACE) return plan->choice.workspace_bytes;
  const ca_tensor *t = &plan->problem.tensor[slot];
  return (size_t)t->span_elems * ca_dtype_bytes(t->dtype);
}

bool ca_plan_wants(const clattn_plan *plan, int32_t slot)
{
  for (int i = 0; i < CA_MAX_PARTS; i++)
    if (plan->weights[i] && plan->problem.projection.part[i].w == slot) return false;
  return plan->problem.tensor[slot].present;
}

clattn_status clattn_plan_slot(const clattn_plan *plan, uint32_t index, clattn_slot_info *info)
{
  if (!plan || !info) return CLATTN_INVALID_ARGUMENT;
  if (info->struct_size < sizeof *info) return CLATTN_INVALID_STRUCT;
  uint32_t at = 0;
  for (int32_t slot = 1; slot < CLATTN_SLOT_COUNT; slot++) {
    const bool workspace = slot == CLATTN_WORKSPACE && plan->choice.workspace_bytes;
    if (!workspace && !ca_plan_wants(plan, slot)) continue;
    if (at++ != index) continue;
    const ca_tensor *t = &plan->problem.tensor[slot];
    *info =
        (clattn_slot_info){.struct_size = info->struct_size,
                           .slot = slot,
                           .output = workspace || t->output,
                           .optional = workspace,
                           .align = workspace ? (int32_t)plan->choice.real_bytes : (int32_t)ca_dtype_bytes(t->dtype),
                           .bytes = ca_plan_slot_bytes(plan, slot)};
    return CLATTN_OK;
  }
  return CLATTN_INVALID_ARGUMENT;
}
