/* The frame of a picture: what is drawn is gathered and held to the limits, a view draws it, and title, legend and
 * notes go around it. */
#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "svg_picture.h"

/* ---- what views are made with ---- */

const network_layer *svg_layer(const svg_picture *p, const svg_panel *panel) { return &p->n->layers[panel->layer]; }

static void put_name(text_buffer *b, const char *name)
{
  const label l = label_make(name, TITLE_POINTS, 60.0);
  b->failed = b->failed || !l.text;
  if (l.text) label_put_escaped(b, l.text);
  free(l.text);
}

void svg_put_panel_name(svg_picture *p, const svg_panel *panel, double x, double y)
{
  text_buffer *b = &p->body;
  text_format(b, "<text x=\"%s\" y=\"%s\" font-size=\"%d\" font-weight=\"bold\" fill=\"%s\">", px(x).text, px(y).text,
              SVG_TEXT, colour_show(p->theme->ink).text);
  if (p->options->n_layers > 1) {
    put_name(b, svg_layer(p, panel)->name);
    text_put(b, ", ");
  }
  text_format(b, "head %" PRId64 "</text>\n", panel->head);
}

bool svg_is_pinned(const svg_picture *p, int64_t query) { return p->options->pinned && p->options->pin == query; }
bool svg_is_faded(const svg_picture *p, int64_t query) { return p->options->pinned && p->options->pin != query; }

/* As many as fit, but no last row of one where a narrower picture has even rows. */
int svg_columns(const svg_picture *p, double panel_width)
{
  int fit = (int)((SVG_WIDEST_BODY + SVG_PANEL_GAP) / (panel_width + SVG_PANEL_GAP));
  if (fit < 1) fit = 1;
  if (fit >= p->n_panels) return p->n_panels;
  const int rows = (p->n_panels + fit - 1) / fit;
  return (p->n_panels + rows - 1) / rows;
}

/* The tag is left open for more attributes. */
static void begin_text(text_buffer *b, double x, double y, const char *anchor, double size, colour c, double turn)
{
  text_format(b, "<text x=\"%s\" y=\"%s\" font-size=\"%s\" fill=\"%s\"", px(x).text, px(y).text, px(size).text,
              colour_show(c).text);
  if (strcmp(anchor, "start") != 0) text_format(b, " text-anchor=\"%s\"", anchor);
  if (turn != 0.0) text_format(b, " transform=\"rotate(%s %s %s)\"", px(turn).text, px(x).text, px(y).text);
}

void svg_open_text(text_buffer *b, double x, double y, const char *anchor, double size, colour c)
{
  svg_open_turned_text(b, x, y, anchor, size, c, 0.0);
}

void svg_legend_title(svg_picture *p, const char *rest)
{
  const network_quantity quantity = p->options->quantity;
  text_buffer *b = &p->legend;
  svg_open_text(b, 0.0, 0.0, "start", SVG_TEXT, p->theme->ink);
  label_put_escaped(b, network_quantity_title(quantity));
  text_format(b, "\xc2\xa0<tspan fill=\"%s\">(", colour_show(p->theme->dim).text);
  label_put_escaped(b, network_quantity_unit(quantity));
  text_format(b, "%s</tspan></text>\n", rest);
}

void svg_open_turned_text(text_buffer *b, double x, double y, const char *anchor, double size, colour c,
                          double turn_degrees)
{
  begin_text(b, x, y, anchor, size, c, turn_degrees);
  text_put(b, ">");
}

void svg_put_label(text_buffer *b, const label *l, const char *whole, double x, double y, const char *anchor,
                   double size, colour c, double turn_degrees, bool bold)
{
  begin_text(b, x, y, anchor, size, c, turn_degrees);
  if (bold) text_put(b, " font-weight=\"bold\"");
  /* Left to right around it whatever is in it, so that an anchor stays where the layout has it. */
  text_put(b, " class=\"token\" direction=\"ltr\" unicode-bidi=\"isolate\">");
  if (l->cut) {
    text_put(b, "<title>");
    label_put_whole(b, whole);
    text_put(b, "</title>");
  }
  label_put_escaped(b, l->text);
  text_put(b, "</text>\n");
}

svg_labels svg_labels_make(char *const *texts, int64_t count, double max_width)
{
  svg_labels l = {.labels = calloc((size_t)count, sizeof *l.labels), .count = count};
  for (int64_t i = 0; i < count && l.labels; i++) {
    l.labels[i] = label_make(texts[i], LABEL_POINTS, max_width);
    if (!l.labels[i].text) {
      svg_labels_free(&l);
      break;
    }
    if (l.labels[i].width > l.widest) l.widest = l.labels[i].width;
  }
  return l;
}

void svg_labels_free(svg_labels *l)
{
  for (int64_t i = 0; i < l->count && l->labels; i++) free(l->labels[i].text);
  free(l->labels);
  *l = (svg_labels){0};
}

/* ---- what is drawn ---- */

static bool gather(svg_picture *p)
{
  const draw_options *o = p->options;
  const int limit = o->view == DRAW_GRID ? SVG_MAX_THUMBNAILS : SVG_MAX_PANELS;
  int64_t count = 0;
  assert(colour_family_find(o->colours));
  p->panels = malloc(((size_t)o->n_layers * (size_t)o->n_heads + 1) * sizeof *p->panels);
  if (!p->panels) return st_fail(p->error, "out of memory");
  for (int i = 0; i < o->n_layers; i++)
    for (int h = 0; h < o->n_heads; h++) {
      const network_layer *l = &p->n->layers[o->layers[i]];
      if (o->heads[h] >= l->heads) continue;
      if (l->sq < 1 || l->sk < 1)
        return st_fail(p->error, "%s: %" PRId64 " queries and %" PRId64 " keys make no picture", st_show(l->name).text,
                       l->sq, l->sk);
      p->panels[count++] = (svg_panel){o->layers[i], o->heads[h]};
    }
  p->n_panels = (int)count;
  if (count < 1) return st_fail(p->error, "no head is left to draw");
  if (count > limit)
    return st_fail(p->error, "%" PRId64 " heads exceed the %d of %s; choose fewer heads or layers%s", count, limit,
                   o->view == DRAW_GRID ? "a grid" : "panels beside each other",
                   o->view == DRAW_GRID ? "" : ", or the view grid");
  return true;
}

/* ---- the words around it ---- */

enum { TITLE_TEXT = 14 };
static const double title_max_width = 48.0, bold = 1.1; /* wider than the widths of label_text.c */

/* "layer 13, head 8", "layer 13, 9 heads", "12 layers, 108 heads"; or what was asked for. Visible, cut, not escaped. */
static label make_title(const svg_picture *p)
{
  const draw_options *o = p->options;
  if (o->title) return label_make(o->title, TITLE_POINTS, title_max_width);
  char layers[32], heads[48];
  text_buffer title = {0};
  snprintf(layers, sizeof layers, "%d layers", o->n_layers);
  if (p->n_panels == 1)
    snprintf(heads, sizeof heads, ", head %" PRId64, p->panels->head);
  else
    snprintf(heads, sizeof heads, ", %d heads", p->n_panels);
  label l = label_make(o->n_layers > 1 ? layers : svg_layer(p, p->panels)->name, TITLE_POINTS, title_max_width);
  title.failed = !l.text;
  if (l.text) text_put(&title, l.text);
  text_put(&title, heads);
  free(l.text);
  if (title.failed) text_free(&title);
  return (label){.text = title.text, .width = l.width + label_width(heads)};
}

/* For those who cannot see it. */
static void put_description(text_buffer *b, const svg_picture *p)
{
  static const char *const views[] = {
      "Heat map: rows are queries, columns are keys.",
      "Tokens in reading order, and an edge from each query to each key that it attends.",
      "Heat maps of all heads, a row for each layer."};
  text_put(b, views[p->options->view]);
  text_put(b, " Shown is the ");
  label_put_escaped(b, network_quantity_title(p->options->quantity));
  text_put(b, " (");
  label_put_escaped(b, network_quantity_unit(p->options->quantity));
  text_put(b, ").");
  if (p->note[0]) {
    text_put(b, " ");
    label_put_escaped(b, p->note);
  }
}

/* NULL where there are several. */
static const char *source_of(const svg_picture *p)
{
  return p->options->n_layers > 1 ? NULL : svg_layer(p, p->panels)->source;
}

/* It may be long: it goes on one line, cut to the width of the picture. */
static void put_source(text_buffer *b, const svg_picture *p, double y, double width)
{
  const char *source = source_of(p);
  if (!source) return;
  svg_open_text(b, SVG_MARGIN, y, "start", SVG_SMALL_TEXT, p->theme->dim);
  text_put(b, "<title>");
  label_put_whole(b, source);
  text_put(b, "</title>");
  text_buffer line = {0};
  text_put(&line, source);
  size_t fits = 0;
  const double room = width - 2.0 * SVG_MARGIN;
  const double ellipsis = SVG_SMALL_TEXT * label_width(source) > room ? SVG_SMALL_TEXT : 0.0;
  double used = 0.0;
  while (!line.failed && line.text[fits]) {
    size_t next = fits + 1;
    while (((unsigned char)line.text[next] & 0xc0) == 0x80) next++;
    const char kept = line.text[next];
    line.text[next] = 0;
    used += SVG_SMALL_TEXT * label_width(line.text + fits);
    line.text[next] = kept;
    if (used > room - ellipsis) break;
    fits = next;
  }
  const bool cut = !line.failed && line.text[fits];
  if (cut) line.text[fits] = 0;
  if (!line.failed) label_put_whole(b, line.text);
  text_free(&line);
  text_put(b, cut ? "\xe2\x80\xa6</text>\n" : "</text>\n");
}

static double larger(double a, double b) { return a > b ? a : b; }

static void compose(svg_picture *p, const label *title, text_buffer *b)
{
  const colour_theme *t = p->theme;
  const double note_width = SVG_SMALL_TEXT * label_width(p->note);
  const double title_width = TITLE_TEXT * bold * title->width;
  const double width =
      ceil(larger(larger(p->width, p->legend_width), larger(note_width, title_width)) + 2.0 * SVG_MARGIN);
  const double source_y = SVG_MARGIN + 27, body_y = source_of(p) ? source_y + 16 : source_y,
               legend_y = body_y + p->height + 30;
  const double note_y = legend_y + p->legend_height + 14, height = ceil(note_y + (p->note[0] ? SVG_MARGIN : 0));
  text_format(b,
              "<svg xmlns=\"http://www.w3.org/2000/svg\" xmlns:xlink=\"http://www.w3.org/1999/xlink\" width=\"%s\" "
              "height=\"%s\" viewBox=\"0 0 %s %s\" role=\"img\" aria-labelledby=\"title desc\" "
              "font-family=\"Helvetica, Arial, 'DejaVu Sans', sans-serif\">\n<title id=\"title\">",
              px(width).text, px(height).text, px(width).text, px(height).text);
  if (p->options->title)
    label_put_whole(b, p->options->title);
  else
    label_put_escaped(b, title->text);
  text_put(b, "</title>\n<desc id=\"desc\">");
  put_description(b, p);
  text_format(b, "</desc>\n<rect width=\"100%%\" height=\"100%%\" fill=\"%s\"/>\n", colour_show(t->paper).text);
  text_format(b, "<text x=\"%d\" y=\"%d\" font-size=\"%d\" font-weight=\"bold\" fill=\"%s\">", SVG_MARGIN,
              SVG_MARGIN + 12, TITLE_TEXT, colour_show(t->ink).text);
  label_put_escaped(b, title->text);
  text_put(b, "</text>\n");
  put_source(b, p, source_y, width);
  text_format(b, "<g class=\"view\" transform=\"translate(%d %s)\">\n", SVG_MARGIN, px(body_y).text);
  text_put_bytes(b, p->body.text ? p->body.text : "", p->body.bytes);
  text_format(b, "</g>\n<g class=\"legend\" transform=\"translate(%d %s)\">\n", SVG_MARGIN, px(legend_y).text);
  text_put_bytes(b, p->legend.text ? p->legend.text : "", p->legend.bytes);
  text_put(b, "</g>\n");
  if (p->note[0]) {
    svg_open_text(b, SVG_MARGIN, note_y, "start", SVG_SMALL_TEXT, t->dim);
    label_put_escaped(b, p->note);
    text_put(b, "</text>\n");
  }
  text_put(b, "</svg>\n");
}

bool draw_svg(network *n, const draw_options *options, char **text, size_t *bytes, st_error *error)
{
  static bool (*const views[])(svg_picture *) = {svg_matrix, svg_network, svg_grid};
  svg_picture p = {.n = n, .options = options, .theme = colour_theme_of(options->dark), .error = error};
  text_buffer all = {0};
  bool good = gather(&p) && views[options->view](&p);
  if (good) {
    const label title = make_title(&p);
    if (title.text) compose(&p, &title, &all);
    good = (title.text && !all.failed && !p.body.failed && !p.legend.failed) || st_fail(error, "out of memory");
    free(title.text);
  }
  text_free(&p.body);
  text_free(&p.legend);
  free(p.panels);
  if (!good) {
    text_free(&all);
    return false;
  }
  *text = all.text;
  *bytes = all.bytes;
  return true;
}
