/* clattn bench --start: first calls, each in a process of its own. */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench_verb.h"
#include "progress.h"

static const char verb[] = "bench --start";

enum { PATH_BYTES = 4096, ANSWER_BYTES = 4096 };

/* Times of one first call: X(name). All are in milliseconds. */
#define PART_LIST(X)                                                                                                   \
  X(total_ms)   /* from the beginning of the process to the first result */                                            \
  X(process_ms) /* until the device was open */                                                                        \
  X(plan_ms)                                                                                                           \
  X(build_ms) /* of planning */                                                                                        \
  X(run_ms)
enum {
#define PART_ENUM(name) PART_##name,
  PART_LIST(PART_ENUM)
#undef PART_ENUM
      PARTS
};
static const char *const part_names[PARTS] = {
#define PART_NAME(name) #name,
    PART_LIST(PART_NAME)
#undef PART_NAME
};

static const char *const origins[] = {"none", "memory", "disk", "built"};

/* ---- the process that makes the call ---- */

int bench_first_call(const bench_request *request, double begin_ms)
{
  bench_device d;
  bench_problem problem = {0};
  bench_plan plan = {0};
  st_error error;
  double part[PARTS] = {0};
  if (!bench_device_open(&d, request->asked.device, &error)) return bench_complain(&d, NULL, &error);
  part[PART_process_ms] = bench_clock_ms() - begin_ms;
  int status = EXIT_DONE;
  if (bench_problem_make(&d, request->asked.texts[0], &problem, &error) &&
      bench_plan_make(&problem, request->variant, &plan, &error) &&
      bench_plan_run(&plan, 1, &part[PART_run_ms], &error)) {
    part[PART_total_ms] = bench_clock_ms() - begin_ms;
    part[PART_plan_ms] = plan.info.plan_ms;
    part[PART_build_ms] = plan.info.build_ms;
    cJSON *line = cJSON_CreateObject();
    for (int i = 0; i < PARTS; i++) cJSON_AddNumberToObject(line, part_names[i], part[i]);
    cJSON_AddStringToObject(line, "variant", plan.info.variant);
    cJSON_AddStringToObject(line, "device", d.name);
    cJSON_AddStringToObject(line, "origin", origins[plan.info.origin]);
    print_json(line);
  } else {
    status = bench_complain(&d, request->asked.texts[0], &error);
  }
  bench_plan_free(&plan);
  bench_problem_free(&problem);
  bench_device_close(&d);
  return flush_output("bench") ? status : EXIT_FAILED;
}

/* ---- the caches ---- */

static const char *const cache_variables[] = {"CLATTN_CACHE_DIR", "POCL_CACHE_DIR", "XDG_CACHE_HOME"};
enum { CACHES = sizeof cache_variables / sizeof cache_variables[0] };

static bool make_folder(char folder[PATH_BYTES])
{
  const char *temporary = getenv("TMPDIR");
  if (!temporary || !*temporary) temporary = "/tmp";
  if (snprintf(folder, PATH_BYTES, "%s/clattn-bench-XXXXXX", temporary) < PATH_BYTES && mkdtemp(folder)) return true;
  complain(verb, "%s: cannot make a temporary folder: %s", temporary, strerror(errno));
  return false;
}

static void remove_tree(const char *path)
{
  struct stat info;
  if (lstat(path, &info) != 0) return;
  DIR *folder = S_ISDIR(info.st_mode) ? opendir(path) : NULL;
  for (struct dirent *entry; folder && (entry = readdir(folder));) {
    char inner[PATH_BYTES];
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    if (snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name) < (int)sizeof inner) remove_tree(inner);
  }
  if (folder) closedir(folder);
  remove(path);
}

/* ---- an end from outside ---- */

static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
enum { SIGNALS = sizeof signals / sizeof signals[0] };
static struct sigaction signals_before[SIGNALS];
static volatile sig_atomic_t stopped_by;   /* the signal that came */
static volatile sig_atomic_t running_call; /* its process; 0: none runs */

static void stop_calls(int number)
{
  const int code = errno;
  stopped_by = number;
  if (running_call) kill((pid_t)running_call, number);
  errno = code;
}

/* From here to restore_signals they end the call that runs, and no other one begins. What is ignored stays so (nohup).
 */
static void catch_signals(void)
{
  struct sigaction action = {.sa_handler = stop_calls, .sa_flags = SA_RESTART};
  sigemptyset(&action.sa_mask);
  for (int i = 0; i < SIGNALS; i++) sigaddset(&action.sa_mask, signals[i]);
  for (int i = 0; i < SIGNALS; i++) {
    sigaction(signals[i], NULL, &signals_before[i]);
    if (signals_before[i].sa_handler != SIG_IGN) sigaction(signals[i], &action, NULL);
  }
}

static void restore_signals(void)
{
  for (int i = 0; i < SIGNALS; i++) sigaction(signals[i], &signals_before[i], NULL);
}

/* Forks; a signal that comes meanwhile waits until it is known whom it is passed on to. */
static pid_t fork_call(void)
{
  sigset_t all, before;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, &before);
  const pid_t child = fork();
  const int code = errno;
  if (child == 0) restore_signals();
  if (child > 0) running_call = (sig_atomic_t)child;
  sigprocmask(SIG_SETMASK, &before, NULL);
  errno = code;
  return child;
}

/* The child's end, as waitpid tells it. No signal is passed on to a number that another process may have by then. */
static int await_call(pid_t child)
{
  int state = 0;
  siginfo_t end;
  while (waitid(P_PID, (id_t)child, &end, WEXITED | WNOWAIT) < 0 && errno == EINTR) continue;
  running_call = 0;
  while (waitpid(child, &state, 0) < 0 && errno == EINTR) continue;
  return state;
}

/* ---- the process that measures ---- */

/* In the child: its caches lie in the folder, its output goes into the pipe. */
static void become_first_call(const bench_request *request, const char *text, const char *folder, int out)
{
  char begin[64];
  const char *argv[16] = {command_program(), "bench"};
  int n = 2;
  for (int i = 0; i < CACHES; i++) {
    char cache[PATH_BYTES + 32];
    snprintf(cache, sizeof cache, "%s/%s", folder, cache_variables[i]);
    mkdir(cache, 0777);
    setenv(cache_variables[i], cache, 1);
  }
  if (request->asked.device) argv[n++] = "--device";
  if (request->asked.device) argv[n++] = request->asked.device;
  if (request->variant) argv[n++] = "--variant";
  if (request->variant) argv[n++] = request->variant;
  argv[n++] = "--" BENCH_FIRST_CALL;
  argv[n++] = begin;
  argv[n++] = text;
  argv[n] = NULL;
  if (out != STDOUT_FILENO) { /* which a pipe may be where the command began with it closed */
    dup2(out, STDOUT_FILENO);
    close(out);
  }
  snprintf(begin, sizeof begin, "%.6f", bench_clock_ms());
  execvp(argv[0], (char *const *)(uintptr_t)argv);
  complain(verb, "%s: cannot be started: %s", argv[0], strerror(errno));
  _exit(EXIT_FAILED);
}

/* Its process, with an end of the pipe that its line comes from; -1 after a complaint. */
static pid_t begin_call(const bench_request *request, const char *text, const char *folder, int *answer)
{
  int ends[2];
  fflush(stdout);
  if (pipe(ends) != 0) {
    complain(verb, "no pipe for a process: %s", strerror(errno));
    return -1;
  }
  const pid_t child = fork_call();
  if (child < 0) complain(verb, "a process cannot be started: %s", strerror(errno));
  if (child < 0) close(ends[0]);
  if (child == 0) {
    close(ends[0]);
    become_first_call(request, text, folder, ends[1]);
  }
  close(ends[1]);
  *answer = ends[0];
  return child;
}

/* Runs it; its line of JSON, or NULL after a complaint, mostly the child's own. */
static cJSON *first_call(const bench_request *request, const char *text, const char *folder)
{
  int end;
  char answer[ANSWER_BYTES] = "";
  const pid_t child = begin_call(request, text, folder, &end);
  if (child < 0) return NULL;
  /* Where a signal ends it, the line's end is that of the compilers that the driver started, too: nothing is written
   * into the folder any more when it is removed. */
  FILE *from = fdopen(end, "r");
  const bool read = from && fgets(answer, sizeof answer, from);
  if (from) fclose(from);
  const int state = await_call(child);
  if (WIFEXITED(state) && WEXITSTATUS(state) == EXIT_DONE && read) return cJSON_Parse(answer);
  if (WIFSIGNALED(state) && !stopped_by) complain(verb, "%s: the first call ended by signal %d", text, WTERMSIG(state));
  return NULL;
}

/* A problem's first calls, with empty caches and with filled ones. */
typedef struct calls {
  const char *text;
  double part[2][PARTS][PROBLEM_MOST_ROUNDS];
  char variant[2][PROBLEM_VARIANT_BYTES], origin[2][16], device[160];
} calls;

static const char *text_of(const cJSON *line, const char *key)
{
  const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(line, key));
  return text ? text : "";
}

static bool call_once(const bench_request *request, calls *c, int warm, int round, const char *folder)
{
  cJSON *line = first_call(request, c->text, folder);
  if (!line) return false;
  for (int i = 0; i < PARTS; i++) {
    const cJSON *number = cJSON_GetObjectItemCaseSensitive(line, part_names[i]);
    c->part[warm][i][round] = number ? number->valuedouble : 0.0;
  }
  snprintf(c->variant[warm], sizeof c->variant[warm], "%s", text_of(line, "variant"));
  snprintf(c->origin[warm], sizeof c->origin[warm], "%s", text_of(line, "origin"));
  snprintf(c->device, sizeof c->device, "%s", text_of(line, "device"));
  cJSON_Delete(line);
  return true;
}

static bool call_round(const bench_request *request, calls *c, int round, progress *bar)
{
  char folder[PATH_BYTES];
  if (!make_folder(folder)) return false;
  bool good = true;
  for (int warm = 0; warm < 2 && good; warm++) {
    progress_show(bar, c->text);
    good = call_once(request, c, warm, round, folder) && !stopped_by;
    progress_advance(bar);
  }
  remove_tree(folder);
  return good;
}

static const char *const caches[] = {"empty", "filled"};

static void tell_json(const bench_request *request, calls *c, int warm)
{
  cJSON *line = cJSON_CreateObject();
  cJSON_AddStringToObject(line, "problem", c->text);
  cJSON_AddStringToObject(line, "variant", c->variant[warm]);
  cJSON_AddStringToObject(line, "device", c->device);
  cJSON_AddStringToObject(line, "caches", caches[warm]);
  cJSON_AddStringToObject(line, "origin", c->origin[warm]);
  for (int i = 0; i < PARTS; i++)
    cJSON_AddNumberToObject(line, part_names[i], bench_median(c->part[warm][i], request->asked.rounds));
  cJSON_AddNumberToObject(line, "total_ms_min", c->part[warm][PART_total_ms][0]);
  cJSON_AddNumberToObject(line, "total_ms_max", c->part[warm][PART_total_ms][request->asked.rounds - 1]);
  cJSON_AddNumberToObject(line, "rounds", request->asked.rounds);
  print_json(line);
}

static void tell(const bench_request *request, calls *c, int warm)
{
  double part[PARTS];
  for (int i = 0; i < PARTS; i++) part[i] = bench_median(c->part[warm][i], request->asked.rounds);
  printf("%-*s %-7s %9.1f %9.1f %9.1f %10.1f %9.1f %9.1f %9.1f %-7s %s\n", problem_words_width(&request->asked),
         c->text, caches[warm], part[PART_total_ms], c->part[warm][PART_total_ms][0],
         c->part[warm][PART_total_ms][request->asked.rounds - 1], part[PART_process_ms], part[PART_plan_ms],
         part[PART_build_ms], part[PART_run_ms], c->origin[warm], c->variant[warm]);
}

static void tell_all(const bench_request *request, calls *all)
{
  if (!request->asked.json) {
    printf("%s: first calls in milliseconds, medians of %d\n\n", all[0].device, request->asked.rounds);
    printf("%-*s %-7s %9s %9s %9s %10s %9s %9s %9s %-7s %s\n", problem_words_width(&request->asked), "problem",
           "caches", "all", "least", "most", "to device", "planning", "building", "first run", "origin", "variant");
  }
  for (int i = 0; i < request->asked.n_texts; i++)
    for (int warm = 0; warm < 2; warm++) (request->asked.json ? tell_json : tell)(request, &all[i], warm);
}

int bench_start(const bench_request *request)
{
  progress bar;
  calls *all = calloc((size_t)request->asked.n_texts, sizeof *all);
  if (!all) {
    complain(verb, "no memory for the times of %d problems", request->asked.n_texts);
    return EXIT_FAILED;
  }
  bool good = true;
  catch_signals();
  progress_begin(&bar, 2 * request->asked.rounds * request->asked.n_texts);
  for (int i = 0; i < request->asked.n_texts; i++) all[i].text = request->asked.texts[i];
  for (int round = 0; round < request->asked.rounds && good; round++)
    for (int i = 0; i < request->asked.n_texts && good; i++) good = call_round(request, &all[i], round, &bar);
  progress_end(&bar);
  restore_signals();
  if (stopped_by) complain(verb, "stopped by signal %d", (int)stopped_by);
  good = good && !stopped_by;
  if (good) tell_all(request, all);
  free(all);
  return flush_output(verb) && good ? EXIT_DONE : EXIT_FAILED;
}
