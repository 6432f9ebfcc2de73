/* The family `reference` of merging: one kernel for all types and sizes (kernels/merge.cl). */
#include <stdio.h>

#include "family.h"

bool ca_plan_merge(const ca_question *question, ca_choice *choice, char reason[CA_REASON_BYTES])
{
  const ca_problem *problem = question->problem;
  const ca_facts *facts = question->facts;
  ca_plan_id(question, NULL, choice);
  if (!ca_plan_sizes(question, reason) || !ca_plan_real(question, choice, reason)) return false;
  const int64_t rows = ca_plan_rows(problem);
  if (rows == 0) return true;
  const size_t size = ca_plan_group_size(facts);
  ca_launch *launch =
      ca_plan_launch(choice, CA_STAGE_merge, "merge.cl", "merge", ca_plan_groups(facts, rows, size), size, 0);
  snprintf(launch->options, sizeof launch->options, "-DP_WG=%zu -DP_DOUBLE=%d", size,
           choice->real_bytes == sizeof(double));
  return true;
}
