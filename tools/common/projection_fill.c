/* The tensors of a projection. */
#include <math.h>

#include "clattn/clattn.h"
#include "numbers_by_seed.h"
#include "projection_text.h"

enum { CHUNK = 256 /* numbers that are made at a time */, SPARE_ROWS = 3 /* of the cache, past the last position */ };

/* Cosines and sines are numbers of [-1,1); everything else has variance 1, the weights 1/E, so that y has it too. */
static double number(const projection_text *p, int32_t slot, uint64_t *state)
{
  const double bell = next_number(state);
  if (slot == CLATTN_W || (slot >= CLATTN_W_Q && slot <= CLATTN_W_V))
    return bell / sqrt((double)p->value[PROJECTION_e]);
  return slot == CLATTN_COS_CACHE || slot == CLATTN_SIN_CACHE ? bell / 3.0 : bell;
}

static void fill_numbers(const projection_text *p, int32_t slot, st_tensor *tensor)
{
  const size_t bytes = st_type_bytes(tensor->type), n = tensor->bytes / bytes;
  uint64_t state = stream_of((uint64_t)p->value[PROJECTION_seed], tensor->name);
  for (size_t i = 0; i < n; i += CHUNK) {
    double numbers[CHUNK];
    const size_t count = n - i < CHUNK ? n - i : CHUNK;
    for (size_t j = 0; j < count; j++) numbers[j] = number(p, slot, &state);
    clattn_convert((clattn_dtype)st_type_dtype(tensor->type), (char *)tensor->data + i * bytes, CLATTN_F64, numbers,
                   count);
  }
}

/* Some positions lie outside of the cache on either side. */
static void fill_ids(const projection_text *p, st_tensor *tensor)
{
  uint64_t state = stream_of((uint64_t)p->value[PROJECTION_seed], tensor->name);
  const uint64_t rows = (uint64_t)p->value[PROJECTION_s] + SPARE_ROWS;
  for (size_t i = 0; i < tensor->bytes / sizeof(int64_t); i++)
    ((int64_t *)tensor->data)[i] = (int64_t)(next_word(&state) % (rows + 4)) - 2;
}

bool projection_fill(const projection_text *p, int32_t slot, st_file *file, st_error *error)
{
  const int64_t *v = p->value, rotary = v[PROJECTION_rotary];
  const int64_t q = v[PROJECTION_h] * v[PROJECTION_d], k = v[PROJECTION_hk] * v[PROJECTION_d];
  const int64_t of_v = v[PROJECTION_hk] * projection_dv(p);
  const bool alone = v[PROJECTION_hk] == 0, bias = v[PROJECTION_bias] != 0;
  const int64_t half = (v[PROJECTION_rotary_dim] ? v[PROJECTION_rotary_dim] : v[PROJECTION_d]) / 2;
  const bool dense = rotary == PROJECTION_ROTARY_dense;
  const int64_t s = v[PROJECTION_s], first = dense ? v[PROJECTION_b] : v[PROJECTION_position_offset] + s + SPARE_ROWS;
  const struct {
    int32_t slot;
    bool there;
    int64_t dtype;
    int rank;
    int64_t dim[3];
  } tensors[] = {
      {CLATTN_X, true, v[PROJECTION_x_type], 3, {v[PROJECTION_b], s, v[PROJECTION_e]}},
      {CLATTN_W, alone, v[PROJECTION_w_type], 2, {q, v[PROJECTION_e]}},
      {CLATTN_W_Q, !alone, v[PROJECTION_w_type], 2, {q, v[PROJECTION_e]}},
      {CLATTN_W_K, !alone, v[PROJECTION_w_type], 2, {k, v[PROJECTION_e]}},
      {CLATTN_W_V, !alone, v[PROJECTION_w_type], 2, {of_v, v[PROJECTION_e]}},
      {CLATTN_BIAS, alone && bias, v[PROJECTION_x_type], 1, {q}},
      {CLATTN_BIAS_Q, !alone && bias, v[PROJECTION_x_type], 1, {q}},
      {CLATTN_BIAS_K, !alone && bias, v[PROJECTION_x_type], 1, {k}},
      {CLATTN_BIAS_V, !alone && bias, v[PROJECTION_x_type], 1, {of_v}},
      {CLATTN_COS_CACHE, rotary != 0, v[PROJECTION_cache_type], dense ? 3 : 2, {first, dense ? s : half, half}},
      {CLATTN_SIN_CACHE, rotary != 0, v[PROJECTION_cache_type], dense ? 3 : 2, {first, dense ? s : half, half}},
      {CLATTN_POSITION_IDS, rotary == PROJECTION_ROTARY_ids, CLATTN_I64, 2, {v[PROJECTION_b], s}},
  };
  for (size_t i = 0; i < sizeof tensors / sizeof tensors[0]; i++) {
    if (tensors[i].slot != slot || !tensors[i].there) continue;
    const char *name = clattn_slot_text((clattn_slot)slot);
    st_tensor *tensor =
        st_add(file, name, st_type_of_dtype((int32_t)tensors[i].dtype), tensors[i].rank, tensors[i].dim);
    if (!tensor)
      return st_fail(error, "projection: no memory for %s %s", name,
                     st_show_shape(tensors[i].rank, tensors[i].dim).text);
    if (slot == CLATTN_POSITION_IDS)
      fill_ids(p, tensor);
    else
      fill_numbers(p, slot, tensor);
  }
  return true;
}
