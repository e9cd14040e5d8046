#!/bin/sh
# Manual pages: mandoc finds nothing, and the sections stand in mdoc's order.
rc=0
order='NAME SYNOPSIS DESCRIPTION CONFIGURATION ENVIRONMENT FILES EXIT EXAMPLES DIAGNOSTICS SEE STANDARDS HISTORY AUTHORS CAVEATS BUGS SECURITY'
for m in man/*.[0-9]; do
	# our own pages and OpenBSD's are not installed here
	mandoc -T lint -W style "$m" 2>&1 |
	    grep -vE 'referenced manual not found|outdated mandoc.db' | grep . && rc=1
	last=0
	for s in $(sed -n 's/^\.Sh \([A-Z]*\).*/\1/p' "$m"); do
		n=$(echo "$order" | tr ' ' '\n' | grep -nx "$s" | cut -d: -f1)
		[ -n "$n" ] || continue
		[ "$n" -ge $last ] || { echo "$m: $s is out of order"; rc=1; }
		last=$n
	done
done
for p in headscaled.8 headscaled.conf.5 headscaled.policy.5 headscalectl.8 headscaled.privsep.7; do
	[ -f man/$p ] || { echo "man/$p is missing"; rc=1; }
done
exit $rc
