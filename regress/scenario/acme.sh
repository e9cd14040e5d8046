#!/bin/bash
# A certificate had by ACME, by the whole server, from Let's Encrypt's test
# server, which rejects half of all nonces and takes its time for validations:
# had, shown by every worker, renewed, revoked; and what happens when the CA is
# away or does not want to, and when a process dies in the middle of it.  Each
# theme has a server and an address of its own; they run side by side.
#
#	acme.sh OUT
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
. regress/scenario/lib.sh
begin
. regress/scenario/pebble_kit.sh
programs
authority
certify pebble "ec -pkeyopt ec_paramgen_curve:prime256v1" DNS:localhost
themes=(issue alpn short down fetch dbd keyd worker)
lanes=()
undo() {
	local p
	for p in "${lanes[@]}" "${servers[@]}"; do kill "$p" 2>/dev/null; done
	[ ${#lanes[@]} -eq 0 ] || wait "${lanes[@]}" 2>/dev/null
}

# Where PID's memory has the number of a private key, or a line of its file.
cat >"$t/find.py" <<'PY'
import re, subprocess, sys
needles = []
for path in sys.argv[1].split(","):
    text = open(path).read()
    der = subprocess.run(["openssl", "pkey", "-in", path, "-outform", "DER"], check=True, capture_output=True).stdout
    at = der.index(b"\x02\x01\x01\x04\x20") + 5
    needles += [der[at:at + 32], der[at:at + 32][::-1], text.split("\n")[1].encode()]
for pid in sys.argv[2:]:
    with open("/proc/%s/maps" % pid) as maps, open("/proc/%s/mem" % pid, "rb", 0) as mem:
        for line in maps:
            a, b, mode = re.match(r"(\w+)-(\w+) (....)", line).groups()
            if mode[0] != "r" or "[v" in line: continue
            mem.seek(int(a, 16))
            try: p = mem.read(int(b, 16) - int(a, 16))
            except OSError: continue
            for n in needles:
                if n in p: print(pid, line.strip()); sys.exit(0)
sys.exit(1)
PY
# One TLS connection with a request every 0.2 s until a file is gone.
cat >"$t/hold.py" <<'PY'
import os, socket, ssl, sys, time
host, port, name, root, flag = sys.argv[1:]
s = ssl.create_default_context(cafile=root).wrap_socket(socket.create_connection((host, int(port)), 5), server_hostname=name)
open(flag, "w").close()
n = 0
while os.path.exists(flag):
    s.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
    p = b""
    while b"pass" not in p:
        q = s.recv(4096)
        if not q: sys.exit("closed after %d" % n)
        p += q
    n += 1
    time.sleep(0.2)
print("%d requests" % n)
sys.exit(0 if n > 2 else 1)
PY

# What a theme uses; here is its address.
begin_with() { # begin_with CA CHALLENGE NAMES [LINE]: its server runs
	config "$t/state" \
	    "listen \"http\" { address = \"$here\" port = $http }" \
	    "listen \"tls\" { address = \"$here\" port = $tls tls = true }" \
	    'fetch { allow = { "127.0.0.0/8" }' "ca_file = \"$top/ca.pem\" }" \
	    "acme {" "directory = \"https://localhost:${ca_port[$1]}/dir\"" \
	    "challenge = \"$2\"" 'contact = { "ann@example.org" }' \
	    "names = { $3 }" "}" "${4-}"
	ok "start" serve
}
names() { # names NAMES: others, by a reload
	sed -i "s/^names = .*/names = { $1 }/" "$t/conf"
	ctl reload
}
listed() { ctl -j cert list | jq -r ".[0].$1"; }
is_listed() { [ "$(listed "$1")" = "$2" ]; }
seconds() { date -ud "$1" +%s; }
shake() { # shake [ARGUMENT ...]: a handshake that verifies; $t/hs
	timeout 5 openssl s_client -connect "$here:$tls" -CAfile "$root" \
	    -verify_return_error "$@" </dev/null >"$t/hs" 2>&1
}
serial() { # of what is shown
	shake "$@" && openssl x509 -in "$t/hs" -noout -serial | cut -d= -f2
}
shown() { [ -n "$1" ] && [ "$(serial -servername "$2" -verify_hostname "$2")" = "$1" ]; }
another() { [ -n "$1" ] && ! shown "$@" && shake; }
times() { [ "$(grep -cF -- "$2" "$log")" = "$1" ]; }
in_force() { times "$1" 'certificate: a new one is in force'; }
asked() { times "$1" 'certificate: a new one is asked for'; }
# Until it is tried again: the run of before has ended.
gave_up() { times "$1" '; it is tried again in '; }
roots() { # roots CA
	root=$t/root.pem
	ask_ca "$1" roots/0 >"$root"
}
all_workers() { # 16 connections, all good; by which processes are they held?
	local p pids=() bad=0
	for _ in {1..16}; do
		sleep 2 | timeout 5 openssl s_client -connect "$here:$tls" \
		    -CAfile "$root" -verify_return_error -servername a.example \
		    -verify_hostname a.example >/dev/null 2>&1 &
		pids+=($!)
	done
	sleep 1
	ss -Htnp "( src $here:$tls )" >"$t/held"
	for p in "${pids[@]}"; do wait "$p" || bad=1; done
	for p in $(children worker); do
		grep -q "pid=$p," "$t/held" || { cat "$t/held"; bad=1; }
	done
	return $bad
}
hold() { # hold: while $t/flag is there
	python3 "$top/hold.py" "$here" "$tls" "$1" "$root" "$t/flag" >"$t/hold" 2>&1 &
	holder=$!
	within 50 test -e "$t/flag"
}
held() { # and was not dropped
	rm -f "$t/flag"
	wait "$holder" || { cat "$t/hold"; return 1; }
}

# Had; shown; renewed; the server starts again; revoked; a name too many.
theme_issue() {
	local first second from until p
	begin_with issue http-01 "\"a.example\", \"b.example\", \"$here\""
	ok "had" within 400 in_force 1
	roots issue
	ok "shown, with its chain" within 30 shake -servername a.example -verify_hostname a.example
	first=$(serial)
	ok "shown for another name, too" shown "$first" b.example
	ok "it is for the address, too" shake -noservername -verify_ip "$here"
	ok "every worker shows it" all_workers
	shake
	openssl x509 -in "$t/hs" -noout -startdate -enddate >"$t/dates"
	from=$(seconds "$(sed -n 's/notBefore=//p' "$t/dates")")
	until=$(seconds "$(sed -n 's/notAfter=//p' "$t/dates")")
	ok "cert list: its number" is_listed serial "$first"
	ok "its names" is_listed 'names | join(" ")' "a.example b.example $here"
	ok "when it ends" [ "$(seconds "$(listed expires)")" = "$until" ]
	p=$(($(seconds "$(listed renew)") - from))
	ok "a new one at two thirds, or up to a thirtieth before ($p s)" \
	    [ $p -le $(((until - from) * 2 / 3)) -a $p -ge $(((until - from) * 57 / 90)) ]
	ok "in words" grep -q "^a.example.* $first .*in 89d .*in [56][0-9]d .*0  -$" <(ctl cert list)
	if [ "$(id -u)" = 0 ]; then
		for p in acme acme-account; do
			ok "$p.key is root's, who hands it to keyd" [ "$(stat -c '%a %U' "$t/state/$p.key")" = "600 root" ]
		done
		p=$t/state/acme.key,$t/state/acme-account.key
		ok "both keys are in keyd's memory" python3 "$top/find.py" "$p" "$(children keyd)"
		# shellcheck disable=SC2046
		ok "and in no other's" not python3 "$top/find.py" "$p" $pid \
		    $(children worker) $(children dbd) $(children fetch)
	else
		echo "skipped: whose memory has the keys (needs root)"
	fi

	hold a.example
	ok "renewed on request" ctl cert renew
	ok "at once" within 400 in_force 2
	ok "it has another number" another "$first" a.example
	second=$(serial)
	ok "which is listed" is_listed serial "$second"
	ok "a connection goes on" held

	stop
	ok "start again" serve
	ok "it is still shown" within 50 shown "$second" a.example
	kill -9 "$pid"
	wait "$pid" 2>/dev/null
	ok "start after a SIGKILL" serve
	ok "it is still shown" within 50 shown "$second" a.example
	ok "... and listed" is_listed serial "$second"
	ok "none was asked for" asked 2

	hold a.example
	ok "revoked on request" ctl -y cert renew --revoke
	ok "... it is" within 300 logged 'certificate: revoked'
	ok "the CA says so" grep -q '"Revoked"' <(ask_ca issue "cert-status-by-serial/${second,,}")
	ok "another one follows" within 400 in_force 3
	ok "and is shown" another "$second" a.example
	first=$(serial)
	ok "a connection goes on" held
	ok "all with one account" not grep -q 'There are now [2-9] accounts' "$top/ca-issue.log"

	ok "a name that the CA does not want" names "\"a.example\", \"blocked.example\""
	ok "it says so" within 300 gave_up 1
	ok "in the log" grep -q 'certificate: new order: .*rejectedIdentifier.*blocked.example.*it is tried again in' "$log"
	ok "and in the list" grep -qE 'a.example.*blocked.example .* in [0-9]+[ms] +1  new order: .*rejectedIdentifier' <(ctl cert list)
	ok "the old one is shown" shown "$first" a.example
	ok "put right" names "\"a.example\", \"b.example\""
	ok "it is tried at once" within 400 in_force 4
	ok "nothing is wrong any more" is_listed failed 0
}

# The CA asks by TLS, where there is nothing yet that could be shown.
theme_alpn() {
	local six=
	! grep -q ' lo$' /proc/net/if_inet6 2>/dev/null || six=', "::1"'
	begin_with rest tls-alpn-01 "\"c.example\", \"$here\"$six" \
	    "${six:+listen \"six\" { address = \"::1\" port = $tls tls = true }}"
	ok "had" within 600 in_force 1
	roots rest
	ok "shown" within 30 shake -servername c.example -verify_hostname c.example
	ok "and for the address" shake -verify_ip "$here"
	[ -z "$six" ] || ok "and for that of IPv6" shake -verify_ip ::1
	ok "no challenge is shown any more" not shake -servername c.example -alpn acme-tls/1
}

# It lives for 45 s.
theme_short() {
	local first left
	begin_with short http-01 '"s.example"'
	ok "had" within 400 in_force 1
	roots short
	ok "shown" within 30 shake -servername s.example -verify_hostname s.example
	first=$(serial)
	left=$(($(seconds "$(openssl x509 -in "$t/hs" -noout -enddate | cut -d= -f2)") - $(date +%s)))
	hold s.example
	ok "another one comes by itself" within $((10 * left)) in_force 2
	ok "before it is over" test "$(seconds "$(listed expires)")" -gt $(($(date +%s) + 15))
	ok "it is shown" another "$first" s.example
	ok "it is good" shake -servername s.example -verify_hostname s.example
	ok "a connection goes on" held
	ok "nobody had to wait" asked 2
}

# The CA is not there, is there, has gone, and comes again with no memory.
theme_down() {
	local first
	begin_with down http-01 '"d.example"'
	root=$top/ca.pem
	ok "no certificate, no handshake" not shake
	ok "none is listed" is_listed expires null
	ok "what is wrong" within 300 gave_up 1
	ok "in the log" grep -q 'certificate: directory: .*onnect.*it is tried again in [67][0-9] s' "$log"
	ok "in the list" grep -qE '^d.example +- +none yet +in [0-9]+[ms] +1  directory: .*onnect' <(ctl cert list)
	ca down 7776000
	within 100 answers "${ca_port[down]}"
	ok "renew" ctl cert renew
	ok "had" within 400 in_force 1
	roots down
	ok "shown" within 30 shake -servername d.example -verify_hostname d.example
	first=$(serial)
	ok "nothing is wrong" grep -q "^d.example .* 0  -$" <(ctl cert list)
	ca_end down
	ok "the CA has gone: renew" ctl cert renew
	ok "it fails" within 300 gave_up 2
	ok "the old one is shown" shown "$first" d.example
	ok "... and listed, and why" grep -q "$first .*1  directory: .*onnect" <(ctl cert list)
	ca down 7776000
	within 100 answers "${ca_port[down]}"
	ok "another CA, which knows nobody: renew" ctl cert renew
	ok "had" within 400 in_force 2
	roots down
	ok "shown" within 30 shake -servername d.example -verify_hostname d.example
	ca_end down
}

# One dies in the middle of it.
theme_death() { # theme_death ROLE
	local p
	begin_with rest http-01 "\"$lane.example\""
	within 50 asked 1
	sleep 1.2
	p=$(children "$1")
	ok "it is on its way" in_force 0
	# shellcheck disable=SC2086
	kill -9 ${p%%$'\n'*}
	case $1 in
	fetch)	ok "it is known" within 50 logged 'fetch died in the middle of it' ;;
	esac
	ok "had all the same" within 900 in_force 1
	roots rest
	ok "shown" within 30 shake -servername "$lane.example" -verify_hostname "$lane.example"
	ok "listed" is_listed failed 0
	ok "nobody else died" times 1 ' died pid='
}

run() { # run THEME, in a process and a folder of its own
	top=$t lane=$1 t=$t/$1 label="acme: $1: " pid=
	log=$t/log
	mkdir "$t"
	chmod 755 "$t"
	servers=()
	trap 'stop; [ ${#servers[@]} -eq 0 ] || kill "${servers[@]}" 2>/dev/null
	    [ -z "${KEEP-}" ] || cp "$log" "$KEEP/$lane.log"' EXIT
	trap 'exit 1' INT TERM
	case $1 in
	issue|alpn|short|down) "theme_$1" ;;
	*) theme_death "$1" ;;
	esac
	exit $rc
}

nameserver -dns01 "127.0.0.1:$dns" -http01 "" -tlsalpn01 ""
fresh "ca_port[down]"
fresh "ca_admin[down]"
ca issue 7776000
ca short 45
ca rest 7776000
for p in issue short rest; do
	ok "acme: CA $p" within 100 answers "${ca_port[$p]}"
done
ok "acme: nameserver" within 100 answers "$manage"
n=10
for p in "${themes[@]}"; do
	here=127.0.0.$((n += 1))
	for name in a b c s d fetch dbd keyd worker; do
		case $p:$name in
		issue:[ab]|alpn:c|short:s|down:d|"$name:$name") name_at $name.example "$here" ;;
		esac
	done
	run "$p" >"$t/$p.out" 2>&1 &
	lanes+=($!)
done
for p in "${!themes[@]}"; do
	wait "${lanes[$p]}" || rc=1
	cat "$t/${themes[$p]}.out"
done
lanes=()
ok "acme: nonces were rejected" grep -q 'Anti-replay nonce\|anti-replay nonce\|badNonce\|reject' "$t/ca-issue.log"
ok "acme: validations took their time" grep -q 'Sleeping for .* before validating' "$t/ca-issue.log"
exit $rc
