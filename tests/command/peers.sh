#!/bin/sh
# tests/command/peers.sh PYTHON CLATTN SCRATCH: bench/peers.py without any peer, which needs Python alone: the table has
# each problem, the times are there, and what is no peer is refused.
set -eu
python=$1 clattn=$2 scratch=$3
peers=$(dirname "$0")/../../bench/peers.py
mkdir -p "$scratch"
rm -f "$scratch"/peers.*
"$python" -B "$peers" --clattn "$clattn" --peers "" --rounds 2 --rest 0 --no-plots --output "$scratch/peers" \
  hq=2,sq=9,dk=16 op=projection,s=3,e=8,h=2,d=4,packed=1
fail()
{
  echo "$1" >&2
  cat "$scratch"/peers.* >&2
  exit 1
}
for problem in hq=2,sq=9,dk=16 op=projection,s=3,e=8,h=2,d=4,packed=1; do
  grep -q "^| \`$problem\` | [0-9.e-]* ms | [0-9]* % of [a-z]* |\$" "$scratch/peers.md" || fail "no row of $problem"
  "$python" -c "
import json, sys
lines = [json.loads(line) for line in open(sys.argv[1])]
line, = [line for line in lines if line['problem'] == sys.argv[2]]
assert line['library'] == 'clattn' and len(line['ms']) == 2 and min(line['ms']) > 0 and line['how']
" "$scratch/peers.jsonl" "$problem" || fail "no times of $problem"
done
if "$python" -B "$peers" --clattn "$clattn" --peers nobody hq=2 2>"$scratch/peers.err"; then
  fail "a peer that is none was taken"
fi
grep -q "no peer: nobody" "$scratch/peers.err" || fail "what is no peer is not named"
