/* What a page is made of besides its data: tools/page, embedded at build time by tools/cmake/embed.cmake. */
#ifndef CLATTN_TOOLS_PAGE_FILES_H
#define CLATTN_TOOLS_PAGE_FILES_H

#include <stddef.h>

typedef struct page_file {
  const char *name; /* "page.css" */
  const char *text; /* ends with a zero byte that `bytes` does not count */
  size_t bytes;
  const char *sha256; /* of the text, 64 hexadecimal digits */
} page_file;

/* Ends with a NULL name. In the order in which scripts run. */
extern const page_file page_files[];

#endif
