#!/bin/sh
# Writes the make rules of the whole tree to standard output: an object for
# each source, an archive for each folder, a program for each row of
# common/mk/programs, a test for each regress/unit/t_*.c and a fuzz target for
# each regress/fuzz/f_*.c.  Doubles of what the archives hold, regress/unit/
# d_X.c, go before them into the tests t_X.c and t_X_*.c.  Plain rules only, so
# that every make reads them.
set -eu
. "${1:?usage: rules.sh CONFIG}"

# Folders that make archives: all that hold sources, main.c left out.
folders=$(find common master worker keyd dbd ctl regress/lib regress/sim \
    -name '*.c' ! -name main.c 2>/dev/null | sed 's,/[^/]*$,,' | sort -u)
archive() { echo "\$(O)/lib/$(echo "$1" | tr / _).a"; }
libs() {
	for l; do
		case $l in
		llhttp)	echo "$LLHTTP_LIBS" ;;
		*)	eval echo "\$LIB_$l" ;;
		esac
	done | tr '\n' ' '
}
# object SOURCE OBJECT [FLAGS]
object() {
	printf '%s: %s $(GEN)\n\t@mkdir -p %s\n' "$2" "$1" "${2%/*}"
	printf '\t@echo "cc $@"; $(CC) $(CPPFLAGS) $(CFLAGS) %s -MMD -MP -c -o $@ %s\n' \
	    "${3-}" "$1"
	printf -- '-include %s\n' "${2%.o}.d"
}
obj() { echo "\$(O)/o/${1%.c}.o"; }

all=
for d in $folders; do
	objs=
	for s in "$d"/*.c; do
		case $s in */main.c|common/sandbox_gen.c) continue ;; esac
		object "$s" "$(obj "$s")"
		objs="$objs $(obj "$s")"
	done
	[ "$d" = common ] && {
		object '$(O)/gen/common/msg_gen.c' '$(O)/o/common/msg_gen.o'
		objs="$objs \$(O)/o/common/msg_gen.o"
	}
	a=$(archive "$d")
	printf '%s:%s\n\t@mkdir -p $(O)/lib\n\t@rm -f $@\n\t@$(AR) rcs $@%s\n' \
	    "$a" "$objs" "$objs"
	case $d in regress/*) ;; *) all="$all $a" ;; esac
done
if [ -n "$LLHTTP_SRC" ]; then
	objs=
	for s in "$LLHTTP_SRC"/*.c; do
		o="\$(O)/o/llhttp/$(basename "$s" .c).o"
		printf '%s: %s\n\t@mkdir -p $(O)/o/llhttp\n' "$o" "$s"
		printf '\t@echo "cc $@"; $(CC) $(CFLAGS) -w %s -c -o $@ %s\n' "$LLHTTP_CFLAGS" "$s"
		objs="$objs $o"
	done
	printf '$(O)/lib/llhttp.a:%s\n\t@mkdir -p $(O)/lib\n\t@$(AR) rcs $@%s\n' \
	    "$objs" "$objs"
	all="$all \$(O)/lib/llhttp.a"
fi

# The seccomp filters of the roles are made by a program of the build.
[ -z "$LIB_seccomp" ] || {
	object common/sandbox_gen.c '$(O)/o/common/sandbox_gen.o'
	o='$(O)/o/common/sandbox_gen.o $(O)/o/common/sandbox_filter.o'
	printf '$(O)/gen/filters: %s\n' "$o"
	printf '\t@echo "cc $@"; $(CC) $(CFLAGS) $(LDFLAGS) -o $@ %s %s\n' \
	    "$o" "$LIB_seccomp"
	printf '$(O)/gen/common/sandbox_gen.h: $(O)/gen/filters\n'
	printf '\t@$(O)/gen/filters > $@.new && mv $@.new $@\n'
	printf '$(O)/o/common/sandbox_load.o: $(O)/gen/common/sandbox_gen.h\n'
}

programs=
while read -r name main dirs; do
	case $name in ''|\#*) continue ;; esac
	[ -f "$main" ] || continue
	libs=${dirs#*:} dirs=${dirs%%:*} as=
	for d in $dirs; do
		case $d in
		llhttp)	[ -n "$LLHTTP_SRC" ] && as="$as \$(O)/lib/llhttp.a" ;;
		*)	case " $(echo $folders) " in
			*" $d "*) as="$as $(archive "$d")" ;;
			esac ;;
		esac
	done
	object "$main" "$(obj "$main")"
	flags='$(LDFLAGS)'
	case " $libs " in *' static '*)
		[ -z "$LIB_static" ] || flags='$(LDFLAGS:-pie=)' ;;
	esac
	printf '$(O)/%s: %s%s\n' "$name" "$(obj "$main")" "$as"
	printf '\t@echo "cc $@"; $(CC) $(CFLAGS) %s -o $@ %s -Wl,--start-group%s -Wl,--end-group %s\n' \
	    "$flags" "$(obj "$main")" "$as" "$(libs $libs)"
	programs="$programs \$(O)/$name"
done < common/mk/programs
printf 'programs:%s\n' "$programs"

every="$LIB_event $LIB_sodium $LIB_ssl $LIB_crypto $LIB_nghttp2 $LIB_zstd $LIB_json \
$LIB_confuse $LIB_sqlite3 $LIB_curl $LIB_cares $LIB_seccomp $LIB_bsd $LLHTTP_LIBS"
test_all=
for d in regress/lib regress/sim; do
	case " $(echo $folders) " in
	*" $d "*) test_all="$test_all $(archive "$d")" ;;
	esac
done
tests=
for s in regress/unit/d_*.c; do
	[ -f "$s" ] || continue
	object "$s" "$(obj "$s")"
done
for s in regress/unit/t_*.c; do
	[ -f "$s" ] || continue
	t="\$(O)/t/$(basename "$s" .c)"
	object "$s" "$(obj "$s")"
	os=$(obj "$s")
	for d in regress/unit/d_*.c; do
		x=${d#regress/unit/d_}
		case $s in
		regress/unit/t_"${x%.c}".c|regress/unit/t_"${x%.c}"_*.c)
			os="$os $(obj "$d")" ;;
		esac
	done
	printf '%s: %s%s%s\n\t@mkdir -p $(O)/t\n' "$t" "$os" "$test_all" "$all"
	printf '\t@echo "cc $@"; $(CC) $(CFLAGS) $(LDFLAGS) -o $@ %s -Wl,--start-group%s%s -Wl,--end-group %s %s\n' \
	    "$os" "$test_all" "$all" "$every" "$LIB_cmocka"
	tests="$tests $t"
done
printf 'tests:%s\n' "$tests"
fuzz=
for s in regress/fuzz/f_*.c; do
	[ -f "$s" ] || continue
	t="\$(O)/f/$(basename "$s" .c)"
	object "$s" "$(obj "$s")"
	printf '%s: %s%s%s\n\t@mkdir -p $(O)/f\n' "$t" "$(obj "$s")" "$test_all" "$all"
	printf '\t@echo "cc $@"; $(CC) $(CFLAGS) $(LDFLAGS) -fsanitize=fuzzer -o $@ %s -Wl,--start-group%s%s -Wl,--end-group %s\n' \
	    "$(obj "$s")" "$test_all" "$all" "$every"
	fuzz="$fuzz $t"
done
printf 'fuzzers:%s\n' "$fuzz"
# Test programs with a main of their own: regress/bin/NAME.c
bins=
for s in regress/bin/*.c; do
	[ -f "$s" ] || continue
	t="\$(O)/b/$(basename "$s" .c)"
	object "$s" "$(obj "$s")"
	printf '%s: %s%s%s\n\t@mkdir -p $(O)/b\n' "$t" "$(obj "$s")" "$test_all" "$all"
	printf '\t@echo "cc $@"; $(CC) $(CFLAGS) $(LDFLAGS) -o $@ %s -Wl,--start-group%s%s -Wl,--end-group %s\n' \
	    "$(obj "$s")" "$test_all" "$all" "$every"
	bins="$bins $t"
done
printf 'bins:%s\n' "$bins"
