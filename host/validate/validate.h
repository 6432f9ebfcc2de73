/* From public descriptors to checked problems. Every refusal of a caller's mistake is worded here. */
#ifndef CA_VALIDATE_VALIDATE_H
#define CA_VALIDATE_VALIDATE_H

#include "problem.h"
#include "report.h"

clattn_status ca_validate_attention(const clattn_attention_desc *desc, ca_problem *problem, clattn_report *report);
clattn_status ca_validate_scores(const clattn_attention_desc *desc, ca_problem *problem, clattn_report *report);
clattn_status ca_validate_softmax(const clattn_softmax_desc *desc, ca_problem *problem, clattn_report *report);
clattn_status ca_validate_values(const clattn_values_desc *desc, ca_problem *problem, clattn_report *report);
clattn_status ca_validate_merge(const clattn_merge_desc *desc, ca_problem *problem, clattn_report *report);
clattn_status ca_validate_map(const clattn_map_desc *desc, ca_problem *problem, clattn_report *report);
/* The descriptor of a report of the network, own copies of it and of what it points to, and the map of entropies of
 * whole rows, [B,HQ,SQ,1]: desc->attention is then `attention`. */
clattn_status ca_validate_network(const clattn_network_desc *theirs, const clattn_network_head *heads,
                                  clattn_network_desc *desc, clattn_attention_desc *attention, ca_problem *problem,
                                  clattn_report *report);
/* The operators of hq and hk heads: w[0] [HQ*DK,E], w[1] [HK*DK,E]. */
clattn_status ca_validate_operators(const clattn_tensor *w_q, const clattn_tensor *w_k, int64_t hq, int64_t hk,
                                    ca_tensor w[2], clattn_report *report);
/* weights_tensor: the packed weights' device view when desc->weights is set, else NULL. */
clattn_status ca_validate_projection(const clattn_projection_desc *desc, const clattn_tensor *weights_tensor,
                                     ca_problem *problem, clattn_report *report);
/* The same for Q, K and V; one that is absent has all of it absent. */
clattn_status ca_validate_qkv(const clattn_qkv_desc *desc, const clattn_tensor *const weights_tensor[CA_MAX_PARTS],
                              ca_problem *problem, clattn_report *report);
clattn_status ca_validate_weights(const clattn_weights_desc *desc, ca_tensor *w, clattn_report *report);

#endif
