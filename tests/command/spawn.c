#include "spawn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* The whole of a temporary file, as a text. */
static char *slurp(FILE *stream)
{
  fseek(stream, 0, SEEK_END);
  const long size = ftell(stream);
  char *text = malloc((size_t)size + 1);
  assert_non_null(text);
  rewind(stream);
  assert_int_equal(fread(text, 1, (size_t)size, stream), size);
  text[size] = '\0';
  fclose(stream);
  return text;
}

/* Cuts out the lines in which Mesa's compiler speaks of itself. */
static char *without_driver(char *text)
{
  char *to = text;
  for (const char *line = text, *next; *line; line = next) {
    next = line + strcspn(line, "\n");
    next += *next == '\n';
    if (strncmp(line, "MESA: warning: ", 15) == 0) continue;
    memmove(to, line, (size_t)(next - line));
    to += next - line;
  }
  *to = '\0';
  return text;
}

enum { WORDS = 512 };

/* The command and argv. */
static void make_words(const char *const *argv, char *words[WORDS])
{
  int count = 1;
  words[0] = (char *)(uintptr_t)CLATTN_COMMAND_FILE;
  for (; argv[count - 1]; count++) {
    assert_true(count < WORDS - 1);
    words[count] = (char *)(uintptr_t)argv[count - 1];
  }
  words[count] = NULL;
}

static int status_of(int state) { return WIFEXITED(state) ? WEXITSTATUS(state) : 128 + WTERMSIG(state); }

spawned spawn_clattn(bool opencl, const char *const *argv)
{
  char *words[WORDS];
  int state = 0;
  make_words(argv, words);
  FILE *out = tmpfile(), *err = tmpfile();
  assert_non_null(out);
  assert_non_null(err);
  const pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    dup2(fileno(out), STDOUT_FILENO);
    dup2(fileno(err), STDERR_FILENO);
    if (!opencl) setenv("OCL_ICD_VENDORS", CLATTN_TEST_SCRATCH "/no-vendors", 1);
    execv(words[0], words);
    _exit(127);
  }
  assert_int_equal(waitpid(child, &state, 0), child);
  return (spawned){.status = status_of(state), .out = slurp(out), .err = without_driver(slurp(err))};
}

void spawned_free(spawned *result)
{
  free(result->out);
  free(result->err);
}

void conversation_begin(conversation *c, const char *const *argv)
{
  char *words[WORDS];
  int ask[2], answer[2];
  make_words(argv, words);
  assert_true(pipe(ask) == 0 && pipe(answer) == 0);
  *c = (conversation){.child = fork()};
  assert_true(c->child >= 0);
  if (c->child == 0) {
    dup2(ask[0], STDIN_FILENO);
    dup2(answer[1], STDOUT_FILENO);
    for (int i = 0; i < 2; i++) {
      close(ask[i]);
      close(answer[i]);
    }
    execv(words[0], words);
    _exit(127);
  }
  close(ask[0]);
  close(answer[1]);
  c->to = fdopen(ask[1], "w");
  c->from = fdopen(answer[0], "r");
  assert_true(c->to && c->from);
}

const char *conversation_hear(conversation *c)
{
  if (!fgets(c->line, sizeof c->line, c->from)) fail_msg("no answer after '%s'", c->line);
  c->line[strcspn(c->line, "\n")] = '\0';
  return c->line;
}

const char *conversation_ask(conversation *c, const char *line)
{
  assert_true(fprintf(c->to, "%s\n", line) > 0 && fflush(c->to) == 0);
  return conversation_hear(c);
}

int conversation_end(conversation *c)
{
  int state = 0;
  fclose(c->to);
  assert_int_equal(waitpid(c->child, &state, 0), c->child);
  fclose(c->from);
  return status_of(state);
}

static bool as_wanted(const char *said, const char *wanted)
{
  return wanted ? strstr(said, wanted) != NULL : said[0] == '\0';
}

void assert_spawned(const spawned *result, int status, const char *in_out, const char *in_err)
{
  if (result->status == status && as_wanted(result->out, in_out) && as_wanted(result->err, in_err)) return;
  /* Piece by piece: cmocka cuts long messages. */
  print_error("wanted status %d, stdout with \"%s\", stderr with \"%s\"; got status %d\n--- stdout\n", status,
              in_out ? in_out : "(nothing)", in_err ? in_err : "(nothing)", result->status);
  fputs(result->out, stderr);
  fputs("--- stderr\n", stderr);
  fputs(result->err, stderr);
  fail();
}
