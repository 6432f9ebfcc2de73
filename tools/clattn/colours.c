#include "colours.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { SEQUENTIAL_POINTS = 7, ARM_POINTS = 5 };

/* Lightness 0 to 1, chroma, hue in degrees (unwrapped: neighbours are interpolated as they stand). */
typedef struct oklch {
  double lightness, chroma, hue;
} oklch;

struct colour_family {
  const char *name, *other;
  oklch sequential[2][SEQUENTIAL_POINTS]; /* light, dark; from the ground to the strongest */
  oklch below[2][ARM_POINTS], above[2][ARM_POINTS];
};

static const colour_family families[] = {
    /* Pale green, teal, indigo; blue below zero and orange above. */
    {"sea",
     "ember",
     {{{.975, .018, 110},
       {.885, .085, 145},
       {.76, .095, 180},
       {.62, .1, 222},
       {.47, .12, 262},
       {.33, .115, 285},
       {.22, .075, 295}},
      {{.205, .02, 285},
       {.3, .085, 285},
       {.43, .11, 266},
       {.57, .1, 228},
       {.7, .098, 190},
       {.83, .11, 150},
       {.955, .07, 110}}},
     {{{.97, 0, 250}, {.86, .065, 245}, {.73, .11, 250}, {.58, .135, 256}, {.4, .13, 262}},
      {{.23, 0, 250}, {.36, .085, 258}, {.51, .125, 255}, {.66, .12, 248}, {.82, .085, 240}}},
     {{{.97, 0, 70}, {.86, .085, 70}, {.73, .13, 60}, {.58, .135, 50}, {.4, .1, 42}},
      {{.23, 0, 60}, {.36, .07, 45}, {.51, .11, 52}, {.66, .13, 60}, {.82, .11, 75}}}},
    /* Straw, orange, wine; purple below zero and green above. */
    {"ember",
     "sea",
     {{{.975, .02, 95},
       {.89, .1, 88},
       {.775, .13, 66},
       {.64, .15, 42},
       {.5, .15, 20},
       {.35, .105, 4},
       {.22, .055, -10}},
      {{.205, .015, -15},
       {.3, .08, -5},
       {.42, .12, 12},
       {.55, .14, 30},
       {.69, .135, 55},
       {.83, .12, 82},
       {.955, .055, 100}}},
     {{{.97, 0, 310}, {.86, .065, 308}, {.73, .115, 306}, {.58, .15, 303}, {.4, .145, 300}},
      {{.23, 0, 305}, {.36, .11, 302}, {.51, .15, 304}, {.66, .13, 307}, {.82, .085, 310}}},
     {{{.97, 0, 140}, {.86, .085, 135}, {.73, .115, 138}, {.58, .115, 143}, {.4, .085, 148}},
      {{.23, 0, 145}, {.36, .07, 148}, {.51, .1, 145}, {.66, .12, 140}, {.82, .115, 130}}}},
    /* Without hue, for printers without colour: zero lies in the middle of the greys, below it is darker. */
    {"grey",
     "ember",
     {{{.97, 0, 0}, {.845, 0, 0}, {.72, 0, 0}, {.595, 0, 0}, {.47, 0, 0}, {.345, 0, 0}, {.22, 0, 0}},
      {{.22, 0, 0}, {.345, 0, 0}, {.47, 0, 0}, {.595, 0, 0}, {.72, 0, 0}, {.845, 0, 0}, {.97, 0, 0}}},
     {{{.62, 0, 0}, {.52, 0, 0}, {.42, 0, 0}, {.32, 0, 0}, {.22, 0, 0}},
      {{.62, 0, 0}, {.52, 0, 0}, {.42, 0, 0}, {.32, 0, 0}, {.22, 0, 0}}},
     {{{.62, 0, 0}, {.71, 0, 0}, {.8, 0, 0}, {.89, 0, 0}, {.98, 0, 0}},
      {{.62, 0, 0}, {.71, 0, 0}, {.8, 0, 0}, {.89, 0, 0}, {.98, 0, 0}}}},
};

enum { FAMILIES = sizeof families / sizeof *families };

static const colour_theme themes[2] = {
    {.paper = {255, 255, 255},
     .ink = {27, 31, 36},
     .dim = {96, 104, 114},
     .line = {208, 212, 218},
     .neutral = {186, 190, 197}},
    {.paper = {13, 17, 23},
     .ink = {230, 234, 240},
     .dim = {152, 162, 174},
     .line = {52, 60, 70},
     .neutral = {88, 94, 103}},
};

colour_text colour_show(colour c)
{
  colour_text shown;
  snprintf(shown.text, sizeof shown.text, "#%02x%02x%02x", c.r, c.g, c.b);
  return shown;
}

const colour_theme *colour_theme_of(bool dark) { return &themes[dark]; }

const colour_family *colour_family_find(const char *name)
{
  for (int i = 0; i < FAMILIES; i++)
    if (!name || !strcmp(name, families[i].name)) return &families[i];
  return NULL;
}

const char *colour_family_name(const colour_family *family) { return family->name; }
const char *colour_families(void) { return "sea, ember, grey"; }
const colour_family *colour_family_other(const colour_family *family) { return colour_family_find(family->other); }

/* One channel of linear light to its byte (IEC 61966-2-1). */
static uint8_t channel(double linear)
{
  const double light = linear < 0.0 ? 0.0 : linear > 1.0 ? 1.0 : linear;
  const double coded = light <= 0.0031308 ? 12.92 * light : 1.055 * pow(light, 1.0 / 2.4) - 0.055;
  return (uint8_t)lround(255.0 * coded);
}

static double cube(double x) { return x * x * x; }

/* OKLab's two matrices, from its author's definition. */
static colour colour_of(oklch c)
{
  const double degrees = 3.14159265358979323846 / 180.0;
  const double a = c.chroma * cos(c.hue * degrees), b = c.chroma * sin(c.hue * degrees);
  const double l = cube(c.lightness + 0.3963377774 * a + 0.2158037573 * b);
  const double m = cube(c.lightness - 0.1055613458 * a - 0.0638541728 * b);
  const double s = cube(c.lightness - 0.0894841775 * a - 1.2914855480 * b);
  return (colour){channel(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s),
                  channel(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s),
                  channel(-0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s)};
}

static colour along(const oklch *points, int n, double share)
{
  const double at = (share < 0.0 ? 0.0 : share > 1.0 ? 1.0 : share) * (n - 1);
  const int i = at < n - 1 ? (int)at : n - 2;
  const oklch a = points[i], b = points[i + 1];
  const double t = at - i;
  return colour_of((oklch){a.lightness + t * (b.lightness - a.lightness), a.chroma + t * (b.chroma - a.chroma),
                           a.hue + t * (b.hue - a.hue)});
}

colour colour_sequential(const colour_family *family, bool dark, double share)
{
  return along(family->sequential[dark], SEQUENTIAL_POINTS, share);
}

colour colour_diverging(const colour_family *family, bool dark, double share)
{
  return share < 0.0 ? along(family->below[dark], ARM_POINTS, -share) : along(family->above[dark], ARM_POINTS, share);
}
