# Let's Encrypt's test server and its nameserver.  Sourced behind lib.sh by
# what has begun; gives: pebble, their folder; servers, the pids of what runs.
# Its own certificate, for localhost, must be in $t/pebble.pem and .key.

pebble=$(sh regress/lab/pebble) || { echo "skipped: pebble cannot be built"; exit 0; }
servers=()
cas=$t
declare -A ca_port ca_admin ca_pid	# by the name of a CA
taken=

fresh() { # fresh VARIABLE: a spare port that was not given out before
	local p
	until p=$(spare) && [[ " $taken " != *" $p "* ]]; do :; done
	taken+=" $p"
	printf -v "$1" %s "$p"
}
fresh http; fresh tls			# where a CA looks for challenges
fresh dns; fresh manage			# of the nameserver

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
# nameserver [ARGUMENT ...]: all names are at 127.0.0.1, until told otherwise
nameserver() {
	"$pebble/pebble-challtestsrv" -defaultIPv6 "" -defaultIPv4 127.0.0.1 \
	    -doh "" -https01 "" -management "127.0.0.1:$manage" "$@" \
	    >"$cas/challtest.log" 2>&1 &
	servers+=($!)
}
name_at() { # name_at NAME ADDRESS
	curl -sf -d "{\"host\":\"$1\",\"addresses\":[\"$2\"]}" \
	    "http://127.0.0.1:$manage/add-a"
}
# ca NAME SECONDS: a CA whose certificates live so long, which rejects half of
# all nonces and takes up to 3 s for each validation.  It keeps its ports.
ca() {
	[ -n "${ca_port[$1]-}" ] || { fresh "ca_port[$1]"; fresh "ca_admin[$1]"; }
	cat >"$cas/$1.json" <<-JSON
	{ "pebble": { "listenAddress": "127.0.0.1:${ca_port[$1]}",
	  "managementListenAddress": "127.0.0.1:${ca_admin[$1]}",
	  "certificate": "$cas/pebble.pem", "privateKey": "$cas/pebble.key",
	  "httpPort": $http, "tlsPort": $tls, "ocspResponderURL": "",
	  "externalAccountBindingRequired": false,
	  "domainBlocklist": ["blocked.example"],
	  "retryAfter": { "authz": 1, "order": 1 },
	  "profiles": { "default": { "description": "", "validityPeriod": $2 } } } }
	JSON
	PEBBLE_WFE_NONCEREJECT=50 PEBBLE_VA_SLEEPTIME=3 PEBBLE_AUTHZREUSE=0 \
	    "$pebble/pebble" -config "$cas/$1.json" -dnsserver "127.0.0.1:$dns" \
	    >>"$cas/ca-$1.log" 2>&1 &
	ca_pid[$1]=$!
	servers+=($!)
}
ca_end() { # ca_end NAME: all that it knew is gone
	kill "${ca_pid[$1]}" 2>/dev/null
	wait "${ca_pid[$1]}" 2>/dev/null
}
ask_ca() { curl -sf --cacert "$cas/ca.pem" "https://localhost:${ca_admin[$1]}/$2"; }
