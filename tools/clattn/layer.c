/* From a file to a layer. Every refusal names the tensor, the value and the limit. */
#include "layer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *const role_names[] = {
#define LAYER_INPUT_NAME(name) #name,
    LAYER_INPUT_LIST(LAYER_INPUT_NAME)
#undef LAYER_INPUT_NAME
};

const char *layer_role_name(layer_role role) { return role_names[role]; }

#define MAX_ELEMENTS (INT64_C(1) << 48) /* of one tensor */
#define MAX_CHANNELS 512                /* of a head, the library's */
#define MAX_TOKENS (INT64_C(1) << 29)   /* the same, past included */
#define BIT(type) (1u << (ST_##type))
#define FLOATS (BIT(F32) | BIT(F16) | BIT(BF16) | BIT(F64))

typedef struct role_rule {
  layer_role role;
  bool required;
  int rank_least, rank_most;
  unsigned types;
} role_rule;

static const role_rule projected_rules[] = {
    {LAYER_I, true, 3, 3, FLOATS},
    {LAYER_I_kv, false, 3, 3, FLOATS},
    {LAYER_W_Q, true, 2, 2, FLOATS},
    {LAYER_W_K, true, 2, 2, FLOATS},
    {LAYER_W_V, true, 2, 2, FLOATS},
    {LAYER_W_O, false, 2, 2, FLOATS},
    {LAYER_b_Q, false, 1, 1, FLOATS},
    {LAYER_b_K, false, 1, 1, FLOATS},
    {LAYER_b_V, false, 1, 1, FLOATS},
    {LAYER_b_O, false, 1, 1, FLOATS},
    {LAYER_cos_cache, false, 2, 3, FLOATS},
    {LAYER_sin_cache, false, 2, 3, FLOATS},
    {LAYER_position_ids, false, 2, 2, BIT(I64)},
};
static const role_rule given_rules[] = {
    {LAYER_Q, true, 3, 4, FLOATS},
    {LAYER_K, true, 3, 4, FLOATS},
    {LAYER_V, true, 3, 4, FLOATS},
};
static const role_rule common_rules[] = {
    {LAYER_attn_mask, false, 1, 4, FLOATS | BIT(BOOL)},
    {LAYER_past_key, false, 4, 4, FLOATS},
    {LAYER_past_value, false, 4, 4, FLOATS},
    {LAYER_nonpad_kv_seqlen, false, 1, 1, BIT(I64)},
};
#define COUNT(list) (sizeof list / sizeof list[0])

static void list_types(unsigned types, char *text, size_t room)
{
  size_t used = 0;
  for (int i = 0; i < ST_TYPE_COUNT; i++)
    if (types & 1u << i)
      used += (size_t)snprintf(text + used, room - used, "%s%s", used ? ", " : "", st_type_name((st_type)i));
}

static bool take_roles(layer *l, const role_rule *rules, size_t count, st_error *error)
{
  for (size_t i = 0; i < count; i++) {
    const role_rule *rule = &rules[i];
    const char *name = role_names[rule->role];
    const st_tensor *t = st_find(&l->file, name);
    char types[64];
    if (!t && rule->required)
      return st_fail(error, "tensor '%s' is missing (%s)", name,
                     l->projected ? "I needs W_Q, W_K and W_V" : "neither I nor all of Q, K and V are there");
    if (!t) continue;
    if (!(rule->types & 1u << t->type)) {
      list_types(rule->types, types, sizeof types);
      return st_fail(error, "tensor '%s': type %s, must be one of %s", name, st_type_name(t->type), types);
    }
    if (t->rank < rule->rank_least || t->rank > rule->rank_most)
      return st_fail(error, "tensor '%s': rank %d (shape %s), must be %d%s%.0d", name, t->rank,
                     st_show_shape(t->rank, t->dim).text, rule->rank_least,
                     rule->rank_least < rule->rank_most ? " to " : "",
                     rule->rank_least < rule->rank_most ? rule->rank_most : 0);
    for (int d = 0; d < t->rank; d++)
      if (t->dim[d] > INT32_MAX)
        return st_fail(error, "tensor '%s': dimension %d is %" PRId64 ", the limit is %d", name, d, t->dim[d],
                       INT32_MAX);
    l->input[rule->role] = t;
  }
  return true;
}

/* Absent tensors satisfy everything. */
static bool want_dim(const layer *l, layer_role role, int index, int64_t value, const char *what, st_error *error)
{
  const st_tensor *t = l->input[role];
  if (!t || t->dim[index] == value) return true;
  return st_fail(error, "tensor '%s': shape %s, dimension %d must be %" PRId64 " (%s)", role_names[role],
                 st_show_shape(t->rank, t->dim).text, index, value, what);
}

static bool want_heads(int64_t heads, const char *attribute, st_error *error)
{
  return heads || st_fail(error, "attribute %s is missing", attribute);
}

static bool divide_rows(const layer *l, layer_role role, int64_t heads, const char *attribute, int64_t *channels,
                        st_error *error)
{
  const st_tensor *t = l->input[role];
  const int index = t->rank == 2 ? 0 : 2; /* rows of a weight, or channels of [B,S,H*D] */
  *channels = t->dim[index] / heads;
  if (*channels * heads == t->dim[index] && *channels > 0) return true;
  return st_fail(error, "tensor '%s': shape %s, dimension %d must be a positive multiple of %s %" PRId64,
                 role_names[role], st_show_shape(t->rank, t->dim).text, index, attribute, heads);
}

static bool take_projected(layer *l, st_error *error)
{
  const st_tensor *i = l->input[LAYER_I], *i_kv = l->input[LAYER_I_kv];
  int64_t k_channels;
  l->hq = l->attr.q_num_heads;
  l->hk = l->attr.kv_num_heads;
  if (!want_heads(l->hq, "q_num_heads", error) || !want_heads(l->hk, "kv_num_heads", error)) return false;
  l->b = i->dim[0];
  l->sq = i->dim[1];
  l->sk = i_kv ? i_kv->dim[1] : l->sq;
  l->e = i->dim[2];
  l->flat = true;
  const int64_t e_kv = i_kv ? i_kv->dim[2] : l->e;
  const char *kv_width = i_kv ? "E of I_kv" : "E of I";
  if (!want_dim(l, LAYER_I_kv, 0, l->b, "B of I", error) || !want_dim(l, LAYER_W_Q, 1, l->e, "E of I", error) ||
      !want_dim(l, LAYER_W_K, 1, e_kv, kv_width, error) || !want_dim(l, LAYER_W_V, 1, e_kv, kv_width, error) ||
      !divide_rows(l, LAYER_W_Q, l->hq, "q_num_heads", &l->dk, error) ||
      !divide_rows(l, LAYER_W_K, l->hk, "kv_num_heads", &k_channels, error) ||
      !divide_rows(l, LAYER_W_V, l->hk, "kv_num_heads", &l->dv, error))
    return false;
  if (k_channels != l->dk)
    return st_fail(error,
                   "tensor 'W_K': %" PRId64 " rows for %" PRId64 " heads are %" PRId64 " channels, must be %" PRId64
                   " as of W_Q",
                   l->input[LAYER_W_K]->dim[0], l->hk, k_channels, l->dk);
  if (!want_dim(l, LAYER_b_Q, 0, l->hq * l->dk, "rows of W_Q", error) ||
      !want_dim(l, LAYER_b_K, 0, l->hk * l->dk, "rows of W_K", error) ||
      !want_dim(l, LAYER_b_V, 0, l->hk * l->dv, "rows of W_V", error) ||
      !want_dim(l, LAYER_W_O, 1, l->hq * l->dv, "q_num_heads * DV", error))
    return false;
  l->out = l->input[LAYER_W_O] ? l->input[LAYER_W_O]->dim[0] : 0;
  if (l->input[LAYER_b_O] && !l->input[LAYER_W_O]) return st_fail(error, "tensor 'b_O' is there, but no W_O");
  return want_dim(l, LAYER_b_O, 0, l->out, "rows of W_O", error);
}

/* One of Q, K, V: 4-D [B,H,S,D] or 3-D [B,S,H*D]. */
static bool take_given(layer *l, layer_role role, int64_t heads, const char *attribute, int64_t *tokens, int64_t *h,
                       int64_t *channels, st_error *error)
{
  const st_tensor *t = l->input[role];
  if (t->rank != (l->flat ? 3 : 4))
    return st_fail(error, "tensor '%s': rank %d (shape %s), must be %d as of Q", role_names[role], t->rank,
                   st_show_shape(t->rank, t->dim).text, l->flat ? 3 : 4);
  if (l->flat) {
    if (!want_heads(heads, attribute, error)) return false;
    *h = heads;
    *tokens = t->dim[1];
    return divide_rows(l, role, heads, attribute, channels, error);
  }
  *h = t->dim[1];
  *tokens = t->dim[2];
  *channels = t->dim[3];
  return !heads || want_dim(l, role, 1, heads, attribute, error);
}

static bool take_all_given(layer *l, st_error *error)
{
  const int64_t hq = l->attr.q_num_heads, hk = l->attr.kv_num_heads;
  int64_t k_channels, v_tokens, v_heads;
  l->flat = l->input[LAYER_Q]->rank == 3;
  l->b = l->input[LAYER_Q]->dim[0];
  if (!take_given(l, LAYER_Q, hq, "q_num_heads", &l->sq, &l->hq, &l->dk, error) ||
      !take_given(l, LAYER_K, hk, "kv_num_heads", &l->sk, &l->hk, &k_channels, error) ||
      !take_given(l, LAYER_V, hk, "kv_num_heads", &v_tokens, &v_heads, &l->dv, error) ||
      !want_dim(l, LAYER_K, 0, l->b, "B of Q", error) || !want_dim(l, LAYER_V, 0, l->b, "B of Q", error) ||
      !want_dim(l, LAYER_V, l->flat ? 1 : 2, l->sk, "tokens of K", error))
    return false;
  if (v_heads != l->hk)
    return st_fail(error, "tensor 'V': %" PRId64 " heads, must be %" PRId64 " (heads of K)", v_heads, l->hk);
  if (k_channels != l->dk)
    return st_fail(error, "tensor 'K': %" PRId64 " channels a head, must be %" PRId64 " (channels of Q)", k_channels,
                   l->dk);
  if (l->dk < 1 || l->dv < 1) return st_fail(error, "tensor '%s': no channels", l->dk < 1 ? "Q" : "V");
  return true;
}

static bool check_positions(const layer *l, st_error *error)
{
  const st_tensor *ids = l->input[LAYER_position_ids], *cosine = l->input[LAYER_cos_cache];
  if (!ids) return true;
  if (cosine->rank != 2)
    return st_fail(error, "tensor 'cos_cache': rank %d, must be 2 together with position_ids", cosine->rank);
  if (!want_dim(l, LAYER_position_ids, 0, l->b, "B of I", error) ||
      !want_dim(l, LAYER_position_ids, 1, l->sq, "S of I", error))
    return false;
  for (int64_t i = 0; i < l->b * l->sq; i++) {
    int64_t id;
    memcpy(&id, (const char *)ids->data + 8 * i, sizeof id);
    if (id < 0 || id >= cosine->dim[0])
      return st_fail(error,
                     "tensor 'position_ids': element %" PRId64 " is %" PRId64 ", must be 0 to %" PRId64
                     " (rows of cos_cache)",
                     i, id, cosine->dim[0] - 1);
  }
  return true;
}

static bool check_rotary(const layer *l, st_error *error)
{
  const st_tensor *cosine = l->input[LAYER_cos_cache], *sine = l->input[LAYER_sin_cache];
  const int64_t dim = l->attr.rotary_embedding_dim ? l->attr.rotary_embedding_dim : l->dk;
  if (!cosine != !sine)
    return st_fail(error, "tensor '%s' is there, but no %s", cosine ? "cos_cache" : "sin_cache",
                   cosine ? "sin_cache" : "cos_cache");
  if (!cosine) {
    if (l->input[LAYER_position_ids]) return st_fail(error, "tensor 'position_ids' is there, but no cos_cache");
    if (l->attr.rotary_interleaved || l->attr.rotary_embedding_dim)
      return st_fail(error, "attribute %s is there, but %s",
                     l->attr.rotary_interleaved ? "rotary_interleaved" : "rotary_embedding_dim",
                     l->projected ? "no cos_cache" : "Q, K and V are taken as they are");
    return true;
  }
  if (l->input[LAYER_I_kv]) return st_fail(error, "tensor 'I_kv' is there together with cos_cache: no rotation of it");
  if (dim % 2 || dim > l->dk)
    return st_fail(error,
                   "attribute rotary_embedding_dim is %" PRId64 ", must be even and at most %" PRId64
                   " (channels of a head)",
                   dim, l->dk);
  const int last = cosine->rank - 1;
  if (sine->rank != cosine->rank)
    return st_fail(error, "tensor 'sin_cache': rank %d, must be %d as of cos_cache", sine->rank, cosine->rank);
  for (int i = 0; i <= last; i++)
    if (!want_dim(l, LAYER_sin_cache, i, cosine->dim[i], "as of cos_cache", error)) return false;
  if (!want_dim(l, LAYER_cos_cache, last, dim / 2, "half of the channels that rotate", error)) return false;
  if (cosine->rank == 3)
    return want_dim(l, LAYER_cos_cache, 0, l->b, "B of I", error) &&
           want_dim(l, LAYER_cos_cache, 1, l->sq, "S of I", error) && check_positions(l, error);
  if (!l->input[LAYER_position_ids] && cosine->dim[0] < l->past + l->sq)
    return st_fail(error, "tensor 'cos_cache': %" PRId64 " rows, must be %" PRId64 " or more (past + S of I)",
                   cosine->dim[0], l->past + l->sq);
  return check_positions(l, error);
}

/* Keys and values that are given are continued in their own type; those of projections are float32 or wider, and
 * what comes before them may be narrower. */
static bool check_past_type(const layer *l, layer_role role, layer_role as, st_error *error)
{
  const st_tensor *past = l->input[role];
  if (!past) return true;
  if (!l->projected && past->type != l->input[as]->type)
    return st_fail(error, "tensor '%s': type %s, must be %s as of %s", role_names[role], st_type_name(past->type),
                   st_type_name(l->input[as]->type), role_names[as]);
  if (l->projected && past->type == ST_F64 && l->wide != CLATTN_F64)
    return st_fail(error, "tensor '%s': type F64, must be F32, F16 or BF16 where I is %s", role_names[role],
                   st_type_name(l->input[LAYER_I]->type));
  return true;
}

static bool check_past(layer *l, st_error *error)
{
  const st_tensor *key = l->input[LAYER_past_key], *value = l->input[LAYER_past_value];
  if (!key != !value)
    return st_fail(error, "tensor '%s' is there, but no %s", key ? "past_key" : "past_value",
                   key ? "past_value" : "past_key");
  l->past = key ? key->dim[2] : 0;
  return check_past_type(l, LAYER_past_key, LAYER_K, error) && check_past_type(l, LAYER_past_value, LAYER_V, error) &&
         want_dim(l, LAYER_past_key, 0, l->b, "batch", error) &&
         want_dim(l, LAYER_past_key, 1, l->hk, "heads of K", error) &&
         want_dim(l, LAYER_past_key, 3, l->dk, "channels of a head of K", error) &&
         want_dim(l, LAYER_past_value, 0, l->b, "batch", error) &&
         want_dim(l, LAYER_past_value, 1, l->hk, "heads of K", error) &&
         want_dim(l, LAYER_past_value, 2, l->past, "past of past_key", error) &&
         want_dim(l, LAYER_past_value, 3, l->dv, "channels of a head of V", error);
}

static bool check_nonpad(const layer *l, st_error *error)
{
  const st_tensor *lengths = l->input[LAYER_nonpad_kv_seqlen];
  if (!lengths) return true;
  if (l->input[LAYER_past_key])
    return st_fail(error, "tensor 'nonpad_kv_seqlen' is there together with past_key: only one may be");
  if (!want_dim(l, LAYER_nonpad_kv_seqlen, 0, l->b, "batch", error)) return false;
  for (int64_t i = 0; i < l->b; i++) {
    int64_t length;
    memcpy(&length, (const char *)lengths->data + 8 * i, sizeof length);
    if (length < 0 || length > l->sk)
      return st_fail(error,
                     "tensor 'nonpad_kv_seqlen': element %" PRId64 " is %" PRId64 ", must be 0 to %" PRId64
                     " (tokens of K)",
                     i, length, l->sk);
  }
  return true;
}

/* Right-aligned to [B,HQ,SQ,SK]; a last dimension that is short is continued with "not attended". */
static bool check_mask(const layer *l, st_error *error)
{
  const st_tensor *mask = l->input[LAYER_attn_mask];
  const int64_t full[4] = {l->b, l->hq, l->sq, l->past + l->sk};
  static const char *const names[4] = {"batch", "query heads", "query tokens", "key tokens, past included"};
  if (!mask) return true;
  for (int i = 0; i < mask->rank; i++) {
    const int at = i + 4 - mask->rank;
    const int64_t dim = mask->dim[i];
    if (at == 3 ? dim > full[3] : dim != 1 && dim != full[at])
      return st_fail(error, "tensor 'attn_mask': shape %s, dimension %d must be %s %" PRId64 " (%s)",
                     st_show_shape(mask->rank, mask->dim).text, i, at == 3 ? "at most" : "1 or", full[at], names[at]);
  }
  return true;
}

/* What the library takes at most. */
static bool check_limits(const layer *l, st_error *error)
{
  static const char *const tensors[2][2] = {{"Q", "V"}, {"W_Q", "W_V"}};
  const char *const *names = tensors[l->projected];
  if (l->dk > MAX_CHANNELS || l->dv > MAX_CHANNELS)
    return st_fail(error, "tensor '%s': %" PRId64 " channels a head, the limit is %d",
                   names[l->dk > MAX_CHANNELS ? 0 : 1], l->dk > MAX_CHANNELS ? l->dk : l->dv, MAX_CHANNELS);
  if (l->sq > MAX_TOKENS)
    return st_fail(error, "tensor '%s': %" PRId64 " tokens, the limit is %" PRId64, l->projected ? "I" : "Q", l->sq,
                   MAX_TOKENS);
  if (l->past + l->sk > MAX_TOKENS)
    return st_fail(error, "tensor '%s': %" PRId64 " tokens, past included, the limit is %" PRId64,
                   !l->projected          ? "K"
                   : l->input[LAYER_I_kv] ? "I_kv"
                                          : "I",
                   l->past + l->sk, MAX_TOKENS);
  return true;
}

/* Elements of every tensor that will be made, an empty dimension counted as one: empty inputs may claim any shape. */
static bool check_sizes(const layer *l, st_error *error)
{
  const int64_t sk = l->past + l->sk, d = l->dk > l->dv ? l->dk : l->dv;
  const int64_t made[4][4] = {
      {l->b, l->hq, l->sq, d}, {l->b, l->hk, sk, d}, {l->b, l->hq, l->sq, sk}, {l->b, l->sq, l->out, 1}};
  for (int i = 0; i < 4; i++) {
    double elements = 1.0;
    for (int j = 0; j < 4; j++) elements *= made[i][j] > 1 ? (double)made[i][j] : 1.0;
    if (elements > (double)MAX_ELEMENTS)
      return st_fail(error, "a tensor of shape %s would be made, more than %" PRId64 " elements",
                     st_show_shape(4, made[i]).text, MAX_ELEMENTS);
  }
  return true;
}

static bool check_layer(layer *l, st_error *error)
{
  if (!attributes_take(&l->file, &l->attr, error)) return false;
  l->projected = st_find(&l->file, "I") != NULL;
  if (l->projected ? !take_roles(l, projected_rules, COUNT(projected_rules), error)
                   : !take_roles(l, given_rules, COUNT(given_rules), error))
    return false;
  if (!take_roles(l, common_rules, COUNT(common_rules), error)) return false;
  if (l->projected ? !take_projected(l, error) : !take_all_given(l, error)) return false;
  if (l->hk < 1 || l->hq < 1 || l->hq % l->hk)
    return st_fail(error,
                   "%" PRId64 " query heads and %" PRId64 " key heads: the first must be a positive multiple "
                   "of the second",
                   l->hq, l->hk);
  l->type = st_type_dtype(l->input[l->projected ? LAYER_I : LAYER_Q]->type);
  l->k_type = l->projected ? l->type : st_type_dtype(l->input[LAYER_K]->type);
  l->v_type = l->projected ? l->type : st_type_dtype(l->input[LAYER_V]->type);
  l->wide = l->type == CLATTN_F64 ? CLATTN_F64 : CLATTN_F32;
  return check_past(l, error) && check_limits(l, error) && check_nonpad(l, error) && check_rotary(l, error) &&
         check_mask(l, error) && check_sizes(l, error);
}

bool layer_take(st_file *file, layer *out, st_error *error)
{
  *out = (layer){.file = *file};
  *file = (st_file){0};
  if (check_layer(out, error)) return true;
  layer_free(out);
  return false;
}

void layer_free(layer *l)
{
  st_free(&l->file);
  *l = (layer){0};
}
