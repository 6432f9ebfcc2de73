/* A picture of the network as SVG, in the making: what all views share. */
#ifndef CLATTN_TOOLS_SVG_PICTURE_H
#define CLATTN_TOOLS_SVG_PICTURE_H

#include "colours.h"
#include "draw.h"
#include "label_text.h"
#include "network_edges.h"
#include "text_buffer.h"

/* What a picture is held to, beyond which it is refused by name, value and limit. */
enum {
  SVG_MAX_PANELS = 36,       /* heads beside each other in matrix and network */
  SVG_MAX_THUMBNAILS = 4096, /* of a grid */
  SVG_MAX_EDGES = 20000,     /* of all panels */
  SVG_MAX_NODES = 512        /* tokens of a network; longer ones are seen as a matrix */
};

/* A PNG has this many pixels, each way, for one of CSS. */
enum { SVG_PIXELS = 2 };

/* Lengths in pixels of CSS. */
enum { SVG_TEXT = 11, SVG_SMALL_TEXT = 10, SVG_MARGIN = 16, SVG_PANEL_GAP = 28, SVG_WIDEST_BODY = 1200 };

/* How numbers become colours: the more tokens there are, the smaller most weights. A logarithmic scale begins at
 * SVG_DECADES below its end. */
typedef enum svg_curve { SVG_LINEAR, SVG_ROOT, SVG_LOGARITHM } svg_curve;
enum { SVG_DECADES = 4 };

/* Either from 0 to `most`, or, linear, from -most to most. */
typedef struct svg_scale {
  const colour_family *family;
  bool dark, diverging;
  svg_curve curve;
  double step;                         /* between ticks */
  double most;                         /* whole steps; at least as large as what is shown */
  double thickest;                     /* an edge of `most`, in pixels */
  double seen;                         /* the largest magnitude that svg_scale_see met */
  bool saw_none, saw_masked, saw_wild; /* a 0 that means "not attended", minus infinity, another infinity or NaN */
} svg_scale;

typedef struct svg_panel {
  int layer;
  int64_t head;
} svg_panel;

typedef struct svg_picture {
  network *n;
  const draw_options *options;
  const colour_theme *theme;
  svg_scale scale;
  svg_panel *panels; /* one a chosen head of a chosen layer */
  int n_panels;
  text_buffer body;     /* the view's elements, from (0,0) on */
  text_buffer legend;   /* beneath it, from (0,0) on */
  double width, height; /* of the body */
  double legend_width, legend_height;
  char note[320]; /* the last line: what the picture leaves out or pools */
  st_error *error;
} svg_picture;

/* ---- the views: fill in body, width, height, legend and note ---- */
bool svg_matrix(svg_picture *p);
bool svg_network(svg_picture *p);
bool svg_grid(svg_picture *p);

/* ---- what they are made with ---- */

const network_layer *svg_layer(const svg_picture *p, const svg_panel *panel);

/* A panel's heading: "head 8", or with the layer's name where there are several layers. */
void svg_put_panel_name(svg_picture *p, const svg_panel *panel, double x, double y);

/* How many panels of this size go into a row. */
int svg_columns(const svg_picture *p, double panel_width);

/* The largest tile side whose tiles of a sequence are at most `most`; and how many tiles there are. */
int64_t svg_tile(int64_t tokens, int64_t most);
int64_t svg_tiles(int64_t tokens, int64_t tile);

/* A head's cells, pooled where a tile is more than one token: the largest of a tile, of an antisymmetric part (whose
 * largest would always be positive) the mean. NULL when it fails. */
float *svg_cells(svg_picture *p, const svg_panel *panel, int64_t tile_rows, int64_t tile_keys);

void svg_scale_begin(svg_picture *p, svg_curve curve);
void svg_scale_see(svg_scale *scale, const float *cells, size_t count);
void svg_scale_end(svg_scale *scale); /* before any colour is asked for */
bool svg_scale_is_none(const svg_scale *scale, float value);
colour svg_scale_colour(const svg_scale *scale, const colour_theme *theme, float value);
double svg_scale_share(const svg_scale *scale, double value); /* of the way to `most`, -1 to 1 */

/* Cells as one embedded image; a cell's size is a multiple of 1 / SVG_PIXELS, and so are x and y in the end. */
bool svg_put_image(svg_picture *p, text_buffer *b, const float *cells, int64_t rows, int64_t keys, double x, double y,
                   double cell);

/* The colour bar with its ticks, and swatches for what has no place on it. */
void svg_bar_legend(svg_picture *p);

/* Whether this query's edges stand out, and whether others do. */
bool svg_is_pinned(const svg_picture *p, int64_t query);
bool svg_is_faded(const svg_picture *p, int64_t query);

/* A text element's opening tag at a place; anchor: start, middle or end. */
void svg_open_text(text_buffer *b, double x, double y, const char *anchor, double size, colour c);

/* The legend's first line: what is shown and, from "(" on, its unit and the rest. */
void svg_legend_title(svg_picture *p, const char *rest);
void svg_open_turned_text(text_buffer *b, double x, double y, const char *anchor, double size, colour c,
                          double turn_degrees);

/* A token's label in a text element of its own; its whole text is the element's title where it was cut. */
void svg_put_label(text_buffer *b, const label *l, const char *whole, double x, double y, const char *anchor,
                   double size, colour c, double turn_degrees, bool bold);

/* The labels of a sequence's tokens, at most max_width (of the font's size) wide; NULL when memory is short. */
typedef struct svg_labels {
  label *labels;
  int64_t count;
  double widest; /* at a font size of 1 */
} svg_labels;
svg_labels svg_labels_make(char *const *texts, int64_t count, double max_width);
void svg_labels_free(svg_labels *l);

#endif
