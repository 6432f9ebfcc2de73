/* The fault layer: a shared library that the OpenCL loader (OPENCL_LAYERS) puts between a program and every OpenCL call
 * it makes. It fails calls on order, counts calls and objects, and changes answers. The program that it is loaded into
 * reaches it through this table (fault_layer_find). */
#ifndef TESTS_FAULT_LAYER_H
#define TESTS_FAULT_LAYER_H

#include <stdbool.h>
#include <stdint.h>

#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>

/* X(name): what is counted */
#define FAULT_KINDS(X) X(context) X(queue) X(mem) X(program) X(kernel) X(event) X(device)

typedef enum fault_kind {
#define FAULT_KIND(name) FAULT_##name,
  FAULT_KINDS(FAULT_KIND)
#undef FAULT_KIND
      FAULT_KIND_COUNT
} fault_kind;

#define FAULT_EVERY 0u
#define HOLD_SECONDS 60

typedef struct fault_layer {
  /* The nth call of a function from now on (FAULT_EVERY: each) does nothing and gives `code`. One order at a time. */
  void (*arm)(const char *function, uint32_t nth, cl_int code);
  /* Takes the order back; true if it was carried out. */
  bool (*disarm)(void);
  uint32_t (*calls)(const char *function); /* since forget_calls */
  void (*forget_calls)(void);
  /* References that the program holds: made and retained, less released. */
  int32_t (*live)(fault_kind kind);
  /* Calls of a function wait until let_go, or for HOLD_SECONDS; held: how many wait now. let_go: false if one of them
   * waited for so long. */
  void (*hold)(const char *function);
  uint32_t (*held)(void);
  bool (*let_go)(void);
  /* Devices answer that they have no compiler. */
  void (*hide_compiler)(bool on);
  /* A bit of every buffer that is read flips. */
  void (*spoil_reads)(bool on);
  /* Every function that the layer watches, by index; NULL past the last. */
  const char *(*function)(uint32_t index);
} fault_layer;

/* The layer in this process, or NULL where the loader took none. */
const fault_layer *fault_layer_find(void);

#endif
