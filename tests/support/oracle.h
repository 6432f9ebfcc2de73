/* What clattn must compute, in float64, written from the formulas and from nothing of the library.
 * Every array is dense, outermost dimension first, and holds doubles that were already rounded to their storage type.
 */
#ifndef TESTS_ORACLE_H
#define TESTS_ORACLE_H

#include <stdbool.h>
#include <stdint.h>

/* Scores, softmax and values: ONNX Attention, opset 25. Outputs that are NULL are not wanted. */
typedef struct oracle_attention {
  int64_t b, hq, hk, sq, sk, dk, dv;
  int64_t past;                  /* keys before the sk new ones */
  const double *q, *k, *v;       /* [B,HQ,SQ,DK] [B,HK,SK,DK] [B,HK,SK,DV] */
  const double *past_k, *past_v; /* [B,HK,past,D] */
  const double *mask;            /* NULL: none */
  int mask_rank;
  int64_t mask_dim[4]; /* right-aligned to [B,HQ,SQ,past+SK]; the first mask_rank entries */
  bool mask_is_bool;
  const int64_t *nonpad; /* [B] or NULL */
  double scale;          /* NaN: 1/sqrt(DK) */
  double softcap;        /* 0: none */
  bool causal, has_offset;
  int64_t offset;                    /* with has_offset */
  int64_t window_left, window_right; /* -1: unbounded */
  int qk_mode;

  double *y;                     /* [B,HQ,SQ,DV] */
  double *lse;                   /* [B,HQ,SQ] */
  double *qk;                    /* [B,HQ,SQ,past+SK] at point qk_mode */
  double *present_k, *present_v; /* [B,HK,past+SK,D] */
  double *s_abs;                 /* [B,HQ,SQ]: largest |scale| sum |q k| of an attended key, or bias of one with weight:
                                    what the rounding of a float32 score goes with */
  double *qk_abs;                /* [B,HQ,SQ,past+SK]: |scale| sum |q k| of each key */
  double *pv_abs;                /* [B,HQ,SQ,DV]: sum |P v| */
} oracle_attention;

void oracle_attention_run(const oracle_attention *o);

/* Whether masks, causality, windows and padding let query i of head h see key j (past keys first): all but the
 * scores themselves. */
bool oracle_allows(const oracle_attention *o, int64_t b, int64_t h, int64_t i, int64_t j);

/* One row of the softmax stage: p = exp(a - max) / sum; -inf is not attended. lse may be NULL. */
void oracle_softmax_row(const double *a, int64_t n, double *p, double *lse);

/* The values stage: y[b,h] = p[b,h] v[b,h / (HQ/HK)]; a weight of -0.0 is not attended. pv_abs may be NULL. */
typedef struct oracle_values {
  int64_t b, hq, hk, sq, sk, dv;
  const double *p, *v;
  double *y, *pv_abs;
} oracle_values;
void oracle_values_run(const oracle_values *o);

/* A map of scores: clattn_map_desc. `score` is s at the point asked for, [B,HQ,SQ,SK], lse what the map was given. */
typedef struct oracle_map {
  int64_t b, hq, hk, sq, sk;
  const double *score, *lse; /* lse [B,HQ,SQ], or NULL for scores */
  const double *weight;      /* [B,HK,SK] or NULL */
  int quantity;              /* clattn_quantity */
  int64_t head_first, heads, row_first, rows, key_first, keys, tile_rows, tile_keys;
  const double *score_error; /* [B,HQ,SQ,SK]: what a score of the library may be off */

  double *map, *map_max;         /* [B,heads,tiles,tiles] */
  double *map_error, *max_error; /* of the same: what follows from the scores' errors, and 2e-6 of each term */
} oracle_map;
void oracle_map_run(const oracle_map *o);

/* Projection with rotary embedding: ONNX RotaryEmbedding, opset 23. */
typedef struct oracle_projection {
  int64_t b, s, e, h, d;
  const double *x, *w, *bias;     /* [B,S,E] [H*D,E] [H*D] or NULL */
  const double *cosine, *sine;    /* NULL: no rotation */
  int cache_rank;                 /* 2: [cache_rows,R/2], 3: [B,S,R/2] */
  int64_t cache_rows, rotary_dim; /* rotary_dim 0: all of D */
  const int64_t *position_ids;    /* [B,S] or NULL: token i takes row position_offset + i */
  int64_t position_offset;
  bool interleaved;
  double *y;      /* [B,H,S,D] */
  double *xw_abs; /* [B,H,S,D]: what rounding scales with: sum |x w| + |bias|, rotated alike; NULL: not wanted */
} oracle_projection;
void oracle_projection_run(const oracle_projection *o);

#endif
