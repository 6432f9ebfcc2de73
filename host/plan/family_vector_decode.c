/* Few queries on many keys by the family `vector`: lanes along the channels (kernels/vector_decode.cl). A tile of
 * variants.def is {rows, -, depth}: rows of queries of a tile, and the floats in a vector. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "arith.h"
#include "family.h"

/* A part of a row's keys is worth its partial result when it has that many keys, and that many times as many as rows
 * share it; there are parts until every core has that many work-items. None has more than MOST_KEYS: sums of parts are
 * added up apart, which keeps the rounding of 100,000 keys small. */
#define LEAST_KEYS 256
#define LEAST_KEYS_OF_A_ROW 32
#define MOST_KEYS 4096
#define ITEMS_OF_A_CORE 4

/* Up to how many queries this kernel beats the one with lanes along the queries (kernels/vector.md). */
static int most_queries(int lanes) { return lanes * 3 / 2; }

/* Rows that read the same keys. */
static int64_t shared_rows(const ca_attention_problem *a) { return a->sq * (a->hq / a->hk); }

/* The caller names this very kernel: rules of speed do not count. */
static bool is_asked_for(const ca_question *question, const char *id)
{
  const char *asked = question->problem->variant;
  const size_t before_tile = (size_t)(strstr(id, "_decode") - id) + 1;
  return asked && strlen(asked) > before_tile && strncmp(asked, id, strlen(asked)) == 0;
}

/* Vectors of the device's own width; by name any, where it has vectors at all. The tile is the smallest that holds all
 * rows, or the largest. */
static bool tile_suits(const ca_question *question, const char *id, char reason[CA_REASON_BYTES])
{
  enum { LARGEST_ROWS = 4 };
  const ca_attention_problem *a = &question->problem->attention;
  const int lanes = question->tile.depth, rows = question->tile.rows;
  if (!ca_plan_lanes(question, id, lanes, reason)) return false;
  if (ca_plan_is_named(question, id)) return true;
  if (!is_asked_for(question, id) && a->sq > most_queries(lanes))
    return ca_refuse(reason, "%" PRId64 " queries are too many for lanes along the channels, the limit is %d", a->sq,
                     most_queries(lanes));
  if (rows < LARGEST_ROWS && shared_rows(a) > rows)
    return ca_refuse(reason, "%" PRId64 " rows of queries share a key, the tile has %d", shared_rows(a), rows);
  return true;
}

/* Keys that a row attends at most, as far as the host knows. */
static int64_t most_keys(const ca_attention_problem *a)
{
  if (a->window_left < 0 || (a->window_right < 0 && !a->causal)) return a->sk;
  const int64_t window = a->window_left + a->sq + (a->causal ? 0 : a->window_right);
  return window < a->sk ? window : a->sk;
}

static int32_t parts_of(const ca_question *question, int64_t items)
{
  const ca_attention_problem *a = &question->problem->attention;
  const int64_t rows = shared_rows(a),
                cores = question->facts->compute_units ? (int64_t)question->facts->compute_units : 1;
  const int64_t least = rows * LEAST_KEYS_OF_A_ROW > LEAST_KEYS ? rows * LEAST_KEYS_OF_A_ROW : LEAST_KEYS;
  const int64_t wanted = ca_divide_up(ITEMS_OF_A_CORE * cores, items), most = most_keys(a) / least;
  int64_t parts = wanted < most ? wanted : most;
  if (parts * MOST_KEYS < most_keys(a)) parts = ca_divide_up(most_keys(a), MOST_KEYS);
  return parts > 1 ? (int32_t)parts : 0;
}

static ca_launch *add_launch(const ca_question *question, ca_stage stage, const char *kernel, int64_t items,
                             ca_choice *choice)
{
  ca_launch *launch =
      ca_plan_launch(choice, stage, "vector_decode.cl", kernel, ca_plan_groups(question->facts, items, 1), 1, 0);
  snprintf(launch->options, sizeof launch->options, "-DP_LANES=%d -DP_ROWS=%d", question->tile.depth,
           question->tile.rows);
  return launch;
}

bool ca_plan_vector_decode(const ca_question *question, ca_choice *choice, char reason[CA_REASON_BYTES])
{
  const ca_problem *problem = question->problem;
  const ca_attention_problem *a = &problem->attention;
  char text[32];
  snprintf(text, sizeof text, "decode_l%dr%d", question->tile.depth, question->tile.rows);
  ca_plan_id(question, text, choice);
  if (question->facts->type != CA_DEVICE_CPU)
    return problem->variant ? ca_refuse(reason, "the family is for CPU devices") : false;
  if (!ca_plan_common(question, reason) || !tile_suits(question, choice->id, reason)) return false;
  if (!ca_plan_roundable("queries that share a key", shared_rows(a), reason)) return false;
  if (!ca_plan_writes(question)) return true;
  const int64_t items = a->b * a->hk * ca_divide_up(shared_rows(a), CA_DECODE_ROWS(a->dk, a->dv));
  choice->parts = parts_of(question, items);
  if (choice->parts == 0) {
    add_launch(question, CA_STAGE_attention, "vector_decode", items, choice);
    return true;
  }
  const int64_t factor[3] = {ca_plan_rows(problem), choice->parts, CA_PART_FLOATS(a->dv)};
  if (!ca_plan_product("the partial results", factor, 3, reason) ||
      !ca_plan_workspace(question, factor[0] * factor[1] * factor[2], choice, reason))
    return false;
  add_launch(question, CA_STAGE_attention_parts, "vector_decode_parts", items * choice->parts, choice);
  add_launch(question, CA_STAGE_attention_join, "vector_decode_join", factor[0], choice);
  return true;
}
