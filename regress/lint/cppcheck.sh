#!/bin/sh
. "$1/config"
inc=$(echo "$PKG_CFLAGS" | tr ' ' '\n' | sed -n 's/^-isystem$//;/^\//s/^/-I/p' | tr '\n' ' ')
exec cppcheck --quiet --error-exitcode=1 --std=c11 -D_GNU_SOURCE \
    -DLIBBSD_OVERLAY -D__GNUC__ --enable=warning,portability \
    --inline-suppr -j 2 --suppressions-list=regress/lint/cppcheck.suppress \
    -I. -I"$1/gen" $inc -I/usr/include/bsd master worker keyd dbd ctl common
