#!/bin/bash
# Stock clients as on the Internet: the server by name and https on port 443,
# its certificate and the relay's looked at by those who know the CA, direct UDP
# between hosts dropped.  Lines "ok" and "FAIL".
#
#	tls.sh OUT
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
lab=hstls
. regress/lab/server.sh
url=https://hs.lab
mkdir -p "$srv/empty" "$srv/state"
chmod 755 "$srv" && chmod 555 "$srv/empty"

certificate() { # certificate NAME: another one, with a key of its own
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
	    -keyout "$srv/new.key" -out "$LAB_DIR/csr" -subj "/CN=$1" 2>/dev/null
	printf 'subjectAltName=DNS:hs.lab\nextendedKeyUsage=serverAuth\n' >"$LAB_DIR/san"
	openssl x509 -req -in "$LAB_DIR/csr" -CA "$LAB_DIR/ca.pem" \
	    -CAkey "$LAB_DIR/ca.key" -CAcreateserial -days 30 \
	    -extfile "$LAB_DIR/san" -out "$srv/new.pem" 2>/dev/null
	chmod 600 "$srv/new.key"
	mv "$srv/new.key" "$srv/hs.key" && mv "$srv/new.pem" "$srv/hs.pem"
}
serve() {
	"$hosts" exec hub "$bin/headscaled" -d -f "$srv/conf" \
	    >>"$LAB_DIR/server.log" 2>&1 &
	run=$!
	within 20 ctl status >/dev/null 2>&1
}
subject() { # whose certificate is shown on port 443
	"$hosts" exec 1 openssl s_client -connect 10.99.0.1:443 \
	    -servername hs.lab -CAfile "$LAB_DIR/ca.pem" -verify_return_error \
	    </dev/null 2>/dev/null | openssl x509 -noout -subject
}
shows() { subject | grep -q "CN = $1\$"; }
# relayed K HOSTNAME: its packets take the relay and no address
relayed() {
	[ "$(peer "$1" "$2" Relay)" = lab ] && [ -z "$(peer "$1" "$2" CurAddr)" ]
}
# held K: the local ends of its connections to port 443
held() {
	"$hosts" exec "$1" ss -Htn state established dst 10.99.0.1:443 |
	    awk '{ print $3 }' | sort | tr '\n' ' '
}
netcheck_is() { "$hosts" ts "$1" netcheck --format=json 2>/dev/null | jq -e "$2"; }
# sound K: the client's own check of the relay; here is no IPv6, and one region
sound() {
	"$hosts" ts "$1" debug derp lab >"$LAB_DIR/derp.json" 2>&1
	cat "$LAB_DIR/derp.json"
	jq -e '(.Info | length >= 3) and ([.Errors[]?, .Warnings[]? |
	    select(test("IPv6|single DERP region") | not)] == [])' \
	    "$LAB_DIR/derp.json"
}
sum() { # sum COUNTER: of all workers
	ctl -j status | jq "[.processes[] | select(.role == \"worker\") | .counters.$1] | add"
}

openssl req -x509 -newkey rsa:2048 -nodes -keyout "$LAB_DIR/ca.key" \
    -out "$LAB_DIR/ca.pem" -days 30 -subj "/CN=lab CA" 2>/dev/null
certificate first
cat >"$srv/conf" <<CONF
server_url = "$url"
state_dir = "$srv/state"
run_dir = "$srv"
control_socket = "$sock"
pid_file = "$srv/headscaled.pid"
chroot = "$srv/empty"
workers = 2
listen "https" { address = "10.99.0.1" port = 443 tls = true }
tls { keypair "hs" { certificate = "$srv/hs.pem" key = "$srv/hs.key" } }
derp {
    server {
        enabled = true
        region_id = 7
        region_code = "lab"
        region_name = "Lab"
        stun_listen = "10.99.0.1:3478"
    }
}
CONF
chmod 644 "$srv/conf"
n=4
"$hosts" down >/dev/null 2>&1
"$hosts" up $n || exit 1
for k in $(seq 1 $n); do
	printf '127.0.0.1 localhost\n10.99.0.1 hs.lab\n' >"/etc/netns/$LAB_NAME-$k/hosts"
done
"$hosts" exec hub nft -f - <<NFT || exit 1
table bridge lab {
	chain forward {
		type filter hook forward priority 0;
		ether type ip ip protocol udp counter drop
		ether type ip6 ip6 nexthdr udp counter drop
	}
}
NFT
check "the server starts" serve || exit 1
ctl users add admin >/dev/null
key=$(ctl keys create --user admin --reusable --expires 24h | tail -1)

# Who does not know the CA trusts nobody.
export TS_ENV="TS_DEBUG_USE_DERP_HTTP=0"
"$hosts" start 4 1.102.3
check "a client without the CA does not join" \
    bash -c "! timeout 8 '$hosts' join 4 --login-server='$url' --auth-key='$key'"
check "... and is no node" is 0 bash -c "'$bin/headscalectl' -s '$sock' -j nodes list | jq length"
"$hosts" stop 4

TS_ENV="TS_DEBUG_USE_DERP_HTTP=0 SSL_CERT_FILE=$LAB_DIR/ca.pem"
"$here/meet" "$url" "$key" 3 || failed=$((failed + 1))
"$hosts" start 4 1.104.5
check "host 4 joins" join 4
for k in 2 3 4; do
	check "host 1 reaches host $k" within 30 icmp 1 $k 4
	check "... through the relay alone" within 10 relayed 1 "h$k"
done
check "the map tells nobody to trust blindly" bash -c \
    "! '$hosts' ts 1 debug netmap | grep -q InsecureForTests"
check "1 MiB through the relay 3 <- 4" fetch 3 4
check "netcheck: the region has a latency and is preferred" \
    within 20 netcheck_is 1 '.PreferredDERP == 7 and (.RegionLatency | has("7"))'
check "all of it is TLS" test -z "$("$hosts" exec hub ss -Htn state established sport = :80)"
echo 'listen "http" { address = "10.99.0.1" port = 80 }' >>"$srv/conf"
check "port 80 comes with a reload" ctl reload
for k in 1 2 3; do
	check "host $k: its own check of the relay finds nothing wrong" \
	    within 10 sound $k
done

# Another certificate, while all hold their connections.
sleep 3
for k in 1 2 3 4; do held $k >"$LAB_DIR/held.$k"; done
logins=$(sum relay_logins)
certificate second
check "a reload takes another certificate" ctl reload
check "... which is shown" within 10 shows second
sleep 2
for k in 1 2 3 4; do
	check "host $k holds the connections that it had" \
	    test "$(held $k)" = "$(cat "$LAB_DIR/held.$k")" -a -s "$LAB_DIR/held.$k"
done
check "nobody had to log in to the relay again" test "$(sum relay_logins)" = "$logins"
check "packets go on" icmp 1 4 4
certificate third
rm "$srv/hs.key"
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:prime256v1 \
    >"$srv/hs.key" 2>/dev/null
chmod 600 "$srv/hs.key"
check "one that does not fit its key is refused" bash -c \
    "! '$bin/headscalectl' -s '$sock' reload"
check "... and the one before stays" shows second

# A worker's death, and the server's.
kill -9 "$(ctl -j status | jq -r '[.processes[] | select(.role == "worker")][0].pid')"
for k in 2 3 4; do
	check "worker killed: host 1 reaches host $k" within 15 icmp 1 $k 4
done
certificate fourth
kill -9 "$(cat "$srv/headscaled.pid")"
wait "$run" 2>/dev/null
check "the server killed and started again" serve
check "... shows its new certificate" within 10 shows fourth
for k in 2 3 4; do
	check "... host 1 reaches host $k" within 30 icmp 1 $k 4
done
check "... without logging in" running 1
check "nobody was replaced for a fault" \
    bash -c "! grep -E 'broke the rules|violation' '$LAB_DIR/server.log'"

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
