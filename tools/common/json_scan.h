/* Looks over JSON text before a parser allocates anything for it. */
#ifndef CLATTN_TOOLS_JSON_SCAN_H
#define CLATTN_TOOLS_JSON_SCAN_H

#include "safetensors.h"

/* `what` begins each message. Refuses what is too deep or has too many values, control characters, NUL in any form, and
 * invalid UTF-8. */
bool st_scan_json(const char *what, const char *text, size_t size, st_error *error);

/* Length of the UTF-8 sequence at p, 0 where there is none (overlong forms and surrogates included). */
size_t utf8_length(const unsigned char *p, size_t left);

/* Puts "?" in place of every byte that is no part of UTF-8, as names of files may have them. */
void utf8_mend(char *text);

#endif
