/* A random projection; its text is tools/common/projection_text.h's. */
#ifndef TESTS_PROJECTION_DRAW_H
#define TESTS_PROJECTION_DRAW_H

#include "projection_text.h"
#include "tester.h"

projection_case projection_case_of(const projection_text *p);

/* The families and tiles; then one projection of them. */
size_t projection_variants(const char *variant, const char **variants, size_t room);
projection_text projection_draw(random_state *r, const char *variant);

/* As shrink.h. */
typedef bool projection_fails(const projection_text *p, void *user);
void projection_shrink(projection_text *p, int tries, projection_fails *fails, void *user);

#endif
