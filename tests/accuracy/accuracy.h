/* The rows of the accuracy table: inputs, what float64 makes of them, and what a family makes of them. */
#ifndef TESTS_ACCURACY_H
#define TESTS_ACCURACY_H

#include "safetensors.h"
#include "tester.h"

/* An attention problem, or a whole layer. */
typedef struct accuracy_row {
  char name[64]; /* "f32-unit-256": of the row in pytorch.def, and of the file that --save writes */
  const char *inputs;
  int64_t keys;
  int32_t dtype;
  st_file file;    /* what goes in */
  int64_t n;       /* elements of y */
  double *y;       /* in float64: y, or z of a layer */
  double *allowed; /* what the formula allows each element */
} accuracy_row;

/* Q, K and V of the file, and its attributes is_causal and scale. */
void attention_row_expect(accuracy_row *row);
void attention_row_run(const device_under_test *d, const accuracy_row *row, const way *w, double *y);

/* The layer from its input vectors to the output projection: z. */
void layer_row_expect(accuracy_row *row);
void layer_row_run(const device_under_test *d, const accuracy_row *row, const way *w, double *z);

/* A tensor as doubles; the caller frees them. NULL where the file has none. */
double *file_doubles(const st_file *file, const char *name);
const st_tensor *file_tensor(const st_file *file, const char *name);
int64_t file_count(const st_tensor *tensor);
bool file_is_causal(const st_file *file);

#endif
