#!/bin/bash
# A rogue worker among the real daemons: regress/bin/rogue in the place of
# headscaled-worker.  Prints "ok NAME" or "FAIL NAME: why" for each attack.
#
#	rogue.sh OUT [all]
#
# Without "all" one attack of each kind is made; each that costs the double
# its life costs about a second.
set -u
out=$(cd "${1:?usage: rogue.sh OUT [all]}" && pwd)
t=$(mktemp -d)
chmod 755 "$t"
bin=$t/bin
mkdir "$bin" "$t/state" "$t/empty"
chmod 555 "$t/empty"
cp "$out"/headscaled "$out"/headscaled-keyd "$out"/headscaled-dbd "$out"/headscaled-policyc \
    "$out"/headscalectl "$bin"
cp "$out/b/rogue" "$bin/headscaled-worker"
cp "$out/headscaled-worker" "$bin/headscaled-worker.real"
: >"$bin/rogue.log"
[ "${2-}" != all ] || touch "$bin/rogue.all"
sock=$t/s
port=$((20000 + $$ % 20000))
cat >"$t/conf" <<CONF
server_url = "http://127.0.0.1:$port"
state_dir = "$t/state"
run_dir = "$t"
control_socket = "$sock"
pid_file = "$t/pid"
chroot = "$t/empty"
libexec_dir = "$bin"
workers = 3
listen "main" {
	address = "127.0.0.1"
	port = $port
}
CONF
"$bin/headscaled" -d -f "$t/conf" >"$t/log" 2>&1 &
pid=$!
trap 'kill -TERM $pid 2>/dev/null; wait $pid 2>/dev/null; rm -rf "$t"' EXIT
trap 'exit 1' INT TERM
ctl() { "$bin/headscalectl" -s "$sock" "$@"; }
fail() { echo "FAIL rogue: $1"; tail -20 "$t/log"; exit 1; }

for _ in $(seq 200); do
	ctl status >/dev/null 2>&1 && break
	kill -0 $pid 2>/dev/null || fail "the server does not start"
	sleep 0.1
done
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
deaths=$(grep -c 'worker 2 is killed' "$t/log")
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
[ -z "${KEEP-}" ] || cp "$t/log" "$bin/rogue.log" "$KEEP"
! grep -q '^FAIL' "$bin/rogue.log" && [ "$before" = "$after" ] &&
    [ "$deaths" -eq "$due" ]
