/* A plan of the library's map serves every head and every layer of one shape: it is of one head, whose tensors lie at
 * offsets of the layer's buffers. The last few plans are kept, and the buffers of the last layer. */
#include "network_map.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { KEPT_PLANS = 16 };

/* What a plan depends on. Compared byte by byte: made from zeros. */
typedef struct plan_key {
  int64_t sq, sk, dk, offset, window_left, window_right, mask_rows, tile_rows, tile_keys;
  network_range range;
  double scale, softcap;
  int32_t causal, quantity, sum, most;
} plan_key;

typedef struct kept_plan {
  plan_key key;
  clattn_plan *plan;
  uint64_t used; /* when last */
} kept_plan;

/* A buffer that grows. */
typedef struct kept_room {
  cl_mem mem;
  size_t bytes;
} kept_room;

typedef struct network_map {
  kept_plan plans[KEPT_PLANS];
  uint64_t uses;
  int layer; /* whose buffers these are; -1: none */
  cl_mem q, k, lse, mask, weight;
  kept_room sum, most, workspace;
} network_map;

static void release(cl_mem *mem)
{
  if (*mem) clReleaseMemObject(*mem);
  *mem = NULL;
}

static void release_layer(network_map *m)
{
  release(&m->q);
  release(&m->k);
  release(&m->lse);
  release(&m->mask);
  release(&m->weight);
  m->layer = -1;
}

void network_map_free(network *n)
{
  network_map *m = n->map;
  if (!m) return;
  for (int i = 0; i < KEPT_PLANS; i++) clattn_plan_destroy(m->plans[i].plan);
  release_layer(m);
  release(&m->sum.mem);
  release(&m->most.mem);
  release(&m->workspace.mem);
  free(m);
  n->map = NULL;
}

static bool make_buffer(const network *n, const void *data, size_t bytes, cl_mem *out, st_error *error)
{
  cl_int code;
  /* Copied, never written: OpenCL has no const pointer here. */
  *out = clCreateBuffer(clattn_context_cl_context(n->d->context),
                        data ? CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR : CL_MEM_READ_WRITE, bytes,
                        (void *)(uintptr_t)data, &code);
  if (!code) return true;
  *out = NULL;
  return st_fail(error, "a buffer of %zu bytes: OpenCL error %d on %s", bytes, (int)code, n->d->name);
}

static bool make_room(const network *n, kept_room *room, size_t bytes, st_error *error)
{
  if (room->bytes >= bytes) return true;
  release(&room->mem);
  room->bytes = 0;
  if (!make_buffer(n, NULL, bytes, &room->mem, error)) return false;
  room->bytes = bytes;
  return true;
}

static bool upload_layer(network *n, int layer, st_error *error)
{
  network_map *m = n->map;
  const network_layer *l = &n->layers[layer];
  const size_t row = sizeof(float);
  if (m->layer == layer) return true;
  release_layer(m);
  if (!make_buffer(n, l->q, row * (size_t)(l->heads * l->sq * l->dk), &m->q, error) ||
      !make_buffer(n, l->k, row * (size_t)(l->key_heads * l->sk * l->dk), &m->k, error) ||
      !make_buffer(n, l->lse, row * (size_t)(l->heads * l->sq), &m->lse, error))
    return false;
  if (l->mask && !make_buffer(n, l->mask, row * (size_t)(l->mask_heads * l->mask_rows * l->sk), &m->mask, error))
    return false;
  m->layer = layer;
  return true;
}

/* The norm of every value. */
static bool upload_weight(network *n, int layer, st_error *error)
{
  network_map *m = n->map;
  const network_layer *l = &n->layers[layer];
  const size_t count = (size_t)(l->key_heads * l->sk);
  if (m->weight) return true;
  float *norms = malloc(count * sizeof *norms);
  if (!norms) return st_fail(error, "out of memory");
  for (size_t i = 0; i < count; i++) {
    const float *v = l->v + i * (size_t)l->dv;
    double sum = 0.0;
    for (int64_t c = 0; c < l->dv; c++) sum += (double)v[c] * (double)v[c];
    norms[i] = (float)sqrt(sum);
  }
  const bool good = make_buffer(n, norms, count * sizeof *norms, &m->weight, error);
  free(norms);
  return good;
}

static clattn_tensor tiles_view(const plan_key *key)
{
  return clattn_bhsd(CLATTN_F32, 1, 1, (key->range.rows + key->tile_rows - 1) / key->tile_rows,
                     (key->range.keys + key->tile_keys - 1) / key->tile_keys);
}

static bool make_plan(network *n, const plan_key *key, clattn_plan **plan, st_error *error)
{
  clattn_attention_desc attention = CLATTN_ATTENTION_DESC_INIT;
  clattn_map_desc map = CLATTN_MAP_DESC_INIT;
  attention.flags = CLATTN_QUERY_OFFSET | (key->causal ? CLATTN_CAUSAL : 0u);
  attention.query_offset = key->offset;
  attention.q = clattn_bhsd(CLATTN_F32, 1, 1, key->sq, key->dk);
  attention.k = clattn_bhsd(CLATTN_F32, 1, 1, key->sk, key->dk);
  attention.lse = clattn_dense(CLATTN_F32, 3, (int64_t[]){1, 1, key->sq});
  if (key->mask_rows > 0) attention.mask = clattn_dense(CLATTN_F32, 2, (int64_t[]){key->mask_rows, key->sk});
  attention.scale = key->scale;
  attention.softcap = key->softcap;
  attention.window_left = key->window_left, attention.window_right = key->window_right;
  map.attention = &attention;
  map.quantity = key->quantity == NETWORK_A ? CLATTN_QUANTITY_SCALED : CLATTN_QUANTITY_PROBABILITY;
  if (key->quantity == NETWORK_TRAVEL) map.key_weight = clattn_dense(CLATTN_F32, 3, (int64_t[]){1, 1, key->sk});
  if (key->sum) map.map = tiles_view(key);
  if (key->most) map.map_max = tiles_view(key);
  map.row_first = key->range.row, map.row_count = key->range.rows;
  map.key_first = key->range.key, map.key_count = key->range.keys;
  map.tile_rows = key->tile_rows, map.tile_keys = key->tile_keys;
  const clattn_status status = clattn_plan_map(n->d->context, &map, plan, &n->d->report);
  return status == CLATTN_OK || st_fail(error, "map: %.400s", n->d->report.message);
}

/* A plan that is kept, or a new one in place of the one that was not used for longest. */
static bool find_plan(network *n, const plan_key *key, clattn_plan **plan, st_error *error)
{
  network_map *m = n->map;
  kept_plan *oldest = &m->plans[0];
  for (int i = 0; i < KEPT_PLANS; i++) {
    kept_plan *kept = &m->plans[i];
    if (kept->plan && memcmp(&kept->key, key, sizeof *key) == 0) {
      kept->used = ++m->uses;
      *plan = kept->plan;
      return true;
    }
    if (kept->used < oldest->used) oldest = kept;
  }
  if (!make_plan(n, key, plan, error)) return false;
  clattn_plan_destroy(oldest->plan);
  *oldest = (kept_plan){.key = *key, .plan = *plan, .used = ++m->uses};
  return true;
}

typedef struct bindings {
  clattn_binding list[8];
  uint32_t count;
} bindings;

static void bind(bindings *b, clattn_slot slot, cl_mem mem, int64_t first_element)
{
  b->list[b->count++] =
      (clattn_binding){.slot = (int32_t)slot, .mem = mem, .offset_bytes = (size_t)first_element * sizeof(float)};
}

/* P is at most 1: lse and scores far from 0 are rounded apart. */
static void keep_below(float *numbers, size_t count, float most)
{
  for (size_t i = 0; i < count; i++)
    if (numbers[i] > most) numbers[i] = most;
}

static bool run_plan(network *n, const plan_key *key, const clattn_plan *plan, const bindings *b, size_t bytes,
                     float *sum, float *most, st_error *error)
{
  network_map *m = n->map;
  const bool shares = key->quantity == NETWORK_P;
  const size_t count = bytes / sizeof(float);
  const clattn_status status = clattn_enqueue(plan, n->d->queue, b->list, b->count, 0, NULL, NULL, &n->d->report);
  if (status != CLATTN_OK) return st_fail(error, "map: %.400s", n->d->report.message);
  if ((key->sum && !device_read(n->d, m->sum.mem, sum, bytes, error)) ||
      (key->most && !device_read(n->d, m->most.mem, most, bytes, error)))
    return false;
  if (shares && key->sum) keep_below(sum, count, (float)(key->tile_rows * key->tile_keys));
  if (shares && key->most) keep_below(most, count, 1.0f);
  return true;
}

static plan_key key_of(const network_layer *l, network_quantity quantity, network_range range, int64_t tile_rows,
                       int64_t tile_keys)
{
  plan_key key;
  memset(&key, 0, sizeof key);
  key.sq = l->sq, key.sk = l->sk, key.dk = l->dk, key.offset = l->offset;
  key.window_left = l->window_left, key.window_right = l->window_right;
  key.mask_rows = l->mask && quantity != NETWORK_A ? l->mask_rows : 0;
  key.scale = l->scale, key.softcap = l->softcap;
  key.causal = l->causal;
  key.quantity = (int32_t)quantity;
  key.range = range;
  key.tile_rows = tile_rows, key.tile_keys = tile_keys;
  return key;
}

bool network_map_run(network *n, int layer, int64_t head, network_quantity quantity, network_range range,
                     int64_t tile_rows, int64_t tile_keys, float *sum, float *most, st_error *error)
{
  const network_layer *l = &n->layers[layer];
  const int64_t key_head = head / (l->heads / l->key_heads);
  plan_key key = key_of(l, quantity, range, tile_rows, tile_keys);
  bindings b = {.count = 0};
  clattn_plan *plan;
  key.sum = sum != NULL, key.most = most != NULL;
  const clattn_tensor tiles = tiles_view(&key);
  const size_t bytes = (size_t)(tiles.dim[2] * tiles.dim[3]) * sizeof(float);
  if (!n->map) {
    n->map = calloc(1, sizeof *n->map);
    if (!n->map) return st_fail(error, "out of memory");
    n->map->layer = -1;
  }
  network_map *m = n->map;
  if (!upload_layer(n, layer, error) || (quantity == NETWORK_TRAVEL && !upload_weight(n, layer, error)) ||
      !find_plan(n, &key, &plan, error) || (sum && !make_room(n, &m->sum, bytes, error)) ||
      (most && !make_room(n, &m->most, bytes, error)) ||
      !make_room(n, &m->workspace, clattn_plan_workspace_bytes(plan), error))
    return false;
  bind(&b, CLATTN_Q, m->q, head * l->sq * l->dk);
  bind(&b, CLATTN_K, m->k, key_head * l->sk * l->dk);
  if (quantity != NETWORK_A) bind(&b, CLATTN_LSE, m->lse, head * l->sq);
  if (key.mask_rows) bind(&b, CLATTN_MASK, m->mask, (l->mask_heads > 1 ? head : 0) * l->mask_rows * l->sk);
  if (quantity == NETWORK_TRAVEL) bind(&b, CLATTN_KEY_WEIGHT, m->weight, key_head * l->sk);
  if (sum) bind(&b, CLATTN_MAP, m->sum.mem, 0);
  if (most) bind(&b, CLATTN_MAP_MAX, m->most.mem, 0);
  if (m->workspace.mem) bind(&b, CLATTN_WORKSPACE, m->workspace.mem, 0);
  return run_plan(n, &key, plan, &b, bytes, sum, most, error);
}
