/* Colours of pictures: themes and colour maps, of the project's own making.
 *
 * A map is a path through OKLCh (B. Ottosson's perceptual space) whose lightness rises or falls evenly, so that order
 * survives grey print and every kind of colour blindness; the two arms of a diverging map are equally light at equal
 * distance from zero and keep apart for red-green blind eyes. tests/draw/test_colours.c holds them to that. */
#ifndef CLATTN_TOOLS_COLOURS_H
#define CLATTN_TOOLS_COLOURS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct colour {
  uint8_t r, g, b;
} colour;

/* "#rrggbb" */
typedef struct colour_text {
  char text[8];
} colour_text;
colour_text colour_show(colour c);

typedef struct colour_theme {
  colour paper, ink, dim, line; /* ground, text, lesser text, hairlines */
  colour neutral;               /* what has no place on a scale: infinities and NaN */
} colour_theme;

const colour_theme *colour_theme_of(bool dark);

/* A family of maps: one from nothing to much, one from much below zero to much above, each in light and dark. */
typedef struct colour_family colour_family;

/* NULL: the themes' own. NULL is returned for a name that is none; colour_families lists them: "sea, ember, grey". */
const colour_family *colour_family_find(const char *name);
const char *colour_family_name(const colour_family *family);
const char *colour_families(void);

/* The family that stands beside this one, where a picture has to tell two kinds of edges apart. */
const colour_family *colour_family_other(const colour_family *family);

/* share 0 (next to the ground) to 1; of the diverging map -1 to 1, 0 in its middle. Beyond, the nearest end. */
colour colour_sequential(const colour_family *family, bool dark, double share);
colour colour_diverging(const colour_family *family, bool dark, double share);

#endif
