#include "picture_files.h"

#include <stdio.h>
#include <string.h>

#include "asserts.h"
#include "safetensors.h"

static const char *scratch(const char *name, const char *ending)
{
  static char path[2][512];
  static int turn;
  char *to = path[turn++ % 2];
  snprintf(to, sizeof path[0], "%s%s%s", strchr(name, '/') ? "" : CLATTN_TEST_SCRATCH "/", name,
           strchr(name, '/') ? "" : ending);
  return to;
}

void write_bare(const char *name, const char *tensor, int64_t heads, int64_t rows, int64_t keys, const float *numbers,
                const char *tokens)
{
  const int64_t dim[] = {heads, rows, keys};
  st_file file = {0};
  st_error error;
  st_tensor *t = st_add(&file, tensor, ST_F32, 3, dim);
  assert_non_null(t);
  memcpy(t->data, numbers, t->bytes);
  if (tokens) assert_true(st_set_label(&file, "tokens", tokens));
  if (!st_write(&file, scratch(name, ".safetensors"), &error)) fail_msg("%s", error.text);
  st_free(&file);
}

float *weights_by_seed(uint32_t seed, int64_t heads, int64_t rows, int64_t keys, bool causal)
{
  float *p = test_alloc((size_t)(heads * rows * keys) * sizeof *p);
  uint64_t state = seed * 2654435761u + 1u;
  for (int64_t row = 0; row < heads * rows; row++) {
    double sum = 0.0;
    for (int64_t j = 0; j < keys; j++) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      const double u = (double)(state >> 40) / 16777216.0;
      p[row * keys + j] = causal && j > row % rows ? 0.0f : (float)(u * u * u + 1e-3);
      sum += (double)p[row * keys + j];
    }
    for (int64_t j = 0; j < keys; j++) p[row * keys + j] = (float)((double)p[row * keys + j] / sum);
  }
  return p;
}

char *read_whole(const char *path, size_t *bytes)
{
  FILE *stream = fopen(path, "rb");
  if (!stream) fail_msg("%s is not there", path);
  fseek(stream, 0, SEEK_END);
  const long size = ftell(stream);
  rewind(stream);
  char *data = test_alloc((size_t)size + 1);
  assert_int_equal(fread(data, 1, (size_t)size, stream), size);
  data[size] = '\0';
  fclose(stream);
  if (bytes) *bytes = (size_t)size;
  return data;
}

enum { WORDS = 32 };

static spawned run(bool opencl, const char *input, const char *output, const char *const *words)
{
  const char *all[WORDS] = {"draw", scratch(input, ".safetensors"), "-o", scratch(output, "")};
  int count = 4;
  for (; *words; words++) {
    assert_true(count < WORDS - 1);
    all[count++] = *words;
  }
  return spawn_clattn(opencl, all);
}

char *draw_file(bool opencl, const char *input, const char *output, const char *const *words, size_t *bytes)
{
  spawned said = run(opencl, input, output, words);
  assert_spawned(&said, 0, "wrote", NULL);
  spawned_free(&said);
  const char *path = scratch(output, "");
  if (strstr(output, ".svg")) {
    char command[600];
    snprintf(command, sizeof command, "xmllint --noout --nonet --huge '%s'", path);
    if (system(command) != 0) fail_msg("xmllint does not take %s, or is not here", path);
  }
  char *data = read_whole(path, bytes);
  remove(path);
  return data;
}

void draw_refused(const char *input, const char *const *words, const char *message)
{
  remove(scratch("refused.svg", ""));
  spawned said = run(false, input, "refused.svg", words);
  assert_spawned(&said, 1, NULL, message);
  spawned_free(&said);
  FILE *left = fopen(scratch("refused.svg", ""), "rb");
  assert_null(left);
}
