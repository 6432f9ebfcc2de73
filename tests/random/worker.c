#include "worker.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "asserts.h"
#include "projection_draw.h"

static void need(bool good, const char *what)
{
  if (good) return;
  perror(what);
  exit(2);
}

static void start(worker *w)
{
  int ask[2], answer[2], errors[2];
  need(pipe(ask) == 0 && pipe(answer) == 0 && pipe(errors) == 0, "pipe");
  w->child = fork();
  need(w->child >= 0, "fork");
  if (w->child == 0) {
    dup2(ask[0], STDIN_FILENO);
    dup2(answer[1], STDOUT_FILENO);
    dup2(errors[1], STDERR_FILENO);
    for (int i = 0; i < 2; i++) {
      close(ask[i]);
      close(answer[i]);
      close(errors[i]);
    }
    execl(w->program, w->program, "--serve", (char *)NULL);
    _exit(127);
  }
  close(ask[0]);
  close(answer[1]);
  close(errors[1]);
  w->ask = ask[1];
  w->answer = answer[0];
  w->errors = errors[0];
}

static int reap(worker *w)
{
  int state = 0;
  waitpid(w->child, &state, 0);
  close(w->ask);
  close(w->answer);
  close(w->errors);
  w->child = 0;
  return state;
}

void worker_stop(worker *w)
{
  if (!w->child) return;
  kill(w->child, SIGKILL);
  reap(w);
}

static double now_s(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Appends what is there to be read; what does not fit is passed over. False at the end of the stream. */
static bool drain(int from, char *text)
{
  char bytes[512];
  const ssize_t n = read(from, bytes, sizeof bytes);
  const size_t used = strlen(text), room = WORKER_LINE_BYTES - 1 - used;
  if (n <= 0) return false;
  const size_t taken = (size_t)n < room ? (size_t)n : room;
  memcpy(text + used, bytes, taken);
  text[used + taken] = '\0';
  return true;
}

/* Until the answer's line is whole, or the child ends or takes too long. */
static bool wait_for_answer(worker *w, char *answer)
{
  const double end = now_s() + w->limit_s;
  struct pollfd streams[2] = {{.fd = w->answer, .events = POLLIN}, {.fd = w->errors, .events = POLLIN}};
  while (!strchr(answer, '\n')) {
    const double left = end - now_s();
    if (left <= 0 || poll(streams, 2, (int)(left * 1e3) + 1) < 0) return false;
    if (streams[1].revents && !drain(w->errors, w->said)) streams[1].fd = -1;
    if (streams[0].revents && !drain(w->answer, answer)) break;
  }
  return true;
}

/* The child ended: what it said last, and how. */
static verdict judge_end(worker *w)
{
  while (drain(w->errors, w->said)) continue;
  const int state = reap(w);
  char how[64] = "";
  if (WIFSIGNALED(state)) snprintf(how, sizeof how, "signal %d", WTERMSIG(state));
  const size_t used = strlen(w->said);
  snprintf(w->said + used, sizeof w->said - used, "%s", how);
  return WIFSIGNALED(state) ? RAN_CRASHED : RAN_WRONG;
}

verdict worker_run(worker *w, const char *text)
{
  char answer[WORKER_LINE_BYTES] = "", line[WORKER_LINE_BYTES];
  w->said[0] = '\0';
  signal(SIGPIPE, SIG_IGN); /* of a child that ended by itself */
  if (!w->child) start(w);
  const int n = snprintf(line, sizeof line, "%s\n", text);
  const bool asked = write(w->ask, line, (size_t)n) == n;
  if (asked && !wait_for_answer(w, answer)) {
    snprintf(w->said, sizeof w->said, "no answer within %d s", w->limit_s);
    worker_stop(w);
    return RAN_HUNG;
  }
  if (!strchr(answer, '\n')) return judge_end(w);
  *strchr(answer, '\n') = '\0';
  if (strcmp(answer, "right") == 0) return RAN_RIGHT;
  snprintf(w->said, sizeof w->said, "%s", answer);
  return RAN_REFUSED;
}

/* ---- the child ---- */

static void tell_refusal(FILE *answers, const clattn_report *report)
{
  char line[WORKER_LINE_BYTES - 1];
  snprintf(line, sizeof line, "%s; %s", report->message, report->detail);
  for (char *c = line; *c; c++)
    if (*c == '\n') *c = ' ';
  fprintf(answers, "%s\n", line);
}

/* False: the text is none, or the library refused it. */
static bool run_text(const device_under_test *d, const char *text, clattn_report *report)
{
  problem_text problem;
  projection_text projection;
  st_error error = {""};
  if (projection_is(text)) {
    if (projection_parse(text, &projection, &error)) {
      const projection_case c = projection_case_of(&projection);
      return test_projection_unless_refused(d, &c, projection.variant[0] ? projection.variant : NULL, report);
    }
  } else if (problem_parse(text, &problem, &error)) {
    return test_problem(d, &problem, report);
  }
  snprintf(report->message, sizeof report->message, "%.200s", error.text);
  report->detail[0] = '\0';
  return false;
}

/* An assertion that fails ends the process, as cmocka does outside of its own tests. */
int worker_serve(void)
{
  device_under_test d;
  char line[WORKER_LINE_BYTES];
  static clattn_report report;
  FILE *answers = fdopen(dup(STDOUT_FILENO), "w");
  need(answers && dup2(STDERR_FILENO, STDOUT_FILENO) >= 0, "streams");
  device_open(&d);
  while (fgets(line, sizeof line, stdin)) {
    line[strcspn(line, "\n")] = '\0';
    if (run_text(&d, line, &report))
      fputs("right\n", answers);
    else
      tell_refusal(answers, &report);
    fflush(answers);
  }
  device_close(&d);
  fclose(answers);
  return 0;
}
