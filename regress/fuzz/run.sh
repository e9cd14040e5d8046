#!/bin/bash
# Builds every fuzz target with clang and runs each for T seconds (default 60)
# from its seed corpus, as many at a time as there are processors; what it finds
# is left in OUT/crash.  One line a target.
#
#	run.sh OUT
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
out=${1:-out-fuzz} t=${T:-60}
make=${MAKE:-make}
flags='-O1 -g -std=c11 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined'
"$make" O="$out" CC=clang CFLAGS="$flags" LDFLAGS='-fsanitize=address,undefined' \
    fuzzers || exit 1
mkdir -p "$out/crash"
export out t
one() { # one PROGRAM: its line
	local name seeds
	name=$(basename "$1"); name=${name#f_}
	seeds=regress/fuzz/corpus/$name
	if [ ! -d "$seeds" ] || [ -z "$(ls "$seeds")" ]; then
		echo "FAIL fuzz $name: no seed corpus"
		return
	fi
	mkdir -p "$out/corpus/$name"
	if "$1" -max_total_time="$t" -rss_limit_mb=1024 -timeout=10 \
	    -artifact_prefix="$out/crash/$name-" "$out/corpus/$name" "$seeds" \
	    >"$out/$name.log" 2>&1; then
		echo "ok fuzz $name: $(grep -o 'Done [0-9]* runs' "$out/$name.log")"
	else
		echo "FAIL fuzz $name"
		grep -E 'ERROR|SUMMARY|runtime error' "$out/$name.log" | head -5
	fi
}
export -f one
find "$out/f" -name 'f_*' -type f -perm -u+x | sort |
    xargs -P "$(getconf _NPROCESSORS_ONLN)" -I '{}' bash -c 'one "$1"' _ '{}' |
    tee "$out/said" || exit 1
[ -s "$out/said" ] && ! grep -q '^FAIL' "$out/said"
