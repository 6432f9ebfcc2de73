/* What `clattn draw` is asked for. */
#ifndef CLATTN_TOOLS_DRAW_REQUEST_H
#define CLATTN_TOOLS_DRAW_REQUEST_H

#include "draw.h"

/* Numbers and ranges of them, as --heads takes them. */
typedef struct number_ranges {
  const char *text; /* NULL: not said, all */
  int (*range)[2];  /* first and last */
  int count;
} number_ranges;

bool number_ranges_hold(const number_ranges *r, int64_t number);

typedef enum draw_format { DRAW_TEXT, DRAW_SVG, DRAW_PNG, DRAW_HTML } draw_format;

typedef struct draw_request {
  const char **inputs;
  int n_inputs;
  const char *output, *device;
  draw_format format;
  number_ranges heads, layers;
  int64_t batch;
  bool view_said, quantity_said;
  draw_options options;
} draw_request;

/* -1: go on; otherwise the exit status. The caller frees what was taken, whatever the status. */
int draw_request_take(int argc, char **argv, draw_request *r);
void draw_request_free(draw_request *r);

#endif
