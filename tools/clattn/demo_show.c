/* What the demonstration shows: times, the strongest edges of the sharpest heads, the asymmetry report. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "demo.h"
#include "terminal_view.h"

enum { SHOWN_EDGES = 3 };

/* The probabilities as a network. Its tokens' texts are the layer's own. */
static bool make_network(const layer *l, const demo_result *r, network *n, st_error *error)
{
  st_file file = {0};
  st_tensor *p = st_add(&file, "P", ST_F32, 4, (int64_t[]){l->b, l->hq, l->sq, l->sk});
  const char *tokens = st_label_value(&l->file, "tokens");
  bool good = p && st_set_label(&file, "title", "the layer") && (!tokens || st_set_label(&file, "tokens", tokens));
  if (good) memcpy(p->data, r->p, p->bytes);
  good = (good || st_fail(error, "out of memory")) && network_add_bare(n, &file, "", 0, error) &&
         network_report(n, 0, error);
  st_free(&file);
  if (good) n->layers[0].number = 0;
  for (int64_t h = 0; h < l->hq && good; h++) {
    n->layers[0].head[h].a_share = r->a_share[h];
    n->layers[0].head[h].w_share = r->w_share[h];
  }
  return good;
}

/* All heads, of which the sharpest few are shown. */
static draw_options options_for(int *heads, int n_heads, bool json)
{
  static int layers[1] = {0};
  for (int h = 0; h < n_heads; h++) heads[h] = h;
  return (draw_options){.quantity = NETWORK_P,
                        .layers = layers,
                        .n_layers = 1,
                        .heads = heads,
                        .n_heads = n_heads,
                        .top = SHOWN_EDGES,
                        .sharpest = true,
                        .json = json};
}

static void show_times(const device *d, const demo_result *r)
{
  double layer_ms = 0.0;
  printf("\n%-18s %-46s %10s\n", "stage", "variant", "on device");
  for (int i = 0; i < r->n_layer_stages; i++) {
    printf("%-18s %-46s %7.3f ms\n", d->stages[i].name, d->stages[i].variant, d->stages[i].run_ms);
    layer_ms += d->stages[i].run_ms;
  }
  printf("%-18s %-46s %7.3f ms\n", "the layer", "", layer_ms);
  printf("wall time %.0f ms: %.0f ms to open the device, %.0f ms to plan and run %d stages\n", r->total_ms, r->open_ms,
         r->stages_ms, d->n_stages);
}

static void show_symmetry(const demo_result *r)
{
  printf("\nWith W_K := W_Q, one key head for each query head, A must be symmetric (largest over the heads):\n");
  for (int i = 0; i < 2; i++)
    printf("  %-17s %.1e  %s\n", i ? "without rotation" : "with rotation", r->symmetric_share[i],
           r->symmetric_share[i] <= DEMO_SYMMETRIC_LIMIT ? "symmetric" : "NOT SYMMETRIC");
}

static void show_what_it_is(const device *d, const layer *l, const network_layer *n)
{
  const char *source = st_label_value(&l->file, "source"), *next = st_label_value(&l->file, "next_token");
  printf("device: %s\n", d->name);
  if (source) printf("layer:  %.90s\n", source);
  printf("input:  ");
  for (int64_t i = 0; i < n->sq; i++) fputs(n->query_tokens[i], stdout);
  if (next) printf(" (the model goes on with \"%s\")", next);
  printf("\nheads:  %d for queries, %d for keys and values; %d tokens of width %d\n", (int)l->hq, (int)l->hk,
         (int)l->sq, (int)l->e);
}

static bool show_text(const device *d, const layer *l, const demo_result *r, network *n, const draw_options *o,
                      st_error *error)
{
  const terminal t = terminal_of_stdout();
  show_what_it_is(d, l, &n->layers[0]);
  show_times(d, r);
  printf("\nThe sharpest heads: which tokens a token attends, and how much\n");
  if (!terminal_heads(n, o, error)) return false;
  terminal_report(&t, n, o, 0);
  show_symmetry(r);
  return true;
}

static void show_run_json(const device *d, const demo_result *r)
{
  cJSON *line = cJSON_CreateObject();
  cJSON_AddStringToObject(line, "kind", "run");
  cJSON_AddStringToObject(line, "device", d->name);
  cJSON_AddNumberToObject(line, "total_ms", r->total_ms);
  cJSON_AddNumberToObject(line, "open_ms", r->open_ms);
  cJSON_AddNumberToObject(line, "stages_ms", r->stages_ms);
  print_json(line);
  for (int i = 0; i < d->n_stages; i++) {
    line = cJSON_CreateObject();
    cJSON_AddStringToObject(line, "kind", "stage");
    cJSON_AddStringToObject(line, "stage", d->stages[i].name);
    cJSON_AddStringToObject(line, "variant", d->stages[i].variant);
    cJSON_AddBoolToObject(line, "layer", i < r->n_layer_stages);
    cJSON_AddNumberToObject(line, "plan_ms", d->stages[i].plan_ms);
    cJSON_AddNumberToObject(line, "run_ms", d->stages[i].run_ms);
    print_json(line);
  }
}

static bool show_json(const device *d, const layer *l, const demo_result *r, network *n, const draw_options *o,
                      st_error *error)
{
  show_run_json(d, r);
  if (!terminal_heads(n, o, error)) return false;
  for (int64_t h = 0; h < l->hq; h++) json_head(&n->layers[0], h);
  for (int i = 0; i < 2; i++) {
    cJSON *line = cJSON_CreateObject();
    cJSON_AddStringToObject(line, "kind", "symmetry");
    cJSON_AddBoolToObject(line, "rotation", i == 0);
    cJSON_AddNumberToObject(line, "share", r->symmetric_share[i]);
    cJSON_AddNumberToObject(line, "limit", DEMO_SYMMETRIC_LIMIT);
    cJSON_AddBoolToObject(line, "good", r->symmetric_share[i] <= DEMO_SYMMETRIC_LIMIT);
    print_json(line);
  }
  return true;
}

bool demo_show(const device *d, const layer *l, const demo_result *r, bool json, st_error *error)
{
  network n = {0};
  int *heads = malloc((size_t)l->hq * sizeof *heads);
  bool good = (heads || st_fail(error, "out of memory")) && make_network(l, r, &n, error);
  if (good) {
    const draw_options options = options_for(heads, (int)l->hq, json);
    good = json ? show_json(d, l, r, &n, &options, error) : show_text(d, l, r, &n, &options, error);
  }
  network_free(&n);
  free(heads);
  return good;
}
