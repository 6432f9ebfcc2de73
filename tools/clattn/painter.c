#if defined(CLATTN_HAS_RSVG)

#include "painter.h"

#include <dlfcn.h>
#include <string.h>

/* What is named is found in the library or in those it is linked to: GLib and cairo are. */
static bool take(void *library, const char *name, void *function, st_error *error)
{
  void *symbol = dlsym(library, name);
  if (!symbol) return st_fail(error, "%s has no %s; PNG needs librsvg 2.48 or later", CLATTN_RSVG_FILE, name);
  memcpy(function, &symbol, sizeof symbol);
  return true;
}

bool painter_load(painter *p, st_error *error)
{
  void *library = dlopen(CLATTN_RSVG_FILE, RTLD_NOW | RTLD_LOCAL);
  if (!library)
    return st_fail(error,
                   "PNG needs librsvg, which is not here (%s): install it (on Debian: librsvg2-2 fonts-dejavu-core), "
                   "or write .svg",
                   dlerror());
#define PAINTER_TAKE(result, name, arguments)                                                                          \
  if (!take(library, #name, &p->name##_, error)) return false;
  PAINTER_LIST(PAINTER_TAKE)
#undef PAINTER_TAKE
  return true;
}

#else

typedef int painter_is_left_out; /* a file of C has to hold something */

#endif
