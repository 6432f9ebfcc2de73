/* The selftest of a context, and what it takes out of selection. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "objects.h"
#include "selftest.h"

/* Verdicts belong to the sources that were judged. */
static void verdict_name(const clattn_context *context, char *text, size_t capacity)
{
  const char *dir = ca_program_cache_kernel_dir(context->programs);
  snprintf(text, capacity, "selftest of %s", dir ? dir : "the library");
}

void ca_context_recall_verdict(clattn_context *context)
{
  char name[1024];
  verdict_name(context, name, sizeof name);
  if (!ca_program_cache_recall(context->programs, name, context->facts.wrong_variants,
                               sizeof context->facts.wrong_variants))
    context->facts.wrong_variants[0] = '\0';
}

/* A context on the same programs that takes nothing out: what was wrong once is tried again. */
static clattn_context *unjudged(clattn_context *context)
{
  clattn_context *own = calloc(1, sizeof *own);
  if (!own) return NULL;
  ca_lock_take(&context->judging);
  own->facts = context->facts;
  ca_lock_give(&context->judging);
  own->facts.wrong_variants[0] = '\0';
  own->cl = context->cl;
  own->device = context->device;
  own->programs = context->programs;
  own->parent = ca_context_retain(context);
  atomic_init(&own->references, 1);
  ca_lock_init(&own->planning);
  ca_lock_init(&own->judging);
  return own;
}

clattn_status clattn_selftest(clattn_context *context, clattn_selftest_fn row, void *user, uint32_t *wrong,
                              clattn_report *report)
{
  char lines[sizeof context->facts.wrong_variants], name[1024];
  uint32_t count = 0;
  ca_report_clear(report);
  if (!context) return ca_fail(report, CLATTN_INVALID_ARGUMENT, "context is NULL");
  clattn_context *own = unjudged(context);
  if (!own) return ca_fail(report, CLATTN_OUT_OF_HOST_MEMORY, "a context of %zu bytes", sizeof *own);
  const clattn_status status = ca_selftest_run(own, row, user, lines, sizeof lines, &count, report);
  clattn_context_destroy(own);
  if (status != CLATTN_OK) return status;
  ca_lock_take(&context->judging);
  memcpy(context->facts.wrong_variants, lines, sizeof lines);
  ca_lock_give(&context->judging);
  verdict_name(context, name, sizeof name);
  ca_program_cache_remember(context->programs, name, lines);
  if (wrong) *wrong = count;
  return CLATTN_OK;
}
