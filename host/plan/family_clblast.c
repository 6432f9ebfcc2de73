/* The family `clblast`: a projection whose product is CLBlast's; the reference adds bias and rotation. */
#include <inttypes.h>
#include <stdio.h>

#include "family.h"

#ifdef CA_WITH_CLBLAST
#define HAS_CLBLAST true
#else
#define HAS_CLBLAST false
#endif

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

bool ca_plan_clblast(const ca_question *question, ca_choice *choice, char reason[CA_REASON_BYTES])
{
  enum { GROUP = 64 };
  const ca_problem *problem = question->problem;
  const ca_projection_problem *p = &problem->projection;
  ca_plan_id(question, NULL, choice);
  if (!HAS_CLBLAST) return ca_refuse(reason, "compiled without CLBlast");
  if (!question->forced) return ca_refuse(reason, "CLBlast is taken only by name");
  if (!ca_plan_common(question, reason) || !ca_plan_fits(question->facts, GROUP, 0, reason)) return false;
  const ca_tensor *x = &problem->tensor[CLATTN_X], *w = &problem->tensor[CLATTN_W];
  if (!is_matrix("x", x, x_has_one_distance(x, p), reason) || !is_matrix("w", w, w_has_one_distance(w, p), reason))
    return false;
  const int64_t n = p->h * p->d;
  if (!ca_plan_writes(question)) return true;
  if (p->e == 0) return ca_refuse(reason, "E is 0, CLBlast wants at least 1");
  if (!ca_plan_workspace(question, p->b * p->s * n, choice, reason)) return false;
  choice->launch[choice->n_launches++] = (ca_launch){.stage = CA_STAGE_clblast_gemm};
  const int64_t groups = (p->b * p->s * n + GROUP - 1) / GROUP;
  ca_launch *finish = ca_plan_launch(choice, CA_STAGE_projection_finish, "reference.cl", "reference_projection_finish",
                                     ca_plan_groups(question->facts, groups, GROUP), GROUP, 0);
  snprintf(finish->options, sizeof finish->options, "-DP_WG=%d -DP_DOUBLE=0", GROUP);
  return true;
}
