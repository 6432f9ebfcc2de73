/* A text that grows. Running out of memory is remembered: whoever takes the text asks once, at the end. */
#ifndef CLATTN_TOOLS_TEXT_BUFFER_H
#define CLATTN_TOOLS_TEXT_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

typedef struct text_buffer {
  char *text; /* ends with NUL; NULL while nothing was put */
  size_t bytes, room;
  bool failed;
} text_buffer;

void text_put(text_buffer *b, const char *text);
void text_put_bytes(text_buffer *b, const char *text, size_t bytes);
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
void text_format(text_buffer *b, const char *format, ...);
void text_free(text_buffer *b);

/* Bytes as base64, for data URIs. */
void text_put_base64(text_buffer *b, const unsigned char *data, size_t bytes);

/* A length or place in a picture: at most two decimals, without zeros at the end. */
typedef struct text_number {
  char text[32];
} text_number;
text_number px(double value);

#endif
