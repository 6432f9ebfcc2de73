/* The FMA peak of a device, to measure kernels against: twelve independent chains of fma on vectors of P_LANES floats,
 * which keep every multiplier busy where they stay in registers. A turn is a step of each, spelled out because llvmpipe
 * counts the turns of inner loops, too, and ends them all after 65,535: 2 * 12 * P_LANES operations. */
#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define FLOATS JOIN(float, P_LANES)
#define LINK(i) chain[i] = fma(chain[i], (FLOATS)(0.999f), (FLOATS)(start));
#define STEP LINK(0) LINK(1) LINK(2) LINK(3) LINK(4) LINK(5) LINK(6) LINK(7) LINK(8) LINK(9) LINK(10) LINK(11)

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
    STEP
  }
  FLOATS sum = (FLOATS)(0.0f);
#pragma unroll
  for (int i = 0; i < 12; i++) sum += chain[i];
  JOIN(vstore, P_LANES)(sum, get_global_id(0), out);
}
