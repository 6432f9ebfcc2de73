/* Filling the argument structs of ca_shared.h from a problem and its buffers. */
#ifndef CA_ENQUEUE_PACK_H
#define CA_ENQUEUE_PACK_H

#include "launch.h"

/* The argument struct of any stage; which one is written in stages.def. */
typedef union ca_any_args {
  ca_attention_args attention;
  ca_projection_args projection;
  ca_projections_args projections;
  ca_extend_args extend;
  ca_merge_args merge;
  ca_map_args map;
} ca_any_args;

/* Fills the struct of a launch of the choice; *args is zero before. */
void ca_pack(const ca_problem *problem, const ca_choice *choice, const ca_launch *launch,
             const ca_bound bound[CLATTN_SLOT_COUNT], ca_any_args *args);

#endif
