#!/bin/bash
# Every child of the server is killed again and again while 20 clients, 4 of
# them stock, live on it, change, and register with single-use keys.  Lines
# "ok" and "FAIL", and figures.
#
#	[SIMULATED=n] [RATE=n] chaos.sh OUT [KILLS]
#		kills of each child (default 20), simulated clients (16) and
#		their changes a second (20)
#
# One child after the other is killed with SIGKILL: in odd rounds amid changes,
# in even ones at dbd's next write to its log, that is in or just after the
# commit of a single-use registration; in every fourth round also all of them
# at once.  Then all must be as it should within 5 s.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
lab=hschaos
. regress/lab/server.sh
kills=${1:-20}
swarm=${LAB_CACHE:-$HOME/.cache/headscaled-lab}/swarm
[ -x "$bin/b/strike" ] || { echo "FAIL $bin/b/strike: make tests"; exit 1; }
rm -f "$LAB_DIR/singles" "$LAB_DIR/between"
wal=$srv/db/headscaled.db-wal
stock=4 simulated=${SIMULATED:-16}
rate=${RATE:-20}	# changes a second
versions=(1.102.3 1.104.5 1.80.3 1.102.3)
limit=5			# seconds, for all to be right again
trap '[ -z "${SWARM_PID-}" ] || kill "$SWARM_PID" 2>/dev/null; lab_end' EXIT

procs() { # procs ROLE SLOT FIELD: of these children; ROLE may be "all"
	ctl -j status 2>/dev/null | jq -r --arg r "$1" --argjson s "$2" \
	    ".processes[] | select(.role != \"master\" and (\$r == \"all\" or
	    .role == \$r and .slot == \$s)).$3"
}
# True if all of them run again, and none is who it was.
risen() { # risen ROLE SLOT OLD-GENERATIONS
	local s g
	s=$(procs "$1" "$2" state | sort -u)
	[ "$s" = ready ] || return 1
	for g in $(procs "$1" "$2" generation); do
		case " $3 " in *" $g "*) return 1 ;; esac
	done
}

# order WORD ...: to the swarm; its answer is in $answer
order() {
	answer=
	echo "$*" >&"${SWARM[1]}" && read -r -t 40 answer <&"${SWARM[0]}" &&
	    [ "$(jq -r .ok <<<"$answer")" = true ]
}

# What host $1 must see: of each other node its id, key, name, addresses, that
# it is online, and (clients that show them as they are) endpoints and relay.
differs() { # differs K: from $LAB_DIR/nodes; says how
	local k=$1 d=$LAB_DIR/$1/view
	mkdir -p "$d"
	"$hosts" ts "$k" status --json >"$d/status" 2>/dev/null || return 0
	case ${versions[$((k - 1))]} in
	1.80.*)	echo '{"Peers": null}' >"$d/map" ;;
	*)	"$hosts" ts "$k" debug netmap >"$d/map" 2>/dev/null ;;
	esac
	jq -n -e -r --slurpfile t "$LAB_DIR/nodes" --slurpfile s "$d/status" \
	    --slurpfile m "$d/map" --argjson n $((stock + simulated - 1)) '
	$s[0].Self.ID as $me | $m[0].Peers as $deep |
	[$t[0][] | select(.disco_key != null and .stable_id != $me) |
	    [.stable_id, .node_key, .name, .addresses, true] +
	    if $deep == null then [] else
	    [(.endpoints | sort), .home_derp] end] as $want |
	(($deep // []) | map({(.StableID): .}) | add) as $d |
	[$s[0].Peer[]? | [.ID, .PublicKey,
	    (.DNSName | split(".")[0]), .TailscaleIPs, .Online] +
	    if $deep == null then [] else
	    [($d[.ID].Endpoints // [] | sort), ($d[.ID].HomeDERP // 0)] end]
	    as $got |
	if $s[0].BackendState != "Running" then
	    "is \($s[0].BackendState)"
	elif ($want | length) != $n then
	    "\($want | length + 1) nodes are in the list"
	elif ($got - $want) != [] then
	    "has \($got - $want | .[0])"
	elif ($want - $got) != [] then
	    "lacks \($want - $got | .[0])"
	else empty end'
}
# stock_wrong: true if a stock client's view differs; says which, and how
stock_wrong() {
	local k wrong=1 pids=() said
	if ! ctl -j nodes list >"$LAB_DIR/nodes" 2>/dev/null; then
		echo "dbd does not answer"
		return 0
	fi
	said=$(jq -r '[.[] | select(.disco_key != null and (.online | not)) |
	    .name] | select(. != []) | "offline for dbd: \(.)"' "$LAB_DIR/nodes")
	[ -z "$said" ] || { echo "$said"; return 0; }
	for k in $(seq 1 $stock); do
		differs "$k" >"$LAB_DIR/$k/differs" &
		pids+=($!)
	done
	wait "${pids[@]}"
	for k in $(seq 1 $stock); do
		# jq -e: 4 is nothing said
		[ -s "$LAB_DIR/$k/view/status" ] && [ ! -s "$LAB_DIR/$k/differs" ] &&
		    continue
		echo "host $k: $(head -c 400 "$LAB_DIR/$k/differs")"
		wrong=0
	done
	return $wrong
}
# The connections of each stock client to the server, by local port.
ports() {
	local k
	for k in $(seq 1 $stock); do
		echo "$k $(connections "$k")"
	done
}

wrong() { # wrong TEXT: of the round
	echo "      $round $t: $*"
	bad=$((bad + 1))
}

# strike ROLE SLOT: one round
strike() {
	local role=$1 slot=$2 pids gens t0 said names=() k
	ctl -j nodes list >"$LAB_DIR/nodes0"
	mapfile -t pids < <(procs "$role" "$slot" pid)
	gens=$(procs "$role" "$slot" generation | tr '\n' ' ')
	ports >"$LAB_DIR/ports0"
	for k in 1 2; do
		names+=("$(ctl keys create --user admin | tail -1)")
	done
	if [ $((round % 2)) -eq 0 ]; then
		order calm || wrong "before the kill: $answer"
		"$bin/b/strike" "$wal" 2000 $((RANDOM % 400)) "${pids[@]}" \
		    >"$LAB_DIR/struck" &
		k=$!
		sleep 0.02
		order single "${names[@]}"
		wait $k || wrong "no kill"
		wc -l <"$LAB_DIR/server.log" >"$LAB_DIR/lines"
		order churn $rate
	else
		order single "${names[@]}"
		sleep "0.0$((RANDOM % 10))"
		"$bin/b/strike" "$wal" 0 0 "${pids[@]}" >"$LAB_DIR/struck" ||
		    wrong "no kill"
		wc -l <"$LAB_DIR/server.log" >"$LAB_DIR/lines"
	fi
	t0=$(cut -d' ' -f2 "$LAB_DIR/struck")
	sleep 0.4
	order calm || wrong "$answer"
	order right ${limit}s || wrong "$answer"
	while said=$(stock_wrong); do
		before "$(since "$t0")" $limit || { wrong "$said"; break; }
		sleep 0.05
	done
	until risen "$role" "$slot" "$gens"; do
		before "$(since "$t0")" $limit ||
		    { wrong "no successor"; break; }
		sleep 0.05
	done
	took=$(since "$t0")
	before "$took" $limit || wrong "only after $took s"
	untouched "$role" "$slot"
	singles "$role"
	order churn $rate
}

# Streams that the killed child did not hold are as they were.
untouched() { # untouched ROLE SLOT
	local held foreign
	order count || wrong "$answer"
	held=$(jq -c --arg r "$1" --argjson s "$2" \
	    '[.[] | select($r == "all" or $r == "worker" and .worker == $s) |
	    .hostname]' \
	    "$LAB_DIR/nodes0")
	lost=$(jq '.lost | length' <<<"$answer")
	foreign=$(jq -c --argjson h "$held" '.lost - $h' <<<"$answer")
	[ "$foreign" = '[]' ] || wrong "lost streams that it did not hold: $foreign"
	[ "$(jq '.lost | length - (unique | length)' <<<"$answer")" -eq 0 ] ||
	    wrong "lost a stream twice: $answer"
	[ "$(jq .faults <<<"$answer")" -eq 0 ] || wrong "breaches: $answer"
	offlines=$(jq .offlines <<<"$answer")
	ports | while read -r k p; do
		jq -e --arg n "h$k" 'index($n)' <<<"$held" >/dev/null ||
		    grep -qx "$k $p *" "$LAB_DIR/ports0" ||
		    echo "host $k had $(grep "^$k " "$LAB_DIR/ports0"), has $p"
	done >"$LAB_DIR/moved"
	[ ! -s "$LAB_DIR/moved" ] || wrong "$(cat "$LAB_DIR/moved")"
}

# Each single-use key: one machine has it, and the other was told why not.
singles() { # singles ROLE
	local n
	order singles || wrong "$answer"
	n=$(jq '[.singles[] | select((.taken | length) != 1 or
	    (.refused | length) != 1 or
	    (.refused[0] | contains("auth key already used") | not))] | length' \
	    <<<"$answer")
	[ "$n" -eq 0 ] || wrong "$n keys not used once: $answer"
	jq -c '.singles[]' <<<"$answer" >>"$LAB_DIR/singles"
	# Answered after the kill, and made before it: by another try if it was
	# the worker; from the stored result if it was dbd, for a new one logs
	# what it makes.
	jq -r --argjson t "$(cut -d' ' -f2 "$LAB_DIR/struck")" --arg r "$1" \
	    '.singles[].answers[] | select(.taken and .at > $t + 0.01 and
	    ($r == "dbd" or .tries > 1)).name' \
	    <<<"$answer" | while read -r n; do
		n="node registered tailnet=.*name=$n\$"
		case $1 in
		dbd)	tail -n "+$(($(cat "$LAB_DIR/lines") + 1))" \
			    "$LAB_DIR/server.log" | grep -q "$n" && continue ;;
		*)	head -n "$(cat "$LAB_DIR/lines")" \
			    "$LAB_DIR/server.log" | grep -q "$n" || continue ;;
		esac
		echo "$1"
	done >>"$LAB_DIR/between"
}

lab_up $stock 'workers = 2
limits { node_burst = 100000 }'
for k in $(seq 1 $stock); do
	"$hosts" start "$k" "${versions[$((k - 1))]}"
	check "host $k (client ${versions[$((k - 1))]}) joins" join "$k"
done
coproc SWARM { exec "$hosts" exec hub "$swarm" -url "$url" -key "$key" \
    -n $simulated -sample $simulated -limit 20s -quiet 500ms join obey \
    2>"$LAB_DIR/swarm.log"; }
read -r -t 60 answer <&"${SWARM[0]}"
check "$simulated simulated clients join" jq -e .ok <<<"$answer"
check "all views are right" within $limit eval '! stock_wrong'

master=$(cat "$srv/headscaled.pid")
starts() { ctl -j status | jq -c '[.processes[] | [.role, .slot, .starts]]'; }
starts0=$(starts)
pss() { # of the server, MB
	cat "/proc/$master/smaps_rollup" $(procs all 0 pid |
	    sed 's,.*,/proc/&/smaps_rollup,') | awk '/^Pss:/ { n += $2 }
	    END { printf "%.1f", n / 1024 }'
}
pss0=$(pss)
mapfile -t targets < <(ctl -j status | jq -r \
    '.processes[] | select(.role != "master") | "\(.role) \(.slot)"')
self_keys() {
	local k
	for k in $(seq 1 $stock); do self "$k" PublicKey; addr "$k" 4; done
}
selves=$(self_keys)
"$hosts" exec 1 ping -n -q -i 0.2 "$(addr 2 4)" >"$LAB_DIR/ping" 2>&1 &
ping=$!
order churn $rate
begin=$(now)
bad=0
: >"$LAB_DIR/rounds"
for round in $(seq 1 "$kills"); do
	last=()
	[ $((round % 4)) -ne 0 ] || last=("all 0")
	for t in "${targets[@]}" "${last[@]}"; do
		worse=$bad
		took=99 lost=0 offlines=0
		strike ${t% *} ${t#* }
		echo "$t $took $lost $((bad - worse))" >>"$LAB_DIR/rounds"
	done
done
order calm
spent=$(since "$begin")
kill -INT $ping
wait $ping 2>/dev/null

for t in "${targets[@]}" "all 0"; do
	grep -q "^$t " "$LAB_DIR/rounds" || continue
	figures=$(grep "^$t " "$LAB_DIR/rounds" | sort -n -k3 | awk '
	    { t[NR] = $3; lost += $4 }
	    END { printf "killed %d times: right again in %s s (median), " \
		"%s s (longest); %d streams lost", NR, t[int((NR + 1) / 2)],
		t[NR], lost }')
	check "$t $figures" eval \
	    "! grep '^$t .* [1-9][0-9]*\$' '$LAB_DIR/rounds'"
done
check "nobody else died: starts" test "$(starts)" = "$(jq -c \
    --argjson k $((kills + kills / 4)) 'map(if .[0] == "master" then . else
    [.[0], .[1], .[2] + $k] end)' <<<"$starts0")"
check "master is the same" test "$(cat "$srv/headscaled.pid")" = "$master"
check "stock clients: same keys and addresses, no login" \
    test "$(self_keys)" = "$selves"
check "no client was seen offline by another" test "$offlines" -eq 0
check "the tunnel 1 -> 2 lost nothing" grep ' 0% packet loss' "$LAB_DIR/ping"
ctl -j nodes list >"$LAB_DIR/nodes"
check "every acknowledged registration is there" jq -n -e \
    --slurpfile n "$LAB_DIR/nodes" --slurpfile s "$LAB_DIR/singles" \
    '[$s[].taken[]] - [$n[0][].node_key] == []'
ctl -j keys list >"$LAB_DIR/keys"
check "every single-use key made at most one node" jq -n -e \
    --slurpfile n "$LAB_DIR/nodes" --slurpfile k "$LAB_DIR/keys" \
    '[$k[0][] | select(.reusable | not).id] as $once |
    [$n[0][] | select(.key_id as $i | $once | index($i))] |
    group_by(.key_id) | all(length == 1) and length > 0'
for t in worker dbd; do
	n=$(grep -c $t "$LAB_DIR/between")
	[ "$kills" -lt 10 ] && [ "$n" -eq 0 ] ||
	    check "$n registrations: $t died between commit and reply" \
	    test "$n" -gt 0
done
echo "$(wc -l <"$LAB_DIR/singles") single-use keys, two machines each;" \
    "$(jq -s 'map(.repeats) | add' "$LAB_DIR/singles") tries without an" \
    "answer"
echo "$(wc -l <"$LAB_DIR/rounds") kills in $spent s; memory (PSS) $pss0 MB" \
    "before, $(pss) MB after; $(tail -2 "$LAB_DIR/ping" | head -1)"
[ "$failed" -eq 0 ]
