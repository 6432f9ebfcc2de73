/* Every variant that a device accepts, on small problems, against sums in double. Runs through the public interface. */
#ifndef CA_SELFTEST_SELFTEST_H
#define CA_SELFTEST_SELFTEST_H

#include "clattn/clattn.h"
#include "report.h"

/* The name of no variant: planning answers it with the list of all. */
#define CA_NO_VARIANT "?"

/* Runs all trials on `context`, hands each row to `row` (may be NULL), and writes the kinds (ca_variant_kind) of the
 * variants that computed wrongly or failed as lines to `wrong`, which holds capacity bytes; *count is their number. */
clattn_status ca_selftest_run(clattn_context *context, clattn_selftest_fn row, void *user, char *wrong, size_t capacity,
                              uint32_t *count, clattn_report *report);

#endif
