/* Texts and numbers as they may stand in a page. */
#ifndef CLATTN_TOOLS_PAGE_TEXT_H
#define CLATTN_TOOLS_PAGE_TEXT_H

#include "text_buffer.h"

/* A JSON string that may stand in HTML: no <, >, & and no line end of JavaScript's is left in it. */
void page_put_string(text_buffer *p, const char *text);

/* A JSON number that reads back as the same float; null where it is not finite. */
void page_put_number(text_buffer *p, double number);

/* Text between HTML's tags or in quotes of an attribute. */
void page_put_html(text_buffer *p, const char *text);

#endif
