/* Inputs made for pictures, and the command that draws them. Everything lies in the scratch folder. */
#ifndef CLATTN_TESTS_PICTURE_FILES_H
#define CLATTN_TESTS_PICTURE_FILES_H

#include <stdint.h>

#include "spawn.h"

/* A file under this name (without folder and ending) that holds just `tensor` (P or A) as [heads,rows,keys]. tokens:
 * the label, a JSON array, or NULL. */
void write_bare(const char *name, const char *tensor, int64_t heads, int64_t rows, int64_t keys, const float *numbers,
                const char *tokens);

/* P of `heads` heads, each row positive numbers that sum to 1, by a seed; causal: 0 after the diagonal. To be freed. */
float *weights_by_seed(uint32_t seed, int64_t heads, int64_t rows, int64_t keys, bool causal);

/* Draws NAME.safetensors of the scratch folder, or another file by its path, to `output` there, with these words
 * besides (NULL at their end), and gives back the bytes with a NUL behind them, to be freed. An .svg is held to
 * xmllint. */
char *draw_file(bool opencl, const char *input, const char *output, const char *const *words, size_t *bytes);
#define DRAW(opencl, input, output, ...)                                                                               \
  draw_file(opencl, input, output, (const char *const[]){__VA_ARGS__, (const char *)0}, NULL)

/* All of a file, with a NUL behind it; to be freed. bytes may be NULL. */
char *read_whole(const char *path, size_t *bytes);

/* The same refused: its message holds each of the texts. */
void draw_refused(const char *input, const char *const *words, const char *message);
#define REFUSED(input, message, ...) draw_refused(input, (const char *const[]){__VA_ARGS__, (const char *)0}, message)

#endif
