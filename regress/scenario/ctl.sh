#!/bin/bash
# headscalectl against a live server:
#
#	ctl.sh OUT [SOCKET]
#
# OUT is the build folder.  Without SOCKET a server is started in a folder of
# its own, with nodes written into its store, and stopped in the end.  With
# SOCKET only what adds and takes away its own things is done, against the
# server that listens there.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
. regress/scenario/lib.sh
socket=${2-}
ctl=$out/headscalectl
unset COLUMNS NO_COLOR HEADSCALED_SOCKET
begin
dir=$t nodes_seeded=2000 failed=0

# call ARG ...: runs it without a terminal; what came of it is in $rc, out, err
call() {
	"$ctl" -s "$socket" "$@" >"$dir/out" 2>"$dir/err" </dev/null
	rc=$?
}
# Judges of the last call.
has() { grep -qF -- "$1" "$dir/out"; }
says() { grep -qF -- "$1" "$dir/err"; }
line() { grep -q -- "$1" "$dir/out"; }
quiet() { [ ! -s "$dir/err" ]; }
lines() { [ "$(grep -c -- "$1" "$dir/out")" -eq "$2" ]; }
# want NAME STATUS JUDGE ...: each judge is a command line
want() {
	local name=$1 status=$2 judge
	shift 2
	for judge in "[ $rc -eq $status ]" "$@"; do
		eval "$judge" && continue
		echo "FAIL $name"
		echo "      not so: $judge"
		head -20 "$dir/out" | sed 's/^/      out: /'
		head -20 "$dir/err" | sed 's/^/      err: /'
		failed=1
		return
	done
	echo "ok $name"
}

start() {
	serve >/dev/null 2>&1 && return
	echo "FAIL the server starts"
	sed 's/^/      /' "$log"
	exit 1
}
own_server() {
	config "$t/run" 'derp { server { enabled = true plain = true stun_listen = "none" } }'
	socket=$t/s
	start
	stop
	"$out/b/seed" "$(find "$t/run" -name headscaled.db)" $nodes_seeded ||
	    exit 1
	start
}

no_server() {
	local keep=$socket
	socket=$dir/none
	call status
	want "no socket" 1 'says "no such socket: does headscaled run?"'
	HEADSCALED_SOCKET=$dir/elsewhere "$ctl" status >"$dir/out" \
	    2>"$dir/err" </dev/null
	rc=$?
	want "HEADSCALED_SOCKET is used" 1 'says "$dir/elsewhere"'
	call version
	want "version" 0 'has "headscalectl "' quiet
	call help
	want "help" 0 'has "nodes delete NODE"' quiet
	call nodse list
	want "a wrong word" 2 'says "did you mean nodes?"' '[ ! -s "$dir/out" ]'
	call nodes expire x tomorrow
	want "a wrong value" 2 'says "is no time"'
	call nodes expire x 0
	want "now or never?" 2 'says "say \"now\" or \"never\""'
	socket=$keep
}

users_and_keys() {
	local u=ctl-$$ key id
	call users add "$u" --display "C T L"
	want "users add" 0 'has "user $u added, id "' quiet
	call users add "$u"
	want "users add: not twice" 1 'says "users add: "'
	call users list
	want "users list" 0 'has "$u"' 'has "C T L"' quiet
	call -j users list
	want "users list -j" 0 'has "\"name\": \"$u\""' 'has "\"nodes\": 0"'

	call keys create -u "$u"
	want "keys create prints the key alone" 0 quiet 'lines "" 1' \
	    'line "^hskey-[a-z0-9-]*-[0-9a-f]\{64\}$"' '! has "--TL"'
	key=$(cat "$dir/out")
	call -j keys create -u "$u" --reusable --ephemeral -e never
	want "keys create -j" 0 'has "\"expires\": null"' 'has "\"key\": \"hskey-"'
	id=$(sed -n 's/.*"id": \([0-9]*\).*/\1/p' "$dir/out")
	call keys create -t a,tag:b -e 2h
	want "keys create for tags" 0 'line "^hskey-"'
	call -y keys delete "$(cat "$dir/out")"
	want "keys delete by the whole text" 0 quiet
	call keys list
	want "keys list" 0 'has reusable,ephemeral' 'line " $u "' \
	    '! has "${key##*-}"'
	call keys expire "$id"
	want "keys expire: nobody to ask, it is done" 0 quiet
	call -y keys expire "$id"
	want "keys expire" 0 quiet
	call keys list
	want "keys list: it is of no use now" 0 \
	    'line "^ *$id .*\(revoked\|expired\)"'
	call -y keys delete "$id"
	want "keys delete by id" 0 quiet
	call -y keys delete "$id"
	want "keys delete: not twice" 1 'says "no such key"'
	call keys create -u "nobody-$$"
	want "keys create: no such user" 1 'says "no such user"'

	call users rename "$u" "$u-b"
	want "users rename" 0 quiet
	call users delete "$u-b"
	want "users delete asks" 1 'says "nobody to ask"'
	call -y users delete "$u-"
	want "users delete -y: only a whole name" 1 'says "if $u-b is meant"'
	call -y users delete "$u-b"
	want "users delete" 0 'has "user $u-b deleted"'
	call keys list
	want "its keys went with it" 0 '! has "$u"'
	names_in_case "Zed-$$" "zed-$$"
}

names_in_case() { # NAME LIKE-IT: which differ in case alone
	local who=$1 like=$2 id
	call users add "$who"
	want "users add ${who%-*}" 0 quiet
	call users add "$like"
	want "users add ${like%-*}: one like it is there" 1 \
	    'says "but for upper and lower case"'
	call users add id:7
	want "users add: called like an id" 1 'says "does not begin so"'
	call -y users delete "$like"
	want "users delete -y: only an exact name" 1 'says "if $who is meant"'
	call users rename "$like" "$like-b"
	want "users rename: the only one like it" 0 'has "user $who renamed"'
	call -j users list
	id=$(tr -d '\n' <"$dir/out" |
	    grep -o "\"id\": [0-9]*, *\"name\": \"$like-b\"" |
	    sed 's/"id": \([0-9]*\).*/\1/')
	call -y users delete id:9999999
	want "users delete: an id that nobody has" 1 'says "no such user"'
	call -y users delete "id:$id"
	want "users delete: by its id" 0 'has "user $like-b deleted"'
}

the_server() {
	call status
	want "status" 0 'has master' 'has keyd' 'has dbd' \
	    'line "^worker  *1 .* ready"' 'has "policy allow-all"'
	call -j status
	want "status -j" 0 'has "\"processes\": ["' \
	    'has "\"role\": \"worker\""' 'has "\"seq\": "'
	call log verbose
	want "log verbose" 0 quiet
	call log brief
	want "log brief" 0 quiet
	call worker exposure
	want "worker exposure" 0 quiet
	call worker exposure --slot 1 --revoke
	want "worker exposure --revoke asks" 1 'says "say -y"'
	call -y worker exposure --slot 1 --generation 999 --revoke
	want "worker exposure --revoke: nothing" 0 '[ ! -s "$dir/out" ]' \
	    'says "nothing to revoke a moment before: no such worker had held"'
	call worker exposure --generation 999
	want "worker exposure --generation: whose?" 2 'says "--slot is needed"'
	call reload
	want "reload" 0 'has "configuration read"'
}

# Reads the text of metrics as strictly as it is meant to be written; says what
# is wrong.  With the text of before: no counter has gone down.
prom() {
	cat >"$dir/prom.py" <<-'PROM'
	import re, sys
	NAME = r'[a-zA-Z_:][a-zA-Z0-9_:]*'
	LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"'
	SAMPLE = re.compile(r'(%s)\{(%s(?:,%s)*)\} ([0-9]+(?:\.[0-9]+)?)' % (NAME, LABEL, LABEL))
	def read(path):
	    text = open(path, newline="", encoding="ascii").read()
	    if not text.endswith("\n# EOF\n"): sys.exit("no end")
	    types, values, at, samples = {}, {}, None, 1
	    lines = iter(text[:-len("# EOF\n")].split("\n")[:-1])
	    for line in lines:
	        if line.startswith("# HELP "):
	            m = re.fullmatch(r"# HELP (%s) ([^\\]+)" % NAME, line)
	            if not m or m[1] in types: sys.exit("bad or twice: " + line)
	            if not samples: sys.exit("without samples: " + at)
	            at, samples, line = m[1], 0, next(lines)
	            m = re.fullmatch(r"# TYPE (%s) (counter|gauge)" % NAME, line)
	            if not m or m[1] != at: sys.exit("no TYPE of " + at)
	            types[at] = m[2]
	            continue
	        m = SAMPLE.fullmatch(line)
	        if not m or m[1] != at: sys.exit("no sample of %s: %s" % (at, line))
	        labels = re.findall(LABEL, m[2])
	        if len(dict(labels)) != len(labels): sys.exit("label twice: " + line)
	        key = at, tuple(sorted(labels))
	        if key in values: sys.exit("sample twice: " + line)
	        values[key] = m[m.lastindex]
	        if types[at] == "counter" and not values[key].isdigit(): sys.exit("no whole number: " + line)
	        if at.startswith("headscaled_") and at.endswith("_total") != (types[at] == "counter"):
	            sys.exit("type and name of " + at)
	        samples += 1
	    if not samples: sys.exit("without samples: " + at)
	    return types, values
	types, values = read(sys.argv[1])
	for key, was in (read(sys.argv[2])[1] if len(sys.argv) > 2 else {}).items():
	    if key not in values: sys.exit("gone: %s" % (key,))
	    if types[key[0]] == "counter" and int(values[key]) < int(was): sys.exit("down: %s" % (key,))
	PROM
	python3 "$dir/prom.py" "$@" >"$dir/prom" 2>&1 && return
	sed 's/^/      prom: /' "$dir/prom"
	return 1
}
# value LINE-UP-TO-THE-NUMBER [FILE]
value() { awk -v l="$1" '$1 == l { print $2 }' "${2-$dir/out}"; }
# of all workers
total() { awk -v n="$1{" 'index($0, n) == 1 { s += $2 } END { print s + 0 }' "$2"; }
grown() { # grown METRIC: since $dir/before, which may be a second old
	for _ in $(seq 40); do
		call metrics
		[ "$(total "$1" "$dir/out")" -ge $(($(total "$1" "$dir/before") + 3)) ] &&
		    return
		sleep 0.1
	done
	return 1
}
in_the_manual() {
	local n bad=0
	for n in $(sed -n 's/^# TYPE \([^ ]*\) .*/\1/p' "$dir/out"); do
		grep -qE "^\.(Li|It) .*\b$n\b" man/headscalectl.8 && continue
		n=${n#headscaled_}
		grep -qx ".It Va ${n%_total}" man/headscalectl.8 && continue
		echo "      not there: $n"
		bad=1
	done
	"$ctl" -s "$socket" status -v | awk '$3 == "COUNTER" { f = 1; next } f { print $3 }' |
	    sort -u >"$dir/names"
	[ -s "$dir/names" ] || bad=1
	while read -r n; do
		grep -qx ".It Va $n" man/headscalectl.8 && continue
		echo "      not there: $n"
		bad=1
	done <"$dir/names"
	return $bad
}
the_metrics() {
	call metrics
	want "metrics: a strict reader takes them" 0 quiet 'prom "$dir/out"' \
	    'has "headscaled_process_up{role=\"master\",slot=\"0\"} 1"' \
	    'has "headscaled_process_up{role=\"worker\",slot=\"1\"} 1"' \
	    'has "headscaled_tailnet_policy_refused{tailnet=\"default\"} 0"'
	cp "$dir/out" "$dir/before"
	want "metrics: the manual has all of them" 0 in_the_manual
	call -j metrics
	want "metrics -j" 2 'says "not as JSON"' '[ ! -s "$dir/out" ]'
	call metrics all
	want "metrics: nothing more" 2 'says "nothing more is expected"'
}
counters_of_the_edge() {
	local name
	call derp list
	want "derp list: our own relay, which nobody probes" 0 \
	    'line " (own)  served  *-  *-  *-$"' quiet
	call -j derp list
	want "derp list -j" 0 'has "\"own\": true"' 'has "\"probed\": null"' \
	    'has "\"ok\": false"'
	call metrics
	want "metrics: no word of it as down" 0 \
	    'line "^headscaled_derp_node_avoid{region=\"999\",.*} 0$"' \
	    '! has headscaled_derp_node_up' '! has headscaled_certificate' \
	    '[ "$(value "headscaled_tailnet_nodes{tailnet=\"default\"}")" -gt 100 ]'
	for name in headscaled_conns_total headscaled_http_bad_total \
	    derp_accepts headscaled_relay_bad_total; do
		call metrics
		cp "$dir/out" "$dir/before"
		for _ in 1 2 3; do bad_thing $name; done
		grown $name
		rc=$?
		want "metrics: $name moves" 0 'prom "$dir/out" "$dir/before"'
	done
}
bad_thing() { # what this counter is for
	exec 5<>"/dev/tcp/127.0.0.1/$port" || return
	case $1 in
	headscaled_conns_total) ;;
	headscaled_http_bad_total)
		printf 'GET / HTTP/1.1\r\nHost x\r\n\r\n' >&5
		timeout 3 cat <&5 >/dev/null ;;
	*)	printf 'GET /derp HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: DERP\r\n\r\n' >&5
		# A frame of 4 GB, before it says who it is.
		printf '\4\377\377\377\377' >&5
		timeout 3 cat <&5 >/dev/null ;;
	esac
	exec 5>&-
}

lists_of_nodes() {
	call nodes list
	want "nodes list: all of them" 0 "lines seed- $nodes_seeded" quiet
	call -j nodes list
	want "nodes list -j" 0 "lines '\"stable_id\"' $nodes_seeded" \
	    '! line "$(printf "\033")"' 'has "\\u001b[2Jevil\\n"'
	COLUMNS=60 call nodes list
	want "nodes list fits" 0 '! line "^.\{61\}"'
	call nodes show seed-3
	want "nodes show" 0 'has "\\033[2Jevil\\n"' 'has 100.65.0.4'
	call nodes show seed-20
	want "nodes show: an exact name goes first" 0 'has 100.65.0.21'
	call nodes show seed-
	want "nodes show: ambiguous" 1 'says "which node: seed-1 ("'
	call nodes show sede-17
	want "nodes show: near" 1 'says "did you mean seed-"'
}

changes_of_nodes() {
	local id other
	call nodes rename seed-4 printer
	want "nodes rename" 0 'has "renamed to printer"'
	call nodes rename seed-5 printer
	want "nodes rename: taken" 1 'says "nodes rename: "'
	call nodes tag printer a,b
	want "nodes tag" 0 quiet
	call -j nodes show printer
	want "it is tagged" 0 'has "\"tag:b\""' 'has "\"user_id\": null"'
	call nodes move printer seed
	want "nodes move" 0 quiet
	call -j nodes show printer
	want "it is a user's" 0 'has "\"user\": \"seed\""' 'has "\"tags\": []"'
	call nodes expire printer 2030-01-02T03:04:05Z
	want "nodes expire later" 0 quiet \
	    'has "node printer: key expires 2030-01-02T03:04:05Z"'
	call -j nodes show printer
	want "it expires later" 0 'has "\"expires\": \"2030-01-02T03:04:05Z\""'
	call nodes expire printer never
	want "nodes expire never" 0 quiet 'has "key expires never"'
	call -j nodes show printer
	want "it never expires" 0 'has "\"expires\": null"'
	call nodes expire printer
	want "nodes expire now: nobody to ask, it is done" 0 quiet
	call -y nodes expire printer
	want "nodes expire now" 0 quiet
	call -y nodes logout seed-6
	want "nodes logout" 0 quiet
	call nodes list
	want "both have expired" 0 'line "printer.*expired"' \
	    'line "seed-6 .*expired"'
	# seed-11 is called like the id of seed-12.
	call -j nodes show seed-11
	other=$(sed -n 's/^  "id": \([0-9]*\).*/\1/p' "$dir/out")
	call -j nodes show seed-12
	id=$(sed -n 's/^  "id": \([0-9]*\).*/\1/p' "$dir/out")
	call nodes rename seed-11 "$id"
	want "nodes rename to a number" 0 quiet
	call -y nodes delete "$id"
	want "nodes delete: the id of one, the name of another" 1 \
	    'says "$id: which node: id:$id (seed-12), or id:$other ("'
	call nodes show "id:$id"
	want "nodes show by id:" 0 'line "^name  *seed-12$"'
	call nodes rename "id:$other" seed-11
	want "nodes rename by id:" 0 'has "node $id renamed to seed-11"'
	call -y nodes delete seed-7
	want "nodes delete" 0 'has "node seed-7 deleted"'
	call -y nodes delete seed-7
	want "nodes delete: not twice" 1 'says "which node: seed-70 ("'
	call -y users delete seed
	want "users delete: it owns nodes" 1 'says "users delete: "'
}

roles_and_routes() {
	call users role seed owner
	want "users role" 0 'has "user seed is owner now"' quiet
	call users list
	want "users list: it is" 0 'line "seed .*owner"'
	call users role seed member
	want "users role: there is one owner" 1 'says "a tailnet has one owner"'
	call users role seed king
	want "users role: no such role" 2 'says "is no role"'
	call routes list
	want "routes list" 0 quiet
	call routes approve seed-8 10.0.0.0/8
	want "routes approve: not advertised" 1 \
	    'says "10.0.0.0/8: the node does not advertise it"'
	call routes unapprove seed-8 ::/0
	want "routes unapprove: not approved" 1 'says "::/0: it is not approved"'
	call routes approve seed-8 10.0.0.1/8
	want "routes approve: no prefix" 2 'says "is no prefix"'
}

policies() {
	call policy get
	want "policy get: none yet" 0 '[ ! -s "$dir/out" ]' quiet
	cat >"$dir/policy" <<-'POLICY'
	{
		// comments are kept
		"tagOwners": {"tag:web": ["seed@"]},
		"acls": [
			{"action": "accept", "src": ["seed@"], "dst": ["tag:web:80"]},
		],
	}
	POLICY
	call policy check "$dir/policy"
	want "policy check" 0 'has "it can be set"' quiet
	call policy set "$dir/policy" -r "a first try"
	want "policy set" 0 'has "version 2 is in force"' quiet
	call policy get
	want "policy get gives it back" 0 'cmp -s "$dir/policy" "$dir/out"'
	call status
	want "status names it" 0 'has "policy version 2"'
	call nodes tag seed-9 db
	want "nodes tag: only defined tags" 1 'says "tag:db: not defined"'
	call nodes tag seed-9 web
	want "nodes tag: a defined one" 0 quiet
	call policy why seed-10 seed-9:80
	want "policy why: the rule and its line" 0 'line ":5\|line 5"' quiet
	call policy why seed-9 seed-10:80
	want "policy why: none" 0 quiet '! line "line 5"'
	sed 's/:80/:443/' "$dir/policy" >"$dir/other"
	call policy diff "$dir/other"
	want "policy diff" 0 'line "^+ .*443"' 'line "^- .*80"' quiet
	sed 's/seed@"\], "dst/nobody"], "dst/' "$dir/policy" >"$dir/bad"
	call policy set "$dir/bad"
	want "policy set: file, line and column" 1 \
	    'grep -q "^$dir/bad:5:[0-9]*: " "$dir/err"' '[ ! -s "$dir/out" ]'
	call -j policy check "$dir/bad"
	want "policy check -j" 1 'has "\"ok\": false"' 'has "\"line\": 5"'
	sed 's/^}/"tests": [{"src": "seed@", "deny": ["tag:web:80"]}]}/' \
	    "$dir/policy" >"$dir/bad"
	call policy test "$dir/bad"
	want "policy test: they fail" 1 'says "test(s) failed"'
	call policy set "$dir/bad"
	want "policy set: they fail, nothing changes" 1 'says "test(s) failed"'
	call policy history
	want "policy history" 0 'line "^ *2 .*in force  a first try"' \
	    'line "^ *1 .*server .*first start"' '! line "^ *3 "'
	call policy set - 
	want "policy set: nothing on standard input" 1 'says "the policy is empty"'
	call policy rollback 2
	want "policy rollback" 0 'has "is in force"'
	call policy get 99
	want "policy get: no such version" 1 'says "no such version"'
	call policy set "$dir/none"
	want "policy set: no such file" 1 'says "No such file"'
	head -c 1048577 /dev/zero >"$dir/other"
	call policy set "$dir/other"
	want "policy set: too long" 1 'says "at most 1048576 octets"'
	{ printf %%; head -c 1048575 /dev/urandom; } >"$dir/other"
	call policy set "$dir/other"
	want "policy set: noise" 1 'says "$dir/other:1:"'
	call policy rollback 1 -r "as it was"
	want "policy rollback to the first" 0 quiet
	call status
	want "all is allowed again" 0 'has "policy allow-all"'
}

# A master that does not go on: nothing waits for ever.
no_answer() {
	local from=$SECONDS
	kill -STOP "$pid"
	call status
	kill -CONT "$pid"
	want "status: no answer, and an end" 1 'says "not answer"' \
	    '[ $((SECONDS - from)) -le 20 ]'
	call status
	want "status: it goes on" 0 quiet
}
# Each of these is in the manual, whoever prints it.
diagnostics() {
	local text
	for text in "headscaled does not answer" \
	    "nobody listens: headscaled does not run" \
	    "headscaled ended the connection before it answered: see its log" \
	    "nobody to ask: say -y if it is meant" \
	    "headscaled did not answer within"; do
		sed -n '/^\.Sh DIAGNOSTICS/,$p' man/headscalectl.8 |
		    grep -q "^\.It \"$text" && continue
		echo "      not there: $text"
		return 1
	done
}

shells() {
	bash -c 'PATH=$1:$PATH; . etc/completion/headscalectl.bash
	    try() { COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
	    _headscalectl; echo "${COMPREPLY[*]}"; }
	    try headscalectl no; try headscalectl keys create --re
	    try headscalectl met
	    try headscalectl -s "$2" nodes show pri' - "$out" "$socket" \
	    >"$dir/out" 2>"$dir/err"
	rc=$?
	want "completion in bash" 0 'line "^nodes$"' 'line "^metrics$"' 'line "^--reusable$"' \
	    'line "^printer$"' quiet
}

others() {
	if [ "$(id -u)" -ne 0 ] || ! command -v setpriv >/dev/null; then
		echo "skipped: another user cannot be played without root"
		return
	fi
	setpriv --reuid 65534 --regid 65534 --clear-groups "$ctl" \
	    -s "$socket" status >"$dir/out" 2>"$dir/err" </dev/null
	rc=$?
	want "others may not" 1 'says "permission denied: become root or a member of the group "'
}

no_server
[ -n "$socket" ] || own_server
users_and_keys
the_server
the_metrics
if [ -n "$pid" ]; then
	lists_of_nodes
	counters_of_the_edge
	changes_of_nodes
	roles_and_routes
	policies
	shells
	others
	no_answer
	rc=0
	want "the manual has what it may say" 0 diagnostics
	stop
	start
	call nodes list
	want "all of it is there after a restart" 0 \
	    "lines 'seed-\|printer' $((nodes_seeded - 1))" 'line printer'
	cp "$dir/log" "$dir/out"
	want "the log says who changed what" 0 \
	    "has 'control uid=$(id -u) request=CTL_NODE_DELETE id='"
	stop
	call status
	want "a server that was stopped" 1 \
	    'says "does headscaled run?" || says "nobody listens"'
fi
exit $failed
