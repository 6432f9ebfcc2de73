/* A head of 16,384 tokens, whose matrix would take a GiB: what is shown of it takes less, in text and in every picture.
 * Outputs are whole or not there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "numerics.h"
#include "safetensors.h"
#include "spawn.h"

#define LONG CLATTN_TEST_SCRATCH "/draw-long.safetensors"
#define BARE CLATTN_TEST_SCRATCH "/draw-long-bare.safetensors"

enum { TOKENS = 16384, CHANNELS = 16, MOST_KIB = 1 << 20 };

static int make_long(void **state)
{
  (void)state;
  static const char *const names[3] = {"Q", "K", "V"};
  random_state r = {11};
  st_file file = {0};
  st_error error;
  for (int i = 0; i < 3; i++) {
    st_tensor *t = st_add(&file, names[i], ST_F32, 4, (int64_t[]){1, 1, TOKENS, CHANNELS});
    if (!t) return -1;
    for (int64_t j = 0; j < TOKENS * CHANNELS; j++) ((float *)t->data)[j] = (float)(2.0 * random_unit(&r));
  }
  const bool good = st_set_label(&file, "is_causal", "1") && st_write(&file, LONG, &error);
  st_free(&file);
  return good ? 0 : -1;
}

/* The largest of all children so far. */
static void look_at_memory(const char *what)
{
  struct rusage usage;
  assert_int_equal(getrusage(RUSAGE_CHILDREN, &usage), 0);
  print_message("%s: %ld MiB at most so far\n", what, usage.ru_maxrss / 1024);
  if (usage.ru_maxrss >= MOST_KIB) fail_msg("%s: %ld KiB, the limit is %d", what, usage.ru_maxrss, MOST_KIB);
}

static void test_text(void **state)
{
  (void)state;
  spawned run = SPAWN(true, "draw", LONG, "--view", "matrix");
  assert_spawned(&run, 0, "each number is the largest of 1093 x 1093 tokens", NULL);
  /* The first token attends itself alone. */
  assert_non_null(strstr(run.out, "\n      0   1.00"));
  spawned_free(&run);
  look_at_memory("text");
}

static void test_pictures(void **state)
{
  (void)state;
  static const char *const endings[] = {"svg", "png", "html"};
  for (int i = 0; i < 3; i++) {
    char path[512], part[600];
    struct stat info;
    snprintf(path, sizeof path, "%s/draw-long.%s", CLATTN_TEST_SCRATCH, endings[i]);
    remove(path);
    spawned run = SPAWN(true, "draw", LONG, "-o", path, "--json");
    snprintf(part, sizeof part, "{\"kind\":\"written\",\"output\":\"%s\",\"bytes\":", path);
    assert_spawned(&run, 0, part, NULL);
    assert_int_equal(stat(path, &info), 0);
    assert_true(info.st_size > 10000);
    spawned_free(&run);
    look_at_memory(endings[i]);
    remove(path);
  }
}

/* A picture that cannot be made leaves what was there, and nothing beside it. */
static void test_refused_picture(void **state)
{
  (void)state;
  const char *folder = CLATTN_TEST_SCRATCH "/draw-folder", *path = CLATTN_TEST_SCRATCH "/draw-folder/old.svg";
  st_file file = {0};
  st_error error;
  char text[8] = "";
  mkdir(folder, 0777);
  FILE *old = fopen(path, "w");
  assert_true(old && fputs("old", old) >= 0 && fclose(old) == 0);
  assert_non_null(st_add(&file, "P", ST_F32, 2, (int64_t[]){600, 600}));
  assert_true(st_write(&file, BARE, &error));
  st_free(&file);
  spawned run = SPAWN(false, "draw", BARE, "--view", "network", "-o", path);
  assert_spawned(&run, 1, NULL, "600 tokens exceed the 512 of a network");
  assert_non_null(strstr(run.err, path));
  spawned_free(&run);
  old = fopen(path, "r");
  assert_true(old && fgets(text, sizeof text, old));
  fclose(old);
  assert_string_equal(text, "old");
  run = SPAWN(false, "draw", BARE, "--view", "matrix", "-o", path);
  assert_spawned(&run, 0, "wrote ", NULL);
  spawned_free(&run);
  assert_int_equal(remove(path), 0);
  assert_int_equal(rmdir(folder), 0); /* nothing else is there */
}

int main(int argc, char **argv)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(test_text, make_long),
      cmocka_unit_test_setup(test_pictures, make_long),
      cmocka_unit_test(test_refused_picture),
  };
  if (argc > 1) cmocka_set_test_filter(argv[1]);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
