#include "problem_words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "command.h"

void problem_words_sets(char *text, size_t capacity)
{
  size_t used = 0;
  text[0] = '\0';
  for (size_t i = 0; bench_set_name(i) && used < capacity; i++)
    used += (size_t)snprintf(text + used, capacity - used, "  %-10s %s\n", bench_set_name(i), bench_set_summary(i));
}

static bool add_text(const char ***texts, int *n_texts, const char *text)
{
  const char **larger = realloc(*texts, ((size_t)*n_texts + 1) * sizeof *larger);
  if (!larger) return false;
  *texts = larger;
  larger[(*n_texts)++] = text;
  return true;
}

int problem_words_take(const char *verb, const char *word, const char ***texts, int *n_texts)
{
  st_error error;
  const char *const *set = bench_set(word);
  const char *const alone[] = {word, NULL};
  if (!set && !strchr(word, '=')) {
    char sets[1024];
    problem_words_sets(sets, sizeof sets);
    const int status = complain_usage(verb, "'%s' is no problem, and no set", st_show(word).text);
    fprintf(stderr, "%s", sets);
    return status;
  }
  if (!set && !bench_problem_check(word, &error)) {
    complain(verb, "%s: %s", word, error.text);
    return EXIT_FAILED;
  }
  for (const char *const *text = set ? set : alone; *text; text++)
    if (!add_text(texts, n_texts, *text)) {
      complain(verb, "no memory for the problems");
      return EXIT_FAILED;
    }
  return EXIT_DONE;
}

bool problem_words_rounds(const char *text, int most, int *rounds)
{
  char *end;
  const long number = strtol(text, &end, 10);
  if (end == text || *end || strspn(text, "0123456789") != strlen(text) || number < 1 || number > most) return false;
  *rounds = (int)number;
  return true;
}
