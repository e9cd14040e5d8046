#!/bin/bash
# The relay's rules, on the wire and over TLS: who is let in and who no longer,
# one key twice, logins that are repeated, frames that are not an ordinary
# client's, upgrades that are none, and many who never say who they are.
#
#	derp.sh OUT
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
. regress/scenario/lib.sh
label='derp: '
begin
programs
ulimit -n "$(ulimit -Hn)"
hello=$out/b/derphello

# A client of our own: each test is a function that says what is wrong.
cat >"$t/derp.py" <<'PY'
import os, select, socket, ssl, struct, subprocess, sys, time

HELLO, CA = os.environ["HELLO"], os.environ["CA"]
PLAIN, TLS = int(os.environ["PLAIN"]), int(os.environ["TLS"])
ASK = ("GET /derp HTTP/1.1\r\nHost: relay.test\r\nConnection: Upgrade\r\n"
       "Upgrade: DERP\r\n%s\r\n")
SERVER_KEY, CLIENT_INFO, SERVER_INFO, SEND, RECV, KEEP, PREFERRED, GONE = range(1, 9)
PING, PONG = 18, 19

def tool(*a):
    return subprocess.run([HELLO, *a], check=True, capture_output=True, text=True).stdout.strip()
def new(): return tool("new").split()
def frame(kind, body=b""): return struct.pack(">BI", kind, len(body)) + body
def expect(what, got, want):
    if got != want: sys.exit("%s: %r, not %r" % (what, got, want))

class Closed(Exception): pass

class Client:
    def __init__(self, plain=False, source=None):
        # Each from a place of its own: there are limits to what one may do.
        source = source or "127.%d.%d.%d" % tuple(b % 254 + 1 for b in os.urandom(3))
        s = socket.create_connection(("127.0.0.1", PLAIN if plain else TLS), 5, (source, 0))
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not plain:
            ctx = ssl.create_default_context(cafile=CA)
            s = ctx.wrap_socket(s, server_hostname="relay.test")
        self.s, self.buf = s, b""
    def send(self, p): self.s.sendall(p)
    def more(self, wait):
        self.s.settimeout(max(wait, 0.001))
        try: p = self.s.recv(65536)
        except (TimeoutError, ssl.SSLWantReadError): return False
        except (ConnectionError, ssl.SSLError, OSError): raise Closed
        if not p: raise Closed
        self.buf += p
        return True
    def http(self, text):
        self.send(text.encode())
        while b"\r\n\r\n" not in self.buf:
            if not self.more(5): sys.exit("no answer to a request")
        head, self.buf = self.buf.split(b"\r\n\r\n", 1)
        return head.decode()
    def frame(self, wait=3):
        "The next frame, but for KeepAlive; None if there is none in time."
        end = time.monotonic() + wait
        while True:
            if len(self.buf) >= 5:
                kind, n = struct.unpack(">BI", self.buf[:5])
                if len(self.buf) >= 5 + n:
                    body, self.buf = self.buf[5:5 + n], self.buf[5 + n:]
                    if kind == KEEP: continue
                    return kind, body
            if time.monotonic() >= end: return None
            self.more(end - time.monotonic())
    def upgrade(self, more=""):
        head = self.http(ASK % more)
        expect("upgrade", head.split("\r\n")[0], "HTTP/1.1 101 Switching Protocols")
        kind, body = self.frame()
        expect("first frame", (kind, body[:8]), (SERVER_KEY, b"DERP\xf0\x9f\x94\x91"))
        self.relay = body[8:40].hex()
        return self
    def login(self, key, json=None):
        self.key = key
        self.info = bytes.fromhex(tool("info", self.relay, key[0], *([json] if json else [])))
        self.send(self.info)
        kind, body = self.frame()
        expect("the answer to ClientInfo", kind, SERVER_INFO)
        expect("ServerInfo", tool("open", self.relay, key[0], body.hex()), '{"version":2}')
        return self
    def closed(self, within):
        "How long until it is closed; frames before that are kept."
        t0 = time.monotonic()
        try:
            while time.monotonic() - t0 < within: self.more(within - (time.monotonic() - t0))
        except Closed: return time.monotonic() - t0
        return None
    def alive(self):
        mark = os.urandom(8)
        self.send(frame(PING, mark))
        expect("a ping's answer", self.frame(), (PONG, mark))
    def end(self): self.s.close()

def must_close(c, what, within=1.0):
    took = c.closed(within)
    if took is None: sys.exit("%s: not closed within %g s" % (what, within))
    print("%s: closed after %.2f s" % (what, took))
def refused(c, p, what):
    "Closed, and no frame before that."
    c.send(p)
    must_close(c, what, 5)
    if c.buf: sys.exit("%s: %r before the end" % (what, c.buf[:60]))
def up(key): return Client().upgrade().login(key)
def keys(*names):
    return [open(os.environ["T"] + "/" + n + ".key").read().split() for n in names]
def packet(c, to, p): c.send(frame(SEND, bytes.fromhex(to[1]) + p))
def gets(c, frm, p):
    expect("a packet", c.frame(), (RECV, bytes.fromhex(frm[1]) + p))
def gets_nothing(c, what):
    f = c.frame(0.4)
    if f is not None: sys.exit("%s: got %r" % (what, f))

def t_relay():
    a, b = keys("a", "b")
    x, y = up(a), up(b)
    told()
    for n in (0, 1, 1200, 65536):
        p = os.urandom(n)
        packet(x, b, p); gets(y, a, p)
        packet(y, a, p); gets(x, b, p)
    packet(x, a, b"to myself"); gets(x, a, b"to myself")

def t_stranger():
    c = Client().upgrade()
    k = new()
    refused(c, bytes.fromhex(tool("info", c.relay, k[0])), "an unknown node")

def t_bad_login():
    a, b = keys("a", "b")
    c = Client().upgrade()
    info = bytearray.fromhex(tool("info", c.relay, a[0]))
    info[-1] ^= 1
    refused(c, bytes(info), "a box that was changed")
    c = Client().upgrade()
    info = bytes.fromhex(tool("info", c.relay, a[0]))
    refused(c, info[:5] + bytes.fromhex(b[1]) + info[37:], "another's key before it")
    c = Client().upgrade()
    refused(c, bytes.fromhex(tool("info", new()[1], a[0])), "for another relay")
    c = Client().upgrade()
    refused(c, info[:5] + bytes(32) + info[37:], "a zero key")
    c = Client().upgrade()
    refused(c, frame(CLIENT_INFO, b"x" * 55), "a short ClientInfo")
    c = Client().upgrade()
    c.send(struct.pack(">BI", CLIENT_INFO, 1 << 20))
    must_close(c, "a ClientInfo of 1 MB", 3)
    c = Client().upgrade()
    refused(c, frame(PING, b"12345678"), "a ping before the login")
    c = Client().upgrade()
    refused(c, bytes.fromhex(tool("info", c.relay, a[0], "[1]")), "no object")
    c = Client().upgrade()
    refused(c, bytes.fromhex(tool("info", c.relay, a[0], '{"meshKey":"12"}')), "a short meshKey")

def t_mesh_key():
    # Of the right form: nobody is mesh here, so it is an ordinary client.
    a, = keys("a")
    c = Client().upgrade().login(a, '{"version":2,"meshKey":"%s"}' % ("0" * 64))
    c.send(frame(0x10))
    must_close(c, "WatchConns with a mesh key of zeros")

def t_replay():
    a, = keys("a")
    c = up(a)
    d = Client().upgrade()
    refused(d, c.info, "a recorded ClientInfo")
    c.alive()
    for i in range(50):
        d = Client().upgrade()
        d.send(c.info)
        must_close(d, "again", 3)
    c.alive()

def t_fast():
    a, = keys("a")
    c = up(a)
    d = Client()
    info = bytes.fromhex(tool("info", c.relay, a[0]))
    d.send((ASK % "Derp-Fast-Start: 1\r\n").encode() + info)
    expect("first", d.frame()[0], SERVER_KEY)
    expect("second", d.frame()[0], SERVER_INFO)
    d.alive()

def t_privileged():
    a, b = keys("a", "b")
    other = up(b)
    key = bytes.fromhex(b[1])
    for what, p in (("ForwardPacket", frame(0x0a, bytes.fromhex(a[1]) + key + b"forged")),
                    ("WatchConns", frame(0x10)), ("ClosePeer", frame(0x11, key)),
                    ("an empty SendPacket", frame(SEND, b"")),
                    ("NotePreferred of two", frame(PREFERRED, b"11")),
                    ("a short ping", frame(PING, b"1234567"))):
        c = up(a)
        c.send(p)
        must_close(c, what)
        if c.buf: sys.exit("%s: an answer" % what)
    c = up(a)
    c.send(struct.pack(">BI", SEND, 32 + 65537))
    must_close(c, "a packet of 65,537")
    c = up(a)
    c.send(struct.pack(">BI", 0x77, 1 << 30))
    must_close(c, "an unknown frame of 1 GB")
    c = up(a)
    c.send(frame(0x77, b"x" * 1000) + frame(PONG, b"12345678"))
    c.alive()
    other.alive()
    gets_nothing(other, "what the privileged frames were for")

def told(): time.sleep(0.3)	# dbd tells all workers who has a key

def t_dup():
    a, b = keys("a", "b")
    first, second, peer = up(a), up(a), up(b)
    told()
    packet(peer, a, b"1")
    gets(second, b, b"1")
    gets_nothing(first, "the older one")
    first.alive()
    told()
    packet(peer, a, b"2")
    gets(first, b, b"2")
    gets_nothing(second, "who spoke earlier")
    first.end()
    told()
    packet(peer, a, b"3")
    gets(second, b, b"3")

def t_fifth():
    "On one worker: who was longest silent goes."
    a, = keys("a")
    c = []
    for i in range(4):
        c.append(up(a))
    c[0].alive()
    c.append(up(a))
    must_close(c.pop(1), "the one that was longest silent")
    for x in c: x.alive()

def t_gone():
    a, b = keys("a", "b")
    x, y = up(a), up(b)
    told()
    packet(x, b, b"p")
    gets(y, a, b"p")
    x.end()
    expect("when it leaves", y.frame(), (GONE, bytes.fromhex(a[1]) + b"\0"))
    disco = b"TS\xf0\x9f\x92\xac" + bytes(60)
    nobody = new()
    for i in range(20): packet(y, nobody, disco)
    n = 0
    while (f := y.frame(0.3)) is not None:
        expect("nobody there", f, (GONE, bytes.fromhex(nobody[1]) + b"\1"))
        n += 1
    if not 1 <= n <= 5: sys.exit("%d notices for 20 packets" % n)
    packet(y, nobody, b"no disco")
    gets_nothing(y, "for what is no disco")

def t_http():
    for plain, ask, want in (
            (True, ASK % "", "403"),
            (False, "GET /derp HTTP/1.1\r\nHost: x\r\n\r\n", "426"),
            (True, "GET /derp HTTP/1.1\r\nHost: x\r\n\r\n", "426"),
            (False, "GET /derp HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", "426"),
            (False, "GET /derp HTTP/1.0\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: DERP\r\n\r\n", "426"),
            (False, "POST /derp HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: DERP\r\nContent-Length: 0\r\n\r\n", "405"),
            (False, "GET /derp HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                    "Sec-WebSocket-Protocol: derp\r\nSec-WebSocket-Key: short\r\n\r\n", "400")):
        c = Client(plain)
        line = c.http(ask).split("\r\n")[0]
        if line.split()[1] != want: sys.exit("%r: %s, not %s" % (ask[:60], line, want))
    head = Client().http(ASK % "")
    for line in ("Upgrade: DERP", "Connection: Upgrade", "Derp-Version: 2"):
        if line not in head.split("\r\n"): sys.exit("no %r in %r" % (line, head))

def t_revoked(name, how):
    # Its connections, two of them, while it lives; then it is done away with.
    k, b = keys(name, "b")
    c, d, other = up(k), up(k), up(b)
    told()
    packet(d, b, b"p")
    gets(other, k, b"p")
    mark = os.environ["T"] + "/ready"
    open(mark, "w").close()
    t0 = time.monotonic()
    while os.path.exists(mark):
        if time.monotonic() - t0 > 10: sys.exit("nobody does it")
        time.sleep(0.01)
    must_close(c, "the first connection")
    must_close(d, "the second")
    expect("the other is told", other.frame(), (GONE, bytes.fromhex(k[1]) + b"\0"))
    other.alive()
    e = Client().upgrade()
    refused(e, bytes.fromhex(tool("info", e.relay, k[0])), "its next login")

def t_half(limit):
    # Plain, which is configured by now: upgrades without a ClientInfo.
    limit = int(limit)
    a, b = keys("a", "b")
    x, y = up(a), up(b)
    told()
    half, no = [], 0
    for i in range(limit + 100):
        c = Client(True)
        status = c.http(ASK % "").split()[1]
        if status == "101": half.append(c)
        elif status == "503": no += 1
        else: sys.exit("status " + status)
    if len(half) != limit or no != 100: sys.exit("%d let wait, %d refused" % (len(half), no))
    packet(x, b, b"still"); gets(y, a, b"still")
    t0 = time.monotonic()
    for c in half:
        if c.closed(15) is None: sys.exit("one without ClientInfo is never closed")
    took = time.monotonic() - t0
    if took > 13: sys.exit("closed after %.1f s" % took)
    packet(y, a, b"and on"); gets(x, b, b"and on")
    up(a).alive()

def t_source():
    # One place: 64 logins under way, and after 16 refused ones no more.
    def status(source):
        c = Client(source=source)
        return c, c.http(ASK % "").split()[1]
    held = [status("127.1.1.1") for i in range(70)]
    got = [s for c, s in held]
    expect("under way", (got.count("101"), got.count("503")), (64, 6))
    expect("elsewhere", status("127.1.1.2")[1], "101")
    k, n = new(), 0
    while n < 40:
        c = Client(source="127.1.1.3")
        if c.http(ASK % "").split()[1] != "101": break
        kind, body = c.frame()
        refused(c, bytes.fromhex(tool("info", body[8:40].hex(), k[0])), "an unknown node")
        n += 1
    if n < 8 or n == 40: sys.exit("%d refused logins" % n)
    expect("elsewhere", status("127.1.1.4")[1], "101")

def t_slow():
    # One who takes nothing while another sends: cut off, and only that one.
    a, b, c = keys("a", "b", "c")
    slow, y, z = up(a), up(b), up(c)
    told()
    packet(slow, b, b"here I am")
    gets(y, a, b"here I am")
    p = os.urandom(16000)
    t0 = time.monotonic()
    f = None
    while f is None and time.monotonic() - t0 < 10:
        for i in range(30): packet(y, a, p)
        packet(z, c, b"probe"); gets(z, c, b"probe")
        f = y.frame(0.02)
    expect("when it is gone", f, (GONE, bytes.fromhex(a[1]) + b"\0"))
    print("after %.1f s" % (time.monotonic() - t0))
    must_close(slow, "who takes nothing", 5)
    y.alive()

globals()["t_" + sys.argv[1]](*sys.argv[2:])
PY
check() { python3 "$t/derp.py" "$@"; }
revoke() { # revoke NAME COMMAND ...: while it is connected
	local name=$1 tester
	shift
	check revoked "$name" x &
	tester=$!
	within 80 test -e "$t/ready" || { kill $tester; return 1; }
	"$@" && rm "$t/ready"
	wait $tester
}
member() { # member NAME: a node whose key is in $t/NAME.key
	"$hello" new >"$t/$1.key"
	join "$1" "$(cut -d' ' -f2 "$t/$1.key")"
	within 80 heard "$1" map
}
id() { ctl -j nodes list | jq -r ".[] | select(.name == \"$1\").id"; }
conf() { # conf LINES: the relay, with these
	config "$t/state" \
	    "listen \"tls\" { address = \"127.0.0.1\" port = $TLS tls = true }" \
	    "tls { keypair \"a\" { certificate = \"$t/relay.test.pem\" key = \"$t/relay.test.key\" } }" \
	    'derp { server { enabled = true stun_listen = "none"' "$@" '} }'
	[ -z "${PLAIN-}" ] || {
		sed -i "s/127.0.0.1:$port\"/127.0.0.1:$PLAIN\"/; s/port = $port\$/port = $PLAIN/" "$t/conf"
		port=$PLAIN
	}
}

authority
certify relay.test "ec -pkeyopt ec_paramgen_curve:prime256v1" DNS:relay.test
export T=$t HELLO=$hello CA=$t/ca.pem TLS
TLS=$(spare)
workers=2
conf
export PLAIN=$port
ok "start" serve
tailnet
for n in a b c d; do ok "node $n joins" member $n; done
ok "packets both ways, of 0 to 65,536 octets, and to oneself" check relay
ok "an unknown node is closed without a word" check stranger
ok "bad logins" check bad_login
ok "a mesh key makes nobody privileged" check mesh_key
ok "a ClientInfo that was seen is refused, and its client stays" check replay
ok "fast start" check fast
ok "privileged and malformed frames end their client alone" check privileged
ok "one key twice: who spoke last gets the packets" check dup
ok "PeerGone: who left, and who was never here" check gone
ok "HTTP: 403 in plain, 426 without upgrade, 405, 400" check http
ok "who takes nothing is cut off" check slow
ok "a node is deleted: its connections end within 1 s" revoke c ctl nodes delete -y "$(id c)"
ok "a node expires: likewise" revoke d ctl nodes expire -y "$(id d)"
ok "it still runs as it was started" not logged died
stop

# In plain as well, on one worker: so many wait at most.
workers=1
conf 'plain = true'
ok "start with plain = true" serve
ok "of five connections of a key the longest silent one ends" check fifth
ok "one place has 64 logins under way, and few that are refused" check source
before=$(pss worker)
ok "1,024 logins may be under way, the next are told to wait" check half 1024
after=$(pss worker)
ok "memory after that: $before KB, $after KB" test "$after" -lt $((before + 8192))
exit $rc
