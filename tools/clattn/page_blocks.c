#include "page_blocks.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "clattn/clattn.h"

/* A new block of that size, zeros. */
static int add(page_blocks *b, char type, size_t bytes)
{
  page_block *grown = realloc(b->list, (size_t)(b->count + 1) * sizeof *grown);
  if (!grown) return -1;
  b->list = grown;
  void *data = calloc(bytes + 1, 1);
  if (!data) return -1;
  b->list[b->count] = (page_block){data, bytes, type};
  b->bytes += bytes;
  return b->count++;
}

int page_add_floats(page_blocks *b, const float *from, int64_t count)
{
  const int block = add(b, 'f', (size_t)count * sizeof *from);
  if (block >= 0) memcpy(b->list[block].data, from, (size_t)count * sizeof *from);
  return block;
}

int page_add_integers(page_blocks *b, const int32_t *from, int64_t count)
{
  const int block = add(b, 'i', (size_t)count * sizeof *from);
  if (block >= 0) memcpy(b->list[block].data, from, (size_t)count * sizeof *from);
  return block;
}

int page_add_halves(page_blocks *b, const float *from, int64_t count)
{
  const int block = add(b, 'h', (size_t)count * sizeof(uint16_t));
  if (block >= 0) clattn_convert(CLATTN_F16, b->list[block].data, CLATTN_F32, from, (size_t)count);
  return block;
}

int page_add_numbers(page_blocks *b, const float *from, int64_t count)
{
  for (int64_t i = 0; i < count; i++)
    if (isfinite(from[i]) && fabsf(from[i]) > 65504.0f) return page_add_floats(b, from, count);
  return page_add_halves(b, from, count);
}

int page_add_open_bits(page_blocks *b, const float *mask, int64_t count)
{
  const int block = add(b, 'b', (size_t)(count + 7) / 8);
  uint8_t *bits = block >= 0 ? b->list[block].data : NULL;
  for (int64_t i = 0; bits && i < count; i++)
    if (mask[i] == 0.0f) bits[i / 8] = (uint8_t)(bits[i / 8] | 1u << i % 8);
  return block;
}

void page_put_block_types(text_buffer *p, const page_blocks *b)
{
  for (int i = 0; i < b->count; i++) text_put_bytes(p, &b->list[i].type, 1);
}

void page_put_blocks(text_buffer *p, page_blocks *b)
{
  for (int i = 0; i < b->count; i++) {
    text_format(p, "<script type=\"application/octet-stream\" id=\"b%d\">", i);
    text_put_base64(p, b->list[i].data, b->list[i].bytes);
    text_put(p, "</script>\n");
    free(b->list[i].data);
    b->list[i].data = NULL;
  }
}

void page_blocks_free(page_blocks *b)
{
  for (int i = 0; i < b->count; i++) free(b->list[i].data);
  free(b->list);
  *b = (page_blocks){0};
}
