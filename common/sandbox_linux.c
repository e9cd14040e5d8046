#ifdef __linux__

#include <sys/prctl.h>
#include <sys/syscall.h>
#include <linux/capability.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>

#include "common/compat/compat.h"
#include "common/log.h"
#include "common/sandbox.h"
#include "common/sandbox_int.h"

/*
 * Landlock by numbers: the headers of the system on which we are built say
 * nothing of the kernel on which we run.
 */
#define LL_CREATE		444
#define LL_ADD_RULE		445
#define LL_RESTRICT_SELF	446
#define LL_VERSION		1U
#define LL_PATH_BENEATH		1

#define FS_WRITE_FILE		(UINT64_C(1) << 1)
#define FS_READ_FILE		(UINT64_C(1) << 2)
#define FS_READ_DIR		(UINT64_C(1) << 3)
#define FS_REMOVE_FILE		(UINT64_C(1) << 5)
#define FS_MAKE_REG		(UINT64_C(1) << 8)
#define FS_TRUNCATE		(UINT64_C(1) << 14)
#define FS_ALL_1		((UINT64_C(1) << 13) - 1)
#define FS_ALL_2		((UINT64_C(1) << 14) - 1)	/* + refer */
#define FS_ALL_3		((UINT64_C(1) << 15) - 1)	/* + truncate */
#define FS_ALL_5		((UINT64_C(1) << 16) - 1)	/* + ioctl */
#define NET_BIND_4		UINT64_C(1)	/* TCP */
#define NET_ALL_4		UINT64_C(3)	/* and connect */
#define SCOPE_ALL_6		UINT64_C(3)	/* abstract sockets, signals */

struct ll_ruleset {
	uint64_t	 fs;
	uint64_t	 net;		/* from ABI 4 on */
	uint64_t	 scope;		/* from ABI 6 on */
};

struct ll_beneath {
	uint64_t	 allowed;
	int32_t		 fd;
} __attribute__((__packed__));

/* The kernel's own record of what a process could still do as root. */
static void
drop_capabilities(void)
{
	struct __user_cap_header_struct hdr;
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3];
	size_t i;

	memset(&hdr, 0, sizeof(hdr));
	hdr.version = _LINUX_CAPABILITY_VERSION_3;
	memset(none, 0, sizeof(none));
	/* An unprivileged master may have been given some. */
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == -1 &&
	    errno != EINVAL)
		fatal("ambient capabilities");
	if (syscall(SYS_capset, &hdr, none) == -1)
		fatal("capset");
	memset(none, 0xff, sizeof(none));
	if (syscall(SYS_capget, &hdr, none) == -1)
		fatal("capget");
	for (i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
		if ((none[i].effective | none[i].permitted |
		    none[i].inheritable) != 0)
			fatalx("capabilities came back");
}

/*
 * After the change of user, which resets both: nobody traces us or reads our
 * memory, and we do not outlive master, even if it ends right now.
 */
static void
bind_to_master(void)
{
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1 ||
	    prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0)
		fatal("PR_SET_DUMPABLE");
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == -1)
		fatal("PR_SET_PDEATHSIG");
	if (getppid() != sandbox_parent())
		exit(0);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1 ||
	    prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		fatal("PR_SET_NO_NEW_PRIVS");
}

static uint64_t
ll_fs(long abi)
{
	if (abi >= 5)
		return FS_ALL_5;
	if (abi >= 3)
		return FS_ALL_3;
	return abi >= 2 ? FS_ALL_2 : FS_ALL_1;
}

static void
ll_allow(int ruleset, const char *dir, uint64_t allowed)
{
	struct ll_beneath rule;

	memset(&rule, 0, sizeof(rule));
	rule.allowed = allowed;
	rule.fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (rule.fd == -1)
		fatal("%s", dir);
	if (syscall(LL_ADD_RULE, ruleset, LL_PATH_BENEATH, &rule, 0) == -1)
		fatal("landlock_add_rule %s", dir);
	(void)close(rule.fd);
}

/*
 * No file but in dbd's own folder, and to be read in out's, no bind, nor
 * connect but for out, no abstract socket and no signal to anybody outside.
 * seccomp says the same by itself, but for where out's files are.
 */
static void
landlock(const struct sandbox_conf *conf)
{
	struct ll_ruleset all;
	long abi, fd;

	abi = syscall(LL_CREATE, NULL, 0, LL_VERSION);
	if (abi < 1) {
		log_info("no landlock in this kernel: seccomp alone keeps "
		    "files away");
		return;
	}
	all.fs = ll_fs(abi);
	all.net = abi >= 4 ? NET_ALL_4 : 0;
	if (abi >= 4 && conf->role == ROLE_OUT)
		all.net = NET_BIND_4;
	all.scope = abi >= 6 ? SCOPE_ALL_6 : 0;
	if (abi < 6)
		log_info("landlock abi=%ld: seccomp alone keeps %ssignals away",
		    abi, abi < 4 ? "connect and " : "");
	/* An older kernel takes a longer struct whose rest is zero. */
	if ((fd = syscall(LL_CREATE, &all, sizeof(all), 0)) == -1)
		fatal("landlock_create_ruleset");
	if (conf->role == ROLE_DBD)
		ll_allow((int)fd, sandbox_folder(conf), all.fs & (FS_READ_FILE |
		    FS_WRITE_FILE | FS_READ_DIR | FS_REMOVE_FILE |
		    FS_MAKE_REG | FS_TRUNCATE));
	if (conf->role == ROLE_OUT)
		ll_allow((int)fd, sandbox_folder(conf), FS_READ_FILE);
	if (syscall(LL_RESTRICT_SELF, (int)fd, 0) == -1)
		fatal("landlock_restrict_self");
	(void)close((int)fd);
}

void
sandbox_enter(const struct sandbox_conf *conf)
{
	sandbox_drop(conf);
	drop_capabilities();
	sandbox_prove(conf);
	bind_to_master();
	landlock(conf);
	sandbox_filter(conf->role);
}

#endif
