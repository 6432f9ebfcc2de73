/* What the files of `clattn tune` share. */
#ifndef CLATTN_TOOLS_TUNE_VERB_H
#define CLATTN_TOOLS_TUNE_VERB_H

#include "bench.h"
#include "command.h"
#include "problem_words.h"
#include "progress.h"

enum { TUNE_BAR_PARTS = 100 /* of a problem */ };

/* A variant on the problem. */
typedef struct tune_candidate {
  char id[CLATTN_VARIANT_BYTES];
  bench_plan plan;  /* made while it is timed */
  bool timed;       /* in the rounds; else why says why not */
  bool failed;      /* it was chosen to be timed, and could not be made or run */
  double first_ms;  /* before the rounds; 0: not at all */
  double median_ms; /* of the rounds */
  double *ms;       /* one a round */
  st_error why;
} tune_candidate;

/* The first candidate is the rules' choice (or a built-in row's); the winner takes its place or is it. */
typedef struct tune_result {
  bench_problem problem;
  tune_candidate *candidates;
  int n, winner;
  char row[CLATTN_TUNING_ROW_BYTES]; /* what to keep */
} tune_result;

typedef struct tune_request {
  problem_request asked;
  const char *output; /* NULL: rows are printed */
  bool print;
} tune_request;

/* Times the candidates of a problem; `bar` goes on by TUNE_BAR_PARTS. False with the error; free the result anyway. */
bool tune_measure(bench_device *d, const char *text, const tune_request *request, progress *bar, tune_result *result,
                  st_error *error);
void tune_free(tune_result *result);

/* A problem's result, as the request wants it; the heading of a table goes before the first. */
void tune_tell(const tune_request *request, const tune_result *result, bool first);

#endif
