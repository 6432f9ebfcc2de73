/* The writer: header made by cJSON, padded so that the data begins at a multiple of eight bytes. */
#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "whole_file.h"

static bool add_tensor(cJSON *root, const st_tensor *tensor, size_t begin)
{
  cJSON *entry = cJSON_AddObjectToObject(root, tensor->name);
  cJSON *shape = NULL, *offsets = NULL;
  if (!entry || !cJSON_AddStringToObject(entry, "dtype", st_type_name(tensor->type))) return false;
  shape = cJSON_AddArrayToObject(entry, "shape");
  offsets = cJSON_AddArrayToObject(entry, "data_offsets");
  if (!shape || !offsets) return false;
  for (int i = 0; i < tensor->rank; i++)
    if (!cJSON_AddItemToArray(shape, cJSON_CreateNumber((double)tensor->dim[i]))) return false;
  return cJSON_AddItemToArray(offsets, cJSON_CreateNumber((double)begin)) &&
         cJSON_AddItemToArray(offsets, cJSON_CreateNumber((double)(begin + tensor->bytes)));
}

static char *header_text(const st_file *file)
{
  cJSON *root = cJSON_CreateObject();
  bool good = root != NULL;
  if (good && file->n_labels) {
    cJSON *metadata = cJSON_AddObjectToObject(root, "__metadata__");
    good = metadata != NULL;
    for (size_t i = 0; i < file->n_labels && good; i++)
      good = cJSON_AddStringToObject(metadata, file->labels[i].key, file->labels[i].value) != NULL;
  }
  size_t begin = 0;
  for (size_t i = 0; i < file->n_tensors && good; i++) {
    good = add_tensor(root, &file->tensors[i], begin);
    begin += file->tensors[i].bytes;
  }
  char *text = good ? cJSON_PrintUnformatted(root) : NULL;
  cJSON_Delete(root);
  return text;
}

typedef struct contents {
  const st_file *file;
  const char *header;
} contents;

static bool write_stream(FILE *stream, const void *user)
{
  static const char padding[8] = "        ";
  const contents *what = user;
  const st_file *file = what->file;
  const size_t length = strlen(what->header), pad = (8 - length % 8) % 8;
  unsigned char size[8];
  for (int i = 0; i < 8; i++) size[i] = (unsigned char)((uint64_t)(length + pad) >> (8 * i));
  bool good = fwrite(size, 1, 8, stream) == 8 && fwrite(what->header, 1, length, stream) == length &&
              fwrite(padding, 1, pad, stream) == pad;
  for (size_t i = 0; i < file->n_tensors && good; i++)
    good = fwrite(file->tensors[i].data, 1, file->tensors[i].bytes, stream) == file->tensors[i].bytes;
  return good;
}

bool st_write(const st_file *file, const char *path, st_error *error)
{
  char *header = header_text(file);
  const bool good = header ? whole_file_make(path, write_stream, &(contents){file, header}, error)
                           : st_fail(error, "out of memory for the header");
  free(header);
  return good;
}
