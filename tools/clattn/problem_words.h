/* The PROBLEM and SET arguments and --rounds of the verbs that time problems. */
#ifndef CLATTN_TOOLS_PROBLEM_WORDS_H
#define CLATTN_TOOLS_PROBLEM_WORDS_H

#include <stdbool.h>
#include <stddef.h>

/* A line a set: its name and what it is. */
void problem_words_sets(char *text, size_t capacity);

/* Appends a set's problems, or a problem's text; the exit status where the word is neither. */
int problem_words_take(const char *verb, const char *word, const char ***texts, int *n_texts);

/* 1 to `most`. */
bool problem_words_rounds(const char *text, int most, int *rounds);

#endif
