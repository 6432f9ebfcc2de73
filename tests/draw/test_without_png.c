/* The command built without libpng and librsvg says what to install, and so does one built with them that does not find
 * librsvg when it runs. Compiled from its sources, once so and once so. */
#include <stdio.h>

#include "asserts.h"
#include "draw.h"
#include "png_pixels.h"

/* Is not reached. */
bool draw_svg(network *n, const draw_options *options, char **text, size_t *bytes, st_error *error)
{
  (void)n, (void)options, (void)text, (void)bytes;
  return st_fail(error, "drawn");
}

static void test_refused(void **state)
{
  (void)state;
  unsigned char *data = NULL;
  size_t bytes = 0;
  st_error error;
  const draw_options options = {.view = DRAW_MATRIX};
  network n = {0};
  const colour pixel = {0, 0, 0};
  assert_false(draw_png(&n, &options, &data, &bytes, &error));
#if defined(CLATTN_HAS_RSVG)
  (void)pixel;
  assert_holds(error.text, CLATTN_RSVG_FILE);
  assert_holds(error.text, "librsvg2-2");
#else
  assert_holds(error.text, "librsvg2-dev libpng-dev");
  assert_false(png_pixels(&pixel, 1, 1, 0, &data, &bytes, &error));
  assert_holds(error.text, "libpng-dev");
#endif
  assert_null(data);
}

int main(void)
{
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_refused)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
