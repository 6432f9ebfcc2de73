/* The cache folder: whole files read and replaced. Every failure is only a false: the cache is a help, not a need. */
#ifndef CA_PROGRAM_CACHE_FILES_H
#define CA_PROGRAM_CACHE_FILES_H

#include <stdbool.h>
#include <stddef.h>

/* Reads a whole file; the caller frees *bytes. */
bool ca_cache_file_read(const char *dir, const char *name, unsigned char **bytes, size_t *n);

/* Writes under a temporary name in the same folder, then renames: a reader, in this process or another, sees the old
 * file or the new one, whole. Makes the folder and its parents (mode 0700) where they are missing. */
bool ca_cache_file_write(const char *dir, const char *name, const void *bytes, size_t n);

#endif
