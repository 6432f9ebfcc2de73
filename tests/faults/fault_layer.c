#include "fault_layer.h"

#include <CL/cl_layer.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

/* Functions that give a status. X(name, parameters, arguments) */
#define STATUS_FUNCTIONS(X)                                                                                            \
  X(clGetPlatformIDs, (cl_uint n, cl_platform_id * ids, cl_uint * count), (n, ids, count))                             \
  X(clGetPlatformInfo, (cl_platform_id p, cl_platform_info what, size_t bytes, void *out, size_t *size),               \
    (p, what, bytes, out, size))                                                                                       \
  X(clGetDeviceIDs, (cl_platform_id p, cl_device_type type, cl_uint n, cl_device_id * ids, cl_uint * count),           \
    (p, type, n, ids, count))                                                                                          \
  X(clGetContextInfo, (cl_context c, cl_context_info what, size_t bytes, void *out, size_t *size),                     \
    (c, what, bytes, out, size))                                                                                       \
  X(clGetCommandQueueInfo, (cl_command_queue q, cl_command_queue_info what, size_t bytes, void *out, size_t *size),    \
    (q, what, bytes, out, size))                                                                                       \
  X(clGetMemObjectInfo, (cl_mem m, cl_mem_info what, size_t bytes, void *out, size_t *size),                           \
    (m, what, bytes, out, size))                                                                                       \
  X(clBuildProgram,                                                                                                    \
    (cl_program p, cl_uint n, const cl_device_id *devices, const char *options,                                        \
     void(CL_CALLBACK * notify)(cl_program, void *), void *user),                                                      \
    (p, n, devices, options, notify, user))                                                                            \
  X(clGetProgramInfo, (cl_program p, cl_program_info what, size_t bytes, void *out, size_t *size),                     \
    (p, what, bytes, out, size))                                                                                       \
  X(clGetProgramBuildInfo,                                                                                             \
    (cl_program p, cl_device_id d, cl_program_build_info what, size_t bytes, void *out, size_t *size),                 \
    (p, d, what, bytes, out, size))                                                                                    \
  X(clSetKernelArg, (cl_kernel k, cl_uint index, size_t bytes, const void *value), (k, index, bytes, value))           \
  X(clGetKernelWorkGroupInfo,                                                                                          \
    (cl_kernel k, cl_device_id d, cl_kernel_work_group_info what, size_t bytes, void *out, size_t *size),              \
    (k, d, what, bytes, out, size))                                                                                    \
  X(clFlush, (cl_command_queue q), (q))                                                                                \
  X(clFinish, (cl_command_queue q), (q))                                                                               \
  X(clWaitForEvents, (cl_uint n, const cl_event *events), (n, events))

/* Functions that enqueue and may give an event. */
#define ENQUEUE_FUNCTIONS(X)                                                                                           \
  X(clEnqueueNDRangeKernel,                                                                                            \
    (cl_command_queue q, cl_kernel k, cl_uint dims, const size_t *offset, const size_t *global, const size_t *local,   \
     cl_uint n, const cl_event *wait, cl_event *event),                                                                \
    (q, k, dims, offset, global, local, n, wait, event))                                                               \
  X(clEnqueueWriteBuffer,                                                                                              \
    (cl_command_queue q, cl_mem m, cl_bool blocking, size_t at, size_t bytes, const void *data, cl_uint n,             \
     const cl_event *wait, cl_event *event),                                                                           \
    (q, m, blocking, at, bytes, data, n, wait, event))                                                                 \
  X(clEnqueueMarkerWithWaitList, (cl_command_queue q, cl_uint n, const cl_event *wait, cl_event *event),               \
    (q, n, wait, event))                                                                                               \
  X(clEnqueueBarrierWithWaitList, (cl_command_queue q, cl_uint n, const cl_event *wait, cl_event *event),              \
    (q, n, wait, event))

/* Functions that make an object; the last argument receives the status. X(name, type, kind, parameters, arguments) */
#define CREATE_FUNCTIONS(X)                                                                                            \
  X(clCreateContext, cl_context, FAULT_context,                                                                        \
    (const cl_context_properties *properties, cl_uint n, const cl_device_id *devices,                                  \
     void(CL_CALLBACK * notify)(const char *, const void *, size_t, void *), void *user, cl_int *code),                \
    (properties, n, devices, notify, user, code))                                                                      \
  X(clCreateCommandQueue, cl_command_queue, FAULT_queue,                                                               \
    (cl_context c, cl_device_id d, cl_command_queue_properties properties, cl_int * code), (c, d, properties, code))   \
  X(clCreateBuffer, cl_mem, FAULT_mem, (cl_context c, cl_mem_flags flags, size_t bytes, void *host, cl_int *code),     \
    (c, flags, bytes, host, code))                                                                                     \
  X(clCreateSubBuffer, cl_mem, FAULT_mem,                                                                              \
    (cl_mem m, cl_mem_flags flags, cl_buffer_create_type type, const void *region, cl_int *code),                      \
    (m, flags, type, region, code))                                                                                    \
  X(clCreateProgramWithSource, cl_program, FAULT_program,                                                              \
    (cl_context c, cl_uint n, const char **texts, const size_t *lengths, cl_int *code), (c, n, texts, lengths, code))  \
  X(clCreateProgramWithBinary, cl_program, FAULT_program,                                                              \
    (cl_context c, cl_uint n, const cl_device_id *devices, const size_t *lengths, const unsigned char **binaries,      \
     cl_int *states, cl_int *code),                                                                                    \
    (c, n, devices, lengths, binaries, states, code))                                                                  \
  X(clCreateKernel, cl_kernel, FAULT_kernel, (cl_program p, const char *name, cl_int *code), (p, name, code))          \
  X(clCreateUserEvent, cl_event, FAULT_event, (cl_context c, cl_int * code), (c, code))

/* X(name, type, kind, step) */
#define COUNT_FUNCTIONS(X)                                                                                             \
  X(clRetainContext, cl_context, FAULT_context, 1)                                                                     \
  X(clReleaseContext, cl_context, FAULT_context, -1)                                                                   \
  X(clRetainCommandQueue, cl_command_queue, FAULT_queue, 1)                                                            \
  X(clReleaseCommandQueue, cl_command_queue, FAULT_queue, -1)                                                          \
  X(clRetainMemObject, cl_mem, FAULT_mem, 1)                                                                           \
  X(clReleaseMemObject, cl_mem, FAULT_mem, -1)                                                                         \
  X(clRetainProgram, cl_program, FAULT_program, 1)                                                                     \
  X(clReleaseProgram, cl_program, FAULT_program, -1)                                                                   \
  X(clRetainKernel, cl_kernel, FAULT_kernel, 1)                                                                        \
  X(clReleaseKernel, cl_kernel, FAULT_kernel, -1)                                                                      \
  X(clRetainEvent, cl_event, FAULT_event, 1)                                                                           \
  X(clReleaseEvent, cl_event, FAULT_event, -1)                                                                         \
  X(clRetainDevice, cl_device_id, FAULT_device, 1)                                                                     \
  X(clReleaseDevice, cl_device_id, FAULT_device, -1)

typedef enum watched {
#define WATCHED_ID(name, ...) WATCHED_##name,
  STATUS_FUNCTIONS(WATCHED_ID) ENQUEUE_FUNCTIONS(WATCHED_ID) CREATE_FUNCTIONS(WATCHED_ID) COUNT_FUNCTIONS(WATCHED_ID)
      WATCHED_clGetDeviceInfo,
  WATCHED_clEnqueueReadBuffer,
  WATCHED_COUNT
} watched;

static const char *const names[WATCHED_COUNT + 1] = {
#define WATCHED_NAME(name, ...) #name,
    STATUS_FUNCTIONS(WATCHED_NAME) ENQUEUE_FUNCTIONS(WATCHED_NAME) CREATE_FUNCTIONS(WATCHED_NAME)
        COUNT_FUNCTIONS(WATCHED_NAME) "clGetDeviceInfo",
    "clEnqueueReadBuffer", NULL};

static cl_icd_dispatch layer;
static const cl_icd_dispatch *next;
static atomic_uint calls[WATCHED_COUNT];
static atomic_int live[FAULT_KIND_COUNT];
static atomic_int armed = -1; /* a watched function, or -1 */
static atomic_uint armed_at, armed_every;
static atomic_int armed_code;
static atomic_int held_function = -1;
static atomic_uint waiting;
static atomic_bool gave_up;
static atomic_bool fired, compiler_hidden, reads_spoilt;

static void wait_while_held(watched function)
{
  const struct timespec moment = {.tv_nsec = 1000000};
  if (atomic_load(&held_function) != (int)function) return;
  atomic_fetch_add(&waiting, 1);
  for (int i = 0; i < HOLD_SECONDS * 1000 && atomic_load(&held_function) == (int)function; i++)
    nanosleep(&moment, NULL);
  if (atomic_load(&held_function) == (int)function) atomic_store(&gave_up, true);
  atomic_fetch_sub(&waiting, 1);
}

/* Counts a call; true: it must fail with *code. */
static bool must_fail(watched function, cl_int *code)
{
  wait_while_held(function);
  const uint32_t call = atomic_fetch_add(&calls[function], 1) + 1;
  if (atomic_load(&armed) != (int)function) return false;
  if (!atomic_load(&armed_every) && call != atomic_load(&armed_at)) return false;
  atomic_store(&fired, true);
  *code = atomic_load(&armed_code);
  return true;
}

#define STATUS_FUNCTION(name, parameters, arguments)                                                                   \
  static cl_int CL_API_CALL layer_##name parameters                                                                    \
  {                                                                                                                    \
    cl_int fault;                                                                                                      \
    return must_fail(WATCHED_##name, &fault) ? fault : next->name arguments;                                           \
  }
STATUS_FUNCTIONS(STATUS_FUNCTION)

#define ENQUEUE_FUNCTION(name, parameters, arguments)                                                                  \
  static cl_int CL_API_CALL layer_##name parameters                                                                    \
  {                                                                                                                    \
    cl_int fault;                                                                                                      \
    if (must_fail(WATCHED_##name, &fault)) return fault;                                                               \
    const cl_int status = next->name arguments;                                                                        \
    if (status == CL_SUCCESS && event) atomic_fetch_add(&live[FAULT_event], 1);                                        \
    return status;                                                                                                     \
  }
ENQUEUE_FUNCTIONS(ENQUEUE_FUNCTION)

#define CREATE_FUNCTION(name, type, kind, parameters, arguments)                                                       \
  static type CL_API_CALL layer_##name parameters                                                                      \
  {                                                                                                                    \
    cl_int fault;                                                                                                      \
    if (must_fail(WATCHED_##name, &fault)) {                                                                           \
      if (code) *code = fault;                                                                                         \
      return NULL;                                                                                                     \
    }                                                                                                                  \
    type object = next->name arguments;                                                                                \
    if (object) atomic_fetch_add(&live[kind], 1);                                                                      \
    return object;                                                                                                     \
  }
CREATE_FUNCTIONS(CREATE_FUNCTION)

#define COUNT_FUNCTION(name, type, kind, step)                                                                         \
  static cl_int CL_API_CALL layer_##name(type object)                                                                  \
  {                                                                                                                    \
    cl_int fault;                                                                                                      \
    if (must_fail(WATCHED_##name, &fault)) return fault;                                                               \
    const cl_int status = next->name(object);                                                                          \
    if (status == CL_SUCCESS) atomic_fetch_add(&live[kind], step);                                                     \
    return status;                                                                                                     \
  }
COUNT_FUNCTIONS(COUNT_FUNCTION)

static cl_int CL_API_CALL layer_clGetDeviceInfo(cl_device_id d, cl_device_info what, size_t bytes, void *out,
                                                size_t *size)
{
  cl_int fault;
  if (must_fail(WATCHED_clGetDeviceInfo, &fault)) return fault;
  const cl_int status = next->clGetDeviceInfo(d, what, bytes, out, size);
  if (status == CL_SUCCESS && out && what == CL_DEVICE_COMPILER_AVAILABLE && atomic_load(&compiler_hidden))
    memset(out, 0, sizeof(cl_bool));
  return status;
}

static cl_int CL_API_CALL layer_clEnqueueReadBuffer(cl_command_queue q, cl_mem m, cl_bool blocking, size_t at,
                                                    size_t bytes, void *data, cl_uint n, const cl_event *wait,
                                                    cl_event *event)
{
  cl_int fault;
  if (must_fail(WATCHED_clEnqueueReadBuffer, &fault)) return fault;
  const cl_int status = next->clEnqueueReadBuffer(q, m, blocking, at, bytes, data, n, wait, event);
  if (status == CL_SUCCESS && event) atomic_fetch_add(&live[FAULT_event], 1);
  if (status == CL_SUCCESS && blocking && bytes && atomic_load(&reads_spoilt)) *(unsigned char *)data ^= 0x40;
  return status;
}

static int find(const char *function)
{
  for (int i = 0; i < WATCHED_COUNT; i++)
    if (!strcmp(names[i], function)) return i;
  return -1;
}

static void arm(const char *function, uint32_t nth, cl_int code)
{
  const int at = find(function);
  atomic_store(&armed, -1);
  atomic_store(&fired, false);
  if (at < 0) return;
  atomic_store(&armed_code, code);
  atomic_store(&armed_every, nth == FAULT_EVERY);
  atomic_store(&armed_at, atomic_load(&calls[at]) + nth);
  atomic_store(&armed, at);
}

static bool disarm(void)
{
  atomic_store(&armed, -1);
  return atomic_exchange(&fired, false);
}

static void hold(const char *function)
{
  atomic_store(&gave_up, false);
  atomic_store(&held_function, find(function));
}

static uint32_t count_held(void) { return atomic_load(&waiting); }

static bool let_go(void)
{
  atomic_store(&held_function, -1);
  return !atomic_exchange(&gave_up, false);
}

static uint32_t count_calls(const char *function)
{
  const int at = find(function);
  return at < 0 ? UINT32_MAX : atomic_load(&calls[at]);
}

static void forget_calls(void)
{
  for (int i = 0; i < WATCHED_COUNT; i++) atomic_store(&calls[i], 0);
}

static int32_t count_live(fault_kind kind) { return atomic_load(&live[kind]); }
static void hide_compiler(bool on) { atomic_store(&compiler_hidden, on); }
static void spoil_reads(bool on) { atomic_store(&reads_spoilt, on); }
static const char *name_of(uint32_t index) { return index < WATCHED_COUNT ? names[index] : NULL; }

extern const fault_layer clattn_fault_layer_table;
const fault_layer clattn_fault_layer_table = {.arm = arm,
                                              .disarm = disarm,
                                              .calls = count_calls,
                                              .forget_calls = forget_calls,
                                              .live = count_live,
                                              .hold = hold,
                                              .held = count_held,
                                              .let_go = let_go,
                                              .hide_compiler = hide_compiler,
                                              .spoil_reads = spoil_reads,
                                              .function = name_of};

CL_API_ENTRY cl_int CL_API_CALL clGetLayerInfo(cl_layer_info what, size_t bytes, void *out, size_t *size)
{
  static const char name[] = "clattn fault layer";
  static const cl_layer_api_version version = CL_LAYER_API_VERSION_100;
  const bool is_name = what == CL_LAYER_NAME;
  if (!is_name && what != CL_LAYER_API_VERSION) return CL_INVALID_VALUE;
  const size_t have = is_name ? sizeof name : sizeof version;
  if (out && bytes < have) return CL_INVALID_VALUE;
  if (out) memcpy(out, is_name ? (const void *)name : (const void *)&version, have);
  if (size) *size = have;
  return CL_SUCCESS;
}

CL_API_ENTRY cl_int CL_API_CALL clInitLayer(cl_uint n, const cl_icd_dispatch *target, cl_uint *count,
                                            const cl_icd_dispatch **out)
{
  if (!target || !count || !out || n < sizeof layer / sizeof(void *)) return CL_INVALID_VALUE;
  next = target;
  layer = *target;
#define WATCH(name, ...) layer.name = layer_##name;
  STATUS_FUNCTIONS(WATCH)
  ENQUEUE_FUNCTIONS(WATCH)
  CREATE_FUNCTIONS(WATCH)
  COUNT_FUNCTIONS(WATCH)
  layer.clGetDeviceInfo = layer_clGetDeviceInfo;
  layer.clEnqueueReadBuffer = layer_clEnqueueReadBuffer;
  *count = sizeof layer / sizeof(void *);
  *out = &layer;
  return CL_SUCCESS;
}
