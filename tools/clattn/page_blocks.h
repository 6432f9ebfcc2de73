/* The numbers of a page, waiting to be written behind what refers to them. */
#ifndef CLATTN_TOOLS_PAGE_BLOCKS_H
#define CLATTN_TOOLS_PAGE_BLOCKS_H

#include <stdint.h>

#include "text_buffer.h"

typedef struct page_block {
  void *data;
  size_t bytes;
  char type; /* h float16, f float32, i int32, b bits */
} page_block;

/* Zero is an empty list. */
typedef struct page_blocks {
  page_block *list;
  int count;
  size_t bytes; /* of all */
} page_blocks;

/* Each copies what it is given and returns the block's number, -1 where memory is short. */
int page_add_floats(page_blocks *b, const float *from, int64_t count);
int page_add_halves(page_blocks *b, const float *from, int64_t count);
int page_add_integers(page_blocks *b, const int32_t *from, int64_t count);
int page_add_numbers(page_blocks *b, const float *from, int64_t count); /* as float16 where none is too large for it */
int page_add_open_bits(page_blocks *b, const float *mask, int64_t count); /* a bit is 1 where the mask is 0 */

void page_put_block_types(text_buffer *p, const page_blocks *b);
void page_put_blocks(text_buffer *p, page_blocks *b); /* frees each block that is written */
void page_blocks_free(page_blocks *b);

#endif
