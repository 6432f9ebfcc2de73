/* Family vector: the stages scores, softmax and values for CPU devices. A work-item owns a tile; lanes run along a row
 * of the results: keys in scores and softmax, channels in values. So rows are read and written as they lie.
 *
 *   S[i][j] = sum_d Q[i][d] K^T[d][j]    Y[i][d] += sum_j P[i][j] V[j][d]
 *
 * Both are a product of rows, whose elements are broadcast, with a panel of vectors: K is transposed, a panel once for
 * many rows; Q, P and V are read where they lie if they are float32 rows, else copied as such. A panel is whole
 * register tiles of P_VECTORS vectors, and at its end one of half as many, or of one, with twice the rows.
 *
 * In scores a sum is taken in two halves, which halves its rounding. In values sums are taken over blocks of keys, then
 * over groups of blocks. Weights that are marked as not attended are multiplied like others, by zero, which is wrong
 * for an infinite value: a tile whose y is not finite throughout is done again with multiply_carefully, which leaves
 * them out. Keys outside the interval of every row of a register tile cost neither product nor exponential.
 *
 * P_LANES    floats in a vector
 * P_ROWS     rows of a register tile
 * P_VECTORS  its vectors, 2 or 4; P_ROWS * P_VECTORS + P_VECTORS + 1 registers
 * Private memory: at most 4 CA_MAX_HEAD (2 TILE_ROWS + BLOCK_KEYS + MOST_ROWS) bytes and a little. Work-groups of one;
 * no barriers. Tiles are taken in turn: any grid is right; no arguments mean no tiles. */
#include "ca_shared.h"
#include "lib/index.clh"
#include "lib/mask.clh"
#include "lib/tile_io.clh"
#include "lib/vector.clh"

#if !defined(P_ROWS) || !defined(P_VECTORS)
#error "P_ROWS or P_VECTORS is missing"
#endif

#define PANEL (P_LANES * P_VECTORS) /* columns of a panel */
#define MOST_ROWS (2 * P_ROWS)      /* of a register tile of fewer vectors */
#define SCORE_ROWS 256              /* queries that share a transposed panel of keys */
#define TILE_ROWS (16 * P_ROWS)     /* queries that share a block of values */
#define BLOCK_KEYS 64               /* keys of a block of values, summed one after another */
#define GROUP_KEYS (16 * BLOCK_KEYS)
#define SOFTMAX_ROWS 8
#define SUM_VECTORS 32 /* of weights, summed one after another */

#define ALIGNED __attribute__((aligned(64)))
#define KERNEL __kernel __attribute__((reqd_work_group_size(1, 1, 1))) CA_WHOLE_VECTORS

/* Queries first, first + 1, ... of a head. */
typedef struct tile_place {
  int b, h;
  int first, rows;
  int valid; /* keys of the batch item */
} tile_place;

/* Vectors of the next register tile, where `columns` are left, and its rows. */
static int vectors_for(int columns)
{
  const int vectors = (columns + P_LANES - 1) / P_LANES;
  return vectors >= P_VECTORS ? P_VECTORS : vectors >= P_VECTORS / 2 ? P_VECTORS / 2 : 1;
}

static int height_of(int vectors) { return vectors == P_VECTORS ? P_ROWS : MOST_ROWS; }

static int round_up(int n) { return (n + P_LANES - 1) / P_LANES * P_LANES; }

static long row_at(const ca_tensor_arg *t, int b, int h, int i)
{
  return t->offset + b * t->stride[0] + h * t->stride[1] + i * t->stride[2];
}

/* The keys that a query of [i, i + n) of the tile may attend. */
static int2 tile_keys(const ca_attention_args *args, const tile_place *place, int i, int n)
{
  return (int2)(ca_row_keys(args, place->valid, place->first + i).x,
                ca_row_keys(args, place->valid, place->first + i + n - 1).y);
}

/* Up to P_LANES neighbours; lanes past the n-th hold `rest`. */
CA_WITHIN vec piece_load(__global const uchar *from, long at, long stride, int type, int n, float rest)
{
  if (stride == 1 && n >= P_LANES) return vec_load_typed(from, at, type);
  float piece[P_LANES] ALIGNED;
  for (int i = 0; i < P_LANES; i++) piece[i] = i < n ? ca_load(from, at + i * stride, type) : rest;
  return vec_load(piece);
}

CA_WITHIN void piece_store(__global uchar *to, long at, long stride, int type, vec x, int n)
{
  if (stride == 1 && n >= P_LANES) {
    vec_store_typed(to, at, type, x);
    return;
  }
  float piece[P_LANES] ALIGNED;
  vec_store(piece, x);
  for (int i = 0; i < min(n, P_LANES); i++) ca_store(to, at + i * stride, type, piece[i]);
}

CA_WITHIN ivec lane_numbers(void)
{
  int lane[P_LANES] ALIGNED;
  for (int i = 0; i < P_LANES; i++) lane[i] = i;
  return *(const ivec *)lane;
}

/* Rows of n elements: in place, or a copy of `count` of them, the last one repeated up to `height`. */
CA_WITHIN rows take_rows(__global const uchar *from, long at, long row_stride, long stride, int type, int count,
                         int height, int n, float *restrict room)
{
  if (type == CA_F32 && stride == 1 && count == height) return rows_in_place(from, at, row_stride);
  const int width = round_up(n);
  rows_load(room, width, from, at, row_stride, stride, type, count, n);
  for (int i = count; i < height; i++)
    for (int d = 0; d < n; d++) room[i * width + d] = room[(count - 1) * width + d];
  return (rows){room, width};
}

/* sums[height][vectors] (+)= a b, over `depth` elements of the rows of a and as many rows of b. */
#define MULTIPLY(name, height, vectors)                                                                                \
  CA_APART void name(rows a, rows b, int depth, bool add, float *restrict sums)                                        \
  {                                                                                                                    \
    vec sum[height][vectors];                                                                                          \
    CA_UNROLL for (int i = 0; i < height; i++) CA_UNROLL for (int v = 0; v < vectors; v++) sum[i][v] = (vec)(0.0f);    \
    for (int k = 0; k < depth; k++, b.at += b.stride) {                                                                \
      vec x[vectors];                                                                                                  \
      CA_UNROLL for (int v = 0; v < vectors; v++) x[v] = *(const vec_anywhere *)(b.at + v * P_LANES);                  \
      CA_UNROLL for (int i = 0; i < height; i++)                                                                       \
      {                                                                                                                \
        const vec factor = (vec)(a.at[i * a.stride + k]);                                                              \
        CA_UNROLL for (int v = 0; v < vectors; v++) sum[i][v] = fma(factor, x[v], sum[i][v]);                          \
      }                                                                                                                \
    }                                                                                                                  \
    CA_UNROLL for (int i = 0; i < height; i++) CA_UNROLL for (int v = 0; v < vectors; v++)                             \
    {                                                                                                                  \
      float *to = sums + (i * vectors + v) * P_LANES;                                                                  \
      vec_store(to, add ? vec_load(to) + sum[i][v] : sum[i][v]);                                                       \
    }                                                                                                                  \
  }
MULTIPLY(multiply_full, P_ROWS, P_VECTORS)
#if P_VECTORS > 2
MULTIPLY(multiply_half, MOST_ROWS, (P_VECTORS / 2))
#endif
MULTIPLY(multiply_single, MOST_ROWS, 1)

CA_WITHIN void multiply(int vectors, rows a, rows b, int depth, bool add, float *restrict sums)
{
  if (vectors == P_VECTORS) multiply_full(a, b, depth, add, sums);
#if P_VECTORS > 2
  else if (vectors == P_VECTORS / 2)
    multiply_half(a, b, depth, add, sums);
#endif
  else
    multiply_single(a, b, depth, add, sums);
}

/* The same where b may be infinite or no number: what is marked as not attended is left out. */
CA_APART void multiply_carefully(int vectors, rows a, rows b, int depth, float *restrict sums)
{
  for (int i = 0; i < height_of(vectors); i++)
    for (int v = 0; v < vectors; v++, sums += P_LANES) {
      vec sum = (vec)(0.0f);
      for (int k = 0; k < depth; k++) {
        const float weight = a.at[i * a.stride + k];
        if (!ca_is_not_attended(weight))
          sum = fma((vec)(weight), *(const vec_anywhere *)(b.at + k * b.stride + v * P_LANES), sum);
      }
      vec_store(sums, vec_load(sums) + sum);
    }
}

/* ---- scores ---- */

/* Keys [from, from + n), transposed to [d][width]; columns past the last key repeat it. */
CA_APART void load_keys(const ca_attention_args *args, __global const uchar *k, __global const uchar *past_k,
                        const tile_place *place, int from, int n, int width, float *restrict panel)
{
  const int h = place->h / args->group;
  float row[P_LANES * CA_MAX_HEAD] ALIGNED;
  for (int lane0 = 0; lane0 < width; lane0 += P_LANES) {
    const int first = from + min(lane0, n - 1), count = min(P_LANES, from + n - first);
    const int old = clamp(args->past - first, 0, count);
    rows_load(row, CA_MAX_HEAD, past_k, row_at(&args->past_k, place->b, h, first), args->past_k.stride[2],
              args->past_k.stride[3], args->k_type, old, args->dk);
    rows_load(row + old * CA_MAX_HEAD, CA_MAX_HEAD, k, row_at(&args->k, place->b, h, max(first - args->past, 0)),
              args->k.stride[2], args->k.stride[3], args->k_type, count - old, args->dk);
    for (int i = count; i < P_LANES; i++)
      for (int d = 0; d < args->dk; d++) row[i * CA_MAX_HEAD + d] = row[(count - 1) * CA_MAX_HEAD + d];
    rows_transpose(row, CA_MAX_HEAD, args->dk, 1.0f, panel + lane0, width);
  }
}

/* What a mask adds to the scores of keys j, j + 1, ... of a row. */
CA_WITHIN vec mask_piece(const ca_attention_args *args, __global const uchar *mask, long at, int n)
{
  const long stride = args->mask.stride[3];
  if (args->mask_kind == CA_MASK_FLOAT) return piece_load(mask, at, stride, args->mask_type, n, 0.0f);
  float piece[P_LANES] ALIGNED;
  if (stride == 1 && n >= P_LANES)
    return TO_IVEC(*(__global const ucvec_anywhere *)(mask + at)) != 0 ? (vec)(0.0f) : (vec)(-INFINITY);
  for (int i = 0; i < P_LANES; i++) piece[i] = i >= n || mask[at + i * stride] ? 0.0f : -INFINITY;
  return vec_load(piece);
}

/* From the products of query i with keys [from, from + n) to what is stored of them. */
CA_APART void finish_scores(const ca_attention_args *args, __global const uchar *mask, __global uchar *qk,
                            __global uchar *a, const tile_place *place, int i, int from, int n,
                            const float *restrict products)
{
  const int2 keys = ca_row_keys(args, place->valid, i);
  const long mask_row = ca_mask_row(args, place->b, place->h, i), a_row = row_at(&args->a, place->b, place->h, i),
             qk_row = row_at(&args->qk, place->b, place->h, i);
  const long a_stride = args->a.stride[3], qk_stride = args->qk.stride[3];
  for (int c = 0; c < n; c += P_LANES) {
    const int j = from + c, count = min(P_LANES, n - c);
    vec s = vec_load(products + c) * args->scale;
    if (args->qk_mode == CA_QK_SCALED) piece_store(qk, qk_row + j * qk_stride, qk_stride, args->qk_type, s, count);
    if (args->softcap > 0.0f) s = args->softcap * vec_tanh(s / args->softcap);
    if (args->qk_mode == CA_QK_CAPPED) piece_store(qk, qk_row + j * qk_stride, qk_stride, args->qk_type, s, count);
    if (keys.x >= j + count || keys.y <= j) {
      s = (vec)(-INFINITY);
    } else {
      const ivec key = lane_numbers() + (ivec)(j);
      if (args->mask_kind != CA_MASK_NONE) {
        const vec bias = mask_piece(args, mask, mask_row + j * args->mask.stride[3], min(count, args->mask_len - j));
        s = bias == -INFINITY ? (vec)(-INFINITY) : s + bias;
      }
      s = ((key >= (ivec)(keys.x)) & (key < (ivec)(keys.y))) ? s : (vec)(-INFINITY);
    }
    if (args->want_a) piece_store(a, a_row + j * a_stride, a_stride, CA_F32, s, count);
    if (args->qk_mode == CA_QK_MASKED) piece_store(qk, qk_row + j * qk_stride, qk_stride, args->qk_type, s, count);
  }
}

/* The lines that rows i, i + 1, ... will be written to arrive while their products are made. */
CA_WITHIN void fetch_scores(const ca_attention_args *args, __global uchar *a, const tile_place *place, int i, int count,
                            int from, int n)
{
  if (!args->want_a || args->a.stride[3] != 1) return;
  for (int r = 0; r < count; r++) {
    __global const float *row = (__global const float *)a + row_at(&args->a, place->b, place->h, i + r) + from;
    for (int j = 0; j < n; j += P_LANES) CA_FETCH((const float *)(size_t)(row + j), 1);
  }
}

/* Scores of a tile of queries and the keys of one register tile's columns. */
CA_APART void score_panel(const ca_attention_args *args, __global const uchar *q, __global const uchar *k,
                          __global const uchar *past_k, __global const uchar *mask, __global uchar *qk,
                          __global uchar *a, const tile_place *place, int from, int n, int vectors)
{
  float panel[CA_MAX_HEAD * PANEL] ALIGNED, room[MOST_ROWS * CA_MAX_HEAD] ALIGNED;
  float products[MOST_ROWS * PANEL] ALIGNED = {0.0f};
  const int height = height_of(vectors), width = vectors * P_LANES, half_way = (args->dk + 1) / 2;
  const bool raw = args->qk_mode == CA_QK_SCALED || args->qk_mode == CA_QK_CAPPED;
  const int2 keys = tile_keys(args, place, 0, place->rows);
  if (raw || (keys.x < from + n && keys.y > from)) load_keys(args, k, past_k, place, from, n, width, panel);
  for (int r = 0; r < place->rows; r += height) {
    const int count = min(height, place->rows - r);
    const int2 seen = tile_keys(args, place, r, count);
    fetch_scores(args, a, place, place->first + r, count, from, n);
    if (raw || (seen.x < from + n && seen.y > from)) {
      const rows queries = take_rows(q, row_at(&args->q, place->b, place->h, place->first + r), args->q.stride[2],
                                     args->q.stride[3], args->q_type, count, height, args->dk, room);
      for (int d = 0; d < args->dk; d += half_way)
        multiply(vectors, (rows){queries.at + d, queries.stride}, (rows){panel + d * width, width},
                 min(half_way, args->dk - d), d > 0, products);
    }
    for (int i = 0; i < count; i++)
      finish_scores(args, mask, qk, a, place, place->first + r + i, from, n, products + i * width);
  }
}

KERNEL void vector_scores(const ca_attention_args args, __global const uchar *q, __global const uchar *k,
                          __global const uchar *past_k, __global const uchar *mask, __global const long *nonpad,
                          __global uchar *qk, __global uchar *a)
{
  const int panels = (args.sk + PANEL - 1) / PANEL, tiles = (args.sq + SCORE_ROWS - 1) / SCORE_ROWS;
  const long all = (long)args.b * args.hq * tiles * panels;
  for (long item = (long)get_group_id(0); item < all; item += (long)get_num_groups(0)) {
    long rest = item;
    const int from = ca_take_index(&rest, panels) * PANEL, first = ca_take_index(&rest, tiles) * SCORE_ROWS;
    const int h = ca_take_index(&rest, args.hq), b = (int)rest;
    const tile_place place = {b, h, first, min(SCORE_ROWS, args.sq - first), ca_valid_keys(&args, nonpad, b)};
    const int end = from + min(PANEL, args.sk - from);
    for (int j = from, vectors; j < end; j += vectors * P_LANES) {
      vectors = vectors_for(end - j);
      score_panel(&args, q, k, past_k, mask, qk, a, &place, j, min(vectors * P_LANES, end - j), vectors);
    }
  }
}

/* ---- softmax ---- */

/* exp(s - m), and the marked zero for s = -inf. */
CA_WITHIN vec weigh(vec s, float m) { return s == -INFINITY ? (vec)(CA_NOT_ATTENDED) : vec_exp(s - (vec)(m)); }

/* The largest score of keys [keys.x, keys.y) of a row. A NaN is passed over: it is seen in the sum of the weights. */
CA_APART float row_max(const ca_attention_args *args, __global const uchar *a, long a_row, int2 keys)
{
  const long stride = args->a.stride[3];
  vec top = (vec)(-INFINITY);
  for (int j = keys.x; j < keys.y; j += P_LANES)
    top = vec_raise(top, piece_load(a, a_row + j * stride, stride, CA_F32, keys.y - j, -INFINITY));
  float tops[P_LANES] ALIGNED, m = -INFINITY;
  vec_store(tops, top);
  for (int i = 0; i < P_LANES; i++) m = max(m, tops[i]);
  return m;
}

/* The weights' sum; the weights themselves, not yet divided by it, go to p if that is wanted. */
CA_APART float row_weights(const ca_attention_args *args, __global const uchar *a, long a_row, __global uchar *p,
                           long p_row, int2 keys, float m)
{
  const long a_stride = args->a.stride[3], p_stride = args->p.stride[3];
  vec total = (vec)(0.0f);
  for (int from = keys.x; from < keys.y; from += SUM_VECTORS * P_LANES) {
    vec sum = (vec)(0.0f);
    for (int j = from; j < min(from + SUM_VECTORS * P_LANES, keys.y); j += P_LANES) {
      const vec w = weigh(piece_load(a, a_row + j * a_stride, a_stride, CA_F32, keys.y - j, -INFINITY), m);
      if (args->want_p) piece_store(p, p_row + j * p_stride, p_stride, CA_F32, w, keys.y - j);
      sum += w;
    }
    total += sum;
  }
  float sums[P_LANES] ALIGNED, sum = 0.0f;
  vec_store(sums, total);
  for (int i = 0; i < P_LANES; i++) sum += sums[i];
  return sum;
}

/* Weights times factor, to p and qk. */
CA_APART void finish_weights(const ca_attention_args *args, __global const uchar *a, long a_row, __global uchar *p,
                             long p_row, __global uchar *qk, long qk_row, int2 keys, float m, float factor)
{
  const long a_stride = args->a.stride[3], p_stride = args->p.stride[3], qk_stride = args->qk.stride[3];
  for (int j = keys.x; j < keys.y; j += P_LANES) {
    vec w = args->want_p ? piece_load(p, p_row + j * p_stride, p_stride, CA_F32, keys.y - j, 0.0f)
                         : weigh(piece_load(a, a_row + j * a_stride, a_stride, CA_F32, keys.y - j, -INFINITY), m);
    const ivec closed = AS_IVEC(w) == AS_IVEC((vec)(CA_NOT_ATTENDED));
    w = closed ? w : w * factor;
    if (args->want_p) piece_store(p, p_row + j * p_stride, p_stride, CA_F32, w, keys.y - j);
    if (args->qk_mode == CA_QK_PROBABILITIES)
      piece_store(qk, qk_row + j * qk_stride, qk_stride, args->qk_type, closed ? (vec)(0.0f) : w, keys.y - j);
  }
}

/* Weights of keys that no mask needs to close. */
CA_APART void close_weights(const ca_attention_args *args, __global uchar *p, long p_row, __global uchar *qk,
                            long qk_row, int from, int end)
{
  const long p_stride = args->p.stride[3], qk_stride = args->qk.stride[3];
  for (int j = from; j < end; j += P_LANES) {
    if (args->want_p) piece_store(p, p_row + j * p_stride, p_stride, CA_F32, (vec)(CA_NOT_ATTENDED), end - j);
    if (args->qk_mode == CA_QK_PROBABILITIES)
      piece_store(qk, qk_row + j * qk_stride, qk_stride, args->qk_type, (vec)(0.0f), end - j);
  }
}

/* a and p may be the same view: a piece is read before it is written, and scores are read no more thereafter. */
KERNEL void vector_softmax(const ca_attention_args args, __global const uchar *a, __global uchar *p,
                           __global float *lse, __global uchar *qk)
{
  const long rows_of_all = (long)args.b * args.hq * args.sq, all = (rows_of_all + SOFTMAX_ROWS - 1) / SOFTMAX_ROWS;
  for (long item = (long)get_group_id(0); item < all; item += (long)get_num_groups(0))
    for (long row = item * SOFTMAX_ROWS; row < min((item + 1) * SOFTMAX_ROWS, rows_of_all); row++) {
      long rest = row;
      const int i = ca_take_index(&rest, args.sq), h = ca_take_index(&rest, args.hq), b = (int)rest;
      const long a_row = row_at(&args.a, b, h, i), p_row = row_at(&args.p, b, h, i), qk_row = row_at(&args.qk, b, h, i);
      /* Lengths that lie in a buffer are not this stage's. */
      int2 keys = args.has_nonpad ? (int2)(0, args.sk) : ca_row_keys(&args, args.sk, i);
      keys.y = clamp(keys.y, 0, args.sk);
      keys.x = clamp(keys.x, 0, keys.y);
      const float m = row_max(&args, a, a_row, keys);
      const float sum = row_weights(&args, a, a_row, p, p_row, keys, m);
      finish_weights(&args, a, a_row, p, p_row, qk, qk_row, keys, m, 1.0f / sum);
      close_weights(&args, p, p_row, qk, qk_row, 0, keys.x);
      close_weights(&args, p, p_row, qk, qk_row, keys.y, args.sk);
      if (args.want_lse) lse[row_at(&args.lse, b, h, i)] = sum == 0.0f ? -INFINITY : m + log(sum);
    }
}

/* ---- values ---- */

/* Values [from, from + n) of a head, past first: in place, or copied, and what they lack of whole vectors is zero. */
CA_APART rows load_values(const ca_attention_args *args, __global const uchar *v, __global const uchar *past_v,
                          const tile_place *place, int from, int n, float *restrict room)
{
  const int h = place->h / args->group, width = round_up(args->dv), old = clamp(args->past - from, 0, n);
  const ca_tensor_arg *part = old ? &args->past_v : &args->v;
  const long past_at = row_at(&args->past_v, place->b, h, from);
  const long at = row_at(&args->v, place->b, h, max(from - args->past, 0));
  if (args->v_type == CA_F32 && (old == 0 || old == n) && part->stride[3] == 1 && width == args->dv)
    return rows_in_place(old ? past_v : v, old ? past_at : at, part->stride[2]);
  rows_load(room, width, past_v, past_at, args->past_v.stride[2], args->past_v.stride[3], args->v_type, old, args->dv);
  rows_load(room + old * width, width, v, at, args->v.stride[2], args->v.stride[3], args->v_type, n - old, args->dv);
  for (int j = 0; j < n; j++)
    for (int d = args->dv; d < width; d++) room[j * width + d] = 0.0f;
  return (rows){room, width};
}

/* sum += weights times values, for the keys [from, from + n) of a tile. A register tile's columns c of all rows lie
 * together, TILE_ROWS * c floats from the first. */
CA_APART void add_values(const ca_attention_args *args, __global const uchar *p, const tile_place *place, rows values,
                         int from, int n, bool careful, float *restrict sum)
{
  float room[MOST_ROWS * BLOCK_KEYS] ALIGNED;
  for (int c = 0, vectors; c < args->dv; c += vectors * P_LANES) {
    vectors = vectors_for(args->dv - c);
    const int height = height_of(vectors);
    for (int r = 0; r < place->rows; r += height) {
      const int count = min(height, place->rows - r);
      const int2 seen = tile_keys(args, place, r, count);
      const int first = max(from, seen.x), used = min(from + n, seen.y) - first;
      if (used <= 0) continue;
      const long at = row_at(&args->p, place->b, place->h, place->first + r) + first * args->p.stride[3];
      const rows weights = take_rows(p, at, args->p.stride[2], args->p.stride[3], CA_F32, count, height, used, room);
      const rows panel = {values.at + (first - from) * values.stride + c, values.stride};
      float *to = sum + TILE_ROWS * c + r * vectors * P_LANES;
      if (careful)
        multiply_carefully(vectors, weights, panel, used, to);
      else
        multiply(vectors, weights, panel, used, true, to);
    }
  }
}

/* Rows of y. False: one is not finite. */
CA_APART bool store_values(const ca_attention_args *args, const tile_place *place, const float *restrict sum,
                           __global uchar *y)
{
  const long stride = args->y.stride[3];
  vec zero = (vec)(0.0f); /* until it meets what is not finite */
  for (int c = 0, vectors; c < args->dv; c += vectors * P_LANES) {
    vectors = vectors_for(args->dv - c);
    const float *from = sum + TILE_ROWS * c;
    for (int r = 0; r < place->rows; r++) {
      const long at = row_at(&args->y, place->b, place->h, place->first + r);
      for (int v = 0; v < vectors; v++, from += P_LANES) {
        const int d = c + v * P_LANES;
        const vec x = vec_load(from);
        zero = fma(x, (vec)(0.0f), zero);
        piece_store(y, at + d * stride, stride, args->y_type, x, args->dv - d);
      }
    }
  }
  return !any(isnan(zero));
}

/* A tile, from its weights to its rows of y. False: y is not finite throughout. */
CA_APART bool make_tile(const ca_attention_args *args, __global const uchar *p, __global const uchar *v,
                        __global const uchar *past_v, __global uchar *y, const tile_place *place, bool careful)
{
  float sum[TILE_ROWS * CA_MAX_HEAD] ALIGNED, total[TILE_ROWS * CA_MAX_HEAD] ALIGNED;
  float room[BLOCK_KEYS * CA_MAX_HEAD] ALIGNED;
  const int floats = TILE_ROWS * round_up(args->dv);
  const int2 keys = tile_keys(args, place, 0, place->rows);
  for (int i = 0; i < floats; i += P_LANES) vec_store(total + i, (vec)(0.0f));
  for (int group = max(keys.x, 0); group < keys.y; group += GROUP_KEYS) {
    const int end = min(group + GROUP_KEYS, keys.y);
    for (int i = 0; i < floats; i += P_LANES) vec_store(sum + i, (vec)(0.0f));
    for (int from = group; from < end; from += BLOCK_KEYS) {
      const int n = min(BLOCK_KEYS, end - from);
      const rows values = load_values(args, v, past_v, place, from, n, room);
      add_values(args, p, place, values, from, n, careful, sum);
    }
    for (int i = 0; i < floats; i += P_LANES) vec_store(total + i, vec_load(total + i) + vec_load(sum + i));
  }
  return store_values(args, place, total, y);
}

KERNEL void vector_values(const ca_attention_args args, __global const uchar *p, __global const uchar *v,
                          __global const uchar *past_v, __global const long *nonpad, __global uchar *y)
{
  const int tiles = (args.sq + TILE_ROWS - 1) / TILE_ROWS;
  const long all = (long)args.b * args.hq * tiles;
  for (long item = (long)get_group_id(0); item < all; item += (long)get_num_groups(0)) {
    long rest = item;
    const int first = ca_take_index(&rest, tiles) * TILE_ROWS;
    const int h = ca_take_index(&rest, args.hq), b = (int)rest;
    const tile_place place = {b, h, first, min(TILE_ROWS, args.sq - first), ca_valid_keys(&args, nonpad, b)};
    if (!make_tile(&args, p, v, past_v, y, &place, false)) make_tile(&args, p, v, past_v, y, &place, true);
  }
}
