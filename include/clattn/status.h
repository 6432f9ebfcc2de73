/* clattn status codes: one list yields the enum, the names and the texts.
 * Families: 0 done; -1.. the caller's mistake; -20.. legal but not supported here (reasons in the report);
 * -30.. out of memory; -40.. OpenCL failed; -50.. no usable device; -60.. a fault of clattn or of a kernel folder. */
#ifndef CLATTN_STATUS_H
#define CLATTN_STATUS_H

/* X(name, value, text) */
#define CLATTN_STATUS_LIST(X)                                                                                          \
  X(CLATTN_OK, 0, "done")                                                                                              \
  X(CLATTN_INVALID_ARGUMENT, -1, "an argument is NULL or out of its range")                                            \
  X(CLATTN_INVALID_STRUCT, -2, "a descriptor's struct_size is unknown, or fields beyond this version are set")         \
  X(CLATTN_INVALID_DTYPE, -3, "a tensor has an element type that its role does not allow")                             \
  X(CLATTN_INVALID_SHAPE, -4, "shapes do not fit together")                                                            \
  X(CLATTN_INVALID_VALUE, -5, "an attribute is out of its range")                                                      \
  X(CLATTN_INVALID_BINDING, -6, "a buffer is missing, surplus, bound twice or misaligned")                             \
  X(CLATTN_INVALID_QUEUE, -7, "the queue belongs to another context or device")                                        \
  X(CLATTN_BUFFER_TOO_SMALL, -8, "a bound buffer is smaller than its view")                                            \
  X(CLATTN_OVERLAP, -9, "an output overlaps another tensor")                                                           \
  X(CLATTN_UNKNOWN_VARIANT, -10, "no variant of that name exists")                                                     \
  X(CLATTN_UNSUPPORTED, -20, "no variant takes this problem on this device; the report lists the reasons")             \
  X(CLATTN_OUT_OF_HOST_MEMORY, -30, "out of host memory")                                                              \
  X(CLATTN_OUT_OF_DEVICE_MEMORY, -31, "out of device memory")                                                          \
  X(CLATTN_OPENCL_FAILED, -40, "an OpenCL call failed; the report has its code")                                       \
  X(CLATTN_BUILD_FAILED, -41, "a kernel did not compile; the report has the compiler's log")                           \
  X(CLATTN_NO_PLATFORM, -50, "no OpenCL platform: install a driver, or pocl-opencl-icd for the CPU")                   \
  X(CLATTN_NO_DEVICE, -51, "no OpenCL platform has a device: install a driver, or pocl-opencl-icd for the CPU")        \
  X(CLATTN_NO_COMPILER, -52, "the device has no compiler for OpenCL C")                                                \
  X(CLATTN_DEVICE_NOT_FOUND, -53, "no device matches the one asked for")                                               \
  X(CLATTN_DEVICE_UNUSABLE, -54, "the device failed the probe: its driver does not compile or computes wrongly")       \
  X(CLATTN_INTERNAL, -60, "a fault inside clattn, or kernel sources that do not belong to this build")

typedef enum clattn_status {
#define CLATTN_STATUS_ENUM(name, value, text) name = value,
  CLATTN_STATUS_LIST(CLATTN_STATUS_ENUM)
#undef CLATTN_STATUS_ENUM
} clattn_status;

#endif
