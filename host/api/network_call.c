/* Reports of the network: checked here, made in host/network. */
#include "ca_network.h"

#include "objects.h"
#include "validate.h"

clattn_status clattn_network_report(clattn_context *context, const clattn_network_desc *desc,
                                    const clattn_host_binding *bindings, uint32_t n_bindings,
                                    clattn_network_head *heads, clattn_report *report)
{
  clattn_network_desc own;
  clattn_attention_desc attention;
  ca_problem problem;
  ca_report_clear(report);
  if (!context) return ca_fail(report, CLATTN_INVALID_ARGUMENT, "context is NULL");
  CA_TRY(ca_validate_network(desc, heads, &own, &attention, &problem, report));
  const bool wide = problem.tensor[CLATTN_Q].dtype == CLATTN_F64 || problem.tensor[CLATTN_K].dtype == CLATTN_F64 ||
                    problem.tensor[CLATTN_MASK].dtype == CLATTN_F64 || problem.tensor[CLATTN_LSE].dtype == CLATTN_F64;
  return ca_network_run(&(ca_network){.context = context,
                                      .desc = &own,
                                      .problem = &problem,
                                      .bindings = bindings,
                                      .n_bindings = n_bindings,
                                      .heads = heads,
                                      .real = wide ? CLATTN_F64 : CLATTN_F32},
                        report);
}

clattn_status clattn_operator_asymmetry(const clattn_tensor *w_q, const void *w_q_data, const clattn_tensor *w_k,
                                        const void *w_k_data, int64_t hq, int64_t hk, double *share,
                                        clattn_report *report)
{
  ca_tensor w[2];
  ca_report_clear(report);
  if (!w_q || !w_k || !share)
    return ca_fail(report, CLATTN_INVALID_ARGUMENT, "%s is NULL", !w_q ? "w_q" : !w_k ? "w_k" : "share");
  CA_TRY(ca_validate_operators(w_q, w_k, hq, hk, w, report));
  if ((w[0].span_elems && !w_q_data) || (w[1].span_elems && !w_k_data))
    return ca_fail(report, CLATTN_INVALID_ARGUMENT, "%s is NULL", w_q_data ? "w_k_data" : "w_q_data");
  return ca_network_operators(w, (const void *const[2]){w_q_data, w_k_data}, hq, hk, share, report);
}
