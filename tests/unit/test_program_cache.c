/* Programs from memory, from disk and built, on the OpenCL device that is here: damage, staleness, and many processes
 * on one folder. */
#define ROOT CLATTN_TEST_SCRATCH "/programs"
#include <sys/wait.h>

#include "cache_entry.h"
#include "program_fixture.h"
#include "quirks.h"

/* One whole use of the folder: get, run, mark, store. */
static void use(const fixture *f, clattn_program_origin expected)
{
  ca_program_cache *cache = open_cache(f, f->cache_dir);
  ca_program *program = get(cache, "-DP_ADD=3", expected);
  assert_int_equal(expected == CLATTN_PROGRAM_DISK, ca_program_is_warm(program, "doubled"));
  run(f, program, 3);
  ca_program_mark_warm(program, "doubled");
  ca_program_store(program);
  ca_program_cache_destroy(cache);
}

/* The only entry of the folder: its path and bytes. */
static unsigned char *read_entry(const fixture *f, char path[2048], size_t *n)
{
  DIR *folder = opendir(f->cache_dir);
  assert_non_null(folder);
  int found = 0;
  for (struct dirent *entry; (entry = readdir(folder));) {
    if (entry->d_name[0] == '.') continue;
    snprintf(path, 2048, "%s/%s", f->cache_dir, entry->d_name);
    found++;
  }
  closedir(folder);
  assert_int_equal(1, found);
  struct stat about;
  assert_int_equal(0, stat(path, &about));
  *n = (size_t)about.st_size;
  unsigned char *bytes = test_alloc(*n);
  FILE *file = fopen(path, "rb");
  assert_non_null(file);
  assert_int_equal(*n, fread(bytes, 1, *n, file));
  fclose(file);
  return bytes;
}

/* Processes that compile one program at once and take its binary meet in PoCL's own folder, where one reads what
 * another has half written and ends by an assertion of PoCL's. Only the project's folder is shared here. */
static void keep_the_drivers_folder_apart(int process)
{
  char folder[1024];
  snprintf(folder, sizeof folder, "%s/driver-%d", ROOT, process);
  mkdir(folder, 0700);
  if (setenv("POCL_CACHE_DIR", folder, 1) != 0) _exit(3);
}

/* First of all tests: a process that has called OpenCL must not fork. */
static void eight_processes_share_a_folder(void **state)
{
  (void)state;
  enum { PROCESSES = 8 };
  pid_t child[PROCESSES];
  fixture f = {.cl = NULL};
  put_kernels();
  empty_folder(&f, "processes");
  for (int i = 0; i < PROCESSES; i++) {
    child[i] = fork();
    assert_true(child[i] >= 0);
    if (child[i]) continue;
    keep_the_drivers_folder_apart(i);
    open_device(&f);
    for (int round = 0; round < 5; round++) {
      clattn_program_origin origin;
      ca_program *program = NULL;
      ca_program_cache *cache = open_cache(&f, f.cache_dir);
      if (ca_program_get(cache, "twice.cl", "-DP_ADD=3", false, &program, &origin, NULL)) _exit(1);
      if (origin == CLATTN_PROGRAM_BUILT && round > 0) _exit(2); /* its own entry, or a neighbour's, is there */
      run(&f, program, 3);
      ca_program_mark_warm(program, round & 1 ? "idle" : "doubled");
      ca_program_store(program);
      ca_program_cache_destroy(cache);
    }
    _exit(0);
  }
  for (int i = 0; i < PROCESSES; i++) {
    int ended = -1;
    assert_int_equal(child[i], waitpid(child[i], &ended, 0));
    assert_int_equal(0, ended);
  }
  assert_int_equal(0, remove_files(f.cache_dir, ".tmp"));
  open_device(&f);
  use(&f, CLATTN_PROGRAM_DISK);
  end(&f);
}

static void built_then_memory_then_disk(void **state)
{
  (void)state;
  fixture f;
  begin(&f, "origins");
  ca_program_cache *cache = open_cache(&f, f.cache_dir);
  ca_program *program = get(cache, "-DP_ADD=3", CLATTN_PROGRAM_BUILT);
  assert_ptr_equal(program, get(cache, "-DP_ADD=3", CLATTN_PROGRAM_MEMORY));
  assert_false(ca_program_is_warm(program, "doubled"));
  ca_program_mark_warm(program, "doubled");
  assert_true(ca_program_is_warm(program, "doubled"));
  assert_false(ca_program_is_warm(program, "double"));
  assert_false(ca_program_is_warm(program, "doubled2"));
  run(&f, program, 3);
  ca_program *cold = get(cache, "-DP_ADD=4", CLATTN_PROGRAM_BUILT);
  run(&f, cold, 4);
  ca_program_store(program);
  ca_program_store(cold); /* a program without a warm kernel is worth storing too */
  ca_program_cache_destroy(cache);
  use(&f, CLATTN_PROGRAM_DISK);
  cache = open_cache(&f, f.cache_dir);
  cold = get(cache, "-DP_ADD=4", CLATTN_PROGRAM_DISK);
  assert_false(ca_program_is_warm(cold, "doubled"));
  ca_program_cache_destroy(cache);
  struct stat about;
  assert_int_equal(0, stat(f.cache_dir, &about));
  assert_int_equal(0700, about.st_mode & 0777);
  end(&f);
}

/* A program that is warm for more kernels is stored again; an unchanged one is left alone. */
static void only_news_is_stored(void **state)
{
  (void)state;
  fixture f;
  begin(&f, "news");
  use(&f, CLATTN_PROGRAM_BUILT);
  ca_program_cache *cache = open_cache(&f, f.cache_dir);
  ca_program *program = get(cache, "-DP_ADD=3", CLATTN_PROGRAM_DISK);
  assert_int_equal(1, remove_files(f.cache_dir, ""));
  ca_program_mark_warm(program, "doubled"); /* it is */
  ca_program_store(program);
  assert_int_equal(0, remove_files(f.cache_dir, ""));
  ca_program_mark_warm(program, "idle");
  ca_program_store(program);
  ca_program_cache_destroy(cache);
  cache = open_cache(&f, f.cache_dir);
  program = get(cache, "-DP_ADD=3", CLATTN_PROGRAM_DISK);
  assert_true(ca_program_is_warm(program, "doubled") && ca_program_is_warm(program, "idle"));
  ca_program_cache_destroy(cache);
  end(&f);
}

static void damage_is_rebuilt_silently(void **state)
{
  (void)state;
  fixture f;
  begin(&f, "damage");
  use(&f, CLATTN_PROGRAM_BUILT);
  char path[2048];
  size_t n = 0;
  unsigned char *good = read_entry(&f, path, &n);
  const size_t cuts[] = {0, 1, 47, 48, n / 2, n - 1}, flips[] = {0, 8, 17, 41, 60, n / 2, n - 1};
  for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
    put(path, good, cuts[i]);
    use(&f, CLATTN_PROGRAM_BUILT);
    use(&f, CLATTN_PROGRAM_DISK); /* and written whole again */
  }
  for (size_t i = 0; i < sizeof flips / sizeof flips[0]; i++) {
    good[flips[i]] ^= 1;
    put(path, good, n);
    good[flips[i]] ^= 1;
    use(&f, CLATTN_PROGRAM_BUILT);
  }
  put(path, good, n);
  use(&f, CLATTN_PROGRAM_DISK);
  free(good);
  end(&f);
}

/* A whole and undamaged entry of the right key, whose binary the driver does not take. On the driver that would end
 * the process (quirk binary_abort) the quirk is set, and the rebuild is seen all the same. */
static void a_binary_that_the_driver_refuses_is_rebuilt(void **state)
{
  (void)state;
  fixture f;
  begin(&f, "refused");
  const bool aborts = strstr(f.platform, "rusticl") != NULL;
  use(&f, CLATTN_PROGRAM_BUILT);
  char path[2048];
  size_t n = 0, key_bytes = 0;
  unsigned char *good = read_entry(&f, path, &n), *bad = NULL;
  for (int i = 7; i >= 0; i--) key_bytes = key_bytes << 8 | good[16 + i];
  const ca_cache_entry entry = {{good + 48, key_bytes}, {"doubled\n", 8}, {"this is no program", 18}};
  assert_true(ca_cache_entry_encode(&entry, &bad, &n));
  put(path, bad, n);
  if (aborts) f.facts.quirks = CA_QUIRK_BIT(binary_abort);
  use(&f, CLATTN_PROGRAM_BUILT);
  use(&f, aborts ? CLATTN_PROGRAM_BUILT : CLATTN_PROGRAM_DISK);
  free(bad);
  free(good);
  end(&f);
}

/* Known faults: such a driver's binaries are neither taken nor given to it; verdicts are kept all the same. */
static void quirks_keep_binaries_off_the_disk(void **state)
{
  (void)state;
  static const uint32_t quirks[] = {CA_QUIRK_BIT(slow_binary), CA_QUIRK_BIT(binary_abort), CA_QUIRK_BIT(binary_untried),
                                    CA_QUIRK_BIT(binary_files_removed)};
  fixture f;
  begin(&f, "quirks");
  for (size_t i = 0; i < sizeof quirks / sizeof quirks[0]; i++) {
    f.facts.quirks = quirks[i];
    use(&f, CLATTN_PROGRAM_BUILT); /* stores nothing */
    assert_int_equal(0, remove_files(f.cache_dir, ""));
    f.facts.quirks = 0;
    use(&f, CLATTN_PROGRAM_BUILT); /* stores */
    f.facts.quirks = quirks[i];
    use(&f, CLATTN_PROGRAM_BUILT); /* does not load */
    ca_program_cache *cache = open_cache(&f, f.cache_dir);
    char text[8];
    ca_program_cache_remember(cache, "probe", "ok");
    assert_true(ca_program_cache_recall(cache, "probe", text, sizeof text));
    ca_program_cache_destroy(cache);
    assert_int_equal(2, remove_files(f.cache_dir, ""));
  }
  end(&f);
}

static void what_a_binary_depends_on_is_in_its_key(void **state)
{
  (void)state;
  fixture f;
  begin(&f, "stale");
  use(&f, CLATTN_PROGRAM_BUILT);
  struct {
    char *text;
    const char *what;
  } texts[] = {
      {f.facts.name, "another device"}, {f.facts.vendor, "another vendor"}, {f.facts.driver, "2"},
      {f.facts.version, "OpenCL 9.0"},  {f.facts.platform, "a platform"},   {f.facts.platform_version, "its version"}};
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
    snprintf(texts[i].text, 32, "%s", texts[i].what);
    use(&f, CLATTN_PROGRAM_BUILT);
    use(&f, CLATTN_PROGRAM_DISK);
  }
  ca_program_cache *cache = open_cache(&f, f.cache_dir);
  run(&f, get(cache, "-DP_ADD=5", CLATTN_PROGRAM_BUILT), 5);
  ca_program_cache_destroy(cache);
  static const char changed[] = "#define TWICE(x) (2 * (x) + 0)\n"; /* in an included file */
  put(KERNELS "/twice.clh", changed, sizeof changed - 1);
  use(&f, CLATTN_PROGRAM_BUILT);
  end(&f);
}

static void verdicts_follow_the_same_key(void **state)
{
  (void)state;
  fixture f;
  begin(&f, "verdicts");
  char text[8] = "before";
  ca_program_cache *cache = open_cache(&f, f.cache_dir);
  assert_false(ca_program_cache_recall(cache, "probe", text, sizeof text));
  ca_program_cache_remember(cache, "probe", "ok");
  ca_program_cache_remember(cache, "probe", "bad");
  assert_true(ca_program_cache_recall(cache, "probe", text, sizeof text));
  assert_string_equal("bad", text);
  assert_false(ca_program_cache_recall(cache, "probe", text, 3)); /* no room for its end */
  assert_false(ca_program_cache_recall(cache, "another", text, sizeof text));
  ca_program_cache_destroy(cache);
  snprintf(f.facts.driver, sizeof f.facts.driver, "2");
  cache = open_cache(&f, f.cache_dir);
  assert_false(ca_program_cache_recall(cache, "probe", text, sizeof text));
  ca_program_cache_destroy(cache);
  end(&f);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(eight_processes_share_a_folder), /* first: it forks */
      cmocka_unit_test(built_then_memory_then_disk),
      cmocka_unit_test(only_news_is_stored),
      cmocka_unit_test(damage_is_rebuilt_silently),
      cmocka_unit_test(a_binary_that_the_driver_refuses_is_rebuilt),
      cmocka_unit_test(quirks_keep_binaries_off_the_disk),
      cmocka_unit_test(what_a_binary_depends_on_is_in_its_key),
      cmocka_unit_test(verdicts_follow_the_same_key),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
