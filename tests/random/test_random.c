/* Random problems against the double oracle. README.md of tests/ says how to run any number by hand.
 *
 *   test_random [--seed N] [--cases N] [--variant V] [--path P] [--limit SECONDS] [--failures N]
 *   test_random --problem TEXT
 *
 * A problem that fails is shrunk, and printed as one line that --problem takes, as do the command and the benchmark. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clattn/clattn.h"
#include "draw.h"
#include "shrink.h"
#include "worker.h"

enum { GROUP = 20 /* problems of one program */, MOST_WAYS = 32, SHRINK_TRIES = 250 };

typedef struct request {
  uint64_t seed;
  int64_t cases, most_failures;
  const char *variant, *problem;
  int32_t path; /* -1: every one */
  worker worker;
} request;

typedef struct tally {
  int64_t right, refused, failed;
} tally;

/* ---- refusals that are true ---- */

static bool has_f64(const problem_text *p)
{
  return p->dtype == CLATTN_F64 || p->k_type == CLATTN_F64 || p->v_type == CLATTN_F64 || p->y_type == CLATTN_F64 ||
         (p->lse && p->lse_type == CLATTN_F64) || (p->qk >= 0 && p->qk_type == CLATTN_F64) ||
         (p->mask && p->mask_type == CLATTN_F64);
}

static bool names_tile(const problem_text *p) { return strchr(p->variant, '/') != NULL; }

static bool asks_fused_for_scores(const problem_text *p) { return p->path == CLATTN_PATH_FUSED && p->qk >= 0; }

static bool has_wide_values(const problem_text *p)
{
  const int64_t any_tile_fits = 128;
  return names_tile(p) && p->dv > any_tile_fits;
}

static bool names_vectors(const problem_text *p) { return strncmp(p->variant, "vector/", 7) == 0; }

/* The message, and the problems that may meet it. */
static const struct {
  const char *text;
  bool (*may)(const problem_text *p);
} true_refusals[] = {
    {"computes in float32", has_f64},
    {"the device has no float64", has_f64},
    {"the fused path has no scores to show", asks_fused_for_scores},
    {"floats of registers a work-item", has_wide_values},
    {"bytes of local memory", has_wide_values},
    {"floats, the device has", names_vectors},
};

static bool is_true_refusal(const problem_text *p, const char *said)
{
  for (size_t i = 0; i < sizeof true_refusals / sizeof true_refusals[0]; i++)
    if (strstr(said, true_refusals[i].text) && true_refusals[i].may(p)) return true;
  return false;
}

/* ---- running ---- */

static const char *verdict_text(verdict v)
{
  static const char *const texts[] = {"right", "refused", "wrong", "crashed", "hung"};
  return texts[v];
}

static bool fails(const problem_text *p, void *user)
{
  worker *w = user;
  char text[PROBLEM_TEXT_BYTES];
  problem_print(p, text);
  const verdict v = worker_run(w, text);
  return v != RAN_RIGHT && !(v == RAN_REFUSED && is_true_refusal(p, w->said));
}

/* Shrinks and tells. */
static void tell_failure(request *r, const problem_text *drawn)
{
  char before[PROBLEM_TEXT_BYTES], after[PROBLEM_TEXT_BYTES];
  problem_text p = *drawn;
  problem_print(&p, before);
  shrink(&p, SHRINK_TRIES, fails, &r->worker);
  problem_print(&p, after);
  const verdict v = worker_run(&r->worker, after);
  printf("%s: %s\n", verdict_text(v), after);
  printf("  %s\n  drawn as %s\n", r->worker.said, before);
  fflush(stdout);
}

static void run_problem(request *r, const problem_text *p, tally *t)
{
  char text[PROBLEM_TEXT_BYTES];
  problem_print(p, text);
  const verdict v = worker_run(&r->worker, text);
  if (v == RAN_RIGHT) {
    t->right++;
  } else if (v == RAN_REFUSED && is_true_refusal(p, r->worker.said)) {
    t->refused++;
  } else {
    t->failed++;
    tell_failure(r, p);
  }
}

static int run_drawn(request *r)
{
  static drawn_way ways[MOST_WAYS];
  const size_t n = draw_ways(r->variant, r->path, ways, MOST_WAYS);
  tally t = {0};
  if (!n) {
    fprintf(stderr, "test_random: no variant '%s' of this path\n", r->variant ? r->variant : "");
    return 2;
  }
  /* Every way comes once before any comes twice. */
  random_state r_state = {r->seed};
  const size_t first = (size_t)(random_bits(&r_state) % n);
  drawn_group group = {0};
  const int64_t group_size = r->cases / (int64_t)n < GROUP ? (r->cases + (int64_t)n - 1) / (int64_t)n : GROUP;
  for (int64_t i = 0; i < r->cases && t.failed < r->most_failures; i++) {
    if (i % group_size == 0) group = draw_group(&r_state, &ways[(first + (size_t)(i / group_size)) % n]);
    const problem_text p = draw_problem(&r_state, &group);
    run_problem(r, &p, &t);
  }
  printf("seed %" PRIu64 ": %" PRId64 " right, %" PRId64 " refused for a true reason, %" PRId64 " failed\n", r->seed,
         t.right, t.refused, t.failed);
  return t.failed || !t.right;
}

static int run_text(request *r)
{
  problem_text p;
  st_error error;
  if (!problem_parse(r->problem, &p, &error)) {
    fprintf(stderr, "test_random: %s\n", error.text);
    return 2;
  }
  const bool failed = fails(&p, &r->worker);
  printf("%s%s%s\n", failed ? "failed" : "good", r->worker.said[0] ? ": " : "", r->worker.said);
  return failed;
}

/* ---- the command line ---- */

static int usage(void)
{
  fputs("usage: test_random [--seed N] [--cases N] [--variant V|any] [--path auto|staged|fused] [--limit SECONDS]\n"
        "                   [--failures N]\n"
        "       test_random --problem TEXT\n",
        stderr);
  return 2;
}

static bool take_path(const char *text, int32_t *path)
{
  static const char *const paths[] = {"auto", "staged", "fused"};
  for (*path = 0; *path < 3; ++*path)
    if (strcmp(text, paths[*path]) == 0) return true;
  return false;
}

static bool take_option(request *r, const char *option, const char *value)
{
  if (strcmp(option, "--seed") == 0)
    r->seed = strtoull(value, NULL, 10);
  else if (strcmp(option, "--cases") == 0)
    r->cases = strtoll(value, NULL, 10);
  else if (strcmp(option, "--failures") == 0)
    r->most_failures = strtoll(value, NULL, 10);
  else if (strcmp(option, "--variant") == 0)
    r->variant = value;
  else if (strcmp(option, "--path") == 0)
    return take_path(value, &r->path);
  else if (strcmp(option, "--limit") == 0)
    r->worker.limit_s = atoi(value);
  else if (strcmp(option, "--problem") == 0)
    r->problem = value;
  else
    return false;
  return true;
}

int main(int argc, char **argv)
{
  request r = {
      .seed = 1, .cases = 1000, .most_failures = 5, .path = -1, .worker = {.program = argv[0], .limit_s = 120}};
  if (argc == 2 && strcmp(argv[1], "--serve") == 0) return worker_serve();
  for (int i = 1; i < argc; i += 2)
    if (i + 1 == argc || !take_option(&r, argv[i], argv[i + 1])) return usage();
  const int status = r.problem ? run_text(&r) : run_drawn(&r);
  worker_stop(&r.worker);
  return status;
}
