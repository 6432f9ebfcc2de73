/* What the files of this room share: the cache and its programs. */
#ifndef CA_PROGRAM_PROGRAM_PARTS_H
#define CA_PROGRAM_PROGRAM_PARTS_H

#include "cache_entry.h"
#include "lock.h"
#include "program.h"

struct ca_program {
  ca_program_cache *cache;
  ca_program *next;
  char *source, *options; /* what it is found by in memory */
  bool lone;              /* one kernel, in work-groups of one work-item */
  ca_lock lock;           /* guards what follows; held while it is built, so that others wait for that build */
  cl_program program;     /* NULL until it is built */
  char *attempt; /* key of its mark on disk while it is built apart and its binary not taken; NULL: it is not */
  char *key;     /* what it is found by on disk */
  char *warm;    /* names of warm kernels, each followed by a line feed; NULL: none */
  bool dirty;    /* the disk does not have this state */
};

struct ca_program_cache {
  cl_context cl;
  cl_device_id device;
  ca_facts facts;
  char *cache_dir, *kernel_dir; /* NULL: no disk cache; embedded sources */
  ca_lock lock;                 /* guards the list, not the programs in it */
  ca_program *first;
};

/* Fills program, key and warm from disk or by building. The caller holds program->lock. */
clattn_status ca_program_make(ca_program *program, clattn_program_origin *origin, clattn_report *report);

/* Writes the program's binary and its warm kernels to disk; false where that is not possible. Caller as above. */
bool ca_program_write(ca_program *program);

/* The full key, as text: library, cache format, device, driver and platform, then `what` and `subject` ("program" or
 * "attempt" and its options, "verdict" and its name), then `text`. For a program that is the whole source, so that
 * comparing keys compares sources and no hash has to be trusted. The caller frees it; NULL: no memory. */
char *ca_cache_key(const ca_program_cache *cache, const char *what, const char *subject, const char *text);

/* An entry of the cache folder: *bytes holds it, the caller frees it. False: there is none of this key, or no folder.
 */
bool ca_entry_load(const ca_program_cache *cache, const char *key, unsigned char **bytes, ca_cache_entry *entry);
bool ca_entry_save(const ca_program_cache *cache, const char *key, const char *warm, ca_bytes payload);
void ca_entry_drop(const ca_program_cache *cache, const char *key);

#endif
