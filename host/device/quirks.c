#include "quirks.h"

#include <stdlib.h>
#include <string.h>

#include "device.h"

_Static_assert(CA_QUIRK_COUNT <= 32, "ca_facts.quirks has 32 bits");

static bool has(const char *text, const char *part) { return strstr(text, part) != NULL; }
static bool begins(const char *text, const char *part) { return strncmp(text, part, strlen(part)) == 0; }

/* As PoCL reads its switches: what is set and does not begin with a 1 is a no. */
static bool is_off(const char *variable)
{
  const char *value = getenv(variable);
  return value && value[0] != '1';
}

void ca_device_quirks(ca_facts *facts)
{
  const ca_facts *f = facts;
  uint32_t quirks = 0;
#define CA_QUIRK(name, text, condition)                                                                                \
  if (condition) quirks |= CA_QUIRK_BIT(name);
#include "quirks.def"
#undef CA_QUIRK
  facts->quirks = quirks;
}
