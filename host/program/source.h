/* Kernel sources: the embedded files, or those of a folder, put together into one text. */
#ifndef CA_PROGRAM_SOURCE_H
#define CA_PROGRAM_SOURCE_H

#include <stddef.h>

#include "report.h"

typedef struct ca_source_file {
  const char *name; /* "tiled_attention.cl", "lib/mask.clh" */
  const char *text; /* ends with a zero byte that `bytes` does not count */
  size_t bytes;
} ca_source_file;

/* Ends with a NULL name. Made at build time by tools/cmake/embed.cmake. */
extern const ca_source_file ca_embedded_sources[];

/* The text of `name` with its `#include "..."` lines resolved (each file once, as if it had an include guard) and
 * #line marks, so that a compiler's message names the real file. The caller frees *text.
 * @param kernel_dir NULL: the embedded files
 * @error CLATTN_INTERNAL where a file is missing */
clattn_status ca_source_assemble(const char *kernel_dir, const char *name, char **text, clattn_report *report);

#endif
