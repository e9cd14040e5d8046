#!/bin/sh
# What differs on OpenBSD compiles against the stub headers.
. "$1/config"
for f in common/sandbox_openbsd.c common/sandbox_drop.c common/ev.c \
    common/child.c common/memfd.c common/link.c common/compat/*.c; do
	cc -std=c11 -Wall -Wextra -Werror -fsyntax-only -D__OpenBSD__ \
	    -D_GNU_SOURCE -Iregress/lint/openbsd -I. -I"$1/gen" $PKG_CFLAGS \
	    "$f" || exit 1
done
