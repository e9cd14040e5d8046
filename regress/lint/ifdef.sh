#!/bin/sh
# Feature tests only in common/compat and common/sandbox_*: elsewhere no #if
# but a header's own guard.
rc=0
for f in $(find master worker keyd dbd ctl common -name '*.[ch]' ! -path 'common/compat/*' ! -name 'sandbox_*'); do
	g=$(echo "$f" | tr 'a-z/.' 'A-Z__')
	grep -nE '^[[:space:]]*#[[:space:]]*(if|ifdef|ifndef|elif)\b' "$f" |
	    grep -v "#ifndef $g\$" | sed "s,^,$f:," | grep . && rc=1
done
exit $rc
