#include "facts.h"

#include <string.h>

/* One side of `key = value`, white space trimmed away. */
typedef struct span {
  const char *begin;
  size_t bytes;
} span;

#define SPAN_ARGS(s) ((int)((s).bytes < 80 ? (s).bytes : 80)), (s).begin

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r'; }

static span trim(const char *begin, const char *end)
{
  while (begin < end && is_space(*begin)) begin++;
  while (end > begin && is_space(end[-1])) end--;
  return (span){begin, (size_t)(end - begin)};
}

static bool span_is(span s, const char *text) { return strlen(text) == s.bytes && !memcmp(s.begin, text, s.bytes); }

static clattn_status read_number(span key, span value, int line, uint64_t *out, clattn_report *report)
{
  uint64_t number = 0;
  for (size_t i = 0; i < value.bytes; i++) {
    const char c = value.begin[i];
    if (c < '0' || c > '9')
      return ca_fail(report, CLATTN_INVALID_VALUE, "facts, line %d: %.*s = '%.*s' is not a whole number", line,
                     SPAN_ARGS(key), SPAN_ARGS(value));
    const uint64_t digit = (uint64_t)(c - '0');
    if (number > (UINT64_MAX - digit) / 10)
      return ca_fail(report, CLATTN_INVALID_VALUE, "facts, line %d: %.*s = %.*s exceeds %llu", line, SPAN_ARGS(key),
                     SPAN_ARGS(value), (unsigned long long)UINT64_MAX);
    number = number * 10 + digit;
  }
  *out = number;
  return CLATTN_OK;
}

static clattn_status read_text(span key, span value, int line, char *out, size_t capacity, clattn_report *report)
{
  if (value.bytes >= capacity)
    return ca_fail(report, CLATTN_INVALID_VALUE, "facts, line %d: %.*s has %zu bytes, may have %zu", line,
                   SPAN_ARGS(key), value.bytes, capacity - 1);
  memcpy(out, value.begin, value.bytes);
  out[value.bytes] = '\0';
  return CLATTN_OK;
}

static clattn_status read_type(span value, int line, ca_device_type *out, clattn_report *report)
{
  static const struct {
    const char *text;
    ca_device_type type;
  } types[] = {{"cpu", CA_DEVICE_CPU},
               {"gpu", CA_DEVICE_GPU},
               {"accelerator", CA_DEVICE_ACCELERATOR},
               {"other", CA_DEVICE_OTHER}};
  for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
    if (!span_is(value, types[i].text)) continue;
    *out = types[i].type;
    return CLATTN_OK;
  }
  return ca_fail(report, CLATTN_INVALID_VALUE, "facts, line %d: type = '%.*s', must be cpu, gpu, accelerator or other",
                 line, SPAN_ARGS(value));
}

static clattn_status read_pair(span key, span value, int line, ca_facts *facts, clattn_report *report)
{
  if (!value.bytes)
    return ca_fail(report, CLATTN_INVALID_VALUE, "facts, line %d: %.*s has no value", line, SPAN_ARGS(key));
#define READ_NUMBER(field, text, limit)                                                                                \
  if (span_is(key, text)) return read_number(key, value, line, &facts->field, report);
  CA_FACT_LIST(READ_NUMBER)
#undef READ_NUMBER
#define READ_TEXT(field)                                                                                               \
  if (span_is(key, #field)) return read_text(key, value, line, facts->field, sizeof facts->field, report)
  READ_TEXT(name);
  READ_TEXT(vendor);
  READ_TEXT(driver);
  READ_TEXT(version);
  READ_TEXT(platform);
  READ_TEXT(platform_version);
#undef READ_TEXT
  if (span_is(key, "type")) return read_type(value, line, &facts->type, report);
  return ca_fail(report, CLATTN_INVALID_VALUE, "facts, line %d: unknown key '%.*s'", line, SPAN_ARGS(key));
}

clattn_status ca_facts_parse(const char *text, ca_facts *facts, clattn_report *report)
{
  ca_facts read = *facts; /* a refused text changes nothing */
  int line = 0;
  while (*text) {
    const char *next = text + strcspn(text, "\n");
    const char *end = text + strcspn(text, "#\n");
    const span whole = trim(text, end);
    line++;
    text = *next ? next + 1 : next;
    if (!whole.bytes) continue;
    const char *equals = memchr(whole.begin, '=', whole.bytes);
    if (!equals)
      return ca_fail(report, CLATTN_INVALID_VALUE, "facts, line %d: '%.*s' is not 'key = value'", line,
                     SPAN_ARGS(whole));
    const span key = trim(whole.begin, equals);
    const span value = trim(equals + 1, whole.begin + whole.bytes);
    const clattn_status status = read_pair(key, value, line, &read, report);
    if (status) return status;
  }
  *facts = read;
  return CLATTN_OK;
}

void ca_facts_limit(ca_facts *facts, const ca_facts *limits)
{
#define LOWER(field, key, limit)                                                                                       \
  if (limit && limits->field && limits->field < facts->field) facts->field = limits->field;
  CA_FACT_LIST(LOWER)
#undef LOWER
}
