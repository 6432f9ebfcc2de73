#include "json_scan.h"

#include <string.h>

typedef struct scanner {
  const char *what;
  const unsigned char *text;
  size_t size, at, values;
  int depth;
} scanner;

size_t utf8_length(const unsigned char *p, size_t left)
{
  static const struct {
    unsigned char mask, lead;
    uint32_t least;
  } form[] = {{0x80, 0x00, 0}, {0xE0, 0xC0, 0x80}, {0xF0, 0xE0, 0x800}, {0xF8, 0xF0, 0x10000}};
  for (size_t n = 1; n <= 4 && n <= left; n++) {
    if ((p[0] & form[n - 1].mask) != form[n - 1].lead) continue;
    uint32_t code = p[0] & (unsigned char)~form[n - 1].mask;
    for (size_t i = 1; i < n; i++) {
      if ((p[i] & 0xC0) != 0x80) return 0;
      code = code << 6 | (p[i] & 0x3F);
    }
    return code >= form[n - 1].least && code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF) ? n : 0;
  }
  return 0;
}

void utf8_mend(char *text)
{
  for (size_t left = strlen(text); left;) {
    const size_t length = utf8_length((const unsigned char *)text, left), step = length ? length : 1;
    if (!length) *text = '?';
    text += step;
    left -= step;
  }
}

static bool scan_string(scanner *s, st_error *error)
{
  const size_t start = s->at++;
  while (s->at < s->size) {
    const unsigned char c = s->text[s->at];
    if (c == '"') {
      s->at++;
      return true;
    }
    if (c < 0x20) return st_fail(error, "%s: control character 0x%02x inside a string at byte %zu", s->what, c, s->at);
    if (c == '\\') {
      if (s->size - s->at >= 6 && memcmp(s->text + s->at, "\\u0000", 6) == 0)
        return st_fail(error, "%s: NUL character inside a string at byte %zu", s->what, s->at);
      s->at += s->at + 1 < s->size && s->text[s->at + 1] < 0x80 ? 2 : 1;
      continue;
    }
    const size_t length = utf8_length(s->text + s->at, s->size - s->at);
    if (!length) return st_fail(error, "%s: invalid UTF-8 (0x%02x) at byte %zu", s->what, c, s->at);
    s->at += length;
  }
  return st_fail(error, "%s: the string that begins at byte %zu does not end", s->what, start);
}

static bool scan_mark(scanner *s, unsigned char c, st_error *error)
{
  if (c == '{' || c == '[') {
    if (++s->depth > ST_MAX_HEADER_DEPTH)
      return st_fail(error, "%s: JSON nested deeper than %d at byte %zu", s->what, ST_MAX_HEADER_DEPTH, s->at);
  } else if (c == '}' || c == ']') {
    s->depth--;
  }
  if ((c == '{' || c == '[' || c == ',') && ++s->values > ST_MAX_HEADER_VALUES)
    return st_fail(error, "%s: more than %u JSON values", s->what, ST_MAX_HEADER_VALUES);
  if (c >= 0x7F || (c < 0x20 && c != '\t' && c != '\n' && c != '\r'))
    return st_fail(error, "%s: character 0x%02x outside of strings at byte %zu", s->what, c, s->at);
  s->at++;
  return true;
}

bool st_scan_json(const char *what, const char *text, size_t size, st_error *error)
{
  scanner s = {.what = what, .text = (const unsigned char *)text, .size = size};
  while (s.at < s.size) {
    const unsigned char c = s.text[s.at];
    if (!(c == '"' ? scan_string(&s, error) : scan_mark(&s, c, error))) return false;
  }
  return true;
}
