/* The rate at which a device reads memory, to measure kernels against that read each byte once. A work-item sums up its
 * share of `vectors` vectors in eight streams far apart, each fetched P_AHEAD bytes ahead: of one to eight streams and 0 to 4 KiB,
 * eight and 2 KiB are what the CPUs at hand read fastest with. 0: not at all (llvmpipe's compiler ends the process at
 * it, and neighbours on a GPU fetch for one another). Its share is one piece
 * (P_TOGETHER 0), or every vector whose number leaves its own when divided by the work-items (1), so that neighbours
 * read side by side, as GPUs want it. */
#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define FLOATS JOIN(float, P_LANES)

#define STREAMS 8
#define AHEAD (P_AHEAD / (4 * P_LANES))

#define FETCH(at)
#if P_AHEAD && defined(__has_builtin)
#if __has_builtin(__builtin_prefetch)
#undef FETCH
#define FETCH(at) __builtin_prefetch(at, 0, 2)
#endif
#endif

#if defined(__has_attribute)
#if __has_attribute(min_vector_width)
__attribute__((min_vector_width(512)))
#endif
#endif
__kernel void
read_all(__global const FLOATS *from, const long vectors, __global float *out)
{
  const long share = vectors / get_global_size(0), part = share / STREAMS;
  const long step = P_TOGETHER ? (long)get_global_size(0) : 1;
  __global const FLOATS *at = from + get_global_id(0) * (P_TOGETHER ? 1 : share);
  FLOATS sum[STREAMS];
#pragma unroll
  for (int i = 0; i < STREAMS; i++) sum[i] = (FLOATS)(0.0f);
  for (long n = 0; n < part; n++) {
#pragma unroll
    for (int i = 0; i < STREAMS; i++) {
      FETCH(at + (i * part + n) * step + AHEAD);
      sum[i] += at[(i * part + n) * step];
    }
  }
#pragma unroll
  for (int i = 1; i < STREAMS; i++) sum[0] += sum[i];
  JOIN(vstore, P_LANES)(sum[0], get_global_id(0), out);
}
