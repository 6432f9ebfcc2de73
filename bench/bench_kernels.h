/* The kernels of this folder as texts, embedded by tools/cmake/embed.cmake. */
#ifndef CLATTN_BENCH_KERNELS_H
#define CLATTN_BENCH_KERNELS_H

#include <stddef.h>

typedef struct bench_kernel_file {
  const char *name, *text;
  size_t bytes;
} bench_kernel_file;

extern const bench_kernel_file bench_kernel_files[]; /* a NULL name ends them */

#endif
