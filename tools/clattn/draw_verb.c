/* clattn draw: every input is read and checked, then the device is opened and the layers are run, then they are drawn.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "colours.h"
#include "command.h"
#include "draw_request.h"
#include "svg_picture.h"
#include "whole_file.h"

static const char verb[] = "draw";

/* ---- before any device ---- */

/* What can be known of the place of the output before there is one. */
static bool check_output(const draw_request *r)
{
  struct stat info;
  if (!r->output) return true;
  for (int i = 0; i < r->n_inputs; i++)
    if (same_file(r->output, r->inputs[i])) {
      complain(verb, "the output %s would overwrite %s, which is read", r->output, r->inputs[i]);
      return false;
    }
  const char *slash = strrchr(r->output, '/');
  char *folder = slash ? strndup(r->output, (size_t)(slash - r->output) + 1) : strdup(".");
  const bool good = folder && stat(folder, &info) == 0 && S_ISDIR(info.st_mode);
  if (!good) complain(verb, "output %s: its folder is not there", r->output);
  free(folder);
  return good;
}

/* Adds an input to the network: of a layer its outline. */
static bool add_input(network *n, const char *path, int64_t batch, st_error *error)
{
  st_file file;
  layer l;
  if (!st_read(path, &file, error)) return false;
  if (network_is_bare(&file)) {
    const bool good = network_add_bare(n, &file, path, batch, error);
    st_free(&file);
    return good;
  }
  if (!layer_take(&file, &l, error)) return false;
  const bool good = network_add_layer(n, &l, path, batch, error);
  layer_free(&l);
  return good;
}

static bool add_inputs(const draw_request *r, network *n)
{
  st_error error;
  bool good = true;
  for (int i = 0; i < r->n_inputs; i++) {
    if (add_input(n, r->inputs[i], r->batch, &error)) continue;
    complain(verb, "%s: %s", r->inputs[i], error.text);
    good = false;
  }
  return good;
}

static bool is_layer(const network *n, int64_t number)
{
  for (int i = 0; i < n->n_layers; i++)
    if (n->layers[i].number == number) return true;
  return false;
}

/* By number, and without those that are not wanted. */
static bool choose_layers(const draw_request *r, network *n)
{
  network_sort(n);
  bool numbered = true;
  for (int i = 0; i < n->n_layers; i++) numbered = numbered && n->layers[i].number >= 0;
  for (int i = 0; i < n->n_layers && !numbered; i++) n->layers[i].number = i;
  for (int i = 0; i < r->layers.count; i++)
    for (int end = 0; end < 2; end++)
      if (!is_layer(n, r->layers.range[i][end])) {
        complain(verb, "--layers: there is no layer %d, but %d from %" PRId64 " to %" PRId64 "%s",
                 r->layers.range[i][end], n->n_layers, n->layers[0].number, n->layers[n->n_layers - 1].number,
                 numbered ? " by their labels" : " in the order given");
        return false;
      }
  for (int i = n->n_layers - 1; i >= 0; i--)
    if (!number_ranges_hold(&r->layers, n->layers[i].number)) network_remove_layer(n, i);
  return true;
}

/* What is shown: all layers can show it. */
static bool choose_quantity(draw_request *r, const network *n)
{
  network_quantity *quantity = &r->options.quantity;
  if (!r->quantity_said) *quantity = network_default_quantity(&n->layers[0]);
  for (int i = 0; i < n->n_layers && !r->quantity_said; i++) /* a run layer can show what a bare one holds */
    if (n->layers[i].bare) *quantity = network_default_quantity(&n->layers[i]);
  for (int i = 0; i < n->n_layers; i++) {
    const network_layer *l = &n->layers[i];
    if (network_can_show(l, *quantity)) continue;
    if (l->bare && !(*quantity == NETWORK_ANTISYMMETRIC && l->bare_is == NETWORK_A))
      complain(verb, "%s: it holds just %s, of which %s cannot be shown", l->path, network_quantity_text(l->bare_is),
               network_quantity_text(*quantity));
    else
      complain(verb, "%s: %s needs as many queries as keys, there are %" PRId64 " and %" PRId64, l->path,
               network_quantity_text(*quantity), l->sq, l->sk);
    return false;
  }
  return true;
}

static bool check_colours(const draw_request *r)
{
  const char *name = r->options.colours;
  if (!name || colour_family_find(name)) return true;
  complain(verb, "--colours: '%s' is none of %s", st_show(name).text, colour_families());
  return false;
}

/* Of one head its network, where it has not too many tokens to be seen as one. */
static draw_view usual_view(const network *n, const draw_options *o)
{
  const network_layer *l = &n->layers[0];
  if (o->n_heads > 1 || o->n_layers > 1) return DRAW_GRID;
  return l->sq > SVG_MAX_NODES || l->sk > SVG_MAX_NODES ? DRAW_MATRIX : DRAW_NETWORK;
}

/* Indices of layers and heads as the pictures take them. */
static bool choose_heads(draw_request *r, const network *n)
{
  draw_options *o = &r->options;
  int64_t heads = 0;
  for (int i = 0; i < n->n_layers; i++)
    if (n->layers[i].heads > heads) heads = n->layers[i].heads;
  for (int i = 0; i < r->heads.count; i++)
    if (r->heads.range[i][1] >= heads) {
      complain(verb, "--heads: there is no head %d, but %" PRId64 " from 0 to %" PRId64, r->heads.range[i][1], heads,
               heads - 1);
      return false;
    }
  o->heads = malloc((size_t)heads * sizeof *o->heads);
  o->layers = malloc((size_t)n->n_layers * sizeof *o->layers);
  if (!o->heads || !o->layers) {
    complain(verb, "out of memory");
    return false;
  }
  for (int64_t h = 0; h < heads; h++)
    if (number_ranges_hold(&r->heads, h)) o->heads[o->n_heads++] = (int)h;
  for (int i = 0; i < n->n_layers; i++) o->layers[o->n_layers++] = i;
  o->sharpest = !r->heads.text;
  o->view_said = r->view_said;
  if (!r->view_said) o->view = usual_view(n, o);
  return true;
}

/* A list of texts that fits neither the keys nor the queries. */
static void warn_of_texts(const network *n)
{
  for (int i = 0; i < n->n_layers; i++) {
    const network_layer *l = &n->layers[i];
    const int64_t texts = l->texts;
    if (!texts || texts == l->sq || (texts >= l->sk && texts <= l->padded_keys)) continue;
    complain(verb,
             "%s: warning: label 'tokens' has %" PRId64 " text%s, there are %" PRId64 " queries and %" PRId64
             " keys: %s",
             l->path, texts, texts == 1 ? "" : "s", l->sq, l->sk,
             l->named ? "the first ones name the tokens" : "tokens are shown by their numbers");
  }
}

static bool check_pin(const draw_request *r, const network *n)
{
  for (int i = 0; i < n->n_layers && r->options.pinned; i++)
    if (r->options.pin >= n->layers[i].sq) {
      complain(verb, "%s: token %" PRId64 " cannot be pinned, queries are 0 to %" PRId64, n->layers[i].path,
               r->options.pin, n->layers[i].sq - 1);
      return false;
    }
  return true;
}

/* ---- on the device ---- */

static bool run_layer(network *n, int index, st_error *error)
{
  st_file file;
  layer l;
  const char *path = n->layers[index].path;
  if (!st_read(path, &file, error) || !layer_take(&file, &l, error)) return false;
  const bool good = network_run_layer(n, index, &l, error);
  layer_free(&l);
  return good;
}

static bool run_layers(network *n)
{
  st_error error;
  progress bar;
  bool good = true;
  progress_begin(&bar, n->n_layers);
  n->d->bar = &bar;
  for (int i = 0; i < n->n_layers && good; i++) {
    progress_show(&bar, n->layers[i].name);
    if (!n->layers[i].bare && !run_layer(n, i, &error)) {
      progress_end(&bar);
      complain(verb, "%s: %s", n->layers[i].path, error.text);
      show_detail(&n->d->report);
      good = false;
    }
    progress_advance(&bar);
  }
  progress_end(&bar);
  n->d->bar = NULL;
  return good;
}

/* Beside a score of 1e9, as masks are added, float32 has no room for what tells keys apart. */
static void warn_of_large_scores(const network *n)
{
  const float large = 1e5f;
  for (int i = 0; i < n->n_layers; i++) {
    const network_layer *l = &n->layers[i];
    int64_t rows = 0;
    for (int64_t row = 0; row < l->heads * l->sq && l->lse; row++)
      rows += isfinite(l->lse[row]) && fabsf(l->lse[row]) > large;
    if (!rows) continue;
    complain(verb,
             "%s: warning: the scores of %" PRId64 " of %" PRId64
             " rows exceed %g, where float32 is too coarse for their P: let a mask close keys by -inf, or be boolean",
             l->path, rows, l->heads * l->sq, (double)large);
  }
}

/* ---- what comes of it ---- */

typedef struct picture {
  char *bytes;
  size_t count;
} picture;

static bool write_picture(FILE *stream, const void *user)
{
  const picture *p = user;
  return fwrite(p->bytes, 1, p->count, stream) == p->count;
}

static bool make_picture(network *n, const draw_request *r, picture *p, st_error *error)
{
  if (r->format == DRAW_SVG) return draw_svg(n, &r->options, &p->bytes, &p->count, error);
  if (r->format == DRAW_HTML) return draw_html(n, &r->options, &p->bytes, &p->count, error);
  unsigned char *data = NULL;
  const bool good = draw_png(n, &r->options, &data, &p->count, error);
  p->bytes = (char *)data;
  return good;
}

static void tell_written(const draw_request *r, const network *n, const picture *p)
{
  if (!r->options.json) {
    char *name = strdup(r->output);
    if (name) make_harmless(name);
    printf("wrote %s: %zu bytes, %d layer%s, %d head%s\n", name ? name : "it", p->count, n->n_layers,
           n->n_layers == 1 ? "" : "s", r->options.n_heads, r->options.n_heads == 1 ? "" : "s");
    free(name);
    return;
  }
  cJSON *line = cJSON_CreateObject();
  cJSON_AddStringToObject(line, "kind", "written");
  add_file_name(line, "output", r->output);
  cJSON_AddNumberToObject(line, "bytes", (double)p->count);
  cJSON_AddNumberToObject(line, "layers", n->n_layers);
  cJSON_AddNumberToObject(line, "heads", r->options.n_heads);
  print_json(line);
}

static bool show(network *n, const draw_request *r)
{
  st_error error;
  if (!r->output) {
    if (draw_terminal(n, &r->options, &error)) return true;
    complain(verb, "%s", error.text);
    return false;
  }
  picture p = {0};
  bool good = make_picture(n, r, &p, &error);
  if (!good) complain(verb, "%s: %s", r->output, error.text);
  if (good && !whole_file_make(r->output, write_picture, &p, &error)) {
    complain(verb, "output %s: %s", r->output, error.text);
    good = false;
  }
  if (good) tell_written(r, n, &p);
  free(p.bytes);
  return good;
}

static bool open_device(network *n, const char *want, device *d)
{
  st_error error;
  bool needed = false;
  for (int i = 0; i < n->n_layers; i++) needed = needed || !n->layers[i].bare;
  if (!needed) return true;
  if (!device_open(d, want, &error)) {
    complain(verb, "%s", error.text);
    show_detail(&d->report);
    return false;
  }
  n->d = d;
  return true;
}

static bool draw(draw_request *r, network *n)
{
  device d;
  if (!check_output(r) || !check_colours(r) || !add_inputs(r, n) || !choose_layers(r, n) || !choose_quantity(r, n) ||
      !choose_heads(r, n) || !check_pin(r, n) || !open_device(n, r->device, &d))
    return false;
  warn_of_texts(n);
  bool good = !n->d || run_layers(n);
  if (good) warn_of_large_scores(n);
  good = good && show(n, r);
  if (n->d) device_close(n->d);
  return flush_output(verb) && good;
}

int verb_draw(int argc, char **argv)
{
  draw_request r;
  network n = {0};
  int status = draw_request_take(argc, argv, &r);
  n.operators = r.format == DRAW_TEXT || r.format == DRAW_HTML;
  if (status < 0) status = draw(&r, &n) ? EXIT_DONE : EXIT_FAILED;
  network_free(&n);
  draw_request_free(&r);
  return status;
}
