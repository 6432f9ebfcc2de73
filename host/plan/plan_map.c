/* The launch that follows the score stage of every family where a map is made (kernels/map.cl). */
#include <inttypes.h>
#include <stdio.h>

#include "arith.h"
#include "family.h"
#include "map_steps.h"
#include "names.h"
#include "quirks.h"

#define MOST_LANES 16
#define FEWEST_LANES 4
#define MOST_TURNS 60000 /* of a work-item's loops, where a driver ends them */

/* A work-item's vector on a CPU, its floats; 1: groups of many work-items, a number each. */
static int lanes_for(const ca_facts *facts, size_t real_bytes)
{
  int lanes = 1;
  if (facts->type != CA_DEVICE_CPU || real_bytes != sizeof(float)) return lanes;
  while (lanes < MOST_LANES && (uint64_t)lanes * 2 <= facts->native_width_f32) lanes *= 2;
  return lanes < FEWEST_LANES ? 1 : lanes;
}

/* Work-groups' worth of work in the largest step. */
static int64_t items_of(const ca_problem *problem, int64_t group_size)
{
  const ca_map_problem *map = &problem->map;
  const ca_attention_problem *a = &problem->attention;
  if (map->tile_rows == 1 && map->tile_keys == 1) return a->b * a->sq * ca_divide_up(a->sk, CA_MAP_CHUNK);
  int64_t down, across;
  ca_map_share(map, group_size, &down, &across);
  const int64_t rows = ca_map_tiles(a->sq, map->tile_rows) + (map->carry ? 1 : 0); /* a step may end one, begin one */
  return ca_divide_up(a->b * rows * ca_map_tiles(map->keys, map->tile_keys), group_size / (down * across));
}

static bool loops_fit(const ca_question *question, int64_t group_size, int lanes, char reason[CA_REASON_BYTES])
{
  const ca_map_problem *map = &question->problem->map;
  int64_t down, across;
  if (!(question->facts->quirks & CA_QUIRK_BIT(short_loops))) return true;
  ca_map_share(map, group_size, &down, &across);
  const int64_t rows =
      map->tile_rows < question->problem->attention.sq ? map->tile_rows : question->problem->attention.sq;
  const int64_t turns = ca_divide_up(rows, down) * (1 + ca_divide_up(map->tile_keys, across * lanes));
  if (turns > MOST_TURNS)
    return ca_refuse(reason, "tiles of %" PRId64 " x %" PRId64 " are too large: this driver ends a work-item's loops",
                     map->tile_rows, map->tile_keys);
  return true;
}

static bool steps_fit(const ca_problem *problem, char reason[CA_REASON_BYTES])
{
  const ca_map_problem *map = &problem->map;
  const ca_attention_problem *a = &problem->attention;
  int64_t steps = 0;
  if (a->b == 0 || a->sq == 0) return true;
  if (!ca_mul(ca_divide_up(map->b, a->b), ca_divide_up(map->rows, a->sq), &steps) ||
      !ca_mul(steps, map->heads, &steps) || steps > INT32_MAX)
    return ca_refuse(reason, "the map takes more than %d steps", INT32_MAX);
  return true;
}

bool ca_plan_map(const ca_question *question, ca_choice *choice, char reason[CA_REASON_BYTES])
{
  const ca_problem *problem = question->problem;
  const ca_attention_problem *a = &problem->attention;
  const ca_facts *facts = question->facts;
  if (problem->operation != CA_OP_MAP) return true;
  if (ca_has_line(facts->wrong_variants, CA_MAP_KIND))
    return ca_refuse(reason, "maps were wrong in the selftest of this device");
  const int lanes = lanes_for(facts, choice->real_bytes);
  const size_t size = lanes > 1 ? 1 : ca_plan_group_size(facts), local = CA_MAP_CARRY * size * choice->real_bytes;
  if (!steps_fit(problem, reason) || !loops_fit(question, (int64_t)size, lanes, reason) ||
      !ca_plan_fits(facts, size, local, reason))
    return false;
  if (ca_map_steps(problem) == 0) {
    choice->n_launches = 0;
    return true;
  }
  if (!ca_plan_workspace(question, problem->map.carry + a->b * a->sq * a->sk, choice, reason)) return false;
  ca_launch *launch = ca_plan_launch(choice, CA_STAGE_map, "map.cl", "map",
                                     ca_plan_groups(facts, items_of(problem, (int64_t)size), size), size, local);
  launch->lone = size == 1;
  snprintf(launch->options, sizeof launch->options, "-DP_WG=%zu -DP_LANES=%d -DP_DOUBLE=%d", size, lanes,
           choice->real_bytes == sizeof(double));
  return true;
}
