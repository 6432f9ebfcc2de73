/* clattn's plain types: tensors, descriptors, slots, reports. No OpenCL here.
 *
 * Dimensions, everywhere: B batch, HQ query heads, HK key/value heads, SQ query tokens, SK key tokens, DK channels of
 * q and k, DV channels of v, E width of an input vector. */
#ifndef CLATTN_TYPES_H
#define CLATTN_TYPES_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "clattn/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Element types. X(name, value, bytes, short text as in variant ids and problem texts) */
#define CLATTN_DTYPE_LIST(X)                                                                                           \
  X(CLATTN_F32, 1, 4, "f32")                                                                                           \
  X(CLATTN_F16, 2, 2, "f16")                                                                                           \
  X(CLATTN_BF16, 3, 2, "bf16")                                                                                         \
  X(CLATTN_F64, 4, 8, "f64")                                                                                           \
  X(CLATTN_BOOL, 5, 1, "bool") /* one byte, zero = false */                                                            \
  X(CLATTN_I64, 6, 8, "i64")

typedef enum clattn_dtype {
  CLATTN_NO_DTYPE = 0,
#define CLATTN_DTYPE_ENUM(name, value, bytes, text) name = value,
  CLATTN_DTYPE_LIST(CLATTN_DTYPE_ENUM)
#undef CLATTN_DTYPE_ENUM
} clattn_dtype;

/* A strided view of a buffer. `dim` and `stride` are outermost first; strides count elements and may be zero
 * (broadcast) for inputs, never negative. rank 0 means: this tensor is absent. */
typedef struct clattn_tensor {
  int32_t dtype; /* clattn_dtype */
  int32_t rank;  /* 0 (absent) to 4 */
  int64_t dim[4];
  int64_t stride[4];
} clattn_tensor;

/* What a bound buffer is for. X(name, value, text) */
#define CLATTN_SLOT_LIST(X)                                                                                            \
  X(CLATTN_Q, 1, "q")                                                                                                  \
  X(CLATTN_K, 2, "k")                                                                                                  \
  X(CLATTN_V, 3, "v")                                                                                                  \
  X(CLATTN_Y, 4, "y")                                                                                                  \
  X(CLATTN_MASK, 5, "mask")                                                                                            \
  X(CLATTN_PAST_KEY, 6, "past_key")                                                                                    \
  X(CLATTN_PAST_VALUE, 7, "past_value")                                                                                \
  X(CLATTN_PRESENT_KEY, 8, "present_key")                                                                              \
  X(CLATTN_PRESENT_VALUE, 9, "present_value")                                                                          \
  X(CLATTN_NONPAD_KV_SEQLEN, 10, "nonpad_kv_seqlen")                                                                   \
  X(CLATTN_LSE, 11, "lse")                                                                                             \
  X(CLATTN_QK, 12, "qk")                                                                                               \
  X(CLATTN_A, 13, "a") /* scores that go into the softmax stage */                                                     \
  X(CLATTN_P, 14, "p") /* probabilities */                                                                             \
  X(CLATTN_X, 15, "x") /* input vectors of a projection */                                                             \
  X(CLATTN_W, 16, "w") /* its operator, [out,in] row-major */                                                          \
  X(CLATTN_BIAS, 17, "bias")                                                                                           \
  X(CLATTN_COS_CACHE, 18, "cos_cache")                                                                                 \
  X(CLATTN_SIN_CACHE, 19, "sin_cache")                                                                                 \
  X(CLATTN_POSITION_IDS, 20, "position_ids")                                                                           \
  X(CLATTN_WORKSPACE, 21, "workspace")                                                                                 \
  X(CLATTN_Y1, 22, "y1") /* partial results: y and lse over some of the keys */                                        \
  X(CLATTN_LSE1, 23, "lse1")                                                                                           \
  X(CLATTN_Y2, 24, "y2")                                                                                               \
  X(CLATTN_LSE2, 25, "lse2")                                                                                           \
  X(CLATTN_W_Q, 26, "w_q") /* the operators of a fused projection, whose outputs are q, k and v */                     \
  X(CLATTN_W_K, 27, "w_k")                                                                                             \
  X(CLATTN_W_V, 28, "w_v")                                                                                             \
  X(CLATTN_BIAS_Q, 29, "bias_q")                                                                                       \
  X(CLATTN_BIAS_K, 30, "bias_k")                                                                                       \
  X(CLATTN_BIAS_V, 31, "bias_v")                                                                                       \
  X(CLATTN_MAP, 32, "map") /* a part of the network, looked at: clattn_map_desc */                                     \
  X(CLATTN_MAP_MAX, 33, "map_max")                                                                                     \
  X(CLATTN_KEY_WEIGHT, 34, "key_weight")

typedef enum clattn_slot {
  CLATTN_NO_SLOT = 0,
#define CLATTN_SLOT_ENUM(name, value, text) name = value,
  CLATTN_SLOT_LIST(CLATTN_SLOT_ENUM)
#undef CLATTN_SLOT_ENUM
} clattn_slot;
#define CLATTN_SLOT_COUNT 35 /* one past the largest slot */

/* How attention runs. */
typedef enum clattn_path {
  CLATTN_PATH_AUTO = 0,   /* fused, unless qk is asked for */
  CLATTN_PATH_STAGED = 1, /* scores, softmax, values: A and P exist in the workspace */
  CLATTN_PATH_FUSED = 2   /* one kernel, online softmax: A never exists */
} clattn_path;

/* Flags of clattn_attention_desc. */
#define CLATTN_CAUSAL 1u       /* query i attends key j only if j <= i + offset */
#define CLATTN_QUERY_OFFSET 2u /* offset is `query_offset`; otherwise as in ONNX (0 here: top-left) */

/* Attention: y = softmax(mask(softcap(scale * q k^T))) v, row by row; ONNX Attention, opset 25.
 * Zero is every field's default, but for `scale` (NaN: 1/sqrt(DK)) and the windows (-1: unbounded): start from
 * CLATTN_ATTENTION_DESC_INIT. clattn_plan_scores reads the same descriptor.
 * Types: q, k, v, y, qk and an additive mask may each be any of f32, f16, bf16, f64. One float64 tensor, lse included,
 * and everything is computed in float64, which needs a device that has it; otherwise all is computed in float32.
 * The fused path divides by the sum of the weights at the end: keys attended times |v| must stay a finite float32. */
typedef struct clattn_attention_desc {
  uint32_t struct_size; /* bytes of this struct as the caller knows it */
  uint32_t flags;       /* CLATTN_CAUSAL | CLATTN_QUERY_OFFSET */
  clattn_tensor q;      /* [B,HQ,SQ,DK] */
  clattn_tensor k;      /* [B,HK,SK,DK]; HQ is a multiple of HK */
  clattn_tensor v;      /* [B,HK,SK,DV] */
  clattn_tensor y;      /* [B,HQ,SQ,DV] */
  clattn_tensor mask;   /* rank 1 to 4, right-aligned to [B,HQ,SQ,SK]; bool (true = attend) or additive float; a last
                           dimension shorter than SK is continued with "not attended" */
  clattn_tensor past_key, past_value;       /* [B,HK,past,D], the types of k and v */
  clattn_tensor present_key, present_value; /* [B,HK,past+SK,D], outputs: past, then k (v), bit by bit; with or without
                                               a past, one alone or both. May lie upon the past in its buffer, first
                                               element on first element with the same strides: a cache grows in place */
  clattn_tensor nonpad_kv_seqlen;           /* [B] int64 */
  clattn_tensor lse;                        /* [B,HQ,SQ] float32 or float64, natural logarithm */
  clattn_tensor qk;                         /* [B,HQ,SQ,SK] at the point qk_mode names */
  double scale, softcap;                    /* softcap c > 0: s <- c tanh(s/c) */
  int64_t window_left, window_right;        /* i + offset - left <= j <= i + offset + right; -1 = unbounded */
  int64_t query_offset;
  int32_t qk_mode;           /* 0 scaled q k^T, 1 after softcap, 2 after masks, 3 probabilities */
  int32_t softmax_precision; /* hint: 0 none; 1, 10, 16 float32; 11 all in float64 where the device has it and no
                                variant without it is named, else float32, and the report's detail says so */
  int32_t path;              /* clattn_path */
  int32_t reserved;          /* zero */
  const char *variant;       /* NULL: the library chooses; else a variant id or a leading part of one */
} clattn_attention_desc;
#define CLATTN_ATTENTION_DESC_INIT                                                                                     \
  {                                                                                                                    \
    .struct_size = (uint32_t)sizeof(clattn_attention_desc), .scale = (double)NAN, .window_left = -1,                   \
    .window_right = -1                                                                                                 \
  }

/* Softmax over the last dimension, row maximum subtracted: p = exp(a - lse). A row of -inf gives p = 0, lse = -inf. */
typedef struct clattn_softmax_desc {
  uint32_t struct_size, flags; /* flags: zero */
  clattn_tensor a;             /* [B,HQ,SQ,SK] float32 or float64 */
  clattn_tensor p;             /* the same shape, either type; may be bound to the same buffer and view as a */
  clattn_tensor lse;           /* [B,HQ,SQ], either type, or absent */
  const char *variant;
} clattn_softmax_desc;
#define CLATTN_SOFTMAX_DESC_INIT                                                                                       \
  {                                                                                                                    \
    .struct_size = (uint32_t)sizeof(clattn_softmax_desc)                                                               \
  }

/* Values: y = p v. A weight of -0.0 marks a key that is not attended: its value is never read into the sum (the
 * softmax stage writes such weights); +0.0 times NaN is NaN, as in the plain formula. */
typedef struct clattn_values_desc {
  uint32_t struct_size, flags; /* flags: zero */
  clattn_tensor p;             /* [B,HQ,SQ,SK] float32 or float64 */
  clattn_tensor v;             /* [B,HK,SK,DV] */
  clattn_tensor y;             /* [B,HQ,SQ,DV] */
  const char *variant;
} clattn_values_desc;
#define CLATTN_VALUES_DESC_INIT                                                                                        \
  {                                                                                                                    \
    .struct_size = (uint32_t)sizeof(clattn_values_desc)                                                                \
  }

/* Merging: attention over some keys (y1, lse1) and over others (y2, lse2) becomes attention over all of them:
 * y = (w1 y1 + w2 y2) / (w1 + w2) with w = exp(lse - max(lse1, lse2)), lse = log(exp(lse1) + exp(lse2)). A row whose
 * lse is -inf contributes nothing, whatever its y holds; two such rows give y = 0, lse = -inf. y and lse may be bound
 * to the buffer and view of either part: results of many parts are gathered in place. */
typedef struct clattn_merge_desc {
  uint32_t struct_size, flags; /* flags: zero */
  clattn_tensor y1, y2;        /* [B,HQ,SQ,DV]; any float types */
  clattn_tensor lse1, lse2;    /* [B,HQ,SQ] float32 or float64, natural logarithm */
  clattn_tensor y;             /* [B,HQ,SQ,DV] */
  clattn_tensor lse;           /* [B,HQ,SQ] float32 or float64, or absent */
  const char *variant;
} clattn_merge_desc;
#define CLATTN_MERGE_DESC_INIT                                                                                         \
  {                                                                                                                    \
    .struct_size = (uint32_t)sizeof(clattn_merge_desc)                                                                 \
  }

/* What a map shows of query i and key j; s is the score after softcap and masks, -inf where j is not attended. */
typedef enum clattn_quantity {
  CLATTN_QUANTITY_PROBABILITY = 0, /* p = exp(s - lse), times key_weight where that is there; not attended: 0 */
  CLATTN_QUANTITY_ENTROPY = 1,     /* p (lse - s), in nats: over all keys of a row they add up to its entropy */
  CLATTN_QUANTITY_SCALED = 2,      /* scores as qk_mode 0 has them: scale q k^T */
  CLATTN_QUANTITY_CAPPED = 3,      /* 1: after softcap */
  CLATTN_QUANTITY_SCORE = 4        /* 2: s itself */
} clattn_quantity;

/* A map of the network that attention is: any block of scores or probabilities, recomputed from q, k and lse, or
 * pooled, a number for each tile of tile_rows x tile_keys. The matrix never exists: a run's memory is its workspace, at
 * most 16 MiB however long the sequences are (more where one row of scores is, or the six numbers of each tile of a row
 * of tiles).
 *
 * map[b,h,I,J] is the sum of the quantity over tile (I,J) of head head_first + h; with tiles of 1 x 1 it is the block
 * itself. map_max[b,h,I,J] is the largest value there.
 *
 * Tile (I,J) has rows row_first + I tile_rows and on, keys key_first + J tile_keys and on, as far as the ranges go; it
 * need divide nothing. Tiles of fewer than 16 keys take up to ten times as long as larger ones. Any head may begin the
 * range of heads, whatever the groups. What lies outside the range of keys counts for lse all the same: probabilities
 * are those of the whole row. Scores: what is -inf (not attended, at point 2) counts for nothing in a sum; a tile of
 * nothing else is -inf. A row whose lse is -inf has p = 0. An lse of other keys or masks than these gives what the
 * formula says. p is as exact as lse: relatively to some |lse| 6e-8 in float32, so that a row whose keys are all closed
 * by a mask of -1e9 rather than -inf needs lse in float64. Types: as for attention; map and map_max any of f32, f16,
 * bf16, f64; one float64 tensor, and everything is computed in float64. Sums are kept in two numbers, so that a tile of
 * any size is as exact as its terms. */
typedef struct clattn_map_desc {
  uint32_t struct_size, flags;            /* flags: zero */
  const clattn_attention_desc *attention; /* read while planning alone: q, k, mask, scale, softcap, causal order,
                                             windows, query_offset, softmax_precision, variant (of the scores stage),
                                             and lse [B,HQ,SQ], which is an input here and not read for scores. A past:
                                             the extended keys as k, its length as query_offset; nonpad_kv_seqlen: the
                                             valid keys as a view. v, y, qk, present_* and path do not matter */
  clattn_tensor key_weight;               /* [B,HK,SK], any float type, or absent; of CLATTN_QUANTITY_PROBABILITY. With
                                             |v_j| it shows what travels along an edge: |P v| */
  clattn_tensor map, map_max;             /* [B, heads, rows / tile_rows, keys / tile_keys], both rounded up; one of the
                                             two may be absent */
  int64_t head_first, head_count;         /* of HQ; a count of 0: to the end */
  int64_t row_first, row_count;           /* of SQ */
  int64_t key_first, key_count;           /* of SK */
  int64_t tile_rows, tile_keys;           /* 0 is 1: not pooled */
  int32_t quantity;                       /* clattn_quantity */
  int32_t reserved;                       /* zero */
} clattn_map_desc;
#define CLATTN_MAP_DESC_INIT                                                                                           \
  {                                                                                                                    \
    .struct_size = (uint32_t)sizeof(clattn_map_desc)                                                                   \
  }

/* The report of the network that attention is: of each batch item and query head, how one-sided it is and how spread.
 * It is streamed from blocks of clattn_plan_map; nothing of size SQ x SK ever exists. */
typedef struct clattn_network_pair {
  int64_t from, to;    /* query `from` attends key `to` more than the other way round; -1: there are no more pairs */
  double weight, back; /* P[from,to] and P[to,from], weight > back */
} clattn_network_pair;

typedef struct clattn_network_head {
  uint32_t struct_size;       /* of an array, the first element's is the caller's, and all have the same */
  uint32_t pairs;             /* one-way pairs that were found, n_pairs at most */
  int64_t rows;               /* queries that attend any key; means, least and most are over these, NaN without any */
  double antisymmetric_share; /* |(A - A^T)/2| / |A| of A = scale q k^T, before softcap and masks: 0 symmetric, 1
                                 antisymmetric, near 0.71 at random; NaN where SQ != SK, or A is zero */
  double entropy_mean, entropy_min, entropy_max; /* of rows of P, in nats: 0 one key, ln SK all alike */
  double first_share;                            /* what goes to the first key, P[i,0], mean over rows */
} clattn_network_head;
#define CLATTN_NETWORK_HEAD_INIT                                                                                       \
  {                                                                                                                    \
    .struct_size = (uint32_t)sizeof(clattn_network_head)                                                               \
  }

typedef struct clattn_network_desc {
  uint32_t struct_size, flags;            /* flags: zero */
  const clattn_attention_desc *attention; /* as for clattn_map_desc; lse is needed */
  int64_t n_pairs;                        /* strongest one-way pairs of each head, where SQ == SK; 0: none */
  clattn_network_pair *pairs;             /* [B,HQ,n_pairs], written by falling weight - back; NULL with n_pairs 0 */
  double *row_entropy;                    /* [B,HQ,SQ], written, or NULL; a row without any key: 0 */
} clattn_network_desc;
#define CLATTN_NETWORK_DESC_INIT                                                                                       \
  {                                                                                                                    \
    .struct_size = (uint32_t)sizeof(clattn_network_desc)                                                               \
  }

/* Flags of clattn_projection_desc and clattn_qkv_desc. */
#define CLATTN_ROTARY_INTERLEAVED 1u /* pairs (0,1), (2,3), ...; otherwise half-split (0,D/2), (1,D/2+1), ... */

typedef struct clattn_weights clattn_weights;

/* Projection: y = x W^T + bias, then the rotary embedding where cos_cache and sin_cache are present (ONNX
 * RotaryEmbedding, opset 23). */
typedef struct clattn_projection_desc {
  uint32_t struct_size, flags; /* flags: CLATTN_ROTARY_INTERLEAVED */
  clattn_tensor x;             /* [B,S,E] */
  clattn_tensor w;             /* [N,E] row-major; any float type. Absent when `weights` is set */
  clattn_tensor bias;          /* [N], any float type; or absent */
  clattn_tensor y;             /* [B,H,S,D] with H*D = N (any strides), or [B,S,N] */
  clattn_tensor cos_cache;     /* [max_position, R/2] (R = rotary_dim), or [B,S,R/2] without position_ids */
  clattn_tensor sin_cache;     /* the same shape */
  clattn_tensor position_ids;  /* [B,S] int64, clamped to the cache; or absent: token i takes row position_offset + i */
  int64_t rotary_dim;          /* channels that rotate, even; 0 = all D */
  int64_t position_offset;     /* the length of the past */
  const clattn_weights *weights; /* packed weights in place of w; need not outlive the plan */
  const char *variant;
} clattn_projection_desc;
#define CLATTN_PROJECTION_DESC_INIT                                                                                    \
  {                                                                                                                    \
    .struct_size = (uint32_t)sizeof(clattn_projection_desc)                                                            \
  }

/* Q, K and V of one x at once, each as by a clattn_projection_desc of the same variant, bit by bit; q and k rotate
 * where cos_cache and sin_cache are present, v does not. One float64 tensor, and all three are computed in float64. On
 * CPUs it is one launch; few tokens gain most. */
typedef struct clattn_qkv_desc {
  uint32_t struct_size, flags;          /* flags: CLATTN_ROTARY_INTERLEAVED */
  clattn_tensor x;                      /* [B,S,E] */
  clattn_tensor w_q, w_k, w_v;          /* [N,E] row-major; any float type each. Absent where weights are set */
  clattn_tensor bias_q, bias_k, bias_v; /* [N], any float type each; or absent */
  clattn_tensor q, k, v;                /* [B,H,S,D] with H*D = N (any strides: slices of one buffer, too), or [B,S,N];
                                           one or two may be absent with all that is theirs */
  clattn_tensor cos_cache;              /* [max_position, R/2] (R = rotary_dim), or [B,S,R/2] without position_ids */
  clattn_tensor sin_cache;              /* the same shape */
  clattn_tensor position_ids;           /* [B,S] int64, clamped to the cache; or absent: token i takes row
                                           position_offset + i */
  int64_t rotary_dim;      /* channels of q and k that rotate, even; 0 = all D, of which both have as many */
  int64_t position_offset; /* the length of the past */
  const clattn_weights *weights_q, *weights_k, *weights_v; /* packed weights in place of w; need not outlive the plan */
  const char *variant;                                     /* of the projection: clattn_variant_name */
} clattn_qkv_desc;
#define CLATTN_QKV_DESC_INIT                                                                                           \
  {                                                                                                                    \
    .struct_size = (uint32_t)sizeof(clattn_qkv_desc)                                                                   \
  }

/* Weights that are used many times: packed once, in the layout of the variant that will read them: panels on CPU
 * devices with vectors of 4, 8 or 16 floats, which makes projections faster for any number of tokens, dense rows
 * elsewhere, for float64, and where a selftest found the kernels of panels wrong. Panels are read by the families
 * `packed` and `reference` alone: whoever wants another one for the projection names it here too. */
typedef struct clattn_weights_desc {
  uint32_t struct_size, flags; /* flags: zero */
  clattn_tensor w;             /* [N,E]: any float type; strides describe the host array */
  const char *variant;         /* as in the projection that will use them: others may not read their layout */
} clattn_weights_desc;
#define CLATTN_WEIGHTS_DESC_INIT                                                                                       \
  {                                                                                                                    \
    .struct_size = (uint32_t)sizeof(clattn_weights_desc)                                                               \
  }

/* How a context behaves; NULL or all zero: defaults. */
typedef struct clattn_context_options {
  uint32_t struct_size, flags;
  const char
      *cache_dir; /* program cache folder; NULL: CLATTN_CACHE_DIR, else $XDG_CACHE_HOME/clattn or ~/.cache/clattn */
  const char *kernel_dir; /* read kernel sources from here; NULL: CLATTN_KERNEL_DIR, else the embedded ones */
  const char *limits;     /* text of a fact file (`key = value` lines): plan as if the device had no more than these;
                             NULL: the file that CLATTN_LIMITS names, else none */
  const char *tuning;     /* the tuning file; "": none; NULL: CLATTN_TUNING, else $XDG_DATA_HOME/clattn/tuning or
                             ~/.local/share/clattn/tuning. It is read once, when the context is made */
} clattn_context_options;
#define CLATTN_CONTEXT_OPTIONS_INIT                                                                                    \
  {                                                                                                                    \
    .struct_size = (uint32_t)sizeof(clattn_context_options)                                                            \
  }
#define CLATTN_NO_DISK_CACHE 1u /* flags: keep no programs on disk */

/* What happened. The caller owns it; every function that takes one fills it anew; NULL is allowed. */
#define CLATTN_REPORT_MESSAGE_BYTES 512
#define CLATTN_REPORT_DETAIL_BYTES 16384
typedef struct clattn_report {
  clattn_status status;
  int32_t cl_error;                          /* the raw OpenCL code of a failed call, else 0 */
  char message[CLATTN_REPORT_MESSAGE_BYTES]; /* one line: thing, value, limit */
  char detail[CLATTN_REPORT_DETAIL_BYTES];   /* lines: refusals by variant, the tail of a build log */
} clattn_report;

/* Where a plan's programs came from, the slowest source of all its programs. */
typedef enum clattn_program_origin {
  CLATTN_PROGRAM_NONE = 0,   /* nothing to run */
  CLATTN_PROGRAM_MEMORY = 1, /* already in the context */
  CLATTN_PROGRAM_DISK = 2,   /* loaded from the cache folder; never where binaries are left alone (README.md) */
  CLATTN_PROGRAM_BUILT = 3   /* compiled from source */
} clattn_program_origin;

/* What a plan is, for logs and for "why is it slow". Texts live as long as the plan. */
typedef struct clattn_plan_info {
  uint32_t struct_size;
  int32_t origin;        /* clattn_program_origin */
  const char *variant;   /* FAMILY_OPERATION_TYPE_dDK[vDV]_TILE */
  const char *selection; /* lines: every variant looked at, taken or refused, with the reason */
  size_t workspace_bytes;
  double plan_ms;   /* wall time of planning */
  double build_ms;  /* of it, compiling or loading programs */
  uint32_t kernels; /* kernel launches of one run */
  uint32_t tuned;   /* 1: chosen by a tuned row, 0: by rule */
} clattn_plan_info;
#define CLATTN_PLAN_INFO_INIT                                                                                          \
  {                                                                                                                    \
    .struct_size = (uint32_t)sizeof(clattn_plan_info)                                                                  \
  }

/* A variant that a plan's problem can run with. */
#define CLATTN_VARIANT_BYTES 96
typedef struct clattn_candidate_info {
  uint32_t struct_size;
  int32_t taken;                      /* 1: it is the plan's own */
  char variant[CLATTN_VARIANT_BYTES]; /* id, as a descriptor takes it */
} clattn_candidate_info;
#define CLATTN_CANDIDATE_INFO_INIT                                                                                     \
  {                                                                                                                    \
    .struct_size = (uint32_t)sizeof(clattn_candidate_info)                                                             \
  }

/* A row of a tuning file, and flags of clattn_plan_tuning_row. */
#define CLATTN_TUNING_ROW_BYTES 1024
#define CLATTN_TUNING_RULES 1u      /* the rules choose, rather than the plan's variant */
#define CLATTN_TUNING_ANY_DRIVER 2u /* whatever the device's driver and platform version */

/* One buffer that a plan wants. */
typedef struct clattn_slot_info {
  uint32_t struct_size;
  int32_t slot;     /* clattn_slot */
  int32_t output;   /* 1: written, 0: read */
  int32_t optional; /* 1: may be left unbound (the workspace) */
  int32_t align;    /* the offset must be a multiple of this many bytes */
  size_t bytes;     /* from the offset to the end of the view */
} clattn_slot_info;
#define CLATTN_SLOT_INFO_INIT                                                                                          \
  {                                                                                                                    \
    .struct_size = (uint32_t)sizeof(clattn_slot_info)                                                                  \
  }

/* Host memory for clattn_run_host. */
typedef struct clattn_host_binding {
  int32_t slot;
  int32_t reserved; /* zero */
  void *data;       /* read for inputs, written for outputs */
  size_t bytes;
} clattn_host_binding;

/* What a selftest found of one variant on one small problem. Texts live as long as the call of the function. */
typedef struct clattn_selftest_row {
  const char *variant; /* id; "extend": the extended keys and values, "map": maps, which every variant has made alike */
  const char *kind;    /* what is taken out of selection where this is wrong: the id without the problem's sizes */
  const char *problem; /* "b=1,hq=2,...": as the command takes it, and in words what that cannot say */
  clattn_status status; /* CLATTN_OK: it ran; CLATTN_UNSUPPORTED: refused, with the reason; else it failed */
  int32_t right;        /* 1: it ran, and the results are within the accuracy that is promised */
  double error;         /* the largest error, as a share of what is allowed */
  const char *reason;
  uint32_t trial, trials; /* the problem's number, from 1, and how many there are */
} clattn_selftest_row;
typedef void (*clattn_selftest_fn)(const clattn_selftest_row *row, void *user);

/* One device as enumeration found it. */
typedef struct clattn_device_info {
  uint32_t struct_size;      /* of an array, the first element's is the caller's, and all have the same */
  uint32_t platform, device; /* the index P:D */
  clattn_status status;      /* CLATTN_OK, or why it cannot be taken (probe included, when asked for) */
  int32_t taken;             /* 1: the one that clattn_context_pick would take */
  int32_t score;             /* higher is better */
  char platform_name[128], name[128], vendor[128], driver[64], version[128], type[16], engine[16];
  char reason[256]; /* why this score, or why not; and what keeps the device slow in this process */
  uint32_t compute_units, native_width_f32, clock_mhz;
  uint64_t local_memory_bytes, global_memory_bytes, max_alloc_bytes, work_group_size;
  uint32_t has_f16, has_f64, has_subgroups, shares_host_memory;
} clattn_device_info;
#define CLATTN_DEVICE_INFO_INIT                                                                                        \
  {                                                                                                                    \
    .struct_size = (uint32_t)sizeof(clattn_device_info)                                                                \
  }

#ifdef __cplusplus
}
#endif
#endif
