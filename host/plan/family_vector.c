/* The family `vector`: CPU devices, one work-item a tile. A tile of variants.def is {rows, cols, depth}: the register
 * tile's keys (or channels), its vectors of queries, and the floats in a vector. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "family.h"

/* What the arrays of one work-item may take of a thread's stack, of which PoCL's threads have 8 MiB. */
#define TILE_BYTES (256 * 1024)

/* Columns of y that a work-item of a projection makes, and the elements of x and w that it takes at a time. */
#define LARGEST_RANGE 256
#define SMALLEST_RANGE 64
#define PROJECTION_DEPTH 256

typedef struct vector_tile {
  int rows, vectors, lanes; /* register tile */
  int tiles, keys, head;    /* sub-tiles of a tile, keys of a block, the largest head size */
} vector_tile;

static int64_t round_up(int64_t size, int64_t step) { return (size + step - 1) / step * step; }

/* Four classes of head sizes, so that few programs are ever compiled. */
static int head_class(int64_t dk, int64_t dv)
{
  int head = 64;
  while (head < dk || head < dv) head *= 2;
  return head;
}

/* Sub-tiles share a block of keys, so the more the better: while there is enough work for every core, and the tile
 * stays in a core's second cache. */
static int sub_tiles(const ca_question *question, const vector_tile *tile)
{
  const ca_attention_problem *a = &question->problem->attention;
  const int64_t queries = tile->lanes * tile->vectors;
  const int64_t cores = question->facts->compute_units ? (int64_t)question->facts->compute_units : 1;
  int tiles = 4;
  while (tiles > 1) {
    const int64_t rows = tiles * queries;
    const int64_t bytes = 2 * rows * tile->head * (int64_t)sizeof(float);
    const int64_t items = a->b * a->hq * (round_up(a->sq, rows) / rows);
    if (bytes <= TILE_BYTES && items >= 2 * cores && (tiles - 1) * queries < a->sq) break;
    tiles /= 2;
  }
  return tiles;
}

static int64_t tokens_of(const ca_projection_problem *p) { return p->b * p->s; }

/* How long the problem takes with a tile, in its own unit: rows are rounded up to whole sub-tiles, and in causal order
 * a query goes through half a sub-tile of keys that it does not attend. */
static double time_of(const ca_question *question, const ca_tile *tile)
{
  const ca_attention_problem *a = &question->problem->attention;
  const int64_t rows = (int64_t)tile->depth * tile->cols;
  if (question->operation == CA_OP_PROJECTION)
    return (double)round_up(tokens_of(&question->problem->projection), rows) / tile->wg_rows;
  double keys = (double)a->sk;
  if (a->causal) {
    const double middle = (double)a->offset + (double)a->sq / 2;
    keys = (middle < 0 ? 0 : middle < keys ? middle : keys) + (double)rows / 2;
  }
  return (double)round_up(a->sq, rows) * keys / tile->wg_rows;
}

/* The tile that is fastest by these rules, the first of equals. */
static bool is_fastest(const ca_question *question, const char *id, char reason[CA_REASON_BYTES])
{
  static const struct {
    ca_operation operation;
    ca_planner *plan;
    ca_tile tile;
  } rows[] = {
#define CA_VARIANT(family, operation, OPERATION, planner, ...) {CA_OP_##OPERATION, planner, __VA_ARGS__},
#include "variants.def"
#undef CA_VARIANT
  };
  const double own = time_of(question, &question->tile);
  if (ca_plan_is_named(question, id)) return true;
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    const ca_tile *other = &rows[i].tile;
    if (rows[i].plan != ca_plan_vector || rows[i].operation != question->operation) continue;
    if (other->depth != question->tile.depth || time_of(question, other) >= own) continue;
    return ca_refuse(reason, "sub-tiles of %d rows take %.0f %% of the time of those of %d", other->depth * other->cols,
                     100 * time_of(question, other) / own, question->tile.depth * question->tile.cols);
  }
  return true;
}

/* What both kernels ask of device and problem. */
static bool suits(const ca_question *question, const char *id, char reason[CA_REASON_BYTES])
{
  if (question->facts->type != CA_DEVICE_CPU)
    return question->problem->variant ? ca_refuse(reason, "the family is for CPU devices") : false;
  return ca_plan_common(question, reason) && ca_plan_lanes(question, id, question->tile.depth, reason) &&
         is_fastest(question, id, reason);
}

/* The columns of a work-item: many, because the tokens are transposed once for all of them, but enough items for every
 * core. */
static int columns_of(const ca_question *question, int tokens)
{
  const ca_projection_problem *p = &question->problem->projection;
  const int64_t widest = ca_plan_widest_head(question->problem);
  const int64_t cores = question->facts->compute_units ? (int64_t)question->facts->compute_units : 1;
  int columns = LARGEST_RANGE;
  while (columns > SMALLEST_RANGE && columns / 2 >= widest &&
         round_up(tokens_of(p), tokens) / tokens * (round_up(ca_plan_columns(question->problem), columns) / columns) <
             4 * cores)
    columns /= 2;
  return columns;
}

/* Of all parts, as the kernel divides them: heads that rotate stay whole. */
static int64_t count_ranges(const ca_projection_problem *p, int columns)
{
  int64_t ranges = 0;
  for (int i = 0; i < p->n_parts; i++) {
    const ca_projection_part *part = &p->part[i];
    const int64_t range = part->rotary_dim > 0 ? columns / part->d * part->d : columns;
    ranges += round_up(ca_projection_width(part), range) / range;
  }
  return ranges;
}

static bool plan_projection(const ca_question *question, ca_choice *choice, char reason[CA_REASON_BYTES])
{
  const ca_projection_problem *p = &question->problem->projection;
  const ca_tile *tile = &question->tile;
  const int sub_tile = tile->depth * tile->cols, tiles = tokens_of(p) > sub_tile ? 2 : 1, tokens = tiles * sub_tile;
  const int columns = columns_of(question, tokens);
  char text[48];
  snprintf(text, sizeof text, "l%dt%dx%dm%dn%d", tile->depth, tile->rows, tile->cols, tokens, columns);
  ca_plan_id(question, text, choice);
  if (!suits(question, choice->id, reason)) return false;
  if (!ca_plan_roundable_projection(question, reason)) return false;
  if (!ca_plan_heads_rotate(question->problem, columns, reason)) return false;
  if (!ca_plan_writes(question)) return true;
  const int64_t items = round_up(tokens_of(p), tokens) / tokens * count_ranges(p, columns);
  ca_launch *launch = ca_plan_launch(choice, CA_STAGE_projections, "vector_projection.cl", "vector_projection",
                                     ca_plan_groups(question->facts, items, 1), 1, 0);
  ca_plan_part(launch, 0, p->n_parts);
  launch->lone = true;
  snprintf(launch->options, sizeof launch->options,
           "-DP_LANES=%d -DP_ROWS=%d -DP_VECTORS=%d -DP_TILES=%d -DP_COLUMNS=%d -DP_DEPTH=%d", tile->depth, tile->rows,
           tile->cols, tiles, columns, PROJECTION_DEPTH);
  return true;
}

/* A block is 144 keys or a little less, a multiple of the register tile's; long heads take half of it, for the second
 * cache's sake. */
static vector_tile make_tile(const ca_question *question)
{
  const ca_attention_problem *a = &question->problem->attention;
  vector_tile tile = {
      .rows = question->tile.rows, .vectors = question->tile.cols, .lanes = question->tile.depth, .keys = 144};
  tile.head = head_class(a->dk, a->dv);
  if (tile.head > 256) tile.keys = 72;
  tile.keys -= tile.keys % tile.rows;
  tile.tiles = sub_tiles(question, &tile);
  return tile;
}

static bool plan_attention(const ca_question *question, ca_choice *choice, char reason[CA_REASON_BYTES])
{
  const ca_attention_problem *a = &question->problem->attention;
  const ca_facts *facts = question->facts;
  const vector_tile tile = make_tile(question);
  const int queries = tile.lanes * tile.vectors * tile.tiles;
  char text[48];
  snprintf(text, sizeof text, "l%dt%dx%dq%dk%d", tile.lanes, tile.rows, tile.vectors, queries, tile.keys);
  ca_plan_id(question, text, choice);
  if (!suits(question, choice->id, reason)) return false;
  if (!ca_plan_writes(question)) return true;
  const int64_t items = a->b * a->hq * (round_up(a->sq, queries) / queries);
  ca_launch *launch = ca_plan_launch(choice, CA_STAGE_attention, "vector_attention.cl", "vector_attention",
                                     ca_plan_groups(facts, items, 1), 1, 0);
  launch->lone = true;
  snprintf(launch->options, sizeof launch->options,
           "-DP_LANES=%d -DP_ROWS=%d -DP_VECTORS=%d -DP_TILES=%d -DP_KEYS=%d -DP_HEAD=%d", tile.lanes, tile.rows,
           tile.vectors, tile.tiles, tile.keys, tile.head);
  return true;
}

bool ca_plan_vector(const ca_question *question, ca_choice *choice, char reason[CA_REASON_BYTES])
{
  return (question->operation == CA_OP_PROJECTION ? plan_projection : plan_attention)(question, choice, reason);
}
