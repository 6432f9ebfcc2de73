/* The command clattn: one program, sub-commands as verbs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"

static const struct {
  const char *name, *summary;
  verb_main *run;
} verbs[] = {
    {"devices", "list OpenCL platforms and devices, which one is taken and why", verb_devices},
    {"attend", "run attention layers from safetensors files", verb_attend},
    {"draw", "show what attends what, as a picture, a page, or text", verb_draw},
    {"demo", "run a real language model's attention layer and show its network", verb_demo},
    {"bench", "time problems beside the device's own peak and the rate at which it reads memory", verb_bench},
    {"tune", "measure the variants of this device and keep the fastest where later runs find them", verb_tune},
    {"selftest", "check every variant on a device against sums in double; what is wrong is left out", verb_selftest},
};
enum { VERB_COUNT = sizeof verbs / sizeof verbs[0] };

static void print_help(FILE *stream)
{
  fprintf(stream, "clattn: attention on any OpenCL device\n\nusage: clattn VERB [OPTION...] [FILE...]\n\n");
  for (int i = 0; i < VERB_COUNT; i++) fprintf(stream, "  %-8s  %s\n", verbs[i].name, verbs[i].summary);
  fprintf(stream, "\nclattn VERB --help says more. clattn --version prints the version.\n"
                  "CLATTN_DEVICE names the device that every verb uses unless --device does.\n");
}

int main(int argc, char **argv)
{
#ifndef _WIN32
  /* PoCL's threads stay on their cores: faster, and steadier. It reads this at the first OpenCL call. */
  setenv("POCL_AFFINITY", "1", 0);
#endif
  if (argc < 2) {
    print_help(stderr);
    return EXIT_USAGE;
  }
  command_set_program(argv[0]);
  for (int i = 0; i < VERB_COUNT; i++)
    if (strcmp(argv[1], verbs[i].name) == 0) return verbs[i].run(argc - 1, argv + 1);
  if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
    print_help(stdout);
    return EXIT_DONE;
  }
  if (strcmp(argv[1], "--version") == 0) {
    const unsigned version = clattn_version();
    printf("clattn %u.%u.%u\n", version / 10000, version / 100 % 100, version % 100);
    return EXIT_DONE;
  }
  fprintf(stderr, "clattn: no verb '%s'; see clattn --help\n", argv[1]);
  return EXIT_USAGE;
}
