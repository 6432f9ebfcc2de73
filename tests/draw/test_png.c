/* Pictures as PNG: pixels of known cells are read back by libpng. Two pixels for one of the SVG. */
#include <math.h>
#include <png.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "asserts.h"
#include "colours.h"
#include "picture_files.h"
#include "safetensors.h"
#include "svg_reader.h"

typedef struct picture {
  unsigned width, height;
  colour *pixels;
} picture;

static picture read_picture(const char *data, size_t bytes)
{
  png_image image = {.version = PNG_IMAGE_VERSION};
  assert_true(png_image_begin_read_from_memory(&image, data, bytes));
  image.format = PNG_FORMAT_RGB;
  picture p = {image.width, image.height, test_alloc(PNG_IMAGE_SIZE(image))};
  assert_true(png_image_finish_read(&image, NULL, p.pixels, 0, NULL));
  return p;
}

static picture draw_picture(bool opencl, const char *input, const char *const *words)
{
  size_t bytes;
  char *data = draw_file(opencl, input, "picture.png", words, &bytes);
  const picture p = read_picture(data, bytes);
  free(data);
  return p;
}

static colour pixel(const picture *p, double x, double y)
{
  assert_true(x >= 0.0 && y >= 0.0 && x < p->width && y < p->height);
  return p->pixels[(size_t)y * p->width + (size_t)x];
}

static void expect_colour(colour got, colour want, const char *what, int query, int key)
{
  if (got.r != want.r || got.g != want.g || got.b != want.b)
    fail_msg("%s %d to %d: %s, not %s", what, query, key, colour_show(got).text, colour_show(want).text);
}

/* The middle of each rectangle of the SVG has its colour in the PNG, and where there is none, the ground. */
static void test_cells(void **state)
{
  (void)state;
  enum { N = 7 };
  float *p = weights_by_seed(21, 2, N, N, true);
  write_bare("png-cells", "P", 2, N, N, p, NULL);
  for (int dark = 0; dark < 2; dark++) {
    const char *const words[] = {"--view", "matrix", dark ? "--dark" : NULL, NULL};
    char *text = draw_file(false, "png-cells", "cells.svg", words, NULL);
    svg_document d = svg_read(text);
    const picture image = draw_picture(false, "png-cells", words);
    assert_true(image.width == 2 * svg_number(&d.elements[0], "width"));
    assert_true(image.height == 2 * svg_number(&d.elements[0], "height"));
    int at = 0, count = 0;
    double first_x = 0, first_y = 0, side = 0;
    for (const svg_element *e; (e = svg_next(&d, &at, "rect", "cell")); count++) {
      double dx, dy;
      svg_shift(&d, e, &dx, &dy);
      side = svg_number(e, "width");
      const double x = 2 * (dx + svg_number(e, "x") + side / 2), y = 2 * (dy + svg_number(e, "y") + side / 2);
      const int query = (int)svg_number(e, "data-query"), key = (int)svg_number(e, "data-key");
      const float weight = p[(count >= N * (N + 1) / 2) * N * N + query * N + key];
      expect_colour(pixel(&image, x, y), colour_sequential(colour_family_find(NULL), dark, (double)weight), "cell",
                    query, key);
      if (!count) first_x = x, first_y = y;
    }
    assert_int_equal(count, N * (N + 1));
    expect_colour(pixel(&image, first_x + 2 * (side + 1), first_y), colour_theme_of(dark)->paper, "no cell", 0, 1);
    svg_free(&d);
    free(text);
    free(image.pixels);
  }
  free(p);
}

/* Words are painted: the title's place holds the ink, and the colour bar its ends. */
static void test_words(void **state)
{
  (void)state;
  const float one = 1.0f;
  write_bare("png-words", "P", 1, 1, 1, &one, "[\"elephant\"]");
  const char *const words[] = {"--view", "matrix", "--title", "HHHH", NULL};
  const picture image = draw_picture(false, "png-words", words);
  const colour ink = colour_theme_of(false)->ink;
  int inked = 0;
  for (unsigned y = 2 * 16; y < 2 * 30; y++)
    for (unsigned x = 2 * 16; x < 2 * 60; x++) {
      const colour c = pixel(&image, x, y);
      inked += c.r == ink.r && c.g == ink.g && c.b == ink.b;
    }
  printf("%d pixels of ink in the title\n", inked);
  assert_true(inked > 150 && inked < 1500);
  free(image.pixels);
}

/* Where the embedded image of an SVG lies in the PNG. */
typedef struct field {
  double x, y, cell; /* in pixels */
  int rows, keys;
} field;

static field find_field(bool opencl, const char *input, const char *const *words)
{
  char *text = draw_file(opencl, input, "field.svg", words, NULL);
  svg_document d = svg_read(text);
  int at = 0;
  double dx, dy;
  const svg_element *e = svg_next(&d, &at, "image", "cells");
  assert_non_null(e);
  svg_shift(&d, e, &dx, &dy);
  const field f = {2 * (dx + svg_number(e, "x")), 2 * (dy + svg_number(e, "y")),
                   2 * svg_number(e, "width") / svg_number(e, "data-keys"), (int)svg_number(e, "data-rows"),
                   (int)svg_number(e, "data-keys")};
  svg_free(&d);
  free(text);
  return f;
}

/* An image of cells: each of 40,000 has its colour, by the square root of the weight. */
static void test_image(void **state)
{
  (void)state;
  enum { N = 200 };
  float *p = weights_by_seed(22, 1, N, N, true);
  write_bare("png-image", "P", 1, N, N, p, NULL);
  const char *const words[] = {"--view", "matrix", NULL};
  const field f = find_field(false, "png-image", words);
  const picture image = draw_picture(false, "png-image", words);
  assert_true(f.rows == N && f.keys == N && f.cell == 4.0);
  for (int i = 0; i < N; i++)
    for (int j = 0; j < N; j++) {
      const float w = p[i * N + j];
      const colour want = w == 0.0f ? colour_theme_of(false)->paper
                                    : colour_sequential(colour_family_find(NULL), false, sqrt((double)w));
      expect_colour(pixel(&image, f.x + (j + 0.5) * f.cell, f.y + (i + 0.5) * f.cell), want, "cell", i, j);
    }
  free(image.pixels);
  free(p);
}

/* A thumbnail's cells, of a grid of two heads. */
static void test_grid(void **state)
{
  (void)state;
  enum { N = 6 };
  float *p = weights_by_seed(23, 2, N, N, false);
  for (int j = 0; j < N; j++) p[j] = j == 2;
  write_bare("png-grid", "P", 2, N, N, p, NULL);
  const char *const words[] = {"--view", "grid", "--dark", NULL};
  const field f = find_field(false, "png-grid", words);
  const picture image = draw_picture(false, "png-grid", words);
  assert_true(f.rows == N && f.keys == N);
  for (int i = 0; i < N; i++)
    for (int j = 0; j < N; j++) {
      const float w = p[i * N + j];
      const colour want =
          w == 0.0f ? colour_theme_of(true)->paper : colour_sequential(colour_family_find(NULL), true, sqrt((double)w));
      expect_colour(pixel(&image, f.x + (j + 0.5) * f.cell, f.y + (i + 0.5) * f.cell), want, "cell", i, j);
    }
  free(image.pixels);
  free(p);
}

/* ---- long inputs ---- */

enum { LONG = 16384, WIDTH = 16, TILE = 16 };

/* Q, K and V of one causal head; scores to some +-8, so that weights spread over many decades. */
static void write_long(const char *path, float **q, float **k)
{
  const int64_t dim[] = {1, 1, LONG, WIDTH};
  static const char *const names[] = {"Q", "K", "V"};
  st_file file = {0};
  st_error error;
  uint64_t state = 17;
  for (int i = 0; i < 3; i++) {
    st_tensor *t = st_add(&file, names[i], ST_F32, 4, dim);
    assert_non_null(t);
    float *numbers = t->data;
    for (int n = 0; n < LONG * WIDTH; n++) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      numbers[n] = (float)((double)(state >> 40) / 16777216.0 - 0.5) * 6.0f;
    }
    if (i < 2) {
      float **to = i ? k : q;
      *to = test_alloc(t->bytes);
      memcpy(*to, numbers, t->bytes);
    }
  }
  assert_true(st_set_label(&file, "is_causal", "1"));
  if (!st_write(&file, path, &error)) fail_msg("%s", error.text);
  st_free(&file);
}

static double score(const float *q, const float *k, int i, int j)
{
  double sum = 0.0;
  for (int c = 0; c < WIDTH; c++) sum += (double)q[i * WIDTH + c] * (double)k[j * WIDTH + c];
  return sum / sqrt((double)WIDTH);
}

/* The largest weight of each tile of a row of tiles, in double. */
static void largest_of_tiles(const float *q, const float *k, int row_of_tiles, double *most)
{
  for (int t = 0; t < LONG / TILE; t++) most[t] = 0.0;
  for (int i = row_of_tiles * TILE; i < (row_of_tiles + 1) * TILE; i++) {
    double sum = 0.0;
    for (int j = 0; j <= i; j++) sum += exp(score(q, k, i, j));
    for (int j = 0; j <= i; j++) most[j / TILE] = fmax(most[j / TILE], exp(score(q, k, i, j)) / sum);
  }
}

/* 16,384 tokens, pooled: rows of pixels against the largest weights in double (one byte of colour off where a weight
 * lies between two), in less than 1 GiB. */
static void test_long(void **state)
{
  (void)state;
  static const int rows[] = {0, 1, 100, 511, 1023};
  static double most[LONG / TILE];
  float *q = NULL, *k = NULL;
  const char *path = CLATTN_TEST_SCRATCH "/png-long.safetensors";
  write_long(path, &q, &k);
  const char *const words[] = {"--view", "matrix", NULL};
  const field f = find_field(true, path, words);
  const picture image = draw_picture(true, path, words);
  assert_true(f.rows == LONG / TILE && f.keys == LONG / TILE && f.cell == 1.0);
  for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
    largest_of_tiles(q, k, rows[r], most);
    for (int t = 0; t < LONG / TILE; t++) {
      const colour got = pixel(&image, f.x + t + 0.5, f.y + rows[r] + 0.5);
      const colour want = t > rows[r] ? colour_theme_of(false)->paper
                                      : colour_sequential(colour_family_find(NULL), false, 1.0 + log10(most[t]) / 4.0);
      if (abs(got.r - want.r) > 1 || abs(got.g - want.g) > 1 || abs(got.b - want.b) > 1)
        expect_colour(got, want, "tile", rows[r], t);
    }
  }
  free(image.pixels);
  free(q);
  free(k);
  remove(path);
  struct rusage usage;
  assert_int_equal(getrusage(RUSAGE_CHILDREN, &usage), 0);
  printf("the command took up to %ld MiB\n", usage.ru_maxrss / 1024);
#if !defined(__SANITIZE_ADDRESS__)
  assert_true(usage.ru_maxrss < 1024 * 1024);
#endif
}

static void test_same_bytes(void **state)
{
  (void)state;
  float *p = weights_by_seed(24, 2, 12, 12, false);
  write_bare("png-same", "P", 2, 12, 12, p, NULL);
  static const char *const views[] = {"matrix", "network", "grid"};
  for (int i = 0; i < 3; i++) {
    size_t first_bytes, second_bytes;
    const char *const words[] = {"--view", views[i], NULL};
    char *first = draw_file(false, "png-same", "first.png", words, &first_bytes);
    char *second = draw_file(false, "png-same", "second.png", words, &second_bytes);
    assert_int_equal(first_bytes, second_bytes);
    assert_memory_equal(first, second, first_bytes);
    free(first);
    free(second);
  }
  free(p);
}

int main(void)
{
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_cells), cmocka_unit_test(test_words),
                                     cmocka_unit_test(test_image), cmocka_unit_test(test_grid),
                                     cmocka_unit_test(test_long),  cmocka_unit_test(test_same_bytes)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
