/* librsvg and what it stands on, taken when a picture is to be painted and not before: forty libraries would double the
 * time that every other use of the command takes to start. */
#ifndef CLATTN_TOOLS_PAINTER_H
#define CLATTN_TOOLS_PAINTER_H

#include <librsvg/rsvg.h>

#include "safetensors.h"

/* X(result, name, arguments), as their headers have them */
#define PAINTER_LIST(X)                                                                                                \
  X(GInputStream *, g_memory_input_stream_new_from_data, (const void *, gssize, GDestroyNotify))                       \
  X(void, g_object_unref, (gpointer))                                                                                  \
  X(void, g_clear_error, (GError **))                                                                                  \
  X(RsvgHandle *, rsvg_handle_new_from_stream_sync,                                                                    \
    (GInputStream *, GFile *, RsvgHandleFlags, GCancellable *, GError **))                                             \
  X(gboolean, rsvg_handle_get_intrinsic_size_in_pixels, (RsvgHandle *, gdouble *, gdouble *))                          \
  X(gboolean, rsvg_handle_render_document, (RsvgHandle *, cairo_t *, const RsvgRectangle *, GError **))                \
  X(cairo_surface_t *, cairo_image_surface_create, (cairo_format_t, int, int))                                         \
  X(unsigned char *, cairo_image_surface_get_data, (cairo_surface_t *))                                                \
  X(int, cairo_image_surface_get_stride, (cairo_surface_t *))                                                          \
  X(cairo_status_t, cairo_surface_status, (cairo_surface_t *))                                                         \
  X(void, cairo_surface_flush, (cairo_surface_t *))                                                                    \
  X(void, cairo_surface_destroy, (cairo_surface_t *))                                                                  \
  X(cairo_t *, cairo_create, (cairo_surface_t *))                                                                      \
  X(cairo_status_t, cairo_status, (cairo_t *))                                                                         \
  X(const char *, cairo_status_to_string, (cairo_status_t))                                                            \
  X(void, cairo_destroy, (cairo_t *))

typedef struct painter {
#define PAINTER_FIELD(result, name, arguments) result(*name##_) arguments;
  PAINTER_LIST(PAINTER_FIELD)
#undef PAINTER_FIELD
} painter;

/* Stays loaded: what GLib once registered cannot be taken back. */
bool painter_load(painter *p, st_error *error);

#endif
