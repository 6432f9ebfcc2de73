/* A text that grows: what a page is written into. A failure is kept until the end, so that writers need not ask. */
#ifndef CLATTN_TOOLS_PAGE_TEXT_H
#define CLATTN_TOOLS_PAGE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Zero is an empty one. */
typedef struct page_text {
  char *text; /* ends with a zero byte that `bytes` does not count; NULL where nothing was written */
  size_t bytes, room;
  bool failed; /* memory was short: what was written since is not there */
} page_text;

void page_put_bytes(page_text *p, const char *bytes, size_t count);
void page_put(page_text *p, const char *text);
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
void page_put_format(page_text *p, const char *format, ...); /* at most 255 bytes */

/* A JSON string that may stand in HTML: no <, >, & and no line end of JavaScript's is left in it. */
void page_put_string(page_text *p, const char *text);

/* A JSON number that reads back as the same float; null where it is not finite. */
void page_put_number(page_text *p, double number);

/* Text between HTML's tags or in quotes of an attribute. */
void page_put_html(page_text *p, const char *text);

void page_put_base64(page_text *p, const void *data, size_t bytes);

#endif
