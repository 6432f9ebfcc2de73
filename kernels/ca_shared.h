/* What host and device agree on: constants and argument structs. Included by C11 and by OpenCL C 1.2 alike.
 * 64-bit members come first, so both sides lay the structs out the same way without padding. */
#ifndef CA_SHARED_H
#define CA_SHARED_H

#if defined(__OPENCL_VERSION__) || defined(__OPENCL_C_VERSION__)
typedef long ca_i64;
typedef int ca_i32;
typedef float ca_f32;
#else
#include <stdint.h>
typedef int64_t ca_i64;
typedef int32_t ca_i32;
typedef float ca_f32;
#endif

/* Storage types as numbers; the same as clattn_dtype. */
#define CA_F32 1
#define CA_F16 2
#define CA_BF16 3
#define CA_F64 4
#define CA_BOOL 5
#define CA_I64 6

/* Largest head size, of keys and of values. */
#define CA_MAX_HEAD 512

/* Of vector_decode: floats that a work-item's queries may take, and its outputs; how many rows that are, whole tiles of
 * rows that are whole vectors; floats of a partial result. */
#define CA_DECODE_FLOATS 16384
#define CA_DECODE_MOST_ROWS 128
#define CA_DECODE_FIT(head) (CA_DECODE_FLOATS / (((head) + 15) / 16 * 16) / 4 * 4)
#define CA_DECODE_ROWS(dk, dv)                                                                                         \
  (CA_DECODE_FIT((dk) > (dv) ? (dk) : (dv)) < CA_DECODE_MOST_ROWS ? CA_DECODE_FIT((dk) > (dv) ? (dk) : (dv))           \
                                                                  : CA_DECODE_MOST_ROWS)
#define CA_PART_FLOATS(dv) ((dv) + 2)

/* What the mask holds. */
#define CA_MASK_NONE 0
#define CA_MASK_BOOL 1
#define CA_MASK_FLOAT 2

/* Points of qk output. */
#define CA_QK_NONE (-1)
#define CA_QK_SCALED 0
#define CA_QK_CAPPED 1
#define CA_QK_MASKED 2
#define CA_QK_PROBABILITIES 3

/* What a map shows; the same as clattn_quantity. From CA_MAP_SCALED on it is a score at a point. */
#define CA_MAP_PROBABILITY 0
#define CA_MAP_ENTROPY 1
#define CA_MAP_SCALED 2
#define CA_MAP_CAPPED 3
#define CA_MAP_SCORE 4
#define CA_MAP_CHUNK 1024 /* keys of a row that a work-group takes where nothing is pooled */
#define CA_MAP_CARRY 3    /* numbers that a tile takes along to the next step: sum, what rounding took of it, maximum */

/* A tensor seen as four dimensions, outermost first, in elements from the start of its buffer. */
typedef struct ca_tensor_arg {
  ca_i64 offset;
  ca_i64 stride[4];
} ca_tensor_arg;

/* Arguments of the stages scores, softmax, values and of fused attention; each reads what it needs. */
typedef struct ca_attention_args {
  ca_tensor_arg q, k, v, y; /* [B,HQ,SQ,DK] [B,HK,SK,DK] [B,HK,SK,DV] [B,HQ,SQ,DV] */
  ca_tensor_arg mask;       /* [B,HQ,SQ,mask_len], broadcast by stride 0 */
  ca_tensor_arg qk;         /* [B,HQ,SQ,SK] */
  ca_tensor_arg a, p;       /* [B,HQ,SQ,SK]: scores at point 2, weights (-0.0 = not attended) */
  ca_tensor_arg lse;        /* [B,HQ,SQ]; stride[3] is unused */
  ca_tensor_arg past_k, past_v;
  ca_tensor_arg nonpad;             /* [B] int64: stride 0 */
  ca_i64 scale_bits, softcap_bits;  /* the two as doubles, bit by bit: not every device has the type */
  ca_i64 parts_offset;              /* of partial results in the workspace, in floats */
  ca_i32 b, hq, hk, sq, sk, dk, dv; /* sk counts the past too */
  ca_i32 past;                      /* keys that come from past_k and past_v; 0 = none */
  ca_i32 group;                     /* hq / hk: query heads that share a key head */
  ca_i32 causal, offset;            /* offset is ignored where nonpad is bound: nonpad[b] - sq */
  ca_i32 window_left, window_right; /* -1 = unbounded */
  ca_i32 mask_kind, mask_len;       /* keys at and past mask_len are not attended */
  ca_i32 has_nonpad;
  ca_i32 qk_mode; /* CA_QK_*: what this launch writes to qk */
  ca_i32 want_a;  /* the scores stage writes a */
  ca_i32 want_p;  /* the softmax stage writes p */
  ca_i32 want_lse;
  ca_i32 q_type, k_type, v_type, y_type, mask_type, qk_type; /* CA_F32 ... */
  ca_i32 a_type, p_type, lse_type;                           /* CA_F32; in a double program CA_F64 too */
  ca_i32 parts;          /* of a row's keys, with a partial result each; 0: no such split. An even number of 32-bit
                            members: rusticl refuses a struct with padding at its end */
  ca_f32 scale, softcap; /* softcap 0 = none */
} ca_attention_args;

/* One of K and V, as `extend` copies it; element_bytes 0: not wanted. */
typedef struct ca_extend_side {
  ca_tensor_arg rows, past, present; /* [B,HK,SK,D] [B,HK,past,D] [B,HK,past+SK,D] */
  ca_i64 width, element_bytes;
} ca_extend_side;

/* Arguments of the stage extend. */
typedef struct ca_extend_args {
  ca_extend_side k, v;
  ca_i32 b, hk, sk, past; /* sk: new keys alone */
} ca_extend_args;

/* Arguments of the stage merge. */
typedef struct ca_merge_args {
  ca_tensor_arg y1, y2, y;       /* [B,H,S,D] */
  ca_tensor_arg lse1, lse2, lse; /* [B,H,S]; stride[3] is unused */
  ca_i32 b, h, s, d;
  ca_i32 y1_type, y2_type, y_type; /* CA_F32 ... */
  ca_i32 lse1_type, lse2_type, lse_type;
  ca_i32 want_lse;
  ca_i32 zero; /* an even number of 32-bit members: rusticl refuses a struct with padding at its end */
} ca_merge_args;

/* Arguments of the stage map, a step of it: rows row, row + 1, ... of a head of b batch items. */
typedef struct ca_map_args {
  ca_tensor_arg lse;          /* [B,HQ,SQ]: from the step's first row on, strides 0 and 2 */
  ca_tensor_arg key_weight;   /* [B,HK,SK]: from the first key of the range on, strides 0 and 2 */
  ca_tensor_arg map, map_max; /* [B,H,tiles,tiles]: from the head's first tile on */
  ca_i64 scores, carry;       /* where they lie in the workspace, in numbers: dense [b,rows,keys] and [2][tiles][3] */
  ca_i32 b, rows, keys;
  ca_i32 row, all_rows; /* of the range: where the step begins in it, and how many it has */
  ca_i32 tile_rows, tile_keys;
  ca_i32 down, across;                              /* work-items that share a tile; their product is 1 or P_WG */
  ca_i32 quantity;                                  /* CA_MAP_* */
  ca_i32 lse_type, weight_type, map_type, max_type; /* CA_F32 ...; 0: absent. An even number of 32-bit members: rusticl
                                                       refuses a struct with padding at its end */
} ca_map_args;

/* Arguments of a projection: y[b,h,s,d] = rotate(sum_e x[b,s,e] w[h*D+d,e] + bias[h*D+d]). */
typedef struct ca_projection_args {
  ca_tensor_arg x;            /* [B,S,E]: stride 0..2 */
  ca_tensor_arg w;            /* [N,E]: stride 0..1 */
  ca_tensor_arg bias;         /* [N]: stride 0 */
  ca_tensor_arg y;            /* [B,H,S,D] */
  ca_tensor_arg cosine, sine; /* [max_position,R/2]: stride 0..1, or [B,S,R/2]: stride 0..2 */
  ca_tensor_arg position;     /* [B,S] int64: stride 0..1 */
  ca_i64 product_offset;      /* of projection_finish's input, dense float32 [B*S,N], in elements */
  ca_i64 position_offset;
  ca_i32 b, s, e, h, d; /* N = h * d */
  ca_i32 has_bias, has_rotary, has_position;
  ca_i32 rotary_dim; /* R, even, <= d */
  ca_i32 interleaved;
  ca_i32 cache_rank; /* 2 or 3 */
  ca_i32 cache_rows; /* of a rank-2 cache: positions are clamped to [0, cache_rows) */
  ca_i32 x_type, w_type, bias_type, y_type, cache_type;
  ca_i32 panel; /* columns of a panel of w, [N / columns, rounded up][E][columns]; 0: rows, as the strides have them. An
                   even number of 32-bit members: rusticl refuses a struct with padding at its end */
} ca_projection_args;

/* What each part of several projections of one x has of its own. */
typedef struct ca_projection_other {
  ca_tensor_arg w, bias, y;
  ca_i32 h, d, has_bias, has_rotary, rotary_dim, w_type, bias_type, y_type;
} ca_projection_other;

/* Arguments of up to three projections of one x: the first one's, and what differs in the others. A part without
 * columns (h or d 0) is none. */
typedef struct ca_projections_args {
  ca_projection_args first;
  ca_projection_other other[2];
} ca_projections_args;

#endif
