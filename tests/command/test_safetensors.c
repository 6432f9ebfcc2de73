/* The reader of safetensors under damage: every damaged file is refused with its reason, quickly and without taking the
 * memory that it claims; every sound one is read back as it was written. */
#include "safetensors.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define SCRATCH CLATTN_TEST_SCRATCH

/* Length, header and `data_bytes` bytes of data as one block; the caller frees it. */
static unsigned char *assemble(const char *header, size_t header_bytes, size_t data_bytes, size_t *size)
{
  *size = 8 + header_bytes + data_bytes;
  unsigned char *bytes = malloc(*size);
  assert_non_null(bytes);
  for (int i = 0; i < 8; i++) bytes[i] = (unsigned char)((uint64_t)header_bytes >> (8 * i));
  memcpy(bytes + 8, header, header_bytes);
  for (size_t i = 0; i < data_bytes; i++) bytes[8 + header_bytes + i] = (unsigned char)(i * 7 + 1);
  return bytes;
}

/* A block of exactly `size` bytes of its own, so that a sanitizer sees a read past its end. */
static bool read_bytes(const unsigned char *bytes, size_t size, st_file *file, st_error *error)
{
  unsigned char *copy = malloc(size ? size : 1);
  assert_non_null(copy);
  if (size) memcpy(copy, bytes, size);
  error->text[0] = '\0';
  const bool good = st_read_memory(copy, size, file, error);
  free(copy);
  return good;
}

static void refuse_bytes(const char *header, size_t header_bytes, size_t data_bytes, const char *reason)
{
  st_file file;
  st_error error;
  size_t size;
  unsigned char *bytes = assemble(header, header_bytes, data_bytes, &size);
  const bool good = read_bytes(bytes, size, &file, &error);
  free(bytes);
  if (good) fail_msg("accepted, but must be refused for \"%s\": %s", reason, header);
  if (!strstr(error.text, reason)) fail_msg("refused for \"%s\", not for \"%s\": %s", error.text, reason, header);
  assert_int_equal(file.n_tensors, 0);
  assert_null(file.tensors);
}

static void refuse(const char *header, size_t data_bytes, const char *reason)
{
  refuse_bytes(header, strlen(header), data_bytes, reason);
}

static void accept(const char *header, size_t data_bytes)
{
  st_file file;
  st_error error;
  size_t size;
  unsigned char *bytes = assemble(header, strlen(header), data_bytes, &size);
  const bool good = read_bytes(bytes, size, &file, &error);
  free(bytes);
  if (!good) fail_msg("refused for \"%s\": %s", error.text, header);
  st_free(&file);
}

#define TWO                                                                                                            \
  "{\"__metadata__\":{\"scale\":\"0.5\"},\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"              \
  "\"b\":{\"dtype\":\"BOOL\",\"shape\":[3],\"data_offsets\":[8,11]}}"

/* No part of a sound file, cut at any byte, is a sound file; nor is the file with one byte more. */
static void test_every_truncation(void **state)
{
  (void)state;
  size_t size;
  unsigned char *bytes = assemble(TWO, strlen(TWO), 12, &size);
  for (size_t cut = 0; cut <= size; cut++) {
    st_file file;
    st_error error;
    const bool good = read_bytes(bytes, cut, &file, &error);
    assert_int_equal(good, cut == size - 1);
    if (good)
      st_free(&file);
    else
      assert_true(error.text[0] != '\0');
  }
  free(bytes);
}

/* Whatever one byte of the header becomes, the reader accepts or refuses with a reason, and nothing worse. */
static void test_every_byte_changed(void **state)
{
  (void)state;
  size_t size;
  unsigned char *bytes = assemble(TWO, strlen(TWO), 11, &size);
  for (size_t at = 0; at < 8 + strlen(TWO); at++)
    for (int value = 0; value < 256; value++) {
      st_file file;
      st_error error;
      const unsigned char before = bytes[at];
      bytes[at] = (unsigned char)value;
      if (read_bytes(bytes, size, &file, &error))
        st_free(&file);
      else
        assert_true(error.text[0] != '\0');
      bytes[at] = before;
    }
  free(bytes);
}

static void test_header_length(void **state)
{
  (void)state;
  unsigned char bytes[64] = {0};
  st_file file;
  st_error error;
  memset(bytes, 0xFF, 8);
  assert_false(read_bytes(bytes, sizeof bytes, &file, &error));
  assert_non_null(strstr(error.text, "limit is 100000000"));
  memset(bytes, 0, 8);
  bytes[0] = 57;
  assert_false(read_bytes(bytes, sizeof bytes, &file, &error));
  assert_non_null(strstr(error.text, "truncated"));
  bytes[0] = 0;
  assert_false(read_bytes(bytes, sizeof bytes, &file, &error));
  assert_non_null(strstr(error.text, "shortest"));
}

static void test_offsets(void **state)
{
  (void)state;
  refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
         "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}",
         12, "inside tensor 'a'");
  refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
         "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
         8, "inside tensor");
  refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
         "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[12,16]}}",
         16, "a gap of 4 bytes");
  refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}", 12, "a gap of 4 bytes");
  refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 7, "ends at byte 8");
  refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 9, "1 bytes after the last tensor");
  refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", 8, "backwards");
  refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", 8,
         "tensor 'a': data_offsets span 8 bytes, F32 [3] needs 12");
  refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0]}}", 8, "two numbers");
  refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4,8]}}", 8, "two numbers");
  refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8, "data_offsets");
  refuse("{}", 1, "after the last tensor");
  accept("{}", 0);
  accept("{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}   ", 4);
  accept("{\"e\":{\"dtype\":\"F32\",\"shape\":[0,3],\"data_offsets\":[0,0]},"
         "\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
         8);
}

static void test_numbers(void **state)
{
  (void)state;
  static const char *const bad[] = {"-1", "1.5", "1e30", "1e999", "9007199254740994", "\"2\"", "null", "true", "[2]"};
  char header[256];
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    snprintf(header, sizeof header, "{\"a\":{\"dtype\":\"F32\",\"shape\":[%s],\"data_offsets\":[0,8]}}", bad[i]);
    refuse(header, 8, "shape[0]");
    snprintf(header, sizeof header, "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[%s,8]}}", bad[i]);
    refuse(header, 8, "data_offsets[0]");
  }
  refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[NaN],\"data_offsets\":[0,8]}}", 8, "no JSON");
  refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[Infinity],\"data_offsets\":[0,8]}}", 8, "no JSON");
  refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[nan],\"data_offsets\":[0,8]}}", 8, "no JSON");
}

static void test_shapes(void **state)
{
  (void)state;
  refuse("{\"a\":{\"dtype\":\"F64\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,8]}}", 8, "overflows");
  refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[4503599627370496,4503599627370496,0],\"data_offsets\":[0,0]}}", 0,
         "overflows");
  refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", 4, "more than 8");
  refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[1000000000000],\"data_offsets\":[0,4000000000000]}}", 8,
         "ends at byte 4000000000000");
  refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":2,\"data_offsets\":[0,8]}}", 8, "'shape' is not a list");
  refuse("{\"a\":{\"dtype\":\"F32\",\"Shape\":[2],\"data_offsets\":[0,8]}}", 8, "'shape' is not a list");
}

static void test_types(void **state)
{
  (void)state;
  refuse("{\"a\":{\"dtype\":\"F31\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "unknown type 'F31'");
  refuse("{\"a\":{\"dtype\":\"f32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "unknown type 'f32'");
  refuse("{\"a\":{\"dtype\":32,\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "'dtype' is not a text");
  refuse("{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "'dtype' is not a text");
}

static void test_names(void **state)
{
  (void)state;
  refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
         "\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
         8, "the name 'a' is there twice");
  refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "'shape' is there twice");
  refuse("{\"__metadata__\":{\"x\":\"1\",\"x\":\"2\"}}", 0, "'x' is there twice");
  refuse("{\"__metadata__\":{},\"__metadata__\":{}}", 0, "twice");
  refuse("{\"a\\u0062\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]},"
         "\"ab\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}",
         0, "twice");
  refuse("{\"a\\u0000b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "NUL");
  accept("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
         "\"A\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
         8);
  static const char raw_nul[] = "{\"a\0b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}";
  refuse_bytes(raw_nul, sizeof raw_nul - 1, 4, "control character 0x00");
  static const char nul_outside[] = "{\0}";
  refuse_bytes(nul_outside, sizeof nul_outside - 1, 0, "character 0x00");
  refuse("{\"\xC3\x28\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "invalid UTF-8");
  refuse("{\"\xC0\x80\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "invalid UTF-8");
  refuse("{\"\xED\xA0\x80\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "invalid UTF-8");
  accept("{\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x90\x98\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4);
}

static void test_json(void **state)
{
  (void)state;
  refuse("[]", 0, "does not begin with '{'");
  refuse(" {}", 0, "does not begin with '{'");
  refuse("{}{}", 0, "after the JSON object");
  refuse("{} x", 0, "after the JSON object");
  refuse("{\"a\":", 0, "no JSON");
  refuse("{\"a\"", 0, "no JSON");
  refuse("{\"a", 0, "does not end");
  refuse("{'a':1}", 0, "no JSON");
  refuse("{\"a\":1}", 0, "not a JSON object");
  refuse("{\"__metadata__\":[]}", 0, "__metadata__ is not a JSON object");
  refuse("{\"__metadata__\":{\"scale\":0.5}}", 0, "'scale' is not a text");
}

static double cpu_seconds(void) { return (double)clock() / CLOCKS_PER_SEC; }

/* A deep and a huge header are refused before the parser takes memory for them. */
static void test_deep_and_huge(void **state)
{
  (void)state;
  const size_t size = 20000000;
  char *text = malloc(size + 1);
  assert_non_null(text);
  text[size] = '\0';
  const double start = cpu_seconds();
  memset(text, '[', size);
  memcpy(text, "{\"a\":", 5);
  refuse(text, 0, "nested deeper than 16");
  for (size_t i = 0; i < size; i++) text[i] = i % 2 ? ',' : '1';
  memcpy(text, "{\"a\":[", 6);
  refuse(text, 0, "more than 500000 JSON values");
  const double taken = cpu_seconds() - start;
  free(text);
  if (taken > 1.0) fail_msg("refusing took %.2f s, must be under 1 s", taken);
}

/* The file claims terabytes and is refused under an address-space limit that is far below. */
static void test_claims_cost_nothing(void **state)
{
  (void)state;
  const char *path = SCRATCH "/claims.safetensors";
  static const char header[] =
      "{\"a\":{\"dtype\":\"F32\",\"shape\":[2000000000000],\"data_offsets\":[0,8000000000000]}}";
  size_t size;
  unsigned char *bytes = assemble(header, strlen(header), 64, &size);
  FILE *stream = fopen(path, "wb");
  assert_non_null(stream);
  assert_int_equal(fwrite(bytes, 1, size, stream), size);
  fclose(stream);
  free(bytes);
  st_file file;
  st_error error;
  struct rusage before, after;
  getrusage(RUSAGE_SELF, &before);
  assert_false(st_read(path, &file, &error));
  getrusage(RUSAGE_SELF, &after);
  assert_non_null(strstr(error.text, "the file holds 64 bytes of data"));
  assert_true(after.ru_maxrss - before.ru_maxrss < 10000);
  remove(path);
}

static void test_files_that_are_none(void **state)
{
  (void)state;
  st_file file;
  st_error error;
  assert_false(st_read(SCRATCH "/there-is-no-such-file", &file, &error));
  assert_non_null(strstr(error.text, "cannot open"));
  assert_false(st_read(SCRATCH, &file, &error));
  assert_non_null(strstr(error.text, "not a regular file"));
  assert_false(st_read("/dev/null", &file, &error));
  assert_non_null(strstr(error.text, "not a regular file"));
}

/* What is written is read back bit by bit, in name, shape, data and labels; a failed write leaves nothing. */
static void test_round_trip(void **state)
{
  (void)state;
  const char *path = SCRATCH "/round-trip.safetensors";
  st_file out = {0}, in;
  st_error error;
  const int64_t bool_dim[] = {3}, wide_dim[] = {2, 1, 5}, empty_dim[] = {0, 4};
  st_tensor *flags = st_add(&out, "flags \"quoted\" \xE2\x82\xAC", ST_BOOL, 1, bool_dim);
  memcpy(flags->data, "\1\0\1", 3);
  st_tensor *wide = st_add(&out, "wide", ST_F64, 3, wide_dim);
  for (int i = 0; i < 10; i++) ((double *)wide->data)[i] = 1.0 / (i + 3);
  assert_non_null(st_add(&out, "empty", ST_F16, 2, empty_dim));
  *(float *)st_add(&out, "one", ST_F32, 0, NULL)->data = -0.0f;
  assert_true(st_set_label(&out, "tokens", "[\"a\\n\", \"\xC3\xA9\"]"));
  assert_true(st_write(&out, path, &error));
  if (!st_read(path, &in, &error)) fail_msg("%s", error.text);
  assert_int_equal(in.n_tensors, out.n_tensors);
  for (size_t i = 0; i < out.n_tensors; i++) {
    const st_tensor *a = &out.tensors[i], *b = st_find(&in, a->name);
    assert_non_null(b);
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->rank, b->rank);
    assert_memory_equal(a->dim, b->dim, sizeof a->dim);
    assert_int_equal(a->bytes, b->bytes);
    if (a->bytes) assert_memory_equal(a->data, b->data, a->bytes);
  }
  assert_string_equal(st_label_value(&in, "tokens"), st_label_value(&out, "tokens"));
  assert_null(st_label_value(&in, "Tokens"));
  assert_null(st_find(&in, "WIDE"));
  st_free(&in);
  remove(path);
  assert_false(st_write(&out, SCRATCH "/no-such-folder/x.safetensors", &error));
  assert_non_null(strstr(error.text, "cannot write"));
  assert_false(st_write(&out, SCRATCH, &error)); /* the name is a folder's */
  assert_non_null(strstr(error.text, "cannot rename the finished file to its name"));
  st_free(&out);
}

static void end_of_limit(int signal) { (void)signal; }

/* A file that may not grow: writing fails, with the reason, and nothing is left under the name. */
static void test_write_fails(void **state)
{
  (void)state;
  const char *path = SCRATCH "/too-long.safetensors";
  const int64_t dim[] = {100000};
  struct rlimit before, small;
  st_file out = {0};
  st_error error;
  assert_non_null(st_add(&out, "a", ST_F64, 1, dim));
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
  small = before;
  small.rlim_cur = 4096;
  void (*old)(int) = signal(SIGXFSZ, end_of_limit);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
  const bool good = st_write(&out, path, &error);
  setrlimit(RLIMIT_FSIZE, &before);
  signal(SIGXFSZ, old);
  st_free(&out);
  assert_false(good);
  assert_non_null(strstr(error.text, "writing failed: "));
  assert_int_not_equal(access(path, F_OK), 0);
}

/* The real files are sound, and the shown names are harmless. */
static void test_real_files_and_names(void **state)
{
  (void)state;
  st_file file;
  st_error error;
  if (!st_read(CLATTN_TEST_DATA "/smollm2-layer13-elephant.safetensors", &file, &error)) fail_msg("%s", error.text);
  assert_non_null(st_find(&file, "W_Q"));
  assert_int_equal(st_find(&file, "W_Q")->type, ST_F16);
  assert_string_equal(st_label_value(&file, "q_num_heads"), "9");
  st_free(&file);
  assert_string_equal(st_show("a\033[2Jb\n").text, "a?[2Jb?");
  char name[300];
  memset(name, 'x', sizeof name);
  name[sizeof name - 1] = '\0';
  assert_true(strlen(st_show(name).text) < 72);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_every_truncation),
      cmocka_unit_test(test_every_byte_changed),
      cmocka_unit_test(test_header_length),
      cmocka_unit_test(test_offsets),
      cmocka_unit_test(test_numbers),
      cmocka_unit_test(test_shapes),
      cmocka_unit_test(test_types),
      cmocka_unit_test(test_names),
      cmocka_unit_test(test_json),
      cmocka_unit_test(test_deep_and_huge),
      cmocka_unit_test(test_claims_cost_nothing),
      cmocka_unit_test(test_files_that_are_none),
      cmocka_unit_test(test_round_trip),
      cmocka_unit_test(test_write_fails),
      cmocka_unit_test(test_real_files_and_names),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
