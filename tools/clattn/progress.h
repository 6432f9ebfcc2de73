/* A bar on stderr, for work that lasts longer than a second, where stderr is a terminal. */
#ifndef CLATTN_TOOLS_PROGRESS_H
#define CLATTN_TOOLS_PROGRESS_H

#include <stdbool.h>

typedef struct progress {
  double start_ms;
  int total, done;
  bool shown;
} progress;

void progress_begin(progress *bar, int total);
void progress_show(progress *bar, const char *now); /* what is being done */
void progress_advance(progress *bar);               /* one of the total is done */
void progress_end(progress *bar);                   /* takes the bar away */

#endif
