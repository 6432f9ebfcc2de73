#include <stdlib.h>
#include <string.h>

#include "device.h"

/* PoCL 3.1 to 6 read the variable when they start their threads, and take whatever begins with a 1 for yes. */
const char *ca_device_placement(const ca_facts *facts)
{
  const char *affinity = getenv("POCL_AFFINITY");
  if (facts->type != CA_DEVICE_CPU || !strstr(facts->platform, "Portable Computing")) return "";
  if (affinity && affinity[0] == '1') return "";
  return "threads are not pinned to cores, which can halve the speed: POCL_AFFINITY=1 in the environment pins them";
}
