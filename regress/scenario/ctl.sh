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
	config "$t/run"
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
	want "keys expire asks, and there is nobody" 1 'says "say -y"'
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
	want "worker exposure --revoke" 0 quiet
	call reload
	want "reload" 0 'has "configuration read"'
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
	want "nodes expire later" 0 quiet
	call -j nodes show printer
	want "it expires later" 0 'has "\"expires\": \"2030-01-02T03:04:05Z\""'
	call nodes expire printer never
	want "nodes expire never" 0 quiet
	call -j nodes show printer
	want "it never expires" 0 'has "\"expires\": null"'
	call nodes expire printer
	want "nodes expire now asks" 1 'says "say -y"'
	call -y nodes expire printer
	want "nodes expire now" 0 quiet
	call -y nodes logout seed-6
	want "nodes logout" 0 quiet
	call nodes list
	want "both have expired" 0 'line "printer.*expired"' \
	    'line "seed-6 .*expired"'
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

shells() {
	bash -c 'PATH=$1:$PATH; . etc/completion/headscalectl.bash
	    try() { COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
	    _headscalectl; echo "${COMPREPLY[*]}"; }
	    try headscalectl no; try headscalectl keys create --re
	    try headscalectl -s "$2" nodes show pri' - "$out" "$socket" \
	    >"$dir/out" 2>"$dir/err"
	rc=$?
	want "completion in bash" 0 'line "^nodes$"' 'line "^--reusable$"' \
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
if [ -n "$pid" ]; then
	lists_of_nodes
	changes_of_nodes
	roles_and_routes
	policies
	shells
	others
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
