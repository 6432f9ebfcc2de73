#include <math.h>
#include <stdlib.h>

#include "oracle.h"

static int64_t cache_row(const oracle_projection *o, int64_t b, int64_t s)
{
  if (o->cache_rank == 3) return b * o->s + s;
  int64_t row = o->position_ids ? o->position_ids[b * o->s + s] : o->position_offset + s;
  if (row < 0) row = 0;
  if (row >= o->cache_rows) row = o->cache_rows - 1;
  return row;
}

/* Rotates one head's vector; magnitudes rotate with |cos| and |sin|, so that they bound both terms. */
static void rotate(const oracle_projection *o, int64_t b, int64_t s, double *vector, double *magnitude)
{
  const int64_t rotary = o->rotary_dim ? o->rotary_dim : o->d, half = rotary / 2;
  for (int64_t pair = 0; pair < half; pair++) {
    const int64_t first = o->interleaved ? 2 * pair : pair;
    const int64_t second = o->interleaved ? 2 * pair + 1 : pair + half;
    const double c = o->cosine[cache_row(o, b, s) * half + pair], n = o->sine[cache_row(o, b, s) * half + pair];
    const double real = vector[first], imaginary = vector[second];
    vector[first] = c * real - n * imaginary;
    vector[second] = n * real + c * imaginary;
    const double m1 = magnitude[first], m2 = magnitude[second];
    magnitude[first] = fabs(c) * m1 + fabs(n) * m2;
    magnitude[second] = fabs(n) * m1 + fabs(c) * m2;
  }
}

void oracle_projection_run(const oracle_projection *o)
{
  double *magnitude = malloc(sizeof *magnitude * (size_t)(o->d + 1));
  if (!magnitude) abort();
  for (int64_t b = 0; b < o->b; b++)
    for (int64_t h = 0; h < o->h; h++)
      for (int64_t s = 0; s < o->s; s++) {
        const int64_t base = ((b * o->h + h) * o->s + s) * o->d;
        const double *x = o->x + (b * o->s + s) * o->e;
        for (int64_t d = 0; d < o->d; d++) {
          const int64_t n = h * o->d + d;
          double sum = o->bias ? o->bias[n] : 0.0;
          magnitude[d] = fabs(sum);
          for (int64_t e = 0; e < o->e; e++) {
            sum += x[e] * o->w[n * o->e + e];
            magnitude[d] += fabs(x[e] * o->w[n * o->e + e]);
          }
          o->y[base + d] = sum;
        }
        if (o->cosine) rotate(o, b, s, o->y + base, magnitude);
        for (int64_t d = 0; o->xw_abs && d < o->d; d++) o->xw_abs[base + d] = magnitude[d];
      }
  free(magnitude);
}
