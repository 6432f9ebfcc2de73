/* A thumbnail for each head, a row for each layer: what every head does, at a glance. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "svg_picture.h"

enum { THUMBNAIL = 48, LEAST_THUMBNAIL = 20, GAP = 6, HEADING = 26, LABEL_GAP = 8 };

static const double name_max_width = 16.0;

typedef struct grid {
  double side;       /* of a thumbnail */
  double left;       /* room for the layers' names */
  float **cells;     /* of each panel */
  int64_t most_tile; /* the largest tile of any */
} grid;

static int64_t tile_of(const network_layer *l, double side)
{
  return svg_tile(l->sq > l->sk ? l->sq : l->sk, (int64_t)side);
}

static bool take_cells(svg_picture *p, grid *g)
{
  g->cells = calloc((size_t)p->n_panels, sizeof *g->cells);
  if (!g->cells) return st_fail(p->error, "out of memory");
  for (int i = 0; i < p->n_panels; i++) {
    const network_layer *l = svg_layer(p, &p->panels[i]);
    const int64_t tile = tile_of(l, g->side);
    g->cells[i] = svg_cells(p, &p->panels[i], tile, tile);
    if (!g->cells[i]) return false;
    if (tile > g->most_tile) g->most_tile = tile;
    svg_scale_see(&p->scale, g->cells[i], (size_t)svg_tiles(l->sq, tile) * (size_t)svg_tiles(l->sk, tile));
  }
  return true;
}

/* Centred in its square; elements are whole or half pixels. */
static bool put_thumbnail(svg_picture *p, const svg_panel *panel, const float *cells, double x, double y, double side)
{
  const network_layer *l = svg_layer(p, panel);
  const int64_t tile = tile_of(l, side), rows = svg_tiles(l->sq, tile), keys = svg_tiles(l->sk, tile);
  const double cell = 0.5 * floor(2.0 * side / (double)(rows > keys ? rows : keys));
  const double width = (double)keys * cell, height = (double)rows * cell;
  const double left = x + floor(side - width) * 0.5, top = y + floor(side - height) * 0.5;
  text_format(&p->body, "<g class=\"thumbnail\" data-layer=\"%d\" data-head=\"%" PRId64 "\"><title>", panel->layer,
              panel->head);
  label_put_whole(&p->body, l->name);
  text_format(&p->body, ", head %" PRId64 "</title>", panel->head);
  text_format(&p->body, "<rect x=\"%s\" y=\"%s\" width=\"%s\" height=\"%s\" fill=\"%s\" stroke=\"%s\"/>",
              px(left - 0.5).text, px(top - 0.5).text, px(width + 1.0).text, px(height + 1.0).text,
              colour_show(p->theme->paper).text, colour_show(p->theme->line).text);
  const bool good = svg_put_image(p, &p->body, cells, rows, keys, left, top, cell);
  text_put(&p->body, "</g>\n");
  return good;
}

static bool put_names(svg_picture *p, const grid *g)
{
  const draw_options *o = p->options;
  const colour ink = p->theme->ink;
  const double step = g->side + GAP;
  svg_open_text(&p->body, g->left, 8.0, "start", SVG_SMALL_TEXT, p->theme->dim);
  text_put(&p->body, "head</text>\n");
  for (int h = 0; h < o->n_heads; h++) {
    svg_open_text(&p->body, g->left + h * step + 0.5 * g->side, HEADING - 5.0, "middle", SVG_SMALL_TEXT, ink);
    text_format(&p->body, "%d</text>\n", o->heads[h]);
  }
  for (int i = 0; i < o->n_layers; i++) {
    const char *name = p->n->layers[o->layers[i]].name;
    label l = label_make(name, LABEL_POINTS, name_max_width);
    if (!l.text) return st_fail(p->error, "out of memory");
    svg_put_label(&p->body, &l, name, g->left - LABEL_GAP, HEADING + i * step + 0.5 * g->side + 3.5, "end",
                  SVG_SMALL_TEXT, ink, 0.0, false);
    free(l.text);
  }
  return true;
}

static bool put_thumbnails(svg_picture *p, const grid *g)
{
  const draw_options *o = p->options;
  const double step = g->side + GAP;
  int at = 0;
  for (int i = 0; i < o->n_layers; i++)
    for (int h = 0; h < o->n_heads; h++) {
      if (at >= p->n_panels || p->panels[at].layer != o->layers[i] || p->panels[at].head != o->heads[h]) continue;
      if (!put_thumbnail(p, &p->panels[at], g->cells[at], g->left + h * step, HEADING + i * step, g->side))
        return false;
      at++;
    }
  return true;
}

static double names_width(const svg_picture *p)
{
  double widest = 0.0;
  for (int i = 0; i < p->options->n_layers; i++) {
    label l = label_make(p->n->layers[p->options->layers[i]].name, LABEL_POINTS, name_max_width);
    if (l.width > widest) widest = l.width;
    free(l.text);
  }
  return ceil(widest * SVG_SMALL_TEXT) + LABEL_GAP;
}

bool svg_grid(svg_picture *p)
{
  const draw_options *o = p->options;
  grid g = {.left = names_width(p), .most_tile = 1};
  g.side = floor((SVG_WIDEST_BODY - g.left) / o->n_heads) - GAP;
  if (g.side > THUMBNAIL) g.side = THUMBNAIL;
  if (g.side < LEAST_THUMBNAIL) g.side = LEAST_THUMBNAIL;
  svg_scale_begin(p, SVG_ROOT);
  bool good = take_cells(p, &g);
  if (good) {
    svg_scale_end(&p->scale);
    good = put_names(p, &g) && put_thumbnails(p, &g);
    p->width = g.left + o->n_heads * (g.side + GAP) - GAP;
    p->height = HEADING + o->n_layers * (g.side + GAP) - GAP;
    svg_bar_legend(p);
    if (g.most_tile > 1)
      snprintf(p->note, sizeof p->note,
               "Rows are queries, columns are keys. A pixel is the %s of up to %" PRId64 " \xc3\x97 %" PRId64
               " pairs of tokens.",
               o->quantity == NETWORK_ANTISYMMETRIC ? "mean" : "largest", g.most_tile, g.most_tile);
    else
      snprintf(p->note, sizeof p->note, "Rows are queries, columns are keys.");
  }
  for (int i = 0; i < p->n_panels && g.cells; i++) free(g.cells[i]);
  free(g.cells);
  return good;
}
