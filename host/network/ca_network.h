/* What is told of the network that attention is, on the host and in double. Runs through the public interface. */
#ifndef CA_NETWORK_H
#define CA_NETWORK_H

#include "clattn/clattn.h"
#include "problem.h"
#include "report.h"

/* A request that was checked, and the run's arrays. */
typedef struct ca_network {
  clattn_context *context;
  const clattn_network_desc *desc;
  const ca_problem *problem; /* the map of entropies: sizes and views */
  const clattn_host_binding *bindings;
  uint32_t n_bindings;
  clattn_network_head *heads;
  int32_t real; /* of the maps: float64 where an input is */
} ca_network;

clattn_status ca_network_run(const ca_network *network, clattn_report *report);

/* The strongest one-way pairs of every head; desc->n_pairs is not 0, and SQ is SK. */
clattn_status ca_network_pairs(const ca_network *network, clattn_report *report);

/* The array that a slot is bound to; NULL: none. */
const void *ca_network_bound(const ca_network *network, int32_t slot);

clattn_network_head *ca_network_head(const ca_network *network, int64_t head);

/* Plans a map of the network's attention in its real type: desc has the rest. */
clattn_status ca_network_plan(const ca_network *network, clattn_map_desc *desc, const int64_t dim[4],
                              clattn_plan **plan, clattn_report *report);

/* Rows of d numbers, n of them, in an array of the caller's. */
typedef struct ca_rows {
  const void *data;
  int32_t dtype;
  int64_t begin, row_stride, stride; /* elements */
} ca_rows;

/* The share of the antisymmetric part of M = X Y^T, n x n, in its norm, M never formed. *share is NaN where M is zero.
 * @error CLATTN_OUT_OF_HOST_MEMORY */
clattn_status ca_antisymmetric_share(const ca_rows *x, const ca_rows *y, int64_t n, int64_t d, double *share,
                                     clattn_report *report);

/* The same of W_Q^T W_K of each head. */
clattn_status ca_network_operators(const ca_tensor w[2], const void *const data[2], int64_t hq, int64_t hk,
                                   double *share, clattn_report *report);

#endif
