/* Tokens along a line, as they are read. Arcs above it go to earlier tokens, arcs below it to later ones; a token that
 * attends itself has a disc. Arcs leave and arrive side by side, ordered so that those of one token do not cross. */
#include <math.h>
#include <stdlib.h>

#include "svg_network.h"

enum {
  MOST_TOKENS = 64,
  WIDEST_LINE = 1080,
  SLOT_GAP = 16,
  LEAST_SLOT = 34,
  WIDEST_SLOT = 190,
  LABEL_HEIGHT = 22,
  TALLEST = 210
};

static const double label_max_width = 12.0, head_length = 6.0;

static double slot_width(const label *l)
{
  const double width = l->width * SVG_TEXT + SLOT_GAP;
  return width > LEAST_SLOT ? width : LEAST_SLOT;
}

static double line_width(const svg_labels *labels)
{
  double width = 0.0;
  for (int64_t i = 0; i < labels->count; i++) width += slot_width(&labels->labels[i]);
  return width;
}

bool svg_line_fits(const network_layer *l, bool *failed)
{
  if (!l->one_sequence || l->sk > MOST_TOKENS) return false;
  svg_labels labels = svg_labels_make(l->key_tokens, l->sk, label_max_width);
  *failed = !labels.labels;
  const bool fits = !*failed && line_width(&labels) <= WIDEST_LINE;
  svg_labels_free(&labels);
  return fits;
}

/* ---- where arcs meet a token ---- */

/* One end of an arc at a token. */
typedef struct port {
  svg_edge *edge;
  int64_t here, there;
  bool later;
} port;

/* By side, token, and then from left to right: first the arcs that come from the left, near ones first, then those from
 * the right, far ones first. So arcs of one token lie inside each other. */
static int by_place(const void *a, const void *b)
{
  const port *x = a, *y = b;
  if (x->later != y->later) return x->later ? 1 : -1;
  if (x->here != y->here) return x->here < y->here ? -1 : 1;
  const bool left_x = x->there < x->here, left_y = y->there < y->here;
  if (left_x != left_y) return left_x ? -1 : 1;
  if (x->there != y->there) return x->there > y->there ? -1 : 1;
  return 0;
}

/* Along the line: a head is wider than its ribbon. */
static double end_width(const svg_edge *e, bool head) { return e->width + (head ? 4.0 : 1.0); }
static double port_width(const port *p) { return end_width(p->edge, p->here == p->edge->to); }

static void place_group(port *ports, size_t count, double middle, double room)
{
  double total = 0.0;
  for (size_t i = 0; i < count; i++) total += port_width(&ports[i]);
  const double pack = total > room ? room / total : 1.0;
  double at = middle - 0.5 * total * pack;
  for (size_t i = 0; i < count; i++) {
    const double width = port_width(&ports[i]) * pack, x = at + 0.5 * width;
    if (ports[i].here == ports[i].edge->from)
      ports[i].edge->from_at = x;
    else
      ports[i].edge->to_at = x;
    at += width;
  }
}

static bool place_ports(svg_edges *edges, const double *middle, const double *room)
{
  size_t count = 0;
  port *ports = malloc((edges->count * 2 + 1) * sizeof *ports);
  if (!ports) return false;
  for (size_t i = 0; i < edges->count; i++) {
    svg_edge *e = &edges->edges[i];
    if (e->from == e->to) continue;
    ports[count++] = (port){e, e->from, e->to, e->to > e->from};
    ports[count++] = (port){e, e->to, e->from, e->to > e->from};
  }
  if (count) qsort(ports, count, sizeof *ports, by_place);
  for (size_t i = 0; i < count;) {
    const size_t first = i;
    while (i < count && ports[i].here == ports[first].here && ports[i].later == ports[first].later) i++;
    place_group(ports + first, i - first, middle[ports[first].here], room[ports[first].here]);
  }
  free(ports);
  return true;
}

/* ---- drawing ---- */

/* The arc's height above the line: it grows with the distance, far ones less than near ones. */
static double arc_height(double distance, double longest)
{
  const double most = 0.36 * longest < TALLEST ? 0.36 * longest : TALLEST;
  return 10.0 + (most - 10.0) * pow(distance / longest, 0.85);
}

/* A ribbon with a head, as one path: out along one side, around the head, back along the other. The control points of a
 * cubic lie 4/3 as high as it reaches. up: -1 above the line, 1 below it. */
static void put_arc(svg_picture *p, const svg_edge *e, const network_layer *l, double left, double base, double up,
                    double height)
{
  const double a = left + e->from_at, b = left + e->to_at, half = 0.5 * e->width, side = b < a ? half : -half;
  const double neck = base + up * (head_length + half), wing = half + (e->width < 2.0 ? 1.8 : 2.5);
  const double outer = base + up * (height + half) * 4.0 / 3.0, inner = base + up * (height - half) * 4.0 / 3.0;
  svg_begin_edge(p, "path", e);
  text_format(&p->body, "data-width=\"%s\" d=\"M%s %sC%s %s %s %s %s %s", px(e->width).text, px(a + side).text,
              px(base).text, px(a + side).text, px(outer).text, px(b - side).text, px(outer).text, px(b - side).text,
              px(neck).text);
  text_format(&p->body, "H%sL%s %sL%s %sH%s", px(b - (side > 0 ? wing : -wing)).text, px(b).text, px(base).text,
              px(b + (side > 0 ? wing : -wing)).text, px(neck).text, px(b + side).text);
  text_format(&p->body, "C%s %s %s %s %s %sz\"", px(b + side).text, px(inner).text, px(a - side).text, px(inner).text,
              px(a - side).text, px(base).text);
  svg_end_edge(p, "path", e, l);
}

static void put_disc(svg_picture *p, const svg_edge *e, const network_layer *l, double x, double y)
{
  svg_begin_edge(p, "circle", e);
  text_format(&p->body, "data-width=\"%s\" cx=\"%s\" cy=\"%s\" r=\"%s\"", px(e->width).text, px(x).text, px(y).text,
              px(e->width * 0.5).text);
  svg_end_edge(p, "circle", e, l);
}

typedef struct line {
  svg_labels labels;
  double *middle, *room; /* of each token */
  double width, longest; /* pixels between the ends of the farthest edge, at least one slot */
  double above, below;   /* heights of the arcs */
  double disc;           /* the largest one */
} line;

/* A token gets the room of its label, or of the ends that meet at its busier side. */
static void place_tokens(const network_layer *l, double widest_slot, const svg_edges *edges, line *out)
{
  for (int64_t i = 0; i < l->sk; i++) {
    double side[2] = {0.0, 0.0};
    for (size_t k = 0; k < edges->count; k++) {
      const svg_edge *e = &edges->edges[k];
      if (e->from != e->to && (e->from == i || e->to == i)) side[e->to > e->from] += end_width(e, e->to == i);
    }
    double slot = slot_width(&out->labels.labels[i]), ends = (side[0] > side[1] ? side[0] : side[1]) + 8.0;
    if (ends > widest_slot) ends = widest_slot;
    if (ends > slot) slot = ends;
    out->middle[i] = out->width + 0.5 * slot;
    out->room[i] = slot - 6.0;
    out->width += slot;
  }
}

static bool line_make(const network_layer *l, double widest_slot, const svg_edges *edges, line *out)
{
  *out = (line){.labels = svg_labels_make(l->key_tokens, l->sk, label_max_width)};
  out->middle = malloc((size_t)l->sk * sizeof *out->middle);
  out->room = malloc((size_t)l->sk * sizeof *out->room);
  if (!out->labels.labels || !out->middle || !out->room) return false;
  place_tokens(l, widest_slot, edges, out);
  out->longest = out->width;
  for (size_t i = 0; i < edges->count; i++) {
    const svg_edge *e = &edges->edges[i];
    if (e->from == e->to) {
      if (e->width > out->disc) out->disc = e->width;
      continue;
    }
    const double height = arc_height(fabs(out->middle[e->to] - out->middle[e->from]), out->longest) + e->width;
    double *side = e->to < e->from ? &out->above : &out->below;
    if (height > *side) *side = height;
  }
  return true;
}

static void line_free(line *x)
{
  svg_labels_free(&x->labels);
  free(x->middle);
  free(x->room);
}

/* Discs stand between the arcs and the words. */
static double disc_room(const line *x) { return x->disc > 0.0 ? x->disc + 5.0 : 2.0; }

static void put_line(svg_picture *p, const network_layer *l, const svg_edges *edges, const line *x, double left,
                     double top)
{
  const double upper = top + x->above, disc_y = upper + 3.0 + 0.5 * x->disc;
  const double text_y = upper + disc_room(x) + 14.0, lower = upper + disc_room(x) + LABEL_HEIGHT;
  for (size_t i = 0; i < edges->count; i++) {
    const svg_edge *e = &edges->edges[i];
    const double far = fabs(x->middle[e->to] - x->middle[e->from]);
    if (e->from == e->to)
      put_disc(p, e, l, left + x->middle[e->from], disc_y);
    else if (e->to < e->from)
      put_arc(p, e, l, left, upper, -1.0, arc_height(far, x->longest));
    else
      put_arc(p, e, l, left, lower, 1.0, arc_height(far, x->longest));
  }
  for (int64_t i = 0; i < l->sk; i++)
    svg_put_label(&p->body, &x->labels.labels[i], l->key_tokens[i], left + x->middle[i], text_y, "middle", SVG_TEXT + 1,
                  p->theme->ink, 0.0, svg_is_pinned(p, i - l->offset));
}

bool svg_line_panel(svg_picture *p, const network_layer *l, svg_edges *edges, double left, double top, bool draw,
                    double *width, double *height)
{
  line x;
  bool good = line_make(l, p->n_panels > 1 ? WIDEST_SLOT / 2.0 : WIDEST_SLOT, edges, &x);
  if (good && draw) {
    good = place_ports(edges, x.middle, x.room);
    if (good) put_line(p, l, edges, &x, left, top);
  }
  *width = x.width;
  *height = x.above + disc_room(&x) + LABEL_HEIGHT + x.below;
  line_free(&x);
  return good || st_fail(p->error, "out of memory");
}
