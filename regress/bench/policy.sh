#!/bin/bash
# The policy engine's numbers: a server of this build on loopback, ten users, a
# ten-rule policy of which one port changes, the swarm on the same cores.  Then
# what classes and compiles cost without a network, up to 10,000 nodes.
# Prints a table; exits 1 if a figure misses its limit.
#
#	policy.sh OUT [N ...]	growth at these sizes (default 100 300 1000 3000)
#
# Limits hold where the swarm's calibration_us is 120; times are scaled by it.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
port=${PORT:-18472}
. regress/bench/lib.sh

start() {
	local u
	serve 'domains = { "example.com" }'
	keys=
	for u in $(seq 0 9); do
		ctl users add "u$u@example.com" >/dev/null
		keys="$keys -key $(ctl keys create --user "u$u@example.com" --reusable | tail -1)"
	done
}
# Everybody sees everybody; each user's port is a rule, the first one's changes.
cat >"$dir/set" <<'S'
#!/bin/sh
{
	echo '{"acls": ['
	for u in 0 1 2 3 4 5 6 7 8 9; do
		p=$((2000 + u))
		[ $u -ne 0 ] || p=$((1000 + ROUND))
		echo "{\"action\": \"accept\", \"src\": [\"u$u@example.com\"], \"dst\": [\"autogroup:member:$p\"]},"
	done
	echo ']}'
} | "$CTL" -s "$SOCK" policy set - -r bench
S
export CTL=$bin/headscalectl SOCK=$sock
one() { # one N STEP ...
	local n=$1
	shift
	start
	ROUND=999 sh "$dir/set" >/dev/null || rc=1
	# shellcheck disable=SC2086
	play $keys -n "$n" -policy "sh $dir/set >/dev/null" "$@"
	stop
}
row() { # row TEXT VALUE LIMIT
	local said=ok
	awk "BEGIN{exit !($2 <= $3 * $cal / 120)}" || { said=MISSED; rc=1; }
	printf '| %s | %s | %s | %s |\n' "$1" "$2" "$3" "$said"
}

echo "| what | measured | limit | |"
echo "|---|---|---|---|"
one 300 join policy:20
cal=$(get join calibration_us)
printf '| calibration, us | %s | 120 | |\n' "$cal"
row "one port changed at 300 nodes: last delivery p50, ms" \
    "$(get policy:20 last_delivery_p50_s 1000)" 50
row "... server CPU, ms" "$(get policy:20 server_cpu_per_set_ms)" 10
CAL=$cal "$bin/b/polbench" || rc=1
CAL=$cal "$bin/b/b_tailnet" -p || rc=1
echo
echo "| nodes | join quiet s | join CPU s | policy last p50 ms | policy CPU ms | update CPU ms | PSS MB |"
echo "|---|---|---|---|---|---|---|"
for n in $sizes; do
	one "$n" join policy:10 update:20
	echo "| $n | $(get join quiet_s) | $(get join server_cpu_s) | $(get policy:10 last_delivery_p50_s 1000) | $(get policy:10 server_cpu_per_set_ms) | $(get update:20 server_cpu_per_update_ms) | $(get update:20 server_pss_mb) |"
done
exit $rc
