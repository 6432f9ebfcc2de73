/* The ephemeral network of one or more layers: a node for each token, a directed edge for each pair of a query and a
 * key it attends, heads beside each other. What all pictures of it are drawn from.
 *
 * One entry of the batch is taken. Past tokens and padding of a cache are gone: keys are the tokens that exist, in
 * their order, and `offset` says which of them the first query is. */
#ifndef CLATTN_TOOLS_NETWORK_H
#define CLATTN_TOOLS_NETWORK_H

#include "pipeline.h"

/* What an edge can be said to weigh. X(name, text as --show takes it, title, unit) */
#define NETWORK_QUANTITY_LIST(X)                                                                                       \
  X(P, "P", "attention weight P", "share of a row")                                                                    \
  X(TRAVEL, "Pv", "what travels along an edge, P |v|", "P times the norm of the value")                                \
  X(A, "A", "score A before masks", "natural logarithm")                                                               \
  X(ANTISYMMETRIC, "antisymmetric", "antisymmetric part of A, (A - A^T)/2", "natural logarithm")

typedef enum network_quantity {
#define NETWORK_QUANTITY_ENUM(name, ...) NETWORK_##name,
  NETWORK_QUANTITY_LIST(NETWORK_QUANTITY_ENUM)
#undef NETWORK_QUANTITY_ENUM
      NETWORK_QUANTITY_COUNT
} network_quantity;

/* A pair of tokens of one sequence, `to` attended by `from` more than the other way round. */
typedef struct network_pair {
  int64_t from, to;
  double weight, back; /* P[from,to] and P[to,from] */
} network_pair;

enum { NETWORK_PAIRS = 5 };

/* What is known of a head at a glance; NaN: not known, or there is none. network_report_head fills it in. */
typedef struct network_head {
  double a_share; /* of A: the norm of the antisymmetric part over that of the whole */
  double w_share; /* of W_Q^T W_K */
  double entropy_mean, entropy_least, entropy_most; /* of the rows of P, in nats */
  double first_share;                               /* what goes to the first token: the mean over the rows of P */
  double sharpness; /* the mean over the rows of P of the strongest edge to another token but the first */
  network_pair pairs[NETWORK_PAIRS]; /* where the largest P[from,to] - P[to,from] are, largest first */
  int n_pairs;
} network_head;

typedef struct network_layer {
  const char *path;                  /* of the file; borrowed */
  int64_t number;                    /* the label `layer`; -1: none, or no whole number */
  int64_t batch;                     /* the entry taken */
  char *name;                        /* "layer 13", or the file's name */
  char *source;                      /* the label of that name, or NULL */
  int64_t heads, key_heads;          /* head h reads key head h / (heads / key_heads) */
  int64_t sq, sk, dk, dv;            /* dk and dv are 0 where only `bare` is known */
  bool one_sequence;                 /* queries are keys offset .. offset + sq - 1; otherwise two sequences */
  int64_t offset;                    /* also of the causal order */
  int64_t padded_keys;               /* as the file has them; sk of them exist */
  char **query_tokens, **key_tokens; /* texts [sq] and [sk], any UTF-8 without NUL */
  bool named;                        /* they are texts of the file's; otherwise just numbers */
  int64_t texts;                     /* that the file has, of keys or of queries; 0: none */

  /* Either what A and P follow from, dense: Q [heads,sq,dk], K [key_heads,sk,dk], V [key_heads,sk,dv], lse [heads,sq];
   * additive mask [mask_heads,mask_rows,sk], each 1 or all, or NULL ... */
  float *q, *k, *v, *lse, *mask;
  int64_t mask_heads, mask_rows;
  double scale, softcap;
  bool causal;
  int64_t window_left, window_right;
  /* ... or one of the two itself [heads,sq,sk]. */
  float *bare;
  network_quantity bare_is;

  network_head *head; /* [heads] */
  double
      *row_entropy; /* [heads,sq] in nats, of the heads that were reported on; a row without any key: 0. NULL: none */
} network_layer;

typedef struct network {
  network_layer *layers;
  int n_layers;
  device *d;               /* where blocks are computed; borrowed */
  struct network_map *map; /* what is kept there between them */
  bool operators;          /* a layer that is run tells w_share of its heads, which takes time for large ones */
} network;

/* A part of a head's matrix. */
typedef struct network_range {
  int64_t row, rows, key, keys;
} network_range;

const char *network_quantity_text(network_quantity quantity);
const char *network_quantity_title(network_quantity quantity);
const char *network_quantity_unit(network_quantity quantity);

/* Adds an outline of the layer, checked: sizes, tokens, name; its numbers come with network_run_layer. It needs no
 * device. */
bool network_add_layer(network *n, const layer *l, const char *path, int64_t batch, st_error *error);

/* Runs an outlined layer on d for its numbers: l is the same as before. */
bool network_run_layer(network *n, int index, const layer *l, st_error *error);

/* Adds a layer of which the file holds only P or A, as [S,S], [H,S,S] or [B,H,SQ,SK]. */
bool network_add_bare(network *n, const st_file *file, const char *path, int64_t batch, st_error *error);

/* Whether a file is for network_add_bare: it holds P or A, and neither I nor all of Q, K and V. */
bool network_is_bare(const st_file *file);

/* Takes layers out, and puts them in the order of their numbers, where all have one; a stable order. */
void network_remove_layer(network *n, int index);
void network_sort(network *n);

void network_free(network *n);

/* Fills in what is known of a head, or of all, of a layer whose numbers are there. */
bool network_report_head(network *n, int layer, int64_t head, st_error *error);
bool network_report(network *n, int layer, st_error *error);

/* Whether a layer can show a quantity: a bare one has what it holds, and A's antisymmetric part needs A as a square. */
bool network_can_show(const network_layer *l, network_quantity quantity);

/* What is shown where nobody asked: P, or what a bare layer holds. */
network_quantity network_default_quantity(const network_layer *l);

/* A block of a head's matrix, dense [rows,keys]. P and Pv are 0 where a key is not attended. */
bool network_block(network *n, int layer, int64_t head, network_quantity quantity, network_range range, float *out,
                   st_error *error);

/* The rows of a head's matrix one after another, a block at a time; stops where `look` says false, as out of memory. */
typedef bool network_row_look(void *user, int64_t query, const float *row);
bool network_each_row(network *n, int layer, int64_t head, network_quantity quantity, network_row_look *look,
                      void *user, st_error *error);

/* A head's matrix summed up in tiles, in memory that does not grow with it: sum and largest of each tile of
 * tile_rows x tile_keys, dense [ceil(sq/tile_rows), ceil(sk/tile_keys)]; either may be NULL. */
bool network_pool(network *n, int layer, int64_t head, network_quantity quantity, int64_t tile_rows, int64_t tile_keys,
                  float *sum, float *most, st_error *error);

#endif
