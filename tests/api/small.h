/* One small attention problem with its buffers and its answer, for tests of everything around the arithmetic. */
#ifndef TESTS_SMALL_H
#define TESTS_SMALL_H

#include "asserts.h"
#include "device_under_test.h"

enum { SMALL_HQ = 4, SMALL_HK = 2, SMALL_SQ = 6, SMALL_SK = 9, SMALL_DK = 8, SMALL_DV = 12 };
enum {
  SMALL_Q = SMALL_HQ * SMALL_SQ * SMALL_DK,
  SMALL_K = SMALL_HK * SMALL_SK * SMALL_DK,
  SMALL_V = SMALL_HK * SMALL_SK * SMALL_DV,
  SMALL_Y = SMALL_HQ * SMALL_SQ * SMALL_DV
};

typedef struct small_problem {
  float q[SMALL_Q], k[SMALL_K], v[SMALL_V];
  double want[SMALL_Y];
  clattn_attention_desc desc;
} small_problem;

/* Random data by seed; the descriptor is float32, dense and without extras. */
void small_make(small_problem *s, uint64_t seed);

/* The plan on a path; fails the test if it cannot be made. */
clattn_plan *small_plan(const device_under_test *d, const small_problem *s, clattn_path path);

/* Bindings q, k, v, y on new buffers; y holds `before` everywhere. small_release frees them. */
enum { SMALL_BINDINGS = 4, SMALL_AT_Y = 3 };
void small_bind(const device_under_test *d, const small_problem *s, float before, clattn_binding *bindings);
void small_release(const clattn_binding *bindings);

/* y as it is on the device now, against what is expected; small_is_right does not fail. */
void small_read(const device_under_test *d, const clattn_binding *bindings, float *y);
void small_check(const small_problem *s, const float *y);

/* A report of the network of as many of the tokens as there are queries: a pair of each head, lse all zeros. */
clattn_status small_report(const device_under_test *d, const small_problem *s, clattn_network_head heads[SMALL_HQ],
                           clattn_network_pair pairs[SMALL_HQ], clattn_report *report);

#endif
