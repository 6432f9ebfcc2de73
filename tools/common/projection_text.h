/* A projection as text, and as tensors: `op=projection,b=2,s=17,e=9,h=2,d=16,w_type=f16,packed=1,rotary=ids`. Every key
 * but for its default may be left out.
 *
 * b s e h d             1 1 1 1 2; tokens, width, heads and their channels: x is [B,S,E], w is [H*D,E]
 * x_type w_type y_type  f32; of the bias as of x; cache_type is that of the cosines and sines
 * x_layout ...          dense; also of w y cache
 * flat                  0; 1: y is [B,S,H*D], not [B,H,S,D]
 * bias packed           0; packed: the weights are packed once, for the variant that reads them
 * rotary                none; see PROJECTION_ROTARY_LIST
 * interleaved rotary_dim position_offset   0
 * hk                    0; else Q (h heads), K and V (hk heads) of one x
 * dv                    d; of V
 * absent                0; bits of Q, K and V that are not made
 * mixed                 0; bits of K and V whose weights have another type
 * sliced                0; 1: q, k and v are slices of one buffer [B,S,columns of all three]
 * variant seed          an id, a leading part of one, or FAMILY/TILE; 0 */
#ifndef CLATTN_TOOLS_PROJECTION_TEXT_H
#define CLATTN_TOOLS_PROJECTION_TEXT_H

#include "problem_text.h"

/* Where the rows of cosines and sines come from. X(name in the text) */
#define PROJECTION_ROTARY_LIST(X)                                                                                      \
  X(none)   /* nothing rotates */                                                                                      \
  X(offset) /* token i takes row position_offset + i */                                                                \
  X(ids)    /* position_ids, some outside of the cache */                                                              \
  X(dense)  /* a cache [B,S,R/2] */
typedef enum projection_rotary {
#define PROJECTION_ROTARY_ENUM(name) PROJECTION_ROTARY_##name,
  PROJECTION_ROTARY_LIST(PROJECTION_ROTARY_ENUM)
#undef PROJECTION_ROTARY_ENUM
      PROJECTION_ROTARY_COUNT
} projection_rotary;

/* Every key: X(name, unsaid, least, most, words: NULL, or what stands for each value in the text). What is 0 by default
 * is the smallest, but for sizes. */
#define PROJECTION_LIST(X)                                                                                             \
  X(b, 1, 1, INT32_MAX, NULL)                                                                                          \
  X(s, 1, 0, INT32_MAX, NULL)                                                                                          \
  X(e, 1, 1, INT32_MAX, NULL)                                                                                          \
  X(h, 1, 1, INT32_MAX, NULL)                                                                                          \
  X(d, 2, 1, 512, NULL)                                                                                                \
  X(x_type, CLATTN_F32, CLATTN_F32, CLATTN_F64, problem_dtype_words)                                                   \
  X(w_type, CLATTN_F32, CLATTN_F32, CLATTN_F64, problem_dtype_words)                                                   \
  X(y_type, CLATTN_F32, CLATTN_F32, CLATTN_F64, problem_dtype_words)                                                   \
  X(cache_type, CLATTN_F32, CLATTN_F32, CLATTN_F64, problem_dtype_words)                                               \
  X(x_layout, 0, 0, PROBLEM_LAYOUT_constant, problem_layout_words)                                                     \
  X(w_layout, 0, 0, PROBLEM_LAYOUT_constant, problem_layout_words)                                                     \
  X(y_layout, 0, 0, PROBLEM_LAYOUT_reversed, problem_layout_words)                                                     \
  X(cache_layout, 0, 0, PROBLEM_LAYOUT_constant, problem_layout_words)                                                 \
  X(flat, 0, 0, 1, NULL)                                                                                               \
  X(bias, 0, 0, 1, NULL)                                                                                               \
  X(packed, 0, 0, 1, NULL)                                                                                             \
  X(rotary, 0, 0, PROJECTION_ROTARY_COUNT - 1, projection_rotary_words)                                                \
  X(interleaved, 0, 0, 1, NULL)                                                                                        \
  X(rotary_dim, 0, 0, 512, NULL)                                                                                       \
  X(position_offset, 0, 0, INT32_MAX, NULL)                                                                            \
  X(hk, 0, 0, INT32_MAX, NULL)                                                                                         \
  X(dv, 0, 0, 512, NULL)                                                                                               \
  X(absent, 0, 0, 6, NULL)                                                                                             \
  X(mixed, 0, 0, 3, NULL)                                                                                              \
  X(sliced, 0, 0, 1, NULL)                                                                                             \
  X(seed, 0, 0, INT64_MAX, NULL)

typedef enum projection_key {
#define PROJECTION_ENUM(name, unsaid, least, most, words) PROJECTION_##name,
  PROJECTION_LIST(PROJECTION_ENUM)
#undef PROJECTION_ENUM
      PROJECTION_KEYS
} projection_key;

typedef struct projection_text {
  int64_t value[PROJECTION_KEYS];
  char variant[PROBLEM_VARIANT_BYTES]; /* "": the library chooses */
} projection_text;

bool projection_is(const char *text); /* a projection's text at all */
bool projection_parse(const char *text, projection_text *p, st_error *error);

/* The shortest text that projection_parse takes back to the same projection. */
void projection_print(const projection_text *p, char text[PROBLEM_TEXT_BYTES]);

/* The projection of a text without any key, a key's default and least value; and whether the values go together. */
projection_text projection_defaults(void);
int64_t projection_unsaid(projection_key key);
int64_t projection_least(projection_key key);
int64_t projection_dv(const projection_text *p); /* channels of V's heads: d where dv is unsaid */
bool projection_check(const projection_text *p, st_error *error);

/* As problem_drop and problem_variant. */
void projection_drop(projection_text *p, const projection_key *keys, size_t n, char dropped[PROBLEM_TEXT_BYTES]);
const char *projection_variant(const projection_text *p, char id[PROBLEM_VARIANT_BYTES]);

/* Appends the tensor that the library calls by this slot (CLATTN_X W BIAS COS_CACHE SIN_CACHE POSITION_IDS, and
 * W_Q BIAS_Q ... with hk), dense,
 * under the slot's text as its name; nothing where the projection has none. The same on every machine, by the seed. */
bool projection_fill(const projection_text *p, int32_t slot, st_file *file, st_error *error);

#endif
