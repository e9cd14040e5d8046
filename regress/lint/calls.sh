#!/bin/sh
# Functions that we do not call, and clocks and sockets that cores must not.
rc=0
grep -rnE '\b(strcpy|strcat|sprintf|vsprintf|strtok|atoi|atol|gets|sscanf|alloca|system|popen)\(' \
    master worker keyd dbd ctl common --include='*.[ch]' && rc=1
cores='worker/control worker/tailnet worker/relay worker/fetch dbd keyd worker/net'
for f in $(find $cores -name '*.c'); do
	case $f in
	*/main.c|worker/net/sock.c|worker/fetch/http.c|dbd/store_sqlite*|dbd/schema.c|keyd/store.c) continue ;;
	esac
	grep -nE '\b(clock_gettime|gettimeofday|time\(NULL|arc4random|getrandom|RAND_bytes|randombytes|socket\(|connect\(|accept4?\(|open\(|fopen\(|read\(|write\()' "$f" |
	    grep -vE '(_|->|\.)(read|write|open|connect)\(' | sed "s,^,$f:," | grep . && rc=1
done
exit $rc
