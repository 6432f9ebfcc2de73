/* A map is made in steps, one after the other: the scores of some rows of one head into the workspace, then what the
 * map shows of them. How many rows, which ones, and who shares the work of a tile is reckoned here, once for planning
 * and running. */
#ifndef CA_BASE_MAP_STEPS_H
#define CA_BASE_MAP_STEPS_H

#include <stddef.h>

#include "problem.h"

/* Scores of a step, and what its tiles take along: no more than this, but for one row of scores, and the six numbers of
 * each tile of a row of tiles that go on, where these are more. */
#define CA_MAP_STEP_BYTES ((int64_t)16 << 20)

/* From the ranges and tiles in problem->map to the largest step in problem->attention: whole batch items where they
 * fit, else rows of one, whole tiles of them where these fit. */
void ca_map_cut(ca_problem *problem, size_t real_bytes);

/* Steps of a run; 0 where there is nothing to do. */
int64_t ca_map_steps(const ca_problem *problem);

/* Tiles of `tile` that hold n. */
int64_t ca_map_tiles(int64_t n, int64_t tile);

/* What a step has; head and row are counted from the first of their range. */
typedef struct ca_map_step {
  int64_t batch, batches, head, row, rows;
} ca_map_step;
ca_map_step ca_map_step_at(const ca_problem *problem, int64_t index);

/* How the `group_size` work-items of a group share: down * across of them a tile, where it has work for all of them, or
 * a tile each (1 and 1). */
void ca_map_share(const ca_map_problem *map, int64_t group_size, int64_t *down, int64_t *across);

#endif
