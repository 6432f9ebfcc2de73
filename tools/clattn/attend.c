/* clattn attend: every input is read and checked, then the device is opened, then each is run. */
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "compare.h"
#include "named_variants.h"
#include "pipeline.h"
#include "problem_text.h"
#include "progress.h"

static const char verb[] = "attend";

static const char help[] =
    "usage: clattn attend IN.safetensors... -o DIR [OPTION...]\n"
    "\n"
    "Runs each input, a layer in the container safetensors, and writes DIR/ + its file name. An input holds I, W_Q,\n"
    "W_K, W_V (and W_O, b_Q b_K b_V b_O, cos_cache sin_cache position_ids, I_kv), or Q, K and V; then attn_mask,\n"
    "past_key, past_value, nonpad_kv_seqlen. Attributes are strings in __metadata__.\n"
    "\n"
    "  -o, --output DIR     write the results here (made if missing)\n"
    "      --path PATH      auto, staged or fused; auto is fused unless A, P or qk_matmul_output is asked for\n"
    "      --variant ID     use this variant: an id or a leading part of one (\"tiled\"); may be repeated\n"
    "      --save LIST      also write these, of Q,K,V,A,P,lse\n"
    "      --expect FILE    compare with the tensors of FILE; once for each input, in their order, and\n"
    "                       not with both files and --problem in one call\n"
    "      --tolerance T    largest error, relative to max(1, largest |expected|), in place of the type's own:\n"
    "                       4e-6 (float32), 2e-3 (float16), 1.6e-2 (bfloat16)\n"
    "      --problem TEXT   in place of a file: b=2,hq=8,hk=2,sq=77,sk=333,dk=64,dtype=f16,causal=1,seed=7; what "
    "files\n"
    "                       cannot say is told of and left out\n"
    "      --device TEXT    P:D, cpu, gpu, or part of a name, as CLATTN_DEVICE\n"
    "      --json           print one JSON object a line\n"
    "  -h, --help\n"
    "\n"
    "example: clattn attend layer.safetensors -o out --save A,P --path staged\n"
    "example: clattn attend layer.safetensors --expect layer.expect.safetensors\n";

/* One input of the command line and what becomes of it. */
typedef struct task {
  const char *name; /* as messages show it */
  const char *base; /* of the output */
  const char *problem, *path, *expect_path;
  char *output;
  layer layer;
  st_file expect;
  char variant[PROBLEM_VARIANT_BYTES]; /* of the problem */
  pipeline_options options;            /* options.want: what is written, and what is expected besides */
  bool written[OUT_COUNT];
  bool ready, lse; /* lse: the problem asks for it */
} task;

typedef struct request {
  const char *directory, *device;
  const char **expect;
  int n_expect;
  bool json, save[OUT_COUNT];
  double tolerance;
  bool path_said;
  pipeline_options options;
  task *tasks;
  int n_tasks;
} request;

/* ---- the command line ---- */

static bool take_save(const char *list, request *r, st_error *error)
{
  while (true) {
    char word[16];
    const size_t length = strcspn(list, ",");
    snprintf(word, sizeof word, "%.*s", (int)(length < 15 ? length : 15), list);
    const pipeline_output output = pipeline_output_of(word);
    if (output < OUT_Q || output >= OUT_COUNT)
      return st_fail(error, "--save: '%s' is none of Q, K, V, A, P, lse", st_show(word).text);
    r->save[output] = true;
    if (!list[length]) return true;
    list += length + 1;
  }
}

static bool take_path(const char *text, request *r, st_error *error)
{
  static const char *const paths[] = {"auto", "staged", "fused"};
  for (int32_t i = 0; i < 3; i++)
    if (strcmp(text, paths[i]) == 0) {
      r->options.path = i;
      r->path_said = true;
      return true;
    }
  return st_fail(error, "--path: '%s' is none of auto, staged, fused", st_show(text).text);
}

static bool take_tolerance(const char *text, request *r, st_error *error)
{
  char *end;
  r->tolerance = strtod(text, &end);
  if (*text && !*end && isfinite(r->tolerance) && r->tolerance >= 0.0) return true;
  return st_fail(error, "--tolerance: '%s' is no number of 0 or more", st_show(text).text);
}

static bool take_variant(const char *text, request *r, st_error *error)
{
  if (r->options.n_variants == PIPELINE_MAX_VARIANTS)
    return st_fail(error, "--variant: more than %d", PIPELINE_MAX_VARIANTS);
  r->options.variants[r->options.n_variants++] = text;
  return true;
}

static void add_task(request *r, const char *path, const char *problem)
{
  const char *slash = path ? strrchr(path, '/') : NULL;
  r->tasks[r->n_tasks++] = (task){.name = path ? path : problem,
                                  .base = !path   ? "problem.safetensors"
                                          : slash ? slash + 1
                                                  : path,
                                  .path = path,
                                  .problem = problem};
}

enum { OPT_PATH = 256, OPT_VARIANT, OPT_SAVE, OPT_EXPECT, OPT_TOLERANCE, OPT_PROBLEM, OPT_DEVICE, OPT_JSON };

static const struct option options[] = {
    {"output", required_argument, NULL, 'o'},
    {"path", required_argument, NULL, OPT_PATH},
    {"variant", required_argument, NULL, OPT_VARIANT},
    {"save", required_argument, NULL, OPT_SAVE},
    {"expect", required_argument, NULL, OPT_EXPECT},
    {"tolerance", required_argument, NULL, OPT_TOLERANCE},
    {"problem", required_argument, NULL, OPT_PROBLEM},
    {"device", required_argument, NULL, OPT_DEVICE},
    {"json", no_argument, NULL, OPT_JSON},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

/* -1: go on; otherwise the exit status. */
static int take_option(int option, char **argv, request *r)
{
  st_error error;
  bool good = true;
  switch (option) {
  case 'o':
    r->directory = optarg;
    break;
  case OPT_PATH:
    good = take_path(optarg, r, &error);
    break;
  case OPT_VARIANT:
    good = take_variant(optarg, r, &error);
    break;
  case OPT_SAVE:
    good = take_save(optarg, r, &error);
    break;
  case OPT_EXPECT:
    r->expect[r->n_expect++] = optarg;
    break;
  case OPT_TOLERANCE:
    good = take_tolerance(optarg, r, &error);
    break;
  case OPT_PROBLEM:
    add_task(r, NULL, optarg);
    break;
  case OPT_DEVICE:
    r->device = optarg;
    break;
  case OPT_JSON:
    r->json = true;
    break;
  case 'h':
    fputs(help, stdout);
    return EXIT_DONE;
  default:
    return complain_option(verb, option, argv);
  }
  return good ? -1 : complain_usage(verb, "%s", error.text);
}

static int take_command_line(int argc, char **argv, request *r)
{
  /* No call has more inputs or expectations than words. */
  *r = (request){.tolerance = (double)NAN,
                 .tasks = calloc((size_t)argc + 1, sizeof *r->tasks),
                 .expect = calloc((size_t)argc + 1, sizeof *r->expect)};
  if (!r->tasks || !r->expect) {
    complain(verb, "out of memory");
    return EXIT_FAILED;
  }
  int option;
  while ((option = getopt_long(argc, argv, ":o:h", options, NULL)) != -1) {
    const int status = take_option(option, argv, r);
    if (status >= 0) return status;
  }
  for (int i = optind; i < argc; i++) add_task(r, argv[i], NULL);
  if (!r->n_tasks) return complain_usage(verb, "no input");
  if (!r->directory && !r->n_expect) return complain_usage(verb, "neither -o DIR nor --expect FILE is given");
  if (r->directory && !*r->directory) return complain_usage(verb, "-o: the folder's name is empty");
  if (r->n_expect && r->n_expect != r->n_tasks)
    return complain_usage(verb, "--expect is given %d times for %d inputs: once for each", r->n_expect, r->n_tasks);
  if (r->n_expect && optind < argc && r->tasks[0].problem)
    return complain_usage(verb, "--expect goes with files or with --problem, not with both in one call");
  for (int i = 0; i < r->n_expect; i++) r->tasks[i].expect_path = r->expect[i];
  return -1;
}

/* ---- before any device ---- */

/* Each entry of --variant is for a stage of some input: none is passed over in silence. */
static bool check_use(const request *r)
{
  for (int v = 0; v < r->options.n_variants; v++) {
    const task *t = NULL;
    bool used = false;
    for (int i = 0; i < r->n_tasks && !used; i++) {
      if (!r->tasks[i].ready) continue;
      t = &r->tasks[i];
      used = named_variant_is_used(&t->layer, &t->options, v);
    }
    if (!t || used) continue;
    named_variant_complain(verb, t->name, &t->layer, &t->options, v);
    return false;
  }
  return true;
}

/* No output under the name of another output, of an input, or of what is expected. */
static bool check_outputs(request *r)
{
  for (int i = 0; i < r->n_tasks && r->directory; i++) {
    task *t = &r->tasks[i];
    const size_t room = strlen(r->directory) + strlen(t->base) + 2;
    t->output = malloc(room);
    if (!t->output) {
      complain(verb, "out of memory");
      return false;
    }
    snprintf(t->output, room, "%s/%s", r->directory, t->base);
    for (int j = 0; j < i; j++)
      if (strcmp(r->tasks[j].base, t->base) == 0) {
        complain(verb, "%s and %s would both be written to %s", r->tasks[j].name, t->name, t->output);
        return false;
      }
  }
  for (int i = 0; i < r->n_tasks && r->directory; i++)
    for (int j = 0; j < r->n_tasks; j++) {
      const task *t = &r->tasks[j];
      const char *read = t->path && same_file(r->tasks[i].output, t->path)                 ? t->path
                         : t->expect_path && same_file(r->tasks[i].output, t->expect_path) ? t->expect_path
                                                                                           : NULL;
      if (read) {
        complain(verb, "the output %s would overwrite %s, which is read", r->tasks[i].output, read);
        return false;
      }
    }
  return true;
}

/* What FILE expects of this run: its outputs, but for what the run reads. */
static bool is_expected(const task *t, const st_tensor *tensor, pipeline_output *output)
{
  *output = pipeline_output_of(tensor->name);
  if (*output == OUT_COUNT || !pipeline_can_give(&t->layer, *output)) return false;
  for (int role = 0; role < LAYER_INPUT_COUNT; role++)
    if (t->layer.input[role] && strcmp(layer_role_name((layer_role)role), tensor->name) == 0) return false;
  return true;
}

static bool take_expected(task *t, st_error *error)
{
  pipeline_output output;
  size_t count = 0;
  if (!t->expect_path) return true;
  st_error inner;
  if (!st_read(t->expect_path, &t->expect, &inner))
    return st_fail(error, "--expect %s: %.300s", t->expect_path, inner.text);
  for (size_t i = 0; i < t->expect.n_tensors; i++)
    if (is_expected(t, &t->expect.tensors[i], &output)) {
      t->options.want[output] = true;
      count++;
    }
  return count || st_fail(error, "--expect %s: no tensor there is an output of this run", t->expect_path);
}

/* What files cannot say, and what this command chooses itself. */
static void tell_dropped(problem_text *p)
{
  static const char *const keys[] = {"offset",     "present",   "y_type",   "lse_type", "qk_type",
                                     "q_layout",   "k_layout",  "v_layout", "y_layout", "mask_layout",
                                     "lse_layout", "qk_layout", "poison",   NULL};
  char dropped[PROBLEM_TEXT_BYTES];
  problem_drop(p, keys, dropped);
  if (dropped[0]) complain(verb, "--problem: not honoured here: %s", dropped);
  bool clamped = false;
  for (int64_t i = 0; i < p->n_nonpad; i++) {
    const int64_t length = p->nonpad[i] < 0 ? 0 : p->nonpad[i] > p->sk ? p->sk : p->nonpad[i];
    clamped = clamped || length != p->nonpad[i];
    p->nonpad[i] = length;
  }
  if (clamped) complain(verb, "--problem: nonpad is clamped to the tokens of K");
}

static bool take_problem(const request *r, task *t, st_file *file, st_error *error)
{
  problem_text problem;
  char id[PROBLEM_VARIANT_BYTES];
  if (!problem_parse(t->problem, &problem, error)) return false;
  tell_dropped(&problem);
  if (!r->path_said) t->options.path = (int32_t)problem.path;
  const char *variant = problem_variant(&problem, id);
  if (variant && !r->options.n_variants) {
    snprintf(t->variant, sizeof t->variant, "%s", variant);
    t->options.variants[t->options.n_variants++] = t->variant;
    if (!named_variants_exist(verb, &t->options)) return st_fail(error, "variant '%s' is unknown", t->variant);
  }
  t->lse = problem.lse;
  return problem_fill(&problem, file, error);
}

static bool prepare(const request *r, task *t, st_error *error)
{
  st_file file;
  t->options = r->options;
  if (!(t->path ? st_read(t->path, &file, error) : take_problem(r, t, &file, error))) return false;
  if (!layer_take(&file, &t->layer, error)) return false;
  for (int i = 0; i < OUT_COUNT && r->directory; i++)
    t->options.want[i] = t->written[i] =
        r->save[i] || (i == OUT_lse && t->lse) || pipeline_gives_unasked(&t->layer, (pipeline_output)i);
  if (!take_expected(t, error)) return false;
  t->ready = true;
  return true;
}

/* ---- on the device ---- */

static void print_task(const request *r, const device *d, const task *t, const st_file *results, double ms)
{
  if (r->json) {
    cJSON *line = cJSON_CreateObject(), *names, *stages;
    cJSON_AddStringToObject(line, "input", t->name);
    if (t->output) cJSON_AddStringToObject(line, "output", t->output);
    cJSON_AddStringToObject(line, "device", d->name);
    names = cJSON_AddArrayToObject(line, "tensors");
    for (size_t i = 0; i < results->n_tensors; i++)
      if (t->written[pipeline_output_of(results->tensors[i].name)])
        cJSON_AddItemToArray(names, cJSON_CreateString(results->tensors[i].name));
    cJSON_AddNumberToObject(line, "ms", ms);
    stages = cJSON_AddArrayToObject(line, "stages");
    for (int i = 0; i < d->n_stages; i++) {
      cJSON *stage = cJSON_CreateObject();
      cJSON_AddStringToObject(stage, "stage", d->stages[i].name);
      cJSON_AddStringToObject(stage, "variant", d->stages[i].variant);
      cJSON_AddNumberToObject(stage, "plan_ms", d->stages[i].plan_ms);
      cJSON_AddNumberToObject(stage, "run_ms", d->stages[i].run_ms);
      cJSON_AddItemToArray(stages, stage);
    }
    print_json(line);
    return;
  }
  printf("%s: %.1f ms on %s\n", t->name, ms, d->name);
  for (int i = 0; i < d->n_stages; i++)
    printf("  %-18s %-48s %8.3f ms\n", d->stages[i].name, d->stages[i].variant, d->stages[i].run_ms);
  if (!t->output) return;
  printf("  wrote %s:", t->output);
  for (size_t i = 0; i < results->n_tensors; i++)
    if (t->written[pipeline_output_of(results->tensors[i].name)]) printf(" %s", results->tensors[i].name);
  putchar('\n');
}

static void print_comparison(const request *r, const task *t, const st_tensor *result, const comparison *c)
{
  if (r->json) {
    cJSON *line = cJSON_CreateObject();
    cJSON_AddStringToObject(line, "input", t->name);
    cJSON_AddStringToObject(line, "expect", t->expect_path);
    cJSON_AddStringToObject(line, "tensor", result->name);
    cJSON_AddNumberToObject(line, "error", c->error); /* null where it is infinite */
    cJSON_AddNumberToObject(line, "limit", c->limit);
    cJSON_AddBoolToObject(line, "good", c->good);
    if (!c->good) cJSON_AddStringToObject(line, "why", c->why);
    print_json(line);
    return;
  }
  printf("  %-18s %-6s %-20s error %-9.3g limit %-9.3g %s\n", result->name, st_type_name(result->type),
         st_show_shape(result->rank, result->dim).text, c->error, c->limit, c->good ? "good" : "WRONG");
}

/* Every expected tensor against its result. */
static bool compare_all(const request *r, const task *t, const st_file *results)
{
  bool good = true;
  for (size_t i = 0; i < t->expect.n_tensors; i++) {
    const st_tensor *expected = &t->expect.tensors[i];
    pipeline_output output;
    const st_tensor *result = is_expected(t, expected, &output) ? st_find(results, expected->name) : NULL;
    if (!result) continue;
    const comparison c = compare_tensors(result, expected, r->tolerance);
    print_comparison(r, t, result, &c);
    if (c.good) continue;
    complain(verb, "%s: tensor '%s': error %.3g exceeds %.3g: %s", t->name, result->name, c.error, c.limit, c.why);
    good = false;
  }
  return good;
}

/* The file: results that are written (borrowed), and the input's labels. */
static bool write_task(const task *t, const st_file *results, st_error *error)
{
  st_error inner;
  st_tensor tensors[OUT_COUNT];
  st_file labels = {0};
  bool good = attributes_copy_labels(&t->layer.file, &labels) || st_fail(error, "out of memory for the labels");
  if (good) {
    st_file file = {.tensors = tensors, .labels = labels.labels, .n_labels = labels.n_labels};
    for (size_t i = 0; i < results->n_tensors; i++)
      if (t->written[pipeline_output_of(results->tensors[i].name)]) tensors[file.n_tensors++] = results->tensors[i];
    good = st_write(&file, t->output, &inner) || st_fail(error, "output %s: %.300s", t->output, inner.text);
  }
  st_free(&labels);
  return good;
}

static bool run_task(const request *r, device *d, const task *t, st_error *error)
{
  st_file results = {0};
  const double start = clock_ms();
  if (!pipeline_run(d, &t->layer, &t->options, &results, error)) return false;
  const double ms = clock_ms() - start;
  progress_end(d->bar);
  bool good = !t->output || write_task(t, &results, error);
  if (good) {
    print_task(r, d, t, &results, ms);
    error->text[0] = '\0'; /* a wrong result has been told of, tensor by tensor */
    good = compare_all(r, t, &results);
  }
  st_free(&results);
  return good;
}

static bool run_all(const request *r, int ready)
{
  device d;
  st_error error;
  progress bar;
  bool good = true;
  if (!device_open(&d, r->device, &error)) {
    complain(verb, "%s", error.text);
    show_detail(&d.report);
    return false;
  }
  progress_begin(&bar, ready);
  d.bar = &bar;
  for (int i = 0; i < r->n_tasks; i++) {
    task *t = &r->tasks[i];
    if (!t->ready) continue;
    progress_show(&bar, t->name);
    if (!run_task(r, &d, t, &error)) {
      good = false;
      progress_end(&bar);
      if (error.text[0]) {
        complain(verb, "%s: %s", t->name, error.text);
        show_detail(&d.report);
      }
    }
    progress_advance(&bar);
    device_release(&d);
    st_free(&t->expect);
    layer_free(&t->layer);
  }
  progress_end(&bar);
  device_close(&d);
  return good;
}

static int attend(request *r)
{
  st_error error;
  int ready = 0;
  bool good = true;
  if (!named_variants_exist(verb, &r->options) || !check_outputs(r)) return EXIT_FAILED;
  for (int i = 0; i < r->n_tasks; i++) {
    if (prepare(r, &r->tasks[i], &error)) {
      ready++;
      continue;
    }
    complain(verb, "%s: %s", r->tasks[i].name, error.text);
    good = false;
  }
  if (!ready || !check_use(r) || (r->directory && !make_directory(verb, r->directory))) return EXIT_FAILED;
  good = run_all(r, ready) && good;
  return flush_output(verb) && good ? EXIT_DONE : EXIT_FAILED;
}

int verb_attend(int argc, char **argv)
{
  request r;
  int status = take_command_line(argc, argv, &r);
  if (status < 0) status = attend(&r);
  for (int i = 0; i < r.n_tasks; i++) {
    free(r.tasks[i].output);
    st_free(&r.tasks[i].expect);
    layer_free(&r.tasks[i].layer);
  }
  free(r.tasks);
  free(r.expect);
  return status;
}
