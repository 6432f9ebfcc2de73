/* The named sets of problems. */
#include <string.h>

#include "bench.h"

static const char *const prefill[] = {"hq=8,sq=512,dk=64",   "hq=8,sq=1024,dk=64",  "hq=8,sq=2048,dk=64",
                                      "hq=8,sq=4096,dk=64",  "hq=8,sq=512,dk=128",  "hq=8,sq=1024,dk=128",
                                      "hq=8,sq=2048,dk=128", "hq=8,sq=4096,dk=128", NULL};
static const char *const causal[] = {
    "hq=8,sq=512,dk=64,causal=1",   "hq=8,sq=1024,dk=64,causal=1",  "hq=8,sq=2048,dk=64,causal=1",
    "hq=8,sq=4096,dk=64,causal=1",  "hq=8,sq=512,dk=128,causal=1",  "hq=8,sq=1024,dk=128,causal=1",
    "hq=8,sq=2048,dk=128,causal=1", "hq=8,sq=4096,dk=128,causal=1", NULL};
static const char *const small[] = {"b=32,hq=12,sq=77,dk=32",
                                    "b=32,hq=12,sq=128,dk=32",
                                    "b=32,hq=12,sq=333,dk=32",
                                    "b=32,hq=12,sq=77,dk=64",
                                    "b=32,hq=12,sq=128,dk=64",
                                    "b=32,hq=12,sq=333,dk=64",
                                    NULL};
static const char *const decode[] = {"hq=32,hk=8,sk=16384,dk=128",
                                     "hq=8,sk=32768,dk=64",
                                     "b=8,hq=8,sk=8192,dk=64",
                                     "hq=32,hk=8,sk=16384,dk=128,dtype=f16",
                                     "hq=8,sk=32768,dk=64,dtype=f16",
                                     "b=8,hq=8,sk=8192,dk=64,dtype=f16",
                                     NULL};

/* Tokens s, and N = E of a small and of a large model; float32 tokens on packed weights of two types, and on weights as
 * they lie, which more variants read than panels. */
#define PROJECTION(s, sizes)                                                                                           \
  "op=projection,s=" #s "," sizes ",packed=1", "op=projection,s=" #s "," sizes ",w_type=f16,packed=1",                 \
      "op=projection,s=" #s "," sizes
#define TOKENS(sizes)                                                                                                  \
  PROJECTION(1, sizes), PROJECTION(4, sizes), PROJECTION(16, sizes), PROJECTION(64, sizes), PROJECTION(512, sizes),    \
      PROJECTION(2048, sizes)
static const char *const projection[] = {TOKENS("e=768,h=12,d=64"), TOKENS("e=4096,h=32,d=128"), NULL};

static const char *const lengthy[] = {"hq=8,sq=16384,dk=64", "hq=8,sq=65536,dk=64,causal=1", "sq=131072,dk=64,causal=1",
                                      NULL};

static const struct {
  const char *name, *summary;
  const char *const *problems;
} sets[] = {
    {"prefill", "8 heads of 64 and 128 channels, 512 to 4,096 tokens", prefill},
    {"causal", "the same in causal order", causal},
    {"small", "32 x 12 heads of 32 and 64 channels, 77, 128 and 333 tokens", small},
    {"decode", "one query on 8,192 to 32,768 keys, float32 and float16", decode},
    {"projection",
     "1 to 2,048 tokens, 768 and 4,096 columns: weights packed, float32 and float16, and float32 as it lies",
     projection},
    {"long", "16,384 tokens, and 65,536 and 131,072 in causal order: minutes", lengthy},
};
enum { SETS = sizeof sets / sizeof sets[0] };

const char *const *bench_set(const char *name)
{
  for (int i = 0; i < SETS; i++)
    if (strcmp(sets[i].name, name) == 0) return sets[i].problems;
  return NULL;
}

const char *bench_set_name(size_t index) { return index < SETS ? sets[index].name : NULL; }
const char *bench_set_summary(size_t index) { return index < SETS ? sets[index].summary : NULL; }
