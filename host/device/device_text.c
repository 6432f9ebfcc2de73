#include "device_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void ca_text_copy(char *out, size_t capacity, const char *text)
{
  text += strspn(text, " \t\r\n");
  size_t bytes = strlen(text);
  if (bytes >= capacity) {
    bytes = capacity - 1;
    while (bytes && ((unsigned char)text[bytes] & 0xC0) == 0x80) bytes--; /* not inside a character */
  }
  while (bytes && strchr(" \t\r\n", text[bytes - 1])) bytes--;
  memcpy(out, text, bytes);
  out[bytes] = '\0';
}

/* Not tolower: the caller's locale must not change which device is taken. */
static int lower(char c) { return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c; }

static bool begins_with(const char *text, const char *part)
{
  for (; *part; text++, part++)
    if (lower(*text) != lower(*part)) return false;
  return true;
}

bool ca_text_equal(const char *a, const char *b) { return strlen(a) == strlen(b) && begins_with(a, b); }

bool ca_text_contains(const char *text, const char *part)
{
  for (; *text; text++)
    if (begins_with(text, part)) return true;
  return *part == '\0';
}

uint64_t ca_language_version(const char *text)
{
  unsigned major = 0, minor = 0;
  if (sscanf(text, "OpenCL C %3u.%1u", &major, &minor) != 2) return 0;
  return major * 100 + minor * 10;
}

void ca_platform_text(cl_platform_id platform, cl_platform_info what, char *out, size_t capacity)
{
  size_t bytes = 0;
  char *answer = NULL;
  if (platform && !clGetPlatformInfo(platform, what, 0, NULL, &bytes)) answer = calloc(bytes + 1, 1);
  const bool known = answer && !clGetPlatformInfo(platform, what, bytes, answer, NULL);
  ca_text_copy(out, capacity, known ? answer : "?");
  free(answer);
}
