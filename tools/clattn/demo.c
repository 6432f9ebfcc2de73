/* clattn demo: a real language model's attention layer, from inside the command. */
#include "demo.h"

#include <stdio.h>

#include "command.h"
#include "demo_model.h"

static const char verb[] = "demo";

static const char help[] =
    "usage: clattn demo [OPTION...]\n"
    "\n"
    "Runs layer 13 of SmolLM2-135M-Instruct on \"The pink elephant tried to get into the car but it was too\" and "
    "shows\n"
    "the device, each stage's variant and time, the matrix and the strongest edges of the sharpest heads, and how far\n"
    "each head's A and W_Q^T W_K are from symmetric. The layer is inside the command.\n"
    "\n"
    "      --device TEXT    P:D, cpu, gpu, or part of a name, as CLATTN_DEVICE\n"
    "      --json           print one JSON object a line\n"
    "  -h, --help\n"
    "\n"
    "example: clattn demo --device cpu\n";

static int demonstrate(const char *want, bool json)
{
  const double start = clock_ms();
  st_file file;
  st_error error;
  layer l = {0};
  device d = {0};
  demo_result result = {0};
  progress bar;
  progress_begin(&bar, DEMO_STAGES);
  bool good = st_read_memory(demo_model_words, demo_model_bytes, &file, &error) && layer_take(&file, &l, &error) &&
              device_open(&d, want, &error);
  result.open_ms = clock_ms() - start;
  d.bar = &bar;
  d.bar_per_stage = true;
  good = good && demo_run(&d, &l, &result, &error);
  progress_end(&bar);
  result.total_ms = clock_ms() - start;
  good = good && demo_show(&d, &l, &result, json, &error);
  if (good) {
    good = flush_output(verb);
  } else {
    complain(verb, "%s", error.text);
    show_detail(&d.report);
  }
  for (int i = 0; i < 2 && good; i++)
    if (!(result.symmetric_share[i] <= DEMO_SYMMETRIC_LIMIT)) {
      complain(verb, "A with W_K := W_Q is not symmetric: share %.3g, the limit is %.3g: this device computes wrongly",
               result.symmetric_share[i], DEMO_SYMMETRIC_LIMIT);
      good = false;
    }
  demo_free(&result);
  if (d.context) device_close(&d);
  layer_free(&l);
  return good ? EXIT_DONE : EXIT_FAILED;
}

int verb_demo(int argc, char **argv)
{
  plain_options taken;
  const int status = take_plain_options(verb, help, argc, argv, &taken);
  if (status >= 0) return status;
  return demonstrate(taken.device, taken.json);
}
