/* The command line of `clattn draw`. */
#include "draw_request.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "json_scan.h"

static const char verb[] = "draw";

static const char help[] =
    "usage: clattn draw IN.safetensors... [-o OUT.{svg,png,html}] [OPTION...]\n"
    "\n"
    "Shows which tokens a token attends and how much: a node for each token, a directed edge for each pair. Each "
    "input\n"
    "is a layer as `clattn attend` takes it, which is run, or a file that holds just P or A, as [S,S], [H,S,S] or\n"
    "[B,H,SQ,SK]. There P of 0 and A of -inf, of about -1e9 and below, or of float16's lowest are keys not attended;\n"
    "with fewer queries than keys they are the last ones where none attends a later key, else another sequence.\n"
    "Several inputs are layers of one model, by the number in their label `layer`, or else in their order.\n"
    "Without -o the matrix, the strongest edges and a report of each head are printed.\n"
    "\n"
    "  -o, --output FILE    a picture (.svg, .png) or a page to explore (.html, with all layers and heads)\n"
    "      --view VIEW      matrix: a heat map, rows are queries; network: tokens and their edges; grid: all heads\n"
    "                       small; unsaid, grid for several heads or layers, and for one network, or matrix where\n"
    "                       it is long\n"
    "      --show WHAT      P, Pv (P |v|, what travels along an edge), A (the score), antisymmetric ((A - A^T)/2)\n"
    "      --heads LIST     only these, as 0,3-5; --head is the same\n"
    "      --layers LIST    only these, by the number of their label, or else counted from 0; --layer is the same\n"
    "      --batch N        this entry of the batch; unsaid, 0\n"
    "      --top N          at most N edges of each token, the strongest; 0: all; unsaid, 3\n"
    "      --threshold T    only edges whose magnitude is T or more\n"
    "      --pin N          in a picture the edges of token N, counted from 0, stand out\n"
    "      --colours NAME   a colour map: sea, ember, grey\n"
    "      --dark           light on dark\n"
    "      --title TEXT     in place of one made of what is shown\n"
    "      --device TEXT    P:D, cpu, gpu, or part of a name, as CLATTN_DEVICE\n"
    "      --json           print one JSON object a line\n"
    "  -h, --help\n"
    "\n"
    "example: clattn draw layer.safetensors\n"
    "example: clattn draw layer.safetensors --head 8 -o network.svg\n"
    "example: clattn draw layers/*.safetensors -o network.html\n";

enum { MOST_RANGES = 256, LARGEST_NUMBER = 999999 };

bool number_ranges_hold(const number_ranges *r, int64_t number)
{
  for (int i = 0; i < r->count; i++)
    if (number >= r->range[i][0] && number <= r->range[i][1]) return true;
  return !r->text;
}

static bool take_number(const char **text, int *number)
{
  char *end;
  if (**text < '0' || **text > '9') return false;
  errno = 0;
  const long value = strtol(*text, &end, 10);
  *number = (int)value;
  *text = end;
  return !errno && value <= LARGEST_NUMBER;
}

static bool take_ranges(const char *option, const char *text, number_ranges *r, st_error *error)
{
  const char *at = text;
  free(r->range);
  *r = (number_ranges){.text = text, .range = calloc(MOST_RANGES, sizeof *r->range)};
  if (!r->range) return st_fail(error, "out of memory");
  while (r->count < MOST_RANGES) {
    int *range = r->range[r->count++];
    if (!take_number(&at, &range[0])) break;
    range[1] = range[0];
    if (*at == '-' && (at++, !take_number(&at, &range[1]))) break;
    if (range[1] < range[0]) break;
    if (!*at) return true;
    if (*at++ != ',') break;
  }
  return st_fail(error, "--%s: '%s' is no list such as 0,3-5 of numbers up to %d", option, st_show(text).text,
                 LARGEST_NUMBER);
}

static bool take_count(const char *option, const char *text, int64_t *out, st_error *error)
{
  const char *at = text;
  int number;
  if (!take_number(&at, &number) || *at)
    return st_fail(error, "--%s: '%s' is no whole number of 0 to %d", option, st_show(text).text, LARGEST_NUMBER);
  *out = number;
  return true;
}

static bool take_threshold(const char *text, double *out, st_error *error)
{
  char *end;
  *out = strtod(text, &end);
  if (*text && !*end && isfinite(*out) && *out >= 0.0) return true;
  return st_fail(error, "--threshold: '%s' is no number of 0 or more", st_show(text).text);
}

static bool take_title(const char *text, draw_request *r, st_error *error)
{
  const size_t bytes = strlen(text);
  for (size_t at = 0, length; at < bytes; at += length) {
    length = utf8_length((const unsigned char *)text + at, bytes - at);
    if (!length) return st_fail(error, "--title: no valid UTF-8 at byte %zu", at);
  }
  r->options.title = text;
  return true;
}

static bool take_view(const char *text, draw_request *r, st_error *error)
{
  static const char *const views[] = {"matrix", "network", "grid"};
  for (int i = 0; i < 3; i++)
    if (strcmp(text, views[i]) == 0) {
      r->options.view = (draw_view)i;
      r->view_said = true;
      return true;
    }
  return st_fail(error, "--view: '%s' is none of matrix, network, grid", st_show(text).text);
}

static bool take_quantity(const char *text, draw_request *r, st_error *error)
{
  for (int i = 0; i < NETWORK_QUANTITY_COUNT; i++)
    if (strcmp(text, network_quantity_text((network_quantity)i)) == 0) {
      r->options.quantity = (network_quantity)i;
      r->quantity_said = true;
      return true;
    }
  return st_fail(error, "--show: '%s' is none of P, Pv, A, antisymmetric", st_show(text).text);
}

static bool take_output(const char *path, draw_request *r, st_error *error)
{
  static const char *const endings[] = {[DRAW_SVG] = ".svg", [DRAW_PNG] = ".png", [DRAW_HTML] = ".html"};
  const size_t length = strlen(path);
  r->output = path;
  for (int i = DRAW_SVG; i <= DRAW_HTML; i++) {
    const size_t end = strlen(endings[i]);
    if (length > end && path[length - end - 1] != '/' && strcmp(path + length - end, endings[i]) == 0) {
      r->format = (draw_format)i;
      return true;
    }
  }
  return st_fail(error, "-o: '%s' ends in none of .svg, .png, .html", st_show(path).text);
}

enum {
  OPT_VIEW = 256,
  OPT_SHOW,
  OPT_HEADS,
  OPT_LAYERS,
  OPT_BATCH,
  OPT_TOP,
  OPT_THRESHOLD,
  OPT_PIN,
  OPT_COLOURS,
  OPT_DARK,
  OPT_TITLE,
  OPT_DEVICE,
  OPT_JSON
};

static const struct option options[] = {
    {"output", required_argument, NULL, 'o'},
    {"view", required_argument, NULL, OPT_VIEW},
    {"show", required_argument, NULL, OPT_SHOW},
    {"heads", required_argument, NULL, OPT_HEADS},
    {"head", required_argument, NULL, OPT_HEADS},
    {"layers", required_argument, NULL, OPT_LAYERS},
    {"layer", required_argument, NULL, OPT_LAYERS},
    {"batch", required_argument, NULL, OPT_BATCH},
    {"top", required_argument, NULL, OPT_TOP},
    {"threshold", required_argument, NULL, OPT_THRESHOLD},
    {"pin", required_argument, NULL, OPT_PIN},
    {"colours", required_argument, NULL, OPT_COLOURS},
    {"dark", no_argument, NULL, OPT_DARK},
    {"title", required_argument, NULL, OPT_TITLE},
    {"device", required_argument, NULL, OPT_DEVICE},
    {"json", no_argument, NULL, OPT_JSON},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static bool take_valued(int option, draw_request *r, st_error *error)
{
  switch (option) {
  case 'o':
    return take_output(optarg, r, error);
  case OPT_VIEW:
    return take_view(optarg, r, error);
  case OPT_SHOW:
    return take_quantity(optarg, r, error);
  case OPT_HEADS:
    return take_ranges("heads", optarg, &r->heads, error);
  case OPT_LAYERS:
    return take_ranges("layers", optarg, &r->layers, error);
  case OPT_BATCH:
    return take_count("batch", optarg, &r->batch, error);
  case OPT_TITLE:
    return take_title(optarg, r, error);
  case OPT_TOP:
    return take_count("top", optarg, &r->options.top, error);
  case OPT_PIN:
    r->options.pinned = true;
    return take_count("pin", optarg, &r->options.pin, error);
  default:
    return take_threshold(optarg, &r->options.threshold, error);
  }
}

/* -1: go on; otherwise the exit status. */
static int take_option(int option, char **argv, draw_request *r)
{
  st_error error;
  switch (option) {
  case OPT_COLOURS:
    r->options.colours = optarg;
    return -1;
  case OPT_DARK:
    r->options.dark = true;
    return -1;
  case OPT_DEVICE:
    r->device = optarg;
    return -1;
  case OPT_JSON:
    r->options.json = true;
    return -1;
  case 'h':
    fputs(help, stdout);
    return EXIT_DONE;
  case ':':
  case '?':
    return complain_option(verb, option, argv);
  default:
    return take_valued(option, r, &error) ? -1 : complain_usage(verb, "%s", error.text);
  }
}

int draw_request_take(int argc, char **argv, draw_request *r)
{
  *r = (draw_request){.options = {.top = 3}};
  int option;
  while ((option = getopt_long(argc, argv, ":o:h", options, NULL)) != -1) {
    const int status = take_option(option, argv, r);
    if (status >= 0) return status;
  }
  r->inputs = (const char **)argv + optind;
  r->n_inputs = argc - optind;
  if (!r->n_inputs) return complain_usage(verb, "no input");
  return -1;
}

void draw_request_free(draw_request *r)
{
  free(r->heads.range);
  free(r->layers.range);
  free(r->options.heads);
  free(r->options.layers);
}
