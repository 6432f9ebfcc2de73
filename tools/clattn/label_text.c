#include "label_text.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The next code point of valid UTF-8 (the reader of files lets nothing else in); a stray byte counts as U+FFFD. */
static uint32_t next_point(const char **text)
{
  const unsigned char *s = (const unsigned char *)*text;
  const int more = s[0] >= 0xf0 ? 3 : s[0] >= 0xe0 ? 2 : s[0] >= 0xc0 ? 1 : 0;
  uint32_t point = more == 3 ? s[0] & 7u : more == 2 ? s[0] & 15u : more ? s[0] & 31u : s[0];
  for (int i = 1; i <= more; i++) {
    if ((s[i] & 0xc0) != 0x80) {
      *text += i;
      return 0xfffd;
    }
    point = point << 6 | (s[i] & 63u);
  }
  *text += more + 1;
  return !more && s[0] >= 0x80 ? 0xfffd : point;
}

static void put_point(text_buffer *b, uint32_t p)
{
  char bytes[4];
  size_t n = 0;
  if (p < 0x80) {
    bytes[n++] = (char)p;
  } else if (p < 0x800) {
    bytes[n++] = (char)(0xc0 | p >> 6);
    bytes[n++] = (char)(0x80 | (p & 63));
  } else if (p < 0x10000) {
    bytes[n++] = (char)(0xe0 | p >> 12);
    bytes[n++] = (char)(0x80 | (p >> 6 & 63));
    bytes[n++] = (char)(0x80 | (p & 63));
  } else {
    bytes[n++] = (char)(0xf0 | p >> 18);
    bytes[n++] = (char)(0x80 | (p >> 12 & 63));
    bytes[n++] = (char)(0x80 | (p >> 6 & 63));
    bytes[n++] = (char)(0x80 | (p & 63));
  }
  text_put_bytes(b, bytes, n);
}

/* Controls; marks, embeddings, overrides and isolates of the bidirectional algorithm, and characters that show nothing
 * at all, tags among them. U+200C and U+200D stay: scripts and emoji are joined by them; so do variation selectors.
 * tools/page/tokens.js has the same ones. */
static bool is_unseen(uint32_t p)
{
  static const uint32_t ranges[][2] = {{0x0, 0x1f},        {0x7f, 0x9f},       {0xad, 0xad},       {0x34f, 0x34f},
                                       {0x61c, 0x61c},     {0x115f, 0x1160},   {0x17b4, 0x17b5},   {0x180e, 0x180e},
                                       {0x200b, 0x200b},   {0x200e, 0x200f},   {0x202a, 0x202e},   {0x2060, 0x206f},
                                       {0x3164, 0x3164},   {0xfeff, 0xfeff},   {0xffa0, 0xffa0},   {0xfff0, 0xfffb},
                                       {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}, {0xe0000, 0xe00ff}, {0xe01f0, 0xe0fff}};
  for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++)
    if (p >= ranges[i][0] && p <= ranges[i][1]) return true;
  return false;
}

/* What stands for a code point: line ends and tabs have signs, what is not seen shows its number. */
static void put_visible(text_buffer *b, uint32_t p)
{
  char number[16];
  if (p == '\n' || p == 0x2028 || p == 0x2029) {
    put_point(b, 0x21b5);
  } else if (p == '\t') {
    put_point(b, 0x21e5);
  } else if ((p >= 0xd800 && p < 0xe000) || (p & 0xfffe) == 0xfffe || p > 0x10ffff) {
    put_point(b, 0xfffd);
  } else if (is_unseen(p)) {
    snprintf(number, sizeof number, "<%04X>", (unsigned)p);
    text_put(b, number);
  } else {
    put_point(b, p);
  }
}

/* Widths of the printable characters of ASCII in hundredths of the font size, of a wide sans serif (DejaVu Sans), so
 * that a narrower one has room to spare. */
static const unsigned char ascii_widths[95] = {
    32, 40, 46, 84, 64, 95, 78, 28, 39,  39, 50, 84, 32, 36, 32, 34, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 34, 34, 84, 84, 84, 53, 100, 69, 69, 70, 77, 63, 58, 78, 75, 30, 30, 66, 56, 86, 75, 79,
    61, 79, 69, 64, 61, 73, 69, 99, 69,  61, 69, 39, 34, 39, 84, 50, 50, 62, 64, 55, 64, 62, 35, 64,
    63, 28, 28, 58, 28, 97, 63, 61, 64,  64, 41, 52, 39, 63, 59, 82, 59, 59, 53, 64, 34, 64, 84};

static double point_width(uint32_t p)
{
  if (p >= 0x20 && p < 0x7f) return ascii_widths[p - 0x20] / 100.0;
  if ((p >= 0x300 && p < 0x370) || p == 0x200c || p == 0x200d || (p >= 0xfe00 && p < 0xfe10)) return 0.0;
  return (p >= 0x1100 && p < 0x1200) || (p >= 0x2e80 && p < 0xa4d0) || (p >= 0xac00 && p < 0xd7b0) || p >= 0xf900
             ? 1.3
             : 0.75;
}

double label_width(const char *text)
{
  double width = 0.0;
  while (*text) width += point_width(next_point(&text));
  return width;
}

static bool only_spaces(const char *text) { return text[strspn(text, " ")] == 0; }

/* The visible text, uncut. */
static void put_shown(text_buffer *b, const char *text)
{
  const bool spaces = only_spaces(text);
  if (!*text) put_point(b, 0x2205); /* the empty set */
  while (*text) {
    const uint32_t p = next_point(&text);
    put_visible(b, spaces ? 0x2423 : p);
  }
}

/* Without the spaces at either end, which tokens carry as a part of the text; a text of nothing else keeps them. */
static void trim(text_buffer *b)
{
  size_t from = strspn(b->text, " ");
  while (b->bytes > from && b->text[b->bytes - 1] == ' ') b->bytes--;
  b->text[b->bytes] = 0;
  memmove(b->text, b->text + from, b->bytes - from + 1);
  b->bytes -= from;
}

label label_make(const char *text, int max_points, double max_width)
{
  text_buffer shown = {0};
  label l = {0};
  const double ellipsis = 1.0;
  put_shown(&shown, text);
  if (shown.failed) {
    text_free(&shown);
    return l;
  }
  trim(&shown);
  l.text = shown.text;
  const char *at = shown.text;
  char *last = shown.text; /* the end of what fits beside an ellipsis */
  double last_width = 0.0;
  for (int points = 1; *at; points++) {
    const double width = l.width + point_width(next_point(&at));
    if (points > max_points || width > max_width) {
      l.cut = true;
      break;
    }
    l.width = width;
    if (points < max_points && width + ellipsis <= max_width) {
      last = shown.text + (at - shown.text);
      last_width = width;
    }
  }
  if (l.cut) {
    /* What is cut off was longer than the three bytes of an ellipsis, or the buffer's room is. */
    memcpy(last, "\xe2\x80\xa6", 4);
    l.width = last_width + ellipsis;
  }
  return l;
}

void label_put_escaped(text_buffer *b, const char *text)
{
  for (const char *s = text; *s;) {
    const size_t plain = strcspn(s, "&<>\"'");
    text_put_bytes(b, s, plain);
    s += plain;
    switch (*s) {
    case '&':
      text_put(b, "&amp;");
      break;
    case '<':
      text_put(b, "&lt;");
      break;
    case '>':
      text_put(b, "&gt;");
      break;
    case '"':
      text_put(b, "&quot;");
      break;
    case '\'':
      text_put(b, "&#39;");
      break;
    default:
      return;
    }
    s++;
  }
}

void label_put_whole(text_buffer *b, const char *text)
{
  text_buffer shown = {0};
  put_shown(&shown, text);
  if (shown.failed) {
    b->failed = true;
  } else {
    label_put_escaped(b, shown.text);
  }
  text_free(&shown);
}
