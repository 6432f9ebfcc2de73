/* Writing a file so that it is complete under its name, or not there. */
#ifndef CLATTN_TOOLS_WHOLE_FILE_H
#define CLATTN_TOOLS_WHOLE_FILE_H

#include <stdio.h>

#include "safetensors.h"

/* Writes everything to the stream; false where that failed, with errno saying why. */
typedef bool whole_file_writer(FILE *stream, const void *user);

/* Writes under a temporary name beside `path` and renames. */
bool whole_file_make(const char *path, whole_file_writer *write, const void *user, st_error *error);

#endif
