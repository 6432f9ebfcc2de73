/* probe: does this device compile OpenCL C and compute rightly? Reverses and scales 64 numbers through local memory
 * with a barrier, in one fma: each result is exact in float32.
 * One work-group of 64. y[i] = 3 x[63-i] + 2^(i mod 8). */
__kernel __attribute__((reqd_work_group_size(64, 1, 1))) void probe(__global const float *x, __global float *y)
{
  __local float tile[64];
  const int i = (int)get_local_id(0);
  tile[i] = x[i];
  barrier(CLK_LOCAL_MEM_FENCE);
  y[i] = fma(3.0f, tile[63 - i], (float)(1 << (i & 7)));
}
