/* A map: what a step of scores shows, as it is or pooled over tiles. s is a score, l its row's lse:
 *   t = exp(s - l) weight    exp(s - l) (l - s)    or s itself
 *   map[I][J] = sum of t over the tile    map_max[I][J] = largest t there
 * A step has rows row, row + 1, ... of one head of b batch items, all keys of the range, dense in the workspace. A tile
 * that began in an earlier step, or goes on in a later one, takes three numbers along in the workspace: its sum so far,
 * what rounding took from it, its maximum. Both outputs are written once, where a tile ends.
 *
 * Not attended (s = -inf): t = 0; of scores nothing in a sum, and -inf where a tile has nothing else. A row whose lse is
 * -inf: t = 0. A sum is two numbers, itself and what rounding took from it, so that a tile's size does not matter.
 *
 * Not pooled: a work-group takes CA_MAP_CHUNK keys of a row. Pooled: down * across work-items share a tile, that is all of
 * a group or one; each tile has one owner, lanes and work-items are joined in a fixed order. Tiles and chunks are taken
 * in turn: any grid is right; no arguments (all zero) mean no work.
 *   P_WG      work-items of a group, a power of two
 *   P_LANES   numbers of a vector, 4, 8 or 16 floats of a CPU; 1: none
 *   P_DOUBLE  1: computes in double, P_LANES is 1; 0: in float
 * Local memory: 3 P_WG numbers. Barriers where work-items share tiles, the same for the whole group.
 * Source: sums of two numbers and their errors, Knuth, The Art of Computer Programming 2, 4.2.2, and Dekker 1971. */
#include "ca_shared.h"
#include "lib/index.clh"
#include "lib/tile_io.clh"

#if !defined(P_WG) || !defined(P_LANES)
#error "P_WG or P_LANES is missing"
#endif

#if P_LANES > 1
#include "lib/vector.clh"
#define MOST_EXPONENT 88.3f /* above, vec_exp leaves its range */
#else
typedef ca_real vec;
typedef ca_real vec_anywhere;
#define CA_APART static
#define CA_WITHIN static inline
#define CA_WHOLE_VECTORS
#endif

typedef union lanes {
  vec all;
  ca_real at[P_LANES];
} lanes;

/* Sums and maxima by lanes; a sum is `sum` and what rounding took from it, `lost`. */
typedef struct tally {
  vec sum, lost, top;
} tally;

typedef struct total {
  ca_real sum, lost, top;
} total;

CA_WITHIN vec exponential(vec x)
{
#if P_LANES > 1
  return x > (vec)(MOST_EXPONENT) ? (vec)(INFINITY) : vec_exp(x);
#else
  return exp(x);
#endif
}

/* t of scores of a row. */
CA_WITHIN vec show(int quantity, vec s, ca_real lse, vec weight)
{
  if (quantity >= CA_MAP_SCALED) return s;
  const vec l = (vec)(lse), p = exponential(s - l);
  const vec t = quantity == CA_MAP_ENTROPY ? p * (l - s) : p * weight;
  return s == (vec)(-INFINITY) || l == (vec)(-INFINITY) ? (vec)(0) : t;
}

/* Up to P_LANES neighbours; lanes past the n-th hold nothing that matters. */
CA_WITHIN vec scores_load(__global const ca_real *from, int n)
{
  if (P_LANES == 1 || n >= P_LANES) return *(__global const vec_anywhere *)from;
  lanes part;
  for (int i = 0; i < P_LANES; i++) part.at[i] = i < n ? from[i] : -INFINITY;
  return part.all;
}

CA_WITHIN vec weights_load(const ca_map_args *args, __global const uchar *weight, int b, int j, int n)
{
  if (args->weight_type == 0) return (vec)(1);
  const long stride = args->key_weight.stride[2];
  const long at = args->key_weight.offset + b * args->key_weight.stride[0] + j * stride;
  if (P_LANES == 1) return (vec)(ca_load(weight, at, args->weight_type));
#if P_LANES > 1
  if (stride == 1 && n >= P_LANES) return vec_load_typed(weight, at, args->weight_type);
#endif
  lanes part;
  for (int i = 0; i < P_LANES; i++) part.at[i] = i < n ? ca_load(weight, at + i * stride, args->weight_type) : 0;
  return part.all;
}

CA_WITHIN void map_store(__global uchar *to, long at, long stride, int type, vec x, int n)
{
#if P_LANES > 1
  if (stride == 1 && n >= P_LANES) {
    vec_store_typed(to, at, type, x);
    return;
  }
#endif
  lanes part;
  part.all = x;
  if (P_LANES == 1)
    ca_store(to, at, type, part.at[0]);
  else
    for (int i = 0; i < min(n, P_LANES); i++) ca_store(to, at + i * stride, type, part.at[i]);
}

static ca_real row_lse(const ca_map_args *args, __global const uchar *lse, int b, int r)
{
  if (args->lse_type == 0) return 0;
  return ca_load(lse, args->lse.offset + b * args->lse.stride[0] + r * args->lse.stride[2], args->lse_type);
}

static __global const ca_real *row_scores(const ca_map_args *args, __global const uchar *work, int b, int r)
{
  return (__global const ca_real *)work + args->scores + ((long)b * args->rows + r) * args->keys;
}

static long tile_at(const ca_tensor_arg *t, int b, int tile_row, int tile_key)
{
  return t->offset + b * t->stride[0] + tile_row * t->stride[2] + tile_key * t->stride[3];
}

/* Keys first, first + 1, ... of a row, as they are. */
CA_APART void map_chunk(const ca_map_args *args, __global const uchar *work, __global const uchar *lse,
                        __global const uchar *weight, __global uchar *map, __global uchar *map_max, int b, int r,
                        int first)
{
  const ca_real l = row_lse(args, lse, b, r);
  __global const ca_real *scores = row_scores(args, work, b, r);
  const int end = min(args->keys, first + CA_MAP_CHUNK), row = args->row + r;
  for (int j = first + (int)get_local_id(0) * P_LANES; j < end; j += P_WG * P_LANES) {
    const int n = end - j;
    const vec t = show(args->quantity, scores_load(scores + j, n), l, weights_load(args, weight, b, j, n));
    if (args->map_type) map_store(map, tile_at(&args->map, b, row, j), args->map.stride[3], args->map_type, t, n);
    if (args->max_type)
      map_store(map_max, tile_at(&args->map_max, b, row, j), args->map_max.stride[3], args->max_type, t, n);
  }
}

/* The larger one; once a NaN, always a NaN. */
CA_WITHIN vec raise(vec top, vec x) { return x > top || x != x ? x : top; }

/* sum + lost + x = the new sum + what it has lost, to twice the digits of either: the first line's error is exact, and the
 * last two put what has gathered in `lost` where it belongs. An infinite sum loses nothing. */
#define ADD_EXACTLY(type, sum, lost, x)                                                                                \
  {                                                                                                                    \
    const type whole = (sum) + (x), back = whole - (sum);                                                              \
    const type gone = (lost) + (((sum) - (whole - back)) + ((x) - back)), small = gone == gone ? gone : (type)(0);     \
    (sum) = whole + small;                                                                                             \
    (lost) = small - ((sum) - whole);                                                                                  \
  }

CA_WITHIN void take(tally *a, int quantity, vec t, int n)
{
  vec term = quantity >= CA_MAP_SCALED ? (t == (vec)(-INFINITY) ? (vec)(0) : t) : t;
  if (P_LANES > 1 && n < P_LANES) {
    lanes sum, top;
    sum.all = term;
    top.all = t;
    for (int i = n; i < P_LANES; i++) {
      sum.at[i] = 0;
      top.at[i] = -INFINITY;
    }
    term = sum.all;
    t = top.all;
  }
  ADD_EXACTLY(vec, a->sum, a->lost, term)
  a->top = raise(a->top, t);
}

/* Other sums after a. No struct is returned: Oclgrind lacks what that becomes. */
static void join(total *a, ca_real sum, ca_real lost, ca_real top)
{
  ADD_EXACTLY(ca_real, a->sum, a->lost, sum)
  ADD_EXACTLY(ca_real, a->sum, a->lost, lost)
  a->top = top > a->top || top != top ? top : a->top;
}

/* Of the first n lanes. */
static void lanes_join(const tally *a, int n, total *all)
{
  lanes sum, lost, top;
  sum.all = a->sum;
  lost.all = a->lost;
  top.all = a->top;
  all->sum = sum.at[0];
  all->lost = lost.at[0];
  all->top = top.at[0];
  if (P_LANES > 1)
    for (int i = 1; i < min(n, P_LANES); i++) join(all, sum.at[i], lost.at[i], top.at[i]);
}

/* The work-item's part of what the step has of tile (tile_row, tile_key). */
CA_APART void tile_part(const ca_map_args *args, __global const uchar *work, __global const uchar *lse,
                         __global const uchar *weight, int b, int tile_row, int tile_key, int lane, total *all)
{
  const int down = lane / args->across, across = lane - down * args->across;
  const int first_row = max(tile_row * args->tile_rows - args->row, 0);
  const int end_row = (int)min((long)(tile_row + 1) * args->tile_rows - args->row, (long)args->rows);
  const int first_key = tile_key * args->tile_keys;
  const int end_key = (int)min((long)first_key + args->tile_keys, (long)args->keys);
  tally a = {(vec)(0), (vec)(0), (vec)(-INFINITY)};
  for (int r = first_row + down; r < end_row; r += args->down) {
    const ca_real l = row_lse(args, lse, b, r);
    __global const ca_real *scores = row_scores(args, work, b, r);
    for (int j = first_key + across * P_LANES; j < end_key; j += args->across * P_LANES) {
      const int n = end_key - j;
      const vec s = scores_load(scores + j, n);
      take(&a, args->quantity, show(args->quantity, s, l, weights_load(args, weight, b, j, n)), n);
    }
  }
  lanes_join(&a, end_key - first_key, all);
}

/* What the tile had before, and what becomes of it. */
static void tile_end(const ca_map_args *args, __global uchar *work, __global uchar *map, __global uchar *map_max, int b,
                     int tile_row, int tile_key, total *t)
{
  /* A step may end one row of tiles and begin the next, by different work-items: each has its own place. */
  const long tile_keys = (args->keys - 1) / args->tile_keys + 1;
  __global ca_real *carry =
      (__global ca_real *)work + args->carry + ((tile_row & 1) * tile_keys + tile_key) * CA_MAP_CARRY;
  if ((long)tile_row * args->tile_rows < args->row) join(t, carry[0], carry[1], carry[2]);
  const long end = min((long)(tile_row + 1) * args->tile_rows, (long)args->all_rows);
  if (end > (long)args->row + args->rows) {
    carry[0] = t->sum;
    carry[1] = t->lost;
    carry[2] = t->top;
    return;
  }
  const ca_real sum = isinf(t->sum) || isnan(t->sum) ? t->sum : t->sum + t->lost;
  const bool is_nothing = args->quantity >= CA_MAP_SCALED && t->top == -INFINITY;
  if (args->map_type)
    ca_store(map, tile_at(&args->map, b, tile_row, tile_key), args->map_type, is_nothing ? -INFINITY : sum);
  if (args->max_type) ca_store(map_max, tile_at(&args->map_max, b, tile_row, tile_key), args->max_type, t->top);
}

__kernel __attribute__((reqd_work_group_size(P_WG, 1, 1))) CA_WHOLE_VECTORS void
map(const ca_map_args args, __global uchar *work, __global const uchar *lse, __global const uchar *weight,
    __global uchar *map, __global uchar *map_max)
{
  __local ca_real sum[P_WG], lost[P_WG], top[P_WG];
  if (args.b == 0) return;
  if (args.tile_rows == 1 && args.tile_keys == 1) {
    const int chunks = (args.keys + CA_MAP_CHUNK - 1) / CA_MAP_CHUNK;
    const long items = (long)args.b * args.rows * chunks;
    for (long item = (long)get_group_id(0); item < items; item += (long)get_num_groups(0)) {
      long rest = item;
      const int chunk = ca_take_index(&rest, chunks), r = ca_take_index(&rest, args.rows);
      map_chunk(&args, work, lse, weight, map, map_max, (int)rest, r, chunk * CA_MAP_CHUNK);
    }
    return;
  }
  const int sharing = args.down * args.across, owner = (int)get_local_id(0) / sharing;
  const int lane = (int)get_local_id(0) - owner * sharing;
  const int first_tile = args.row / args.tile_rows, last_tile = (args.row + args.rows - 1) / args.tile_rows;
  const int tile_rows = last_tile - first_tile + 1, tile_keys = (args.keys - 1) / args.tile_keys + 1;
  const long tiles = (long)args.b * tile_rows * tile_keys, step = P_WG / sharing;
  for (long first = (long)get_group_id(0) * step; first < tiles; first += (long)get_num_groups(0) * step) {
    long rest = min(first + owner, tiles - 1);
    const int tile_key = ca_take_index(&rest, tile_keys);
    const int tile_row = first_tile + ca_take_index(&rest, tile_rows), b = (int)rest;
    total t;
    tile_part(&args, work, lse, weight, b, tile_row, tile_key, lane, &t);
    for (int others = sharing / 2; others > 0; others /= 2) {
      sum[lane] = t.sum;
      lost[lane] = t.lost;
      top[lane] = t.top;
      barrier(CLK_LOCAL_MEM_FENCE);
      if (lane < others) join(&t, sum[lane + others], lost[lane + others], top[lane + others]);
      barrier(CLK_LOCAL_MEM_FENCE);
    }
    if (lane == 0 && first + owner < tiles) tile_end(&args, work, map, map_max, b, tile_row, tile_key, &t);
  }
}
