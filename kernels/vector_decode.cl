/* Family vector: fused attention of few queries over many keys (decode), for CPU devices. Lanes run along the channels.
 *
 *   s[r][j] = sum_d q[r][d] k[j][d]    y[r][d] = sum_j p[r][j] v[j][d]
 *
 * Row r is query r / group of the r % group-th head that shares a key head, so that a key and a value are fetched once
 * for all of them. A work-item owns a chunk of rows (CA_DECODE_ROWS) and a range of keys, and goes through blocks of
 * keys, tile of P_ROWS rows after tile. GROUP keys times the rows of a tile are P_LANES products: their vectors are
 * summed across into one vector of scores, lane r * GROUP + j. It stays so for mask, maximum, exponential and total;
 * the values take each weight as a broadcast.
 *
 * Memory is read ahead, or the products wait for it: while a block's keys are multiplied its values are fetched, and
 * while those are, the keys of the next block. A block is taken in pieces that a first cache holds for all tiles. Rows
 * are read where they lie, in their own type, if their channels lie together and fill vectors, else copied as float32.
 *
 * Where all rows of a tile attend every key of a block, the scores go straight into the softmax. Otherwise close_scores
 * makes -inf of what is not attended first. Zero times an infinite value is no number: a range whose output is not
 * finite throughout is done again, and what is not attended (CA_NOT_ATTENDED) is then left out instead of weighed.
 *
 * args.parts 0: vector_decode has the whole range of keys and writes y. Else vector_decode_parts writes a partial
 * result for each part of it, CA_PART_FLOATS of the workspace: sums of weighted values, then total and maximum;
 * vector_decode_join adds them up, in their order.
 *
 * P_LANES  floats in a vector
 * P_ROWS   rows of a tile, a divisor of P_LANES; types, head sizes, masks, strides are arguments
 * Private memory: 230 KiB. Work-groups of one; no barriers. Work is taken in turn: any grid is right; no arguments mean
 * no work. Source: online softmax after Milakov and Gimelshein 2018; ranges of keys after Flash-Decoding, Dao 2023. */
#include "ca_shared.h"
#include "lib/index.clh"
#include "lib/mask.clh"
#include "lib/tile_io.clh"
#include "lib/vector.clh"
#include "lib/vector_rows.clh"

#define KEYS 64    /* of a block */
#define PIECE 4096 /* elements of a piece */
#define TILES ((CA_DECODE_MOST_ROWS + P_ROWS - 1) / P_ROWS)

#define KERNEL __kernel __attribute__((reqd_work_group_size(1, 1, 1))) CA_WHOLE_VECTORS

/* A chunk of rows and a range of keys. */
typedef struct place {
  int b, key_head;
  int first, rows; /* of b and key_head: first, first + 1, ... */
  int valid;       /* keys of the batch item */
  int begin, end;  /* keys */
  int part;
} place;

/* Keys or values, new and past. */
typedef struct side {
  const ca_tensor_arg *rows, *past_rows;
  __global const uchar *x, *past_x;
  int type, head;
} side;

static int padded(int channels) { return (channels + P_LANES - 1) / P_LANES * P_LANES; }

static int query_of(const ca_attention_args *args, int row) { return row / args->group; }

static int head_of(const ca_attention_args *args, const place *at, int row)
{
  return at->key_head * args->group + row % args->group;
}

/* A tile's queries, times scale and padded with zeros; rows past the last repeat it. */
CA_APART void load_queries(const ca_attention_args *args, __global const uchar *q, const place *place, int row,
                           float *restrict to)
{
  const int width = padded(args->dk);
  for (int r = 0; r < P_ROWS; r++, to += width) {
    const int from = place->first + min(row + r, place->rows - 1);
    const long at = args->q.offset + place->b * args->q.stride[0] + head_of(args, place, from) * args->q.stride[1] +
                    query_of(args, from) * args->q.stride[2];
    vec_store(to + width - P_LANES, (vec)(0.0f));
    row_load(to, q, at, args->q.stride[3], args->q_type, args->dk);
    for (int d = 0; d < width; d += P_LANES) vec_store(to + d, vec_load(to + d) * args->scale);
  }
}

/* Where row `from` of a side lies, and the others of its tensor. */
CA_WITHIN typed_rows rows_from(const ca_attention_args *args, const side *side, const place *place, int from)
{
  const bool past = from < args->past;
  const ca_tensor_arg *t = past ? side->past_rows : side->rows;
  const long at = t->offset + place->b * t->stride[0] + place->key_head * t->stride[1] +
                  (from - (past ? 0 : args->past)) * t->stride[2];
  return (typed_rows){past ? side->past_x : side->x, at, t->stride[2], side->type};
}

/* n rows of one tensor: where they lie, or copied to `room`, with zeros up to whole vectors and whole groups. */
CA_APART typed_rows find_rows(const ca_attention_args *args, const side *side, const place *place, int from, int n,
                              float *restrict room)
{
  const typed_rows rows = rows_from(args, side, place, from);
  const long stride = from < args->past ? side->past_rows->stride[3] : side->rows->stride[3];
  const int head = side->head, width = padded(head);
  if (stride == 1 && width == head && n % GROUP == 0) return rows;
  if (width != head)
    for (int j = 0; j < n; j++) vec_store(room + j * width + width - P_LANES, (vec)(0.0f));
  for (int i = n * width; i < (n + GROUP - 1) / GROUP * GROUP * width; i += P_LANES) vec_store(room + i, (vec)(0.0f));
  rows_load(room, width, rows.buffer, rows.at, rows.stride, stride, rows.type, n, head);
  return (typed_rows){(__global const uchar *)(size_t)room, 0, width, CA_F32};
}

/* Mask elements of n keys of a row, as what is added to a score; for lanes past them anything. */
CA_WITHIN void load_mask(const ca_attention_args *args, __global const uchar *mask, long at, int n, float *to)
{
  const long stride = args->mask.stride[3];
  for (int j = 0; j < GROUP; j++, at += j < n ? stride : 0)
    to[j] = args->mask_kind != CA_MASK_BOOL ? ca_load(mask, at, args->mask_type) : mask[at] ? 0.0f : -INFINITY;
}

/* What stands between a product and a softmax: softcap, mask, and -inf for what a row does not attend. Scores are those
 * of keys `from` to from + n. False: no row attends any of them. */
CA_APART bool close_scores(const ca_attention_args *args, __global const uchar *mask, const place *place, int row,
                           int from, int n, float *restrict scores)
{
  int begin[P_LANES] ALIGNED, end[P_LANES] ALIGNED, lane_key[P_LANES] ALIGNED;
  long mask_row[P_ROWS];
  for (int lane = 0; lane < P_LANES; lane++) {
    const int r = place->first + min(row + lane / GROUP, place->rows - 1);
    const int2 keys = ca_row_keys(args, place->valid, query_of(args, r));
    begin[lane] = keys.x;
    end[lane] = min(keys.y, from + n);
    lane_key[lane] = from + lane % GROUP;
    mask_row[lane / GROUP] = ca_mask_row(args, place->b, head_of(args, place, r), query_of(args, r));
  }
  const ivec begins = *(const ivec *)begin, ends = *(const ivec *)end;
  ivec any_seen = (ivec)(0), key = *(const ivec *)lane_key;
  for (int j = 0; j < n; j += GROUP, scores += P_LANES, key += (ivec)(GROUP)) {
    vec s = vec_load(scores);
    if (args->softcap > 0.0f) s = args->softcap * vec_tanh(s / args->softcap);
    if (args->mask_kind != CA_MASK_NONE) {
      float bias[P_LANES] ALIGNED;
      for (int r = 0; r < P_ROWS; r++)
        load_mask(args, mask, mask_row[r] + (from + j) * args->mask.stride[3], min(GROUP, n - j), bias + r * GROUP);
      const vec b = vec_load(bias);
      s = b == -INFINITY ? (vec)(-INFINITY) : s + b;
    }
    s = ((key >= begins) & (key < ends)) ? s : (vec)(-INFINITY);
    any_seen |= s != -INFINITY;
    vec_store(scores, s);
  }
  return any(any_seen);
}

/* The largest of each row's lanes, in all of them. A NaN is passed over. */
CA_WITHIN vec row_largest(vec x)
{
  float lanes[P_LANES] ALIGNED;
  vec_store(lanes, x);
  for (int r = 0; r < P_ROWS; r++) {
    float largest = lanes[r * GROUP];
    for (int i = 1; i < GROUP; i++) largest = lanes[r * GROUP + i] > largest ? lanes[r * GROUP + i] : largest;
    for (int i = 0; i < GROUP; i++) lanes[r * GROUP + i] = largest;
  }
  return vec_load(lanes);
}

/* What a tile keeps from block to block: of each row the maximum, in all its lanes, and the total, spread over them;
 * and what it needs within one: whether any row attends any key, and by what earlier sums shrink. */
typedef struct tile_state {
  vec top, total, shrink;
  bool seen;
} tile_state;

/* Scores of n keys into weights e^(s - top), CA_NOT_ATTENDED for -inf. */
CA_APART void weigh_keys(int n, float *restrict scores, tile_state *state)
{
  vec largest = (vec)(-INFINITY), sum = (vec)(0.0f);
  for (int j = 0; j < n; j += GROUP) largest = vec_raise(largest, vec_load(scores + j / GROUP * P_LANES));
  const vec top = vec_raise(state->top, row_largest(largest));
  /* -inf - -inf is not a number: a row that has met no key yet is shifted by zero. */
  const vec shift = top == -INFINITY ? (vec)(0.0f) : top;
  for (int j = 0; j < n; j += GROUP, scores += P_LANES) {
    const vec s = vec_load(scores), weight = vec_exp(s - shift);
    vec_store(scores, s == -INFINITY ? (vec)(CA_NOT_ATTENDED) : weight);
    sum += weight;
  }
  state->shrink = vec_exp(state->top - shift);
  state->total = fma(state->total, state->shrink, sum);
  state->top = top;
}

/* add_values where values may be infinite or no numbers: what a row does not attend is left out. */
CA_APART void add_carefully(typed_rows values, int width, int n, const float *restrict weights, vec shrink,
                            float *restrict output)
{
  float shrinks[P_LANES] ALIGNED;
  vec_store(shrinks, shrink);
  for (int r = 0; r < P_ROWS; r++, output += width) {
    for (int d = 0; d < width; d += P_LANES) vec_store(output + d, vec_load(output + d) * shrinks[r * GROUP]);
    for (int j = 0; j < n; j++) {
      const float weight = weights[j / GROUP * P_LANES + r * GROUP + j % GROUP];
      if (ca_is_not_attended(weight)) continue;
      for (int d = 0; d < width; d += P_LANES) {
        const vec x = vec_load_typed(values.buffer, values.at + j * values.stride + d, values.type);
        vec_store(output + d, fma((vec)(weight), x, vec_load(output + d)));
      }
    }
  }
}

/* Between the products: scores of keys [from, from + n) of the tile at row `row` become weights, unless no row attends
 * any of them. */
CA_APART void attend_scores(const ca_attention_args *args, __global const uchar *mask, const place *place, int row,
                            int from, int n, float *restrict scores, tile_state *state)
{
  const int last = min(row + P_ROWS, place->rows) - 1;
  const int2 first_keys = ca_row_keys(args, place->valid, query_of(args, place->first + row));
  const int2 last_keys = ca_row_keys(args, place->valid, query_of(args, place->first + last));
  const bool open = last_keys.x <= from && first_keys.y >= from + n && n % GROUP == 0 &&
                    args->mask_kind == CA_MASK_NONE && args->softcap == 0.0f;
  state->seen = open || close_scores(args, mask, place, row, from, n, scores);
  if (state->seen) weigh_keys(n, scores, state);
}

/* Scores of keys [from, from + n) for all tiles. The values of these keys are fetched meanwhile. */
CA_APART void score_block(const ca_attention_args *args, const side *k, const side *v, const place *place, int from,
                          int n, const float *restrict queries, float *restrict room,
                          float scores[TILES][KEYS * P_ROWS])
{
  const int width = padded(args->dk), piece = max(GROUP, min(KEYS, PIECE / width / GROUP * GROUP));
  for (int j = 0, m; j < n; j += m) {
    m = min(piece, n - j);
    if (m > GROUP) m -= m % GROUP;
    const typed_rows keys = find_rows(args, k, place, from + j, m, room);
    ahead next = ahead_from(rows_from(args, v, place, from + j));
    for (int row = 0; row < place->rows; row += P_ROWS) {
      score_keys(keys, width, m, queries + row * width, next, scores[row / P_ROWS] + j * P_ROWS);
      next = ahead_from(keys);
    }
  }
}

/* The same keys' values into the outputs of all tiles that attend any of them. The next block's keys are fetched
 * meanwhile. */
CA_APART void add_block(const ca_attention_args *args, const side *k, const side *v, const place *place, int from,
                        int n, bool careful, float scores[TILES][KEYS * P_ROWS], const tile_state *states,
                        float *restrict room, float *restrict outputs)
{
  const int width = padded(args->dv), piece = max(GROUP, min(KEYS, PIECE / width / GROUP * GROUP));
  for (int j = 0, m; j < n; j += m) {
    m = min(piece, n - j);
    const typed_rows values = find_rows(args, v, place, from + j, m, room);
    const int later = from + n + j;
    ahead next = ahead_from(later < place->end ? rows_from(args, k, place, later) : values);
    for (int row = 0; row < place->rows; row += P_ROWS) {
      const int t = row / P_ROWS;
      if (!states[t].seen) continue;
      const vec shrink = j == 0 ? states[t].shrink : (vec)(1.0f);
      if (careful)
        add_carefully(values, width, m, scores[t] + j * P_ROWS, shrink, outputs + row * width);
      else
        add_values(values, width, m, scores[t] + j * P_ROWS, shrink, next, outputs + row * width);
      next = ahead_from(values);
    }
  }
}

/* All rows of a chunk through its range of keys; outputs are sums of weighted values. False: one is not finite. */
CA_APART bool attend_keys(const ca_attention_args *args, const side *k, const side *v, __global const uchar *mask,
                          const place *place, bool careful, const float *restrict queries, tile_state *states,
                          float *restrict outputs)
{
  float room[PIECE > GROUP * CA_MAX_HEAD ? PIECE : GROUP * CA_MAX_HEAD] ALIGNED;
  float scores[TILES][KEYS * P_ROWS] ALIGNED;
  const int value_width = padded(args->dv), tiles = (place->rows + P_ROWS - 1) / P_ROWS;
  for (int t = 0; t < tiles; t++) states[t] = (tile_state){(vec)(-INFINITY), (vec)(0.0f), (vec)(0.0f), false};
  for (int i = 0; i < tiles * P_ROWS * value_width; i += P_LANES) vec_store(outputs + i, (vec)(0.0f));
  for (int from = place->begin, n; from < place->end; from += n) {
    n = min(KEYS, (from < args->past ? min(place->end, args->past) : place->end) - from); /* all in one tensor */
    score_block(args, k, v, place, from, n, queries, room, scores);
    bool seen = false;
    for (int t = 0; t < tiles; t++) {
      attend_scores(args, mask, place, t * P_ROWS, from, n, scores[t], &states[t]);
      seen |= states[t].seen;
    }
    if (seen) add_block(args, k, v, place, from, n, careful, scores, states, room, outputs);
  }
  vec zero = (vec)(0.0f); /* until it meets what is not finite */
  for (int i = 0; i < place->rows * value_width; i += P_LANES) zero = fma(vec_load(outputs + i), (vec)(0.0f), zero);
  return !any(isnan(zero));
}

/* A row's channels, `factor` times as large. */
CA_APART void store_row(const ca_tensor_arg *t, __global uchar *x, int b, int h, int i, int type, int n,
                        const float *row, float factor)
{
  const long at = t->offset + b * t->stride[0] + h * t->stride[1] + i * t->stride[2];
  int d = 0;
  if (t->stride[3] == 1)
    for (; d + P_LANES <= n; d += P_LANES) vec_store_typed(x, at + d, type, vec_load(row + d) * factor);
  for (; d < n; d++) ca_store(x, at + d * t->stride[3], type, row[d] * factor);
}

/* y and lse of a row from what its keys added up to. */
CA_APART void finish_row(const ca_attention_args *args, int b, int h, int i, const float *row, float total, float top,
                         __global uchar *y, __global float *lse)
{
  store_row(&args->y, y, b, h, i, args->y_type, args->dv, row, total == 0.0f ? 0.0f : 1.0f / total);
  if (args->want_lse)
    lse[args->lse.offset + b * args->lse.stride[0] + h * args->lse.stride[1] + i * args->lse.stride[2]] =
        total == 0.0f ? -INFINITY : top + log(total);
}

/* The partial result of a row and a part of its keys. */
static __global float *part_of(const ca_attention_args *args, __global float *workspace, int b, int h, int i, int part)
{
  const long row = ((long)b * args->hq + h) * args->sq + i;
  return workspace + args->parts_offset + (row * args->parts + part) * CA_PART_FLOATS(args->dv);
}

/* A chunk and its range of keys, from its queries to its rows of y or, where there is a workspace, of partial results.
 */
CA_APART void attend(const ca_attention_args *args, __global const uchar *q, const side *k, const side *v,
                     __global const uchar *mask, __global uchar *y, __global float *lse, __global float *workspace,
                     const place *place)
{
  float queries[CA_DECODE_FLOATS] ALIGNED, outputs[CA_DECODE_FLOATS] ALIGNED;
  tile_state states[TILES];
  const int width = padded(args->dk), value_width = padded(args->dv);
  for (int row = 0; row < place->rows; row += P_ROWS) load_queries(args, q, place, row, queries + row * width);
  if (!attend_keys(args, k, v, mask, place, false, queries, states, outputs))
    attend_keys(args, k, v, mask, place, true, queries, states, outputs);
  for (int row = 0; row < place->rows; row++) {
    float tops[P_LANES] ALIGNED, totals[P_LANES] ALIGNED, total = 0.0f;
    const int lane = row % P_ROWS * GROUP;
    vec_store(tops, states[row / P_ROWS].top);
    vec_store(totals, states[row / P_ROWS].total);
    for (int j = 0; j < GROUP; j++) total += totals[lane + j];
    const int h = head_of(args, place, place->first + row), i = query_of(args, place->first + row);
    const float *output = outputs + row * value_width;
    if (!workspace) {
      finish_row(args, place->b, h, i, output, total, tops[lane], y, lse);
      continue;
    }
    __global float *part = part_of(args, workspace, place->b, h, i, place->part);
    const ca_tensor_arg dense = {0, {0, 0, 0, 1}};
    store_row(&dense, (__global uchar *)part, 0, 0, 0, CA_F32, args->dv, output, 1.0f);
    part[args->dv] = total;
    part[args->dv + 1] = tops[lane];
  }
}

/* The n-th range of keys of a chunk: parts of one size, which whole vectors of scores fill. */
static void cut_keys(const ca_attention_args *args, int parts, place *place)
{
  const int begin = max(ca_row_keys(args, place->valid, query_of(args, place->first)).x, 0);
  const int end = ca_row_keys(args, place->valid, query_of(args, place->first + place->rows - 1)).y;
  const int keys = max(end - begin, 0), step = ((keys + parts - 1) / parts + P_LANES - 1) / P_LANES * P_LANES;
  place->begin = (int)min((long)begin + (long)place->part * step, (long)max(begin, end));
  place->end = min(place->begin + step, max(begin, end));
}

CA_APART void attend_all(const ca_attention_args *args, __global const uchar *q, __global const uchar *k,
                         __global const uchar *v, __global const uchar *past_k, __global const uchar *past_v,
                         __global const uchar *mask, __global const long *nonpad, __global uchar *y,
                         __global float *lse, __global float *workspace)
{
  if (args->b == 0) return; /* no arguments: no sizes to divide by */
  const int parts = max(args->parts, 1), all_rows = args->group * args->sq, rows = CA_DECODE_ROWS(args->dk, args->dv);
  const int chunks = (all_rows + rows - 1) / rows;
  const long items = (long)args->b * args->hk * chunks * parts;
  const side keys = {&args->k, &args->past_k, k, past_k, args->k_type, args->dk};
  const side values = {&args->v, &args->past_v, v, past_v, args->v_type, args->dv};
  for (long item = (long)get_group_id(0); item < items; item += (long)get_num_groups(0)) {
    long rest = item;
    place place;
    place.part = ca_take_index(&rest, parts);
    place.first = ca_take_index(&rest, chunks) * rows;
    place.rows = min(rows, all_rows - place.first);
    place.key_head = ca_take_index(&rest, args->hk);
    place.b = (int)rest;
    place.valid = ca_valid_keys(args, nonpad, place.b);
    cut_keys(args, parts, &place);
    attend(args, q, &keys, &values, mask, y, lse, workspace, &place);
  }
}

KERNEL void vector_decode(const ca_attention_args args, __global const uchar *q, __global const uchar *k,
                          __global const uchar *v, __global const uchar *past_k, __global const uchar *past_v,
                          __global const uchar *mask, __global const long *nonpad, __global uchar *y,
                          __global float *lse)
{
  attend_all(&args, q, k, v, past_k, past_v, mask, nonpad, y, lse, 0);
}

KERNEL void vector_decode_parts(const ca_attention_args args, __global const uchar *q, __global const uchar *k,
                                __global const uchar *v, __global const uchar *past_k, __global const uchar *past_v,
                                __global const uchar *mask, __global const long *nonpad, __global float *workspace)
{
  attend_all(&args, q, k, v, past_k, past_v, mask, nonpad, 0, 0, workspace);
}

/* A row from its parts, each weighed with e^(top - the largest top). A part without keys has sums of 0 and a top of
 * -inf.
 */
CA_APART void join_row(const ca_attention_args *args, __global float *workspace, int b, int h, int i, __global uchar *y,
                       __global float *lse)
{
  float row[CA_MAX_HEAD] ALIGNED, top = -INFINITY, total = 0.0f;
  const int dv = args->dv;
  for (int p = 0; p < args->parts; p++) {
    const float own = part_of(args, workspace, b, h, i, p)[dv + 1];
    top = own > top ? own : top;
  }
  for (int d = 0; d < dv; d++) row[d] = 0.0f;
  for (int p = 0; p < args->parts; p++) {
    __global const float *part = part_of(args, workspace, b, h, i, p);
    const float weight = exp(part[dv + 1] - (top == -INFINITY ? 0.0f : top));
    for (int d = 0; d < dv; d++) row[d] = fma(weight, part[d], row[d]);
    total = fma(weight, part[dv], total);
  }
  finish_row(args, b, h, i, row, total, top, y, lse);
}

KERNEL void vector_decode_join(const ca_attention_args args, __global float *workspace, __global uchar *y,
                               __global float *lse)
{
  const long rows = (long)args.b * args.hq * args.sq;
  for (long row = (long)get_group_id(0); row < rows; row += (long)get_num_groups(0)) {
    long rest = row;
    const int i = ca_take_index(&rest, args.sq), h = ca_take_index(&rest, args.hq);
    join_row(&args, workspace, (int)rest, h, i, y, lse);
  }
}
