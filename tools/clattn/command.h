/* What the verbs of the command share: messages, options, exit statuses. */
#ifndef CLATTN_TOOLS_COMMAND_H
#define CLATTN_TOOLS_COMMAND_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "clattn/clattn.h"
#include "safetensors.h"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

typedef int verb_main(int argc, char **argv);
verb_main verb_devices, verb_attend, verb_draw, verb_demo, verb_selftest, verb_bench, verb_tune;

/* The command as it was called: what execvp starts again. */
void command_set_program(const char *name);
const char *command_program(void);

#if defined(__GNUC__)
#define COMMAND_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define COMMAND_PRINTF(f, a)
#endif

/* "clattn VERB: text" on stderr, made harmless. */
void complain(const char *verb, const char *format, ...) COMMAND_PRINTF(2, 3);

/* Puts "?" in place of what is no UTF-8 and of what a terminal would obey; line ends stay. */
void make_harmless(char *text);

/* The same for a wrong command line, with a hint at --help; returns EXIT_USAGE. */
int complain_usage(const char *verb, const char *format, ...) COMMAND_PRINTF(2, 3);

/* What getopt_long found wrong with argv, as such a complaint. */
int complain_option(const char *verb, int found, char **argv);

/* The options of a verb that takes no arguments. */
typedef struct plain_options {
  const char *device; /* NULL: not said */
  bool json;
} plain_options;

/* Reads them, --help too. -1: go on; otherwise the exit status. */
int take_plain_options(const char *verb, const char *help, int argc, char **argv, plain_options *taken);

/* The lines of a report's detail, indented, on stderr. */
void show_detail(const clattn_report *report);

/* A file's name as a text of JSON, which has to be UTF-8. */
bool add_file_name(cJSON *object, const char *key, const char *path);

/* One JSON object as a line on stdout; the object is deleted. */
void print_json(cJSON *object);

/* True; or false with a complaint when something written to stdout was lost. */
bool flush_output(const char *verb);

/* True where the folder is there, made with those above it if need be; or false with a complaint. */
bool make_directory(const char *verb, const char *path);

/* Whether two names lead to one file that is there. */
bool same_file(const char *a, const char *b);

#endif
