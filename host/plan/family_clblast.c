/* The family `clblast`: a projection whose product is CLBlast's; the reference adds bias and rotation. */
#include <inttypes.h>
#include <stdio.h>

#include "family.h"

#ifdef CA_WITH_CLBLAST
#define HAS_CLBLAST true
#else
#define HAS_CLBLAST false
#endif

#define GROUP_SIZE 64 /* of what follows the product */

/* A matrix of float32 with unit last stride whose rows lie at one distance, as a BLAS wants it. */
static bool is_matrix(const char *name, const ca_tensor *t, bool one_distance, char reason[CA_REASON_BYTES])
{
  if (t->dtype != CLATTN_F32) return ca_refuse(reason, "%s is %s, must be f32", name, ca_dtype_text(t->dtype));
  if (!one_distance) return ca_refuse(reason, "the rows of %s do not lie at one distance, or overlap", name);
  return true;
}

static bool x_has_one_distance(const ca_tensor *x, const ca_projection_problem *p)
{
  const bool unit = p->e == 1 || x->stride[2] == 1;
  const bool batches = p->b == 1 || p->s == 1 || x->stride[0] == p->s * x->stride[1];
  const int64_t distance = p->s > 1 ? x->stride[1] : p->b > 1 ? x->stride[0] : p->e;
  return unit && batches && distance >= p->e;
}

static bool w_has_one_distance(const ca_tensor *w, const ca_projection_problem *p)
{
  const bool unit = p->e == 1 || w->stride[1] == 1;
  return unit && (w->dim[0] == 1 || w->stride[0] >= p->e);
}

static bool parts_are_matrices(const ca_problem *problem, char reason[CA_REASON_BYTES])
{
  const ca_projection_problem *p = &problem->projection;
  for (int i = 0; i < p->n_parts; i++) {
    const ca_tensor *w = &problem->tensor[p->part[i].w];
    if (w->present && !is_matrix(ca_slot_text(p->part[i].w), w, w_has_one_distance(w, p), reason)) return false;
  }
  return true;
}

static void add_part(const ca_question *question, int part, ca_choice *choice)
{
  const ca_projection_problem *p = &question->problem->projection;
  const int64_t groups = (p->b * p->s * ca_projection_width(&p->part[part]) + GROUP_SIZE - 1) / GROUP_SIZE;
  if (!groups) return;
  choice->launch[choice->n_launches++] = (ca_launch){.stage = CA_STAGE_clblast_gemm, .part = part, .n_parts = 1};
  ca_launch *finish = ca_plan_launch(choice, CA_STAGE_projection_finish, "reference.cl", "reference_projection_finish",
                                     ca_plan_groups(question->facts, groups, GROUP_SIZE), GROUP_SIZE, 0);
  ca_plan_part(finish, part, 1);
  snprintf(finish->options, sizeof finish->options, "-DP_WG=%d -DP_DOUBLE=0", GROUP_SIZE);
}

bool ca_plan_clblast(const ca_question *question, ca_choice *choice, char reason[CA_REASON_BYTES])
{
  const ca_problem *problem = question->problem;
  const ca_projection_problem *p = &problem->projection;
  const ca_tensor *x = &problem->tensor[CLATTN_X];
  int64_t widest = 0;
  ca_plan_id(question, NULL, choice);
  if (!HAS_CLBLAST) return ca_refuse(reason, "compiled without CLBlast");
  if (!question->forced) return ca_refuse(reason, "CLBlast is taken only by name");
  if (!ca_plan_common(question, reason) || !ca_plan_fits(question->facts, GROUP_SIZE, 0, reason)) return false;
  if (!is_matrix("x", x, x_has_one_distance(x, p), reason) || !parts_are_matrices(problem, reason)) return false;
  if (!ca_plan_writes(question)) return true;
  if (p->e == 0) return ca_refuse(reason, "E is 0, CLBlast wants at least 1");
  for (int i = 0; i < p->n_parts; i++) {
    const int64_t width = ca_projection_width(&p->part[i]);
    widest = width > widest ? width : widest;
  }
  if (!ca_plan_workspace(question, p->b * p->s * widest, choice, reason)) return false;
  for (int i = 0; i < p->n_parts; i++) add_part(question, i, choice);
  return true;
}
