/* Programs of one context: assembled from kernel sources, found in memory or on disk, or built. */
#ifndef CA_PROGRAM_PROGRAM_H
#define CA_PROGRAM_PROGRAM_H

#include <CL/cl.h>
#include <stdbool.h>

#include "facts.h"

typedef struct ca_program_cache ca_program_cache; /* one per context; thread-safe */
typedef struct ca_program ca_program;             /* owned by its cache, lives as long */

typedef struct ca_program_cache_options {
  const char *cache_dir;  /* NULL: no disk cache */
  const char *kernel_dir; /* NULL: the embedded sources */
} ca_program_cache_options;

/* Retains cl and device. */
clattn_status ca_program_cache_create(cl_context cl, cl_device_id device, const ca_facts *facts,
                                      const ca_program_cache_options *options, ca_program_cache **cache,
                                      clattn_report *report);
void ca_program_cache_destroy(ca_program_cache *cache);

/* The program of a source file under build options: from memory, from disk, or built, in that order. Threads that ask
 * for the same program wait for one build; others build side by side. `lone`: it has one kernel, in work-groups of one
 * work-item, so that its binary is worth having where binaries are slow to take (quirks.def). */
clattn_status ca_program_get(ca_program_cache *cache, const char *source, const char *options, bool lone,
                             ca_program **program, clattn_program_origin *origin, clattn_report *report);

/* A new kernel object; the caller releases it. A name that the program lacks is CLATTN_INTERNAL. */
clattn_status ca_program_kernel(ca_program *program, const char *name, cl_kernel *kernel, clattn_report *report);

/* Warm kernels have been launched once, in this process or in the one that stored the binary: a launch compiles
 * nothing more. Marking a kernel warm makes the program dirty; storing writes a dirty program's binary to disk, or
 * does nothing where there is no cache folder or it cannot be written. */
bool ca_program_is_warm(const ca_program *program, const char *kernel);
void ca_program_mark_warm(ca_program *program, const char *kernel);
void ca_program_store(ca_program *program);

/* Small verdicts beside the programs ("probe" -> "ok"), under the same key discipline. False when absent. */
bool ca_program_cache_recall(ca_program_cache *cache, const char *what, char *text, size_t capacity);
void ca_program_cache_remember(ca_program_cache *cache, const char *what, const char *text);

/* Where kernel sources are read from; NULL: the embedded ones. */
const char *ca_program_cache_kernel_dir(const ca_program_cache *cache);

/* The cache folder by environment (CLATTN_CACHE_DIR, XDG_CACHE_HOME/clattn, HOME/.cache/clattn); false: none. */
bool ca_cache_dir_default(char *path, size_t capacity);

#endif
