#include <stdio.h>
#include <string.h>

#include "asserts.h"
#include "tester.h"

enum { ANY_TILE_FITS = 128 /* channels of v */ };

bool take_variant(int argc, char **argv, const char **variant)
{
  if (argc < 2) {
    fprintf(stderr, "usage: %s VARIANT|any [FILTER]\n", argv[0]);
    return false;
  }
  *variant = strcmp(argv[1], "any") ? argv[1] : NULL;
  if (argc > 2) cmocka_set_test_filter(argv[2]);
  return true;
}

const char *variant_named(const char *wish, const char *operation, const char *types_and_head, variant_id *id)
{
  const char *tile = wish ? strchr(wish, '/') : NULL;
  if (!tile) return wish;
  snprintf(id->text, sizeof id->text, "%.*s_%s_%s_%s", (int)(tile - wish), wish, operation, types_and_head, tile + 1);
  return id->text;
}

const char *way_variant(const way *w, const char *types_and_head, variant_id *id)
{
  return variant_named(w->variant, w->path == CLATTN_PATH_STAGED ? "staged" : "attention", types_and_head, id);
}

bool tile_may_refuse(const char *wish, int64_t dv, const clattn_report *report)
{
  const bool reason = strstr(report->message, "registers") || strstr(report->message, "local memory");
  return wish && strchr(wish, '/') && dv > ANY_TILE_FITS && report->status == CLATTN_UNSUPPORTED && reason;
}
