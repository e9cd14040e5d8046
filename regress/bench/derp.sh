#!/bin/bash
# The relay's numbers beside those of a stock derper: both on loopback over
# TLS 1.3 on the same cores, loaded by turns by the same generator.  Prints the
# table that regress/bench/README keeps; exits 1 if a figure misses its limit.
#
#	derp.sh OUT [PART ...]	packets latency idle logins tls (default: all)
#
# ROUNDS (5) of either; DERPER is another derper than the lab's.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
port=${PORT:-18474}
. regress/bench/lib.sh
rounds=${ROUNDS:-5}
case $sizes in *[a-z]*) parts=$sizes ;; *) parts='packets latency idle logins tls' ;; esac
other=$((port + 1))
load=$bin/b/derpload
name=derp.test
derper=${DERPER:-${LAB_CACHE:-$HOME/.cache/headscaled-lab}/derper}
[ -x "$derper" ] || regress/lab/clients || exit 1
theirs=
export STUN=off RELAY='verify_clients = false open_relay = true'
trap 'stop; stop_theirs; rm -rf "$dir"' EXIT

mkdir "$dir/certs" || exit 1
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
    -days 30 -subj "/CN=$name" -addext "subjectAltName=DNS:$name" \
    -keyout "$dir/certs/$name.key" -out "$dir/certs/$name.crt" 2>/dev/null ||
    exit 1

start_theirs() {
	"$derper" -a "127.0.0.1:$other" -http-port -1 -certmode manual \
	    -certdir "$dir/certs" -hostname "$name" -stun=false \
	    -verify-clients=false -c "$dir/derper.json" >"$dir/derper.log" 2>&1 &
	theirs=$!
	until (: >"/dev/tcp/127.0.0.1/$other") 2>/dev/null; do
		kill -0 $theirs 2>/dev/null || { cat "$dir/derper.log"; exit 1; }
		sleep 0.05
	done
}
stop_theirs() {
	[ -n "$theirs" ] || return 0
	kill "$theirs"
	wait "$theirs" 2>/dev/null
	theirs=
}
start() {
	serve
	start_theirs
	: >"$dir/ours" >"$dir/theirs"
}
end() {
	stop
	stop_theirs
}
at() { # at ours|theirs: the generator's words for it
	case $1 in
	ours)	echo "-P $pid -n $name 127.0.0.1:$port" ;;
	theirs)	echo "-P $theirs -n $name 127.0.0.1:$other" ;;
	esac
}
turn() { # turn ours|theirs STEP ...
	local who=$1
	shift
	# shellcheck disable=SC2046
	"$load" -f $(at "$who") "$@" >>"$dir/$who" 2>>"$dir/err" || {
		echo "failed with $who: $*"
		tail -5 "$dir/err"
		rc=1
	}
}
both() { # both STEP: in as many rounds as there are
	local i
	for i in $(seq 1 "$rounds"); do
		turn ours "$1"
		turn theirs "$1"
	done
}
median() { # median ours|theirs STEP FIELD [FACTOR]
	jq -s "[.[] | select(.step == \"$2\") | .$3 * ${4:-1}] | sort |
	    .[length / 2 | floor] // 0 | . * 100 | round / 100" "$dir/$1"
}
worst() { # worst ours|theirs STEP FIELD
	jq -s "[.[] | select(.step == \"$2\") | .$3] | max // 0" "$dir/$1"
}
judge() { # judge TEXT OURS THEIRS le|ge|plain LIMIT-OF-RATIO
	local said='' ratio
	ratio=$(awk "BEGIN{if ($3 > 0) printf \"%.2f\", $2 / $3; else print 0}")
	case $4 in
	le)	said=ok; awk "BEGIN{exit !($2 > 0 && $2 <= $3 * $5)}" || said=MISSED ;;
	ge)	said=ok; awk "BEGIN{exit !($2 >= $3 * $5)}" || said=MISSED ;;
	esac
	[ "$said" != MISSED ] || rc=1
	printf '| %s | %s | %s | %s | %s | %s |\n' "$1" "$2" "$3" "$ratio" \
	    "${5-}" "$said"
}
limit() { # limit TEXT OURS THEIRS le|ge|plain LIMIT: of ours alone
	local said=ok
	case $4 in
	plain)	said= ;;
	le)	awk "BEGIN{exit !($2 <= $5)}" || said=MISSED ;;
	ge)	awk "BEGIN{exit !($2 >= $5)}" || said=MISSED ;;
	esac
	[ "$said" != MISSED ] || rc=1
	printf '| %s | %s | %s | | %s | %s |\n' "$1" "$2" "$3" "$5" "$said"
}

calibrate() { # as make bench does it
	serve
	play -key "$key" -n 1 join
	stop
	printf '| calibration, us | %s | | | | |\n' "$(get join calibration_us)"
}
packets() {
	local n step how cpu
	start
	for n in 1 10 100; do
		step=window:$n:1200:16:2
		both "$step"
		# One pair waits for wake-ups, not for a processor.
		how='ge 2' cpu='le 0.5'
		[ $n -gt 1 ] || how=plain cpu=plain
		# shellcheck disable=SC2086
		judge "1,200 octets, $n pair(s), 16 under way: packets a second" \
		    "$(median ours "$step" per_s)" \
		    "$(median theirs "$step" per_s)" $how
		# shellcheck disable=SC2086
		judge "... CPU a packet, us" "$(median ours "$step" relay_us)" \
		    "$(median theirs "$step" relay_us)" $cpu
		judge "... the generator's, of a core" \
		    "$(median ours "$step" own_load)" \
		    "$(median theirs "$step" own_load)" plain
		judge "... others on the machine, of a core" \
		    "$(median ours "$step" others_load)" \
		    "$(median theirs "$step" others_load)" plain
	done
	step=window:1:1200:1:2
	both "$step"
	judge "one pair, one packet under way: p50, us" \
	    "$(median ours "$step" p50_us)" "$(median theirs "$step" p50_us)" \
	    plain
	end
}

# A probe beside half of what derper can relay.
latency() {
	local who i half step=open:1:64:1000:5 bg
	start
	for i in 1 2 3; do turn theirs window:10:1200:16:2; done
	half=$(awk "BEGIN{printf \"%d\", $(median theirs window:10:1200:16:2 \
	    per_s) / 2}")
	for i in $(seq 1 "$rounds"); do
		for who in ours theirs; do
			# shellcheck disable=SC2046
			"$load" $(at $who) "open:10:1200:$half:7" \
			    >>"$dir/$who" 2>>"$dir/err" &
			bg=$!
			turn $who $step
			wait $bg || { echo "the load failed: $who"; rc=1; }
		done
	done
	judge "probe beside $half packets a second (half of derper's): p50, us" \
	    "$(median ours $step p50_us)" "$(median theirs $step p50_us)" plain
	judge "... p99, us" "$(median ours $step p99_us)" \
	    "$(median theirs $step p99_us)" le 1
	judge "... of the load, p99, us" \
	    "$(median ours "open:10:1200:$half:7" p99_us)" \
	    "$(median theirs "open:10:1200:$half:7" p99_us)" plain
	judge "... lost, %" "$(median ours "open:10:1200:$half:7" loss 100)" \
	    "$(median theirs "open:10:1200:$half:7" loss 100)" plain
	end
}

per_client() { # KB each, when they have been idle
	jq -s '(map(select(.step | startswith("login")))[0]) as $l |
	    (map(select(.step | startswith("idle")))[0]) as $i |
	    ($i.pss_kb - $l.pss_before_kb) / $l.clients * 100 | round / 100' \
	    "$dir/$1"
}
idle() {
	local n=${CLIENTS:-5000} s=${IDLE:-130} o t bg
	start
	turn ours "login:$n" "idle:$s" &
	bg=$!
	turn theirs "login:$n" "idle:$s"
	wait $bg
	o=$(per_client ours) t=$(per_client theirs)
	judge "$n idle clients: PSS of one, KB" "$o" "$t" le 0.5
	limit "..." "$o" "$t" le 24
	limit "... dropped in $s s" "$(worst ours "idle:$s" dropped)" \
	    "$(worst theirs "idle:$s" dropped)" le 0
	limit "... keep-alives of the one with the fewest" \
	    "$(worst ours "idle:$s" least)" "$(worst theirs "idle:$s" least)" \
	    ge $((s / 65))
	limit "... longest time without one, s" \
	    "$(worst ours "idle:$s" widest_s)" \
	    "$(worst theirs "idle:$s" widest_s)" le 66
	judge "... CPU meanwhile, % of a core" \
	    "$(median ours "idle:$s" relay_load 100)" \
	    "$(median theirs "idle:$s" relay_load 100)" plain
	end
}

logins() {
	start
	both storm:3
	judge "logins a second, fast start" "$(median ours storm:3 per_s)" \
	    "$(median theirs storm:3 per_s)" plain
	judge "... CPU of one, us" "$(median ours storm:3 relay_us)" \
	    "$(median theirs storm:3 relay_us)" plain
	both get:3
	judge "TLS and a GET: a second" "$(median ours get:3 per_s)" \
	    "$(median theirs get:3 per_s)" plain
	judge "... CPU of one, us" "$(median ours get:3 relay_us)" \
	    "$(median theirs get:3 relay_us)" plain
	end
}

# Handshakes with the key in headscaled-keyd, the program of this build, beside
# those with it in the worker's own process.
tls() {
	local kind here there share
	timeout 120 "$bin/b/b_tls" 2 100 >"$dir/tls" 2>>"$dir/err" || {
		echo "b_tls failed:"
		tail -5 "$dir/err"
		rc=1
	}
	sed -n 's/^\(.*\): \([0-9]*\) handshakes.*here, \([0-9]*\) with.* \([0-9]*\) %$/\1|\2|\3|\4/p' \
	    "$dir/tls" >"$dir/shares"
	[ "$(wc -l <"$dir/shares")" -eq 5 ] || rc=1
	while IFS='|' read -r kind here there share; do
		limit "TLS handshakes a second, $kind: $there beside $here with the key in the process, %" \
		    "$share" "" ge 60
		limit "... $(grep -A1 "^$kind: " "$dir/tls" |
		    sed -n 's/^ *\(.* keyd.s\): \([0-9]*\) %.*/\1, %/p')" \
		    "$(grep -A1 "^$kind: " "$dir/tls" |
		    sed -n 's/^ .*keyd.s: \([0-9]*\) %.*/\1/p')" "" plain ''
	done <"$dir/shares"
	limit "... others on the machine, of a core" \
	    "$(sed -n 's/^others .*: \(.*\) of a core$/\1/p' "$dir/tls")" \
	    "" plain ''
}

echo "| what | headscaled | derper | ratio | limit | |"
echo "|---|---|---|---|---|---|"
calibrate
for part in $parts; do
	"$part" || rc=1
done
exit $rc
