#include "cache_files.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "program.h"

#ifdef _WIN32
#include <direct.h>
#include <process.h>
#include <windows.h>
static int make_folder(const char *path) { return _mkdir(path); }
static int process_id(void) { return _getpid(); }
static bool replace(const char *from, const char *to) { return MoveFileExA(from, to, MOVEFILE_REPLACE_EXISTING) != 0; }
#else
#include <sys/stat.h>
#include <unistd.h>
static int make_folder(const char *path) { return mkdir(path, 0700); }
static int process_id(void) { return (int)getpid(); }
static bool replace(const char *from, const char *to) { return rename(from, to) == 0; }
#endif

#define PATH_BYTES 4096
#define ENTRY_BYTES_MAX ((size_t)256 << 20) /* no program is as large: a foreign file is not read to its end */

bool ca_cache_file_read(const char *dir, const char *name, unsigned char **bytes, size_t *n)
{
  char path[PATH_BYTES];
  if (snprintf(path, sizeof path, "%s/%s", dir, name) >= (int)sizeof path) return false;
  FILE *file = fopen(path, "rb");
  if (!file) return false;
  unsigned char *read = NULL;
  size_t used = 0, capacity = 0;
  bool good = true;
  while (good) {
    if (used == capacity) {
      capacity = capacity ? 2 * capacity : (size_t)256 << 10;
      unsigned char *grown = capacity <= ENTRY_BYTES_MAX ? realloc(read, capacity) : NULL;
      good = grown != NULL;
      if (grown) read = grown;
      continue;
    }
    const size_t got = fread(read + used, 1, capacity - used, file);
    used += got;
    if (!got) break;
  }
  good = good && !ferror(file);
  fclose(file);
  if (!good) {
    free(read);
    return false;
  }
  *bytes = read;
  *n = used;
  return true;
}

/* mkdir -p; what exists already is not asked about: opening the file will tell. */
static void make_folders(const char *dir)
{
  char path[PATH_BYTES];
  if (snprintf(path, sizeof path, "%s", dir) >= (int)sizeof path) return;
  for (char *at = path + 1; *path && *at; at++) {
    if (*at != '/') continue;
    *at = '\0';
    make_folder(path);
    *at = '/';
  }
  make_folder(path);
}

/* A new file of a name that no other writer has, threads and processes alike: "x" lets only one of them have it. */
static FILE *open_unique(const char *dir, const char *name, char path[PATH_BYTES])
{
  for (int counter = 0; counter < 64; counter++) {
    if (snprintf(path, PATH_BYTES, "%s/%s.%d-%d.tmp", dir, name, process_id(), counter) >= PATH_BYTES) return NULL;
    FILE *file = fopen(path, "wbx");
    if (file) return file;
  }
  return NULL;
}

bool ca_cache_file_write(const char *dir, const char *name, const void *bytes, size_t n)
{
  char path[PATH_BYTES], target[PATH_BYTES];
  if (snprintf(target, sizeof target, "%s/%s", dir, name) >= (int)sizeof target) return false;
  make_folders(dir);
  FILE *file = open_unique(dir, name, path);
  if (!file) return false;
  bool good = fwrite(bytes, 1, n, file) == n;
  good = fclose(file) == 0 && good;
  good = good && replace(path, target);
  if (!good) remove(path);
  return good;
}

void ca_cache_file_remove(const char *dir, const char *name)
{
  char path[PATH_BYTES];
  if (snprintf(path, sizeof path, "%s/%s", dir, name) < (int)sizeof path) remove(path);
}

void ca_unique_name(const void *object, char name[CA_UNIQUE_NAME_BYTES])
{
  struct timespec t = {0};
  timespec_get(&t, TIME_UTC);
  snprintf(name, CA_UNIQUE_NAME_BYTES, "p%x_%llx_%llx_%llx", (unsigned)process_id(), (unsigned long long)t.tv_sec,
           (unsigned long long)t.tv_nsec, (unsigned long long)(uintptr_t)object);
}

static bool from_environment(const char *variable, const char *tail, char *path, size_t capacity)
{
  const char *value = getenv(variable);
  if (!value || !*value) return false;
  return snprintf(path, capacity, "%s%s", value, tail) < (int)capacity;
}

bool ca_user_path(const char *own, const char *xdg, const char *xdg_tail, const char *home_tail, char *path,
                  size_t capacity)
{
  const char *base = getenv(xdg);
  const bool xdg_counts = base && base[0] == '/'; /* its specification: a relative one is ignored */
  return from_environment(own, "", path, capacity) || (xdg_counts && from_environment(xdg, xdg_tail, path, capacity)) ||
         from_environment("HOME", home_tail, path, capacity);
}

bool ca_cache_dir_default(char *path, size_t capacity)
{
  return ca_user_path("CLATTN_CACHE_DIR", "XDG_CACHE_HOME", "/clattn", "/.cache/clattn", path, capacity);
}
