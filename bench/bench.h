/* Timing: a device with its peaks, problems made ready to run, plans of them.
 *
 *   bench_device d;
 *   bench_problem p;
 *   bench_plan plan;
 *   bench_device_open(&d, NULL, &error) && bench_problem_make(&d, text, &p, &error) &&
 *       bench_plan_make(&p, NULL, &plan, &error);
 *   for each round: bench_device_peaks(&d, &peaks, &error), bench_plan_time(&plan, &ms, &error), ...
 *
 * Machines drift: what is to be compared is timed turn by turn in rounds, the peaks in each round, and medians are
 * told. A problem has one set of tensors for any number of plans (variants). Functions that return false have written
 * the error and made nothing; *_free and bench_device_close take what is zero, too. One thread. */
#ifndef CLATTN_BENCH_H
#define CLATTN_BENCH_H

#include "clattn/clattn.h"
#include "problem_text.h"
#include "projection_text.h"

/* ---- the device ---- */

enum { BENCH_TIMING_MS = 50 /* what a timing lasts at least about */ };

/* A kernel that does a known amount of work. */
typedef struct bench_measure {
  cl_kernel kernel;
  cl_mem sums;
  const char *name;
  size_t items, group;
  int lanes;   /* floats in a vector */
  double work; /* operations, or bytes */
  int runs;    /* of a timing; 0: not known yet */
} bench_measure;

typedef struct bench_device {
  clattn_context *context;
  cl_context cl;
  cl_device_id id;
  cl_command_queue queue; /* in order */
  char name[160];
  size_t units;  /* compute units: threads of a CPU device */
  bool pinned;   /* PoCL was told to keep its threads on their cores */
  bool unpinned; /* or was not, as the library reports */
  bool cpu_time; /* times are those of this process's threads, shared by the units: for CPUs that others use too */
  clattn_report report; /* of the last call of the library: its detail says more than an error can */
  /* Of the peaks, made when they are asked for first. */
  bench_measure peak, read;
  cl_mem memory;
} bench_device;

/* want: as --device gives it, or NULL. */
bool bench_device_open(bench_device *d, const char *want, st_error *error);
void bench_device_close(bench_device *d);

typedef struct bench_peaks {
  double gflops; /* of fused multiply-adds in float32, two operations each */
  double gbytes; /* a second, read from memory beyond all caches */
} bench_peaks;

/* Measures both once. */
bool bench_device_peaks(bench_device *d, bench_peaks *peaks, st_error *error);

/* ---- problems ---- */

/* A problem on a device. Operations: of attention, 2 (DK + DV) for each pair of a query and a key that order, windows
 * and lengths let meet (masks are not looked into); of a projection, 2 for each token, width and column. Bytes: what
 * has to be read from memory even if caches were perfect and activations were there: K and V once, or the weights once.
 */
typedef struct bench_problem {
  bench_device *device;
  char text[PROBLEM_TEXT_BYTES];    /* as it was given */
  char dropped[PROBLEM_TEXT_BYTES]; /* keys that are not honoured here (layouts, poison): tensors lie dense */
  double ops, bytes;
  /* What the plans are made of. */
  bool projects, packs;
  char variant[PROBLEM_VARIANT_BYTES]; /* that the text names; "": none */
  projection_text projection;
  clattn_attention_desc attention_desc;
  clattn_projection_desc projection_desc;
  clattn_qkv_desc qkv_desc; /* of a projection with hk: Q, K and V of one x */
  clattn_binding binding[CLATTN_SLOT_COUNT];
  uint32_t n_bindings;
} bench_problem;

/* Whether the text is a problem at all; opens nothing. */
bool bench_problem_check(const char *text, st_error *error);

/* Fills the problem's tensors and brings them to the device. */
bool bench_problem_make(bench_device *d, const char *text, bench_problem *p, st_error *error);
void bench_problem_free(bench_problem *p);

/* Whether it is Q, K and V of one x. */
bool bench_is_qkv(const bench_problem *p);

/* ---- plans ---- */

/* A problem planned under one variant. Keeps a workspace, and weights packed for the variant. */
typedef struct bench_plan {
  const bench_problem *problem; /* outlives it */
  clattn_plan *plan;
  clattn_weights *weights[3]; /* of Q, K and V; a projection alone has the first */
  cl_mem workspace;
  clattn_plan_info info; /* variant, workspace_bytes, plan_ms, build_ms, origin, tuned */
  int runs;              /* of a timing; 0: none was made yet */
} bench_plan;

/* variant: an id or a leading part of one; NULL: what the text names, else the library chooses. What the library
 * refuses is an error; the device's report then has every reason. */
bool bench_plan_make(bench_problem *p, const char *variant, bench_plan *plan, st_error *error);
void bench_plan_free(bench_plan *plan);

/* Runs the plan so many times, one after the other, and waits. */
bool bench_plan_run(const bench_plan *plan, int runs, double *ms, st_error *error);

/* The milliseconds of one run, by as many runs as make a timing last. The first call runs it a few times before, to
 * learn how many those are; not where one run lasts for many timings. */
bool bench_plan_time(bench_plan *plan, double *ms, st_error *error);

/* ---- sets ---- */

/* The problems of a named set, NULL at their end; NULL where there is no such set. */
const char *const *bench_set(const char *name);

/* The sets' names and what they are, in the order in which they are told; NULL past the last. */
const char *bench_set_name(size_t index);
const char *bench_set_summary(size_t index);

/* ---- figures ---- */

/* Sorts the values, n > 0, and gives the middle of them: of two in the middle, what lies between them. */
double bench_median(double *values, int n);

/* Wall time that only goes on. */
double bench_clock_ms(void);

#endif
