/* Bits of ca_facts.quirks, CA_QUIRK_name: known driver faults that a variant may have to refuse. */
#ifndef CA_BASE_QUIRKS_H
#define CA_BASE_QUIRKS_H

typedef enum ca_quirk_index {
#define CA_QUIRK(name, text, condition) CA_QUIRK_INDEX_##name,
#include "quirks.def"
#undef CA_QUIRK
  CA_QUIRK_COUNT
} ca_quirk_index;

#define CA_QUIRK_BIT(name) (1u << CA_QUIRK_INDEX_##name)

#endif
