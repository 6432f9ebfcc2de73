/* From a layer to a network: it is run for its Q, K, V and lse. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "network_layer.h"
#include "operator_shares.h"

/* `rows` x `width` numbers of each head of one entry of the batch, from row 0 on, as float32. */
static float *take_heads(const st_tensor *t, int64_t batch, int64_t rows)
{
  const int64_t heads = t->dim[1], all_rows = t->dim[2], width = t->rank == 4 ? t->dim[3] : 1;
  const clattn_dtype type = (clattn_dtype)st_type_dtype(t->type);
  const size_t element = st_type_bytes(t->type), count = (size_t)(rows * width);
  float *out = malloc(count * (size_t)heads * sizeof *out + 1);
  for (int64_t h = 0; h < heads && out; h++)
    clattn_convert(CLATTN_F32, out + (size_t)h * count, type,
                   (const char *)t->data + (size_t)((batch * heads + h) * all_rows * width) * element, count);
  return out;
}

/* The number at an index of a mask that is broadcast from the right; what a short last dimension lacks is not
 * attended. */
static float mask_at(const st_tensor *t, const float *numbers, int64_t batch, int64_t head, int64_t row, int64_t key)
{
  const int64_t index[4] = {batch, head, row, key};
  int64_t at = 0;
  for (int d = 0; d < t->rank; d++) {
    const int64_t i = index[4 - t->rank + d];
    if (d == t->rank - 1 && i >= t->dim[d]) return -INFINITY;
    at = at * t->dim[d] + (t->dim[d] == 1 ? 0 : i);
  }
  if (t->type == ST_BOOL) return ((const uint8_t *)t->data)[at] ? 0.0f : -INFINITY;
  return numbers[at];
}

static bool check_mask(const network_layer *l, st_error *error)
{
  const int64_t count = l->mask_heads * l->mask_rows * l->sk;
  for (int64_t i = 0; i < count; i++)
    if (!(l->mask[i] < INFINITY))
      return st_fail(error, "tensor 'attn_mask': a bias of key %" PRId64 " is %g, must be below infinity", i % l->sk,
                     (double)l->mask[i]);
  return true;
}

static bool take_mask(network_layer *l, const st_tensor *t, st_error *error)
{
  if (!t) return true;
  const size_t count = t->bytes / st_type_bytes(t->type);
  float *numbers = NULL;
  if (t->type != ST_BOOL) {
    numbers = malloc(count * sizeof *numbers + 1);
    if (!numbers) return st_fail(error, "out of memory");
    clattn_convert(CLATTN_F32, numbers, (clattn_dtype)st_type_dtype(t->type), t->data, count);
  }
  l->mask_heads = t->rank >= 3 && t->dim[t->rank - 3] > 1 ? l->heads : 1;
  l->mask_rows = t->rank >= 2 && t->dim[t->rank - 2] > 1 ? l->sq : 1;
  l->mask = malloc((size_t)(l->mask_heads * l->mask_rows * l->sk) * sizeof *l->mask + 1);
  if (l->mask)
    for (int64_t h = 0; h < l->mask_heads; h++)
      for (int64_t i = 0; i < l->mask_rows; i++)
        for (int64_t j = 0; j < l->sk; j++)
          l->mask[(h * l->mask_rows + i) * l->sk + j] = mask_at(t, numbers, l->batch, h, i, j);
  free(numbers);
  return l->mask ? check_mask(l, error) : st_fail(error, "out of memory");
}

/* The entry of the batch may have its own number of keys. */
static void take_sizes(network_layer *to, const layer *l)
{
  const st_tensor *nonpad = l->input[LAYER_nonpad_kv_seqlen];
  to->heads = l->hq, to->key_heads = l->hk, to->sq = l->sq, to->dk = l->dk, to->dv = l->dv;
  to->padded_keys = l->past + l->sk;
  to->sk = nonpad ? ((const int64_t *)nonpad->data)[to->batch] : to->padded_keys;
  to->offset = nonpad ? to->sk - l->sq : l->past;
  to->one_sequence = !l->input[LAYER_I_kv] && to->offset + to->sq == to->sk && to->offset >= 0;
  to->scale = isnan(l->attr.scale) ? 1.0 / sqrt((double)l->dk) : l->attr.scale;
  to->softcap = l->attr.softcap;
  to->causal = l->attr.is_causal;
  to->window_left = l->attr.left_window_size, to->window_right = l->attr.right_window_size;
}

bool network_add_layer(network *n, const layer *l, const char *path, int64_t batch, st_error *error)
{
  if (!network_check_batch(batch, l->b, error)) return false;
  network_layer *to = network_new_layer(n, path, batch);
  if (!to) return st_fail(error, "out of memory");
  take_sizes(to, l);
  return network_name_layer(to, &l->file, error) && take_mask(to, l->input[LAYER_attn_mask], error);
}

/* Pictures show numbers. An lse of -inf is a row without any key. */
static bool check_numbers(const char *name, const float *numbers, int64_t heads, int64_t rows, int64_t width,
                          bool empty_rows, st_error *error)
{
  for (int64_t i = 0; i < heads * rows * width; i++) {
    if (isfinite(numbers[i]) || (empty_rows && numbers[i] == -INFINITY)) continue;
    return st_fail(error, "%s of head %" PRId64 ", token %" PRId64 " is %g, must be finite", name, i / (rows * width),
                   i / width % rows, (double)numbers[i]);
  }
  return true;
}

static bool take_results(network_layer *to, const layer *l, const st_file *results, st_error *error)
{
  const bool past = l->input[LAYER_past_key] != NULL;
  to->q = take_heads(st_find(results, "Q"), to->batch, to->sq);
  to->k = take_heads(st_find(results, past ? "present_key" : "K"), to->batch, to->sk);
  to->v = take_heads(st_find(results, past ? "present_value" : "V"), to->batch, to->sk);
  to->lse = take_heads(st_find(results, "lse"), to->batch, to->sq);
  if (!to->q || !to->k || !to->v || !to->lse) return st_fail(error, "out of memory");
  return check_numbers("Q", to->q, to->heads, to->sq, to->dk, false, error) &&
         check_numbers("K", to->k, to->key_heads, to->sk, to->dk, false, error) &&
         check_numbers("V", to->v, to->key_heads, to->sk, to->dv, false, error) &&
         check_numbers("lse", to->lse, to->heads, to->sq, 1, true, error);
}

static bool take_operators(network_layer *to, const layer *l, st_error *error)
{
  double *shares = malloc((size_t)l->hq * sizeof *shares);
  const bool good = (shares || st_fail(error, "out of memory")) && operator_shares_take(l, shares, error);
  for (int64_t h = 0; h < l->hq && good; h++) to->head[h].w_share = shares[h];
  free(shares);
  return good;
}

bool network_run_layer(network *n, int index, const layer *l, st_error *error)
{
  pipeline_options options = {.path = CLATTN_PATH_AUTO};
  st_file results = {0};
  options.want[OUT_Q] = options.want[OUT_K] = options.want[OUT_V] = options.want[OUT_lse] = true;
  options.want[OUT_present_key] = options.want[OUT_present_value] = l->input[LAYER_past_key] != NULL;
  const bool good = pipeline_run(n->d, l, &options, &results, error) &&
                    take_results(&n->layers[index], l, &results, error) &&
                    (!n->operators || !operator_shares_are(l) || take_operators(&n->layers[index], l, error));
  st_free(&results);
  device_release(n->d);
  return good;
}
