#include "command.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "json_scan.h"

static const char *program = "clattn";

void command_set_program(const char *name) { program = name; }
const char *command_program(void) { return program; }

void make_harmless(char *text)
{
  utf8_mend(text);
  for (unsigned char *c = (unsigned char *)text; *c; c++) {
    const bool second_set = *c == 0xC2 && c[1] < 0xA0;
    if ((*c < 0x20 && *c != '\n') || *c == 0x7F || second_set) *c = '?';
    if (second_set) c[1] = '?';
  }
}

/* What a message names, a file or a value, may hold anything. */
static void put_harmless(const char *format, va_list args)
{
  va_list again;
  va_copy(again, args);
  const int bytes = vsnprintf(NULL, 0, format, again);
  va_end(again);
  char *text = bytes < 0 ? NULL : malloc((size_t)bytes + 1);
  if (!text) return;
  vsnprintf(text, (size_t)bytes + 1, format, args);
  make_harmless(text);
  fputs(text, stderr);
  free(text);
}

void complain(const char *verb, const char *format, ...)
{
  va_list args;
  fflush(stdout);
  fprintf(stderr, "clattn %s: ", verb);
  va_start(args, format);
  put_harmless(format, args);
  va_end(args);
  fputc('\n', stderr);
}

int complain_usage(const char *verb, const char *format, ...)
{
  va_list args;
  fprintf(stderr, "clattn %s: ", verb);
  va_start(args, format);
  put_harmless(format, args);
  va_end(args);
  fprintf(stderr, "; see clattn %s --help\n", verb);
  return EXIT_USAGE;
}

int complain_option(const char *verb, int found, char **argv)
{
  const char *word = optind > 0 ? argv[optind - 1] : "";
  if (found == ':') return complain_usage(verb, "option '%s' needs a value", word);
  if (optopt && strncmp(word, "--", 2) == 0) return complain_usage(verb, "option '%s' takes no value", word);
  if (optopt) return complain_usage(verb, "unknown option '-%c'", optopt);
  return complain_usage(verb, "unknown option '%s'", word);
}

int take_plain_options(const char *verb, const char *help, int argc, char **argv, plain_options *taken)
{
  enum { OPT_DEVICE = 256, OPT_JSON };
  static const struct option options[] = {{"device", required_argument, NULL, OPT_DEVICE},
                                          {"json", no_argument, NULL, OPT_JSON},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
  *taken = (plain_options){.json = false};
  int option;
  while ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
    switch (option) {
    case OPT_DEVICE:
      taken->device = optarg;
      break;
    case OPT_JSON:
      taken->json = true;
      break;
    case 'h':
      fputs(help, stdout);
      return EXIT_DONE;
    default:
      return complain_option(verb, option, argv);
    }
  }
  return optind < argc ? complain_usage(verb, "'%s' is not wanted here", argv[optind]) : -1;
}

void show_detail(const clattn_report *report)
{
  for (const char *line = report->detail; *line;) {
    const size_t length = strcspn(line, "\n");
    if (length) fprintf(stderr, "  %.*s\n", (int)length, line);
    line += length + (line[length] == '\n');
  }
}

bool add_file_name(cJSON *object, const char *key, const char *path)
{
  char *name = strdup(path);
  if (name) utf8_mend(name);
  const bool added = name && cJSON_AddStringToObject(object, key, name);
  free(name);
  return added;
}

void print_json(cJSON *object)
{
  char *text = cJSON_PrintUnformatted(object);
  if (text) puts(text);
  cJSON_free(text);
  cJSON_Delete(object);
}

bool flush_output(const char *verb)
{
  if (fflush(stdout) == 0 && !ferror(stdout)) return true;
  complain(verb, "writing to stdout failed: %s", strerror(errno));
  return false;
}

bool make_directory(const char *verb, const char *path)
{
  char *copy = strdup(path);
  struct stat info;
  for (char *slash = copy; copy && (slash = strchr(slash + 1, '/'));) {
    *slash = '\0';
    mkdir(copy, 0777);
    *slash = '/';
  }
  free(copy);
  if (mkdir(path, 0777) == 0 || (stat(path, &info) == 0 && S_ISDIR(info.st_mode))) return true;
  complain(verb, "%s: cannot make the folder: %s", path, strerror(errno));
  return false;
}

bool same_file(const char *a, const char *b)
{
  struct stat x, y;
  return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}
