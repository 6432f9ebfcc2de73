#include "shrink.h"

#include <string.h>

typedef struct search {
  problem_text best;
  int tries;
  shrink_fails *fails;
  void *user;
} search;

/* Takes the candidate if it is a problem, another one, and fails. */
static bool take(search *s, problem_text candidate)
{
  char text[PROBLEM_TEXT_BYTES], before[PROBLEM_TEXT_BYTES];
  st_error error;
  if (candidate.n_nonpad) candidate.n_nonpad = candidate.b;
  problem_print(&candidate, text);
  problem_print(&s->best, before);
  if (s->tries <= 0 || strcmp(text, before) == 0 || !problem_parse(text, &candidate, &error)) return false;
  s->tries--;
  if (!s->fails(&candidate, s->user)) return false;
  s->best = candidate;
  return true;
}

/* Sizes go down by steps; path and variant stay, for another kernel's failure is another. */
static bool is_shrunk_otherwise(const char *key)
{
  static const char *const keys[] = {"b", "hq", "hk", "sq", "sk", "dk", "dv", "past", "path", "variant"};
  for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
    if (strcmp(key, keys[i]) == 0) return true;
  return false;
}

static bool drop_attributes(search *s)
{
  bool smaller = false;
  for (size_t row = 0; problem_key(row); row++) {
    problem_text candidate = s->best;
    if (is_shrunk_otherwise(problem_key(row)) || !problem_reset(&candidate, row)) continue;
    smaller = take(s, candidate) || smaller;
  }
  return smaller;
}

/* One size, at best its least, else half, else one less. */
static bool lower(search *s, size_t at, int64_t least)
{
  int64_t now;
  memcpy(&now, (const char *)&s->best + at, sizeof now);
  const int64_t steps[3] = {least, least + (now - least) / 2, now - 1};
  for (int i = 0; i < 3 && now > least; i++) {
    problem_text candidate = s->best;
    if (steps[i] >= now) continue;
    memcpy((char *)&candidate + at, &steps[i], sizeof steps[i]);
    if (take(s, candidate)) return true;
  }
  return false;
}

static bool lower_heads(search *s)
{
  const int64_t pairs[][2] = {{1, 1}, {s->best.hq / s->best.hk, 1}, {s->best.hk, s->best.hk}, {2, 1}};
  for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
    problem_text candidate = s->best;
    if (pairs[i][0] > candidate.hq || (pairs[i][0] == candidate.hq && pairs[i][1] >= candidate.hk)) continue;
    candidate.hq = pairs[i][0];
    candidate.hk = pairs[i][1];
    if (take(s, candidate)) return true;
  }
  return false;
}

static bool lower_sizes(search *s)
{
  bool smaller = lower(s, offsetof(problem_text, b), 1);
  smaller = lower_heads(s) || smaller;
  smaller = lower(s, offsetof(problem_text, past), 0) || smaller;
  smaller = lower(s, offsetof(problem_text, sq), 0) || smaller;
  smaller = lower(s, offsetof(problem_text, sk), 0) || smaller;
  smaller = lower(s, offsetof(problem_text, dk), 1) || smaller;
  return lower(s, offsetof(problem_text, dv), 1) || smaller;
}

void shrink(problem_text *problem, int tries, shrink_fails *fails, void *user)
{
  search s = {*problem, tries, fails, user};
  bool smaller = true;
  while (smaller && s.tries > 0) {
    smaller = drop_attributes(&s);
    smaller = lower_sizes(&s) || smaller;
  }
  *problem = s.best;
}
