/* What the tests of programs share: tiny kernels in a folder of the test's own, and a context on the device that is
 * here. The including file defines ROOT, the folder. */
#ifndef TESTS_PROGRAM_FIXTURE_H
#define TESTS_PROGRAM_FIXTURE_H

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "asserts.h"
#include "program.h"

#define KERNELS ROOT "/kernels"

/* A context on the first device, with facts that the test may change: they are the cache's key. */
typedef struct fixture {
  cl_context cl;
  cl_device_id device;
  ca_facts facts;
  char platform[128], cache_dir[1024];
} fixture;

static inline void put(const char *path, const void *bytes, size_t n)
{
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(n, fwrite(bytes, 1, n, file));
  assert_int_equal(0, fclose(file));
}

static inline void put_kernels(void)
{
  static const char twice[] =
      "#include \"twice.clh\"\n"
      "kernel void doubled(global int *x) { x[get_global_id(0)] = TWICE(x[get_global_id(0)]) + P_ADD; }\n"
      "kernel void idle(global int *x) { (void)x; }\n";
  static const char lone[] = "#include \"twice.clh\"\n"
                             "kernel __attribute__((reqd_work_group_size(1, 1, 1))) void doubled(global int *x)\n"
                             "{ x[get_global_id(0)] = TWICE(x[get_global_id(0)]) + P_ADD; }\n";
  static const char header[] = "#define TWICE(x) (2 * (x))\n";
  static const char broken[] = "kernel void fine(void) {}\n\nkernel void broken(void) { int i = undeclared_name; }\n";
  mkdir(CLATTN_TEST_SCRATCH, 0700);
  mkdir(ROOT, 0700);
  mkdir(KERNELS, 0700);
  put(KERNELS "/twice.cl", twice, sizeof twice - 1);
  put(KERNELS "/lone.cl", lone, sizeof lone - 1);
  put(KERNELS "/twice.clh", header, sizeof header - 1);
  put(KERNELS "/broken.cl", broken, sizeof broken - 1);
}

static inline int remove_files(const char *dir, const char *holding)
{
  DIR *folder = opendir(dir);
  int found = 0;
  if (!folder) return 0;
  for (struct dirent *entry; (entry = readdir(folder));) {
    if (entry->d_name[0] == '.' || !strstr(entry->d_name, holding)) continue;
    char path[2048];
    snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
    remove(path);
    found++;
  }
  closedir(folder);
  return found;
}

static inline void open_device(fixture *f)
{
  cl_platform_id platform;
  cl_int error;
  assert_int_equal(CL_SUCCESS, clGetPlatformIDs(1, &platform, NULL));
  assert_int_equal(CL_SUCCESS, clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &f->device, NULL));
  assert_int_equal(CL_SUCCESS, clGetPlatformInfo(platform, CL_PLATFORM_NAME, sizeof f->platform, f->platform, NULL));
  f->cl = clCreateContext(NULL, 1, &f->device, NULL, NULL, &error);
  assert_int_equal(CL_SUCCESS, error);
  f->facts = (ca_facts){.has_compiler = 1, .opencl_c = 120, .address_bits = 64, .name = "a device", .driver = "1"};
}

/* A folder of the test's own name, which is not there, nor its parent. */
static inline void empty_folder(fixture *f, const char *name)
{
  char parent[1024];
  snprintf(parent, sizeof parent, "%s/%s", ROOT, name);
  snprintf(f->cache_dir, sizeof f->cache_dir, "%s/%s/deep", ROOT, name);
  remove_files(f->cache_dir, "");
  rmdir(f->cache_dir);
  rmdir(parent);
}

static inline void begin(fixture *f, const char *name)
{
  memset(f, 0, sizeof *f);
  put_kernels();
  empty_folder(f, name);
  open_device(f);
}

static inline void end(fixture *f) { clReleaseContext(f->cl); }

static inline ca_program_cache *open_cache(const fixture *f, const char *cache_dir)
{
  const ca_program_cache_options options = {.cache_dir = cache_dir, .kernel_dir = KERNELS};
  ca_program_cache *cache = NULL;
  clattn_report report = {.status = CLATTN_OK};
  assert_status(CLATTN_OK, ca_program_cache_create(f->cl, f->device, &f->facts, &options, &cache, &report), &report);
  return cache;
}

static inline ca_program *get(ca_program_cache *cache, const char *options, clattn_program_origin expected)
{
  ca_program *program = NULL;
  clattn_program_origin origin = CLATTN_PROGRAM_NONE;
  clattn_report report = {.status = CLATTN_OK};
  assert_status(CLATTN_OK, ca_program_get(cache, "twice.cl", options, false, &program, &origin, &report), &report);
  assert_int_equal(expected, origin);
  return program;
}

/* Runs the kernel; the result must be 2 * 20 + add. */
static inline void run(const fixture *f, ca_program *program, int add)
{
  cl_kernel kernel = NULL;
  cl_int error, x = 20;
  const size_t size = 1;
  assert_status(CLATTN_OK, ca_program_kernel(program, "doubled", &kernel, NULL), NULL);
  cl_command_queue queue = clCreateCommandQueue(f->cl, f->device, 0, &error);
  assert_int_equal(CL_SUCCESS, error);
  cl_mem mem = clCreateBuffer(f->cl, CL_MEM_COPY_HOST_PTR, sizeof x, &x, &error);
  assert_int_equal(CL_SUCCESS, error);
  assert_int_equal(CL_SUCCESS, clSetKernelArg(kernel, 0, sizeof mem, &mem));
  assert_int_equal(CL_SUCCESS, clEnqueueNDRangeKernel(queue, kernel, 1, NULL, &size, &size, 0, NULL, NULL));
  assert_int_equal(CL_SUCCESS, clEnqueueReadBuffer(queue, mem, CL_TRUE, 0, sizeof x, &x, 0, NULL, NULL));
  assert_int_equal(40 + add, x);
  clReleaseMemObject(mem);
  clReleaseCommandQueue(queue);
  clReleaseKernel(kernel);
}

#endif
