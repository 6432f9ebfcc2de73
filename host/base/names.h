/* Names of variants, and lists of lines. */
#ifndef CA_BASE_NAMES_H
#define CA_BASE_NAMES_H

#include <stdbool.h>

#define CA_VARIANT_KIND_BYTES 96

/* An id without its head sizes, which is what is taken out of selection where one of its size computed wrongly:
 * "tiled_attention_f32_d64v32_q32k32" -> "tiled_attention_f32_q32k32". */
void ca_variant_kind(const char *id, char kind[CA_VARIANT_KIND_BYTES]);

/* True if the list of lines has this one. */
bool ca_has_line(const char *lines, const char *line);

#endif
