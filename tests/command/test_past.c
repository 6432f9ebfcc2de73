/* Projections after a past: their keys and values are float32, the file's past may be narrower. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "clattn/clattn.h"
#include "safetensors.h"
#include "spawn.h"

#define MAT CLATTN_TEST_DATA "/minilm-layer03-mat.safetensors"
#define OUT CLATTN_TEST_SCRATCH "/past-out"

/* MAT with a past of this type, whose numbers every type holds; its results. */
static void attend_past(st_type type, st_file *results)
{
  static const char *const names[] = {"past_key", "past_value"};
  const char *path = CLATTN_TEST_SCRATCH "/past.safetensors";
  const int64_t dim[] = {2, 12, 3, 32};
  float past[2 * 12 * 3 * 32];
  st_file file;
  st_error error;
  if (!st_read(MAT, &file, &error)) fail_msg("%s", error.text);
  for (size_t i = 0; i < sizeof past / sizeof past[0]; i++) past[i] = (float)((int)(i * 7 % 33) - 16) / 16.0f;
  for (int i = 0; i < 2; i++) {
    st_tensor *tensor = st_add(&file, names[i], type, 4, dim);
    assert_non_null(tensor);
    clattn_convert((clattn_dtype)st_type_dtype(type), tensor->data, CLATTN_F32, past, sizeof past / sizeof past[0]);
  }
  if (!st_write(&file, path, &error)) fail_msg("%s", error.text);
  st_free(&file);
  spawned run = SPAWN(true, "attend", path, "-o", OUT);
  assert_spawned(&run, 0, "present_value", NULL);
  spawned_free(&run);
  remove(path);
  if (!st_read(OUT "/past.safetensors", results, &error)) fail_msg("%s", error.text);
}

/* Before the keys of a projection, float32, a past of 16 bits is widened, and what is present is stored as it was. */
static void test_narrow_past(void **state)
{
  (void)state;
  st_file wide, narrow;
  attend_past(ST_F32, &wide);
  for (int i = 0; i < 2; i++) {
    const st_type type = i ? ST_BF16 : ST_F16;
    attend_past(type, &narrow);
    const st_tensor *y = st_find(&narrow, "Y"), *present = st_find(&narrow, "present_key");
    assert_non_null(y);
    assert_memory_equal(y->data, st_find(&wide, "Y")->data, y->bytes);
    assert_non_null(present);
    assert_int_equal(present->type, type);
    assert_int_equal(present->bytes * 2, st_find(&wide, "present_key")->bytes);
    st_free(&narrow);
  }
  st_free(&wide);
}

int main(void)
{
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_narrow_past)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
