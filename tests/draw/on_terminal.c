/* Pseudo-terminals and the widths of characters are no part of plain POSIX. */
#define _XOPEN_SOURCE 700
#include "on_terminal.h"

#include <fcntl.h>
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <wchar.h>

#include <cmocka.h>

enum { WORDS = 64, MOST_BYTES = 1 << 22 };

static void run_child(int terminal, const char *const *environment, const char *const *argv)
{
  char *words[WORDS] = {(char *)(uintptr_t)CLATTN_COMMAND_FILE};
  for (int i = 0; argv[i] && i + 2 < WORDS; i++) words[i + 1] = (char *)(uintptr_t)argv[i];
  for (; environment[0]; environment += 2)
    if (environment[1])
      setenv(environment[0], environment[1], 1);
    else
      unsetenv(environment[0]);
  dup2(terminal, STDOUT_FILENO);
  close(terminal);
  dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
  execv(words[0], words);
  _exit(127);
}

spawned spawn_on_terminal(int columns, const char *const *environment, const char *const *argv)
{
  const int master = posix_openpt(O_RDWR | O_NOCTTY);
  const struct winsize size = {.ws_row = 40, .ws_col = (unsigned short)columns};
  spawned result = {.out = malloc(MOST_BYTES), .err = strdup("")};
  size_t used = 0;
  int state = 0;
  assert_true(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0 && result.out);
  const int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
  assert_true(slave >= 0 && ioctl(slave, TIOCSWINSZ, &size) == 0);
  const pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) run_child(slave, environment, argv);
  close(slave);
  /* Reading fails when the last one who has the other end has closed it. */
  for (ssize_t got; (got = read(master, result.out + used, MOST_BYTES - 1 - used)) > 0;) used += (size_t)got;
  assert_true(used < MOST_BYTES - 1);
  assert_int_equal(waitpid(child, &state, 0), child);
  close(master);
  result.out[used] = '\0';
  result.status = WIFEXITED(state) ? WEXITSTATUS(state) : 128 + WTERMSIG(state);
  return result;
}

/* The end of a sequence that begins with ESC [ and has numbers: colours, or a column to go to. */
static const char *take_sequence(const char *at, const char *end, int *column)
{
  const char *numbers = at + 2;
  if (end - at < 3 || at[1] != '[') fail_msg("an escape that is none of the command's: %.*s", (int)(end - at), at);
  const size_t length = strspn(numbers, "0123456789;");
  if (numbers[length] == 'G')
    *column = atoi(numbers) - 1;
  else if (numbers[length] != 'm')
    fail_msg("an escape that is none of the command's: ESC%.*s", (int)length + 2, at + 1);
  return numbers + length + 1;
}

int columns_of_line(const char *line, size_t bytes)
{
  const char *end = line + bytes;
  mbstate_t state = {0};
  int column = 0;
  assert_non_null(setlocale(LC_CTYPE, "C.UTF-8"));
  for (const char *at = line; at < end;) {
    if (*at == '\033') {
      at = take_sequence(at, end, &column);
      continue;
    }
    if (*at == '\r') {
      at++;
      continue;
    }
    wchar_t character;
    const size_t length = mbrtowc(&character, at, (size_t)(end - at), &state);
    if (length == 0 || length > 8) fail_msg("no UTF-8: %.*s", (int)(end - at), at);
    const int width = wcwidth(character);
    /* U+2068 and U+2069 keep a text that runs to the left apart; glibc gives them no width of their own. */
    if (width < 0 && character != 0x2068 && character != 0x2069)
      fail_msg("a control character U+%04x: %.*s", (unsigned)character, (int)bytes, line);
    column += width > 0 ? width : 0;
    at += length;
  }
  return column;
}
