#include "cache_entry.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Not text, and damaged by any transfer that treats it as text. */
static const unsigned char magic[8] = {0x89, 'c', 'l', 'a', 't', '\r', '\n', 0x1A};

enum {
  AT_FORMAT = 8,
  AT_RESERVED = 12,
  AT_KEY = 16,
  AT_WARM = 24,
  AT_PAYLOAD = 32,
  AT_CHECKSUM = 40,
  HEADER_BYTES = 48
};

#define FNV_BASIS 0xcbf29ce484222325u
#define FNV_PRIME 0x100000001b3u

static uint64_t fnv(uint64_t hash, const unsigned char *bytes, size_t n)
{
  for (size_t i = 0; i < n; i++) hash = (hash ^ bytes[i]) * FNV_PRIME;
  return hash;
}

static void put(unsigned char *at, uint64_t value, int n)
{
  for (int i = 0; i < n; i++) at[i] = (unsigned char)(value >> (8 * i) & 0xFF);
}

static uint64_t get(const unsigned char *at, int n)
{
  uint64_t value = 0;
  for (int i = 0; i < n; i++) value |= (uint64_t)at[i] << (8 * i);
  return value;
}

static uint64_t checksum(const unsigned char *bytes, size_t n)
{
  return fnv(fnv(FNV_BASIS, bytes, AT_CHECKSUM), bytes + HEADER_BYTES, n - HEADER_BYTES);
}

static unsigned char *put_part(unsigned char *at, ca_bytes part)
{
  if (part.bytes) memcpy(at, part.data, part.bytes);
  return at + part.bytes;
}

bool ca_cache_entry_encode(const ca_cache_entry *entry, unsigned char **out, size_t *out_bytes)
{
  const size_t n = HEADER_BYTES + entry->key.bytes + entry->warm.bytes + entry->payload.bytes;
  unsigned char *bytes = calloc(n, 1);
  if (!bytes) return false;
  memcpy(bytes, magic, sizeof magic);
  put(bytes + AT_FORMAT, CA_CACHE_FORMAT, 4);
  put(bytes + AT_KEY, entry->key.bytes, 8);
  put(bytes + AT_WARM, entry->warm.bytes, 8);
  put(bytes + AT_PAYLOAD, entry->payload.bytes, 8);
  put_part(put_part(put_part(bytes + HEADER_BYTES, entry->key), entry->warm), entry->payload);
  put(bytes + AT_CHECKSUM, checksum(bytes, n), 8);
  *out = bytes;
  *out_bytes = n;
  return true;
}

/* Takes a part of `n` bytes from the front of what is left. */
static bool take_part(ca_bytes *left, uint64_t n, ca_bytes *part)
{
  if (n > left->bytes) return false;
  *part = (ca_bytes){left->data, (size_t)n};
  *left = (ca_bytes){(const unsigned char *)left->data + n, left->bytes - (size_t)n};
  return true;
}

bool ca_cache_entry_decode(ca_bytes bytes, ca_bytes key, ca_cache_entry *entry)
{
  const unsigned char *at = bytes.data;
  if (bytes.bytes < HEADER_BYTES || memcmp(at, magic, sizeof magic) != 0) return false;
  if (get(at + AT_FORMAT, 4) != CA_CACHE_FORMAT) return false;
  if (get(at + AT_CHECKSUM, 8) != checksum(at, bytes.bytes)) return false;
  ca_bytes left = {at + HEADER_BYTES, bytes.bytes - HEADER_BYTES};
  ca_cache_entry read;
  if (!take_part(&left, get(at + AT_KEY, 8), &read.key) || !take_part(&left, get(at + AT_WARM, 8), &read.warm) ||
      !take_part(&left, get(at + AT_PAYLOAD, 8), &read.payload) || left.bytes != 0)
    return false;
  if (read.key.bytes != key.bytes || memcmp(read.key.data, key.data, key.bytes) != 0) return false;
  *entry = read;
  return true;
}

void ca_cache_entry_name(ca_bytes key, char name[CA_CACHE_NAME_BYTES])
{
  snprintf(name, CA_CACHE_NAME_BYTES, "%016llx.clattn", (unsigned long long)fnv(FNV_BASIS, key.data, key.bytes));
}
