#!/bin/bash
# headscaled-fetch against the outside: Let's Encrypt's test server, with half
# of all nonces rejected and validations that take their time, and an HTTPS
# server that does what it should not.  As root it runs in its chroot, as
# another user and under its filter.
#
#	acme_pebble.sh OUT
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
. regress/scenario/lib.sh
begin
. regress/scenario/pebble_kit.sh
bin=$t/bin
mkdir "$bin"
cp "$out/headscaled-fetch" "$out/b/fetchdrive" "$bin" || exit 2
chmod 755 "$bin"/*

undo() { for p in "${servers[@]}"; do kill "$p" 2>/dev/null; done; }

# The folder that master prepares: copies of three files.
chroot=$t/chroot
mkdir -p "$chroot/etc/ssl" "$t/keys"
chmod 755 "$chroot" "$chroot/etc" "$chroot/etc/ssl"
printf '127.0.0.1 localhost acme.test other.test\n::1 six.test\n' >"$chroot/etc/hosts"
authority
certify pebble rsa:2048 DNS:localhost,DNS:acme.test,DNS:host.dns.test,IP:127.0.0.1
cp "$t/ca.pem" "$chroot/etc/ssl/cert.pem"

user=()
if [ "$(id -u)" = 0 ]; then
	user=(-u "$(id -u nobody)")
	resolver=127.0.0.9
	echo "nameserver $resolver" >"$chroot/etc/resolv.conf"
else
	echo "skipped: the half that needs root"
	resolver=
	: >"$chroot/etc/resolv.conf"
fi
drive() { # drive ARGUMENT ...
	(cd "$t/keys" && CHALLTEST=$manage timeout 200 "$bin/fetchdrive" \
	    "${user[@]}" "$@" 2>>"$log") | tee -a "$t/drive.log" >"$t/drive.last"
	local rc=$?
	cat "$t/drive.last"
	return $rc
}
fetch() { drive -a 127.0.0.0/8 "$bin/headscaled-fetch" "$chroot" "$@"; }
says() { # says TEXT ARGUMENT ...: the last line has it
	local want=$1
	shift
	"$@"
	tail -1 "$t/drive.last" | grep -qF -- "$want"
}

# The servers.
nameserver -dns01 "127.0.0.1:$dns${resolver:+,$resolver:53}" \
    -http01 "127.0.0.1:$http" -tlsalpn01 "127.0.0.1:$tls"
ca acme 7776000
acme=${ca_port[acme]}
cat >"$t/bad.py" <<'PY'
import http.server, socketserver, ssl, sys
class H(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *a): pass
    def say(self, status, body=b"", **fields):
        self.send_response(status)
        for k, v in fields.items(): self.send_header(k.replace("_", "-"), v)
        self.send_header("Content-Length", len(body))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        p = self.path
        if p == "/ok": self.say(200, b'{"Regions":{"1":null}, "pad":"' + b"x" * 150000 + b'"}')
        elif p == "/agent": self.say(200, b'["%s"]' % self.headers["User-Agent"].encode())
        elif p == "/derp/latency-check": self.say(200)
        elif p == "/garbage": self.say(200, b'{"a":')
        elif p == "/away": self.say(302, Location="https://localhost/ok")
        elif p == "/gone": self.say(404, b"no")
        elif p == "/cookie": self.say(200, b'{}', Set_Cookie="a=b; Path=/")
        elif p == "/fields": self.say(200, b"{}", **{"X%d" % i: "y" * 1000 for i in range(60)})
        elif p == "/zip": self.say(200, b"\x1f\x8b\x08\x00" + b"0" * 40, Content_Encoding="gzip")
        elif p == "/short":
            self.send_response(200); self.send_header("Content-Length", 100); self.end_headers()
            self.wfile.write(b"{}"); self.close_connection = True
        else: self.say(500)
class S(socketserver.ThreadingMixIn, http.server.HTTPServer): daemon_threads = True
s = S(("127.0.0.1", int(sys.argv[1])), H)
c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
c.load_cert_chain(sys.argv[2], sys.argv[3])
s.socket = c.wrap_socket(s.socket, server_side=True)
s.serve_forever()
PY
bad=$(spare)
python3 "$t/bad.py" "$bad" "$t/pebble.pem" "$t/pebble.key" >"$t/bad.log" 2>&1 &
servers+=($!)
old=$(spare)
openssl s_server -quiet -accept "$old" -cert "$t/pebble.pem" -key "$t/pebble.key" -www \
    -tls1_1 -cipher DEFAULT@SECLEVEL=0 >"$t/old.log" 2>&1 &
servers+=($!)
for p in $acme "${ca_admin[acme]}" $bad $old $manage; do
	ok "port $p is served" within 100 answers "$p"
done

# Documents and probes.
u=https://acme.test:$bad
label="get: "
ok "a document" says "ok 150032 octets" fetch get "$u/ok" 1000000
ok "an address instead of a name" says "ok 150032" fetch get "https://127.0.0.1:$bad/ok" 1000000
ok "longer than asked for" says "longer than 150031 octets" fetch get "$u/ok" 150031
ok "no JSON" says "status=200 not JSON" fetch get "$u/garbage" 1000
ok "compressed though nobody asked" says "not JSON" fetch get "$u/zip" 1000
ok "cut off" says "status=0" fetch get "$u/short" 1000
ok "a redirect" says "status=302 HTTP 302: redirects are not followed" fetch get "$u/away" 1000
ok "404" says "status=404 HTTP 404" fetch get "$u/gone" 1000
ok "500" says "status=500 HTTP 500" fetch get "$u/x" 1000
ok "a header too long" says "header is longer" fetch get "$u/fields" 1000
ok "a cookie is nothing" says "ok 2 octets" fetch get "$u/cookie" 1000
ok "plain http" says "not an https URL" fetch get "http://acme.test:$bad/ok" 1000
ok "a user in the URL" says "not an https URL" fetch get "https://u:p@acme.test:$bad/ok" 1000
ok "the certificate is for another" says "no alternative certificate subject name" fetch get "https://other.test:$bad/ok" 1000
ok "TLS 1.1" says "status=0" fetch get "https://localhost:$old/" 1000
ok "and it was that" grep -qi 'protocol' "$t/drive.last"
ok "nobody listens" says "status=0" fetch get "https://localhost:1/" 1000
ok "a private address" says "acme.test is at 127.0.0.1, which is not a public address" \
    drive "$bin/headscaled-fetch" "$chroot" get "$u/ok" 1000
ok "in the URL" says "127.0.0.1 is not a public address" \
    drive "$bin/headscaled-fetch" "$chroot" get "https://127.0.0.1:$bad/ok" 1000
ok "in hexadecimal" says "not a public address" \
    drive "$bin/headscaled-fetch" "$chroot" get "https://0x7f000001:$bad/ok" 1000
ok "IPv6" says "six.test is at ::1, which is not" fetch get "https://six.test:$bad/ok" 1000
ok "mapped" says "not a public address" fetch get "https://[::ffff:127.0.0.1]:$bad/ok" 1000
label="probe: "
ok "by name" says " us" fetch probe localhost "$bad" "" none 0
ok "by address, without a look-up" says " us" fetch probe none.invalid "$bad" 127.0.0.1 none 1
ok "a wrong certificate" says "failed" fetch probe none.invalid "$bad" 127.0.0.1 none 0
ok "no such family" says "no address of this family" fetch probe localhost "$bad" none "" 0
ok "a private address" says "not a public address" \
    drive "$bin/headscaled-fetch" "$chroot" probe localhost "$bad" 127.0.0.1 none 1
if [ -n "$resolver" ]; then
	label="dns: "
	ok "by the nameserver of the chroot" says "ok 150032" fetch get "https://host.dns.test:$bad/ok" 1000000
	echo "nameserver 127.0.0.10" >"$chroot/etc/resolv.conf"
	ok "nobody answers" says "host.dns.test: " fetch get "https://host.dns.test:$bad/ok" 1000000
	echo "nameserver $resolver" >"$chroot/etc/resolv.conf"
fi

# Certificates.
label="acme: "
dir=https://acme.test:$acme/dir
ask_ca acme roots/0 >"$t/root.pem"
chain_good() { # chain_good NAME ...: it verifies, has the names, fits the key
	local n
	openssl verify -CAfile "$t/root.pem" -untrusted "$t/keys/chain.pem" "$t/keys/chain.pem" || return 1
	for n; do
		openssl x509 -in "$t/keys/chain.pem" -noout -checkhost "$n" | grep -q "does match" || return 1
	done
	[ "$(openssl x509 -in "$t/keys/chain.pem" -noout -pubkey)" = "$(openssl pkey -in "$t/keys/key.pem" -pubout)" ]
}
serial() { openssl x509 -in "$t/keys/chain.pem" -noout -serial | cut -d= -f2; }
ok "issued, http-01, two names" fetch issue "$dir" http-01 a.example b.example
ok "the chain is good" chain_good a.example b.example
ok "each challenge was put up and taken down" test "$(grep -c '^challenge' "$t/drive.last")" = 4
first=$(serial) account=$(cat "$t/keys/account")
ok "renewed with the same account" fetch issue "$dir" http-01 a.example b.example
ok "the chain is good" chain_good a.example b.example
ok "it is another one" test "$(serial)" != "$first"
ok "the account is not" test "$(cat "$t/keys/account")" = "$account"
ok "issued, tls-alpn-01" fetch issue "$dir" tls-alpn-01 c.example
ok "the chain is good" chain_good c.example
last=$(serial)
ok "revoked" fetch revoke "$dir"
ok "the server says so" grep -q '"Revoked"' <(ask_ca acme "cert-status-by-serial/$last")
ok "revoked again: it is" fetch revoke "$dir"
ok "nonces were rejected meanwhile" test "$(grep -c 'badNonce\|Invalid anti-replay nonce\|reject' "$t/ca-acme.log")" -gt 0
echo "https://acme.test:$acme/my-account/none" >"$t/keys/account"
printf %s "$(cat "$t/keys/account")" >"$t/keys/account"
ok "an account that is gone is found by its key" fetch issue "$dir" http-01 a.example
ok "and is the old one" test "$(cat "$t/keys/account")" = "$account"
ok "a name that the server does not want" says "blocked" fetch issue "$dir" http-01 blocked.example
name_at d.example 127.0.0.77
ok "a challenge that fails" says "authorization of d.example: invalid: connection" fetch issue "$dir" http-01 d.example
ok "is taken down all the same" grep -q '^challenge down d.example' "$t/drive.last"
ok "no directory" says "directory: HTTP 404" fetch issue "https://acme.test:$acme/none" http-01 a.example
ok "no ACME server" says "directory: " fetch issue "$u/ok" http-01 a.example
ok "a private address" says "not a public address" \
    drive "$bin/headscaled-fetch" "$chroot" issue "$dir" http-01 a.example
rm "$chroot/etc/ssl/cert.pem"
ok "without CA certificates it does not start" says "CA certificates: No such file" fetch get "$u/ok" 1000
exit $rc
