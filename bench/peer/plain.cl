/* Attention as one writes it first: three kernels, a work-item a result, everything in global memory. */
__kernel void scores(__global const float *q, __global const float *k, __global float *s, const int sq, const int sk,
                     const int d, const int group, const float scale, const int causal)
{
  const int j = get_global_id(0), i = get_global_id(1), h = get_global_id(2);
  __global const float *row = q + ((long)h * sq + i) * d, *key = k + ((long)(h / group) * sk + j) * d;
  float sum = 0.0f;
  for (int c = 0; c < d; c++) sum += row[c] * key[c];
  s[((long)h * sq + i) * sk + j] = causal && j > i ? -INFINITY : scale * sum;
}

__kernel void softmax(__global float *s, const int sk)
{
  __global float *row = s + (long)get_global_id(0) * sk;
  float most = -INFINITY, total = 0.0f;
  for (int j = 0; j < sk; j++) most = fmax(most, row[j]);
  for (int j = 0; j < sk; j++) total += row[j] = exp(row[j] - most);
  for (int j = 0; j < sk; j++) row[j] /= total;
}

__kernel void values(__global const float *s, __global const float *v, __global float *y, const int sq, const int sk,
                     const int d, const int group)
{
  const int c = get_global_id(0), i = get_global_id(1), h = get_global_id(2);
  __global const float *row = s + ((long)h * sq + i) * sk, *value = v + (long)(h / group) * sk * d + c;
  float sum = 0.0f;
  for (int j = 0; j < sk; j++) sum += row[j] * value[(long)j * d];
  y[((long)h * sq + i) * d + c] = sum;
}

__kernel void linear(__global const float *x, __global const float *w, __global float *y, const int e)
{
  const int n = get_global_id(0), m = get_global_id(1);
  float sum = 0.0f;
  for (int c = 0; c < e; c++) sum += x[(long)m * e + c] * w[(long)n * e + c];
  y[(long)m * get_global_size(0) + n] = sum;
}
