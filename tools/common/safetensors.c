/* What reader and writer share: the list of tensors, types, and names as they may be shown. */
#include "safetensors.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
  const char *name;
  size_t bytes;
  int32_t dtype;
} types[] = {
#define ST_TYPE_ROW(name, bytes, dtype) {#name, bytes, dtype},
    ST_TYPE_LIST(ST_TYPE_ROW)
#undef ST_TYPE_ROW
};

const char *st_type_name(st_type type) { return type < ST_TYPE_COUNT ? types[type].name : "?"; }
size_t st_type_bytes(st_type type) { return type < ST_TYPE_COUNT ? types[type].bytes : 0; }
int32_t st_type_dtype(st_type type) { return type < ST_TYPE_COUNT ? types[type].dtype : CLATTN_NO_DTYPE; }

st_type st_type_of_dtype(int32_t dtype)
{
  for (int i = 0; i < ST_TYPE_COUNT; i++)
    if (types[i].dtype == dtype && dtype != CLATTN_NO_DTYPE) return (st_type)i;
  return ST_TYPE_COUNT;
}

bool st_fail(st_error *error, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  vsnprintf(error->text, sizeof error->text, format, args);
  va_end(args);
  return false;
}

st_shown st_show(const char *name)
{
  st_shown shown;
  size_t used = 0;
  for (; *name && used < sizeof shown.text - 5; name++) {
    const unsigned char c = (unsigned char)*name;
    shown.text[used++] = c < 0x20 || c == 0x7F ? '?' : (char)c;
  }
  if (*name) {
    /* Not in the middle of a UTF-8 sequence. */
    while (used > 0 && ((unsigned char)name[0] & 0xC0) == 0x80) {
      name--;
      used--;
    }
    memcpy(shown.text + used, "...", 3);
    used += 3;
  }
  shown.text[used] = '\0';
  return shown;
}

st_shape_text st_show_shape(int rank, const int64_t *dim)
{
  st_shape_text shape = {"["};
  size_t used = 1;
  for (int i = 0; i < rank; i++)
    used += (size_t)snprintf(shape.text + used, sizeof shape.text - used, "%s%" PRId64, i ? "," : "", dim[i]);
  memcpy(shape.text + used, "]", 2);
  return shape;
}

const st_tensor *st_find(const st_file *file, const char *name)
{
  for (size_t i = 0; i < file->n_tensors; i++)
    if (strcmp(file->tensors[i].name, name) == 0) return &file->tensors[i];
  return NULL;
}

const char *st_label_value(const st_file *file, const char *key)
{
  for (size_t i = 0; i < file->n_labels; i++)
    if (strcmp(file->labels[i].key, key) == 0) return file->labels[i].value;
  return NULL;
}

/* Room for one more element: the capacity is the next power of two of the count. */
static void *grown(void *list, size_t count, size_t element)
{
  if (count & (count - 1)) return list;
  return realloc(list, (count ? 2 * count : 1) * element);
}

static bool shape_bytes(st_type type, int rank, const int64_t *dim, size_t *bytes)
{
  *bytes = st_type_bytes(type);
  for (int i = 0; i < rank; i++) {
    if (dim[i] < 0 || (dim[i] > 0 && *bytes > SIZE_MAX / 2 / (size_t)dim[i])) return false;
    *bytes *= (size_t)dim[i];
  }
  return true;
}

st_tensor *st_add(st_file *file, const char *name, st_type type, int rank, const int64_t *dim)
{
  size_t bytes;
  if (rank < 0 || rank > ST_MAX_RANK || !shape_bytes(type, rank, dim, &bytes)) return NULL;
  st_tensor *list = grown(file->tensors, file->n_tensors, sizeof *list);
  if (!list) return NULL;
  file->tensors = list;
  st_tensor *tensor = &list[file->n_tensors];
  *tensor = (st_tensor){.name = strdup(name), .data = calloc(1, bytes ? bytes : 1), .bytes = bytes, .type = type};
  if (!tensor->name || !tensor->data) {
    free(tensor->name);
    free(tensor->data);
    return NULL;
  }
  tensor->rank = rank;
  for (int i = 0; i < rank; i++) tensor->dim[i] = dim[i];
  file->n_tensors++;
  return tensor;
}

bool st_set_label(st_file *file, const char *key, const char *value)
{
  st_label *list = grown(file->labels, file->n_labels, sizeof *list);
  if (!list) return false;
  file->labels = list;
  st_label label = {strdup(key), strdup(value)};
  if (!label.key || !label.value) {
    free(label.key);
    free(label.value);
    return false;
  }
  list[file->n_labels++] = label;
  return true;
}

void st_free(st_file *file)
{
  for (size_t i = 0; i < file->n_tensors; i++) {
    free(file->tensors[i].name);
    free(file->tensors[i].data);
  }
  for (size_t i = 0; i < file->n_labels; i++) {
    free(file->labels[i].key);
    free(file->labels[i].value);
  }
  free(file->tensors);
  free(file->labels);
  *file = (st_file){0};
}
