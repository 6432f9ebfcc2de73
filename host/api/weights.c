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

/* Panels keep the type of the host's elements, of four or two bytes. */
static void copy_element(char *to, const char *from, size_t bytes)
{
  if (bytes == sizeof(float))
    memcpy(to, from, sizeof(float));
  else
    memcpy(to, from, sizeof(uint16_t));
}

/* Element [n][e] of the host's goes to panel n / columns, place [e][n % columns]; places past the last row are zero. A
 * few channels of all rows at a time, so that what is fetched of a row is used. */
static void pack_panels(const ca_tensor *w, const void *host, int32_t columns, void *packed)
{
  enum { CHANNELS = 16 };
  const size_t bytes = ca_dtype_bytes(w->dtype);
  const int64_t n = w->dim[0], e = w->dim[1];
  memset(packed, 0, (size_t)(ca_divide_up(n, columns) * columns * e) * bytes);
  for (int64_t first = 0; first < n; first += columns)
    for (int64_t from = 0; from < e; from += CHANNELS)
      for (int64_t i = first; i < first + columns && i < n; i++)
        for (int64_t j = from; j < from + CHANNELS && j < e; j++)
          copy_element((char *)packed + (size_t)(first * e + j * columns + i - first) * bytes,
                       (const char *)host + (size_t)(i * w->stride[0] + j * w->stride[1]) * bytes, bytes);
}

/* Bytes of the weights on the device; false: more than its largest buffer. */
static bool packed_size(const clattn_context *context, const ca_tensor *w, const ca_weights_layout *layout,
                        size_t *bytes)
{
  const int64_t step = layout->panel ? layout->panel : 1;
  int64_t size;
  if (!ca_mul(ca_divide_up(w->dim[0], step) * step, w->dim[1], &size) ||
      !ca_mul(size, (int64_t)ca_dtype_bytes(layout->dtype), &size) ||
      (context->facts.max_alloc_bytes && (uint64_t)size > context->facts.max_alloc_bytes))
    return false;
  *bytes = (size_t)size;
  return true;
}

static clattn_status take_layout(clattn_context *context, int32_t dtype, const char *variant, ca_weights_layout *layout,
                                 clattn_report *report)
{
  ca_lock_take(&context->judging); /* a selftest may write what it found wrong */
  const clattn_status status = ca_select_weights(dtype, variant, &context->facts, layout, report);
  ca_lock_give(&context->judging);
  return status;
}

static clattn_status upload(const clattn_context *context, const ca_tensor *w, const void *host,
                            const ca_weights_layout *layout, size_t bytes, cl_mem *mem, clattn_report *report)
{
  void *packed = malloc(bytes);
  cl_int error = CL_SUCCESS;
  if (!packed) return ca_fail(report, CLATTN_OUT_OF_HOST_MEMORY, "packed weights of %zu bytes", bytes);
  if (layout->panel)
    pack_panels(w, host, layout->panel, packed);
  else
    pack_rows(w, host, layout->dtype, packed);
  *mem = clCreateBuffer(context->cl, CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR, bytes, packed, &error);
  free(packed);
  return error ? ca_fail_cl(report, error, "a buffer of %zu bytes for packed weights", bytes) : CLATTN_OK;
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
  size_t bytes;
  CA_TRY(ca_validate_weights(desc, &w, report));
  CA_TRY(take_layout(context, w.dtype, desc->variant, &layout, report));
  if (!packed_size(context, &w, &layout, &bytes))
    return ca_fail(report, CLATTN_INVALID_SHAPE,
                   "w is %" PRId64 " x %" PRId64 " of %s, more than the device's largest buffer of %" PRIu64 " bytes",
                   w.dim[0], w.dim[1], ca_dtype_text(layout.dtype), context->facts.max_alloc_bytes);
  clattn_weights *weights = calloc(1, sizeof *weights);
  const clattn_status status =
      weights ? upload(context, &w, host, &layout, bytes, &weights->mem, report)
              : ca_fail(report, CLATTN_OUT_OF_HOST_MEMORY, "weights of %zu bytes", sizeof *weights);
  if (status != CLATTN_OK) {
    free(weights);
    return status;
  }
  weights->tensor = clattn_dense((clattn_dtype)layout.dtype, 2, w.dim);
  weights->panel = layout.panel;
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
