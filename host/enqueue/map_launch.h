/* A step of a map as a problem of its own. */
#ifndef CA_ENQUEUE_MAP_LAUNCH_H
#define CA_ENQUEUE_MAP_LAUNCH_H

#include "launch.h"

/* From a planned map and a run's buffers to step `index` of ca_map_steps: what its launches get. */
void ca_map_prepare(const ca_problem *whole, const ca_choice *choice, const ca_bound bound[CLATTN_SLOT_COUNT],
                    int64_t index, ca_problem *step, ca_bound step_bound[CLATTN_SLOT_COUNT]);

#endif
