#!/bin/sh
exec cppcheck --quiet --error-exitcode=1 --std=c11 -D_GNU_SOURCE \
    --enable=warning,portability --inline-suppr -j 2 \
    --suppressions-list=regress/lint/cppcheck.suppress \
    -I. -I"$1/gen" master worker keyd dbd ctl common
