#!/bin/bash
# The numbers of the project: a server of this build on loopback, the swarm on
# the same cores, sampled views checked.  Prints the table that
# regress/bench/README keeps; exits 1 if a figure misses its limit.
#
#	run.sh OUT [N ...]	growth at these sizes (default 100 300 1000 3000)
#
# The limits hold where the swarm's calibration_us is 120; times are scaled by
# it.  The machine must be idle otherwise.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
port=${PORT:-18470}
. regress/bench/lib.sh

one() { # one N STEP ...: a fresh server, one JSON object a step in $dir/json
	local n=$1 watch
	shift
	serve "${EXTRA-}"
	: >"$dir/streams"
	# Until all are there: who asks later is part of what is measured.
	until tail -1 "$dir/streams" | grep -q "^\[$n,"; do
		sleep 0.5
		ctl -j status 2>/dev/null |
		    jq -c '[.processes[] | select(.role=="worker") | .streams] | [add, .]' >>"$dir/streams"
	done &
	watch=$!
	play -key "$key" -n "$n" \
	    -restart "bash $PWD/regress/bench/restart.sh $bin $dir/s" "$@"
	kill $watch 2>/dev/null
	wait $watch 2>/dev/null
}
pss() { # of the server and its children, MB
	local p sum=0
	for p in $pid $(pgrep -P "$pid"); do
		sum=$((sum + $(awk '/^Pss:/{print $2}' "/proc/$p/smaps_rollup")))
	done
	awk "BEGIN{printf \"%.1f\", $sum/1024}"
}
row() { # row TEXT VALUE le|ge|plain LIMIT [time]: prints and judges
	local limit=$4 said=ok
	[ "${5-}" = time ] && limit=$(awk "BEGIN{print $4*$cal/120}")
	[ "${5-}" = rate ] && limit=$(awk "BEGIN{print $4*120/$cal}")
	case $3 in
	le)	awk "BEGIN{exit !($2 <= $limit)}" || said=MISSED ;;
	ge)	awk "BEGIN{exit !($2 >= $limit)}" || said=MISSED ;;
	esac
	[ $said = ok ] || rc=1
	printf '| %s | %s | %s | %s |\n' "$1" "$2" "$4" "$said"
}

echo "| what | measured | limit | |"
echo "|---|---|---|---|"
serve "${EXTRA-}"
sleep 2
row "memory (PSS) idle, MB" "$(pss)" le 16
stop
one 1 -sample 1 join register:4000
cal=$(get join calibration_us)
printf '| calibration, us | %s | 120 | |\n' "$cal"
row "registrations a second, 100 in flight" "$(get register:4000 registrations_per_s)" ge 800 rate
printf '| ... server CPU for 4,000 of them, s | %s | | |\n' "$(get register:4000 server_cpu_s)"
stop
one 1000 join idle:1s update:10 update:40:50ms noop:5
row "join 1,000 from empty until quiet, s" "$(get join quiet_s)" le 5 time
row "... server CPU, s" "$(get join server_cpu_s)" le 5 time
row "... streams killed" "$(get join killed)" le 0
row "one endpoint update, N=1,000: last delivery p50, ms" "$(get update:10 last_delivery_p50_s 1000)" le 30 time
row "... server CPU, ms" "$(get update:10 server_cpu_per_update_ms)" le 15 time
printf '| ... for 1,000 write(2) alone, ms | %s | | |\n' "$("$bin/b/b_floor" 1000 250 20 600)"
row "updates 50 ms apart: last delivery p50, ms" "$(get update:40:50ms last_delivery_p50_s 1000)" le 100 time
row "... server CPU each, ms" "$(get update:40:50ms server_cpu_per_update_ms)" le 15 time
printf '| ... for 1,000 write(2) alone, ms | %s | | |\n' "$("$bin/b/b_floor" 1000 250 40 50)"
row "identical MapRequest again: messages to others" "$(get noop:5 messages_per_noop)" le 0
row "memory (PSS), 1,000 streams, MB" "$(get noop:5 server_pss_mb)" le 45
streams=$(sort -n -t[ -k2 "$dir/streams" | tail -1)
row "streams per worker $streams: off the mean, %" \
    "$(echo "$streams" | jq '.[1] | (max - (add / length)) / (add / length) * 100 | round')" le 15
stop
one 1000 join restart
row "restart (SIGKILL), 1,000 nodes: all first maps, s" "$(get restart all_first_maps_s)" le 3 time
row "... quiet, s" "$(get restart quiet_s)" le 4 time
stop
echo
echo "| nodes | join quiet s | join CPU s | update last p50 ms | update CPU ms | ... per recipient us | 20 at once quiet s | rejoin p50 ms | PSS MB |"
echo "|---|---|---|---|---|---|---|---|---|"
for n in $sizes; do
	one "$n" join update:20 burst:20 rejoin:10
	cpu=$(get update:20 server_cpu_per_update_ms)
	echo "| $n | $(get join quiet_s) | $(get join server_cpu_s) | $(get update:20 last_delivery_p50_s 1000) | $cpu | $(awk "BEGIN{printf \"%.1f\", $cpu*1000/$n}") | $(get burst:20 quiet_s) | $(get rejoin:10 first_map_p50_s 1000) | $(get rejoin:10 server_pss_mb) |"
	stop
done
exit $rc
