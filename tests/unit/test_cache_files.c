/* Files of the cache folder: a reader sees the old file or the new one, whole, whatever the writers do. */
#include "cache_files.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "asserts.h"
#include "program.h"

#define FOLDER CLATTN_TEST_SCRATCH "/files"

enum { BYTES = 1 << 20 };

static int count_files(void)
{
  DIR *folder = opendir(FOLDER);
  assert_non_null(folder);
  int files = 0;
  for (struct dirent *entry; (entry = readdir(folder));) files += entry->d_name[0] != '.';
  closedir(folder);
  return files;
}

static void files_come_back(void **state)
{
  (void)state;
  unsigned char *bytes = NULL;
  size_t n = 1;
  remove(FOLDER "/small");
  assert_false(ca_cache_file_read(FOLDER, "small", &bytes, &n));
  assert_true(ca_cache_file_write(FOLDER, "small", "abc", 3));
  assert_true(ca_cache_file_write(FOLDER, "small", "de", 2));
  assert_true(ca_cache_file_read(FOLDER, "small", &bytes, &n));
  assert_int_equal(2, n);
  assert_memory_equal("de", bytes, 2);
  free(bytes);
  assert_true(ca_cache_file_write(FOLDER, "small", "", 0));
  assert_true(ca_cache_file_read(FOLDER, "small", &bytes, &n));
  assert_int_equal(0, n);
  free(bytes);
  remove(FOLDER "/small");
}

static void failures_leave_nothing_behind(void **state)
{
  (void)state;
  unsigned char *bytes = NULL;
  size_t n = 0;
  assert_true(ca_cache_file_write(FOLDER, "kept", "abc", 3));
  mkdir(FOLDER "/taken", 0700); /* a folder where the file should go: it cannot be replaced */
  const int before = count_files();
  assert_false(ca_cache_file_write(FOLDER, "taken", "abc", 3));
  assert_false(ca_cache_file_write(FOLDER "/kept", "x", "abc", 3));
  assert_int_equal(before, count_files());
  assert_false(ca_cache_file_read(FOLDER, "taken", &bytes, &n));
  assert_null(bytes);
  rmdir(FOLDER "/taken");
  remove(FOLDER "/kept");
}

/* Writes files of one letter until the process is ended. */
static void *write_letter(void *letter)
{
  const size_t n = *(char *)letter == 'a' ? BYTES : BYTES / 2;
  char *bytes = test_alloc(BYTES);
  memset(bytes, *(char *)letter, BYTES);
  for (;;)
    if (!ca_cache_file_write(FOLDER, "shared", bytes, n)) _exit(1);
  return NULL;
}

/* Two threads of one process, so that the process's number alone does not make a name unique. */
static pid_t begin_writers(void)
{
  static char letters[] = "ab";
  pthread_t thread;
  const pid_t child = fork();
  assert_true(child >= 0);
  if (child) return child;
  alarm(60); /* not for ever, should the reader fail */
  if (pthread_create(&thread, NULL, write_letter, &letters[1]) == 0) write_letter(&letters[0]);
  _exit(1);
}

static void readers_see_whole_files(void **state)
{
  (void)state;
  remove(FOLDER "/shared");
  const pid_t writers[2] = {begin_writers(), begin_writers()};
  int seen[2] = {0, 0};
  for (int round = 0; round < 4000 && (round < 100 || !seen[0] || !seen[1]); round++) {
    unsigned char *bytes = NULL;
    size_t n = 0;
    if (!ca_cache_file_read(FOLDER, "shared", &bytes, &n)) {
      nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL); /* before the first one is there */
      continue;
    }
    assert_true(n == BYTES || n == BYTES / 2);
    const unsigned char letter = n == BYTES ? 'a' : 'b';
    seen[letter - 'a']++;
    for (size_t i = 0; i < n; i++) assert_true(bytes[i] == letter);
    free(bytes);
  }
  for (int i = 0; i < 2; i++) {
    int ended = 0;
    kill(writers[i], SIGKILL); /* in the middle of writing: its temporary file stays, the shared one is whole */
    assert_int_equal(writers[i], waitpid(writers[i], &ended, 0));
    assert_true(WIFSIGNALED(ended));
  }
  assert_true(seen[0] > 0 && seen[1] > 0);
  assert_true(ca_cache_file_write(FOLDER, "shared", "end", 3));
}

static void the_folder_follows_the_environment(void **state)
{
  (void)state;
  char path[64];
  setenv("CLATTN_CACHE_DIR", "/c", 1);
  setenv("XDG_CACHE_HOME", "/x", 1);
  setenv("HOME", "/h", 1);
  assert_true(ca_cache_dir_default(path, sizeof path));
  assert_string_equal("/c", path);
  setenv("CLATTN_CACHE_DIR", "", 1);
  assert_true(ca_cache_dir_default(path, sizeof path));
  assert_string_equal("/x/clattn", path);
  unsetenv("CLATTN_CACHE_DIR");
  setenv("XDG_CACHE_HOME", "relative", 1); /* to be ignored, says the specification */
  assert_true(ca_cache_dir_default(path, sizeof path));
  assert_string_equal("/h/.cache/clattn", path);
  unsetenv("XDG_CACHE_HOME");
  unsetenv("HOME");
  assert_false(ca_cache_dir_default(path, sizeof path));
  setenv("HOME", "/a/path/that/is/longer/than/what/the/caller/has/room/for/in/this/test", 1);
  assert_false(ca_cache_dir_default(path, sizeof path));
}

static int clean(void **state)
{
  (void)state;
  mkdir(CLATTN_TEST_SCRATCH, 0700);
  mkdir(FOLDER, 0700);
  DIR *folder = opendir(FOLDER);
  assert_non_null(folder);
  for (struct dirent *entry; (entry = readdir(folder));) {
    char path[2048];
    snprintf(path, sizeof path, "%s/%s", FOLDER, entry->d_name);
    if (entry->d_name[0] != '.') remove(path);
  }
  return closedir(folder);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(files_come_back),
      cmocka_unit_test(failures_leave_nothing_behind),
      cmocka_unit_test(readers_see_whole_files),
      cmocka_unit_test(the_folder_follows_the_environment),
  };
  return cmocka_run_group_tests(tests, clean, clean);
}
