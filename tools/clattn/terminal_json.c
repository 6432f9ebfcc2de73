/* A network as lines of JSON. */
#include <math.h>

#include "command.h"
#include "network_edges.h"
#include "terminal_view.h"

static cJSON *begin(const char *kind, const network_layer *l)
{
  cJSON *line = cJSON_CreateObject();
  cJSON_AddStringToObject(line, "kind", kind);
  cJSON_AddNumberToObject(line, "layer", (double)l->number);
  return line;
}

static void add_texts(cJSON *line, const char *key, char **texts, int64_t count)
{
  cJSON *list = cJSON_AddArrayToObject(line, key);
  for (int64_t i = 0; i < count; i++) cJSON_AddItemToArray(list, cJSON_CreateString(texts[i]));
}

void json_layer(const network_layer *l)
{
  cJSON *line = begin("layer", l);
  cJSON_AddStringToObject(line, "name", l->name);
  add_file_name(line, "input", l->path);
  if (l->source) cJSON_AddStringToObject(line, "source", l->source);
  cJSON_AddNumberToObject(line, "heads", (double)l->heads);
  cJSON_AddBoolToObject(line, "one_sequence", l->one_sequence);
  cJSON_AddNumberToObject(line, "offset", (double)l->offset);
  add_texts(line, "queries", l->query_tokens, l->sq);
  add_texts(line, "keys", l->key_tokens, l->sk);
  print_json(line);
}

static bool print_row(void *user, int64_t query, const float *row)
{
  const head_view *v = user;
  const network_layer *l = &v->n->layers[v->layer];
  cJSON *line = begin("row", l);
  cJSON_AddNumberToObject(line, "head", (double)v->head);
  cJSON_AddStringToObject(line, "show", network_quantity_text(v->options->quantity));
  cJSON_AddNumberToObject(line, "index", (double)query);
  cJSON *list = cJSON_AddArrayToObject(line, "values");
  for (int64_t j = 0; j < l->sk; j++) cJSON_AddItemToArray(list, cJSON_CreateNumber((double)row[j]));
  print_json(line);
  return true;
}

bool json_matrix(const head_view *v, st_error *error)
{
  head_view view = *v;
  return network_each_row(v->n, v->layer, v->head, v->options->quantity, print_row, &view, error);
}

static size_t print_query(const head_view *v, const network_edge_list *edges, int64_t query, size_t at)
{
  const network_layer *l = &v->n->layers[v->layer];
  cJSON *line = begin("edges", l);
  cJSON_AddNumberToObject(line, "head", (double)v->head);
  cJSON_AddStringToObject(line, "show", network_quantity_text(v->options->quantity));
  cJSON_AddNumberToObject(line, "index", (double)query);
  cJSON_AddStringToObject(line, "token", l->query_tokens[query]);
  cJSON *list = cJSON_AddArrayToObject(line, "edges");
  for (; at < edges->count && edges->edges[at].query == query; at++) {
    const network_edge *edge = &edges->edges[at];
    cJSON *item = cJSON_CreateObject();
    cJSON_AddNumberToObject(item, "index", (double)edge->key);
    cJSON_AddStringToObject(item, "token", l->key_tokens[edge->key]);
    cJSON_AddNumberToObject(item, "weight", (double)edge->weight);
    cJSON_AddItemToArray(list, item);
  }
  print_json(line);
  return at;
}

bool json_edges(const head_view *v, st_error *error)
{
  const draw_options *o = v->options;
  network_edge_list edges;
  size_t at = 0;
  if (!network_edges(v->n, v->layer, v->head, o->quantity, o->top, o->threshold, &edges, error)) return false;
  for (int64_t query = 0; query < v->n->layers[v->layer].sq; query++) at = print_query(v, &edges, query, at);
  network_edges_free(&edges);
  return true;
}

static void add_known(cJSON *line, const char *key, double number)
{
  if (!isnan(number)) cJSON_AddNumberToObject(line, key, number);
}

void json_head(const network_layer *l, int64_t head)
{
  const network_head *h = &l->head[head];
  cJSON *line = begin("asymmetry", l);
  cJSON_AddNumberToObject(line, "head", (double)head);
  add_known(line, "a", h->a_share);
  add_known(line, "w", h->w_share);
  add_known(line, "entropy_mean", h->entropy_mean);
  add_known(line, "entropy_least", h->entropy_least);
  add_known(line, "entropy_most", h->entropy_most);
  add_known(line, "first_share", h->first_share);
  add_known(line, "sharpness", h->sharpness);
  if (!isnan(h->entropy_mean))
    cJSON_AddItemToObject(line, "entropies", cJSON_CreateDoubleArray(l->row_entropy + head * l->sq, (int)l->sq));
  cJSON *list = cJSON_AddArrayToObject(line, "pairs");
  for (int i = 0; i < h->n_pairs; i++) {
    cJSON *item = cJSON_CreateObject();
    cJSON_AddNumberToObject(item, "from", (double)h->pairs[i].from);
    cJSON_AddNumberToObject(item, "to", (double)h->pairs[i].to);
    cJSON_AddNumberToObject(item, "weight", h->pairs[i].weight);
    cJSON_AddNumberToObject(item, "back", h->pairs[i].back);
    cJSON_AddItemToArray(list, item);
  }
  print_json(line);
}
