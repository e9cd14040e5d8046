#!/bin/bash
# The log of a server in the background: every process finds its way to a
# syslogd that was started again.  In a /dev of its own, which takes root.
#
#	syslog.sh OUT
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
if [ "$(id -u)" != 0 ]; then
	echo "skipped: syslog: no root"
	exit 0
fi
if [ -z "${OWN_DEV-}" ]; then
	OWN_DEV=1 exec unshare -m --propagation private bash "$0" "$@"
fi
. regress/scenario/lib.sh
label='syslog: '
begin
programs

# Devices of our own; a socket in /dev is seen by nobody else.
mkdir "$t/dev"
mount -t tmpfs none "$t/dev" || exit 1
mkdir "$t/dev/shm"
for p in null zero full random urandom; do
	: >"$t/dev/$p"
	mount --bind "/dev/$p" "$t/dev/$p" || exit 1
done
ln -s /proc/self/fd "$t/dev/fd"
mount --rbind "$t/dev" /dev || exit 1

cat >"$t/syslogd.py" <<'PY'
import os, socket, sys
if os.path.exists("/dev/log"): os.unlink("/dev/log")
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind("/dev/log")
os.chmod("/dev/log", 0o666)
with open(sys.argv[1], "ab", 0) as f:
    while True: f.write(s.recv(8192) + b"\n")
PY
daemon=
syslogd() { # syslogd FILE: this one from now on
	[ -z "$daemon" ] || { kill "$daemon"; wait "$daemon" 2>/dev/null; }
	: >"$t/$1"
	python3 "$t/syslogd.py" "$t/$1" &
	daemon=$!
}
undo() {
	[ -z "$daemon" ] || kill "$daemon" 2>/dev/null
	umount -l -R "$t/dev"
}
ready() { [ -S /dev/log ]; }
said() { grep -q "$2" "$t/$1"; }	# said FILE REGEX

syslogd first.log
ok "a syslogd" within 50 ready
authority
# With all kinds of processes.
config "$t/state" \
    "derp { server { enabled = true plain = true stun_listen = \"127.0.0.1:$(spare)\" }" \
    'urls = { "https://127.0.0.1:1/map" } }' \
    "fetch { allow = { \"127.0.0.0/8\" } ca_file = \"$t/ca.pem\" }"
ok "a server in the background" "$bin/headscaled" -f "$t/conf"
pid=$(cat "$t/pid")
for p in keyd dbd; do
	ok "$p logs" said first.log "headscaled-$p\[.*ready"
done
all=$(ps --ppid "$pid" -o pid= | sort)
ok "a process of each kind runs" test "$(wc -w <<<"$all")" -eq 6
syslogd second.log
ok "another syslogd" within 50 ready
ok "master finds it" within 100 said second.log 'headscaled\[.*syslogd was started again'
ctl users add ann >/dev/null
ok "dbd's lines reach it" within 20 said second.log 'headscaled-dbd\[.*request=CTL_USER_ADD'
sleep 1
ok "nobody died of it" test "$(ps --ppid "$pid" -o pid= | sort)" = "$all"
kill -9 "$(children keyd)"
ok "those of workers" within 50 said second.log 'headscaled-worker\[.*keyd is away'
ok "those of a new keyd" within 50 said second.log 'headscaled-keyd\[.*ready public'
kill "$daemon"
wait "$daemon" 2>/dev/null
daemon=
ctl users add bob >/dev/null
syslogd third.log
ok "a third one, after a while without any" within 100 said third.log 'syslogd was started again'
ctl users add eve >/dev/null
ok "which hears of lines that were lost" within 20 said third.log 'headscaled-dbd\[.*log lines lost count='
ok "and of what comes" within 20 said third.log 'headscaled-dbd\[.*request=CTL_USER_ADD'
n=$(grep -c . "$t/second.log")
stop
ok "the end, too" within 20 said third.log 'headscaled\[.*stopped'
ok "nothing more went to the second" test "$(grep -c . "$t/second.log")" -eq "$n"
exit $rc
