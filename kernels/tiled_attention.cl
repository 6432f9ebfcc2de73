/* Family tiled, fused: y = softmax(mask(softcap(scale q k^T))) v in one kernel, the scores never leave the chip.
 *
 * A work-group owns P_TILE_ROWS query rows of one head and walks their keys P_TILE_COLS at a time:
 *   1. scores of the block, in registers, from tiles of q and k (P_TILE_DEPTH channels at a time);
 *   2. the rows' running maximum m; the weights exp(s - m) go to local memory, marked where a key is not attended;
 *   3. y = y * exp(m_old - m) + weights * v, the sums in registers, v from local memory P_VALUE_DEPTH keys at a time.
 * At the end y is divided by the sum of the weights; lse = m + log(sum). Blocks that no row attends are not visited.
 * A block of v with an element that is not finite is multiplied with care: a marked weight takes no part in it.
 *   P_TILE_ROWS, P_TILE_COLS   query rows and keys of a block; P_TILE_COLS = 4 * P_WG_COLS
 *   P_TILE_DEPTH               channels of q and k in local memory
 *   P_VALUE_DEPTH              keys of v in local memory; divides P_TILE_COLS
 *   P_DV                       channels of v, rounded up to a multiple of 4 * P_WG_COLS
 *   P_WG_ROWS, P_WG_COLS       work-items of a group
 *   P_Q_TYPE, P_K_TYPE, P_V_TYPE, P_Y_TYPE   storage types (the past's as k's and v's)
 * Local memory: 4 * (max(DEPTH * (ROWS + COLS + 8), VALUE_DEPTH * (DV + 4)) + COLS * (ROWS + 4)
 *                    + ROWS * (WG_COLS + 3)) + 8 * (ROWS + COLS) + 4 bytes.
 * Registers: ROWS / WG_ROWS * (DV / WG_COLS + 4) floats.
 * Barriers: in control flow that is the same for a whole group.
 * Source: Milakov and Gimelshein 2018 (online softmax), Dao et al. 2022 (fused); rules of ONNX Attention, opset 25. */
#include "ca_shared.h"
#include "lib/index.clh"
#include "lib/mask.clh"
#include "lib/tile.clh"
#include "lib/tile_io.clh"

#ifndef P_DV
#error "P_DV is missing"
#endif
#ifndef P_VALUE_DEPTH
#error "P_VALUE_DEPTH is missing"
#endif
#if !defined(P_Q_TYPE) || !defined(P_K_TYPE) || !defined(P_V_TYPE) || !defined(P_Y_TYPE)
#error "a storage type is missing"
#endif
#if P_TILE_COLS != 4 * P_WG_COLS || P_DV % P_TILE_COLS != 0 || P_WG_ROWS % 4 != 0
#error "a work-item makes four scores of a row, and a row of the group loads whole rows of v"
#endif

#if P_TILE_ROWS > GROUP_SIZE
#error "a work-item adds up one row"
#endif

#define VALUE_VECS (P_DV / (4 * P_WG_COLS))
#define VALUE_STRIDE (P_DV + PADDING)
#define SCORE_FLOATS (P_TILE_DEPTH * (ROWS_STRIDE + COLS_STRIDE))
#define VALUE_FLOATS (P_VALUE_DEPTH * VALUE_STRIDE)
#define STAGE_FLOATS (SCORE_FLOATS > VALUE_FLOATS ? SCORE_FLOATS : VALUE_FLOATS)

/* v_tile[n][c] = channel c of value j0 + n, zero beyond the ends. Not zero where this work-item met a value that is
 * not finite. Always inlined: as a function it makes PoCL 3.1's compiler crash. */
static inline int stage_values(int lane, __local float *v_tile, const ca_attention_args *args, __global const uchar *v,
                         __global const uchar *past_v, int b, int hk, int j0, int end)
{
  int wild = 0;
  for (int n = lane / P_TILE_COLS; n < P_VALUE_DEPTH; n += GROUP_SIZE / P_TILE_COLS) {
    const long at = j0 + n < end ? key_row(&args->v, &args->past_v, args->past, b, hk, j0 + n) : NO_ROW;
    for (int c = (int)((uint)lane % P_TILE_COLS); c < P_DV; c += P_TILE_COLS) {
      float x = 0.0f;
      if (at != NO_ROW && c < args->dv)
        x = at >= 0 ? ca_load(v, at + c * args->v.stride[3], P_V_TYPE)
                    : ca_load(past_v, ~at + c * args->past_v.stride[3], P_V_TYPE);
      wild = wild || !isfinite(x);
      v_tile[n * VALUE_STRIDE + c] = x;
    }
  }
  return wild;
}

KERNEL void tiled_attention(const ca_attention_args args, __global const uchar *q, __global const uchar *k,
                            __global const uchar *v, __global const uchar *past_k, __global const uchar *past_v,
                            __global const uchar *mask, __global const long *nonpad, __global uchar *y,
                            __global float *lse)
{
  __local float stage[STAGE_FLOATS] LOCAL_VECTORS, weights[P_TILE_COLS * ROWS_STRIDE] LOCAL_VECTORS;
  __local float across[P_TILE_ROWS * P_WG_COLS]; /* a number of each work-item for each of its rows */
  __local float row_max[P_TILE_ROWS], row_shrink[P_TILE_ROWS], row_sum[P_TILE_ROWS];
  __local long q_rows[P_TILE_ROWS], k_rows[P_TILE_COLS];
  __local int wild_at; /* first key of the newest block of v that holds a value which is not finite */
  __local float *const q_tile = stage, *const k_tile = stage + P_TILE_DEPTH * ROWS_STRIDE, *const v_tile = stage;
  const int lane = (int)get_local_id(0), tx = lane % P_WG_COLS;
  __local float *const own = weights + item_col(0) * ROWS_STRIDE + item_row(); /* of the block: own[c][i] */
  const long tiles_down = ((long)args.sq + P_TILE_ROWS - 1) / P_TILE_ROWS;
  const long tiles = (long)args.b * args.hq * tiles_down;
  for (long tile = (long)get_group_id(0); tile < tiles; tile += (long)get_num_groups(0)) {
    long rest = tile;
    const int i0 = ca_take_index(&rest, tiles_down) * P_TILE_ROWS;
    const int h = ca_take_index(&rest, args.hq), b = (int)rest;
    const int valid = ca_valid_keys(&args, nonpad, b);
    barrier(CLK_LOCAL_MEM_FENCE);
    if (lane == 0) wild_at = -1;
    for (int r = lane; r < P_TILE_ROWS; r += GROUP_SIZE)
      q_rows[r] = i0 + r < args.sq ? args.q.offset + b * args.q.stride[0] + h * args.q.stride[1] +
                                         (i0 + r) * args.q.stride[2]
                                   : NO_ROW;
    for (int r = lane; r < P_TILE_ROWS; r += GROUP_SIZE) {
      row_max[r] = -INFINITY;
      row_sum[r] = 0.0f;
    }
    float lost = 0.0f; /* by rounding, from the sum of the one row that this work-item adds up */
    float4 sum[VALUE_VECS][ITEM_ROWS];
#pragma unroll
    for (int n = 0; n < VALUE_VECS; n++)
#pragma unroll
      for (int i = 0; i < ITEM_ROWS; i++) sum[n][i] = (float4)(0.0f);
    /* Both ends of a row's keys grow with i. */
    const int begin = ca_row_keys(&args, valid, i0).x;
    const int end = ca_row_keys(&args, valid, min(i0 + P_TILE_ROWS, args.sq) - 1).y;
    for (int j0 = begin; j0 < end; j0 += P_TILE_COLS) {
      barrier(CLK_LOCAL_MEM_FENCE);
      for (int c = lane; c < P_TILE_COLS; c += GROUP_SIZE)
        k_rows[c] = j0 + c < end ? key_row(&args.k, &args.past_k, args.past, b, h / args.group, j0 + c) : NO_ROW;
      float4 score[ITEM_ROWS];
#pragma unroll
      for (int i = 0; i < ITEM_ROWS; i++) score[i] = (float4)(0.0f);
      for (int d0 = 0; d0 < args.dk; d0 += P_TILE_DEPTH) {
        barrier(CLK_LOCAL_MEM_FENCE);
        stage_rows(lane, q_tile, ROWS_STRIDE, q_rows, P_TILE_ROWS, q, args.q.stride[3], q, 0, P_Q_TYPE, d0, args.dk);
        stage_rows(lane, k_tile, COLS_STRIDE, k_rows, P_TILE_COLS, k, args.k.stride[3], past_k, args.past_k.stride[3],
                   P_K_TYPE, d0, args.dk);
        barrier(CLK_LOCAL_MEM_FENCE);
        multiply_tiles(score, q_tile + item_row(), k_tile + item_col(0), COLS_STRIDE, P_TILE_DEPTH, 0);
      }
#pragma unroll
      for (int i = 0; i < ITEM_ROWS; i++) {
        own[i] = score[i].x;
        own[ROWS_STRIDE + i] = score[i].y;
        own[2 * ROWS_STRIDE + i] = score[i].z;
        own[3 * ROWS_STRIDE + i] = score[i].w;
      }
#pragma unroll 1
      for (int i = 0; i < ITEM_ROWS; i++) {
        const int row = i0 + item_row() + i;
        const int2 keys = row < args.sq ? ca_row_keys(&args, valid, row) : (int2)(0);
        const long mask_row = ca_mask_row(&args, b, h, row);
        float largest = -INFINITY;
#pragma unroll 1
        for (int c = 0; c < 4; c++) {
          const float capped = ca_score_capped(&args, ca_score_scaled(&args, own[c * ROWS_STRIDE + i]));
          const float s = ca_score_masked(&args, mask, mask_row, keys, j0 + item_col(0) + c, capped);
          own[c * ROWS_STRIDE + i] = s;
          largest = ca_max_keep_nan(largest, s);
        }
        across[(item_row() + i) * P_WG_COLS + tx] = largest;
      }
      barrier(CLK_LOCAL_MEM_FENCE);
      for (int r = lane; r < P_TILE_ROWS; r += GROUP_SIZE) {
        const float before = row_max[r];
        float largest = before;
        for (int x = 0; x < P_WG_COLS; x++) largest = ca_max_keep_nan(largest, across[r * P_WG_COLS + x]);
        row_shrink[r] = before == largest ? 1.0f : exp(before - largest); /* -inf - -inf is not a number */
        row_max[r] = largest;
      }
      barrier(CLK_LOCAL_MEM_FENCE);
#pragma unroll 1
      for (int i = 0; i < ITEM_ROWS; i++) {
        const float m = row_max[item_row() + i];
        float part = 0.0f;
#pragma unroll 1
        for (int c = 0; c < 4; c++) {
          const float weight = ca_weight(own[c * ROWS_STRIDE + i], m);
          own[c * ROWS_STRIDE + i] = weight;
          part += weight;
        }
        across[(item_row() + i) * P_WG_COLS + tx] = part;
      }
#pragma unroll
      for (int i = 0; i < ITEM_ROWS; i++) {
        const float shrink = row_shrink[item_row() + i];
#pragma unroll
        for (int n = 0; n < VALUE_VECS; n++) sum[n][i] *= shrink;
      }
      barrier(CLK_LOCAL_MEM_FENCE);
      for (int r = lane; r < P_TILE_ROWS; r += GROUP_SIZE) {
        float part = 0.0f;
        for (int x = 0; x < P_WG_COLS; x++) part += across[r * P_WG_COLS + x];
        const float before = row_sum[r] * row_shrink[r];
        part -= lost * row_shrink[r];
        row_sum[r] = before + part;
        lost = (row_sum[r] - before) - part;
      }
      for (int n0 = 0; n0 < P_TILE_COLS && j0 + n0 < end; n0 += P_VALUE_DEPTH) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (stage_values(lane, v_tile, &args, v, past_v, b, h / args.group, j0 + n0, end)) wild_at = j0 + n0;
        barrier(CLK_LOCAL_MEM_FENCE);
        const int careful = wild_at == j0 + n0;
#pragma unroll
        for (int n = 0; n < VALUE_VECS; n++)
          multiply_tiles(sum[n], weights + n0 * ROWS_STRIDE + item_row(), v_tile + item_col(n), VALUE_STRIDE,
                         P_VALUE_DEPTH, careful);
      }
    }
    /* The results leave through the place of the weights: what a work-item stores, it alone has put there. */
    barrier(CLK_LOCAL_MEM_FENCE);
#pragma unroll
    for (int n = 0; n < VALUE_VECS; n++) {
#pragma unroll
      for (int i = 0; i < ITEM_ROWS; i++) {
        own[i] = sum[n][i].x;
        own[ROWS_STRIDE + i] = sum[n][i].y;
        own[2 * ROWS_STRIDE + i] = sum[n][i].z;
        own[3 * ROWS_STRIDE + i] = sum[n][i].w;
      }
#pragma unroll 1
      for (int e = 0; e < 4 * ITEM_ROWS; e++) {
        const int i = e / 4, c = e % 4, r = item_row() + i, d = item_col(n) + c;
        if (i0 + r < args.sq && d < args.dv)
          ca_store(y,
                   args.y.offset + b * args.y.stride[0] + h * args.y.stride[1] + (i0 + r) * args.y.stride[2] +
                       d * args.y.stride[3],
                   P_Y_TYPE, row_max[r] == -INFINITY ? 0.0f : own[c * ROWS_STRIDE + i] / row_sum[r]);
      }
    }
    for (int r = lane; args.want_lse && r < min(P_TILE_ROWS, args.sq - i0); r += GROUP_SIZE)
      lse[args.lse.offset + b * args.lse.stride[0] + h * args.lse.stride[1] + (i0 + r) * args.lse.stride[2]] =
          row_max[r] == -INFINITY ? -INFINITY : row_max[r] + log(row_sum[r]);
  }
}
