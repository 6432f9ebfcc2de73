/* The handles' insides, for the files of this room alone. */
#ifndef CA_API_OBJECTS_H
#define CA_API_OBJECTS_H

#include <stdatomic.h>

#include "choice.h"
#include "clattn/clattn.h"
#include "launch.h"
#include "lock.h"
#include "program.h"
#include "select.h"
#include "tuned.h"

/* Plans and weights hold a reference, so that objects may be destroyed in any order. */
struct clattn_context {
  atomic_int references;
  cl_context cl;
  cl_device_id device;
  ca_facts facts;
  ca_program_cache *programs;
  ca_tuned tuned;   /* what facts.tuned points to, but in a selftest's context */
  ca_lock planning; /* CLBlast and first launches are not run side by side */
  ca_lock judging;  /* guards facts.wrong_variants, which a selftest writes, and failed */
  /* Lines "ID: why" of variants that could not be made here, none tried again; a plan's own failures need the rest. */
  char failed[CA_SELECTION_BYTES / 2];
  clattn_context *parent; /* of a selftest's own context, which borrows cl and programs; else NULL */
};

struct clattn_weights {
  atomic_int references;
  clattn_context *context;
  cl_mem mem;
  clattn_tensor tensor; /* [N,E], dense where they are rows */
  int32_t panel;        /* columns of a panel; 0: rows */
};

struct clattn_plan {
  clattn_context *context;
  clattn_weights *weights[CA_MAX_PARTS]; /* of a projection's parts, or NULL */
  ca_problem problem;                    /* its variant is NULL: the text was the caller's */
  ca_choice choice;
  cl_kernel kernel[CA_MAX_LAUNCHES]; /* NULL for CLBlast */
  ca_lock launching;                 /* a kernel's arguments and its enqueueing belong together */
  clattn_program_origin origin;
  double plan_ms, build_ms;
  char selection[CA_SELECTION_BYTES];
};

clattn_context *ca_context_retain(clattn_context *context);
clattn_weights *ca_weights_retain(clattn_weights *weights);

/* Makes a context on a device whose facts are known; the limits of the options are applied. */
clattn_status ca_context_open(cl_context cl, cl_device_id device, const ca_facts *facts,
                              const clattn_context_options *options, clattn_context **context, clattn_report *report);

/* Reads the rows of this device: of the file that the options name (NULL: the default one, "": none), and the built-in
 * ones. What cannot be read is only told, in the report's detail. */
void ca_context_read_tuning(clattn_context *context, const char *path, clattn_report *report);
void ca_context_free_tuning(clattn_context *context);

/* Takes over what an earlier selftest of this device found wrong. */
void ca_context_recall_verdict(clattn_context *context);

/* Compiles a small kernel and checks what it computes; the verdict is kept in the program cache.
 * @error CLATTN_NO_COMPILER, CLATTN_DEVICE_UNUSABLE */
clattn_status ca_context_probe(clattn_context *context, clattn_report *report);

/* The bytes of a slot's view, at least. */
size_t ca_plan_slot_bytes(const clattn_plan *plan, int32_t slot);

/* Kernel launches of a run. */
uint64_t ca_plan_launches(const clattn_plan *plan);

/* True if a run must bind the slot: the workspace never must, packed weights are there already. */
bool ca_plan_wants(const clattn_plan *plan, int32_t slot);

#endif
