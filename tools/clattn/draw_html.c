/* A page: one HTML text with its style, scripts and numbers inside, that asks for nothing from anywhere.
 *
 * Its policy allows the scripts and the style of the page by their hashes and nothing else, so that no text of a token
 * could run, whatever it held; besides that texts come as JSON without <, > and &, and scripts show them as text. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "draw.h"
#include "page_data.h"
#include "page_files.h"
#include "page_text.h"

static bool ends_with(const char *name, const char *end)
{
  const size_t a = strlen(name), b = strlen(end);
  return a >= b && strcmp(name + a - b, end) == 0;
}

static void put_hash(text_buffer *p, const page_file *file)
{
  unsigned char digest[32];
  for (int i = 0; i < 32; i++) {
    unsigned byte = 0;
    sscanf(file->sha256 + 2 * i, "%2x", &byte);
    digest[i] = (unsigned char)byte;
  }
  text_put(p, " 'sha256-");
  text_put_base64(p, digest, sizeof digest);
  text_put(p, "'");
}

/* Workers are made of the page's own scripts; nothing may be fetched, sent, framed or submitted. */
static void put_policy(text_buffer *p)
{
  text_put(p, "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; worker-src blob:; "
              "base-uri 'none'; form-action 'none'; style-src");
  for (const page_file *f = page_files; f->name; f++)
    if (ends_with(f->name, ".css")) put_hash(p, f);
  text_put(p, "; script-src");
  for (const page_file *f = page_files; f->name; f++)
    if (ends_with(f->name, ".js")) put_hash(p, f);
  text_put(p, "\">\n");
}

/* Every file of that ending, each between `open` + its name without ending + `begin`, and `end`. */
static void put_files(text_buffer *p, const char *ending, const char *open, const char *begin, const char *end)
{
  for (const page_file *f = page_files; f->name; f++) {
    if (!ends_with(f->name, ending)) continue;
    text_put(p, open);
    text_put_bytes(p, f->name, strlen(f->name) - strlen(ending));
    text_put(p, begin);
    text_put_bytes(p, f->text, f->bytes);
    text_put(p, end);
  }
}

/* What is drawn, where nobody gave it a name. */
static void make_title(network *n, const draw_options *options, char *title, size_t room)
{
  const network_layer *first = &n->layers[options->layers[0]];
  const network_layer *last = &n->layers[options->layers[options->n_layers - 1]];
  if (options->title)
    snprintf(title, room, "%s", options->title);
  else if (options->n_layers == 1)
    snprintf(title, room, "Attention of %s", first->name);
  else
    snprintf(title, room, "Attention of %s to %s", first->name, last->name);
}

bool draw_html(network *n, const draw_options *options, char **text, size_t *bytes, st_error *error)
{
  text_buffer p = {0};
  const size_t room = 64 + (options->title ? strlen(options->title) : 0) + strlen(n->layers[options->layers[0]].name) +
                      strlen(n->layers[options->layers[options->n_layers - 1]].name);
  char *title = malloc(room);
  if (!title) return st_fail(error, "out of memory");
  make_title(n, options, title, room);
  text_put(&p, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
  put_policy(&p);
  text_put(&p, "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
               "<meta name=\"generator\" content=\"clattn draw\">\n<title>");
  page_put_html(&p, title);
  text_put(&p, "</title>\n");
  put_files(&p, ".css", "<style id=\"css-", "\">", "</style>\n");
  text_put(&p, "</head>\n<body>\n");
  put_files(&p, ".html", "<!-- ", " -->\n", "");
  const bool good = page_put_data(&p, n, options, title, error);
  put_files(&p, ".js", "<script id=\"js-", "\">", "</script>\n");
  text_put(&p, "</body>\n</html>\n");
  free(title);
  if (!good || p.failed) {
    text_free(&p);
    return good ? st_fail(error, "a page of these layers: out of memory") : false;
  }
  *text = p.text;
  *bytes = p.bytes;
  return true;
}
