/* What the planner chose: a variant and the launches it consists of. Pure data; `program` and `enqueue` carry it out.
 */
#ifndef CA_BASE_CHOICE_H
#define CA_BASE_CHOICE_H

#include "facts.h"
#include "problem.h"

/* The contract that a kernel keeps: its arguments and meaning, the same in every family (kernels/README.md). The order
 * of its buffers is in stages.def. */
typedef enum ca_stage {
#define CA_STAGE(name, args, n_slots, ...) CA_STAGE_##name,
#include "stages.def"
#undef CA_STAGE
  CA_STAGE_clblast_gemm, /* no kernel of ours: x w^T into the workspace, by CLBlast */
  CA_STAGE_COUNT
} ca_stage;

/* In stages.def: what is W, BIAS or Y of the launch's second or third part. */
#define CA_OF_PART(part, slot) ((part)*CLATTN_SLOT_COUNT + (slot))

#define CA_MAX_LAUNCHES 6
#define CA_VARIANT_ID_BYTES 96
#define CA_OPTIONS_BYTES 384

/* One kernel launch. */
typedef struct ca_launch {
  ca_stage stage;
  int part, n_parts;              /* of a projection: the parts that it makes */
  const char *source;             /* program file, "tiled_attention.cl" */
  const char *kernel;             /* "tiled_attention" */
  bool lone;                      /* the only kernel of its program, in work-groups of one work-item */
  char options[CA_OPTIONS_BYTES]; /* "-DP_TILE_Q=32 ..." */
  uint32_t dims;
  size_t groups[3], local[3]; /* work-groups and their size; groups of 0: nothing to do */
  size_t local_memory_bytes;  /* by the family's formula, which its acceptor held against the device */
} ca_launch;

typedef struct ca_choice {
  char id[CA_VARIANT_ID_BYTES];
  uint32_t n_launches;
  ca_launch launch[CA_MAX_LAUNCHES];
  size_t workspace_bytes; /* dense [B,HQ,SQ,SK] of real_bytes for the stages; [B*S,N] of the widest part for
                             clblast; partial results [B,HQ,SQ,parts]; else 0 */
  int32_t parts;          /* of a row's keys, with a partial result each; 0: no such split */
  size_t real_bytes;      /* of a number of the computation: 4, or 8 where it is done in double */
  bool tuned;             /* chosen by a tuned row */
} ca_choice;

#endif
