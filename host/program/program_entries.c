/* Keys and entries of the cache folder, and the small verdicts beside the programs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache_files.h"
#include "clattn/clattn.h"
#include "program_parts.h"

static ca_bytes text_bytes(const char *text) { return (ca_bytes){text, text ? strlen(text) : 0}; }

char *ca_cache_key(const ca_program_cache *cache, const char *what, const char *subject, const char *text)
{
  const ca_facts *f = &cache->facts;
  char *key = NULL;
  size_t capacity = 0;
  for (int round = 0; round < 2; round++) { /* the first counts, the second writes */
    const int bytes = snprintf(key, capacity,
                               "clattn %d.%d.%d\ncache format %d\ndevice %s\nvendor %s\ndriver %s\nversion %s\n"
                               "platform %s\nplatform version %s\naddress bits %u\n%s %s\n%s",
                               CLATTN_VERSION_MAJOR, CLATTN_VERSION_MINOR, CLATTN_VERSION_PATCH, CA_CACHE_FORMAT,
                               f->name, f->vendor, f->driver, f->version, f->platform, f->platform_version,
                               (unsigned)f->address_bits, what, subject, text);
    if (bytes < 0 || round) break;
    capacity = (size_t)bytes + 1;
    key = malloc(capacity);
    if (!key) break;
  }
  return key;
}

bool ca_entry_load(const ca_program_cache *cache, const char *key, unsigned char **bytes, ca_cache_entry *entry)
{
  char name[CA_CACHE_NAME_BYTES];
  size_t n = 0;
  if (!cache->cache_dir) return false;
  ca_cache_entry_name(text_bytes(key), name);
  if (!ca_cache_file_read(cache->cache_dir, name, bytes, &n)) return false;
  if (ca_cache_entry_decode((ca_bytes){*bytes, n}, text_bytes(key), entry)) return true;
  free(*bytes);
  *bytes = NULL;
  return false;
}

bool ca_entry_save(const ca_program_cache *cache, const char *key, const char *warm, ca_bytes payload)
{
  char name[CA_CACHE_NAME_BYTES];
  const ca_cache_entry entry = {text_bytes(key), text_bytes(warm), payload};
  unsigned char *bytes = NULL;
  size_t n = 0;
  if (!cache->cache_dir || !ca_cache_entry_encode(&entry, &bytes, &n)) return false;
  ca_cache_entry_name(entry.key, name);
  const bool good = ca_cache_file_write(cache->cache_dir, name, bytes, n);
  free(bytes);
  return good;
}

void ca_entry_drop(const ca_program_cache *cache, const char *key)
{
  char name[CA_CACHE_NAME_BYTES];
  ca_cache_entry_name(text_bytes(key), name);
  if (cache->cache_dir) ca_cache_file_remove(cache->cache_dir, name);
}

bool ca_program_cache_recall(ca_program_cache *cache, const char *what, char *text, size_t capacity)
{
  char *key = ca_cache_key(cache, "verdict", what, "");
  unsigned char *bytes = NULL;
  ca_cache_entry entry;
  bool found = key && ca_entry_load(cache, key, &bytes, &entry);
  if (found) found = entry.payload.bytes < capacity;
  if (found) {
    memcpy(text, entry.payload.data, entry.payload.bytes);
    text[entry.payload.bytes] = '\0';
  }
  free(bytes);
  free(key);
  return found;
}

void ca_program_cache_remember(ca_program_cache *cache, const char *what, const char *text)
{
  char *key = ca_cache_key(cache, "verdict", what, "");
  if (key) ca_entry_save(cache, key, NULL, text_bytes(text)); /* a folder that cannot be written is no error */
  free(key);
}
