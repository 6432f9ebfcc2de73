/* What the files of this folder share. */
#ifndef CLATTN_BENCH_TIMING_H
#define CLATTN_BENCH_TIMING_H

#include "bench.h"

/* Now, by the device's clock: wall time, or CPU time shared by its units. */
double bench_now_ms(const bench_device *d);

/* What bench_device_peaks has made. */
void bench_peaks_free(bench_device *d);

/* How many runs of so many milliseconds make a timing. */
int bench_runs_of(double ms);

#endif
