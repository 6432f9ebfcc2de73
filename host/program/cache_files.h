/* Files and folders of the user: whole files read and replaced. Every failure is only a false: a cache is a help, not a
 * need. */
#ifndef CA_PROGRAM_CACHE_FILES_H
#define CA_PROGRAM_CACHE_FILES_H

#include <stdbool.h>
#include <stddef.h>

/* Reads a whole file; the caller frees *bytes. */
bool ca_cache_file_read(const char *dir, const char *name, unsigned char **bytes, size_t *n);

/* Writes under a temporary name in the same folder, then renames: a reader, in this process or another, sees the old
 * file or the new one, whole. Makes the folder and its parents (mode 0700) where they are missing. */
bool ca_cache_file_write(const char *dir, const char *name, const void *bytes, size_t n);

void ca_cache_file_remove(const char *dir, const char *name);

/* An identifier that no other call gives, in this process or another, while the object lives or after it. */
#define CA_UNIQUE_NAME_BYTES 64
void ca_unique_name(const void *object, char name[CA_UNIQUE_NAME_BYTES]);

/* The user's path for something: what the variable `own` holds, else XDG's base folder by its variable and a tail, else
 * HOME and a tail; false: none. */
bool ca_user_path(const char *own, const char *xdg, const char *xdg_tail, const char *home_tail, char *path,
                  size_t capacity);

#endif
