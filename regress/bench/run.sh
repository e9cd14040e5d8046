#!/bin/bash
# The numbers of the project, against a server of this build on loopback, with
# the swarm on the same cores.  Prints the table; regress/bench/README keeps a
# copy with the machine it was taken on.
#
#	run.sh OUT [N ...]	growth at these sizes (default 100 300 1000 3000)
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
bin=$(cd "${1:-out}" && pwd)
shift
sizes=${*:-100 300 1000 3000}
swarm=${LAB_CACHE:-$HOME/.cache/headscaled-lab}/swarm
[ -x "$swarm" ] || regress/lab/clients || exit 1
dir=$(mktemp -d)
chmod 755 "$dir"
port=${PORT:-18470}
url=http://127.0.0.1:$port
sock=$dir/s/headscaled.sock
export SWARM_PIDFILE=$dir/s/headscaled.pid
ulimit -n "$(ulimit -Hn)"
pid=
trap 'stop; rm -rf "$dir"' EXIT

start() {
	O=$bin DIR=$dir/s LISTEN=127.0.0.1:$port URL=$url DERPMAP='' EXTRA=${EXTRA-} \
	    sh etc/run.sh >"$dir/log" 2>&1 &
	run=$!
	for _ in $(seq 1 200); do
		grep -q -- --auth-key "$dir/log" && break
		kill -0 $run 2>/dev/null || { cat "$dir/log"; exit 1; }
		sleep 0.05
	done
	key=$(grep -o -- '--auth-key=[^ ]*' "$dir/log" | cut -d= -f2)
	pid=$(cat "$SWARM_PIDFILE")
}
stop() {
	local p
	[ -n "$pid" ] || return 0
	p=$(cat "$SWARM_PIDFILE")
	kill "$p" 2>/dev/null
	[ -z "${run-}" ] || wait "$run" 2>/dev/null
	while kill -0 "$p" 2>/dev/null; do sleep 0.05; done
	pid= run=
	rm -rf "$dir/s"
}
one() { # one N STEP ...: a fresh server, JSON lines to $dir/json
	local n=$1 watch
	shift
	start
	: >"$dir/streams"
	while sleep 0.5; do
		"$bin/headscalectl" -s "$sock" -j status 2>/dev/null |
		    jq -c '[.processes[] | select(.role=="worker") | .streams] | [add, .]' >>"$dir/streams"
	done &
	watch=$!
	"$swarm" -url "$url" -key "$key" -n "$n" -pid "$pid" \
	    -restart "bash $PWD/regress/bench/restart.sh $bin $dir/s" "$@" \
	    >"$dir/json" 2>"$dir/err" || { echo "swarm failed:"; tail -20 "$dir/err"; rc=1; }
	kill $watch
	wait $watch 2>/dev/null
}
get() { # get STEP FIELD
	jq -r "select(.step == \"$1\") | .$2" "$dir/json" | head -1
}
pss() { # of the server and its children, MB
	local p sum=0 k
	for p in $pid $(pgrep -P "$pid"); do
		k=$(awk '/^Pss:/{print $2}' "/proc/$p/smaps_rollup")
		sum=$((sum + k))
	done
	awk "BEGIN{printf \"%.1f\", $sum/1024}"
}
row() { printf '| %s | %s |\n' "$1" "$2"; }
rc=0

start
sleep 2
row "memory (PSS) idle" "$(pss) MB"
stop
one 1 -sample 1 join register:4000
row "calibration" "$(get join calibration_us) us"
row "registrations, 100 in flight" "$(get register:4000 registrations_per_s)/s, server CPU $(get register:4000 server_cpu_s) s for 4000"
stop
one 1000 join update:10 update:40:50ms noop:5
row "join 1,000: quiet, server CPU, killed" "$(get join quiet_s) s, $(get join server_cpu_s) CPU-s, $(get join killed)"
row "one endpoint update: last delivery p50 / max, CPU each" "$(get update:10 last_delivery_p50_s) / $(get update:10 last_delivery_max_s) s, $(get update:10 server_cpu_per_update_ms) ms"
row "updates 50 ms apart: last delivery p50, CPU each" "$(get update:40:50ms last_delivery_p50_s) s, $(get update:40:50ms server_cpu_per_update_ms) ms"
row "identical MapRequest again: messages to others" "$(get noop:5 messages_per_noop)"
row "memory (PSS), 1,000 streams (at the end of the steps)" "$(jq -r 'select(.step=="noop:5") | .server_pss_mb' "$dir/json")"
row "streams per worker" "$(sort -n -t[ -k2 "$dir/streams" | tail -1)"
stop
one 1000 join restart
row "restart (SIGKILL), 1,000 nodes: first maps, quiet" "$(get restart all_first_maps_s) s, $(get restart quiet_s) s"
stop
echo
echo "| nodes | join quiet s | join CPU-s | update last p50 s | update CPU ms | burst quiet s |"
echo "|---|---|---|---|---|---|"
for n in $sizes; do
	one "$n" join update:10 burst:20
	echo "| $n | $(get join quiet_s) | $(get join server_cpu_s) | $(get update:10 last_delivery_p50_s) | $(get update:10 server_cpu_per_update_ms) | $(get burst:20 quiet_s) |"
	stop
done
exit $rc
