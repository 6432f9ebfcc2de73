/* Runs the command as a user would, and keeps what it said. */
#ifndef CLATTN_TESTS_SPAWN_H
#define CLATTN_TESTS_SPAWN_H

#include <stdbool.h>

typedef struct spawned {
  int status;      /* exit status; 128 + signal where it was killed */
  char *out, *err; /* what it wrote */
} spawned;

/* argv ends with NULL and begins with the verb. Without `opencl` the command finds no OpenCL platform. The caller frees
 * the result with spawned_free. */
spawned spawn_clattn(bool opencl, const char *const *argv);
void spawned_free(spawned *result);

#define SPAWN(opencl, ...) spawn_clattn(opencl, (const char *const[]){__VA_ARGS__, (const char *)0})

/* Fails the test, with everything that was said, unless the status is this, and each text is where it should be
 * (NULL: nothing must be there; "": anything). */
void assert_spawned(const spawned *result, int status, const char *in_out, const char *in_err);

#endif
