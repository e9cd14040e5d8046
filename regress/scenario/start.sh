#!/bin/bash
# The daemon as an administrator meets it: check, start, second start, killed
# children, reload, files that change, stop, death of master.  As root it runs
# a second time without.  One "ok" or "FAIL" line a check.
#
#	start.sh OUT
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
. regress/scenario/lib.sh
begin
programs

says() { # says RC TEXT COMMAND ...: exits so and prints that
	local want=$1 text=$2 said got
	shift 2
	said=$("$@" 2>&1)
	got=$?
	case $said in
	*"$text"*) [ $got -eq "$want" ] && return 0 ;;
	esac
	echo "exit $got, said: $said"
	return 1
}
counted() { # counted ROLE NAME: it is not 0
	as "$bin/headscalectl" -s "$dir/headscaled.sock" status -v |
	    grep -Eq "^$1 .* $2 +[1-9]"
}
as() {
	if [ "$mode" = root ] || [ "$(id -u)" != 0 ]; then
		"$@"
	else
		setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
	fi
}
mark() { : >"$dir/log"; }
all_alive() {
	local p
	for p; do
		alive "$p" || return 1
	done
}
none_alive() {
	local p
	for p; do
		! alive "$p" || return 1
	done
}
healthy() { get "$1" /health 2>/dev/null | grep -q '"pass"'; }
key() { get "$1" '/key?v=113' | grep -o 'publicKey":"mkey:[0-9a-f]*'; }
child() { children "$1" | head -1; }
renewed() { # renewed ROLE OLDPID
	local p
	p=$(child "$1")
	[ -n "$p" ] && [ "$p" != "$2" ]
}
settled_worker() { # settled_worker OLDPID: all are ready, one is new
	renewed worker "$1" && [ "$(as "$bin/headscalectl" -s "$dir/headscaled.sock" status |
	    grep -c '^worker .* ready ')" = 2 ]
}
ready() { # ready ROLE: it is, by the server's own account
	as "$bin/headscalectl" -s "$dir/headscaled.sock" status | grep -q "^$1 .* ready "
}
running() { # running ROLE: that, and its title says so
	ready "$1" && ps --ppid "$pid" -o args= | grep -q "^headscaled-[a-z]*: $1\$"
}
shows() { # shows NAME: whose certificate the second address shows
	openssl s_client -connect "127.0.0.1:$port2" </dev/null 2>/dev/null |
	    openssl x509 -noout -subject | grep -q "CN = $1"
}
settled() { # settled: the pid file names a living process that serves
	pid=$(cat "$dir/headscaled.pid" 2>/dev/null)
	[ -n "$pid" ] && alive "$pid" && healthy "$port"
}
conf() { # conf [LINES ...]: a configuration, in its own folder
	{
		echo "server_url = \"http://127.0.0.1:$port\""
		echo 'run_dir = "." state_dir = "state" chroot = "empty"'
		echo 'workers = 2'
		echo "listen \"one\" { address = \"127.0.0.1\" port = $port }"
		printf '%s\n' "$@"
	} >"$dir/conf.new"
	chmod 644 "$dir/conf.new"
	mv "$dir/conf.new" "$dir/conf"
}
start() {
	as "$bin/headscaled" -d -f "$dir/conf" >/dev/null 2>>"$dir/log" &
	within 50 settled
}
stop_ms() { # how long a stop takes, in milliseconds
	local t0 t1
	t0=$(date +%s%N)
	kill -TERM "$pid"
	while alive "$pid"; do sleep 0.01; done
	t1=$(date +%s%N)
	echo $(((t1 - t0) / 1000000))
}
in_haste() { # what the file says last is in force last
	local k
	for k in 1 2 3 4 5; do
		kill -HUP "$pid"
		sleep 0.03
		conf "listen \"two\" { address = \"127.0.0.1\" port = $port2 }" "derp { map_file = \"map\" }"
		kill -HUP "$pid"
		within 50 healthy "$port2" || return 1
		kill -HUP "$pid"
		sleep 0.03
		conf "derp { map_file = \"map\" }"
		kill -HUP "$pid"
		within 50 not healthy "$port2" || return 1
	done
	within 50 as "$bin/headscalectl" -s "$dir/headscaled.sock" reload
}
stopped_in_time() {
	local ms
	ms=$(stop_ms)
	echo "$ms ms"
	[ "$ms" -le 2000 ]
}
map() { # map HOST: a DERP map
	printf '{"Regions":{"900":{"RegionID":900,"RegionCode":"t","RegionName":"T","Nodes":[{"Name":"900a","RegionID":900,"HostName":"%s"}]}}}\n' "$1"
}

suite() {
	local old old_key p others
	mode=$1 label="$1: "
	dir=$(mktemp -d "$t/XXXXXX") || exit 2
	log=$dir/log
	chmod 755 "$dir"
	port=$(spare) port2=$(spare)
	: >"$dir/log"
	[ "$mode" = root ] || [ "$(id -u)" != 0 ] || chown -R 65534:65534 "$dir"

	# -n
	conf
	ok "-n: a good configuration" says 0 "configuration OK" as "$bin/headscaled" -n -f "$dir/conf"
	conf 'workers = 3'
	ok "-n: a bad one, with file and line" says 1 \
	    "$dir/conf:5: workers is given twice, first in line 3" as "$bin/headscaled" -n -f "$dir/conf"
	ok "a bad one does not start" says 1 "$dir/conf:5: " as "$bin/headscaled" -f "$dir/conf"
	map relay.example >"$dir/map"
	conf "derp { map_file = \"map\" }"
	ok "-n: a good DERP map" says 0 "configuration OK" as "$bin/headscaled" -n -f "$dir/conf"
	echo '{"Regions":' >"$dir/map"
	ok "-n: a bad DERP map, judged by a sandboxed worker" says 1 "$dir/map:" as "$bin/headscaled" -n -f "$dir/conf"
	conf "dns { extra_records_file = \"records\" }"
	echo '[{"name":"a b","type":"A","value":"1.2.3.4"}]' >"$dir/records"
	ok "-n: bad extra records" says 1 "$dir/records:1: " as "$bin/headscaled" -n -f "$dir/conf"
	rm "$dir/records"
	ok "-n: no file of extra records" says 1 "$dir/conf:5: $dir/records: No such file" as "$bin/headscaled" -n -f "$dir/conf"
	conf
	chmod 666 "$dir/conf"
	ok "a configuration that others can write" says 1 "not safe" as "$bin/headscaled" -n -f "$dir/conf"
	conf 'log { level = $level }'
	ok "-D name=value" says 0 "configuration OK" as "$bin/headscaled" -n -D level=debug -f "$dir/conf"
	ok "-D: undefined" says 1 'macro $level is not defined' as "$bin/headscaled" -n -f "$dir/conf"
	ok "-V" says 0 "headscaled " as "$bin/headscaled" -V
	ok "usage" says 2 "usage: headscaled" as "$bin/headscaled" -x
	ok "a child by hand" says 2 "is started by headscaled(8) alone" as "$bin/headscaled-keyd" 3</dev/null
	for p in a b; do
		openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 \
		    -keyout "$dir/$p.key" -out "$dir/$p.pem" -subj "/CN=$p.example" 2>/dev/null
		chmod 600 "$dir/$p.key"
		[ "$mode" = root ] || [ "$(id -u)" != 0 ] || chown 65534:65534 "$dir/$p".*
	done
	conf 'tls { keypair "a" { certificate = "a.pem" key = "a.key" } }' "listen \"tls\" { address = \"127.0.0.1\" port = $port2 tls = true }"
	ok "-n: a certificate and its key" says 0 "configuration OK" as "$bin/headscaled" -n -f "$dir/conf"
	ok "-n leaves nothing behind" [ ! -e "$dir/state" ]
	conf 'tls { keypair "a" { certificate = "a.pem"' 'key = "b.key" } }' "listen \"tls\" { address = \"127.0.0.1\" port = $port2 tls = true }"
	ok "-n: another's key, with both names" says 1 "$dir/a.pem and $dir/b.key:" as "$bin/headscaled" -n -f "$dir/conf"
	ok "nor does it start" says 1 "$dir/a.pem and $dir/b.key:" as "$bin/headscaled" -d -f "$dir/conf"
	cat "$dir/a.pem" "$dir/a.key" >"$dir/both"
	conf 'tls { keypair "a" { certificate = "both"' 'key = "a.key" } }' "listen \"tls\" { address = \"127.0.0.1\" port = $port2 tls = true }"
	ok "-n: a certificate's file with a key in it" says 1 "$dir/conf:5: $dir/both: holds a private key" as "$bin/headscaled" -n -f "$dir/conf"
	chmod 640 "$dir/a.key"
	conf 'tls { keypair "a" { certificate = "a.pem"' 'key = "a.key" } }'
	ok "-n: a key that others can read" says 1 "$dir/conf:6: $dir/a.key: not safe: a secret must have mode 0600" as "$bin/headscaled" -n -f "$dir/conf"
	chmod 600 "$dir/a.key"
	conf "listen \"tls\" { address = \"127.0.0.1\" port = $port2 tls = true }"
	ok "-n: TLS without a certificate" says 1 "$dir/conf:5: tls wants a keypair in section tls" as "$bin/headscaled" -n -f "$dir/conf"
	conf 'derp { server { enabled = true } }'
	ok "-n: a relay without TLS" says 1 "$dir/conf:5: the relay wants a listener that speaks TLS" as "$bin/headscaled" -n -f "$dir/conf"
	conf 'derp { server { enabled = true plain = true private_key_file = "a.key" } }'
	ok "-n: a relay key that is none" says 1 "$dir/a.key: not a key file" as "$bin/headscaled" -n -f "$dir/conf"
	conf "noise_key_file = \"$dir/a.key\""
	ok "-n: a Noise key that is none" says 1 "$dir/a.key: not a key file" as "$bin/headscaled" -n -f "$dir/conf"
	for p in pid_file control_socket noise_key_file; do
		conf "$p = \"$dir/nowhere/x\""
		ok "-n: $p in a folder that is not there" says 1 "$dir/nowhere: No such file" \
		    as "$bin/headscaled" -n -f "$dir/conf"
	done
	conf 'derp { urls = { "https://127.0.0.1:1/map" } }'
	ok "-n: the URL of a DERP map" says 0 "configuration OK" as "$bin/headscaled" -n -f "$dir/conf"
	ok "-n leaves nothing in /tmp" [ -z "$(find /tmp -maxdepth 1 -name 'headscaled.*' -newer "$dir/conf")" ]
	conf 'derp { urls = { "https://127.0.0.1:1/map" } }' 'fetch { ca_file = "conf" }'
	ok "-n: a CA bundle that is none, judged by a sandboxed process" says 1 "CA certificates: there are none" \
	    as "$bin/headscaled" -n -f "$dir/conf"
	conf 'fetch { ca_file = "nowhere" }' 'derp { urls = { "https://127.0.0.1:1/map" } }'
	ok "-n: no CA bundle" says 1 "$dir/conf:5: $dir/nowhere: No such file" as "$bin/headscaled" -n -f "$dir/conf"
	conf 'acme { directory = "https://127.0.0.1:1/d" names = { "a.example" } }'
	ok "-n: ACME, with keys that are made and thrown away" says 0 "configuration OK" as "$bin/headscaled" -n -f "$dir/conf"
	ok "-n says where the CA asks" says 0 "the CA asks on port 80" as "$bin/headscaled" -n -f "$dir/conf"
	ok "-n made no key" [ ! -e "$dir/state/acme.key" ]
	conf 'libexec_dir = "/usr/share"'
	ok "programs that are missing" says 1 "/usr/share/headscaled-keyd: No such file" as "$bin/headscaled" -d -f "$dir/conf"
	[ "$mode" != root ] || {
		conf 'users { dbd = "_hsnobody" }'
		ok "a user that is missing" says 1 "there is no user _hsnobody" "$bin/headscaled" -d -f "$dir/conf"
	}

	# start
	conf
	ok "start" start
	ok "it says so" logged "ready: 2 workers, listening on 127.0.0.1:$port"
	[ "$mode" = root ] || ok "without root it says what is weaker" logged "no root: one uid"
	p=$(stat -c %a "$dir/headscaled.sock")
	if [ "$mode" = root ]; then
		ok "control socket 0660 root:_headscaled" [ "$(stat -c %a:%U:%G "$dir/headscaled.sock")" = 660:root:_headscaled ]
		ok "dbd's folder is its own" [ "$(stat -c %a:%U "$dir/state/db")" = 700:_hsdbd ]
		for p in worker keyd dbd; do
			ok "$p runs as _hs$p" [ "$(stat -c %U "/proc/$(child $p)/task" 2>/dev/null)" != x -a \
			    "$(ps -o uid= -p "$(child $p)" | tr -d ' ')" = "$(id -u _hs$p)" ]
		done
		ok "worker is in the empty folder" [ "$(readlink "/proc/$(child worker)/root")" = "$dir/empty" ]
		ok "keyd holds nothing but its links" \
		    [ "$(ls -l "/proc/$(child keyd)/fd" | grep -cvE 'socket|null|anon_inode|pipe|^total|/log$')" = 0 ]
		ok "the environment of a child is empty" [ "$(tr '\0' '\n' <"/proc/$(child worker)/environ" | grep -c =)" = 0 ]
	else
		ok "control socket 0600" [ "$p" = 600 ]
	fi
	ok "the key file is 0600" [ "$(stat -c %a "$dir/state/noise.key")" = 600 ]
	ok "a second one: already running" says 1 "already running as pid $pid" as "$bin/headscaled" -d -f "$dir/conf"
	sed 's/run_dir = "."/run_dir = "other"/' "$dir/conf" >"$dir/conf2"
	ok "a second one on the same state" says 1 "$dir/state: another headscaled has this state_dir" \
	    as "$bin/headscaled" -d -f "$dir/conf2"
	ok "and the first one still serves" healthy "$port"
	old_key=$(key "$port")
	ok "the server has a key" [ -n "$old_key" ]

	# children die
	for p in keyd dbd worker; do
		old=$(child $p)
		others=$(ps --ppid "$pid" -o pid= | grep -vw "$old")
		kill -9 "$old"
		ok "$p is killed and comes back" within 30 renewed $p "$old"
		ok "the others live on" all_alive $others
	done
	ok "it serves" within 30 healthy "$port"
	ok "with the same key" [ "$(key "$port")" = "$old_key" ]
	for _ in 1 2 3; do
		old=$(child dbd)
		kill -9 "$old"
		within 30 renewed dbd "$old"
	done
	ok "dbd killed three times more is back" within 30 as "$bin/headscalectl" -s "$dir/headscaled.sock" status
	ok "dbd counts its commits" within 30 counted dbd batches

	# reload
	mark
	map relay.example >"$dir/map"
	chmod 644 "$dir/map"
	conf "listen \"two\" { address = \"127.0.0.1\" port = $port2 }" "derp { map_file = \"map\" }"
	old=$(child worker)
	kill -HUP "$pid"
	ok "reload: a second address" within 50 healthy "$port2"
	ok "no process was replaced" [ "$(child worker)" = "$old" ]
	ok "the first address stays" healthy "$port"
	mark
	echo '{"Regions":' >"$dir/map.bad"
	conf "derp { map_file = \"map.bad\" }"
	kill -HUP "$pid"
	ok "reload: a bad DERP map is refused" within 50 logged "reload: $dir/map.bad:"
	ok "and nothing of it is in force" healthy "$port2"
	mark
	conf 'wrokers = 2'
	kill -HUP "$pid"
	ok "reload: a bad file is refused" within 50 logged "reload: $dir/conf:5: unknown key wrokers"
	mark
	conf 'allocation = "random"' 'state_dir = "elsewhere"'
	sed -i 's/ state_dir = "state"//' "$dir/conf"
	kill -HUP "$pid"
	ok "reload: what needs a restart says so" within 50 logged "state_dir changes only with a restart"
	mark
	conf "listen \"three\" { address = \"192.0.2.1\" port = $port }"
	kill -HUP "$pid"
	ok "reload: an address that is not ours" within 50 logged "cannot listen on 192.0.2.1:$port"
	ok "it serves on both as before" healthy "$port2"
	conf "derp { map_file = \"map\" }"
	ok "reload by headscalectl" as "$bin/headscalectl" -s "$dir/headscaled.sock" reload
	ok "a signal during a reload is not forgotten" in_haste
	ok "the second address is gone" within 20 not healthy "$port2"
	ok "the first is not" healthy "$port"
	conf 'tls { keypair "a" { certificate = "a.pem" key = "a.key" } }' "listen \"tls\" { address = \"127.0.0.1\" port = $port2 tls = true }"
	ok "reload: TLS on the second address" as "$bin/headscalectl" -s "$dir/headscaled.sock" reload
	ok "with that certificate" within 20 shows a.example
	ok "no worker was replaced" [ "$(child worker)" = "$old" ]
	cp "$dir/b.pem" "$dir/new" && mv "$dir/new" "$dir/a.pem"
	cp "$dir/b.key" "$dir/new" && chmod 600 "$dir/new" && mv "$dir/new" "$dir/a.key"
	[ "$mode" = root ] || [ "$(id -u)" != 0 ] || chown 65534:65534 "$dir"/a.*
	ok "one renewed on disk waits for a reload" shows a.example
	ok "which takes it" as "$bin/headscalectl" -s "$dir/headscaled.sock" reload
	ok "and shows it" within 20 shows b.example
	cp "$dir/b.key" "$dir/kept.key"
	openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:prime256v1 >"$dir/b.key" 2>/dev/null
	cp "$dir/b.key" "$dir/new" && chmod 600 "$dir/new" && mv "$dir/new" "$dir/a.key"
	[ "$mode" = root ] || [ "$(id -u)" != 0 ] || chown 65534:65534 "$dir"/a.*
	ok "a key that does not fit is refused" says 1 "$dir/a.pem and $dir/a.key:" as "$bin/headscalectl" -s "$dir/headscaled.sock" reload
	ok "and the old pair stays" shows b.example
	for p in keyd worker; do
		others=$(child $p)
		kill -9 "$others"
		ok "also for a $p that starts now" within 50 renewed $p "$others"
		ok "which shows it" within 50 shows b.example
	done
	conf "listen \"tls\" { address = \"127.0.0.1\" port = $port2 }" "derp { map_file = \"map\" }"
	ok "reload: the same address in plain" as "$bin/headscalectl" -s "$dir/headscaled.sock" reload
	ok "is another matter" within 20 healthy "$port2"
	conf "derp { map_file = \"map\" }"
	ok "reload without it" as "$bin/headscalectl" -s "$dir/headscaled.sock" reload
	conf "derp { map_file = \"map\" "
	ok "reload by headscalectl tells the reason" says 1 "$dir/conf:5: section derp is not closed" \
	    as "$bin/headscalectl" -s "$dir/headscaled.sock" reload
	conf "derp { map_file = \"map\" }" "policy { mode = \"file\" path = \"$dir/policy\" }"
	printf '{"acls":[],\n "groups": {"g":[]}}\n' >"$dir/policy"
	chmod 644 "$dir/policy"
	ok "reload by headscalectl tells of a refused policy" says 1 "$dir/policy:2:13: group must start" \
	    as "$bin/headscalectl" -s "$dir/headscaled.sock" reload
	echo '{"acls":[]}' >"$dir/policy"
	ok "and takes one that is good" says 0 "configuration read" \
	    as "$bin/headscalectl" -s "$dir/headscaled.sock" reload
	conf "derp { map_file = \"map\" }"

	# files that change
	mark
	map other.example >"$dir/map.new"
	chmod 644 "$dir/map.new"
	mv "$dir/map.new" "$dir/map"
	ok "a changed DERP map is read" within 80 logged "$dir/map: read again"
	mark
	echo 'no map' >"$dir/map"
	ok "a bad one keeps the old one" within 80 logged "; the old one stays"
	old=$(child worker)
	kill -9 "$old"
	ok "a worker that starts now gets no bad one" within 60 renewed worker "$old"
	ok "but an older one" within 60 logged "starts with an older $dir/map"
	ok "and serves" within 60 healthy "$port"
	map other.example >"$dir/map"
	ok "a reload takes the good one again" as "$bin/headscalectl" -s "$dir/headscaled.sock" reload
	mark
	echo '{"Regions":' >"$dir/map"
	ok "one that was in force, edited in place" within 80 logged "; the old one stays"
	old=$(child worker)
	kill -9 "$old"
	ok "leaves the old one for a worker that starts now" within 60 logged "starts with an older $dir/map"
	ok "which takes it" within 60 settled_worker "$old"
	ok "and is not without" not logged "starts without"
	map other.example >"$dir/map"

	# who connects out
	conf "derp { map_file = \"map\" }"
	mark
	ok "with a DERP map there is a process that connects out" as "$bin/headscalectl" -s "$dir/headscaled.sock" reload
	ok "it runs" within 50 running out
	p=$(child fetch)
	if [ "$mode" = root ]; then
		ok "as _hsout" [ "$(ps -o uid= -p "$p" | tr -d ' ')" = "$(id -u _hsout)" ]
		ok "in its folder" [ "$(readlink "/proc/$p/root")" = "$dir/fetch" ]
		ok "which is root's" [ "$(stat -c %a:%U "$dir/fetch")" = 755:root ]
	fi
	ok "with a copy of the system's hosts" cmp -s /etc/hosts "$dir/fetch/etc/hosts"
	ok "and of resolv.conf" cmp -s /etc/resolv.conf "$dir/fetch/etc/resolv.conf"
	kill -9 "$p"
	ok "killed, it comes back" within 30 renewed fetch "$p"
	ok "and runs" within 50 running out
	cp "$dir/b.pem" "$dir/ca.pem"
	chmod 644 "$dir/ca.pem"
	p=$(child fetch)
	conf "derp { map_file = \"map\" }" 'fetch { ca_file = "ca.pem" }'
	ok "reload: other certificates" as "$bin/headscalectl" -s "$dir/headscaled.sock" reload
	ok "are there" cmp -s "$dir/ca.pem" "$dir/fetch/etc/ssl/cert.pem"
	ok "and for all to read" [ "$(stat -c %a "$dir/fetch/etc/ssl/cert.pem")" = 644 ]
	ok "for the same process" [ "$(child fetch)" = "$p" ]
	cp "$dir/conf" "$dir/ca.new" && mv "$dir/ca.new" "$dir/ca.pem"
	ok "certificates that are none are refused" says 1 "CA certificates: there are none" \
	    as "$bin/headscalectl" -s "$dir/headscaled.sock" reload
	ok "and the old ones stay" cmp -s "$dir/b.pem" "$dir/fetch/etc/ssl/cert.pem"
	kill -9 "$p"
	ok "also for one that starts now" within 50 renewed fetch "$p"
	ok "which runs" within 50 running out
	p=$(child fetch)
	conf
	ok "reload without a map" as "$bin/headscalectl" -s "$dir/headscaled.sock" reload
	ok "ends it" within 20 not alive "$p"
	ok "for good" not running out
	conf 'acme { names = { "a.example" } }'
	ok "ACME wants a restart" says 1 "acme|names changes only with a restart" \
	    as "$bin/headscalectl" -s "$dir/headscaled.sock" reload
	conf "derp { map_file = \"map\" }"
	ok "reload with the map again" as "$bin/headscalectl" -s "$dir/headscaled.sock" reload
	ok "starts it again" within 50 running out

	# stop
	others=$(ps --ppid "$pid" -o pid=)
	ok "stop within 2 s" stopped_in_time
	ok "no child is left" within 10 none_alive $others
	ok "pid file and socket are gone" [ ! -e "$dir/headscaled.pid" -a ! -e "$dir/headscaled.sock" ]
	ok "nobody listens" not healthy "$port"

	# ACME
	conf 'acme { directory = "https://127.0.0.1:1/d" names = { "a.example" } }' \
	    "listen \"tls\" { address = \"127.0.0.1\" port = $port2 tls = true }"
	ok "start with ACME" start
	ok "its process runs" within 50 running out
	for p in acme acme-account; do
		ok "$p.key was made" [ "$(stat -c %a "$dir/state/$p.key")" = 600 ]
		ok "a P-256 key" sh -c "openssl pkey -in '$dir/state/$p.key' -noout -text | grep -q prime256v1"
	done
	cp -p "$dir/state/acme.key" "$dir/acme.kept"
	ok "stop within 2 s" stopped_in_time
	ok "start again" start
	ok "with the same keys" cmp -s "$dir/acme.kept" "$dir/state/acme.key"
	rm "$dir/state/acme.key"
	p=$(child keyd)
	kill -9 "$p"
	ok "a key that got lost is not made anew" within 50 logged "ACME certificate key: "
	cp -p "$dir/acme.kept" "$dir/state/acme.key"
	ok "keyd is back with the old one" within 80 ready keyd
	ok "stop within 2 s" stopped_in_time
	chmod 640 "$dir/state/acme.key"
	ok "a key that others can read is refused" says 1 "$dir/state/acme.key: not safe: a secret must have mode 0600" \
	    as "$bin/headscaled" -d -f "$dir/conf"
	chmod 600 "$dir/state/acme.key"
	conf "derp { map_file = \"map\" }"

	# death of master
	mark
	ok "start again" start
	ok "with the same key" [ "$(key "$port")" = "$old_key" ]
	others=$(ps --ppid "$pid" -o pid=)
	kill -9 "$pid"
	ok "master killed: its children end" within 20 none_alive $others
	ok "start after that: old pid file and socket do not matter" start
	kill -9 "$pid"
	ok "start at once after that" start
	kill -STOP "$(child worker)"
	ok "a stopped worker does not hold up the end" stopped_in_time

	# the key file
	chmod 644 "$dir/state/noise.key"
	ok "a key that others can read is refused" says 1 "a secret must have mode 0600" as "$bin/headscaled" -d -f "$dir/conf"
	chmod 600 "$dir/state/noise.key"
	cp -p "$dir/state/noise.key" "$dir/key.kept"
	echo 'privkey:zz' >"$dir/state/noise.key"
	ok "a malformed key is refused" says 1 "keyd does not start" as "$bin/headscaled" -d -f "$dir/conf"
	ok "and not overwritten" [ "$(cat "$dir/state/noise.key")" = "privkey:zz" ]
	cp -p "$dir/key.kept" "$dir/state/noise.key"

	# in the background
	if [ -S /dev/log ]; then
		ok "without -d it returns when it serves" as "$bin/headscaled" -f "$dir/conf"
		ok "and does" healthy "$port"
		pid=$(cat "$dir/headscaled.pid")
		ok "a second one fails where it was typed" says 1 "already running" as "$bin/headscaled" -f "$dir/conf"
		ok "stop within 2 s" stopped_in_time
	else
		conf 'log { target = "stderr" }'
		as "$bin/headscaled" -f "$dir/conf" 2>>"$dir/log"
		ok "without -d it returns when it serves" healthy "$port"
		pid=$(cat "$dir/headscaled.pid")
		ok "a second one fails where it was typed" says 1 "already running" as "$bin/headscaled" -f "$dir/conf"
		ok "stop within 2 s" stopped_in_time
	fi
	pid=
	rm -rf "$dir"
}

[ "$(id -u)" != 0 ] || suite root
suite "no root"
exit $rc
