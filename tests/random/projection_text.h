/* A random projection, and its text: `op=projection,b=2,s=17,e=9,h=2,d=16,rotary=2,variant=tiled/m32n32k16`. */
#ifndef TESTS_PROJECTION_TEXT_H
#define TESTS_PROJECTION_TEXT_H

#include "problem_text.h"
#include "tester.h"

/* Every key: X(name, unsaid, least, most). Types and layouts are the numbers of clattn_dtype and box_layout; rotary
 * that of rotary_case. What is 0 by default is the smallest, but for sizes. hk makes it Q, K and V of one x (tester.h),
 * whose absent and mixed are bits. */
#define PROJECTION_LIST(X)                                                                                             \
  X(b, 1, 1, INT32_MAX)                                                                                                \
  X(s, 1, 0, INT32_MAX)                                                                                                \
  X(e, 1, 1, INT32_MAX)                                                                                                \
  X(h, 1, 1, INT32_MAX)                                                                                                \
  X(d, 2, 1, 512)                                                                                                      \
  X(x_type, CLATTN_F32, CLATTN_F32, CLATTN_F64)                                                                        \
  X(w_type, CLATTN_F32, CLATTN_F32, CLATTN_F64)                                                                        \
  X(y_type, CLATTN_F32, CLATTN_F32, CLATTN_F64)                                                                        \
  X(cache_type, CLATTN_F32, CLATTN_F32, CLATTN_F64)                                                                    \
  X(x_layout, 0, 0, LAYOUT_CONSTANT)                                                                                   \
  X(w_layout, 0, 0, LAYOUT_CONSTANT)                                                                                   \
  X(y_layout, 0, 0, LAYOUT_REVERSED)                                                                                   \
  X(cache_layout, 0, 0, LAYOUT_CONSTANT)                                                                               \
  X(flat, 0, 0, 1)                                                                                                     \
  X(bias, 0, 0, 1)                                                                                                     \
  X(packed, 0, 0, 1)                                                                                                   \
  X(rotary, ROTARY_NONE, ROTARY_NONE, ROTARY_DENSE)                                                                    \
  X(interleaved, 0, 0, 1)                                                                                              \
  X(rotary_dim, 0, 0, 512)                                                                                             \
  X(position_offset, 0, 0, INT32_MAX)                                                                                  \
  X(hk, 0, 0, INT32_MAX)                                                                                               \
  X(dv, 0, 0, 512)                                                                                                     \
  X(absent, 0, 0, 6)                                                                                                   \
  X(mixed, 0, 0, 3)                                                                                                    \
  X(sliced, 0, 0, 1)                                                                                                   \
  X(seed, 0, 0, INT64_MAX)

typedef enum projection_key {
#define PROJECTION_ENUM(name, unsaid, least, most) PROJECTION_##name,
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
void projection_print(const projection_text *p, char text[PROBLEM_TEXT_BYTES]);
projection_case projection_case_of(const projection_text *p);

/* The families and tiles; then one projection of them. */
size_t projection_variants(const char *variant, const char **variants, size_t room);
projection_text projection_draw(random_state *r, const char *variant);

/* As shrink.h. */
typedef bool projection_fails(const projection_text *p, void *user);
void projection_shrink(projection_text *p, int tries, projection_fails *fails, void *user);

#endif
