/* The tensors of a problem. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "clattn/clattn.h"
#include "numbers_by_seed.h"
#include "problem_text.h"

enum { CHUNK = 256 }; /* numbers that are made at a time */

static st_tensor *add(st_file *file, const char *name, st_type type, int rank, const int64_t *dim, st_error *error)
{
  st_tensor *tensor = st_add(file, name, type, rank, dim);
  if (!tensor) st_fail(error, "problem: no memory for %s %s", name, st_show_shape(rank, dim).text);
  return tensor;
}

/* Numbers of float32, each from its place i. float64 gets digits that float32 has not. */
typedef double number_maker(const problem_text *p, int64_t i, uint64_t *state);

static void fill_numbers(const problem_text *p, st_tensor *tensor, number_maker *make)
{
  const size_t bytes = st_type_bytes(tensor->type), n = tensor->bytes / bytes;
  const double past_float = 0x1p-50;
  uint64_t state = stream_of(p->seed, tensor->name), tail = ~state;
  for (size_t i = 0; i < n; i += CHUNK) {
    double numbers[CHUNK];
    const size_t count = n - i < CHUNK ? n - i : CHUNK;
    for (size_t j = 0; j < count; j++) {
      numbers[j] = make(p, (int64_t)(i + j), &state);
      if (tensor->type == ST_F64 && p->fill != PROBLEM_FILL_equal)
        numbers[j] += past_float * (double)(next_word(&tail) >> 36);
    }
    clattn_convert((clattn_dtype)st_type_dtype(tensor->type), (char *)tensor->data + i * bytes, CLATTN_F64, numbers,
                   count);
  }
}

static double query_or_key(const problem_text *p, int64_t i, uint64_t *state)
{
  (void)i;
  const double number = next_number(state), grow = 54.75; /* with the default scale, scores have a deviation of 3e3 */
  if (p->fill == PROBLEM_FILL_equal) return 0.25;
  return p->fill == PROBLEM_FILL_large ? (double)(float)(number * grow) : number;
}

/* Equal values besides equal scores: the roundings of their sum then all go the same way. */
static double value(const problem_text *p, int64_t i, uint64_t *state)
{
  (void)i;
  const double number = next_number(state), same = (double)0.7f;
  return p->fill == PROBLEM_FILL_equal ? same : number;
}

static bool add_numbers(const problem_text *p, st_file *file, const char *name, int64_t dtype, const int64_t *dim,
                        number_maker *make, st_error *error)
{
  st_tensor *tensor = add(file, name, st_type_of_dtype((int32_t)dtype), 4, dim, error);
  if (tensor) fill_numbers(p, tensor, make);
  return tensor != NULL;
}

/* ---- the mask ---- */

static int64_t mask_keys(const problem_text *p) { return p->past + p->sk - p->mask_short; }

static bool is_closed_row(const problem_text *p, int64_t row) { return p->mask_closed && row % 3 == 2; }

static double bias(const problem_text *p, int64_t i, uint64_t *state)
{
  const int64_t row = i / mask_keys(p);
  const double number = next_number(state);
  const bool closed = p->mask != PROBLEM_MASK_float && next_word(state) % 10 < 3;
  const double lowest = p->mask_type == CLATTN_F16    ? -65504.0
                        : p->mask_type == CLATTN_BF16 ? -0x1.fep127
                                                      : -0x1.fffffep127;
  if (is_closed_row(p, row)) return -(double)INFINITY;
  if (p->mask == PROBLEM_MASK_lowest) return closed || row % 4 == 1 ? lowest : 0.0;
  return closed ? -(double)INFINITY : number;
}

static bool is_open(const problem_text *p, int64_t row, int64_t key, int64_t length, uint64_t *state)
{
  enum { STEP = 13 }; /* no tile's divisor */
  if (p->mask == PROBLEM_MASK_bool) return next_word(state) % 4 != 0;
  if (p->mask == PROBLEM_MASK_pad) return key < length;
  const int64_t edge = row * STEP % (p->past + p->sk);
  return row % 2 ? key <= edge : key >= edge;
}

/* Rows of a batch item have its length. */
static void fill_flags(const problem_text *p, const st_tensor *tensor, int64_t rows_of_a_batch)
{
  uint64_t state = stream_of(p->seed, tensor->name);
  unsigned char *flag = tensor->data;
  const int64_t keys = mask_keys(p), rows = keys ? (int64_t)tensor->bytes / keys : 0;
  int64_t length = 0;
  for (int64_t row = 0; row < rows; row++) {
    if (p->mask == PROBLEM_MASK_pad && row % rows_of_a_batch == 0)
      length = 1 + (int64_t)(next_word(&state) % (uint64_t)keys);
    for (int64_t key = 0; key < keys; key++) {
      const bool open = is_open(p, row, key, length, &state);
      flag[row * keys + key] = open && !is_closed_row(p, row);
    }
  }
}

static bool add_mask(const problem_text *p, st_file *file, st_error *error)
{
  const int64_t full[4] = {p->mask_shared & PROBLEM_MASK_PER_BATCH ? 1 : p->b,
                           p->mask_shared & PROBLEM_MASK_PER_HEAD ? 1 : p->hq,
                           p->mask_shared & PROBLEM_MASK_PER_QUERY ? 1 : p->sq, mask_keys(p)};
  if (p->mask == PROBLEM_MASK_none) return true;
  const bool flags = p->mask == PROBLEM_MASK_bool || p->mask == PROBLEM_MASK_pad || p->mask == PROBLEM_MASK_edges;
  st_tensor *tensor = add(file, "attn_mask", flags ? ST_BOOL : st_type_of_dtype((int32_t)p->mask_type),
                          (int)p->mask_rank, full + 4 - p->mask_rank, error);
  if (!tensor) return false;
  if (flags)
    fill_flags(p, tensor, full[1] * full[2]);
  else
    fill_numbers(p, tensor, bias);
  return true;
}

/* ---- the rest ---- */

static bool add_nonpad(const problem_text *p, st_file *file, st_error *error)
{
  if (!p->n_nonpad) return true;
  st_tensor *tensor = add(file, "nonpad_kv_seqlen", ST_I64, 1, &p->b, error);
  if (tensor) memcpy(tensor->data, p->nonpad, tensor->bytes);
  return tensor != NULL;
}

static bool set_real(st_file *file, const char *key, double number)
{
  char text[40];
  snprintf(text, sizeof text, "%.17g", number);
  return st_set_label(file, key, text);
}

static bool set_whole(st_file *file, const char *key, int64_t number, int64_t absent)
{
  char text[24];
  if (number == absent) return true;
  snprintf(text, sizeof text, "%" PRId64, number);
  return st_set_label(file, key, text);
}

static bool set_attributes(const problem_text *p, st_file *file)
{
  return set_whole(file, "is_causal", p->causal, 0) && set_whole(file, "left_window_size", p->left, -1) &&
         set_whole(file, "right_window_size", p->right, -1) && set_whole(file, "qk_matmul_output_mode", p->qk, -1) &&
         set_whole(file, "softmax_precision", p->precision, 0) &&
         (isnan(p->scale) || set_real(file, "scale", p->scale)) &&
         (p->softcap == 0.0 || set_real(file, "softcap", p->softcap));
}

bool problem_fill(const problem_text *p, st_file *file, st_error *error)
{
  *file = (st_file){0};
  const int64_t q[] = {p->b, p->hq, p->sq, p->dk}, k[] = {p->b, p->hk, p->sk, p->dk}, v[] = {p->b, p->hk, p->sk, p->dv};
  const int64_t past_k[] = {p->b, p->hk, p->past, p->dk}, past_v[] = {p->b, p->hk, p->past, p->dv};
  bool good = add_numbers(p, file, "Q", p->dtype, q, query_or_key, error) &&
              add_numbers(p, file, "K", p->k_type, k, query_or_key, error) &&
              add_numbers(p, file, "V", p->v_type, v, value, error) && add_mask(p, file, error);
  if (good && p->past)
    good = add_numbers(p, file, "past_key", p->k_type, past_k, query_or_key, error) &&
           add_numbers(p, file, "past_value", p->v_type, past_v, value, error);
  if (good) good = add_nonpad(p, file, error);
  if (good && !set_attributes(p, file)) good = st_fail(error, "problem: out of memory");
  if (!good) st_free(file);
  return good;
}
