/* Family tiled, stage by stage: projection, scores, softmax, values, for any GPU; OpenCL C 1.2 without extensions.
 *
 *   projection  y[b,h,s,d] = rotate(sum_e x[b,s,e] w[h*D+d,e] + bias[h*D+d])    rows (b,s), columns (h,d), inner e
 *   scores      a, qk = mask(softcap(scale q k))                                 rows i, columns j, inner d
 *   softmax     p = exp(a - lse)                                                 a work-group: a row
 *   values      y = p v                                                          rows i, columns d, inner j
 *
 * Three of them are one tiled product (lib/tile.clh) with different loads and stores. A work-group takes tiles in
 * turn (tile, tile + groups, ...), so any grid is right, and no arguments (all zero) mean no tiles. Types are
 * arguments: they cost a uniform branch where a tile is loaded, and one program serves every need.
 *   P_TILE_ROWS, P_TILE_COLS, P_TILE_DEPTH   the tile; P_TILE_COLS a multiple of 4 * P_WG_COLS
 *   P_WG_ROWS, P_WG_COLS                     work-items of a group, 16 or more
 * Local memory: 4 * DEPTH * (ROWS + COLS + 8) + 8 * (ROWS + COLS) + 4 bytes; softmax 4 * group.
 * Registers: ROWS * COLS / group floats of results (of values twice) and as many again while a block is summed, at
 * most four columns of the latter.
 * Barriers: in control flow that is the same for a whole group.
 * Source: the blocked product of every GPU guide; rules of ONNX Attention and RotaryEmbedding, opsets 25 and 23. */
#include "ca_shared.h"
#include "lib/index.clh"
#include "lib/mask.clh"
#include "lib/rotary.clh"
#include "lib/tile.clh"
#include "lib/tile_io.clh"

#define REDUCERS 16
#define SUM_KEYS 256 /* keys whose weighted values are added up by themselves; a multiple of P_TILE_DEPTH */
#if SUM_KEYS % P_TILE_DEPTH != 0
#error "SUM_KEYS is no multiple of P_TILE_DEPTH"
#endif
#define TILE_FLOATS (P_TILE_DEPTH * (ROWS_STRIDE + COLS_STRIDE))
#if 4 * (P_TILE_COLS / (4 * P_WG_COLS)) * P_WG_ROWS * P_WG_COLS > P_TILE_DEPTH * (P_TILE_ROWS + P_TILE_COLS)
#error "a row of results of every work-item does not fit the tiles"
#endif

/* The columns of a projection are taken in an order that puts the two channels of a rotating pair side by side: place
 * 2p and 2p + 1 of a head are pair p. A head has an even number of places; -1 is the empty one of an odd head. */
static int channel_of(const ca_projection_args *args, int place)
{
  const int places = args->d + (args->d & 1);
  const int h = place / places, at = place - h * places;
  if (h >= args->h || at >= args->d) return -1;
  int d = at;
  if (args->has_rotary && at < args->rotary_dim)
    d = at & 1 ? ca_rotary_second(args, at / 2) : ca_rotary_first(args, at / 2);
  return h * args->d + d;
}

/* Bias, rotation and store of two neighbouring places of one row. */
PART void finish_pair(const ca_projection_args *args, __global const uchar *bias, __global const uchar *cosine,
                        __global const uchar *sine, __global const long *position, __global uchar *y, long row,
                        int place, float2 pair)
{
  const int s = ca_take_index(&row, args->s), b = (int)row;
  const int first = channel_of(args, place), second = channel_of(args, place + 1);
  if (first < 0) return;
  pair.x += ca_bias(args, bias, first);
  if (second >= 0) pair.y += ca_bias(args, bias, second);
  const int h = first / args->d, at = place - h * (args->d + (args->d & 1));
  if (args->has_rotary && at < args->rotary_dim)
    pair = ca_rotate(pair, ca_rotary_turn(args, cosine, sine, ca_rotary_row(args, position, b, s), at / 2));
  ca_store(y, ca_projection_target(args, b, s, h, first - h * args->d), args->y_type, pair.x);
  if (second >= 0)
    ca_store(y, ca_projection_target(args, b, s, h, second - h * args->d), args->y_type, pair.y);
}

KERNEL void tiled_projection(const ca_projection_args args, __global const uchar *x, __global const uchar *w,
                             __global const uchar *bias, __global const uchar *cosine, __global const uchar *sine,
                             __global const long *position, __global uchar *y)
{
  __local float tiles_of_both[TILE_FLOATS] LOCAL_VECTORS;
  __local float *const x_tile = tiles_of_both, *const w_tile = tiles_of_both + P_TILE_DEPTH * ROWS_STRIDE;
  __local float *const own = tiles_of_both + 4 * ITEM_VECS * (int)get_local_id(0);
  __local long x_rows[P_TILE_ROWS], w_rows[P_TILE_COLS];
  const int lane = (int)get_local_id(0);
  const long rows = (long)args.b * args.s;
  const int places = args.h * (args.d + (args.d & 1));
  const long tiles_across = (places + P_TILE_COLS - 1) / P_TILE_COLS;
  const long tiles = (rows + P_TILE_ROWS - 1) / P_TILE_ROWS * tiles_across;
  for (long tile = (long)get_group_id(0); tile < tiles; tile += (long)get_num_groups(0)) {
    long rest = tile;
    const int col0 = ca_take_index(&rest, tiles_across) * P_TILE_COLS;
    const long row0 = rest * P_TILE_ROWS;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int r = lane; r < P_TILE_ROWS; r += GROUP_SIZE) {
      long b = row0 + r;
      const int s = ca_take_index(&b, args.s);
      x_rows[r] = b < args.b ? args.x.offset + b * args.x.stride[0] + s * args.x.stride[1] : NO_ROW;
    }
    for (int c = lane; c < P_TILE_COLS; c += GROUP_SIZE) {
      const int n = channel_of(&args, col0 + c);
      w_rows[c] = n >= 0 ? args.w.offset + n * args.w.stride[0] : NO_ROW;
    }
    float4 sum[ITEM_VECS][ITEM_ROWS];
    clear_sums(sum);
    for (int k0 = 0; k0 < args.e; k0 += P_TILE_DEPTH) {
      barrier(CLK_LOCAL_MEM_FENCE);
      stage_rows(lane, x_tile, ROWS_STRIDE, x_rows, P_TILE_ROWS, x, args.x.stride[2], x, 0, args.x_type, k0, args.e);
      stage_rows(lane, w_tile, COLS_STRIDE, w_rows, P_TILE_COLS, w, args.w.stride[1], w, 0, args.w_type, k0, args.e);
      barrier(CLK_LOCAL_MEM_FENCE);
#pragma unroll
      for (int v = 0; v < ITEM_VECS; v++)
        multiply_tiles(sum[v], x_tile + item_row(), w_tile + item_col(v), COLS_STRIDE, P_TILE_DEPTH, 0);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
#pragma unroll 1
    for (int i = 0; i < ITEM_ROWS; i++) {
      const long row = row0 + item_row() + i;
      expose_row(own, sum, i);
#pragma unroll 1
      for (int c = 0; c < 4 * ITEM_VECS && row < rows; c += 2)
        finish_pair(&args, bias, cosine, sine, position, y, row, col0 + item_col(c / 4) + c % 4,
                    (float2)(own[c], own[c + 1]));
    }
  }
}

/* Masks and stores one score. */
PART void finish_score(const ca_attention_args *args, __global const uchar *mask, __global uchar *qk,
                         __global float *a, int b, int h, int i, int j, int2 keys, float dot)
{
  const float scaled = ca_score_scaled(args, dot), capped = ca_score_capped(args, scaled);
  const float masked = ca_score_masked(args, mask, ca_mask_row(args, b, h, i), keys, j, capped);
  if (args->want_a)
    a[args->a.offset + b * args->a.stride[0] + h * args->a.stride[1] + i * args->a.stride[2] + j * args->a.stride[3]] =
        masked;
  if (args->qk_mode >= CA_QK_SCALED && args->qk_mode <= CA_QK_MASKED)
    ca_store(qk,
             args->qk.offset + b * args->qk.stride[0] + h * args->qk.stride[1] + i * args->qk.stride[2] +
                 j * args->qk.stride[3],
             args->qk_type,
             args->qk_mode == CA_QK_SCALED   ? scaled
             : args->qk_mode == CA_QK_CAPPED ? capped
                                             : masked);
}

KERNEL void tiled_scores(const ca_attention_args args, __global const uchar *q, __global const uchar *k,
                         __global const uchar *past_k, __global const uchar *mask, __global const long *nonpad,
                         __global uchar *qk, __global float *a)
{
  __local float tiles_of_both[TILE_FLOATS] LOCAL_VECTORS;
  __local float *const q_tile = tiles_of_both, *const k_tile = tiles_of_both + P_TILE_DEPTH * ROWS_STRIDE;
  __local float *const own = tiles_of_both + 4 * ITEM_VECS * (int)get_local_id(0);
  __local long q_rows[P_TILE_ROWS], k_rows[P_TILE_COLS];
  const int lane = (int)get_local_id(0);
  const long tiles_across = ((long)args.sk + P_TILE_COLS - 1) / P_TILE_COLS;
  const long tiles_down = ((long)args.sq + P_TILE_ROWS - 1) / P_TILE_ROWS;
  const long tiles = (long)args.b * args.hq * tiles_down * tiles_across;
  for (long tile = (long)get_group_id(0); tile < tiles; tile += (long)get_num_groups(0)) {
    long rest = tile;
    const int j0 = ca_take_index(&rest, tiles_across) * P_TILE_COLS;
    const int i0 = ca_take_index(&rest, tiles_down) * P_TILE_ROWS;
    const int h = ca_take_index(&rest, args.hq), b = (int)rest;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int r = lane; r < P_TILE_ROWS; r += GROUP_SIZE)
      q_rows[r] = i0 + r < args.sq ? args.q.offset + b * args.q.stride[0] + h * args.q.stride[1] +
                                         (i0 + r) * args.q.stride[2]
                                   : NO_ROW;
    for (int c = lane; c < P_TILE_COLS; c += GROUP_SIZE)
      k_rows[c] = j0 + c < args.sk ? key_row(&args.k, &args.past_k, args.past, b, h / args.group, j0 + c) : NO_ROW;
    float4 sum[ITEM_VECS][ITEM_ROWS];
    clear_sums(sum);
    /* Both ends of a row's keys grow with i: the tile holds a key that some row attends only within these two. Nothing
     * else needs a product, unless the unmasked scores are asked for. */
    const int valid = ca_valid_keys(&args, nonpad, b);
    const bool any = j0 < ca_row_keys(&args, valid, min(i0 + P_TILE_ROWS, args.sq) - 1).y &&
                     j0 + P_TILE_COLS > ca_row_keys(&args, valid, i0).x;
    const bool raw = args.qk_mode == CA_QK_SCALED || args.qk_mode == CA_QK_CAPPED;
    const int depth = any || raw ? args.dk : 0;
    for (int k0 = 0; k0 < depth; k0 += P_TILE_DEPTH) {
      barrier(CLK_LOCAL_MEM_FENCE);
      stage_rows(lane, q_tile, ROWS_STRIDE, q_rows, P_TILE_ROWS, q, args.q.stride[3], q, 0, args.q_type, k0, args.dk);
      stage_rows(lane, k_tile, COLS_STRIDE, k_rows, P_TILE_COLS, k, args.k.stride[3], past_k, args.past_k.stride[3],
                 args.k_type, k0, args.dk);
      barrier(CLK_LOCAL_MEM_FENCE);
#pragma unroll
      for (int v = 0; v < ITEM_VECS; v++)
        multiply_tiles(sum[v], q_tile + item_row(), k_tile + item_col(v), COLS_STRIDE, P_TILE_DEPTH, 0);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
#pragma unroll 1
    for (int i = 0; i < ITEM_ROWS; i++) {
      const int row = i0 + item_row() + i;
      const int2 keys = ca_row_keys(&args, valid, row);
      expose_row(own, sum, i);
#pragma unroll 1
      for (int c = 0; c < 4 * ITEM_VECS && row < args.sq; c++) {
        const int j = j0 + item_col(c / 4) + c % 4;
        if (j < args.sk) finish_score(&args, mask, qk, a, b, h, row, j, keys, own[c]);
      }
    }
  }
}

/* The largest of a group's values (a NaN wins), or their sum, for every work-item: a few work-items take the group's,
 * then one takes theirs. scratch is free again after the next barrier, which is the first thing either does. */
static inline float group_max(float x, __local float *scratch)
{
  const int lane = (int)get_local_id(0);
  barrier(CLK_LOCAL_MEM_FENCE);
  scratch[lane] = x;
  barrier(CLK_LOCAL_MEM_FENCE);
  for (int n = lane + REDUCERS; lane < REDUCERS && n < GROUP_SIZE; n += REDUCERS) x = ca_max_keep_nan(x, scratch[n]);
  if (lane < REDUCERS) scratch[lane] = x;
  barrier(CLK_LOCAL_MEM_FENCE);
  for (int n = 1; lane == 0 && n < REDUCERS; n++) scratch[0] = ca_max_keep_nan(scratch[0], scratch[n]);
  barrier(CLK_LOCAL_MEM_FENCE);
  return scratch[0];
}

static inline float group_sum(float x, __local float *scratch)
{
  const int lane = (int)get_local_id(0);
  barrier(CLK_LOCAL_MEM_FENCE);
  scratch[lane] = x;
  barrier(CLK_LOCAL_MEM_FENCE);
  for (int n = lane + REDUCERS; lane < REDUCERS && n < GROUP_SIZE; n += REDUCERS) x += scratch[n];
  if (lane < REDUCERS) scratch[lane] = x;
  barrier(CLK_LOCAL_MEM_FENCE);
  for (int n = 1; lane == 0 && n < REDUCERS; n++) scratch[0] += scratch[n];
  barrier(CLK_LOCAL_MEM_FENCE);
  return scratch[0];
}

/* a and p may be the same view: each work-item writes only what it alone has read. */
KERNEL void tiled_softmax(const ca_attention_args args, __global const float *a, __global float *p,
                          __global float *lse, __global uchar *qk)
{
  __local float scratch[GROUP_SIZE];
  const int lane = (int)get_local_id(0);
  const long rows = (long)args.b * args.hq * args.sq;
  for (long row = (long)get_group_id(0); row < rows; row += (long)get_num_groups(0)) {
    long rest = row;
    const int i = ca_take_index(&rest, args.sq), h = ca_take_index(&rest, args.hq), b = (int)rest;
    const long a_row = args.a.offset + b * args.a.stride[0] + h * args.a.stride[1] + i * args.a.stride[2];
    const long p_row = args.p.offset + b * args.p.stride[0] + h * args.p.stride[1] + i * args.p.stride[2];
    const long qk_row = args.qk.offset + b * args.qk.stride[0] + h * args.qk.stride[1] + i * args.qk.stride[2];
    float largest = -INFINITY;
    for (int j = lane; j < args.sk; j += GROUP_SIZE)
      largest = ca_max_keep_nan(largest, a[a_row + j * args.a.stride[3]]);
    const float m = group_max(largest, scratch);
    float part = 0.0f;
    for (int j = lane; j < args.sk; j += GROUP_SIZE) part += ca_weight(a[a_row + j * args.a.stride[3]], m);
    const float sum = group_sum(part, scratch);
    for (int j = lane; j < args.sk; j += GROUP_SIZE) {
      const float s = a[a_row + j * args.a.stride[3]];
      const float weight = s == -INFINITY ? CA_NOT_ATTENDED : ca_weight(s, m) / sum;
      if (args.want_p) p[p_row + j * args.p.stride[3]] = weight;
      if (args.qk_mode == CA_QK_PROBABILITIES)
        ca_store(qk, qk_row + j * args.qk.stride[3], args.qk_type, s == -INFINITY ? 0.0f : weight);
    }
    if (args.want_lse && lane == 0)
      lse[args.lse.offset + b * args.lse.stride[0] + h * args.lse.stride[1] + i * args.lse.stride[2]] =
          m == -INFINITY ? -INFINITY : m + log(sum);
  }
}

/* v_tile[k][c] = channel d0 + c of value j0 + k; zero beyond the ends. Not zero where this work-item met a value that
 * is not finite. Always inlined: as a function it makes PoCL 3.1's compiler crash. */
static inline int stage_values(int lane, __local float *v_tile, const ca_attention_args *args, __global const uchar *v,
                         __global const uchar *past_v, int b, int hk, int j0, int end, int d0)
{
  int wild = 0;
  for (uint e = (uint)lane; e < P_TILE_DEPTH * P_TILE_COLS; e += GROUP_SIZE) {
    const int c = (int)(e % P_TILE_COLS), k = (int)(e / P_TILE_COLS);
    float x = 0.0f;
    if (j0 + k < end && d0 + c < args->dv) {
      const long at = key_row(&args->v, &args->past_v, args->past, b, hk, j0 + k);
      x = at >= 0 ? ca_load(v, at + (d0 + c) * args->v.stride[3], args->v_type)
                  : ca_load(past_v, ~at + (d0 + c) * args->past_v.stride[3], args->v_type);
    }
    wild = wild || !isfinite(x);
    v_tile[k * COLS_STRIDE + c] = x;
  }
  return wild;
}

/* total += sum, sum = 0: thousands of blocks are not added up one by one, or their roundings would tell. */
static inline void move_sums(float4 total[ITEM_VECS][ITEM_ROWS], float4 sum[ITEM_VECS][ITEM_ROWS])
{
#pragma unroll
  for (int v = 0; v < ITEM_VECS; v++)
#pragma unroll
    for (int i = 0; i < ITEM_ROWS; i++) total[v][i] += sum[v][i];
  clear_sums(sum);
}

KERNEL void tiled_values(const ca_attention_args args, __global const uchar *p, __global const uchar *v,
                         __global const uchar *past_v, __global const long *nonpad, __global uchar *y)
{
  __local float tiles_of_both[TILE_FLOATS] LOCAL_VECTORS;
  __local float *const p_tile = tiles_of_both, *const v_tile = tiles_of_both + P_TILE_DEPTH * ROWS_STRIDE;
  __local float *const own = tiles_of_both + 4 * ITEM_VECS * (int)get_local_id(0);
  __local long p_rows[P_TILE_ROWS];
  __local int wild_at; /* first key of the newest block that holds a value which is not finite */
  const int lane = (int)get_local_id(0);
  const long tiles_across = (args.dv + P_TILE_COLS - 1) / P_TILE_COLS;
  const long tiles_down = ((long)args.sq + P_TILE_ROWS - 1) / P_TILE_ROWS;
  const long tiles = (long)args.b * args.hq * tiles_down * tiles_across;
  for (long tile = (long)get_group_id(0); tile < tiles; tile += (long)get_num_groups(0)) {
    long rest = tile;
    const int d0 = ca_take_index(&rest, tiles_across) * P_TILE_COLS;
    const int i0 = ca_take_index(&rest, tiles_down) * P_TILE_ROWS;
    const int h = ca_take_index(&rest, args.hq), b = (int)rest;
    barrier(CLK_LOCAL_MEM_FENCE);
    if (lane == 0) wild_at = -1;
    for (int r = lane; r < P_TILE_ROWS; r += GROUP_SIZE)
      p_rows[r] = i0 + r < args.sq ? args.p.offset + b * args.p.stride[0] + h * args.p.stride[1] +
                                         (i0 + r) * args.p.stride[2]
                                   : NO_ROW;
    float4 sum[ITEM_VECS][ITEM_ROWS], total[ITEM_VECS][ITEM_ROWS];
    clear_sums(sum);
    clear_sums(total);
    const int valid = ca_valid_keys(&args, nonpad, b);
    for (int from = 0; from < valid; from += SUM_KEYS) {
      for (int j0 = from; j0 < min(from + SUM_KEYS, valid); j0 += P_TILE_DEPTH) {
        barrier(CLK_LOCAL_MEM_FENCE);
        stage_rows(lane, p_tile, ROWS_STRIDE, p_rows, P_TILE_ROWS, p, args.p.stride[3],
                   p, 0, CA_F32, j0, valid);
        if (stage_values(lane, v_tile, &args, v, past_v, b, h / args.group, j0, valid, d0)) wild_at = j0;
        barrier(CLK_LOCAL_MEM_FENCE);
        const int careful = wild_at == j0;
#pragma unroll
        for (int n = 0; n < ITEM_VECS; n++)
          multiply_tiles(sum[n], p_tile + item_row(), v_tile + item_col(n), COLS_STRIDE, P_TILE_DEPTH, careful);
      }
      move_sums(total, sum);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
#pragma unroll 1
    for (int i = 0; i < ITEM_ROWS; i++) {
      const int row = i0 + item_row() + i;
      const long y_row = args.y.offset + b * args.y.stride[0] + h * args.y.stride[1] + row * args.y.stride[2];
      expose_row(own, total, i);
#pragma unroll 1
      for (int c = 0; c < 4 * ITEM_VECS && row < args.sq; c++) {
        const int d = d0 + item_col(c / 4) + c % 4;
        if (d < args.dv) ca_store(y, y_row + d * args.y.stride[3], args.y_type, own[c]);
      }
    }
  }
}
