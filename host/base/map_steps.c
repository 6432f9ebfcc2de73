#include "map_steps.h"

#include "arith.h"

/* Work-items that share a tile have at least so many numbers each, or the sharing costs more than the work. */
#define SHARE_ELEMS 4

int64_t ca_map_tiles(int64_t n, int64_t tile) { return ca_divide_up(n, tile); }

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

void ca_map_cut(ca_problem *problem, size_t real_bytes)
{
  ca_map_problem *map = &problem->map;
  ca_attention_problem *a = &problem->attention;
  const int64_t room = CA_MAP_STEP_BYTES / (int64_t)real_bytes, all = map->rows * map->keys; /* tokens are below 2^30 */
  map->carry = 0;
  a->b = map->b;
  a->sq = map->rows;
  if (all == 0) return;
  if (all <= room) {
    a->b = least(map->b, room / all);
    return;
  }
  a->b = least(map->b, 1);
  a->sq = room / map->keys;
  if (a->sq >= map->tile_rows) {
    a->sq -= a->sq % map->tile_rows;
    return;
  }
  if (map->tile_rows == 1) { /* a row longer than that is a step of its own: nothing goes on */
    a->sq = 1;
    return;
  }
  map->carry = 2 * CA_MAP_CARRY * ca_map_tiles(map->keys, map->tile_keys); /* one row of tiles ends, the next begins */
  a->sq = (room - least(room, map->carry)) / map->keys;
  if (a->sq < 1) a->sq = 1;
}

int64_t ca_map_steps(const ca_problem *problem)
{
  const ca_map_problem *map = &problem->map;
  const ca_attention_problem *a = &problem->attention;
  if (a->b == 0 || a->sq == 0 || a->sk == 0) return 0;
  return ca_divide_up(map->b, a->b) * map->heads * ca_divide_up(map->rows, a->sq);
}

ca_map_step ca_map_step_at(const ca_problem *problem, int64_t index)
{
  const ca_map_problem *map = &problem->map;
  const ca_attention_problem *a = &problem->attention;
  const int64_t bands = ca_divide_up(map->rows, a->sq), band = index % bands, rest = index / bands;
  ca_map_step step = {.batch = rest / map->heads * a->b, .head = rest % map->heads, .row = band * a->sq};
  step.batches = least(a->b, map->b - step.batch);
  step.rows = least(a->sq, map->rows - step.row);
  return step;
}

void ca_map_share(const ca_map_problem *map, int64_t group_size, int64_t *down, int64_t *across)
{
  *down = *across = 1;
  if (map->tile_rows * map->tile_keys < SHARE_ELEMS * group_size) return;
  while (*across < group_size && *across < map->tile_keys) *across *= 2;
  *down = group_size / *across;
}
