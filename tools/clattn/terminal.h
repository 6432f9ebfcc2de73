/* What text goes to, and how a token's text is shown there without harm to it. */
#ifndef CLATTN_TOOLS_TERMINAL_H
#define CLATTN_TOOLS_TERMINAL_H

#include <stdbool.h>
#include <stdint.h>

typedef enum terminal_ink { INK_NONE, INK_256, INK_TRUE } terminal_ink;

typedef struct terminal {
  bool here;   /* stdout is one; otherwise text is plain and the same everywhere */
  bool blocks; /* it shows UTF-8 */
  bool moves;  /* its cursor can be told where to go */
  terminal_ink ink;
  int columns;
} terminal;

/* What stdout is, by itself and the environment: COLUMNS, TERM, COLORTERM, NO_COLOR, LC_ALL, LC_CTYPE, LANG. */
terminal terminal_of_stdout(void);

/* A text from a file in at most so many columns, cut with an ellipsis: what would steer a terminal or turn its line
 * around is spelt as an escape (\n, \u001b), quotes as \". */
typedef struct terminal_text {
  char text[192];
  int columns;
} terminal_text;

enum { TERMINAL_TEXT_COLUMNS = 40 }; /* at most */

terminal_text terminal_show(const terminal *t, const char *text, int columns);

/* The same between quotation marks, which count. */
terminal_text terminal_quote(const terminal *t, const char *text, int columns);

/* Prints it and goes on in this column of the line, counted from 0, whatever the terminal thought its width was. */
void terminal_print_to(const terminal *t, const terminal_text *text, int column);

#endif
