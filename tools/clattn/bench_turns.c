/* clattn bench --turns: problems timed when another program says so. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench_verb.h"

static const char verb[] = "bench --turns";

/* Problems that were asked for, planned; a list, since plans point at their problems. */
typedef struct kept {
  bench_problem problem;
  bench_plan plan;
  struct kept *next;
} kept;

static int release(kept **all)
{
  int n = 0;
  for (kept *one = *all, *next; one; one = next, n++) {
    next = one->next;
    bench_plan_free(&one->plan);
    bench_problem_free(&one->problem);
    free(one);
  }
  *all = NULL;
  return n;
}

static kept *make(bench_device *d, const char *text, const char *variant, kept **all, st_error *error)
{
  kept *one = calloc(1, sizeof *one);
  if (!one) {
    st_fail(error, "no memory for another problem");
    return NULL;
  }
  if (!bench_problem_make(d, text, &one->problem, error) ||
      !bench_plan_make(&one->problem, variant, &one->plan, error)) {
    bench_problem_free(&one->problem);
    free(one);
    return NULL;
  }
  one->next = *all;
  *all = one;
  return one;
}

static void answer_problem(bench_device *d, const char *text, const char *variant, kept **all, cJSON *answer)
{
  double ms;
  st_error error;
  kept *one = *all;
  cJSON_AddStringToObject(answer, "problem", text);
  while (one && strcmp(one->problem.text, text) != 0) one = one->next;
  if (!one) one = make(d, text, variant, all, &error);
  /* Others had the processors since the last turn. */
  if (!one || !bench_plan_run(&one->plan, 1, &ms, &error) || !bench_plan_time(&one->plan, &ms, &error)) {
    cJSON_AddStringToObject(answer, "error", error.text);
    return;
  }
  cJSON_AddStringToObject(answer, "variant", one->plan.info.variant);
  cJSON_AddNumberToObject(answer, "ms", ms);
  cJSON_AddNumberToObject(answer, "gflops", one->problem.ops / ms * 1e-6);
  cJSON_AddNumberToObject(answer, "gbytes", one->problem.bytes / ms * 1e-6);
  cJSON_AddNumberToObject(answer, "workspace_bytes", (double)one->plan.info.workspace_bytes);
}

static void answer_peak(bench_device *d, cJSON *answer)
{
  bench_peaks peaks;
  st_error error;
  /* The first one wakes up threads. */
  if (!bench_device_peaks(d, &peaks, &error) || !bench_device_peaks(d, &peaks, &error)) {
    cJSON_AddStringToObject(answer, "error", error.text);
    return;
  }
  cJSON_AddNumberToObject(answer, "peak_gflops", peaks.gflops);
  cJSON_AddNumberToObject(answer, "read_gbytes", peaks.gbytes);
}

static void tell_ready(const bench_device *d)
{
  cJSON *line = cJSON_CreateObject();
  cJSON_AddBoolToObject(line, "ready", true);
  cJSON_AddStringToObject(line, "device", d->name);
  cJSON_AddNumberToObject(line, "threads", (double)d->units);
  cJSON_AddBoolToObject(line, "pinned", d->pinned);
  print_json(line);
}

/* Until stdin ends, or stdout has nobody who reads it. */
static bool serve(bench_device *d, const bench_request *request)
{
  char *line = NULL;
  size_t room = 0;
  kept *all = NULL;
  tell_ready(d);
  bool good = flush_output(verb);
  while (good && getline(&line, &room, stdin) > 0) {
    line[strcspn(line, "\r\n")] = '\0';
    cJSON *answer = cJSON_CreateObject();
    if (strcmp(line, "peak") == 0)
      answer_peak(d, answer);
    else if (strcmp(line, "release") == 0)
      cJSON_AddNumberToObject(answer, "released", release(&all));
    else
      answer_problem(d, line, request->variant, &all, answer);
    print_json(answer);
    good = flush_output(verb);
  }
  free(line);
  release(&all);
  return good;
}

int bench_turns(const bench_request *request)
{
  bench_device d;
  st_error error;
  if (!bench_device_open(&d, request->asked.device, &error)) return bench_complain(&d, NULL, &error);
  d.cpu_time = request->asked.cpu_time;
  const bool good = serve(&d, request);
  bench_device_close(&d);
  return good ? EXIT_DONE : EXIT_FAILED;
}
