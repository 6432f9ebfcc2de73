/* The container safetensors: 8 bytes of header length (little-endian), a JSON header, raw data.
 *
 * The reader believes nothing: what the header claims is compared with the size of the file before anything of that
 * size is allocated, and each refusal says which tensor, which value, which limit. Names and labels must be valid UTF-8
 * without control characters. Numbers are little-endian, as the machines that have OpenCL are. */
#ifndef CLATTN_TOOLS_SAFETENSORS_H
#define CLATTN_TOOLS_SAFETENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clattn/types.h"

/* X(name in the file, bytes, clattn_dtype or 0 where the library has none) */
#define ST_TYPE_LIST(X)                                                                                                \
  X(BOOL, 1, CLATTN_BOOL)                                                                                              \
  X(U8, 1, 0)                                                                                                          \
  X(I8, 1, 0)                                                                                                          \
  X(F8_E5M2, 1, 0)                                                                                                     \
  X(F8_E4M3, 1, 0)                                                                                                     \
  X(I16, 2, 0)                                                                                                         \
  X(U16, 2, 0)                                                                                                         \
  X(F16, 2, CLATTN_F16)                                                                                                \
  X(BF16, 2, CLATTN_BF16)                                                                                              \
  X(I32, 4, 0)                                                                                                         \
  X(U32, 4, 0)                                                                                                         \
  X(F32, 4, CLATTN_F32)                                                                                                \
  X(F64, 8, CLATTN_F64)                                                                                                \
  X(I64, 8, CLATTN_I64)                                                                                                \
  X(U64, 8, 0)

typedef enum st_type {
#define ST_TYPE_ENUM(name, bytes, dtype) ST_##name,
  ST_TYPE_LIST(ST_TYPE_ENUM)
#undef ST_TYPE_ENUM
      ST_TYPE_COUNT
} st_type;

#define ST_MAX_HEADER_BYTES 100000000u
#define ST_MAX_HEADER_VALUES 500000u /* JSON values: some 50,000 tensors */
#define ST_MAX_HEADER_DEPTH 16       /* of JSON; three are needed */
#define ST_MAX_RANK 8
#define ST_MAX_COUNT 9007199254740992.0 /* 2^53: whole numbers beyond are not exact in JSON */

typedef struct st_error {
  char text[512];
} st_error;

typedef struct st_tensor {
  char *name;
  void *data; /* aligned for any type; never NULL */
  size_t bytes;
  int64_t dim[ST_MAX_RANK];
  int rank; /* 0: a single number */
  st_type type;
} st_tensor;

typedef struct st_label {
  char *key, *value;
} st_label;

/* Zero is an empty one. */
typedef struct st_file {
  st_tensor *tensors; /* in the order of their data */
  st_label *labels;   /* __metadata__ */
  size_t n_tensors, n_labels;
} st_file;

/* Reads a file, or the same bytes in memory, wholly. On failure *file is empty and the error says why. */
bool st_read(const char *path, st_file *file, st_error *error);
bool st_read_memory(const void *bytes, size_t size, st_file *file, st_error *error);
void st_free(st_file *file);

/* Case-sensitive; NULL where there is none. */
const st_tensor *st_find(const st_file *file, const char *name);
const char *st_label_value(const st_file *file, const char *key);

/* Appends a tensor of zeros, to be filled through ->data; NULL when memory is short or the shape overflows. The pointer
 * holds until the next st_add. */
st_tensor *st_add(st_file *file, const char *name, st_type type, int rank, const int64_t *dim);
bool st_set_label(st_file *file, const char *key, const char *value);

/* Writes under a temporary name beside `path` and renames: complete, or not there. */
bool st_write(const st_file *file, const char *path, st_error *error);

const char *st_type_name(st_type type);
size_t st_type_bytes(st_type type);
int32_t st_type_dtype(st_type type); /* clattn_dtype, CLATTN_NO_DTYPE where the library has none */
st_type st_type_of_dtype(int32_t dtype);

/* Writes the message and returns false. */
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
bool st_fail(st_error *error, const char *format, ...);

/* A name from a file as it may be shown: cut when long, without control characters. */
typedef struct st_shown {
  char text[72];
} st_shown;
st_shown st_show(const char *name);

/* "[1,9,13,64]" */
typedef struct st_shape_text {
  char text[8 * 21 + 3];
} st_shape_text;
st_shape_text st_show_shape(int rank, const int64_t *dim);

#endif
