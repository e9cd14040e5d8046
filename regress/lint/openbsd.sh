#!/bin/sh
. "$1/config"
exec cc -std=c11 -Wall -Wextra -Werror -fsyntax-only -D__OpenBSD__ -D_GNU_SOURCE \
    -Iregress/lint/openbsd -I. -I"$1/gen" $PKG_CFLAGS common/sandbox_openbsd.c
