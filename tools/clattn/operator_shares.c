#include "operator_shares.h"

#include "clattn/clattn.h"

bool operator_shares_are(const layer *l) { return l->projected && !l->input[LAYER_I_kv]; }

bool operator_shares_take(const layer *l, double *shares, st_error *error)
{
  const st_tensor *w[2] = {l->input[LAYER_W_Q], l->input[LAYER_W_K]};
  clattn_tensor view[2];
  clattn_report report;
  for (int i = 0; i < 2; i++) view[i] = clattn_dense((clattn_dtype)st_type_dtype(w[i]->type), 2, w[i]->dim);
  return clattn_operator_asymmetry(&view[0], w[0]->data, &view[1], w[1]->data, l->hq, l->hk, shares, &report) ==
             CLATTN_OK ||
         st_fail(error, "%s", report.message);
}
