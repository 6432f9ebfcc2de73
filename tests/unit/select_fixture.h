/* Problems and facts for the planner's tests. */
#ifndef TESTS_SELECT_FIXTURE_H
#define TESTS_SELECT_FIXTURE_H

#include <stdio.h>
#include <string.h>

#include "asserts.h"
#include "select.h"

/* A device on record. */
static inline ca_facts facts_of(const char *name)
{
  char path[512], text[8192];
  snprintf(path, sizeof path, "%s/%s.facts", CLATTN_TEST_FACTS, name);
  FILE *file = fopen(path, "rb");
  assert_non_null(file);
  const size_t bytes = fread(text, 1, sizeof text - 1, file);
  fclose(file);
  text[bytes] = '\0';
  ca_facts facts = {0};
  clattn_report report = {.status = CLATTN_OK};
  assert_status(CLATTN_OK, ca_facts_parse(text, &facts, &report), &report);
  return facts;
}

/* A GPU without any peculiarity, with room for every tile. */
static inline ca_facts plain_gpu(void)
{
  ca_facts facts = {.compute_units = 8,
                    .work_group_size = 1024,
                    .local_memory_bytes = 65536,
                    .max_alloc_bytes = (uint64_t)1 << 32,
                    .max_parameter_bytes = 4096,
                    .address_bits = 64,
                    .type = CA_DEVICE_GPU};
  snprintf(facts.name, sizeof facts.name, "plain gpu");
  return facts;
}

static inline ca_tensor dense(int32_t dtype, int64_t d0, int64_t d1, int64_t d2, int64_t d3)
{
  return (ca_tensor){.present = true,
                     .dtype = dtype,
                     .dim = {d0, d1, d2, d3},
                     .stride = {d1 * d2 * d3, d2 * d3, d3, 1},
                     .span_elems = d0 * d1 * d2 * d3};
}

/* float32 attention [2, 8, sq, dk] over [2, 4, sk, dk] and [2, 4, sk, dv]. */
static inline ca_problem attention(int64_t sq, int64_t sk, int64_t dk, int64_t dv)
{
  ca_problem problem = {.operation = CA_OP_ATTENTION,
                        .attention = {.b = 2,
                                      .hq = 8,
                                      .hk = 4,
                                      .sq = sq,
                                      .sk = sk,
                                      .dk = dk,
                                      .dv = dv,
                                      .window_left = -1,
                                      .window_right = -1,
                                      .qk_mode = CA_QK_NONE,
                                      .scale = 1.0}};
  problem.tensor[CLATTN_Q] = dense(CLATTN_F32, 2, 8, sq, dk);
  problem.tensor[CLATTN_K] = dense(CLATTN_F32, 2, 4, sk, dk);
  problem.tensor[CLATTN_V] = dense(CLATTN_F32, 2, 4, sk, dv);
  problem.tensor[CLATTN_Y] = dense(CLATTN_F32, 2, 8, sq, dv);
  problem.tensor[CLATTN_Y].output = true;
  return problem;
}

static inline ca_problem with_qk(ca_problem problem, int32_t mode)
{
  problem.attention.qk_mode = mode;
  problem.tensor[CLATTN_QK] =
      dense(CLATTN_F32, problem.attention.b, problem.attention.hq, problem.attention.sq, problem.attention.sk);
  problem.tensor[CLATTN_QK].output = true;
  return problem;
}

/* float32 projection of [b, s, e] to h heads of d, weights of type w. */
static inline ca_problem projection(int64_t b, int64_t s, int64_t e, int64_t h, int64_t d, int32_t w)
{
  ca_problem problem = {.operation = CA_OP_PROJECTION, .projection = {.b = b, .s = s, .e = e, .n_parts = 1}};
  problem.projection.part[0] = (ca_projection_part){.w = CLATTN_W, .bias = CLATTN_BIAS, .y = CLATTN_Y, .h = h, .d = d};
  problem.tensor[CLATTN_X] = dense(CLATTN_F32, b, s, e, 1);
  problem.tensor[CLATTN_X].stride[0] = s * e;
  problem.tensor[CLATTN_X].stride[1] = e;
  problem.tensor[CLATTN_X].stride[2] = 1;
  problem.tensor[CLATTN_W] = dense(w, h * d, e, 1, 1);
  problem.tensor[CLATTN_W].stride[0] = e;
  problem.tensor[CLATTN_W].stride[1] = 1;
  problem.tensor[CLATTN_Y] = dense(CLATTN_F32, b, h, s, d);
  problem.tensor[CLATTN_Y].output = true;
  return problem;
}

static inline ca_choice chosen(const ca_problem *problem, const ca_facts *facts)
{
  ca_choice choice;
  clattn_report report = {.status = CLATTN_OK};
  assert_status(CLATTN_OK, ca_select(problem, facts, &choice, NULL, &report), &report);
  return choice;
}

/* The selection, whose lines tell every verdict; `status` is what the planner must answer. */
static inline void selection_of(const ca_problem *problem, const ca_facts *facts, clattn_status status,
                                char selection[CA_SELECTION_BYTES], clattn_report *report)
{
  ca_choice choice;
  *report = (clattn_report){.status = CLATTN_OK};
  assert_status(status, ca_select(problem, facts, &choice, selection, report), report);
}

/* The status and the parts of the selection (or, where nothing took the problem, of the message) for one problem. */
static inline void refuses(const ca_problem *problem, const ca_facts *facts, clattn_status status, const char *id,
                           const char *reason)
{
  char selection[CA_SELECTION_BYTES], line[512];
  clattn_report report;
  selection_of(problem, facts, status, selection, &report);
  snprintf(line, sizeof line, "%s: refused, %s\n", id, reason);
  assert_holds(selection, line);
  if (status == CLATTN_OK) return;
  assert_holds(report.detail, line);
  assert_says(&report, "no variant takes this ", reason, facts->name);
}

#endif
