#!/bin/sh
# Functions: none over 100 lines, p95 at most 60 a folder; files at most 900,
# headers 200; no line over 80 columns.
rc=0
src=$(find master worker keyd dbd ctl common -name '*.[ch]')
for f in $src; do
	n=$(wc -l <"$f") max=900
	case $f in *.h) max=200 ;; esac
	[ "$n" -le $max ] || { echo "$f: $n lines, at most $max"; rc=1; }
	expand -t8 "$f" | awk -v f="$f" 'length > 80 { print f ":" NR ": " length " columns"; bad = 1 } END { exit bad }' || rc=1
done
long=$(for f in $src; do
	case $f in *.c) ;; *) continue ;; esac
	awk -v f="$f" '/^\{/ { s = NR } /^\}/ && s { print NR - s - 1, f ":" s; s = 0 }' "$f"
done)
echo "$long" | awk '$1 > 100 { print $2 ": function of " $1 " lines"; bad = 1 } END { exit bad }' || rc=1
for d in $(find master worker keyd dbd ctl common -name '*.c' | sed 's,/[^/]*$,,' | sort -u); do
	p=$(echo "$long" | grep " $d/[^/]*$" | sort -n | awk '{a[NR]=$1} END {print a[int(NR*0.95+0.5)]+0}')
	[ "$p" -le 60 ] || { echo "$d: p95 of its functions is $p lines"; rc=1; }
done
exit $rc
