#include "attributes.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static const char *const labels[] = {"tokens", "next_token", "source", "opset", "format", "title", "layer"};

/* Whole numbers. */
static const struct {
  const char *key;
  size_t at;
  int64_t least, most;
} counts[] = {
    {"is_causal", offsetof(attributes, is_causal), 0, 1},
    {"q_num_heads", offsetof(attributes, q_num_heads), 1, INT32_MAX},
    {"kv_num_heads", offsetof(attributes, kv_num_heads), 1, INT32_MAX},
    {"left_window_size", offsetof(attributes, left_window_size), -1, INT64_MAX},
    {"right_window_size", offsetof(attributes, right_window_size), -1, INT64_MAX},
    {"qk_matmul_output_mode", offsetof(attributes, qk_matmul_output_mode), 0, 3},
    {"softmax_precision", offsetof(attributes, softmax_precision), 1, 16},
    {"rotary_interleaved", offsetof(attributes, rotary_interleaved), 0, 1},
    {"rotary_embedding_dim", offsetof(attributes, rotary_embedding_dim), 0, INT32_MAX},
};

static bool is_label(const char *key)
{
  for (size_t i = 0; i < sizeof labels / sizeof labels[0]; i++)
    if (strcmp(key, labels[i]) == 0) return true;
  return strncmp(key, "clattn.", 7) == 0;
}

static bool take_count(const st_label *label, size_t row, attributes *out, st_error *error)
{
  char *end;
  const char *text = label->value;
  errno = 0;
  const int64_t number = strtoll(text, &end, 10);
  const bool spelled = *text && strspn(text, "-0123456789") == strlen(text) && end != text && *end == '\0';
  if (!spelled) return st_fail(error, "attribute %s: '%s' is not a whole number", label->key, st_show(text).text);
  if (errno || number < counts[row].least || number > counts[row].most)
    return st_fail(error, "attribute %s is %s, must be %" PRId64 " to %" PRId64, label->key, st_show(text).text,
                   counts[row].least, counts[row].most);
  memcpy((char *)out + counts[row].at, &number, sizeof number);
  return true;
}

/* Finite in float32, in which scores are computed. */
static bool take_real(const st_label *label, double *out, st_error *error)
{
  char *end;
  const char *text = label->value;
  *out = strtod(text, &end);
  if (!*text || strspn(text, "+-.eE0123456789") != strlen(text) || end == text || *end)
    return st_fail(error, "attribute %s: '%s' is not a number", label->key, st_show(text).text);
  if (!isfinite((float)*out))
    return st_fail(error, "attribute %s is %s, must be finite in float32", label->key, st_show(text).text);
  return true;
}

static bool take_softcap(const st_label *label, attributes *out, st_error *error)
{
  if (!take_real(label, &out->softcap, error)) return false;
  if (out->softcap < 0.0 || (out->softcap > 0.0 && (float)out->softcap == 0.0f))
    return st_fail(error, "attribute softcap is %s, must be 0 (off) or positive in float32",
                   st_show(label->value).text);
  return true;
}

static bool take_label(const st_label *label, attributes *out, st_error *error)
{
  if (is_label(label->key)) return true;
  if (strcmp(label->key, "scale") == 0) return take_real(label, &out->scale, error);
  if (strcmp(label->key, "softcap") == 0) return take_softcap(label, out, error);
  for (size_t row = 0; row < sizeof counts / sizeof counts[0]; row++)
    if (strcmp(label->key, counts[row].key) == 0) return take_count(label, row, out, error);
  return st_fail(error, "attribute '%s' is unknown (labels of your own begin with 'clattn.')",
                 st_show(label->key).text);
}

bool attributes_take(const st_file *file, attributes *out, st_error *error)
{
  *out =
      (attributes){.scale = (double)NAN, .left_window_size = -1, .right_window_size = -1, .qk_matmul_output_mode = -1};
  for (size_t i = 0; i < file->n_labels; i++)
    if (!take_label(&file->labels[i], out, error)) return false;
  const int64_t precision = out->softmax_precision;
  if (precision != 0 && precision != 1 && precision != 10 && precision != 11 && precision != 16)
    return st_fail(error, "attribute softmax_precision is %" PRId64 ", must be 1, 10, 11 or 16", precision);
  return true;
}

bool attributes_copy_labels(const st_file *from, st_file *to)
{
  for (size_t i = 0; i < from->n_labels; i++)
    if (is_label(from->labels[i].key) && !st_set_label(to, from->labels[i].key, from->labels[i].value)) return false;
  return true;
}
