#!/bin/sh
# Quoted includes stay inside the folders that layers.rules allows, *_int.h
# stays in its folder, nghttp2 and llhttp in their one file, and inside common
# the order of architecture.md 4 holds.
rules=regress/lint/layers.rules
bad=$(mktemp)
trap 'rm -f "$bad"' EXIT
while read -r from may; do
	case $from in ''|\#*) continue ;; esac
	for f in "$from"/*.[ch]; do
		[ -f "$f" ] || continue
		sed -n 's/^#include "\([^"]*\)".*/\1/p' "$f" | while read -r h; do
			d=${h%/*}
			case " $from $may " in
			*" $d "*) ;;
			*) echo "$f: $h: $from may not see $d" ;;
			esac
			case $h in
			*_int.h) [ "$d" = "$from" ] || echo "$f: $h is private" ;;
			esac
		done
	done
done <$rules >"$bad"
grep -l 'nghttp2/' master worker keyd dbd ctl common -r --include='*.[ch]' |
    grep -v '^worker/net/h2\.c$' | sed 's/$/: only worker\/net\/h2.c knows nghttp2/' >>"$bad"
grep -l 'llhttp\.h' master worker keyd dbd ctl common -r --include='*.[ch]' |
    grep -v '^worker/net/http1\.c$' | sed 's/$/: only worker\/net\/http1.c knows llhttp/' >>"$bad"
grep -lE '<event2?[./]' master worker keyd dbd ctl common -r --include='*.[ch]' |
    grep -v '^common/ev\.c$' | sed 's/$/: only common\/ev.c knows libevent/' >>"$bad"
# compat < str secret buf log ip enc env < json noise < msg < ev < link < child sandbox;
# link is pure here and ev carries it, so link stands below ev.
level() {
	case $1 in
	version) echo 0 ;;
	str|secret|buf|log|ip|enc|env) echo 1 ;;
	json*|noise) echo 2 ;;
	msg*) echo 3 ;;
	ticket|memfd|link) echo 4 ;;
	ev) echo 5 ;;
	*) echo 6 ;;
	esac
}
for f in common/*.[ch]; do
	b=$(basename "$f"); b=${b%.*}; l=$(level "$b")
	sed -n 's/^#include "common\/\([a-z0-9_]*\)\.h".*/\1/p' "$f" |
	while read -r h; do
		[ "$(level "$h")" -le "$l" ] || echo "$f: common/$h.h is above it"
	done
done >>"$bad"
[ ! -s "$bad" ] || { cat "$bad"; exit 1; }
