/* The matrix of a head in characters: numbers in plain text, blocks on a terminal, in colour where it has any. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "colours.h"
#include "terminal_view.h"

enum {
  LABEL_COLUMNS = 19, /* a token's number and text before its row */
  NUMBER_COLUMNS = 8, /* a number alone */
  LINES = 64,         /* of tokens that are not summed up */
  WIDE_KEYS = 9999,   /* above, the number of a key touches the one before it in a narrow column */
  TILE_LINES = 48,    /* of tiles */
  SMALL = 16          /* tiles along each side of a small one */
};

enum { DECADES = 4 };     /* of a logarithmic scale */
#define FAINT_SHARE 0.02  /* below, a dot */
#define LEAST_SHARE 0.001 /* of what is below the scale, but not 0 */

/* What is shown: one tile is one token where everything fits. */
typedef struct matrix_text {
  int64_t tile_rows, tile_keys, rows, keys;
  int cell_columns, label_columns;
  bool tiles, both_ways; /* both_ways: numbers of either sign */
  bool halves;           /* a character shows two rows, in two colours */
  float largest;         /* magnitude */
  float *cells;
} matrix_text;

static int64_t tiles_of(int64_t count, int64_t tile) { return (count + tile - 1) / tile; }

/* Room for cells, and the tiles that take it. */
static void lay_out(const head_view *v, bool small, matrix_text *m)
{
  const network_layer *l = &v->n->layers[v->layer];
  const bool weights = v->options->quantity == NETWORK_P;
  m->both_ways = v->options->quantity == NETWORK_A || v->options->quantity == NETWORK_ANTISYMMETRIC;
  m->cell_columns = v->t->here ? 2 : weights && l->sk - 1 <= WIDE_KEYS ? 5 : 6;
  m->label_columns = LABEL_COLUMNS;
  m->tile_rows = m->tile_keys = 1;
  int64_t room = (v->t->columns - m->label_columns) / m->cell_columns;
  m->tiles = small || l->sk > room || l->sq > LINES;
  if (m->tiles) {
    m->label_columns = NUMBER_COLUMNS;
    if (v->t->here) m->cell_columns = 1;
    room = small && v->t->here ? SMALL : small ? SMALL / 2 : (v->t->columns - m->label_columns) / m->cell_columns;
    const int64_t lines = !v->t->here ? room : small ? SMALL / 2 : TILE_LINES;
    m->tile_keys = tiles_of(l->sk, room);
    m->halves = v->t->ink != INK_NONE && v->t->blocks;
    const int64_t rows = m->halves ? 2 * lines : lines;
    /* A character is twice as high as wide. */
    m->tile_rows = m->tile_keys * (v->t->here && !m->halves ? 2 : 1);
    if (tiles_of(l->sq, m->tile_rows) > rows) m->tile_rows = tiles_of(l->sq, rows);
  }
  m->rows = tiles_of(l->sq, m->tile_rows);
  m->keys = tiles_of(l->sk, m->tile_keys);
}

/* Of weights the largest of a tile, of numbers of either sign the mean. */
static bool take_cells(const head_view *v, matrix_text *m, st_error *error)
{
  const network_layer *l = &v->n->layers[v->layer];
  m->cells = malloc((size_t)(m->rows * m->keys) * sizeof *m->cells);
  if (!m->cells) return st_fail(error, "out of memory");
  if (!network_pool(v->n, v->layer, v->head, v->options->quantity, m->tile_rows, m->tile_keys,
                    m->both_ways ? m->cells : NULL, m->both_ways ? NULL : m->cells, error))
    return false;
  for (int64_t i = 0; i < m->rows; i++)
    for (int64_t j = 0; j < m->keys; j++) {
      float *cell = &m->cells[i * m->keys + j];
      if (m->both_ways) {
        const int64_t down = l->sq - i * m->tile_rows, along = l->sk - j * m->tile_keys;
        *cell /= (float)((down < m->tile_rows ? down : m->tile_rows) * (along < m->tile_keys ? along : m->tile_keys));
      }
      if (isfinite(*cell) && fabsf(*cell) > m->largest) m->largest = fabsf(*cell);
    }
  return true;
}

static void print_label(const head_view *v, const matrix_text *m, int64_t row)
{
  const network_layer *l = &v->n->layers[v->layer];
  const int64_t token = row * m->tile_rows;
  if (m->tiles) {
    printf("%*" PRId64 " ", NUMBER_COLUMNS - 1, token);
    return;
  }
  printf("%3" PRId64 " ", token);
  const terminal_text text = terminal_quote(v->t, l->query_tokens[token], LABEL_COLUMNS - 5);
  terminal_print_to(v->t, &text, LABEL_COLUMNS);
}

/* The numbers of keys: none over a terminal's tiles; its cells have room for two digits, which every other one shows.
 */
static void print_header(const head_view *v, const matrix_text *m)
{
  if (v->t->here && m->tiles) return;
  printf("%*s", m->label_columns, v->t->here || m->tiles ? "" : "query \\ key");
  for (int64_t j = 0; j < m->keys; j++)
    if (v->t->here && j % 2)
      printf("%*s", m->cell_columns, "");
    else
      printf("%*" PRId64, m->cell_columns, v->t->here ? j % 100 : j * m->tile_keys);
  putchar('\n');
}

static void print_number(const matrix_text *m, float cell)
{
  if (cell == -INFINITY || (cell == 0.0f && !m->both_ways))
    printf("%*s", m->cell_columns, ".");      /* not attended */
  else if (!m->tiles && fabsf(cell) < 0.005f) /* what is small stays small where all is seen */
    printf(" %*.2f", m->cell_columns - 1, (double)cell);
  else
    printf(" %*s", m->cell_columns - 1, terminal_number((double)cell, m->cell_columns - 1).text);
}

/* From 0 to 1, or from -1: of tiles of weights by the logarithm, since in long rows most weights are small. */
static double share_of(const matrix_text *m, float cell)
{
  const double share = isfinite(cell) && m->largest > 0.0f ? (double)(cell / m->largest) : 0.0;
  if (!m->tiles || m->both_ways || share <= 0.0) return share;
  const double logarithmic = 1.0 + log10(share) / DECADES;
  return logarithmic > LEAST_SHARE ? logarithmic : LEAST_SHARE;
}

/* Five steps, the first of nothing; magnitudes, a second column telling which are negative. */
static void print_shade(const head_view *v, const matrix_text *m, float cell)
{
  static const char *const blocks[] = {" ", "\xC2\xB7", "\xE2\x96\x91", "\xE2\x96\x92", "\xE2\x96\x93", "\xE2\x96\x88"};
  static const char *const ascii[] = {" ", ".", ":", "+", "%", "@"};
  const char *const *steps = v->t->blocks ? blocks : ascii;
  const double share = fabs(share_of(m, cell));
  const int step = share <= 0.0 ? 0 : share < FAINT_SHARE ? 1 : 2 + (int)(share * 3.999);
  fputs(steps[step], stdout);
  if (m->cell_columns == 2) fputs(cell < 0.0f && step ? "-" : steps[step], stdout);
}

/* ---- colours ---- */

enum { FOREGROUND = 38, GROUND = 48, CUBE = 6 };

/* Of a cube of 6 x 6 x 6 colours: its levels are 0, 95, 135, ... 255. */
static int cube_level(uint8_t x) { return x < 48 ? 0 : x < 115 ? 1 : (x - 35) / 40; }

static void set_colour(const terminal *t, int where, colour c)
{
  if (t->ink == INK_TRUE)
    printf("\033[%d;2;%d;%d;%dm", where, c.r, c.g, c.b);
  else
    printf("\033[%d;5;%dm", where, 16 + (cube_level(c.r) * CUBE + cube_level(c.g)) * CUBE + cube_level(c.b));
}

static void reset_colours(void) { fputs("\033[0m", stdout); }

static bool is_shown(const matrix_text *m, float cell) { return isfinite(cell) && (cell != 0.0f || m->both_ways); }

static colour colour_of(const head_view *v, const matrix_text *m, float cell)
{
  const colour_family *family = colour_family_find(v->options->colours);
  const double share = share_of(m, cell);
  return m->both_ways ? colour_diverging(family, v->options->dark, share)
                      : colour_sequential(family, v->options->dark, share);
}

/* One above the other; what is not attended keeps the terminal's own ground. */
static void print_halves(const head_view *v, const matrix_text *m, float upper, float lower)
{
  const bool both = is_shown(m, upper) && is_shown(m, lower);
  if (!is_shown(m, upper) && !is_shown(m, lower)) {
    putchar(' ');
    return;
  }
  set_colour(v->t, FOREGROUND, colour_of(v, m, is_shown(m, upper) ? upper : lower));
  if (both) set_colour(v->t, GROUND, colour_of(v, m, lower));
  fputs(is_shown(m, upper) ? "\xE2\x96\x80" : "\xE2\x96\x84", stdout);
  reset_colours();
}

static void print_ground(const head_view *v, const matrix_text *m, float cell)
{
  if (is_shown(m, cell)) set_colour(v->t, GROUND, colour_of(v, m, cell));
  printf("%*s", m->cell_columns, "");
  if (is_shown(m, cell)) reset_colours();
}

static void print_cell(const head_view *v, const matrix_text *m, int64_t row, int64_t key)
{
  const float cell = m->cells[row * m->keys + key];
  if (!v->t->here)
    print_number(m, cell);
  else if (m->halves)
    print_halves(v, m, cell, row + 1 < m->rows ? m->cells[(row + 1) * m->keys + key] : -INFINITY);
  else if (v->t->ink != INK_NONE)
    print_ground(v, m, cell);
  else
    print_shade(v, m, cell);
}

/* ---- what the cells mean ---- */

static void print_scale(const head_view *v, const matrix_text *m)
{
  enum { STEPS = 10 };
  const bool ink = v->t->ink != INK_NONE, from_below = ink && m->both_ways, logarithmic = m->tiles && !m->both_ways;
  const double least = logarithmic ? (double)m->largest * pow(10.0, -DECADES) : from_below ? -(double)m->largest : 0.0;
  printf("%*s%.3g ", m->label_columns, "", least);
  for (int step = from_below ? -STEPS : 1; step <= STEPS; step++) {
    const double share = (double)step / STEPS;
    const float cell = m->largest * (float)(logarithmic ? pow(10.0, (share - 1.0) * DECADES) : share);
    if (ink)
      print_ground(v, m, cell);
    else
      print_shade(v, m, cell);
  }
  printf(" %.3g%s", (double)m->largest, logarithmic ? ", logarithmic" : "");
  if (!ink && m->both_ways) fputs(m->cell_columns == 2 ? ", \"-\" beside it below 0" : ", of either sign", stdout);
  putchar('\n');
}

static void print_legend(const head_view *v, const matrix_text *m)
{
  if (m->tiles)
    printf("%*seach %s is the %s of %" PRId64 " x %" PRId64 " tokens\n", m->label_columns, "",
           m->halves    ? "half of a character"
           : v->t->here ? "character"
                        : "number",
           m->both_ways ? "mean" : "largest", m->tile_rows, m->tile_keys);
  if (v->t->here) print_scale(v, m);
}

bool terminal_matrix(const head_view *v, bool small, st_error *error)
{
  matrix_text m = {.largest = 0.0f};
  lay_out(v, small, &m);
  const bool good = take_cells(v, &m, error);
  if (good) {
    print_header(v, &m);
    for (int64_t i = 0; i < m.rows; i += m.halves ? 2 : 1) {
      print_label(v, &m, i);
      for (int64_t j = 0; j < m.keys; j++) print_cell(v, &m, i, j);
      putchar('\n');
    }
    print_legend(v, &m);
  }
  free(m.cells);
  return good;
}
