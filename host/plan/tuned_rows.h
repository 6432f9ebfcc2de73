/* Tuned rows in planning: the class of a problem, and the built-in table. */
#ifndef CA_PLAN_TUNED_ROWS_H
#define CA_PLAN_TUNED_ROWS_H

#include "tuned.h"

/* The class of a problem. False: rows say nothing of it, which is so for what has one variant alone (merging) and for a
 * hint at float64, which a variant that is named would not follow. Masks, windows and rotations are not looked at. */
bool ca_tuned_class_of(const ca_problem *problem, ca_tuned_class *problems);

/* Lines of the built-in table; NULL past the last. */
const char *ca_tuned_built_in(uint32_t index);

#endif
