#!/bin/bash
# What a newcomer does: `make run` in a host without a network, twice, each
# time ended by Ctrl-C as a terminal sends it, to the whole group.
#
#	run.sh OUT
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
. regress/scenario/lib.sh
[ "$(id -u)" = 0 ] || { echo "skipped: no namespace without root"; exit 0; }
begin
dir=$t/run said=$t/out make=${MAKE:-make} line=
port=$(spare)

alone() { # alone COMMAND ...: in a host that has but loopback
	unshare -n sh -c 'ip link set lo up; exec "$@"' - "$@"
}
begin_run() {
	: >"$said"
	alone setsid -w "$make" O="$out" run DIR="$dir" \
	    LISTEN="127.0.0.1:$port" >"$said" 2>&1 &
	maker=$!
	within 600 grep -q "tailscale up" "$said"
}
ctl() { # the socket is a file: any namespace reaches it
	"$out/headscalectl" -s "$dir/headscaled.sock" "$@"
}
interrupt() { # Ctrl-C; how it ended is in $ended, after $ms
	local t0 group
	pid=$(cat "$dir/headscaled.pid")
	group=$(ps -o pgid= -p "$pid" | tr -d ' ')
	t0=$(date +%s%N)
	kill -INT -- "-$group"
	wait "$maker"
	ended=$?
	ms=$((($(date +%s%N) - t0) / 1000000))
	! alive "$pid"
}
prompt() { echo "exit $ended after $ms ms"; [ "$ms" -le 2500 ]; }
exact() { # exact: the line, with the key that the server knows
	line=$(grep "tailscale up" "$said")
	[[ $line =~ ^\ *tailscale\ up\ --login-server=http://127.0.0.1:$port\ --auth-key=(hskey-auth-[0-9a-f]+-[0-9a-f]+)$ ]]
}
one_user() { [ "$(ctl -j users list | jq length)" = 1 ]; }
keys() { # keys N: reusable ones that live for a day
	[ "$(ctl -j keys list | jq '[.[] | select(.reusable and
	    ((.expires | fromdateiso8601) - now | . > 85000 and . < 86500))] |
	    length')" = "$1" ]
}

ok "make deps without a network has nothing to do" \
    [ -z "$(alone "$make" -s O="$out" deps 2>&1)" ]
log=$said
ok "make run without a network" begin_run
[ $rc = 0 ] || exit 1
ok "prints the line for a client, and nothing but" exact
ok "the key is reusable and lives for a day" keys 1
ok "there is a user" one_user
ok "the pid file" [ -s "$dir/headscaled.pid" ]
ok "the control socket" [ -S "$dir/headscaled.sock" ]
old=$line
ok "a second one in the same folder says who is there" sh -c \
    "unshare -n \"$make\" O='$out' run DIR='$dir' LISTEN=127.0.0.1:$port 2>&1 |
    grep 'already running as pid $(cat "$dir/headscaled.pid")'"
ok "and the first one serves on" ctl status
ok "and was asked for nothing" keys 1
ok "its configuration is the one that it began with" ctl reload
ok "Ctrl-C ends it" interrupt
ok "at once, with what it began" prompt
ok "it does not say that something went wrong" \
    not grep -Ei 'fatal|error|killed|died' "$said"
ok "once more" begin_run
ok "the line" exact
ok "has a key of its own" [ "$line" != "$old" ]
ok "the other is still there" keys 2
ok "the user is the same" one_user
ok "Ctrl-C" interrupt
exit $rc
