/* A trial: a small problem, its tensors on the host, and what must come out of it. */
#ifndef CA_SELFTEST_TRIAL_H
#define CA_SELFTEST_TRIAL_H

#include <stdbool.h>

#include "clattn/clattn.h"
#include "report.h"

/* How a tensor of four dimensions [B,H,S,D] lies in memory. */
typedef enum ca_trial_layout {
  CA_TRIAL_DENSE,  /* [B,H,S,D] */
  CA_TRIAL_TOKENS, /* [B,S,H,D] */
  CA_TRIAL_PACKED  /* the same, as the first third of wider rows: packed Q, K and V */
} ca_trial_layout;

/* One tensor. Elements are counted by its dimensions, whatever the layout. */
typedef struct ca_part {
  clattn_tensor view; /* rank 0: absent */
  bool output;
  void *data;
  size_t bytes;
  double *want,
      *allowed; /* of an output, by element (NULL: not judged); a want that is no number asks for anything not finite */
} ca_part;

typedef struct ca_trial ca_trial;
typedef clattn_status ca_trial_planner(clattn_context *context, const ca_trial *trial, const char *variant,
                                       clattn_plan **plan, clattn_report *report);

struct ca_trial {
  char text[256];  /* the problem */
  const void *row; /* of the table that it comes from */
  ca_trial_planner *plan;
  const char *judges; /* NULL: the variants; else what is judged by it, whichever variant runs */
  bool by_family;     /* one variant of each family, the planner's choice: each has to be compiled for this trial */
  bool failed;        /* no memory */
  uint64_t random;
  ca_part part[CLATTN_SLOT_COUNT]; /* by slot */
};

/* A table of trials: makes number `index` of `count`. */
typedef struct ca_trial_table {
  int count;
  void (*make)(int index, ca_trial *trial);
} ca_trial_table;

extern const ca_trial_table ca_attention_trials, ca_scores_trials, ca_extend_trials, ca_softmax_trials,
    ca_values_trials, ca_projection_trials, ca_merge_trials, ca_map_trials;

/* Adds to the text. */
void ca_trial_say(ca_trial *trial, const char *format, ...) CA_PRINTF(2, 3);

/* Adds a tensor; without memory the trial has failed, and the part no elements. Inputs are then stored element by
 * element, outputs get want and allowed. */
ca_part *ca_trial_add(ca_trial *trial, clattn_slot slot, bool output, clattn_tensor view);

/* A view of four dimensions in a layout. */
clattn_tensor ca_trial_view(clattn_dtype dtype, ca_trial_layout layout, const int64_t dim[4]);

int64_t ca_part_count(const ca_part *part);
double ca_part_load(const ca_part *part, int64_t element);
void ca_part_store(ca_part *part, int64_t element, double value);

/* A number in [-1, 1), the same on every machine; a part full of them. */
double ca_trial_random(ca_trial *trial);
void ca_trial_fill(ca_trial *trial, ca_part *part, double largest);

/* What is promised of an element: `size` is the sum of the absolute terms of its sum, `score` the row's largest score
 * by absolute terms; in float64 where the trial has such a tensor. */
double ca_trial_allow(const ca_trial *trial, clattn_dtype dtype, double value, double size, double score);

/* Fills the outputs with what is no number, so that what is not written does not pass. */
void ca_trial_poison(ca_trial *trial);

/* The largest error as a share of what is allowed; infinity where a number is none, or where something between the
 * elements of an output was written. Overwrites the outputs. */
double ca_trial_error(ca_trial *trial);

void ca_trial_free(ca_trial *trial);

#endif
