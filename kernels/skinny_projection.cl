/* Family skinny: projections of few tokens on CPU devices, at the speed at which the weights can be read. A work-item
 * owns a tile of tokens and a range of columns of y; lanes run along the channels, of x and of a row of w alike.
 *
 *   y[m][n] = bias[n] + sum_e w[n][e] x[m][e], then the rotary embedding (lib/rotary.clh)
 *
 * Each lane of a sum has every P_LANES-th channel; the lanes are added at the end of a block. W is read where it lies
 * if its rows are contiguous, else P_ROWS rows of a block are copied as they are; it is never packed. X is copied as
 * float32, block by block. What is left of a row beyond whole vectors is a block of its own, filled up with zeros.
 * Tokens are numbered through the batch. Up to three projections of one x are made at once.
 *
 * P_LANES    floats in a vector
 * P_ROWS     rows of w of a register tile
 * P_TOKENS   tokens of a register tile, 3 or 4; P_ROWS * P_TOKENS + P_TOKENS + 1 registers
 * P_WEIGHT   type of w: its rows are converted as they are read, so each type is a program
 * P_TILE     tokens of a tile at most
 * P_COLUMNS  columns of a range at most; with a rotary embedding whole heads
 * Private memory: 4 BLOCK + 4 P_TILE WIDTH + 4 P_ROWS DEPTH bytes and a little. Work-groups of one; no barriers. The
 * columns are divided among the groups of the grid, but any grid is right; no arguments mean no tiles. */
#include "ca_shared.h"
#include "lib/columns.clh"
#include "lib/parts.clh"
#include "lib/rotary.clh"
#include "lib/tile_io.clh"
#include "lib/vector.clh"
#include "lib/weights.clh"

#if !defined(P_ROWS) || !defined(P_TOKENS) || !defined(P_WEIGHT) || !defined(P_TILE) || !defined(P_COLUMNS)
#error "P_ROWS, P_TOKENS, P_WEIGHT, P_TILE or P_COLUMNS is missing"
#endif

#define DEPTH 4096                        /* channels of a block at most */
#define CHAIN 128                         /* products that a lane adds up before they join the others: for accuracy */
#define BLOCK (P_TILE * (1024 + P_LANES)) /* floats of a block of x: more tokens have fewer channels */
#define WIDTH (P_COLUMNS + 2 * P_LANES)   /* of a row of results: the last register tile may go beyond the columns */
#define ALIGNED __attribute__((aligned(64)))
#define KERNEL __kernel __attribute__((reqd_work_group_size(1, 1, 1))) CA_WHOLE_VECTORS

/* Channels [e, e + n) of the tokens as rows `width` apart, the last vector filled up with zeros. */
CA_APART void load_tokens(const ca_projection_args *args, __global const uchar *x, const part *p, int e, int n,
                          float *restrict to, int width)
{
  for (int i = 0; i < p->tokens; i++, to += width) {
    const long token = p->first + i, b = token / args->s, s = token - b * args->s;
    row_load(to, x, args->x.offset + b * args->x.stride[0] + s * args->x.stride[1] + e * args->x.stride[2],
             args->x.stride[2], args->x_type, n);
    for (int c = n; c % P_LANES; c++) to[c] = 0.0f;
  }
}

/* P_ROWS rows of w from row n on, channels [e, e + depth): where they lie, or a copy that ends with zeros. Rows past
 * the last repeat it. */
CA_APART void load_weights(const ca_projection_args *args, __global const uchar *w, int n, int e, int depth,
                           ca_weight *restrict room, const ca_weight *row[P_ROWS])
{
  const bool in_place = args->w.stride[1] == 1 && depth % P_LANES == 0;
  for (int i = 0; i < P_ROWS; i++, room += DEPTH) {
    __global const ca_weight *from = (__global const ca_weight *)w + args->w.offset + e * args->w.stride[1] +
                                     min(n + i, args->h * args->d - 1) * args->w.stride[0];
    row[i] = in_place ? (const ca_weight *)(size_t)from : room;
    if (in_place) continue;
    for (int c = 0; c < depth; c++) room[c] = from[c * args->w.stride[1]];
    for (int c = depth; c % P_LANES; c++) room[c] = 0;
  }
}

/* The sums of the lanes of four vectors. */
CA_WITHIN float4 add_lanes(const float *vectors)
{
  float4 sum[4];
  CA_UNROLL for (int i = 0; i < 4; i++)
  {
    const float4 *quarter = (const float4 *)(vectors + i * P_LANES);
    sum[i] = quarter[0];
    CA_UNROLL for (int q = 1; q < P_LANES / 4; q++) sum[i] += quarter[q];
  }
  const float4 even = (float4)(sum[0].lo + sum[0].hi, sum[2].lo + sum[2].hi);
  const float4 odd = (float4)(sum[1].lo + sum[1].hi, sum[3].lo + sum[3].hi);
  return (float4)(even.s0 + even.s1, odd.s0 + odd.s1, even.s2 + even.s3, odd.s2 + odd.s3);
}

/* sums[t * P_ROWS + i] = row i times token t over a block, for `count` tokens. `ahead` elements from here are the rows
 * that come next. */
#define MULTIPLY(count)                                                                                                \
  CA_APART void multiply_##count(const ca_weight *const row[P_ROWS], int depth, long ahead,                            \
                                 const float *restrict tokens, int width, float *restrict sums)                        \
  {                                                                                                                    \
    for (int from = 0, end; from < depth; from = end) {                                                                \
      vec sum[count][P_ROWS];                                                                                          \
      end = min(depth, from + CHAIN * P_LANES);                                                                        \
      CA_UNROLL for (int t = 0; t < count; t++) CA_UNROLL for (int i = 0; i < P_ROWS; i++) sum[t][i] = (vec)(0.0f);    \
      for (int e = from; e < end; e += P_LANES) {                                                                      \
        vec x[count];                                                                                                  \
        CA_UNROLL for (int t = 0; t < count; t++) x[t] = vec_load(tokens + t * width + e);                             \
        CA_UNROLL for (int i = 0; i < P_ROWS; i++)                                                                     \
        {                                                                                                              \
          const vec w = CA_WEIGHTS(row[i] + e);                                                                        \
          CA_FETCH(row[i] + e + ahead, 0);                                                                             \
          CA_UNROLL for (int t = 0; t < count; t++) sum[t][i] = fma(w, x[t], sum[t][i]);                               \
        }                                                                                                              \
      }                                                                                                                \
      CA_UNROLL for (int t = 0; t < count; t++) CA_UNROLL for (int i = 0; i < P_ROWS; i++)                             \
      {                                                                                                                \
        float *to = sums + (t * P_ROWS + i) * P_LANES;                                                                 \
        vec_store(to, from == 0 ? sum[t][i] : vec_load(to) + sum[t][i]);                                               \
      }                                                                                                                \
    }                                                                                                                  \
  }
MULTIPLY(1)
MULTIPLY(2)
MULTIPLY(3)
#if P_TOKENS == 4
MULTIPLY(4)
#endif

/* P_ROWS columns of `count` tokens, added to what is there. */
CA_APART void multiply_block(const ca_weight *const row[P_ROWS], int depth, long ahead, const float *restrict tokens,
                             int width, int count, float *restrict output)
{
  float sums[(P_TOKENS * P_ROWS + 4) * P_LANES] ALIGNED, added[P_TOKENS * P_ROWS + 4] ALIGNED;
  if (count == 1)
    multiply_1(row, depth, ahead, tokens, width, sums);
  else if (count == 2)
    multiply_2(row, depth, ahead, tokens, width, sums);
#if P_TOKENS == 4
  else if (count == 4)
    multiply_4(row, depth, ahead, tokens, width, sums);
#endif
  else
    multiply_3(row, depth, ahead, tokens, width, sums);
  for (int i = 0; i < count * P_ROWS; i += 4) *(float4 *)(added + i) = add_lanes(sums + i * P_LANES);
  for (int t = 0; t < count; t++)
    CA_UNROLL for (int i = 0; i < P_ROWS; i++) output[t * WIDTH + i] += added[t * P_ROWS + i];
}

/* Bias, or zeros, for all tokens; zeros where the last register tile goes beyond the columns. */
CA_APART void begin_columns(const ca_projection_args *args, __global const uchar *bias, const part *p,
                            float *restrict output)
{
  const int padded = (p->columns + P_LANES - 1) / P_LANES * P_LANES + P_LANES;
  for (int n = 0; n < padded; n++) output[n] = n < p->columns ? ca_bias(args, bias, p->column + n) : 0.0f;
  for (int t = 1; t < p->tokens; t++)
    for (int n = 0; n < padded; n += P_LANES) vec_store(output + t * WIDTH + n, vec_load(output + n));
}

/* Channels of a block: as many as there is room for, and all blocks alike. */
CA_WITHIN int depth_of(const ca_projection_args *args, int tokens)
{
  const int most = min(DEPTH, BLOCK / tokens / P_LANES * P_LANES - P_LANES);
  const int blocks = max((args->e + most - 1) / most, 1), depth = (args->e + blocks - 1) / blocks;
  return max((depth + P_LANES - 1) / P_LANES, 1) * P_LANES;
}

CA_APART void project_part(const ca_projection_args *args, __global const uchar *x, __global const uchar *w,
                           __global const uchar *bias, __global const uchar *cosine, __global const uchar *sine,
                           __global const long *position, __global uchar *y, const part *p)
{
  float tokens[BLOCK] ALIGNED, output[P_TILE * WIDTH] ALIGNED;
  ca_weight room[P_ROWS * DEPTH] ALIGNED;
  const ca_weight *row[P_ROWS];
  const int most = depth_of(args, p->tokens), width = (most / P_LANES | 1) * P_LANES; /* odd: not all in one set */
  const int passes = (p->tokens + P_TOKENS - 1) / P_TOKENS, share = (p->tokens + passes - 1) / passes;
  begin_columns(args, bias, p, output);
  for (int e = 0, depth; e < args->e; e += depth) {
    depth = min(most, args->e - e);
    if (depth > P_LANES) depth -= depth % P_LANES;
    load_tokens(args, x, p, e, depth, tokens, width);
    for (int n = 0; n < p->columns; n += P_ROWS) {
      load_weights(args, w, p->column + n, e, depth, room, row);
      const long ahead = n + P_ROWS < p->columns && row[0] != room ? P_ROWS * args->w.stride[0] : 0;
      for (int t = 0; t < p->tokens; t += share)
        multiply_block(row, depth, ahead, tokens + t * width, width, min(share, p->tokens - t), output + t * WIDTH + n);
    }
  }
  for (int t = 0; t < p->tokens; t++) {
    const int b = (int)((p->first + t) / args->s), s = (int)(p->first + t - (long)b * args->s);
    if (args->has_rotary)
      columns_rotate(args, cosine, sine, ca_rotary_row(args, position, b, s), p->columns, output + t * WIDTH);
    columns_store(args, p, b, s, output + t * WIDTH, y);
  }
}

/* Columns of a range: all columns divided among the groups, in register tiles, or in whole heads where they rotate. */
CA_APART long divide_parts(const ca_projections_args *all, long tiles, ca_parts *parts)
{
  long width = 0, ranges = 0;
  for (int i = 0; i < CA_PARTS; i++) {
    ca_part_args(all, i, &parts->args[i]);
    width += ca_part_width(&parts->args[i]);
  }
  const long groups = max((long)get_num_groups(0) / max(tiles, 1L), 1L), fair = (width + groups - 1) / groups;
  for (int i = 0; i < CA_PARTS; i++) {
    const ca_projection_args *args = &parts->args[i];
    const int step = args->has_rotary ? args->d : P_ROWS;
    const int range = step ? (int)min((fair + step - 1) / step, (long)(P_COLUMNS / step)) * step : 0;
    parts->range[i] = range;
    parts->ranges[i] = range ? (ca_part_width(args) + range - 1) / range : 0;
    ranges += parts->ranges[i];
  }
  return ranges;
}

KERNEL void skinny_projection(const ca_projections_args all, __global const uchar *x, __global const uchar *w0,
                              __global const uchar *w1, __global const uchar *w2, __global const uchar *bias0,
                              __global const uchar *bias1, __global const uchar *bias2, __global const uchar *cosine,
                              __global const uchar *sine, __global const long *position, __global uchar *y0,
                              __global uchar *y1, __global uchar *y2)
{
  ca_parts parts;
  const long all_tokens = (long)all.first.b * all.first.s, tiles = (all_tokens + P_TILE - 1) / P_TILE;
  const long ranges = divide_parts(&all, tiles, &parts), tile_tokens = (all_tokens + tiles - 1) / max(tiles, 1L);
  for (long item = (long)get_group_id(0); item < tiles * ranges; item += (long)get_num_groups(0)) {
    part p;
    const int i = ca_take_item(&parts, ranges, tile_tokens, item, &p);
    const ca_projection_args *args = &parts.args[i];
    if (p.tokens > 0)
      project_part(args, x, CA_OF_PART(i, w), CA_OF_PART(i, bias), cosine, sine, position, CA_OF_PART(i, y), &p);
  }
}
