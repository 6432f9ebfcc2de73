/* clattn tune: the fastest variants of this device, kept where later runs find them. */
#include "tune_verb.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char verb[] = "tune";

enum { DEFAULT_ROUNDS = 9, PATH_BYTES = 4096 };

static const char *const standard_sets[] = {"prefill", "causal", "small", "decode", "projection"};
enum { STANDARD_SETS = sizeof standard_sets / sizeof standard_sets[0] };

static const char help[] =
    "usage: clattn tune [OPTION...] [PROBLEM or SET...]\n"
    "\n"
    "Times every variant and tile that this device can run a problem with, and keeps the fastest of each class of\n"
    "problems in a file that every later run on this device reads, of this command and of other programs:\n"
    "$XDG_DATA_HOME/clattn/tuning or ~/.local/share/clattn/tuning, or what CLATTN_TUNING names. Each row is kept as "
    "soon\n"
    "as its problem is done; deleting the file leaves every choice to the rules again.\n"
    "Weights that a CPU has packed lie in panels: only variants that read those are timed on packed=1. On weights as "
    "they\n"
    "lie all are, CLBlast among them where the build has it.\n"
    "  variants   how many were timed in the rounds, of how many there are: not those whose first run takes 1.5 times\n"
    "             the best one, nor the family reference on more than 1 GFLOP\n"
    "  gain       a variant takes the place of the rules' choice where it is faster by more than 2 %% in the median\n"
    "             and in three of four rounds, each of which times all of them, one after the other; and again in as\n"
    "             many rounds of these two alone, of which the times are\n"
    "A PROBLEM is a text as clattn bench takes it. A SET is one of these; by itself all are taken but long:\n"
    "%s"
    "\n"
    "      --rounds N       1 to %d, %d unsaid\n"
    "      --output FILE    keep the rows in this file\n"
    "      --print          print the rows for the table that is built in (host/plan/tuned.def), and keep none\n"
    "      --cpu-time       take CPU time, shared by the device's threads: for CPUs that others use too\n"
    "      --device TEXT    P:D, cpu, gpu, or part of a name, as CLATTN_DEVICE\n"
    "      --json           print one JSON object a line: problem device rules_variant rules_ms variant ms gain "
    "rounds\n"
    "                       row candidates (of each variant, and ms or why)\n"
    "  -h, --help\n"
    "\n"
    "example: clattn tune projection hq=8,sq=1024,dk=64,causal=1\n";

static void print_help(void)
{
  char sets[1024];
  problem_words_sets(sets, sizeof sets);
  printf(help, sets, PROBLEM_MOST_ROUNDS, DEFAULT_ROUNDS);
}

/* What a driver could not do is news to whoever tunes; what the tuner left out is not. */
static void tell_failures(const tune_result *result)
{
  for (int i = 0; i < result->n; i++)
    if (result->candidates[i].failed)
      complain(verb, "%s: %s: %s", result->problem.text, result->candidates[i].id, result->candidates[i].why.text);
}

/* Measures, tells and keeps one problem. */
static bool tune_one(bench_device *d, const tune_request *request, int index, progress *bar, bool *told)
{
  st_error error;
  tune_result result;
  clattn_report report;
  const char *text = request->asked.texts[index];
  bool good = tune_measure(d, text, request, bar, &result, &error);
  progress_end(bar);
  if (result.problem.dropped[0]) complain(verb, "%s: not honoured here: %s", text, result.problem.dropped);
  if (!good) complain(verb, "%s: %s", text, error.text);
  tell_failures(&result);
  if (good) {
    tune_tell(request, &result, !*told);
    *told = true;
  }
  if (good && !request->print && clattn_tuning_keep(request->output, result.row, &report) != CLATTN_OK) {
    complain(verb, "%s", report.message);
    good = false;
  }
  tune_free(&result);
  bar->done = TUNE_BAR_PARTS * (index + 1);
  return good;
}

static int tune_all(const tune_request *request)
{
  bench_device d;
  st_error error;
  progress bar;
  int done = 0;
  bool told = false;
  if (!bench_device_open(&d, request->asked.device, &error)) {
    complain(verb, "%s", error.text);
    show_detail(&d.report);
    return EXIT_FAILED;
  }
  d.cpu_time = request->asked.cpu_time;
  progress_begin(&bar, TUNE_BAR_PARTS * request->asked.n_texts);
  for (int i = 0; i < request->asked.n_texts; i++) done += tune_one(&d, request, i, &bar, &told);
  if (!request->print && !request->asked.json && done) printf("\n%s: %d rows in %s\n", d.name, done, request->output);
  bench_device_close(&d);
  return flush_output(verb) && done == request->asked.n_texts ? EXIT_DONE : EXIT_FAILED;
}

/* That rows can be kept is seen before minutes are spent on them. What was kept before has no say in what the rules
 * choose, which is what is measured against. */
static int open_output(tune_request *request)
{
  static char path[PATH_BYTES];
  clattn_report report;
  if (!request->output && clattn_tuning_path(path, sizeof path) != CLATTN_OK) {
    complain(verb, "no file to keep rows in: the environment has neither CLATTN_TUNING nor a home; --output names one");
    return EXIT_FAILED;
  }
  if (!request->output) request->output = path;
  if (clattn_tuning_keep(request->output, "", &report) == CLATTN_OK) return EXIT_DONE;
  complain(verb, "%s", report.message);
  return EXIT_FAILED;
}

static int run(tune_request *request, int n_words, char **words)
{
  int status = EXIT_DONE;
  for (int i = 0; i < n_words && status == EXIT_DONE; i++) status = problem_words_take(verb, words[i], &request->asked);
  for (int i = 0; i < STANDARD_SETS && n_words == 0 && status == EXIT_DONE; i++)
    status = problem_words_take(verb, standard_sets[i], &request->asked);
  if (status == EXIT_DONE && !request->print) status = open_output(request);
  if (status != EXIT_DONE) return status;
  setenv("CLATTN_TUNING", "/dev/null", 1);
  return tune_all(request);
}

enum { OPT_OUTPUT = PROBLEM_OPTS, OPT_PRINT };

/* -1: go on; otherwise the exit status. */
static int take_option(tune_request *request, int option, char **argv)
{
  switch (option) {
  case OPT_OUTPUT:
    request->output = optarg;
    return -1;
  case OPT_PRINT:
    request->print = true;
    return -1;
  case 'h':
    print_help();
    return EXIT_DONE;
  default:
    return problem_words_option(verb, option, argv, &request->asked);
  }
}

int verb_tune(int argc, char **argv)
{
  static const struct option options[] = {PROBLEM_OPTIONS,
                                          {"output", required_argument, NULL, OPT_OUTPUT},
                                          {"print", no_argument, NULL, OPT_PRINT},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
  tune_request request = {.asked.rounds = DEFAULT_ROUNDS};
  int option, status;
  while ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1)
    if ((status = take_option(&request, option, argv)) >= 0) return status;
  if (request.output && !*request.output) return complain_usage(verb, "--output: it names no file");
  if (request.output && request.print) return complain_usage(verb, "--output and --print are two things");
  status = run(&request, argc - optind, argv + optind);
  free(request.asked.texts);
  return status;
}
