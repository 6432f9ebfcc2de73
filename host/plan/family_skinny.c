/* The family `skinny`: projections of few tokens on CPU devices. A tile of variants.def is {rows, cols, depth, wg_rows,
 * wg_cols}: the register tile's rows of w, its tokens, the floats in a vector, the tokens up to which it is faster than
 * `vector`, and its speed in percent of `vector`'s where a tile of that is full. */
#include <inttypes.h>
#include <stdio.h>

#include "arith.h"
#include "family.h"

#define TILE_TOKENS 64    /* that a work-item takes at a time */
#define MOST_COLUMNS 256  /* of a work-item; whole heads where they rotate */
#define FAIR_COLUMNS 32   /* fewer are not worth a work-item */
#define GROUPS_PER_CORE 4 /* so that cores end together */

/* As many ranges for every core, unless they would be too narrow. */
static int64_t groups_of(const ca_question *question, int64_t width)
{
  const ca_projection_problem *p = &question->problem->projection;
  const int64_t cores = question->facts->compute_units ? (int64_t)question->facts->compute_units : 1;
  const int64_t most = ca_divide_up(width, FAIR_COLUMNS), few = GROUPS_PER_CORE * cores;
  const int64_t least = ca_divide_up(ca_divide_up(width, MOST_COLUMNS), cores) * cores,
                ranges = few > least ? few : least;
  return ca_divide_up(p->b * p->s, TILE_TOKENS) * (ranges < most ? ranges : most);
}

static bool has_float_weights(const ca_problem *problem)
{
  for (int i = 0; i < problem->projection.n_parts; i++)
    if (ca_plan_weight_type(problem, i) == CLATTN_F32) return true;
  return false;
}

/* `vector` takes the time of a whole tile of four vectors of tokens, whatever their number, and is the faster one where
 * they nearly fill it; weights of 16 bits cost it more. */
static bool is_faster(const ca_question *question, int64_t tokens, char reason[CA_REASON_BYTES])
{
  const ca_tile *tile = &question->tile;
  const int64_t full = 4 * tile->depth, padded = ca_divide_up(tokens, full) * full;
  if (question->forced) return true;
  if (tokens > tile->wg_rows)
    return ca_refuse(reason, "%" PRId64 " tokens, the tile is for %d at most", tokens, tile->wg_rows);
  if (has_float_weights(question->problem) && 100 * tokens > tile->wg_cols * padded)
    return ca_refuse(reason, "%" PRId64 " tokens nearly fill a tile of %" PRId64 " of vector", tokens, padded);
  return true;
}

static void add_parts(const ca_question *question, int first, int count, ca_choice *choice)
{
  const ca_problem *problem = question->problem;
  const ca_tile *tile = &question->tile;
  int64_t width = 0;
  for (int i = first; i < first + count; i++) width += ca_projection_width(&problem->projection.part[i]);
  if (!width) return;
  ca_launch *launch = ca_plan_launch(choice, CA_STAGE_projections, "skinny_projection.cl", "skinny_projection",
                                     ca_plan_groups(question->facts, groups_of(question, width), 1), 1, 0);
  ca_plan_part(launch, first, count);
  launch->lone = true;
  snprintf(launch->options, sizeof launch->options,
           "-DP_LANES=%d -DP_ROWS=%d -DP_TOKENS=%d -DP_WEIGHT=%d -DP_TILE=%d -DP_COLUMNS=%d", tile->depth, tile->rows,
           tile->cols, ca_plan_weight_type(problem, first), TILE_TOKENS, MOST_COLUMNS);
}

bool ca_plan_skinny(const ca_question *question, ca_choice *choice, char reason[CA_REASON_BYTES])
{
  const ca_projection_problem *p = &question->problem->projection;
  const ca_tile *tile = &question->tile;
  char text[48];
  snprintf(text, sizeof text, "l%dt%dx%d", tile->depth, tile->rows, tile->cols);
  ca_plan_id(question, text, choice);
  if (question->facts->type != CA_DEVICE_CPU)
    return question->forced ? ca_refuse(reason, "the family is for CPU devices") : false;
  if (!ca_plan_common(question, reason) || !ca_plan_lanes(question, choice->id, tile->depth, reason)) return false;
  if (!ca_plan_roundable_projection(question, reason) || !is_faster(question, p->b * p->s, reason)) return false;
  if (!ca_plan_heads_rotate(question->problem, MOST_COLUMNS, reason)) return false;
  if (!ca_plan_writes(question)) return true;
  for (int i = 0, count; i < p->n_parts; i += count) {
    count = ca_plan_parts_alike(question->problem, i);
    add_parts(question, i, count, choice);
  }
  return true;
}
