#include "token_texts.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json_scan.h"

static char *number_text(int64_t number)
{
  char *text = malloc(24);
  if (text) snprintf(text, 24, "%" PRId64, number);
  return text;
}

static char *text_of(const cJSON *item)
{
  const size_t bytes = strlen(item->valuestring) + 1;
  char *text = malloc(bytes);
  if (text) memcpy(text, item->valuestring, bytes);
  return text;
}

/* `list` (NULL: numbers from `first` on) gives the texts of tokens first, first + 1, ... */
static char **take_texts(const cJSON *list, int64_t first, int64_t count)
{
  char **texts = calloc((size_t)(count ? count : 1), sizeof *texts);
  const cJSON *item = list ? list->child : NULL;
  for (int64_t i = 0; i < first && item; i++) item = item->next;
  for (int64_t i = 0; i < count && texts; i++, item = item ? item->next : NULL) {
    texts[i] = item ? text_of(item) : number_text(first + i);
    if (texts[i]) continue;
    while (i-- > 0) free(texts[i]);
    free(texts);
    return NULL;
  }
  return texts;
}

/* The list of texts of one entry of the batch. */
static bool find_list(cJSON *root, int64_t batch, const cJSON **list, st_error *error)
{
  const cJSON *item;
  *list = root;
  if (!cJSON_IsArray(root)) return st_fail(error, "label 'tokens': no JSON array of texts");
  if (cJSON_IsArray(root->child)) {
    *list = cJSON_GetArrayItem(root, (int)batch);
    if (!*list) return st_fail(error, "label 'tokens': no texts for entry %" PRId64 " of the batch", batch);
  }
  cJSON_ArrayForEach(item, *list)
  {
    if (!cJSON_IsString(item)) return st_fail(error, "label 'tokens': an element is no text");
  }
  return true;
}

bool token_texts_take(const char *label, int64_t batch, network_layer *l, st_error *error)
{
  cJSON *root = NULL;
  const cJSON *list = NULL;
  if (label) {
    if (!st_scan_json("label 'tokens'", label, strlen(label), error)) return false;
    root = cJSON_ParseWithOpts(label, NULL, 1);
    if (!find_list(root, batch, &list, error)) {
      cJSON_Delete(root);
      return false;
    }
  }
  const int64_t count = list ? cJSON_GetArraySize(list) : 0;
  /* Of one sequence the list may also begin at the first query, what is past having no texts. */
  const bool past_unnamed = l->one_sequence && l->offset > 0 && count == l->sq;
  const bool of_keys = list && !past_unnamed && count >= l->sk;
  const bool of_queries =
      list && (past_unnamed || (l->one_sequence && of_keys) || (!l->one_sequence && count == l->sq));
  l->texts = count;
  l->named = of_keys || of_queries;
  l->key_tokens = take_texts(of_keys ? list : NULL, 0, l->sk);
  const int64_t first = l->one_sequence && !past_unnamed ? l->offset : 0;
  l->query_tokens = take_texts(of_queries ? list : NULL, first, l->sq);
  for (int64_t i = 0; i < l->sq && past_unnamed && l->key_tokens && l->query_tokens; i++) {
    free(l->key_tokens[l->offset + i]);
    const size_t bytes = strlen(l->query_tokens[i]) + 1;
    char *copy = l->key_tokens[l->offset + i] = malloc(bytes);
    if (copy) memcpy(copy, l->query_tokens[i], bytes);
  }
  cJSON_Delete(root);
  return (l->key_tokens && l->query_tokens) || st_fail(error, "out of memory");
}
