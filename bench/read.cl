/* The rate at which a device reads memory, to measure kernels against that read each byte once. A work-item sums up its
 * share of `vectors` vectors in four streams far apart, which a CPU fetches faster than one. Its share is one piece
 * (P_TOGETHER 0), or every vector whose number leaves its own when divided by the work-items (1), so that neighbours
 * read side by side, as GPUs want it. */
#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define FLOATS JOIN(float, P_LANES)

#if defined(__has_attribute)
#if __has_attribute(min_vector_width)
__attribute__((min_vector_width(512)))
#endif
#endif
__kernel void
read_all(__global const FLOATS *from, const long vectors, __global float *out)
{
  const long share = vectors / get_global_size(0), part = share / 4;
  const long step = P_TOGETHER ? (long)get_global_size(0) : 1;
  __global const FLOATS *at = from + get_global_id(0) * (P_TOGETHER ? 1 : share);
  FLOATS sum[4];
#pragma unroll
  for (int i = 0; i < 4; i++) sum[i] = (FLOATS)(0.0f);
  for (long n = 0; n < part; n++) {
#pragma unroll
    for (int i = 0; i < 4; i++) sum[i] += at[(i * part + n) * step];
  }
  JOIN(vstore, P_LANES)((sum[0] + sum[1]) + (sum[2] + sum[3]), get_global_id(0), out);
}
