#include <sys/resource.h>
#include <sys/socket.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <linux/capability.h>
#endif

#include "common/compat/root.h"

bool
compat_reuseport_spreads(void)
{
#ifdef __linux__
	return true;
#else
	return false;
#endif
}

int
compat_lock_filter(int fd)
{
#ifdef SO_LOCK_FILTER
	int on = 1;

	return setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &on, sizeof(on));
#else
	(void)fd;
	return 0;
#endif
}

#ifdef __linux__

/*
 * kill: children of other users; setuid, setgid, sys_chroot and, to enter
 * dbd's folder, dac_read_search: children give up root by themselves, after
 * exec; net_bind_service: ports below 1024, also at a reload.
 */
static const int kept[] = {
	CAP_DAC_READ_SEARCH, CAP_KILL, CAP_SETGID, CAP_SETUID, CAP_SYS_CHROOT,
	CAP_NET_BIND_SERVICE
};

static bool
is_kept(int cap)
{
	size_t i;

	for (i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		if (kept[i] == cap)
			return true;
	return false;
}

static const char *
drop_capabilities(void)
{
	struct __user_cap_header_struct hdr;
	struct __user_cap_data_struct cap[_LINUX_CAPABILITY_U32S_3];
	int i, n;

	/*
	 * The bounding set first, which takes CAP_SETPCAP; without that it
	 * stays, and counts for nothing: no exec brings back what is gone.
	 */
	for (n = 0; prctl(PR_CAPBSET_READ, n, 0, 0, 0) >= 0; n++)
		if (!is_kept(n) && prctl(PR_CAPBSET_DROP, n, 0, 0, 0) == -1 &&
		    errno != EPERM)
			return "capability bounding set";
	memset(&hdr, 0, sizeof(hdr));
	hdr.version = _LINUX_CAPABILITY_VERSION_3;
	if (syscall(SYS_capget, &hdr, cap) == -1)
		return "capget";
	for (i = 0; i < _LINUX_CAPABILITY_U32S_3 * 32; i++) {
		if (is_kept(i))
			continue;
		cap[i / 32].effective &= ~(1U << (i % 32));
		cap[i / 32].permitted &= ~(1U << (i % 32));
		cap[i / 32].inheritable &= ~(1U << (i % 32));
	}
	return syscall(SYS_capset, &hdr, cap) == -1 ? "capset" : NULL;
}

#endif

const char *
compat_master_rights(void)
{
	struct rlimit none = { 0, 0 };

	if (setrlimit(RLIMIT_CORE, &none) == -1)
		return "RLIMIT_CORE";
#ifdef __linux__
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		return "PR_SET_NO_NEW_PRIVS";
	/* Its memory holds the boot secret. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1)
		return "PR_SET_DUMPABLE";
	if (geteuid() == 0)
		return drop_capabilities();
#endif
	return NULL;
}
