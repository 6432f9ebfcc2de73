/* The edges of a head as lines of text: a token, and the tokens that it attends most. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "network_edges.h"
#include "terminal_view.h"

enum {
  ROWS_UNASKED = 64,  /* of a longer input the strongest edges are shown */
  STRONGEST = 32,     /* of them */
  LABEL_COLUMNS = 20, /* a query's number and text */
  TOKEN_COLUMNS = 16, /* a token's text, with its quotation marks */
  BAR_COLUMNS = 5,    /* a weight's bar */
  NUMBER_COLUMNS = 8, /* of a weight */
  EIGHTHS = BAR_COLUMNS * 8
};

void terminal_title(const head_view *v)
{
  const network_layer *l = &v->n->layers[v->layer];
  const network_quantity q = v->options->quantity;
  const terminal_text name = terminal_show(v->t, l->name, TERMINAL_TEXT_COLUMNS);
  printf("\n%s, head %" PRId64 ": %s (%s)\n", name.text, v->head, network_quantity_title(q), network_quantity_unit(q));
}

/* "1e-03" as "1e-3", "1e+05" as "1e5". */
static void shorten_exponent(char *text)
{
  char *to = strchr(text, 'e');
  if (!to) return;
  const char *from = to + 2;
  to += to[1] == '-' ? 2 : 1;
  from += strspn(from, "0");
  memmove(to, from, strlen(from) + 1);
}

number_text terminal_number(double number, int columns)
{
  enum { LARGE_DIGITS = 3, SMALL_DIGITS = 2 };
  number_text n;
  const bool small = fabs(number) < 0.005; /* two decimals would round it to 0 */
  snprintf(n.text, sizeof n.text, "%.2f", number);
  if (number == 0.0 || !isfinite(number) || (!small && (int)strlen(n.text) <= columns)) return n;
  for (int digits = small ? SMALL_DIGITS : LARGE_DIGITS; digits > 0; digits--)
    for (int exponent = 0; exponent < 2; exponent++) {
      snprintf(n.text, sizeof n.text, exponent ? "%.*e" : "%.*g", digits - exponent, number);
      shorten_exponent(n.text);
      if ((int)strlen(n.text) <= columns) return n;
    }
  if (small) snprintf(n.text, sizeof n.text, "0.00");
  return n;
}

/* In eighths of a character. */
static void print_bar(const head_view *v, double share)
{
  static const char *const eighths[] = {"",
                                        "\xE2\x96\x8F",
                                        "\xE2\x96\x8E",
                                        "\xE2\x96\x8D",
                                        "\xE2\x96\x8C",
                                        "\xE2\x96\x8B",
                                        "\xE2\x96\x8A",
                                        "\xE2\x96\x89"};
  const int filled = share < 1.0 ? (int)(share * EIGHTHS + 0.5) : EIGHTHS;
  for (int i = 0; i < filled / 8; i++) fputs(v->t->blocks ? "\xE2\x96\x88" : "#", stdout);
  if (v->t->blocks) fputs(eighths[filled % 8], stdout);
  if (filled) putchar(' ');
}

static void print_edge(const head_view *v, const network_edge *edge, double largest)
{
  const network_layer *l = &v->n->layers[v->layer];
  const terminal_text key = terminal_quote(v->t, l->key_tokens[edge->key], TOKEN_COLUMNS);
  printf(" %s ", key.text);
  if (v->t->here) print_bar(v, fabs((double)edge->weight) / largest);
  fputs(terminal_number((double)edge->weight, NUMBER_COLUMNS).text, stdout);
}

static void print_query(const head_view *v, int64_t query)
{
  const network_layer *l = &v->n->layers[v->layer];
  const terminal_text text = terminal_quote(v->t, l->query_tokens[query], TOKEN_COLUMNS);
  printf("%3" PRId64 " ", query);
  if (v->t->here)
    terminal_print_to(v->t, &text, LABEL_COLUMNS);
  else
    printf("%*s%s", TOKEN_COLUMNS - text.columns, "", text.text);
  putchar(':');
}

static double largest_of(const network_edge_list *list)
{
  double largest = 0.0;
  for (size_t i = 0; i < list->count; i++)
    if (fabs((double)list->edges[i].weight) > largest) largest = fabs((double)list->edges[i].weight);
  return largest;
}

static void print_all(const head_view *v, const network_edge_list *list)
{
  const network_layer *l = &v->n->layers[v->layer];
  const double largest = largest_of(list);
  size_t at = 0;
  for (int64_t query = 0; query < l->sq; query++) {
    print_query(v, query);
    for (bool first = true; at < list->count && list->edges[at].query == query; at++, first = false) {
      if (!first) putchar(',');
      print_edge(v, &list->edges[at], largest);
    }
    putchar('\n');
  }
}

/* Stronger first; of equal ones the earlier. */
static int by_magnitude(const void *a, const void *b)
{
  const network_edge *x = a, *y = b;
  const float p = fabsf(x->weight), q = fabsf(y->weight);
  if (p != q) return p < q ? 1 : -1;
  if (x->query != y->query) return x->query < y->query ? -1 : 1;
  return (x->key > y->key) - (x->key < y->key);
}

/* To another token, and not to the first: most rest there. */
static void print_strongest(const head_view *v, network_edge_list *list)
{
  const network_layer *l = &v->n->layers[v->layer];
  size_t kept = 0;
  for (size_t i = 0; i < list->count; i++) {
    const network_edge edge = list->edges[i];
    if (edge.key == 0 || (l->one_sequence && edge.key == edge.query + l->offset)) continue;
    list->edges[kept++] = edge;
  }
  list->count = kept;
  if (kept) qsort(list->edges, kept, sizeof *list->edges, by_magnitude);
  if (list->count > STRONGEST) list->count = STRONGEST;
  printf("the strongest edges to another token but the first (--view network: those of every token)\n");
  for (size_t i = 0; i < list->count; i++) {
    print_query(v, list->edges[i].query);
    print_edge(v, &list->edges[i], largest_of(list));
    if (l->named) printf(" (key %" PRId64 ")", list->edges[i].key);
    putchar('\n');
  }
}

bool terminal_edges(const head_view *v, st_error *error)
{
  const draw_options *o = v->options;
  network_edge_list list;
  if (!network_edges(v->n, v->layer, v->head, o->quantity, o->top, o->threshold, &list, error)) return false;
  if (v->n->layers[v->layer].sq > ROWS_UNASKED && !o->view_said)
    print_strongest(v, &list);
  else
    print_all(v, &list);
  network_edges_free(&list);
  return true;
}
