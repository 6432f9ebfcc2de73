/* Inside the planner: rows of variants.def, and what every family's planner shares. */
#ifndef CA_PLAN_FAMILY_H
#define CA_PLAN_FAMILY_H

#include "choice.h"

#define CA_REASON_BYTES 192
#define CA_TYPES_BYTES 32

/* A tile of a kernel family. What the numbers are is written at the family's rows in variants.def. */
typedef struct ca_tile {
  int rows, cols, depth; /* of the tile; depth: of one step of the inner dimension */
  int wg_rows, wg_cols;  /* work-items of a group */
} ca_tile;

/* What a planner is asked. */
typedef struct ca_question {
  const ca_problem *problem;
  const ca_facts *facts;
  ca_operation
      operation; /* of the row: a problem CA_OP_ATTENTION is tried as CA_OP_STAGED too, CA_OP_MAP as CA_OP_SCORES
                  */
  const char *family;
  ca_tile tile;
  bool forced; /* the caller named this family */
} ca_question;

/* Always writes choice->id; true: the choice is complete; false: reason says why not, or is empty where the family is
 * for another kind of device and was not asked for by name. */
typedef bool ca_planner(const ca_question *question, ca_choice *choice, char reason[CA_REASON_BYTES]);

ca_planner ca_plan_reference, ca_plan_tiled, ca_plan_tiled_attention, ca_plan_vector, ca_plan_vector_decode,
    ca_plan_vector_stages, ca_plan_skinny, ca_plan_packed, ca_plan_clblast, ca_plan_merge;

/* Writes the reason and returns false, so that `return ca_refuse(...)` reads well. */
bool ca_refuse(char reason[CA_REASON_BYTES], const char *format, ...) CA_PRINTF(2, 3);

/* The types of an operation on the problem, as ids have them: "f32", "f32bf16". */
void ca_plan_types(const ca_problem *problem, ca_operation operation, char text[CA_TYPES_BYTES]);

/* FAMILY_OPERATION_TYPE_dDK[vDV][_TILE]; tile_text may be NULL. */
void ca_plan_id(const ca_question *question, const char *tile_text, ca_choice *choice);

/* What holds for every family: sizes that fit the kernels' 32-bit arguments, qk only where scores exist, weights in
 * rows but for `packed`, bytes of arguments. */
bool ca_plan_sizes(const ca_question *question, char reason[CA_REASON_BYTES]);

/* The same for a family that computes in float32: refuses float64 besides. */
bool ca_plan_common(const ca_question *question, char reason[CA_REASON_BYTES]);

/* For a family that has float64: takes it where a tensor is float64, or where it is hinted at and the device has it.
 * Refuses what the device has not. */
bool ca_plan_real(const ca_question *question, ca_choice *choice, char reason[CA_REASON_BYTES]);

/* False where a product of sizes passes 63 bits. */
bool ca_plan_product(const char *name, const int64_t *factor, int count, char reason[CA_REASON_BYTES]);

/* Appends what follows attention in every family: the launch that writes present_key and present_value. */
bool ca_plan_extend(const ca_question *question, ca_choice *choice, char reason[CA_REASON_BYTES]);

/* Appends what follows the score stage in every family where the problem is a map: the launch that makes it. */
bool ca_plan_map(const ca_question *question, ca_choice *choice, char reason[CA_REASON_BYTES]);

/* Whether a run of the operation writes anything at all. */
bool ca_plan_writes(const ca_question *question);

/* Elements of scores [B,HQ,SQ,SK], rows [B,HQ,SQ] and outputs [B,HQ,SQ,DV]: ca_plan_common has seen that they fit. */
int64_t ca_plan_rows(const ca_problem *problem);
int64_t ca_plan_scores(const ca_problem *problem);
int64_t ca_plan_outputs(const ca_problem *problem);

/* Columns of all parts of a projection; the channels of the widest head that rotates, 0 without. */
int64_t ca_plan_columns(const ca_problem *problem);
int64_t ca_plan_widest_head(const ca_problem *problem);

/* Dense scores (choice->real_bytes each) in the workspace: false where they are more than the device can hold in one
 * buffer. */
bool ca_plan_score_workspace(const ca_question *question, ca_choice *choice, char reason[CA_REASON_BYTES]);
bool ca_plan_workspace(const ca_question *question, int64_t elems, ca_choice *choice, char reason[CA_REASON_BYTES]);

/* Work-groups for `items` groups' worth of work that a kernel takes in turn: all of them, or as many as suit the
 * device. */
size_t ca_plan_groups(const ca_facts *facts, int64_t items, size_t group_size);

/* Appends a launch of stage with groups * group_size work-items in one dimension; the caller fills options. */
ca_launch *ca_plan_launch(ca_choice *choice, ca_stage stage, const char *source, const char *kernel, size_t groups,
                          size_t group_size, size_t local_memory_bytes);

/* How many parts from `first` on have weights of one type, for kernels that are compiled for it; an absent part is like
 * those before it. The type; 0 for an absent part. */
int ca_plan_parts_alike(const ca_problem *problem, int first);
int32_t ca_plan_weight_type(const ca_problem *problem, int part);

/* Says which parts of a projection a launch makes. */
void ca_plan_part(ca_launch *launch, int part, int n_parts);

/* False where the device's local memory or work-groups are too small. */
bool ca_plan_fits(const ca_facts *facts, size_t group_size, size_t local_memory_bytes, char reason[CA_REASON_BYTES]);

/* The work-group of kernels that suit any size: a power of two, which reductions halve, within the device's limit. */
size_t ca_plan_group_size(const ca_facts *facts);

/* The caller names this very tile of a CPU family: rules of speed do not count. */
bool ca_plan_is_named(const ca_question *question, const char *id);

/* Vectors of the device's own width; by name any, where it has vectors at all. */
bool ca_plan_lanes(const ca_question *question, const char *id, int lanes, char reason[CA_REASON_BYTES]);

/* Columns of the panels in which `packed` wants weights of a type on the device, or as the tile that a variant names in
 * full; 0: rows. */
int32_t ca_plan_panel(const ca_tile *tile, const ca_facts *facts, int32_t dtype, const char *variant);

/* A size that a kernel for CPUs rounds up to whole tiles in 32 bits; E and N of a projection. */
bool ca_plan_roundable(const char *name, int64_t size, char reason[CA_REASON_BYTES]);
bool ca_plan_roundable_projection(const ca_question *question, char reason[CA_REASON_BYTES]);

/* False where heads that rotate are wider than the columns of a work-item. */
bool ca_plan_heads_rotate(const ca_problem *problem, int columns, char reason[CA_REASON_BYTES]);

#endif
