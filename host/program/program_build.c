/* One program: loaded from disk, or built from source. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "program_parts.h"
#include "quirks.h"
#include "source.h"

#define LANGUAGE "-cl-std=CL1.2 " /* what every kernel is written in, whatever a device's default is */
#define LANGUAGE_VERSION 120

/* Drivers whose binaries are left alone: each program is built in each process (quirks.def says why). */
static bool uses_binaries(const ca_program_cache *cache)
{
  return !(cache->facts.quirks & (CA_QUIRK_BIT(slow_binary) | CA_QUIRK_BIT(binary_abort)));
}

static clattn_status build_failed(const ca_program *program, cl_program cl, cl_int error, clattn_report *report)
{
  const cl_device_id device = program->cache->device;
  size_t bytes = 0;
  if (error == CL_OUT_OF_HOST_MEMORY || error == CL_OUT_OF_RESOURCES || error == CL_MEM_OBJECT_ALLOCATION_FAILURE)
    return ca_fail_cl(report, error, "building %s", program->source);
  clattn_status status = ca_fail(report, CLATTN_BUILD_FAILED, "%s did not compile with '%s': OpenCL error %d",
                                 program->source, program->options, (int)error);
  if (error == CL_COMPILER_NOT_AVAILABLE)
    status =
        ca_fail(report, CLATTN_NO_COMPILER, "%s: the driver has no compiler for OpenCL C", program->cache->facts.name);
  if (!report) return status;
  report->cl_error = error;
  if (clGetProgramBuildInfo(cl, device, CL_PROGRAM_BUILD_LOG, 0, NULL, &bytes)) return status;
  char *log = calloc(bytes + 1, 1);
  if (log && !clGetProgramBuildInfo(cl, device, CL_PROGRAM_BUILD_LOG, bytes, log, NULL)) ca_report_tail(report, log);
  free(log);
  return status;
}

static clattn_status build_source(ca_program *program, const char *text, const char *options, clattn_report *report)
{
  const ca_facts *facts = &program->cache->facts;
  if (!facts->has_compiler)
    return ca_fail(report, CLATTN_NO_COMPILER, "%s: the driver has no compiler for OpenCL C", facts->name);
  if (facts->opencl_c < LANGUAGE_VERSION)
    return ca_fail(report, CLATTN_NO_COMPILER, "%s: it compiles OpenCL C %d.%d, clattn needs 1.2", facts->name,
                   (int)(facts->opencl_c / 100), (int)(facts->opencl_c / 10 % 10));
  cl_int error;
  cl_program cl = clCreateProgramWithSource(program->cache->cl, 1, &text, NULL, &error);
  if (error) return ca_fail_cl(report, error, "clCreateProgramWithSource(%s)", program->source);
  error = clBuildProgram(cl, 1, &program->cache->device, options, NULL, NULL);
  if (error) {
    const clattn_status status = build_failed(program, cl, error, report);
    clReleaseProgram(cl);
    return status;
  }
  program->program = cl;
  program->dirty = true;
  return CLATTN_OK;
}

/* A binary that the driver no longer takes is no error: it is built anew and overwritten. */
static cl_program build_binary(const ca_program_cache *cache, ca_bytes binary, const char *options)
{
  const unsigned char *bytes = binary.data;
  cl_int refused = CL_SUCCESS, error;
  cl_program cl = clCreateProgramWithBinary(cache->cl, 1, &cache->device, &binary.bytes, &bytes, &refused, &error);
  if (!error && !refused) error = clBuildProgram(cl, 1, &cache->device, options, NULL, NULL);
  if (!error && !refused) return cl;
  if (cl) clReleaseProgram(cl);
  return NULL;
}

static bool load(ca_program *program, const char *options)
{
  unsigned char *bytes = NULL;
  ca_cache_entry entry;
  if (!uses_binaries(program->cache)) return false;
  if (!ca_entry_load(program->cache, program->key, &bytes, &entry)) return false;
  char *warm = entry.warm.bytes ? calloc(entry.warm.bytes + 1, 1) : NULL;
  if (warm) memcpy(warm, entry.warm.data, entry.warm.bytes);
  program->program = build_binary(program->cache, entry.payload, options);
  free(bytes);
  if (!program->program) {
    free(warm);
    return false;
  }
  free(program->warm);
  program->warm = warm;
  return true;
}

clattn_status ca_program_make(ca_program *program, clattn_program_origin *origin, clattn_report *report)
{
  char *text = NULL;
  const size_t bytes = sizeof LANGUAGE + strlen(program->options);
  char *options = malloc(bytes);
  clattn_status status = ca_source_assemble(program->cache->kernel_dir, program->source, &text, report);
  if (status) goto done;
  if (options) snprintf(options, bytes, LANGUAGE "%s", program->options);
  free(program->key); /* of an attempt that failed */
  program->key = options ? ca_cache_key(program->cache, "program", options, text) : NULL;
  if (!program->key) {
    status = ca_fail(report, CLATTN_OUT_OF_HOST_MEMORY, "no memory for the key of %s", program->source);
    goto done;
  }
  *origin = CLATTN_PROGRAM_DISK;
  if (load(program, options)) goto done;
  *origin = CLATTN_PROGRAM_BUILT;
  status = build_source(program, text, options, report);
done:
  free(options);
  free(text);
  return status;
}

/* Where the cache's device stands among the program's: a context of the application's may have several. */
static bool device_index(const ca_program *program, size_t *index, size_t *count)
{
  size_t bytes = 0;
  if (clGetProgramInfo(program->program, CL_PROGRAM_DEVICES, 0, NULL, &bytes)) return false;
  cl_device_id *devices = calloc(bytes + 1, 1);
  bool found = devices && !clGetProgramInfo(program->program, CL_PROGRAM_DEVICES, bytes, devices, NULL);
  *count = bytes / sizeof *devices;
  *index = 0;
  while (found && *index < *count && devices[*index] != program->cache->device) ++*index;
  free(devices);
  return found && *index < *count;
}

/* The device's binary; the caller frees it. NULL: the driver has none. */
static unsigned char *take_binary(const ca_program *program, size_t *binary_bytes)
{
  size_t index, count;
  if (!device_index(program, &index, &count)) return NULL;
  size_t *sizes = calloc(count, sizeof *sizes);
  unsigned char **binaries = calloc(count, sizeof *binaries); /* NULL: that device's is not wanted */
  unsigned char *binary = NULL;
  bool good = sizes && binaries &&
              !clGetProgramInfo(program->program, CL_PROGRAM_BINARY_SIZES, count * sizeof *sizes, sizes, NULL);
  if (good && sizes[index]) {
    *binary_bytes = sizes[index];
    binary = binaries[index] = malloc(sizes[index]);
    good = binary && !clGetProgramInfo(program->program, CL_PROGRAM_BINARIES, count * sizeof *binaries, binaries, NULL);
  }
  free(sizes);
  free(binaries);
  if (good) return binary;
  free(binary);
  return NULL;
}

bool ca_program_write(const ca_program *program)
{
  ca_bytes payload = {NULL, 0};
  if (!uses_binaries(program->cache)) return false;
  unsigned char *binary = take_binary(program, &payload.bytes);
  payload.data = binary;
  const bool good = binary && ca_entry_save(program->cache, program->key, program->warm, payload);
  free(binary);
  return good;
}
