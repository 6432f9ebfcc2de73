#include "whole_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool whole_file_make(const char *path, whole_file_writer *write, const void *user, st_error *error)
{
  const size_t room = strlen(path) + 32;
  char *temporary = malloc(room);
  if (!temporary) return st_fail(error, "out of memory");
  snprintf(temporary, room, "%s.%ld.part", path, (long)getpid());
  FILE *stream = fopen(temporary, "wb");
  bool good = stream || st_fail(error, "cannot write: %s", strerror(errno));
  if (stream) {
    good = write(stream, user) && fflush(stream) == 0;
    const int reason = errno;
    if (fclose(stream) && good) {
      good = st_fail(error, "writing failed: %s", strerror(errno));
    } else if (!good) {
      st_fail(error, "writing failed: %s", strerror(reason));
    } else if (rename(temporary, path)) {
      good = st_fail(error, "cannot rename the finished file to its name: %s", strerror(errno));
    }
    if (!good) remove(temporary);
  }
  free(temporary);
  return good;
}
