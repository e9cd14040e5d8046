#!/bin/sh
# Undefined symbols of each program: what a role must not be able to do is
# not even linked (architecture.md 4).
rc=0
deny() { # deny PROGRAM REGEX
	f=$out/$1
	[ -x "$f" ] || { echo "$f: not built"; rc=1; return; }
	s=$(nm -D --undefined-only "$f" | awk '{print $NF}' | sed 's/@.*//' |
	    grep -E "^($2)$")
	[ -z "$s" ] || { echo "$1: $s"; rc=1; }
}
out=$1
deny headscaled		'sqlite3_.*|PQ.*|nghttp2_.*|SSL_.*|ZSTD_.*|accept|accept4|json_.*'
deny headscaled-worker	'sqlite3_.*|PQ.*|execv.*|fork|vfork|posix_spawn.*|connect|listen|bind|SSL_.*|fopen|kill'
deny headscaled-keyd	'sqlite3_.*|PQ.*|nghttp2_.*|SSL_.*|connect|socket|accept|accept4|listen|bind|execv.*|fork|ZSTD_.*|json_.*|fopen|kill'
deny headscaled-dbd	'PQ.*|nghttp2_.*|SSL_.*|connect|socket|listen|bind|execv.*|fork|ZSTD_.*|json_.*|kill'
deny headscaled-policyc	'sqlite3_.*|PQ.*|nghttp2_.*|SSL_.*|connect|socket|accept|accept4|listen|bind|execv.*|fork|ZSTD_.*|json_.*|fopen|kill'
deny headscalectl	'sqlite3_.*|PQ.*|nghttp2_.*|SSL_.*|execv.*|fork|listen|bind'
exit $rc
