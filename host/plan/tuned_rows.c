#include "tuned_rows.h"

#include <stdio.h>

#include "family.h"

const char *ca_tuned_built_in(uint32_t index)
{
  static const char *const rows[] = {
#define CA_TUNED(text) text,
#include "tuned.def"
#undef CA_TUNED
      NULL};
  return index < sizeof rows / sizeof rows[0] ? rows[index] : NULL;
}

static void take_projection(const ca_problem *problem, ca_tuned_class *problems)
{
  const ca_projection_problem *p = &problem->projection;
  problems->size[CA_TUNED_tokens] = p->b * p->s;
  problems->size[CA_TUNED_n] = ca_plan_columns(problem);
  problems->size[CA_TUNED_e] = p->e;
  problems->size[CA_TUNED_parts] = p->n_parts > 1 ? p->n_parts : 0;
  for (int i = 0; i < p->n_parts; i++)
    if (p->part[i].panel) problems->size[CA_TUNED_panel] = p->part[i].panel;
}

static void take_attention(ca_operation operation, const ca_attention_problem *a, ca_tuned_class *problems)
{
  const bool keys = operation != CA_OP_SOFTMAX, values = operation != CA_OP_SCORES && keys;
  problems->size[CA_TUNED_heads] = a->b * a->hq;
  problems->size[CA_TUNED_group] = keys && a->hk ? a->hq / a->hk : 0;
  problems->size[CA_TUNED_sq] = a->sq;
  problems->size[CA_TUNED_sk] = a->sk;
  problems->size[CA_TUNED_dk] = keys && operation != CA_OP_VALUES ? a->dk : 0;
  problems->size[CA_TUNED_dv] = values ? a->dv : 0;
  problems->size[CA_TUNED_causal] = a->causal;
}

bool ca_tuned_class_of(const ca_problem *problem, ca_tuned_class *problems)
{
  const bool staged = problem->operation == CA_OP_ATTENTION && problem->path == CLATTN_PATH_STAGED;
  const ca_operation operation = staged                            ? CA_OP_STAGED
                                 : problem->operation == CA_OP_MAP ? CA_OP_SCORES
                                                                   : problem->operation;
  const bool is_projection = operation == CA_OP_PROJECTION;
  if (operation == CA_OP_MERGE || (!is_projection && problem->attention.softmax_precision == 11)) return false;
  *problems = (ca_tuned_class){0};
  snprintf(problems->operation, sizeof problems->operation, "%s", ca_operation_text(operation));
  ca_plan_types(problem, operation, problems->types);
  if (is_projection)
    take_projection(problem, problems);
  else
    take_attention(operation, &problem->attention, problems);
  return true;
}
