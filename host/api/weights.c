/* Weights: packed once, in the layout of the variant that will read them. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "arith.h"
#include "numbers.h"
#include "objects.h"
#include "validate.h"

/* The host's rows, gathered dense and converted. */
static void pack_rows(const ca_tensor *w, const void *host, int32_t dtype, void *packed)
{
  const size_t bytes = ca_dtype_bytes(dtype);
  const int64_t n = w->dim[0], e = w->dim[1];
  for (int64_t i = 0; i < n; i++) {
    if (w->dtype == dtype && w->stride[1] == 1) {
      memcpy((char *)packed + (size_t)(i * e) * bytes, (const char *)host + (size_t)(i * w->stride[0]) * bytes,
             (size_t)e * bytes);
      continue;
    }
    for (int64_t j = 0; j < e; j++)
      ca_number_store(dtype, packed, i * e + j, ca_number_load(w->dtype, host, i * w->stride[0] + j * w->stride[1]));
  }
}

clattn_status clattn_weights_create(clattn_context *context, const clattn_weights_desc *desc, const void *host,
                                    clattn_weights **out, clattn_report *report)
{
  ca_report_clear(report);
  if (!out) return ca_fail(report, CLATTN_INVALID_ARGUMENT, "weights is NULL");
  *out = NULL;
  if (!context || !host) return ca_fail(report, CLATTN_INVALID_ARGUMENT, "%s is NULL", context ? "host" : "context");
  ca_tensor w;
  ca_weights_layout layout;
  CA_TRY(ca_validate_weights(desc, &w, report));
  CA_TRY(ca_select_weights(w.dtype, desc->variant, &layout, report));
  int64_t packed_bytes; /* the elements' number is known to fit */
  if (!ca_mul(w.dim[0] * w.dim[1], (int64_t)ca_dtype_bytes(layout.dtype), &packed_bytes) ||
      (context->facts.max_alloc_bytes && (uint64_t)packed_bytes > context->facts.max_alloc_bytes))
    return ca_fail(report, CLATTN_INVALID_SHAPE,
                   "w is %" PRId64 " x %" PRId64 " of %s, more than the device's largest buffer of %" PRIu64 " bytes",
                   w.dim[0], w.dim[1], ca_dtype_text(layout.dtype), context->facts.max_alloc_bytes);
  const size_t bytes = (size_t)packed_bytes;
  clattn_weights *weights = calloc(1, sizeof *weights);
  void *packed = malloc(bytes);
  cl_int error = CL_SUCCESS;
  clattn_status status = CLATTN_OK;
  if (!weights || !packed) {
    status = ca_fail(report, CLATTN_OUT_OF_HOST_MEMORY, "packed weights of %zu bytes", bytes);
  } else {
    pack_rows(&w, host, layout.dtype, packed);
    weights->mem = clCreateBuffer(context->cl, CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR, bytes, packed, &error);
    if (error) status = ca_fail_cl(report, error, "a buffer of %zu bytes for packed weights", bytes);
  }
  free(packed);
  if (status != CLATTN_OK) {
    free(weights);
    return status;
  }
  weights->tensor = clattn_dense((clattn_dtype)layout.dtype, 2, w.dim);
  weights->context = ca_context_retain(context);
  atomic_init(&weights->references, 1);
  *out = weights;
  return CLATTN_OK;
}

clattn_weights *ca_weights_retain(clattn_weights *weights)
{
  atomic_fetch_add(&weights->references, 1);
  return weights;
}

void clattn_weights_destroy(clattn_weights *weights)
{
  if (!weights || atomic_fetch_sub(&weights->references, 1) != 1) return;
  clReleaseMemObject(weights->mem);
  clattn_context_destroy(weights->context);
  free(weights);
}
