/* The variants of one problem against each other. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tune_verb.h"
#include "turns.h"

enum { SHORT_MS = 200 };            /* a first run that is shorter is made twice, and the better one counts */
static const double hopeless = 1.5; /* times the best first run so far: such a variant is not timed in the rounds */
static const double reference_most_ops = 1e9; /* of what one work-item an element takes minutes for */

static bool is_reference(const char *id) { return strncmp(id, "reference_", strlen("reference_")) == 0; }

static tune_candidate *add_candidate(tune_result *result, const char *id, int rounds)
{
  tune_candidate *larger = realloc(result->candidates, ((size_t)result->n + 1) * sizeof *larger);
  if (!larger) return NULL;
  result->candidates = larger;
  tune_candidate *added = &larger[result->n];
  *added = (tune_candidate){.ms = calloc((size_t)rounds, sizeof *added->ms)};
  if (!added->ms) return NULL;
  snprintf(added->id, sizeof added->id, "%s", id);
  result->n++;
  return added;
}

/* What is chosen untuned, planned, and after it all else that the problem can run with. */
static bool list_candidates(tune_result *result, int rounds, st_error *error)
{
  bench_plan own;
  clattn_candidate_info info = CLATTN_CANDIDATE_INFO_INIT;
  if (!bench_plan_make(&result->problem, NULL, &own, error)) return false;
  tune_candidate *first = add_candidate(result, own.info.variant, rounds);
  if (!first) {
    bench_plan_free(&own);
    return st_fail(error, "no memory for the variants");
  }
  first->plan = own;
  for (uint32_t i = 0; clattn_plan_candidate(own.plan, i, &info) == CLATTN_OK; i++)
    if (!info.taken && !add_candidate(result, info.variant, rounds))
      return st_fail(error, "no memory for the variants");
  return true;
}

static void leave_out(tune_candidate *c, const char *why)
{
  bench_plan_free(&c->plan);
  c->timed = false;
  snprintf(c->why.text, sizeof c->why.text, "%s", why);
}

/* One run, or the better one of two where that takes no time. */
static bool run_first(tune_candidate *c, st_error *error)
{
  if (!bench_plan_run(&c->plan, 1, &c->first_ms, error)) return false;
  double again;
  if (c->first_ms >= SHORT_MS) return true;
  if (!bench_plan_run(&c->plan, 1, &again, error)) return false;
  if (again < c->first_ms) c->first_ms = again;
  return true;
}

static void leave_out_hopeless(tune_candidate *c, double best_ms)
{
  char why[128];
  snprintf(why, sizeof why, "a first run takes %.3f ms, %.1f times the best", c->first_ms, c->first_ms / best_ms);
  leave_out(c, why);
}

/* Plans and runs each once, and keeps those that have a chance. The rules' choice stays, whatever it takes. */
static bool take_first_runs(tune_result *result, progress *bar, st_error *error)
{
  const int begin = bar->done;
  double best = 0.0;
  for (int i = 0; i < result->n; i++) {
    tune_candidate *c = &result->candidates[i];
    st_error why;
    bar->done = begin + TUNE_BAR_PARTS / 2 * i / result->n;
    progress_show(bar, c->id);
    if (i > 0 && is_reference(c->id) && result->problem.ops > reference_most_ops) {
      leave_out(c, "the family reference is not timed on more than 1 GFLOP");
      continue;
    }
    c->timed = (i == 0 || bench_plan_make(&result->problem, c->id, &c->plan, &why)) && run_first(c, &why);
    if (!c->timed) {
      leave_out(c, why.text);
      c->failed = true;
      if (i == 0) return st_fail(error, "%s", why.text);
      continue;
    }
    if (i == 0 || c->first_ms < best) best = c->first_ms;
    if (i > 0 && c->first_ms > hopeless * best) leave_out_hopeless(c, best);
  }
  for (int i = 1; i < result->n; i++) { /* the best may have come after them */
    tune_candidate *c = &result->candidates[i];
    if (c->timed && c->first_ms > hopeless * best) leave_out_hopeless(c, best);
  }
  bar->done = begin + TUNE_BAR_PARTS / 2;
  return true;
}

static bool find_medians(tune_result *result, int rounds)
{
  double *sorted = malloc((size_t)rounds * sizeof *sorted);
  if (!sorted) return false;
  for (int i = 0; i < result->n; i++) {
    tune_candidate *c = &result->candidates[i];
    memcpy(sorted, c->ms, (size_t)rounds * sizeof *sorted);
    c->median_ms = bench_median(sorted, rounds);
  }
  free(sorted);
  return true;
}

/* Turn by turn, so that a machine whose speed drifts bends all alike; `rival` 0: all, else the first and this one. */
static bool time_rounds(tune_result *result, int rival, int rounds, progress *bar, st_error *error)
{
  const int begin = bar->done, parts = TUNE_BAR_PARTS / 4;
  for (int round = 0; round < rounds; round++) {
    for (int turn = 0; turn < result->n; turn++) {
      const int i = round % 2 ? result->n - 1 - turn : turn; /* nobody always comes after the same one */
      tune_candidate *c = &result->candidates[i];
      if (!c->timed || (rival && i != 0 && i != rival)) continue;
      progress_show(bar, c->id);
      if (!bench_plan_time(&c->plan, &c->ms[round], error)) return false;
    }
    bar->done = begin + parts * (round + 1) / rounds;
  }
  return find_medians(result, rounds) || st_fail(error, "no memory for the times");
}

static turns turns_of(const tune_candidate *c) { return (turns){c->ms, c->median_ms}; }

/* The least median has luck in it, the more the more there are: it is the winner where it wins the rounds again that it
 * has alone with the rules' choice. */
static bool find_winner(tune_result *result, int rounds, progress *bar, st_error *error)
{
  const tune_candidate *all = result->candidates;
  int best = 0;
  for (int i = 1; i < result->n; i++)
    if (all[i].timed && all[i].median_ms < all[best].median_ms) best = i;
  if (!turns_are_faster(turns_of(&all[best]), turns_of(&all[0]), rounds)) return true;
  if (!time_rounds(result, best, rounds, bar, error)) return false;
  if (turns_are_faster(turns_of(&all[best]), turns_of(&all[0]), rounds)) result->winner = best;
  return true;
}

/* The row that makes the winner the choice; one that leaves it to the rules where they made it. */
static bool make_row(tune_result *result, bool any_driver, st_error *error)
{
  clattn_report *report = &result->problem.device->report;
  const bench_plan *plan = &result->candidates[result->winner].plan;
  const bool by_rules = result->winner == 0 && !plan->info.tuned;
  const uint32_t flags = (any_driver ? CLATTN_TUNING_ANY_DRIVER : 0) | (by_rules ? CLATTN_TUNING_RULES : 0);
  return clattn_plan_tuning_row(plan->plan, flags, result->row, sizeof result->row, report) == CLATTN_OK ||
         st_fail(error, "%s", report->message);
}

bool tune_measure(bench_device *d, const char *text, const tune_request *request, progress *bar, tune_result *result,
                  st_error *error)
{
  *result = (tune_result){0};
  progress_show(bar, text);
  if (!bench_problem_make(d, text, &result->problem, error)) return false;
  if (result->problem.variant[0])
    return st_fail(error, "it names the variant %s: there is nothing to choose", result->problem.variant);
  if (!list_candidates(result, request->asked.rounds, error) || !make_row(result, request->print, error) ||
      !take_first_runs(result, bar, error) || !time_rounds(result, 0, request->asked.rounds, bar, error) ||
      !find_winner(result, request->asked.rounds, bar, error))
    return false;
  return make_row(result, request->print, error);
}

void tune_free(tune_result *result)
{
  for (int i = 0; i < result->n; i++) {
    bench_plan_free(&result->candidates[i].plan);
    free(result->candidates[i].ms);
  }
  free(result->candidates);
  bench_problem_free(&result->problem);
  *result = (tune_result){0};
}
