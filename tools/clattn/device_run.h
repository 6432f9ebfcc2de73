/* A device with a queue, the buffers of one run, and what its stages took. */
#ifndef CLATTN_TOOLS_DEVICE_RUN_H
#define CLATTN_TOOLS_DEVICE_RUN_H

#include "clattn/clattn.h"
#include "progress.h"
#include "safetensors.h"

enum { DEVICE_MAX_BUFFERS = 64, DEVICE_MAX_STAGES = 24, DEVICE_MAX_BINDINGS = 16 };

/* The buffers of one stage's run. */
typedef struct device_bindings {
  clattn_binding list[DEVICE_MAX_BINDINGS];
  uint32_t count;
} device_bindings;

/* One plan and what it runs on. */
typedef struct device_stage {
  const char *name; /* lives as long as the program */
  clattn_plan *plan;
  device_bindings bindings;
  char variant[96];
  uint32_t kernels;
  double plan_ms;
  double run_ms;         /* on the device, by its events; filled by device_finish */
  cl_event before, done; /* before: NULL where one kernel's own event says when it began */
} device_stage;

typedef struct device {
  clattn_context *context;
  cl_command_queue queue;
  char name[160];
  clattn_report report; /* of the last call that failed */
  cl_mem buffers[DEVICE_MAX_BUFFERS];
  int n_buffers;
  device_stage stages[DEVICE_MAX_STAGES];
  int n_stages;
  progress *bar;      /* shows the stages; NULL: none */
  bool bar_per_stage; /* the bar advances with each stage */
} device;

/* want: as --device gives it, or NULL. On failure the error names the device's or the driver's fault. */
bool device_open(device *d, const char *want, st_error *error);
void device_close(device *d);

/* A buffer that lives until device_release; empty ones get a byte, since OpenCL has no empty buffers. */
bool device_upload(device *d, const void *data, size_t bytes, cl_mem *out, st_error *error);
bool device_room(device *d, size_t bytes, cl_mem *out, st_error *error);

/* Adds a buffer; a NULL one is left out. */
void device_bind(device_bindings *bindings, clattn_slot slot, cl_mem mem);

/* Adds a stage to the run; takes the plan over. `planned` is the status of making it, with d->report. Everything is
 * planned before anything runs: a driver that compiles would make the stages under way wait, and their times wrong. */
bool device_add(device *d, const char *stage, clattn_status planned, clattn_plan *plan, const device_bindings *bindings,
                st_error *error);

/* Enqueues all stages. */
bool device_submit(device *d, st_error *error);

/* Waits, then reads. */
bool device_read(device *d, cl_mem mem, void *out, size_t bytes, st_error *error);

/* Waits for them and fills in their times. */
bool device_finish(device *d, st_error *error);

/* Releases buffers and stages, for the next run. */
void device_release(device *d);

double clock_ms(void);

#endif
