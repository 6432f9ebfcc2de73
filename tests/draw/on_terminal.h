/* Runs the command with a terminal as its stdout. */
#ifndef CLATTN_TESTS_ON_TERMINAL_H
#define CLATTN_TESTS_ON_TERMINAL_H

#include "spawn.h"

/* `environment`: pairs of names and values, NULL at the end; a NULL value takes a name out. Its stderr is thrown away.
 * The terminal writes "\r\n" where the command wrote "\n". */
spawned spawn_on_terminal(int columns, const char *const *environment, const char *const *argv);

/* Columns of a line as a terminal shows it: escape sequences of colour have none, those that move the cursor move it.
 * Fails the test where there is any other, or another control character. */
int columns_of_line(const char *line, size_t bytes);

#endif
