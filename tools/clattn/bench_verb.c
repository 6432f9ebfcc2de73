/* clattn bench: problems timed beside the device's own peaks. */
#include "bench_verb.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "progress.h"

static const char verb[] = "bench";

enum { DEFAULT_ROUNDS = 7 };

static const char help[] =
    "usage: clattn bench [OPTION...] [PROBLEM or SET...]\n"
    "       clattn bench --start [OPTION...] [PROBLEM or SET...]\n"
    "       clattn bench --turns [OPTION...]\n"
    "       clattn bench --list [PROBLEM or SET...]\n"
    "\n"
    "Times problems beside the FMA peak of the device and the rate at which it reads memory, both measured in the "
    "same\n"
    "rounds: in each the peaks, then every problem, so that a machine whose speed drifts bends all alike. Tells "
    "medians.\n"
    "  GFLOP/s   attention: 2 (DK + DV) operations for each pair of query and key that order, windows and lengths let\n"
    "            meet (causal: about half of them); a projection: 2 for each token, width and column\n"
    "  %% peak    GFLOP/s as a share of the FMA peak: what limits prefill and projections of many tokens\n"
    "  %% read    bytes of K and V (a projection's weights), each counted once, as a share of the reading rate: what\n"
    "            limits decode and projections of few tokens; above 100 where caches hold them from run to run\n"
    "A PROBLEM is a text as `clattn attend --problem` takes it, or "
    "op=projection,s=64,e=768,h=12,d=64,w_type=f16,packed=1\n"
    "(tokens, width, heads of channels). A SET is one of these, by itself the first:\n"
    "%s"
    "\n"
    "      --rounds N       1 to %d, %d unsaid\n"
    "      --variant ID     a variant of every problem, or a leading part of one, instead of the library's choice\n"
    "      --cpu-time       tell CPU time, shared by the device's threads: for CPUs that others use too\n"
    "      --device TEXT    P:D, cpu, gpu, or part of a name, as CLATTN_DEVICE\n"
    "      --json           print one JSON object a line: problem variant device ms_median ms_min ms_max gflops\n"
    "                       peak_fraction bandwidth_fraction workspace_bytes peak_gflops read_gbytes rounds runs (of "
    "a\n"
    "                       timing) tuned\n"
    "      --list           print the problems, one a line, and time nothing\n"
    "  -h, --help\n"
    "\n"
    "--start times the first call of a process (unsaid, of %s) from the process's beginning to the\n"
    "first result, with every cache of programs empty and again with them filled: process and device, planning and of "
    "it\n"
    "building, the first run, and all of it, the problem's tensors included. Caches lie in a temporary folder.\n"
    "\n"
    "--turns lets another program time problems turn by turn with others. Once the device is open a line says so:\n"
    "  {\"ready\":true,\"device\":NAME,\"threads\":N,\"pinned\":true or false}\n"
    "Then each line of stdin is answered by one of stdout, until stdin ends:\n"
    "  peak       {\"peak_gflops\":X,\"read_gbytes\":X}\n"
    "  PROBLEM    {\"problem\":TEXT,\"variant\":ID,\"ms\":X,\"gflops\":X,\"gbytes\":X,\"workspace_bytes\":N}: planned "
    "where "
    "it\n"
    "             is new, and kept for later turns; run once to wake up threads, then timed once\n"
    "  release    {\"released\":N}: frees the N problems that were kept\n"
    "What fails is answered by {\"problem\":TEXT,\"error\":WHY}, of a peak {\"error\":WHY}.\n"
    "\n"
    "example: clattn bench --rounds 5 small hq=8,sq=1024,dk=64,causal=1\n";

static const char start_problem[] = "hq=8,sq=128,dk=64";

static void print_help(void)
{
  char sets[1024];
  problem_words_sets(sets, sizeof sets);
  printf(help, sets, PROBLEM_MOST_ROUNDS, DEFAULT_ROUNDS, start_problem);
}

int bench_complain(const bench_device *d, const char *text, const st_error *error)
{
  complain(verb, "%s%s%s", text ? text : "", text ? ": " : "", error->text);
  show_detail(&d->report);
  return EXIT_FAILED;
}

/* ---- the rounds ---- */

static bool make_row(bench_results *all, int i, st_error *error)
{
  bench_row *row = &all->rows[i];
  if (!bench_problem_make(&all->device, all->request->asked.texts[i], &row->problem, error)) return false;
  if (row->problem.dropped[0]) complain(verb, "%s: not honoured here: %s", row->problem.text, row->problem.dropped);
  return bench_plan_make(&row->problem, all->request->variant, &row->plan, error);
}

static bool time_round(bench_results *all, int round, progress *bar, const char **at, st_error *error)
{
  bench_peaks peaks;
  *at = NULL;
  progress_show(bar, "peaks");
  if (!bench_device_peaks(&all->device, &peaks, error)) return false;
  progress_advance(bar);
  all->peak_gflops[round] = peaks.gflops;
  all->read_gbytes[round] = peaks.gbytes;
  for (int i = 0; i < all->request->asked.n_texts; i++) {
    *at = all->request->asked.texts[i];
    progress_show(bar, *at);
    if (!bench_plan_time(&all->rows[i].plan, &all->rows[i].ms[round], error)) return false;
    progress_advance(bar);
  }
  return true;
}

/* Everything is planned before anything is timed. */
static bool time_all(bench_results *all, const char **at, st_error *error)
{
  const int n = all->request->asked.n_texts, rounds = all->request->asked.rounds;
  progress bar;
  bool good = true;
  progress_begin(&bar, n + rounds * (n + 1));
  for (int i = 0; i < n && good; i++) {
    *at = all->request->asked.texts[i];
    progress_show(&bar, *at);
    good = make_row(all, i, error);
    progress_advance(&bar);
  }
  for (int round = 0; round < rounds && good; round++) good = time_round(all, round, &bar, at, error);
  progress_end(&bar);
  return good;
}

int bench_rounds(const bench_request *request)
{
  st_error error;
  const char *at = NULL;
  bench_results *all = calloc(1, sizeof *all);
  if (all) all->rows = calloc((size_t)request->asked.n_texts, sizeof *all->rows);
  if (!all || !all->rows) {
    free(all);
    complain(verb, "no memory for the times of %d problems", request->asked.n_texts);
    return EXIT_FAILED;
  }
  int status = EXIT_DONE;
  all->request = request;
  if (!bench_device_open(&all->device, request->asked.device, &error))
    status = bench_complain(&all->device, NULL, &error);
  all->device.cpu_time = request->asked.cpu_time;
  if (status == EXIT_DONE && !time_all(all, &at, &error)) status = bench_complain(&all->device, at, &error);
  if (status == EXIT_DONE) bench_tell(all);
  if (!flush_output(verb)) status = EXIT_FAILED;
  for (int i = 0; i < request->asked.n_texts; i++) {
    bench_plan_free(&all->rows[i].plan);
    bench_problem_free(&all->rows[i].problem);
  }
  bench_device_close(&all->device);
  free(all->rows);
  free(all);
  return status;
}

/* ---- the command line ---- */

typedef enum bench_way { ROUNDS, START, TURNS, LIST, FIRST_CALL } bench_way;

typedef struct bench_words {
  bench_request request;
  bench_way way;
  double begin_ms; /* of a first call */
} bench_words;

static int list_problems(const bench_request *request)
{
  for (int i = 0; i < request->asked.n_texts; i++) puts(request->asked.texts[i]);
  return flush_output(verb) ? EXIT_DONE : EXIT_FAILED;
}

static int run(bench_words *said, int n_words, char **words)
{
  bench_request *request = &said->request;
  const char *unsaid = said->way == START ? start_problem : bench_set_name(0);
  if (said->way == TURNS && n_words) return complain_usage("bench --turns", "'%s' is not wanted here", words[0]);
  if (said->way == TURNS) return bench_turns(request);
  int status = n_words ? EXIT_DONE : problem_words_take(verb, unsaid, &request->asked);
  for (int i = 0; i < n_words && status == EXIT_DONE; i++) status = problem_words_take(verb, words[i], &request->asked);
  if (status != EXIT_DONE) return status;
  if (said->way == LIST) return list_problems(request);
  if (said->way == FIRST_CALL) return bench_first_call(request, said->begin_ms);
  return said->way == START ? bench_start(request) : bench_rounds(request);
}

enum { OPT_VARIANT = PROBLEM_OPTS, OPT_START, OPT_TURNS, OPT_LIST, OPT_FIRST_CALL };

static int take_way(bench_words *said, bench_way way)
{
  if (said->way != ROUNDS) return complain_usage(verb, "of --start, --turns and --list only one can be");
  said->way = way;
  return -1;
}

/* -1: go on; otherwise the exit status. */
static int take_option(bench_words *said, int option, char **argv)
{
  switch (option) {
  case OPT_VARIANT:
    said->request.variant = optarg;
    return -1;
  case OPT_START:
    return take_way(said, START);
  case OPT_TURNS:
    return take_way(said, TURNS);
  case OPT_LIST:
    return take_way(said, LIST);
  case OPT_FIRST_CALL:
    said->begin_ms = strtod(optarg, NULL);
    return take_way(said, FIRST_CALL);
  case 'h':
    print_help();
    return EXIT_DONE;
  default:
    return problem_words_option(verb, option, argv, &said->request.asked);
  }
}

int verb_bench(int argc, char **argv)
{
  static const struct option options[] = {PROBLEM_OPTIONS,
                                          {"variant", required_argument, NULL, OPT_VARIANT},
                                          {"start", no_argument, NULL, OPT_START},
                                          {"turns", no_argument, NULL, OPT_TURNS},
                                          {"list", no_argument, NULL, OPT_LIST},
                                          {BENCH_FIRST_CALL, required_argument, NULL, OPT_FIRST_CALL},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
  bench_words said = {.request.asked.rounds = DEFAULT_ROUNDS};
  int option, status;
  while ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1)
    if ((status = take_option(&said, option, argv)) >= 0) return status;
  if (said.request.asked.cpu_time && said.way == START) return complain_usage(verb, "--cpu-time goes with no --start");
  status = run(&said, argc - optind, argv + optind);
  free(said.request.asked.texts);
  return status;
}
