/* clattn: attention for every OpenCL device. The stable interface.
 *
 * An operation is described, planned once, and run many times on the caller's queue. Every call returns a status;
 * a report (may be NULL) says more. Nothing here prints, keeps global state, or waits for a queue, but for
 * clattn_run_host, clattn_selftest and planning, which use a temporary queue of their own.
 *
 * Threads: contexts, plans and weights are immutable to their users and may be shared; any number of threads may plan
 * on one context and enqueue one plan at once. Destroying an object that another thread still uses is a mistake.
 *
 * Planning in the background: clattn_plan_* may run in a thread of its own while the application goes on setting itself
 * up. The library holds up neither runs of plans that are there nor plans of kernels that are ready. A driver may:
 * while PoCL compiles a kernel, in the last part of planning, launches of others wait, for some tenths of a second.
 *
 * Order of destruction: any. A plan keeps what it needs of its context and weights. */
#ifndef CLATTN_CLATTN_H
#define CLATTN_CLATTN_H

#ifndef CL_TARGET_OPENCL_VERSION
#define CL_TARGET_OPENCL_VERSION 120
#endif
#ifdef __APPLE__
#include <OpenCL/cl.h>
#else
#include <CL/cl.h>
#endif

#include "clattn/types.h"

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_WIN32) && defined(CLATTN_SHARED)
#ifdef CLATTN_BUILDING
#define CLATTN_API __declspec(dllexport)
#else
#define CLATTN_API __declspec(dllimport)
#endif
#elif defined(__GNUC__)
#define CLATTN_API __attribute__((visibility("default")))
#else
#define CLATTN_API
#endif

#define CLATTN_VERSION_MAJOR 0
#define CLATTN_VERSION_MINOR 1
#define CLATTN_VERSION_PATCH 0

typedef struct clattn_context clattn_context;
typedef struct clattn_plan clattn_plan;

/* One buffer of a run. */
typedef struct clattn_binding {
  int32_t slot;     /* clattn_slot */
  int32_t reserved; /* zero */
  cl_mem mem;
  size_t offset_bytes; /* of the view's first element; a multiple of the element size */
} clattn_binding;

/* The version of the library that is linked, major * 10000 + minor * 100 + patch. @since 0.1 */
CLATTN_API uint32_t clattn_version(void);

/* A status as text: its constant's name, and what it means. Never NULL. @thread any @since 0.1 */
CLATTN_API const char *clattn_status_name(clattn_status status);
CLATTN_API const char *clattn_status_text(clattn_status status);

/* A type's short text ("f32") and element size; "?" and 0 for what is none. @since 0.1 */
CLATTN_API const char *clattn_dtype_text(clattn_dtype dtype);
CLATTN_API size_t clattn_dtype_bytes(clattn_dtype dtype);

/* A slot's text ("q", "workspace"); "?" for what is none. @since 0.1 */
CLATTN_API const char *clattn_slot_text(clattn_slot slot);

/* Converts n elements between f32, f16, bf16 and f64 on the host, rounding to nearest even.
 * @error CLATTN_INVALID_DTYPE for bool and i64 @thread any @since 0.1 */
CLATTN_API clattn_status clattn_convert(clattn_dtype to, void *out, clattn_dtype from, const void *in, size_t n);

/* Dense views: [B,H,S,D] and [B,S,H,D] (seen as [B,H,S,D]); any rank. @unit strides are elements @since 0.1 */
CLATTN_API clattn_tensor clattn_bhsd(clattn_dtype dtype, int64_t b, int64_t h, int64_t s, int64_t d);
CLATTN_API clattn_tensor clattn_bshd(clattn_dtype dtype, int64_t b, int64_t s, int64_t h, int64_t d);
CLATTN_API clattn_tensor clattn_dense(clattn_dtype dtype, int32_t rank, const int64_t *dim);

/* Lists devices into out[0..capacity), in the loader's order; *count receives how many there are (out may be NULL
 * with capacity 0). out[0].struct_size is set by the caller: start from CLATTN_DEVICE_INFO_INIT. probe != 0 also
 * compiles and checks a small kernel on each.
 * @error CLATTN_INVALID_ARGUMENT, _INVALID_STRUCT, _NO_PLATFORM, _NO_DEVICE @thread any @since 0.1 */
CLATTN_API clattn_status clattn_devices(int probe, clattn_device_info *out, uint32_t capacity, uint32_t *count,
                                        clattn_report *report);

/* Contexts. One that was made may still be slower than it need be: the report's detail then says why. PoCL starts a
 * thread a core, and unless POCL_AFFINITY=1 stands in the environment before the first OpenCL call, they wander between
 * cores, which can halve the speed on some runs and not on others. Setting the environment is the application's part:
 * the library only reports it, here and as a device's reason. */

/* Makes a context on a device of the library's choice: `want`, else CLATTN_DEVICE, else the best by score. `want` is
 * "P:D" (platform and device index), "cpu", "gpu", "accelerator", or part of a platform's or device's name.
 * A candidate whose probe fails is passed over.
 * @error CLATTN_NO_PLATFORM, _NO_DEVICE, _NO_COMPILER, _DEVICE_NOT_FOUND, _DEVICE_UNUSABLE @thread any @since 0.1 */
CLATTN_API clattn_status clattn_context_pick(const char *want, const clattn_context_options *options,
                                             clattn_context **context, clattn_report *report);

/* Makes a context from the application's own. Both are retained; nothing is probed.
 * @error CLATTN_INVALID_ARGUMENT (NULL, or the device is not of the context), _INVALID_STRUCT, _INVALID_VALUE,
 * _NO_COMPILER, memory @thread any @owner the caller destroys the context @since 0.1 */
CLATTN_API clattn_status clattn_context_create(cl_context cl, cl_device_id device,
                                               const clattn_context_options *options, clattn_context **context,
                                               clattn_report *report);
CLATTN_API void clattn_context_destroy(clattn_context *context);                 /* NULL is allowed */
CLATTN_API cl_context clattn_context_cl_context(const clattn_context *context);  /* not retained for the caller */
CLATTN_API cl_device_id clattn_context_cl_device(const clattn_context *context); /* not retained for the caller */

/* Plans an operation: checks the descriptor, chooses a variant, compiles or loads its kernels and launches each once
 * on nothing, so that no run compiles. Another shape of a variant in use costs microseconds.
 * Formulas: types.h, at each descriptor. A query row without any attended key gives y = 0, p = 0, lse = -inf.
 * clattn_plan_scores writes desc->qk (all four qk_mode) from q and k; y, v, path and the
 * values' past and presents of the descriptor are ignored.
 * clattn_plan_qkv gives what three clattn_plan_projection of the same variant give, in fewer launches.
 * @error every caller's mistake by name; CLATTN_UNSUPPORTED; CLATTN_BUILD_FAILED; memory @thread any
 * @owner the caller destroys the plan @since 0.1 @source ONNX operator Attention, opset 25; Milakov and Gimelshein
 * 2018 (online softmax), Dao et al. 2022 (fused) */
CLATTN_API clattn_status clattn_plan_attention(clattn_context *context, const clattn_attention_desc *desc,
                                               clattn_plan **plan, clattn_report *report);
CLATTN_API clattn_status clattn_plan_scores(clattn_context *context, const clattn_attention_desc *desc,
                                            clattn_plan **plan, clattn_report *report);
CLATTN_API clattn_status clattn_plan_softmax(clattn_context *context, const clattn_softmax_desc *desc,
                                             clattn_plan **plan, clattn_report *report);
CLATTN_API clattn_status clattn_plan_values(clattn_context *context, const clattn_values_desc *desc, clattn_plan **plan,
                                            clattn_report *report);
CLATTN_API clattn_status clattn_plan_projection(clattn_context *context, const clattn_projection_desc *desc,
                                                clattn_plan **plan, clattn_report *report);
CLATTN_API clattn_status clattn_plan_qkv(clattn_context *context, const clattn_qkv_desc *desc, clattn_plan **plan,
                                         clattn_report *report);
CLATTN_API clattn_status clattn_plan_merge(clattn_context *context, const clattn_merge_desc *desc, clattn_plan **plan,
                                           clattn_report *report);
/* Plans a map: a block of scores or probabilities, or a pooled picture of them, in bounded memory (clattn_map_desc). A
 * run makes it head by head and band of rows by band of rows, scores first, two kernels a band, each band after the one
 * before on any queue. The plan's variant is that of the scores stage; clattn_plan_candidate and clattn_plan_tuning_row
 * speak of it too.
 * @shape map, map_max [B, heads, rows / tile_rows, keys / tile_keys], rounded up @unit entropy: nats
 * @edge an empty range or tensor plans a run that writes nothing; a row without any key: p = 0, scores -inf
 * @error every caller's mistake by name, ranges past the end, a past and nonpad_kv_seqlen among them;
 * CLATTN_UNSUPPORTED; CLATTN_BUILD_FAILED; memory @thread any @owner the caller destroys the plan @since 0.1 */
CLATTN_API clattn_status clattn_plan_map(clattn_context *context, const clattn_map_desc *desc, clattn_plan **plan,
                                         clattn_report *report);
CLATTN_API void clattn_plan_destroy(clattn_plan *plan); /* NULL is allowed; runs under way are not disturbed */

/* Bytes that the slot CLATTN_WORKSPACE wants; 0: none, and for NULL. @thread any @since 0.1 */
CLATTN_API size_t clattn_plan_workspace_bytes(const clattn_plan *plan);
/* The variant's id, FAMILY_OPERATION_TYPE_dDK[vDV]_TILE; lives as long as the plan; "" for NULL. @since 0.1 */
CLATTN_API const char *clattn_plan_variant(const clattn_plan *plan);
/* info->struct_size is set by the caller. @since 0.1 */
CLATTN_API clattn_status clattn_plan_get_info(const clattn_plan *plan, clattn_plan_info *info);
/* The buffers of a run, index 0 upwards; info->struct_size is set by the caller.
 * @error CLATTN_INVALID_ARGUMENT past the last, _INVALID_STRUCT @since 0.1 */
CLATTN_API clattn_status clattn_plan_slot(const clattn_plan *plan, uint32_t index, clattn_slot_info *info);

/* The variants that the plan's problem can run with on this device, each named in full, index 0 upwards, in order of
 * preference: what rules of speed are against is among them, what a selftest found wrong is not. What they take to
 * compile, and whether they compile, shows when a plan names them. info->struct_size is set by the caller.
 * @error CLATTN_INVALID_ARGUMENT past the last, _INVALID_STRUCT @thread any @since 0.1 */
CLATTN_API clattn_status clattn_plan_candidate(const clattn_plan *plan, uint32_t index, clattn_candidate_info *info);

/* Tuning. A tuning file has a row a line, of a device, a class of problems (operation, types and sizes, but for masks,
 * windows and rotations) and the variant that was measured to be the fastest there. A plan that names no variant takes
 * that of the row for its very class, else of the nearest class within limits: types, head sizes, groups and causal
 * order are the same, batch times heads within a factor of two, lengths equal, or 256 at least and within a factor of
 * two. A row that says "rules", a variant that refuses the problem or was found wrong by a selftest, and no row at all
 * leave the choice to the rules. The file is looked at before a table that is built in; clattn_plan_info tells.
 *
 * clattn_plan_tuning_row writes the row, without a line feed, that makes later plans of such problems on this device
 * take the plan's variant; flags: CLATTN_TUNING_RULES, CLATTN_TUNING_ANY_DRIVER. CLATTN_TUNING_ROW_BYTES are enough.
 * @error CLATTN_INVALID_ARGUMENT (NULL, no room), _INVALID_VALUE (flags), _UNSUPPORTED (no row has a say: merging, and
 * a hint at float64) @thread any @since 0.1 */
CLATTN_API clattn_status clattn_plan_tuning_row(const clattn_plan *plan, uint32_t flags, char *row, size_t capacity,
                                                clattn_report *report);

/* The file that contexts read by default; its rows count from the next context on. @error CLATTN_INVALID_ARGUMENT (no
 * room, or the environment has neither CLATTN_TUNING nor a home) @thread any @since 0.1 */
CLATTN_API clattn_status clattn_tuning_path(char *path, size_t capacity);

/* Puts rows (lines) into a tuning file (NULL: the default one): they take the place of those of the same device and
 * class, the others stay. The file is replaced at once, and readers see the old one or the new one, whole; of two
 * writers at the same instant the later one's rows stay.
 * @error CLATTN_INVALID_ARGUMENT, _INVALID_VALUE (a line that is no row; a file that cannot be read or written, or has
 * or would have more than 1 MiB), memory @thread any @since 0.1 */
CLATTN_API clattn_status clattn_tuning_keep(const char *path, const char *rows, clattn_report *report);

/* Enqueues one run. Bindings name each slot of the plan once; CLATTN_WORKSPACE may be left out (the run then makes
 * its own). `done` (may be NULL) receives an event that the caller releases. Everything is checked before anything
 * is enqueued; in-order and out-of-order queues both serve.
 * @edge a plan without work (an empty tensor) enqueues only a marker
 * @error CLATTN_INVALID_ARGUMENT, _INVALID_BINDING, _BUFFER_TOO_SMALL, _OVERLAP, _INVALID_QUEUE, _OPENCL_FAILED,
 * memory @thread any @since 0.1 */
CLATTN_API clattn_status clattn_enqueue(const clattn_plan *plan, cl_command_queue queue, const clattn_binding *bindings,
                                        uint32_t n_bindings, cl_uint n_wait, const cl_event *wait, cl_event *done,
                                        clattn_report *report);

/* The same on host memory: copies in, runs, copies out, waits. What lies between the elements of an output stays.
 * @error as clattn_enqueue; binding the workspace is CLATTN_INVALID_BINDING @thread any @since 0.1 */
CLATTN_API clattn_status clattn_run_host(const clattn_plan *plan, const clattn_host_binding *bindings,
                                         uint32_t n_bindings, clattn_report *report);

/* Reports on the network: asymmetry of A, entropies, what the first token gets, the strongest one-way pairs
 * (clattn_network_desc). Blocking, on a queue of its own; host memory for a block of rows, and for two numbers a row of
 * P, besides the caller's arrays. `bindings` are q, k, lse and the mask on the host, `heads` [B,HQ],
 * heads[0].struct_size set by the caller: start from CLATTN_NETWORK_HEAD_INIT.
 * @unit entropy: nats @edge no batch item: nothing is written; no row or no key: heads of no rows
 * @error as clattn_plan_map and clattn_run_host; CLATTN_INVALID_VALUE (n_pairs) @thread any @since 0.1 */
CLATTN_API clattn_status clattn_network_report(clattn_context *context, const clattn_network_desc *desc,
                                               const clattn_host_binding *bindings, uint32_t n_bindings,
                                               clattn_network_head *heads, clattn_report *report);

/* How far from symmetric W_Q^T W_K of each query head is, the operator that makes A = I^T (W_Q^T W_K) I: the norm of
 * its antisymmetric part over its own; 0 symmetric, 1 antisymmetric, near 0.71 at random, NaN where it is zero. On the
 * host, in double, and never E x E: with M = W_Q^T W_K, |M|^2 = <W_Q W_Q^T, W_K W_K^T> and tr M^2 = tr((W_K W_Q^T)^2),
 * share^2 = (|M|^2 - tr M^2) / (2 |M|^2).
 * @shape w_q [HQ*DK,E], w_k [HK*DK,E], any float types and strides; share[hq]; head h uses key head h / (hq/hk)
 * @error CLATTN_INVALID_ARGUMENT (NULL), _INVALID_SHAPE, _INVALID_DTYPE, memory @thread any @since 0.1 */
CLATTN_API clattn_status clattn_operator_asymmetry(const clattn_tensor *w_q, const void *w_q_data,
                                                   const clattn_tensor *w_k, const void *w_k_data, int64_t hq,
                                                   int64_t hk, double *share, clattn_report *report);

/* Packs an operator's weights for the device. `host` holds desc->w; it may be freed afterwards.
 * @error CLATTN_INVALID_*, memory @thread any @owner the caller destroys it, before or after the plans that use it
 * @since 0.1 */
CLATTN_API clattn_status clattn_weights_create(clattn_context *context, const clattn_weights_desc *desc,
                                               const void *host, clattn_weights **weights, clattn_report *report);
CLATTN_API void clattn_weights_destroy(clattn_weights *weights); /* NULL is allowed */

/* Runs every variant of every operation that the device accepts on small problems around the edges of its tiles,
 * against sums in double, and calls `row` (may be NULL) for each. A variant that computes wrongly or fails is taken out
 * of selection on this device, in this context at once and in later ones through the program cache, until a selftest
 * finds it right; *wrong (may be NULL) receives how many there are, the report's detail names them, and so does each
 * plan's selection. Extended keys and values that come out wrong are refused, and so are maps.
 * @thread any; plans of the same context may be made meanwhile @since 0.1 */
CLATTN_API clattn_status clattn_selftest(clattn_context *context, clattn_selftest_fn row, void *user, uint32_t *wrong,
                                         clattn_report *report);

/* Every variant this library has, as "FAMILY_OPERATION" lines in order of preference; index past the last: NULL.
 * @since 0.1 */
CLATTN_API const char *clattn_variant_name(uint32_t index);

#ifdef __cplusplus
}
#endif
#endif
