/* A problem as text, and as tensors: `b=2,hq=8,hk=2,sq=77,sk=333,dk=64,dtype=f16,causal=1,seed=7`. What tests print
 * when they fail is what the command and the benchmarks take.
 *
 * Keys: b hq hk sq sk dk dv dtype causal left right scale softcap past mask seed path. Defaults: b=1 hq=1 hk=hq sq=1
 * sk=sq dk=64 dv=dk dtype=f32 causal=0 left=-1 right=-1 scale=1/sqrt(dk) softcap=0 past=0 mask=none seed=0 path=auto.
 * sk counts the tokens of K, past comes before them. mask: none; bool and float, [b,1,sq,past+sk] at random; pad,
 * boolean [b,1,1,past+sk], true up to a length of each batch. */
#ifndef CLATTN_TOOLS_PROBLEM_TEXT_H
#define CLATTN_TOOLS_PROBLEM_TEXT_H

#include "safetensors.h"

/* X(name in the text) */
#define PROBLEM_MASK_LIST(X) X(none) X(bool) X(float) X(pad)

typedef enum problem_mask {
#define PROBLEM_MASK_ENUM(name) PROBLEM_MASK_##name,
  PROBLEM_MASK_LIST(PROBLEM_MASK_ENUM)
#undef PROBLEM_MASK_ENUM
      PROBLEM_MASK_COUNT
} problem_mask;

typedef struct problem_text {
  int64_t b, hq, hk, sq, sk, dk, dv, past;
  int64_t causal, left, right;
  double scale, softcap; /* scale NaN: the default */
  uint64_t seed;
  int32_t dtype; /* clattn_dtype: f32, f16, bf16 or f64 */
  int32_t path;  /* clattn_path */
  problem_mask mask;
} problem_text;

#define PROBLEM_TEXT_BYTES 320

bool problem_parse(const char *text, problem_text *problem, st_error *error);

/* The shortest text that problem_parse takes back to the same problem. */
void problem_print(const problem_text *problem, char text[PROBLEM_TEXT_BYTES]);

/* The tensors Q K V, attn_mask, past_key and past_value and the attributes: the same on every machine, by the seed.
 * Numbers have mean 0 and variance 1. */
bool problem_fill(const problem_text *problem, st_file *file, st_error *error);

#endif
