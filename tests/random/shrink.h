/* A failing problem made small while it still fails. */
#ifndef TESTS_SHRINK_H
#define TESTS_SHRINK_H

#include "problem_text.h"

/* Whether a problem fails. */
typedef bool shrink_fails(const problem_text *problem, void *user);

/* Puts defaults in place of what is drawn and makes sizes smaller, as long as the problem fails; at most `tries`
 * problems are run. */
void shrink(problem_text *problem, int tries, shrink_fails *fails, void *user);

#endif
