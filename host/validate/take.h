/* Taking public structs and tensors: the checks that every descriptor shares. */
#ifndef CA_VALIDATE_TAKE_H
#define CA_VALIDATE_TAKE_H

#include "problem.h"
#include "report.h"

/* Sizes and offsets in tokens stay below this, so that i + offset + window fits 32 bits in a kernel. */
#define CA_MAX_TOKENS ((int64_t)1 << 29)

/* What a tensor may be. */
typedef struct ca_tensor_rule {
  int32_t slot;
  int32_t rank_min, rank_max;
  unsigned dtypes; /* bits 1 << dtype */
  bool output, required;
} ca_tensor_rule;

#define CA_BIT(dtype) (1u << (dtype))
#define CA_FLOATS (CA_BIT(CLATTN_F32) | CA_BIT(CLATTN_F16) | CA_BIT(CLATTN_BF16) | CA_BIT(CLATTN_F64))
#define CA_REALS (CA_BIT(CLATTN_F32) | CA_BIT(CLATTN_F64)) /* what is computed in is stored in */

/* The size that a caller says of each struct of an array that is to be filled. */
clattn_status ca_check_element(uint32_t struct_size, size_t known_bytes, size_t align, const char *what,
                               clattn_report *report);

/* Copies the caller's struct (known_bytes as this library knows it). A larger one passes if its tail is zero. */
clattn_status ca_take_struct(void *own, size_t known_bytes, const void *theirs, const char *what,
                             clattn_report *report);

clattn_status ca_check_flags(uint32_t flags, uint32_t known, clattn_report *report);
clattn_status ca_check_tokens(const char *name, int64_t tokens, clattn_report *report);

/* Checks one tensor by its rule and writes it, left-aligned, to problem->tensor[rule->slot]. */
clattn_status ca_take_tensor(const clattn_tensor *theirs, const ca_tensor_rule *rule, ca_problem *problem,
                             clattn_report *report);

/* Refuses a present tensor whose dimension differs: "k: dimension 3 is 64, must be 32 (DK of q)". */
clattn_status ca_want_dim(const ca_problem *problem, int32_t slot, int dimension, int64_t want, const char *why,
                          clattn_report *report);

#endif
