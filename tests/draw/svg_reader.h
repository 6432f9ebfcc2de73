/* Reads a picture back, strictly: well-formed, of no elements and attributes but those a picture is made of, no script,
 * no style sheet, no address but that of an embedded image. Anything else fails the test. */
#ifndef CLATTN_TESTS_SVG_READER_H
#define CLATTN_TESTS_SVG_READER_H

#include <stdbool.h>
#include <stddef.h>

enum { SVG_MAX_ATTRIBUTES = 16 };

typedef struct svg_attribute {
  char *name, *value; /* entities resolved */
} svg_attribute;

typedef struct svg_element {
  char *name;
  svg_attribute attributes[SVG_MAX_ATTRIBUTES];
  int n_attributes;
  int parent; /* index; -1: the root */
  char *text; /* its own, entities resolved; "" for none */
} svg_element;

typedef struct svg_document {
  svg_element *elements; /* in their order */
  int count;
} svg_document;

svg_document svg_read(const char *text);
void svg_free(svg_document *d);

/* NULL, and not a number, where there is none. */
const char *svg_value(const svg_element *e, const char *attribute);
double svg_number(const svg_element *e, const char *attribute);

/* The next element from *at on with this name or class (NULL: any); *at moves behind it. NULL at the end. */
const svg_element *svg_next(const svg_document *d, int *at, const char *name, const char *class_name);
int svg_count(const svg_document *d, const char *name, const char *class_name);

/* The text of an element's <title>; NULL where it has none. */
const char *svg_title(const svg_document *d, const svg_element *e);

/* Where an element's own coordinates lie in the picture: the sum of the translations around it. */
void svg_shift(const svg_document *d, const svg_element *e, double *x, double *y);

#endif
