#!/bin/bash
# Policies as stock clients of three versions live them.  Lines "ok", "FAIL".
#
#	policy.sh OUT
#
# Hosts: 1 and 2 are ann's, 3 is bob's, 4 and 5 route 10.77.0.0/24, 6 is the
# web server and an exit node.  Each listens on 8000 and 8001 and says who it
# is; 4 and 5 also on 10.77.0.1, and 6 on 203.0.113.9, which is the Internet.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
lab=hspol
. regress/lab/server.sh
webs=
trap 'lab_end; kill $webs 2>/dev/null' EXIT
net=10.77.0.0/24
# A router that falls silent is found out by what the server writes to it and
# the kernel sees no answer to for USER_TIMEOUT: at the latest a keep-alive,
# which may come 9 s late.  It counts as online for GRACE more.  All in seconds.
keepalive=20 user_timeout=30 grace=10
switch=2	# a router declared offline, clients use the other one
silence=75	# all that: keepalive + 9 + user_timeout + grace + switch, or more

policy() { # policy PORT OF-THE-WEB [MORE MEMBERS]: the policy's text
	local grants=
	[ -z "${may-read}" ] || grants='"grants": [{"src": ["group:dev"],
		"dst": ["tag:web"],
		"app": {"example.com/cap/books": [{"may": "'${may-read}'"}]}}],'
	cat <<-P
	{	// Who may do what in the lab.
	"groups": {"group:dev": ["ann@example.com"]},
	"tagOwners": {"tag:web": [], "tag:router": [], "tag:exit": []},
	"acls": [
		{"action": "accept", "src": ["group:dev"],
		 "dst": ["tag:web:$1"]},
		{"action": "accept", "src": ["autogroup:member"],
		 "dst": ["autogroup:self:*"]},
		{"action": "accept", "src": ["group:dev"],
		 "dst": ["10.77.0.0/24:*", "autogroup:internet:*"]},
	],
	$grants
	"ssh": [{"action": "accept", "src": ["group:dev"],
		"dst": ["tag:web"], "users": ["autogroup:nonroot"]}],
	"autoApprovers": {"routes": {"10.77.0.0/24": ["tag:router"]},
		"exitNode": ["tag:exit"]}${2-}
	}
	P
}
web() { # web K ADDRESS: serves "hK" on both ports until the end
	"$hosts" exec "$1" python3 -c '
import http.server, socketserver, sys, threading
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(sys.argv[1].encode())
    def log_message(self, *a):
        pass
class S(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
for port in (8000, 8001):
    s = S((sys.argv[2], port), H)
    threading.Thread(target=s.serve_forever).start()
' "h$1" "$2" >/dev/null 2>&1 &
	webs="$webs $!"
}
get() { # get K URL [SECONDS]: what the page says
	"$hosts" exec "$1" curl -sS -m "${3:-3}" "http://$2/" 2>/dev/null
}
gets() { is "$2" get "$1" "$3" "${4-}"; }	# gets K WANTED URL [SECONDS]
never() { # never SECONDS COMMAND ...: fails all the time
	local end=$((SECONDS + $1))
	shift
	while [ $SECONDS -lt $end ]; do
		"$@" && return 1
	done
	return 0
}
knows() { is 1 known "$1" "h$2"; }
lacks() { is 0 known "$1" "h$2"; }
carries() { is "$3" peer "$1" "h$2" 'PrimaryRoutes[0]'; }
offers_exit() { is "$2" peer "$1" h6 ExitNodeOption; }
netmap() { "$hosts" ts "$1" debug netmap 2>/dev/null; }
ssh_rules() { netmap "$1" | jq '.SSHPolicy.rules | length'; }
granted() { # granted K PEER: the capability that the grant gives, at host K
	"$hosts" ts "$1" whois --json "$(addr "$2" 4)" |
	    jq -r '.CapMap["example.com/cap/books"] |
	    if . == null then "nothing" else .[0].may end'
}
set_policy() { policy "$@" | ctl policy set - -r "lab"; }
enter() { # enter K KEY [ARG ...]: a client of its version joins
	"$hosts" start "$1" "${versions[$(($1 % 3))]}"
	up "$@"
}
forward() { "$hosts" exec "$1" sysctl -qw net.ipv4.ip_forward=1; }

joined() {
	local k
	ctl users add ann@example.com >/dev/null
	ctl users add bob@example.com >/dev/null
	check "policy: set" set_policy 8000
	check "ann's host 1 joins" enter 1 "$(user_key ann@example.com)" \
	    --accept-routes
	check "ann's host 2 joins" enter 2 "$(user_key ann@example.com)"
	check "bob's host 3 joins" enter 3 "$(user_key bob@example.com)" \
	    --accept-routes
	for k in 4 5 6; do
		forward $k
	done
	check "router 4 joins" enter 4 "$(tag_key tag:router)" \
	    --advertise-routes=10.77.0.0/24
	check "router 5 joins" enter 5 "$(tag_key tag:router)" \
	    --advertise-routes=10.77.0.0/24
	check "web server and exit node 6 joins" \
	    enter 6 "$(tag_key tag:web,tag:exit)" --advertise-exit-node --ssh
	for k in 4 5; do
		"$hosts" exec $k ip addr add 10.77.0.1/32 dev lo
		web $k 10.77.0.1
	done
	"$hosts" exec 6 ip addr add 203.0.113.9/32 dev lo
	web 6 203.0.113.9
	web 6 "$(addr 6 4)"
	web 2 "$(addr 2 4)"
}
ports() {
	check "an allowed port connects" within 20 gets 1 h6 "$(addr 6 4):8000"
	check "a denied port does not" never 4 gets 1 h6 "$(addr 6 4):8001"
	check "bob does not know of the web server" within 10 lacks 3 6
	check "ann and bob do not know of each other" within 10 lacks 1 3
	check "ann's hosts know each other" within 10 knows 1 2
	check "autogroup:self: any port connects" \
	    within 20 gets 1 h2 "$(addr 2 4):8001"
	check "tailscale ping passes" "$hosts" ts 1 ping --c 3 --timeout 5s \
	    --until-direct=false "$(addr 6 4)"
	check "whois at the server shows the grant" \
	    within 10 is read granted 6 1
	check "the SSH policy is in the server's netmap" \
	    within 10 is 1 ssh_rules 6
	check "... and nobody else's has a rule" is 0 ssh_rules 1
}

# Failover: what happens to the route when router LOST is gone, until OTHER
# does its work.  $lasted is how long it took until dbd knew of it.
online() { # online K: for dbd
	ctl -j nodes list | jq -e --arg n "h$1" \
	    '.[] | select(.name == $n).online'
}
offline() { is false online "$1"; }
# Until COMMAND succeeds: when it was last asked in vain, and when it did.
await() { # await FILE SECONDS COMMAND ...
	local file=$1 end=$((SECONDS + $2)) last=$EPOCHREALTIME t
	shift 2
	while t=$EPOCHREALTIME; ! "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || return 1
		last=$t
		sleep 0.02
	done
	echo "$last $EPOCHREALTIME" >"$file"
}
moment() { # moment FILE FIELD: of await's; nothing if it did not come
	[ ! -e "$1" ] || cut -d' ' -f"$2" "$1"
}
span() { # span FROM TO: seconds; many if one of them did not come
	if [ -n "$1" ] && [ -n "$2" ]; then
		awk "BEGIN { printf \"%.2f\", $2 - $1 }"
	else
		echo 999
	fi
}
failover() { # failover LOST OTHER SECONDS SINCE TEXT: declared in SECONDS
	local d=$LAB_DIR/failover f k pids=() took
	rm -rf "$d"
	mkdir "$d"
	await "$d/off" $(($3 + 5)) offline "$1" &
	pids+=($!)
	for k in 1 2; do
		await "$d/shown$k" $(($3 + 10)) carries $k "$2" $net &
		pids+=($!)
	done
	await "$d/used" $(($3 + 10)) gets 1 "h$2" 10.77.0.1:8000 0.5 &
	pids+=($!)
	wait "${pids[@]}"
	# Declared after it was last seen online: the spans are not too short.
	lasted=$(span "$4" "$(moment "$d/off" 2)")
	check "$5: declared offline after $lasted s (at most $3)" \
	    before "$lasted" "$3"
	for f in shown1 shown2 used; do
		took=$(span "$(moment "$d/off" 1)" "$(moment "$d/$f" 2)")
		case $f in
		shown*)	k=${f#shown} f="client ${versions[$((k % 3))]} sees $2 as primary" ;;
		used)	f="a connection goes through $2" ;;
		esac
		check "... $took s later $f (at most $switch)" \
		    before "$took" $switch
	done
}
# Who carries the route, for host 1 and for dbd, until killed.
carriers() {
	while sleep 0.1; do
		state 1 | jq -r --arg r $net '[.Peer[] |
		    select(.PrimaryRoutes | index($r)) | .HostName] | join(" ")'
		ctl -j routes list | jq -r --arg r $net '[.[] |
		    select(.route == $r and .primary) | .node] | join(" ")'
	done
}
returns() { # returns LOST OTHER COMMAND ...: to bring it back
	local lost=$1 other=$2 watch
	shift 2
	carriers >"$LAB_DIR/carriers" &
	watch=$!
	"$@"
	check "router $lost is back" within 60 is true peer 1 "h$lost" Online
	check "... dbd says so" within 5 online "$lost"
	sleep 4
	kill $watch
	wait $watch 2>/dev/null
	check "... $other carried it all the time" \
	    is "h$other" sort -u "$LAB_DIR/carriers"
	check "... connections go through $other" \
	    gets 1 "h$other" 10.77.0.1:8000
}
routes() {
	local since
	check "both routers' routes are approved by the policy" is 2 eval \
	    'ctl -j routes list | jq "[.[] | select(.route == \"$net\" and .approved)] | length"'
	check "the first router carries it" within 10 carries 1 4 $net
	check "ann reaches what is behind it" \
	    within 20 gets 1 h4 10.77.0.1:8000
	check "bob does not" never 4 gets 3 h4 10.77.0.1:8000
	since=$EPOCHREALTIME
	killed 4
	failover 4 5 $((grace + 2)) "$since" "router 4 dies"
	returns 4 5 "$hosts" start 4 "${versions[1]}"
	check "an unapproved route is taken back" ctl routes unapprove h5 $net
	check "... then 4 carries it" within 10 carries 1 4 $net
	check "... and ann reaches what is behind it" \
	    within 20 gets 1 h4 10.77.0.1:8000
	check "the route is approved again" ctl routes approve h5 $net
	check "... 4 still carries it" never 3 carries 1 5 $net
}
silent() {
	local since=$EPOCHREALTIME
	"$hosts" cut 4
	failover 4 5 $((silence - switch)) "$since" "router 4 falls silent"
	check "... by the kernel's timeout, not by an end that it sent" \
	    before $((user_timeout + grace - 1)) "$lasted"
	returns 4 5 "$hosts" mend 4
}
exits() {
	check "ann is offered the exit node" within 10 offers_exit 1 true
	"$hosts" ts 1 set --exit-node=h6 --exit-node-allow-lan-access
	check "the Internet is reached through it" \
	    within 20 gets 1 h6 203.0.113.9:8000
	"$hosts" ts 1 set --exit-node=
}
changes() {
	local said at
	at=$(connections 6)
	check "the grant says more: set" eval 'may=write set_policy 8000'
	check "... whois at the server shows it" \
	    within 10 is write granted 6 1
	check "... there is no grant any more: set" eval 'may= set_policy 8000'
	check "... whois at the server shows none" \
	    within 10 is nothing granted 6 1
	check "... the grant is back: set" set_policy 8000
	check "... whois at the server shows it" within 10 is read granted 6 1
	check "... all that on one connection" is "$at" connections 6
	check "another port: set" set_policy 8001
	check "... it connects" within 10 gets 1 h6 "$(addr 6 4):8001"
	check "... the other does not" never 4 gets 1 h6 "$(addr 6 4):8000"
	said=$(policy 8000 ',"nonsense": 1' | ctl policy set - 2>&1)
	check "a bad policy is refused" grep -q 'nonsense' <<<"$said"
	check "... with its line" grep -qE '[0-9]+:[0-9]+' <<<"$said"
	said=$(policy 8000 ',"tests": [{"src": "bob@example.com",
	    "accept": ["tag:web:8000"]}]' | ctl policy set - 2>&1)
	check "one whose tests fail is refused" \
	    grep -q 'test(s) failed' <<<"$said"
	check "... the old one is in force" gets 1 h6 "$(addr 6 4):8001"
	check "why: the rule is named" \
	    grep -q 'acls' <<<"$(ctl policy why ann@example.com tag:web:8001)"
	check "rollback: set" ctl policy rollback 2
	check "... the first port connects again" \
	    within 10 gets 1 h6 "$(addr 6 4):8000"
	said=$(ctl -j policy history | jq length)
	check "history has them all" test "$said" -ge 4
}
lab_up 6 "domains = { \"example.com\" }
timeouts { keepalive = $keepalive grace = $grace }"
joined
ports
routes
silent
exits
changes
stop_server
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
