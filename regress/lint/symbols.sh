#!/bin/sh
# Undefined symbols of each program: what a role must not be able to do is
# not even linked (architecture.md 4).
rc=0
deny() { # deny PROGRAM REGEX
	f=$out/$1
	[ -x "$f" ] || { echo "$f: not built"; rc=1; return; }
	# of one without shared libraries: all that it has of the C library
	s=$({ nm -D --undefined-only "$f" 2>/dev/null | grep . || nm "$f"; } |
	    awk '{print $NF}' | sed 's/@.*//' | grep -E "^($2)$")
	[ -z "$s" ] || { echo "$1: $s"; rc=1; }
}
out=$1
deny headscaled		'sqlite3_.*|PQ.*|nghttp2_.*|SSL_.*|ZSTD_.*|accept|accept4|json_.*'
deny headscaled-worker	'sqlite3_.*|PQ.*|execv.*|fork|vfork|posix_spawn.*|connect|listen|bind|SSL_connect|SSL_CTX_use_PrivateKey_file|fopen|kill'
deny headscaled-keyd	'sqlite3_.*|PQ.*|nghttp2_.*|SSL_.*|connect|socket|accept|accept4|listen|bind|execv.*|fork|ZSTD_.*|json_.*|fopen|kill'
deny headscaled-dbd	'PQ.*|nghttp2_.*|SSL_.*|connect|socket|listen|bind|execv.*|fork|ZSTD_.*|json_.*|kill'
deny headscaled-policyc	'sqlite3_.*|PQ.*|nghttp2_.*|SSL_.*|connect|socket|accept|accept4|listen|bind|execv.*|fork|ZSTD_.*|json_tokener_.*|vfork|posix_spawn.*|kill'
deny headscaled-fetch	'sqlite3_.*|PQ.*|nghttp2_.*|crypto_.*|SSL_CTX_use_.*|EVP_PKEY_.*|listen|bind|accept|accept4|execv.*|fork|vfork|posix_spawn.*|pthread_create|getaddrinfo|ZSTD_.*|json_object_to_.*|fopen|kill'
deny headscaled-stun	'sqlite3_.*|PQ.*|nghttp2_.*|SSL_.*|crypto_.*|connect|socket|accept|accept4|listen|bind|execv.*|fork|ZSTD_.*|json_.*|fopen|kill'
deny headscalectl	'sqlite3_.*|PQ.*|nghttp2_.*|SSL_.*|execv.*|fork|listen|bind'
exit $rc
