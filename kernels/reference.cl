/* Family reference: every stage on any device, obvious and slow; the fall-back for what the other families refuse.
 *
 *   projection         y[b,h,s,d] = rotate(sum_e x[b,s,e] w[h*D+d,e] + bias[h*D+d])   a work-item: an element of y
 *   projection_finish  the same from a product that lies in the workspace             a work-item: an element of y
 *   scores             a, qk = mask(softcap(scale q k))                               a work-item: a score
 *   softmax            p = exp(a - lse)                                               a work-group: a row
 *   values             y = p v                                                        a work-item: an element of y
 *   attention          the last three at once (online softmax)                        a work-group: a query row
 *
 * Types, masks and strides are arguments: the program has two build parameters. Work is a list of items that the groups
 * take in turn (item, item + groups, ...), so any grid is right, and no arguments (all zero) mean no items.
 * P_WG    work-items of a group, a power of two.
 * P_DOUBLE  1: computes in double, 0: in float.
 * Local memory: R * (CA_MAX_HEAD + 2 * P_WG) bytes in attention, R * P_WG in softmax; R = 4, in double 8.
 * Barriers: in softmax and attention, in control flow that is the same for a whole group.
 * Sums are taken over blocks and the blocks' sums added, which keeps a sum of 4096 equal terms within 2e-6.
 * Source: ONNX Attention, opset 25; online softmax after Milakov and Gimelshein 2018. */
#ifndef P_DOUBLE
#error "P_DOUBLE is missing"
#endif
#include "ca_shared.h"
#include "lib/index.clh"
#include "lib/mask.clh"
#include "lib/rotary.clh"
#include "lib/tile_io.clh"

#ifndef P_WG
#error "P_WG is missing"
#endif

#define SUM_BLOCK 32

#define KERNEL __kernel __attribute__((reqd_work_group_size(P_WG, 1, 1)))

/* sum_d x[d] y[d] of two strided rows. */
static ca_real dot_rows(__global const uchar *x, long x_at, long x_stride, int x_type, __global const uchar *y,
                      long y_at, long y_stride, int y_type, int n)
{
  ca_real sum = 0;
  for (int block = 0; block < n; block += SUM_BLOCK) {
    ca_real part = 0;
    for (int d = block; d < min(block + SUM_BLOCK, n); d++)
      part = fma(ca_load(x, x_at + d * x_stride, x_type), ca_load(y, y_at + d * y_stride, y_type), part);
    sum += part;
  }
  return sum;
}

/* First element of the row of key (or value) j; keys before `past` lie in the cache. */
static long key_row_at(const ca_attention_args *args, const ca_tensor_arg *cache, const ca_tensor_arg *rows, int b,
                       int h, int j)
{
  const int hk = h / args->group;
  if (j < args->past) return cache->offset + b * cache->stride[0] + hk * cache->stride[1] + j * cache->stride[2];
  return rows->offset + b * rows->stride[0] + hk * rows->stride[1] + (j - args->past) * rows->stride[2];
}

/* q_i k_j. */
static ca_real dot_query_key(const ca_attention_args *args, __global const uchar *q, __global const uchar *k,
                           __global const uchar *past_k, int b, int h, int i, int j)
{
  const long q_at = args->q.offset + b * args->q.stride[0] + h * args->q.stride[1] + i * args->q.stride[2];
  const long k_at = key_row_at(args, &args->past_k, &args->k, b, h, j);
  const long cache_stride = args->past_k.stride[3], k_stride = args->k.stride[3];
  return dot_rows(q, q_at, args->q.stride[3], args->q_type, j < args->past ? past_k : k, k_at,
                  j < args->past ? cache_stride : k_stride, args->k_type, args->dk);
}

static ca_real load_value(const ca_attention_args *args, __global const uchar *v, __global const uchar *past_v, int b,
                        int h, int j, int d)
{
  const long v_at = key_row_at(args, &args->past_v, &args->v, b, h, j);
  const long cache_stride = args->past_v.stride[3], v_stride = args->v.stride[3];
  return ca_load(j < args->past ? past_v : v, v_at + d * (j < args->past ? cache_stride : v_stride), args->v_type);
}

static long score_at(const ca_tensor_arg *t, int b, int h, int i, int j)
{
  return t->offset + b * t->stride[0] + h * t->stride[1] + i * t->stride[2] + j * t->stride[3];
}

static long lse_at(const ca_attention_args *args, int b, int h, int i)
{
  return args->lse.offset + b * args->lse.stride[0] + h * args->lse.stride[1] + i * args->lse.stride[2];
}

/* Where row n of w begins. */
static long weights_row(const ca_projection_args *args, int n)
{
  if (!args->panel) return args->w.offset + n * args->w.stride[0];
  return args->w.offset + (long)(n / args->panel) * args->e * args->panel + n % args->panel;
}

/* Element n of the product x w^T in row (b, s), with its bias; from x and w, or from the finished product. */
static ca_real projected(const ca_projection_args *args, __global const uchar *x, __global const uchar *w,
                       __global const float *product, __global const uchar *bias, int b, int s, int n)
{
  const long width = (long)args->h * args->d;
  const ca_real sum = product
                        ? product[args->product_offset + ((long)b * args->s + s) * width + n]
                        : dot_rows(x, args->x.offset + b * args->x.stride[0] + s * args->x.stride[1], args->x.stride[2],
                                   args->x_type, w, weights_row(args, n), args->panel ? args->panel : args->w.stride[1],
                                   args->w_type, args->e);
  return sum + ca_bias(args, bias, n);
}

/* Computes and stores y[b, n / D, s, n % D]. A rotating element computes its partner too. */
static void project_element(const ca_projection_args *args, __global const uchar *x, __global const uchar *w,
                            __global const float *product, __global const uchar *bias, __global const uchar *cosine,
                            __global const uchar *sine, __global const long *position, __global uchar *y, long element)
{
  const int width = args->h * args->d;
  const int n = ca_take_index(&element, width), s = ca_take_index(&element, args->s), b = (int)element;
  const int h = n / args->d, d = n - h * args->d;
  ca_real result;
  if (args->has_rotary && d < args->rotary_dim) {
    const int pair = args->interleaved ? d / 2 : d < args->rotary_dim / 2 ? d : d - args->rotary_dim / 2;
    const int first = ca_rotary_first(args, pair), second = ca_rotary_second(args, pair);
    const ca_real2 before = (ca_real2)(projected(args, x, w, product, bias, b, s, h * args->d + first),
                                   projected(args, x, w, product, bias, b, s, h * args->d + second));
    const long2 row = ca_rotary_row(args, position, b, s);
    const ca_real2 after = ca_rotate(before, ca_rotary_turn(args, cosine, sine, row, pair));
    result = d == first ? after.x : after.y;
  } else {
    result = projected(args, x, w, product, bias, b, s, n);
  }
  ca_store(y, ca_projection_target(args, b, s, h, d), args->y_type, result);
}

KERNEL void reference_projection(const ca_projection_args args, __global const uchar *x, __global const uchar *w,
                                 __global const uchar *bias, __global const uchar *cosine,
                                 __global const uchar *sine, __global const long *position, __global uchar *y)
{
  const long elements = (long)args.b * args.s * args.h * args.d;
  for (long element = (long)get_global_id(0); element < elements; element += (long)get_global_size(0))
    project_element(&args, x, w, 0, bias, cosine, sine, position, y, element);
}

KERNEL void reference_projection_finish(const ca_projection_args args, __global const float *product,
                                        __global const uchar *bias, __global const uchar *cosine,
                                        __global const uchar *sine, __global const long *position, __global uchar *y)
{
  const long elements = (long)args.b * args.s * args.h * args.d;
  for (long element = (long)get_global_id(0); element < elements; element += (long)get_global_size(0))
    project_element(&args, 0, 0, product, bias, cosine, sine, position, y, element);
}

KERNEL void reference_scores(const ca_attention_args args, __global const uchar *q, __global const uchar *k,
                             __global const uchar *past_k, __global const uchar *mask, __global const long *nonpad,
                             __global uchar *qk, __global uchar *a)
{
  const long scores = (long)args.b * args.hq * args.sq * args.sk;
  for (long index = (long)get_global_id(0); index < scores; index += (long)get_global_size(0)) {
    long rest = index;
    const int j = ca_take_index(&rest, args.sk), i = ca_take_index(&rest, args.sq);
    const int h = ca_take_index(&rest, args.hq), b = (int)rest;
    const ca_real scaled = ca_score_scaled(&args, dot_query_key(&args, q, k, past_k, b, h, i, j));
    const ca_real capped = ca_score_capped(&args, scaled);
    const int2 keys = ca_row_keys(&args, ca_valid_keys(&args, nonpad, b), i);
    const ca_real masked = ca_score_masked(&args, mask, ca_mask_row(&args, b, h, i), keys, j, capped);
    if (args.want_a) ca_store(a, score_at(&args.a, b, h, i, j), args.a_type, masked);
    if (args.qk_mode >= CA_QK_SCALED && args.qk_mode <= CA_QK_MASKED) {
      const ca_real shown = args.qk_mode == CA_QK_SCALED ? scaled : args.qk_mode == CA_QK_CAPPED ? capped : masked;
      ca_store(qk, score_at(&args.qk, b, h, i, j), args.qk_type, shown);
    }
  }
}

/* Every work-item gives a value and receives the maximum (a NaN wins) or the sum over its group. Begins and ends with
 * a barrier, so `scratch` can be used again at once. */
static ca_real group_max(ca_real x, __local ca_real *scratch)
{
  const int lane = (int)get_local_id(0);
  barrier(CLK_LOCAL_MEM_FENCE);
  scratch[lane] = x;
  for (int half_way = P_WG / 2; half_way > 0; half_way /= 2) {
    barrier(CLK_LOCAL_MEM_FENCE);
    if (lane < half_way) scratch[lane] = ca_max_keep_nan(scratch[lane], scratch[lane + half_way]);
  }
  barrier(CLK_LOCAL_MEM_FENCE);
  return scratch[0];
}

static ca_real group_sum(ca_real x, __local ca_real *scratch)
{
  const int lane = (int)get_local_id(0);
  barrier(CLK_LOCAL_MEM_FENCE);
  scratch[lane] = x;
  for (int half_way = P_WG / 2; half_way > 0; half_way /= 2) {
    barrier(CLK_LOCAL_MEM_FENCE);
    if (lane < half_way) scratch[lane] += scratch[lane + half_way];
  }
  barrier(CLK_LOCAL_MEM_FENCE);
  return scratch[0];
}

/* a and p may be the same view: each work-item writes only what it alone has read. */
KERNEL void reference_softmax(const ca_attention_args args, __global const uchar *a, __global uchar *p,
                              __global uchar *lse, __global uchar *qk)
{
  __local ca_real scratch[P_WG];
  const int lane = (int)get_local_id(0);
  const long rows = (long)args.b * args.hq * args.sq;
  for (long row = (long)get_group_id(0); row < rows; row += (long)get_num_groups(0)) {
    long rest = row;
    const int i = ca_take_index(&rest, args.sq), h = ca_take_index(&rest, args.hq), b = (int)rest;
    ca_real largest = -INFINITY;
    for (int j = lane; j < args.sk; j += P_WG)
      largest = ca_max_keep_nan(largest, ca_load(a, score_at(&args.a, b, h, i, j), args.a_type));
    const ca_real m = group_max(largest, scratch);
    ca_real part = 0;
    for (int j = lane; j < args.sk; j += P_WG) part += ca_weight(ca_load(a, score_at(&args.a, b, h, i, j), args.a_type), m);
    const ca_real sum = group_sum(part, scratch);
    for (int j = lane; j < args.sk; j += P_WG) {
      const ca_real s = ca_load(a, score_at(&args.a, b, h, i, j), args.a_type);
      const ca_real weight = s == -INFINITY ? CA_NOT_ATTENDED : ca_weight(s, m) / sum;
      if (args.want_p) ca_store(p, score_at(&args.p, b, h, i, j), args.p_type, weight);
      if (args.qk_mode == CA_QK_PROBABILITIES)
        ca_store(qk, score_at(&args.qk, b, h, i, j), args.qk_type, s == -INFINITY ? 0 : weight);
    }
    if (args.want_lse && lane == 0) ca_store(lse, lse_at(&args, b, h, i), args.lse_type, m == -INFINITY ? -INFINITY : m + log(sum));
  }
}

KERNEL void reference_values(const ca_attention_args args, __global const uchar *p, __global const uchar *v,
                             __global const uchar *past_v, __global const long *nonpad, __global uchar *y)
{
  const long elements = (long)args.b * args.hq * args.sq * args.dv;
  for (long index = (long)get_global_id(0); index < elements; index += (long)get_global_size(0)) {
    long rest = index;
    const int d = ca_take_index(&rest, args.dv), i = ca_take_index(&rest, args.sq);
    const int h = ca_take_index(&rest, args.hq), b = (int)rest;
    const int valid = ca_valid_keys(&args, nonpad, b);
    ca_real sum = 0, lost = 0; /* what the last addition rounded away (Kahan 1965) */
    for (int block = 0; block < valid; block += SUM_BLOCK) {
      ca_real part = 0;
      for (int j = block; j < min(block + SUM_BLOCK, valid); j++) {
        const ca_real weight = ca_load(p, score_at(&args.p, b, h, i, j), args.p_type);
        if (!ca_is_not_attended(weight)) part = fma(weight, load_value(&args, v, past_v, b, h, j, d), part);
      }
      const ca_real before = sum;
      part -= lost;
      sum = before + part;
      lost = (sum - before) - part;
    }
    ca_store(y, args.y.offset + b * args.y.stride[0] + h * args.y.stride[1] + i * args.y.stride[2] +
                    d * args.y.stride[3],
             args.y_type, sum);
  }
}

/* Keys are taken P_WG at a time: a work-item makes one score, then adds the block's values to its channels of `sums`.
 * When the running maximum grows, what was summed is scaled down to it. */
KERNEL void reference_attention(const ca_attention_args args, __global const uchar *q, __global const uchar *k,
                                __global const uchar *v, __global const uchar *past_k, __global const uchar *past_v,
                                __global const uchar *mask, __global const long *nonpad, __global uchar *y,
                                __global uchar *lse)
{
  __local ca_real sums[CA_MAX_HEAD], scratch[P_WG], weights[P_WG];
  const int lane = (int)get_local_id(0);
  const long rows = (long)args.b * args.hq * args.sq;
  for (long row = (long)get_group_id(0); row < rows; row += (long)get_num_groups(0)) {
    long rest = row;
    const int i = ca_take_index(&rest, args.sq), h = ca_take_index(&rest, args.hq), b = (int)rest;
    const int2 keys = ca_row_keys(&args, ca_valid_keys(&args, nonpad, b), i);
    const long mask_row = ca_mask_row(&args, b, h, i);
    ca_real m = -INFINITY, sum = 0;
    for (int d = lane; d < args.dv; d += P_WG) sums[d] = 0;
    for (int block = keys.x; block < keys.y; block += P_WG) {
      const int j = block + lane;
      ca_real s = -INFINITY;
      if (j < keys.y) {
        const ca_real dot = dot_query_key(&args, q, k, past_k, b, h, i, j);
        s = ca_score_masked(&args, mask, mask_row, keys, j, ca_score_capped(&args, ca_score_scaled(&args, dot)));
      }
      const ca_real m_new = ca_max_keep_nan(m, group_max(s, scratch));
      const ca_real weight = ca_weight(s, m_new);
      const ca_real shrink = m == m_new ? 1 : exp(m - m_new); /* -inf - -inf is not a number */
      weights[lane] = weight;
      sum = fma(sum, shrink, group_sum(weight, scratch));
      m = m_new;
      for (int d = lane; d < args.dv; d += P_WG) {
        ca_real part = 0;
        for (int n = 0; n < min(P_WG, keys.y - block); n++)
          if (!ca_is_not_attended(weights[n]))
            part = fma(weights[n], load_value(&args, v, past_v, b, h, block + n, d), part);
        sums[d] = fma(sums[d], shrink, part);
      }
    }
    for (int d = lane; d < args.dv; d += P_WG)
      ca_store(y, args.y.offset + b * args.y.stride[0] + h * args.y.stride[1] + i * args.y.stride[2] +
                      d * args.y.stride[3],
               args.y_type, m == -INFINITY ? 0 : sums[d] / sum);
    if (args.want_lse && lane == 0) ca_store(lse, lse_at(&args, b, h, i), args.lse_type, m == -INFINITY ? -INFINITY : m + log(sum));
  }
}
