#!/bin/bash
# Stock clients that can only reach each other through our own relay: direct
# UDP between hosts is dropped in the hub, and there is no other relay.  Lines
# "ok" and "FAIL".
#
#	derp.sh OUT
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
lab=hsderp
. regress/lab/server.sh
derpmap=			# none: the server's own relay

no_udp() { # between hosts; the hub itself, where STUN is, can be reached
	"$hosts" exec hub nft -f - <<-NFT
	table bridge lab {
		chain forward {
			type filter hook forward priority 0;
			ether type ip ip protocol udp counter drop
			ether type ip6 ip6 nexthdr udp counter drop
		}
	}
	NFT
}
netcheck() { "$hosts" ts "$1" netcheck --format=json 2>/dev/null; }
# netcheck_is K FILTER: what it finds is true of it
netcheck_is() { netcheck "$1" | jq -e "$2"; }
# relayed K HOSTNAME: its packets take the relay and no address
relayed() {
	[ "$(peer "$1" "$2" Relay)" = run ] && [ -z "$(peer "$1" "$2" CurAddr)" ]
}
worker_counts() { # of every worker: counter FIELD
	ctl -j status | jq -r "[.processes[] | select(.role == \"worker\") | .counters.$1] | @tsv"
}
each_worker() { # each_worker FIELD: has it above 0
	worker_counts "$1" | tr '\t' '\n' | awk '{ n++; if ($1 > 0) k++ } END { exit n < 2 || k != n }'
}
worker_pid() { ctl -j status | jq -r ".processes[] | select(.role == \"worker\" and .slot == $1) | .pid"; }
# Seconds from now until host $1 reaches host $2 again, every 0.2 s.
reaches_again() {
	local t0
	t0=$(now)
	within "$3" "$hosts" exec "$1" ping -n -c 1 -W 1 "$(addr "$2" 4)" >/dev/null 2>&1 || return 1
	since "$t0"
}

n=6
"$hosts" down >/dev/null 2>&1
"$hosts" up $n || exit 1
no_udp || exit 1
start_server || exit 1

check "make run says which relay there is" \
    grep -q "STUN on 10.99.0.1:3478" "$LAB_DIR/server.log"
"$here/meet" "$url" "$key" 3 || failed=$((failed + 1))
for k in 4 5 6; do
	"$hosts" start $k "${versions[$((k % 3))]}"
	check "host $k joins" join $k
done
for k in $(seq 2 $n); do
	check "host 1 reaches host $k" within 30 icmp 1 $k 4
	check "... through the relay alone" within 10 relayed 1 "h$k"
done
check "1 MiB through the relay 4 <- 5" fetch 4 5
check "clients are on both workers, and both relay" within 30 each_worker relay_packets
check "... also to one another's clients" within 10 each_worker relay_mesh
check "netcheck: UDP works, our STUN answers" within 20 netcheck_is 1 '.UDP and .IPv4'
check "netcheck: our region has a latency and is preferred" \
    within 20 netcheck_is 1 '.PreferredDERP == 999 and (.RegionLatency | has("999"))'

# The death of a worker: its clients come back, and all reach each other.
for slot in 1 2; do
	kill -9 "$(worker_pid $slot)"
	took=$(reaches_again 1 5 10) || took=999
	check "worker $slot killed: 1 reaches 5 again within 10 s ($took s)" before "$took" 10
	took=$(reaches_again 4 6 10) || took=999
	check "worker $slot killed: 4 reaches 6 again within 10 s ($took s)" before "$took" 10
done
kill -9 "$(ctl -j status | jq -r '.processes[] | select(.role == "keyd") | .pid')"
check "keyd killed: packets go on" icmp 1 5 4
kill -9 "$(ctl -j status | jq -r '.processes[] | select(.role == "dbd") | .pid')"
check "dbd killed: packets go on" icmp 1 5 4
check "... and after its return, too" within 15 ctl status
check "... between all hosts" icmp 2 6 4

# A node that is deleted while it relays is cut off, and not let in again.
"$hosts" exec 6 ping -n -i 0.2 -W 1 "$(addr 1 4)" >"$LAB_DIR/ping6" 2>&1 &
ping=$!
sleep 2
check "host 6 is deleted" ctl -y nodes delete h6
sleep 2
before6=$(grep -c 'bytes from' "$LAB_DIR/ping6")
sleep 3
check "... and nothing of it comes through any more" \
    test "$(grep -c 'bytes from' "$LAB_DIR/ping6")" = "$before6"
kill $ping 2>/dev/null
check "the server is well" ctl status
check "nobody was replaced for a fault" \
    bash -c "! grep -E 'broke the rules|violation' '$LAB_DIR/server.log'"

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
