/* From a file to a network: a layer is run for its Q, K, V and lse; P or A are taken as they are. */
#include "network.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "token_texts.h"

static const struct {
  const char *text, *title, *unit;
} quantities[] = {
#define NETWORK_QUANTITY_TEXTS(name, text, title, unit) {text, title, unit},
    NETWORK_QUANTITY_LIST(NETWORK_QUANTITY_TEXTS)
#undef NETWORK_QUANTITY_TEXTS
};

const char *network_quantity_text(network_quantity quantity) { return quantities[quantity].text; }
const char *network_quantity_title(network_quantity quantity) { return quantities[quantity].title; }
const char *network_quantity_unit(network_quantity quantity) { return quantities[quantity].unit; }

static char *copy_text(const char *text)
{
  const size_t bytes = strlen(text) + 1;
  char *copy = malloc(bytes);
  if (copy) memcpy(copy, text, bytes);
  return copy;
}

/* The label `layer` or `title`, else the file's name without folder and ending. */
static char *layer_name(const st_file *file, const char *path)
{
  char text[160];
  const char *title = st_label_value(file, "title"), *number = st_label_value(file, "layer");
  if (title) return copy_text(title);
  if (number) {
    snprintf(text, sizeof text, "layer %.100s", number);
    return copy_text(text);
  }
  const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path, *end = strrchr(base, '.');
  snprintf(text, sizeof text, "%.*s", (int)(end && end != base ? end - base : (ptrdiff_t)strlen(base)), base);
  return copy_text(text);
}

static void free_texts(char **texts, int64_t count)
{
  for (int64_t i = 0; texts && i < count; i++) free(texts[i]);
  free(texts);
}

static void free_layer(network_layer *l)
{
  free_texts(l->query_tokens, l->sq);
  free_texts(l->key_tokens, l->sk);
  free(l->name);
  free(l->source);
  free(l->q);
  free(l->k);
  free(l->v);
  free(l->lse);
  free(l->mask);
  free(l->bare);
  free(l->head);
}

void network_free(network *n)
{
  for (int i = 0; i < n->n_layers; i++) free_layer(&n->layers[i]);
  free(n->layers);
  *n = (network){.d = n->d};
}

/* A new layer at the end: network_free frees whatever it holds. */
static network_layer *new_layer(network *n)
{
  network_layer *grown = realloc(n->layers, (size_t)(n->n_layers + 1) * sizeof *grown);
  if (!grown) return NULL;
  n->layers = grown;
  network_layer *l = &n->layers[n->n_layers++];
  *l = (network_layer){.scale = (double)NAN, .window_left = -1, .window_right = -1};
  return l;
}

static bool check_batch(int64_t batch, int64_t b, st_error *error)
{
  return (batch >= 0 && batch < b) ||
         st_fail(error, "--batch is %" PRId64 ", but the batch has entries 0 to %" PRId64, batch, b - 1);
}

/* Texts, labels and what every head has; sizes are known. */
static bool finish_layer(network_layer *l, const st_file *file, const char *path, int64_t batch, st_error *error)
{
  const char *source = st_label_value(file, "source");
  l->name = layer_name(file, path);
  l->source = source ? copy_text(source) : NULL;
  l->head = malloc((size_t)(l->heads ? l->heads : 1) * sizeof *l->head);
  if (!l->name || (source && !l->source) || !l->head) return st_fail(error, "out of memory");
  for (int64_t h = 0; h < l->heads; h++) l->head[h] = (network_head){.a_share = (double)NAN, .w_share = (double)NAN};
  return token_texts_take(st_label_value(file, "tokens"), batch, l, error);
}

/* ---- a layer that is run ---- */

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

static bool take_mask(network_layer *l, const st_tensor *t, int64_t batch, st_error *error)
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
          l->mask[(h * l->mask_rows + i) * l->sk + j] = mask_at(t, numbers, batch, h, i, j);
  free(numbers);
  return l->mask || st_fail(error, "out of memory");
}

/* What the run gave and the file said, of one entry of the batch. */
static bool take_results(network_layer *to, const layer *l, const st_file *results, int64_t batch, st_error *error)
{
  const bool past = l->input[LAYER_past_key] != NULL;
  const st_tensor *nonpad = l->input[LAYER_nonpad_kv_seqlen];
  to->heads = l->hq, to->key_heads = l->hk, to->sq = l->sq, to->dk = l->dk, to->dv = l->dv;
  to->sk = nonpad ? ((const int64_t *)nonpad->data)[batch] : l->past + l->sk;
  to->offset = nonpad ? to->sk - l->sq : l->past;
  to->one_sequence = !l->input[LAYER_I_kv] && to->offset + to->sq == to->sk && to->offset >= 0;
  to->scale = isnan(l->attr.scale) ? 1.0 / sqrt((double)l->dk) : l->attr.scale;
  to->softcap = l->attr.softcap;
  to->causal = l->attr.is_causal;
  to->window_left = l->attr.left_window_size, to->window_right = l->attr.right_window_size;
  to->q = take_heads(st_find(results, "Q"), batch, to->sq);
  to->k = take_heads(st_find(results, past ? "present_key" : "K"), batch, to->sk);
  to->v = take_heads(st_find(results, past ? "present_value" : "V"), batch, to->sk);
  to->lse = take_heads(st_find(results, "lse"), batch, to->sq);
  return (to->q && to->k && to->v && to->lse) || st_fail(error, "out of memory");
}

bool network_add_layer(network *n, const layer *l, const char *path, int64_t batch, st_error *error)
{
  pipeline_options options = {.path = CLATTN_PATH_AUTO};
  st_file results = {0};
  if (!check_batch(batch, l->b, error)) return false;
  options.want[OUT_Q] = options.want[OUT_K] = options.want[OUT_V] = options.want[OUT_lse] = true;
  options.want[OUT_present_key] = options.want[OUT_present_value] = l->input[LAYER_past_key] != NULL;
  network_layer *to = new_layer(n);
  const bool good = (to || st_fail(error, "out of memory")) && pipeline_run(n->d, l, &options, &results, error) &&
                    take_results(to, l, &results, batch, error) &&
                    take_mask(to, l->input[LAYER_attn_mask], batch, error) &&
                    finish_layer(to, &l->file, path, batch, error);
  st_free(&results);
  return good;
}

/* ---- P or A from anywhere ---- */

static const st_tensor *bare_tensor(const st_file *file, network_quantity *quantity)
{
  const st_tensor *p = st_find(file, "P"), *a = st_find(file, "A");
  *quantity = p ? NETWORK_P : NETWORK_A;
  return p ? p : a;
}

bool network_is_bare(const st_file *file)
{
  network_quantity quantity;
  const bool given = st_find(file, "Q") && st_find(file, "K") && st_find(file, "V");
  return !st_find(file, "I") && !given && bare_tensor(file, &quantity);
}

bool network_add_bare(network *n, const st_file *file, const char *path, int64_t batch, st_error *error)
{
  network_quantity quantity;
  const st_tensor *t = bare_tensor(file, &quantity);
  const int32_t type = st_type_dtype(t->type);
  if (t->rank < 2 || t->rank > 4)
    return st_fail(error, "tensor '%s': rank %d (shape %s), must be 2 to 4", t->name, t->rank,
                   st_show_shape(t->rank, t->dim).text);
  if (type < CLATTN_F32 || type > CLATTN_F64)
    return st_fail(error, "tensor '%s': type %s, must be one of F32, F16, BF16, F64", t->name, st_type_name(t->type));
  if (!check_batch(batch, t->rank == 4 ? t->dim[0] : 1, error)) return false;
  network_layer *l = new_layer(n);
  if (!l) return st_fail(error, "out of memory");
  l->heads = t->rank > 2 ? t->dim[t->rank - 3] : 1;
  l->key_heads = l->heads;
  l->sq = t->dim[t->rank - 2];
  l->sk = t->dim[t->rank - 1];
  l->one_sequence = l->sq <= l->sk;
  l->offset = l->one_sequence ? l->sk - l->sq : 0;
  l->bare_is = quantity;
  const size_t count = (size_t)(l->heads * l->sq * l->sk);
  l->bare = malloc(count * sizeof *l->bare + 1);
  if (!l->bare) return st_fail(error, "tensor '%s': out of memory", t->name);
  clattn_convert(CLATTN_F32, l->bare, (clattn_dtype)type,
                 (const char *)t->data + (size_t)batch * count * st_type_bytes(t->type), count);
  return finish_layer(l, file, path, batch, error);
}
