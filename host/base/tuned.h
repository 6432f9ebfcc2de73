/* Tuned rows: the variant that was measured to be the fastest for a class of problems on a device. One line of text
 * each, in a tuning file or built in (host/plan/tuned.def):
 *
 *   DEVICE | DRIVER | PLATFORM VERSION | CLASS | KIND
 *   pthread-EPYC | 3.1 | OpenCL 3.0 | attention f32 heads=8 sq=77 sk=77 dk=64 dv=64 | vector_attention_f32_l16t5x5
 *
 * A star in the first three stands for any text. The class is the operation, the types as variant ids have them, and
 * sizes, those that are 0 left out. The kind is a variant's (names.h), or "rules": the rules choose as well as any
 * measured variant. A row is a preference: without it, or where its variant refuses, the rules choose. */
#ifndef CA_BASE_TUNED_H
#define CA_BASE_TUNED_H

#include "facts.h"
#include "names.h"
#include "problem.h"

/* How near the sizes of a row must be to a problem's: EQUAL; COUNT, within a factor of two; EXTENT, equal, or both at
 * least CA_TUNED_LONG and within a factor of two: a short one is rounded up to whole tiles, each tile in its own way.
 * X(key, NEARNESS) */
#define CA_TUNED_SIZE_LIST(X)                                                                                          \
  X(heads, COUNT)   /* batch times query heads */                                                                      \
  X(group, EQUAL)   /* query heads of a key head */                                                                    \
  X(sq, EXTENT)     /* query tokens */                                                                                 \
  X(sk, EXTENT)     /* key tokens, the past included */                                                                \
  X(dk, EQUAL)      /* channels of q and k */                                                                          \
  X(dv, EQUAL)      /* channels of v */                                                                                \
  X(causal, EQUAL)  /* 1: causal order */                                                                              \
  X(tokens, EXTENT) /* of a projection, batch times tokens */                                                          \
  X(n, EXTENT)      /* rows of w, of all parts */                                                                      \
  X(e, EXTENT)      /* width of x */                                                                                   \
  X(parts, EQUAL)   /* 3: Q, K and V of one x */                                                                       \
  X(panel, EQUAL)   /* columns of a panel of packed weights */
#define CA_TUNED_LONG 256

typedef enum ca_tuned_size {
#define CA_TUNED_SIZE_ENUM(key, nearness) CA_TUNED_##key,
  CA_TUNED_SIZE_LIST(CA_TUNED_SIZE_ENUM)
#undef CA_TUNED_SIZE_ENUM
      CA_TUNED_SIZE_COUNT
} ca_tuned_size;

/* What problems have in common for which one variant is the fastest. */
typedef struct ca_tuned_class {
  char operation[16], types[32];
  int64_t size[CA_TUNED_SIZE_COUNT];
} ca_tuned_class;

#define CA_TUNED_RULES "rules" /* a kind: the rules choose */
#define CA_TUNED_CLASS_BYTES 256
#define CA_TUNED_LINE_BYTES 1024

typedef struct ca_tuned_row {
  ca_tuned_class problems;
  char kind[CA_VARIANT_KIND_BYTES];
} ca_tuned_row;

/* A line as it stands. */
typedef struct ca_tuned_line {
  char device[128], driver[64], platform_version[128];
  ca_tuned_row row;
} ca_tuned_line;

/* Rows of one device, from one source, the first of equals wins. */
typedef struct ca_tuned_table {
  ca_tuned_row *row;
  size_t count;
} ca_tuned_table;

/* What a device's planning looks at, in this order. */
typedef enum ca_tuned_source { CA_TUNED_FILE, CA_TUNED_BUILT_IN, CA_TUNED_SOURCES } ca_tuned_source;
typedef struct ca_tuned {
  ca_tuned_table source[CA_TUNED_SOURCES];
} ca_tuned;

/* "attention f32 heads=8 ..." */
void ca_tuned_class_text(const ca_tuned_class *problems, char text[CA_TUNED_CLASS_BYTES]);

/* A row of this device, without a line feed; of any driver of it where drivers is true. */
void ca_tuned_text(const ca_facts *facts, const ca_tuned_row *row, bool drivers, char text[CA_TUNED_LINE_BYTES]);

/* Takes a line (without its line feed) apart; false: it is no row. */
bool ca_tuned_parse(const char *line, size_t length, ca_tuned_line *out);

/* Appends a line's row to the table where it is of this device. False: it is no row, or there is no memory for it. */
bool ca_tuned_add(const char *line, size_t length, const ca_facts *facts, ca_tuned_table *table);

/* Appends the rows of this device. Lines that are no rows are passed over: *bad counts them, *first_bad is the number
 * of the first. Empty lines and those that begin with # are comments. */
void ca_tuned_read(const char *text, const ca_facts *facts, ca_tuned_table *table, uint32_t *bad, uint32_t *first_bad);

/* The row for such problems: of this very class, else the nearest one within the limits above, the smallest sum of
 * |log2(size/size)|; NULL: none. */
const ca_tuned_row *ca_tuned_find(const ca_tuned_table *table, const ca_tuned_class *problems);

/* The old text with these rows (lines): they take the place of those of the same device and class, the others stay as
 * they are. The caller frees it; NULL: no memory. */
char *ca_tuned_merge(const char *old, const char *rows);

#endif
