/* clattn selftest: every variant that the device would accept, against sums in double. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "device_run.h"
#include "progress.h"

static const char verb[] = "selftest";

static const char help[] =
    "usage: clattn selftest [OPTION...]\n"
    "\n"
    "Runs every variant of every operation that the device would accept on small problems around the edges of its\n"
    "tiles, against sums in double: the first thing to do on a new driver. Prints a line a variant: trials, the "
    "largest\n"
    "error as a share of what is allowed, verdict; and one for every trial that went wrong.\n"
    "What is WRONG is left out by all later runs on this device and driver, and plans say so. The verdict lies in the\n"
    "program cache ($XDG_CACHE_HOME/clattn or CLATTN_CACHE_DIR); the next selftest that finds it right clears it, and "
    "so\n"
    "does deleting that folder. The status is 1 where a variant is wrong.\n"
    "\n"
    "      --device TEXT    P:D, cpu, gpu, or part of a name, as CLATTN_DEVICE\n"
    "      --json           print one JSON object a line: a variant, or with \"problem\" a trial that went wrong\n"
    "  -h, --help\n"
    "\n"
    "example: clattn selftest --device gpu\n";

/* All trials of one kind of variant: of what is left out as one. */
typedef struct variant_line {
  char kind[96];
  uint32_t trials, wrong;
  double error;
} variant_line;

/* A trial that went wrong. */
typedef struct failure {
  char id[96], problem[256], reason[256];
  double error;
} failure;

typedef struct results {
  variant_line *variants;
  failure *failures;
  size_t n_variants, n_failures;
  bool no_memory;
  progress bar;
} results;

/* A list with room for one more; false: no memory, and the list is as it was. */
static bool grow(void **list, size_t count, size_t bytes)
{
  void *larger = realloc(*list, (count + 1) * bytes);
  if (larger) *list = larger;
  return larger != NULL;
}

static variant_line *line_of(results *all, const char *kind)
{
  for (size_t i = 0; i < all->n_variants; i++)
    if (strcmp(all->variants[i].kind, kind) == 0) return &all->variants[i];
  if (!grow((void **)&all->variants, all->n_variants, sizeof *all->variants)) return NULL;
  variant_line *added = &all->variants[all->n_variants++];
  *added = (variant_line){0};
  snprintf(added->kind, sizeof added->kind, "%s", kind);
  return added;
}

static void note_failure(results *all, const clattn_selftest_row *row)
{
  if (!grow((void **)&all->failures, all->n_failures, sizeof *all->failures)) {
    all->no_memory = true;
    return;
  }
  failure *f = &all->failures[all->n_failures++];
  *f = (failure){.error = row->error};
  snprintf(f->id, sizeof f->id, "%s", row->variant);
  snprintf(f->problem, sizeof f->problem, "%s", row->problem);
  snprintf(f->reason, sizeof f->reason, "%s", row->reason);
}

/* What a device refuses is no verdict on it. */
static bool was_refused(const clattn_selftest_row *row) { return row->status == CLATTN_UNSUPPORTED; }

static void take_row(const clattn_selftest_row *row, void *user)
{
  results *all = user;
  all->bar.done = (int)row->trial - 1;
  if (all->bar.total) all->bar.total = (int)row->trials;
  progress_show(&all->bar, row->variant);
  if (was_refused(row)) return;
  variant_line *line = line_of(all, row->kind);
  if (!line) {
    all->no_memory = true;
    return;
  }
  line->trials++;
  line->error = fmax(line->error, row->error);
  if (row->right) return;
  line->wrong++;
  note_failure(all, row);
}

static void add_error(cJSON *line, double error)
{
  if (isfinite(error))
    cJSON_AddNumberToObject(line, "error", error);
  else
    cJSON_AddNullToObject(line, "error"); /* JSON has no infinity */
}

static void print_results_json(const results *all)
{
  for (size_t i = 0; i < all->n_variants; i++) {
    const variant_line *v = &all->variants[i];
    cJSON *line = cJSON_CreateObject();
    cJSON_AddStringToObject(line, "variant", v->kind);
    cJSON_AddNumberToObject(line, "trials", v->trials);
    cJSON_AddNumberToObject(line, "wrong_trials", v->wrong);
    add_error(line, v->error);
    cJSON_AddBoolToObject(line, "right", v->wrong == 0);
    print_json(line);
  }
  for (size_t i = 0; i < all->n_failures; i++) {
    const failure *f = &all->failures[i];
    cJSON *line = cJSON_CreateObject();
    cJSON_AddStringToObject(line, "variant", f->id);
    cJSON_AddStringToObject(line, "problem", f->problem);
    add_error(line, f->error);
    cJSON_AddStringToObject(line, "reason", f->reason);
    print_json(line);
  }
}

static void print_results(const results *all)
{
  printf("%-44s %6s %8s  verdict\n", "variant", "trials", "error");
  for (size_t i = 0; i < all->n_variants; i++) {
    const variant_line *v = &all->variants[i];
    printf("%-44s %6u %8.3g  %s", v->kind, v->trials, v->error, v->wrong ? "WRONG" : "right");
    if (v->wrong) printf(" in %u", v->wrong);
    putchar('\n');
  }
  for (size_t i = 0; i < all->n_failures; i++) {
    const failure *f = &all->failures[i];
    printf("%s: %s, error %.3g\n  %s\n", f->id, f->reason, f->error, f->problem);
  }
}

static int test_device(const char *want, bool json)
{
  device d;
  st_error error;
  results all = {0};
  uint32_t wrong = 0;
  if (!device_open(&d, want, &error)) {
    complain(verb, "%s", error.text);
    show_detail(&d.report);
    return EXIT_FAILED;
  }
  progress_begin(&all.bar, 1);
  const clattn_status status = clattn_selftest(d.context, take_row, &all, &wrong, &d.report);
  progress_end(&all.bar);
  const bool done = status == CLATTN_OK && !all.no_memory;
  if (done && json) print_results_json(&all);
  if (done && !json) printf("%s\n", d.name);
  if (done && !json) print_results(&all);
  if (done && wrong) complain(verb, "%u kinds of variants are wrong on %s and left out from now on", wrong, d.name);
  if (!done) complain(verb, "%s", status == CLATTN_OK ? "no memory" : d.report.message);
  free(all.variants);
  free(all.failures);
  device_close(&d);
  return flush_output(verb) && done && !wrong ? EXIT_DONE : EXIT_FAILED;
}

int verb_selftest(int argc, char **argv)
{
  plain_options taken;
  const int status = take_plain_options(verb, help, argc, argv, &taken);
  if (status >= 0) return status;
  return test_device(taken.device, taken.json);
}
