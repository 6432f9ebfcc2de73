/* What `clattn bench` found, for people and for programs. */
#include <stdio.h>
#include <string.h>

#include "bench_verb.h"

/* Medians of a row, and the shares of the peaks' medians. */
typedef struct figures {
  double ms, least, most, gflops, peak, read;
} figures;

static figures figures_of(bench_row *row, int rounds, double peak_gflops, double read_gbytes)
{
  const double ms = bench_median(row->ms, rounds);
  const double gflops = row->problem.ops / ms * 1e-6, gbytes = row->problem.bytes / ms * 1e-6;
  return (figures){.ms = ms,
                   .least = row->ms[0],
                   .most = row->ms[rounds - 1],
                   .gflops = gflops,
                   .peak = gflops / peak_gflops,
                   .read = gbytes / read_gbytes};
}

static void print_row_json(const bench_results *all, const bench_row *row, const figures *f, double peak, double read)
{
  cJSON *line = cJSON_CreateObject();
  cJSON_AddStringToObject(line, "problem", row->problem.text);
  cJSON_AddStringToObject(line, "variant", row->plan.info.variant);
  cJSON_AddStringToObject(line, "device", all->device.name);
  cJSON_AddNumberToObject(line, "ms_median", f->ms);
  cJSON_AddNumberToObject(line, "ms_min", f->least);
  cJSON_AddNumberToObject(line, "ms_max", f->most);
  cJSON_AddNumberToObject(line, "gflops", f->gflops);
  cJSON_AddNumberToObject(line, "peak_fraction", f->peak);
  cJSON_AddNumberToObject(line, "bandwidth_fraction", f->read);
  cJSON_AddNumberToObject(line, "workspace_bytes", (double)row->plan.info.workspace_bytes);
  cJSON_AddNumberToObject(line, "peak_gflops", peak);
  cJSON_AddNumberToObject(line, "read_gbytes", read);
  cJSON_AddNumberToObject(line, "rounds", all->request->asked.rounds);
  cJSON_AddNumberToObject(line, "runs", row->plan.runs);
  cJSON_AddBoolToObject(line, "tuned", row->plan.info.tuned != 0);
  print_json(line);
}

static const char *placement(const bench_device *d)
{
  return d->pinned ? " pinned to cores" : d->unpinned ? " NOT pinned to cores (POCL_AFFINITY=1 pins them)" : "";
}

static void print_heading(const bench_results *all, double peak, double read)
{
  const int n = all->request->asked.rounds;
  printf("%s: %zu compute units%s; medians of %d rounds%s\n", all->device.name, all->device.units,
         placement(&all->device), n, all->request->asked.cpu_time ? " of CPU time" : "");
  printf("FMA peak %.1f GFLOP/s (%.1f to %.1f), reads %.1f GB/s (%.1f to %.1f)\n\n", peak, all->peak_gflops[0],
         all->peak_gflops[n - 1], read, all->read_gbytes[0], all->read_gbytes[n - 1]);
  printf("%-*s %10s %10s %10s %9s %6s %6s %13s  %s\n", problem_words_width(&all->request->asked), "problem", "ms",
         "least", "most", "GFLOP/s", "% peak", "% read", "workspace", "variant");
}

void bench_tell(bench_results *all)
{
  const int rounds = all->request->asked.rounds;
  const double peak = bench_median(all->peak_gflops, rounds), read = bench_median(all->read_gbytes, rounds);
  const int width = problem_words_width(&all->request->asked);
  if (!all->request->asked.json) print_heading(all, peak, read);
  for (int i = 0; i < all->request->asked.n_texts; i++) {
    bench_row *row = &all->rows[i];
    const figures f = figures_of(row, rounds, peak, read);
    if (all->request->asked.json)
      print_row_json(all, row, &f, peak, read);
    else
      printf("%-*s %10.3f %10.3f %10.3f %9.1f %6.1f %6.1f %9.1f KiB  %s\n", width, row->problem.text, f.ms, f.least,
             f.most, f.gflops, 100 * f.peak, 100 * f.read, (double)row->plan.info.workspace_bytes / 1024,
             row->plan.info.variant);
  }
}
