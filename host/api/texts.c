/* Small public helpers that need no object. */
#include <string.h>

#include "clattn/clattn.h"
#include "numbers.h"

uint32_t clattn_version(void)
{
  return CLATTN_VERSION_MAJOR * 10000 + CLATTN_VERSION_MINOR * 100 + CLATTN_VERSION_PATCH;
}

const char *clattn_status_name(clattn_status status)
{
  switch (status) {
#define STATUS_NAME(name, value, text)                                                                                 \
  case name:                                                                                                           \
    return #name;
    CLATTN_STATUS_LIST(STATUS_NAME)
#undef STATUS_NAME
  }
  return "?";
}

const char *clattn_status_text(clattn_status status)
{
  switch (status) {
#define STATUS_TEXT(name, value, text)                                                                                 \
  case name:                                                                                                           \
    return text;
    CLATTN_STATUS_LIST(STATUS_TEXT)
#undef STATUS_TEXT
  }
  return "an unknown status";
}

const char *clattn_dtype_text(clattn_dtype dtype) { return ca_dtype_text((int32_t)dtype); }
size_t clattn_dtype_bytes(clattn_dtype dtype) { return ca_dtype_bytes((int32_t)dtype); }
const char *clattn_slot_text(clattn_slot slot) { return ca_slot_text((int32_t)slot); }

clattn_status clattn_convert(clattn_dtype to, void *out, clattn_dtype from, const void *in, size_t n)
{
  if (!ca_dtype_is_float((int32_t)to) || !ca_dtype_is_float((int32_t)from)) return CLATTN_INVALID_DTYPE;
  if (n && (!out || !in)) return CLATTN_INVALID_ARGUMENT;
  for (size_t i = 0; i < n; i++)
    ca_number_store((int32_t)to, out, (int64_t)i, ca_number_load((int32_t)from, in, (int64_t)i));
  return CLATTN_OK;
}

clattn_tensor clattn_dense(clattn_dtype dtype, int32_t rank, const int64_t *dim)
{
  clattn_tensor t = {.dtype = (int32_t)dtype, .rank = rank};
  if (rank < 0 || rank > 4) return t; /* refused by name where it is used */
  int64_t stride = 1;
  for (int32_t i = rank - 1; i >= 0; i--) {
    t.dim[i] = dim[i];
    t.stride[i] = stride;
    /* A product past 63 bits stays at the largest stride, which validation refuses. */
    stride = dim[i] > 0 && stride > INT64_MAX / dim[i] ? INT64_MAX : stride * (dim[i] > 0 ? dim[i] : 1);
  }
  return t;
}

clattn_tensor clattn_bhsd(clattn_dtype dtype, int64_t b, int64_t h, int64_t s, int64_t d)
{
  return clattn_dense(dtype, 4, (const int64_t[]){b, h, s, d});
}

clattn_tensor clattn_bshd(clattn_dtype dtype, int64_t b, int64_t s, int64_t h, int64_t d)
{
  clattn_tensor t = clattn_dense(dtype, 4, (const int64_t[]){b, s, h, d});
  const int64_t token_stride = t.stride[1], head_stride = t.stride[2];
  t.dim[1] = h;
  t.stride[1] = head_stride;
  t.dim[2] = s;
  t.stride[2] = token_stride;
  return t;
}
