/* Family packed: projections on CPU devices from weights that were packed for it. A work-item owns a tile of tokens and
 * a range of columns of y; lanes run along the columns.
 *
 *   Y[m][n] = sum_e X[m][e] W[n][e], then bias and the rotary embedding (lib/rotary.clh)
 *
 * The weights lie in panels of PANEL columns, [panel][E][PANEL], filled up with zeros (clattn_weights_create makes
 * them), so that vectors of them are read in the order in which they lie and converted as they are read. Elements of X are
 * broadcast against them, from where they lie if these are rows of float32 at one distance, else from a copy of a block.
 * Nothing is transposed. Tokens are numbered through the batch. Up to three projections of one x are made at once.
 *
 * P_LANES    floats in a vector
 * P_ROWS     tokens of a register tile, 6
 * P_VECTORS  vectors of columns of a register tile; P_ROWS * P_VECTORS + P_VECTORS + 1 registers
 * P_WEIGHT   type of w: each is a program
 * P_TILE     tokens of a tile at most, a multiple of P_ROWS
 * P_COLUMNS  columns of a range at most; where heads rotate they are whole
 * P_DEPTH    inner dimension of a block; a sum is taken block by block, since its rounding grows with its length
 * Private memory: 4 P_TILE (P_DEPTH + P_COLUMNS + 2 PANEL) bytes and a little. Work-groups of one; no barriers. The
 * columns are divided among the groups of the grid, but any grid is right; no arguments mean no tiles.
 * Source: Goto and van de Geijn 2008 (blocks of the product and where they stay). */
#include "ca_shared.h"
#include "lib/columns.clh"
#include "lib/parts.clh"
#include "lib/rotary.clh"
#include "lib/tile_io.clh"
#include "lib/vector.clh"
#include "lib/weights.clh"

#if !defined(P_ROWS) || !defined(P_VECTORS) || !defined(P_TILE) || !defined(P_COLUMNS) || !defined(P_DEPTH)
#error "P_ROWS, P_VECTORS, P_TILE, P_COLUMNS or P_DEPTH is missing"
#endif

#if P_TILE % P_ROWS
#error "P_TILE is no multiple of P_ROWS, to which the tokens of a tile are rounded up"
#endif

#define PANEL (P_LANES * P_VECTORS)
#define ALIGNED __attribute__((aligned(64)))
#define KERNEL __kernel __attribute__((reqd_work_group_size(1, 1, 1))) CA_WHOLE_VECTORS

/* While a block is multiplied the next one is fetched: cache lines for each of its steps along E by one group of rows,
 * and how many groups it takes then. */
#define STEP_BYTES (PANEL * CA_WEIGHT_BYTES)
#define LINE_BYTES (STEP_BYTES < 64 ? STEP_BYTES : 64)
#define FETCHES (STEP_BYTES > 128 ? STEP_BYTES / 128 : 1)
#define FETCHING_GROUPS (STEP_BYTES / (FETCHES * LINE_BYTES))

/* Rows of x at one distance: where they lie, or a copy. */
CA_APART rows load_tokens(const ca_projection_args *args, __global const uchar *x, const part *p, int e, int depth,
                          float *restrict room)
{
  const long s = args->s, batch = p->first / s;
  const bool one_distance = p->first + p->tokens <= (batch + 1) * s || args->x.stride[0] == s * args->x.stride[1];
  const long at = args->x.offset + e * args->x.stride[2];
  if (args->x_type == CA_F32 && args->x.stride[2] == 1 && one_distance)
    return rows_in_place(x, at + batch * args->x.stride[0] + (p->first - batch * s) * args->x.stride[1],
                         args->x.stride[1]);
  for (int i = 0; i < p->tokens; i++) {
    const long token = p->first + i, b = token / s;
    row_load(room + i * P_DEPTH, x, at + b * args->x.stride[0] + (token - b * s) * args->x.stride[1],
             args->x.stride[2], args->x_type, depth);
  }
  return (rows){room, P_DEPTH};
}

/* `count` tokens times a panel: a block's sums, added to what earlier blocks gave. `next`, and what lies `line` and its
 * multiples behind it, is what comes next. */
#define MULTIPLY(count)                                                                                                \
  CA_APART void multiply_##count(rows tokens, const ca_weight *restrict panel, int depth, const uchar *next, int line, \
                                 bool first, float *restrict output, int width)                                        \
  {                                                                                                                    \
    vec sum[count][P_VECTORS];                                                                                         \
    CA_UNROLL for (int i = 0; i < count; i++) CA_UNROLL for (int v = 0; v < P_VECTORS; v++) sum[i][v] = (vec)(0.0f);   \
    for (int e = 0; e < depth; e++, panel += PANEL) {                                                                  \
      vec w[P_VECTORS];                                                                                                \
      CA_UNROLL for (int v = 0; v < P_VECTORS; v++) w[v] = CA_WEIGHTS(panel + v * P_LANES);                            \
      CA_UNROLL for (int f = 0; f < FETCHES; f++) CA_FETCH(next + (e * FETCHES + f) * line, 0);                        \
      CA_UNROLL for (int i = 0; i < count; i++)                                                                        \
      {                                                                                                                \
        const vec x = (vec)(tokens.at[i * tokens.stride + e]);                                                         \
        CA_UNROLL for (int v = 0; v < P_VECTORS; v++) sum[i][v] = fma(x, w[v], sum[i][v]);                             \
      }                                                                                                                \
    }                                                                                                                  \
    CA_UNROLL for (int i = 0; i < count; i++) CA_UNROLL for (int v = 0; v < P_VECTORS; v++)                            \
    {                                                                                                                  \
      float *out = output + i * width + v * P_LANES;                                                                   \
      vec_store(out, first ? sum[i][v] : sum[i][v] + vec_load(out));                                                   \
    }                                                                                                                  \
  }
MULTIPLY(1)
MULTIPLY(2)
MULTIPLY(4)
MULTIPLY(6)

/* Tokens of the next register tile, of `left`: eight are twice four. */
CA_WITHIN int next_rows(int left) { return left >= 6 && left != 8 ? 6 : left >= 4 ? 4 : left >= 2 ? 2 : 1; }

/* All tokens times a panel. A few tokens, whose only group would fetch a part of the next block, fetch nothing: the
 * processor follows a panel by itself. */
CA_APART void multiply_panel(rows tokens, int count, const ca_weight *panel, int depth, bool first,
                             float *restrict output, int width)
{
  const uchar *next = (const uchar *)(panel + depth * PANEL);
  const int fetching = count > (FETCHING_GROUPS == 1 ? 0 : P_ROWS) ? FETCHING_GROUPS : 0;
  for (int i = 0, group = 0, now; i < count; i += now, group++, next += depth * FETCHES * LINE_BYTES) {
    const rows at = {tokens.at + i * tokens.stride, tokens.stride};
    const int line = group < fetching ? LINE_BYTES : 0;
    float *out = output + i * width;
    now = next_rows(count - i);
    if (now == 6)
      multiply_6(at, panel, depth, next, line, first, out, width);
    else if (now == 4)
      multiply_4(at, panel, depth, next, line, first, out, width);
    else if (now == 2)
      multiply_2(at, panel, depth, next, line, first, out, width);
    else
      multiply_1(at, panel, depth, next, line, first, out, width);
  }
}

/* Bias and rotary embedding of a token, and its columns to y. */
CA_APART void finish_token(const ca_projection_args *args, const float *restrict bias, __global const uchar *cosine,
                           __global const uchar *sine, __global const long *position, const part *p, long token,
                           float *restrict output, __global uchar *y)
{
  const int b = (int)(token / args->s), s = (int)(token - (long)b * args->s);
  if (args->has_bias)
    for (int n = 0; n < p->columns; n += P_LANES)
      *(vec_anywhere *)(output + n) = *(const vec_anywhere *)(output + n) + vec_load(bias + n);
  if (args->has_rotary)
    columns_rotate(args, cosine, sine, ca_rotary_row(args, position, b, s), p->columns, output);
  columns_store(args, p, b, s, output, y);
}

CA_APART void project_part(const ca_projection_args *args, __global const uchar *x, __global const uchar *w,
                           __global const uchar *bias, __global const uchar *cosine, __global const uchar *sine,
                           __global const long *position, __global uchar *y, const part *p)
{
  float room[P_TILE * P_DEPTH] ALIGNED, output[P_TILE * (P_COLUMNS + 2 * PANEL)] ALIGNED;
  float bias_row[P_COLUMNS + PANEL] ALIGNED;
  const int first_panel = p->column / PANEL, panels = (p->column + p->columns - 1) / PANEL + 1 - first_panel;
  const int width = panels * PANEL;
  const ca_weight *from = (const ca_weight *)(size_t)w + args->w.offset;
  for (int e = 0; e == 0 || e < args->e; e += P_DEPTH) {
    const int depth = min(P_DEPTH, args->e - e);
    const rows tokens = load_tokens(args, x, p, e, depth, room);
    for (int i = 0; i < panels; i++)
      multiply_panel(tokens, p->tokens, from + ((long)(first_panel + i) * args->e + e) * PANEL, depth, e == 0,
                     output + i * PANEL, width);
  }
  if (args->has_bias)
    row_load(bias_row, bias, args->bias.offset + p->column * args->bias.stride[0], args->bias.stride[0],
             args->bias_type, p->columns);
  for (int i = 0; i < p->tokens; i++)
    finish_token(args, bias_row, cosine, sine, position, p, p->first + i,
                 output + i * width + p->column - first_panel * PANEL, y);
}

/* Panels of a range: all of them divided among the groups. */
CA_APART int panels_together(const ca_parts *parts, long tiles)
{
  const long ranges = max((long)get_num_groups(0) / max(tiles, 1L), 1L);
  long panels = 0;
  for (int i = 0; i < CA_PARTS; i++) panels += (ca_part_width(&parts->args[i]) + PANEL - 1) / PANEL;
  return (int)clamp((panels + ranges - 1) / ranges, 1L, (long)(P_COLUMNS / PANEL));
}

/* Columns of a range: some panels, or whole heads where they rotate, which are whole panels too if so many have room. */
CA_WITHIN int range_of(const ca_projection_args *args, int panels)
{
  if (!args->has_rotary) return ca_part_width(args) ? PANEL * panels : 0;
  for (int columns = args->d; columns <= P_COLUMNS; columns += args->d)
    if (columns % PANEL == 0) return columns;
  return P_COLUMNS / args->d * args->d;
}

CA_APART long divide_parts(const ca_projections_args *all, long tiles, ca_parts *parts)
{
  long ranges = 0;
  for (int i = 0; i < CA_PARTS; i++) ca_part_args(all, i, &parts->args[i]);
  const int panels = panels_together(parts, tiles);
  for (int i = 0; i < CA_PARTS; i++) {
    const int range = range_of(&parts->args[i], panels);
    parts->range[i] = range;
    parts->ranges[i] = range ? (ca_part_width(&parts->args[i]) + range - 1) / range : 0;
    ranges += parts->ranges[i];
  }
  return ranges;
}

KERNEL void packed_projection(const ca_projections_args all, __global const uchar *x, __global const uchar *w0,
                              __global const uchar *w1, __global const uchar *w2, __global const uchar *bias0,
                              __global const uchar *bias1, __global const uchar *bias2, __global const uchar *cosine,
                              __global const uchar *sine, __global const long *position, __global uchar *y0,
                              __global uchar *y1, __global uchar *y2)
{
  ca_parts parts;
  const long all_tokens = (long)all.first.b * all.first.s, tiles = (all_tokens + P_TILE - 1) / P_TILE;
  const long ranges = divide_parts(&all, tiles, &parts), fair = (all_tokens + tiles - 1) / max(tiles, 1L);
  const long tile_tokens = (fair + P_ROWS - 1) / P_ROWS * P_ROWS;
  for (long item = (long)get_group_id(0); item < tiles * ranges; item += (long)get_num_groups(0)) {
    part p;
    const int i = ca_take_item(&parts, ranges, tile_tokens, item, &p);
    const ca_projection_args *args = &parts.args[i];
    if (p.tokens > 0)
      project_part(args, x, CA_OF_PART(i, w), CA_OF_PART(i, bias), cosine, sine, position, CA_OF_PART(i, y), &p);
  }
}
