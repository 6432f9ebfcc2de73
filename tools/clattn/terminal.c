/* wcwidth is no part of plain POSIX. */
#define _XOPEN_SOURCE 700
#include "terminal.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

enum { PLAIN_COLUMNS = 100, USUAL_COLUMNS = 80, LEAST_COLUMNS = 40, MOST_COLUMNS = 400 };

static const char *said(const char *name)
{
  const char *value = getenv(name);
  return value && *value ? value : NULL;
}

/* Where nothing is said, what is usual now. */
static bool shows_utf8(void)
{
  const char *locale = said("LC_ALL");
  if (!locale) locale = said("LC_CTYPE");
  if (!locale) locale = said("LANG");
  if (!locale) return true;
  for (const char *at = locale; *at; at++)
    if (strncasecmp(at, "UTF-8", 5) == 0 || strncasecmp(at, "UTF8", 4) == 0) return true;
  return false;
}

static terminal_ink find_ink(void)
{
  const char *term = said("TERM"), *colours = said("COLORTERM");
  if (said("NO_COLOR") || !term || strcmp(term, "dumb") == 0) return INK_NONE;
  if (colours && (strcmp(colours, "truecolor") == 0 || strcmp(colours, "24bit") == 0)) return INK_TRUE;
  return strstr(term, "256") ? INK_256 : INK_NONE;
}

static int find_columns(void)
{
  struct winsize size = {0};
  const char *text = said("COLUMNS");
  const int told = text ? atoi(text) : 0;
  int columns = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : told;
  if (columns < 1) columns = USUAL_COLUMNS;
  return columns < LEAST_COLUMNS ? LEAST_COLUMNS : columns > MOST_COLUMNS ? MOST_COLUMNS : columns;
}

terminal terminal_of_stdout(void)
{
  terminal t = {.here = isatty(STDOUT_FILENO), .columns = PLAIN_COLUMNS};
  if (!t.here) return t;
  t.blocks = shows_utf8();
  t.ink = find_ink();
  t.moves = said("TERM") && strcmp(said("TERM"), "dumb") != 0;
  t.columns = find_columns();
  return t;
}

/* The code point that text begins with, and its bytes. The reader of files lets nothing else in. */
static uint32_t code_point(const char *text, size_t *bytes)
{
  const unsigned char *u = (const unsigned char *)text;
  *bytes = u[0] < 0x80 ? 1 : u[0] < 0xE0 ? 2 : u[0] < 0xF0 ? 3 : 4;
  uint32_t code = *bytes == 1 ? u[0] : u[0] & (0xFFu >> (*bytes + 1));
  for (size_t i = 1; i < *bytes; i++) {
    if ((u[i] & 0xC0) != 0x80) { /* cut off: a byte by itself */
      *bytes = 1;
      return 0xFFFD;
    }
    code = code << 6 | (u[i] & 0x3Fu);
  }
  return code;
}

/* What a terminal obeys rather than shows, or what changes the direction of a line: controls of both sets, separators
 * of lines, marks, embeddings and isolates, tags. */
static bool steers(uint32_t code)
{
  return code < 0x20 || (code >= 0x7F && code < 0xA0) || code == 0xAD || code == 0x61C || code == 0x180E ||
         (code >= 0x200B && code <= 0x200C) || (code >= 0x200E && code <= 0x200F) ||
         (code >= 0x2028 && code <= 0x202E) || (code >= 0x2060 && code <= 0x206F) || code == 0xFEFF ||
         (code >= 0xFFF0 && code <= 0xFFFB) || (code >= 0xE0000 && code <= 0xE0FFF);
}

/* Columns by the C library's table, which needs a locale that knows UTF-8; one of them is always there. */
static int width_of(uint32_t code)
{
  static bool asked;
  if (!asked) {
    asked = true;
    if (!setlocale(LC_CTYPE, "C.UTF-8") && !setlocale(LC_CTYPE, "en_US.UTF-8")) setlocale(LC_CTYPE, "");
  }
  if (code < 0x7F) return 1;
  const int width = wcwidth((wchar_t)code);
  return width < 0 ? 1 : width;
}

/* How one code point is shown. */
static int spell(const terminal *t, const char *text, uint32_t code, size_t bytes, char out[16])
{
  const char *const shortly = code == '\n'   ? "\\n"
                              : code == '\t' ? "\\t"
                              : code == '\r' ? "\\r"
                              : code == '"'  ? "\\\""
                              : code == '\\' ? "\\\\"
                                             : NULL;
  if (shortly) return snprintf(out, 16, "%s", shortly);
  if (steers(code) || (t->here && !t->blocks && code > 0x7E))
    return snprintf(out, 16, code > 0xFFFF ? "\\U%08x" : "\\u%04x", (unsigned)code);
  snprintf(out, 16, "%.*s", (int)bytes, text);
  return width_of(code);
}

/* Right-to-left letters. */
static bool turns(uint32_t code)
{
  return (code >= 0x590 && code <= 0x8FF) || (code >= 0xFB1D && code <= 0xFDFF) || (code >= 0xFE70 && code <= 0xFEFE) ||
         (code >= 0x10800 && code <= 0x10FFF) || (code >= 0x1E800 && code <= 0x1EFFF);
}

#define ISOLATE "\xE2\x81\xA8"     /* U+2068 */
#define ISOLATE_END "\xE2\x81\xA9" /* U+2069 */

terminal_text terminal_show(const terminal *t, const char *text, int columns)
{
  enum { ROOM = sizeof((terminal_text *)0)->text - 16 }; /* for the end */
  const char *ellipsis = t->here && !t->blocks ? "..." : "\xE2\x80\xA6";
  const int end_columns = t->here && !t->blocks ? 3 : 1;
  terminal_text shown = {.columns = 0};
  size_t used = 0, cut_at = 0, bytes;
  int cut_columns = 0;
  bool turned = false;
  for (const char *at = text; *at; at += bytes) {
    char piece[16];
    const uint32_t code = code_point(at, &bytes);
    const int width = spell(t, at, code, bytes, piece);
    if (shown.columns + width > columns || used + strlen(piece) > ROOM - sizeof ISOLATE) {
      snprintf(shown.text + cut_at, sizeof shown.text - cut_at, "%s", ellipsis);
      shown.columns = cut_columns + end_columns;
      break;
    }
    if (turns(code) && t->here && !turned) {
      memmove(shown.text + sizeof ISOLATE - 1, shown.text, used);
      memcpy(shown.text, ISOLATE, sizeof ISOLATE - 1);
      used += sizeof ISOLATE - 1;
      cut_at += sizeof ISOLATE - 1;
      turned = true;
    }
    memcpy(shown.text + used, piece, strlen(piece) + 1);
    used += strlen(piece);
    shown.columns += width;
    if (shown.columns + end_columns <= columns) cut_at = used, cut_columns = shown.columns;
  }
  if (turned) strcat(shown.text, ISOLATE_END);
  return shown;
}

terminal_text terminal_quote(const terminal *t, const char *text, int columns)
{
  const terminal_text inner = terminal_show(t, text, columns - 2);
  terminal_text quoted = {.columns = inner.columns + 2};
  snprintf(quoted.text, sizeof quoted.text, "\"%.*s\"", (int)sizeof inner.text - 3, inner.text);
  return quoted;
}

void terminal_print_to(const terminal *t, const terminal_text *text, int column)
{
  fputs(text->text, stdout);
  if (t->moves)
    printf("\033[%dG", column + 1);
  else
    printf("%*s", column > text->columns ? column - text->columns : 0, "");
}
