/* A problem as text, and as tensors: `b=2,hq=8,hk=2,sq=77,sk=333,dk=64,dtype=f16,causal=1,seed=7`. What tests print
 * when they fail is what the command and the benchmarks take. Every key but for its default may be left out; the table
 * in problem_text.c has them all.
 *
 * b hq hk sq sk dk dv   1 1 hq 1 sq 64 dk; sk counts the tokens of K, past comes before them
 * past nonpad           0; nonpad: a length of each batch item, 3:0:7
 * causal left right     0 -1 -1
 * offset                of the queries; unsaid, as in ONNX
 * scale softcap         1/sqrt(dk), 0
 * mask                  none; see PROBLEM_MASK_LIST
 * mask_rank mask_shared 4 h; of b h q, what the mask does not tell apart, or none (pad: hq)
 * mask_short            0; keys that its last dimension lacks
 * mask_closed           0; 1: it closes every key for row 2 of 3
 * present lse qk        none 0 -1; the outputs besides Y: of k v, whether, and at which point
 * precision             0; softmax_precision
 * dtype                 f32; of Q, and of k_type v_type y_type mask_type qk_type; lse_type is f32, or f64 as Q
 * q_layout ...          dense; also of k v y mask lse qk. past and present lie as k and v do
 * fill poison           order none
 * path variant          auto; an id, a leading part of one, or FAMILY/TILE
 * seed                  0 */
#ifndef CLATTN_TOOLS_PROBLEM_TEXT_H
#define CLATTN_TOOLS_PROBLEM_TEXT_H

#include "safetensors.h"

/* X(name in the text) */
#define PROBLEM_MASK_LIST(X)                                                                                           \
  X(none)                                                                                                              \
  X(bool)     /* boolean, true for three keys of four */                                                               \
  X(float)    /* additive, of order one */                                                                             \
  X(pad)      /* boolean, true up to a length of each batch item */                                                    \
  X(edges)    /* boolean: every other row sees keys from a place on that moves with it, the others up to it */         \
  X(infinite) /* additive, -inf for three keys of ten */                                                               \
  X(lowest)   /* additive, 0 or the type's lowest finite value, which it is for all of row 1 of 4 */

/* Where elements lie; tests/support/box.h says how. */
#define PROBLEM_LAYOUT_LIST(X) X(dense) X(tokens) X(gaps) X(spread) X(reversed) X(shared) X(constant)

#define PROBLEM_FILL_LIST(X)                                                                                           \
  X(order) /* mean 0, variance 1 */                                                                                    \
  X(equal) /* every q and k the same, every v the same */                                                              \
  X(large) /* scores to +-1e4 */

/* tests/support/tester.h says what is poisoned. */
#define PROBLEM_POISON_LIST(X) X(none) X(unseen) X(key) X(value)

#define PROBLEM_ENUM(name, NAME, List) typedef enum name { List(PROBLEM_##NAME##_ENUM) PROBLEM_##NAME##_COUNT } name;
#define PROBLEM_MASK_ENUM(name) PROBLEM_MASK_##name,
#define PROBLEM_LAYOUT_ENUM(name) PROBLEM_LAYOUT_##name,
#define PROBLEM_FILL_ENUM(name) PROBLEM_FILL_##name,
#define PROBLEM_POISON_ENUM(name) PROBLEM_POISON_##name,
PROBLEM_ENUM(problem_mask, MASK, PROBLEM_MASK_LIST)
PROBLEM_ENUM(problem_layout, LAYOUT, PROBLEM_LAYOUT_LIST)
PROBLEM_ENUM(problem_fill_kind, FILL, PROBLEM_FILL_LIST)
PROBLEM_ENUM(problem_poison, POISON, PROBLEM_POISON_LIST)
#undef PROBLEM_ENUM

enum { PROBLEM_MASK_PER_BATCH = 1, PROBLEM_MASK_PER_HEAD = 2, PROBLEM_MASK_PER_QUERY = 4 }; /* bits of mask_shared */
enum { PROBLEM_PRESENT_KEY = 1, PROBLEM_PRESENT_VALUE = 2 };
#define PROBLEM_NO_OFFSET INT64_MAX
#define PROBLEM_NONPAD_BATCHES 16
#define PROBLEM_VARIANT_BYTES 96
#define PROBLEM_TEXT_BYTES 1536

typedef struct problem_text {
  int64_t b, hq, hk, sq, sk, dk, dv, past;
  int64_t n_nonpad, nonpad[PROBLEM_NONPAD_BATCHES]; /* 0: none; may lie outside of [0, sk] */
  int64_t causal, left, right, offset;
  double scale, softcap;                                               /* scale NaN: the default */
  int64_t mask, mask_rank, mask_shared, mask_short, mask_closed;       /* problem_mask */
  int64_t present, lse, qk, precision;                                 /* qk: the point, -1: none */
  int64_t dtype, k_type, v_type, y_type, mask_type, lse_type, qk_type; /* clattn_dtype: f32, f16, bf16 or f64 */
  int64_t q_layout, k_layout, v_layout, y_layout, mask_layout, lse_layout, qk_layout; /* problem_layout */
  int64_t fill, poison;
  int64_t path; /* clattn_path */
  char variant[PROBLEM_VARIANT_BYTES];
  uint64_t seed;
} problem_text;

/* What stands for each clattn_dtype ("" for none) and each layout; NULL ends them. */
extern const char *const problem_dtype_words[], *const problem_layout_words[];

bool problem_parse(const char *text, problem_text *problem, st_error *error);

/* The shortest text that problem_parse takes back to the same problem. */
void problem_print(const problem_text *problem, char text[PROBLEM_TEXT_BYTES]);

/* The keys, in the order in which they are printed; NULL past the last. */
const char *problem_key(size_t row);

/* Gives a key its default; false where it has it already. */
bool problem_reset(problem_text *problem, size_t row);

/* Resets these keys (NULL ends them); `dropped` lists those that had another value, joined by commas. For who cannot
 * honour them, and says so. */
void problem_drop(problem_text *problem, const char *const *keys, char dropped[PROBLEM_TEXT_BYTES]);

/* The variant as the library takes it, FAMILY/TILE turned to an id; NULL where none is named. */
const char *problem_variant(const problem_text *problem, char id[PROBLEM_VARIANT_BYTES]);

/* The tensors Q K V, attn_mask, past_key, past_value and nonpad_kv_seqlen and the attributes: the same on every
 * machine, by the seed. */
bool problem_fill(const problem_text *problem, st_file *file, st_error *error);

#endif
