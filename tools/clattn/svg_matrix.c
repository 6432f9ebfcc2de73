/* The heat map: rows are queries, columns are keys. Small ones are made of rectangles, which scale and can be read
 * back; larger ones are one image, a pixel for a pair of tokens or, past IMAGE_SIDE tokens, for a tile of pairs. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "svg_picture.h"

enum {
  RECT_SIDE = 64,      /* tokens of a side that is still made of rectangles */
  RECTS = 4 * 64 * 64, /* rectangles of a picture */
  IMAGE_SIDE = 1024,   /* pixels of a side; more tokens are pooled */
  AIM = 336,           /* length that a side of few tokens takes */
  LARGEST_CELL = 26,   /* beyond, a few tokens would be mere blocks */
  GAP_FROM = 12,       /* cells of this size have a hairline of ground between them */
  SLANT_FROM = 17,     /* columns of this width have slanted labels; narrower ones upright */
  HEADING = 18,        /* the panel's name */
  NUMBER_ROOM = 28,    /* pixels a number has on an axis of many */
  LABEL_GAP = 6,
};

static const double label_max_width = 9.0, slant = 0.70710678, least_text = 7.0, thinned_text = 9.0;

typedef struct axis {
  svg_labels labels;
  bool named; /* texts; otherwise labels are numbers themselves */
  char *const *texts;
  int64_t tokens, tile;
  double size;  /* of the font */
  int64_t each; /* every each-th token has a label, with its number where that is not all */
  double pitch; /* pixels a token */
  double reach; /* how far labels stand out from the matrix */
} axis;

/* All panels are drawn alike, by the longest layer. */
typedef struct layout {
  double cell; /* side of an element: rectangle or pixel */
  int64_t tile;
  bool rects;
  double width, height; /* of the largest panel, labels included */
} layout;

static double element_size(int64_t elements)
{
  if (elements <= RECT_SIDE) {
    const double size = floor((double)AIM / (double)elements);
    return size > LARGEST_CELL ? LARGEST_CELL : size < 7.0 ? 7.0 : size;
  }
  /* Whole pixels, or half ones, which are whole in a PNG of twice the resolution. */
  return elements <= 128 ? 4.0 : elements <= 192 ? 3.0 : elements <= 288 ? 2.0 : elements <= 640 ? 1.0 : 0.5;
}

/* 1, 2, 5, 10, ...: the least that leaves `room` pixels to each label. */
static int64_t thinned(double pitch, double room)
{
  static const int64_t factors[] = {1, 2, 5};
  for (int64_t power = 1;; power *= 10)
    for (int i = 0; i < 3; i++)
      if ((double)(factors[i] * power) * pitch >= room) return factors[i] * power;
}

static bool axis_make(axis *a, bool named, char *const *texts, int64_t tokens, double pitch, svg_picture *p)
{
  *a = (axis){.named = named, .texts = texts, .tokens = tokens, .pitch = pitch, .size = SVG_TEXT};
  a->labels = svg_labels_make(texts, tokens, label_max_width);
  if (!a->labels.labels) return st_fail(p->error, "out of memory");
  if (pitch * 0.92 < a->size) a->size = pitch * 0.92;
  if (a->size < least_text) a->size = thinned_text;
  a->each = named ? thinned(pitch, a->size) : thinned(pitch, pitch < SLANT_FROM ? NUMBER_ROOM : a->size);
  a->reach = a->labels.widest * a->size;
  if (a->each > 1 && named) a->reach += a->size * 0.64 * (2.0 + floor(log10((double)tokens)));
  return true;
}

static double column_turn(const axis *a)
{
  return a->labels.widest * a->size < (double)a->each * a->pitch - 2.0 && !(a->named && a->each > 1) ? 0.0
         : a->each == 1 && a->pitch >= SLANT_FROM                                                    ? -45.0
                                                                                                     : -90.0;
}

/* How high the labels above the columns stand. */
static double column_reach(const axis *a)
{
  const double turn = column_turn(a);
  return turn == 0.0 ? a->size : turn < -50.0 ? a->reach : (a->reach + a->size) * slant;
}

/* How far slanted labels stand out to the right. */
static double column_overhang(const axis *a)
{
  if (column_turn(a) != -45.0) return 0.0;
  double most = 0.0;
  for (int64_t i = 0; i < a->tokens; i++) {
    const double end = ((double)i + 0.5) * a->pitch + a->labels.labels[i].width * a->size * slant;
    if (end > most) most = end;
  }
  return most > (double)a->tokens * a->pitch ? most - (double)a->tokens * a->pitch : 0.0;
}

static void put_axis_label(svg_picture *p, const axis *a, int64_t i, double x, double y, const char *anchor,
                           double turn)
{
  const label *l = &a->labels.labels[i];
  if (a->each == 1 || !a->named) {
    svg_put_label(&p->body, l, a->texts[i], x, y, anchor, a->size, p->theme->ink, turn, false);
    return;
  }
  /* Thinned out: the token's number says where it stands. */
  const double number = a->size * 0.64 * (1.0 + floor(log10((double)a->tokens)));
  char shown[24];
  snprintf(shown, sizeof shown, "%" PRId64, i);
  const bool turned = turn != 0.0;
  svg_open_turned_text(&p->body, x, y, anchor, a->size, p->theme->dim, turn);
  text_format(&p->body, "%s</text>", shown);
  const double away = number + 4.0;
  svg_put_label(&p->body, l, a->texts[i], turned ? x : x - away, turned ? y - away : y, anchor, a->size, p->theme->ink,
                turn, false);
}

static void put_rects(svg_picture *p, const float *cells, int64_t rows, int64_t keys, double x, double y, double cell)
{
  text_buffer *b = &p->body;
  const double side = cell >= GAP_FROM ? cell - 1.0 : cell;
  for (int64_t i = 0; i < rows; i++) {
    text_format(b, "<g class=\"row\" data-query=\"%" PRId64 "\">", i);
    for (int64_t j = 0; j < keys; j++) {
      const float value = cells[i * keys + j];
      if (svg_scale_is_none(&p->scale, value)) continue;
      text_format(b,
                  "<rect class=\"cell\" data-query=\"%" PRId64 "\" data-key=\"%" PRId64
                  "\" data-weight=\"%.9g\" x=\"%s\" "
                  "y=\"%s\" width=\"%s\" height=\"%s\" fill=\"%s\"/>",
                  i, j, (double)value, px(x + (double)j * cell).text, px(y + (double)i * cell).text, px(side).text,
                  px(side).text, colour_show(svg_scale_colour(&p->scale, p->theme, value)).text);
    }
    text_put(b, "</g>\n");
  }
}

/* What the axes are, in the corner between their labels. */
static void put_axis_names(svg_picture *p, double x, double y)
{
  svg_open_text(&p->body, x - LABEL_GAP, y - 18, "end", SVG_SMALL_TEXT, p->theme->dim);
  text_put(&p->body, "key \xe2\x86\x92</text>");
  svg_open_text(&p->body, x - LABEL_GAP, y - 6, "end", SVG_SMALL_TEXT, p->theme->dim);
  text_put(&p->body, "query \xe2\x86\x93</text>\n");
}

/* One panel: its axes, and where its cells are. */
typedef struct panel {
  axis row, column;
  int64_t rows, keys; /* elements */
  double pitch;       /* pixels a token */
  double x, y;        /* of the first element, when the panel begins at 0 */
  double across, down;
  double width, height; /* labels included */
} panel;

static void panel_free(panel *a)
{
  svg_labels_free(&a->row.labels);
  svg_labels_free(&a->column.labels);
}

static double larger(double a, double b) { return a > b ? a : b; }

static bool panel_make(panel *a, svg_picture *p, const svg_panel *of, const layout *lay)
{
  const network_layer *l = svg_layer(p, of);
  *a = (panel){
      .rows = svg_tiles(l->sq, lay->tile), .keys = svg_tiles(l->sk, lay->tile), .pitch = lay->cell / (double)lay->tile};
  if (!axis_make(&a->row, l->named, l->query_tokens, l->sq, a->pitch, p) ||
      !axis_make(&a->column, l->named, l->key_tokens, l->sk, a->pitch, p)) {
    panel_free(a);
    return false;
  }
  /* Whole pixels, where an image is to have its own; room for the names of the axes at least. */
  a->x = ceil(larger(a->row.reach, 46.0)) + LABEL_GAP;
  a->y = ceil(larger(column_reach(&a->column), 28.0)) + LABEL_GAP + (p->n_panels > 1 ? HEADING : 0);
  a->across = (double)a->keys * lay->cell;
  a->down = (double)a->rows * lay->cell;
  a->width = a->x + a->across + column_overhang(&a->column);
  a->height = a->y + a->down;
  return true;
}

/* Of all tokens, or of each so many. */
static void put_labels(svg_picture *p, const panel *a, double x, double y)
{
  const double turn = column_turn(&a->column);
  const double shift = a->column.size * (turn == 0.0 ? 0.0 : turn < -50.0 ? 0.35 : 0.12);
  for (int64_t i = 0; i < a->row.tokens; i += a->row.each)
    put_axis_label(p, &a->row, i, x - LABEL_GAP, y + ((double)i + 0.5) * a->pitch + a->row.size * 0.35, "end", 0.0);
  for (int64_t j = 0; j < a->column.tokens; j += a->column.each)
    put_axis_label(p, &a->column, j, x + ((double)j + 0.5) * a->pitch + shift, y - LABEL_GAP,
                   turn == 0.0 ? "middle" : "start", turn);
}

static void put_outline(svg_picture *p, const char *class_name, double x, double y, double width, double height,
                        colour c)
{
  text_format(&p->body,
              "<rect class=\"%s\" x=\"%s\" y=\"%s\" width=\"%s\" height=\"%s\" fill=\"none\" stroke=\"%s\"/>\n",
              class_name, px(x).text, px(y).text, px(width).text, px(height).text, colour_show(c).text);
}

static bool put_panel(svg_picture *p, const svg_panel *of, const layout *lay, const float *cells, double left,
                      double top)
{
  panel a;
  if (!panel_make(&a, p, of, lay)) return false;
  const double x = left + a.x, y = top + a.y, gap = lay->cell < GAP_FROM ? 2.0 : 1.0;
  bool good = true;
  put_labels(p, &a, x, y);
  put_axis_names(p, x, y);
  put_outline(p, "frame", x - 1.0, y - 1.0, a.across + gap, a.down + gap, p->theme->line);
  if (p->n_panels > 1) svg_put_panel_name(p, of, x, top + 11.0);
  if (lay->rects)
    put_rects(p, cells, a.rows, a.keys, x, y, lay->cell);
  else
    good = svg_put_image(p, &p->body, cells, a.rows, a.keys, x, y, lay->cell);
  if (p->options->pinned)
    put_outline(p, "pin", x - 1.0, y + (double)p->options->pin * a.pitch - 1.0, a.across + 1.0,
                larger(a.pitch, 1.0) + 1.0, p->theme->ink);
  panel_free(&a);
  return good;
}

static bool plan(svg_picture *p, layout *lay)
{
  int64_t longest = 1, rects = 0;
  for (int i = 0; i < p->n_panels; i++) {
    const network_layer *l = svg_layer(p, &p->panels[i]);
    if (l->sq > longest) longest = l->sq;
    if (l->sk > longest) longest = l->sk;
    if (rects <= RECTS) rects += l->sq > RECT_SIDE || l->sk > RECT_SIDE ? RECTS + 1 : l->sq * l->sk;
  }
  *lay = (layout){.tile = svg_tile(longest, IMAGE_SIDE), .rects = rects <= RECTS};
  lay->cell = element_size(svg_tiles(longest, lay->tile));
  for (int i = 0; i < p->n_panels; i++) {
    panel a;
    if (!panel_make(&a, p, &p->panels[i], lay)) return false;
    lay->width = larger(lay->width, a.width);
    lay->height = larger(lay->height, a.height);
    panel_free(&a);
  }
  return true;
}

static void explain(svg_picture *p, const layout *lay)
{
  if (lay->tile > 1)
    snprintf(p->note, sizeof p->note, "A pixel is the %s of %" PRId64 " \xc3\x97 %" PRId64 " pairs of tokens.",
             p->options->quantity == NETWORK_ANTISYMMETRIC ? "mean" : "largest", lay->tile, lay->tile);
}

static float **free_cells(float **cells, int count)
{
  for (int i = 0; i < count && cells; i++) free(cells[i]);
  free(cells);
  return NULL;
}

/* The cells of all panels, which share a scale. */
static float **all_cells(svg_picture *p, const layout *lay)
{
  float **cells = calloc((size_t)p->n_panels, sizeof *cells);
  if (!cells) st_fail(p->error, "out of memory");
  for (int i = 0; i < p->n_panels && cells; i++) {
    const network_layer *l = svg_layer(p, &p->panels[i]);
    cells[i] = svg_cells(p, &p->panels[i], lay->tile, lay->tile);
    if (!cells[i]) return free_cells(cells, p->n_panels);
    svg_scale_see(&p->scale, cells[i], (size_t)svg_tiles(l->sq, lay->tile) * (size_t)svg_tiles(l->sk, lay->tile));
  }
  return cells;
}

bool svg_matrix(svg_picture *p)
{
  layout lay;
  if (!plan(p, &lay)) return false;
  svg_scale_begin(p, lay.rects ? SVG_LINEAR : lay.tile > 1 ? SVG_LOGARITHM : SVG_ROOT);
  float **cells = all_cells(p, &lay);
  if (!cells) return false;
  svg_scale_end(&p->scale);
  const int columns = svg_columns(p, lay.width);
  bool good = true;
  for (int i = 0; i < p->n_panels && good; i++)
    good = put_panel(p, &p->panels[i], &lay, cells[i], (i % columns) * (lay.width + SVG_PANEL_GAP),
                     (i / columns) * (lay.height + SVG_PANEL_GAP));
  free_cells(cells, p->n_panels);
  const int lines = (p->n_panels + columns - 1) / columns;
  p->width = columns * (lay.width + SVG_PANEL_GAP) - SVG_PANEL_GAP;
  p->height = lines * (lay.height + SVG_PANEL_GAP) - SVG_PANEL_GAP;
  svg_bar_legend(p);
  explain(p, &lay);
  return good;
}
