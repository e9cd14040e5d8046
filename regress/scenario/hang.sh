#!/bin/bash
# A worker hangs (SIGSTOP): within seconds its sibling accepts for it, nobody
# who comes waits longer, who is on the sibling notices nothing, and after 30 s
# it is replaced.  One that hangs for less lives and keeps its streams.  One
# "ok" or "FAIL" line a check; about a minute.
#
#	hang.sh OUT
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
. regress/scenario/lib.sh
label='hang: '
begin
programs
config "$t/state"
stopped=
undo() { [ -z "$stopped" ] || kill -CONT "$stopped" 2>/dev/null; }

since() { awk "BEGIN { printf \"%.1f\", $EPOCHREALTIME - $1 }"; }
below() { awk "BEGIN { exit !($1 < $2) }"; }
# Several at once, each on a connection of its own: how long each took.
ask() { # ask COUNT FILE
	local n
	for ((n = 0; n < $1; n++)); do
		curl -fsS -m 20 -o "$2.body$n" -w '%{time_total}\n' \
		    "http://127.0.0.1:$port/key?v=131" >"$2.time$n" &
		asking+=($!)
	done
}
longest() { # longest COUNT FILE: "none" if one was not answered
	local n
	for ((n = 0; n < $1; n++)); do
		grep -q publicKey "$2.body$n" 2>/dev/null ||
		    { echo none; return; }
	done
	cat "$2".time* | sort -n | tail -1
}
worker() { # worker SLOT FIELD
	ctl -j status | jq -r --argjson s "$1" '.processes[] |
	    select(.role == "worker" and .slot == $s) | .'"$2"
}
held() { # held SLOT: the names of the nodes whose streams it holds
	ctl -j nodes list | jq -r --argjson s "$1" \
	    '.[] | select(.online and .worker == $s).name'
}
holds() { [ -n "$(held "$1")" ]; }
grown() { # grown SLOT: joins nodes until it holds one
	local n
	for n in $(seq 40); do
		! holds "$1" || return 0
		join "$2$n"
		within 80 heard "$2$n" map || return 1
	done
	holds "$1"
}
stay() { # stay NAME ...: their streams have not ended
	local n
	for n; do
		! heard "$n" gone || { echo "$n: $(tail -1 "$t/$n.out")"; return 1; }
	done
}

ok "starts" serve
tailnet
ok "nodes join on worker 1" grown 1 a
ok "nodes join on worker 2" grown 2 b
mapfile -t first < <(held 1)
mapfile -t second < <(held 2)
one=$(worker 1 pid) two=$(worker 2 pid)

# For good.
asking=()
stopped=$two
kill -STOP "$two"
t0=$EPOCHREALTIME
ask 16 "$t/early"
ok "the log says that worker 2 does not answer" within 80 logged \
    'worker 2 does not answer, and accepts nothing: its siblings do it'
noticed=$(since "$t0")
ok "after $noticed s, not 2 to 5.5" eval "below 2 $noticed &&
    below $noticed 5.5"
wait "${asking[@]}"
took=$(longest 16 "$t/early")
ok "who came first was answered after $took s" below "$took" 7
ok "that is: some waited, in the queue of worker 2" below 1 "$took"
while below "$(since "$t0")" 25; do
	asking=()
	ask 8 "$t/late"
	wait "${asking[@]}"
	took=$(longest 8 "$t/late")
	below "$took" 1 || break
	sleep 1
done
ok "who came later within 1 s, always" below "$took" 1
join "new"
ok "a node joins meanwhile" within 50 heard new map
ok "who is on worker 1 sees it" within 30 heard "${first[0]}" "change.*new"
ok "worker 2 is not dead yet" test "$(worker 2 pid)" = "$two"
ok "status says how it is" test "$(worker 2 state)" = silent
replaced() { [ "$(worker 2 state)" = ready ] &&
    [ "$(worker 2 pid)" != "$two" ]; }
ok "worker 2 is replaced" within 200 replaced
stopped=
ok "after $(since "$t0") s, not 30 to 35" eval "below 30 $(since "$t0") &&
    below $(since "$t0") 35"
ok "the log says why" logged \
    "worker 2 is killed pid=$two: it has not answered for 30 s"
gone() { local n; for n; do heard "$n" gone || return 1; done; }
ok "its clients see their connections end" within 30 gone "${second[@]}"
ok "worker 1 is the same" test "$(worker 1 pid)" = "$one"
ok "no stream of worker 1 ended" stay "${first[@]}" new
ok "nothing else died" test "$(grep -c ' died pid=' "$t/log")" -eq 1
ok "the new worker 2 accepts" grown 2 c

# For less.
mapfile -t second < <(held 2)
two=$(worker 2 pid)
stopped=$two
kill -STOP "$two"
sleep 8
asking=()
ask 8 "$t/again"
wait "${asking[@]}"
took=$(longest 8 "$t/again")
ok "it hangs again: who comes is answered" below "$took" 1
kill -CONT "$two"
stopped=
ok "it goes on: the log says so" within 30 logged 'worker 2 answers again'
ok "so does status" test "$(worker 2 state)" = ready
join "last"
ok "a node joins" within 50 heard last map
ok "who is on worker 2 sees it" within 30 heard "${second[0]}" "change.*last"
sleep 1
ok "it is the same worker" test "$(worker 2 pid)" = "$two"
ok "no stream ended" stay "${first[@]}" "${second[@]}" new last
ok "nothing died" test "$(grep -c ' died pid=' "$t/log")" -eq 1
exit $rc
