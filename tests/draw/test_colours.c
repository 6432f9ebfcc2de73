/* Colour maps are ordered and even for every eye: lightness is monotone in small steps, as seen with three kinds of
 * cones, without the red and without the green ones; the arms of a diverging map stay apart. */
#include <math.h>
#include <stdio.h>

#include "asserts.h"
#include "colours.h"

enum { STEPS = 256 };

typedef enum eye { ALL_CONES, NO_RED, NO_GREEN, EYES } eye;
static const char *const eyes[] = {"all cones", "no red cones", "no green cones"};

/* What a dichromat sees, in linear light (Machado, Oliveira, Fernandes 2009, severity 1). */
static const double seen_by[EYES][3][3] = {
    {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}},
    {{0.152286, 1.052583, -0.204868}, {0.114503, 0.786281, 0.099216}, {-0.003882, -0.048116, 1.051998}},
    {{0.367322, 0.860646, -0.227968}, {0.280085, 0.672501, 0.047413}, {-0.011820, 0.042940, 0.968881}},
};

static double linear(uint8_t byte)
{
  const double v = byte / 255.0;
  return v <= 0.04045 ? v / 12.92 : pow((v + 0.055) / 1.055, 2.4);
}

static double cube_root(double t) { return t > 216.0 / 24389.0 ? cbrt(t) : (24389.0 / 27.0 * t + 16.0) / 116.0; }

typedef struct lab {
  double l, a, b;
} lab;

/* CIE L*a*b* of D65. */
static lab look(colour c, eye e)
{
  const double in[3] = {linear(c.r), linear(c.g), linear(c.b)};
  double rgb[3];
  for (int i = 0; i < 3; i++) {
    const double sum = seen_by[e][i][0] * in[0] + seen_by[e][i][1] * in[1] + seen_by[e][i][2] * in[2];
    rgb[i] = fmin(1.0, fmax(0.0, sum));
  }
  const double x = cube_root((0.4124 * rgb[0] + 0.3576 * rgb[1] + 0.1805 * rgb[2]) / 0.9505);
  const double y = cube_root(0.2126 * rgb[0] + 0.7152 * rgb[1] + 0.0722 * rgb[2]);
  const double z = cube_root((0.0193 * rgb[0] + 0.1192 * rgb[1] + 0.9505 * rgb[2]) / 1.089);
  return (lab){116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)};
}

static double apart(lab p, lab q)
{
  return sqrt((p.l - q.l) * (p.l - q.l) + (p.a - q.a) * (p.a - q.a) + (p.b - q.b) * (p.b - q.b));
}

typedef colour colour_map(const colour_family *, bool, double);

/* From 0 to `end`: away from the ground in lightness, each step within `most` times the mean one. Bytes are whole, so a
 * single step of 256 may stand still; over eight of them it must not. */
static void check_order(colour_map *map, const char *name, bool dark, double end, bool darker, double least_span)
{
  const colour_family *family = colour_family_find(name);
  for (int e = 0; e < EYES; e++) {
    double l[STEPS + 1];
    for (int i = 0; i <= STEPS; i++) l[i] = look(map(family, dark, end * i / STEPS), (eye)e).l * (darker ? -1.0 : 1.0);
    const double span = l[STEPS] - l[0], mean = span / STEPS * 8.0;
    printf("%s %s %+.0f, %s: L* spans %.1f\n", name, dark ? "dark" : "light", end, eyes[e], span);
    assert_true(span > least_span);
    for (int i = 0; i + 8 <= STEPS; i++)
      if (!(l[i + 8] - l[i] > 0.3 * mean && l[i + 8] - l[i] < 2.0 * mean))
        fail_msg("%s %s, %s: from %d to %d of 256 the lightness moves %.3f, on the whole %.3f", name,
                 dark ? "dark" : "light", eyes[e], i, i + 8, l[i + 8] - l[i], mean);
  }
}

static const char *const names[] = {"sea", "ember", "grey"};

static void test_sequential(void **state)
{
  (void)state;
  for (int i = 0; i < 3; i++)
    for (int dark = 0; dark < 2; dark++) check_order(colour_sequential, names[i], dark, 1.0, !dark, 70.0);
}

/* Zero lies next to the ground; of grey, which has no hue to tell the sides apart, in the middle. */
static void test_diverging_arms(void **state)
{
  (void)state;
  for (int i = 0; i < 2; i++)
    for (int dark = 0; dark < 2; dark++)
      for (int side = -1; side <= 1; side += 2) check_order(colour_diverging, names[i], dark, side, !dark, 50.0);
  for (int dark = 0; dark < 2; dark++) {
    check_order(colour_diverging, "grey", dark, 1.0, false, 30.0);
    check_order(colour_diverging, "grey", dark, -1.0, true, 30.0);
  }
}

/* Equal magnitudes are about equally light and of colours that no eye confuses; both sides meet at zero. */
static void test_diverging_sides(void **state)
{
  (void)state;
  for (int i = 0; i < 2; i++)
    for (int dark = 0; dark < 2; dark++)
      for (int e = 0; e < EYES; e++) {
        const colour_family *family = colour_family_find(names[i]);
        for (int step = 1; step <= 16; step++) {
          const lab above = look(colour_diverging(family, dark, step / 16.0), (eye)e);
          const lab below = look(colour_diverging(family, dark, -step / 16.0), (eye)e);
          const double least = step >= 4 ? 24.0 : 4.0 * step;
          if (apart(above, below) < least || fabs(above.l - below.l) > 12.0)
            fail_msg("%s %s, %s, %d/16: %.1f apart (at least %.1f), lightness %.1f and %.1f", names[i],
                     dark ? "dark" : "light", eyes[e], step, apart(above, below), least, above.l, below.l);
        }
        const colour zero = colour_diverging(family, dark, 0.0), nearly = colour_diverging(family, dark, -1e-9);
        assert_memory_equal(&zero, &nearly, sizeof zero);
      }
}

/* What is neither on the map nor the ground is told from both. */
static void test_neutral(void **state)
{
  (void)state;
  for (int dark = 0; dark < 2; dark++) {
    const colour_theme *t = colour_theme_of(dark);
    for (int e = 0; e < EYES; e++) {
      assert_true(apart(look(t->neutral, (eye)e), look(t->paper, (eye)e)) > 20.0);
      assert_true(apart(look(t->ink, (eye)e), look(t->paper, (eye)e)) > 75.0);
      for (int i = 0; i < 2; i++)
        for (int step = -16; step <= 16; step++) {
          const colour c = colour_diverging(colour_family_find(names[i]), dark, step / 16.0);
          if (apart(look(c, (eye)e), look(t->neutral, (eye)e)) < 9.0)
            fail_msg("%s %s, %s, %d/16: %.1f from the neutral colour", names[i], dark ? "dark" : "light", eyes[e], step,
                     apart(look(c, (eye)e), look(t->neutral, (eye)e)));
        }
    }
  }
}

static void test_names(void **state)
{
  (void)state;
  for (int i = 0; i < 3; i++) {
    assert_string_equal(colour_family_name(colour_family_find(names[i])), names[i]);
    assert_holds(colour_families(), names[i]);
    assert_ptr_not_equal(colour_family_other(colour_family_find(names[i])), colour_family_find(names[i]));
  }
  assert_string_equal(colour_family_name(colour_family_find(NULL)), "sea");
  assert_null(colour_family_find("rainbow"));
  assert_string_equal(colour_show((colour){1, 171, 255}).text, "#01abff");
}

int main(void)
{
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_sequential), cmocka_unit_test(test_diverging_arms),
                                     cmocka_unit_test(test_diverging_sides), cmocka_unit_test(test_neutral),
                                     cmocka_unit_test(test_names)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
