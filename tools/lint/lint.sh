#!/bin/sh
# tools/lint/lint.sh [ROOT [RULE...]]: what the compiler cannot hold. Prints `rule: file:line: what` for every breach and
# fails if there is one. The table of host/README.md is read, not repeated. Rules: the functions rule_* below.
# shellcheck disable=SC2317
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=${1:-$here/../..}
[ $# -eq 0 ] || shift
cd "$root"
rules=${*:-arrows rooms names facts vendors silent refusals math page format readme}
LC_ALL=C
export LC_ALL

sources()
{
  find host kernels include tests tools bench -type f \( -name '*.[ch]' -o -name '*.cpp' -o -name '*.cl' -o -name '*.clh' \
    -o -name '*.def' \) 2>/dev/null | sort
}

# breaches RULE: passes lines on under the rule's name and fails if there were any.
breaches()
{
  awk -v rule="$1" '{ print rule ": " $0; n++ } END { exit n > 0 }'
}

# code FILE...: `file:line:text` without comments.
code()
{
  awk 'FNR == 1 { inside = 0 }
    { line = $0; out = ""
      while (line != "") {
        if (inside) {
          end = index(line, "*/")
          if (!end) { line = ""; break }
          line = substr(line, end + 2); inside = 0
        } else {
          start = index(line, "/*"); slash = index(line, "//")
          if (slash && (!start || slash < start)) { out = out substr(line, 1, slash - 1); line = ""; break }
          if (!start) { out = out line; line = ""; break }
          out = out substr(line, 1, start - 1) " "; line = substr(line, start + 2); inside = 1
        }
      }
      print FILENAME ":" FNR ":" out }' "$@"
}

rule_arrows()
{
  # shellcheck disable=SC2046
  awk -f "$here/arrows.awk" host/README.md $(sources) | breaches arrows
}

# The build's own list of what a room sees is the table's.
rule_rooms()
{
  awk -F'|' 'FNR == NR { if ($2 ~ /^ *`host\//) { room = $2; gsub(/[` ]|host\//, "", room); n = split($5, w, "`")
                       for (i = 2; i <= n; i += 2) if (w[i] ~ /^host\//) { sub(/host\//, "", w[i]); want[room] = want[room] " " w[i] }
                       if ($5 ~ /`CL`/) want[room] = want[room] " CL"; named[room] = 1 }
                     next }
    /^clattn_room\(/ { line = $0; gsub(/[()]/, " ", line); n = split(line, w, " "); room = w[2]; sees = ""; on = 0
      for (i = 3; i <= n; i++) {
        if (w[i] == "MAY_SEE") on = 1
        else if (w[i] == "OPENCL") { sees = sees " CL"; on = 0 }
        else if (w[i] == "SOURCES") on = 0
        else if (on) sees = sees " " w[i]
      }
      if (!(room in named)) print FILENAME ":" FNR ": room " room " is not in the table of host/README.md"
      else if (sees != want[room]) print FILENAME ":" FNR ": " room " sees" sees ", the table says" want[room]
      built[room] = 1 }
    END { for (room in named) if (!(room in built)) print "host/README.md: room " room " is not built" }' \
    host/README.md host/CMakeLists.txt | breaches rooms
}

rule_names()
{
  find host kernels include tests tools bench -type f ! -name README.md ! -name CMakeLists.txt ! -path 'tests/data/*' \
    2>/dev/null | sort | awk -F/ '{ if ($NF in seen) print $0 ": has the name of " seen[$NF]; else seen[$NF] = $0 }' |
    breaches names
}

rule_facts()
{
  # shellcheck disable=SC2046
  code $(sources | grep -E '^(host|include|kernels)/' | grep -v '^host/device/') | grep clGetDeviceInfo |
    breaches facts
}

rule_vendors()
{
  vendors='nvidia|geforce|tesla|radeon|amd|intel|mali|adreno|qualcomm|powervr|imagination|apple|arm|pocl|rusticl|llvmpipe'
  # shellcheck disable=SC2046
  code $(sources | grep -E '^(host|kernels)/' | grep -v -E '^host/device/|/(quirks|tuned)\.def$') |
    grep -i -E ":[0-9]+:(|.*[^A-Za-z0-9_])($vendors)([^A-Za-z0-9_]|\$)" |
    breaches vendors
}

# The library returns statuses and fills reports; words and exits are its user's.
rule_silent()
{
  # shellcheck disable=SC2046
  code $(sources | grep -E '^(host|include)/') |
    grep -E ':[0-9]+:(|.*[^A-Za-z0-9_])((printf|puts|putchar|perror|abort|exit|_exit|system)[[:space:]]*\(|std(out|err)([^A-Za-z0-9_]|$))' |
    breaches silent
}

# A refusal whose words no test reads could say anything.
rule_refusals()
{
  # shellcheck disable=SC2046
  awk -f "$here/refusals.awk" $(sources | grep '^tests/.*\.[ch]$') $(sources | grep '^host/.*\.[ch]$') | breaches refusals
}

rule_math()
{
  find host kernels include tests tools bench CMakeLists.txt CMakePresets.json -type f ! -path 'tests/data/*' \
    ! -path 'tools/lint/*' -exec grep -n -E -- '-cl-(fast-relaxed-math|unsafe-math-optimizations|finite-math-only|no-signed-zeros|denorms-are-zero|mad-enable)|-f(fast-math|unsafe-math|finite-math|associative-math|reciprocal-math|no-signed-zeros)|-Ofast' \
    {} /dev/null \; 2>/dev/null | breaches math
}

# Pages ask for nothing from anywhere, take no text for code or markup, and each of their files is embedded.
rule_page()
{
  {
    grep -n -E '(innerHTML|outerHTML|insertAdjacentHTML|createContextualFragment|DOMParser|srcdoc|document\.write|setHTML|eval *\(|[^A-Za-z]Function *\(|fetch *\(|XMLHttpRequest|WebSocket|EventSource|sendBeacon|import *\(|importScripts|set(Timeout|Interval) *\( *["'"'"'`]|@import|url *\(|(src|href|on[a-z]+|style) *= *["'"'"'])' \
      tools/page/* /dev/null
    grep -n -E '(https?|ftp|wss?)://' tools/page/* /dev/null | grep -v '"http://www.w3.org/2000/svg"'
    for file in tools/page/*; do
      grep -q -E "[( ]${file##*/}([ )]|\$)" tools/CMakeLists.txt || echo "$file: is not embedded by tools/CMakeLists.txt"
    done
    awk 'length($0) > 120 { print FILENAME ":" FNR ": longer than 120 columns" }
      FNR == 1 && FILENAME ~ /\.js$/ && $0 != "\"use strict\";" { print FILENAME ":1: is not strict" }' tools/page/*
  } | breaches page
}

# One major version's idea of the layout is the rule; others differ in small things.
rule_format()
{
  if ! clang-format --version 2>/dev/null | grep -q 'version 14\.'; then
    echo "clang-format 14 is not here" | breaches format
    return
  fi
  # shellcheck disable=SC2046
  clang-format --dry-run $(sources | grep '\.[ch]$') 2>&1 | grep 'warning:' | sed 's/: warning:.*/: not as clang-format has it/' |
    breaches format
}

rule_readme()
{
  awk '/^```c$/ { on = !done; next } /^```$/ { if (on) done = 1; on = 0 } on' README.md |
    diff - tests/consumers/readme_example.c >/dev/null ||
    { echo "README.md: its first C example is not tests/consumers/readme_example.c" | breaches readme; }
}

failed=0
for rule in $rules; do
  "rule_$rule" || failed=1
done
if [ "$failed" = 0 ]; then
  echo "lint: $rules: nothing found"
fi
exit "$failed"
