/* A checked, normalised problem: what `validate` makes of a public descriptor, and all that the rooms behind it read.
 * Every tensor is seen with four dimensions; defaults are resolved; nothing here is OpenCL. */
#ifndef CA_BASE_PROBLEM_H
#define CA_BASE_PROBLEM_H

#include <stdbool.h>

#include "ca_shared.h"
#include "clattn/types.h"

typedef enum ca_operation {
  CA_OP_PROJECTION,
  CA_OP_SCORES,    /* q, k -> qk */
  CA_OP_SOFTMAX,   /* a -> p, lse */
  CA_OP_VALUES,    /* p, v -> y */
  CA_OP_STAGED,    /* q, k, v -> y by the three stages */
  CA_OP_ATTENTION, /* q, k, v -> y, fused */
  CA_OP_MERGE,     /* y1, lse1, y2, lse2 -> y, lse */
  CA_OP_MAP,       /* q, k, lse -> map: scores in bands (map_steps.h) */
  CA_OP_COUNT
} ca_operation;

/* One tensor of a problem. present == false: absent, all else is zero. */
typedef struct ca_tensor {
  bool present, output;
  int32_t dtype;
  int64_t dim[4], stride[4]; /* elements */
  int64_t span_elems;        /* from the first element to one past the last; 0 when empty */
} ca_tensor;

typedef struct ca_attention_problem {
  int64_t b, hq, hk, sq, sk, dk, dv, past; /* sk counts the past too */
  bool causal;
  int64_t offset, window_left, window_right; /* -1 = unbounded */
  int32_t mask_kind;                         /* CA_MASK_* */
  int64_t mask_len;
  int32_t qk_mode; /* CA_QK_*; CA_QK_NONE without qk */
  int32_t softmax_precision;
  double scale, softcap;
} ca_attention_problem;

/* One of the operators that x is multiplied by. */
typedef struct ca_projection_part {
  int32_t w, bias, y; /* slots */
  int64_t h, d;       /* 0 where the part is absent */
  int64_t rotary_dim; /* 0 = no rotation */
  int32_t panel;      /* columns of a panel of packed weights; 0: rows [N,E] */
} ca_projection_part;

#define CA_MAX_PARTS 3

typedef struct ca_projection_problem {
  int64_t b, s, e;
  int n_parts; /* 1, or Q, K and V */
  ca_projection_part part[CA_MAX_PARTS];
  bool interleaved;
  int64_t position_offset;
  int32_t cache_rank;
} ca_projection_problem;

/* Of a map: which part of the matrix, and how it is pooled. The problem's attention is then its largest step's: scores
 * [b,1,sq,sk] of sq rows that one launch makes. */
typedef struct ca_map_problem {
  int64_t b, group; /* all batch items; query heads of a key head */
  int64_t head_first, heads, row_first, rows, key_first, keys;
  int64_t tile_rows, tile_keys; /* 1: not pooled; at most rows and keys */
  int32_t quantity;             /* CA_MAP_* */
  int64_t carry;                /* numbers in the workspace for tiles that go on in the next step; before the scores */
  int64_t row;                  /* of a step: its first row, counted from row_first */
} ca_map_problem;

typedef struct ca_problem {
  ca_operation operation;
  int32_t path;        /* clattn_path, for CA_OP_ATTENTION as it was asked for */
  const char *variant; /* NULL or a leading part of an id; borrowed from the descriptor */
  const char *failed;  /* NULL, or lines "ID: why" of variants that were chosen before and could not be made */
  ca_tensor tensor[CLATTN_SLOT_COUNT]; /* by slot */
  union {
    ca_attention_problem attention; /* scores, softmax, values, staged, attention, merge, map */
    ca_projection_problem projection;
  };
  ca_map_problem map;
} ca_problem;

/* Columns of a part's result; 0 where it is absent. */
int64_t ca_projection_width(const ca_projection_part *part);

/* Elements of a tensor, all dimensions multiplied; a present tensor's product is known not to overflow. */
int64_t ca_tensor_elems(const ca_tensor *t);

/* "f32", "f16": what a variant id calls the problem's types. */
const char *ca_dtype_text(int32_t dtype);
size_t ca_dtype_bytes(int32_t dtype);
const char *ca_slot_text(int32_t slot);
const char *ca_operation_text(ca_operation operation);

#endif
