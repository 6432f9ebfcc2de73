#include "trial.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "names.h"
#include "numbers.h"

#define POISON 0xff /* in every byte: no number in any type */

void ca_trial_say(ca_trial *trial, const char *format, ...)
{
  const size_t used = strlen(trial->text);
  va_list args;
  va_start(args, format);
  vsnprintf(trial->text + used, sizeof trial->text - used, format, args);
  va_end(args);
}

clattn_tensor ca_trial_view(clattn_dtype dtype, ca_trial_layout layout, const int64_t dim[4])
{
  clattn_tensor view = layout == CA_TRIAL_DENSE ? clattn_bhsd(dtype, dim[0], dim[1], dim[2], dim[3])
                                                : clattn_bshd(dtype, dim[0], dim[2], dim[1], dim[3]);
  if (layout == CA_TRIAL_PACKED) {
    view.stride[0] *= 3;
    view.stride[2] *= 3;
  }
  return view;
}

/* Elements from the first to one past the last. */
static int64_t span_of(const clattn_tensor *view)
{
  int64_t last = 0;
  for (int32_t i = 0; i < view->rank; i++) {
    if (view->dim[i] == 0) return 0;
    last += (view->dim[i] - 1) * view->stride[i];
  }
  return last + 1;
}

static int64_t place_of(const clattn_tensor *view, int64_t element)
{
  int64_t place = 0;
  for (int32_t i = view->rank - 1; i >= 0; i--) {
    place += element % view->dim[i] * view->stride[i];
    element /= view->dim[i];
  }
  return place;
}

int64_t ca_part_count(const ca_part *part)
{
  if (!part->view.rank || !part->data) return 0;
  int64_t count = 1;
  for (int32_t i = 0; i < part->view.rank; i++) count *= part->view.dim[i];
  return count;
}

ca_part *ca_trial_add(ca_trial *trial, clattn_slot slot, bool output, clattn_tensor view)
{
  ca_part *part = &trial->part[slot];
  *part = (ca_part){.view = view, .output = output};
  part->bytes = (size_t)span_of(&view) * clattn_dtype_bytes((clattn_dtype)view.dtype);
  part->data = malloc(part->bytes + 1);
  if (part->data) memset(part->data, POISON, part->bytes);
  const size_t count = (size_t)ca_part_count(part);
  if (output) part->want = calloc(count + 1, sizeof(double));
  if (output) part->allowed = calloc(count + 1, sizeof(double));
  if (!part->data || (output && (!part->want || !part->allowed))) {
    trial->failed = true;
    free(part->data);
    part->data = NULL;
  }
  return part;
}

double ca_part_load(const ca_part *part, int64_t element)
{
  const int64_t place = place_of(&part->view, element);
  if (part->view.dtype == CLATTN_BOOL) return (double)((const unsigned char *)part->data)[place];
  if (part->view.dtype == CLATTN_I64) return (double)((const int64_t *)part->data)[place];
  return ca_number_load(part->view.dtype, part->data, place);
}

void ca_part_store(ca_part *part, int64_t element, double value)
{
  const int64_t place = place_of(&part->view, element);
  if (part->view.dtype == CLATTN_BOOL)
    ((unsigned char *)part->data)[place] = value != 0.0;
  else if (part->view.dtype == CLATTN_I64)
    ((int64_t *)part->data)[place] = (int64_t)value;
  else
    ca_number_store(part->view.dtype, part->data, place, value);
}

/* splitmix64. */
double ca_trial_random(ca_trial *trial)
{
  uint64_t z = trial->random += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return ldexp((double)((z ^ (z >> 31)) >> 11), -52) - 1.0;
}

void ca_trial_fill(ca_trial *trial, ca_part *part, double largest)
{
  const int64_t count = ca_part_count(part);
  for (int64_t i = 0; i < count; i++) ca_part_store(part, i, largest * ca_trial_random(trial));
}

static double rounding_of(clattn_dtype dtype, double value)
{
  static const int bits[] = {[CLATTN_F32] = 24, [CLATTN_F16] = 11, [CLATTN_BF16] = 8, [CLATTN_F64] = 53};
  return ldexp(fabs(value), -bits[dtype]) + (dtype == CLATTN_F16 ? ldexp(1.0, -25) : 0.0);
}

double ca_trial_allow(const ca_trial *trial, clattn_dtype dtype, double value, double size, double score)
{
  const double float_rounding = 2e-6, float_score = ldexp(1.0, -22), gain_of_double = ldexp(1.0, -24);
  bool is_double = false;
  for (int i = 0; i < CLATTN_SLOT_COUNT; i++)
    is_double = is_double || (trial->part[i].view.rank && trial->part[i].view.dtype == CLATTN_F64);
  const double computing = float_rounding * fmax(1.0, size) + float_score * score * size;
  return computing * (is_double ? gain_of_double : 1.0) + rounding_of(dtype, value);
}

void ca_trial_poison(ca_trial *trial)
{
  for (int i = 0; i < CLATTN_SLOT_COUNT; i++)
    if (trial->part[i].output) memset(trial->part[i].data, POISON, trial->part[i].bytes);
}

static double share(double got, double want, double allowed)
{
  if (isnan(want)) return isfinite(got) ? (double)INFINITY : 0.0;
  if (got == want) return 0.0;
  return isfinite(want) && isfinite(got) && allowed > 0.0 ? fabs(got - want) / allowed : (double)INFINITY;
}

/* True if nothing but the elements was written. */
static bool gaps_are_whole(const ca_part *part)
{
  const size_t size = clattn_dtype_bytes((clattn_dtype)part->view.dtype);
  unsigned char *bytes = part->data;
  const int64_t count = ca_part_count(part);
  for (int64_t i = 0; i < count; i++) memset(bytes + (size_t)place_of(&part->view, i) * size, POISON, size);
  for (size_t i = 0; i < part->bytes; i++)
    if (bytes[i] != POISON) return false;
  return true;
}

double ca_trial_error(ca_trial *trial)
{
  double worst = 0.0;
  for (int i = 0; i < CLATTN_SLOT_COUNT; i++) {
    const ca_part *part = &trial->part[i];
    if (!part->want) continue; /* an input, or not judged */
    const int64_t count = ca_part_count(part);
    for (int64_t n = 0; n < count; n++)
      worst = fmax(worst, share(ca_part_load(part, n), part->want[n], part->allowed[n]));
    if (!gaps_are_whole(part)) worst = (double)INFINITY;
  }
  return worst;
}

void ca_trial_free(ca_trial *trial)
{
  for (int i = 0; i < CLATTN_SLOT_COUNT; i++) {
    free(trial->part[i].data);
    free(trial->part[i].want);
    free(trial->part[i].allowed);
  }
}
