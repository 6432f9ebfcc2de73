/* Names of variants, and lists of lines. */
#ifndef CA_BASE_NAMES_H
#define CA_BASE_NAMES_H

#include <stdbool.h>

#define CA_VARIANT_KIND_BYTES 96

/* The kind of the launch that makes extended keys and values, for every variant. */
#define CA_EXTEND_KIND "extend"

/* The kind of the launch that makes maps from scores of every variant. */
#define CA_MAP_KIND "map"

/* An id without what changes with the problem, head sizes and numbers of sub-tiles: what is taken out of selection
 * where one of its size computed wrongly. "tiled_attention_f32_d64v32_q32k32" -> "tiled_attention_f32_q32k32",
 * "vector_attention_f32_d64_l16t6x4q64k144" -> "vector_attention_f32_l16t6x4". */
void ca_variant_kind(const char *id, char kind[CA_VARIANT_KIND_BYTES]);

/* True if the list of lines has this one. */
bool ca_has_line(const char *lines, const char *line);

#endif
