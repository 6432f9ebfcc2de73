/* What a page shows, as it lies in the page. */
#ifndef CLATTN_TOOLS_PAGE_DATA_H
#define CLATTN_TOOLS_PAGE_DATA_H

#include "draw.h"
#include "text_buffer.h"

/* What pages take of files that hold nothing but P or A; a cell that is not 0 is an edge. */
#define PAGE_MAX_BARE_EDGES 2000000
/* Beyond this many cells a head has an overview, at most PAGE_OVERVIEW tiles high and wide, and details on demand. */
#define PAGE_WHOLE_CELLS (2048 * 2048)
#define PAGE_OVERVIEW 512
/* Of numbers before base64; browsers keep a page of some 1 GiB with trouble, and no larger one. */
#define PAGE_MAX_BYTES ((size_t)512 << 20)

/* Writes the layers and heads of the options as a JSON element `data` and elements b0, b1, ... of base64 that it
 * refers to: little-endian numbers of the type that the letter in "types" says, h float16, f float32, i int32, b bits.
 * tools/page/source.js reads it. */
bool page_put_data(text_buffer *p, network *n, const draw_options *options, const char *title, st_error *error);

#endif
