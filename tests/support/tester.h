/* A tester is defaults plus overrides: a case says only what is special about it, zero is every field's default.
 *
 *   test_attention(d, &(attention_case){.sq = 17, .sk = 33, .causal = true}, &way);
 *
 * makes inputs from the seed in the layouts asked for, plans, runs on host memory and on buffers, and compares every
 * output with the oracle by the formula of the accuracy section; a failure prints the case as a problem text. */
#ifndef TESTS_TESTER_H
#define TESTS_TESTER_H

#include "box.h"
#include "device_under_test.h"
#include "projection_text.h"

#define TESTER_EMPTY (-1) /* a size that is really 0 */

typedef enum mask_case {
  MASK_NONE = PROBLEM_MASK_none,
  MASK_BOOL = PROBLEM_MASK_bool,
  MASK_EDGES = PROBLEM_MASK_edges,
  MASK_ADDITIVE = PROBLEM_MASK_float,
  MASK_INFINITE = PROBLEM_MASK_infinite,
  MASK_LOWEST = PROBLEM_MASK_lowest,
} mask_case;

typedef enum fill_case {
  FILL_RANDOM = PROBLEM_FILL_order,
  FILL_EQUAL = PROBLEM_FILL_equal,
  FILL_LARGE = PROBLEM_FILL_large,
} fill_case;

typedef enum poison_case {
  POISON_NONE = PROBLEM_POISON_none,
  POISON_UNSEEN = PROBLEM_POISON_unseen, /* NaN and infinities in every key and value that no query sees, and in every
                                            query without keys */
  POISON_SEEN_KEY = PROBLEM_POISON_key,  /* a NaN key in the last place: rows that see it have no finite output */
  POISON_SEEN_VALUE = PROBLEM_POISON_value, /* the same for a value, infinite */
} poison_case;

/* What runs it. A variant, here and below, is NULL (the library chooses), a leading part of an id, or FAMILY/TILE: that
 * tile of that family, whatever the operation, types and head sizes. A tile that needs more registers or local memory
 * for large values than there are may then be refused. */
typedef struct way {
  const char *variant;
  int32_t path; /* clattn_path */
} way;

typedef struct attention_case {
  int64_t b, hq, hk, sq, sk, dk, dv; /* 0: 1, 1, hq, 5, sq, 8, dk */
  int64_t past;
  int32_t q_type, k_type, v_type, y_type, qk_type, mask_type, lse_type; /* 0: float32, as q, as k, as q, as q,
                                                                                 as q, float32 */
  box_layout q_layout, k_layout, v_layout, y_layout, qk_layout, mask_layout, lse_layout;
  mask_case mask;
  int mask_rank;           /* 0: 4 */
  unsigned mask_broadcast; /* bits of PROBLEM_MASK_PER_...: what shares the mask */
  int64_t mask_short;      /* keys that the mask's last dimension lacks */
  bool closed_rows;        /* the mask closes every key for row 2 of 3 */
  bool causal, has_offset, has_window, has_scale;
  int64_t offset, window_left, window_right;
  double scale, softcap;
  bool want_lse, want_qk, want_present;
  int qk_mode, softmax_precision;
  const int64_t *nonpad; /* [B] */
  fill_case fill;
  poison_case poison;
  uint64_t seed;
} attention_case;

void test_attention(const device_under_test *d, const attention_case *c, const way *w);

/* The same from a text's problem. False: the library refused it, and the report says why. */
bool test_problem(const device_under_test *d, const problem_text *p, clattn_report *report);

/* The score stage alone: qk at c->qk_mode, lse with mode 3. */
void test_scores(const device_under_test *d, const attention_case *c, const char *variant);

/* The softmax stage alone on [B,HQ,SQ,SK] scores, some -inf, some rows all -inf; and the values stage on weights
 * where three of ten are marked as not attended. Layouts: q_layout for a and p, v, y, lse. */
void test_softmax(const device_under_test *d, const attention_case *c, const char *variant);
void test_values(const device_under_test *d, const attention_case *c, const char *variant);

typedef enum rotary_case {
  ROTARY_NONE = PROJECTION_ROTARY_none,
  ROTARY_OFFSET = PROJECTION_ROTARY_offset,
  ROTARY_IDS = PROJECTION_ROTARY_ids,
  ROTARY_DENSE = PROJECTION_ROTARY_dense,
} rotary_case;

typedef struct projection_case {
  int64_t b, s, e, h, d;                                              /* 0: 1, 5, 7, 1, 8 */
  int32_t x_type, w_type, bias_type, y_type, cache_type;              /* 0: float32, then as x */
  box_layout x_layout, w_layout, bias_layout, y_layout, cache_layout; /* the sines' is LAYOUT_REVERSED - cache_layout */
  bool equal;         /* x and w have one value each, and their product sums to about 1/2 */
  bool y_is_flat;     /* y is [B,S,H*D] */
  bool bias, packed;  /* packed: by clattn_weights_create */
  rotary_case rotary; /* ids: position_ids, some outside the cache; dense: a cache [B,S,R/2] */
  bool interleaved;
  int64_t rotary_dim, position_offset;
  uint64_t seed;
  /* hk > 0: Q, K and V of one x by clattn_plan_qkv, which must also be what three projections give, bit by bit. h heads
   * of q, hk of k and v, which has dv channels (0: d) and does not rotate. */
  int64_t hk, dv;
  unsigned absent; /* bits: 1 q, 2 k, 4 v */
  unsigned mixed;  /* bits: in a type of its own is each part's 1 w; 2 bias and output, and the second has no bias */
  bool sliced;     /* q, k and v are slices of one buffer [B,S,H*D + HK*(D+DV)] of type y_type */
} projection_case;

void test_projection(const device_under_test *d, const projection_case *c, const char *variant);

/* The same. False: the library refused it, and the report says why. */
bool test_projection_unless_refused(const device_under_test *d, const projection_case *c, const char *variant,
                                    clattn_report *report);

/* The case is refused with CLATTN_UNSUPPORTED, and the message holds the text. */
void test_projection_refused(const device_under_test *d, const projection_case *c, const char *variant,
                             const char *text);

/* The arguments VARIANT|any [FILTER] of a program: *variant is NULL for any. False, with the usage told: without. */
bool take_variant(int argc, char **argv, const char **variant);

/* FAMILY/TILE as an id; anything else as it is. */
typedef struct variant_id {
  char text[128];
} variant_id;
const char *variant_named(const char *wish, const char *operation, const char *types_and_head, variant_id *id);

/* The same for attention on the way's path. */
const char *way_variant(const way *w, const char *types_and_head, variant_id *id);

/* True if the refusal is one that a tile may have: then there is nothing to run. */
bool tile_may_refuse(const char *wish, int64_t dv, const clattn_report *report);

/* A problem that is computed in float64: its errors are this many times smaller, before results are stored. */
#define TESTER_F64_GAIN 0x1p-27

/* Plans float64 on a device without it: fails the test unless that is refused by name. */
void test_no_f64(clattn_status status, clattn_plan *plan, const clattn_report *report);

/* The accuracy formula: 2e-6 max(1, sum) + 2^-22 s_abs sum, and one rounding to the output's type. */
double accuracy_allowed(int32_t dtype, double want, double sum_abs, double s_abs);

/* The same for what is computed in float64. */
double accuracy_allowed_f64(int32_t dtype, double want, double sum_abs, double s_abs);

#endif
