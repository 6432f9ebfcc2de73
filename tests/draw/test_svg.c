/* Pictures as SVG: every edge and cell is read back; hostile texts, sizes, limits, themes. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "asserts.h"
#include "colours.h"
#include "picture_files.h"
#include "safetensors.h"
#include "svg_reader.h"

#define DATA CLATTN_TEST_DATA "/"

/* The magnitude rank of a cell in its row: how many come before it. */
static int64_t rank_in_row(const float *row, int64_t keys, int64_t key)
{
  int64_t rank = 0;
  for (int64_t j = 0; j < keys; j++)
    rank += fabsf(row[j]) > fabsf(row[key]) || (fabsf(row[j]) == fabsf(row[key]) && j < key);
  return rank;
}

/* Each edge that must be there is, once, with its weight; and no other. */
static void check_edges(const svg_document *d, const float *p, int64_t rows, int64_t keys, int64_t top, float threshold,
                        float tolerance)
{
  bool *seen = calloc((size_t)(rows * keys), sizeof *seen);
  assert_non_null(seen);
  int64_t count = 0;
  int at = 0;
  for (const svg_element *e; (e = svg_next(d, &at, NULL, "edge")); count++) {
    const int64_t query = (int64_t)svg_number(e, "data-query"), key = (int64_t)svg_number(e, "data-key");
    assert_true(query >= 0 && query < rows && key >= 0 && key < keys);
    const float want = p[query * keys + key], got = strtof(svg_value(e, "data-weight"), NULL);
    if (!(fabsf(got - want) <= tolerance))
      fail_msg("edge %d to %d: %.9g, not %.9g", (int)query, (int)key, (double)got, (double)want);
    assert_false(seen[query * keys + key]);
    seen[query * keys + key] = true;
    assert_non_null(svg_title(d, e));
  }
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < keys; j++) {
      const float w = p[i * keys + j];
      const bool wanted =
          w != 0.0f && isfinite(w) && fabsf(w) >= threshold && (!top || rank_in_row(p + i * keys, keys, j) < top);
      if (wanted != seen[i * keys + j])
        fail_msg("edge %d to %d, weight %g: %s", (int)i, (int)j, (double)w, wanted ? "missing" : "too many");
    }
  printf("%d edges\n", (int)count);
  free(seen);
}

/* Ribbons are as wide as the weight says, and arcs to earlier tokens bend upwards, to later ones downwards. */
static void check_arcs(const svg_document *d, double most)
{
  int at = 0;
  for (const svg_element *e; (e = svg_next(d, &at, NULL, "edge"));) {
    const double weight = fabs(svg_number(e, "data-weight")), width = svg_number(e, "data-width");
    assert_true(fabs(width - fmax(0.6, 10.0 * weight / most)) < 0.006);
    const double query = svg_number(e, "data-query"), key = svg_number(e, "data-key");
    if (query == key) {
      assert_string_equal(e->name, "circle");
      assert_true(fabs(2.0 * svg_number(e, "r") - width) < 0.02);
      continue;
    }
    double x, y, bend_x, bend_y, back_x, back_y;
    const char *path = svg_value(e, "d"), *last = strrchr(path, ' ');
    assert_int_equal(sscanf(path, "M%lf %lfC%lf %lf", &x, &y, &bend_x, &bend_y), 4);
    while (last[-1] != ' ') last--;
    assert_int_equal(sscanf(last, "%lf %lfz", &back_x, &back_y), 2);
    assert_true(fabs(fabs(back_x - x) - width) < 0.02);
    assert_true(key < query ? bend_y < y : bend_y > y);
  }
}

static void test_edges(void **state)
{
  (void)state;
  enum { N = 9 };
  float *p = weights_by_seed(1, 1, N, N, false);
  for (int j = 0; j < N; j++) p[3 * N + j] = j == 5; /* a row that attends one later token alone */
  write_bare("svg-edges", "P", 1, N, N, p, "[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\",\"h\",\"i\"]");
  static const struct {
    const char *top, *threshold;
  } cases[] = {{"0", "0"}, {"2", "0"}, {"0", "0.1"}, {"3", "0.25"}, {"1", "0"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char *text = DRAW(false, "svg-edges", "edges.svg", "--view", "network", "--top", cases[i].top, "--threshold",
                      cases[i].threshold);
    svg_document d = svg_read(text);
    check_edges(&d, p, N, N, strtol(cases[i].top, NULL, 10), strtof(cases[i].threshold, NULL), 0.0f);
    check_arcs(&d, 1.0);
    assert_int_equal(svg_count(&d, "text", "token"), N);
    svg_free(&d);
    free(text);
  }
  free(p);
}

/* Signed scores: colours by sign, masked ones are no edges. */
static void test_signed_edges(void **state)
{
  (void)state;
  enum { N = 6 };
  float a[N * N];
  for (int i = 0; i < N * N; i++) a[i] = i / N < i % N ? -INFINITY : (float)((i * 7 % 13) - 6) * 0.5f;
  write_bare("svg-signed", "A", 1, N, N, a, NULL);
  char *text = DRAW(false, "svg-signed", "signed.svg", "--view", "network", "--top", "0");
  svg_document d = svg_read(text);
  check_edges(&d, a, N, N, 0, 0.0f, 0.0f);
  int at = 0;
  for (const svg_element *e; (e = svg_next(&d, &at, NULL, "edge"));) {
    unsigned r, g, b;
    assert_int_equal(sscanf(svg_value(e, "fill"), "#%2x%2x%2x", &r, &g, &b), 3);
    assert_true(svg_number(e, "data-weight") > 0.0 ? r > b : b > r); /* orange, blue */
  }
  svg_free(&d);
  free(text);
}

/* A layer that is run: against P as another implementation computed it. */
static void test_layer_edges(void **state)
{
  (void)state;
  enum { HEAD = 8, N = 13 };
  st_file expect;
  st_error error;
  if (!st_read(DATA "smollm2-layer13-elephant.expect.safetensors", &expect, &error)) fail_msg("%s", error.text);
  const float *p = (const float *)st_find(&expect, "P")->data + (ptrdiff_t)HEAD * N * N;
  char *text = DRAW(true, DATA "smollm2-layer13-elephant.safetensors", "layer.svg", "--view", "network", "--head", "8",
                    "--top", "3");
  svg_document d = svg_read(text);
  check_edges(&d, p, N, N, 3, 0.0f, 4e-6f);
  check_arcs(&d, 1.0);
  int at = 0;
  bool found = false;
  for (const svg_element *e; (e = svg_next(&d, &at, NULL, "edge"));)
    found = found || strstr(svg_title(&d, e), "too\xe2\x81\xa9 \xe2\x86\x92 \xe2\x81\xa8 car\xe2\x81\xa9: 0.4") ||
            strstr(svg_title(&d, e), "too\xe2\x81\xa9 \xe2\x86\x92 \xe2\x81\xa8"
                                     "car\xe2\x81\xa9: 0.4");
  assert_true(found);
  svg_free(&d);
  free(text);
  st_free(&expect);
}

/* The pictures that README.md shows are what its command draws: same edges, same texts, weights by another device. */
static void test_readme_pictures(void **state)
{
  (void)state;
  static const char *const pictures[] = {CLATTN_TEST_PICTURES "/elephant.svg",
                                         CLATTN_TEST_PICTURES "/elephant-dark.svg"};
  for (int dark = 0; dark < 2; dark++) {
    const char *const words[] = {
        "--head", "8", "--pin", "12", "--title", "What word follows \"too\"?", dark ? "--dark" : NULL, NULL};
    char *drawn = draw_file(true, DATA "smollm2-layer13-elephant.safetensors", "readme.svg", words, NULL);
    char *shown = read_whole(pictures[dark], NULL);
    svg_document a = svg_read(drawn), b = svg_read(shown);
    assert_int_equal(a.count, b.count);
    for (int i = 0; i < a.count; i++) {
      const svg_element *x = &a.elements[i], *y = &b.elements[i];
      assert_string_equal(x->name, y->name);
      assert_string_equal(x->text, y->text);
      assert_int_equal(x->n_attributes, y->n_attributes);
      if (!svg_value(x, "data-weight")) continue;
      assert_string_equal(svg_value(x, "data-query"), svg_value(y, "data-query"));
      assert_string_equal(svg_value(x, "data-key"), svg_value(y, "data-key"));
      if (strcmp(svg_value(x, "data-weight"), svg_value(y, "data-weight")) == 0)
        assert_string_equal(svg_value(x, "fill"), svg_value(y, "fill"));
      assert_true(fabs(svg_number(x, "data-weight") - svg_number(y, "data-weight")) < 4e-6);
    }
    svg_free(&a);
    svg_free(&b);
    free(drawn);
    free(shown);
  }
}

static void test_two_sequences(void **state)
{
  (void)state;
  float *p = weights_by_seed(2, 2, 9, 5, false);
  write_bare("svg-cross", "P", 2, 9, 5, p, "[\"the\",\"black\",\"cat\",\"sleeps\",\".\"]");
  char *text = DRAW(false, "svg-cross", "cross.svg", "--view", "network", "--top", "0", "--head", "1");
  svg_document d = svg_read(text);
  check_edges(&d, p + 45, 9, 5, 0, 0.0f, 0.0f);
  assert_int_equal(svg_count(&d, "text", "token"), 14);
  svg_free(&d);
  free(text);
  text = DRAW(false, "svg-cross", "cross.svg", "--view", "network", "--top", "0");
  d = svg_read(text);
  assert_int_equal(svg_count(&d, NULL, "edge"), 90);
  assert_int_equal(svg_count(&d, NULL, "panel"), 2);
  svg_free(&d);
  free(text);
  free(p);
}

/* ---- the matrix ---- */

/* Cells as rectangles with their colours; a weight of 0 has none, a masked score the neutral one. */
static void check_cells(const svg_document *d, const float *p, int n, bool dark, bool is_signed, double most)
{
  int at = 0, wanted = 0;
  const colour_family *family = colour_family_find(NULL);
  for (int i = 0; i < n * n; i++) wanted += is_signed || p[i] != 0.0f;
  assert_int_equal(svg_count(d, "rect", "cell"), wanted);
  for (const svg_element *e; (e = svg_next(d, &at, "rect", "cell"));) {
    const float want = p[(int)svg_number(e, "data-query") * n + (int)svg_number(e, "data-key")];
    const float got = strtof(svg_value(e, "data-weight"), NULL);
    assert_true(got == want);
    const double share = (double)want / most;
    const colour c = !isfinite(want) ? colour_theme_of(dark)->neutral
                     : is_signed     ? colour_diverging(family, dark, share)
                                     : colour_sequential(family, dark, share);
    assert_string_equal(svg_value(e, "fill"), colour_show(c).text);
  }
}

static void test_cells(void **state)
{
  (void)state;
  enum { N = 7 };
  float *p = weights_by_seed(3, 1, N, N, true), a[N * N];
  write_bare("svg-cells", "P", 1, N, N, p, NULL);
  for (int i = 0; i < N * N; i++) a[i] = i / N < i % N ? -INFINITY : (float)(i - 20) / 3.0f;
  write_bare("svg-scores", "A", 1, N, N, a, NULL);
  for (int dark = 0; dark < 2; dark++) {
    const char *theme = dark ? "--dark" : "--view";
    char *text = DRAW(false, "svg-cells", "cells.svg", "--view", "matrix", theme, dark ? NULL : "matrix");
    svg_document d = svg_read(text);
    check_cells(&d, p, N, dark, false, 1.0); /* the first row is a lone 1 */
    assert_holds(text, "0: not attended");
    assert_holds(text, dark ? "fill=\"#0d1117\"" : "fill=\"#ffffff\"");
    svg_free(&d);
    free(text);
    text = DRAW(false, "svg-scores", "scores.svg", "--view", "matrix", theme, dark ? NULL : "matrix");
    d = svg_read(text);
    check_cells(&d, a, N, dark, true, 10.0); /* the largest is 9.33, ticks are 5 apart */
    assert_holds(text, "masked");
    svg_free(&d);
    free(text);
  }
  free(p);
}

/* ---- texts ---- */

static const struct {
  const char *json, *shown; /* shown: NULL: cut */
} hostile[] = {
    {"<b>&\\\"'</svg>", "<b>&\"'</svg>"},
    {"]]>", "]]>"},
    {"--><!--", "--><!--"},
    {"&#60;script&#62;", NULL},
    {"\\u202eabc", "<202E>abc"},
    {"\\u2066x", "<2066>x"},
    {"\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d", "\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d"},
    {"\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa7", "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa7"},
    {"a\\nb\\tc", "a\xe2\x86\xb5"
                  "b\xe2\x87\xa5"
                  "c"},
    {"\\u0001\\u0085", "<0001><0085>"},
    {"\\u007f", "<007F>"},
    {"\\uffff\\ufffe", "\xef\xbf\xbd\xef\xbf\xbd"},
    {"", "\xe2\x88\x85"},
    {"   ", "\xe2\x90\xa3\xe2\x90\xa3\xe2\x90\xa3"},
    {" car", "car"},
    {"iiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii", "iiiiiiiiiiiiiiiiiiiiiii\xe2\x80\xa6"}, /* 24 code points */
};
enum { HOSTILE = sizeof hostile / sizeof *hostile, LONG = 10000 };

/* The label `tokens` with the texts above and one of 10,000 characters. */
static char *hostile_label(void)
{
  char *label = test_alloc(LONG + 2048), *to = label;
  *to++ = '[';
  for (int i = 0; i < HOSTILE; i++) to += sprintf(to, "\"%s\",", hostile[i].json);
  *to++ = '"';
  memset(to, 'x', LONG);
  strcpy(to + LONG, "\"]");
  return label;
}

static void check_hostile(const svg_document *d, int times)
{
  int at = 0, cut = 0;
  for (int i = 0; i < HOSTILE; i++) {
    int found = 0;
    at = 0;
    for (const svg_element *e; (e = svg_next(d, &at, "text", "token"));) {
      found += hostile[i].shown && strcmp(e->text, hostile[i].shown) == 0;
      assert_string_equal(svg_value(e, "unicode-bidi"), "isolate");
    }
    if (hostile[i].shown && found != times) fail_msg("token %d (\"%s\") is shown %d times", i, hostile[i].shown, found);
  }
  at = 0;
  for (const svg_element *e; (e = svg_next(d, &at, "text", "token"));) {
    const char *whole = svg_title(d, e);
    if (whole && *whole == 'x') {
      assert_int_equal(strlen(whole), LONG);
      assert_true(strlen(e->text) <= 24 + 2 && strcmp(e->text + strlen(e->text) - 3, "\xe2\x80\xa6") == 0);
      cut++;
    }
  }
  assert_int_equal(cut, times);
}

static void test_hostile_texts(void **state)
{
  (void)state;
  static const char *const views[] = {"matrix", "network"};
  char *label = hostile_label();
  float *p = weights_by_seed(4, 1, HOSTILE + 1, HOSTILE + 1, false);
  write_bare("svg-hostile", "P", 1, HOSTILE + 1, HOSTILE + 1, p, label);
  for (int i = 0; i < 2; i++) {
    char *text = DRAW(false, "svg-hostile", "hostile.svg", "--view", views[i], "--title", "</title><script>\x01&");
    svg_document d = svg_read(text);
    check_hostile(&d, svg_count(&d, "text", "token") / (HOSTILE + 1)); /* queries and keys, or on a line both at once */
    assert_string_equal(d.elements[1].text, "</title><script><0001>&");
    svg_free(&d);
    free(text);
  }
  free(p);
  free(label);
}

/* ---- sizes and limits ---- */

static void test_one_token(void **state)
{
  (void)state;
  const float one = 1.0f;
  write_bare("svg-one", "P", 1, 1, 1, &one, NULL);
  static const char *const views[] = {"matrix", "network", "grid"};
  static const char *const classes[] = {"cell", "edge", "thumbnail"};
  for (int i = 0; i < 3; i++) {
    char *text = DRAW(false, "svg-one", "one.svg", "--view", views[i]);
    svg_document d = svg_read(text);
    assert_int_equal(svg_count(&d, NULL, classes[i]), 1);
    svg_free(&d);
    free(text);
  }
  char *text = DRAW(false, "svg-one", "one.svg", "--view", "network", "--threshold", "2");
  svg_document d = svg_read(text);
  assert_int_equal(svg_count(&d, NULL, "edge"), 0);
  assert_holds(text, "0 edges");
  svg_free(&d);
  free(text);
}

/* A long title is cut where it is shown, and makes the picture wide enough; readers of the screen have all of it. */
static void test_long_title(void **state)
{
  (void)state;
  const float one = 1.0f;
  char title[301];
  memset(title, 'i', sizeof title - 1);
  title[300] = '\0';
  write_bare("svg-title", "P", 1, 1, 1, &one, NULL);
  char *text = DRAW(false, "svg-title", "title.svg", "--view", "matrix", "--title", title);
  svg_document d = svg_read(text);
  assert_string_equal(d.elements[1].text, title);
  int at = 0;
  const svg_element *shown = svg_next(&d, &at, "text", NULL);
  assert_string_equal(svg_value(shown, "font-weight"), "bold");
  assert_int_equal(strlen(shown->text), 79 + 3); /* code points, the last one an ellipsis */
  assert_true(svg_number(&d.elements[0], "width") > 79 * 0.27 * 14);
  svg_free(&d);
  free(text);
}

static void test_many_tokens(void **state)
{
  (void)state;
  enum { N = 200 };
  float *p = weights_by_seed(5, 1, N, N, true);
  write_bare("svg-many", "P", 1, N, N, p, NULL);
  char *text = DRAW(false, "svg-many", "many.svg", "--view", "network", "--top", "3");
  svg_document d = svg_read(text);
  check_edges(&d, p, N, N, 3, 0.0f, 0.0f);
  svg_free(&d);
  free(text);
  text = DRAW(false, "svg-many", "many.svg", "--view", "matrix");
  d = svg_read(text);
  int at = 0;
  const svg_element *image = svg_next(&d, &at, "image", "cells");
  assert_non_null(image);
  assert_true(svg_number(image, "data-rows") == N && svg_number(image, "data-keys") == N);
  svg_free(&d);
  free(text);
  free(p);
}

/* Twelve layers of twelve heads: a thumbnail each, named by layer and head. */
static void test_grid(void **state)
{
  (void)state;
  enum { LAYERS = 12, HEADS = 12, N = 5 };
  const char *words[LAYERS + 4] = {"--view", "grid"};
  char paths[LAYERS][512];
  for (int i = 0; i < LAYERS; i++) {
    float *p = weights_by_seed(6 + (unsigned)i, HEADS, N, N, true);
    char name[32];
    snprintf(name, sizeof name, "svg-grid-%02d", i);
    snprintf(paths[i], sizeof paths[i], "%s/%s.safetensors", CLATTN_TEST_SCRATCH, name);
    write_bare(name, "P", HEADS, N, N, p, NULL);
    if (i) words[1 + i] = paths[i];
    free(p);
  }
  char *text = draw_file(false, "svg-grid-00", "grid.svg", words, NULL);
  svg_document d = svg_read(text);
  assert_int_equal(svg_count(&d, "g", "thumbnail"), LAYERS * HEADS);
  assert_int_equal(svg_count(&d, "image", "cells"), LAYERS * HEADS);
  int at = 0;
  for (int i = 0; i < LAYERS * HEADS; i++) {
    const svg_element *e = svg_next(&d, &at, "g", "thumbnail");
    char title[64];
    snprintf(title, sizeof title, "svg-grid-%02d, head %d", i / HEADS, i % HEADS);
    assert_string_equal(svg_title(&d, e), title);
  }
  svg_free(&d);
  free(text);
}

static void test_limits(void **state)
{
  (void)state;
  float *p = weights_by_seed(7, 37, 2, 2, false);
  write_bare("svg-heads", "P", 37, 2, 2, p, NULL);
  REFUSED("svg-heads", "37 heads exceed the 36 of panels", "--view", "matrix");
  REFUSED("svg-heads", "'rainbow' is none of sea, ember, grey", "--colours", "rainbow");
  REFUSED("svg-heads", "token 2 cannot be pinned, queries are 0 to 1", "--view", "network", "--head", "0", "--pin",
          "2");
  free(DRAW(false, "svg-heads", "heads.svg", "--view", "matrix", "--heads", "0-35", "--colours", "ember"));
  free(p);
  p = weights_by_seed(8, 1, 513, 513, true);
  write_bare("svg-long", "P", 1, 513, 513, p, NULL);
  REFUSED("svg-long", "513 tokens exceed the 512 of a network", "--view", "network");
  write_bare("svg-long", "P", 1, 512, 512, p, NULL);
  REFUSED("svg-long", "edges exceed the 20000 of a picture", "--view", "network", "--top", "0");
  free(p);
}

/* The numbers of a logarithmic scale keep apart, the first of which is long. */
static void test_scale(void **state)
{
  (void)state;
  float *p = weights_by_seed(9, 1, 3, 1025, false);
  p[0] = 1.0f;
  write_bare("svg-scale", "P", 1, 3, 1025, p, NULL);
  char *text = DRAW(false, "svg-scale", "scale.svg", "--view", "matrix");
  svg_document d = svg_read(text);
  if (!strstr(text, ">\xe2\x89\xa4 0.0001<") || strstr(text, ">0.001<") || !strstr(text, ">0.01<"))
    fail_msg("%s", strstr(text, ">\xe2\x89\xa4"));
  svg_free(&d);
  free(text);
  free(p);
}

/* The edges of a pinned token keep their colour, others fade; all are there. */
static void test_pin(void **state)
{
  (void)state;
  enum { N = 9 };
  float *p = weights_by_seed(1, 1, N, N, false);
  write_bare("svg-pin", "P", 1, N, N, p, NULL);
  char *plain = DRAW(false, "svg-pin", "plain.svg", "--view", "network", "--top", "2");
  char *pinned = DRAW(false, "svg-pin", "pin.svg", "--view", "network", "--top", "2", "--pin", "4");
  svg_document a = svg_read(plain), b = svg_read(pinned);
  check_edges(&b, p, N, N, 2, 0.0f, 0.0f);
  int at = 0;
  for (const svg_element *e; (e = svg_next(&a, &at, NULL, "edge"));) {
    int other = 0;
    const svg_element *f;
    while ((f = svg_next(&b, &other, NULL, "edge")) &&
           (strcmp(svg_value(e, "data-query"), svg_value(f, "data-query")) != 0 ||
            strcmp(svg_value(e, "data-key"), svg_value(f, "data-key")) != 0)) {
    }
    assert_non_null(f);
    assert_int_equal(strcmp(svg_value(e, "fill"), svg_value(f, "fill")) == 0, svg_number(e, "data-query") == 4.0);
  }
  svg_free(&a);
  svg_free(&b);
  free(plain);
  free(pinned);
  free(p);
}

static void test_same_bytes(void **state)
{
  (void)state;
  float *p = weights_by_seed(9, 3, 12, 12, false);
  write_bare("svg-same", "P", 3, 12, 12, p, NULL);
  static const char *const views[] = {"matrix", "network", "grid"};
  for (int i = 0; i < 3; i++) {
    char *first = DRAW(false, "svg-same", "first.svg", "--view", views[i]);
    char *second = DRAW(false, "svg-same", "second.svg", "--view", views[i]);
    assert_string_equal(first, second);
    free(first);
    free(second);
  }
  free(p);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_edges),           cmocka_unit_test(test_signed_edges),  cmocka_unit_test(test_layer_edges),
      cmocka_unit_test(test_readme_pictures), cmocka_unit_test(test_two_sequences), cmocka_unit_test(test_cells),
      cmocka_unit_test(test_hostile_texts),   cmocka_unit_test(test_one_token),     cmocka_unit_test(test_long_title),
      cmocka_unit_test(test_many_tokens),     cmocka_unit_test(test_grid),          cmocka_unit_test(test_limits),
      cmocka_unit_test(test_scale),           cmocka_unit_test(test_pin),           cmocka_unit_test(test_same_bytes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
