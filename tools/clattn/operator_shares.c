#include "operator_shares.h"

#include <stdlib.h>

#include "asymmetry.h"
#include "clattn/clattn.h"

bool operator_shares_are(const layer *l) { return l->projected && !l->input[LAYER_I_kv]; }

bool operator_shares_take(const layer *l, double *shares, st_error *error)
{
  const st_tensor *w_q = l->input[LAYER_W_Q], *w_k = l->input[LAYER_W_K];
  const size_t n_q = (size_t)(w_q->dim[0] * w_q->dim[1]), n_k = (size_t)(w_k->dim[0] * w_k->dim[1]);
  double *q = malloc((n_q + n_k) * sizeof *q), *k = q + n_q;
  if (!q) return st_fail(error, "out of memory");
  clattn_convert(CLATTN_F64, q, (clattn_dtype)st_type_dtype(w_q->type), w_q->data, n_q);
  clattn_convert(CLATTN_F64, k, (clattn_dtype)st_type_dtype(w_k->type), w_k->data, n_k);
  const bool good = asymmetry_of_operators(q, k, l->hq, l->hk, l->dk, l->e, shares);
  free(q);
  return good || st_fail(error, "out of memory");
}
