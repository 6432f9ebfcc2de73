#include "page_text.h"

#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Room for `more` bytes and the zero behind them. */
static char *grow(page_text *p, size_t more)
{
  if (p->failed) return NULL;
  if (p->room - p->bytes <= more) {
    const size_t half = p->room / 2, room = p->bytes + more + 1 + (half > 4096 ? half : 4096);
    char *grown = realloc(p->text, room);
    if (!grown) {
      p->failed = true;
      return NULL;
    }
    p->text = grown;
    p->room = room;
  }
  char *at = p->text + p->bytes;
  p->bytes += more;
  p->text[p->bytes] = '\0';
  return at;
}

void page_put_bytes(page_text *p, const char *bytes, size_t count)
{
  char *at = grow(p, count);
  if (at) memcpy(at, bytes, count);
}

void page_put(page_text *p, const char *text) { page_put_bytes(p, text, strlen(text)); }

void page_put_format(page_text *p, const char *format, ...)
{
  char text[256];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  page_put(p, text);
}

/* U+2028 and U+2029, which end a line in JavaScript, are E2 80 A8 and E2 80 A9. */
static bool ends_line(const unsigned char *at) { return at[0] == 0xe2 && at[1] == 0x80 && (at[2] & 0xfe) == 0xa8; }

void page_put_string(page_text *p, const char *text)
{
  page_put_bytes(p, "\"", 1);
  const char *plain = text;
  for (const char *at = text; *at; at++) {
    const unsigned char byte = (unsigned char)*at;
    const bool line_end = ends_line((const unsigned char *)at);
    if (byte >= 0x20 && byte != 0x7f && !strchr("<>&'\"\\", *at) && !line_end) continue;
    page_put_bytes(p, plain, (size_t)(at - plain));
    if (line_end) at += 2;
    page_put_format(p, "\\u%04x", line_end ? 0x2000u + ((unsigned char)*at & 0x3fu) : byte);
    plain = at + 1;
  }
  page_put(p, plain);
  page_put_bytes(p, "\"", 1);
}

void page_put_number(page_text *p, double number)
{
  if (isfinite(number))
    page_put_format(p, "%.9g", number);
  else
    page_put(p, "null");
}

void page_put_html(page_text *p, const char *text)
{
  for (const char *at = text; *at; at++) {
    if (strchr("<>&'\"", *at))
      page_put_format(p, "&#%d;", *at);
    else
      page_put_bytes(p, at, 1);
  }
}

void page_put_base64(page_text *p, const void *data, size_t bytes)
{
  static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const uint8_t *in = data;
  char *out = grow(p, (bytes + 2) / 3 * 4);
  for (size_t i = 0; i < bytes && out; i += 3, out += 4) {
    const size_t left = bytes - i;
    const uint32_t word =
        (uint32_t)in[i] << 16 | (left > 1 ? (uint32_t)in[i + 1] << 8 : 0) | (left > 2 ? (uint32_t)in[i + 2] : 0);
    out[0] = digit[word >> 18];
    out[1] = digit[word >> 12 & 63];
    out[2] = left > 1 ? digit[word >> 6 & 63] : '=';
    out[3] = left > 2 ? digit[word & 63] : '=';
  }
}
