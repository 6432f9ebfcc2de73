/* The trials of maps. The scores are 0 or -inf, by a q of zeros: whatever the score stage is worth, which has its own
 * trials, what is judged here is the kernel that follows it. */
#include <inttypes.h>
#include <math.h>

#include "names.h"
#include "problem.h"
#include "trial.h"

typedef struct map_row {
  int64_t b, hq, hk, sq, sk, tile_rows, tile_keys;
  int32_t quantity;
  clattn_dtype dtype; /* of the maps; 0: float32 */
} map_row;

static const map_row maps[] = {
    {2, 2, 1, 9, 70, 1, 1, CLATTN_QUANTITY_PROBABILITY, .dtype = CLATTN_F32},
    {1, 2, 2, 37, 41, 7, 9, CLATTN_QUANTITY_PROBABILITY, .dtype = CLATTN_F16},
    {2, 4, 2, 35, 67, 33, 40, CLATTN_QUANTITY_PROBABILITY, .dtype = CLATTN_BF16},
    {1, 1, 1, 20, 131, 1, 131, CLATTN_QUANTITY_ENTROPY, .dtype = CLATTN_F32},
    {1, 1, 1, 19, 33, 4, 5, CLATTN_QUANTITY_SCORE, .dtype = CLATTN_F32},
    {1, 2, 1, 30, 30, 20, 20, CLATTN_QUANTITY_PROBABILITY, .dtype = CLATTN_F64},
};

static clattn_status plan_map(clattn_context *context, const ca_trial *trial, const char *variant, clattn_plan **plan,
                              clattn_report *report)
{
  const map_row *r = trial->row;
  clattn_attention_desc attention = CLATTN_ATTENTION_DESC_INIT;
  clattn_map_desc desc = CLATTN_MAP_DESC_INIT;
  attention.q = trial->part[CLATTN_Q].view;
  attention.k = trial->part[CLATTN_K].view;
  attention.lse = trial->part[CLATTN_LSE].view;
  attention.flags = CLATTN_CAUSAL;
  attention.variant = variant;
  desc.attention = &attention;
  desc.key_weight = trial->part[CLATTN_KEY_WEIGHT].view;
  desc.map = trial->part[CLATTN_MAP].view;
  desc.map_max = trial->part[CLATTN_MAP_MAX].view;
  desc.tile_rows = r->tile_rows;
  desc.tile_keys = r->tile_keys;
  desc.quantity = r->quantity;
  return clattn_plan_map(context, &desc, plan, report);
}

/* What query i of row `row` and key j show. */
static double term(const ca_trial *trial, int64_t b, int64_t h, int64_t i, int64_t j)
{
  const map_row *r = trial->row;
  if (r->quantity == CLATTN_QUANTITY_SCORE) return j <= i ? 0.0 : -(double)INFINITY;
  if (j > i) return 0.0;
  const double lse = ca_part_load(&trial->part[CLATTN_LSE], (b * r->hq + h) * r->sq + i), p = exp(-lse);
  if (r->quantity == CLATTN_QUANTITY_ENTROPY) return p * lse;
  return p * ca_part_load(&trial->part[CLATTN_KEY_WEIGHT], (b * r->hk + h / (r->hq / r->hk)) * r->sk + j);
}

static void answer_tile(ca_trial *trial, int64_t tile)
{
  const map_row *r = trial->row;
  const ca_part *map = &trial->part[CLATTN_MAP], *map_max = &trial->part[CLATTN_MAP_MAX];
  const int64_t *dim = map->view.dim, key = tile % dim[3] * r->tile_keys, row = tile / dim[3] % dim[2] * r->tile_rows;
  const int64_t bh = tile / dim[3] / dim[2];
  double sum = 0.0, size = 0.0, most = -(double)INFINITY;
  for (int64_t i = row; i < row + r->tile_rows && i < r->sq; i++)
    for (int64_t j = key; j < key + r->tile_keys && j < r->sk; j++) {
      const double t = term(trial, bh / r->hq, bh % r->hq, i, j);
      most = fmax(most, t);
      if (isinf(t)) continue;
      sum += t;
      size += fabs(t);
    }
  map->want[tile] = isinf(most) ? most : sum;
  map->allowed[tile] = ca_trial_allow(trial, (clattn_dtype)map->view.dtype, sum, size, 0.0);
  map_max->want[tile] = most;
  map_max->allowed[tile] =
      ca_trial_allow(trial, (clattn_dtype)map_max->view.dtype, isinf(most) ? 0.0 : most, size, 0.0);
}

static void fill(ca_trial *trial, ca_part *part, double least, double most)
{
  ca_trial_fill(trial, part, (most - least) / 2);
  const int64_t count = ca_part_count(part);
  for (int64_t n = 0; n < count; n++) ca_part_store(part, n, ca_part_load(part, n) + (least + most) / 2);
}

static void make_map(int index, ca_trial *trial)
{
  const map_row *r = &maps[index];
  const clattn_dtype real = r->dtype == CLATTN_F64 ? CLATTN_F64 : CLATTN_F32;
  const int64_t tiles[4] = {r->b, r->hq, (r->sq + r->tile_rows - 1) / r->tile_rows,
                            (r->sk + r->tile_keys - 1) / r->tile_keys};
  trial->row = r;
  trial->plan = plan_map;
  trial->judges = CA_MAP_KIND;
  ca_trial_say(trial, "b=%" PRId64 ",hq=%" PRId64 ",hk=%" PRId64 ",sq=%" PRId64 ",sk=%" PRId64 ",dk=4,causal=1", r->b,
               r->hq, r->hk, r->sq, r->sk);
  ca_trial_say(trial, " map of %" PRId32 " in %s, tiles of %" PRId64 " x %" PRId64, r->quantity,
               ca_dtype_text((int32_t)r->dtype), r->tile_rows, r->tile_keys);
  ca_trial_fill(trial, ca_trial_add(trial, CLATTN_Q, false, clattn_bhsd(CLATTN_F32, r->b, r->hq, r->sq, 4)), 0.0);
  ca_trial_fill(trial, ca_trial_add(trial, CLATTN_K, false, clattn_bhsd(CLATTN_F32, r->b, r->hk, r->sk, 4)), 1.0);
  if (r->quantity < CLATTN_QUANTITY_SCALED)
    fill(trial, ca_trial_add(trial, CLATTN_LSE, false, clattn_dense(real, 3, (int64_t[]){r->b, r->hq, r->sq})), 0.0,
         3.0);
  if (r->quantity == CLATTN_QUANTITY_PROBABILITY)
    fill(trial, ca_trial_add(trial, CLATTN_KEY_WEIGHT, false, clattn_dense(real, 3, (int64_t[]){r->b, r->hk, r->sk})),
         -1.0, 2.0);
  ca_trial_add(trial, CLATTN_MAP, true, clattn_dense(r->dtype, 4, tiles));
  ca_trial_add(trial, CLATTN_MAP_MAX, true, clattn_dense(r->dtype, 4, tiles));
  const int64_t count = tiles[0] * tiles[1] * tiles[2] * tiles[3];
  for (int64_t tile = 0; !trial->failed && tile < count; tile++) answer_tile(trial, tile);
}

const ca_trial_table ca_map_trials = {sizeof maps / sizeof maps[0], make_map};
