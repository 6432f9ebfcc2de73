/* A child process that runs problems, so that a crash or a hang costs one of them. The parent calls no OpenCL. */
#ifndef TESTS_WORKER_H
#define TESTS_WORKER_H

#include <stdbool.h>
#include <sys/types.h>

#define WORKER_LINE_BYTES 20480 /* of a question, of an answer */

typedef enum verdict {
  RAN_RIGHT,
  RAN_REFUSED, /* by the library; the answer is its message and detail, on one line */
  RAN_WRONG,   /* the comparison failed, or an assertion */
  RAN_CRASHED,
  RAN_HUNG
} verdict;

typedef struct worker {
  const char *program;
  int limit_s; /* of one problem; the rest, the first kernel's compiler included, counts with the first */
  pid_t child; /* 0: none */
  int ask, answer, errors;
  char said[WORKER_LINE_BYTES]; /* by the last problem: the refusal, or what differed */
} worker;

/* Runs the problem of one line of text, in a new child if there is none. */
verdict worker_run(worker *w, const char *text);
void worker_stop(worker *w);

/* The child's side: serves problems until its input ends. */
int worker_serve(void);

#endif
