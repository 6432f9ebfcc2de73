/* Checking what a run was given, before anything is enqueued. */
#ifndef CA_API_BINDINGS_H
#define CA_API_BINDINGS_H

#include "objects.h"

/* Checks bindings against the plan and writes them by slot; packed weights come from the plan.
 * @error CLATTN_INVALID_ARGUMENT, _INVALID_BINDING, _BUFFER_TOO_SMALL, _OVERLAP */
clattn_status ca_bindings_take(const clattn_plan *plan, const clattn_binding *bindings, uint32_t n,
                               ca_bound bound[CLATTN_SLOT_COUNT], clattn_report *report);

#endif
