/* What the files of `clattn bench` share. */
#ifndef CLATTN_TOOLS_BENCH_VERB_H
#define CLATTN_TOOLS_BENCH_VERB_H

#include "bench.h"
#include "command.h"
#include "problem_words.h"

#define BENCH_FIRST_CALL "first-call" /* the option of a process that --start begins */

typedef struct bench_request {
  problem_request asked;
  const char *variant;
} bench_request;

/* A problem's times, or those of a peak: one a round. */
typedef struct bench_row {
  bench_problem problem;
  bench_plan plan;
  double ms[PROBLEM_MOST_ROUNDS];
} bench_row;

typedef struct bench_results {
  const bench_request *request;
  bench_device device;
  double peak_gflops[PROBLEM_MOST_ROUNDS], read_gbytes[PROBLEM_MOST_ROUNDS];
  bench_row *rows; /* as many as texts */
} bench_results;

/* The table, or the lines of JSON. Sorts the times. */
void bench_tell(bench_results *results);

/* Each returns the exit status. */
int bench_rounds(const bench_request *request); /* times the problems and tells */
int bench_turns(const bench_request *request);  /* answers the lines of stdin */
int bench_start(const bench_request *request);  /* times first calls, in processes of their own */

/* Such a process: the first call of a problem, begun at this time of bench_clock_ms; tells a line of JSON. */
int bench_first_call(const bench_request *request, double begin_ms);

/* A complaint of the verb, with what the library's report has to say besides; returns EXIT_FAILED. */
int bench_complain(const bench_device *d, const char *text, const st_error *error);

#endif
