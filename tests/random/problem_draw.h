/* Random problems: sizes from a ladder around a variant's tile, everything else mixed. */
#ifndef TESTS_PROBLEM_DRAW_H
#define TESTS_PROBLEM_DRAW_H

#include "numerics.h"
#include "problem_text.h"

/* A variant of a path, and the sizes at which its tiles end. */
typedef struct drawn_way {
  const char *variant; /* "": the library chooses */
  int32_t path;
  int64_t queries, keys;
} drawn_way;

/* The ways whose variant begins with this ("any": those without; NULL: all) and whose path is this (-1: any). */
size_t draw_ways(const char *variant, int32_t path, drawn_way *ways, size_t room);

/* What the problems of a group share, so that one program serves them. */
typedef struct drawn_group {
  const drawn_way *way;
  int64_t dtype, k_type, v_type, y_type;
  int64_t least_dv, most_dv;
} drawn_group;

drawn_group draw_group(random_state *r, const drawn_way *way);
problem_text draw_problem(random_state *r, const drawn_group *group);

#endif
