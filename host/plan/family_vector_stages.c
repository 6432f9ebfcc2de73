/* The stages of the family `vector`: CPU devices, one program for scores, softmax and values. A tile of variants.def is
 * {rows, cols, depth}: the register tile's rows, its vectors, and the floats in a vector. */
#include <inttypes.h>
#include <stdio.h>

#include "arith.h"
#include "family.h"

/* As in vector_stages.cl; of the rows that one work-item takes. */
#define SCORE_ROWS 256
#define VALUE_TILES 16 /* register tiles */
#define SOFTMAX_ROWS 8

static void add(const ca_question *question, ca_stage stage, const char *kernel, int64_t items, ca_choice *choice)
{
  const ca_tile *tile = &question->tile;
  if (items == 0) return;
  ca_launch *launch =
      ca_plan_launch(choice, stage, "vector_stages.cl", kernel, ca_plan_groups(question->facts, items, 1), 1, 0);
  snprintf(launch->options, sizeof launch->options, "-DP_LANES=%d -DP_ROWS=%d -DP_VECTORS=%d", tile->depth, tile->rows,
           tile->cols);
}

static void add_scores(const ca_question *question, ca_choice *choice)
{
  const ca_attention_problem *a = &question->problem->attention;
  const int64_t panels = ca_divide_up(a->sk, (int64_t)question->tile.depth * question->tile.cols);
  add(question, CA_STAGE_scores, "vector_scores", a->b * a->hq * ca_divide_up(a->sq, SCORE_ROWS) * panels, choice);
}

static void add_softmax(const ca_question *question, ca_choice *choice)
{
  add(question, CA_STAGE_softmax, "vector_softmax", ca_divide_up(ca_plan_rows(question->problem), SOFTMAX_ROWS),
      choice);
}

static void add_values(const ca_question *question, ca_choice *choice)
{
  const ca_attention_problem *a = &question->problem->attention;
  const int64_t tiles = ca_divide_up(a->sq, (int64_t)VALUE_TILES * question->tile.rows);
  add(question, CA_STAGE_values, "vector_values", a->b * a->hq * tiles, choice);
}

/* The workspace comes first, so that a refusal leaves no launches behind. */
static bool add_launches(const ca_question *question, ca_choice *choice, char reason[CA_REASON_BYTES])
{
  const ca_operation operation = question->operation;
  const bool probabilities = question->problem->attention.qk_mode == CA_QK_PROBABILITIES;
  const bool scores = operation == CA_OP_SCORES || operation == CA_OP_STAGED;
  const bool softmax =
      operation == CA_OP_SOFTMAX || operation == CA_OP_STAGED || (operation == CA_OP_SCORES && probabilities);
  if (scores && softmax && !ca_plan_score_workspace(question, choice, reason)) return false;
  if (scores) add_scores(question, choice);
  if (softmax) add_softmax(question, choice);
  if (operation == CA_OP_VALUES || operation == CA_OP_STAGED) add_values(question, choice);
  return true;
}

bool ca_plan_vector_stages(const ca_question *question, ca_choice *choice, char reason[CA_REASON_BYTES])
{
  const ca_tile *tile = &question->tile;
  char text[48];
  snprintf(text, sizeof text, "l%dt%dx%d", tile->depth, tile->rows, tile->cols);
  ca_plan_id(question, text, choice);
  if (question->facts->type != CA_DEVICE_CPU)
    return question->problem->variant ? ca_refuse(reason, "the family is for CPU devices") : false;
  return ca_plan_common(question, reason) && ca_plan_lanes(question, choice->id, tile->depth, reason) &&
         (!ca_plan_writes(question) || add_launches(question, choice, reason));
}
