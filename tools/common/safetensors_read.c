/* The reader. Order: length, header text (json_scan), JSON, names, shapes, offsets against the file's real size; only
 * then is memory taken for the data. */
#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "json_scan.h"
#include "safetensors.h"

/* A file, or bytes in memory. */
typedef struct source {
  FILE *stream;
  const unsigned char *bytes;
  uint64_t size;
} source;

/* A tensor as the header claims it. */
typedef struct claim {
  const char *name;
  uint64_t begin, end;
  int64_t dim[ST_MAX_RANK];
  int rank;
  st_type type;
} claim;

static bool take(source *from, void *out, size_t bytes, st_error *error)
{
  if (from->stream) {
    if (bytes && fread(out, 1, bytes, from->stream) != bytes)
      return st_fail(error, "reading failed: %s", ferror(from->stream) ? strerror(errno) : "the file became shorter");
  } else {
    memcpy(out, from->bytes, bytes);
    from->bytes += bytes;
  }
  return true;
}

static int compare_texts(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* Refuses an object, here or anywhere below, that has a name twice. The depth is bounded by json_scan. */
static bool check_names(const cJSON *value, const char *where, st_error *error)
{
  const cJSON *child;
  size_t count = 0;
  bool good = true;
  cJSON_ArrayForEach(child, value) count++;
  if (cJSON_IsObject(value) && count > 1) {
    const char **names = malloc(count * sizeof *names);
    if (!names) return st_fail(error, "out of memory");
    size_t n = 0;
    cJSON_ArrayForEach(child, value) names[n++] = child->string;
    qsort(names, count, sizeof *names, compare_texts);
    for (size_t i = 1; i < count && good; i++)
      if (strcmp(names[i - 1], names[i]) == 0)
        good = st_fail(error, "%s: the name '%s' is there twice", where, st_show(names[i]).text);
    free(names);
  }
  cJSON_ArrayForEach(child, value)
  {
    if (!good) break;
    if (cJSON_IsObject(child) || cJSON_IsArray(child)) {
      const st_shown shown = st_show(child->string ? child->string : where);
      good = check_names(child, shown.text, error);
    }
  }
  return good;
}

static bool get_count(const cJSON *value, const char *tensor, const char *what, int index, uint64_t *out,
                      st_error *error)
{
  if (!cJSON_IsNumber(value))
    return st_fail(error, "tensor '%s': %s[%d] is not a number", st_show(tensor).text, what, index);
  const double number = value->valuedouble;
  if (!(number >= 0.0) || number > ST_MAX_COUNT || number != (double)(uint64_t)number)
    return st_fail(error, "tensor '%s': %s[%d] is %.17g, must be a whole number from 0 to %.0f", st_show(tensor).text,
                   what, index, number, ST_MAX_COUNT);
  *out = (uint64_t)number;
  return true;
}

static bool get_shape(const cJSON *entry, claim *c, st_error *error)
{
  const cJSON *shape = cJSON_GetObjectItemCaseSensitive(entry, "shape"), *item;
  if (!cJSON_IsArray(shape)) return st_fail(error, "tensor '%s': 'shape' is not a list", st_show(c->name).text);
  cJSON_ArrayForEach(item, shape)
  {
    uint64_t count;
    if (c->rank == ST_MAX_RANK)
      return st_fail(error, "tensor '%s': 'shape' has more than %d dimensions", st_show(c->name).text, ST_MAX_RANK);
    if (!get_count(item, c->name, "shape", c->rank, &count, error)) return false;
    c->dim[c->rank++] = (int64_t)count;
  }
  return true;
}

static bool get_type(const cJSON *entry, claim *c, st_error *error)
{
  const cJSON *dtype = cJSON_GetObjectItemCaseSensitive(entry, "dtype");
  if (!cJSON_IsString(dtype)) return st_fail(error, "tensor '%s': 'dtype' is not a text", st_show(c->name).text);
  for (int i = 0; i < ST_TYPE_COUNT; i++)
    if (strcmp(st_type_name((st_type)i), dtype->valuestring) == 0) {
      c->type = (st_type)i;
      return true;
    }
  return st_fail(error, "tensor '%s': unknown type '%s'", st_show(c->name).text, st_show(dtype->valuestring).text);
}

/* The bytes that the shape wants. Zeros count as ones while overflow is looked for: [2^60, 2^60, 0] is refused. */
static bool claimed_bytes(const claim *c, uint64_t *bytes, st_error *error)
{
  uint64_t product = st_type_bytes(c->type);
  bool empty = false;
  for (int i = 0; i < c->rank; i++) {
    const uint64_t dim = (uint64_t)c->dim[i];
    if (!dim) {
      empty = true;
    } else if (product > UINT64_MAX / dim) {
      return st_fail(error, "tensor '%s': shape %s overflows 64 bits of bytes", st_show(c->name).text,
                     st_show_shape(c->rank, c->dim).text);
    } else {
      product *= dim;
    }
  }
  *bytes = empty ? 0 : product;
  return true;
}

static bool get_claim(const cJSON *entry, uint64_t data_bytes, claim *c, st_error *error)
{
  *c = (claim){.name = entry->string};
  uint64_t bytes = 0;
  if (!cJSON_IsObject(entry)) return st_fail(error, "tensor '%s' is not a JSON object", st_show(c->name).text);
  if (!get_type(entry, c, error) || !get_shape(entry, c, error) || !claimed_bytes(c, &bytes, error)) return false;
  const cJSON *offsets = cJSON_GetObjectItemCaseSensitive(entry, "data_offsets");
  if (!cJSON_IsArray(offsets) || cJSON_GetArraySize(offsets) != 2)
    return st_fail(error, "tensor '%s': 'data_offsets' is not a list of two numbers", st_show(c->name).text);
  if (!get_count(offsets->child, c->name, "data_offsets", 0, &c->begin, error) ||
      !get_count(offsets->child->next, c->name, "data_offsets", 1, &c->end, error))
    return false;
  if (c->end < c->begin)
    return st_fail(error, "tensor '%s': data_offsets run backwards, %" PRIu64 " to %" PRIu64, st_show(c->name).text,
                   c->begin, c->end);
  if (c->end > data_bytes)
    return st_fail(error, "tensor '%s': data ends at byte %" PRIu64 ", the file holds %" PRIu64 " bytes of data",
                   st_show(c->name).text, c->end, data_bytes);
  if (c->end - c->begin != bytes)
    return st_fail(error, "tensor '%s': data_offsets span %" PRIu64 " bytes, %s %s needs %" PRIu64,
                   st_show(c->name).text, c->end - c->begin, st_type_name(c->type), st_show_shape(c->rank, c->dim).text,
                   bytes);
  return true;
}

static int compare_claims(const void *a, const void *b)
{
  const claim *x = a, *y = b;
  if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
  if (x->end != y->end) return x->end < y->end ? -1 : 1;
  return 0;
}

/* The data must be covered once and wholly. */
static bool check_cover(const claim *claims, size_t count, uint64_t data_bytes, st_error *error)
{
  uint64_t end = 0;
  for (size_t i = 0; i < count; i++) {
    if (claims[i].begin < end)
      return st_fail(error, "tensor '%s': data begins at byte %" PRIu64 ", inside tensor '%s' which ends at %" PRIu64,
                     st_show(claims[i].name).text, claims[i].begin, st_show(claims[i - 1].name).text, end);
    if (claims[i].begin > end)
      return st_fail(error, "tensor '%s': data begins at byte %" PRIu64 ", a gap of %" PRIu64 " bytes before it",
                     st_show(claims[i].name).text, claims[i].begin, claims[i].begin - end);
    end = claims[i].end;
  }
  if (end != data_bytes) return st_fail(error, "%" PRIu64 " bytes after the last tensor, must be 0", data_bytes - end);
  return true;
}

static bool take_labels(const cJSON *metadata, st_file *file, st_error *error)
{
  const cJSON *item;
  if (!cJSON_IsObject(metadata)) return st_fail(error, "__metadata__ is not a JSON object");
  cJSON_ArrayForEach(item, metadata)
  {
    if (!cJSON_IsString(item)) return st_fail(error, "__metadata__: '%s' is not a text", st_show(item->string).text);
    if (!st_set_label(file, item->string, item->valuestring)) return st_fail(error, "out of memory");
  }
  return true;
}

static bool take_tensors(source *from, const claim *claims, size_t count, st_file *file, st_error *error)
{
  for (size_t i = 0; i < count; i++) {
    const claim *c = &claims[i];
    st_tensor *tensor = st_add(file, c->name, c->type, c->rank, c->dim);
    if (!tensor)
      return st_fail(error, "tensor '%s': no memory for its %" PRIu64 " bytes", st_show(c->name).text,
                     c->end - c->begin);
    if (!take(from, tensor->data, tensor->bytes, error)) return false;
  }
  return true;
}

static bool take_contents(source *from, const cJSON *root, uint64_t data_bytes, st_file *file, st_error *error)
{
  const cJSON *entry;
  size_t count = 0;
  if (!cJSON_IsObject(root)) return st_fail(error, "header is not a JSON object");
  if (!check_names(root, "header", error)) return false;
  cJSON_ArrayForEach(entry, root) count++;
  claim *claims = malloc((count ? count : 1) * sizeof *claims);
  if (!claims) return st_fail(error, "out of memory for %zu tensors", count);
  bool good = true;
  count = 0;
  cJSON_ArrayForEach(entry, root)
  {
    if (!good) break;
    if (strcmp(entry->string, "__metadata__") == 0)
      good = take_labels(entry, file, error);
    else
      good = get_claim(entry, data_bytes, &claims[count++], error);
  }
  if (good) {
    qsort(claims, count, sizeof *claims, compare_claims);
    good = check_cover(claims, count, data_bytes, error) && take_tensors(from, claims, count, file, error);
  }
  free(claims);
  return good;
}

static bool parse_header(const char *header, size_t size, cJSON **root, st_error *error)
{
  const char *end = NULL;
  if (!st_scan_json("header", header, size, error)) return false;
  if (header[0] != '{') return st_fail(error, "header does not begin with '{'");
  *root = cJSON_ParseWithLengthOpts(header, size, &end, 0);
  if (!*root) return st_fail(error, "header is no JSON near byte %zu", end ? (size_t)(end - header) : 0);
  for (; end < header + size; end++)
    if (*end != ' ' && *end != '\t' && *end != '\n' && *end != '\r')
      return st_fail(error, "header: something after the JSON object, at byte %zu", (size_t)(end - header));
  return true;
}

static bool read_source(source *from, st_file *file, st_error *error)
{
  unsigned char length[8];
  uint64_t header_bytes = 0;
  if (from->size < sizeof length)
    return st_fail(error, "truncated: %" PRIu64 " bytes, the header's length alone needs 8", from->size);
  if (!take(from, length, sizeof length, error)) return false;
  for (int i = 7; i >= 0; i--) header_bytes = header_bytes << 8 | length[i];
  if (header_bytes > ST_MAX_HEADER_BYTES)
    return st_fail(error, "header of %" PRIu64 " bytes, the limit is %u", header_bytes, ST_MAX_HEADER_BYTES);
  if (header_bytes > from->size - 8)
    return st_fail(error, "truncated: header of %" PRIu64 " bytes, the file has %" PRIu64 " after the length",
                   header_bytes, from->size - 8);
  if (header_bytes < 2) return st_fail(error, "header of %" PRIu64 " bytes, the shortest is {}", header_bytes);
  char *header = malloc((size_t)header_bytes);
  cJSON *root = NULL;
  bool good = header ? take(from, header, (size_t)header_bytes, error) : st_fail(error, "out of memory");
  if (good) good = parse_header(header, (size_t)header_bytes, &root, error);
  if (good) good = take_contents(from, root, from->size - 8 - header_bytes, file, error);
  cJSON_Delete(root);
  free(header);
  if (!good) st_free(file);
  return good;
}

bool st_read_memory(const void *bytes, size_t size, st_file *file, st_error *error)
{
  *file = (st_file){0};
  return read_source(&(source){.bytes = bytes, .size = size}, file, error);
}

bool st_read(const char *path, st_file *file, st_error *error)
{
  struct stat info;
  *file = (st_file){0};
  /* Before it is opened: opening a pipe would wait for its other end. */
  if (stat(path, &info)) return st_fail(error, "cannot open: %s", strerror(errno));
  if (!S_ISREG(info.st_mode)) return st_fail(error, "not a regular file");
  source from = {.stream = fopen(path, "rb")};
  if (!from.stream) return st_fail(error, "cannot open: %s", strerror(errno));
  from.size = (uint64_t)info.st_size;
  const bool good = read_source(&from, file, error);
  fclose(from.stream);
  return good;
}
