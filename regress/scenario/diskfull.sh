#!/bin/bash
# The disk of the database is full: who is connected stays so, who registers
# waits, the log says why, nobody spins; and all goes on when there is room.
# One "ok" or "FAIL" line a check.
#
#	diskfull.sh OUT
#
# Needs root, for a small file system in a mount namespace of its own.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
. regress/scenario/lib.sh
if [ "${2-}" != inside ]; then
	[ "$(id -u)" = 0 ] || { echo "skipped: diskfull: needs root"; exit 0; }
	unshare -m true 2>/dev/null ||
	    { echo "skipped: diskfull: no mount namespaces here"; exit 0; }
	exec unshare -m --propagation private \
	    bash regress/scenario/diskfull.sh "$out" inside
fi
label='diskfull: '
begin
programs
disk=$t/disk
mkdir "$disk"
mount -t tmpfs -o size=4m,mode=755 tmpfs "$disk" ||
    { echo "skipped: diskfull: no tmpfs can be mounted"; exit 0; }
undo() {
	stop
	umount -l "$disk"
}
config "$disk/state" 'timeouts { keepalive = 5 }'

count() { grep -c "^$2" "$t/$1.out"; }
at_least() { [ "$("${@:2}")" -ge "$1" ]; }
full() { ! dd if=/dev/zero of="$disk/fill" bs=4096 conv=notrunc \
    oflag=append 2>/dev/null; }
listed() { # all that were told that they are registered
	local n
	ctl nodes list >"$t/list" || return 1
	for n in "$@"; do
		! heard "$n" registered || grep -qw "$n" "$t/list" ||
		    { echo "$n was acknowledged and is not there"; return 1; }
	done
}
all_in() {
	local n
	for n in "$@"; do
		heard "$n" map || { echo "$n: $(tail -1 "$t/$n.out")"; return 1; }
	done
}

ok "starts" serve
tailnet
join first
ok "a node joins" within 50 heard first map
workers=$(children worker)

ok "the disk is filled" full
deaths() { grep -c 'dbd died' "$t/log"; }
waiting=(w1 w2 w3 w4)
for n in "${waiting[@]}"; do join "$n"; done
ok "the log says why" within 100 grep -q \
    'store: the file system of .* is full: nothing is accepted' "$t/log"
before=$(deaths) alive=$(count first keepalive)
sleep 12
after=$(deaths)
ok "dbd does not spin ($((after - before)) starts in 12 s)" \
    test $((after - before)) -le 16
ok "its deaths are logged" grep -q 'dbd died.*starts again in' "$t/log"
ok "the stream lives" within 50 at_least $((alive + 1)) count first keepalive
ok "no worker died" test "$workers" = "$(children worker)"
ok "/key is served" eval "get $port '/key?v=131' | grep -q publicKey"
silent() { ! grep -l '^refused\|^gone' "$t"/*.out; }
ok "nobody is refused: they wait" silent
ok "not all are registered" eval '! all_in "${waiting[@]}"'

rm "$disk/fill"
ok "with room again all are registered" within 700 all_in "${waiting[@]}"
sees() { heard first "change.*w1" && heard first "change.*w4"; }
ok "the first one sees them" within 50 sees
ok "all that were acknowledged are there" within 50 listed first "${waiting[@]}"
ok "and the others learned it in the same streams" silent
ok "the disk is filled again" full
stop
refuses() {
	timeout 20 "$t/bin/headscaled" -d -f "$t/conf" >"$t/cold" 2>&1
	[ $? -eq 1 ] && grep 'database or disk is full' "$t/cold" ||
	    { cat "$t/cold"; return 1; }
}
ok "a cold start ends and says why" refuses
rm "$disk/fill"
ok "starts again" serve
ok "nothing is lost" listed first "${waiting[@]}"
exit $rc
