#!/bin/bash
# For the swarm's step restart: SIGKILL of master, start again.
#
#	restart.sh BIN DIR
pid=$(cat "$2/headscaled.pid")
kill -9 "$pid"
while kill -0 "$pid" 2>/dev/null; do sleep 0.01; done
"$1/headscaled" -d -f "$2/headscaled.conf" >>"$2/restart.log" 2>&1 &
for _ in $(seq 1 500); do
	new=$(cat "$2/headscaled.pid" 2>/dev/null)
	[ -n "$new" ] && [ "$new" != "$pid" ] && kill -0 "$new" 2>/dev/null && exit 0
	sleep 0.01
done
exit 1
