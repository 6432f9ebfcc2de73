#include "tuned.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum nearness { EQUAL, COUNT, EXTENT } nearness;

static const struct {
  const char *key;
  nearness near;
} sizes[CA_TUNED_SIZE_COUNT] = {
#define SIZE_ROW(key, nearness) {#key, nearness},
    CA_TUNED_SIZE_LIST(SIZE_ROW)
#undef SIZE_ROW
};

void ca_tuned_class_text(const ca_tuned_class *problems, char text[CA_TUNED_CLASS_BYTES])
{
  snprintf(text, CA_TUNED_CLASS_BYTES, "%s %s", problems->operation, problems->types);
  for (int i = 0; i < CA_TUNED_SIZE_COUNT; i++) {
    const size_t used = strlen(text);
    if (problems->size[i])
      snprintf(text + used, CA_TUNED_CLASS_BYTES - used, " %s=%" PRId64, sizes[i].key, problems->size[i]);
  }
}

/* A driver's text as a row can hold it: without what has a meaning in a row, or ends a line of C. */
static void name_text(const char *name, char *text, size_t capacity)
{
  size_t used = 0;
  while (*name == ' ') name++;
  for (; *name && used + 1 < capacity; name++) {
    const bool plain = (unsigned char)*name >= ' ' && !strchr("|*\"\\#", *name);
    text[used++] = plain ? *name : '_';
  }
  while (used && text[used - 1] == ' ') used--;
  text[used] = '\0';
}

void ca_tuned_text(const ca_facts *facts, const ca_tuned_row *row, bool drivers, char text[CA_TUNED_LINE_BYTES])
{
  char device[sizeof facts->name], driver[sizeof facts->driver] = "*", version[sizeof facts->platform_version] = "*";
  char problems[CA_TUNED_CLASS_BYTES];
  name_text(facts->name, device, sizeof device);
  if (!drivers) name_text(facts->driver, driver, sizeof driver);
  if (!drivers) name_text(facts->platform_version, version, sizeof version);
  ca_tuned_class_text(&row->problems, problems);
  snprintf(text, CA_TUNED_LINE_BYTES, "%s | %s | %s | %s | %s", device, driver, version, problems, row->kind);
}

/* The next field of a line, without the blanks around it; false: there is none, or no room for it. */
static bool next_field(const char **at, const char *end, char *field, size_t capacity)
{
  if (!*at) return false;
  const char *begin = *at, *stop = memchr(begin, '|', (size_t)(end - begin));
  *at = stop ? stop + 1 : NULL;
  if (!stop) stop = end;
  while (begin < stop && *begin == ' ') begin++;
  while (stop > begin && stop[-1] == ' ') stop--;
  const size_t length = (size_t)(stop - begin);
  if (length >= capacity) return false;
  memcpy(field, begin, length);
  field[length] = '\0';
  return true;
}

static bool parse_size(const char *text, ca_tuned_class *problems)
{
  for (int i = 0; i < CA_TUNED_SIZE_COUNT; i++) {
    const size_t length = strlen(sizes[i].key);
    if (strncmp(text, sizes[i].key, length) != 0 || text[length] != '=') continue;
    const char *digits = text + length + 1;
    const size_t count = strspn(digits, "0123456789");
    if (count == 0 || count > 18 || digits[count] || problems->size[i]) return false;
    problems->size[i] = (int64_t)strtoll(digits, NULL, 10);
    return true;
  }
  return false;
}

/* The next word of a class; "" past the last, false where there is no room for it. */
static bool next_word(const char **at, char *word, size_t capacity)
{
  const char *begin = *at + strspn(*at, " ");
  *at = begin + strcspn(begin, " ");
  const size_t length = (size_t)(*at - begin);
  if (length >= capacity) return false;
  memcpy(word, begin, length);
  word[length] = '\0';
  return true;
}

static bool parse_class(const char *text, ca_tuned_class *problems)
{
  const char *at = text;
  char word[64];
  *problems = (ca_tuned_class){0};
  if (!next_word(&at, problems->operation, sizeof problems->operation) ||
      !next_word(&at, problems->types, sizeof problems->types) || !problems->types[0])
    return false;
  for (;;) {
    if (!next_word(&at, word, sizeof word)) return false;
    if (!word[0]) return true;
    if (!parse_size(word, problems)) return false;
  }
}

static bool is_kind(const char *text)
{
  return *text && text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_")] == '\0';
}

bool ca_tuned_parse(const char *line, size_t length, ca_tuned_line *out)
{
  const char *at = line, *end = line + length;
  char problems[CA_TUNED_CLASS_BYTES];
  if (length && end[-1] == '\r') end--;
  return next_field(&at, end, out->device, sizeof out->device) && out->device[0] &&
         next_field(&at, end, out->driver, sizeof out->driver) &&
         next_field(&at, end, out->platform_version, sizeof out->platform_version) &&
         next_field(&at, end, problems, sizeof problems) && parse_class(problems, &out->row.problems) &&
         next_field(&at, end, out->row.kind, sizeof out->row.kind) && is_kind(out->row.kind) && !at;
}

/* True if the text is what the pattern says; a star is any text. */
static bool is_like(const char *pattern, const char *text)
{
  const char *star = NULL, *again = NULL;
  while (*text) {
    if (*pattern == '*') {
      star = pattern++;
      again = text;
    } else if (*pattern == *text) {
      pattern++;
      text++;
    } else if (star) {
      pattern = star + 1;
      text = ++again;
    } else {
      return false;
    }
  }
  return pattern[strspn(pattern, "*")] == '\0';
}

static bool is_named(const char *pattern, const char *name)
{
  char text[sizeof((ca_facts *)NULL)->name];
  name_text(name, text, sizeof text);
  return is_like(pattern, text);
}

static bool is_for(const ca_tuned_line *line, const ca_facts *facts)
{
  return is_named(line->device, facts->name) && is_named(line->driver, facts->driver) &&
         is_named(line->platform_version, facts->platform_version);
}

bool ca_tuned_add(const char *line, size_t length, const ca_facts *facts, ca_tuned_table *table)
{
  ca_tuned_line parsed;
  if (!ca_tuned_parse(line, length, &parsed)) return false;
  if (!is_for(&parsed, facts)) return true;
  ca_tuned_row *grown = realloc(table->row, (table->count + 1) * sizeof *grown);
  if (!grown) return false;
  table->row = grown;
  table->row[table->count++] = parsed.row;
  return true;
}

static bool is_comment(const char *line, size_t length)
{
  const size_t blanks = strspn(line, " \t\r");
  return blanks >= length || line[blanks] == '#';
}

void ca_tuned_read(const char *text, const ca_facts *facts, ca_tuned_table *table, uint32_t *bad, uint32_t *first_bad)
{
  uint32_t number = 0;
  *bad = 0;
  for (const char *line = text; *line;) {
    const size_t length = strcspn(line, "\n");
    number++;
    if (!is_comment(line, length) && !ca_tuned_add(line, length, facts, table) && (*bad)++ == 0) *first_bad = number;
    line += length + (line[length] == '\n');
  }
}

/* How far apart two classes are; negative: too far. */
static double distance(const ca_tuned_class *a, const ca_tuned_class *b)
{
  double sum = 0.0;
  if (strcmp(a->operation, b->operation) != 0 || strcmp(a->types, b->types) != 0) return -1.0;
  for (int i = 0; i < CA_TUNED_SIZE_COUNT; i++) {
    const int64_t low = a->size[i] < b->size[i] ? a->size[i] : b->size[i],
                  high = a->size[i] < b->size[i] ? b->size[i] : a->size[i];
    if (low == high) continue;
    const bool may_differ = sizes[i].near == COUNT || (sizes[i].near == EXTENT && low >= CA_TUNED_LONG);
    if (!may_differ || high - low > low) return -1.0;
    sum += log2((double)high / (double)low);
  }
  return sum;
}

const ca_tuned_row *ca_tuned_find(const ca_tuned_table *table, const ca_tuned_class *problems)
{
  const ca_tuned_row *best = NULL;
  double least = 0.0;
  for (size_t i = 0; i < table->count; i++) {
    const double away = distance(&table->row[i].problems, problems);
    if (away < 0.0 || (best && away >= least)) continue;
    best = &table->row[i];
    least = away;
  }
  return best;
}

static bool is_same_key(const ca_tuned_line *a, const ca_tuned_line *b)
{
  char mine[CA_TUNED_CLASS_BYTES], other[CA_TUNED_CLASS_BYTES];
  ca_tuned_class_text(&a->row.problems, mine);
  ca_tuned_class_text(&b->row.problems, other);
  return strcmp(a->device, b->device) == 0 && strcmp(a->driver, b->driver) == 0 &&
         strcmp(a->platform_version, b->platform_version) == 0 && strcmp(mine, other) == 0;
}

/* True if one of the rows has the line's device and class. */
static bool is_replaced(const char *line, size_t length, const char *rows)
{
  ca_tuned_line old, row;
  if (!ca_tuned_parse(line, length, &old)) return false;
  while (*rows) {
    const size_t bytes = strcspn(rows, "\n");
    if (ca_tuned_parse(rows, bytes, &row) && is_same_key(&old, &row)) return true;
    rows += bytes + (rows[bytes] == '\n');
  }
  return false;
}

char *ca_tuned_merge(const char *old, const char *rows)
{
  const size_t capacity = strlen(old) + strlen(rows) + 3;
  char *text = malloc(capacity);
  size_t used = 0;
  for (const char *line = old; text && *line;) {
    const size_t length = strcspn(line, "\n");
    if (!is_replaced(line, length, rows)) {
      memcpy(text + used, line, length);
      text[used + length] = '\n';
      used += length + 1;
    }
    line += length + (line[length] == '\n');
  }
  if (text) snprintf(text + used, capacity - used, "%s%s", rows, *rows && rows[strlen(rows) - 1] != '\n' ? "\n" : "");
  return text;
}
