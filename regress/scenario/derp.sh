#!/bin/bash
# The relay's rules, on the wire and over TLS: who is let in and who no longer,
# one key twice and many times, logins that are repeated, frames that are not an
# ordinary client's, upgrades that are none, many who never say who they are,
# and how fast a client is read.
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
import os, signal, socket, ssl, struct, subprocess, sys, threading, time

HELLO, CA = os.environ["HELLO"], os.environ["CA"]
PLAIN, TLS = int(os.environ["PLAIN"]), int(os.environ["TLS"])
ASK = ("GET /derp HTTP/1.1\r\nHost: relay.test\r\nConnection: Upgrade\r\n"
       "Upgrade: DERP\r\n%s\r\n")
SERVER_KEY, CLIENT_INFO, SERVER_INFO, SEND, RECV, KEEP, PREFERRED, GONE = range(1, 9)
PING, PONG, HEALTH = 18, 19, 20

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
        self.s, self.buf, self.health = s, b"", []
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
    def frame(self, wait=10):
        "The next frame, but for KeepAlive and Health; None if there is none in time."
        end = time.monotonic() + wait
        while True:
            if len(self.buf) >= 5:
                kind, n = struct.unpack(">BI", self.buf[:5])
                if len(self.buf) >= 5 + n:
                    body, self.buf = self.buf[5:5 + n], self.buf[5 + n:]
                    if kind == KEEP: continue
                    if kind == HEALTH:
                        self.health.append(body.decode())
                        continue
                    return kind, body
            if time.monotonic() >= end: return None
            self.more(end - time.monotonic())
    def upgrade(self, more="", ask=ASK):
        head = self.http(ask % more)
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

def must_close(c, what, within=5):
    took = c.closed(within)
    if took is None: sys.exit("%s: not closed within %g s" % (what, within))
    print("%s: closed after %.2f s" % (what, took))
def refused(c, p, what):
    "Closed, and no frame before that."
    c.send(p)
    must_close(c, what, 5)
    if c.buf: sys.exit("%s: %r before the end" % (what, c.buf[:60]))
def up(key, plain=False):
    "A key may log in so often and no more: then again."
    end = time.monotonic() + 15
    while True:
        try: return Client(plain).upgrade().login(key)
        except Closed:
            if time.monotonic() > end: sys.exit("not let in for 15 s")
            time.sleep(0.3)
def keys(*names):
    return [open(os.environ["T"] + "/" + n + ".key").read().split() for n in names]
def packet(c, to, p): c.send(frame(SEND, bytes.fromhex(to[1]) + p))
def gets(c, frm, p):
    expect("a packet", c.frame(), (RECV, bytes.fromhex(frm[1]) + p))
def gets_nothing(c, what):
    f = c.frame(0.4)
    if f is not None: sys.exit("%s: got %r" % (what, f))
def told(frm, dst, *others):
    "Until what one sends reaches the other: dbd has told all workers who has its key."
    end = time.monotonic() + 10
    f = None
    while f is None:
        if time.monotonic() > end: sys.exit("workers are not told who has a key")
        mark = os.urandom(8)
        packet(frm, dst.key, mark)
        want = (RECV, bytes.fromhex(frm.key[1]) + mark)
        while (f := dst.frame(0.1)) not in (None, want): pass
    for c in others:	# who had the key before may have had some of it
        while c.frame(0.2) is not None: pass

def t_relay():
    a, b = keys("a", "b")
    x, y = up(a), up(b)
    told(x, y); told(y, x)
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
    must_close(c, "a ClientInfo of 1 MB")
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
        must_close(d, "again")
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

def t_dup():
    a, b = keys("a", "b")
    first, second, peer = up(a), up(a), up(b)
    told(peer, second, first)
    packet(peer, a, b"1")
    gets(second, b, b"1")
    gets_nothing(first, "the older one")
    first.alive()
    told(peer, first, second)
    packet(peer, a, b"2")
    gets(first, b, b"2")
    gets_nothing(second, "who spoke earlier")
    first.end()
    told(peer, second)
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

def t_health():
    "Two that take turns are told of each other, and the last one that it is over."
    a, = keys("a")
    c = [up(a), up(a)]
    for i in range(8):
        c[i % 2].alive()
    for x in c:
        x.alive()
        if len(x.health) != 1 or "key" not in x.health[0]: sys.exit("told %r" % x.health)
    c[0].end()
    end = time.monotonic() + 10
    while len(c[1].health) < 2 and time.monotonic() < end: c[1].alive()
    expect("when it is alone", c[1].health[1:], [""])

def logged_in(c):
    "True if its ClientInfo was answered, False if it was closed instead."
    try: f = c.frame(20)
    except Closed: return False
    if f is None: sys.exit("a login is neither answered nor refused")
    expect("the answer to ClientInfo", f[0], SERVER_INFO)
    return True

def t_many(dbd, n="20", plain=""):
    "So many logins of one key at once, which dbd sees all together."
    a, b = keys("a", "b")
    other = up(b)
    c = [Client(plain != "").upgrade() for i in range(int(n))]
    info = [bytes.fromhex(tool("info", x.relay, a[0])) for x in c]
    dbd = int(dbd)
    os.kill(dbd, signal.SIGSTOP)
    try:
        for x, p in zip(c, info): x.send(p)
        time.sleep(1)	# keyd has answered: they are all with dbd
    finally:
        os.kill(dbd, signal.SIGCONT)
    let = [x for x in c if logged_in(x)]
    live = []
    end = time.monotonic() + 10
    while time.monotonic() < end:
        live = [x for x in let if x.closed(0.05) is None]
        if len(live) <= 4: break
    print("%d let in, %d live" % (len(let), len(live)))
    if not 1 <= len(live) <= 4: sys.exit("%d live" % len(live))
    for x in live: x.alive()
    other.alive()

def churn(key, n):
    "n logins of one key, one after the other; how many were let in."
    ok, relay = 0, Client(True).upgrade().relay
    for i in range(n):
        c = Client(True)
        p = bytes.fromhex(tool("info", relay, key[0]))
        c.s.sendall((ASK % "Derp-Fast-Start: 1\r\n").encode() + p)
        expect("first", c.frame()[0], SERVER_KEY)
        ok += logged_in(c)
        c.end()
    return ok

def t_churn(n):
    "Others' packets go on meanwhile."
    a, b, c = keys("a", "b", "c")
    x, y = up(b, True), up(c, True)
    told(x, y)
    r, w = os.pipe()
    t0 = time.monotonic()
    pid = os.fork()
    if pid == 0:
        os.close(r)
        os.write(w, b"%d" % churn(a, int(n)))
        os._exit(0)
    os.close(w)
    took = []
    while os.waitpid(pid, os.WNOHANG)[0] == 0:
        mark = os.urandom(8)
        t = time.monotonic()
        packet(x, c, mark)
        gets(y, b, mark)
        took.append(time.monotonic() - t)
        time.sleep(0.01)
    said = os.read(r, 20)
    if not said: sys.exit("who logs in and out has failed")
    ok, all = int(said), time.monotonic() - t0
    took.sort()
    print("%d of %s let in, in %.1f s; %d packets, median %.2f ms, 99 %%: %.1f ms, most %.1f ms" %
        (ok, n, all, len(took), took[len(took) // 2] * 1e3, took[len(took) * 99 // 100] * 1e3, took[-1] * 1e3))
    if not 8 <= ok <= 9 + 2 * all: sys.exit("%d logins in %.1f s" % (ok, all))
    if took[len(took) * 95 // 100] > 0.05: sys.exit("packets are late")

def t_rate():
    "100,000 octets a second: 400,000 take 3 s, and more are let go by a reload."
    a, b = keys("a", "b")
    x, y = up(a, True), up(b, True)
    def sent(n):
        p = b"".join(frame(SEND, bytes.fromhex(b[1]) + bytes([i]) * 20000) for i in range(n))
        threading.Thread(target=x.send, args=(p,), daemon=True).start()
    def until(last):
        while (f := y.frame(20)) is not None:
            if f[0] == RECV and f[1][32] == last: return
        sys.exit("nothing comes any more")
    t0 = time.monotonic()
    sent(20)
    until(19)
    took = time.monotonic() - t0
    print("400 kB: %.1f s" % took)
    if not 2.5 < took < 6: sys.exit("400 kB in %.1f s" % took)
    t0 = time.monotonic()
    sent(100)
    until(1)
    mark = os.environ["T"] + "/ready"
    open(mark, "w").close()
    while os.path.exists(mark): time.sleep(0.01)
    let = time.monotonic()
    until(99)
    took = time.monotonic() - let
    print("the rest of 2 MB: %.1f s" % took)
    if took > 8: sys.exit("still %.1f s for 2 MB" % (time.monotonic() - t0))

def t_gone():
    a, b = keys("a", "b")
    x, y = up(a), up(b)
    told(x, y)
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
    # Clients of long ago: websocket without a subprotocol is raw DERP.
    a, = keys("a")
    old = Client().upgrade(ask=ASK.replace("Upgrade: DERP", "Upgrade: websocket"))
    try: old.login(a).alive()
    except Closed: sys.exit("websocket without subprotocol: not let in")
    head = Client().http(ASK % "")
    for line in ("Upgrade: DERP", "Connection: Upgrade", "Derp-Version: 2"):
        if line not in head.split("\r\n"): sys.exit("no %r in %r" % (line, head))

def t_revoked(name, how):
    # Its connections, two of them, while it lives; then it is done away with.
    k, b = keys(name, "b")
    c, d, other = up(k), up(k), up(b)
    told(d, other)
    packet(d, b, b"p")
    gets(other, k, b"p")
    mark = os.environ["T"] + "/ready"
    open(mark, "w").close()
    t0 = time.monotonic()
    while os.path.exists(mark):
        if time.monotonic() - t0 > 30: sys.exit("nobody does it")
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
    told(x, y); told(y, x)
    half, no = [], 0
    for i in range(limit + 100):
        c = Client(True)
        status = c.http(ASK % "").split()[1]
        if status == "101": half.append(c)
        elif status == "503": no += 1
        else: sys.exit("status " + status)
    # Who was silent for half a second makes room, so it may be more of them.
    wait = [c for c in half if c.closed(0) is None]
    if len(wait) > limit or len(half) < limit: sys.exit("%d let wait, %d refused" % (len(wait), no))
    packet(x, b, b"still"); gets(y, a, b"still")
    t0 = time.monotonic()
    for c in half:
        if c.closed(15) is None: sys.exit("one without ClientInfo is never closed")
    took = time.monotonic() - t0
    if took > 20: sys.exit("closed after %.1f s" % took)
    packet(y, a, b"and on"); gets(x, b, b"and on")
    up(a).alive()

def t_source():
    # One place: 64 logins under way, and after 16 refused ones no more.  A proxy
    # says who it is: there are no such bounds for the loopback.
    def status(who):
        c = Client(source="127.0.0.2")
        return c, c.http(ASK % ("X-Forwarded-For: %s\r\n" % who)).split()[1]
    held = [status("192.0.2.1") for i in range(70)]
    got = [s for c, s in held]
    expect("under way", (got.count("101"), got.count("503")), (64, 6))
    expect("elsewhere", status("192.0.2.2")[1], "101")
    here = [Client(source="127.1.1.1") for i in range(70)]
    for c in here: expect("here", c.http(ASK % "").split()[1], "101")
    k, n = new(), 0
    while n < 40:
        c, got = status("192.0.2.3")
        if got != "101": break
        kind, body = c.frame()
        refused(c, bytes.fromhex(tool("info", body[8:40].hex(), k[0])), "an unknown node")
        n += 1
    if n < 8 or n == 40: sys.exit("%d refused logins" % n)
    expect("elsewhere", status("192.0.2.4")[1], "101")

def t_verify():
    "Asked by a relay elsewhere: of those who are named, and nobody else."
    a, = keys("a")
    def ask(source, key):
        c = Client(True, source)
        body = '{"NodePublic":"nodekey:%s"}' % key
        head = c.http("POST /verify HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" %
            (len(body), body))
        while not c.buf: c.more(5)
        return head.split()[1], c.buf.decode()
    expect("one of ours", ask("127.0.0.9", a[1]), ("200", '{"Allow":true}'))
    expect("not of ours", ask("127.0.0.9", new()[1]), ("200", '{"Allow":false}'))
    expect("a stranger", ask("127.0.0.10", a[1])[0], "403")

def t_slow():
    # One who takes nothing while another sends: cut off, and only that one.
    a, b, c = keys("a", "b", "c")
    slow, y, z = up(a), up(b), up(c)
    told(slow, y); told(y, slow); told(z, z)
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
	within 300 test -e "$t/ready" || { kill $tester; return 1; }
	"$@" && rm "$t/ready"
	wait $tester
}
rate() { # rate: slow until the configuration is another
	local tester
	check rate &
	tester=$!
	within 300 test -e "$t/ready" || { kill $tester; return 1; }
	conf 'plain = true' && ctl reload && rm "$t/ready"
	wait $tester
}
same() { # same COMMAND ...: it leaves all processes as they are
	local were
	were=$(ps --ppid "$pid" -o pid= | sort)
	"$@" || return 1
	[ "$were" = "$(ps --ppid "$pid" -o pid= | sort)" ] && return
	echo "processes have died"
	return 1
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
	    'proxies = { "127.0.0.2" }' \
	    'derp { verify_from = { "127.0.0.9" }' \
	    'server { enabled = true stun_listen = "none"' "$@" '} }'
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
ok "the log says whom it serves" logged "relay: region 999, nodes of ours only"
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
ok "20 logins of one key at once" same check many "$(children dbd)"
ok "a node is deleted: its connections end" revoke c ctl nodes delete -y "$(id c)"
ok "a node expires: likewise" revoke d ctl nodes expire -y "$(id d)"
ok "it still runs as it was started" not logged died
stop

# In plain as well, on one worker: so many wait at most.
workers=1
conf 'plain = true'
ok "start with plain = true" serve
ok "of five connections of a key the longest silent one ends" check fifth
ok "two that take turns are told, until one is left" check health
ok "40 logins of one key at once, at one worker" same check many "$(children dbd)" 40 plain
ok "/verify is for those who are named" check verify
ok "one place has 64 logins under way, and few that are refused" check source
before=$(pss worker)
ok "1,024 logins may be under way, the next are told to wait" check half 1024
after=$(pss worker)
ok "memory after that: $before KB, $after KB" test "$after" -lt $((before + 8192))

ok "node c joins again" member c
before=$(($(pss worker) + $(pss dbd) + $(pss keyd)))
ok "2,000 logins of one key, in and out" same check churn 2000
sed 's/^/      /' "$t/said"
after=$(($(pss worker) + $(pss dbd) + $(pss keyd)))
ok "memory after that: $before KB, $after KB" test "$after" -lt $((before + 4096))

conf 'plain = true' 'rate_limit = 100000'
ok "a reload limits the rate" ctl reload
ok "400 kB of it take 3 s, and the rest no time after a reload" rate
ok "the log has said whom it serves at each reload" test \
    "$(grep -c 'relay: region 999, nodes of ours only' "$log")" -ge 4
exit $rc
