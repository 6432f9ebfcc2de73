/* What is known of the heads of a layer, as a table. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "terminal_view.h"

enum { SHOWN_PAIRS = 2, PAIR_COLUMNS = 14, NUMBER_COLUMNS = 8 }; /* JSON has them all */

static void print_share(int columns, double share)
{
  if (isnan(share))
    printf("%*s", columns, "-");
  else
    printf("%*.3f", columns, share);
}

static void print_pairs(const terminal *t, const network_layer *l, int64_t head)
{
  const network_head *h = &l->head[head];
  if (!h->n_pairs) return;
  printf("  %4" PRId64 " ", head);
  for (int i = 0; i < h->n_pairs && i < SHOWN_PAIRS; i++) {
    const network_pair *pair = &h->pairs[i];
    const terminal_text from = terminal_quote(t, l->query_tokens[pair->from], PAIR_COLUMNS);
    const terminal_text to = terminal_quote(t, l->key_tokens[pair->to], PAIR_COLUMNS);
    printf("%s %s to %s %s/%s", i ? "," : "", from.text, to.text, terminal_number(pair->weight, NUMBER_COLUMNS).text,
           terminal_number(pair->back, NUMBER_COLUMNS).text);
  }
  putchar('\n');
}

void terminal_report(const terminal *t, const network *n, const draw_options *options, int layer)
{
  const network_layer *l = &n->layers[layer];
  const terminal_text name = terminal_show(t, l->name, TERMINAL_TEXT_COLUMNS);
  bool pairs = false;
  printf("\n%s\n"
         "asymmetry: the norm of the antisymmetric part over that of the whole (0 symmetric, 0.71 by chance);\n"
         "of the rows of P: entropy in nats, the share of the first token, the strongest edge to another\n"
         "token but the first, mean of rows\n\n"
         "  head       A  W_Q^T W_K   entropy   least    most   first  strongest\n",
         name.text);
  for (int i = 0; i < options->n_heads && options->heads[i] < l->heads; i++) {
    const network_head *h = &l->head[options->heads[i]];
    printf("  %4d", options->heads[i]);
    print_share(8, h->a_share);
    print_share(11, h->w_share);
    print_share(10, h->entropy_mean);
    print_share(8, h->entropy_least);
    print_share(8, h->entropy_most);
    print_share(8, h->first_share);
    print_share(11, h->sharpness);
    putchar('\n');
    pairs = pairs || h->n_pairs;
  }
  if (!pairs) return;
  printf("\n  head  strongest one-way pairs: which token attends which, how much, and how much back\n");
  for (int i = 0; i < options->n_heads && options->heads[i] < l->heads; i++) print_pairs(t, l, options->heads[i]);
}
