#!/bin/sh
# tools/lint/selftest.sh SCRATCH: every rule of lint.sh finds what it is for. A copy of the tree gets one breach after the
# other; each has to be named by its rule, and the copy without any has to pass.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
scratch=${1:?tools/lint/selftest.sh SCRATCH}
rm -rf "$scratch"
mkdir -p "$scratch"
(cd "$here/../.." && tar -cf - --exclude=tests/data .clang-format CMakeLists.txt CMakePresets.json README.md bench host kernels \
  include tests tools) | tar -xf - -C "$scratch"
cd "$scratch"
failed=0

# expect RULE TEXT: lint must fail by this rule, with TEXT in its words.
expect()
{
  if said=$("$here/lint.sh" . "$1" 2>&1); then
    echo "$1 did not find: $2"
    failed=1
  elif ! printf '%s\n' "$said" | grep -q "^$1: .*$2"; then
    printf '%s spoke of something else than "%s":\n%s\n' "$1" "$2" "$said"
    failed=1
  fi
}

# with FILE TEXT RULE WORDS: appends TEXT to FILE (new or not), expects, and takes it away again.
with()
{
  mkdir -p "$(dirname "$1")"
  if [ -e "$1" ]; then cp "$1" kept; else rm -f kept; fi
  printf '%s\n' "$2" >>"$1"
  expect "$3" "$4"
  if [ -e kept ]; then mv kept "$1"; else rm "$1"; fi
}

"$here/lint.sh" . || failed=1

with host/plan/names.c '#include "facts.h"' names 'host/plan/names.c'
with host/plan/select.c '#include "launch.h"' arrows 'host/plan may not include launch.h (host/enqueue)'
with host/base/numbers.c '#include "objects.h"' arrows 'host/base may not include objects.h'
with host/validate/take.c '#include <CL/cl.h>' arrows 'host/validate may not include CL/cl.h'
with host/plan/select.c '#include <unistd.h>' arrows 'host/plan may not include unistd.h'
with include/clattn/types.h '#include <CL/cl.h>' arrows 'include may not include CL/cl.h'
with include/clattn/clattn.h '#include "problem.h"' arrows 'may not include problem.h'
with tests/api/planted.c '#include "facts.h"' arrows 'tests may not include facts.h'
with tools/clattn/planted.c '#include "select.h"' arrows 'tools/clattn may not include select.h'
with bench/planted.c '#include "command.h"' arrows 'bench may not include command.h'
with kernels/reference.cl '#include "facts.h"' arrows 'kernels may not include facts.h'
with host/plan/select.c '#include "nowhere.h"' arrows 'nowhere.h, which no room has'
with host/corner/planted.c '#include "facts.h"' arrows 'lies in no room'
with host/CMakeLists.txt 'clattn_room(plan MAY_SEE base device)' rooms 'plan sees base device'
with host/CMakeLists.txt 'clattn_room(corner MAY_SEE base)' rooms 'corner is not in the table'
with host/plan/select.c 'int planted = clGetDeviceInfo(0, 0, 0, 0, 0);' facts 'host/plan/select.c'
with host/plan/select.c 'static const char *planted = "NVIDIA";' vendors 'host/plan/select.c'
with kernels/reference.cl '__constant char planted[] = "intel";' vendors 'kernels/reference.cl'
with host/api/run.c 'static void planted(void) { printf("done"); }' silent 'host/api/run.c'
with host/api/run.c 'static void planted(void) { fputs("done", stderr); }' silent 'host/api/run.c'
with host/api/run.c 'static void planted(void) { abort(); }' silent 'host/api/run.c'
with host/plan/select.c 'bool planted(void) { return ca_refuse(0, "%d moons are too many", 3); }' refusals 'moons are too many'
with host/plan/select.c 'int planted(void) { return ca_fail(0, 1, "of %" PRId64 " planets, " "too few", n); }' refusals 'planets, too few'
with host/program/source.c 'static const char *planted = "-cl-fast-relaxed-math";' math 'host/program/source.c'
with CMakeLists.txt 'add_compile_options(-ffast-math)' math 'CMakeLists.txt'
with tools/page/start.js 'document.body.innerHTML = page.data.title;' page 'tools/page/start.js'
with tools/page/start.js 'fetch("data:,");' page 'tools/page/start.js'
with tools/page/start.js 'const planted = "https://example.org/";' page 'tools/page/start.js'
with tools/page/page.html '<p onclick="planted()">' page 'tools/page/page.html'
with tools/page/page.css '@import "planted.css";' page 'tools/page/page.css'
with tools/page/planted.js '"use strict";' page 'planted.js: is not embedded'
if clang-format --version 2>/dev/null | grep -q 'version 14\.'; then
  with host/api/run.c 'static int   planted( int a ){return a;}' format 'host/api/run.c'
fi
with tests/consumers/readme_example.c '/* planted */' readme 'README.md'

# What only looks like a breach.
printf '/* clGetDeviceInfo on NVIDIA, printf */\nint snprintf_like(void);\n' >>host/plan/select.c
"$here/lint.sh" . facts vendors silent || failed=1

rm -rf "$scratch"
[ "$failed" = 0 ] && echo "lint selftest: every rule found what was planted"
exit "$failed"
