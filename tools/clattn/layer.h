/* A layer: the tensors of a file in their roles, checked against each other, and its attributes. */
#ifndef CLATTN_TOOLS_LAYER_H
#define CLATTN_TOOLS_LAYER_H

#include "attributes.h"

/* X(name in the file) */
#define LAYER_INPUT_LIST(X)                                                                                            \
  X(I)                                                                                                                 \
  X(I_kv)                                                                                                              \
  X(W_Q)                                                                                                               \
  X(W_K)                                                                                                               \
  X(W_V)                                                                                                               \
  X(W_O)                                                                                                               \
  X(b_Q)                                                                                                               \
  X(b_K)                                                                                                               \
  X(b_V)                                                                                                               \
  X(b_O)                                                                                                               \
  X(cos_cache)                                                                                                         \
  X(sin_cache)                                                                                                         \
  X(position_ids)                                                                                                      \
  X(Q)                                                                                                                 \
  X(K)                                                                                                                 \
  X(V)                                                                                                                 \
  X(attn_mask)                                                                                                         \
  X(past_key)                                                                                                          \
  X(past_value)                                                                                                        \
  X(nonpad_kv_seqlen)

typedef enum layer_role {
#define LAYER_INPUT_ENUM(name) LAYER_##name,
  LAYER_INPUT_LIST(LAYER_INPUT_ENUM)
#undef LAYER_INPUT_ENUM
      LAYER_INPUT_COUNT
} layer_role;

typedef struct layer {
  st_file file;
  const st_tensor *input[LAYER_INPUT_COUNT]; /* into file; NULL: absent, or not of the chosen way */
  attributes attr;
  bool projected; /* I and W_*; otherwise Q, K and V */
  bool flat;      /* Y is [B,S,HQ*DV]; otherwise [B,HQ,S,DV] */
  int64_t b, hq, hk, sq, sk, past, dk, dv;
  int64_t e, out; /* width of I and of Z; 0 where there is none */
  int32_t type;   /* of I or Q, K and V or past_*: what outputs are stored as */
  int32_t k_type, v_type;
  int32_t wide; /* between stages: float32, or float64 for float64 */
} layer;

/* Takes the file over, on failure too (it is then freed). */
bool layer_take(st_file *file, layer *out, st_error *error);
void layer_free(layer *layer);

const char *layer_role_name(layer_role role);

#endif
