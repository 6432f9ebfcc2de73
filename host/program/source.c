#include "source.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_BYTES 256
#define FILES_MAX 64 /* in one program */

/* A text that grows; failed stays set once memory ran out. */
typedef struct growing {
  char *text;
  size_t bytes, capacity;
  bool failed;
} growing;

typedef struct assembly {
  const char *kernel_dir; /* NULL: embedded */
  growing out;
  char seen[FILES_MAX][NAME_BYTES];
  int n_seen;
  clattn_report *report;
} assembly;

static void append(growing *out, const char *text, size_t bytes)
{
  if (out->failed) return;
  if (out->bytes + bytes + 1 > out->capacity) {
    const size_t capacity = 2 * (out->bytes + bytes + 1);
    char *grown = realloc(out->text, capacity);
    if (!grown) {
      out->failed = true;
      return;
    }
    out->text = grown;
    out->capacity = capacity;
  }
  memcpy(out->text + out->bytes, text, bytes);
  out->bytes += bytes;
  out->text[out->bytes] = '\0';
}

static void append_mark(growing *out, int line, const char *name)
{
  char mark[NAME_BYTES + 32];
  append(out, mark, (size_t)snprintf(mark, sizeof mark, "#line %d \"%s\"\n", line, name));
}

static void read_embedded(const char *name, growing *file)
{
  for (const ca_source_file *f = ca_embedded_sources; f->name; f++)
    if (strcmp(f->name, name) == 0) append(file, f->text, f->bytes);
}

static void read_folder(const char *dir, const char *name, growing *file)
{
  char path[4096], part[4096];
  if (snprintf(path, sizeof path, "%s/%s", dir, name) >= (int)sizeof path) return;
  FILE *f = fopen(path, "rb");
  if (!f) return;
  append(file, "", 0); /* an empty file is a file */
  for (size_t n; (n = fread(part, 1, sizeof part, f)) > 0;) append(file, part, n);
  if (ferror(f)) {
    free(file->text); /* a folder, or a disk fault: as if it were not there */
    *file = (growing){.text = NULL};
  }
  fclose(f);
}

/* The file's text, NULL text where there is none. */
static growing read_file(const assembly *work, const char *name)
{
  growing file = {.text = NULL};
  if (work->kernel_dir)
    read_folder(work->kernel_dir, name, &file);
  else
    read_embedded(name, &file);
  return file;
}

/* Names stay below the root, so that what may be included does not depend on where the folder lies. */
static bool is_inside(const char *name)
{
  return name[0] && name[0] != '/' && !strstr(name, "..") && !strchr(name, '\\');
}

/* The name of an include: beside the including file, else from the root. False: neither exists. */
static bool resolve(const assembly *work, const char *from, const char *wanted, char name[NAME_BYTES], growing *file)
{
  const char *slash = strrchr(from, '/');
  const int folder_bytes = slash ? (int)(slash - from) + 1 : 0;
  if (!is_inside(wanted)) return false;
  for (int beside = folder_bytes > 0; beside >= 0; beside--) {
    if (snprintf(name, NAME_BYTES, "%.*s%s", beside ? folder_bytes : 0, from, wanted) >= NAME_BYTES) return false;
    *file = read_file(work, name);
    if (file->text || file->failed) return true;
  }
  return false;
}

/* Follows block comments over a line, so that an include inside one is left alone. */
static bool ends_in_comment(const char *line, const char *end, bool inside)
{
  for (; line + 1 < end; line++) {
    if (inside && line[0] == '*' && line[1] == '/') {
      inside = false;
      line++;
    } else if (!inside && line[0] == '/' && line[1] == '/') {
      return false;
    } else if (!inside && line[0] == '/' && line[1] == '*') {
      inside = true;
      line++;
    }
  }
  return inside;
}

/* The name in `#include "name"`; false where the line is none. */
static bool parse_include(const char *line, const char *end, char wanted[NAME_BYTES])
{
  static const char word[] = "include";
  while (line < end && (*line == ' ' || *line == '\t')) line++;
  if (line == end || *line++ != '#') return false;
  while (line < end && (*line == ' ' || *line == '\t')) line++;
  if ((size_t)(end - line) < sizeof word || memcmp(line, word, sizeof word - 1) != 0) return false;
  line += sizeof word - 1;
  while (line < end && (*line == ' ' || *line == '\t')) line++;
  if (line == end || *line++ != '"') return false;
  const char *close = memchr(line, '"', (size_t)(end - line));
  if (!close || close - line >= NAME_BYTES) return false;
  memcpy(wanted, line, (size_t)(close - line));
  wanted[close - line] = '\0';
  return true;
}

/* Notes a file; false where it was noted before. */
static bool note(assembly *work, const char *name, clattn_status *status)
{
  for (int i = 0; i < work->n_seen; i++)
    if (strcmp(work->seen[i], name) == 0) return false;
  if (work->n_seen == FILES_MAX) {
    *status = ca_fail(work->report, CLATTN_INTERNAL, "%s: a program may have %d files", name, FILES_MAX);
    return false;
  }
  snprintf(work->seen[work->n_seen++], NAME_BYTES, "%s", name);
  return true;
}

static clattn_status add_file(assembly *work, const char *name, const growing *file);

static clattn_status add_include(assembly *work, const char *from, int line, const char *wanted)
{
  char name[NAME_BYTES];
  growing file = {.text = NULL};
  clattn_status status = CLATTN_OK;
  if (!resolve(work, from, wanted, name, &file))
    return ca_fail(work->report, CLATTN_INTERNAL, "%s:%d: no kernel source \"%s\" in %s", from, line, wanted,
                   work->kernel_dir ? work->kernel_dir : "the library");
  if (file.failed)
    work->out.failed = true;
  else if (note(work, name, &status))
    status = add_file(work, name, &file);
  free(file.text);
  append_mark(&work->out, line + 1, from);
  return status;
}

static clattn_status add_file(assembly *work, const char *name, const growing *file)
{
  const char *line = file->text, *stop = file->text + file->bytes;
  bool commented = false;
  append_mark(&work->out, 1, name);
  for (int number = 1; line < stop; number++) {
    const char *newline = memchr(line, '\n', (size_t)(stop - line));
    const char *end = newline ? newline : stop;
    char wanted[NAME_BYTES];
    if (!commented && parse_include(line, end, wanted)) {
      const clattn_status status = add_include(work, name, number, wanted);
      if (status) return status;
    } else {
      append(&work->out, line, (size_t)(end - line));
      append(&work->out, "\n", 1);
    }
    commented = ends_in_comment(line, end, commented);
    line = newline ? newline + 1 : stop;
  }
  return CLATTN_OK;
}

clattn_status ca_source_assemble(const char *kernel_dir, const char *name, char **text, clattn_report *report)
{
  assembly *work = calloc(1, sizeof *work);
  if (!work) return ca_fail(report, CLATTN_OUT_OF_HOST_MEMORY, "no memory to assemble %s", name);
  work->kernel_dir = kernel_dir;
  work->report = report;
  clattn_status status = CLATTN_OK;
  char own_name[NAME_BYTES];
  growing file = {.text = NULL};
  if (!resolve(work, "", name, own_name, &file))
    status = ca_fail(report, CLATTN_INTERNAL, "no kernel source \"%s\" in %s", name,
                     kernel_dir ? kernel_dir : "the library");
  else if (file.text && note(work, own_name, &status))
    status = add_file(work, own_name, &file);
  if (!status && (file.failed || work->out.failed))
    status = ca_fail(report, CLATTN_OUT_OF_HOST_MEMORY, "no memory to assemble %s", name);
  free(file.text);
  if (status)
    free(work->out.text);
  else
    *text = work->out.text;
  free(work);
  return status;
}
