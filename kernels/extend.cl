/* The extended keys and values: present[b,h,j] = past[b,h,j] for j < past, else rows[b,h,j - past]. Elements are copied
 * bit by bit, whatever they are; K and V go in one launch, and what is not wanted is left out.
 *
 * A work-group copies a row, the groups take rows in turn (row, row + groups, ...), so any grid is right, and no
 * arguments (all zero) mean no rows. No local memory, no barriers: `present` may hold the past already, in its place.
 *   P_WG   work-items of a group
 * Source: present_key and present_value of ONNX Attention, opset 25. */
#include "ca_shared.h"
#include "lib/index.clh"

#ifndef P_WG
#error "P_WG is missing"
#endif

static void copy_element(__global const uchar *from, long from_at, __global uchar *to, long to_at, int bytes)
{
  if (bytes == 2)
    ((__global ushort *)to)[to_at] = ((__global const ushort *)from)[from_at];
  else if (bytes == 4)
    ((__global uint *)to)[to_at] = ((__global const uint *)from)[from_at];
  else
    ((__global ulong *)to)[to_at] = ((__global const ulong *)from)[from_at];
}

static long row_at(const ca_tensor_arg *t, int b, int h, int j)
{
  return t->offset + b * t->stride[0] + h * t->stride[1] + j * t->stride[2];
}

static void copy_row(const ca_extend_args *args, const ca_extend_side *side, __global const uchar *rows,
                     __global const uchar *past, __global uchar *present, long row)
{
  const int keys = args->past + args->sk;
  const int j = ca_take_index(&row, keys), h = ca_take_index(&row, args->hk), b = (int)row;
  const bool is_old = j < args->past;
  const long from = is_old ? row_at(&side->past, b, h, j) : row_at(&side->rows, b, h, j - args->past);
  const long from_step = is_old ? side->past.stride[3] : side->rows.stride[3];
  const long to = row_at(&side->present, b, h, j), to_step = side->present.stride[3];
  for (long d = (long)get_local_id(0); d < side->width; d += P_WG)
    copy_element(is_old ? past : rows, from + d * from_step, present, to + d * to_step, (int)side->element_bytes);
}

__kernel __attribute__((reqd_work_group_size(P_WG, 1, 1))) void
extend(const ca_extend_args args, __global const uchar *k, __global const uchar *v, __global const uchar *past_k,
       __global const uchar *past_v, __global uchar *present_k, __global uchar *present_v)
{
  const long rows = (long)args.b * args.hk * ((long)args.past + args.sk);
  for (long row = (long)get_group_id(0); row < rows; row += (long)get_num_groups(0)) {
    if (args.k.element_bytes) copy_row(&args, &args.k, k, past_k, present_k, row);
    if (args.v.element_bytes) copy_row(&args, &args.v, v, past_v, present_v, row);
  }
}
