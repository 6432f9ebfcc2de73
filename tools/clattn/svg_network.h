/* The network view's two layouts: tokens along a line with arcs between them, or queries and keys in two columns. */
#ifndef CLATTN_TOOLS_SVG_NETWORK_H
#define CLATTN_TOOLS_SVG_NETWORK_H

#include "svg_picture.h"

/* An edge between two places of a layout. */
typedef struct svg_edge {
  network_edge is;
  int64_t from, to; /* nodes; of one sequence the same ones for queries and keys */
  bool later;       /* the key comes after the query, in one sequence */
  bool faded;       /* another query is pinned */
  double width;
  double from_at, to_at; /* where it leaves and arrives along the line, in pixels */
} svg_edge;

typedef struct svg_edges {
  svg_edge *edges; /* the strongest last, so that they lie on top */
  size_t count;
  bool earlier, later, own; /* whether there are edges to an earlier token, a later one, the token itself */
  bool negative;
} svg_edges;

/* The width of an edge of this weight. */
double svg_edge_width(const svg_scale *scale, double weight);

/* Its colour goes with the weight too. Edges to later tokens have a map of their own. */
colour svg_edge_colour(const svg_picture *p, double weight, bool later);

/* Opens the one element of an edge, `tag` with its class and data; svg_end_edge adds its tooltip and closes it. */
void svg_begin_edge(svg_picture *p, const char *tag, const svg_edge *e);
void svg_end_edge(svg_picture *p, const char *tag, const svg_edge *e, const network_layer *l);

/* Whether a layer fits on a line; and a panel of it there, at (left, top): the size alone where draw is false. */
bool svg_line_fits(const network_layer *l, bool *failed);
bool svg_line_panel(svg_picture *p, const network_layer *l, svg_edges *edges, double left, double top, bool draw,
                    double *width, double *height);

/* The same in two columns. */
bool svg_columns_panel(svg_picture *p, const network_layer *l, svg_edges *edges, double left, double top, bool draw,
                       double *width, double *height);

#endif
