#!/bin/sh
# Each header compiles alone.
. "$1/config"
rc=0
for h in $(find master worker keyd dbd ctl common regress/lib regress/sim regress/unit -name '*.h' 2>/dev/null); do
	echo "#include \"$h\"" | cc -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror \
	    -Wno-unused-macros -I. -I"$1/gen" $PKG_CFLAGS $LLHTTP_CFLAGS \
	    -fsyntax-only -x c - || { echo "$h"; rc=1; }
done
exit $rc
