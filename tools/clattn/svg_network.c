/* The network: edges are gathered, put on one scale and handed to a layout. */
#include "svg_network.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const double thickest = 10.0, thickest_of_many = 7.0, thinnest = 0.6;

double svg_edge_width(const svg_scale *scale, double weight)
{
  const double width = scale->thickest * fabs(weight) / scale->most;
  return width > thinnest ? width : thinnest;
}

/* Away from the ground's end of the map, where thin lines would not be seen. */
colour svg_edge_colour(const svg_picture *p, double weight, bool later)
{
  const svg_scale *s = &p->scale;
  const double share = fabs(weight) / s->most, visible = 0.3 + 0.55 * sqrt(share);
  if (s->diverging) return colour_diverging(s->family, s->dark, weight < 0.0 ? -visible : visible);
  return colour_sequential(later ? colour_family_other(s->family) : s->family, s->dark, visible);
}

/* Most of the way to the ground. */
static uint8_t fade(uint8_t colour, uint8_t paper) { return (uint8_t)((colour + 4 * paper) / 5); }

static colour faded(colour c, colour paper)
{
  return (colour){fade(c.r, paper.r), fade(c.g, paper.g), fade(c.b, paper.b)};
}

void svg_begin_edge(svg_picture *p, const char *tag, const svg_edge *e)
{
  const colour full = svg_edge_colour(p, (double)e->is.weight, e->later);
  const colour c = e->faded ? faded(full, p->theme->paper) : full;
  text_format(&p->body,
              "<%s class=\"edge\" data-query=\"%" PRId64 "\" data-key=\"%" PRId64
              "\" data-weight=\"%.9g\" fill=\"%s\" ",
              tag, e->is.query, e->is.key, (double)e->is.weight, colour_show(c).text);
}

static void put_tip_token(text_buffer *b, const char *text)
{
  label l = label_make(text, LABEL_POINTS, 40.0);
  b->failed = b->failed || !l.text;
  /* Isolated, so that a token that is read from the right leaves the rest of the line in place. */
  text_put(b, "\xe2\x81\xa8");
  if (l.text) label_put_escaped(b, l.text);
  text_put(b, "\xe2\x81\xa9");
  free(l.text);
}

void svg_end_edge(svg_picture *p, const char *tag, const svg_edge *e, const network_layer *l)
{
  text_put(&p->body, "><title>");
  put_tip_token(&p->body, l->query_tokens[e->is.query]);
  text_put(&p->body, " \xe2\x86\x92 ");
  put_tip_token(&p->body, l->key_tokens[e->is.key]);
  text_format(&p->body, ": %.3g</title></%s>\n", (double)e->is.weight, tag);
}

/* ---- gathering ---- */

/* Faded ones first, then the weakest; of equal ones in the order of tokens. */
static int by_strength(const void *a, const void *b)
{
  const svg_edge *x = a, *y = b;
  const float p = fabsf(x->is.weight), q = fabsf(y->is.weight);
  if (x->faded != y->faded) return x->faded ? -1 : 1;
  if (p != q) return p < q ? -1 : 1;
  if (x->is.query != y->is.query) return x->is.query < y->is.query ? -1 : 1;
  return (x->is.key > y->is.key) - (x->is.key < y->is.key);
}

static bool take_edges(svg_picture *p, const svg_panel *panel, svg_edges *out)
{
  const draw_options *o = p->options;
  const network_layer *l = svg_layer(p, panel);
  network_edge_list list;
  if (!network_edges(p->n, panel->layer, panel->head, o->quantity, o->top, o->threshold, &list, p->error)) return false;
  *out = (svg_edges){.edges = malloc((list.count + 1) * sizeof *out->edges), .count = list.count};
  for (size_t i = 0; i < list.count && out->edges; i++) {
    const network_edge e = list.edges[i];
    svg_edge *to = &out->edges[i];
    *to = (svg_edge){.is = e, .from = e.query + (l->one_sequence ? l->offset : 0), .to = e.key};
    out->earlier = out->earlier || to->to < to->from;
    to->later = l->one_sequence && to->to > to->from;
    out->later = out->later || to->later;
    out->own = out->own || to->to == to->from;
    out->negative = out->negative || e.weight < 0.0f;
    svg_scale_see(&p->scale, &e.weight, 1);
  }
  network_edges_free(&list);
  if (!out->edges) return st_fail(p->error, "out of memory");
  for (size_t i = 0; i < out->count; i++) out->edges[i].faded = svg_is_faded(p, out->edges[i].is.query);
  if (out->count) qsort(out->edges, out->count, sizeof *out->edges, by_strength);
  return true;
}

static bool check_nodes(const svg_picture *p)
{
  for (int i = 0; i < p->n_panels; i++) {
    const network_layer *l = svg_layer(p, &p->panels[i]);
    const int64_t nodes = l->sq > l->sk ? l->sq : l->sk;
    if (nodes > SVG_MAX_NODES)
      return st_fail(p->error, "%s: %" PRId64 " tokens exceed the %d of a network; the view matrix shows them",
                     st_show(l->name).text, nodes, SVG_MAX_NODES);
  }
  return true;
}

static bool take_all(svg_picture *p, svg_edges *all)
{
  size_t count = 0;
  for (int i = 0; i < p->n_panels; i++) {
    if (!take_edges(p, &p->panels[i], &all[i])) return false;
    count += all[i].count;
    if (count > SVG_MAX_EDGES)
      return st_fail(p->error,
                     "%zu edges exceed the %d of a picture; ask for fewer of each token, for stronger ones, or "
                     "for the view matrix",
                     count, SVG_MAX_EDGES);
  }
  return true;
}

/* ---- legend ---- */

enum { SAMPLES = 3, SAMPLE_LENGTH = 34 };

/* An arrow from the right to the left where it reads earlier tokens, as the arcs do. */
static double put_arrow(svg_picture *p, double x, double width, colour c, bool left, const char *text)
{
  const double tail = left ? x + SAMPLE_LENGTH : x, tip = left ? x : x + SAMPLE_LENGTH, way = left ? 1.0 : -1.0;
  const double head = 5.0 + 0.5 * width, half = 0.5 * width, wing = half + 2.5, y = 12.0;
  text_format(&p->legend, "<path fill=\"%s\" d=\"M%s %sL%s %sV%sL%s %sL%s %sV%sL%s %sz\"/>\n", colour_show(c).text,
              px(tail).text, px(y - half).text, px(tip + way * head).text, px(y - half).text, px(y - wing).text,
              px(tip).text, px(y).text, px(tip + way * head).text, px(y + wing).text, px(y + half).text, px(tail).text,
              px(y + half).text);
  svg_open_text(&p->legend, x + SAMPLE_LENGTH + 7.0, y + 3.5, "start", SVG_SMALL_TEXT, p->theme->dim);
  text_format(&p->legend, "%s</text>\n", text);
  return x + SAMPLE_LENGTH + 7.0 + SVG_SMALL_TEXT * label_width(text) + 20.0;
}

static double put_directions(svg_picture *p, double x, const svg_edges *any, bool two_columns)
{
  const double weight = 0.5 * p->scale.most, width = svg_edge_width(&p->scale, weight) * 0.5;
  if (p->scale.diverging) {
    x = put_arrow(p, x, width, svg_edge_colour(p, weight, false), false, "above 0");
    if (any->negative) x = put_arrow(p, x, width, svg_edge_colour(p, -weight, false), false, "below 0");
    return x;
  }
  if (any->earlier)
    x = put_arrow(p, x, width, svg_edge_colour(p, weight, false), !two_columns,
                  two_columns && any->own ? "a token attends itself or an earlier one"
                                          : "a token attends an earlier one");
  if (any->later) x = put_arrow(p, x, width, svg_edge_colour(p, weight, true), false, "a later one");
  if (any->own && !two_columns) {
    text_format(&p->legend, "<circle cx=\"%s\" cy=\"12\" r=\"4\" fill=\"%s\"/>\n", px(x + 4.0).text,
                colour_show(svg_edge_colour(p, weight, false)).text);
    svg_open_text(&p->legend, x + 14.0, 15.5, "start", SVG_SMALL_TEXT, p->theme->dim);
    text_put(&p->legend, "itself</text>\n");
    x += 14.0 + SVG_SMALL_TEXT * label_width("itself") + 20.0;
  }
  return x;
}

static void legend(svg_picture *p, const svg_edges *any, bool two_columns, bool one_sequence)
{
  static const double shares[SAMPLES] = {0.25, 0.5, 1.0};
  const network_quantity quantity = p->options->quantity;
  svg_legend_title(p, "), the width of an edge");
  double x = 0.0;
  for (int i = 0; i < SAMPLES; i++) {
    char text[32];
    const double weight = shares[i] * p->scale.most;
    snprintf(text, sizeof text, "%g", weight);
    x = put_arrow(p, x, svg_edge_width(&p->scale, weight), svg_edge_colour(p, weight, false),
                  !two_columns && one_sequence, text);
  }
  x += 16.0;
  if (one_sequence || p->scale.diverging) x = put_directions(p, x, any, two_columns);
  const double title =
      SVG_TEXT * (label_width(network_quantity_title(quantity)) + label_width(network_quantity_unit(quantity)) + 14.0);
  p->legend_width = x > title ? x : title;
  p->legend_height = 24.0;
}

static void note(svg_picture *p, size_t edges)
{
  const draw_options *o = p->options;
  char each[80] = "", above[80] = "", pinned[80] = "";
  if (o->top > 0) snprintf(each, sizeof each, ", of each token the %" PRId64 " strongest", o->top);
  if (o->threshold > 0.0) snprintf(above, sizeof above, ", none below %g", o->threshold);
  if (o->pinned) snprintf(pinned, sizeof pinned, "; those of token %" PRId64 " stand out", o->pin);
  snprintf(p->note, sizeof p->note, "%zu edge%s%s%s%s.", edges, edges == 1 ? "" : "s", each, above, pinned);
}

/* ---- panels ---- */

typedef bool panel_layout(svg_picture *, const network_layer *, svg_edges *, double, double, bool, double *, double *);

static bool put_panels(svg_picture *p, svg_edges *all, panel_layout *layout)
{
  double widest = 0.0, y = 0.0;
  const double heading = p->n_panels > 1 ? 22.0 : 0.0;
  double *sizes = malloc((size_t)p->n_panels * 2 * sizeof *sizes);
  bool good = sizes || st_fail(p->error, "out of memory");
  for (int i = 0; i < p->n_panels && good; i++) {
    good = layout(p, svg_layer(p, &p->panels[i]), &all[i], 0.0, 0.0, false, &sizes[2 * i], &sizes[2 * i + 1]);
    if (good && sizes[2 * i] > widest) widest = sizes[2 * i];
  }
  const int columns = good ? svg_columns(p, widest) : 1;
  for (int i = 0; i < p->n_panels && good;) {
    double tallest = 0.0;
    const int first = i;
    for (; i < p->n_panels && i < first + columns; i++)
      if (sizes[2 * i + 1] > tallest) tallest = sizes[2 * i + 1];
    for (int k = first; k < i && good; k++) {
      const double x = (k - first) * (widest + SVG_PANEL_GAP);
      double width, height;
      if (p->n_panels > 1) svg_put_panel_name(p, &p->panels[k], x, y + 11.0);
      text_put(&p->body, "<g class=\"panel\">\n");
      good = layout(p, svg_layer(p, &p->panels[k]), &all[k], x, y + heading, true, &width, &height);
      text_put(&p->body, "</g>\n");
    }
    y += heading + tallest + SVG_PANEL_GAP;
  }
  free(sizes);
  p->width = columns * (widest + SVG_PANEL_GAP) - SVG_PANEL_GAP;
  p->height = y - SVG_PANEL_GAP;
  return good;
}

static bool lines_fit(const svg_picture *p, bool *failed)
{
  *failed = false;
  for (int i = 0; i < p->n_panels; i++)
    if (!svg_line_fits(svg_layer(p, &p->panels[i]), failed)) return false;
  return true;
}

bool svg_network(svg_picture *p)
{
  bool failed = false, one_sequence = true;
  if (!check_nodes(p)) return false;
  svg_edges *all = calloc(SVG_MAX_PANELS, sizeof *all), any = {0};
  const bool on_lines = lines_fit(p, &failed);
  bool good = (all && !failed) || st_fail(p->error, "out of memory");
  svg_scale_begin(p, SVG_LINEAR);
  p->scale.thickest = p->n_panels > 1 ? thickest_of_many : thickest;
  good = good && take_all(p, all);
  svg_scale_end(&p->scale);
  for (int i = 0; i < p->n_panels && good; i++) {
    for (size_t e = 0; e < all[i].count; e++)
      all[i].edges[e].width = svg_edge_width(&p->scale, (double)all[i].edges[e].is.weight);
    any.count += all[i].count;
    any.earlier = any.earlier || all[i].earlier;
    any.later = any.later || all[i].later;
    any.own = any.own || all[i].own;
    any.negative = any.negative || all[i].negative;
    one_sequence = one_sequence && svg_layer(p, &p->panels[i])->one_sequence;
  }
  good = good && put_panels(p, all, on_lines ? svg_line_panel : svg_columns_panel);
  if (good) {
    legend(p, &any, !on_lines, one_sequence);
    note(p, any.count);
  }
  for (int i = 0; i < p->n_panels && all; i++) free(all[i].edges);
  free(all);
  return good;
}
