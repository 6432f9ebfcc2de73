/* clattn devices: what there is, which one is taken and why. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"

static const char verb[] = "devices";

static const char help[] =
    "usage: clattn devices [OPTION...]\n"
    "\n"
    "Lists every OpenCL platform and device, compiles and checks a small kernel on each, and says which one would be\n"
    "taken and why. CLATTN_DEVICE or --device chooses otherwise. Platforms without a device follow, with the reason.\n"
    "\n"
    "      --device TEXT    P:D, cpu, gpu, or part of a name, as CLATTN_DEVICE\n"
    "      --json           print one JSON object a line\n"
    "  -h, --help\n"
    "\n"
    "example: CLATTN_DEVICE=gpu clattn devices\n";

static void print_device_json(const clattn_device_info *d)
{
  char index[24];
  cJSON *line = cJSON_CreateObject();
  snprintf(index, sizeof index, "%u:%u", d->platform, d->device);
  cJSON_AddStringToObject(line, "index", index);
  cJSON_AddBoolToObject(line, "taken", d->taken);
  cJSON_AddStringToObject(line, "status", clattn_status_name(d->status));
  cJSON_AddStringToObject(line, "reason", d->reason);
  cJSON_AddNumberToObject(line, "score", d->score);
  cJSON_AddStringToObject(line, "platform", d->platform_name);
  cJSON_AddStringToObject(line, "name", d->name);
  cJSON_AddStringToObject(line, "vendor", d->vendor);
  cJSON_AddStringToObject(line, "driver", d->driver);
  cJSON_AddStringToObject(line, "version", d->version);
  cJSON_AddStringToObject(line, "type", d->type);
  cJSON_AddStringToObject(line, "engine", d->engine);
  cJSON_AddNumberToObject(line, "compute_units", d->compute_units);
  cJSON_AddNumberToObject(line, "native_width_f32", d->native_width_f32);
  cJSON_AddNumberToObject(line, "clock_mhz", d->clock_mhz);
  cJSON_AddNumberToObject(line, "local_memory_bytes", (double)d->local_memory_bytes);
  cJSON_AddNumberToObject(line, "global_memory_bytes", (double)d->global_memory_bytes);
  cJSON_AddNumberToObject(line, "max_alloc_bytes", (double)d->max_alloc_bytes);
  cJSON_AddNumberToObject(line, "work_group_size", (double)d->work_group_size);
  cJSON_AddBoolToObject(line, "has_f16", d->has_f16 != 0);
  cJSON_AddBoolToObject(line, "has_f64", d->has_f64 != 0);
  cJSON_AddBoolToObject(line, "has_subgroups", d->has_subgroups != 0);
  cJSON_AddBoolToObject(line, "shares_host_memory", d->shares_host_memory != 0);
  print_json(line);
}

static void print_device(const clattn_device_info *d)
{
  printf("%u:%u  %s  [%s]%s\n", d->platform, d->device, d->name, d->type, d->taken ? "  <- taken" : "");
  printf("     platform  %s, %s\n", d->platform_name, d->version);
  printf("     driver    %s, %s\n", d->vendor, d->driver);
  printf("     compute   %u units, float32 x %u, %u MHz, work-groups to %llu, engine %s\n", d->compute_units,
         d->native_width_f32, d->clock_mhz, (unsigned long long)d->work_group_size, d->engine);
  printf("     memory    %.1f GiB (%.1f GiB a buffer), local %.0f KiB%s\n", (double)d->global_memory_bytes / 0x1p30,
         (double)d->max_alloc_bytes / 0x1p30, (double)d->local_memory_bytes / 1024.0,
         d->shares_host_memory ? ", shared with the host" : "");
  printf("     types     f32, f16 and bf16 in storage%s%s%s\n", d->has_f16 ? ", f16 arithmetic" : "",
         d->has_f64 ? ", f64" : "", d->has_subgroups ? "; subgroups" : "");
  printf("     %s  %s%s(score %d)\n", d->status == CLATTN_OK ? "why     " : "refused ", d->reason,
         d->reason[0] ? " " : "", d->score);
}

/* The lines "PLATFORM: why" of the list's detail: platforms and devices that could not be listed. */
static void print_passed_over(const char *detail, bool json)
{
  for (const char *line = detail; *line;) {
    const size_t length = strcspn(line, "\n");
    char text[256];
    snprintf(text, sizeof text, "%.*s", (int)length, line);
    line += length + (line[length] == '\n');
    char *reason = strstr(text, ": ");
    if (!json) printf("not listed: %s\n", text);
    if (!json || !reason) continue;
    cJSON *object = cJSON_CreateObject();
    *reason = '\0';
    cJSON_AddStringToObject(object, "platform", text);
    cJSON_AddStringToObject(object, "reason", reason + 2);
    print_json(object);
  }
}

static int list_devices(bool json)
{
  clattn_report report = {0};
  uint32_t count = 0;
  clattn_status status = clattn_devices(0, NULL, 0, &count, &report);
  clattn_device_info *list = count ? calloc(count, sizeof *list) : NULL;
  const uint32_t room = list ? count : 0;
  if (list) list[0] = (clattn_device_info)CLATTN_DEVICE_INFO_INIT;
  if (list) status = clattn_devices(1, list, room, &count, &report);
  if (status != CLATTN_OK || !list) {
    complain(verb, "%s", report.message[0] ? report.message : clattn_status_text(status));
    show_detail(&report);
    free(list);
    return EXIT_FAILED;
  }
  bool taken = false;
  for (uint32_t i = 0; i < room && i < count; i++) {
    taken = taken || list[i].taken;
    if (json)
      print_device_json(&list[i]);
    else
      print_device(&list[i]);
  }
  free(list);
  print_passed_over(report.detail, json);
  if (taken) return flush_output(verb) ? EXIT_DONE : EXIT_FAILED;
  flush_output(verb);
  const char *want = getenv("CLATTN_DEVICE");
  if (want && *want)
    complain(verb, "no usable device matches '%s'", want);
  else
    complain(verb, "no device is usable");
  return EXIT_FAILED;
}

int verb_devices(int argc, char **argv)
{
  plain_options taken;
  const int status = take_plain_options(verb, help, argc, argv, &taken);
  if (status >= 0) return status;
  if (taken.device) setenv("CLATTN_DEVICE", taken.device, 1);
  return list_devices(taken.json);
}
