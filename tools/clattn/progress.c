#include "progress.h"

#include <stdio.h>
#include <unistd.h>

#include "command.h"
#include "device_run.h"

enum { BAR_WIDTH = 30, LINE_WIDTH = 90, PATIENCE_MS = 1000 };

void progress_begin(progress *bar, int total)
{
  *bar = (progress){.start_ms = clock_ms(), .total = isatty(STDERR_FILENO) ? total : 0};
}

void progress_show(progress *bar, const char *now)
{
  static const char marks[BAR_WIDTH + 1] = "##############################";
  if (bar->total < 1 || clock_ms() - bar->start_ms < PATIENCE_MS) return;
  const int filled = bar->done < bar->total ? BAR_WIDTH * bar->done / bar->total : BAR_WIDTH;
  char name[41];
  snprintf(name, sizeof name, "%s", now);
  make_harmless(name); /* cut it may be in the middle of a character */
  fprintf(stderr, "\r[%-*.*s] %d/%d %-40s", BAR_WIDTH, filled, marks, bar->done, bar->total, name);
  fflush(stderr);
  bar->shown = true;
}

void progress_advance(progress *bar) { bar->done++; }

void progress_end(progress *bar)
{
  if (bar->shown) fprintf(stderr, "\r%*s\r", LINE_WIDTH, "");
  fflush(stderr);
  bar->shown = false;
}
