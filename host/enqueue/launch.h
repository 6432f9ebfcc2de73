/* From a choice to commands on a queue: argument structs, kernel arguments, events. */
#ifndef CA_ENQUEUE_LAUNCH_H
#define CA_ENQUEUE_LAUNCH_H

#include <CL/cl.h>

#include "choice.h"

/* Where each slot's view begins: NULL mem for what is absent. */
typedef struct ca_bound {
  cl_mem mem;
  size_t offset_bytes;
} ca_bound;

/* Enqueues launch `index` of a choice with `kernel` (NULL for CLBlast's product). */
clattn_status ca_launch_enqueue(const ca_problem *problem, const ca_choice *choice, uint32_t index, cl_kernel kernel,
                                const ca_bound bound[CLATTN_SLOT_COUNT], cl_command_queue queue, cl_uint n_wait,
                                const cl_event *wait, cl_event *done, clattn_report *report);

/* Launches a kernel once on nothing (zero arguments, one work-group), or CLBlast's product once on buffers of its own,
 * and waits: whatever a driver compiles at a first launch is compiled then. */
clattn_status ca_launch_warm_up(const ca_problem *problem, const ca_choice *choice, uint32_t index, cl_kernel kernel,
                                cl_context context, cl_command_queue queue, clattn_report *report);

/* Refuses a built kernel that needs more than the facts allow: local memory, work-group size, private memory. */
clattn_status ca_launch_check(const ca_launch *launch, cl_kernel kernel, cl_device_id device, const ca_facts *facts,
                              clattn_report *report);

#endif
