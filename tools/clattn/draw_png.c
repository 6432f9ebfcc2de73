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

#include <math.h>
#include <stdlib.h>

#include "painter.h"
#include "png_pixels.h"
#include "svg_picture.h"

enum {
  PER_METRE = 7559,     /* 96 pixels of CSS an inch, 2 for each */
  LARGEST_SIDE = 30000, /* pixels; cairo's surfaces end at 32,767 */
};
static const double most_pixels = 200e6;

/* Rows of cairo's opaque pixels as RGB. */
static colour *take_pixels(const painter *p, cairo_surface_t *surface, int width, int height)
{
  const unsigned char *from = p->cairo_image_surface_get_data_(surface);
  const int stride = p->cairo_image_surface_get_stride_(surface);
  colour *pixels = malloc((size_t)width * (size_t)height * sizeof *pixels);
  for (int y = 0; y < height && pixels; y++)
    for (int x = 0; x < width; x++) {
      const uint32_t word = *(const uint32_t *)(const void *)(from + (ptrdiff_t)y * stride + (ptrdiff_t)x * 4);
      pixels[(size_t)y * (size_t)width + (size_t)x] =
          (colour){(uint8_t)(word >> 16), (uint8_t)(word >> 8), (uint8_t)word};
    }
  return pixels;
}

static bool paint(const painter *p, RsvgHandle *svg, cairo_surface_t *surface, int width, int height, st_error *error)
{
  GError *fault = NULL;
  const RsvgRectangle all = {0.0, 0.0, width, height};
  cairo_t *brush = p->cairo_create_(surface);
  bool good = p->rsvg_handle_render_document_(svg, brush, &all, &fault);
  if (!good) st_fail(error, "librsvg: %s", fault ? fault->message : "no reason given");
  if (good && p->cairo_status_(brush) != CAIRO_STATUS_SUCCESS)
    good = st_fail(error, "cairo: %s", p->cairo_status_to_string_(p->cairo_status_(brush)));
  p->g_clear_error_(&fault);
  p->cairo_destroy_(brush);
  p->cairo_surface_flush_(surface);
  return good;
}

static bool rasterise(const painter *p, RsvgHandle *svg, unsigned char **data, size_t *bytes, st_error *error)
{
  gdouble w = 0.0, h = 0.0;
  if (!p->rsvg_handle_get_intrinsic_size_in_pixels_(svg, &w, &h))
    return st_fail(error, "librsvg: a picture without a size");
  const double width = ceil(w * SVG_PIXELS), height = ceil(h * SVG_PIXELS);
  if (width > LARGEST_SIDE || height > LARGEST_SIDE || width * height > most_pixels)
    return st_fail(error,
                   "%.0f x %.0f pixels exceed the %d of a side or the %.0f of a PNG; choose fewer heads, or write .svg",
                   width, height, LARGEST_SIDE, most_pixels);
  cairo_surface_t *surface = p->cairo_image_surface_create_(CAIRO_FORMAT_RGB24, (int)width, (int)height);
  colour *pixels = NULL;
  bool good = p->cairo_surface_status_(surface) == CAIRO_STATUS_SUCCESS || st_fail(error, "out of memory");
  good = good && paint(p, svg, surface, (int)width, (int)height, error);
  if (good) {
    pixels = take_pixels(p, surface, (int)width, (int)height);
    good = pixels || st_fail(error, "out of memory");
  }
  p->cairo_surface_destroy_(surface);
  good = good && png_pixels(pixels, (int64_t)width, (int64_t)height, PER_METRE, data, bytes, error);
  free(pixels);
  return good;
}

bool draw_png(network *n, const draw_options *options, unsigned char **data, size_t *bytes, st_error *error)
{
  char *text = NULL;
  size_t length = 0;
  GError *fault = NULL;
  painter loaded;
  const painter *p = &loaded;
  if (!painter_load(&loaded, error) || !draw_svg(n, options, &text, &length, error)) return false;
  /* UNLIMITED: an embedded heat map may be longer than what libxml2 takes from strangers. */
  GInputStream *stream = p->g_memory_input_stream_new_from_data_(text, (gssize)length, NULL);
  RsvgHandle *svg = p->rsvg_handle_new_from_stream_sync_(stream, NULL, RSVG_HANDLE_FLAG_UNLIMITED, NULL, &fault);
  bool good = svg || st_fail(error, "librsvg: %s", fault ? fault->message : "no reason given");
  good = good && rasterise(p, svg, data, bytes, error);
  p->g_clear_error_(&fault);
  if (svg) p->g_object_unref_(svg);
  p->g_object_unref_(stream);
  free(text);
  return good;
}

#endif
