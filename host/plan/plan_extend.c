/* The launch that every family shares: the extended keys and values (kernels/extend.cl). */
#include <stdio.h>

#include "family.h"
#include "names.h"

bool ca_plan_extend(const ca_question *question, ca_choice *choice, char reason[CA_REASON_BYTES])
{
  const ca_problem *problem = question->problem;
  const ca_attention_problem *a = &problem->attention;
  const ca_facts *facts = question->facts;
  if (!problem->tensor[CLATTN_PRESENT_KEY].present && !problem->tensor[CLATTN_PRESENT_VALUE].present) return true;
  if (ca_has_line(facts->wrong_variants, CA_EXTEND_KIND))
    return ca_refuse(reason, "the extended keys were wrong in the selftest of this device");
  const int64_t factor[3] = {a->b, a->hk, a->sk};
  if (!ca_plan_product("the extended keys", factor, 3, reason)) return false;
  const int64_t rows = a->b * a->hk * a->sk;
  if (rows == 0) return true;
  const size_t size = ca_plan_group_size(facts);
  ca_launch *launch =
      ca_plan_launch(choice, CA_STAGE_extend, "extend.cl", "extend", ca_plan_groups(facts, rows, size), size, 0);
  snprintf(launch->options, sizeof launch->options, "-DP_WG=%zu", size);
  return true;
}
