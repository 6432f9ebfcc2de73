/* The FMA peak of a device, to measure kernels against: twelve independent chains of fma on vectors of sixteen, which
 * keep every multiplier busy. A work-item does 2 * 16 * 12 * rounds operations. */
#if defined(__has_attribute)
#if __has_attribute(min_vector_width)
__attribute__((min_vector_width(512)))
#endif
#endif
__kernel void peak(__global float *out, const int rounds, const float start)
{
  float16 chain[12];
#pragma unroll
  for (int i = 0; i < 12; i++) chain[i] = (float16)(start + (float)i);
  for (int n = 0; n < rounds; n++) {
#pragma unroll
    for (int i = 0; i < 12; i++) chain[i] = fma(chain[i], (float16)(0.999f), (float16)(start));
  }
  float16 sum = (float16)(0.0f);
#pragma unroll
  for (int i = 0; i < 12; i++) sum += chain[i];
  vstore16(sum, get_global_id(0), out);
}
