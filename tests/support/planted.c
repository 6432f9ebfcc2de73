#include "planted.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "asserts.h"

enum { PATH_BYTES = 1024, FILE_BYTES = 1 << 20 };

static char *read_text(const char *folder, const char *file)
{
  char path[PATH_BYTES];
  snprintf(path, sizeof path, "%s/%s", folder, file);
  FILE *stream = fopen(path, "rb");
  if (!stream) fail_msg("%s cannot be read", path);
  char *text = calloc(1, FILE_BYTES);
  assert_non_null(text);
  assert_in_range(fread(text, 1, FILE_BYTES - 1, stream), 1, FILE_BYTES - 2);
  fclose(stream);
  return text;
}

static FILE *open_to_write(const char *folder, const char *file)
{
  char path[PATH_BYTES];
  snprintf(path, sizeof path, "%s/%s", folder, file);
  FILE *stream = fopen(path, "wb");
  if (!stream) fail_msg("%s cannot be written", path);
  return stream;
}

static bool is_kernel(const char *name)
{
  const char *dot = strrchr(name, '.');
  return dot && (!strcmp(dot, ".cl") || !strcmp(dot, ".clh") || !strcmp(dot, ".h"));
}

static void copy_files(const char *from, const char *to)
{
  mkdir(to, 0777);
  DIR *dir = opendir(from);
  if (!dir) fail_msg("%s cannot be listed", from);
  for (const struct dirent *entry; (entry = readdir(dir));) {
    if (!is_kernel(entry->d_name)) continue;
    char *text = read_text(from, entry->d_name);
    FILE *stream = open_to_write(to, entry->d_name);
    fputs(text, stream);
    fclose(stream);
    free(text);
  }
  closedir(dir);
}

void planted_copy(const char *from, const char *to)
{
  char lib_from[PATH_BYTES], lib_to[PATH_BYTES];
  snprintf(lib_from, sizeof lib_from, "%s/lib", from);
  snprintf(lib_to, sizeof lib_to, "%s/lib", to);
  copy_files(from, to);
  copy_files(lib_from, lib_to);
}

void planted_edit(const char *folder, const char *file, const char *text, const char *by)
{
  char *source = read_text(folder, file), *at = source;
  if (!strstr(source, text)) fail_msg("%s does not have: %s", file, text);
  FILE *stream = open_to_write(folder, file);
  for (char *next; (next = strstr(at, text)); at = next + strlen(text))
    fprintf(stream, "%.*s%s", (int)(next - at), at, by);
  fputs(at, stream);
  fclose(stream);
  free(source);
}
