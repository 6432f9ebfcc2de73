/* A network on stdout: the chosen heads, or the sharpest few, and what is known of each. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "terminal_view.h"

enum { SHARPEST = 3 };

typedef struct chosen_head {
  int layer, head;
  double sharpness;
} chosen_head;

/* Sharper first; of equal ones, and where nothing is known, the earlier. */
static int by_sharpness(const void *a, const void *b)
{
  const chosen_head *x = a, *y = b;
  const double p = isnan(x->sharpness) ? -1.0 : x->sharpness, q = isnan(y->sharpness) ? -1.0 : y->sharpness;
  if (p < q || p > q) return p < q ? 1 : -1;
  if (x->layer != y->layer) return x->layer < y->layer ? -1 : 1;
  return (x->head > y->head) - (x->head < y->head);
}

/* All that the options name, or the sharpest of them; NULL: out of memory. */
static chosen_head *choose(const network *n, const draw_options *o, int *count)
{
  chosen_head *list = malloc((size_t)o->n_layers * (size_t)o->n_heads * sizeof *list);
  *count = 0;
  for (int i = 0; i < o->n_layers && list; i++)
    for (int j = 0; j < o->n_heads; j++) {
      const network_layer *l = &n->layers[o->layers[i]];
      if (o->heads[j] < l->heads)
        list[(*count)++] = (chosen_head){o->layers[i], o->heads[j], l->head[o->heads[j]].sharpness};
    }
  if (list && o->sharpest && !(o->view_said && o->view == DRAW_GRID)) {
    qsort(list, (size_t)*count, sizeof *list, by_sharpness);
    if (*count > SHARPEST) *count = SHARPEST;
  }
  return list;
}

static bool print_head(const head_view *v, st_error *error)
{
  const draw_options *o = v->options;
  const bool matrix = !o->view_said || o->view == DRAW_MATRIX, network = !o->view_said || o->view == DRAW_NETWORK;
  if (o->json) return (!network || json_edges(v, error)) && (network || json_matrix(v, error));
  terminal_title(v);
  if (o->view_said && o->view == DRAW_GRID) return terminal_matrix(v, true, error);
  if (matrix && !terminal_matrix(v, false, error)) return false;
  if (matrix && network) putchar('\n');
  return !network || terminal_edges(v, error);
}

bool terminal_heads(network *n, const draw_options *o, st_error *error)
{
  const terminal t = terminal_of_stdout();
  int count;
  chosen_head *heads = choose(n, o, &count);
  bool good = heads || st_fail(error, "out of memory");
  for (int i = 0; i < count && good; i++)
    good = print_head(&(head_view){&t, n, o, heads[i].layer, heads[i].head}, error);
  free(heads);
  return good;
}

static void print_layer(const terminal *t, const network_layer *l)
{
  const terminal_text name = terminal_show(t, l->name, TERMINAL_TEXT_COLUMNS);
  printf("%s: %" PRId64 " heads, %" PRId64 " queries, %" PRId64 " keys", name.text, l->heads, l->sq, l->sk);
  if (l->source) printf("; %s", terminal_show(t, l->source, TERMINAL_TEXT_COLUMNS).text);
  putchar('\n');
}

/* Of all chosen heads; what is read of a long input takes its time. */
static bool report_heads(network *n, const draw_options *o, st_error *error)
{
  progress bar;
  bool good = true;
  progress_begin(&bar, o->n_layers * o->n_heads);
  for (int i = 0; i < o->n_layers && good; i++)
    for (int j = 0; j < o->n_heads && good; j++) {
      const network_layer *l = &n->layers[o->layers[i]];
      progress_show(&bar, l->name);
      good = o->heads[j] >= l->heads || network_report_head(n, o->layers[i], o->heads[j], error);
      progress_advance(&bar);
    }
  progress_end(&bar);
  return good;
}

bool draw_terminal(network *n, const draw_options *o, st_error *error)
{
  const terminal t = terminal_of_stdout();
  if (!report_heads(n, o, error)) return false;
  for (int i = 0; i < o->n_layers; i++)
    if (o->json)
      json_layer(&n->layers[o->layers[i]]);
    else
      print_layer(&t, &n->layers[o->layers[i]]);
  if (!terminal_heads(n, o, error)) return false;
  for (int i = 0; i < o->n_layers; i++) {
    const network_layer *l = &n->layers[o->layers[i]];
    if (!o->json) terminal_report(&t, n, o, o->layers[i]);
    for (int j = 0; j < o->n_heads && o->json && o->heads[j] < l->heads; j++) json_head(l, o->heads[j]);
  }
  return true;
}
