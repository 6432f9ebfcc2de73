/* Pixels as the bytes of a PNG file. */
#ifndef CLATTN_TOOLS_PNG_PIXELS_H
#define CLATTN_TOOLS_PNG_PIXELS_H

#include <stddef.h>

#include "colours.h"
#include "safetensors.h"

/* pixels: dense rows, uppermost first. per_metre: how many pixels a metre has; 0: unsaid. The caller frees *data.
 * Where the command was built without libpng it is refused. */
bool png_pixels(const colour *pixels, int64_t width, int64_t height, unsigned per_metre, unsigned char **data,
                size_t *bytes, st_error *error);

#endif
