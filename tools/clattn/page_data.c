/* Layers as JSON, their numbers as base64. */
#include "page_data.h"

#include <inttypes.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "colours.h"
#include "page_blocks.h"
#include "page_half.h"
#include "page_text.h"

typedef struct writer {
  text_buffer *p;
  network *n;
  const draw_options *options;
  page_blocks blocks;
  int64_t *heads; /* of the layer that is written */
  int n_heads;
  int *key_blocks, *norm_blocks; /* of its key heads; -1: not written yet */
  bool *half;                    /* of its key heads: kept as float16 */
  st_error *error;
} writer;

static bool no_memory(writer *w) { return st_fail(w->error, "out of memory"); }

/* ---- tokens: layers of one model share them ---- */

static bool same_texts(char **a, int64_t n_a, char **b, int64_t n_b)
{
  bool same = n_a == n_b;
  for (int64_t i = 0; i < n_a && same; i++) same = strcmp(a[i], b[i]) == 0;
  return same;
}

/* Lists of texts so far are those of the layers before: 2 i for the queries of the i-th layer drawn, 2 i + 1 for its
 * keys. The first list that says the same. */
static int texts_index(const writer *w, int list)
{
  const network_layer *l = &w->n->layers[w->options->layers[list / 2]];
  char **texts = list % 2 ? l->key_tokens : l->query_tokens;
  const int64_t count = list % 2 ? l->sk : l->sq;
  for (int i = 0; i < list; i++) {
    const network_layer *before = &w->n->layers[w->options->layers[i / 2]];
    if (same_texts(texts, count, i % 2 ? before->key_tokens : before->query_tokens, i % 2 ? before->sk : before->sq))
      return i;
  }
  return list;
}

static void put_texts(writer *w)
{
  text_put(w->p, "\"texts\":[");
  for (int list = 0; list < 2 * w->options->n_layers; list++) {
    const network_layer *l = &w->n->layers[w->options->layers[list / 2]];
    char **texts = list % 2 ? l->key_tokens : l->query_tokens;
    const int64_t count = texts_index(w, list) < list ? 0 : list % 2 ? l->sk : l->sq;
    text_put(w->p, list ? ",\n[" : "\n[");
    for (int64_t i = 0; i < count; i++) {
      if (i) text_put(w->p, ",");
      page_put_string(w->p, texts[i]);
    }
    text_put(w->p, "]");
  }
  text_put(w->p, "],\n");
}

/* ---- a layer that was run ---- */

static bool only_on_or_off(const network_layer *l, int64_t count)
{
  for (int64_t i = 0; i < count; i++)
    if (l->mask[i] != 0.0f && l->mask[i] != -INFINITY) return false;
  return true;
}

static bool same_mask(const network_layer *a, const network_layer *b)
{
  return a->mask && b->mask && a->mask_heads == b->mask_heads && a->mask_rows == b->mask_rows && a->sk == b->sk &&
         memcmp(a->mask, b->mask, (size_t)(a->mask_heads * a->mask_rows * a->sk) * sizeof *a->mask) == 0;
}

/* "mask": null, or a block; -1 where memory is short. Layers after each other mostly have the same one. */
static bool put_mask(writer *w, const network_layer *l, const network_layer *before, int *block)
{
  const int64_t count = l->mask_heads * l->mask_rows * l->sk;
  if (!l->mask) {
    text_put(w->p, "\"mask\":null,");
    return true;
  }
  if (!before || !same_mask(l, before))
    *block = only_on_or_off(l, count) ? page_add_open_bits(&w->blocks, l->mask, count)
                                      : page_add_floats(&w->blocks, l->mask, count);
  text_format(w->p, "\"mask\":{\"block\":%d,\"heads\":%" PRId64 ",\"rows\":%" PRId64 "},", *block, l->mask_heads,
              l->mask_rows);
  return *block >= 0 || no_memory(w);
}

/* A page shows of a value how long it is, no more. */
static int add_norms(writer *w, const network_layer *l, int64_t key_head)
{
  float *norms = malloc((size_t)l->sk * sizeof *norms + 1);
  if (!norms) return -1;
  for (int64_t j = 0; j < l->sk; j++) {
    const float *v = l->v + (key_head * l->sk + j) * l->dv;
    double sum = 0.0;
    for (int64_t c = 0; c < l->dv; c++) sum += (double)v[c] * (double)v[c];
    norms[j] = (float)sqrt(sum);
  }
  const int block = page_add_floats(&w->blocks, norms, l->sk);
  free(norms);
  return block;
}

static bool put_run_head(writer *w, const network_layer *l, int64_t head)
{
  const int64_t key_head = head / (l->heads / l->key_heads), keys = l->sk * l->dk, queries = l->sq * l->dk;
  const bool half = w->half[key_head];
  int *k = &w->key_blocks[key_head], *norms = &w->norm_blocks[key_head];
  page_blocks *b = &w->blocks;
  if (*k < 0)
    *k = half ? page_add_halves(b, l->k + key_head * keys, keys) : page_add_floats(b, l->k + key_head * keys, keys);
  if (*norms < 0) *norms = add_norms(w, l, key_head);
  const float *queries_of = l->q + head * queries;
  const int q = half ? page_add_halves(b, queries_of, queries) : page_add_floats(b, queries_of, queries);
  const int lse = page_add_floats(b, l->lse + head * l->sq, l->sq);
  text_format(w->p, "\"q\":%d,\"k\":%d,\"norms\":%d,\"lse\":%d", q, *k, *norms, lse);
  return (q >= 0 && *k >= 0 && *norms >= 0 && lse >= 0) || no_memory(w);
}

/* ---- P or A alone ---- */

static int64_t edges_of(const network_layer *l, int64_t head)
{
  const float *cell = l->bare + head * l->sq * l->sk;
  int64_t count = 0;
  for (int64_t i = 0; i < l->sq * l->sk; i++) count += cell[i] != 0.0f;
  return count;
}

/* Dense, or where that is shorter the cells that are not 0: how many in each row, their keys, their values. */
static bool put_bare_head(writer *w, const network_layer *l, int64_t head)
{
  const int64_t cells = l->sq * l->sk, edges = edges_of(l, head);
  const float *from = l->bare + head * cells;
  if (2 * edges + l->sq >= cells) {
    const int dense = page_add_floats(&w->blocks, from, cells);
    text_format(w->p, "\"dense\":%d", dense);
    return dense >= 0 || no_memory(w);
  }
  int32_t *counts = calloc((size_t)l->sq + 1, sizeof *counts), *keys = malloc((size_t)edges * sizeof *keys + 1);
  float *values = malloc((size_t)edges * sizeof *values + 1);
  int blocks[3] = {-1, -1, -1};
  if (counts && keys && values) {
    int64_t at = 0;
    for (int64_t i = 0; i < cells; i++) {
      if (from[i] == 0.0f) continue;
      counts[i / l->sk]++;
      keys[at] = (int32_t)(i % l->sk);
      values[at++] = from[i];
    }
    blocks[0] = page_add_integers(&w->blocks, counts, l->sq);
    blocks[1] = page_add_integers(&w->blocks, keys, edges);
    blocks[2] = page_add_floats(&w->blocks, values, edges);
  }
  free(counts);
  free(keys);
  free(values);
  text_format(w->p, "\"counts\":%d,\"keys\":%d,\"values\":%d", blocks[0], blocks[1], blocks[2]);
  return (blocks[0] >= 0 && blocks[1] >= 0 && blocks[2] >= 0) || no_memory(w);
}

static bool check_bare_edges(network *n, const draw_options *options, st_error *error)
{
  int64_t edges = 0;
  for (int i = 0; i < options->n_layers; i++) {
    const network_layer *l = &n->layers[options->layers[i]];
    for (int h = 0; h < options->n_heads && l->bare; h++)
      if (options->heads[h] < l->heads) edges += edges_of(l, options->heads[h]);
  }
  return edges <= PAGE_MAX_BARE_EDGES || st_fail(error,
                                                 "the files of bare P or A have %" PRId64
                                                 " edges (cells that are not 0), a page takes %d of them: choose "
                                                 "heads or layers, or give Q, K and V",
                                                 edges, PAGE_MAX_BARE_EDGES);
}

/* ---- overviews of long inputs ---- */

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* Sums become what a query gives a tile (P, P|v|: mean over its queries) or the mean of its cells (scores). */
static void take_means(const network_layer *l, network_quantity quantity, const int64_t tile[2], float *sum)
{
  const int64_t down = (l->sq + tile[0] - 1) / tile[0], across = (l->sk + tile[1] - 1) / tile[1];
  for (int64_t i = 0; i < down; i++)
    for (int64_t j = 0; j < across; j++) {
      const int64_t rows = least(tile[0], l->sq - i * tile[0]), keys = least(tile[1], l->sk - j * tile[1]);
      const bool by_row = quantity == NETWORK_P || quantity == NETWORK_TRAVEL;
      sum[i * across + j] /= (float)(by_row ? rows : rows * keys);
    }
}

static bool put_overview(writer *w, int layer, int64_t head, const int64_t tile[2])
{
  const network_layer *l = &w->n->layers[layer];
  const int64_t cells = ((l->sq + tile[0] - 1) / tile[0]) * ((l->sk + tile[1] - 1) / tile[1]);
  float *sum = malloc((size_t)cells * sizeof *sum), *most = malloc((size_t)cells * sizeof *most);
  bool good = (sum && most) || no_memory(w), first = true;
  text_put(w->p, ",\"overview\":{");
  for (network_quantity quantity = NETWORK_P; quantity < NETWORK_QUANTITY_COUNT && good; quantity++) {
    if (!network_can_show(l, quantity)) continue;
    good = network_pool(w->n, layer, head, quantity, tile[0], tile[1], sum, most, w->error);
    if (!good) break;
    take_means(l, quantity, tile, sum);
    const int mean_block = page_add_numbers(&w->blocks, sum, cells);
    const int most_block = page_add_numbers(&w->blocks, most, cells);
    text_format(w->p, "%s\"%s\":{\"mean\":%d,\"most\":%d}", first ? "" : ",", network_quantity_text(quantity),
                mean_block, most_block);
    good = (mean_block >= 0 && most_block >= 0) || no_memory(w);
    first = false;
  }
  text_put(w->p, "}");
  free(sum);
  free(most);
  return good;
}

/* ---- layers ---- */

static void put_facts(text_buffer *p, const network_head *facts)
{
  const struct {
    const char *name;
    double value;
  } known[] = {{"a_share", facts->a_share},           {"w_share", facts->w_share},
               {"entropy_mean", facts->entropy_mean}, {"entropy_least", facts->entropy_least},
               {"entropy_most", facts->entropy_most}, {"first_share", facts->first_share},
               {"sharpness", facts->sharpness}};
  text_put(p, ",\"facts\":{");
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
    text_format(p, "%s\"%s\":", i ? "," : "", known[i].name);
    page_put_number(p, known[i].value);
  }
  text_put(p, "},\"pairs\":[");
  for (int i = 0; i < facts->n_pairs; i++) {
    const network_pair *pair = &facts->pairs[i];
    text_format(p, "%s[%" PRId64 ",%" PRId64 ",%.9g,%.9g]", i ? "," : "", pair->from, pair->to, pair->weight,
                pair->back);
  }
  text_put(p, "]");
}

static bool put_heads(writer *w, int layer)
{
  const network_layer *l = &w->n->layers[layer];
  const int64_t tile[2] = {(l->sq + PAGE_OVERVIEW - 1) / PAGE_OVERVIEW, (l->sk + PAGE_OVERVIEW - 1) / PAGE_OVERVIEW};
  const bool is_long = l->sq * l->sk > PAGE_WHOLE_CELLS;
  bool good = true;
  if (is_long) text_format(w->p, "\"tile\":[%" PRId64 ",%" PRId64 "],", tile[0], tile[1]);
  text_put(w->p, "\"heads\":[");
  for (int h = 0; h < w->n_heads && good; h++) {
    text_format(w->p, "%s\n{\"index\":%" PRId64 ",", h ? "," : "", w->heads[h]);
    good = l->bare ? put_bare_head(w, l, w->heads[h]) : put_run_head(w, l, w->heads[h]);
    if (good && is_long) good = put_overview(w, layer, w->heads[h], tile);
    good = good && network_report_head(w->n, layer, w->heads[h], w->error);
    put_facts(w->p, &l->head[w->heads[h]]);
    text_put(w->p, "}");
  }
  text_put(w->p, "]}");
  return good;
}

/* Which heads of the options a layer has: one at least. */
static bool take_layer_heads(writer *w, const network_layer *l)
{
  free(w->heads);
  free(w->key_blocks);
  free(w->norm_blocks);
  free(w->half);
  w->heads = malloc((size_t)(w->options->n_heads + 1) * sizeof *w->heads);
  w->key_blocks = malloc((size_t)(l->key_heads + 1) * sizeof *w->key_blocks);
  w->norm_blocks = malloc((size_t)(l->key_heads + 1) * sizeof *w->norm_blocks);
  w->half = calloc((size_t)l->key_heads + 1, sizeof *w->half);
  if (!w->heads || !w->key_blocks || !w->norm_blocks || !w->half) return no_memory(w);
  w->n_heads = 0;
  for (int h = 0; h < w->options->n_heads; h++)
    if (w->options->heads[h] < l->heads) w->heads[w->n_heads++] = w->options->heads[h];
  for (int64_t h = 0; h < l->key_heads; h++) w->key_blocks[h] = w->norm_blocks[h] = -1;
  return w->n_heads > 0 ||
         st_fail(w->error, "%s: it has %" PRId64 " heads, and none of those chosen", l->name, l->heads);
}

static bool put_layer(writer *w, int at, const network_layer *before, int *mask_block)
{
  const int layer = w->options->layers[at];
  const network_layer *l = &w->n->layers[layer];
  text_buffer *p = w->p;
  if (!take_layer_heads(w, l)) return false;
  text_put(p, at ? ",\n{\"name\":" : "\n{\"name\":");
  page_put_string(p, l->name);
  text_put(p, ",\"source\":");
  page_put_string(p, l->source ? l->source : "");
  text_format(p, ",\"sq\":%" PRId64 ",\"sk\":%" PRId64 ",\"dk\":%" PRId64 ",\"keyHeads\":%" PRId64 ",", l->sq, l->sk,
              l->dk, l->key_heads);
  text_format(p, "\"one\":%s,\"offset\":%" PRId64 ",\"named\":%s,\"queries\":%d,\"keys\":%d,",
              l->one_sequence ? "true" : "false", l->offset, l->named ? "true" : "false", texts_index(w, 2 * at),
              texts_index(w, 2 * at + 1));
  text_put(p, "\"quantities\":[");
  bool first = true;
  for (network_quantity q = NETWORK_P; q < NETWORK_QUANTITY_COUNT; q++) {
    if (!network_can_show(l, q)) continue;
    text_put(p, first ? "" : ",");
    page_put_string(p, network_quantity_text(q));
    first = false;
  }
  text_put(p, "],");
  if (l->bare) {
    text_put(p, "\"bare\":");
    page_put_string(p, network_quantity_text(l->bare_is));
    text_put(p, ",");
    return put_heads(w, layer);
  }
  if (!page_half_holds(l, w->heads, w->n_heads, w->half, w->error)) return false;
  text_format(p, "\"scale\":%.17g,\"softcap\":%.17g,\"causal\":%s,\"left\":%" PRId64 ",\"right\":%" PRId64 ",",
              l->scale, l->softcap, l->causal ? "true" : "false", l->window_left, l->window_right);
  return put_mask(w, l, before, mask_block) && put_heads(w, layer);
}

static void put_quantities(text_buffer *p)
{
  text_put(p, "\"quantities\":{");
  for (network_quantity q = NETWORK_P; q < NETWORK_QUANTITY_COUNT; q++) {
    text_put(p, q ? "," : "");
    page_put_string(p, network_quantity_text(q));
    text_put(p, ":{\"title\":");
    page_put_string(p, network_quantity_title(q));
    text_put(p, ",\"unit\":");
    page_put_string(p, network_quantity_unit(q));
    text_put(p, "}");
  }
  text_put(p, "},\n");
}

/* 256 colours, six digits each. */
static void put_map(text_buffer *p, const colour_family *family, bool dark, bool diverging)
{
  text_format(p, "\"%s\":\"", diverging ? "diverging" : "sequential");
  for (int i = 0; i < 256; i++) {
    const double share = i / 255.0;
    const colour c =
        diverging ? colour_diverging(family, dark, 2.0 * share - 1.0) : colour_sequential(family, dark, share);
    text_put(p, colour_show(c).text + 1);
  }
  text_put(p, "\"");
}

static void put_colours(text_buffer *p, const char *name)
{
  const colour_family *family = colour_family_find(name);
  text_put(p, "\"colours\":{");
  for (int dark = 0; dark < 2; dark++) {
    text_put(p, dark ? "},\n\"dark\":{" : "\n\"light\":{");
    put_map(p, family, dark, false);
    text_put(p, ",\n");
    put_map(p, family, dark, true);
  }
  text_put(p, "}},\n");
}

static void put_options(text_buffer *p, const draw_options *o, const char *title)
{
  static const char *const views[] = {"matrix", "network", "grid"};
  text_put(p, "{\"title\":");
  page_put_string(p, title);
  text_put(p, ",\"view\":");
  page_put_string(p, views[o->view]);
  text_put(p, ",\"quantity\":");
  page_put_string(p, network_quantity_text(o->quantity));
  text_format(p, ",\"top\":%" PRId64 ",\"threshold\":", o->top);
  page_put_number(p, o->threshold);
  if (o->pinned)
    text_format(p, ",\"pin\":%" PRId64, o->pin);
  else
    text_put(p, ",\"pin\":null");
  text_format(p, ",\"dark\":%s,\"sharpest\":%s,\n", o->dark ? "true" : "false", o->sharpest ? "true" : "false");
}

static bool put_layers(writer *w)
{
  const network_layer *before = NULL;
  int mask_block = -1;
  text_put(w->p, "\"layers\":[");
  for (int i = 0; i < w->options->n_layers; i++) {
    if (!put_layer(w, i, before, &mask_block)) return false;
    if (w->blocks.bytes > PAGE_MAX_BYTES)
      return st_fail(w->error,
                     "a page of these layers needs more than %zu MiB of numbers, its limit: choose heads or layers",
                     PAGE_MAX_BYTES >> 20);
    const network_layer *l = &w->n->layers[w->options->layers[i]];
    if (l->mask) before = l;
  }
  text_put(w->p, "],\n\"types\":\"");
  return true;
}

bool page_put_data(text_buffer *p, network *n, const draw_options *options, const char *title, st_error *error)
{
  if (!check_bare_edges(n, options, error)) return false;
  if (!colour_family_find(options->colours))
    return st_fail(error, "--colours %s: the maps are %s", st_show(options->colours).text, colour_families());
  writer w = {.p = p, .n = n, .options = options, .error = error};
  text_put(p, "<script type=\"application/json\" id=\"data\">");
  put_options(p, options, title);
  put_colours(p, options->colours);
  put_quantities(p);
  put_texts(&w);
  const bool good = put_layers(&w);
  if (good) {
    page_put_block_types(p, &w.blocks);
    text_put(p, "\"}</script>\n");
    page_put_blocks(p, &w.blocks);
  }
  page_blocks_free(&w.blocks);
  free(w.heads);
  free(w.key_blocks);
  free(w.norm_blocks);
  free(w.half);
  return good && (!p->failed || no_memory(&w));
}
