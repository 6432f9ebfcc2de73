/* Pictures of the ephemeral network: what was asked for, and who draws it. */
#ifndef CLATTN_TOOLS_DRAW_H
#define CLATTN_TOOLS_DRAW_H

#include "network.h"

typedef enum draw_view {
  DRAW_MATRIX,  /* a heat map: rows are queries, columns are keys */
  DRAW_NETWORK, /* tokens in reading order, edges between them */
  DRAW_GRID     /* layers x heads, a thumbnail each */
} draw_view;

typedef struct draw_options {
  draw_view view;
  network_quantity quantity; /* the layers drawn can all show it */
  int *layers, *heads;       /* indices of what is drawn, rising; heads count for each layer that has them */
  int n_layers, n_heads;
  int64_t top;         /* edges of each query; 0: no limit */
  double threshold;    /* of an edge's magnitude */
  const char *colours; /* the colour map's name; NULL: the theme's own */
  bool dark;           /* light ink on dark ground */
  bool pinned;         /* the edges of query `pin`, which every layer has, stand out from the others */
  int64_t pin;
  const char *title; /* NULL: made of what is drawn */
  bool view_said;    /* otherwise text shows a head's matrix and its network */
  bool sharpest;     /* text shows the few sharpest of these heads only */
  bool json;         /* text is one JSON object a line */
} draw_options;

/* A picture as SVG text, for the caller to free. What is wrong with the options (too many cells or edges for a
 * picture) is said by name, value and limit. */
bool draw_svg(network *n, const draw_options *options, char **text, size_t *bytes, st_error *error);

/* The bytes of a PNG file of the same picture, for the caller to free. */
bool draw_png(network *n, const draw_options *options, unsigned char **data, size_t *bytes, st_error *error);

/* A page that shows all layers and heads given, as HTML text for the caller to free. */
bool draw_html(network *n, const draw_options *options, char **text, size_t *bytes, st_error *error);

/* On stdout: block characters where it is a terminal, plain text elsewhere, or JSON. */
bool draw_terminal(network *n, const draw_options *options, st_error *error);

#endif
