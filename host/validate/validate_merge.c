/* The descriptor of merging two partial results. */
#include "take.h"
#include "validate.h"

clattn_status ca_validate_merge(const clattn_merge_desc *theirs, ca_problem *problem, clattn_report *report)
{
  static const ca_tensor_rule rules[6] = {
      {CLATTN_Y1, 4, 4, CA_FLOATS, false, true}, {CLATTN_LSE1, 3, 3, CA_REALS, false, true},
      {CLATTN_Y2, 4, 4, CA_FLOATS, false, true}, {CLATTN_LSE2, 3, 3, CA_REALS, false, true},
      {CLATTN_Y, 4, 4, CA_FLOATS, true, true},   {CLATTN_LSE, 3, 3, CA_REALS, true, false},
  };
  static const char *const names[4] = {"B of y1", "HQ of y1", "SQ of y1", "DV of y1"};
  clattn_merge_desc desc;
  CA_TRY(ca_take_struct(&desc, sizeof desc, theirs, "clattn_merge_desc", report));
  *problem = (ca_problem){.operation = CA_OP_MERGE, .variant = desc.variant};
  CA_TRY(ca_check_flags(desc.flags, 0, report));
  const clattn_tensor *tensors[6] = {&desc.y1, &desc.lse1, &desc.y2, &desc.lse2, &desc.y, &desc.lse};
  for (int i = 0; i < 6; i++) CA_TRY(ca_take_tensor(tensors[i], &rules[i], problem, report));
  const int64_t *dim = problem->tensor[CLATTN_Y1].dim;
  for (int i = 1; i < 6; i++)
    for (int n = 0; n < rules[i].rank_min; n++)
      CA_TRY(ca_want_dim(problem, rules[i].slot, n, dim[n], names[n], report));
  CA_TRY(ca_check_tokens("SQ of y1", dim[2], report));
  problem->attention = (ca_attention_problem){.b = dim[0],
                                              .hq = dim[1],
                                              .hk = dim[1],
                                              .sq = dim[2],
                                              .dv = dim[3],
                                              .window_left = -1,
                                              .window_right = -1,
                                              .qk_mode = CA_QK_NONE};
  return CLATTN_OK;
}
