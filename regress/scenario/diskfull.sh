#!/bin/bash
# The disk of the database is full: who is connected stays so, who registers
# waits, the log says why, nobody spins; and all goes on when there is room.
# One "ok" or "FAIL" line a check.
#
#	diskfull.sh OUT
#
# Needs root, for a small file system in a mount namespace of its own.
set -uo pipefail
out=$(cd "${1:?usage: diskfull.sh OUT}" && pwd) || exit 2
if [ "${2-}" != inside ]; then
	[ "$(id -u)" = 0 ] || { echo "skipped: diskfull: needs root"; exit 0; }
	unshare -m true 2>/dev/null ||
	    { echo "skipped: diskfull: no mount namespaces here"; exit 0; }
	exec unshare -m --propagation private bash "$0" "$out" inside
fi
rc=0
t=$(mktemp -d)
chmod 755 "$t"
mkdir "$t/disk" "$t/bin" "$t/empty"
chmod 555 "$t/empty"
cp "$out"/headscaled "$out"/headscaled-worker "$out"/headscaled-keyd \
    "$out"/headscaled-dbd "$out"/headscaled-policyc "$out"/headscalectl "$out/b/joiner" "$t/bin" ||
    exit 2
disk=$t/disk
mount -t tmpfs -o size=4m,mode=755 tmpfs "$disk" ||
    { echo "skipped: diskfull: no tmpfs can be mounted"; exit 0; }
mkdir "$disk/state"
port=$((20000 + RANDOM % 12000))
cat >"$t/conf" <<CONF
server_url = "http://127.0.0.1:$port"
state_dir = "$disk/state"
run_dir = "$t"
control_socket = "$t/s"
pid_file = "$t/pid"
chroot = "$t/empty"
libexec_dir = "$t/bin"
workers = 2
timeouts {
	keepalive = 5
}
listen "main" {
	address = "127.0.0.1"
	port = $port
}
CONF
pid= nodes=()
finish() {
	local n
	for n in "${nodes[@]}"; do kill "$n" 2>/dev/null; done
	[ -z "$pid" ] || { kill -TERM "$pid"; wait "$pid"; } 2>/dev/null
	[ -z "${KEEP-}" ] || cp "$t/log" "$KEEP"
	umount -l "$disk"
	rm -rf "$t"
}
trap finish EXIT
trap 'exit 1' INT TERM

ok() { # ok TEXT COMMAND ...
	local text=$1
	shift
	if "$@" >"$t/said" 2>&1; then
		echo "ok diskfull: $text"
	else
		echo "FAIL diskfull: $text"
		tail -5 "$t/said" | sed 's/^/      /'
		tail -12 "$t/log" | sed 's/^/      log: /'
		rc=1
	fi
}
within() { # within TENTHS COMMAND ...: retry until it succeeds
	local n=$1
	shift
	until "$@" >/dev/null 2>&1; do
		n=$((n - 1))
		[ $n -gt 0 ] || { "$@"; return; }
		sleep 0.1
	done
}
ctl() { "$t/bin/headscalectl" -s "$t/s" "$@"; }
get() {
	exec 5<>"/dev/tcp/127.0.0.1/$port" || return 1
	printf 'GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n' "$1" >&5
	timeout 3 cat <&5
	exec 5>&-
}
start() {
	"$t/bin/headscaled" -d -f "$t/conf" >>"$t/log" 2>&1 &
	pid=$!
	within 100 ctl status
}
join() { # join NAME
	"$t/bin/joiner" "$port" "$server" "$key" "$1" >"$t/$1.out" 2>&1 &
	nodes+=($!)
}
has() { grep -q "^$2" "$t/$1.out"; }
count() { grep -c "^$2" "$t/$1.out"; }
at_least() { [ "$("${@:2}")" -ge "$1" ]; }
child() {
	ps --ppid "$pid" -o pid=,args= | awk -v n="headscaled-$1:" '
	    $2 == n { print $1 }'
}
full() { ! dd if=/dev/zero of="$disk/fill" bs=4096 conv=notrunc \
    oflag=append 2>/dev/null; }
listed() { # all that were told that they are registered
	local n
	ctl nodes list >"$t/list" || return 1
	for n in "$@"; do
		! has "$n" registered || grep -qw "$n" "$t/list" ||
		    { echo "$n was acknowledged and is not there"; return 1; }
	done
}
all_in() {
	local n
	for n in "$@"; do
		has "$n" map || { echo "$n: $(tail -1 "$t/$n.out")"; return 1; }
	done
}

ok "starts" start
ctl users add ann >/dev/null
key=$(ctl keys create --user ann --reusable --expires 1h | tail -1)
server=$(get '/key?v=131' | grep -o 'publicKey":"mkey:[0-9a-f]*' | cut -d: -f3)
join first
ok "a node joins" within 50 has first map
workers=$(child worker)

ok "the disk is filled" full
deaths() { grep -c 'dbd died' "$t/log"; }
waiting=(w1 w2 w3 w4)
for n in "${waiting[@]}"; do join "$n"; done
ok "the log says why" within 100 grep -q \
    'store: the file system of .* is full: nothing is accepted' "$t/log"
before=$(deaths) alive=$(count first keepalive)
sleep 12
after=$(deaths)
ok "dbd does not spin ($((after - before)) starts in 12 s)" \
    test $((after - before)) -le 16
ok "its deaths are logged" grep -q 'dbd died.*starts again in' "$t/log"
ok "the stream lives" within 50 at_least $((alive + 1)) count first keepalive
ok "no worker died" test "$workers" = "$(child worker)"
ok "/key is served" eval "get '/key?v=131' | grep -q publicKey"
silent() { ! grep -l '^refused\|^gone' "$t"/*.out; }
ok "nobody is refused: they wait" silent
ok "not all are registered" eval '! all_in "${waiting[@]}"'

rm "$disk/fill"
ok "with room again all are registered" within 700 all_in "${waiting[@]}"
sees() { has first "change.*w1" && has first "change.*w4"; }
ok "the first one sees them" within 50 sees
ok "all that were acknowledged are there" within 50 listed first "${waiting[@]}"
ok "and the others learned it in the same streams" silent
stop() {
	kill -TERM "$pid"
	wait "$pid"
	pid=
}
ok "the disk is filled again" full
stop
refuses() {
	timeout 20 "$t/bin/headscaled" -d -f "$t/conf" >"$t/cold" 2>&1
	[ $? -eq 1 ] && grep 'database or disk is full' "$t/cold" ||
	    { cat "$t/cold"; return 1; }
}
ok "a cold start ends and says why" refuses
rm "$disk/fill"
ok "starts again" start
ok "nothing is lost" listed first "${waiting[@]}"
exit $rc
