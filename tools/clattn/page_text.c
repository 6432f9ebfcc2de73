#include "page_text.h"

#include <math.h>
#include <string.h>

/* U+2028 and U+2029, which end a line in JavaScript, are E2 80 A8 and E2 80 A9. */
static bool ends_line(const unsigned char *at) { return at[0] == 0xe2 && at[1] == 0x80 && (at[2] & 0xfe) == 0xa8; }

void page_put_string(text_buffer *p, const char *text)
{
  text_put_bytes(p, "\"", 1);
  const char *plain = text;
  for (const char *at = text; *at; at++) {
    const unsigned char byte = (unsigned char)*at;
    const bool line_end = ends_line((const unsigned char *)at);
    if (byte >= 0x20 && byte != 0x7f && !strchr("<>&'\"\\", *at) && !line_end) continue;
    text_put_bytes(p, plain, (size_t)(at - plain));
    if (line_end) at += 2;
    text_format(p, "\\u%04x", line_end ? 0x2000u + ((unsigned char)*at & 0x3fu) : byte);
    plain = at + 1;
  }
  text_put(p, plain);
  text_put_bytes(p, "\"", 1);
}

void page_put_number(text_buffer *p, double number)
{
  if (isfinite(number))
    text_format(p, "%.9g", number);
  else
    text_put(p, "null");
}

void page_put_html(text_buffer *p, const char *text)
{
  for (const char *at = text; *at; at++) {
    if (strchr("<>&'\"", *at))
      text_format(p, "&#%d;", *at);
    else
      text_put_bytes(p, at, 1);
  }
}
