#!/bin/bash
# Stock clients of three versions against this build: the acceptance test
# meet, then one scenario after the other.  Lines "ok" and "FAIL".
#
#	all.sh OUT [SCENARIO ...]
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
here=$PWD/regress/lab
bin=$(cd "${1:-out}" && pwd)
shift
export LAB_NAME=${LAB_NAME:-hsall} LAB_DIR=${LAB_DIR:-$(mktemp -d)}
hosts=$here/hosts
if [ "$(id -u)" -ne 0 ] || [ ! -c /dev/net/tun ]; then
	echo "skipped: stock clients need root and /dev/net/tun"
	exit 0
fi
"$here/clients" >"$LAB_DIR/clients.log" 2>&1 ||
    { tail -5 "$LAB_DIR/clients.log"; exit 1; }
chmod 755 "$LAB_DIR"
srv=$LAB_DIR/server
sock=$srv/headscaled.sock
url=http://10.99.0.1:8080
key=
versions=(1.102.3 1.104.5 1.80.3)
. "$here/lib.sh"
trap '"$hosts" down >/dev/null 2>&1; stop_server' EXIT

start_server() { # start_server [EXTRA-CONFIG]
	EXTRA=${1-} O=$bin DIR=$srv LISTEN=10.99.0.1:8080 URL=$url \
	    DERPMAP=$LAB_DIR/derp.json "$hosts" exec hub sh etc/run.sh \
	    >>"$LAB_DIR/server.log" 2>&1 &
	run=$!
	within 20 grep -q -- --auth-key= "$LAB_DIR/server.log" ||
	    { tail -20 "$LAB_DIR/server.log"; return 1; }
	key=$(grep -o -- '--auth-key=[^ ]*' "$LAB_DIR/server.log" | tail -1 | cut -d= -f2)
}
stop_server() {
	[ -z "${run-}" ] && return
	kill -TERM "$(cat "$srv/headscaled.pid" 2>/dev/null)" 2>/dev/null
	wait "$run" 2>/dev/null
	run=
	rm -f "$LAB_DIR/server.log"
}
fresh() { # fresh HOST [VERSION]: without what it was before
	"$hosts" stop "$1"
	rm -f "$LAB_DIR/$1/tailscaled.state"
	"$hosts" start "$1" "${2:-1.102.3}"
}
up() { # up HOST KEY [ARG ...]
	local k=$1 a=$2
	shift 2
	"$hosts" join "$k" --login-server="$url" --auth-key="$a" --reset "$@"
}
new_key() { ctl keys create --user admin "$@" | tail -1; }
seen() { [ "$(peer "$1" "$2" Online)" = "$3" ]; }
named() { case $(peer "$1" "$2" DNSName) in "$3".*) return 0 ;; *) return 1 ;; esac; }
gone() { [ "$(state "$1" | jq --arg n "$2" '[.Peer[]? | select(.HostName == $n)] | length')" -eq 0 ]; }
in_state() { [ "$(state "$1" | jq -r .BackendState)" = "$2" ]; }

s_meet() {
	"$here/meet" "$url" "$key" 3 || failed=$((failed + 0))
}
s_rename() {
	check "rename: asked of dbd" ctl nodes rename h2 renamed
	check "rename: the peer sees it" within 10 named 1 h2 renamed
	check "rename: the node itself too" within 10 is renamed.tailnet.internal. self 2 DNSName
}
s_expiry() {
	check "expiry: key of host 3 expires" ctl -y nodes expire h3
	check "expiry: client 3 must log in" within 15 in_state 3 NeedsLogin
	check "expiry: host 1 sees it as expired" within 15 is true peer 1 h3 Expired
	check "expiry: taken back" ctl -y nodes expire h3 never
	check "expiry: client 3 runs again without a login" within 20 running 3
	check "expiry: ... and is reached" within 30 icmp 1 3 4
}
s_ephemeral() {
	local k
	k=$(new_key --ephemeral --reusable)
	fresh 4
	check "ephemeral: host 4 joins" up 4 "$k"
	check "ephemeral: host 1 sees it" within 10 seen 1 h4 true
	kill -9 "$(cat "$LAB_DIR/4/pid")"
	rm -f "$LAB_DIR/4/pid"
	check "ephemeral: killed, it vanishes" within 30 gone 1 h4
}
s_tagged() {
	local k
	k=$(ctl keys create --tags tag:server --reusable | tail -1)
	fresh 5
	check "tagged: host 5 joins" up 5 "$k"
	check "tagged: has its tag" within 10 is tag:server self 5 'Tags[0]'
	check "tagged: host 1 sees the tag" within 10 is tag:server peer 1 h5 'Tags[0]'
	check "tagged: it does not expire" is null self 5 KeyExpiry
}
s_single() {
	local k said
	k=$(new_key)
	fresh 6
	fresh 7
	check "single use: the first joins" up 6 "$k"
	said=$("$hosts" ts 7 up --login-server="$url" --auth-key="$k" \
	    --hostname=h7 --timeout=8s 2>&1)
	check "single use: the second is refused, and told why" \
	    grep -q 'auth key already used' <<<"$said"
	check "single use: it is not Running" is 1 eval 'running 7; echo $?'
}
s_collision() {
	fresh 8
	fresh 9
	"$hosts" ts 8 up --login-server="$url" --auth-key="$key" --hostname=same --timeout=60s
	"$hosts" ts 9 up --login-server="$url" --auth-key="$key" --hostname=same --timeout=60s
	check "collision: two names" test "$(self 8 DNSName)" != "$(self 9 DNSName)"
	check "collision: the second has a suffix" is same-1.tailnet.internal. self 9 DNSName
}
s_twelve() {
	local k pids=
	for k in $(seq 1 12); do
		fresh "$k" "${versions[$((k % 3))]}"
	done
	for k in $(seq 1 12); do
		up "$k" "$key" >/dev/null 2>&1 &
		pids="$pids $!"
	done
	check "12 at once: all join" wait $pids
	for k in $(seq 1 12); do
		check "12 at once: host $k sees 11" within 20 peers "$k" 11
	done
	check "12 at once: 1 reaches 12" within 20 icmp 1 12 4
}
s_restart() {
	local log=$LAB_DIR/ping.log before k
	before=$(addr 2 4)
	"$hosts" exec 1 ping -n -i 0.2 -w 30 "$before" >"$log" 2>&1 &
	local ping=$!
	(for _ in $(seq 1 120); do
		state 1 | jq '[.Peer[]? | select(.Online)] | length'
		sleep 0.2
	done) >"$LAB_DIR/online.log" &
	local watch=$!
	sleep 1
	kill -9 "$(cat "$srv/headscaled.pid")"
	wait "$run" 2>/dev/null
	"$hosts" exec hub "$bin/headscaled" -d -f "$srv/headscaled.conf" \
	    >>"$LAB_DIR/server2.log" 2>&1 &
	run=$!
	wait $ping $watch
	check "restart: the tunnel lost nothing" grep -q ' 0% packet loss' "$log"
	check "restart: no wave of offline" test "$(sort -n "$LAB_DIR/online.log" | head -1)" = "$(sort -n "$LAB_DIR/online.log" | tail -1)"
	for k in 1 2 3; do
		check "restart: client $k is Running, no login" within 20 running "$k"
	done
	check "restart: its address is the same" is "$before" addr 2 4
	ctl nodes rename h3 after-restart
	check "restart: changes flow again" within 40 named 1 h3 after-restart
}
s_reload() {
	echo 'listen "second" { address = "10.99.0.1" port = 8081 }' \
	    >>"$srv/headscaled.conf"
	check "reload: taken" ctl reload
	fresh 10
	check "reload: a client joins by the new address" "$hosts" join 10 \
	    --login-server=http://10.99.0.1:8081 --auth-key="$key"
	echo 'listen "third" {' >>"$srv/headscaled.conf"
	check "reload: a bad file is refused" is 1 eval 'ctl reload >/dev/null 2>&1; echo $?'
	check "reload: ... and nobody noticed" running 10
	sed -i '/third/d' "$srv/headscaled.conf"
}

[ $# -gt 0 ] || set -- meet rename expiry ephemeral tagged single collision reload restart twelve
"$hosts" up 12 && "$hosts" derp || exit 1
start_server 'timeouts { ephemeral = "5s" grace = "3s" }' || exit 1
case " $* " in
*" meet "*) ;;
*)	for k in 1 2 3; do
		"$hosts" start "$k" "${versions[$((k - 1))]}"
		up "$k" "$key"
	done ;;
esac
for s; do
	"s_$s"
done
[ "$failed" -eq 0 ]
