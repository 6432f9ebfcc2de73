/* Filling the argument structs of ca_shared.h from a problem and its buffers. */
#ifndef CA_ENQUEUE_PACK_H
#define CA_ENQUEUE_PACK_H

#include "launch.h"

/* The argument struct of any stage; which one is written in stages.def. */
typedef union ca_any_args {
  ca_attention_args attention;
  ca_projection_args projection;
  ca_extend_args extend;
  ca_merge_args merge;
} ca_any_args;

/* Fills the stage's struct; *args is zero before. real_bytes: the choice's. */
void ca_pack(const ca_problem *problem, ca_stage stage, size_t real_bytes, const ca_bound bound[CLATTN_SLOT_COUNT],
             ca_any_args *args);

#endif
