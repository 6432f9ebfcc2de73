/* Numbers to colours: scale, pooled cells, embedded images and the colour bar. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "png_pixels.h"
#include "svg_picture.h"

int64_t svg_tiles(int64_t tokens, int64_t tile) { return (tokens + tile - 1) / tile; }
int64_t svg_tile(int64_t tokens, int64_t most) { return tokens > most ? svg_tiles(tokens, most) : 1; }

/* ---- cells ---- */

float *svg_cells(svg_picture *p, const svg_panel *panel, int64_t tile_rows, int64_t tile_keys)
{
  const network_layer *l = svg_layer(p, panel);
  const network_quantity quantity = p->options->quantity;
  const int64_t rows = svg_tiles(l->sq, tile_rows), keys = svg_tiles(l->sk, tile_keys);
  const bool mean = quantity == NETWORK_ANTISYMMETRIC;
  float *cells = malloc((size_t)rows * (size_t)keys * sizeof *cells);
  bool good = cells || st_fail(p->error, "out of memory");
  if (good && tile_rows == 1 && tile_keys == 1)
    good =
        network_block(p->n, panel->layer, panel->head, quantity, (network_range){0, l->sq, 0, l->sk}, cells, p->error);
  else if (good)
    good = network_pool(p->n, panel->layer, panel->head, quantity, tile_rows, tile_keys, mean ? cells : NULL,
                        mean ? NULL : cells, p->error);
  if (!good) {
    free(cells);
    return NULL;
  }
  for (int64_t i = 0; mean && i < rows; i++)
    for (int64_t j = 0; j < keys; j++) {
      const int64_t high = i < rows - 1 ? tile_rows : l->sq - i * tile_rows;
      const int64_t wide = j < keys - 1 ? tile_keys : l->sk - j * tile_keys;
      cells[i * keys + j] /= (float)(high * wide);
    }
  return cells;
}

/* ---- the scale ---- */

static bool is_signed(network_quantity quantity) { return quantity == NETWORK_A || quantity == NETWORK_ANTISYMMETRIC; }

void svg_scale_begin(svg_picture *p, svg_curve curve)
{
  const bool diverging = is_signed(p->options->quantity);
  p->scale = (svg_scale){.family = colour_family_find(p->options->colours),
                         .dark = p->options->dark,
                         .diverging = diverging,
                         .curve = diverging ? SVG_LINEAR : curve};
}

/* On a scale from 0 on, exactly 0 is what was not attended: a weight is an exponential, which is more. */
bool svg_scale_is_none(const svg_scale *scale, float value) { return !scale->diverging && value == 0.0f; }

void svg_scale_see(svg_scale *scale, const float *cells, size_t count)
{
  for (size_t i = 0; i < count; i++) {
    const double magnitude = fabs((double)cells[i]);
    if (!isfinite(magnitude))
      *(cells[i] == -INFINITY ? &scale->saw_masked : &scale->saw_wild) = true;
    else if (magnitude > scale->seen)
      scale->seen = magnitude;
    if (svg_scale_is_none(scale, cells[i])) scale->saw_none = true;
  }
}

/* Ticks of 1, 2, 2.5 or 5 times a power of ten, some four of them. What is beyond an end by rounding (1.0000001 of a
 * row) does not ask for another step. */
void svg_scale_end(svg_scale *scale)
{
  static const double steps[] = {1.0, 2.0, 2.5, 5.0, 10.0};
  const double seen = scale->seen > 1e-300 ? scale->seen : 1.0;
  const double wanted = seen / (scale->diverging ? 2.0 : 4.0) * (1.0 - 1e-5), power = pow(10.0, floor(log10(wanted)));
  int i = 0;
  while (steps[i] * power < wanted && i < 4) i++;
  if (scale->curve == SVG_LOGARITHM) {
    scale->most = pow(10.0, ceil(log10(seen) - 1e-5));
    return;
  }
  scale->step = steps[i] * power;
  scale->most = scale->step * ceil(seen / scale->step * (1.0 - 1e-5));
}

double svg_scale_share(const svg_scale *scale, double value)
{
  const double share = value / scale->most;
  switch (scale->curve) {
  case SVG_ROOT:
    return sqrt(fabs(share));
  case SVG_LOGARITHM:
    return share > 0.0 ? 1.0 + log10(share) / SVG_DECADES : 0.0;
  default:
    return share;
  }
}

colour svg_scale_colour(const svg_scale *scale, const colour_theme *theme, float value)
{
  if (!isfinite(value)) return theme->neutral;
  if (svg_scale_is_none(scale, value)) return theme->paper;
  const double share = svg_scale_share(scale, (double)value);
  return scale->diverging ? colour_diverging(scale->family, scale->dark, share)
                          : colour_sequential(scale->family, scale->dark, share);
}

/* ---- an image ---- */

/* Each cell as a square of `side` pixels. */
static colour *paint(const svg_picture *p, const float *cells, int64_t rows, int64_t keys, int64_t side)
{
  const int64_t across = keys * side;
  colour *pixels = malloc((size_t)(rows * side) * (size_t)across * sizeof *pixels);
  for (int64_t y = 0; y < rows * side && pixels; y++)
    for (int64_t x = 0; x < across; x++)
      pixels[y * across + x] = y % side || x % side
                                   ? pixels[(y - y % side) * across + x - x % side]
                                   : svg_scale_colour(&p->scale, p->theme, cells[y / side * keys + x / side]);
  return pixels;
}

bool svg_put_image(svg_picture *p, text_buffer *b, const float *cells, int64_t rows, int64_t keys, double x, double y,
                   double cell)
{
  /* Whoever scales the image up smoothly in spite of what is asked (librsvg does) has each pixel to show as it is. */
  const int64_t side = lround(SVG_PIXELS * cell);
  unsigned char *data = NULL;
  size_t bytes = 0;
  colour *pixels = paint(p, cells, rows, keys, side);
  if (!pixels) return st_fail(p->error, "out of memory");
  const bool good = png_pixels(pixels, keys * side, rows * side, 0, &data, &bytes, p->error);
  free(pixels);
  if (!good) return false;
  text_format(b,
              "<image class=\"cells\" data-rows=\"%lld\" data-keys=\"%lld\" x=\"%s\" y=\"%s\" width=\"%s\" "
              "height=\"%s\" preserveAspectRatio=\"none\" style=\"image-rendering:pixelated\" "
              "xlink:href=\"data:image/png;base64,",
              (long long)rows, (long long)keys, px(x).text, px(y).text, px((double)keys * cell).text,
              px((double)rows * cell).text);
  text_put_base64(b, data, bytes);
  text_put(b, "\"/>\n");
  free(data);
  return true;
}

/* ---- the colour bar ---- */

enum { BAR_WIDTH = 240, BAR_HEIGHT = 10, BAR_STOPS = 32, BAR_TOP = 8, SWATCH = 10, TICK_GAP = 4 };

static void put_bar(svg_picture *p)
{
  const svg_scale *s = &p->scale;
  text_buffer *b = &p->legend;
  text_put(b, "<linearGradient id=\"bar\">");
  for (int i = 0; i <= BAR_STOPS; i++) {
    const double share = (double)i / BAR_STOPS;
    const colour c = s->diverging ? colour_diverging(s->family, s->dark, 2.0 * share - 1.0)
                                  : colour_sequential(s->family, s->dark, share);
    text_format(b, "<stop offset=\"%s\" stop-color=\"%s\"/>", px(share).text, colour_show(c).text);
  }
  text_format(b, "</linearGradient>\n<rect class=\"bar\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"url(#bar)\"/>\n",
              BAR_TOP, BAR_WIDTH, BAR_HEIGHT);
}

/* With its number, where that leaves the one before it its place, whose end is `taken`. */
static void put_tick(svg_picture *p, double value, double *taken)
{
  const double share = svg_scale_share(&p->scale, value);
  const double x = BAR_WIDTH * (p->scale.diverging ? 0.5 + 0.5 * share : share);
  const int bottom = BAR_TOP + BAR_HEIGHT;
  text_format(&p->legend, "<path d=\"M%s %dv3\" stroke=\"%s\" fill=\"none\"/>", px(x).text, bottom,
              colour_show(p->theme->dim).text);
  /* Where a logarithmic scale begins, all that is less is too. */
  const bool least = p->scale.curve == SVG_LOGARITHM && share < 1e-9;
  char text[48];
  snprintf(text, sizeof text, "%s%s%g", least ? "\xe2\x89\xa4 " : "", value < 0.0 ? "\xe2\x88\x92" : "", fabs(value));
  const double width = SVG_SMALL_TEXT * label_width(text), left = least ? x : x - 0.5 * width;
  if (left < *taken) {
    text_put(&p->legend, "\n");
    return;
  }
  *taken = left + width + TICK_GAP;
  svg_open_text(&p->legend, x, bottom + 13, least ? "start" : "middle", SVG_SMALL_TEXT, p->theme->dim);
  text_format(&p->legend, "%s</text>\n", text);
}

static double put_swatch(svg_picture *p, double x, colour fill, const char *text)
{
  const double text_x = x + SWATCH + 6;
  text_format(&p->legend, "<rect x=\"%s\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"%s\" stroke=\"%s\"/>",
              px(x + 0.5).text, BAR_TOP, SWATCH, SWATCH, colour_show(fill).text, colour_show(p->theme->line).text);
  svg_open_text(&p->legend, text_x, BAR_TOP + 9, "start", SVG_SMALL_TEXT, p->theme->dim);
  text_format(&p->legend, "%s</text>\n", text);
  return text_x + SVG_SMALL_TEXT * label_width(text) + 20;
}

static void put_ticks(svg_picture *p)
{
  const svg_scale *s = &p->scale;
  const int ticks = s->curve == SVG_LOGARITHM ? SVG_DECADES : (int)lround(s->most / s->step);
  double taken = -INFINITY;
  for (int i = s->diverging ? -ticks : 0; i <= ticks; i++)
    put_tick(p, s->curve == SVG_LOGARITHM ? s->most * pow(10.0, i - ticks) : i * s->step, &taken);
}

void svg_bar_legend(svg_picture *p)
{
  static const char *const curve_words[] = {")", "; colours by its square root)", "; colours by its logarithm)"};
  const svg_scale *s = &p->scale;
  const network_quantity quantity = p->options->quantity;
  svg_legend_title(p, curve_words[s->curve]);
  put_bar(p);
  put_ticks(p);
  double x = BAR_WIDTH + 28;
  if (s->saw_none) x = put_swatch(p, x, p->theme->paper, "0: not attended");
  if (s->saw_wild)
    x = put_swatch(p, x, p->theme->neutral, "infinite or not a number");
  else if (s->saw_masked)
    x = put_swatch(p, x, p->theme->neutral, "\xe2\x88\x92\xe2\x88\x9e: masked");
  const double title =
      SVG_TEXT * (label_width(network_quantity_title(quantity)) + label_width(network_quantity_unit(quantity)) +
                  label_width(curve_words[s->curve]) + 2.0);
  p->legend_width = x > title ? x : title;
  p->legend_height = BAR_TOP + BAR_HEIGHT + 16;
}
