/* One program: loaded from disk, or built from source. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cache_files.h"
#include "program_parts.h"
#include "quirks.h"
#include "source.h"

#define LANGUAGE "-cl-std=CL1.2 " /* what every kernel is written in, whatever a device's default is */
#define LANGUAGE_VERSION 120
#define APART " -DCA_BUILD="
#define ROOM_BYTES ((size_t)384 << 20)
#define ATTEMPT_SECONDS INT64_C(86400) /* how long nobody tries again */

static bool has_quirk(const ca_program *program, uint32_t bits) { return (program->cache->facts.quirks & bits) != 0; }

/* Binaries that are left alone: such a program is built in each process (quirks.def says why). */
static bool keeps_binary(const ca_program *program)
{
  const uint32_t unsafe =
      CA_QUIRK_BIT(binary_abort) | CA_QUIRK_BIT(binary_untried) | CA_QUIRK_BIT(binary_files_removed);
  return !has_quirk(program, unsafe) && (program->lone || !has_quirk(program, CA_QUIRK_BIT(slow_binary)));
}

/* Whether somebody tries, or did not long ago. */
static bool was_tried(const ca_program_cache *cache, const char *mark, int64_t now)
{
  unsigned char *bytes = NULL;
  ca_cache_entry entry;
  int64_t then = 0;
  bool tried = ca_entry_load(cache, mark, &bytes, &entry) && entry.payload.bytes == sizeof then;
  if (tried) {
    memcpy(&then, entry.payload.data, sizeof then);
    tried = now >= then && now - then < ATTEMPT_SECONDS;
  }
  free(bytes);
  return tried;
}

/* Whether the program is built apart from those of other processes, so that its binary may be taken. The driver's own
 * cache does not serve it then; so one process tries, and a mark on disk that stays until the binary is there sends
 * those beside it and after it the usual way: whatever goes wrong, the driver's end included, goes wrong once a day. */
static bool begins_apart(ca_program *program, const char *text, const char *options)
{
  if (!keeps_binary(program) || !has_quirk(program, CA_QUIRK_BIT(binary_race))) return false;
  const int64_t now = (int64_t)time(NULL);
  char *mark = ca_cache_key(program->cache, "attempt", options, text);
  if (mark && !was_tried(program->cache, mark, now) &&
      ca_entry_save(program->cache, mark, NULL, (ca_bytes){&now, sizeof now})) {
    program->attempt = mark;
    return true;
  }
  free(mark);
  return false;
}

static void end_attempt(ca_program *program)
{
  if (program->attempt) ca_entry_drop(program->cache, program->attempt);
  free(program->attempt);
  program->attempt = NULL;
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

/* A macro that no kernel reads gives the driver's files of this build a name that no other build has. */
static cl_int build_apart(const ca_program *program, cl_program cl, const char *options)
{
  char name[CA_UNIQUE_NAME_BYTES];
  ca_unique_name(program, name);
  const size_t bytes = strlen(options) + sizeof APART + sizeof name;
  char *own = malloc(bytes);
  if (!own) return CL_OUT_OF_HOST_MEMORY;
  snprintf(own, bytes, "%s" APART "%s", options, name);
  const cl_int error = clBuildProgram(cl, 1, &program->cache->device, own, NULL, NULL);
  free(own);
  return error;
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
  error = begins_apart(program, text, options) ? build_apart(program, cl, options)
                                               : clBuildProgram(cl, 1, &program->cache->device, options, NULL, NULL);
  if (error) {
    end_attempt(program);
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
  if (!keeps_binary(program)) return false;
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

/* Whether a driver that does not ask will find the memory it takes a binary in (quirks.def). */
static bool has_room(void)
{
  void *volatile room = malloc(ROOM_BYTES); /* volatile: or no memory would be asked for at all */
  const bool good = room != NULL;
  free(room);
  return good;
}

/* The device's binary; the caller frees it. NULL: the driver has none. */
static unsigned char *take_binary(const ca_program *program, size_t *binary_bytes)
{
  size_t index, count;
  if (has_quirk(program, CA_QUIRK_BIT(binary_room)) && !has_room()) return NULL;
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

bool ca_program_write(ca_program *program)
{
  ca_bytes payload = {NULL, 0};
  if (!keeps_binary(program)) return false;
  if (has_quirk(program, CA_QUIRK_BIT(binary_race)) && !program->attempt) return false;
  unsigned char *binary = take_binary(program, &payload.bytes);
  payload.data = binary;
  const bool good = binary && ca_entry_save(program->cache, program->key, program->warm, payload);
  if (good) end_attempt(program);
  free(binary);
  return good;
}
