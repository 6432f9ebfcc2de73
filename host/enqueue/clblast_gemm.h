/* x w^T by CLBlast, w of a part, into the workspace. */
#ifndef CA_ENQUEUE_CLBLAST_GEMM_H
#define CA_ENQUEUE_CLBLAST_GEMM_H

#include "launch.h"

/* CLBlast takes no wait list: a barrier carries it. */
clattn_status ca_clblast_gemm(const ca_problem *problem, int part, const ca_bound bound[CLATTN_SLOT_COUNT],
                              cl_command_queue queue, cl_uint n_wait, const cl_event *wait, cl_event *done,
                              clattn_report *report);

#endif
