# Shared by the scenarios.  Sourced at the top of the tree with the arguments of
# the scenario, OUT first; gives: out, the build folder; and once begun: t, a
# folder of its own; bin, where the programs are; log, pid, port of the server;
# rc.  KEEP=FOLDER keeps the log.

out=$(cd "${1:-out}" && pwd) || exit 2
t= bin=$out log= pid= port= rc=0
label=		# what comes before the name of each check
nodes=()	# the pids of those that joined

begin() { # begin: $t is there until the end
	umask 022
	t=$(mktemp -d "${TMPDIR:-/tmp}/hs-scenario.XXXXXX") || exit 2
	chmod 755 "$t"
	log=$t/log
	trap finish EXIT
	trap 'exit 1' INT TERM
}
undo() { :; }	# what a scenario has to undo before its server stops
finish() {
	local n
	for n in "${nodes[@]}"; do kill "$n" 2>/dev/null; done
	undo
	stop
	[ -z "${KEEP-}" ] || cp "$t"/*log "$log" "$KEEP" 2>/dev/null
	rm -rf "$t"
}
programs() { # programs [FILE ...]: a copy of them for $bin, with these
	bin=$t/bin
	mkdir "$bin"
	cp "$out"/headscaled "$out"/headscaled-worker "$out"/headscaled-keyd \
	    "$out"/headscaled-dbd "$out"/headscaled-policyc \
	    "$out"/headscaled-stun "$out"/headscaled-fetch \
	    "$out"/headscalectl "$@" "$bin" || exit 2
	chmod 755 "$bin"/*
}
config() { # config STATE-FOLDER [LINE ...]: $t/conf, of 2 workers if no other
	mkdir -p "$1" "$t/empty"
	chmod 555 "$t/empty"
	port=$(spare)
	cat >"$t/conf" <<-CONF
	server_url = "http://127.0.0.1:$port"
	state_dir = "$1"
	run_dir = "$t"
	control_socket = "$t/s"
	pid_file = "$t/pid"
	chroot = "$t/empty"
	libexec_dir = "$bin"
	workers = ${workers:-2}
	listen "main" {
	    address = "127.0.0.1"
	    port = $port
	}
	CONF
	shift
	[ $# -eq 0 ] || printf '%s\n' "$@" >>"$t/conf"
}
spare() { # a port that nobody listens on
	local p
	for _ in 1 2 3 4 5 6 7 8 9; do
		p=$((20000 + RANDOM % 12000))
		(exec 3<>/dev/tcp/127.0.0.1/$p) 2>/dev/null || { echo $p; return; }
	done
}

ok() { # ok TEXT COMMAND ...
	local text=$1
	shift
	if "$@" >"$t/said" 2>&1; then
		echo "ok $label$text"
	else
		echo "FAIL $label$text"
		tail -5 "$t/said" | sed 's/^/      /'
		tail -12 "$log" 2>/dev/null | sed 's/^/      log: /'
		rc=1
	fi
}
within() { # within TENTHS COMMAND ...: retry until it succeeds
	local n=$1
	shift
	until "$@" >/dev/null 2>&1; do
		n=$((n - 1))
		[ $n -gt 0 ] || { "$@"; return; }
		sleep 0.1
	done
}
not() { ! "$@"; }
logged() { grep -qF -- "$1" "$log"; }
# One that has ended may wait for an init that takes its time.
alive() { grep -qs '^State:[[:space:]]*[^ZX[:space:]]' "/proc/$1/status"; }

ctl() { "$bin/headscalectl" -s "$t/s" "$@"; }
get() { # get PORT PATH
	exec 5<>"/dev/tcp/127.0.0.1/$1" || return 1
	printf 'GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n' "$2" >&5
	timeout 3 cat <&5
	exec 5>&-
}
serve() { # serve: the server runs, and answers
	local n
	"$bin/headscaled" -d -f "$t/conf" >>"$log" 2>&1 </dev/null &
	pid=$!
	for n in $(seq 200); do
		ctl status && return
		kill -0 $pid 2>/dev/null || return 1
		sleep 0.1
	done
	return 1
}
stop() {
	[ -n "$pid" ] || return 0
	kill -TERM "$pid" 2>/dev/null
	within 100 not alive "$pid" || kill -9 "$pid" 2>/dev/null
	wait "$pid" 2>/dev/null
	pid=
}
children() { # children ROLE: their pids
	ps --ppid "$pid" -o pid=,args= |
	    awk -v n="headscaled-$1:" '$2 == n { print $1 }'
}

# A user, a reusable key, the server's key: what joiner.c asks for.
tailnet() {
	ctl users add ann >/dev/null
	key=$(ctl keys create --user ann --reusable --expires 1h | tail -1)
	server=$(get "$port" '/key?v=131' |
	    grep -o 'publicKey":"mkey:[0-9a-f]*' | cut -d: -f3)
}
join() { # join NAME [NODEKEY]: a node that says in $t/NAME.out what it is told
	"$out/b/joiner" "$port" "$server" "$key" "$@" >"$t/$1.out" 2>&1 &
	nodes+=($!)
}
heard() { grep -q "^$2" "$t/$1.out"; }	# heard NAME REGEX

# Certificates: a CA in $t/ca.pem, and what it signs.
authority() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 \
	    -nodes -days 5 -subj "/CN=test CA" -keyout "$t/ca.key" \
	    -out "$t/ca.pem" 2>/dev/null
}
# certify NAME NEWKEY-ALGORITHM NAMES [DAYS]: $t/NAME.pem and $t/NAME.key
certify() {
	printf 'subjectAltName=%s\n' "$3" >"$t/san"
	# shellcheck disable=SC2086
	openssl req -newkey $2 -nodes -subj "/CN=$1" -keyout "$t/$1.key" \
	    -out "$t/csr" 2>/dev/null &&
	openssl x509 -req -in "$t/csr" -CA "$t/ca.pem" -CAkey "$t/ca.key" \
	    -CAcreateserial -days "${4-5}" -extfile "$t/san" -out "$t/$1.pem" \
	    2>/dev/null && chmod 600 "$t/$1.key"
}
pss() { # pss ROLE: KB of these processes
	local p
	for p in $(children "$1"); do cat "/proc/$p/smaps_rollup"; done |
	    awk '/^Pss:/ { n += $2 } END { print n + 0 }'
}
