# The server under test, in the hub of the lab.  The caller has set: here, bin,
# hosts, url, srv (its folder), sock; it gets: run, key.

start_server() { # start_server [EXTRA-CONFIG [FOLDER-OF-PROGRAMS]]
	EXTRA=${1-} O=${2:-$bin} DIR=$srv LISTEN=10.99.0.1:8080 URL=$url \
	    DERPMAP=$LAB_DIR/derp.json "$hosts" exec hub sh etc/run.sh \
	    >>"$LAB_DIR/server.log" 2>&1 &
	run=$!
	within 20 grep -q -- --auth-key= "$LAB_DIR/server.log" ||
	    { tail -20 "$LAB_DIR/server.log"; return 1; }
	key=$(grep -o -- '--auth-key=[^ ]*' "$LAB_DIR/server.log" | tail -1 |
	    cut -d= -f2)
}
stop_server() {
	[ -n "${run-}" ] || return 0
	kill -TERM "$(cat "$srv/headscaled.pid" 2>/dev/null)" 2>/dev/null
	wait "$run" 2>/dev/null
	run=
	mv -f "$LAB_DIR/server.log" "$LAB_DIR/server.log.old"
}
