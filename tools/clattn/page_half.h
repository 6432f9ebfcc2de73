/* Which of a layer's queries and keys a page may keep as float16. */
#ifndef CLATTN_TOOLS_PAGE_HALF_H
#define CLATTN_TOOLS_PAGE_HALF_H

#include "network.h"

/* Of a score A, of (A - A^T)/2, of P and of P|v|: by how much what a page shows may be off, relative to max(1, the
 * number). Pages promise 1e-2; the rest is for what else rounds: lse, sums in float32, the digits that are written. */
#define PAGE_HALF_LIMIT 9e-3

/* For each key head, holds[key_heads]: whether it and those of these heads that share it have no number beyond
 * float16's largest, and none of the above that comes out further off than PAGE_HALF_LIMIT. Measured with all keys, on
 * up to 512 queries of each head: those with the largest norms, whose scores are off the most. */
bool page_half_holds(const network_layer *l, const int64_t *heads, int n_heads, bool *holds, st_error *error);

#endif
