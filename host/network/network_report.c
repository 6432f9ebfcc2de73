/* Entropies and what the first token gets, from maps of one column; the asymmetry of A; then the pairs. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ca_network.h"
#include "numbers.h"

const void *ca_network_bound(const ca_network *network, int32_t slot)
{
  for (uint32_t i = 0; i < network->n_bindings; i++)
    if (network->bindings[i].slot == slot) return network->bindings[i].data;
  return NULL;
}

clattn_network_head *ca_network_head(const ca_network *network, int64_t head)
{
  return (clattn_network_head *)((char *)network->heads + (size_t)head * network->heads->struct_size);
}

clattn_status ca_network_plan(const ca_network *network, clattn_map_desc *desc, const int64_t dim[4],
                              clattn_plan **plan, clattn_report *report)
{
  desc->attention = network->desc->attention;
  const int64_t width = dim[3] ? dim[3] : 1, head = (dim[2] ? dim[2] : 1) * width; /* nothing has strides, too */
  desc->map = (clattn_tensor){.dtype = network->real,
                              .rank = 4,
                              .dim = {dim[0], dim[1], dim[2], dim[3]},
                              .stride = {dim[1] * head, head, width, 1}};
  return clattn_plan_map(network->context, desc, plan, report);
}

/* A map of a column [B,HQ,SQ,1] for the caller's arrays, in double. Every mistake in the bindings is found here. */
static clattn_status run_column(const ca_network *network, clattn_map_desc *desc, void *column, size_t bytes,
                                clattn_report *report)
{
  const ca_map_problem *map = &network->problem->map;
  const int64_t dim[4] = {map->b, map->heads, map->rows, map->keys > 0};
  clattn_host_binding all[CLATTN_SLOT_COUNT + 1];
  clattn_plan *plan = NULL;
  CA_TRY(ca_network_plan(network, desc, dim, &plan, report));
  uint32_t n = network->n_bindings;
  const bool fits = n < CLATTN_SLOT_COUNT && (network->bindings || !n); /* more cannot be right, and are told apart */
  if (fits && n) memcpy(all, network->bindings, n * sizeof *all);
  if (fits) all[n++] = (clattn_host_binding){.slot = CLATTN_MAP, .data = column, .bytes = bytes};
  const clattn_status status = clattn_run_host(plan, fits ? all : network->bindings, n, report);
  clattn_plan_destroy(plan);
  return status;
}

static bool has_keys(const ca_network *network, int64_t row)
{
  const ca_map_problem *map = &network->problem->map;
  const ca_tensor *lse = &network->problem->tensor[CLATTN_LSE];
  const int64_t i = row % map->rows, h = row / map->rows % map->heads, b = row / map->rows / map->heads;
  const double value = ca_number_load(lse->dtype, ca_network_bound(network, CLATTN_LSE),
                                      b * lse->stride[0] + h * lse->stride[1] + i * lse->stride[2]);
  return map->keys > 0 && value != -(double)INFINITY;
}

/* Of one head's rows: entropy, and the first key's share. */
static void sum_up(const ca_network *network, int64_t head, const void *entropy, const void *first)
{
  const int64_t n = network->problem->map.rows;
  clattn_network_head *h = ca_network_head(network, head);
  double sum = 0.0, shares = 0.0;
  h->entropy_min = (double)INFINITY;
  h->entropy_max = -(double)INFINITY;
  for (int64_t row = head * n; row < (head + 1) * n; row++) {
    const bool counts = has_keys(network, row);
    double e = counts ? ca_number_load(network->real, entropy, row) : 0.0;
    if (e < 0.0) e = 0.0; /* rounding */
    if (network->desc->row_entropy) network->desc->row_entropy[row] = e;
    if (!counts) continue;
    h->rows++;
    sum += e;
    shares += ca_number_load(network->real, first, row);
    if (!(e >= h->entropy_min) && !isnan(h->entropy_min)) h->entropy_min = e;
    if (!(e <= h->entropy_max) && !isnan(h->entropy_max)) h->entropy_max = e;
  }
  const double rows = (double)h->rows;
  h->entropy_mean = sum / rows; /* none: NaN */
  h->first_share = shares / rows;
  if (!h->rows) h->entropy_min = h->entropy_max = (double)NAN;
}

/* A = scale q k^T: the scale does not change the share. */
static clattn_status share_of(const ca_network *network, int64_t head, clattn_report *report)
{
  const ca_map_problem *map = &network->problem->map;
  const ca_tensor *q = &network->problem->tensor[CLATTN_Q], *k = &network->problem->tensor[CLATTN_K];
  const int64_t b = head / map->heads, h = head % map->heads;
  double *share = &ca_network_head(network, head)->antisymmetric_share;
  *share = (double)NAN;
  if (map->rows != map->keys || network->problem->attention.scale == 0.0) return CLATTN_OK;
  const ca_rows x = {ca_network_bound(network, CLATTN_Q), q->dtype, b * q->stride[0] + h * q->stride[1], q->stride[2],
                     q->stride[3]};
  const ca_rows y = {ca_network_bound(network, CLATTN_K), k->dtype, b * k->stride[0] + h / map->group * k->stride[1],
                     k->stride[2], k->stride[3]};
  return ca_antisymmetric_share(&x, &y, map->rows, network->problem->attention.dk, share, report);
}

static clattn_status run_columns(const ca_network *network, void *entropy, void *first, size_t bytes,
                                 clattn_report *report)
{
  const ca_map_problem *map = &network->problem->map;
  const int64_t heads = map->b * map->heads;
  clattn_map_desc desc = CLATTN_MAP_DESC_INIT;
  desc.quantity = CLATTN_QUANTITY_ENTROPY;
  desc.tile_keys = map->keys;
  CA_TRY(run_column(network, &desc, entropy, bytes, report));
  desc.quantity = CLATTN_QUANTITY_PROBABILITY;
  desc.tile_keys = desc.key_count = map->keys > 0;
  CA_TRY(run_column(network, &desc, first, bytes, report));
  for (int64_t head = 0; head < heads; head++) {
    const uint32_t struct_size = network->heads->struct_size;
    memset(ca_network_head(network, head), 0, struct_size); /* what only a later version knows too */
    ca_network_head(network, head)->struct_size = struct_size;
    sum_up(network, head, entropy, first);
    CA_TRY(share_of(network, head, report));
  }
  return CLATTN_OK;
}

static void no_pairs(const ca_network *network)
{
  const int64_t count = network->problem->map.b * network->problem->map.heads * network->desc->n_pairs;
  for (int64_t i = 0; i < count; i++) network->desc->pairs[i] = (clattn_network_pair){.from = -1, .to = -1};
}

clattn_status ca_network_run(const ca_network *network, clattn_report *report)
{
  const ca_map_problem *map = &network->problem->map;
  const size_t bytes = (size_t)(map->b * map->heads * map->rows) * ca_dtype_bytes(network->real);
  char *columns = malloc(2 * bytes + 1);
  if (!columns) return ca_fail(report, CLATTN_OUT_OF_HOST_MEMORY, "no memory for columns of %zu bytes", bytes);
  const clattn_status status = run_columns(network, columns, columns + bytes, bytes, report);
  free(columns);
  CA_TRY(status);
  no_pairs(network);
  if (!network->desc->n_pairs || map->rows != map->keys || map->b * map->heads * map->rows == 0) return CLATTN_OK;
  return ca_network_pairs(network, report);
}
