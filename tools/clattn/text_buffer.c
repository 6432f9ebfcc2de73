#include "text_buffer.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Room for `more` bytes and the NUL. */
static bool grow(text_buffer *b, size_t more)
{
  if (b->failed) return false;
  if (b->room - b->bytes > more) return true;
  size_t room = b->room ? b->room : 4096;
  while (room - b->bytes <= more) room *= 2;
  char *grown = realloc(b->text, room);
  b->failed = !grown;
  if (!grown) return false;
  b->text = grown;
  b->room = room;
  return true;
}

void text_put_bytes(text_buffer *b, const char *text, size_t bytes)
{
  if (!grow(b, bytes)) return;
  memcpy(b->text + b->bytes, text, bytes);
  b->bytes += bytes;
  b->text[b->bytes] = 0;
}

void text_put(text_buffer *b, const char *text) { text_put_bytes(b, text, strlen(text)); }

void text_format(text_buffer *b, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  const int bytes = vsnprintf(NULL, 0, format, args);
  va_end(args);
  if (bytes < 0 || !grow(b, (size_t)bytes)) {
    b->failed = true;
    return;
  }
  va_start(args, format);
  vsnprintf(b->text + b->bytes, (size_t)bytes + 1, format, args);
  va_end(args);
  b->bytes += (size_t)bytes;
}

void text_free(text_buffer *b)
{
  free(b->text);
  *b = (text_buffer){0};
}

void text_put_base64(text_buffer *b, const unsigned char *data, size_t bytes)
{
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t i = 0; i < bytes; i += 3) {
    const size_t left = bytes - i;
    const unsigned word =
        (unsigned)data[i] << 16 | (left > 1 ? (unsigned)data[i + 1] << 8 : 0) | (left > 2 ? data[i + 2] : 0);
    const char four[4] = {digits[word >> 18], digits[word >> 12 & 63], left > 1 ? digits[word >> 6 & 63] : '=',
                          left > 2 ? digits[word & 63] : '='};
    text_put_bytes(b, four, sizeof four);
  }
}

text_number px(double value)
{
  text_number n;
  const double rounded = round(value * 100.0) / 100.0;
  snprintf(n.text, sizeof n.text, "%.2f", rounded + 0.0); /* + 0.0: no -0 */
  char *end = n.text + strlen(n.text);
  while (end[-1] == '0') *--end = 0;
  if (end[-1] == '.') *--end = 0;
  return n;
}
