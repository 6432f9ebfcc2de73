/* A layer through the device: projections, attention, scores, output projection. Everything stays on the device
 * between the stages, float32 or wider. */
#ifndef CLATTN_TOOLS_PIPELINE_H
#define CLATTN_TOOLS_PIPELINE_H

#include "device_run.h"
#include "layer.h"

/* What a run can give. X(name in the file) */
#define PIPELINE_OUTPUT_LIST(X)                                                                                        \
  X(Y)                                                                                                                 \
  X(Z)                                                                                                                 \
  X(present_key)                                                                                                       \
  X(present_value)                                                                                                     \
  X(qk_matmul_output)                                                                                                  \
  X(Q)                                                                                                                 \
  X(K)                                                                                                                 \
  X(V)                                                                                                                 \
  X(A)                                                                                                                 \
  X(P)                                                                                                                 \
  X(lse)

typedef enum pipeline_output {
#define PIPELINE_OUTPUT_ENUM(name) OUT_##name,
  PIPELINE_OUTPUT_LIST(PIPELINE_OUTPUT_ENUM)
#undef PIPELINE_OUTPUT_ENUM
      OUT_COUNT
} pipeline_output;

const char *pipeline_output_name(pipeline_output output);
pipeline_output pipeline_output_of(const char *name); /* OUT_COUNT where there is none */

enum { PIPELINE_MAX_VARIANTS = 16 };

typedef struct pipeline_options {
  int32_t path;                                /* clattn_path */
  const char *variants[PIPELINE_MAX_VARIANTS]; /* as --variant gave them */
  int n_variants;
  bool want[OUT_COUNT];
} pipeline_options;

/* Whether a run has stages of scores, and of attention. */
bool pipeline_wants_scores(const pipeline_options *options);
bool pipeline_wants_attention(const pipeline_options *options);

/* What this layer can give at all; and what it gives unasked. */
bool pipeline_can_give(const layer *l, pipeline_output output);
bool pipeline_gives_unasked(const layer *l, pipeline_output output);

/* Runs the layer and adds each wanted tensor to results, in the type and shape that a file holds. */
bool pipeline_run(device *d, const layer *l, const pipeline_options *options, st_file *results, st_error *error);

/* The descriptor of the layer's attention over these views, without outputs. */
clattn_attention_desc pipeline_attention_desc(const layer *l, clattn_tensor q, clattn_tensor k, clattn_tensor v);

/* A file's tensor as a view, and on the device. */
clattn_tensor pipeline_view(const st_tensor *tensor);
bool pipeline_upload(device *d, const st_tensor *tensor, cl_mem *out, st_error *error); /* NULL: *out = NULL */

/* A new buffer of a view's size. */
bool pipeline_room(device *d, const clattn_tensor *view, cl_mem *out, st_error *error);

#endif
