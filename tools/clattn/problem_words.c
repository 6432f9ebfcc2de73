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

static bool add_text(problem_request *asked, const char *text)
{
  const char **larger = realloc(asked->texts, ((size_t)asked->n_texts + 1) * sizeof *larger);
  if (!larger) return false;
  asked->texts = larger;
  larger[asked->n_texts++] = text;
  return true;
}

int problem_words_take(const char *verb, const char *word, problem_request *asked)
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
    if (!add_text(asked, *text)) {
      complain(verb, "no memory for the problems");
      return EXIT_FAILED;
    }
  return EXIT_DONE;
}

static bool read_rounds(const char *text, int *rounds)
{
  char *end;
  const long number = strtol(text, &end, 10);
  if (end == text || *end || strspn(text, "0123456789") != strlen(text)) return false;
  if (number < 1 || number > PROBLEM_MOST_ROUNDS) return false;
  *rounds = (int)number;
  return true;
}

int problem_words_option(const char *verb, int option, char **argv, problem_request *asked)
{
  switch (option) {
  case PROBLEM_OPT_DEVICE:
    asked->device = optarg;
    return -1;
  case PROBLEM_OPT_JSON:
    asked->json = true;
    return -1;
  case PROBLEM_OPT_ROUNDS:
    if (read_rounds(optarg, &asked->rounds)) return -1;
    return complain_usage(verb, "--rounds: '%s' must be 1 to %d", st_show(optarg).text, PROBLEM_MOST_ROUNDS);
  case PROBLEM_OPT_CPU_TIME:
    asked->cpu_time = true;
    return -1;
  default:
    return complain_option(verb, option, argv);
  }
}

int problem_words_width(const problem_request *asked)
{
  size_t width = strlen("problem");
  for (int i = 0; i < asked->n_texts; i++)
    if (strlen(asked->texts[i]) > width) width = strlen(asked->texts[i]);
  return (int)width;
}
