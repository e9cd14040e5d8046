#!/bin/bash
# Relays that are looked after, and a DERP map that is fetched: the stock relay
# goes and comes, and "derp list" and clients hear of it; the map's server says
# the same, something else, nonsense and nothing.
#
#	health.sh OUT
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
. regress/scenario/lib.sh
label='health: '
derper=${LAB_CACHE:-$HOME/.cache/headscaled-lab}/derper
if [ ! -x "$derper" ]; then
	GOBIN=${derper%/*} GOFLAGS='' sh regress/lab/go install -ldflags "-s -w" \
	    tailscale.com/cmd/derper@v1.102.3 >/dev/null 2>&1 ||
	    { echo "skipped: derper cannot be built"; exit 0; }
fi
begin
programs
authority
certify a.test "ec -pkeyopt ec_paramgen_curve:prime256v1" DNS:a.test
certify web "ec -pkeyopt ec_paramgen_curve:prime256v1" DNS:localhost
mkdir "$t/relays"
declare -A at relay
for k in 1 2 3; do
	at[$k]=$(spare)
	certify d$k.test "ec -pkeyopt ec_paramgen_curve:prime256v1" DNS:d$k.test
	cp "$t/d$k.test.pem" "$t/relays/d$k.test.crt"
	cp "$t/d$k.test.key" "$t/relays/d$k.test.key"
done
TLS=$(spare) web=$(spare) pages=
undo() {
	local p
	for p in "${relay[@]}" $pages; do kill "$p" 2>/dev/null; done
}

relay_up() { # relay_up K
	"$derper" -a "127.0.0.1:${at[$1]}" -hostname d$1.test -certmode manual \
	    -certdir "$t/relays" -http-port -1 -stun=false \
	    -c "$t/derper$1.conf" >>"$t/derper$1.log" 2>&1 &
	relay[$1]=$!
	within 100 answers "${at[$1]}"
}
answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
region() { # region NUMBER K [NAME]: which derper K is, found without a look-up
	printf '"%s":{"RegionID":%s,"RegionCode":"r%s","RegionName":"%s","Nodes":[{"Name":"%sa","RegionID":%s,"HostName":"d%s.test","DERPPort":%s,"IPv4":"127.0.0.1","IPv6":"none"}]}' \
	    "$1" "$1" "$1" "${3-r$1}" "$1" "$1" "$2" "${at[$2]}"
}
listed() { ctl -j derp list | jq -r ".[] | select(.region == $1) | .$2"; }
is_listed() { [ "$(listed "$1" "$2")" = "$3" ]; }
is_up() { [ "$(listed "$1" '| "\(.ok) \(.latency_us > 0)"')" = "true true" ]; }
told() { grep -c '^change .*"DERPMap"' "$t/one.out"; }	# how many maps since
is_told() { [ "$(told)" -gt "$1" ]; }
fetched() { grep -c 'GET /derp.json' "$t/web.log"; }
is_fetched() { [ "$(fetched)" -gt "$1" ]; }
# A reload with another period has it fetched at once.
again() {
	local n
	n=$(fetched)
	if grep -q 'update = 61s' "$t/conf"; then sed -i 's/update = 61s/update = 62s/' "$t/conf"
	else sed -i 's/update = 6[02]s/update = 61s/' "$t/conf"; fi
	ctl reload && within 50 is_fetched "$n"
}
before() { awk "BEGIN { exit !($EPOCHREALTIME - $1 < $2) }"; }

cat >"$t/web.py" <<'PY'
import http.server, ssl, sys
class H(http.server.BaseHTTPRequestHandler):
    def log_message(self, f, *a): print(f % a, flush=True)
    def do_GET(self):
        p = open(sys.argv[1], "rb").read()
        self.send_response(200)
        self.send_header("Content-Length", len(p))
        self.end_headers()
        self.wfile.write(p)
s = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), H)
c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
c.load_cert_chain(sys.argv[3], sys.argv[4])
s.socket = c.wrap_socket(s.socket, server_side=True)
s.serve_forever()
PY
web_up() {
	python3 "$t/web.py" "$t/doc" "$web" "$t/web.pem" "$t/web.key" >>"$t/web.log" 2>&1 &
	pages=$!
	within 50 answers "$web"
}
url=https://localhost:$web/derp.json
doc() { printf '{"Regions":{%s}}' "$1" >"$t/doc"; }

# Regions 1 and 3 answer, 2 does not yet; 4 comes from the URL.
printf '{"Regions":{%s,%s,%s}}' "$(region 1 1)" "$(region 2 2)" "$(region 3 3)" >"$t/map.json"
doc "$(region 4 3)"
config "$t/state" \
    "listen \"tls\" { address = \"127.0.0.1\" port = $TLS tls = true }" \
    "tls { keypair \"a.test\" { certificate = \"$t/a.test.pem\" key = \"$t/a.test.key\" } }" \
    'fetch { allow = { "127.0.0.0/8" }' "ca_file = \"$t/ca.pem\" }" \
    "derp { map_file = \"$t/map.json\"" "urls = { \"$url\" }" 'update = 60s' \
    'avoid_after = 2s' \
    'server { enabled = true ipv4 = "127.0.0.1" stun_listen = "none" } }'
sed -i "s,^server_url.*,server_url = \"https://a.test:$TLS\"," "$t/conf"
relay_up 1
relay_up 3
web_up
ok "start" serve
tailnet
join one
ok "a node joins" within 80 heard one map
ok "the map of the URL is there" within 50 logged "$url: a new DERP map"
for k in 1 3 4 999; do
	ok "region $k is up, with a latency" within 100 is_up $k
done
ok "which is its own, and that of no other" [ "$(ctl -j derp list | jq -c '[.[] | select(.own) | .region]')" = '[999]' ]
ok "2 is not" within 100 is_listed 2 'down_since != null' true
ok "and why" grep -qE '^ +2 +r2 +2a +d2.test +down[^ ]* .*ago +- .*(refused|connect)' <(ctl derp list)
ok "in words" grep -qE '^ +1 +r1 +1a +d1.test +up +[0-9.]+ ms +[0-9]+s ago +-$' <(ctl derp list)
ok "it is down for long" within 400 is_listed 2 avoid true
ok "the node is told" within 50 grep -q '^change .*"RegionID":2,[^{]*"Avoid":true' "$t/one.out"
ok "all others are fine" not grep -q '^change .*"RegionID":[134],[^{]*"Avoid":true' "$t/one.out"

# What is fetched.
n=$(told)
ok "fetched again" again
sleep 1
ok "it is the same: nobody is told" [ "$(told)" = "$n" ]
doc "$(region 4 3 another)"
ok "another one" again
ok "the node is told" within 50 is_told "$n"
ok "of it" within 50 grep -q '^change .*"RegionName":"another"' "$t/one.out"
n=$(told)
echo '{"Regions":{' >"$t/doc"
ok "broken" again
ok "with the URL in the log" within 50 logged "$url: not JSON: octet 13: a string was expected; the DERP map of before stays"
echo '{"Regions":{"4":{"RegionID":5}}}' >"$t/doc"
ok "no DERP map" again
ok "with the URL in the log" within 50 logged "$url: no DERP map; the DERP map of before stays"
ok "the one of before stays" is_up 4
doc "$(region 999 3 stolen)"
ok "one with our own region" again
sleep 1
ok "which stays ours" [ "$(listed 999 host)" = a.test ]
doc "$(region 4 3 another)"
ok "the old one" again
ok "is back" within 50 is_up 4

# A relay goes, another comes.
n=$(told)
t0=$EPOCHREALTIME
kill "${relay[1]}"
relay_up 2
ok "1 has gone" within 650 is_listed 1 ok false
ok "within the minute that it takes" before "$t0" 63
ok "and why" grep -qE '^ +1 +r1 +1a +d1.test +down[^ ]* [0-9]+s ago .*(refused|connect)' <(ctl derp list)
ok "in the log, too" logged "DERP relay 1a of region 1 is down: "
ok "2 has come" within 650 is_up 2
ok "within the minute that it takes" before "$t0" 63
ok "in the log, too" logged "DERP relay 2a of region 2 is up again"
ok "nobody avoids it any more" is_listed 2 avoid false
ok "the node is told" is_told "$n"
ok "3 was never down" not grep -q 'DERP relay 3a of region 3 is down' "$log"
ok "counted" [ "$(ctl -j status | jq '[.processes[] | select(.role == "dbd") | .counters] | .[0] | .probes_failed > 1 and .probes > 5')" = true ]

# The map's server is away when we start.
stop
kill "$pages"
pages=
ok "start without the map's server" serve
ok "the map of before is there" within 30 is_listed 4 host d3.test
ok "and what is wrong" within 100 logged "$url: "
ok "its relay is looked after" within 100 is_up 4
join two
ok "a node joins" within 80 heard two map
exit $rc
