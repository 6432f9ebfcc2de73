#include "asserts.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *status_name(clattn_status status)
{
  switch (status) {
#define STATUS_CASE(name, value, text)                                                                                 \
  case name:                                                                                                           \
    return #name;
    CLATTN_STATUS_LIST(STATUS_CASE)
#undef STATUS_CASE
  }
  return "not a status";
}

void assert_status_at(clattn_status expected, clattn_status actual, const clattn_report *report, const char *file,
                      int line)
{
  if (expected == actual && (!report || report->status == actual)) return;
  print_error("%s:%d: status is %s (%d), expected %s (%d)\n", file, line, status_name(actual), actual,
              status_name(expected), expected);
  if (report) {
    print_error("  report: %s (%d), OpenCL code %" PRId32 "\n  message: %s\n", status_name(report->status),
                report->status, report->cl_error, report->message);
    if (report->detail[0]) print_error("  detail:\n%s\n", report->detail);
  }
  fail();
}

void assert_says_at(const clattn_report *report, const char *const *texts, const char *file, int line)
{
  for (; *texts; texts++) {
    if (strstr(report->message, *texts)) continue;
    print_error("%s:%d: the message lacks \"%s\": \"%s\"\n", file, line, *texts, report->message);
    fail();
  }
}

void assert_holds_at(const char *text, const char *part, const char *file, int line)
{
  if (text && strstr(text, part)) return;
  print_error("%s:%d: \"%s\" is not in:\n%s\n", file, line, part, text ? text : "(NULL)");
  fail();
}

void *test_alloc(size_t bytes)
{
  void *memory = calloc(1, bytes ? bytes : 1);
  assert_non_null(memory);
  return memory;
}

static bool element_is_close(const closeness *c, double got, double want, double allowed)
{
  if (isnan(want)) return !isfinite(got);
  if (isinf(want)) return c->exact_infinities ? got == want : !isfinite(got);
  return isfinite(got) && fabs(got - want) <= allowed;
}

static void print_index(const closeness *c, int64_t flat)
{
  int64_t index[4] = {0};
  for (int d = c->rank - 1; d >= 0; d--) {
    index[d] = flat % c->dim[d];
    flat /= c->dim[d];
  }
  for (int d = 0; d < c->rank; d++) print_error("%s%" PRId64, d ? "," : "[", index[d]);
  print_error("]");
}

bool is_close(const closeness *c, const double *got, const double *want, const double *allowed)
{
  int64_t n = 1, bad = 0, first = -1, worst = -1;
  double worst_ratio = 0.0;
  for (int d = 0; d < c->rank; d++) n *= c->dim[d];
  for (int64_t i = 0; i < n; i++) {
    if (element_is_close(c, got[i], want[i], allowed[i])) continue;
    bad++;
    if (first < 0) first = i;
    const double ratio = fabs(got[i] - want[i]) / allowed[i];
    if (worst < 0 || ratio > worst_ratio) {
      worst = i;
      worst_ratio = ratio;
    }
  }
  if (!bad) return true;
  print_error("%s: %" PRId64 " of %" PRId64 " wrong, first at ", c->what, bad, n);
  print_index(c, first);
  print_error(": %.9g, expected %.9g within %.3g\n  worst at ", got[first], want[first], allowed[first]);
  print_index(c, worst);
  print_error(": %.9g, expected %.9g, %.3g times what is allowed\n  problem: %s\n", got[worst], want[worst],
              worst_ratio, c->problem);
  return false;
}
