#!/bin/bash
# TLS from outside: what it takes and what not, whose certificate it shows, who
# may say for whom it speaks; certificates that change while a thousand map
# streams run; a key process that stops; and those who only want to harm.
#
#	tls.sh OUT
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
. regress/scenario/lib.sh
label='tls: '
begin
programs
ulimit -n "$(ulimit -Hn)"
stopped= helpers=()
undo() {
	local p
	[ -z "$stopped" ] || kill -CONT "$stopped" 2>/dev/null
	for p in "${helpers[@]}"; do kill "$p" 2>/dev/null; done
}

# What openssl(1) and curl(1) can't do.
cat >"$t/edge.py" <<'PY'
import os, random, select, socket, ssl, struct, sys, time
CA, NAME = os.environ["CA"], "a.test"

def context():
    return ssl.create_default_context(cafile=CA)
def hello():
    "The octets of a ClientHello."
    i, o = ssl.MemoryBIO(), ssl.MemoryBIO()
    b = context().wrap_bio(i, o, server_hostname=NAME)
    try: b.do_handshake()
    except ssl.SSLWantReadError: pass
    return o.read()
def dial(port, source=None):
    return socket.create_connection(("127.0.0.1", int(port)), 5,
        (source, 0) if source else None)
def all_of(s, wait=5):
    "What comes until the end; then whether that was an end."
    s.settimeout(wait)
    got = b""
    try:
        while p := s.recv(65536): got += p
    except TimeoutError: return got, False
    except OSError: pass
    return got, True

def t_old(port, version):
    "A ClientHello of before 1.3, by hand: prints the alert."
    body = struct.pack(">H", int(version, 16)) + os.urandom(32) + b"\0" + \
        struct.pack(">H10s", 10, bytes.fromhex("c02fc030009c002f0035")) + b"\1\0"
    s = dial(port)
    s.sendall(struct.pack(">BHHB", 22, 0x301, len(body) + 4, 1) + len(body).to_bytes(3, "big") + body)
    p, end = all_of(s)
    print(p.hex(), "end" if end else "open")

def t_taken(port, change):
    "A ClientHello with something added: what comes in plain before the end."
    p = bytearray(hello())
    if change == "compression":     # DEFLATE (RFC 3749) before none
        at = 5 + 4 + 2 + 32
        at += 1 + p[at]
        at += 2 + int.from_bytes(p[at:at + 2], "big")
        if p[at:at + 2] != b"\1\0": sys.exit("no such ClientHello")
        p[at:at + 2] = b"\2\1\0"
        grown = 1
    elif change == "none": grown = 0
    p[3:5] = (int.from_bytes(p[3:5], "big") + grown).to_bytes(2, "big")
    p[6:9] = (int.from_bytes(p[6:9], "big") + grown).to_bytes(3, "big")
    s = dial(port)
    s.sendall(p)
    got, end = all_of(s, 1)
    print(got.hex(), "end" if end else "open")

def t_proxy(port, source, kind, claimed):
    "With a PROXY header: the status of a request; then a login that fails."
    s = dial(port, source)
    ip = socket.inet_pton(socket.AF_INET6 if ":" in claimed else socket.AF_INET, claimed)
    six = len(ip) == 16
    to = socket.inet_pton(socket.AF_INET6, "::1") if six else b"\x7f\0\0\1"
    if kind == "v1":
        head = ("PROXY TCP%d %s %s 4711 443\r\n" % (6 if six else 4, claimed, "::1" if six else "127.0.0.1")).encode()
    elif kind == "v2":
        head = b"\r\n\r\n\0\r\nQUIT\n\x21" + (b"\x21" if six else b"\x11") + \
            struct.pack(">H", 2 * len(ip) + 4) + ip + to + struct.pack(">HH", 4711, 443)
    elif kind == "split":
        head = b"PROXY TCP4 %s 127.0.0.1 4711 443\r\n" % claimed.encode()
        for c in head[:-1]:
            s.sendall(bytes([c])); time.sleep(0.001)
        head = head[-1:]
    elif kind == "bad": head = b"PROXY TCP4 1.2.3 127.0.0.1 1 2\r\n"
    elif kind == "long": head = b"PROXY " + b"x" * 500
    else: head = b""
    try:
        s.sendall(head)
        s = context().wrap_socket(s, server_hostname=NAME)
        s.sendall(b"GET /derp HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: DERP\r\n" +
            (b"X-Forwarded-For: %s\r\n" % claimed.encode() if kind == "forwarded" else b"") + b"\r\n")
        p = s.recv(4096)
        s.sendall(struct.pack(">BI", 2, 80) + os.urandom(80))
    except OSError as e:
        print("closed"); return
    print(p.split(b"\r\n")[0].decode())
    all_of(s, 3)

def t_upgrade(port):
    "The head of the answer to a relay's client."
    s = context().wrap_socket(dial(port), server_hostname=NAME)
    s.sendall(b"GET /derp HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: DERP\r\n\r\n")
    p = s.recv(4096).split(b"\r\n\r\n")[0].decode()
    print(p)
    if " 101 " not in p: sys.exit("no upgrade")

def t_hold(port, seconds, flag):
    "Requests on one connection: the longest that one took."
    s = context().wrap_socket(dial(port), server_hostname=NAME)
    s.settimeout(float(seconds) + 5)
    end, worst, n = time.monotonic() + float(seconds), 0, 0
    while time.monotonic() < end:
        t0 = time.monotonic()
        s.sendall(b"GET /health HTTP/1.1\r\nHost: a.test\r\n\r\n")
        p = b""
        while b"pass" not in p:
            q = s.recv(4096)
            if not q: sys.exit("closed after %d" % n)
            p += q
        worst, n = max(worst, time.monotonic() - t0), n + 1
        open(flag, "w").close()
        time.sleep(0.05)
    print("%d answers, the slowest after %.3f s" % (n, worst))
    sys.exit(0 if worst < 1 else 1)

def t_garbage(port, count, seed):
    "ClientHellos that were changed, cut, doubled; and noise.  All must end."
    rnd = random.Random(int(seed))
    good, bad = hello(), 0
    for i in range(int(count)):
        p = bytearray(good)
        how = i % 6
        if how == 0:
            for _ in range(rnd.randint(1, 20)): p[rnd.randrange(5, len(p))] = rnd.randrange(256)
        elif how == 1: p = p[:rnd.randrange(1, len(p))]
        elif how == 2: p = bytearray(rnd.randbytes(rnd.randint(1, 4000)))
        elif how == 3: p = bytearray(b"\x16\x03\x01" + struct.pack(">H", rnd.randrange(65536)) + rnd.randbytes(500))
        elif how == 4: p = p + rnd.randbytes(3000)
        else: p[rnd.randrange(5)] ^= 1 << rnd.randrange(8)
        s = dial(port)
        try:
            s.sendall(p)
            s.shutdown(socket.SHUT_WR)
        except OSError: pass
        if not all_of(s, 8)[1]: bad += 1
        s.close()
    if bad: sys.exit("%d of %s are still open" % (bad, count))

def wait_end(socks, limit):
    "Seconds until all were closed by the server."
    t0 = time.monotonic()
    poll = select.poll()
    left = {s.fileno(): s for s in socks}
    for fd in left: poll.register(fd, select.POLLIN)
    while left and time.monotonic() - t0 < limit:
        for fd, ev in poll.poll(200):
            try: p = left[fd].recv(65536)
            except (ssl.SSLWantReadError, BlockingIOError): continue
            except OSError: p = b""
            if not p:
                poll.unregister(fd)
                del left[fd]
    return len(left), time.monotonic() - t0

def t_half(port, count, limit, flag):
    "So many connections send one octet and stay."
    socks = []
    for i in range(int(count)):
        s = dial(port)
        s.sendall(b"\x16")
        socks.append(s)
    open(flag, "w").close()
    left, took = wait_end(socks, float(limit))
    print("%d left after %.1f s" % (left, took))
    sys.exit(1 if left else 0)

def t_loris(port, count, limit, flag):
    "Half dribble a ClientHello, half a request over TLS."
    good, n = hello(), int(count)
    slow = [dial(port) for _ in range(n // 2)]
    late = [context().wrap_socket(dial(port), server_hostname=NAME) for _ in range(n // 2)]
    text = b"GET /key?v=131 HTTP/1.1\r\nHost: a.test\r\n" + b"X-Y: z\r\n" * 1000
    open(flag, "w").close()
    t0, live, at = time.monotonic(), {*slow, *late}, 0
    while live and time.monotonic() - t0 < float(limit):
        for s in list(live):
            try: s.sendall(good[at:at + 1] if s in slow else text[at:at + 1])
            except OSError: live.discard(s); continue
        at += 1
        for s in list(live):
            s.settimeout(0)
            try:
                if not s.recv(4096): live.discard(s)
            except (ssl.SSLWantReadError, BlockingIOError): pass
            except OSError: live.discard(s)
            s.settimeout(5)
        time.sleep(0.05)
    print("%d left after %.1f s" % (len(live), time.monotonic() - t0))
    sys.exit(1 if live else 0)

globals()["t_" + sys.argv[1]](*sys.argv[2:])
PY
edge() { CA=$t/ca.pem timeout 60 python3 "$t/edge.py" "$@"; }
shake() { # shake PORT ARGUMENT ...: a handshake; what it said is in $t/hs
	local at=$1
	shift
	timeout 8 openssl s_client -connect "127.0.0.1:$at" -CAfile "$t/ca.pem" \
	    -verify_return_error "$@" </dev/null >"$t/hs" 2>&1
}
done_with() { # done_with TEXT ARGUMENT ...: succeeds, and says that
	local want=$1
	shift
	shake "$@" && grep -qF -- "$want" "$t/hs" ||
	    { grep -E 'alert|error|Peer sig|subject|New, ' "$t/hs"; return 1; }
}
fails_with() { # fails_with TEXT ARGUMENT ...
	local want=$1
	shift
	shake "$@" && { echo "it succeeds"; return 1; }
	grep -qiE -- "$want" "$t/hs" || { grep -E 'alert|error' "$t/hs"; return 1; }
}
alert() { # alert CODE ARGUMENT ...: a fatal one in plain, and the end
	local want=$1 got
	shift
	got=$(edge "$@")
	echo "$got"
	[[ $got == 1503??000202$want\ end ]]
}
shown() { # shown PORT NAME: the fingerprint of the certificate that it shows
	openssl s_client -connect "127.0.0.1:$1" -servername "$2" </dev/null \
	    2>/dev/null | openssl x509 -noout -fingerprint -sha256
}
of() { openssl x509 -in "$1" -noout -fingerprint -sha256; }
shows() { [ "$(shown "$1" "$2")" = "$(of "$3")" ]; }
https() { # https PATH ARGUMENT ...
	local path=$1
	shift
	curl -fsS -m 8 --cacert "$t/ca.pem" \
	    --resolve "a.test:$TLS:127.0.0.1" "https://a.test:$TLS$path" "$@"
}
gives() { # gives TEXT COMMAND ...: it is in what that prints
	local want=$1 got
	shift
	got=$("$@") || { echo "$got"; return 1; }
	[[ $got == *"$want"* ]] || { echo "$got"; return 1; }
}
lower() { "$@" | tr A-Z a-z; } # what it prints, in small letters
many() { # many N: so many requests on one connection, all answered
	local n
	n=$(https "/key?v=[1-$1]" --http2 -Z --parallel-max 90 -o /dev/null -w '%{http_code} %{num_connects}\n' |
	    tee "$t/many" | grep -c '^200 ')
	[ "$n" = "$1" ] && [ "$(awk '{ n += $2 } END { print n }' "$t/many")" -lt 5 ] || { sort "$t/many" | uniq -c; return 1; }
}
below() { awk "BEGIN { exit !($1 < $2) }"; }
pair() { # pair NAME
	echo "keypair \"$1\" { certificate = \"$t/$1.pem\" key = \"$t/$1.key\" }"
}

# Three kinds of keys, on four kinds of listeners.
authority
certify a.test "ec -pkeyopt ec_paramgen_curve:prime256v1" "DNS:a.test,IP:127.0.0.1"
certify b.test "rsa:2048" "DNS:b.test"
certify c.test "ed25519" "DNS:c.test"
TLS=$(spare) either=$(spare) proxied=$(spare)
conf() { # conf [LINE ...]
	config "$t/state" \
	    "listen \"tls\" { address = \"127.0.0.1\" port = $TLS tls = true }" \
	    "listen \"either\" { address = \"127.0.0.1\" port = $either tls = either }" \
	    "listen \"proxied\" { address = \"127.0.0.1\" port = $proxied tls = true proxy_protocol = true }" \
	    'proxies = { "127.0.0.2" }' \
	    'timeouts { handshake = 4s confirm = 4s }' \
	    'derp { server { enabled = true ipv4 = "192.0.2.10" stun_listen = "none" } }' \
	    "tls { $(pair a.test)" "$(pair b.test)" "$(pair c.test) }" "$@"
	sed -i "s/http:.*\"/https:\/\/a.test:$TLS\"/" "$t/conf"
}
conf 'log { level = "debug" }'
ok "start with three key pairs" serve

# The scan.
for v in tls1:0301 tls1_1:0302 tls1_2:0303; do
	ok "-${v%:*}: protocol_version" fails_with 'alert protocol version|alert number 70' \
	    "$TLS" "-${v%:*}" -cipher ALL:@SECLEVEL=0
	ok "... by hand" alert 46 old "$TLS" "${v#*:}"
done
ok "SSL 3: refused, which knows no such alert" alert 28 old "$TLS" 0300
for s in TLS_AES_128_GCM_SHA256 TLS_AES_256_GCM_SHA384 TLS_CHACHA20_POLY1305_SHA256; do
	ok "$s" done_with "New, TLSv1.3, Cipher is $s" "$TLS" -ciphersuites $s
done
for s in TLS_AES_128_CCM_SHA256 TLS_AES_128_CCM_8_SHA256; do
	ok "no $s" fails_with 'alert handshake failure' "$TLS" -ciphersuites $s
done
for g in X25519 P-256 P-384; do
	ok "group $g" done_with "New, TLSv1.3" "$TLS" -groups $g
done
for g in P-521 X448 ffdhe2048; do
	ok "no group $g" fails_with 'alert handshake failure' "$TLS" -groups $g
done
ok "no signature with SHA-1" fails_with 'alert handshake failure' "$TLS" -cipher ALL:@SECLEVEL=0 -sigalgs ECDSA+SHA1:RSA+SHA1
client() { # client COMMAND: with openssl's, whose words are in $t/hs; fd is its stdin
	local pid fd rc
	[ -p "$t/keyboard" ] || mkfifo "$t/keyboard"
	: >"$t/hs"
	timeout 20 openssl s_client -connect "127.0.0.1:$TLS" -sess_out "$t/session" <"$t/keyboard" >"$t/hs" 2>&1 &
	pid=$!
	exec {fd}>"$t/keyboard"
	within 50 grep -q 'Verify return code' "$t/hs" && "$1"
	rc=$?
	exec {fd}>&-
	kill "$pid" 2>/dev/null
	wait "$pid" 2>/dev/null
	return $rc
}
asks() { # asks N: and is answered; it is the Nth
	printf 'GET /health HTTP/1.1\r\nHost: a.test\r\n\r\n' >&"$fd"
	within 50 answers "$1"
}
answers() { [ "$(grep -c '"pass"' "$t/hs")" = "$1" ]; }
no_tickets() { # they would come before the answer
	asks 1 && ! grep -q 'New Session Ticket' "$t/hs" && [ ! -s "$t/session" ]
}
new_keys() { asks 1 && echo K >&"$fd" && within 50 grep -q KEYUPDATE "$t/hs" && asks 2; }
early() { # of a session that another server, with early data, began
	local at server rc
	at=$(spare)
	openssl s_server -accept "127.0.0.1:$at" -cert "$t/a.test.pem" -key "$t/a.test.key" -early_data -quiet >"$t/other" 2>&1 &
	server=$!
	within 50 offers_early "$at" || { kill $server; cat "$t/hs"; return 1; }
	kill $server
	wait $server 2>/dev/null
	printf 'GET /health HTTP/1.1\r\nHost: a.test\r\n\r\n' >"$t/early"
	shake "$TLS" -sess_in "$t/begun" -early_data "$t/early"
	grep -qF 'Early data was rejected' "$t/hs" && grep -qF 'New, TLSv1.3' "$t/hs"
	rc=$?
	[ $rc = 0 ] || grep -E 'arly|alert|error' "$t/hs"
	return $rc
}
offers_early() { # offers_early PORT: a session of that in $t/begun
	{ for _ in {1..20}; do [ -s "$t/begun" ] && break; sleep 0.1; done; } |
	    timeout 5 openssl s_client -connect "127.0.0.1:$1" -sess_out "$t/begun" >"$t/hs" 2>&1
	[ -s "$t/begun" ]
}
ok "no tickets, and no session to resume" client no_tickets
ok "a ClientHello as such is answered" gives 160303 edge taken "$TLS" none
ok "... one that offers compression: illegal_parameter" alert 2f taken "$TLS" compression
ok "early data is not taken" early
ok "new keys on the way, on request" client new_keys
ok "the messages of a handshake are seen" done_with "CertificateVerify" "$TLS" -msg
ok "... a client certificate is not asked for" not done_with "CertificateRequest" "$TLS" -msg

# Names and protocols.
ok "a.test: P-256" done_with "Peer signature type: ECDSA" "$TLS" -servername a.test -verify_hostname a.test
ok "b.test: RSA, PSS" done_with "Peer signature type: RSA-PSS" "$TLS" -servername b.test -verify_hostname b.test
ok "c.test: Ed25519" done_with "Peer signature type: ed25519" "$TLS" -servername c.test -verify_hostname c.test
ok "another name: the first" done_with "subject=CN = a.test" "$TLS" -servername x.test
ok "no name: the first" done_with "subject=CN = a.test" "$TLS" -noservername
ok "B.TEST is b.test" done_with "subject=CN = b.test" "$TLS" -servername B.TEST
ok "no ALPN" done_with "No ALPN negotiated" "$TLS"
ok "http/1.1" done_with "ALPN protocol: http/1.1" "$TLS" -alpn http/1.1
ok "h2" done_with "ALPN protocol: h2" "$TLS" -alpn h2
ok "h2 and http/1.1: h2" done_with "ALPN protocol: h2" "$TLS" -alpn h2,http/1.1
ok "http/1.1 and h2: h2" done_with "ALPN protocol: h2" "$TLS" -alpn http/1.1,h2
ok "spdy/3 alone is refused" fails_with 'alert no application protocol|alert number 120' "$TLS" -alpn spdy/3

# Requests.
ok "/key" gives '"publicKey":"mkey:' https '/key?v=131'
ok "/derp/probe" gives "ccess-control-allow-origin: *" https /derp/probe -i
ok "/generate_204" gives "esponse: response ab.c-1" https /generate_204 -i -H 'X-Tailscale-Challenge: ab.c-1'
ok "... and no header that could do harm" not gives "esponse: response" https /generate_204 -i -H 'X-Tailscale-Challenge: a b'
for v in 1.1 2; do
	ok "HTTP/$v" gives "HTTP/$v 200" https /health -i --http$v
	ok "... says https only" gives "strict-transport-security: max-age=31536000" lower https /health -i --http$v
	ok "... in a refusal, too" gives "strict-transport-security: max-age=31536000" lower https /none -i --no-fail --http$v
	ok "... /key" gives '"publicKey":"mkey:' https '/key?v=131' --http$v
	ok "... HEAD" gives "HTTP/$v 200" https /version -I --http$v
	for p in /machine/map /machine/register; do
		ok "... no $p" gives 404 https $p -d '{}' -w '%{http_code}' -o /dev/null --no-fail --http$v
	done
	ok "... no upgrade is asked for at /derp: 426" gives 426 https /derp -w '%{http_code}' -o /dev/null --no-fail --http$v
done
ok "/ts2021 by HTTP/2: a clear word" gives "HTTP/1.1" https /ts2021 -d '' --no-fail --http2
ok "many at once by HTTP/2" many 200
ok "no such word in plain" eval 'p=$(lower get "$port" /health) && [[ $p == *" 200 "* && $p != *strict-* ]]'
ok "... or in an upgrade" eval 'p=$(lower edge upgrade "$TLS") && [[ $p == *" 101 "* && $p != *strict-* ]]'
ok "/bootstrap-dns" gives '{"a.test":["192.0.2.10"]}' https '/bootstrap-dns?q=a.test'
tailnet
read -r _ pub < <("$out/b/derphello" new)
join one "$pub"
ok "a node joins" within 80 heard one map
ok "/verify: of ours" gives '{"Allow":true}' https /verify -d "{\"NodePublic\":\"nodekey:$pub\",\"Source\":\"192.0.2.1\"}"
ok "/verify: of nobody" gives '{"Allow":false}' https /verify -d "{\"NodePublic\":\"nodekey:${pub//[0-4]/5}\"}"
ok "/verify: nonsense" gives 400 https /verify -w '%{http_code}' -o /dev/null --no-fail -d '{'
ok "/verify: too long" gives 413 https /verify -w '%{http_code}' -o /dev/null --no-fail -d "$(printf '%05000d' 1)"
ok "/verify: GET" gives 405 https /verify -w '%{http_code}' -o /dev/null --no-fail

# PROXY, and who speaks first.
from=192.0.2.77
for kind in v1 v2 split; do
	ok "PROXY $kind from one of ours" gives "HTTP/1.1 101" edge proxy "$proxied" 127.0.0.2 $kind $from
	ok "... is believed" within 20 logged "refused from=$from:4711"
	from=192.0.2.8${#kind}
done
ok "PROXY v2 of IPv6" gives "HTTP/1.1 101" edge proxy "$proxied" 127.0.0.2 v2 2001:db8::77
ok "... is believed" within 20 logged "refused from=[2001:db8::77]:4711"
for kind in v1 v2 none; do
	ok "PROXY $kind from a stranger" gives closed edge proxy "$proxied" 127.0.0.3 $kind 192.0.2.99
done
ok "... is not believed" not logged 192.0.2.99
for kind in none bad long; do
	ok "PROXY $kind from one of ours" gives closed edge proxy "$proxied" 127.0.0.2 $kind 192.0.2.98
done
ok "X-Forwarded-For from one of ours" gives "HTTP/1.1 101" edge proxy "$TLS" 127.0.0.2 forwarded 192.0.2.66
ok "... is believed" within 20 logged 'refused from=192.0.2.66:0'
ok "X-Forwarded-For from a stranger" gives "HTTP/1.1 101" edge proxy "$TLS" 127.0.0.3 forwarded 192.0.2.67
ok "... is not" eval 'within 20 grep -qE "refused from=(local |127.0.0.3:)" "$log" && not logged 192.0.2.67'
ok "a PROXY header where none is due" gives closed edge proxy "$TLS" 127.0.0.2 v1 192.0.2.97
ok "either: plain" gives '"pass"' get "$either" /health
ok "either: TLS" done_with "subject=CN = b.test" "$either" -servername b.test
ok "plain on TLS: an alert" eval 'get "$TLS" /health | od -An -tx1 | grep -q "^ 15 03"'
ok "TLS on plain: refused" fails_with 'wrong version number|packet length|unexpected' "$port"
ok "all that ended nobody" not logged died
for p in "${nodes[@]}"; do kill "$p"; done
nodes=()
stop

# Certificates change while streams run.
mv "$log" "$log.first"
conf
ok "start again" serve
tailnet
swarm=${LAB_CACHE:-$HOME/.cache/headscaled-lab}/swarm
[ -x "$swarm" ] || (cd regress/lab/swarm && mkdir -p "${swarm%/*}" &&
    sh ../go build -o "$swarm" .) >"$t/go.log" 2>&1
order() { # order WORD ...: its answer is in $t/answer
	echo "$*" >&"${SWARM[1]}" &&
	read -r -t 60 answer <&"${SWARM[0]}" && echo "$answer" >"$t/answer" &&
	jq -e .ok "$t/answer" >/dev/null || { cat "$t/answer"; return 1; }
}
none_lost() { # none has dropped since the last time, and all is right
	order right 20s && order count && echo "$answer" &&
	[ "$(jq '(.lost | length) + .faults' "$t/answer")" = 0 ]
}
streams=${STREAMS:-1000}
if [ -x "$swarm" ]; then
	coproc SWARM { SSL_CERT_FILE=$t/ca.pem exec "$swarm" \
	    -url "https://127.0.0.1:$TLS" -key "$key" -n "$streams" \
	    -quiet 1s -limit 60s join obey 2>"$t/swarm.log"; }
	helpers+=("$SWARM_PID")
	read -r -t 100 answer <&"${SWARM[0]}"
	ok "$streams map streams over TLS" test "$(jq .ok <<<"${answer:-null}")" = true
	ok "their views are right" none_lost
	ok "nodes report new endpoints" order churn 50
	for k in "ec -pkeyopt ec_paramgen_curve:prime256v1" "rsa:2048" "ec -pkeyopt ec_paramgen_curve:secp384r1"; do
		certify a.test "$k" "DNS:a.test,IP:127.0.0.1"
		ok "reload with a new certificate, ${k%% *}" ctl reload
		ok "which is shown" within 20 shows "$TLS" a.test "$t/a.test.pem"
	done
	ok "all reports are answered" order calm
	ok "no stream dropped" none_lost
else
	echo "skipped: no swarm (no Go)"
fi

# One that is about to expire.
certify a.test rsa:2048 "DNS:a.test,IP:127.0.0.1" 1
ok "-n: a certificate expires soon" eval '"$bin/headscaled" -n -f "$t/conf" 2>"$t/said2" &&
    grep -qF "$t/a.test.pem: the certificate expires on " "$t/said2"'
ok "reload: likewise" ctl reload
ok "which is shown" within 20 shows "$TLS" a.test "$t/a.test.pem"
ok "and said once" test "$(grep -cF "$t/a.test.pem: the certificate expires on " "$log")" -eq 1

# A bad pair.
cp "$t/a.test.pem" "$t/good.pem"
cp -p "$t/a.test.key" "$t/good.key"
cp -p "$t/b.test.key" "$t/a.test.key"
ok "-n: another's key, with both names" eval '! "$bin/headscaled" -n -f "$t/conf" 2>"$t/said2" &&
    grep -qF "$t/a.test.pem and $t/a.test.key:" "$t/said2"'
ok "reload: likewise" eval '! ctl reload 2>"$t/said2" &&
    grep -qF "$t/a.test.pem and $t/a.test.key:" "$t/said2"'
ok "the old one stays" shows "$TLS" a.test "$t/good.pem"
cp -p "$t/good.key" "$t/a.test.key"
[ ! -x "$swarm" ] || ok "no stream dropped" none_lost

# keyd stops.
for how in CONT KILL; do
	stopped=$(children keyd)
	rm -f "$t/flag"
	edge hold "$TLS" 6 "$t/flag" >"$t/hold" 2>&1 &
	hold=$!
	within 50 test -e "$t/flag"
	kill -STOP "$stopped"
	[ ! -x "$swarm" ] || ok "keyd stops: nodes report" order churn 20
	t0=$EPOCHREALTIME
	https /health >"$t/waited" 2>&1 &
	waits=$!
	sleep 1.5
	ok "a handshake waits" alive $waits
	ok "plain requests do not" gives '"pass"' curl -fsS -m 1 "http://127.0.0.1:$port/health"
	if [ $how = CONT ]; then kill -CONT "$stopped"
	else kill -KILL "$stopped"; fi
	stopped=
	t0=$EPOCHREALTIME
	ok "SIG$how: another one goes on" within 30 shows "$TLS" a.test "$t/good.pem"
	took=$(awk "BEGIN { print $EPOCHREALTIME - $t0 }")
	ok "within 3 s ($took)" below "$took" 3
	wait $waits
	ok "the one that waited is answered" grep -q pass "$t/waited"
	wait $hold; r=$?
	ok "a connection of before did not notice: $(cat "$t/hold")" test $r = 0
	[ ! -x "$swarm" ] || {
		ok "all reports are answered" order calm
		ok "no stream dropped" none_lost
	}
done

# Harm.
before=$(pss worker)
served() { https /health -m 2; }
bounded() { # bounded KB: the workers' memory, beyond what it was
	now=$(pss worker)
	echo "$before KB, then $now KB"
	[ "$now" -lt $((before + $1)) ]
}
edge garbage "$TLS" 600 1 >"$t/bad1" 2>&1 & g1=$!
edge garbage "$either" 600 2 >"$t/bad2" 2>&1 & g2=$!
ok "garbage: others are served" served
ok "... again" served
ok "... each ends" wait $g1
ok "... on a listener for either" wait $g2
ok "... memory" bounded 8192
rm -f "$t/flag"
edge half "$TLS" 2000 9 "$t/flag" >"$t/half" 2>&1 & g1=$!
within 80 test -e "$t/flag"
ok "2,000 that send one octet: others are served" served
ok "... in plain" gives '"pass"' curl -fsS -m 1 "http://127.0.0.1:$port/health"
ok "... memory" bounded 24576
wait $g1; r=$?
ok "... all are closed: $(cat "$t/half")" test $r = 0
rm "$t/flag"
edge loris "$TLS" 200 9 "$t/flag" >"$t/loris" 2>&1 & g1=$!
within 80 test -e "$t/flag"
ok "200 that dribble: others are served" served
wait $g1; r=$?
ok "... all are closed: $(cat "$t/loris")" test $r = 0
ok "memory after all that" bounded 8192
[ ! -x "$swarm" ] || ok "no stream dropped" none_lost
ok "no worker died" not grep -q 'worker .* died' "$log"
exit $rc
