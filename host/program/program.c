#include "program.h"

#include <stdlib.h>
#include <string.h>

#include "names.h"
#include "program_parts.h"

/* NULL stays NULL; *good becomes false where memory ran out. */
static char *copy_text(const char *text, bool *good)
{
  if (!text) return NULL;
  const size_t bytes = strlen(text) + 1;
  char *copy = malloc(bytes);
  if (copy)
    memcpy(copy, text, bytes);
  else
    *good = false;
  return copy;
}

clattn_status ca_program_cache_create(cl_context cl, cl_device_id device, const ca_facts *facts,
                                      const ca_program_cache_options *options, ca_program_cache **out,
                                      clattn_report *report)
{
  ca_program_cache *cache = calloc(1, sizeof *cache);
  bool good = cache != NULL;
  if (good) {
    cache->facts = *facts;
    const char *dir = options->cache_dir && *options->cache_dir ? options->cache_dir : NULL; /* "" is not the root */
    cache->cache_dir = copy_text(dir, &good);
    cache->kernel_dir = copy_text(options->kernel_dir, &good);
  }
  clattn_status status = CLATTN_OK;
  if (!good) status = ca_fail(report, CLATTN_OUT_OF_HOST_MEMORY, "a program cache of %zu bytes", sizeof *cache);
  cl_int error = status ? CL_SUCCESS : clRetainContext(cl);
  if (error) status = ca_fail_cl(report, error, "clRetainContext");
  if (!status) {
    error = clRetainDevice(device);
    if (error) {
      clReleaseContext(cl);
      status = ca_fail_cl(report, error, "clRetainDevice");
    }
  }
  if (status) {
    if (cache) free(cache->cache_dir);
    if (cache) free(cache->kernel_dir);
    free(cache);
    return status;
  }
  cache->cl = cl;
  cache->device = device;
  ca_lock_init(&cache->lock);
  *out = cache;
  return CLATTN_OK;
}

static void free_program(ca_program *program)
{
  if (program->program) clReleaseProgram(program->program);
  ca_lock_destroy(&program->lock);
  free(program->source);
  free(program->options);
  free(program->key);
  free(program->attempt);
  free(program->warm);
  free(program);
}

void ca_program_cache_destroy(ca_program_cache *cache)
{
  if (!cache) return;
  for (ca_program *program = cache->first; program;) {
    ca_program *next = program->next;
    free_program(program);
    program = next;
  }
  clReleaseDevice(cache->device);
  clReleaseContext(cache->cl);
  ca_lock_destroy(&cache->lock);
  free(cache->cache_dir);
  free(cache->kernel_dir);
  free(cache);
}

static ca_program *new_program(ca_program_cache *cache, const char *source, const char *options, bool lone)
{
  ca_program *program = calloc(1, sizeof *program);
  bool good = program != NULL;
  if (!good) return NULL;
  program->cache = cache;
  program->source = copy_text(source, &good);
  program->options = copy_text(options, &good);
  program->lone = lone;
  ca_lock_init(&program->lock);
  if (good) return program;
  free_program(program);
  return NULL;
}

/* The list's program, unbuilt where it is new; NULL: no memory. */
static ca_program *find_or_add(ca_program_cache *cache, const char *source, const char *options, bool lone)
{
  ca_lock_take(&cache->lock);
  ca_program *program = cache->first;
  while (program && (strcmp(program->source, source) != 0 || strcmp(program->options, options) != 0))
    program = program->next;
  if (!program) {
    program = new_program(cache, source, options, lone);
    if (program) {
      program->next = cache->first;
      cache->first = program;
    }
  }
  ca_lock_give(&cache->lock);
  return program;
}

clattn_status ca_program_get(ca_program_cache *cache, const char *source, const char *options, bool lone,
                             ca_program **out, clattn_program_origin *origin, clattn_report *report)
{
  ca_program *program = find_or_add(cache, source, options, lone);
  if (!program) return ca_fail(report, CLATTN_OUT_OF_HOST_MEMORY, "no memory for the program %s", source);
  ca_lock_take(&program->lock);
  *origin = CLATTN_PROGRAM_MEMORY;
  /* A failure is not kept: memory may be there the next time, and the report has to be filled anew. */
  const clattn_status status = program->program ? CLATTN_OK : ca_program_make(program, origin, report);
  ca_lock_give(&program->lock);
  if (status) return status;
  *out = program;
  return CLATTN_OK;
}

clattn_status ca_program_kernel(ca_program *program, const char *name, cl_kernel *kernel, clattn_report *report)
{
  cl_int error;
  const cl_kernel made = clCreateKernel(program->program, name, &error);
  if (error == CL_INVALID_KERNEL_NAME) {
    ca_fail(report, CLATTN_INTERNAL, "%s has no kernel %s", program->source, name);
    if (report) report->cl_error = error;
    return CLATTN_INTERNAL;
  }
  if (error) return ca_fail_cl(report, error, "clCreateKernel(%s)", name);
  *kernel = made;
  return CLATTN_OK;
}

bool ca_program_is_warm(const ca_program *program, const char *kernel)
{
  ca_lock *lock = &((ca_program *)program)->lock; /* const promises not to change what it guards */
  ca_lock_take(lock);
  const bool warm = ca_has_line(program->warm, kernel);
  ca_lock_give(lock);
  return warm;
}

void ca_program_mark_warm(ca_program *program, const char *kernel)
{
  ca_lock_take(&program->lock);
  const size_t used = program->warm ? strlen(program->warm) : 0, bytes = strlen(kernel);
  char *grown = ca_has_line(program->warm, kernel) ? NULL : realloc(program->warm, used + bytes + 2);
  if (grown) { /* without memory it is warmed once more, another time */
    memcpy(grown + used, kernel, bytes);
    memcpy(grown + used + bytes, "\n", 2);
    program->warm = grown;
    program->dirty = true;
  }
  ca_lock_give(&program->lock);
}

void ca_program_store(ca_program *program)
{
  ca_lock_take(&program->lock);
  if (program->dirty && program->cache->cache_dir && ca_program_write(program)) program->dirty = false;
  ca_lock_give(&program->lock);
}

const char *ca_program_cache_kernel_dir(const ca_program_cache *cache) { return cache->kernel_dir; }
