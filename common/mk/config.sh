#!/bin/sh
# Looks at the machine and writes shell assignments for rules.sh and make
# flags for the Makefile.  The only probes that the build makes.  CC and LINK,
# its flags, are asked whether a program can be linked without shared libraries.
set -eu
pc() { pkg-config "$@" 2>/dev/null; }
lib() { # lib NAME PKG FALLBACK
	if v=$(pc --libs "$2"); then :; else v=$3; fi
	echo "LIB_$1='$v'"
}
lib event libevent_core -levent_core
lib sodium libsodium -lsodium
lib crypto libcrypto -lcrypto
lib ssl libssl -lssl
lib nghttp2 libnghttp2 -lnghttp2
lib zstd libzstd -lzstd
lib json json-c -ljson-c
lib curl libcurl -lcurl
lib cares libcares -lcares
lib confuse libconfuse -lconfuse
lib sqlite3 sqlite3 -lsqlite3
lib cmocka cmocka -lcmocka
# policyc, which lives for a millisecond, spends half of it on loading them.
static=
case $(uname -s)/${LINK=} in
Linux/*-fsanitize*) ;;
Linux/*)
	v='-static-pie -lbsd -lmd'
	echo 'int main(void) { return 0; }' | ${CC:-cc} $LINK -x c -o /dev/null \
	    - $v >/dev/null 2>&1 && static=$v ;;
esac
echo "LIB_static='$static'"
case $(uname -s) in
Linux)	lib bsd libbsd-overlay -lbsd
	lib seccomp libseccomp -lseccomp ;;
*)	echo "LIB_bsd=-lutil"
	echo "LIB_seccomp=" ;;
esac
if v=$(pc --libs libllhttp); then
	echo "LLHTTP_LIBS='$v'"
	echo "LLHTTP_SRC="
	echo "LLHTTP_CFLAGS='$(pc --cflags libllhttp)'"
elif [ -f /usr/local/include/llhttp.h ]; then
	echo "LLHTTP_LIBS=-lllhttp"
	echo "LLHTTP_SRC="
	echo "LLHTTP_CFLAGS=-I/usr/local/include"
else	# Debian 12: sources of package node-llhttp
	echo "LLHTTP_LIBS="
	echo "LLHTTP_SRC=/usr/share/llhttp"
	echo "LLHTTP_CFLAGS=-I/usr/share/include/llhttp"
fi
flags=$(pc --cflags libbsd-overlay libevent_core libsodium libssl libcrypto \
    libnghttp2 libzstd json-c libconfuse sqlite3 libcurl libcares) || flags=
echo "PKG_CFLAGS='$flags'"
