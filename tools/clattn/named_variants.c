#include "named_variants.h"

#include <stdio.h>
#include <string.h>

#include "command.h"

/* One is the beginning of the other: "tiled" and "tiled_scores_f32_d64_..." both name the row "tiled_scores". */
static bool names_row(const char *text, const char *row)
{
  const size_t a = strlen(text), b = strlen(row);
  return a > 0 && strncmp(text, row, a < b ? a : b) == 0;
}

static bool names_any(const char *text)
{
  for (uint32_t i = 0; clattn_variant_name(i); i++)
    if (names_row(text, clattn_variant_name(i))) return true;
  return false;
}

bool named_variants_exist(const char *verb, const pipeline_options *options)
{
  for (int i = 0; i < options->n_variants; i++)
    if (!names_any(options->variants[i])) {
      complain(verb, "--variant: '%s' is the beginning of none of these:", st_show(options->variants[i]).text);
      for (uint32_t v = 0; clattn_variant_name(v); v++) fprintf(stderr, "  %s\n", clattn_variant_name(v));
      return false;
    }
  return true;
}

const char *named_variant_for(const pipeline_options *options, const char *operation)
{
  for (int v = 0; v < options->n_variants; v++)
    for (uint32_t i = 0; clattn_variant_name(i); i++) {
      const char *row = clattn_variant_name(i), *under = strchr(row, '_');
      if (under && strcmp(under + 1, operation) == 0 && names_row(options->variants[v], row))
        return options->variants[v];
    }
  return NULL;
}

int32_t named_path(const pipeline_options *options)
{
  return options->path == CLATTN_PATH_AUTO && pipeline_wants_scores(options) ? CLATTN_PATH_STAGED : options->path;
}

const char *named_variant_of_attention(const pipeline_options *options)
{
  const int32_t path = named_path(options);
  const char *variant = path != CLATTN_PATH_STAGED ? named_variant_for(options, "attention") : NULL;
  return variant || path == CLATTN_PATH_FUSED ? variant : named_variant_for(options, "staged");
}

/* The operations whose variants a run can be told, in the order of its stages. */
static int operations_of(const layer *l, const pipeline_options *options, const char *operations[4])
{
  const int32_t path = named_path(options);
  int n = 0;
  if (l->projected) operations[n++] = "projection";
  if (pipeline_wants_attention(options) && path != CLATTN_PATH_STAGED) operations[n++] = "attention";
  if (pipeline_wants_attention(options) && path != CLATTN_PATH_FUSED) operations[n++] = "staged";
  if (pipeline_wants_scores(options)) operations[n++] = "scores";
  return n;
}

bool named_variant_is_used(const layer *l, const pipeline_options *options, int entry)
{
  const char *operations[4];
  const int n = operations_of(l, options, operations);
  for (int i = 0; i < n; i++) {
    const bool both = strcmp(operations[i], "attention") == 0 || strcmp(operations[i], "staged") == 0;
    if (options->variants[entry] ==
        (both ? named_variant_of_attention(options) : named_variant_for(options, operations[i])))
      return true;
  }
  return false;
}

void named_variant_complain(const char *verb, const char *input, const layer *l, const pipeline_options *options,
                            int entry)
{
  const char *operations[4];
  char text[64];
  size_t used = 0;
  const int n = operations_of(l, options, operations);
  for (int i = 0; i < n && used < sizeof text; i++)
    used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", i ? ", " : "", operations[i]);
  complain(verb,
           "--variant: '%s' would be used by no stage: the operations of %s are %s, and each takes the first --variant "
           "that names it",
           st_show(options->variants[entry]).text, input, n ? text : "none");
}
