/* Layers of a network: their names and order, and those of which only P or A is known. */

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json_scan.h"
#include "network_layer.h"
#include "network_map.h"
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
  free(l->row_entropy);
}

void network_remove_layer(network *n, int index)
{
  free_layer(&n->layers[index]);
  n->n_layers--;
  for (int i = index; i < n->n_layers; i++) n->layers[i] = n->layers[i + 1];
}

void network_sort(network *n)
{
  for (int i = 0; i < n->n_layers; i++)
    if (n->layers[i].number < 0) return;
  for (int i = 1; i < n->n_layers; i++) {
    const network_layer l = n->layers[i];
    int at = i;
    for (; at > 0 && n->layers[at - 1].number > l.number; at--) n->layers[at] = n->layers[at - 1];
    n->layers[at] = l;
  }
}

void network_free(network *n)
{
  for (int i = 0; i < n->n_layers; i++) free_layer(&n->layers[i]);
  free(n->layers);
  network_map_free(n);
  *n = (network){.d = n->d, .operators = n->operators};
}

/* The label `layer`. */
static int64_t layer_number(const st_file *file)
{
  const char *text = st_label_value(file, "layer");
  if (!text || !*text || strlen(text) > 9 || strspn(text, "0123456789") != strlen(text)) return -1;
  return strtoll(text, NULL, 10);
}

network_layer *network_new_layer(network *n, const char *path, int64_t batch)
{
  network_layer *grown = realloc(n->layers, (size_t)(n->n_layers + 1) * sizeof *grown);
  if (!grown) return NULL;
  n->layers = grown;
  network_layer *l = &n->layers[n->n_layers++];
  *l = (network_layer){.path = path, .batch = batch, .scale = (double)NAN, .window_left = -1, .window_right = -1};
  return l;
}

bool network_check_batch(int64_t batch, int64_t b, st_error *error)
{
  if (batch >= 0 && batch < b) return true;
  if (b == 0) return st_fail(error, "the batch is empty: there is nothing to draw");
  return st_fail(error, "--batch is %" PRId64 ", but the batch has entries 0 to %" PRId64, batch, b - 1);
}

static const network_head unknown_head = {.a_share = NAN,
                                          .w_share = NAN,
                                          .entropy_mean = NAN,
                                          .entropy_least = NAN,
                                          .entropy_most = NAN,
                                          .first_share = NAN,
                                          .sharpness = NAN};

bool network_name_layer(network_layer *l, const st_file *file, st_error *error)
{
  if (l->heads < 1 || l->sq < 1 || l->sk < 1)
    return st_fail(error,
                   "%" PRId64 " heads, %" PRId64 " query tokens, %" PRId64 " key tokens: there is nothing to draw",
                   l->heads, l->sq, l->sk);
  const char *source = st_label_value(file, "source");
  l->number = layer_number(file);
  l->name = layer_name(file, l->path);
  if (l->name) utf8_mend(l->name);
  l->source = source ? copy_text(source) : NULL;
  l->head = malloc((size_t)l->heads * sizeof *l->head);
  if (!l->name || (source && !l->source) || !l->head) return st_fail(error, "out of memory");
  for (int64_t h = 0; h < l->heads; h++) l->head[h] = unknown_head;
  return token_texts_take(st_label_value(file, "tokens"), l->batch, l, error);
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

/* Masks that are added as numbers are -1e9, or the lowest number of a type (of float16 -65504), and rounded: a score so
 * low is a key that is not attended, as -inf is. */
static const float masked_score = -9e8f, masked_float16 = -6e4f;

/* Where a key is not attended, a score is -inf and a weight 0; anything else has to be a number. A weight of -0.0 is
 * how the softmax stage marks such a key. */
static bool check_bare(const network_layer *l, const st_tensor *t, st_error *error)
{
  const int64_t count = l->heads * l->sq * l->sk;
  const float masked = t->type == ST_F16 ? masked_float16 : masked_score;
  for (int64_t i = 0; i < count; i++) {
    if (l->bare[i] == 0.0f) l->bare[i] = 0.0f;
    if (l->bare_is == NETWORK_A && l->bare[i] <= masked) l->bare[i] = -INFINITY;
    const float x = l->bare[i];
    if (isfinite(x) || (l->bare_is == NETWORK_A && x == -INFINITY)) continue;
    return st_fail(error,
                   "tensor '%s': head %" PRId64 ", query %" PRId64 ", key %" PRId64 " is %g in float32, must be %s",
                   t->name, i / (l->sq * l->sk), i / l->sk % l->sq, i % l->sk, (double)x,
                   l->bare_is == NETWORK_A ? "finite or -inf" : "finite");
  }
  return true;
}

/* Whether its queries are the last of its keys: a file does not say so. They are where there are as many, or where none
 * attends a later token; otherwise queries and keys are two sequences, as of an encoder and a decoder. */
static bool is_one_sequence(const network_layer *l)
{
  const float none = l->bare_is == NETWORK_A ? -INFINITY : 0.0f;
  if (l->sq >= l->sk) return l->sq == l->sk;
  for (int64_t row = 0; row < l->heads * l->sq; row++)
    for (int64_t j = l->sk - l->sq + row % l->sq + 1; j < l->sk; j++)
      if (l->bare[row * l->sk + j] != none) return false;
  return true;
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
  if (!network_check_batch(batch, t->rank == 4 ? t->dim[0] : 1, error)) return false;
  network_layer *l = network_new_layer(n, path, batch);
  if (!l) return st_fail(error, "out of memory");
  l->heads = t->rank > 2 ? t->dim[t->rank - 3] : 1;
  l->key_heads = l->heads;
  l->sq = t->dim[t->rank - 2];
  l->sk = t->dim[t->rank - 1];
  l->padded_keys = l->sk;
  l->bare_is = quantity;
  const size_t count = (size_t)(l->heads * l->sq * l->sk);
  l->bare = malloc(count * sizeof *l->bare + 1);
  if (!l->bare) return st_fail(error, "tensor '%s': out of memory", t->name);
  clattn_convert(CLATTN_F32, l->bare, (clattn_dtype)type,
                 (const char *)t->data + (size_t)batch * count * st_type_bytes(t->type), count);
  if (!check_bare(l, t, error)) return false;
  l->one_sequence = is_one_sequence(l);
  l->offset = l->one_sequence ? l->sk - l->sq : 0;
  return network_name_layer(l, file, error);
}
