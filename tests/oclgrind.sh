#!/bin/sh
# Runs a test program under Oclgrind and fails where it reports anything: races, reads of what nobody wrote, accesses out
# of bounds. Oclgrind's own exit status stays 0 after a finding, so the log decides.
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
CLATTN_TEST_KEEP_BUFFERS=1 \
  oclgrind --data-races --uninitialized --log "$log" "$@"
status=$?
if [ -s "$log" ]; then
  echo "Oclgrind reports:" >&2
  head -c 20000 "$log" >&2
  exit 1
fi
exit $status
