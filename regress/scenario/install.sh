#!/bin/bash
# What "make install" leaves behind: everything, with modes that do not depend
# on the umask, and a server that starts from it with the sample
# configuration.
#
#	install.sh OUT
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
build=${1:?usage: install.sh OUT}
mkdir -p "$build"
. regress/scenario/lib.sh
begin
dir=$t

none() { ! "$@" | tee /dev/stderr | grep -q .; }
as() {
	if [ "$(id -u)" = 0 ] && ! id _hsworker; then
		setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
	else
		"$@"
	fi
}
into() { # into PREFIX [DESTDIR]
	# what is out of date is built with the umask that it always has
	"${MAKE:-make}" -s O="$build" all &&
	    (umask 077 && "${MAKE:-make}" -s O="$build" PREFIX="$1" DESTDIR="${2-}" install)
}
same() { # same PREFIX: nothing is left out
	diff - <(cd "$1" && find . -type f -printf '%m %P\n' | sort) <<-LIST
	644 lib/systemd/system/headscaled.service
	644 lib/sysusers.d/headscaled.conf
	644 share/bash-completion/completions/headscalectl
	644 share/examples/headscaled/headscaled.conf
	644 share/examples/headscaled/policy.hujson
	644 share/fish/vendor_completions.d/headscalectl.fish
	644 share/man/man5/headscaled.conf.5
	644 share/man/man5/headscaled.policy.5
	644 share/man/man7/headscaled.privsep.7
	644 share/man/man8/headscalectl.8
	644 share/man/man8/headscaled.8
	644 share/zsh/site-functions/_headscalectl
	755 libexec/headscaled/headscaled-dbd
	755 libexec/headscaled/headscaled-fetch
	755 libexec/headscaled/headscaled-keyd
	755 libexec/headscaled/headscaled-policyc
	755 libexec/headscaled/headscaled-stun
	755 libexec/headscaled/headscaled-worker
	755 sbin/headscalectl
	755 sbin/headscaled
	755 share/examples/headscaled/headscaled.rc
	LIST
}
serves() { within 100 as "$p/sbin/headscalectl" -s "$dir/v/headscaled.sock" status; }

ok "make install with DESTDIR" into /opt/hs "$dir/stage"
ok "all of it, and nothing else" same "$dir/stage/opt/hs"
ok "folders are open to all" none find "$dir/stage" -mindepth 1 -type d ! -perm 755
ok "the unit starts what was installed" \
    grep -q '^ExecStart=/opt/hs/sbin/headscaled -d$' "$dir/stage/opt/hs/lib/systemd/system/headscaled.service"
ok "and nothing of another prefix" none grep -r /usr/local/ "$dir/stage/opt/hs/lib"
if command -v systemd-sysusers >/dev/null; then
	mkdir -p "$dir/image/etc"
	ok "the users can be made" \
	    systemd-sysusers --root="$dir/image" "$dir/stage/opt/hs/lib/sysusers.d/headscaled.conf"
	ok "all of them" [ "$(grep -c '^_hs\(worker\|keyd\|dbd\|policy\|stun\|out\):' "$dir/image/etc/passwd")" = 6 ]
	ok "and the group" grep -q '^_headscaled:' "$dir/image/etc/group"
fi

p=$dir/p
ok "make install into a prefix" into "$p"
if command -v systemd-analyze >/dev/null; then
	ok "the unit is understood" none sh -c \
	    "systemd-analyze verify --man=no '$p/lib/systemd/system/headscaled.service' 2>&1 | grep -F headscaled.service"
fi
mkdir "$dir/v"
chmod 755 "$dir/v"
[ "$(id -u)" != 0 ] || id _hsworker >/dev/null 2>&1 || chown 65534:65534 "$dir/v"
sed -e "s,= 8080,= $(spare)," -e "s,/var/lib/headscaled,$dir/v/state," \
    -e "s,\"/run/headscaled\",\"$dir/v\"," "$p/share/examples/headscaled/headscaled.conf" >"$dir/v/conf"
chmod 644 "$dir/v/conf"
ok "the sample configuration is good" as "$p/sbin/headscaled" -n -f "$dir/v/conf"
as "$p/sbin/headscaled" -d -f "$dir/v/conf" >/dev/null 2>"$dir/log" &
ok "it starts" serves
pid=$(cat "$dir/v/headscaled.pid" 2>/dev/null)
ok "with the programs that were installed" sh -c \
    "readlink /proc/\$(ps --ppid '$pid' -o pid= | head -1 | tr -d ' ')/exe | grep -q '^$p/libexec/headscaled/'"
[ -z "$pid" ] || kill -TERM "$pid"
ok "it stops" timeout 5 tail --pid="${pid:-1}" -f /dev/null
pid=
exit $rc
