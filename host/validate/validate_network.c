/* What the reports of the network and of its operators are given. */
#include <inttypes.h>

#include "take.h"
#include "validate.h"

#define MOST_PAIRS ((int64_t)1 << 20) /* of a head */

static clattn_status check_pairs(const clattn_network_desc *desc, clattn_report *report)
{
  if (desc->n_pairs < 0 || desc->n_pairs > MOST_PAIRS)
    return ca_fail(report, CLATTN_INVALID_VALUE, "n_pairs is %" PRId64 ", must be 0 to %" PRId64, desc->n_pairs,
                   MOST_PAIRS);
  if (desc->n_pairs && !desc->pairs)
    return ca_fail(report, CLATTN_INVALID_ARGUMENT, "n_pairs is %" PRId64 " and pairs is NULL", desc->n_pairs);
  return CLATTN_OK;
}

/* A dimension that will be refused later is none now. */
static int64_t possible(int64_t dim) { return dim < 0 || dim > INT32_MAX ? 0 : dim; }

clattn_status ca_validate_network(const clattn_network_desc *theirs, const clattn_network_head *heads,
                                  clattn_network_desc *desc, clattn_attention_desc *attention, ca_problem *problem,
                                  clattn_report *report)
{
  CA_TRY(ca_take_struct(desc, sizeof *desc, theirs, "clattn_network_desc", report));
  CA_TRY(ca_check_flags(desc->flags, 0, report));
  CA_TRY(check_pairs(desc, report));
  if (!heads) return ca_fail(report, CLATTN_INVALID_ARGUMENT, "heads is NULL");
  CA_TRY(ca_check_element(heads->struct_size, sizeof *heads, _Alignof(clattn_network_head), "heads[0]", report));
  CA_TRY(ca_take_struct(attention, sizeof *attention, desc->attention, "clattn_attention_desc", report));
  desc->attention = attention;
  const int64_t q[3] = {possible(attention->q.dim[0]), possible(attention->q.dim[1]), possible(attention->q.dim[2])};
  const int64_t keys = possible(attention->k.dim[2]);
  clattn_map_desc map = CLATTN_MAP_DESC_INIT;
  map.attention = attention;
  map.quantity = CLATTN_QUANTITY_ENTROPY;
  map.tile_keys = keys;
  map.map = (clattn_tensor){.dtype = CLATTN_F32,
                            .rank = 4,
                            .dim = {q[0], q[1], q[2], keys > 0},
                            .stride = {(q[1] + 1) * (q[2] + 1), q[2] + 1, 1, 1}};
  return ca_validate_map(&map, problem, report);
}

static clattn_status check_rows(const char *name, int64_t rows, const char *heads_name, int64_t heads,
                                clattn_report *report)
{
  if (heads < 1 || rows % heads)
    return ca_fail(report, CLATTN_INVALID_SHAPE, "%s has %" PRId64 " rows, must be a multiple of %s, which is %" PRId64,
                   name, rows, heads_name, heads);
  return CLATTN_OK;
}

clattn_status ca_validate_operators(const clattn_tensor *w_q, const clattn_tensor *w_k, int64_t hq, int64_t hk,
                                    ca_tensor w[2], clattn_report *report)
{
  static const ca_tensor_rule rules[2] = {{CLATTN_W_Q, 2, 2, CA_FLOATS, false, true},
                                          {CLATTN_W_K, 2, 2, CA_FLOATS, false, true}};
  ca_problem problem = {.operation = CA_OP_PROJECTION};
  CA_TRY(ca_take_tensor(w_q, &rules[0], &problem, report));
  CA_TRY(ca_take_tensor(w_k, &rules[1], &problem, report));
  w[0] = problem.tensor[CLATTN_W_Q];
  w[1] = problem.tensor[CLATTN_W_K];
  CA_TRY(ca_want_dim(&problem, CLATTN_W_K, 1, w[0].dim[1], "E of w_q", report));
  CA_TRY(check_rows("w_q", w[0].dim[0], "hq", hq, report));
  CA_TRY(check_rows("w_k", w[1].dim[0], "hk", hk, report));
  if (hq % hk)
    return ca_fail(report, CLATTN_INVALID_SHAPE, "hq is %" PRId64 ", must be a multiple of hk, which is %" PRId64, hq,
                   hk);
  return ca_want_dim(&problem, CLATTN_W_K, 0, w[0].dim[0] / hq * hk, "hk times DK of w_q", report);
}
