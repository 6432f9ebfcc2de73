/* The family `tiled`: its stages (tiled_stages.cl) and its fused attention (tiled_attention.cl). The formulas of local
 * memory and registers are those of the kernels' headers. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "arith.h"
#include "family.h"

/* A CPU gains nothing from a larger tile, and wins by compiling one program for all its needs. */
#define CPU_TILE_ROWS 32
#define CPU_TILE_COLS 32
/* Products below which the program of `reference`, compiled in half the time, is the better bargain on a CPU: it takes
 * some 5 ms for so many, and `tiled` 1 ms after 0.6 s more of a first call (PoCL 3.1, two cores). */
#define FEW_PRODUCTS 4e6
#define MOST_FLOATS_PER_ITEM 136
/* Some drivers count vector engines as compute units, dozens to what others call one: more tiles than this are enough
 * for any device. */
#define ENOUGH_TILES 128
#define PADDING 4

static const char stages_source[] = "tiled_stages.cl", attention_source[] = "tiled_attention.cl";

static size_t group_size(const ca_tile *tile) { return (size_t)(tile->wg_rows * tile->wg_cols); }

/* A CPU that prefers vectors in the source runs work-items one after another, and compiles faster from functions; one
 * that prefers scalars joins work-items to vectors, which a call would break (half the speed on Intel's). */
static bool calls_are_cheap(const ca_facts *facts)
{
  return facts->type == CA_DEVICE_CPU && facts->preferred_width_f32 > 1;
}

static void tile_options(const ca_question *question, ca_launch *launch)
{
  const ca_tile *t = &question->tile;
  snprintf(launch->options, sizeof launch->options,
           "-DP_CALLS=%d -DP_TILE_ROWS=%d -DP_TILE_COLS=%d -DP_TILE_DEPTH=%d -DP_WG_ROWS=%d -DP_WG_COLS=%d",
           calls_are_cheap(question->facts), t->rows, t->cols, t->depth, t->wg_rows, t->wg_cols);
}

/* Multiplications of an operation; the softmax counts as one of a few channels. */
static double count_products(const ca_question *question)
{
  const ca_problem *problem = question->problem;
  if (question->operation == CA_OP_PROJECTION) {
    const ca_projection_problem *p = &problem->projection;
    return (double)(p->b * p->s) * (double)p->e * (double)ca_plan_columns(problem);
  }
  const ca_attention_problem *a = &problem->attention;
  const int64_t softmax_channels = 16;
  return (double)(a->b * a->hq) * (double)a->sq * (double)a->sk * (double)(a->dk + a->dv + softmax_channels);
}

/* The rules of preference: rows that stay empty, and tiles too few to keep the device busy, speak for a smaller tile.
 * Whoever names a tile has chosen already. */
static bool tile_suits(const ca_question *question, const ca_choice *choice, int64_t rows, int64_t tiles,
                       int smallest_rows, char reason[CA_REASON_BYTES])
{
  const ca_tile *t = &question->tile;
  const ca_facts *facts = question->facts;
  const char *variant = question->problem->variant;
  if (variant && strlen(variant) > (size_t)(strrchr(choice->id, '_') - choice->id)) return true;
  if (facts->type == CA_DEVICE_CPU) {
    if (t->rows > CPU_TILE_ROWS || t->cols > CPU_TILE_COLS)
      return ca_refuse(reason, "%d x %d gains nothing on a CPU over %d x %d, whose program serves all sizes", t->rows,
                       t->cols, CPU_TILE_ROWS, CPU_TILE_COLS);
    if (!question->forced && count_products(question) < FEW_PRODUCTS)
      return ca_refuse(reason, "%.0f products are too few on a CPU, the limit is %.0f: reference starts sooner",
                       count_products(question), FEW_PRODUCTS);
    return true;
  }
  if (t->rows == smallest_rows) return true;
  if (rows <= t->rows / 2) return ca_refuse(reason, "%d rows are too many for %" PRId64, t->rows, rows);
  const int64_t enough = facts->compute_units < ENOUGH_TILES ? (int64_t)facts->compute_units : ENOUGH_TILES;
  if (tiles < enough)
    return ca_refuse(reason, "%" PRId64 " tiles are too few for %" PRIu64 " compute units", tiles,
                     facts->compute_units);
  return true;
}

static bool registers_suffice(const ca_facts *facts, int floats, char reason[CA_REASON_BYTES])
{
  if (floats > MOST_FLOATS_PER_ITEM)
    return ca_refuse(reason, "needs %d floats of registers a work-item, the limit is %d", floats, MOST_FLOATS_PER_ITEM);
  const uint64_t bytes = (uint64_t)floats * sizeof(float);
  if (facts->private_memory_bytes && bytes > facts->private_memory_bytes)
    return ca_refuse(reason, "needs %" PRIu64 " bytes of private memory a work-item, has %" PRIu64, bytes,
                     facts->private_memory_bytes);
  return true;
}

/* What a launch of one stage needs: tiles (of the softmax: rows) and local memory. */
typedef struct stage_need {
  ca_stage stage;
  const char *kernel;
  int64_t items;
} stage_need;

static size_t stages_local_bytes(const ca_tile *t)
{
  return sizeof(float) * (size_t)(t->depth * (t->rows + t->cols + 2 * PADDING)) + 8 * (size_t)(t->rows + t->cols) + 4;
}

static ca_launch *add(const ca_question *question, stage_need need, ca_choice *choice)
{
  if (need.items == 0) return NULL;
  const size_t size = group_size(&question->tile);
  const size_t local_bytes =
      need.stage == CA_STAGE_softmax ? size * sizeof(float) : stages_local_bytes(&question->tile);
  ca_launch *launch = ca_plan_launch(choice, need.stage, stages_source, need.kernel,
                                     ca_plan_groups(question->facts, need.items, size), size, local_bytes);
  tile_options(question, launch);
  return launch;
}

static stage_need projection_need(const ca_question *question, int index)
{
  const ca_projection_problem *p = &question->problem->projection;
  const ca_projection_part *part = &p->part[index];
  const int64_t places = part->h * (part->d + part->d % 2);
  return (stage_need){CA_STAGE_projection, "tiled_projection",
                      ca_divide_up(p->b * p->s, question->tile.rows) * ca_divide_up(places, question->tile.cols)};
}

static void add_projections(const ca_question *question, ca_choice *choice)
{
  for (int i = 0; i < question->problem->projection.n_parts; i++) {
    ca_launch *launch = add(question, projection_need(question, i), choice);
    if (launch) ca_plan_part(launch, i, 1);
  }
}

static stage_need matrix_need(const ca_question *question, ca_stage stage, const char *kernel, int64_t cols)
{
  const ca_attention_problem *a = &question->problem->attention;
  return (stage_need){
      stage, kernel, a->b * a->hq * ca_divide_up(a->sq, question->tile.rows) * ca_divide_up(cols, question->tile.cols)};
}

static stage_need scores_need(const ca_question *question)
{
  return matrix_need(question, CA_STAGE_scores, "tiled_scores", question->problem->attention.sk);
}

static stage_need softmax_need(const ca_question *question)
{
  return (stage_need){CA_STAGE_softmax, "tiled_softmax", ca_plan_rows(question->problem)};
}

static stage_need values_need(const ca_question *question)
{
  return matrix_need(question, CA_STAGE_values, "tiled_values", question->problem->attention.dv);
}

/* Adds the launches of the operation; the workspace comes first, so that a refusal leaves none behind. */
static bool add_launches(const ca_question *question, ca_choice *choice, char reason[CA_REASON_BYTES])
{
  const bool probabilities = question->problem->attention.qk_mode == CA_QK_PROBABILITIES;
  switch (question->operation) {
  case CA_OP_PROJECTION:
    add_projections(question, choice);
    return true;
  case CA_OP_SCORES:
    if (probabilities && !ca_plan_score_workspace(question, choice, reason)) return false;
    add(question, scores_need(question), choice);
    if (probabilities) add(question, softmax_need(question), choice);
    return true;
  case CA_OP_SOFTMAX:
    add(question, softmax_need(question), choice);
    return true;
  case CA_OP_VALUES:
    add(question, values_need(question), choice);
    return true;
  default:
    if (!ca_plan_score_workspace(question, choice, reason)) return false;
    add(question, scores_need(question), choice);
    add(question, softmax_need(question), choice);
    add(question, values_need(question), choice);
    return true;
  }
}

/* Of the part that has most of them: each is a launch of its own. */
static int64_t most_tiles(const ca_question *question)
{
  int64_t most = 0;
  for (int i = 0; i < question->problem->projection.n_parts; i++) {
    const int64_t tiles = projection_need(question, i).items;
    if (tiles > most) most = tiles;
  }
  return most;
}

bool ca_plan_tiled(const ca_question *question, ca_choice *choice, char reason[CA_REASON_BYTES])
{
  enum { SMALLEST_ROWS = 16 };
  const ca_tile *t = &question->tile;
  const ca_problem *problem = question->problem;
  char text[32];
  snprintf(text, sizeof text, "m%dn%dk%d", t->rows, t->cols, t->depth);
  ca_plan_id(question, text, choice);
  const int floats = 2 * t->rows * t->cols / (int)group_size(t);
  if (!ca_plan_common(question, reason) ||
      !ca_plan_fits(question->facts, group_size(t), stages_local_bytes(t), reason) ||
      !registers_suffice(question->facts, floats, reason))
    return false;
  const bool projection = question->operation == CA_OP_PROJECTION;
  const int64_t rows = projection ? problem->projection.b * problem->projection.s : problem->attention.sq;
  const int64_t tiles = projection                             ? most_tiles(question)
                        : question->operation == CA_OP_VALUES  ? values_need(question).items
                        : question->operation == CA_OP_SOFTMAX ? softmax_need(question).items
                                                               : scores_need(question).items;
  if (!tile_suits(question, choice, rows, tiles, SMALLEST_ROWS, reason)) return false;
  return !ca_plan_writes(question) || add_launches(question, choice, reason);
}

/* Channels of v that the kernel is compiled for: few sizes, so few programs. */
static int value_channels(const ca_tile *t, int64_t dv)
{
  static const int sizes[] = {32, 64, 96, 128, 192, 256, 384, CA_MAX_HEAD};
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
    if (sizes[i] >= dv && sizes[i] % (4 * t->wg_cols) == 0) return sizes[i];
  return CA_MAX_HEAD;
}

/* Keys of v in local memory: about 2048 floats of it. */
static int value_depth(int channels) { return channels <= 64 ? 32 : channels <= 128 ? 16 : channels <= 256 ? 8 : 4; }

static size_t attention_local_bytes(const ca_tile *t, int channels)
{
  const int scores = t->depth * (t->rows + t->cols + 2 * PADDING);
  const int values = value_depth(channels) * (channels + PADDING);
  const int weights = t->cols * (t->rows + PADDING), across = t->rows * (t->wg_cols + 3);
  return sizeof(float) * (size_t)((scores > values ? scores : values) + weights + across) +
         8 * (size_t)(t->rows + t->cols) + 4;
}

bool ca_plan_tiled_attention(const ca_question *question, ca_choice *choice, char reason[CA_REASON_BYTES])
{
  enum { SMALLEST_ROWS = 16 };
  const ca_tile *t = &question->tile;
  const ca_attention_problem *a = &question->problem->attention;
  const ca_tensor *tensor = question->problem->tensor;
  char text[32];
  snprintf(text, sizeof text, "q%dk%d", t->rows, t->cols);
  ca_plan_id(question, text, choice);
  const int channels = value_channels(t, a->dv);
  const int floats = t->rows / t->wg_rows * (channels / t->wg_cols + 4);
  const size_t local_bytes = attention_local_bytes(t, channels), size = group_size(t);
  if (!ca_plan_common(question, reason) || !ca_plan_fits(question->facts, size, local_bytes, reason) ||
      !registers_suffice(question->facts, floats, reason))
    return false;
  const int64_t tiles = a->b * a->hq * ca_divide_up(a->sq, t->rows);
  if (!tile_suits(question, choice, a->sq, tiles, SMALLEST_ROWS, reason)) return false;
  if (!ca_plan_writes(question)) return true;
  ca_launch *launch = ca_plan_launch(choice, CA_STAGE_attention, attention_source, "tiled_attention",
                                     ca_plan_groups(question->facts, tiles, size), size, local_bytes);
  tile_options(question, launch);
  const size_t used = strlen(launch->options);
  snprintf(launch->options + used, sizeof launch->options - used,
           " -DP_DV=%d -DP_VALUE_DEPTH=%d -DP_Q_TYPE=%d -DP_K_TYPE=%d -DP_V_TYPE=%d -DP_Y_TYPE=%d", channels,
           value_depth(channels), (int)tensor[CLATTN_Q].dtype, (int)tensor[CLATTN_K].dtype, (int)tensor[CLATTN_V].dtype,
           (int)tensor[CLATTN_Y].dtype);
  return true;
}
