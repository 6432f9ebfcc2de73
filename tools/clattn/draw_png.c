/* A PNG is the SVG of the same picture, painted by librsvg and written by libpng: one design, one place for it. */
#include "draw.h"

#if !defined(CLATTN_HAS_RSVG) || !defined(CLATTN_HAS_PNG)

bool draw_png(network *n, const draw_options *options, unsigned char **data, size_t *bytes, st_error *error)
{
  (void)n, (void)options, (void)data, (void)bytes;
  return st_fail(error, "PNG needs librsvg and libpng, and this clattn was built without: install them (on Debian: "
                        "librsvg2-dev libpng-dev fonts-dejavu-core) and build again, or write .svg");
}

#else

#include <librsvg/rsvg.h>
#include <math.h>
#include <stdlib.h>

#include "png_pixels.h"
#include "svg_picture.h"

enum {
  PER_METRE = 7559,     /* 96 pixels of CSS an inch, 2 for each */
  LARGEST_SIDE = 30000, /* pixels; cairo's surfaces end at 32,767 */
};
static const double most_pixels = 200e6;

/* Rows of cairo's opaque pixels as RGB. */
static colour *take_pixels(cairo_surface_t *surface, int width, int height)
{
  const unsigned char *from = cairo_image_surface_get_data(surface);
  const int stride = cairo_image_surface_get_stride(surface);
  colour *pixels = malloc((size_t)width * (size_t)height * sizeof *pixels);
  for (int y = 0; y < height && pixels; y++)
    for (int x = 0; x < width; x++) {
      const uint32_t word = *(const uint32_t *)(const void *)(from + (ptrdiff_t)y * stride + (ptrdiff_t)x * 4);
      pixels[(size_t)y * (size_t)width + (size_t)x] =
          (colour){(uint8_t)(word >> 16), (uint8_t)(word >> 8), (uint8_t)word};
    }
  return pixels;
}

static bool paint(RsvgHandle *svg, cairo_surface_t *surface, int width, int height, st_error *error)
{
  GError *fault = NULL;
  const RsvgRectangle all = {0.0, 0.0, width, height};
  cairo_t *painter = cairo_create(surface);
  bool good = rsvg_handle_render_document(svg, painter, &all, &fault);
  if (!good) st_fail(error, "librsvg: %s", fault ? fault->message : "no reason given");
  if (good && cairo_status(painter) != CAIRO_STATUS_SUCCESS)
    good = st_fail(error, "cairo: %s", cairo_status_to_string(cairo_status(painter)));
  g_clear_error(&fault);
  cairo_destroy(painter);
  cairo_surface_flush(surface);
  return good;
}

static bool rasterise(RsvgHandle *svg, unsigned char **data, size_t *bytes, st_error *error)
{
  gdouble w = 0.0, h = 0.0;
  if (!rsvg_handle_get_intrinsic_size_in_pixels(svg, &w, &h))
    return st_fail(error, "librsvg: a picture without a size");
  const double width = ceil(w * SVG_PIXELS), height = ceil(h * SVG_PIXELS);
  if (width > LARGEST_SIDE || height > LARGEST_SIDE || width * height > most_pixels)
    return st_fail(error,
                   "%.0f x %.0f pixels exceed the %d of a side or the %.0f of a PNG; choose fewer heads, or write .svg",
                   width, height, LARGEST_SIDE, most_pixels);
  cairo_surface_t *surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)width, (int)height);
  colour *pixels = NULL;
  bool good = cairo_surface_status(surface) == CAIRO_STATUS_SUCCESS || st_fail(error, "out of memory");
  good = good && paint(svg, surface, (int)width, (int)height, error);
  if (good) {
    pixels = take_pixels(surface, (int)width, (int)height);
    good = pixels || st_fail(error, "out of memory");
  }
  cairo_surface_destroy(surface);
  good = good && png_pixels(pixels, (int64_t)width, (int64_t)height, PER_METRE, data, bytes, error);
  free(pixels);
  return good;
}

bool draw_png(network *n, const draw_options *options, unsigned char **data, size_t *bytes, st_error *error)
{
  char *text = NULL;
  size_t length = 0;
  GError *fault = NULL;
  if (!draw_svg(n, options, &text, &length, error)) return false;
  /* UNLIMITED: an embedded heat map may be longer than what libxml2 takes from strangers. */
  GInputStream *stream = g_memory_input_stream_new_from_data(text, (gssize)length, NULL);
  RsvgHandle *svg = rsvg_handle_new_from_stream_sync(stream, NULL, RSVG_HANDLE_FLAG_UNLIMITED, NULL, &fault);
  bool good = svg || st_fail(error, "librsvg: %s", fault ? fault->message : "no reason given");
  good = good && rasterise(svg, data, bytes, error);
  g_clear_error(&fault);
  if (svg) g_object_unref(svg);
  g_object_unref(stream);
  free(text);
  return good;
}

#endif
