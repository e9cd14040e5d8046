#!/bin/bash
# A rogue worker among the real daemons: regress/bin/rogue in the place of
# headscaled-worker.  Prints "ok NAME" or "FAIL NAME: why" for each attack.
#
#	rogue.sh OUT [all]
#
# Without "all" one attack of each kind is made; each that costs the double
# its life costs about a second.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
. regress/scenario/lib.sh
begin
programs
cp "$bin/headscaled-worker" "$bin/headscaled-worker.real"
cp "$out/b/rogue" "$bin/headscaled-worker"
: >"$bin/rogue.log"
[ "${2-}" != all ] || touch "$bin/rogue.all"
undo() { cp "$bin/rogue.log" "$t/double.log"; }
workers=3
config "$t/state"
fail() { echo "FAIL rogue: $1"; tail -20 "$log"; exit 1; }

serve >/dev/null 2>&1 || fail "the server does not start"
ctl users add ann >/dev/null || fail "no user"
# role pid of everything but the double
others() {
	ctl -j status | tr '{' '\n' | grep -o '"[a-z_]*": *[^,}]*' |
	    tr -d '" ' | awk -F: '
	$1 == "role" { role = $2 }
	$1 == "slot" { slot = $2 }
	$1 == "pid" { pid = $2 }
	$1 == "generation" { gen = $2 }
	$1 == "sessions" { if (!(role == "worker" && slot == 2))
	    print role, slot, pid }'
}
before=$(others)
[ "$(echo "$before" | wc -l)" -ge 5 ] || fail "status shows too little"
umask 077
ctl keys create --user ann --reusable --expires 1h | tail -1 >"$bin/k"
mv "$bin/k" "$bin/rogue.key"
ctl keys create --user ann --expires 1h | tail -1 >"$bin/k"
mv "$bin/k" "$bin/rogue.once"

last=
quiet=0
until grep -q '^done' "$bin/rogue.log" 2>/dev/null; do
	sleep 1
	kill -0 $pid 2>/dev/null || fail "the server died"
	now=$(cksum <"$bin/rogue.log")
	quiet=$((quiet + 1))
	[ "$now" = "$last" ] || quiet=0
	last=$now
	[ $quiet -lt 60 ] || fail "nothing happens any more"
done
grep -E '^(ok|FAIL)' "$bin/rogue.log"

# keyd, dbd, the victim's worker and the real one are who they were.
after=$(others)
if [ "$before" = "$after" ]; then
	echo "ok nobody else was killed"
else
	echo "FAIL others: somebody else was killed"
	diff <(echo "$before") <(echo "$after")
fi
deaths=$(grep -c 'worker 2 is killed' "$log")
due=$(($(grep -c '^begin' "$bin/rogue.log") - $(grep -c '^spared' "$bin/rogue.log")))
if [ "$deaths" -eq "$due" ]; then
	echo "ok each offence cost a life ($deaths)"
else
	echo "FAIL deaths: $deaths of $due"
fi
# and the real worker serves
if command -v curl >/dev/null; then
	curl -fsS -m 10 "http://127.0.0.1:$port/key?v=131" >/dev/null &&
	    echo "ok the real worker serves" || echo "FAIL /key"
fi
! grep -q '^FAIL' "$bin/rogue.log" && [ "$before" = "$after" ] &&
    [ "$deaths" -eq "$due" ]
