/* The family `reference`: takes whatever its argument types can say. */
#include <stdio.h>

#include "family.h"

static const char source[] = "reference.cl";

static int64_t groups_for(int64_t elements, size_t group_size)
{
  return elements / (int64_t)group_size + (elements % (int64_t)group_size != 0);
}

/* `items`: work-groups' worth of work; none, no launch. */
static ca_launch *add(const ca_question *question, ca_choice *choice, ca_stage stage, const char *kernel, int64_t items,
                      size_t local_memory_bytes)
{
  if (items == 0) return NULL;
  const size_t size = ca_plan_group_size(question->facts);
  ca_launch *launch = ca_plan_launch(choice, stage, source, kernel, ca_plan_groups(question->facts, items, size), size,
                                     local_memory_bytes);
  snprintf(launch->options, sizeof launch->options, "-DP_WG=%zu -DP_DOUBLE=%d", size,
           choice->real_bytes == sizeof(double));
  return launch;
}

static void add_projections(const ca_question *question, ca_choice *choice)
{
  const ca_projection_problem *p = &question->problem->projection;
  const size_t size = ca_plan_group_size(question->facts);
  for (int i = 0; i < p->n_parts; i++) {
    const int64_t outputs = p->b * p->s * ca_projection_width(&p->part[i]);
    ca_launch *launch =
        add(question, choice, CA_STAGE_projection, "reference_projection", groups_for(outputs, size), 0);
    if (launch) ca_plan_part(launch, i, 1);
  }
}

static void add_scores(const ca_question *question, ca_choice *choice)
{
  const size_t size = ca_plan_group_size(question->facts);
  add(question, choice, CA_STAGE_scores, "reference_scores", groups_for(ca_plan_scores(question->problem), size), 0);
}

static void add_softmax(const ca_question *question, ca_choice *choice)
{
  const size_t size = ca_plan_group_size(question->facts);
  add(question, choice, CA_STAGE_softmax, "reference_softmax", ca_plan_rows(question->problem),
      size * choice->real_bytes);
}

static void add_values(const ca_question *question, ca_choice *choice)
{
  const size_t size = ca_plan_group_size(question->facts);
  add(question, choice, CA_STAGE_values, "reference_values", groups_for(ca_plan_outputs(question->problem), size), 0);
}

/* What the operation's largest stage declares; projection, scores and values declare none. */
static size_t local_bytes(const ca_question *question, const ca_choice *choice)
{
  const size_t size = ca_plan_group_size(question->facts);
  switch (question->operation) {
  case CA_OP_ATTENTION:
    return (CA_MAX_HEAD + 2 * size) * choice->real_bytes;
  case CA_OP_SCORES:
    return question->problem->attention.qk_mode == CA_QK_PROBABILITIES ? size * choice->real_bytes : 0;
  case CA_OP_SOFTMAX:
  case CA_OP_STAGED:
    return size * choice->real_bytes;
  default:
    return 0;
  }
}

bool ca_plan_reference(const ca_question *question, ca_choice *choice, char reason[CA_REASON_BYTES])
{
  const ca_problem *problem = question->problem;
  const size_t size = ca_plan_group_size(question->facts);
  ca_plan_id(question, NULL, choice);
  if (!ca_plan_real(question, choice, reason)) return false;
  const size_t local = local_bytes(question, choice);
  if (!ca_plan_sizes(question, reason) || !ca_plan_fits(question->facts, size, local, reason)) return false;
  if (!ca_plan_writes(question)) return true;
  switch (question->operation) {
  case CA_OP_PROJECTION:
    add_projections(question, choice);
    return true;
  case CA_OP_SCORES:
    if (problem->attention.qk_mode == CA_QK_PROBABILITIES && !ca_plan_score_workspace(question, choice, reason))
      return false;
    add_scores(question, choice);
    if (problem->attention.qk_mode == CA_QK_PROBABILITIES) add_softmax(question, choice);
    return true;
  case CA_OP_SOFTMAX:
    add_softmax(question, choice);
    return true;
  case CA_OP_VALUES:
    add_values(question, choice);
    return true;
  case CA_OP_STAGED:
    if (!ca_plan_score_workspace(question, choice, reason)) return false;
    add_scores(question, choice);
    add_softmax(question, choice);
    add_values(question, choice);
    return true;
  default:
    add(question, choice, CA_STAGE_attention, "reference_attention", ca_plan_rows(problem), local);
    return true;
  }
}
