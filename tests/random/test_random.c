/* Random problems against the double oracle. README.md of tests/ says how to run any number by hand.
 *
 *   test_random [--seed N] [--cases N] [--variant V] [--path P] [--limit SECONDS] [--failures N]
 *   test_random --projections [the same]
 *   test_random --problem TEXT
 *
 * A problem that fails is shrunk, and printed as one line that --problem takes, as do the command and the benchmark. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clattn/clattn.h"
#include "problem_draw.h"
#include "projection_draw.h"
#include "shrink.h"
#include "worker.h"

enum { GROUP = 20 /* problems of one program */, MOST_WAYS = 64, SHRINK_TRIES = 250, MOST_REASONS = 16 };

typedef struct request {
  uint64_t seed;
  int64_t cases, most_failures;
  const char *variant, *problem;
  int32_t path; /* -1: every one */
  bool projections;
  worker worker;
} request;

typedef struct tally {
  int64_t right, refused, failed;
  const char *reasons[MOST_REASONS];
  int n_reasons;
} tally;

/* ---- refusals that are true ---- */

static bool has_f64(const problem_text *p)
{
  return p->dtype == CLATTN_F64 || p->k_type == CLATTN_F64 || p->v_type == CLATTN_F64 || p->y_type == CLATTN_F64 ||
         (p->lse && p->lse_type == CLATTN_F64) || (p->qk >= 0 && p->qk_type == CLATTN_F64) ||
         (p->mask && p->mask_type == CLATTN_F64);
}

static bool has_f64_for_float(const problem_text *p)
{
  return has_f64(p) && p->variant[0] && strcmp(p->variant, "reference") != 0;
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
    {"the device has no float64", has_f64},
    {"computes in float32", has_f64_for_float},
    {"the fused path has no scores to show", asks_fused_for_scores},
    {"floats of registers a work-item", has_wide_values},
    {"bytes of local memory", has_wide_values},
    {"floats, the device has", names_vectors},
};

static const char *reason_of(const problem_text *p, const char *said)
{
  for (size_t i = 0; i < sizeof true_refusals / sizeof true_refusals[0]; i++)
    if (strstr(said, true_refusals[i].text) && true_refusals[i].may(p)) return true_refusals[i].text;
  return NULL;
}

static const char *reason_of_projection(const projection_text *p, const char *said)
{
  const int64_t *v = p->value, any_range_holds = 64;
  const bool vector = strncmp(p->variant, "vector/", 7) == 0;
  const bool f64 =
      v[PROJECTION_x_type] == CLATTN_F64 || v[PROJECTION_w_type] == CLATTN_F64 || v[PROJECTION_y_type] == CLATTN_F64;
  const struct {
    const char *text;
    bool may;
  } reasons[] = {
      {"the device has no float64", f64},
      {"floats, the device has", vector},
      {"heads that rotate have", vector && v[PROJECTION_rotary] && v[PROJECTION_d] > any_range_holds},
  };
  for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
    if (strstr(said, reasons[i].text) && reasons[i].may) return reasons[i].text;
  return NULL;
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
  return v != RAN_RIGHT && !(v == RAN_REFUSED && reason_of(p, w->said));
}

static bool fails_as_projection(const projection_text *p, void *user)
{
  worker *w = user;
  char text[PROBLEM_TEXT_BYTES];
  projection_print(p, text);
  const verdict v = worker_run(w, text);
  return v != RAN_RIGHT && !(v == RAN_REFUSED && reason_of_projection(p, w->said));
}

/* Each reason is told when it is met first: nothing is passed over in silence. */
static void count(bool failed, const char *reason, tally *t)
{
  if (failed) {
    t->failed++;
    return;
  }
  if (!reason) {
    t->right++;
    return;
  }
  t->refused++;
  for (int i = 0; i < t->n_reasons; i++)
    if (strcmp(t->reasons[i], reason) == 0) return;
  if (t->n_reasons < MOST_REASONS) t->reasons[t->n_reasons++] = reason;
  printf("refused, truly: %s\n", reason);
}

static void tell_failure(request *r, const char *shrunk, const char *drawn)
{
  const verdict v = worker_run(&r->worker, shrunk);
  printf("%s: %s\n  %s\n  drawn as %s\n", verdict_text(v), shrunk, r->worker.said, drawn);
  fflush(stdout);
}

static void run_problem(request *r, problem_text *p, tally *t)
{
  char drawn[PROBLEM_TEXT_BYTES], shrunk[PROBLEM_TEXT_BYTES];
  const bool failed = fails(p, &r->worker);
  count(failed, reason_of(p, r->worker.said), t);
  if (!failed) return;
  problem_print(p, drawn);
  shrink(p, SHRINK_TRIES, fails, &r->worker);
  problem_print(p, shrunk);
  tell_failure(r, shrunk, drawn);
}

static void run_projection(request *r, projection_text *p, tally *t)
{
  char drawn[PROBLEM_TEXT_BYTES], shrunk[PROBLEM_TEXT_BYTES];
  const bool failed = fails_as_projection(p, &r->worker);
  count(failed, reason_of_projection(p, r->worker.said), t);
  if (!failed) return;
  projection_print(p, drawn);
  projection_shrink(p, SHRINK_TRIES, fails_as_projection, &r->worker);
  projection_print(p, shrunk);
  tell_failure(r, shrunk, drawn);
}

static int64_t group_size(const request *r, size_t ways)
{
  const int64_t each = (r->cases + (int64_t)ways - 1) / (int64_t)ways;
  return each < 1 ? 1 : each < GROUP ? each : GROUP;
}

static int no_variant(const request *r)
{
  fprintf(stderr, "test_random: no variant '%s' of this path\n", r->variant ? r->variant : "");
  return 2;
}

/* Every way comes once before any comes twice. */
static int draw_problems(request *r, tally *t)
{
  static drawn_way ways[MOST_WAYS];
  const size_t n = draw_ways(r->variant, r->path, ways, MOST_WAYS);
  if (!n) return no_variant(r);
  random_state state = {r->seed};
  const int64_t size = group_size(r, n), first = random_between(&state, 0, (int64_t)n - 1);
  drawn_group group = {0};
  for (int64_t i = 0; i < r->cases && t->failed < r->most_failures; i++) {
    if (i % size == 0) group = draw_group(&state, &ways[(size_t)(first + i / size) % n]);
    problem_text p = draw_problem(&state, &group);
    run_problem(r, &p, t);
  }
  return 0;
}

static int draw_projections(request *r, tally *t)
{
  static const char *variants[MOST_WAYS];
  const size_t n = projection_variants(r->variant, variants, MOST_WAYS);
  if (!n) return no_variant(r);
  random_state state = {r->seed};
  const int64_t size = group_size(r, n), first = random_between(&state, 0, (int64_t)n - 1);
  for (int64_t i = 0; i < r->cases && t->failed < r->most_failures; i++) {
    projection_text p = projection_draw(&state, variants[(size_t)(first + i / size) % n]);
    run_projection(r, &p, t);
  }
  return 0;
}

static int run_drawn(request *r)
{
  tally t = {0};
  const int status = r->projections ? draw_projections(r, &t) : draw_problems(r, &t);
  if (status) return status;
  printf("seed %" PRIu64 ": %" PRId64 " right, %" PRId64 " refused for a true reason, %" PRId64 " failed\n", r->seed,
         t.right, t.refused, t.failed);
  return t.failed || !t.right;
}

static int run_text(request *r)
{
  problem_text p;
  projection_text projection;
  st_error error;
  const bool projects = projection_is(r->problem);
  if (!(projects ? projection_parse(r->problem, &projection, &error) : problem_parse(r->problem, &p, &error))) {
    fprintf(stderr, "test_random: %s\n", error.text);
    return 2;
  }
  const bool failed = projects ? fails_as_projection(&projection, &r->worker) : fails(&p, &r->worker);
  printf("%s%s%s\n", failed ? "failed" : "good", r->worker.said[0] ? ": " : "", r->worker.said);
  return failed;
}

/* ---- the command line ---- */

static int usage(void)
{
  fputs("usage: test_random [--seed N] [--cases N] [--variant V|any] [--path auto|staged|fused] [--limit SECONDS]\n"
        "                   [--failures N]\n"
        "       test_random --projections [the same]\n"
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
  int i = 1;
  if (argc > 1 && strcmp(argv[1], "--projections") == 0) {
    r.projections = true;
    i++;
  }
  for (; i < argc; i += 2)
    if (i + 1 == argc || !take_option(&r, argv[i], argv[i + 1])) return usage();
  const int status = r.problem ? run_text(&r) : run_drawn(&r);
  worker_stop(&r.worker);
  return status;
}
