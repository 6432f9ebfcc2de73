/* Runs the command as a user would, and keeps what it said. */
#ifndef CLATTN_TESTS_SPAWN_H
#define CLATTN_TESTS_SPAWN_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

typedef struct spawned {
  int status;      /* exit status; 128 + signal where it was killed */
  char *out, *err; /* what it wrote */
} spawned;

/* argv ends with NULL and begins with the verb. Without `opencl` the command finds no OpenCL platform. The caller frees
 * the result with spawned_free. */
spawned spawn_clattn(bool opencl, const char *const *argv);
void spawned_free(spawned *result);

#define SPAWN(opencl, ...) spawn_clattn(opencl, (const char *const[]){__VA_ARGS__, (const char *)0})

/* The command that is talked with: a line to it, and the line that it answers before another is sent. */
typedef struct conversation {
  pid_t child;
  FILE *to, *from;
  char line[4096]; /* the last answer, without its line feed */
} conversation;

void conversation_begin(conversation *c, const char *const *argv);
const char *conversation_hear(conversation *c); /* fails the test where there is no line */
const char *conversation_ask(conversation *c, const char *line);
int conversation_end(conversation *c); /* ends its input; the exit status, as above */

/* Fails the test, with everything that was said, unless the status is this, and each text is where it should be
 * (NULL: nothing must be there; "": anything). */
void assert_spawned(const spawned *result, int status, const char *in_out, const char *in_err);

#endif
