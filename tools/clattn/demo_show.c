/* What the demonstration shows: times, the strongest edges of the sharpest heads, the asymmetry report. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "demo.h"

enum { SHOWN_HEADS = 3, SHOWN_EDGES = 3 };

typedef struct edge {
  int token; /* the key that is attended */
  double weight;
} edge;

/* Token texts; NULL where the file has none. */
static cJSON *read_tokens(const layer *l)
{
  const char *text = st_label_value(&l->file, "tokens");
  return text ? cJSON_Parse(text) : NULL;
}

static const char *token_text(const cJSON *tokens, int index)
{
  const cJSON *item = cJSON_GetArrayItem(tokens, index);
  return cJSON_IsString(item) ? item->valuestring : "?";
}

/* The mean, over the tokens, of the strongest edge to another token. The first token is left aside: nearly every head
 * rests much of its weight there, whatever the sentence says. */
static double sharpness(const demo_result *r, const layer *l, int head)
{
  const int64_t n = l->sq;
  double sum = 0.0;
  for (int64_t i = 2; i < n; i++) {
    float strongest = 0.0f;
    for (int64_t j = 1; j < i; j++) {
      const float weight = r->p[(head * n + i) * n + j];
      if (weight > strongest) strongest = weight;
    }
    sum += (double)strongest;
  }
  return n > 2 ? sum / (double)(n - 2) : 0.0;
}

static int sharpest_heads(const demo_result *r, const layer *l, int heads[SHOWN_HEADS])
{
  int count = 0;
  for (; count < SHOWN_HEADS && count < l->hq; count++) {
    double best = -1.0;
    for (int h = 0; h < l->hq; h++) {
      bool listed = false;
      for (int i = 0; i < count; i++) listed = listed || heads[i] == h;
      const double sharp = listed ? -1.0 : sharpness(r, l, h);
      if (sharp > best) {
        best = sharp;
        heads[count] = h;
      }
    }
  }
  return count;
}

/* The strongest edges of a row, strongest first; fewer than asked where the row is shorter. */
static int strongest_edges(const demo_result *r, const layer *l, int head, int token, edge edges[SHOWN_EDGES])
{
  int count = 0;
  for (int j = 0; j < (int)l->sk; j++) {
    const double weight = (double)r->p[(head * l->sq + token) * l->sk + j];
    int at = count < SHOWN_EDGES ? count : SHOWN_EDGES;
    if (!(weight > 0.0)) continue;
    while (at > 0 && edges[at - 1].weight < weight) {
      if (at < SHOWN_EDGES) edges[at] = edges[at - 1];
      at--;
    }
    if (at < SHOWN_EDGES) edges[at] = (edge){j, weight};
    if (count < SHOWN_EDGES) count++;
  }
  return count;
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

static void show_heads(const layer *l, const demo_result *r, const cJSON *tokens)
{
  int heads[SHOWN_HEADS];
  const int count = sharpest_heads(r, l, heads);
  printf("\nThe strongest edges of the sharpest heads: which tokens a token attends, and how much\n");
  for (int i = 0; i < count; i++) {
    printf("\nhead %d\n", heads[i]);
    for (int token = 0; token < (int)l->sq; token++) {
      edge edges[SHOWN_EDGES];
      const int n = strongest_edges(r, l, heads[i], token, edges);
      char text[40];
      snprintf(text, sizeof text, "\"%.30s\"", token_text(tokens, token));
      printf("  %12s:", text);
      for (int e = 0; e < n; e++)
        printf("%s \"%.30s\" %.2f", e ? "," : "", token_text(tokens, edges[e].token), edges[e].weight);
      putchar('\n');
    }
  }
}

static void show_asymmetry(const layer *l, const demo_result *r)
{
  printf("\nAsymmetry: the norm of the antisymmetric part over the norm of the whole\n"
         "(0 symmetric, 0.71 as by chance, 1 antisymmetric)\n\n  head      A   W_Q^T W_K\n");
  for (int64_t h = 0; h < l->hq; h++) printf("  %4d   %.3f       %.3f\n", (int)h, r->a_share[h], r->w_share[h]);
  printf("\nWith W_K := W_Q, one key head for each query head, A must be symmetric (largest over the heads):\n");
  for (int i = 0; i < 2; i++)
    printf("  %-17s %.1e  %s\n", i ? "without rotation" : "with rotation", r->symmetric_share[i],
           r->symmetric_share[i] <= DEMO_SYMMETRIC_LIMIT ? "symmetric" : "NOT SYMMETRIC");
}

void demo_show_text(const device *d, const layer *l, const demo_result *r)
{
  cJSON *tokens = read_tokens(l);
  const char *source = st_label_value(&l->file, "source"), *next = st_label_value(&l->file, "next_token");
  printf("device: %s\n", d->name);
  if (source) printf("layer:  %.90s\n", source);
  printf("input:  ");
  for (int i = 0; i < (int)l->sq; i++) fputs(token_text(tokens, i), stdout);
  if (next) printf(" (the model goes on with \"%s\")", next);
  printf("\nheads:  %d for queries, %d for keys and values; %d tokens of width %d\n", (int)l->hq, (int)l->hk,
         (int)l->sq, (int)l->e);
  show_times(d, r);
  show_heads(l, r, tokens);
  show_asymmetry(l, r);
  cJSON_Delete(tokens);
}

static void show_edges_json(const layer *l, const demo_result *r, const cJSON *tokens, int head, int token)
{
  edge edges[SHOWN_EDGES];
  const int n = strongest_edges(r, l, head, token, edges);
  cJSON *line = cJSON_CreateObject(), *list;
  cJSON_AddStringToObject(line, "kind", "edges");
  cJSON_AddNumberToObject(line, "head", head);
  cJSON_AddNumberToObject(line, "index", token);
  cJSON_AddStringToObject(line, "token", token_text(tokens, token));
  list = cJSON_AddArrayToObject(line, "edges");
  for (int e = 0; e < n; e++) {
    cJSON *item = cJSON_CreateObject();
    cJSON_AddNumberToObject(item, "index", edges[e].token);
    cJSON_AddStringToObject(item, "token", token_text(tokens, edges[e].token));
    cJSON_AddNumberToObject(item, "weight", edges[e].weight);
    cJSON_AddItemToArray(list, item);
  }
  print_json(line);
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

void demo_show_json(const device *d, const layer *l, const demo_result *r)
{
  int heads[SHOWN_HEADS];
  cJSON *tokens = read_tokens(l), *line;
  const int count = sharpest_heads(r, l, heads);
  show_run_json(d, r);
  for (int i = 0; i < count; i++)
    for (int token = 0; token < (int)l->sq; token++) show_edges_json(l, r, tokens, heads[i], token);
  for (int h = 0; h < (int)l->hq; h++) {
    line = cJSON_CreateObject();
    cJSON_AddStringToObject(line, "kind", "asymmetry");
    cJSON_AddNumberToObject(line, "head", h);
    cJSON_AddNumberToObject(line, "a", r->a_share[h]);
    cJSON_AddNumberToObject(line, "w", r->w_share[h]);
    cJSON_AddNumberToObject(line, "sharpness", sharpness(r, l, h));
    print_json(line);
  }
  for (int i = 0; i < 2; i++) {
    line = cJSON_CreateObject();
    cJSON_AddStringToObject(line, "kind", "symmetry");
    cJSON_AddBoolToObject(line, "rotation", i == 0);
    cJSON_AddNumberToObject(line, "share", r->symmetric_share[i]);
    cJSON_AddNumberToObject(line, "limit", DEMO_SYMMETRIC_LIMIT);
    cJSON_AddBoolToObject(line, "good", r->symmetric_share[i] <= DEMO_SYMMETRIC_LIMIT);
    print_json(line);
  }
  cJSON_Delete(tokens);
}
