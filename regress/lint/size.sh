#!/bin/sh
# C, tests and all: no function over 100 lines, p95 at most 60 a folder; files
# at most 900 lines, headers 200; no line over 80 columns.  Scripts: 900 lines.
rc=0
dirs='master worker keyd dbd ctl common regress'
for f in $(find $dirs etc -name '*.[ch]' -o -name '*.py' -o -name '*.sh'); do
	n=$(wc -l <"$f") max=900
	case $f in *.h) max=200 ;; esac
	[ "$n" -le $max ] || { echo "$f: $n lines, at most $max"; rc=1; }
	case $f in *.py|*.sh) continue ;; esac
	expand -t8 "$f" | awk -v f="$f" 'length > 80 { print f ":" NR ": " length " columns"; bad = 1 } END { exit bad }' || rc=1
done
long=$(find $dirs -name '*.c' -exec awk '
	/^\{/ { s = FNR }
	/^\}/ && s { print FNR - s - 1, FILENAME ":" s; s = 0 }' {} +)
echo "$long" | awk '$1 > 100 { print $2 ": function of " $1 " lines"; bad = 1 } END { exit bad }' || rc=1
for d in $(find $dirs -name '*.c' | sed 's,/[^/]*$,,' | sort -u); do
	p=$(echo "$long" | grep " $d/[^/]*$" | sort -n | awk '{a[NR]=$1} END {print a[int(NR*0.95+0.5)]+0}')
	[ "$p" -le 60 ] || { echo "$d: p95 of its functions is $p lines"; rc=1; }
done
exit $rc
