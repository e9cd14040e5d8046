#!/bin/bash
# A browser relays: Chromium opens a WebSocket to the relay over TLS, logs in
# as a node of ours and exchanges packets with a native client.  The page
# writes what it found into its document, which is judged here; its "load"
# event waits for that, held back by an image that our web server keeps.
#
#	browser.sh OUT
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
. regress/scenario/lib.sh
label='browser: '
chromium=$(command -v chromium || command -v chromium-browser ||
    command -v google-chrome) || { echo "skipped: no chromium"; exit 0; }
begin
programs
hello=$out/b/derphello
others=()
undo() { for p in "${others[@]}"; do kill "$p" 2>/dev/null; done; }

# The page's own keys are of a node; so are the native client's.
cat >"$t/page.html" <<'HTML'
<!doctype html><title>relay</title>
<pre id="result">unfinished</pre>
<img src="/wait" alt=""><script>
"use strict";
const hex = s => Uint8Array.from(s.match(/../g), x => parseInt(x, 16));
const found = {};
const finish = () => {
	document.getElementById("result").textContent =
	    Object.entries(found).map(([k, v]) => k + "=" + v + "\n").join("");
	fetch("/done", { method: "POST" });
};
setTimeout(finish, 20000);

// A relay's frames out of a stream of messages.
class Frames {
	constructor(socket) {
		this.rest = new Uint8Array(0);
		this.ready = [];
		this.asked = [];
		this.largest = 0;
		socket.addEventListener("message", e => this.take(e.data));
	}
	take(data) {
		const got = new Uint8Array(data);
		this.largest = Math.max(this.largest, got.length);
		const all = new Uint8Array(this.rest.length + got.length);
		all.set(this.rest);
		all.set(got, this.rest.length);
		let at = 0;
		while (all.length - at >= 5) {
			const n = new DataView(all.buffer).getUint32(at + 1);
			if (all.length - at - 5 < n) break;
			const f = { type: all[at], body: all.slice(at + 5, at + 5 + n) };
			at += 5 + n;
			if (this.asked.length) this.asked.shift()(f);
			else this.ready.push(f);
		}
		this.rest = all.slice(at);
	}
	next() {
		if (this.ready.length) return Promise.resolve(this.ready.shift());
		return new Promise(done => this.asked.push(done));
	}
}
const frame = (type, ...parts) => {
	const n = parts.reduce((sum, p) => sum + p.length, 0);
	const all = new Uint8Array(5 + n);
	all[0] = type;
	new DataView(all.buffer).setUint32(1, n);
	let at = 5;
	for (const p of parts) { all.set(p, at); at += p.length; }
	return all;
};
const same = (a, b) => a.length == b.length && a.every((x, i) => x == b[i]);
const open = (url, protocol) => new Promise((yes, no) => {
	const s = new WebSocket(url, protocol);
	s.binaryType = "arraybuffer";
	s.frames = new Frames(s);
	s.ended = new Promise(done => s.onclose = e => done(e.code));
	s.onopen = () => yes(s);
	s.onerror = () => no(new Error("WebSocket"));
});

(async () => {
	const conf = await (await fetch("/conf")).json();
	const s = await open(conf.url, "derp");
	found.protocol = s.protocol;
	let f = await s.frames.next();
	found.serverkey = f.type == 1 && same(f.body.slice(8, 40), hex(conf.relay));
	s.send(hex(conf.login));
	f = await s.frames.next();
	found.login = f.type == 3;

	// Out and back: the native client returns what it is sent.
	const peer = hex(conf.peer);
	let sent = 0, good = 0;
	for (let i = 0; i < 100; i++) {
		const n = i == 0 ? 1 : i == 99 ? 16000 : 1 + (i * 7919) % 16000;
		const p = new Uint8Array(n);
		crypto.getRandomValues(p);
		s.send(frame(4, peer, p));
		sent++;
		do f = await s.frames.next(); while (f.type != 5);
		good += same(f.body.slice(0, 32), peer) && same(f.body.slice(32), p);
	}
	found.sent = sent;
	found.good = good;

	// One frame in many messages, and many frames in one.
	const p = crypto.getRandomValues(new Uint8Array(500));
	const whole = frame(4, peer, p);
	for (let at = 0; at < whole.length; at += 7)
		s.send(whole.slice(at, at + 7));
	do f = await s.frames.next(); while (f.type != 5);
	found.split = same(f.body.slice(32), p);
	const many = new Uint8Array(10 * whole.length);
	for (let i = 0; i < 10; i++) many.set(whole, i * whole.length);
	s.send(many);
	let back = 0;
	for (let i = 0; i < 10; i++) {
		do f = await s.frames.next(); while (f.type != 5);
		back += same(f.body.slice(32), p);
	}
	found.joined = back;
	s.send(frame(18, hex("0102030405060708")));
	do f = await s.frames.next(); while (f.type == 6);
	found.pong = f.type == 19 && same(f.body, hex("0102030405060708"));
	found.largest = s.frames.largest;

	s.send("a text");
	found.text = await s.ended;

	const bad = await open(conf.url, "derp");
	f = await bad.frames.next();
	bad.send(hex(conf.stranger));
	found.stranger = await Promise.race([ bad.ended,
	    bad.frames.next().then(f => "frame " + f.type) ]);
	const gone = await open(conf.url, "derp");
	gone.close(1000);
	found.close = await gone.ended;
	finish();
})().catch(e => { found.error = e.message; finish(); });
</script>
HTML

cat >"$t/web.py" <<'PY'
# web.py PORT FOLDER: /page.html, /conf, and /wait, which waits for /done.
import http.server, sys, threading
port, folder = int(sys.argv[1]), sys.argv[2]
done = threading.Event()

class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, kind, body):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        if self.path == "/wait":
            done.wait(30)
            self.answer("text/plain", b"")
        elif self.path in ("/page.html", "/conf"):
            with open(folder + self.path, "rb") as f: body = f.read()
            self.answer("text/html" if self.path.endswith("l") else "application/json", body)
        else:
            self.send_error(404)
    def do_POST(self):
        done.set()
        self.answer("text/plain", b"")
    def log_message(self, *a): pass

http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
PY

# A server with a relay, and two nodes whose keys we have.
authority
certify relay.test "ec -pkeyopt ec_paramgen_curve:prime256v1" \
    "DNS:relay.test,IP:127.0.0.1"
tls=$(spare)
config "$t/state" "listen \"tls\" { address = \"127.0.0.1\" port = $tls tls = true }" \
    "tls { keypair \"a\" { certificate = \"$t/relay.test.pem\" key = \"$t/relay.test.key\" } }" \
    'derp { server { enabled = true stun_listen = "none" } }'
ok "start" serve
tailnet
read -r page_priv page_pub < <("$hello" new)
read -r echo_priv echo_pub < <("$hello" new)
read -r none_priv _ < <("$hello" new)
join page "$page_pub"
join native "$echo_pub"
ok "two nodes join" within 80 eval 'heard page map && heard native map'
relay=$(printf 'GET /derp HTTP/1.1\r\nHost: relay.test\r\nConnection: Upgrade\r\nUpgrade: DERP\r\n\r\n' |
    timeout 3 openssl s_client -quiet -connect "127.0.0.1:$tls" 2>/dev/null |
    grep -a -o 'Derp-Public-Key: [0-9a-f]*' | cut -d' ' -f2)
ok "the relay tells its key" test ${#relay} = 64
"$hello" echo "$tls" "$echo_priv" "$t/ca.pem" relay.test >"$t/echo.out" 2>&1 &
others+=($!)
ok "the native client is let in" within 50 grep -q '^up' "$t/echo.out"

web=$(spare)
python3 "$t/web.py" "$web" "$t" 2>"$t/web.err" &
others+=($!)
jq -n --arg url "wss://127.0.0.1:$tls/derp" --arg relay "$relay" \
    --arg peer "$echo_pub" \
    --arg login "$("$hello" info "$relay" "$page_priv")" \
    --arg stranger "$("$hello" info "$relay" "$none_priv")" \
    '$ARGS.named' >"$t/conf"
pin=$(openssl x509 -in "$t/relay.test.pem" -noout -pubkey |
    openssl pkey -pubin -outform DER | openssl dgst -sha256 -binary | base64)
ok "our web server is up" within 50 curl -fsS "http://127.0.0.1:$web/conf"
mkdir "$t/home"
HOME=$t/home timeout 50 "$chromium" --headless --no-sandbox --disable-gpu \
    --disable-dev-shm-usage --disable-background-networking --no-first-run \
    --user-data-dir="$t/home/data" \
    --ignore-certificate-errors-spki-list="$pin" --dump-dom \
    "http://127.0.0.1:$web/page.html" >"$t/dom" 2>"$t/chromium.log"
sed -n '/id="result"/,/<\/pre>/p' "$t/dom" | sed 's/<[^>]*>//g' >"$t/result"
if [ ! -s "$t/dom" ]; then
	echo "FAIL ${label}chromium shows no page"
	tail -5 "$t/chromium.log" | sed 's/^/      /'
	exit 1
fi
is() { # is NAME VALUE: what the page found
	grep -x "$1=.*" "$t/result" || { cat "$t/result"; return 1; }
	grep -qx "$1=$2" "$t/result"
}
at_most() { # at_most NAME VALUE
	local v
	v=$(sed -n "s/^$1=//p" "$t/result")
	echo "$1=$v"
	[ -n "$v" ] && [ "$v" -le "$2" ]
}
ok "no error" not grep error "$t/result"
ok "the subprotocol is derp" is protocol derp
ok "ServerKey has the key of the plain upgrade" is serverkey true
ok "the browser is let in" is login true
ok "100 packets were sent" is sent 100
ok "all came back, octet by octet, from whom they went to" is good 100
ok "one frame in many messages" is split true
ok "ten frames in one message" is joined 10
ok "a ping is answered" is pong true
ok "no message is beyond 16 KB" at_most largest 16384
ok "a text message: closed with 1003" is text 1003
ok "a stranger is closed without a frame" is stranger 1000
ok "its own close is answered" is close 1000
ok "the native client has returned each" within 30 eval \
    'kill -0 "${others[0]}" && ! grep -q gone "$t/echo.out"'
kill "${others[1]}" 2>/dev/null
p=$(ctl -j nodes list | jq -r '.[] | select(.name | startswith("native")).id')
ok "its node is deleted" ctl nodes delete -y "$p"
ok "and it is cut off within a second" within 10 grep -qx 'gone 111' "$t/echo.out"
exit $rc
