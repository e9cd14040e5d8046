#!/bin/sh
# gcc -fanalyzer over every source; warnings are errors.
. "$1/config"
find master worker keyd dbd ctl common -name '*.c' ! -name sandbox_openbsd.c |
xargs -P 2 -I{} gcc -std=c11 -O1 -D_GNU_SOURCE -Wall -Wextra -Werror -fanalyzer \
    -I. -I"$1/gen" $PKG_CFLAGS $LLHTTP_CFLAGS -c -o /dev/null {}
