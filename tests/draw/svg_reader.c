#include "svg_reader.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "asserts.h"

typedef struct reader {
  const char *begin, *at;
  svg_document d;
  int room;
} reader;

static void breach(const reader *r, const char *what)
{
  fail_msg("%s at byte %zd: \"%.60s\"", what, r->at - r->begin, r->at);
}

static void expect(reader *r, const char *text)
{
  const size_t length = strlen(text);
  if (strncmp(r->at, text, length) != 0) fail_msg("%s missing at byte %zd: \"%.60s\"", text, r->at - r->begin, r->at);
  r->at += length;
}

static bool one_of(const char *name, const char *list)
{
  char padded[64];
  snprintf(padded, sizeof padded, " %.50s ", name);
  return strstr(list, padded) != NULL;
}

static char *take_name(reader *r)
{
  const size_t length = strspn(r->at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-:");
  if (!length) breach(r, "no name");
  char *name = test_alloc(length + 1);
  memcpy(name, r->at, length);
  name[length] = '\0';
  r->at += length;
  return name;
}

/* Text up to `end`, entities resolved; control characters, stray quotes in attributes and bare `&` are breaches. */
static char *take_text(reader *r, char end)
{
  static const struct {
    const char *entity;
    char means;
  } entities[] = {{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&#39;", '\''}};
  size_t length = 0;
  char *text = test_alloc(strcspn(r->at, (const char[]){end, '\0'}) + 1);
  while (*r->at != end) {
    const unsigned char c = (unsigned char)*r->at;
    if ((c < 0x20 && c != '\n') || c == 0x7f || c == '<') breach(r, "this cannot stand in a text");
    text[length] = *r->at;
    if (c == '&') {
      size_t i = 0;
      while (i < 5 && strncmp(r->at, entities[i].entity, strlen(entities[i].entity)) != 0) i++;
      if (i == 5) breach(r, "no entity that a picture needs");
      text[length] = entities[i].means;
      r->at += strlen(entities[i].entity) - 1;
    }
    length++;
    r->at++;
  }
  text[length] = '\0';
  return text;
}

static void check_attribute(const reader *r, const svg_attribute *a)
{
  static const char known[] =
      " xmlns xmlns:xlink width height viewBox role aria-labelledby font-family id class x y cx cy r d "
      "fill stroke font-size font-weight text-anchor transform direction unicode-bidi offset stop-color style "
      "preserveAspectRatio xlink:href data-query data-key data-weight data-width data-rows data-keys data-layer "
      "data-head ";
  if (!one_of(a->name, known)) fail_msg("attribute %s=\"%s\" before byte %zd", a->name, a->value, r->at - r->begin);
  if (strcmp(a->name, "xlink:href") == 0) assert_int_equal(strncmp(a->value, "data:image/png;base64,", 22), 0);
  if (strcmp(a->name, "style") == 0) assert_string_equal(a->value, "image-rendering:pixelated");
  if (strstr(a->value, "url(")) assert_string_equal(a->value, "url(#bar)");
}

static void take_attributes(reader *r, svg_element *e)
{
  while (*r->at == ' ') {
    r->at++;
    assert_true(e->n_attributes < SVG_MAX_ATTRIBUTES);
    svg_attribute *a = &e->attributes[e->n_attributes++];
    a->name = take_name(r);
    for (int i = 0; i < e->n_attributes - 1; i++) assert_string_not_equal(a->name, e->attributes[i].name);
    expect(r, "=\"");
    a->value = take_text(r, '"');
    r->at++;
    check_attribute(r, a);
  }
}

static int new_element(reader *r, int parent)
{
  if (r->d.count == r->room) {
    r->room = r->room ? r->room * 2 : 256;
    r->d.elements = realloc(r->d.elements, (size_t)r->room * sizeof *r->d.elements);
    assert_non_null(r->d.elements);
  }
  r->d.elements[r->d.count] = (svg_element){.parent = parent};
  return r->d.count++;
}

static void append_text(svg_element *e, char *more)
{
  const size_t had = e->text ? strlen(e->text) : 0, bytes = strlen(more) + 1;
  e->text = realloc(e->text, had + bytes);
  assert_non_null(e->text);
  memcpy(e->text + had, more, bytes);
  free(more);
}

/* Elements lie in each other a few levels deep at most. */
static void take_element(reader *r, int parent, int depth)
{
  const int self = new_element(r, parent);
  assert_true(depth < 8);
  expect(r, "<");
  char *name = r->d.elements[self].name = take_name(r);
  if (!one_of(name, " svg title desc g rect text tspan path circle image linearGradient stop ")) breach(r, name);
  if ((parent < 0) != (strcmp(name, "svg") == 0)) breach(r, "svg is the root, and nothing else is");
  take_attributes(r, &r->d.elements[self]);
  if (strncmp(r->at, "/>", 2) == 0) {
    r->at += 2;
    append_text(&r->d.elements[self], calloc(1, 1));
    return;
  }
  expect(r, ">");
  for (;;) {
    append_text(&r->d.elements[self], take_text(r, '<'));
    if (r->at[1] == '/') break;
    take_element(r, self, depth + 1);
  }
  expect(r, "</");
  expect(r, name);
  expect(r, ">");
}

svg_document svg_read(const char *text)
{
  reader r = {.begin = text, .at = text};
  take_element(&r, -1, 0);
  expect(&r, "\n");
  if (*r.at) breach(&r, "more than one picture");
  const svg_element *root = &r.d.elements[0];
  assert_string_equal(svg_value(root, "role"), "img");
  assert_string_equal(svg_value(root, "aria-labelledby"), "title desc");
  assert_string_equal(r.d.elements[1].name, "title");
  assert_string_equal(r.d.elements[2].name, "desc");
  assert_true(*r.d.elements[1].text && *r.d.elements[2].text);
  return r.d;
}

void svg_free(svg_document *d)
{
  for (int i = 0; i < d->count; i++) {
    svg_element *e = &d->elements[i];
    for (int a = 0; a < e->n_attributes; a++) {
      free(e->attributes[a].name);
      free(e->attributes[a].value);
    }
    free(e->name);
    free(e->text);
  }
  free(d->elements);
  *d = (svg_document){0};
}

const char *svg_value(const svg_element *e, const char *attribute)
{
  for (int i = 0; i < e->n_attributes; i++)
    if (strcmp(e->attributes[i].name, attribute) == 0) return e->attributes[i].value;
  return NULL;
}

double svg_number(const svg_element *e, const char *attribute)
{
  const char *text = svg_value(e, attribute);
  return text ? strtod(text, NULL) : (double)NAN;
}

const svg_element *svg_next(const svg_document *d, int *at, const char *name, const char *class_name)
{
  while (*at < d->count) {
    const svg_element *e = &d->elements[(*at)++];
    const char *its = svg_value(e, "class");
    if ((!name || strcmp(e->name, name) == 0) && (!class_name || (its && strcmp(its, class_name) == 0))) return e;
  }
  return NULL;
}

int svg_count(const svg_document *d, const char *name, const char *class_name)
{
  int at = 0, count = 0;
  while (svg_next(d, &at, name, class_name)) count++;
  return count;
}

const char *svg_title(const svg_document *d, const svg_element *e)
{
  const svg_element *first = e + 1;
  const bool has = first < d->elements + d->count && &d->elements[first->parent] == e && !strcmp(first->name, "title");
  return has ? first->text : NULL;
}

void svg_shift(const svg_document *d, const svg_element *e, double *x, double *y)
{
  *x = *y = 0.0;
  for (int i = e->parent; i >= 0; i = d->elements[i].parent) {
    const char *transform = svg_value(&d->elements[i], "transform");
    double dx, dy;
    if (!transform) continue;
    assert_int_equal(sscanf(transform, "translate(%lf %lf)", &dx, &dy), 2);
    *x += dx;
    *y += dy;
  }
}
