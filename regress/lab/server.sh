# A lab with the server under test in its hub.  Sourced at the top of the tree
# with the arguments of the program, OUT first; the caller has set: lab, the
# name of the lab unless LAB_NAME says another.  It gets: here, bin, hosts, url,
# srv (the server's folder), sock, versions; of the server that runs: run, key;
# an end of the program that leaves nothing running; and all of lib.sh.  An
# empty derpmap, set after this, is for the server's own relay.

here=$PWD/regress/lab
bin=$(cd "${1:-out}" && pwd) || exit 2
[ $# -eq 0 ] || shift
if [ "$(id -u)" -ne 0 ] || [ ! -c /dev/net/tun ]; then
	echo "skipped: stock clients need root and /dev/net/tun"
	exit 0
fi
export LAB_NAME=${LAB_NAME:-$lab} LAB_DIR=${LAB_DIR:-$(mktemp -d)}
mkdir -p "$LAB_DIR"
chmod 755 "$LAB_DIR"
rm -rf "$LAB_DIR/server" "$LAB_DIR"/server*.log* "$LAB_DIR/derp" \
    "$LAB_DIR"/[0-9]*
"$here/clients" >"$LAB_DIR/clients.log" 2>&1 ||
    { tail -5 "$LAB_DIR/clients.log"; exit 1; }
hosts=$here/hosts
srv=$LAB_DIR/server
sock=$srv/headscaled.sock
url=http://10.99.0.1:8080
key= run=
versions=(1.102.3 1.104.5 1.80.3)
. "$here/lib.sh"

lab_end() {
	"$hosts" down >/dev/null 2>&1
	stop_server
}
trap lab_end EXIT
trap 'exit 1' INT TERM

start_server() { # start_server [EXTRA-CONFIG [FOLDER-OF-PROGRAMS]]
	EXTRA=${1-} O=${2:-$bin} DIR=$srv LISTEN=10.99.0.1:8080 URL=$url \
	    DERPMAP=${derpmap-$LAB_DIR/derp.json} "$hosts" exec hub sh etc/run.sh \
	    >>"$LAB_DIR/server.log" 2>&1 &
	run=$!
	within 20 grep -q -- --auth-key= "$LAB_DIR/server.log" ||
	    { tail -20 "$LAB_DIR/server.log"; return 1; }
	key=$(grep -o -- '--auth-key=[^ ]*' "$LAB_DIR/server.log" | tail -1 |
	    cut -d= -f2)
}
stop_server() {
	[ -n "$run" ] || return 0
	kill -TERM "$(cat "$srv/headscaled.pid" 2>/dev/null)" 2>/dev/null
	wait "$run" 2>/dev/null
	run=
	mv -f "$LAB_DIR/server.log" "$LAB_DIR/server.log.old"
}
lab_up() { # lab_up HOSTS [EXTRA-CONFIG]: switch, relay, server
	"$hosts" down >/dev/null 2>&1
	"$hosts" up "$1" && "$hosts" derp && start_server "${2-}" || exit 1
}

# Its clients and its administrator.
killed() { # killed K: its client, with SIGKILL; its state stays
	kill -9 "$(cat "$LAB_DIR/$1/pid")"
	rm -f "$LAB_DIR/$1/pid"
}
ctl() { "$bin/headscalectl" -s "$sock" "$@"; }
user_key() { ctl keys create --user "$1" --reusable | tail -1; }
tag_key() { ctl keys create --tags "$1" --reusable | tail -1; }
node_id() { ctl -j nodes list | jq -r --arg n "$1" '.[] | select(.name == $n) | .id'; }
connections() { # connections K: of host K to the server, its local ends
	"$hosts" exec "$1" ss -Htn state established dst 10.99.0.1:8080 |
	    awk '{ print $3 }' | sort | tr '\n' ' '
}

now() { echo "$EPOCHREALTIME"; }
since() { awk "BEGIN { printf \"%.2f\", $EPOCHREALTIME - $1 }"; }
before() { awk "BEGIN { exit !($1 < $2) }"; }
