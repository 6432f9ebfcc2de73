/* The attributes of a layer, from the strings of __metadata__. */
#ifndef CLATTN_TOOLS_ATTRIBUTES_H
#define CLATTN_TOOLS_ATTRIBUTES_H

#include "safetensors.h"

typedef struct attributes {
  double scale;                                /* NaN: 1/sqrt(DK) */
  double softcap;                              /* 0: off */
  int64_t is_causal;                           /* 0 or 1 */
  int64_t q_num_heads, kv_num_heads;           /* 0: absent */
  int64_t left_window_size, right_window_size; /* -1: unbounded */
  int64_t qk_matmul_output_mode;               /* -1: absent */
  int64_t softmax_precision;                   /* 0: absent */
  int64_t rotary_interleaved;                  /* 0 or 1 */
  int64_t rotary_embedding_dim;                /* 0: all channels */
} attributes;

/* Every string of __metadata__ must be a known label or parse completely as an attribute in its range. */
bool attributes_take(const st_file *file, attributes *out, st_error *error);

/* Copies what is a label: never refused, carried from input to output. */
bool attributes_copy_labels(const st_file *from, st_file *to);

#endif
