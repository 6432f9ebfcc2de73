#include "take.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "arith.h"

clattn_status ca_take_struct(void *own, size_t known_bytes, const void *theirs, const char *what, clattn_report *report)
{
  if (!theirs) return ca_fail(report, CLATTN_INVALID_ARGUMENT, "%s is NULL", what);
  uint32_t struct_size;
  memcpy(&struct_size, theirs, sizeof struct_size); /* every descriptor begins with it */
  if (struct_size < known_bytes)
    return ca_fail(report, CLATTN_INVALID_STRUCT,
                   "%s: struct_size is %" PRIu32 ", must be at least %zu: start from its _INIT macro", what,
                   struct_size, known_bytes);
  for (size_t i = known_bytes; i < struct_size; i++)
    if (((const unsigned char *)theirs)[i])
      return ca_fail(report, CLATTN_INVALID_STRUCT,
                     "%s: struct_size is %" PRIu32 " and byte %zu is set: this library knows %zu bytes", what,
                     struct_size, i, known_bytes);
  memcpy(own, theirs, known_bytes);
  return CLATTN_OK;
}

clattn_status ca_check_element(uint32_t struct_size, size_t known_bytes, size_t align, const char *what,
                               clattn_report *report)
{
  if (struct_size >= known_bytes && struct_size % align == 0) return CLATTN_OK;
  return ca_fail(report, CLATTN_INVALID_STRUCT,
                 "%s: struct_size is %" PRIu32
                 ", must be at least %zu and a multiple of %zu: start from its _INIT macro",
                 what, struct_size, known_bytes, align);
}

clattn_status ca_check_flags(uint32_t flags, uint32_t known, clattn_report *report)
{
  if (flags & ~known)
    return ca_fail(report, CLATTN_INVALID_VALUE, "flags is 0x%" PRIx32 ", known are 0x%" PRIx32, flags, known);
  return CLATTN_OK;
}

clattn_status ca_check_tokens(const char *name, int64_t tokens, clattn_report *report)
{
  if (tokens > CA_MAX_TOKENS)
    return ca_fail(report, CLATTN_INVALID_SHAPE, "%s is %" PRId64 " tokens, the limit is %" PRId64, name, tokens,
                   CA_MAX_TOKENS);
  return CLATTN_OK;
}

/* "f32, f16, bf16" */
static const char *list_dtypes(unsigned dtypes, char *text, size_t capacity)
{
  text[0] = '\0';
  for (int32_t d = 1; d < 32; d++) {
    if (!(dtypes & CA_BIT(d))) continue;
    const size_t used = strlen(text);
    snprintf(text + used, capacity - used, "%s%s", used ? ", " : "", ca_dtype_text(d));
  }
  return text;
}

/* The elements from the first to one past the last, and whether that fits 63 bits in bytes. */
static bool measure_span(ca_tensor *t)
{
  int64_t span = 1, elems = 1, bytes;
  bool empty = false;
  for (int i = 0; i < 4; i++) {
    if (t->dim[i] == 0) empty = true;
    int64_t reach;
    if (!ca_mul(t->dim[i] > 0 ? t->dim[i] - 1 : 0, t->stride[i], &reach) || !ca_add(span, reach, &span)) return false;
    if (t->dim[i] > 0 && !ca_mul(elems, t->dim[i], &elems)) return false;
  }
  if (!ca_mul(span, (int64_t)ca_dtype_bytes(t->dtype), &bytes)) return false;
  t->span_elems = empty ? 0 : span;
  return true;
}

/* True only where no two elements share memory: each stride, in ascending order, steps over all that lies within
 * it. */
static bool is_injective(const ca_tensor *t)
{
  int order[4], n = 0;
  for (int i = 0; i < 4; i++) {
    if (t->dim[i] <= 1) continue;
    int at = n++;
    for (; at > 0 && t->stride[order[at - 1]] > t->stride[i]; at--) order[at] = order[at - 1];
    order[at] = i;
  }
  int64_t reach = 0;
  for (int i = 0; i < n; i++) {
    if (t->stride[order[i]] <= reach) return false;
    reach += (t->dim[order[i]] - 1) * t->stride[order[i]];
  }
  return true;
}

clattn_status ca_take_tensor(const clattn_tensor *theirs, const ca_tensor_rule *rule, ca_problem *problem,
                             clattn_report *report)
{
  const char *name = ca_slot_text(rule->slot);
  ca_tensor *t = &problem->tensor[rule->slot];
  *t = (ca_tensor){0};
  if (theirs->rank == 0) {
    if (rule->required) return ca_fail(report, CLATTN_INVALID_SHAPE, "%s is absent (rank 0) but needed", name);
    return CLATTN_OK;
  }
  if (theirs->rank < rule->rank_min || theirs->rank > rule->rank_max)
    return ca_fail(report, CLATTN_INVALID_SHAPE, "%s: rank is %" PRId32 ", must be %" PRId32 " to %" PRId32, name,
                   theirs->rank, rule->rank_min, rule->rank_max);
  if (theirs->dtype < 1 || theirs->dtype > 31 || !(rule->dtypes & CA_BIT(theirs->dtype))) {
    char list[64];
    return ca_fail(report, CLATTN_INVALID_DTYPE, "%s: type is %s (%" PRId32 "), must be one of %s", name,
                   ca_dtype_text(theirs->dtype), theirs->dtype, list_dtypes(rule->dtypes, list, sizeof list));
  }
  t->present = true;
  t->output = rule->output;
  t->dtype = theirs->dtype;
  for (int i = 0; i < 4; i++) {
    const bool inside = i < theirs->rank;
    t->dim[i] = inside ? theirs->dim[i] : 1;
    t->stride[i] = inside ? theirs->stride[i] : 0;
    if (t->dim[i] < 0 || t->dim[i] > INT32_MAX)
      return ca_fail(report, CLATTN_INVALID_SHAPE, "%s: dimension %d is %" PRId64 ", must be 0 to %" PRId32, name, i,
                     t->dim[i], INT32_MAX);
    if (t->stride[i] < 0)
      return ca_fail(report, CLATTN_INVALID_SHAPE, "%s: stride %d is %" PRId64 ", must not be negative", name, i,
                     t->stride[i]);
  }
  if (!measure_span(t)) return ca_fail(report, CLATTN_INVALID_SHAPE, "%s: its view spans more than 2^63 bytes", name);
  if (t->output && !is_injective(t))
    return ca_fail(report, CLATTN_OVERLAP, "%s: its strides may make elements share memory", name);
  return CLATTN_OK;
}

clattn_status ca_want_dim(const ca_problem *problem, int32_t slot, int dimension, int64_t want, const char *why,
                          clattn_report *report)
{
  const ca_tensor *t = &problem->tensor[slot];
  if (!t->present || t->dim[dimension] == want) return CLATTN_OK;
  return ca_fail(report, CLATTN_INVALID_SHAPE, "%s: dimension %d is %" PRId64 ", must be %" PRId64 " (%s)",
                 ca_slot_text(slot), dimension, t->dim[dimension], want, why);
}
