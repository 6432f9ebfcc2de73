/* The rate at which a device reads memory, to measure kernels against that read each byte once. A work-item sums up its
 * share of `vectors` float16 in four streams far apart, which a CPU fetches faster than one. */
#if defined(__has_attribute)
#if __has_attribute(min_vector_width)
__attribute__((min_vector_width(512)))
#endif
#endif
__kernel void
read_all(__global const float16 *from, const long vectors, __global float *out)
{
  const long share = vectors / get_global_size(0), part = share / 4;
  __global const float16 *at = from + get_global_id(0) * share;
  float16 sum[4];
#pragma unroll
  for (int i = 0; i < 4; i++) sum[i] = (float16)(0.0f);
  for (long n = 0; n < part; n++) {
#pragma unroll
    for (int i = 0; i < 4; i++) sum[i] += at[i * part + n];
  }
  vstore16((sum[0] + sum[1]) + (sum[2] + sum[3]), get_global_id(0), out);
}
