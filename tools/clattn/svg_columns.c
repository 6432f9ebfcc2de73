/* Queries in a column on the left, keys in one on the right, both as they are read; edges go across. For two sequences,
 * and for one that is too long for a line. */
#include <math.h>

#include "svg_network.h"

enum { LONG_FROM = 48, ACROSS = 190, HEADING = 20, LABEL_GAP = 7 };

static const double label_max_width = 12.0, head_length = 5.0;

/* Pixels a token: less for many. */
static double pitch_of(int64_t tokens) { return tokens <= LONG_FROM ? 17.0 : tokens <= 128 ? 13.0 : 10.0; }

/* A ribbon that leaves and arrives level, with a head. In its middle it runs with twice the slope of its ends' line;
 * the control points of both sides move so that it is as wide across there: three quarters of a move reach the middle.
 */
static void put_ribbon(svg_picture *p, const svg_edge *e, const network_layer *l, double x0, double y0, double x1,
                       double y1)
{
  const double half = 0.5 * e->width, neck = x1 - head_length - half, middle = 0.5 * (x0 + neck);
  const double wing = half + (e->width < 2.0 ? 1.8 : 2.5);
  const double slope = 2.0 * (y1 - y0) / (neck - x0), length = hypot(1.0, slope);
  const double dx = half * slope / length / 0.75, dy = half * (1.0 - 1.0 / length) / 0.75 - half;
  svg_begin_edge(p, "path", e);
  text_format(&p->body, "data-width=\"%s\" d=\"M%s %sC%s %s %s %s %s %s", px(e->width).text, px(x0).text,
              px(y0 - half).text, px(middle + dx).text, px(y0 + dy).text, px(middle + dx).text, px(y1 + dy).text,
              px(neck).text, px(y1 - half).text);
  text_format(&p->body, "V%sL%s %sL%s %sV%s", px(y1 - wing).text, px(x1).text, px(y1).text, px(neck).text,
              px(y1 + wing).text, px(y1 + half).text);
  text_format(&p->body, "C%s %s %s %s %s %sz\"", px(middle - dx).text, px(y1 - dy).text, px(middle - dx).text,
              px(y0 - dy).text, px(x0).text, px(y0 + half).text);
  svg_end_edge(p, "path", e, l);
}

static void put_column(svg_picture *p, const svg_labels *labels, char *const *texts, double x, double top, double pitch,
                       const char *anchor, bool queries)
{
  const double size = pitch * 0.8 < SVG_TEXT ? pitch * 0.8 : SVG_TEXT;
  svg_open_text(&p->body, x, top + 10.0, anchor, SVG_SMALL_TEXT, p->theme->dim);
  text_put(&p->body, queries ? "query</text>\n" : "key</text>\n");
  for (int64_t i = 0; i < labels->count; i++)
    svg_put_label(&p->body, &labels->labels[i], texts[i], x, top + HEADING + ((double)i + 0.5) * pitch + size * 0.35,
                  anchor, size, p->theme->ink, 0.0, queries && svg_is_pinned(p, i));
}

bool svg_columns_panel(svg_picture *p, const network_layer *l, svg_edges *edges, double left, double top, bool draw,
                       double *width, double *height)
{
  svg_labels queries = svg_labels_make(l->query_tokens, l->sq, label_max_width);
  svg_labels keys = svg_labels_make(l->key_tokens, l->sk, label_max_width);
  const bool good = queries.labels && keys.labels;
  const int64_t longest = l->sq > l->sk ? l->sq : l->sk;
  const double pitch = pitch_of(longest), size = pitch * 0.8 < SVG_TEXT ? pitch * 0.8 : SVG_TEXT;
  const double left_room = (queries.widest * size > 34.0 ? queries.widest * size : 34.0) + LABEL_GAP;
  const double right_room = (keys.widest * size > 24.0 ? keys.widest * size : 24.0) + LABEL_GAP;
  const double across = ACROSS + (longest > LONG_FROM ? 90.0 : 0.0), x0 = left + left_room, x1 = x0 + across;
  /* One sequence stands at the same height on both sides: past tokens have no queries. */
  const double query_top = top + (l->one_sequence ? (double)l->offset * pitch : 0.0);
  for (size_t i = 0; i < edges->count && good && draw; i++) {
    const svg_edge *e = &edges->edges[i];
    put_ribbon(p, e, l, x0, query_top + HEADING + ((double)e->is.query + 0.5) * pitch, x1,
               top + HEADING + ((double)e->is.key + 0.5) * pitch);
  }
  if (good && draw) {
    put_column(p, &queries, l->query_tokens, x0 - LABEL_GAP, query_top, pitch, "end", true);
    put_column(p, &keys, l->key_tokens, x1 + LABEL_GAP, top, pitch, "start", false);
  }
  *width = left_room + across + right_room;
  *height = HEADING + (double)longest * pitch;
  svg_labels_free(&queries);
  svg_labels_free(&keys);
  return good || st_fail(p->error, "out of memory");
}
