/* Family vector: projections on CPU devices. A work-item owns a tile of tokens and a range of columns of y; lanes run
 * along the tokens.
 *
 *   Y^T[n][m] = sum_e W[n][e] X^T[e][m], then bias and the rotary embedding (lib/rotary.clh)
 *
 * Elements of W are broadcast against vectors of tokens: W is read where it lies if it is float32 rows, else P_ROWS
 * rows of a block are copied as such, and is never packed. X is transposed block by block as it is read, Y as it is
 * stored. Tokens are numbered through the batch. Up to three projections of one x are made at once.
 *
 * P_LANES    floats in a vector
 * P_ROWS     rows of W of a register tile
 * P_VECTORS  vectors of tokens of a register tile; P_ROWS * P_VECTORS + P_VECTORS + 1 registers
 * P_TILES    sub-tiles of P_LANES * P_VECTORS tokens in a tile; they share what is read of W
 * P_COLUMNS  columns of a range at most; with a rotary embedding whole heads
 * P_DEPTH    inner dimension of a block, a multiple of P_LANES; a sum is taken block by block
 * Private memory: 4 P_TILES P_LANES P_VECTORS (P_DEPTH + P_COLUMNS + P_ROWS) + 4 P_DEPTH (P_LANES + P_ROWS) bytes and a
 * little. Work-groups of one; no barriers. Tiles are taken in turn: any grid is right; no arguments mean no tiles. */
#include "ca_shared.h"
#include "lib/parts.clh"
#include "lib/rotary.clh"
#include "lib/tile_io.clh"
#include "lib/vector.clh"

#if !defined(P_ROWS) || !defined(P_VECTORS) || !defined(P_TILES) || !defined(P_COLUMNS) || !defined(P_DEPTH)
#error "P_ROWS, P_VECTORS, P_TILES, P_COLUMNS or P_DEPTH is missing"
#endif

#define TOKENS (P_LANES * P_VECTORS) /* of a sub-tile */
#define WIDTH (P_DEPTH + P_LANES)    /* from row to row of a copy: an odd number of cache lines */
#define WAYS 8 /* of a first cache: more rows at a distance of a power of two push each other out */
#define ALIGNED __attribute__((aligned(64)))
#define KERNEL __kernel __attribute__((reqd_work_group_size(1, 1, 1))) CA_WHOLE_VECTORS

/* Elements [e, e + n) of a vector of tokens, transposed to [e][TOKENS]. Lanes past the last token repeat it. */
CA_APART void load_tokens(const ca_projection_args *args, __global const uchar *x, const part *p, int lane0, int e,
                          int n, float *restrict to)
{
  float row[P_LANES * WIDTH] ALIGNED;
  for (int i = 0; i < P_LANES; i++) {
    const long token = p->first + min(lane0 + i, p->tokens - 1), b = token / args->s, s = token - b * args->s;
    row_load(row + i * WIDTH, x, args->x.offset + b * args->x.stride[0] + s * args->x.stride[1] + e * args->x.stride[2],
             args->x.stride[2], args->x_type, n);
  }
  rows_transpose(row, WIDTH, n, 1.0f, to, TOKENS);
}

/* P_ROWS rows of W from row n on, elements [e, e + depth). Rows past the last repeat it. */
CA_APART rows load_weights(const ca_projection_args *args, __global const uchar *w, int n, int e, int depth,
                           float *restrict room)
{
  const int have = min(P_ROWS, args->h * args->d - n);
  const long at = args->w.offset + n * args->w.stride[0] + e * args->w.stride[1];
  if (P_ROWS <= WAYS && args->w_type == CA_F32 && args->w.stride[1] == 1 && have == P_ROWS)
    return rows_in_place(w, at, args->w.stride[0]);
  for (int i = 0; i < P_ROWS; i++)
    row_load(room + i * WIDTH, w, at + min(i, have - 1) * args->w.stride[0], args->w.stride[1], args->w_type, depth);
  return (rows){room, WIDTH};
}

/* P_ROWS columns of Y^T: those of a block, added to what earlier blocks gave. A sum is taken in two halves, since its
 * rounding grows with its length; the second starts with its first product and not with zero, which costs less. */
CA_APART void multiply_block(rows w, int depth, const float *restrict tokens, bool first, float *restrict output)
{
  const int half_way = depth / 2;
  vec sum[P_ROWS][P_VECTORS], half_sum[P_ROWS][P_VECTORS];
  if (depth == 0) { /* no channel at all: neither w nor the tokens have an element */
    for (int i = 0; i < P_ROWS * TOKENS; i += P_LANES) vec_store(output + i, (vec)(0.0f));
    return;
  }
  CA_UNROLL for (int i = 0; i < P_ROWS; i++) CA_UNROLL for (int v = 0; v < P_VECTORS; v++) sum[i][v] = (vec)(0.0f);
  for (int e = 0; e < half_way; e++, tokens += TOKENS) CA_MULTIPLY(P_ROWS, tokens, w.at[i * w.stride + e])
  CA_UNROLL for (int i = 0; i < P_ROWS; i++) CA_UNROLL for (int v = 0; v < P_VECTORS; v++)
  {
    half_sum[i][v] = sum[i][v];
    sum[i][v] = (vec)(w.at[i * w.stride + half_way]) * vec_load(tokens + v * P_LANES);
  }
  tokens += TOKENS;
  for (int e = half_way + 1; e < depth; e++, tokens += TOKENS) CA_MULTIPLY(P_ROWS, tokens, w.at[i * w.stride + e])
  CA_UNROLL for (int i = 0; i < P_ROWS; i++) CA_UNROLL for (int v = 0; v < P_VECTORS; v++)
  {
    float *out = output + i * TOKENS + v * P_LANES;
    sum[i][v] += half_sum[i][v];
    vec_store(out, first ? sum[i][v] : sum[i][v] + vec_load(out));
  }
}

/* Bias and rotary embedding of a vector of tokens in place. The columns are whole heads where they rotate. */
CA_APART void finish_columns(const ca_projection_args *args, __global const uchar *bias, __global const uchar *cosine,
                             __global const uchar *sine, __global const long *position, const part *p, int lane0,
                             float *restrict output)
{
  if (args->has_bias)
    for (int n = 0; n < p->columns; n++)
      vec_store(output + n * TOKENS, vec_load(output + n * TOKENS) + ca_bias(args, bias, p->column + n));
  if (!args->has_rotary) return;
  long2 cache_row[P_LANES];
  for (int i = 0; i < P_LANES; i++) {
    const long token = p->first + min(lane0 + i, p->tokens - 1), b = token / args->s;
    cache_row[i] = ca_rotary_row(args, position, (int)b, (int)(token - b * args->s));
  }
  for (int pair = 0; pair < args->rotary_dim / 2; pair++) {
    float cosines[P_LANES] ALIGNED, sines[P_LANES] ALIGNED;
    for (int i = 0; i < P_LANES; i++) {
      const float2 turn = ca_rotary_turn(args, cosine, sine, cache_row[i], pair);
      cosines[i] = turn.x;
      sines[i] = turn.y;
    }
    const vec c = vec_load(cosines), s = vec_load(sines);
    for (int head = 0; head < p->columns; head += args->d) {
      float *first = output + (head + ca_rotary_first(args, pair)) * TOKENS;
      float *second = output + (head + ca_rotary_second(args, pair)) * TOKENS;
      const vec a = vec_load(first), b = vec_load(second);
      vec_store(first, fma(c, a, -s * b));
      vec_store(second, fma(s, a, c * b));
    }
  }
}

/* The columns of a vector of tokens to y. */
CA_APART void store_columns(const ca_projection_args *args, const part *p, int lane0, const float *restrict output,
                            __global uchar *y)
{
  const int tokens = min(P_LANES, p->tokens - lane0);
  for (int n = 0; n < p->columns; n += P_LANES) {
    vec block[P_LANES];
    CA_UNROLL for (int i = 0; i < P_LANES; i++) block[i] = vec_load(output + (n + i) * TOKENS);
    vec_transpose(block);
    const int h = (p->column + n) / args->d, d = p->column + n - h * args->d;
    const int count = min(P_LANES, p->columns - n);
    const bool whole = args->y.stride[3] == 1 && count == P_LANES && d + P_LANES <= args->d;
    for (int i = 0; i < tokens; i++) {
      const long token = p->first + lane0 + i, b = token / args->s;
      const int s = (int)(token - b * args->s);
      if (whole) {
        vec_store_typed(y, ca_projection_target(args, (int)b, s, h, d), args->y_type, block[i]);
        continue;
      }
      float piece[P_LANES] ALIGNED;
      vec_store(piece, block[i]);
      for (int c = 0; c < count; c++) {
        const int head = (p->column + n + c) / args->d, channel = p->column + n + c - head * args->d;
        ca_store(y, ca_projection_target(args, (int)b, s, head, channel), args->y_type, piece[c]);
      }
    }
  }
}

CA_APART void project_part(const ca_projection_args *args, __global const uchar *x, __global const uchar *w,
                           __global const uchar *bias, __global const uchar *cosine, __global const uchar *sine,
                           __global const long *position, __global uchar *y, const part *p)
{
  float tokens[P_TILES * P_DEPTH * TOKENS] ALIGNED, room[P_ROWS * WIDTH] ALIGNED;
  float output[P_TILES * (P_COLUMNS + P_ROWS + P_LANES) * TOKENS] ALIGNED;
  const int tiles = (p->tokens + TOKENS - 1) / TOKENS, tile_floats = (P_COLUMNS + P_ROWS + P_LANES) * TOKENS;
  for (int e = 0; e == 0 || e < args->e; e += P_DEPTH) {
    const int depth = min(P_DEPTH, args->e - e);
    for (int v = 0; v < tiles * P_VECTORS; v++)
      load_tokens(args, x, p, v * P_LANES, e, depth,
                  tokens + v / P_VECTORS * P_DEPTH * TOKENS + v % P_VECTORS * P_LANES);
    for (int n = 0; n < p->columns; n += P_ROWS) {
      const rows weights = load_weights(args, w, p->column + n, e, depth, room);
      for (int t = 0; t < tiles; t++)
        multiply_block(weights, depth, tokens + t * P_DEPTH * TOKENS, e == 0, output + t * tile_floats + n * TOKENS);
    }
  }
  for (int v = 0; v * P_LANES < p->tokens; v++) {
    float *out = output + v / P_VECTORS * tile_floats + v % P_VECTORS * P_LANES;
    finish_columns(args, bias, cosine, sine, position, p, v * P_LANES, out);
    store_columns(args, p, v * P_LANES, out, y);
  }
}

/* Columns of a range: whole heads where they rotate. */
CA_APART long divide_parts(const ca_projections_args *all, ca_parts *parts)
{
  long ranges = 0;
  for (int i = 0; i < CA_PARTS; i++) {
    ca_projection_args *args = &parts->args[i];
    ca_part_args(all, i, args);
    const int width = ca_part_width(args);
    const int range = args->has_rotary ? P_COLUMNS / max(args->d, 1) * args->d : P_COLUMNS;
    parts->range[i] = range;
    parts->ranges[i] = width ? (width + range - 1) / range : 0;
    ranges += parts->ranges[i];
  }
  return ranges;
}

KERNEL void vector_projection(const ca_projections_args all, __global const uchar *x, __global const uchar *w0,
                              __global const uchar *w1, __global const uchar *w2, __global const uchar *bias0,
                              __global const uchar *bias1, __global const uchar *bias2, __global const uchar *cosine,
                              __global const uchar *sine, __global const long *position, __global uchar *y0,
                              __global uchar *y1, __global uchar *y2)
{
  ca_parts parts;
  const long ranges = divide_parts(&all, &parts);
  const long all_tokens = (long)all.first.b * all.first.s;
  const long tiles = (all_tokens + P_TILES * TOKENS - 1) / (P_TILES * TOKENS);
  for (long item = (long)get_group_id(0); item < tiles * ranges; item += (long)get_num_groups(0)) {
    part p;
    const int i = ca_take_item(&parts, ranges, P_TILES * TOKENS, item, &p);
    const ca_projection_args *args = &parts.args[i];
    project_part(args, x, CA_OF_PART(i, w), CA_OF_PART(i, bias), cosine, sine, position, CA_OF_PART(i, y), &p);
  }
}
