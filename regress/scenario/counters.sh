#!/bin/bash
# Each bad thing that comes from outside is counted: "headscalectl metrics" tells
# it under the name that the manual has for it, and the server goes on.
#
#	counters.sh OUT
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
. regress/scenario/lib.sh
label='counters: '
begin
programs
ulimit -n "$(ulimit -Hn)"

# One thing at a time; what is to be seen of it besides is told by other tests.
cat >"$t/bad.py" <<'PY'
import os, socket, ssl, struct, subprocess, sys, time
PLAIN, TLS, PROXIED, STUN = (int(os.environ[n]) for n in ("PLAIN", "TLS", "PROXIED", "STUN"))
RECV, PING, SEND = 5, 18, 4

def dial(port, source=None):
    return socket.create_connection(("127.0.0.1", port), 5, (source, 0) if source else None)
def secure(s, **kw):
    ctx = ssl.create_default_context(cafile=os.environ["CA"])
    if kw: ctx.set_alpn_protocols(kw["alpn"])
    return ctx.wrap_socket(s, server_hostname="relay.test")
def hello():
    i, o = ssl.MemoryBIO(), ssl.MemoryBIO()
    try: ssl.create_default_context().wrap_bio(i, o, server_hostname="relay.test").do_handshake()
    except ssl.SSLWantReadError: return o.read()
def drain(s, wait=5):
    "Until the server closes it."
    s.settimeout(wait)
    try:
        while s.recv(65536): pass
    except TimeoutError: sys.exit("still open")
    except OSError: pass
def exact(s, n):
    p = b""
    while len(p) < n:
        q = s.recv(n - len(p))
        if not q: raise ConnectionError
        p += q
    return p
def frame(kind, body=b""): return struct.pack(">BI", kind, len(body)) + body
def get(s):
    kind, n = struct.unpack(">BI", exact(s, 5))
    return kind, exact(s, n)
def tool(*a):
    return subprocess.run([os.environ["HELLO"], *a], check=True, capture_output=True, text=True).stdout.strip()
def upgrade():
    s = dial(PLAIN)
    s.sendall(b"GET /derp HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: DERP\r\n\r\n")
    p = b""
    while b"\r\n\r\n" not in p: p += exact(s, 1)
    if b" 101 " not in p: sys.exit(p.decode())
    return s, get(s)[1][8:40].hex()
def login(key):
    s, relay = upgrade()
    s.sendall(bytes.fromhex(tool("info", relay, key)))
    get(s)
    return s
def member():
    end = time.monotonic() + 15
    while True:
        try: return login(KEY)
        except OSError:
            if time.monotonic() > end: raise
            time.sleep(0.5)
def alive(s):
    s.sendall(frame(PING, b"12345678"))
    while get(s)[0] != 19: pass
KEY, PUB = open(os.environ["T"] + "/a.key").read().split()

def t_http(): s = dial(PLAIN); s.sendall(b"GET / HTTP/1.1\r\nHost x\r\n\r\n"); drain(s)
def t_late(): s = dial(TLS); s.sendall(b"\x16"); drain(s, 15)
def t_stranger_proxy(): drain(dial(PROXIED, "127.0.0.3"))
def t_bad_proxy(): s = dial(PROXIED, "127.0.0.2"); s.sendall(b"PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n"); drain(s)
def t_good_proxy(): s = dial(PROXIED, "127.0.0.2"); s.sendall(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n\r"); s.close()
def t_crowd():
    all = [dial(PROXIED, "127.0.0.2") for _ in range(260)]
    for s in all: s.sendall(b"PROXY TCP4 192.0.2.9 192.0.2.2 1 2\r\n")
    time.sleep(1)
def t_plain(): s = dial(TLS); s.sendall(b"GET / HTTP/1.1\r\n\r\n"); drain(s)
def t_halves():
    p = hello()
    all = []
    for _ in range(1034): s = dial(TLS); s.sendall(p); all.append(s)
    time.sleep(1)
def t_record():
    s = secure(dial(TLS))
    s.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
    s.recv(100)
    with socket.socket(fileno=s.detach()) as raw:
        raw.sendall(b"\x17\x03\x03\x00\x20" + os.urandom(32))
        drain(raw)
def t_h2():
    if secure(dial(TLS), alpn=["h2"]).selected_alpn_protocol() != "h2": sys.exit("no h2")
def t_full():
    all = [dial(PLAIN) for _ in range(1600)]
    time.sleep(1)
def t_upgrade(): upgrade()
def t_stranger(): s, relay = upgrade(); s.sendall(bytes.fromhex(tool("info", relay, tool("new").split()[0]))); drain(s)
def t_login(): member()
def t_bad(): s = member(); s.sendall(struct.pack(">BI", SEND, 2**32 - 1)); drain(s)
def t_odd(): s = member(); s.sendall(frame(99, b"x") * 3); alive(s)
def t_ping(): alive(member())
def t_nobody():
    s = member()
    s.sendall(frame(SEND, bytes.fromhex(tool("new").split()[1]) + b"x") * 3)
    alive(s)
def t_self(): s = member(); s.sendall(frame(SEND, bytes.fromhex(PUB) + b"x") * 3); alive(s)
def t_often():
    for _ in range(12):
        try: login(KEY).close()
        except OSError: pass
def t_many():
    time.sleep(5)
    all = [member() for _ in range(5)]
    for s in all[1:]: alive(s)
def t_slow():
    # No SO_RCVBUF: a kernel whose window shrinks with octets on their way drops
    # acknowledgements, too, and both sides stand still with little sent.
    s = member()
    s.settimeout(30)
    p = frame(SEND, bytes.fromhex(PUB) + bytes(60000))
    start = time.monotonic()
    try:
        while time.monotonic() < start + 30: s.sendall(p)
        sys.exit("not cut off")
    except ConnectionError:
        if time.monotonic() < start + 2: sys.exit("cut off before its time")
def t_fast():
    s = member()
    to = bytes.fromhex(tool("new").split()[1])
    for _ in range(6): s.sendall(frame(SEND, to + bytes(50000)))
    time.sleep(2)
def t_udp(): [socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x" * n, ("127.0.0.1", STUN)) for n in (1, 20, 700)]

globals()["t_" + sys.argv[1]]()
PY
metric() { # metric NAME[LABEL]: the sum of its samples with that label
	ctl metrics | awk -v n="${1%%\[*}{" -v l="$(sed -n 's/.*\[\(.*\)\]/\1/p' <<<"$1")" \
	    'index($0, n) == 1 && index($0, l) { s += $NF } END { print s + 0 }'
}
grown() { [ "$(metric "$1")" -ge "$2" ] || { echo "$1: $(metric "$1"), not $2"; return 1; }; }
moves() { # moves THING METRIC BY ...
	local thing=$1 i want=()
	shift
	# What the last one did may be told only now.
	sleep 1.2
	for ((i = 1; i < $#; i += 2)); do
		want+=("${!i}" "$(($(metric "${!i}") + ${@:i + 1:1}))")
	done
	timeout 60 python3 "$t/bad.py" "$thing" || return 1
	for ((i = 0; i < ${#want[@]}; i += 2)); do
		within 30 grown "${want[i]}" "${want[i + 1]}" || return 1
	done
}
conf() { # conf LINE ...: the relay's
	config "$t/state" \
	    "listen \"tls\" { address = \"127.0.0.1\" port = $TLS tls = true }" \
	    "listen \"proxied\" { address = \"127.0.0.1\" port = $PROXIED proxy_protocol = true }" \
	    "tls { keypair \"a\" { certificate = \"$t/relay.test.pem\" key = \"$t/relay.test.key\" } }" \
	    'proxies = { "127.0.0.2" }' 'limits { connections = 1500 }' \
	    'timeouts { handshake = 10s confirm = 10s }' \
	    "derp { server { enabled = true plain = true stun_listen = \"127.0.0.1:$STUN\"" "$@" '} }'
	[ -z "${PLAIN-}" ] || {
		sed -i "s/127.0.0.1:$port\"/127.0.0.1:$PLAIN\"/; s/port = $port\$/port = $PLAIN/" "$t/conf"
		port=$PLAIN
	}
}

authority
certify relay.test "ec -pkeyopt ec_paramgen_curve:prime256v1" DNS:relay.test
TLS=$(spare) PROXIED=$(spare) STUN=$(spare) workers=1
conf
export PLAIN=$port TLS PROXIED STUN CA=$t/ca.pem T=$t HELLO=$out/b/derphello
ok "start" serve
ctl status >"$t/before"
tailnet
"$HELLO" new >"$t/a.key"
join a "$(cut -d' ' -f2 "$t/a.key")"
ok "a node joins" within 80 heard a map

h=headscaled_
ok "HTTP that is none" moves http ${h}http_bad_total 1 ${h}conns_total 1
ok "who says nothing in time" moves late ${h}late_total 1
ok "PROXY from a stranger" moves stranger_proxy ${h}proxy_bad_total 1
ok "PROXY that is none" moves bad_proxy ${h}proxy_bad_total 1
ok "PROXY that is one" moves good_proxy ${h}proxied_total 1
ok "too many of one place" moves crowd ${h}crowded_total 4
ok "no ClientHello" moves plain ${h}tls_failed_total 1
ok "1,034 handshakes that stop half-way" moves halves ${h}tls_pushed_total 5 ${h}tls_total 1034
ok "a record that does not open" moves record ${h}tls_record_bad_total 1 ${h}tls_done_total 1
ok "HTTP/2 by ALPN" moves h2 ${h}tls_h2_total 1
ok "more connections than there may be" moves full ${h}pauses_total 1
ok "it takes new ones again" within 80 get "$port" /health
ok "the relay is asked for" moves upgrade derp_accepts 1
ok "its client is a stranger" moves stranger ${h}relay_refused_total 2 derp_accepts 1
ok "... or a node" moves login ${h}relay_logins_total 3
ok "a frame of 4 GB" moves bad ${h}relay_bad_total 1
ok "frames of no kind" moves odd derp_unknown_frames 3
ok "a ping" moves ping derp_got_ping 1 derp_sent_pong 1
ok "packets for nobody" moves nobody 'derp_packets_dropped[reason="unknown_dest"]' 3 derp_packets_received 3
ok "... to oneself" moves self derp_packets_sent 3 derp_bytes_sent 3
ok "logins too often" moves often ${h}relay_limited_total 2
ok "a fifth connection of a key" moves many ${h}relay_evicted_total 1
ok "who takes nothing" moves slow derp_sclient_write_timeouts 1 'derp_packets_dropped[reason="queue_head"]' 1
ok "datagrams that ask nothing" moves udp 'stun_requests[disposition="not_stun"]' 3
ok "each lost packet has its reason" eval '[ "$(ctl -j status | jq "[.processes[].counters.relay_dropped // 0] | add")" = "$(metric derp_packets_dropped)" ]'
conf 'rate_limit = 100000'
ok "a limit to the rate" ctl reload
ok "faster than that" moves fast ${h}relay_waits_total 1
ok "nobody has died of it" not logged died
exit $rc
