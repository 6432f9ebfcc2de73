/* What `clattn draw` prints: plain text that stays as it is, JSON, blocks on a terminal; texts of tokens that would
 * harm a terminal; layers in their order; files that hold just P or A. */
#include <cjson/cJSON.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "numerics.h"
#include "on_terminal.h"
#include "safetensors.h"

#define ELEPHANT CLATTN_TEST_DATA "/smollm2-layer13-elephant.safetensors"
#define MAT CLATTN_TEST_DATA "/minilm-layer03-mat.safetensors"
#define SEQ200 CLATTN_TEST_DATA "/smollm2-qkv-layer00-seq200.safetensors"
#define FILE_NAME CLATTN_TEST_SCRATCH "/draw-text.safetensors"

static void write_file(st_file *file, const char *path)
{
  st_error error;
  if (!st_write(file, path, &error)) fail_msg("%s", error.text);
  st_free(file);
}

/* Not plain: a terminal of 100 columns without colours. */
static const char *const no_colours[] = {"NO_COLOR", "1", "TERM", "xterm-256color", "LC_ALL", "C.UTF-8", NULL};
static const char *const true_colours[] = {"NO_COLOR",  NULL,     "TERM",    "xterm", "COLORTERM",
                                           "truecolor", "LC_ALL", "C.UTF-8", NULL};

static void want_in(const spawned *run, const char *text)
{
  if (strstr(run->out, text)) return;
  fputs(run->out, stderr);
  fail_msg("not there: %s", text);
}

static void want_not_in(const spawned *run, const char *text)
{
  if (!strstr(run->out, text)) return;
  fputs(run->out, stderr);
  fail_msg("there: %s", text);
}

/* Stable to the byte: scripts read it. */
static void test_plain(void **state)
{
  (void)state;
  spawned run = SPAWN(true, "draw", ELEPHANT, "--head", "8");
  assert_spawned(&run, 0,
                 "smollm2-layer13-elephant, head 8: attention weight P (share of a row)\n"
                 "        query \\ key    0    1    2    3    4    5    6    7    8    9   10   11   12\n"
                 "  0 \"The\"               1.00    .    .    .    .    .    .    .    .    .    .    .    .\n"
                 "  1 \" pink\"             0.95 0.05    .    .    .    .    .    .    .    .    .    .    .\n",
                 NULL);
  want_in(&run, " 12 \" too\"              0.04 0.05 0.23 0.03 0.01 0.02 0.05 0.00 0.40 0.02 0.12 0.03 0.00\n\n"
                "  0            \"The\": \"The\" 1.00\n"
                "  1          \" pink\": \"The\" 0.95, \" pink\" 0.05\n");
  want_in(&run, " 12           \" too\": \" car\" 0.40, \" elephant\" 0.23, \" it\" 0.12\n\n");
  want_in(&run, "  head       A  W_Q^T W_K   entropy   least    most   first  strongest\n"
                "     8   0.752      0.709     1.088   0.000   1.981   0.387      0.398\n");
  want_in(&run, "\" pink\" to \"The\" 0.95/0.00");
  spawned_free(&run);
  run = SPAWN(true, "draw", ELEPHANT, "--head", "8", "--view", "network", "--top", "0", "--threshold", "0.3");
  assert_spawned(&run, 0, " 11           \" was\": \" car\" 0.32\n 12           \" too\": \" car\" 0.40\n", NULL);
  want_not_in(&run, "query \\ key");
  spawned_free(&run);
  run = SPAWN(true, "draw", ELEPHANT);
  assert_spawned(&run, 0, "head 8: ", NULL); /* the three sharpest, all in the report */
  want_in(&run, "head 1: ");
  want_in(&run, "head 4: ");
  want_not_in(&run, "head 5: ");
  want_in(&run, "\n     5   0.716      0.702     0.794");
  spawned_free(&run);
}

/* Past what fits, tiles; and the strongest edges of all. */
static void test_long(void **state)
{
  (void)state;
  spawned run = SPAWN(true, "draw", SEQ200, "--head", "7");
  assert_spawned(&run, 0, "each number is the largest of 12 x 12 tokens\n", NULL);
  want_in(&run, "the strongest edges to another token but the first");
  want_in(&run, "  4              \"4\": \"3\" 0.60\n");
  spawned_free(&run);
  run = SPAWN(true, "draw", SEQ200, "--head", "7", "--view", "network");
  assert_spawned(&run, 0, "199            \"199\": ", NULL);
  spawned_free(&run);
}

static void test_batch(void **state)
{
  (void)state;
  spawned run = SPAWN(true, "draw", MAT, "--batch", "1", "--head", "0");
  assert_spawned(&run, 0, "  3          \"money\"", NULL);
  want_in(&run, "  0          \"[CLS]\": ");
  want_not_in(&run, "\"cat\"");
  want_not_in(&run, "\"[PAD]\" 0."); /* masked: attended by none */
  spawned_free(&run);
}

/* What cannot be written is told of. */
static void test_full(void **state)
{
  (void)state;
  st_file file = {0};
  assert_non_null(st_add(&file, "P", ST_F32, 2, (int64_t[]){3, 3}));
  write_file(&file, FILE_NAME);
  char words[1200];
  snprintf(words, sizeof words, "'%s' draw '%s' 2>&1 >/dev/full", CLATTN_COMMAND_FILE, FILE_NAME);
  FILE *run = popen(words, "r");
  char line[256] = "";
  assert_true(run && fgets(line, sizeof line, run));
  assert_int_equal(pclose(run), 1 << 8);
  assert_string_equal(line, "clattn draw: writing to stdout failed: No space left on device\n");
}

/* A layer of three tokens, with these labels. */
static void add_given(st_file *file, const char *layer, const char *tokens)
{
  static const char *const names[3] = {"Q", "K", "V"};
  random_state r = {5};
  for (int i = 0; i < 3; i++) {
    st_tensor *t = st_add(file, names[i], ST_F32, 4, (int64_t[]){1, 1, 3, 4});
    assert_non_null(t);
    for (int j = 0; j < 12; j++) ((float *)t->data)[j] = (float)random_unit(&r);
  }
  if (layer) assert_true(st_set_label(file, "layer", layer));
  if (tokens) assert_true(st_set_label(file, "tokens", tokens));
}

static void write_given(const char *path, const char *layer)
{
  st_file file = {0};
  add_given(&file, layer, NULL);
  write_file(&file, path);
}

/* The numbers of the lines of kind "layer", in their order: "2 7 10 ". */
static void layers_of(const spawned *run, char *text, size_t room)
{
  size_t used = 0;
  text[0] = '\0';
  for (char *rest = run->out, *line; (line = strtok_r(rest, "\n", &rest));) {
    cJSON *object = cJSON_ParseWithOpts(line, NULL, 1);
    if (!cJSON_IsObject(object)) fail_msg("no JSON object: %s", line);
    if (strcmp(cJSON_GetObjectItem(object, "kind")->valuestring, "layer") == 0)
      used += (size_t)snprintf(text + used, room - used, "%d:%s ", cJSON_GetObjectItem(object, "layer")->valueint,
                               strrchr(cJSON_GetObjectItem(object, "input")->valuestring, '-'));
    cJSON_Delete(object);
  }
}

#define LAYER(x) CLATTN_TEST_SCRATCH "/draw-" #x

/* By their labels where all have one, else as they came. */
static void test_order(void **state)
{
  (void)state;
  char text[160];
  write_given(LAYER(a), "10");
  write_given(LAYER(b), "2");
  write_given(LAYER(c), "7");
  write_given(LAYER(d), NULL);
  write_given(LAYER(e), "last");
  spawned run = SPAWN(true, "draw", LAYER(a), LAYER(b), LAYER(c), "--json");
  assert_spawned(&run, 0, "{", NULL);
  layers_of(&run, text, sizeof text);
  assert_string_equal(text, "2:-b 7:-c 10:-a ");
  spawned_free(&run);
  run = SPAWN(true, "draw", LAYER(a), LAYER(b), LAYER(c), "--json", "--layers", "7,10");
  layers_of(&run, text, sizeof text);
  assert_string_equal(text, "7:-c 10:-a ");
  spawned_free(&run);
  run = SPAWN(true, "draw", LAYER(a), LAYER(d), LAYER(b), "--json");
  layers_of(&run, text, sizeof text);
  assert_string_equal(text, "0:-a 1:-d 2:-b ");
  spawned_free(&run);
  run = SPAWN(true, "draw", LAYER(e), LAYER(a), LAYER(b), "--json", "--layer", "1-2");
  layers_of(&run, text, sizeof text);
  assert_string_equal(text, "1:-a 2:-b ");
  spawned_free(&run);
}

/* Just P or A, without any device. */
static void test_bare(void **state)
{
  (void)state;
  st_file file = {0};
  st_tensor *p = st_add(&file, "P", ST_F16, 2, (int64_t[]){3, 3});
  static const double weights[9] = {1, 0, 0, 0.25, 0.75, 0, 0.5, 0.375, 0.125};
  for (int i = 0; i < 9; i++) number_store(CLATTN_F16, p->data, i, weights[i]);
  assert_true(st_set_label(&file, "tokens", "[\"a\",\"b\",\"c\"]"));
  write_file(&file, FILE_NAME);
  spawned run = SPAWN(false, "draw", FILE_NAME);
  assert_spawned(&run, 0, "  2              \"c\": \"a\" 0.50, \"b\" 0.38, \"c\" 0.12\n", NULL);
  want_in(&run, "     0       -          -     0.512   0.000   0.974   0.583      0.375\n");
  want_in(&run, "     0  \"c\" to \"a\" 0.50/0.00, \"c\" to \"b\" 0.38/0.00\n");
  spawned_free(&run);
  st_tensor *a = st_add(&file, "A", ST_F64, 4, (int64_t[]){2, 1, 2, 2});
  static const double scores[8] = {0, 0, 0, 0, 1, -(double)INFINITY, 2.5, -3};
  memcpy(a->data, scores, sizeof scores);
  write_file(&file, FILE_NAME);
  run = SPAWN(false, "draw", FILE_NAME, "--batch", "1");
  assert_spawned(&run, 0, "  0 \"0\"                  1.00     .\n  1 \"1\"                  2.50 -3.00\n", NULL);
  want_in(&run, "  1              \"1\": \"1\" -3.00, \"0\" 2.50\n");
  spawned_free(&run);
  a = st_add(&file, "A", ST_F32, 3, (int64_t[]){1, 2, 2});
  ((float *)a->data)[1] = 3.0f;
  write_file(&file, FILE_NAME);
  run = SPAWN(false, "draw", FILE_NAME, "--show", "antisymmetric", "--view", "matrix");
  assert_spawned(&run, 0, "  0 \"0\"                  0.00  1.50\n  1 \"1\"                 -1.50  0.00\n", NULL);
  want_in(&run, "     0   0.707          -         -       -       -       -          -\n");
  spawned_free(&run);
}

/* Masks that were added as numbers: keys that are not attended, and no edges. */
static void test_masked_scores(void **state)
{
  (void)state;
  static const struct {
    st_type type;
    int32_t as;
    double low;
  } masks[] = {{ST_F32, CLATTN_F32, -1e9},
               {ST_F32, CLATTN_F32, -3.4028234663852886e38},
               {ST_F64, CLATTN_F64, -1.7976931348623157e308},
               {ST_F16, CLATTN_F16, -65504.0}};
  for (size_t i = 0; i < sizeof masks / sizeof *masks; i++) {
    st_file file = {0};
    st_tensor *a = st_add(&file, "A", masks[i].type, 2, (int64_t[]){3, 3});
    static const double scores[9] = {50, 0, 0, -7.5, 40, 0, 0.25, 12345, -0.5};
    for (int at = 0; at < 9; at++) /* added to a score, it is rounded */
      number_store(masks[i].as, a->data, at,
                   number_round(masks[i].as, scores[at] + (at % 3 > at / 3 ? masks[i].low + 40.0 : 0.0)));
    write_file(&file, FILE_NAME);
    spawned run = SPAWN(false, "draw", FILE_NAME, "--top", "0");
    assert_spawned(&run, 0,
                   "  0 \"0\"                 50.00     .     .\n  1 \"1\"                 -7.50 40.00     .\n", NULL);
    want_in(&run, "  0              \"0\": \"0\" 50.00\n  1              \"1\": \"1\" 40.00, \"0\" -7.50\n");
    want_in(&run, "  2 \"2\"                  0.25 1.2e4 -0.50\n");
    spawned_free(&run);
  }
}

/* Queries are the last of the keys where none attends a later one; else there are two sequences. */
static void test_rectangles(void **state)
{
  (void)state;
  static const char *const names[] = {"P", "A"};
  for (int kind = 0; kind < 4; kind++) {
    st_file file = {0};
    const bool crossed = kind % 2, scores = kind / 2;
    st_tensor *t = st_add(&file, names[scores], ST_F32, 3, (int64_t[]){2, 2, 3});
    for (int i = 0; i < 12; i++) ((float *)t->data)[i] = scores ? 0.0f : 0.5f;
    for (int head = 0; head < 2; head++) ((float *)t->data)[6 * head + 2] = scores ? -1e9f : 0.0f;
    if (crossed) ((float *)t->data)[8] = 0.25f;
    write_file(&file, FILE_NAME);
    spawned run = SPAWN(false, "draw", FILE_NAME, "--json");
    assert_spawned(&run, 0, crossed ? "\"one_sequence\":false,\"offset\":0," : "\"one_sequence\":true,\"offset\":1,",
                   NULL);
    spawned_free(&run);
  }
}

/* Numbers of keys of five digits stay apart; weights that two decimals do not show have their digits. */
static void test_wide(void **state)
{
  (void)state;
  enum { KEYS = 10500 };
  st_file file = {0};
  st_tensor *p = st_add(&file, "P", ST_F32, 2, (int64_t[]){1, KEYS});
  for (int i = 0; i < KEYS; i++) ((float *)p->data)[i] = 0.0012f;
  ((float *)p->data)[KEYS - 1] = 1.2e-5f;
  for (int i = 9800; i < KEYS - 1; i++) ((float *)p->data)[i] = 0.0f;
  write_file(&file, FILE_NAME);
  spawned run = SPAWN(false, "draw", FILE_NAME, "--top", "2");
  assert_spawned(&run, 0, "  9100  9800\n", NULL);
  want_in(&run, "      0  0.001 0.001");
  want_in(&run, " 0.001  1e-5\n");
  want_in(&run, "\"0\" 0.0012, \"1\" 0.0012\n");
  spawned_free(&run);
  p = st_add(&file, "P", ST_F32, 2, (int64_t[]){1, 30});
  for (int i = 0; i < 30; i++) ((float *)p->data)[i] = 0.0012f;
  write_file(&file, FILE_NAME);
  run = SPAWN(false, "draw", FILE_NAME);
  assert_spawned(&run, 0, "      0  1e-3 1e-3 1e-3", NULL);
  spawned_free(&run);
}

/* The direction that has more says it all. */
static void test_one_way(void **state)
{
  (void)state;
  st_file file = {0};
  st_tensor *a = st_add(&file, "A", ST_F32, 2, (int64_t[]){2, 2});
  ((float *)a->data)[1] = 3.0f;
  write_file(&file, FILE_NAME);
  spawned run = SPAWN(false, "draw", FILE_NAME, "--show", "antisymmetric", "--view", "network", "--top", "0");
  assert_spawned(&run, 0, "  0              \"0\": \"1\" 1.50\n  1              \"1\":\n", NULL);
  spawned_free(&run);
}

/* A file's name may be any bytes: what is printed is UTF-8, and no terminal obeys it. */
static void test_names(void **state)
{
  (void)state;
  static const char name[] = CLATTN_TEST_SCRATCH "/draw-\xFF\033[31m.safetensors";
  st_file file = {0};
  assert_non_null(st_add(&file, "P", ST_F32, 2, (int64_t[]){2, 2}));
  write_file(&file, name);
  spawned run = SPAWN(false, "draw", name);
  assert_spawned(&run, 0, "draw-?\\u001b[31m: 1 heads", NULL);
  spawned_free(&run);
  run = SPAWN(false, "draw", name, "--json");
  assert_spawned(&run, 0, "draw-?\\u001b[31m.safetensors\"", NULL);
  want_in(&run, "\"name\":\"draw-?\\u001b[31m\"");
  spawned_free(&run);
  run = SPAWN(false, "draw", name, "--show", "Pv");
  assert_spawned(&run, 1, NULL, "/draw-??[31m.safetensors: it holds just P");
  spawned_free(&run);
  remove(name);
}

/* Scores of 1e8 and their lse are rounded apart: a weight stays a share. */
static void test_large_scores(void **state)
{
  (void)state;
  static const char *const names[3] = {"Q", "K", "V"};
  enum { HEADS = 8, TOKENS = 7, CHANNELS = 16 };
  st_file file = {0};
  random_state r = {7};
  int64_t weights = 0;
  for (int i = 0; i < 3; i++) {
    st_tensor *t = st_add(&file, names[i], ST_F32, 4, (int64_t[]){1, HEADS, TOKENS, CHANNELS});
    for (int j = 0; j < HEADS * TOKENS * CHANNELS; j++) ((float *)t->data)[j] = 1e4f * (float)random_unit(&r);
  }
  write_file(&file, FILE_NAME);
  spawned run = SPAWN(true, "draw", FILE_NAME, "--json", "--view", "matrix", "--heads", "0-7");
  assert_spawned(&run, 0, "{", "the scores of 56 of 56 rows exceed 100000");
  for (const char *at = run.out; (at = strstr(at, "\"values\":[")); at++)
    for (const char *number = strchr(at, '['); *number != ']'; number = strpbrk(number + 1, ",]"), weights++)
      if (!(strtod(number + 1, NULL) <= 1.0)) fail_msg("P above 1: %.40s", number);
  assert_int_equal(weights, HEADS * TOKENS * TOKENS);
  spawned_free(&run);
}

/* What is drawn all the same is told of: texts that fit nothing, rows that float32 cannot tell. */
static void test_warnings(void **state)
{
  (void)state;
  st_file file = {0};
  add_given(&file, NULL, "[\"a\",\"b\"]");
  float *mask = (float *)st_add(&file, "attn_mask", ST_F32, 2, (int64_t[]){3, 3})->data;
  for (int i = 3; i < 6; i++) mask[i] = -1e9f; /* nothing is left of this row */
  write_file(&file, FILE_NAME);
  spawned run = SPAWN(true, "draw", FILE_NAME);
  assert_spawned(&run, 0, "  0 \"0\"",
                 "has 2 texts, there are 3 queries and 3 keys: tokens are shown by their numbers");
  if (!strstr(run.err, "the scores of 1 of 3 rows exceed 100000")) fail_msg("%s", run.err);
  spawned_free(&run);
  add_given(&file, NULL, "[\"a\",\"b\",\"c\",\"d\"]");
  write_file(&file, FILE_NAME);
  run = SPAWN(true, "draw", FILE_NAME, "--json");
  assert_spawned(&run, 0, "\"keys\":[\"a\",\"b\",\"c\"]",
                 "has 4 texts, there are 3 queries and 3 keys: the first ones name");
  spawned_free(&run);
  add_given(&file, NULL, "[\"a\",\"b\",\"c\"]");
  write_file(&file, FILE_NAME);
  run = SPAWN(true, "draw", FILE_NAME);
  assert_int_equal(run.status, 0);
  assert_string_equal(run.err, "");
  spawned_free(&run);
}

static void write_square(const char *name, int64_t n, const double *corner, double last)
{
  st_file file = {0};
  st_tensor *t = st_add(&file, name, ST_F32, 2, (int64_t[]){n, n});
  float *numbers = (float *)t->data;
  for (int i = 0; i < 9; i++) numbers[i / 3 * n + i % 3] = (float)corner[i];
  numbers[n * n - 1] = (float)last;
  if (name[0] == 'A')
    for (int64_t i = 0; i < 9; i++) numbers[i / 3 * n + 3 + i % 3] = -INFINITY;
  write_file(&file, FILE_NAME);
}

/* 40 tokens in tiles of 3: of weights the largest counts, of scores the mean, of the last tile's single number too. */
static void test_tiles(void **state)
{
  (void)state;
  static const double weights[9] = {0.25, 0, 0, 0.1, 0.75, 0, 0.2, 0.3, 0.5}, scores[9] = {1, 2, 3, -4, 5, 6, 7, -8, 6};
  write_square("P", 40, weights, 0.5);
  spawned run = SPAWN(false, "draw", FILE_NAME, "--view", "matrix");
  assert_spawned(&run, 0, "each number is the largest of 3 x 3 tokens\n", NULL);
  want_in(&run, "\n      0  0.75    .    .    .");
  want_in(&run, "\n     39     .    .    .    .    .    .    .    .    .    .    .    .    . 0.50\n");
  spawned_free(&run);
  write_square("A", 40, scores, -3.0);
  run = SPAWN(false, "draw", FILE_NAME, "--view", "matrix");
  assert_spawned(&run, 0, "each number is the mean of 3 x 3 tokens\n", NULL);
  want_in(&run, "\n      0   2.00     .  0.00  0.00");
  want_in(&run, "  0.00  0.00 -3.00\n");
  spawned_free(&run);
}

/* Escape sequences, other controls, marks that turn a line around, wide and long and right-to-left texts, quotes. */
static const char hostile[] = "[\"\\u001b[2J\\u001b]0;owned\\u0007\",\"a\\n\\tb\\u009b31m\\u007f\\u0085\\u2028\","
                              "\"\\u202eevil\\u2066\\u200f<script>\\\"&'\"]";
static const char worse[] =
    "[\"\\u05e9\\u05dc\\u05d5\\u05dd \\u0645\",\"\\ud83e\\udd84\\ud83d\\udc69\\u200d\\ud83d"
    "\\udcbb\\u6f22\\u5b57\\u6f22\\u5b57\\u6f22\\u5b57\\u6f22\\u5b57\",\"e\\u0301\\u0301\\\\\"]";

static void test_hostile_plain(void **state)
{
  (void)state;
  st_file file = {0};
  add_given(&file, NULL, hostile);
  assert_true(st_set_label(&file, "title", "x\x7F\xC2\x9B") && st_set_label(&file, "source", "\xE2\x80\xAE"));
  write_file(&file, FILE_NAME);
  spawned run = SPAWN(true, "draw", FILE_NAME);
  assert_spawned(&run, 0, "\"\\u001b[2J\xE2\x80\xA6\"", NULL);
  want_in(&run, "\"a\\n\\tb\\u009b3\xE2\x80\xA6\"");
  want_in(&run, "\"\\u202eevil\xE2\x80\xA6\"");
  want_in(&run, "x\\u007f\\u009b, head 0: ");
  for (const unsigned char *c = (const unsigned char *)run.out; *c; c++)
    if ((*c < 0x20 && *c != '\n') || *c == 0x7F || (*c == 0xC2 && c[1] < 0xA0) ||
        (*c == 0xE2 && c[1] == 0x80 && c[2] >= 0xA8 && c[2] <= 0xAE))
      fail_msg("byte %02x is in it", *c);
  spawned_free(&run);
  add_given(&file, NULL, worse);
  write_file(&file, FILE_NAME);
  run = SPAWN(true, "draw", FILE_NAME, "--json");
  assert_spawned(&run, 0, "\\\\", NULL); /* JSON has them whole */
  spawned_free(&run);
}

/* No line is wider than the terminal, whatever a text holds; what moves or colours is the command's own. */
static void look_at_width(const spawned *run, int columns)
{
  for (const char *line = run->out; *line;) {
    const size_t length = strcspn(line, "\n");
    const int wide = columns_of_line(line, length);
    if (wide > columns) fail_msg("%d columns: %.*s", wide, (int)length, line);
    line += length + (line[length] == '\n');
  }
}

static void test_hostile_terminal(void **state)
{
  (void)state;
  const char *const texts[] = {hostile, worse};
  for (int i = 0; i < 2; i++) {
    st_file file = {0};
    add_given(&file, NULL, texts[i]);
    write_file(&file, FILE_NAME);
    const char *const words[] = {"draw", FILE_NAME, NULL};
    spawned run = spawn_on_terminal(100, true_colours, words);
    assert_int_equal(run.status, 0);
    look_at_width(&run, 105);
    want_not_in(&run, "\033]");
    want_not_in(&run, "\033[2J");
    if (i == 1) want_in(&run, "\"\xE2\x81\xA8\xD7\xA9"); /* a text that runs to the left is kept apart */
    spawned_free(&run);
  }
}

/* A token of 10,000 characters takes no more room than another. */
static void test_endless_token(void **state)
{
  (void)state;
  enum { COUNT = 10000 };
  st_file file = {0};
  char *tokens = malloc(6 * COUNT + 64), *at = tokens;
  assert_non_null(tokens);
  at += sprintf(at, "[\"");
  for (int i = 0; i < COUNT; i++) at += sprintf(at, "%s", i % 3 ? "\xCC\x81" : "w"); /* combining accents */
  sprintf(at, "\",\"b\",\"c\"]");
  add_given(&file, NULL, tokens);
  write_file(&file, FILE_NAME);
  free(tokens);
  spawned run = SPAWN(true, "draw", FILE_NAME);
  assert_spawned(&run, 0, "\xE2\x80\xA6", NULL);
  for (const char *line = run.out; *line;) {
    const size_t length = strcspn(line, "\n");
    if (length > 600) fail_msg("%zu bytes in a line", length);
    line += length + (line[length] == '\n');
  }
  spawned_free(&run);
}

static void test_blocks(void **state)
{
  (void)state;
  const char *const words[] = {"draw", ELEPHANT, "--head", "8", NULL};
  spawned run = spawn_on_terminal(100, no_colours, words);
  assert_int_equal(run.status, 0);
  want_in(&run, "\033[20G\xE2\x96\x88\xE2\x96\x88"); /* P of "The" for itself is 1 */
  want_in(&run, "\" car\" \xE2\x96\x88\xE2\x96\x88 0.40");
  want_not_in(&run, "\033[38");
  look_at_width(&run, 100);
  spawned_free(&run);
  run = spawn_on_terminal(100, true_colours, words);
  want_in(&run, "\033[48;2;");
  spawned_free(&run);
  static const char *const old[] = {"NO_COLOR", NULL, "COLORTERM", NULL, "TERM", "dumb", "LC_ALL", "C", NULL};
  run = spawn_on_terminal(100, old, words);
  want_in(&run, "@@"); /* nothing but ASCII, and no escape */
  for (const char *c = run.out; *c; c++) assert_true(*c == '\n' || *c == '\r' || (*c >= 0x20 && *c < 0x7F));
  spawned_free(&run);
}

/* Long inputs take the terminal's width, two rows a line where there are colours. */
static void test_blocks_fit(void **state)
{
  (void)state;
  const char *const words[] = {"draw", SEQ200, "--head", "7", "--view", "matrix", NULL};
  for (int columns = 40; columns <= 160; columns += 60) {
    spawned run = spawn_on_terminal(columns, no_colours, words);
    assert_int_equal(run.status, 0);
    want_in(&run, "each character is the largest of");
    spawned_free(&run);
    run = spawn_on_terminal(columns, true_colours, words);
    assert_int_equal(run.status, 0);
    want_in(&run, columns == 40    ? "each half of a character is the largest of 7 x 7 tokens"
                  : columns == 100 ? "each half of a character is the largest of 3 x 3 tokens"
                                   : "each half of a character is the largest of 3 x 2 tokens");
    want_in(&run, "\xE2\x96\x80");
    spawned_free(&run);
  }
}

int main(int argc, char **argv)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_plain),         cmocka_unit_test(test_long),
      cmocka_unit_test(test_batch),         cmocka_unit_test(test_order),
      cmocka_unit_test(test_bare),          cmocka_unit_test(test_masked_scores),
      cmocka_unit_test(test_rectangles),    cmocka_unit_test(test_wide),
      cmocka_unit_test(test_one_way),       cmocka_unit_test(test_names),
      cmocka_unit_test(test_large_scores),  cmocka_unit_test(test_warnings),
      cmocka_unit_test(test_tiles),         cmocka_unit_test(test_full),
      cmocka_unit_test(test_hostile_plain), cmocka_unit_test(test_hostile_terminal),
      cmocka_unit_test(test_endless_token), cmocka_unit_test(test_blocks),
      cmocka_unit_test(test_blocks_fit),
  };
  if (argc > 1) cmocka_set_test_filter(argv[1]);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
