/* Two partial results of attention over disjoint sets of keys become the result over all of them:
 *   m = max(lse1, lse2)    w_n = exp(lse_n - m)
 *   y = (w_1 y1 + w_2 y2) / (w_1 + w_2)    lse = m + log(w_1 + w_2)
 * A part whose lse is -inf has seen no key: it contributes nothing, whatever its y holds. Where both are so, y = 0 and
 * lse = -inf.
 *
 * A work-group makes a row, the groups take rows in turn (row, row + groups, ...), so any grid is right, and no
 * arguments (all zero) mean no rows. Types are arguments. No local memory. A barrier a row, the same for the whole
 * group: y and lse may lie upon either part, in its place.
 *   P_WG      work-items of a group
 *   P_DOUBLE  1: computes in double, 0: in float
 * Source: the rescaling of online softmax, Milakov and Gimelshein 2018. */
#include "ca_shared.h"
#include "lib/index.clh"
#include "lib/tile_io.clh"

#ifndef P_WG
#error "P_WG is missing"
#endif

static long row_at(const ca_tensor_arg *t, int b, int h, int i)
{
  return t->offset + b * t->stride[0] + h * t->stride[1] + i * t->stride[2];
}

/* w y, and nothing for a part without weight. */
static ca_real share(ca_real weight, ca_real lse, ca_real y)
{
  return lse == -INFINITY ? 0 : weight * y;
}

__kernel __attribute__((reqd_work_group_size(P_WG, 1, 1))) void
merge(const ca_merge_args args, __global const uchar *y1, __global const uchar *lse1, __global const uchar *y2,
      __global const uchar *lse2, __global uchar *y, __global uchar *lse)
{
  const int lane = (int)get_local_id(0);
  const long rows = (long)args.b * args.h * args.s;
  for (long row = (long)get_group_id(0); row < rows; row += (long)get_num_groups(0)) {
    long rest = row;
    const int i = ca_take_index(&rest, args.s), h = ca_take_index(&rest, args.h), b = (int)rest;
    const ca_real l1 = ca_load(lse1, row_at(&args.lse1, b, h, i), args.lse1_type);
    const ca_real l2 = ca_load(lse2, row_at(&args.lse2, b, h, i), args.lse2_type);
    const ca_real m = l2 > l1 || isnan(l2) ? l2 : l1;
    const ca_real w1 = l1 == -INFINITY ? 0 : exp(l1 - m), w2 = l2 == -INFINITY ? 0 : exp(l2 - m);
    const ca_real sum = w1 + w2;
    barrier(CLK_GLOBAL_MEM_FENCE); /* every lane has read lse */
    for (int d = lane; d < args.d; d += P_WG) {
      const ca_real first = ca_load(y1, row_at(&args.y1, b, h, i) + d * args.y1.stride[3], args.y1_type);
      const ca_real second = ca_load(y2, row_at(&args.y2, b, h, i) + d * args.y2.stride[3], args.y2_type);
      const ca_real both = share(w1, l1, first) + share(w2, l2, second);
      ca_store(y, row_at(&args.y, b, h, i) + d * args.y.stride[3], args.y_type, m == -INFINITY ? 0 : both / sum);
    }
    if (args.want_lse && lane == 0)
      ca_store(lse, row_at(&args.lse, b, h, i), args.lse_type, m == -INFINITY ? -INFINITY : m + log(sum));
  }
}
