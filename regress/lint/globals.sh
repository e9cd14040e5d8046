#!/bin/sh
# No archive of ours exports a variable.
rc=0
for a in "$1"/lib/*.a; do
	case $a in *llhttp.a|*regress_*) continue ;; esac
	v=$(nm -g --defined-only "$a" 2>/dev/null | awk '$2 ~ /^[BDCSG]$/ {print $3}')
	[ -z "$v" ] || { echo "$a: $v"; rc=1; }
done
exit $rc
