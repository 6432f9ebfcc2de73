/* Filling a clattn_report. Every function takes NULL. */
#ifndef CA_BASE_REPORT_H
#define CA_BASE_REPORT_H

#include <stdarg.h>

#include "clattn/types.h"

#ifdef __GNUC__
#define CA_PRINTF(format_index, first) __attribute__((format(printf, format_index, first)))
#else
#define CA_PRINTF(format_index, first)
#endif

/* Empties the report: CLATTN_OK and its text. */
void ca_report_clear(clattn_report *report);

/* Sets status and message; the detail stays. Returns status, so that `return ca_fail(...)` reads well. */
clattn_status ca_fail(clattn_report *report, clattn_status status, const char *format, ...) CA_PRINTF(3, 4);

/* Sets status from a failed OpenCL call: out-of-memory codes become CLATTN_OUT_OF_*, others CLATTN_OPENCL_FAILED. */
clattn_status ca_fail_cl(clattn_report *report, int32_t cl_error, const char *format, ...) CA_PRINTF(3, 4);

/* Leaves the function with the status of a failed call. */
#define CA_TRY(call)                                                                                                   \
  do {                                                                                                                 \
    const clattn_status try_status = (call);                                                                           \
    if (try_status != CLATTN_OK) return try_status;                                                                    \
  } while (0)

/* Adds a line to the detail; what does not fit is cut. */
void ca_report_line(clattn_report *report, const char *format, ...) CA_PRINTF(2, 3);

/* Adds the tail of a long text (a build log) to the detail. */
void ca_report_tail(clattn_report *report, const char *text);

#endif
