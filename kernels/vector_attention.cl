/* Family vector: fused attention for CPU devices. A work-item owns a tile of query rows; lanes run along the queries.
 *
 *   S^T[j][q] = sum_d K[j][d] Q^T[d][q]    O^T[d][q] += sum_j V[j][d] P^T[j][q]
 *
 * Elements of K and V are broadcast against vectors of queries, so maximum, sum and exponential are vertical
 * and only Q and O are transposed, once a tile, in registers. Keys are taken in blocks: read where they lie if they are
 * float32 rows, else copied as such into private memory. A tile is P_TILES sub-tiles, which share a block and go
 * through it one after the other.
 *
 * Where every query of a sub-tile attends every key of a block, the scores go straight into the softmax. Otherwise
 * close_scores first makes -inf of what is not attended, before the maximum sees it; weights of such keys are zero
 * exactly. Zero times an infinite value is no number: a tile whose output is not finite throughout is done again with
 * add_carefully, which leaves out what is not attended instead of weighing it.
 *
 * P_LANES    floats in a vector
 * P_ROWS     keys (first product) or channels (second) of a register tile
 * P_VECTORS  vectors of queries of a register tile; P_ROWS * P_VECTORS + P_VECTORS + 1 registers
 * P_TILES    sub-tiles of P_LANES * P_VECTORS queries in a tile
 * P_KEYS     keys of a block, a multiple of P_ROWS
 * P_HEAD     the largest head size, of keys and of values; the head sizes themselves are arguments, as are types, masks
 *            and strides
 * Private memory: 4 (P_HEAD (2 P_TILES P_LANES P_VECTORS + 2 P_KEYS + 2 P_LANES) + P_KEYS P_LANES P_VECTORS) bytes and
 * a little. Work-groups of one; no barriers. Tiles are taken in turn: any grid is right; no arguments mean no tiles.
 * Source: online softmax after Milakov and Gimelshein 2018. */
#include "ca_shared.h"
#include "lib/mask.clh"
#include "lib/tile_io.clh"
#include "lib/vector.clh"

#if !defined(P_ROWS) || !defined(P_VECTORS) || !defined(P_TILES) || !defined(P_KEYS) || !defined(P_HEAD)
#error "P_ROWS, P_VECTORS, P_TILES, P_KEYS or P_HEAD is missing"
#endif

#define QUERIES (P_LANES * P_VECTORS) /* of a sub-tile */
#define WIDTH (P_HEAD + P_LANES)      /* room for a row of a block and for what pads it */
#define LINE 64                       /* bytes of a cache line */
#define NARROW 4                      /* channels of the panels that make up a head's remainder */

#define ALIGNED __attribute__((aligned(64)))
#define KERNEL __kernel __attribute__((reqd_work_group_size(1, 1, 1))) CA_WHOLE_VECTORS

/* Where a tile lies and what it reads. */
typedef struct tile_place {
  int b, h;
  int first, rows; /* queries of this tile or sub-tile: first, first + 1, ... */
  int valid;       /* keys of the batch item */
} tile_place;

/* Part i of a place that is cut into parts of n queries. Only the first may have fewer: in causal order its queries
 * have the fewest keys, so that what is lost by rounding up costs least. */
CA_WITHIN tile_place part_of(tile_place place, int i, int n)
{
  const int parts = (place.rows + n - 1) / n, end = place.rows - (parts - 1 - i) * n, begin = max(end - n, 0);
  place.first += begin;
  place.rows = end - begin;
  return place;
}

/* How dv channels are cut: `wide` panels of P_ROWS, then `narrow` ones of NARROW, with as little padding as can be. */
typedef struct panels {
  int wide, narrow;
} panels;

static panels cut_channels(int dv)
{
  panels best = {(dv + P_ROWS - 1) / P_ROWS, 0};
  int best_total = best.wide * P_ROWS;
  for (int narrow = 1; narrow <= P_ROWS && (narrow - 1) * NARROW < dv; narrow++) {
    const int wide = (max(dv - narrow * NARROW, 0) + P_ROWS - 1) / P_ROWS;
    const int total = wide * P_ROWS + narrow * NARROW;
    if (total >= best_total) continue;
    best = (panels){wide, narrow};
    best_total = total;
  }
  return best;
}

/* Floats from row to row of a block: an odd number of cache lines, so that a column of it meets all sets of a cache. */
static int width_of(int head) { return (head + P_LANES - 1) / P_LANES * P_LANES + P_LANES; }

/* The queries of a vector, times scale, transposed to [d][QUERIES]. Lanes past the last query repeat it. */
CA_APART void load_queries(const ca_attention_args *args, __global const uchar *q, const tile_place *place, int lane0,
                           float *restrict to)
{
  float row[P_LANES * WIDTH] ALIGNED;
  const int first = min(lane0, place->rows - 1), rows = min(P_LANES, place->rows - first);
  const long at = args->q.offset + place->b * args->q.stride[0] + place->h * args->q.stride[1] +
                  (place->first + first) * args->q.stride[2];
  rows_load(row, WIDTH, q, at, args->q.stride[2], args->q.stride[3], args->q_type, rows, args->dk);
  for (int i = rows; i < P_LANES; i++)
    for (int d = 0; d < args->dk; d += P_LANES) vec_store(row + i * WIDTH + d, vec_load(row + (rows - 1) * WIDTH + d));
  rows_transpose(row, WIDTH, args->dk, args->scale, to, QUERIES);
}

/* Keys or values [from, from + n) of a head, past first. Rows of float32 that lie together are read in place.
 * Otherwise they are copied to `room`, and what they lack of `channels` becomes zero, and what n lacks of P_ROWS
 * repeats the last row. */
CA_APART rows load_block(const ca_attention_args *args, const ca_tensor_arg *t, __global const uchar *x,
                         const ca_tensor_arg *past, __global const uchar *past_x, int type, int head, int channels,
                         const tile_place *place, int from, int n, float *restrict room)
{
  const int h = place->h / args->group, width = width_of(head);
  const int old = clamp(args->past - from, 0, n);
  const long past_at = past->offset + place->b * past->stride[0] + h * past->stride[1] + from * past->stride[2];
  const long at = t->offset + place->b * t->stride[0] + h * t->stride[1] + max(from - args->past, 0) * t->stride[2];
  if (type == CA_F32 && (old == 0 || old == n) && (old ? past : t)->stride[3] == 1 && n >= P_ROWS && head == channels)
    return rows_in_place(old ? past_x : x, old ? past_at : at, (old ? past : t)->stride[2]);
  rows_load(room, width, past_x, past_at, past->stride[2], past->stride[3], type, old, head);
  rows_load(room + old * width, width, x, at, t->stride[2], t->stride[3], type, n - old, head);
  for (int j = 0; j < n; j++)
    for (int d = head; d < channels; d++) room[j * width + d] = 0.0f;
  for (int j = n; j < P_ROWS; j++)
    for (int d = 0; d < head; d++) room[j * width + d] = room[(j - 1) * width + d];
  return (rows){room, width};
}

/* Asks for n floats of P_ROWS rows before they are needed. */
CA_WITHIN void fetch_rows(const float *row, long stride, int n)
{
  for (int d = 0; d < n; d += LINE / 4) CA_UNROLL for (int i = 0; i < P_ROWS; i++) CA_FETCH(row + i * stride + d, 0);
}

/* S^T of n keys and its maximum. Fewer than P_ROWS are scored as P_ROWS, and the last group begins early. A sum is
 * taken in two halves: that halves its rounding, which is nearly all of a large score's error. The second starts with
 * its first product and not with zero, which costs less. With dv > 0 the keys that come next are fetched, and the
 * values of these. */
CA_APART void score_keys(rows keys, int dk, rows values, int dv, int n, const float *restrict queries,
                         float *restrict scores, vec *restrict top)
{
  vec largest[P_VECTORS];
  CA_UNROLL for (int v = 0; v < P_VECTORS; v++) largest[v] = top[v];
  for (int group = 0; group < n; group += P_ROWS) {
    const int j = min(group, max(n - P_ROWS, 0));
    const float *key = keys.at + j * keys.stride, *query = queries;
    float *to = scores + j * QUERIES;
    vec sum[P_ROWS][P_VECTORS];
    if (dv > 0) fetch_rows(key + P_ROWS * keys.stride, keys.stride, dk);
    fetch_rows(values.at + j * values.stride, values.stride, dv);
    CA_UNROLL for (int i = 0; i < P_ROWS; i++) CA_UNROLL for (int v = 0; v < P_VECTORS; v++) sum[i][v] = (vec)(0.0f);
    for (int d = 0; d < dk / 2; d++, query += QUERIES) CA_MULTIPLY(P_ROWS, query, key[i * keys.stride + d])
    CA_UNROLL for (int i = 0; i < P_ROWS; i++) CA_UNROLL for (int v = 0; v < P_VECTORS; v++)
    {
      vec_store(to + i * QUERIES + v * P_LANES, sum[i][v]);
      sum[i][v] = (vec)(key[i * keys.stride + dk / 2]) * vec_load(query + v * P_LANES);
    }
    query += QUERIES;
    for (int d = dk / 2 + 1; d < dk; d++, query += QUERIES) CA_MULTIPLY(P_ROWS, query, key[i * keys.stride + d])
    CA_UNROLL for (int i = 0; i < P_ROWS; i++) CA_UNROLL for (int v = 0; v < P_VECTORS; v++)
    {
      sum[i][v] += vec_load(to + i * QUERIES + v * P_LANES);
      vec_store(to + i * QUERIES + v * P_LANES, sum[i][v]);
      largest[v] = vec_raise(largest[v], sum[i][v]);
    }
  }
  CA_UNROLL for (int v = 0; v < P_VECTORS; v++) top[v] = largest[v];
}

/* Mask elements of up to P_LANES keys in one row, as what is added to a score. */
CA_WITHIN vec mask_piece(const ca_attention_args *args, __global const uchar *mask, long at, int n)
{
  const bool is_bool = args->mask_kind == CA_MASK_BOOL;
  const long stride = args->mask.stride[3];
  if (stride == 1 && n >= P_LANES) {
    if (!is_bool) return vec_load_typed(mask, at, args->mask_type);
    const ivec open = TO_IVEC(*(__global const ucvec_anywhere *)(mask + at));
    return open != 0 ? (vec)(0.0f) : (vec)(-INFINITY);
  }
  float piece[P_LANES] ALIGNED;
  for (int j = 0; j < P_LANES; j++) {
    const long element = at + min(j, max(n - 1, 0)) * stride;
    piece[j] = n <= 0 ? 0.0f : is_bool ? (mask[element] ? 0.0f : -INFINITY) : ca_load(mask, element, args->mask_type);
  }
  return vec_load(piece);
}

/* bias[j] of keys j0.. for a vector of queries; keys past mask_len, which no row attends, get anything. */
CA_WITHIN void mask_block(const ca_attention_args *args, __global const uchar *mask, const tile_place *place, int lane0,
                          int j0, vec bias[P_LANES])
{
  for (int i = 0; i < P_LANES; i++) {
    const int query = place->first + min(lane0 + i, place->rows - 1);
    const long at = ca_mask_row(args, place->b, place->h, query) + j0 * args->mask.stride[3];
    if (i > 0 && args->mask.stride[2] == 0)
      bias[i] = bias[0];
    else
      bias[i] = mask_piece(args, mask, at, args->mask_len - j0);
  }
  vec_transpose(bias);
}

/* What stands between a product and a softmax: softcap, mask, and -inf for what a query does not attend; then the
 * maximum. Scores are those of keys j0 to j0 + n. False: no query attends any of them. */
CA_APART bool close_scores(const ca_attention_args *args, __global const uchar *mask, const tile_place *place, int j0,
                           int n, float *restrict scores, vec *restrict top)
{
  ivec any_seen = (ivec)(0);
  for (int v = 0; v < P_VECTORS; v++) {
    int begin[P_LANES] ALIGNED, end[P_LANES] ALIGNED;
    for (int i = 0; i < P_LANES; i++) {
      const int2 keys = ca_row_keys(args, place->valid, place->first + min(v * P_LANES + i, place->rows - 1));
      begin[i] = keys.x;
      end[i] = keys.y;
    }
    const ivec begins = *(const ivec *)begin, ends = *(const ivec *)end;
    vec largest = top[v];
    for (int j = 0; j < n; j += P_LANES) {
      vec bias[P_LANES];
      if (args->mask_kind != CA_MASK_NONE) mask_block(args, mask, place, v * P_LANES, j0 + j, bias);
      for (int i = 0; i < min(P_LANES, n - j); i++) {
        float *score = scores + (j + i) * QUERIES + v * P_LANES;
        vec s = vec_load(score);
        if (args->softcap > 0.0f) s = args->softcap * vec_tanh(s / args->softcap);
        if (args->mask_kind != CA_MASK_NONE) s = bias[i] == -INFINITY ? (vec)(-INFINITY) : s + bias[i];
        const ivec key = (ivec)(j0 + j + i);
        s = ((key >= begins) & (key < ends)) ? s : (vec)(-INFINITY);
        any_seen |= s != -INFINITY;
        largest = vec_raise(largest, s);
        vec_store(score, s);
      }
    }
    top[v] = largest;
  }
  return any(any_seen);
}

/* Scores into weights e^(s - top); their sum is added to total * shrink. */
CA_APART void weigh_keys(int n, float *restrict scores, const vec *restrict top, const vec *restrict shrink,
                         vec *restrict total)
{
  vec largest[P_VECTORS], sum[P_VECTORS];
  CA_UNROLL for (int v = 0; v < P_VECTORS; v++)
  {
    largest[v] = top[v];
    sum[v] = (vec)(0.0f);
  }
  for (int j = 0; j < n; j++) {
    CA_UNROLL for (int v = 0; v < P_VECTORS; v++)
    {
      const vec weight = vec_exp(vec_load(scores + v * P_LANES) - largest[v]);
      vec_store(scores + v * P_LANES, weight);
      sum[v] += weight;
    }
    scores += QUERIES;
  }
  CA_UNROLL for (int v = 0; v < P_VECTORS; v++) total[v] = fma(total[v], shrink[v], sum[v]);
}

/* output = output * shrink + panel^T weights, for the channels of one panel. */
#define ADD_PANEL(name, width)                                                                                         \
  CA_WITHIN void name(const float *restrict values, long stride, int n, const float *restrict weights,                 \
                      const vec shrink[P_VECTORS], float *restrict output)                                             \
  {                                                                                                                    \
    vec sum[width][P_VECTORS];                                                                                         \
    CA_UNROLL for (int i = 0; i < width; i++) CA_UNROLL for (int v = 0; v < P_VECTORS; v++) sum[i][v] = (vec)(0.0f);   \
    for (int j = 0; j < n; j++, values += stride, weights += QUERIES) CA_MULTIPLY(width, weights, values[i])           \
    CA_UNROLL for (int i = 0; i < width; i++) CA_UNROLL for (int v = 0; v < P_VECTORS; v++)                            \
    {                                                                                                                  \
      float *out = output + i * QUERIES + v * P_LANES;                                                                 \
      vec_store(out, fma(vec_load(out), shrink[v], sum[i][v]));                                                        \
    }                                                                                                                  \
  }
ADD_PANEL(add_wide, P_ROWS)
#if P_ROWS != NARROW
ADD_PANEL(add_narrow, NARROW)
#endif

CA_APART void add_values(panels cut, rows values, int n, const float *restrict weights, const vec *restrict shrink,
                         float *restrict output)
{
  const float *value = values.at;
  for (int p = 0; p < cut.wide; p++, value += P_ROWS, output += P_ROWS * QUERIES)
    add_wide(value, values.stride, n, weights, shrink, output);
#if P_ROWS != NARROW
  for (int p = 0; p < cut.narrow; p++, value += NARROW, output += NARROW * QUERIES)
    add_narrow(value, values.stride, n, weights, shrink, output);
#endif
}

/* weigh_keys and add_values at once, where values may be infinite or no numbers: what a query does not attend (a score
 * of -inf) is left out instead of being weighed with zero. */
CA_APART void add_carefully(rows values, int dv, int n, const float *restrict scores, const vec *restrict top,
                            const vec *restrict shrink, vec *restrict total, float *restrict output)
{
  for (int v = 0; v < P_VECTORS; v++) {
    total[v] *= shrink[v];
    for (int d = 0; d < dv; d++) {
      float *out = output + d * QUERIES + v * P_LANES;
      vec_store(out, vec_load(out) * shrink[v]);
    }
    for (int j = 0; j < n; j++) {
      const vec s = vec_load(scores + j * QUERIES + v * P_LANES), weight = vec_exp(s - top[v]);
      total[v] += weight;
      for (int d = 0; d < dv; d++) {
        float *out = output + d * QUERIES + v * P_LANES;
        const vec before = vec_load(out);
        vec_store(out, s == -INFINITY ? before : fma(weight, (vec)(values.at[j * values.stride + d]), before));
      }
    }
  }
}

/* Rows of y from a vector of queries: output / total, zero for a query without keys. False: one is not finite. */
CA_APART bool store_outputs(const ca_attention_args *args, const tile_place *place, int lane0, vec total,
                            const float *restrict output, __global uchar *y)
{
  const vec factor = total == 0.0f ? (vec)(0.0f) : (vec)(1.0f) / total;
  const long head = args->y.offset + place->b * args->y.stride[0] + place->h * args->y.stride[1] +
                    (place->first + lane0) * args->y.stride[2];
  const int rows = min(P_LANES, place->rows - lane0);
  vec zero = (vec)(0.0f); /* until it meets what is not finite */
  for (int d = 0; d < args->dv; d += P_LANES) {
    vec block[P_LANES];
    CA_UNROLL for (int i = 0; i < P_LANES; i++) block[i] = vec_load(output + (d + i) * QUERIES) * factor;
    for (int i = 0; i < min(P_LANES, args->dv - d); i++) zero = fma(block[i], (vec)(0.0f), zero);
    vec_transpose(block);
    const bool whole = args->y.stride[3] == 1 && d + P_LANES <= args->dv;
    for (int i = 0; i < rows; i++) {
      const long at = head + i * args->y.stride[2] + d * args->y.stride[3];
      if (whole) {
        vec_store_typed(y, at, args->y_type, block[i]);
        continue;
      }
      float piece[P_LANES] ALIGNED;
      vec_store(piece, block[i]);
      for (int c = 0; c < min(P_LANES, args->dv - d); c++)
        ca_store(y, at + c * args->y.stride[3], args->y_type, piece[c]);
    }
  }
  return !any(isnan(zero));
}

/* Asks for a sub-tile's rows before they are needed, if they lie together. A row of y is written whole, but a cache
 * reads it first. */
#define FETCH_SUB_TILE(name, x, channels, writes)                                                                      \
  CA_APART void name(const ca_attention_args *args, const tile_place *place, __global const uchar *from)               \
  {                                                                                                                    \
    const int size = args->x##_type == CA_F32 ? 4 : 2;                                                                 \
    const long head = args->x.offset + place->b * args->x.stride[0] + place->h * args->x.stride[1];                    \
    if (args->x.stride[3] != 1) return;                                                                                \
    for (int i = 0; i < place->rows; i++) {                                                                            \
      __global const uchar *row = from + (head + (place->first + i) * args->x.stride[2]) * size;                       \
      for (int at = 0; at < args->channels * size; at += LINE) CA_FETCH((const uchar *)(size_t)(row + at), writes);    \
    }                                                                                                                  \
  }
FETCH_SUB_TILE(fetch_queries, q, dk, 0)
FETCH_SUB_TILE(fetch_outputs, y, dv, 1)

CA_APART void store_lse(const ca_attention_args *args, const tile_place *place, int lane0, vec top, vec total,
                        __global float *lse)
{
  float tops[P_LANES] ALIGNED, totals[P_LANES] ALIGNED;
  vec_store(tops, top);
  vec_store(totals, total);
  const long head = args->lse.offset + place->b * args->lse.stride[0] + place->h * args->lse.stride[1];
  for (int i = 0; i < min(P_LANES, place->rows - lane0); i++)
    lse[head + (place->first + lane0 + i) * args->lse.stride[2]] =
        totals[i] == 0.0f ? -INFINITY : tops[i] + log(totals[i]);
}

/* What a sub-tile keeps from block to block. */
typedef struct sub_tile {
  tile_place place;
  vec top[P_VECTORS], total[P_VECTORS];
} sub_tile;

/* One sub-tile through keys [from, from + n) of the block, which the first one fetches for all. */
CA_APART void attend_block(const ca_attention_args *args, __global const uchar *mask, sub_tile *sub, int from, int n,
                           rows keys, rows values, panels cut, bool fetches, bool careful,
                           const float *restrict queries, float *restrict output)
{
  float scores[P_KEYS * QUERIES] ALIGNED;
  const tile_place *place = &sub->place;
  const int2 first = ca_row_keys(args, place->valid, place->first);
  const int2 last = ca_row_keys(args, place->valid, place->first + place->rows - 1);
  const bool closes = last.x > from || args->mask_kind != CA_MASK_NONE || args->softcap != 0.0f;
  /* No fewer than P_ROWS keys, where the block has them: score_keys would read others. */
  const int skip = clamp(first.x - from, 0, max(n - P_ROWS, 0));
  const int used = min(max(last.y - from - skip, P_ROWS), n - skip);
  if (last.y <= from || first.x >= from + n) return;
  /* Every query attends the first `open` keys; those that close_scores gets are P_ROWS too. */
  int open = closes ? 0 : clamp(first.y - from, 0, used);
  if (open < used) open = min(open, max(used - P_ROWS, 0)) / P_ROWS * P_ROWS;
  vec top[P_VECTORS], shift[P_VECTORS], shrink[P_VECTORS];
  CA_UNROLL for (int v = 0; v < P_VECTORS; v++) top[v] = shift[v] = sub->top[v];
  keys.at += skip * keys.stride;
  values.at += skip * values.stride;
  const int dv = fetches ? args->dv : 0;
  score_keys(keys, args->dk, values, dv, open, queries, scores, top);
  if (open < used) {
    const rows last_keys = {keys.at + open * keys.stride, keys.stride};
    const rows last_values = {values.at + open * values.stride, values.stride};
    score_keys(last_keys, args->dk, last_values, dv, used - open, queries, scores + open * QUERIES, shift);
    if (!close_scores(args, mask, place, from + skip + open, used - open, scores + open * QUERIES, top) && open == 0)
      return;
  }
  CA_UNROLL for (int v = 0; v < P_VECTORS; v++)
  {
    /* -inf - -inf is not a number: a query that has met no key yet is shifted by zero. */
    shift[v] = top[v] == -INFINITY ? (vec)(0.0f) : top[v];
    shrink[v] = vec_exp(sub->top[v] - shift[v]);
    sub->top[v] = top[v];
  }
  if (careful) {
    add_carefully(values, args->dv, used, scores, shift, shrink, sub->total, output);
  } else {
    weigh_keys(used, scores, shift, shrink, sub->total);
    add_values(cut, values, used, scores, shrink, output);
  }
}

/* A tile, from its queries to its rows of y. With the last keys it fetches what comes then: its rows of y, and the
 * queries of `next`. False: y is not finite throughout. */
CA_APART bool attend_tile(const ca_attention_args *args, __global const uchar *q, __global const uchar *k,
                          __global const uchar *v, __global const uchar *past_k, __global const uchar *past_v,
                          __global const uchar *mask, __global uchar *y, __global float *lse, tile_place place,
                          tile_place next, bool careful)
{
  float queries[P_TILES * P_HEAD * QUERIES] ALIGNED, outputs[P_TILES * WIDTH * QUERIES] ALIGNED;
  float keys[P_KEYS * WIDTH] ALIGNED, values[P_KEYS * WIDTH] ALIGNED;
  sub_tile sub[P_TILES];
  const panels cut = cut_channels(args->dv);
  const int channels = cut.wide * P_ROWS + cut.narrow * NARROW;
  const int tiles = (place.rows + QUERIES - 1) / QUERIES;
  for (int t = 0; t < tiles; t++) {
    sub[t].place = part_of(place, t, QUERIES);
    for (int i = 0; i < P_VECTORS; i++) {
      load_queries(args, q, &sub[t].place, i * P_LANES, queries + t * P_HEAD * QUERIES + i * P_LANES);
      sub[t].top[i] = (vec)(-INFINITY);
      sub[t].total[i] = (vec)(0.0f);
    }
    for (int i = 0; i < channels * QUERIES; i += P_LANES) vec_store(outputs + t * WIDTH * QUERIES + i, (vec)(0.0f));
  }
  const int begin = ca_row_keys(args, place.valid, place.first).x;
  const int end = ca_row_keys(args, place.valid, place.first + place.rows - 1).y;
  /* Blocks of one size, as large as may be. */
  const int blocks = (end - begin + P_KEYS - 1) / P_KEYS;
  const int step = blocks > 1 ? ((end - begin + blocks - 1) / blocks + P_ROWS - 1) / P_ROWS * P_ROWS : P_KEYS;
  for (int from = begin; from < end; from += step) {
    const int n = min(step, end - from);
    const rows key_rows =
        load_block(args, &args->k, k, &args->past_k, past_k, args->k_type, args->dk, args->dk, &place, from, n, keys);
    const rows value_rows =
        load_block(args, &args->v, v, &args->past_v, past_v, args->v_type, args->dv, channels, &place, from, n, values);
    for (int t = 0; t < tiles; t++) {
      if (from + n == end) {
        const tile_place ahead = part_of(next, t, QUERIES);
        fetch_outputs(args, &sub[t].place, y);
        if (t * QUERIES < next.rows) fetch_queries(args, &ahead, q);
      }
      attend_block(args, mask, &sub[t], from, n, key_rows, value_rows, cut, t == 0 && key_rows.at != keys, careful,
                   queries + t * P_HEAD * QUERIES, outputs + t * WIDTH * QUERIES);
    }
  }
  bool finite = true;
  for (int t = 0; t < tiles; t++)
    for (int i = 0; i * P_LANES < sub[t].place.rows; i++) {
      const float *output = outputs + t * WIDTH * QUERIES + i * P_LANES;
      if (!store_outputs(args, &sub[t].place, i * P_LANES, sub[t].total[i], output, y)) finite = false;
      if (args->want_lse) store_lse(args, &sub[t].place, i * P_LANES, sub[t].top[i], sub[t].total[i], lse);
    }
  return finite;
}

/* Tile `item` of all. In causal order the last tiles have the most keys: one from each end in turn makes the groups
 * alike. */
CA_APART tile_place place_of(const ca_attention_args *args, __global const long *nonpad, long item, int tiles)
{
  const int head = (int)(item / tiles), place_in_head = (int)(item % tiles), b = head / args->hq;
  const int tile = !args->causal       ? place_in_head
                   : place_in_head % 2 ? tiles - 1 - place_in_head / 2
                                       : place_in_head / 2;
  const tile_place whole = {b, head % args->hq, 0, args->sq, ca_valid_keys(args, nonpad, b)};
  return part_of(whole, tile, P_TILES * QUERIES);
}

KERNEL void vector_attention(const ca_attention_args args, __global const uchar *q, __global const uchar *k,
                             __global const uchar *v, __global const uchar *past_k, __global const uchar *past_v,
                             __global const uchar *mask, __global const long *nonpad, __global uchar *y,
                             __global float *lse)
{
  const int rows = P_TILES * QUERIES, tiles = (args.sq + rows - 1) / rows;
  const long all = (long)args.b * args.hq * tiles;
  for (long item = (long)get_group_id(0); item < all; item += (long)get_num_groups(0)) {
    const tile_place place = place_of(&args, nonpad, item, tiles);
    const tile_place next = place_of(&args, nonpad, min(item + 1, all - 1), tiles);
    if (!attend_tile(&args, q, k, v, past_k, past_v, mask, y, lse, place, next, false))
      attend_tile(&args, q, k, v, past_k, past_v, mask, y, lse, place, next, true);
  }
}
