/* A tester of maps: defaults plus overrides, as in tester.h. */
#ifndef TESTS_TESTER_MAP_H
#define TESTS_TESTER_MAP_H

#include "tester.h"

typedef enum map_outputs { MAP_SUM, MAP_LARGEST, MAP_BOTH } map_outputs;

typedef struct map_case {
  int64_t b, hq, hk, sq, sk, dk; /* 0: 1, 1, hq, 5, sq, 8 */
  int32_t q_type, k_type, mask_type, lse_type, weight_type, map_type,
      max_type; /* 0: float32, as q, as q, float32, ... */
  box_layout q_layout, k_layout, mask_layout, lse_layout, weight_layout, map_layout, max_layout;
  mask_case mask;   /* BOOL, EDGES (whole rows closed), ADDITIVE, INFINITE; EDGES closes every third row */
  int mask_rank;    /* 0: 4 */
  bool mask_shared; /* of its dimensions but the last all are 1 */
  int64_t mask_short;
  bool causal, has_offset, has_window, weight;
  int64_t offset, window_left, window_right;
  double scale, softcap, spread; /* scale 0: the default; spread: the largest |q|, 0: 1 */
  int softmax_precision;
  bool poison; /* keys that no query sees are no number, and so are their weights */
  int quantity;
  int64_t head_first, head_count, row_first, row_count, key_first, key_count, tile_rows, tile_keys;
  map_outputs outputs;
  uint64_t seed;
} map_case;

/* Makes inputs, the lse of all keys in double, runs, and compares with the oracle. */
void test_map(const device_under_test *d, const map_case *c, const char *variant);

#endif
