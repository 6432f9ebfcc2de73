/* The family `packed`: projections on CPU devices from weights packed in panels. A tile of variants.def is {rows, cols,
 * depth}: the register tile's tokens, its vectors of columns, the floats in a vector; a panel has cols vectors. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "arith.h"
#include "family.h"

#define TILE_TOKENS 132 /* that a work-item takes at a time */
#define FEW_TOKENS 64
#define FAIR_COLUMNS 256  /* of a work-item */
#define MOST_COLUMNS 512  /* of a work-item where heads rotate, which are whole then: no head is wider */
#define GROUPS_PER_CORE 6 /* so that cores end together */
#define SMALLEST_LANES 4  /* of the tiles in variants.def */
#define DEPTH 256         /* products of a block, summed up before they join the others */

static void tile_text(const ca_tile *tile, char text[48])
{
  snprintf(text, 48, "l%dt%dx%d", tile->depth, tile->rows, tile->cols);
}

static int32_t panel_of(const ca_tile *tile) { return tile->depth * tile->cols; }

/* Without vectors of its own a device has no use for panels, and its compiler none for what the kernel says of caches.
 */
static bool has_vectors(const ca_facts *facts)
{
  return facts->type == CA_DEVICE_CPU && facts->native_width_f32 >= SMALLEST_LANES;
}

int32_t ca_plan_panel(const ca_tile *tile, const ca_facts *facts, int32_t dtype, const char *variant)
{
  char text[48];
  tile_text(tile, text);
  const char *named = variant ? strstr(variant, "_l") : NULL; /* a tile, or the beginning of one */
  const bool suits = has_vectors(facts) && dtype != CLATTN_F64;
  const bool own_width = facts->native_width_f32 == (uint64_t)tile->depth;
  const bool wanted = named ? strncmp(named + 1, text, strlen(named + 1)) == 0 : own_width;
  return suits && wanted ? panel_of(tile) : 0;
}

/* Whether the weights are this tile's panels; what has no columns has none. Rows alone are another family's matter. */
static bool has_panels(const ca_question *question, char reason[CA_REASON_BYTES])
{
  const ca_projection_problem *p = &question->problem->projection;
  const int32_t panel = panel_of(&question->tile);
  bool some = question->forced;
  for (int i = 0; i < p->n_parts; i++) some = some || p->part[i].panel;
  for (int i = 0; i < p->n_parts; i++) {
    const ca_projection_part *part = &p->part[i];
    if (!ca_projection_width(part) || part->panel == panel) continue;
    if (part->panel)
      return ca_refuse(reason, "%s is packed in panels of %" PRId32 " columns, the tile wants %" PRId32,
                       ca_slot_text(part->w), part->panel, panel);
    return some ? ca_refuse(reason, "%s is not packed (clattn_weights_create)", ca_slot_text(part->w)) : false;
  }
  return some;
}

/* Columns of a work-item: few tokens read a panel from its beginning to its end; many read x again for each range, so
 * that a range is wide, but there are enough for every core. */
static int64_t columns_of(const ca_question *question)
{
  const ca_problem *problem = question->problem;
  const ca_projection_problem *p = &problem->projection;
  const int32_t panel = panel_of(&question->tile);
  const int64_t cores = question->facts->compute_units ? (int64_t)question->facts->compute_units : 1;
  const int64_t tiles = ca_divide_up(p->b * p->s, TILE_TOKENS);
  int64_t columns = p->b * p->s > FEW_TOKENS ? FAIR_COLUMNS : panel;
  while (columns > panel && tiles * ca_divide_up(ca_plan_columns(problem), columns) < GROUPS_PER_CORE * cores)
    columns /= 2;
  return columns;
}

/* As the kernel divides them: those, or whole heads where they rotate, in whole panels if so many fit. */
static int64_t range_of(const ca_projection_part *part, int32_t panel, int64_t columns)
{
  if (part->rotary_dim == 0) return columns;
  for (int64_t heads = part->d; heads <= MOST_COLUMNS; heads += part->d)
    if (heads % panel == 0) return heads;
  return MOST_COLUMNS / part->d * part->d;
}

static void add_parts(const ca_question *question, int first, int count, ca_choice *choice)
{
  const ca_problem *problem = question->problem;
  const ca_projection_problem *p = &problem->projection;
  const ca_tile *tile = &question->tile;
  int64_t ranges = 0;
  for (int i = first; i < first + count; i++)
    if (ca_projection_width(&p->part[i]))
      ranges +=
          ca_divide_up(ca_projection_width(&p->part[i]), range_of(&p->part[i], panel_of(tile), columns_of(question)));
  if (!ranges) return;
  const int64_t items = ca_divide_up(p->b * p->s, TILE_TOKENS) * ranges;
  ca_launch *launch = ca_plan_launch(choice, CA_STAGE_projections, "packed_projection.cl", "packed_projection",
                                     ca_plan_groups(question->facts, items, 1), 1, 0);
  ca_plan_part(launch, first, count);
  launch->lone = true;
  snprintf(launch->options, sizeof launch->options,
           "-DP_LANES=%d -DP_ROWS=%d -DP_VECTORS=%d -DP_WEIGHT=%d -DP_TILE=%d -DP_COLUMNS=%d -DP_DEPTH=%d", tile->depth,
           tile->rows, tile->cols, ca_plan_weight_type(problem, first), TILE_TOKENS, MOST_COLUMNS, DEPTH);
}

bool ca_plan_packed(const ca_question *question, ca_choice *choice, char reason[CA_REASON_BYTES])
{
  const ca_problem *problem = question->problem;
  char text[48];
  tile_text(&question->tile, text);
  ca_plan_id(question, text, choice);
  if (question->facts->type != CA_DEVICE_CPU)
    return question->forced ? ca_refuse(reason, "the family is for CPU devices") : false;
  if (!has_vectors(question->facts))
    return question->forced ? ca_refuse(reason, "vectors of %d floats, the device has %" PRIu64, question->tile.depth,
                                        question->facts->native_width_f32)
                            : false;
  if (!has_panels(question, reason) || !ca_plan_common(question, reason)) return false;
  if (!ca_plan_roundable_projection(question, reason)) return false;
  if (!ca_plan_heads_rotate(problem, MOST_COLUMNS, reason)) return false;
  if (!ca_plan_writes(question)) return true;
  for (int i = 0, count; i < problem->projection.n_parts; i += count) {
    count = ca_plan_parts_alike(problem, i);
    add_parts(question, i, count, choice);
  }
  return true;
}
