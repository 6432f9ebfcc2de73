/* A head of a network as text: its matrix, its edges, what is known of it. */
#ifndef CLATTN_TOOLS_TERMINAL_VIEW_H
#define CLATTN_TOOLS_TERMINAL_VIEW_H

#include "draw.h"
#include "terminal.h"

/* One head, and how it is shown. */
typedef struct head_view {
  const terminal *t;
  network *n;
  const draw_options *options;
  int layer;
  int64_t head;
} head_view;

/* A weight or a score in few characters: two decimals; what they would not show, or what has many digits, with as many
 * digits as go into `columns`, at most three. Nothing but 0 reads 0.00. */
typedef struct number_text {
  char text[24];
} number_text;
number_text terminal_number(double number, int columns);

/* A line that says what follows. */
void terminal_title(const head_view *v);

/* Rows are queries. What does not fit is summed up in tiles; `small`: in few of them. */
bool terminal_matrix(const head_view *v, bool small, st_error *error);

/* Each token's strongest edges; of long inputs, where nobody asked for them all, the strongest of the head. */
bool terminal_edges(const head_view *v, st_error *error);

/* All of this for the heads that the options name, or for the sharpest few of them; as JSON where they say so. */
bool terminal_heads(network *n, const draw_options *options, st_error *error);

/* What is known of the chosen heads of a layer. */
void terminal_report(const terminal *t, const network *n, const draw_options *options, int layer);

/* The same as lines of JSON. */
void json_layer(const network_layer *l);
bool json_matrix(const head_view *v, st_error *error);
bool json_edges(const head_view *v, st_error *error);
void json_head(const network_layer *l, int64_t head);

#endif
