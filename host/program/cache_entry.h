/* One entry of the program cache as bytes. Pure: no file, no OpenCL.
 *
 * Layout, little-endian: magic[8] · u32 format · u32 reserved · u64 key bytes · u64 warm bytes · u64 payload bytes ·
 * u64 checksum · key · warm · payload. The checksum (FNV-1a, 64 bit) covers all other bytes; each of its steps is a
 * bijection, so no change of a single byte passes. */
#ifndef CA_PROGRAM_CACHE_ENTRY_H
#define CA_PROGRAM_CACHE_ENTRY_H

#include <stdbool.h>
#include <stddef.h>

#define CA_CACHE_FORMAT 1
#define CA_CACHE_NAME_BYTES 32

typedef struct ca_bytes {
  const void *data;
  size_t bytes;
} ca_bytes;

typedef struct ca_cache_entry {
  ca_bytes key;     /* everything that the payload depends on, in full */
  ca_bytes warm;    /* names of warm kernels, each followed by a line feed */
  ca_bytes payload; /* a program's binary, or a verdict's text */
} ca_cache_entry;

/* Allocates *out with the entry's bytes; false: no memory. */
bool ca_cache_entry_encode(const ca_cache_entry *entry, unsigned char **out, size_t *out_bytes);

/* Views into `bytes`; false for whatever is not the whole, undamaged entry of exactly this key. */
bool ca_cache_entry_decode(ca_bytes bytes, ca_bytes key, ca_cache_entry *entry);

/* The file name of a key: a hash of it. Two keys of one name replace each other, no more: the key is compared. */
void ca_cache_entry_name(ca_bytes key, char name[CA_CACHE_NAME_BYTES]);

#endif
