/* What `clattn tune` found, for people, for programs and for the built-in table. */
#include <stdio.h>
#include <string.h>

#include "tune_verb.h"

static int count_timed(const tune_result *result)
{
  int timed = 0;
  for (int i = 0; i < result->n; i++) timed += result->candidates[i].timed;
  return timed;
}

static void tell_json(const tune_request *request, const tune_result *result)
{
  const tune_candidate *own = &result->candidates[0], *winner = &result->candidates[result->winner];
  cJSON *line = cJSON_CreateObject();
  cJSON_AddStringToObject(line, "problem", result->problem.text);
  cJSON_AddStringToObject(line, "device", result->problem.device->name);
  cJSON_AddStringToObject(line, "rules_variant", own->id);
  cJSON_AddNumberToObject(line, "rules_ms", own->median_ms);
  cJSON_AddStringToObject(line, "variant", winner->id);
  cJSON_AddNumberToObject(line, "ms", winner->median_ms);
  cJSON_AddNumberToObject(line, "gain", own->median_ms / winner->median_ms);
  cJSON_AddNumberToObject(line, "rounds", request->asked.rounds);
  cJSON_AddStringToObject(line, "row", result->row);
  cJSON *list = cJSON_AddArrayToObject(line, "candidates");
  for (int i = 0; i < result->n; i++) {
    const tune_candidate *c = &result->candidates[i];
    cJSON *item = cJSON_CreateObject();
    cJSON_AddStringToObject(item, "variant", c->id);
    if (c->timed) cJSON_AddNumberToObject(item, "ms", c->median_ms);
    if (!c->timed) cJSON_AddStringToObject(item, "why", c->why.text);
    cJSON_AddItemToArray(list, item);
  }
  print_json(line);
}

static void tell_table(const tune_request *request, const tune_result *result, bool first)
{
  const tune_candidate *own = &result->candidates[0], *winner = &result->candidates[result->winner];
  const int width = problem_words_width(&request->asked);
  char gain[16] = "-", variants[32];
  if (first)
    printf("%-*s %10s %10s %7s %8s  %-48s %s\n", width, "problem", "rules ms", "ms", "gain", "variants",
           "rules' choice", "taken instead");
  if (result->winner) snprintf(gain, sizeof gain, "%.1f %%", 100.0 * (own->median_ms / winner->median_ms - 1.0));
  snprintf(variants, sizeof variants, "%d/%d", count_timed(result), result->n);
  printf("%-*s %10.4g %10.4g %7s %8s  %-48s %s\n", width, result->problem.text, own->median_ms, winner->median_ms, gain,
         variants, own->id, result->winner ? winner->id : "-");
}

void tune_tell(const tune_request *request, const tune_result *result, bool first)
{
  if (request->asked.json)
    tell_json(request, result);
  else if (request->print)
    printf("CA_TUNED(\"%s\")\n", result->row);
  else
    tell_table(request, result, first);
  fflush(stdout);
}
