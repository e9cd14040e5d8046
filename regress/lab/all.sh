#!/bin/bash
# Stock clients of three versions against this build: the acceptance test
# meet, then one scenario after the other.  Lines "ok" and "FAIL".
#
#	all.sh OUT [SCENARIO ...]
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
lab=hsall
. regress/lab/server.sh

fresh() { # fresh HOST [VERSION]: without what it was before
	"$hosts" stop "$1"
	rm -f "$LAB_DIR/$1/tailscaled.state"
	"$hosts" start "$1" "${2:-1.102.3}"
}
new_key() { ctl keys create --user admin "$@" | tail -1; }
seen() { [ "$(peer "$1" "$2" Online)" = "$3" ]; }
named() { case $(peer "$1" "$2" DNSName) in "$3".*) return 0 ;; *) return 1 ;; esac; }
gone() { is 0 known "$@"; }
in_state() { [ "$(state "$1" | jq -r .BackendState)" = "$2" ]; }

s_meet() {
	"$here/meet" "$url" "$key" 3 || failed=$((failed + 1))
}
s_rename() {
	check "rename: asked of dbd" ctl nodes rename h2 renamed
	check "rename: the peer sees it" within 10 named 1 h2 renamed
	check "rename: the node itself too" within 10 is renamed.tailnet.internal. self 2 DNSName
}
s_expiry() {
	check "expiry: key of host 3 expires" ctl -y nodes expire h3
	check "expiry: client 3 must log in" within 15 in_state 3 NeedsLogin
	check "expiry: host 1 sees it as expired" within 15 is true peer 1 h3 Expired
	check "expiry: taken back" ctl -y nodes expire h3 never
	check "expiry: client 3 runs again without a login" within 20 running 3
	check "expiry: ... and is reached" within 30 icmp 1 3 4
}
s_ephemeral() {
	local k
	k=$(new_key --ephemeral --reusable)
	fresh 4
	check "ephemeral: host 4 joins" up 4 "$k"
	check "ephemeral: host 1 sees it" within 10 seen 1 h4 true
	killed 4
	check "ephemeral: killed, it vanishes" within 30 gone 1 h4
}
s_tagged() {
	local k
	k=$(tag_key tag:server)
	fresh 5
	check "tagged: host 5 joins" up 5 "$k"
	check "tagged: has its tag" within 10 is tag:server self 5 'Tags[0]'
	check "tagged: host 1 sees the tag" within 10 is tag:server peer 1 h5 'Tags[0]'
	check "tagged: it does not expire" is null self 5 KeyExpiry
}
s_single() {
	local k said
	k=$(new_key)
	fresh 6
	fresh 7
	check "single use: the first joins" up 6 "$k"
	said=$("$hosts" ts 7 up --login-server="$url" --auth-key="$k" \
	    --hostname=h7 --timeout=8s 2>&1)
	check "single use: the second is refused, and told why" \
	    grep -q 'auth key already used' <<<"$said"
	check "single use: it is not Running" is 1 eval 'running 7; echo $?'
}
s_collision() {
	fresh 8
	fresh 9
	"$hosts" ts 8 up --login-server="$url" --auth-key="$key" --hostname=same --timeout=60s
	"$hosts" ts 9 up --login-server="$url" --auth-key="$key" --hostname=same --timeout=60s
	check "collision: two names" test "$(self 8 DNSName)" != "$(self 9 DNSName)"
	check "collision: the second has a suffix" is same-1.tailnet.internal. self 9 DNSName
}
s_twelve() {
	local k pids=() late=
	for k in $(seq 1 12); do
		fresh "$k" "${versions[$((k % 3))]}"
	done
	for k in $(seq 1 12); do
		up "$k" "$key" >/dev/null 2>&1 &
		pids+=($!)
	done
	for k in $(seq 1 12); do
		wait "${pids[$((k - 1))]}" || late="$late $k"
	done
	check "12 at once: all join" is "" echo "$late"
	for k in $(seq 1 12); do
		check "12 at once: host $k sees 11" within 20 peers "$k" 11
	done
	check "12 at once: 1 reaches 12" within 20 icmp 1 12 4
}
s_restart() {
	local log=$LAB_DIR/ping.log before k
	before=$(addr 2 4)
	"$hosts" exec 1 ping -n -i 0.2 -w 30 "$before" >"$log" 2>&1 &
	local ping=$!
	(for _ in $(seq 1 120); do
		state 1 | jq '[.Peer[]? | select(.Online)] | length'
		sleep 0.2
	done) >"$LAB_DIR/online.log" &
	local watch=$!
	sleep 1
	kill -9 "$(cat "$srv/headscaled.pid")"
	wait "$run" 2>/dev/null
	"$hosts" exec hub "$bin/headscaled" -d -f "$srv/headscaled.conf" \
	    >>"$LAB_DIR/server2.log" 2>&1 &
	run=$!
	wait $ping $watch
	check "restart: the tunnel lost nothing" grep -q ' 0% packet loss' "$log"
	check "restart: no wave of offline" test "$(sort -n "$LAB_DIR/online.log" | head -1)" = "$(sort -n "$LAB_DIR/online.log" | tail -1)"
	for k in 1 2 3; do
		check "restart: client $k is Running, no login" within 20 running "$k"
	done
	check "restart: its address is the same" is "$before" addr 2 4
	ctl nodes rename h3 after-restart >/dev/null
	check "restart: changes flow again" within 40 named 1 h3 after-restart
}
s_reload() {
	echo 'listen "second" { address = "10.99.0.1" port = 8081 }' \
	    >>"$srv/headscaled.conf"
	check "reload: taken" ctl reload
	fresh 10
	check "reload: a client joins by the new address" "$hosts" join 10 \
	    --login-server=http://10.99.0.1:8081 --auth-key="$key"
	echo 'listen "third" {' >>"$srv/headscaled.conf"
	check "reload: a bad file is refused" is 1 eval 'ctl reload >/dev/null 2>&1; echo $?'
	check "reload: ... and nobody noticed" running 10
	sed -i '/third/d' "$srv/headscaled.conf"
}

# As tailscale up --force-reauth does it: a new node key, the node is the same.
s_rotate() {
	local id old v4 v6
	id=$(node_id h2)
	old=$(self 2 PublicKey) v4=$(addr 2 4) v6=$(addr 2 6)
	check "rotation: client 2 logs in anew with a key" \
	    up 2 "$key" --force-reauth
	check "rotation: its node key is a new one" \
	    is 1 eval '[ "$(self 2 PublicKey)" = "'"$old"'" ]; echo $?'
	check "rotation: its node is the same" is "$id" node_id h2
	check "rotation: its addresses too" \
	    test "$(addr 2 4) $(addr 2 6)" = "$v4 $v6"
	check "rotation: host 1 knows the new key" \
	    within 10 is "$(self 2 PublicKey)" peer 1 h2 PublicKey
	check "rotation: ... and reaches it" within 30 icmp 1 2 4
}
nodes_of() { ctl -j nodes list | jq -c --arg u "$1" '[.[] | select(.user == $u) | .name]'; }
s_owner() {
	local k old new mine
	ctl users add bob >/dev/null
	k=$(user_key bob)
	fresh 4
	check "owner: host 4 joins as admin" up 4 "$key"
	old=$(addr 4 4)
	mine=$(nodes_of admin)
	check "owner: it logs out and joins as bob" eval \
	    '"$hosts" ts 4 logout && up 4 '"$k"
	new=$(addr 4 4)
	check "owner: bob has a node with other addresses" test "$new" != "$old"
	check "owner: two nodes, two owners, one machine" is "2 2 1" eval \
	    'ctl -j nodes list | jq -r "[.[] | select(.hostname == \"h4\")] |
	    \"\(length) \(map(.user) | unique | length)\" +
	    \" \(map(.machine_key) | unique | length)\""'
	check "owner: the client says whose it is" is bob eval 'state 4 |
	    jq -r ".User[(.Self.UserID | tostring)].LoginName"'
	check "owner: admin's nodes are as many as before" is "$mine" nodes_of admin
	check "owner: host 1 reaches it" within 30 icmp 1 4 4
	check "owner: without a logout it joins as admin again" \
	    up 4 "$key" --force-reauth
	check "owner: ... and has that node's address again" is "$old" addr 4 4
	check "owner: ... and host 1 reaches it there" within 30 icmp 1 4 4
}
node_of() { ctl -j nodes list | jq --arg i "$(self "$1" ID)" '.[] | select(.stable_id == $i).id'; }
tag_of() { "$hosts" ts "$1" whois --json "$(addr "$2" 4)" | jq -r '.Node.Tags[0]'; }
whois() { "$hosts" ts "$1" whois --json "$(addr "$2" 4)" | jq -r .UserProfile.LoginName; }
s_admin() {
	local k id
	fresh 12
	check "admin: host 12 joins" up 12 "$key"
	id=$(node_of 12)
	check "admin: tagged" ctl nodes tag "$id" tag:printer
	check "admin: ... host 1 sees the tag" \
	    within 10 is tag:printer tag_of 1 12
	check "admin: ... host 12 too" within 10 is tag:printer self 12 'Tags[0]'
	ctl users add carol >/dev/null
	k=$(user_key carol)
	check "admin: moved" ctl nodes move "$id" carol
	check "admin: ... host 1 sees whose it is" within 10 is carol whois 1 12
	check "admin: ... and no tag" within 10 is null tag_of 1 12
	check "admin: logged out" ctl -y nodes logout "$id"
	check "admin: ... it must log in" within 15 in_state 12 NeedsLogin
	check "admin: ... and joins again" up 12 "$k"
	check "admin: ... as the same node" is "$id" node_of 12
	check "admin: deleted" ctl -y nodes delete "$id"
	check "admin: ... host 1 forgets it" within 10 gone 1 h12
	check "admin: ... it must log in" within 15 in_state 12 NeedsLogin
	check "admin: ... it joins as a new node" up 12 "$k"
	check "admin: ... that is another one" is 1 eval '[ "$(node_of 12)" -eq '"$id"' ]; echo $?'
	check "admin: ... and that host 1 reaches" within 30 icmp 1 12 4
}
records() { # records NAME ADDRESS ...
	local sep='['
	while [ $# -gt 0 ]; do
		printf '%s{"name": "%s", "type": "A", "value": "%s"}' "$sep" "$1" "$2"
		sep=', '
		shift 2
	done >"$LAB_DIR/records.new"
	echo ']' >>"$LAB_DIR/records.new"
	mv "$LAB_DIR/records.new" "$LAB_DIR/records.json"
}
address() { "$hosts" exec 1 getent ahostsv4 "$1" | awk 'NR == 1 {print $1}'; }
s_records() {
	check "records: a name of the file resolves" \
	    within 10 is 10.1.2.3 address printer.tailnet.internal
	records printer.tailnet.internal 10.1.2.4 plotter.tailnet.internal 10.1.2.5
	check "records: the file changed, so does the answer" \
	    within 10 is 10.1.2.4 address printer.tailnet.internal
	check "records: a new name resolves" \
	    within 10 is 10.1.2.5 address plotter.tailnet.internal
	echo '[{"name": "printer.tailnet.internal",' >"$LAB_DIR/records.json"
	check "records: a bad file is told of by line" within 10 \
	    grep -q 'records.json:[0-9]*: .*the old one stays' "$LAB_DIR/server.log"
	check "records: ... and the old one stays" \
	    is 10.1.2.5 address plotter.tailnet.internal
	records printer.tailnet.internal 10.1.2.3
	check "records: a good one is taken again" \
	    within 10 is 10.1.2.3 address printer.tailnet.internal
	check "records: what it lacks is gone" \
	    within 10 is "" address plotter.tailnet.internal
}
s_dns() {
	local said k
	for k in 1 2 3; do
		said=$("$hosts" ts "$k" dns status --all 2>&1)
		check "dns: client $k knows the split domain" \
		    grep -q 'corp\.example\.com' <<<"$said"
		check "dns: client $k knows the search domains" \
		    grep -q 'lab\.example\.com' <<<"$said"
	done
	check "dns: resolv.conf of host 1 searches them, ours first" within 10 \
	    grep -q '^search tailnet.internal lab.example.com' \
	    "/etc/netns/$LAB_NAME-1/resolv.conf"
}
regions() { "$hosts" ts "$1" debug derp-map | jq -r '.Regions | keys | join(" ")'; }
s_derpmap() {
	local map=$LAB_DIR/derp.json k
	cp "$map" "$LAB_DIR/derp.was"
	jq '.Regions["901"] = (.Regions["900"] | .RegionID = 901 |
	    .RegionCode = "two" | .Nodes[0].RegionID = 901 |
	    .Nodes[0].Name = "901a")' "$map" >"$map.new"
	mv "$map.new" "$map"
	for k in 1 2 3; do
		check "derpmap: client $k is told of the new region" \
		    within 10 is "900 901" regions "$k"
	done
	echo '{"Regions": {' >"$map"
	check "derpmap: a bad file is told of by line" within 10 \
	    grep -q 'derp.json:[0-9]*: .*the old one stays' "$LAB_DIR/server.log"
	check "derpmap: ... and the old one stays" is "900 901" regions 1
	mv "$LAB_DIR/derp.was" "$map"
	check "derpmap: a region that is gone is gone" within 10 is 900 regions 1
	check "derpmap: the clients run on" running 1
}

# What the double (regress/bin/refuse_worker.c) did with requests of host K
# since line FROM of the log: a line "SECONDS refused|admitted" for each.
judged() { # judged K stream|lite FROM
	local k
	k=$(self "$1" PublicKey)
	tail -n "+$3" "$LAB_DIR/server.log" | grep "double: $2 $k " |
	    while read -r at _ _ _ _ verdict; do
		echo "$(date -d "$at" +%s) $verdict"
	done
}
# Refused once, and the next came when it was asked to, not earlier.
obeyed() { # obeyed K stream|lite FROM
	judged "$@" | awk '{ print; at[NR] = $1; said[NR] = $2 }
	    END { exit !(NR >= 2 && said[1] == "refused" &&
	    said[2] == "admitted" && at[2] - at[1] >= 4 &&
	    at[2] - at[1] <= 7) }'
}
# Until killed: each state of host K, and its connections to the server.
watch_host() { # watch_host K
	while sleep 0.2; do
		state "$1" | jq -r .BackendState >>"$LAB_DIR/$1/states"
		connections "$1" | grep . >>"$LAB_DIR/$1/ports"
	done
}
watched() { # watched K: from now on
	rm -f "$LAB_DIR/$1/states" "$LAB_DIR/$1/ports"
	watch_host "$1" 2>/dev/null &
	watch=$!
}
unwatched() {
	kill $watch
	wait $watch 2>/dev/null
}
from_now() { from=$(($(wc -l <"$LAB_DIR/server.log") + 1)); }
only() { # only FILE [LINE]: one line, if often
	sort -u "$LAB_DIR/$1"
	[ "$(sort -u "$LAB_DIR/$1" | wc -l)" -eq 1 ] &&
	    { [ -z "${2-}" ] || grep -qx "$2" "$LAB_DIR/$1"; }
}
s_refused() {
	local from=1 watch
	mkdir -p "$LAB_DIR/double"
	cp "$bin"/headscale[dc]* "$LAB_DIR/double/"
	cp "$bin/b/refuse_worker" "$LAB_DIR/double/headscaled-worker"
	watched 2
	stop_server
	start_server 'workers = 1' "$LAB_DIR/double"
	check "refused: client 2, Running, is refused its stream once" \
	    within 45 obeyed 2 stream 1
	unwatched
	check "refused: ... and is Running all the time" only 2/states Running

	fresh 11 1.104.5
	from_now
	watched 11
	check "refused: a new 1.104.5 joins" up 11 "$key"
	check "refused: ... its stream was refused once" obeyed 11 stream "$from"
	check "refused: ... its lite update too" \
	    within 20 obeyed 11 lite "$from"
	unwatched
	check "refused: ... all that on one connection" only 11/ports
	check "refused: ... and it reaches host 1" within 30 icmp 11 1 4

	from_now
	watched 11
	"$bin/b/strike" "$srv" 0 0 "$(ctl -j status | jq '.processes[] |
	    select(.role == "worker").pid')" >/dev/null
	check "refused: its worker killed, its stream is refused again" \
	    within 45 obeyed 11 stream "$from"
	"$hosts" ts 11 set --hostname=late
	check "refused: ... a lite update is refused and said again" \
	    within 20 obeyed 11 lite "$from"
	check "refused: ... and then host 1 knows of it" within 10 named 1 late late
	unwatched
	check "refused: ... it is Running all the time" only 11/states Running
	check "refused: older clients are not refused" within 10 peers 3 3
	stop_server
	start_server "$extra"
}

[ $# -gt 0 ] || set -- meet rename expiry ephemeral tagged single collision \
    rotate owner admin records dns derpmap reload restart refused twelve
records printer.tailnet.internal 10.1.2.3
extra="timeouts { ephemeral = \"5s\" grace = \"3s\" }
dns {
	search = { \"lab.example.com\" }
	split \"corp.example.com\" { nameservers = { \"10.99.0.53\" } }
	extra_records_file = \"$LAB_DIR/records.json\"
}"
lab_up 12 "$extra"
case " $* " in
*" meet "*) ;;
*)	for k in 1 2 3; do
		"$hosts" start "$k" "${versions[$((k - 1))]}"
		up "$k" "$key"
	done ;;
esac
for s; do
	if declare -F "s_$s" >/dev/null; then
		"s_$s"
	else
		echo "FAIL no scenario $s"
		failed=$((failed + 1))
	fi
done
[ "$failed" -eq 0 ]
