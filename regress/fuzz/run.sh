#!/bin/bash
# Builds every fuzz target with clang and runs each for T seconds (default 60)
# from its seed corpus; what it finds is left in OUT/crash.  One line a target.
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
rc=0
for f in "$out"/f/f_*; do
	case $f in *.o|*.d) continue ;; esac
	name=$(basename "$f"); name=${name#f_}
	seeds=regress/fuzz/corpus/$name
	if [ ! -d "$seeds" ] || [ -z "$(ls "$seeds")" ]; then
		echo "FAIL fuzz $name: no seed corpus"
		rc=1
		continue
	fi
	mkdir -p "$out/corpus/$name"
	if "$f" -max_total_time="$t" -rss_limit_mb=1024 -timeout=10 \
	    -artifact_prefix="$out/crash/$name-" "$out/corpus/$name" "$seeds" \
	    >"$out/$name.log" 2>&1; then
		echo "ok fuzz $name: $(grep -o 'Done [0-9]* runs' "$out/$name.log")"
	else
		echo "FAIL fuzz $name"
		grep -E 'ERROR|SUMMARY|runtime error' "$out/$name.log" | head -5
		rc=1
	fi
done
exit $rc
