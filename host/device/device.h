/* Devices: enumeration, facts, quirks, scores and picking. The only room that asks clGetDeviceInfo. */
#ifndef CA_DEVICE_DEVICE_H
#define CA_DEVICE_DEVICE_H

#include <CL/cl.h>

#include "facts.h"

typedef struct ca_device {
  cl_platform_id platform;
  cl_device_id device;
  uint32_t platform_index, device_index;
  ca_facts facts;
  int32_t score;
  char reason[256]; /* of the score */
} ca_device;

/* Every device of every platform, in the loader's order; the caller frees *devices with free(). A platform without
 * devices is stepped over. @error CLATTN_NO_PLATFORM (the loader's -1001 too), CLATTN_NO_DEVICE */
clattn_status ca_devices_list(ca_device **devices, uint32_t *count, clattn_report *report);

/* The facts of one device, quirks applied. */
clattn_status ca_device_facts(cl_device_id device, ca_facts *facts, clattn_report *report);

/* The order in which candidates are tried: order[0..*count) are indices into devices that match `want` (NULL: all),
 * best first. @error CLATTN_DEVICE_NOT_FOUND lists what there is */
clattn_status ca_devices_order(const ca_device *devices, uint32_t count, const char *want, uint32_t *order,
                               uint32_t *matches, clattn_report *report);

/* A score from facts, pure: discrete GPU, integrated GPU, accelerator, native CPU, software renderers last. */
int32_t ca_device_score(const ca_facts *facts, char *reason, size_t reason_bytes);

/* What keeps the device slow in the process as it was set up, with the remedy; "" for nothing. Reads the environment.
 */
const char *ca_device_placement(const ca_facts *facts);

/* Sets facts->quirks from quirks.def: from the other facts, and from what a driver is told by its environment. */
void ca_device_quirks(ca_facts *facts);

#endif
