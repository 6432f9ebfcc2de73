/* Texts that drivers hand out: copied, cut, compared. */
#ifndef CA_DEVICE_DEVICE_TEXT_H
#define CA_DEVICE_DEVICE_TEXT_H

#include <CL/cl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Copies without the white space around it; what does not fit is cut between two UTF-8 characters. */
void ca_text_copy(char *out, size_t capacity, const char *text);

/* Letters of ASCII compare without case. */
bool ca_text_equal(const char *a, const char *b);
bool ca_text_contains(const char *text, const char *part);

/* 120 for "OpenCL C 1.2 PoCL"; 0 where the text is not of that form. */
uint64_t ca_language_version(const char *text);

/* A platform's name or version; "?" where it cannot be asked. */
void ca_platform_text(cl_platform_id platform, cl_platform_info what, char *out, size_t capacity);

#endif
