#!/bin/bash
# Runs every test and ends with one line "N passed, M failed, K skipped".
#
#	check.sh [STEP ...]	default: all, in the order below
#
# A step is a command whose lines beginning with "ok", "not ok" or "FAIL", and
# "skipped:" are counted; a step that fails without such a line counts as one
# failure.  With CI=true a skip is a failure.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 2
out=${O:-out}
log=$out/check
mkdir -p "$log"
make=${MAKE:-make}
passed=0 failed=0 skipped=0

step() { # step NAME COMMAND ...
	local name=$1 file=$log/$1.log t0=$SECONDS rc p f s
	shift
	"$@" >"$file" 2>&1
	rc=$?
	p=$(grep -c '^ok' "$file")
	f=$(grep -cE '^(not ok|FAIL)' "$file")
	s=$(grep -c '^skipped:' "$file")
	if [ $((p + f + s)) -eq 0 ]; then
		echo "no test ran" >>"$file"
		rc=1
	fi
	if [ $rc -ne 0 ] && [ "$f" -eq 0 ]; then
		f=1
		tail -25 "$file" | sed 's/^/      /'
	fi
	grep -E '^(not ok|FAIL|skipped:)' "$file" | sed "s/^/  /"
	printf '%-10s %4d passed, %d failed, %d skipped  (%d s)\n' \
	    "$name" "$p" "$f" "$s" $((SECONDS - t0))
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
}

one_unit() { # one_unit PROGRAM: its lines, and FAIL if it did
	echo "# $1"
	CMOCKA_MESSAGE_OUTPUT=tap timeout 600 "$1" 2>&1 | sed 's/^\t*//'
	[ "${PIPESTATUS[0]}" -eq 0 ] || echo "FAIL $(basename "$1")"
}
export -f one_unit
unit() { # unit BUILD-FOLDER: as many at a time as there are processors
	local dir rc=0
	dir=$(mktemp -d) || return 1
	find "$1/t" -name 't_*' -type f -perm -u+x | sort |
	    xargs -P "$(getconf _NPROCESSORS_ONLN)" -I '{}' bash -c \
	    'one_unit "$1" >"$2/$(basename "$1")" 2>&1' _ '{}' "$dir" || rc=1
	cat "$dir"/t_* || rc=1
	! grep -q '^FAIL' "$dir"/t_* || rc=1
	rm -rf "$dir"
	return $rc
}

asan_flags='-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -std=c11 -Wall -Wextra -Werror'
# What the steps but build run, made anew if something changed.
made() { "$make" O="$out" all tests >"$log/made.log" || cat "$log/made.log"; }
do_build() {
	"$make" O="$out" all tests && echo "ok build with cc" &&
	"$make" O="$out-clang" CC=clang all && echo "ok build with clang" &&
	bmake O="$out-bmake" all >/dev/null && echo "ok build with bmake"
}
do_asan() {
	"$make" O="$out-asan" CFLAGS="$asan_flags" \
	    LDFLAGS='-fsanitize=address,undefined' all tests || return 1
	UBSAN_OPTIONS=print_stacktrace=1 ASAN_OPTIONS=detect_leaks=1 unit "$out-asan"
	[ ! -x "$out-asan/b/sim" ] || timeout 900 "$out-asan/b/sim" -n 100
}
do_unit() { unit "$out"; }
do_lint() { bash regress/lint/all.sh "$out"; }
do_policy() {
	local rc=0 run="$out/b/polrun"
	judge() { # judge NAME PROGRAM ARGUMENT ...
		local name=$1
		shift
		if python3 "$@"; then echo "ok $name"
		else echo "FAIL $name"; rc=1; fi
	}
	judge differential regress/policy/diff.py "$run" --jobs 2 \
	    --count "${POLICIES:-2000}"
	judge properties regress/policy/props.py "$run"
	return $rc
}
do_rights() {
	"$out/b/rights" "$out" || return 1
}
do_sim() {
	local n=${SEEDS:-2000} half other rc=0
	half=$((n / 2))
	timeout 1200 "$out/b/sim" -n "$half" &
	other=$!
	timeout 1200 "$out/b/sim" -n $((n - half)) -f $((half + 1)) || rc=1
	timeout 300 "$out/b/sim" -r 25 || rc=1
	timeout 300 "$out/b/sim" -r 1 -f 80 || rc=1
	wait $other || rc=1
	return $rc
}
do_fuzz() { T=${T:-3} bash regress/fuzz/run.sh "$out-fuzz"; }
do_ctl() { bash regress/scenario/ctl.sh "$out"; }
do_scenario() {
	local rc=0 other
	bash regress/scenario/diskfull.sh "$out" || rc=1
	bash regress/scenario/rogue.sh "$out" || rc=1
	bash regress/scenario/hang.sh "$out" || rc=1
	bash regress/scenario/stun.sh "$out" || rc=1
	bash regress/scenario/counters.sh "$out" || rc=1
	bash regress/scenario/syslog.sh "$out" || rc=1
	bash regress/scenario/acme_pebble.sh "$out" || rc=1
	# Both wait for most of the time.
	bash regress/scenario/health.sh "$out" >"$log/health.log" 2>&1 &
	other=$!
	bash regress/scenario/acme.sh "$out" || rc=1
	wait $other || rc=1
	cat "$log/health.log"
	bash regress/scenario/tls.sh "$out" || rc=1
	bash regress/scenario/derp.sh "$out" || rc=1
	bash regress/scenario/browser.sh "$out" || rc=1
	return $rc
}
do_start() {
	local rc=0
	bash regress/scenario/start.sh "$out" || rc=1
	bash regress/scenario/run.sh "$out" || rc=1
	bash regress/scenario/install.sh "$out" || rc=1
	return $rc
}
do_lab() {
	local rc=0
	bash regress/lab/all.sh "$out" || rc=1
	bash regress/lab/policy.sh "$out" || rc=1
	bash regress/lab/derp.sh "$out" || rc=1
	bash regress/lab/tls.sh "$out" || rc=1
	return $rc
}
do_chaos() { bash regress/lab/chaos.sh "$out"; }

[ $# -gt 0 ] || set -- build unit lint policy rights sim asan fuzz start ctl scenario lab chaos
[ "$1" = build ] || made
for s; do
	step "$s" "do_$s"
done
if [ "${CI-}" = true ] && [ $skipped -gt 0 ]; then
	echo "skipped tests count as failures here"
	failed=$((failed + skipped))
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
