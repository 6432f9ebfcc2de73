/* The texts of a layer's tokens, from the label `tokens`. */
#ifndef CLATTN_TOOLS_TOKEN_TEXTS_H
#define CLATTN_TOOLS_TOKEN_TEXTS_H

#include "network.h"

/* Fills query_tokens and key_tokens. `label` is a JSON array of texts, one a key (or, for one entry of a batch each, an
 * array of such arrays), or NULL; in a cross-attention it may name the queries or the keys, whichever have as many.
 * Where there is none for a token, its number stands for it. A label that is no such array is refused. */
bool token_texts_take(const char *label, int64_t batch, network_layer *l, st_error *error);

#endif
