# The formats of ca_fail, ca_fail_cl, ca_refuse and ca_report_line in host/, each against what the tests hold: the longest
# literal run between two conversions has to stand in some file under tests/. Files of tests/ come first.
FNR == 1 { flush(); name = FILENAME; text = "" }
{ text = text $0 "\n" }
END { flush() }

function flush()
{
  if (name ~ /^tests\//) tests = tests text
  else if (name) check(name, text)
}

# The longest run of a format without white space around it; \001 stands for a macro such as PRId64 between two literals.
function longest_run(format, best, run)
{
  best = ""
  while (format != "") {
    if (!match(format, /%[-+ #0-9.*]*(hh|h|ll|l|z)?[A-Za-z%]|%?\001/)) { RSTART = length(format) + 1; RLENGTH = 0 }
    run = substr(format, 1, RSTART - 1)
    gsub(/^[ ]+|[ ]+$/, "", run)
    if (length(run) > length(best)) best = run
    format = substr(format, RSTART + RLENGTH)
  }
  return best
}

# The literals of the first string after a call's name, joined; "" where the call has none.
function format_of(call, joined, between)
{
  joined = ""
  if (!match(call, /^[^";]*"/)) return ""
  call = substr(call, RLENGTH + 1)
  while (match(call, /^([^"\\]|\\.)*"/)) {
    joined = joined substr(call, 1, RLENGTH - 1)
    call = substr(call, RLENGTH + 1)
    if (!match(call, /^[A-Z_a-z0-9 \n]*"/)) { if (match(call, /^ *PRI/)) joined = joined "\001"; break }
    between = substr(call, 1, RLENGTH)
    if (between ~ /[A-Za-z]/) joined = joined "\001"
    call = substr(call, RLENGTH + 1)
  }
  return joined
}

function check(file, text, line, before, run)
{
  line = 1
  while (match(text, /(ca_fail|ca_fail_cl|ca_refuse|ca_report_line)\(/)) {
    before = substr(text, 1, RSTART - 1)
    line += gsub(/\n/, "", before)
    text = substr(text, RSTART + RLENGTH)
    run = longest_run(format_of(text))
    if (length(run) > 2 && !index(tests, run)) print file ":" line ": no test reads \"" run "\""
  }
}
