/* The FMA peak of a device, to measure kernels against: twelve independent chains of fma on vectors of P_LANES floats
 * (the device's own, so that the chains stay in registers), which keep every multiplier busy. A turn is P_STEPS steps of
 * each chain, so that a launch is long on devices whose loops must be short: 2 * 12 * P_LANES * P_STEPS operations. */
#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define FLOATS JOIN(float, P_LANES)

#if defined(__has_attribute)
#if __has_attribute(min_vector_width)
__attribute__((min_vector_width(512)))
#endif
#endif
__kernel void peak(__global float *out, const int turns, const float start)
{
  FLOATS chain[12];
#pragma unroll
  for (int i = 0; i < 12; i++) chain[i] = (FLOATS)(start + (float)i);
  for (int n = 0; n < turns; n++) {
#pragma unroll
    for (int i = 0; i < 12 * P_STEPS; i++) chain[i % 12] = fma(chain[i % 12], (FLOATS)(0.999f), (FLOATS)(start));
  }
  FLOATS sum = (FLOATS)(0.0f);
#pragma unroll
  for (int i = 0; i < 12; i++) sum += chain[i];
  JOIN(vstore, P_LANES)(sum, get_global_id(0), out);
}
