#include "png_pixels.h"

#ifndef CLATTN_HAS_PNG

bool png_pixels(const colour *pixels, int64_t width, int64_t height, unsigned per_metre, unsigned char **data,
                size_t *bytes, st_error *error)
{
  (void)pixels, (void)width, (void)height, (void)per_metre, (void)data, (void)bytes;
  return st_fail(error,
                 "an image needs libpng, and this clattn was built without: install it (on Debian: libpng-dev) and "
                 "build again");
}

#else

#include <png.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

typedef struct sink {
  unsigned char *data;
  size_t bytes, room;
} sink;

static void take(png_structp png, png_bytep data, size_t bytes)
{
  sink *s = png_get_io_ptr(png);
  if (s->room - s->bytes < bytes) {
    size_t room = s->room ? s->room : 65536;
    while (room - s->bytes < bytes) room *= 2;
    unsigned char *grown = realloc(s->data, room);
    if (!grown) png_error(png, "out of memory");
    s->data = grown;
    s->room = room;
  }
  memcpy(s->data + s->bytes, data, bytes);
  s->bytes += bytes;
}

static void flush(png_structp png) { (void)png; }

static void fail(png_structp png, png_const_charp text)
{
  st_fail(png_get_error_ptr(png), "libpng: %s", text);
  png_longjmp(png, 1);
}

static void warn(png_structp png, png_const_charp text) { (void)png, (void)text; }

/* libpng comes back through setjmp on failure: nothing that changes in here is read after that. */
static bool write_all(png_structp png, png_infop info, const colour *pixels, png_uint_32 width, png_uint_32 height,
                      unsigned per_metre)
{
  if (setjmp(png_jmpbuf(png))) return false;
  png_set_IHDR(png, info, width, height, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
               PNG_FILTER_TYPE_DEFAULT);
  if (per_metre) png_set_pHYs(png, info, per_metre, per_metre, PNG_RESOLUTION_METER);
  png_set_sRGB(png, info, PNG_sRGB_INTENT_PERCEPTUAL);
  png_write_info(png, info);
  for (png_uint_32 y = 0; y < height; y++) png_write_row(png, (png_const_bytep)(pixels + (size_t)y * width));
  png_write_end(png, info);
  return true;
}

bool png_pixels(const colour *pixels, int64_t width, int64_t height, unsigned per_metre, unsigned char **data,
                size_t *bytes, st_error *error)
{
  _Static_assert(sizeof(colour) == 3, "rows of colours are rows of RGB bytes");
  sink s = {0};
  if (width < 1 || height < 1 || width > INT32_MAX || height > INT32_MAX)
    return st_fail(error, "a PNG of %lld x %lld pixels: each must be 1 to %d", (long long)width, (long long)height,
                   INT32_MAX);
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, error, fail, warn);
  png_infop info = png ? png_create_info_struct(png) : NULL;
  bool good = info || st_fail(error, "out of memory");
  if (good) {
    png_set_write_fn(png, &s, take, flush);
    png_set_user_limits(png, INT32_MAX, INT32_MAX);
    good = write_all(png, info, pixels, (png_uint_32)width, (png_uint_32)height, per_metre);
  }
  png_destroy_write_struct(&png, &info);
  if (!good) {
    free(s.data);
    return false;
  }
  *data = s.data;
  *bytes = s.bytes;
  return true;
}

#endif
