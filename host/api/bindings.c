#include "bindings.h"

#include <inttypes.h>
#include <string.h>

/* Where a view lies: the parent buffer, and the bytes from the first element to the end. */
typedef struct extent {
  cl_mem root;
  size_t begin, bytes;
} extent;

static clattn_status check_buffer(const clattn_plan *plan, const clattn_binding *binding, extent *place,
                                  clattn_report *report)
{
  const int32_t slot = binding->slot;
  const char *name = ca_slot_text(slot);
  const bool output = slot == CLATTN_WORKSPACE || plan->problem.tensor[slot].output;
  const size_t align =
      slot == CLATTN_WORKSPACE ? plan->choice.real_bytes : ca_dtype_bytes(plan->problem.tensor[slot].dtype);
  const size_t need = ca_plan_slot_bytes(plan, slot);
  cl_mem_object_type type;
  cl_mem_flags flags;
  cl_context context;
  size_t size, parent_offset;
  cl_mem parent;
  cl_int error = clGetMemObjectInfo(binding->mem, CL_MEM_TYPE, sizeof type, &type, NULL);
  if (!error) error = clGetMemObjectInfo(binding->mem, CL_MEM_FLAGS, sizeof flags, &flags, NULL);
  if (!error) error = clGetMemObjectInfo(binding->mem, CL_MEM_CONTEXT, sizeof context, &context, NULL);
  if (!error) error = clGetMemObjectInfo(binding->mem, CL_MEM_SIZE, sizeof size, &size, NULL);
  if (!error) error = clGetMemObjectInfo(binding->mem, CL_MEM_OFFSET, sizeof parent_offset, &parent_offset, NULL);
  if (!error) error = clGetMemObjectInfo(binding->mem, CL_MEM_ASSOCIATED_MEMOBJECT, sizeof parent, &parent, NULL);
  if (error) return ca_fail_cl(report, error, "%s: clGetMemObjectInfo", name);
  if (type != CL_MEM_OBJECT_BUFFER) return ca_fail(report, CLATTN_INVALID_BINDING, "%s: it is not a buffer", name);
  if (context != plan->context->cl)
    return ca_fail(report, CLATTN_INVALID_BINDING, "%s: its buffer belongs to another cl_context", name);
  if (flags & (output ? CL_MEM_READ_ONLY : CL_MEM_WRITE_ONLY))
    return ca_fail(report, CLATTN_INVALID_BINDING, "%s: its buffer is %s-only for kernels", name,
                   output ? "read" : "write");
  if (binding->offset_bytes % align)
    return ca_fail(report, CLATTN_INVALID_BINDING, "%s: offset_bytes is %zu, must be a multiple of %zu", name,
                   binding->offset_bytes, align);
  if (binding->offset_bytes > size || size - binding->offset_bytes < need)
    return ca_fail(report, CLATTN_BUFFER_TOO_SMALL, "%s: needs %zu bytes from offset %zu, its buffer has %zu", name,
                   need, binding->offset_bytes, size);
  *place = (extent){parent ? parent : binding->mem, (parent ? parent_offset : 0) + binding->offset_bytes, need};
  return CLATTN_OK;
}

/* Bytes of one step of a dimension that has more than one. */
static size_t step_bytes(const ca_tensor *t, int i)
{
  return t->dim[i] > 1 ? (size_t)t->stride[i] * ca_dtype_bytes(t->dtype) : 0;
}

/* Seen modulo `pitch`, a view occupies one window if each of its steps is a multiple of the pitch or lies within it. */
static size_t window_bytes(const ca_tensor *t, size_t pitch)
{
  size_t window = ca_dtype_bytes(t->dtype);
  for (int i = 0; i < 4; i++)
    if (step_bytes(t, i) % pitch) window += (size_t)(t->dim[i] - 1) * step_bytes(t, i);
  return window;
}

/* Slices of a packed buffer interleave: their ranges overlap, their elements do not. True if some row pitch shows it.
 */
static bool is_interleaved(const ca_tensor *a, size_t begin_a, const ca_tensor *b, size_t begin_b)
{
  for (int i = 0; i < 4; i++) {
    const size_t pitch = step_bytes(a, i);
    if (!pitch) continue;
    const size_t window_a = window_bytes(a, pitch), window_b = window_bytes(b, pitch);
    const size_t gap = (begin_b % pitch + pitch - begin_a % pitch) % pitch; /* from a's window to b's */
    if (window_a <= gap && gap + window_b <= pitch) return true;
  }
  return false;
}

/* An output that may lie where an input lies, element upon element: each is read before it is written. */
static const int32_t in_place[][2] = {
    {CLATTN_P, CLATTN_A},
    {CLATTN_Y, CLATTN_Y1},
    {CLATTN_Y, CLATTN_Y2},
    {CLATTN_LSE, CLATTN_LSE1},
    {CLATTN_LSE, CLATTN_LSE2},
    {CLATTN_PRESENT_KEY, CLATTN_PAST_KEY},
    {CLATTN_PRESENT_VALUE, CLATTN_PAST_VALUE},
};

static bool is_in_place(const clattn_plan *plan, int32_t output, int32_t input, const extent *place)
{
  const ca_tensor *o = &plan->problem.tensor[output], *i = &plan->problem.tensor[input];
  bool pair = false;
  for (size_t n = 0; n < sizeof in_place / sizeof in_place[0]; n++)
    pair = pair || (output == in_place[n][0] && input == in_place[n][1]);
  return pair && place[output].begin == place[input].begin && o->dtype == i->dtype &&
         !memcmp(o->stride, i->stride, sizeof o->stride);
}

static clattn_status check_overlaps(const clattn_plan *plan, const extent *place, clattn_report *report)
{
  for (int32_t s = 1; s < CLATTN_SLOT_COUNT; s++) {
    const bool workspace = s == CLATTN_WORKSPACE;
    if (!place[s].bytes || !(workspace || plan->problem.tensor[s].output)) continue;
    for (int32_t t = 1; t < CLATTN_SLOT_COUNT; t++) {
      if (t == s || !place[t].bytes || place[t].root != place[s].root) continue;
      if (place[s].begin >= place[t].begin + place[t].bytes || place[t].begin >= place[s].begin + place[s].bytes)
        continue;
      const bool plain = workspace || t == CLATTN_WORKSPACE;
      if (!plain && (is_in_place(plan, s, t, place) || is_interleaved(&plan->problem.tensor[s], place[s].begin,
                                                                      &plan->problem.tensor[t], place[t].begin)))
        continue;
      return ca_fail(report, CLATTN_OVERLAP, "%s (bytes %zu to %zu) overlaps %s (bytes %zu to %zu) in one buffer",
                     ca_slot_text(s), place[s].begin, place[s].begin + place[s].bytes, ca_slot_text(t), place[t].begin,
                     place[t].begin + place[t].bytes);
    }
  }
  return CLATTN_OK;
}

clattn_status ca_bindings_take(const clattn_plan *plan, const clattn_binding *bindings, uint32_t n,
                               ca_bound bound[CLATTN_SLOT_COUNT], clattn_report *report)
{
  extent place[CLATTN_SLOT_COUNT] = {{0}};
  memset(bound, 0, CLATTN_SLOT_COUNT * sizeof *bound);
  if (n && !bindings) return ca_fail(report, CLATTN_INVALID_ARGUMENT, "bindings is NULL");
  for (uint32_t i = 0; i < n; i++) {
    const int32_t slot = bindings[i].slot;
    if (slot <= 0 || slot >= CLATTN_SLOT_COUNT)
      return ca_fail(report, CLATTN_INVALID_BINDING, "binding %" PRIu32 ": slot is %" PRId32 ", must be 1 to %d", i,
                     slot, CLATTN_SLOT_COUNT - 1);
    if (slot != CLATTN_WORKSPACE && !ca_plan_wants(plan, slot))
      return ca_fail(report, CLATTN_INVALID_BINDING, "%s is bound, but the plan does not have it", ca_slot_text(slot));
    if (bound[slot].mem) return ca_fail(report, CLATTN_INVALID_BINDING, "%s is bound twice", ca_slot_text(slot));
    if (!bindings[i].mem) return ca_fail(report, CLATTN_INVALID_BINDING, "%s: its buffer is NULL", ca_slot_text(slot));
    if (bindings[i].reserved)
      return ca_fail(report, CLATTN_INVALID_BINDING, "%s: reserved is %" PRId32 ", must be 0", ca_slot_text(slot),
                     bindings[i].reserved);
    CA_TRY(check_buffer(plan, &bindings[i], &place[slot], report));
    bound[slot] = (ca_bound){bindings[i].mem, bindings[i].offset_bytes};
  }
  for (int32_t slot = 1; slot < CLATTN_SLOT_COUNT; slot++)
    if (slot != CLATTN_WORKSPACE && ca_plan_wants(plan, slot) && !bound[slot].mem)
      return ca_fail(report, CLATTN_INVALID_BINDING, "%s is not bound, but the plan needs it", ca_slot_text(slot));
  for (int i = 0; i < CA_MAX_PARTS; i++)
    if (plan->weights[i]) bound[plan->problem.projection.part[i].w] = (ca_bound){plan->weights[i]->mem, 0};
  return check_overlaps(plan, place, report);
}
