#!/bin/bash
# STUN from outside, on both families of loopback: whom it answers, from which
# address, with how much; whom not; and what becomes of the socket when the
# process dies or the configuration changes.
#
#	stun.sh OUT
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
. regress/scenario/lib.sh
begin
programs

udp=$(spare) udp2=$(spare)
six=$(python3 -c '
import socket
try: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).bind(("::1", 0)); print("yes")
except OSError: print("")')

cat >"$t/ask.py" <<'PY'
# ask.py HOST PORT [WHAT [COUNT]]: sends COUNT such datagrams from one socket
# and prints "ANSWERS LENGTH FROM MAPPED RIGHT"; WHAT is request, garbage,
# checksum, cookie, long or empty.
import binascii, os, socket, struct, sys, time
host, port = sys.argv[1], int(sys.argv[2])
what = sys.argv[3] if len(sys.argv) > 3 else "request"
count = int(sys.argv[4]) if len(sys.argv) > 4 else 1
six = ":" in host
s = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(float(os.environ.get("WAIT", "0.5")))

def request():
    tid = os.urandom(12)
    p = struct.pack(">HHI", 1, 20, 0x2112A442) + tid
    p += struct.pack(">HH", 0x8022, 8) + b"tailnode"
    p += struct.pack(">HHI", 0x8028, 4, binascii.crc32(p) ^ 0x5354554E)
    if what == "garbage": p = os.urandom(40)
    if what == "checksum": p = p[:-1] + bytes([p[-1] ^ 1])
    if what == "cookie": p = p[:4] + b"abcd" + p[8:]
    if what == "long": p = p[:-8] + b"\0" * 60000 + p[-8:]
    if what == "empty": p = b""
    return tid, p

asked = {}
for _ in range(count):
    tid, p = request()
    asked[tid] = 1
    s.sendto(p, (host, port))
got = 0
length, source, mapped, right = 0, "-", "-", "yes"
while got < count:
    try: r, a = s.recvfrom(2000)
    except OSError: break
    got += 1
    length, source = len(r), a[0]
    kind, n, cookie = struct.unpack(">HHI", r[:8])
    if kind != 0x101 or n != len(r) - 20 or r[8:20] not in asked: right = "no"
    key = r[4:20]
    addr = bytes(x ^ y for x, y in zip(r[28:], key))
    mapped = socket.inet_ntop(socket.AF_INET if r[25] == 1 else socket.AF_INET6, addr)
    if struct.unpack(">H", r[26:28])[0] ^ 0x2112 != s.getsockname()[1]: right = "no"
print(got, length, source, mapped, right)
PY
ask() { python3 "$t/ask.py" "$@"; }
said() { # said WANTED ARGUMENT ...: what ask prints
	local want=$1 got
	shift
	got=$(ask "$@")
	echo "said: $got"
	[ "$got" = "$want" ]
}
within_rate() { # within_rate MIN MAX ARGUMENT ...: so many answers
	local min=$1 max=$2 got
	shift 2
	got=$(ask "$@" | cut -d' ' -f1)
	echo "$got answers"
	[ "$got" -ge "$min" ] && [ "$got" -le "$max" ]
}
relay() { # relay LINE ...: the configuration, with STUN as these lines say
	config "$t/state"
	port=$kept
	sed -i "s/127.0.0.1:[0-9]*\"/127.0.0.1:$port\"/; s/port = [0-9]*/port = $port/" "$t/conf"
	printf 'derp { server { enabled = true plain = true\n%s\n} }\n' "$*" >>"$t/conf"
}
counter() { # counter NAME: of stun
	ctl status -v | awk -v n="$1" '$1 == "stun" && $3 == n { print $4 }'
}
counts() { [ "$(counter "$1")" = "$2" ]; }
many() { [ "$(counter "$1")" -ge "$2" ]; }
renewed() { [ -n "$(children stun)" ] && [ "$(children stun)" != "$1" ]; }
only_sockets() { # nothing but null, the log, and sockets
	! ls -l "/proc/$1/fd" | grep -v '^total' |
	    grep -vE 'socket:|/dev/null|pipe:|/log$|anon_inode' | grep .
}

workers=1
kept=$(spare)
relay "stun_listen = \"0.0.0.0:$udp\""
ok "start" serve
ok "it says where" logged "STUN on 0.0.0.0:$udp"
ok "and for whom the relay is" logged "relay: region 999, nodes of ours only"
ok "and has a row of its own" test "$(ctl status | grep -c '^stun ')" = 1

ok "an answer on IPv4: 32 octets, family 1" said "1 32 127.0.0.1 127.0.0.1 yes" 127.0.0.1 "$udp"
ok "from the address that was asked" said "1 32 127.0.0.7 127.0.0.1 yes" 127.0.0.7 "$udp"
if [ -n "$six" ]; then
	ok "an answer on IPv6: 44 octets, family 2" said "1 44 ::1 ::1 yes" ::1 "$udp"
else
	echo "skipped: no IPv6 here"
fi
ok "each of 200 requests is answered once" said "200 32 127.0.0.1 127.0.0.1 yes" 127.0.0.1 "$udp" request 200
for what in garbage checksum cookie long empty; do
	ok "no answer to $what" said "0 0 - - yes" 127.0.0.1 "$udp" $what 20
done
ok "what was answered is counted" within 30 counts stun_answered $((202 + ${six:+1}))
ok "and what was not" within 30 counts stun_malformed 100

p=$(children stun)
if [ "$(id -u)" = 0 ]; then
	ok "it runs as _hsstun" test "$(ps -o user= -p "$p" | tr -d ' ')" = _hsstun
	ok "in the empty folder" test "$(readlink "/proc/$p/root")" = "$t/empty"
fi
ok "it holds nothing but sockets" only_sockets "$p"
ok "under a filter" grep -q '^Seccomp:[[:space:]]*2' "/proc/$p/status"
if grep -q '^Seccomp_filters:' "/proc/$p/status"; then
	ok "and a third one since it has started" grep -q '^Seccomp_filters:[[:space:]]*3' "/proc/$p/status"
fi
# Its wait goes on afterwards by a call of its own.
kill -STOP "$p"
sleep 0.2
kill -CONT "$p"
ok "stopped and gone on: it answers" said "1 32 127.0.0.1 127.0.0.1 yes" 127.0.0.1 "$udp"
ok "as the same process" test "$(children stun)" = "$p"

# Its socket is master's: what comes while it is dead waits.
kill -STOP "$p"
WAIT=10 ask 127.0.0.1 "$udp" >"$t/late" &
late=$!
sleep 0.3
kill -9 "$p"
wait $late
ok "killed: the next instance answers what waited" test "$(cat "$t/late")" = "1 32 127.0.0.1 127.0.0.1 yes"
ok "and is another process" within 30 renewed "$p"
ok "the workers live on" test "$(ctl status | grep -c '^worker .* 1 ')" = 1

# Reload: another address, and a rate.
relay "stun_listen = \"127.0.0.1:$udp2\" stun_rate = 5 stun_burst = 10"
p=$(children stun)
ok "reload" ctl reload
ok "the new port answers" within 20 said "1 32 127.0.0.1 127.0.0.1 yes" 127.0.0.1 "$udp2"
ok "the old one does not" said "0 0 - - yes" 127.0.0.1 "$udp"
ok "by the same process" test "$(children stun)" = "$p"
ok "no more than its rate for a source" within_rate 5 20 127.0.0.1 "$udp2" request 200
ok "what was too much is counted" within 30 many stun_limited 150
sleep 1.2
ok "it comes back with time" said "1 32 127.0.0.1 127.0.0.1 yes" 127.0.0.1 "$udp2"
# It gets no more memory than it has: this must not use any up.
for k in $(seq 30); do
	[ $((k % 2)) = 0 ] && at=127.0.0.1 || at=127.0.0.9
	relay "stun_listen = \"$at:$udp2\" stun_rate = 1000"
	ctl reload || break
done
ok "30 reloads, each with another socket" test "$k" = 30
ok "the last one answers" within 20 said "1 32 127.0.0.1 127.0.0.1 yes" 127.0.0.1 "$udp2"
ok "nobody at the address before" said "0 0 - - yes" 127.0.0.9 "$udp2"
ok "still by the same process" test "$(children stun)" = "$p"
relay 'stun_listen = "none"'
ok "to have none wants a restart" not ctl reload
ok "and the reason has its place" logged "derp|server|stun_listen changes only with a restart"

stop
ok "after the end nobody answers" said "0 0 - - yes" 127.0.0.1 "$udp2"

# Without: no process at all.
relay 'stun_listen = "none"'
ok "start without" serve
ok "there is no such process" test -z "$(children stun)"
ok "nor a row" not grep -q '^stun ' <(ctl status)
stop

# Taken by another program.
python3 -c "
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('127.0.0.1', $udp)); time.sleep(30)" &
other=$!
sleep 0.5
relay "stun_listen = \"127.0.0.1:$udp\""
ok "a port that is taken is said with its line" not serve
ok "and which" logged "cannot listen on UDP 127.0.0.1:$udp: Address already in use"
kill $other
exit $rc
