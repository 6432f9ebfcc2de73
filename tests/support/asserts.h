/* Asserts that print both values. */
#ifndef TESTS_ASSERTS_H
#define TESTS_ASSERTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "clattn/types.h"

/* The status, by name; on failure also what the report says. `report` may be NULL. */
#define assert_status(expected, actual, report) assert_status_at(expected, actual, report, __FILE__, __LINE__)
void assert_status_at(clattn_status expected, clattn_status actual, const clattn_report *report, const char *file,
                      int line);

/* The report's message holds every one of the texts (thing, value, limit). */
#define assert_says(report, ...) assert_says_at(report, (const char *const[]){__VA_ARGS__, NULL}, __FILE__, __LINE__)
void assert_says_at(const clattn_report *report, const char *const *texts, const char *file, int line);

/* A text holds another. */
#define assert_holds(text, part) assert_holds_at(text, part, __FILE__, __LINE__)
void assert_holds_at(const char *text, const char *part, const char *file, int line);

/* memory that was surely given */
void *test_alloc(size_t bytes);

/* How one output is compared with the oracle. */
typedef struct closeness {
  const char *what;    /* "y" */
  const char *problem; /* one line that repeats the case */
  int rank;
  int64_t dim[4];
  bool exact_infinities; /* an expected infinity must come as such; otherwise any non-finite value does */
} closeness;

/* True if |got - want| <= allowed everywhere; otherwise prints the first bad index, both values, what was allowed, how
 * many are bad and the worst. Where `want` is NaN, any non-finite value will do. */
bool is_close(const closeness *c, const double *got, const double *want, const double *allowed);

#endif
