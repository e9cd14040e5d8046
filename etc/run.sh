#!/bin/sh
# What `make run` starts: a server in the foreground with all that it has
# under $DIR.  Without a DERPMAP it is a relay, too, which serves /derp on
# LISTEN both in plain and over TLS with a certificate that it made itself, and
# answers STUN on the same host, on UDP port STUN ("off": it does not).  EXTRA
# is appended to the configuration, RELAY to what it says of the relay (tests
# use them).
set -eu
: "${O:=out}" "${DIR:=./run}" "${LISTEN:=127.0.0.1:8080}"
: "${URL:=http://$LISTEN}" "${DERPMAP:=}" "${STUN:=3478}" "${EXTRA:=}"
: "${RELAY:=}"
umask 022
mkdir -p "$DIR" "$DIR/empty"
dir=$(cd "$DIR" && pwd)
bin=$(cd "$O" && pwd)
chmod 755 "$dir"
chmod 555 "$dir/empty"
# One that runs here keeps its configuration: say who it is.
if "$bin/headscalectl" -s "$dir/headscaled.sock" status >/dev/null 2>&1; then
	exec "$bin/headscaled" -d -f "$dir/headscaled.conf"
fi
at=${LISTEN%:*} port=${LISTEN##*:}
[ "$at" != localhost ] || at=127.0.0.1
host=${at#[} host=${host%]}
conf=$dir/headscaled.conf
taken() { # taken PORT: somebody has it, on any address (Linux)
	awk -v p=":$(printf %04X "$1")\$" '$2 ~ p { n = 1 } END { exit !n }' \
	    /proc/net/udp /proc/net/udp6 2>/dev/null
}
tls=false stun=none
if [ -z "$DERPMAP" ]; then
	tls=either
	if [ "$STUN" = off ]; then
		:
	elif taken "$STUN"; then
		echo "UDP port $STUN is taken: no STUN (STUN=PORT names another)"
	else
		stun=$at:$STUN
	fi
fi
{
	cat <<-CONF
	# Written by make run; the next make run writes it again.
	server_url = "$URL"
	state_dir = "$dir"
	run_dir = "$dir"
	control_socket = "$dir/headscaled.sock"
	pid_file = "$dir/headscaled.pid"
	chroot = "$dir/empty"
	listen "main" {
	    address = "$host"
	    port = $port
	    tls = $tls
	}
	CONF
	if [ -n "$DERPMAP" ]; then
		case $DERPMAP in /*) ;; *) DERPMAP=$(pwd)/$DERPMAP ;; esac
		echo "derp { map_file = \"$DERPMAP\" }"
	else
		cat <<-CONF
		# For tests: clients are told not to look at the certificate.
		tls { self_signed = true }
		derp {
		    server {
		        enabled = true
		        region_code = "run"
		        region_name = "make run, for tests only"
		        stun_listen = "$stun"
		        plain = true
		        insecure_for_tests = true
		        $RELAY
		    }
		}
		CONF
	fi
	[ -z "$EXTRA" ] || printf '%s\n' "$EXTRA"
} >"$conf.new"
mv "$conf.new" "$conf"

"$bin/headscaled" -d -f "$conf" &
pid=$!
trap 'kill -TERM $pid 2>/dev/null || :' INT TERM
ctl() { "$bin/headscalectl" -s "$dir/headscaled.sock" "$@"; }
# another one may serve in this folder, and ours end for it
ours() { [ "$(cat "$dir/headscaled.pid" 2>/dev/null)" = $pid ]; }
n=0
until ours && ctl status >/dev/null 2>&1; do
	kill -0 $pid 2>/dev/null || { wait $pid; exit; }
	n=$((n + 1))
	if [ $n -gt 600 ]; then
		echo "the server does not answer on $dir/headscaled.sock" >&2
		kill -TERM $pid
		wait $pid || :
		exit 1
	fi
	sleep 0.05
done
user=$(ctl -j users list | tr ',{' '\n\n' | sed -n 's/.*"name": *"\([^"]*\)".*/\1/p' | head -1)
if [ -z "$user" ]; then
	user=admin
	ctl users add "$user" >/dev/null
fi
key=$(ctl keys create --user "$user" --reusable --expires 24h | tail -1)
echo
echo "serving; to join a client as user $user:"
echo "    tailscale up --login-server=$URL --auth-key=$key"
echo
rc=0
wait $pid || rc=$?
# a trap ends wait: the server is still finishing
while kill -0 $pid 2>/dev/null; do
	wait $pid && rc=0 || rc=$?
done
exit $rc
