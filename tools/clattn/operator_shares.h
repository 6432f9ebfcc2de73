/* How far from symmetric a layer's operators are. */
#ifndef CLATTN_TOOLS_OPERATOR_SHARES_H
#define CLATTN_TOOLS_OPERATOR_SHARES_H

#include "layer.h"

/* Whether W_Q^T W_K is a square: Q and K are made of one input. */
bool operator_shares_are(const layer *l);

/* shares[hq]: of each head's W_Q^T W_K the norm of the antisymmetric part over that of the whole. */
bool operator_shares_take(const layer *l, double *shares, st_error *error);

#endif
