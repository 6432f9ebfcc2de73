#include "report.h"

#include <stdio.h>
#include <string.h>

void ca_report_clear(clattn_report *report)
{
  if (!report) return;
  report->status = CLATTN_OK;
  report->cl_error = 0;
  report->message[0] = '\0';
  report->detail[0] = '\0';
}

clattn_status ca_fail(clattn_report *report, clattn_status status, const char *format, ...)
{
  if (!report) return status;
  va_list args;
  va_start(args, format);
  vsnprintf(report->message, sizeof report->message, format, args);
  va_end(args);
  report->status = status;
  return status;
}

/* cl.h belongs to rooms that talk to OpenCL; these four codes are fixed by its specification. */
enum {
  CL_MEM_OBJECT_ALLOCATION_FAILURE_ = -4,
  CL_OUT_OF_RESOURCES_ = -5,
  CL_OUT_OF_HOST_MEMORY_ = -6,
  CL_INVALID_BUFFER_SIZE_ = -61
};

clattn_status ca_fail_cl(clattn_report *report, int32_t cl_error, const char *format, ...)
{
  clattn_status status = CLATTN_OPENCL_FAILED;
  if (cl_error == CL_OUT_OF_HOST_MEMORY_) status = CLATTN_OUT_OF_HOST_MEMORY;
  if (cl_error == CL_MEM_OBJECT_ALLOCATION_FAILURE_ || cl_error == CL_OUT_OF_RESOURCES_ ||
      cl_error == CL_INVALID_BUFFER_SIZE_)
    status = CLATTN_OUT_OF_DEVICE_MEMORY;
  if (!report) return status;
  char what[256];
  va_list args;
  va_start(args, format);
  vsnprintf(what, sizeof what, format, args);
  va_end(args);
  report->cl_error = cl_error;
  return ca_fail(report, status, "%s: OpenCL error %d", what, (int)cl_error);
}

void ca_report_line(clattn_report *report, const char *format, ...)
{
  if (!report) return;
  const size_t used = strlen(report->detail);
  if (used + 2 >= sizeof report->detail) return;
  va_list args;
  va_start(args, format);
  vsnprintf(report->detail + used, sizeof report->detail - used - 1, format, args);
  va_end(args);
  strcat(report->detail, "\n");
}

void ca_report_tail(clattn_report *report, const char *text)
{
  if (!report) return;
  const size_t room = sizeof report->detail - strlen(report->detail) - 2;
  const size_t length = strlen(text);
  ca_report_line(report, "%s", length > room ? text + (length - room) : text);
}
