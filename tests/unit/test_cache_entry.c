/* Entries of the program cache as bytes: whatever is not exactly what was written is not taken. */
#include <string.h>

#include "asserts.h"
#include "cache_entry.h"

static ca_bytes bytes_of(const char *text) { return (ca_bytes){text, strlen(text)}; }

/* The bytes of a small entry; the caller frees them. */
static unsigned char *make_entry(size_t *n)
{
  const ca_cache_entry entry = {bytes_of("key"), bytes_of("softmax\nvalues\n"), {"\0\1\2\xFF", 4}};
  unsigned char *bytes = NULL;
  assert_true(ca_cache_entry_encode(&entry, &bytes, n));
  return bytes;
}

static bool is_taken(const unsigned char *bytes, size_t n, const char *key)
{
  ca_cache_entry entry;
  return ca_cache_entry_decode((ca_bytes){bytes, n}, bytes_of(key), &entry);
}

static void an_entry_comes_back(void **state)
{
  (void)state;
  size_t n = 0;
  unsigned char *bytes = make_entry(&n);
  ca_cache_entry entry;
  assert_true(ca_cache_entry_decode((ca_bytes){bytes, n}, bytes_of("key"), &entry));
  assert_int_equal(15, entry.warm.bytes);
  assert_memory_equal("softmax\nvalues\n", entry.warm.data, 15);
  assert_int_equal(4, entry.payload.bytes);
  assert_memory_equal("\0\1\2\xFF", entry.payload.data, 4);
  free(bytes);
}

static void an_empty_entry_comes_back(void **state)
{
  (void)state;
  const ca_cache_entry empty = {bytes_of("k"), {NULL, 0}, {NULL, 0}};
  unsigned char *bytes = NULL;
  size_t n = 0;
  assert_true(ca_cache_entry_encode(&empty, &bytes, &n));
  assert_true(is_taken(bytes, n, "k"));
  free(bytes);
}

static void every_truncation_is_refused(void **state)
{
  (void)state;
  size_t n = 0;
  unsigned char *bytes = make_entry(&n);
  for (size_t shorter = 0; shorter < n; shorter++) {
    unsigned char *cut = test_alloc(shorter ? shorter : 1); /* its own block: a read past its end is an error */
    memcpy(cut, bytes, shorter);
    assert_false(is_taken(cut, shorter, "key"));
    free(cut);
  }
  free(bytes);
}

static void every_changed_byte_is_refused(void **state)
{
  (void)state;
  size_t n = 0;
  unsigned char *bytes = make_entry(&n);
  for (size_t at = 0; at < n; at++)
    for (int change = 1; change < 256; change++) {
      bytes[at] ^= (unsigned char)change;
      assert_false(is_taken(bytes, n, "key"));
      bytes[at] ^= (unsigned char)change;
    }
  assert_true(is_taken(bytes, n, "key"));
  free(bytes);
}

static void a_longer_file_is_refused(void **state)
{
  (void)state;
  size_t n = 0;
  unsigned char *bytes = make_entry(&n), *longer = test_alloc(n + 1);
  memcpy(longer, bytes, n);
  longer[n] = 0;
  assert_false(is_taken(longer, n + 1, "key"));
  free(longer);
  free(bytes);
}

static void another_key_is_refused(void **state)
{
  (void)state;
  size_t n = 0;
  unsigned char *bytes = make_entry(&n);
  assert_false(is_taken(bytes, n, "kez"));
  assert_false(is_taken(bytes, n, "ke"));
  assert_false(is_taken(bytes, n, "keys"));
  assert_false(is_taken(bytes, n, ""));
  free(bytes);
}

static void a_foreign_file_is_refused(void **state)
{
  (void)state;
  const char foreign[] = "\x7F"
                         "ELF and then a few hundred bytes that are not an entry of this cache, in any version of it";
  assert_false(is_taken((const unsigned char *)foreign, sizeof foreign, "key"));
  unsigned char zeros[256] = {0};
  assert_false(is_taken(zeros, sizeof zeros, "key"));
}

/* Makes the checksum right again: what an attacker, or another version of the encoder, would do. */
static void sign(unsigned char *bytes, size_t n)
{
  uint64_t sum = 0xcbf29ce484222325u;
  for (size_t i = 0; i < n; i++)
    if (i < 40 || i >= 48) sum = (sum ^ bytes[i]) * 0x100000001b3u;
  for (int i = 0; i < 8; i++) bytes[40 + i] = (unsigned char)(sum >> (8 * i));
}

static void hostile_lengths_are_refused(void **state)
{
  (void)state;
  size_t n = 0;
  unsigned char *bytes = make_entry(&n);
  sign(bytes, n);
  assert_true(is_taken(bytes, n, "key"));
  for (int at = 16; at < 40; at += 8) {
    unsigned char *bad = make_entry(&n);
    memset(bad + at, 0xFF, 8);
    sign(bad, n);
    assert_false(is_taken(bad, n, "key"));
    free(bad);
  }
  memset(bytes + 24, 0xFF, 8); /* warm: -1; payload: one more than both. Their sum is right */
  bytes[32] = 15 + 4 + 1;
  sign(bytes, n);
  assert_false(is_taken(bytes, n, "key"));
  free(bytes);
  bytes = make_entry(&n);
  bytes[32] = 3; /* one byte of the payload belongs to nothing */
  sign(bytes, n);
  assert_false(is_taken(bytes, n, "key"));
  free(bytes);
}

static void names_are_file_names(void **state)
{
  (void)state;
  char a[CA_CACHE_NAME_BYTES], b[CA_CACHE_NAME_BYTES];
  ca_cache_entry_name(bytes_of("key"), a);
  ca_cache_entry_name(bytes_of("kez"), b);
  assert_string_not_equal(a, b);
  assert_int_equal(23, strlen(a));
  assert_int_equal(16, strspn(a, "0123456789abcdef"));
  assert_string_equal(".clattn", a + 16);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_entry_comes_back),         cmocka_unit_test(an_empty_entry_comes_back),
      cmocka_unit_test(every_truncation_is_refused), cmocka_unit_test(every_changed_byte_is_refused),
      cmocka_unit_test(a_longer_file_is_refused),    cmocka_unit_test(another_key_is_refused),
      cmocka_unit_test(a_foreign_file_is_refused),   cmocka_unit_test(hostile_lengths_are_refused),
      cmocka_unit_test(names_are_file_names),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
