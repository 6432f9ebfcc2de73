# awk -f arrows.awk host/README.md FILE...: every #include against the table of host/README.md.

# room_of(path): the longest row of the table that the path lies under.
function room_of(path, room, best)
{
  best = ""
  for (room in row)
    if ((path == room || index(path, room "/") == 1) && length(room) > length(best))
      best = room
  return best
}

# target_of(name): what the table calls the thing that is included.
function target_of(name, base, path)
{
  base = name
  sub(/.*\//, "", base)
  if (name ~ /^(CL|OpenCL)\//) return "CL"
  if (name ~ /^clblast/) return "CLBlast"
  if (name ~ /^cjson\//) return "cJSON"
  if (name == "cmocka.h") return "cmocka"
  if (name == "png.h") return "libpng"
  if (name ~ /^librsvg\//) return "librsvg"
  if (name ~ /^(assert|complex|ctype|errno|fenv|float|inttypes|iso646|limits|locale|math|setjmp|signal|stdalign|stdarg|stdatomic|stdbool|stddef|stdint|stdio|stdlib|stdnoreturn|string|tgmath|threads|time|uchar|wchar|wctype)\.h$/)
    return "libc"
  if (name ~ /^(unistd|dirent|fcntl|pthread|dlfcn|getopt|poll|sched|strings|termios|windows|direct|io|process|sys\/[a-z]+)\.h$/)
    return "system"
  if (name ~ /^clattn\//) return "include"
  if (!(base in home)) return "?"
  path = home[base]
  if (base == "ca_shared.h") return "ca_shared.h"
  if (path ~ /^kernels\/.*\.def$/) return "tables"
  return room_of(path)
}

FNR == NR {
  if ($0 ~ /^\| `/) {
    split($0, cell, "|")
    room = cell[2]
    gsub(/[` ]/, "", room)
    row[room] = 1
    n = split(cell[5], word, "`")
    for (i = 2; i <= n; i += 2) may[room, word[i]] = 1
  }
  if (!listed) {
    # The files' homes have to be known before the first include is judged.
    for (i = 2; i < ARGC; i++) {
      base = ARGV[i]
      sub(/.*\//, "", base)
      home[base] = ARGV[i]
    }
    listed = 1
  }
  next
}

/^[ \t]*#[ \t]*include[ \t]*["<]/ {
  name = $0
  sub(/^[^"<]*["<]/, "", name)
  sub(/[">].*/, "", name)
  room = room_of(FILENAME)
  target = target_of(name)
  if (room == "") print FILENAME ":" FNR ": lies in no room of the table"
  else if (target == "?") print FILENAME ":" FNR ": includes " name ", which no room has"
  else if (target == "libc" || target == room) next
  else if (room == "kernels" && (target == "ca_shared.h" || target == "tables")) next
  else if (!((room, target) in may)) print FILENAME ":" FNR ": " room " may not include " name " (" target ")"
}
