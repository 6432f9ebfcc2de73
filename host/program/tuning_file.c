#include "tuning_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cache_files.h"

#ifndef S_ISREG /* Windows */
#define S_ISREG(mode) (((mode)&_S_IFMT) == _S_IFREG)
#endif

#define PATH_BYTES 4096

bool ca_tuning_path_default(char *path, size_t capacity)
{
  return ca_user_path("CLATTN_TUNING", "XDG_DATA_HOME", "/clattn/tuning", "/.local/share/clattn/tuning", path,
                      capacity);
}

/* A device such as /dev/null has no rows, and is not to be replaced by a file. */
static bool is_file(const char *path)
{
  struct stat info;
  return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

static bool is_there(const char *path)
{
  struct stat info;
  return stat(path, &info) == 0 || errno != ENOENT;
}

static clattn_status fail_unread(const char *path, clattn_report *report)
{
  return ca_fail(report, CLATTN_INVALID_VALUE, "tuning file %s: it cannot be read", path);
}

/* With a zero at the end; zeros of a damaged file become something that no row has. */
static clattn_status read_text(FILE *file, const char *path, char *text, clattn_report *report)
{
  const size_t bytes = fread(text, 1, CA_TUNING_BYTES_MAX + 1, file);
  if (ferror(file)) return fail_unread(path, report);
  if (bytes > CA_TUNING_BYTES_MAX)
    return ca_fail(report, CLATTN_INVALID_VALUE, "tuning file %s: it has more than %d bytes", path,
                   CA_TUNING_BYTES_MAX);
  for (size_t i = 0; i < bytes; i++)
    if (!text[i]) text[i] = '?';
  text[bytes] = '\0';
  return CLATTN_OK;
}

clattn_status ca_tuning_read(const char *path, char **out, clattn_report *report)
{
  FILE *file = is_file(path) ? fopen(path, "rb") : NULL;
  if (!file && is_file(path)) return fail_unread(path, report);
  char *text = calloc(1, file ? CA_TUNING_BYTES_MAX + 2 : 1);
  clattn_status status = text ? CLATTN_OK : ca_fail(report, CLATTN_OUT_OF_HOST_MEMORY, "no memory for %s", path);
  if (text && file) status = read_text(file, path, text, report);
  if (file) fclose(file);
  if (status != CLATTN_OK) {
    free(text);
    return status;
  }
  *out = text;
  return CLATTN_OK;
}

clattn_status ca_tuning_write(const char *path, const char *text, clattn_report *report)
{
  char dir[PATH_BYTES] = ".";
  const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
  const size_t bytes = strlen(text);
  if (bytes > CA_TUNING_BYTES_MAX)
    return ca_fail(report, CLATTN_INVALID_VALUE, "tuning file %s: it would have %zu bytes, must be %d at most", path,
                   bytes, CA_TUNING_BYTES_MAX);
  if (is_there(path) && !is_file(path))
    return ca_fail(report, CLATTN_INVALID_VALUE, "tuning file %s: it is no file that can be replaced", path);
  const int dir_bytes = slash && slash > path ? (int)(slash - path) : 1;
  if (slash) snprintf(dir, sizeof dir, "%.*s", dir_bytes, path);
  if (!*name || !ca_cache_file_write(dir, name, text, bytes))
    return ca_fail(report, CLATTN_INVALID_VALUE,
                   "tuning file %s: it cannot be written; CLATTN_TUNING may name another one", path);
  return CLATTN_OK;
}
