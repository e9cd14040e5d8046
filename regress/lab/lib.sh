# Shared by the programs of the lab: counting checks, looking at clients.
# The caller has set: here (this folder), hosts, url, key.

passed=0 failed=0

check() { # check TEXT COMMAND ...
	local text=$1 said
	shift
	if said=$("$@" 2>&1); then
		echo "ok    $text"
		passed=$((passed + 1))
	else
		echo "FAIL  $text"
		echo "$said" | tail -5 | sed 's/^/      /'
		failed=$((failed + 1))
	fi
}

within() { # within SECONDS COMMAND ...: retry until it succeeds
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.2
	done
}

state() { "$hosts" ts "$1" status --json 2>/dev/null; }
running() { [ "$(state "$1" | jq -r .BackendState)" = Running ]; }
peers() { [ "$(state "$1" | jq '[.Peer[]? | select(.Online)] | length')" -ge "$2" ]; }
unseen() { [ "$(state "$1" | jq --arg n "$2" '[.Peer[]? | select(.HostName == $n and .Online)] | length')" -eq 0 ]; }
addr() { "$hosts" ts "$1" ip "-$2"; }
disco() { "$hosts" ts "$1" ping --c 3 --timeout 5s --until-direct=false "$(addr "$2" 4)"; }
icmp() { "$hosts" exec "$1" ping -n -c 2 -W 5 "$(addr "$2" "$3")"; }
resolves() { [ "$("$hosts" exec "$1" getent ahostsv4 "h$2" | awk 'NR==1{print $1}')" = "$(addr "$2" 4)" ]; }
fetch() {
	local dir
	dir=$(mktemp -d)
	head -c 1048576 /dev/urandom >"$dir/blob"
	(cd "$dir" && exec "$hosts" exec "$2" python3 -c '
import http.server, socketserver, sys
socketserver.TCPServer.allow_reuse_address = True
socketserver.TCPServer((sys.argv[1], 8000), http.server.SimpleHTTPRequestHandler).serve_forever()
' "$(addr "$2" 4)") >/dev/null 2>&1 &
	local pid=$!
	"$hosts" exec "$1" curl -sS -m 20 --retry 20 --retry-delay 1 --retry-connrefused \
	    "http://$(addr "$2" 4):8000/blob" | cmp - "$dir/blob"
	local rc=$?
	kill $pid
	rm -rf "$dir"
	return $rc
}
up() { # up K KEY [ARG ...]: host K joins
	local k=$1 a=$2
	shift 2
	"$hosts" join "$k" --login-server="$url" --auth-key="$a" --reset "$@"
}
join() { up "$1" "$key"; }

# More for the scenarios.
self() { state "$1" | jq -r ".Self.$2"; }
peer() { # peer K HOSTNAME FIELD: of the online or offline peer of that name
	state "$1" | jq -r --arg n "$2" "[.Peer[]? | select(.HostName == \$n)][0].$3"
}
known() { # known K HOSTNAME: how many peers have that name
	state "$1" | jq --arg n "$2" '[.Peer[]? | select(.HostName == $n)] | length'
}
is() { # is WANTED COMMAND ...: prints exactly that
	local want=$1
	shift
	[ "$("$@")" = "$want" ]
}
