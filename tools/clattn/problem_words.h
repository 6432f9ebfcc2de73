/* What the verbs that time problems are asked alike: PROBLEM and SET arguments, and options. */
#ifndef CLATTN_TOOLS_PROBLEM_WORDS_H
#define CLATTN_TOOLS_PROBLEM_WORDS_H

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>

enum { PROBLEM_MOST_ROUNDS = 101 };

typedef struct problem_request {
  const char *device; /* NULL: not said */
  const char **texts; /* of problems, sets spelled out, each known to be one */
  int n_texts, rounds;
  bool json, cpu_time;
} problem_request;

/* Rows of getopt_long's table; numbers of a verb's own options begin after these. */
enum { PROBLEM_OPT_DEVICE = 256, PROBLEM_OPT_JSON, PROBLEM_OPT_ROUNDS, PROBLEM_OPT_CPU_TIME, PROBLEM_OPTS };
#define PROBLEM_OPTIONS                                                                                                \
  {"device", required_argument, NULL, PROBLEM_OPT_DEVICE}, {"json", no_argument, NULL, PROBLEM_OPT_JSON},              \
      {"rounds", required_argument, NULL, PROBLEM_OPT_ROUNDS},                                                         \
  {                                                                                                                    \
    "cpu-time", no_argument, NULL, PROBLEM_OPT_CPU_TIME                                                                \
  }

/* Takes such an option, or tells what is wrong with another one. -1: go on; otherwise the exit status. */
int problem_words_option(const char *verb, int option, char **argv, problem_request *asked);

/* Appends a set's problems, or a problem's text; the exit status where the word is neither. */
int problem_words_take(const char *verb, const char *word, problem_request *asked);

/* A line a set: its name and what it is. */
void problem_words_sets(char *text, size_t capacity);

/* Of a column for the texts. */
int problem_words_width(const problem_request *asked);

#endif
