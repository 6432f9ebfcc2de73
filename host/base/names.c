#include "names.h"

#include <string.h>

#include "problem.h"

const char *ca_dtype_text(int32_t dtype)
{
  switch (dtype) {
#define DTYPE_CASE(name, value, bytes, text)                                                                           \
  case value:                                                                                                          \
    return text;
    CLATTN_DTYPE_LIST(DTYPE_CASE)
#undef DTYPE_CASE
  default:
    return "?";
  }
}

size_t ca_dtype_bytes(int32_t dtype)
{
  switch (dtype) {
#define DTYPE_CASE(name, value, bytes, text)                                                                           \
  case value:                                                                                                          \
    return bytes;
    CLATTN_DTYPE_LIST(DTYPE_CASE)
#undef DTYPE_CASE
  default:
    return 0;
  }
}

const char *ca_slot_text(int32_t slot)
{
  switch (slot) {
#define SLOT_CASE(name, value, text)                                                                                   \
  case value:                                                                                                          \
    return text;
    CLATTN_SLOT_LIST(SLOT_CASE)
#undef SLOT_CASE
  default:
    return "?";
  }
}

const char *ca_operation_text(ca_operation operation)
{
  static const char *const text[CA_OP_COUNT] = {
      [CA_OP_PROJECTION] = "projection", [CA_OP_SCORES] = "scores", [CA_OP_SOFTMAX] = "softmax",
      [CA_OP_VALUES] = "values",         [CA_OP_STAGED] = "staged", [CA_OP_ATTENTION] = "attention",
      [CA_OP_MERGE] = "merge",           [CA_OP_MAP] = "map",
  };
  return (unsigned)operation < CA_OP_COUNT ? text[operation] : "?";
}

int64_t ca_projection_width(const ca_projection_part *part) { return part->h * part->d; }

int64_t ca_tensor_elems(const ca_tensor *t) { return t->present ? t->dim[0] * t->dim[1] * t->dim[2] * t->dim[3] : 0; }

void ca_variant_kind(const char *id, char kind[CA_VARIANT_KIND_BYTES])
{
  size_t used = 0;
  for (const char *at = id; *at;) {
    const size_t length = strcspn(at, "_");
    const bool numbered = length > 1 && at[1] >= '0' && at[1] <= '9';
    const size_t kept = numbered && at[0] == 'd' ? 0 : numbered && at[0] == 'l' ? strcspn(at, "_qm") : length;
    if (kept && used + kept + 2 <= CA_VARIANT_KIND_BYTES) {
      if (used) kind[used++] = '_';
      memcpy(kind + used, at, kept);
      used += kept;
    }
    at += length + (at[length] == '_');
  }
  kind[used] = '\0';
}

bool ca_has_line(const char *lines, const char *line)
{
  const size_t bytes = strlen(line);
  for (const char *at = lines; at && *at;) {
    const size_t length = strcspn(at, "\n");
    if (length == bytes && memcmp(at, line, bytes) == 0) return true;
    at += length + (at[length] == '\n');
  }
  return false;
}
