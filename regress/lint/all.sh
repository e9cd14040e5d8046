#!/bin/bash
# Every rule that a program can check; one "ok" or "FAIL" line each.
set -uo pipefail
out=${1:-out}
here=regress/lint
run() {
	local text=$1 o
	shift
	if o=$("$@" 2>&1); then
		echo "ok $text"
	else
		echo "FAIL $text"
		echo "$o" | head -40 | sed 's/^/      /'
	fi
}
run "layers: who may include whom" sh $here/layers.sh
run "headers compile by themselves" sh $here/headers.sh "$out"
run "no exported variables" sh $here/globals.sh "$out"
run "binaries lack what their role must not do" sh $here/symbols.sh "$out"
run "sizes of functions, files, headers and lines" sh $here/size.sh
run "feature tests only where they belong" sh $here/ifdef.sh
run "no forbidden functions" sh $here/calls.sh
run "man pages" sh $here/man.sh
run "OpenBSD's side compiles against stub headers" sh $here/openbsd.sh "$out"
run "cppcheck" sh $here/cppcheck.sh "$out"
run "gcc -fanalyzer" sh $here/analyzer.sh "$out"
