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
here=$PWD/regress/lab
bin=$(cd "${1:-out}" && pwd)
export LAB_NAME=${LAB_NAME:-hspol} LAB_DIR=${LAB_DIR:-$(mktemp -d)}
hosts=$here/hosts
if [ "$(id -u)" -ne 0 ] || [ ! -c /dev/net/tun ]; then
	echo "skipped: stock clients need root and /dev/net/tun"
	exit 0
fi
mkdir -p "$LAB_DIR"
chmod 755 "$LAB_DIR"
rm -rf "$LAB_DIR/server" "$LAB_DIR"/server*.log "$LAB_DIR"/[0-9]*
"$here/clients" >"$LAB_DIR/clients.log" 2>&1 ||
    { tail -5 "$LAB_DIR/clients.log"; exit 1; }
srv=$LAB_DIR/server
sock=$srv/headscaled.sock
url=http://10.99.0.1:8080
key=
versions=(1.102.3 1.104.5 1.80.3)
. "$here/lib.sh"
. "$here/server.sh"
webs=
trap '"$hosts" down >/dev/null 2>&1; stop_server; kill $webs 2>/dev/null' EXIT

policy() { # policy PORT OF-THE-WEB [MORE MEMBERS]: the policy's text
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
	"grants": [{"src": ["group:dev"], "dst": ["tag:web"],
		"app": {"example.com/cap/books": [{"may": "read"}]}}],
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
get() { # get K URL: what the page says
	"$hosts" exec "$1" curl -sS -m 3 "http://$2/" 2>/dev/null
}
gets() { is "$2" get "$1" "$3"; }	# gets K WANTED URL
never() { # never SECONDS COMMAND ...: fails all the time
	local end=$((SECONDS + $1))
	shift
	while [ $SECONDS -lt $end ]; do
		"$@" && return 1
	done
	return 0
}
knows() { [ "$(state "$1" | jq --arg n "h$2" '[.Peer[]? | select(.HostName == $n)] | length')" -eq 1 ]; }
lacks() { [ "$(state "$1" | jq --arg n "h$2" '[.Peer[]? | select(.HostName == $n)] | length')" -eq 0 ]; }
carries() { is "$3" peer "$1" "h$2" 'PrimaryRoutes[0]'; }
offers_exit() { is "$2" peer "$1" h6 ExitNodeOption; }
netmap() { "$hosts" ts "$1" debug netmap 2>/dev/null; }
ssh_rules() { netmap "$1" | jq '.SSHPolicy.rules | length'; }
granted() { # granted K PEER: the capability that the grant gives, at host K
	"$hosts" ts "$1" whois --json "$(addr "$2" 4)" |
	    jq -r '.CapMap["example.com/cap/books"][0].may'
}
set_policy() { policy "$@" | ctl policy set - -r "lab"; }
member_key() { ctl keys create --user "$1" --reusable | tail -1; }
tag_key() { ctl keys create --tags "$1" --reusable | tail -1; }
up() { # up K KEY [ARG ...]
	local k=$1 a=$2
	shift 2
	"$hosts" start "$k" "${versions[$((k % 3))]}"
	"$hosts" join "$k" --login-server="$url" --auth-key="$a" "$@"
}
forward() { "$hosts" exec "$1" sysctl -qw net.ipv4.ip_forward=1; }

joined() {
	local k
	ctl users add ann@example.com >/dev/null
	ctl users add bob@example.com >/dev/null
	check "policy: set" set_policy 8000
	check "ann's host 1 joins" up 1 "$(member_key ann@example.com)" \
	    --accept-routes
	check "ann's host 2 joins" up 2 "$(member_key ann@example.com)"
	check "bob's host 3 joins" up 3 "$(member_key bob@example.com)" \
	    --accept-routes
	for k in 4 5 6; do
		forward $k
	done
	check "router 4 joins" up 4 "$(tag_key tag:router)" \
	    --advertise-routes=10.77.0.0/24
	check "router 5 joins" up 5 "$(tag_key tag:router)" \
	    --advertise-routes=10.77.0.0/24
	check "web server and exit node 6 joins" \
	    up 6 "$(tag_key tag:web,tag:exit)" --advertise-exit-node --ssh
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
routes() {
	local back
	check "both routers' routes are approved by the policy" is 2 eval \
	    'ctl -j routes list | jq "[.[] | select(.route == \"10.77.0.0/24\" and .approved)] | length"'
	check "the first router carries it" within 10 carries 1 4 10.77.0.0/24
	check "ann reaches what is behind it" \
	    within 20 gets 1 h4 10.77.0.1:8000
	check "bob does not" never 4 gets 3 h4 10.77.0.1:8000
	kill -9 "$(cat "$LAB_DIR/4/pid")"
	rm -f "$LAB_DIR/4/pid"
	check "router 4 dies: 5 carries it" within 20 carries 1 5 10.77.0.0/24
	check "... and ann reaches what is behind it" \
	    within 20 gets 1 h5 10.77.0.1:8000
	"$hosts" start 4 "${versions[1]}"
	check "router 4 is back" within 20 is true peer 1 h4 Online
	back() { ! carries 1 5 10.77.0.0/24; }
	check "... 5 still carries it" never 4 back
	check "an unapproved route is taken back" ctl routes unapprove h5 \
	    10.77.0.0/24
	check "... then 4 carries it" within 10 carries 1 4 10.77.0.0/24
}
exits() {
	check "ann is offered the exit node" within 10 offers_exit 1 true
	"$hosts" ts 1 set --exit-node=h6 --exit-node-allow-lan-access
	check "the Internet is reached through it" \
	    within 20 gets 1 h6 203.0.113.9:8000
	"$hosts" ts 1 set --exit-node=
}
changes() {
	local said
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
"$hosts" down >/dev/null 2>&1
"$hosts" up 6
"$hosts" derp
start_server 'domains = { "example.com" }' || exit 1
joined
ports
routes
exits
changes
stop_server
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
