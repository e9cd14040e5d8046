# Shared by the benches: a server of this build on loopback, the swarm on the
# same cores, what it measured.  Sourced at the top of the tree with the
# arguments of the bench, OUT [N ...]; the caller has set: port.  It gets: bin,
# sizes, swarm, dir, url, sock; of the server that runs: run, pid, key; rc and
# cal for what is judged.

bin=$(cd "${1:-out}" && pwd) || exit 2
[ $# -eq 0 ] || shift
sizes=${*:-100 300 1000 3000}
swarm=${LAB_CACHE:-$HOME/.cache/headscaled-lab}/swarm
[ -x "$swarm" ] || regress/lab/clients || exit 1
dir=$(mktemp -d) || exit 1
chmod 755 "$dir"
url=http://127.0.0.1:$port
sock=$dir/s/headscaled.sock
export SWARM_PIDFILE=$dir/s/headscaled.pid
ulimit -n "$(ulimit -Hn)"
pid= run= key= rc=0 cal=120
trap 'stop; rm -rf "$dir"' EXIT

ctl() { "$bin/headscalectl" -s "$sock" "$@"; }
serve() { # serve [EXTRA-CONFIG]: a fresh server
	O=$bin DIR=$dir/s LISTEN=127.0.0.1:$port URL=$url DERPMAP='' \
	    EXTRA=${1-} sh etc/run.sh >"$dir/log" 2>&1 &
	run=$!
	for _ in $(seq 1 200); do
		grep -q -- --auth-key "$dir/log" && break
		kill -0 $run 2>/dev/null || { cat "$dir/log"; exit 1; }
		sleep 0.05
	done
	key=$(grep -o -- '--auth-key=[^ ]*' "$dir/log" | cut -d= -f2)
	pid=$(cat "$SWARM_PIDFILE")
}
stop() { # the server and all it kept
	local p
	[ -n "$pid" ] || return 0
	p=$(cat "$SWARM_PIDFILE")
	kill "$p" 2>/dev/null
	wait "$run" 2>/dev/null
	while kill -0 "$p" 2>/dev/null; do sleep 0.05; done
	pid= run=
	rm -rf "$dir/s"
}
play() { # play ARG ...: one JSON object a step in $dir/json
	"$swarm" -url "$url" -pid "$pid" "$@" >"$dir/json" 2>"$dir/err" ||
	    { echo "swarm failed:"; tail -20 "$dir/err"; rc=1; }
}
get() { # get STEP FIELD [FACTOR]
	jq -r "select(.step == \"$1\") | .$2 * ${3:-1} * 100 | round / 100" \
	    "$dir/json" | head -1
}
