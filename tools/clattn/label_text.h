/* Texts of files as pictures show them. They are untrusted: markup is escaped, what would be invisible, reorder its
 * surroundings or is no character of XML is made visible or replaced, what is long is cut. */
#ifndef CLATTN_TOOLS_LABEL_TEXT_H
#define CLATTN_TOOLS_LABEL_TEXT_H

#include "text_buffer.h"

enum { LABEL_POINTS = 24, TITLE_POINTS = 80 }; /* code points of a label and of a title, an ellipsis among them */

typedef struct label {
  char *text;   /* UTF-8, not yet escaped; to be freed */
  double width; /* at a font size of 1, estimated: no font is at hand where SVG is written */
  bool cut;     /* it is not all of the text */
} label;

/* As a label: a space that leads or trails is left out (a text of spaces shows them as marks), at most
 * max_points code points and max_width wide. text is NULL when memory is short. */
label label_make(const char *text, int max_points, double max_width);

/* All of it, made visible and escaped, for a <title>. */
void label_put_whole(text_buffer *b, const char *text);

/* Escaped for text and attributes of XML and HTML. */
void label_put_escaped(text_buffer *b, const char *text);

/* The estimated width of a text at a font size of 1. */
double label_width(const char *text);

#endif
