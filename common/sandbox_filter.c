#ifdef __linux__

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>

#include <seccomp.h>

#include "common/compat/compat.h"
#include "common/log.h"
#include "common/sandbox_int.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL	8U
#endif

#define BIT(role)	(1U << (role))
#define W		BIT(ROLE_WORKER)
#define K		BIT(ROLE_KEYD)
#define D		BIT(ROLE_DBD)
#define P		BIT(ROLE_POLICYC)
#define WKD		(W | K | D)
#define ALL		(WKD | P)
#define MAX_TESTS	2

enum test_op {
	T_END,
	T_IS,			/* the argument is a */
	T_NOT,			/* it is not a */
	T_ONLY,			/* it has no bits but those of a */
	T_NONE,			/* it has none of the bits of a */
	T_FLAG,			/* without the bits of b it is a */
	T_PID			/* it is our own process id */
};

struct test {
	enum test_op	 op;
	unsigned int	 arg;
	uint64_t	 a;
	uint64_t	 b;
};

struct rule {
	const char	*call;
	unsigned int	 roles;
	struct test	 tests[MAX_TESTS];
};

#define ANY		{ { T_END, 0, 0, 0 }, { T_END, 0, 0, 0 } }
#define IS(n, a)	{ { T_IS, n, a, 0 }, { T_END, 0, 0, 0 } }
#define ONLY(n, a)	{ { T_ONLY, n, a, 0 }, { T_END, 0, 0, 0 } }
#define NONE(n, a)	{ { T_NONE, n, a, 0 }, { T_END, 0, 0, 0 } }
#define CMD(c)		IS(1, c)
#define OPTION(l, o)	{ { T_IS, 1, l, 0 }, { T_IS, 2, o, 0 } }

/*
 * What each role may call, and with what.  A call that stands here but not for
 * the role, or not with these arguments, gets EPERM.
 */
static const struct rule rules[] = {
	/* octets on descriptors that are open */
	{ "read", ALL, ANY },
	{ "readv", WKD, ANY },
	{ "pread64", WKD, ANY },
	{ "write", ALL, ANY },
	{ "writev", ALL, ANY },
	{ "close", ALL, ANY },
	{ "fstat", ALL, ANY },
	{ "lseek", WKD, ANY },
	{ "poll", ALL, ANY },
	{ "ppoll", ALL, ANY },
	{ "epoll_ctl", ALL, ANY },
	{ "epoll_wait", ALL, ANY },
	{ "epoll_pwait", ALL, ANY },
	{ "epoll_pwait2", ALL, ANY },
	{ "timerfd_settime", ALL, ANY },
	/* glibc's fstat(3): no path, so no file that is not open */
	{ "newfstatat", ALL, IS(3, AT_EMPTY_PATH) },
	{ "fcntl", ALL, CMD(F_GETFD) },
	{ "fcntl", ALL, CMD(F_SETFD) },
	{ "fcntl", ALL, CMD(F_GETFL) },
	{ "fcntl", WKD, CMD(F_GET_SEALS) },
	{ "fcntl", ALL, { { T_IS, 1, F_SETFL, 0 },
	    { T_FLAG, 2, O_NONBLOCK, O_RDWR } } },
	/* links hand descriptors down; only dbd hands any on: snapshots */
	{ "recvmsg", WKD, ANY },
	{ "sendmsg", D, ANY },

	/* clients, and for dbd the control socket */
	{ "accept4", W | D, ANY },
	{ "getsockname", W | D, ANY },
	{ "getpeername", W | D, ANY },
	{ "recvfrom", W, ANY },
	/* a destination or MSG_FASTOPEN would connect us to anywhere */
	{ "sendto", W, { { T_ONLY, 3, MSG_NOSIGNAL | MSG_DONTWAIT | MSG_MORE,
	    0 }, { T_IS, 4, 0, 0 } } },
	{ "setsockopt", W, OPTION(SOL_SOCKET, SO_SNDBUF) },
	{ "setsockopt", W, OPTION(SOL_SOCKET, SO_RCVBUF) },
	{ "setsockopt", W, OPTION(SOL_SOCKET, SO_KEEPALIVE) },
	{ "setsockopt", W, OPTION(SOL_SOCKET, SO_LINGER) },
	{ "setsockopt", W, OPTION(IPPROTO_TCP, TCP_NODELAY) },
	{ "setsockopt", W, OPTION(IPPROTO_TCP, TCP_NOTSENT_LOWAT) },
	{ "setsockopt", W, OPTION(IPPROTO_TCP, TCP_USER_TIMEOUT) },
	{ "setsockopt", W, OPTION(IPPROTO_TCP, TCP_KEEPIDLE) },
	{ "setsockopt", W, OPTION(IPPROTO_TCP, TCP_KEEPINTVL) },
	{ "setsockopt", W, OPTION(IPPROTO_TCP, TCP_KEEPCNT) },
	{ "getsockopt", W | D, OPTION(SOL_SOCKET, SO_ERROR) },
	{ "getsockopt", W, OPTION(SOL_SOCKET, SO_SNDBUF) },
	{ "getsockopt", W, OPTION(IPPROTO_TCP, TCP_INFO) },
	{ "getsockopt", D, OPTION(SOL_SOCKET, SO_PEERCRED) },

	/* keyd writes the key that it made into the file it was given */
	{ "fsync", K | D, ANY },

	/* dbd: the database and its journals, in its folder alone */
	{ "open", D, ANY },
	{ "openat", D, ANY },
	{ "unlink", D, ANY },
	{ "unlinkat", D, ANY },
	{ "rename", D, ANY },
	{ "renameat", D, ANY },
	{ "renameat2", D, ANY },
	{ "access", D, ANY },
	{ "faccessat", D, ANY },
	{ "faccessat2", D, ANY },
	{ "stat", D, ANY },
	{ "lstat", D, ANY },
	{ "newfstatat", D, { { T_NOT, 3, AT_EMPTY_PATH, 0 },
	    { T_END, 0, 0, 0 } } },
	{ "readlink", D, ANY },
	{ "readlinkat", D, ANY },
	{ "getcwd", D, ANY },
	{ "pwrite64", D, ANY },
	{ "fdatasync", D, ANY },
	{ "ftruncate", D, ANY },
	{ "fallocate", D, ANY },
	{ "fchmod", D, ANY },
	{ "fcntl", D, CMD(F_GETLK) },
	{ "fcntl", D, CMD(F_SETLK) },
	{ "fcntl", D, CMD(F_SETLKW) },
	{ "fcntl", D, CMD(F_OFD_SETLK) },
	{ "fcntl", D, CMD(F_OFD_SETLKW) },
	{ "fcntl", D, CMD(F_OFD_GETLK) },
	/* dbd: snapshots for workers */
	{ "fcntl", D, CMD(F_ADD_SEALS) },
	{ "memfd_create", D, ONLY(1, MFD_CLOEXEC | MFD_ALLOW_SEALING |
	    MFD_NOEXEC_SEAL) },

	/* memory, never to be executed */
	{ "brk", ALL, ANY },
	{ "mmap", ALL, NONE(2, PROT_EXEC) },
	{ "mprotect", ALL, NONE(2, PROT_EXEC) },
	{ "munmap", ALL, ANY },
	{ "mremap", ALL, ANY },
	{ "madvise", ALL, ANY },
	{ "mlock", WKD, ANY },
	{ "mlock2", WKD, ANY },
	{ "munlock", WKD, ANY },

	/* time, and what it is cheap to know of oneself */
	{ "clock_gettime", ALL, ANY },
	{ "clock_getres", ALL, ANY },
	{ "clock_nanosleep", WKD, ANY },
	{ "nanosleep", WKD, ANY },
	{ "gettimeofday", ALL, ANY },
	{ "time", ALL, ANY },
	{ "getrandom", ALL, ANY },
	{ "getpid", ALL, ANY },
	{ "getppid", ALL, ANY },
	{ "gettid", ALL, ANY },
	{ "getuid", ALL, ANY },
	{ "geteuid", ALL, ANY },
	{ "getgid", ALL, ANY },
	{ "getegid", ALL, ANY },
	{ "getrusage", ALL, ANY },
	{ "sysinfo", WKD, ANY },
	{ "uname", ALL, ANY },
	{ "sched_yield", ALL, ANY },
	/* getrlimit(2); a new limit would be the third argument */
	{ "prlimit64", ALL, { { T_IS, 0, 0, 0 }, { T_IS, 2, 0, 0 } } },

	/* signals to ourselves: abort(3) */
	{ "rt_sigaction", ALL, ANY },
	{ "rt_sigprocmask", ALL, ANY },
	{ "rt_sigreturn", ALL, ANY },
	{ "restart_syscall", ALL, ANY },
	{ "tgkill", ALL, { { T_PID, 0, 0, 0 }, { T_IS, 2, SIGABRT, 0 } } },

	{ "futex", ALL, ANY },
	{ "exit", ALL, ANY },
	{ "exit_group", ALL, ANY },
#ifdef SANDBOX_TEST_BUILD
	{ "open", ALL, ANY },
	{ "openat", ALL, ANY },
	{ "readlink", ALL, ANY },
	{ "readlinkat", ALL, ANY },
	{ "stat", ALL, ANY },
	{ "getcwd", ALL, ANY },
	{ "ioctl", ALL, ANY },
	{ "pipe", ALL, ANY },
	{ "pipe2", ALL, ANY },
	{ "prctl", ALL, ANY },
	{ "sched_getaffinity", ALL, ANY },
	{ "sigaltstack", ALL, ANY },
	{ "tgkill", ALL, { { T_PID, 0, 0, 0 }, { T_END, 0, 0, 0 } } },
#endif
};

/* EACCES unless the role is allowed them above: whatever takes a path. */
static const char *const files[] = {
	"access", "chdir", "chmod", "chown", "chroot", "creat", "faccessat",
	"faccessat2", "fchdir", "fchmodat", "fchownat", "futimesat",
	"inotify_add_watch", "lchown", "link", "linkat", "lstat", "mkdir",
	"mkdirat", "mknod", "mknodat", "mount", "name_to_handle_at", "open",
	"open_by_handle_at", "open_tree", "openat", "openat2", "pivot_root",
	"readlink", "readlinkat", "rename", "renameat", "renameat2", "rmdir",
	"stat", "statfs", "statx", "symlink", "symlinkat", "truncate",
	"umount2", "unlink", "unlinkat", "utime", "utimensat", "utimes"
};

/* No role and no library of ours has any use for these. */
static const char *const deadly[] = {
	"execve", "execveat", "io_uring_enter", "io_uring_register",
	"io_uring_setup", "process_vm_readv", "process_vm_writev", "ptrace"
};

/* EPERM rather than ENOSYS: refused, not missing. */
static const char *const refused[] = {
	"accept", "bind", "capset", "clone", "connect", "dup", "dup2", "dup3",
	"fchown", "fork", "ioctl", "kcmp", "kill", "listen", "mq_open",
	"pidfd_getfd", "pidfd_open", "pidfd_send_signal", "prctl",
	"process_madvise", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "sendmmsg",
	"setgid", "setgroups", "setns", "setregid", "setresgid", "setresuid",
	"setreuid", "setrlimit", "setsid", "setuid", "shutdown", "socket",
	"socketpair", "tkill", "unshare", "vfork"
};

#define NITEMS(a)	(sizeof(a) / sizeof((a)[0]))

#ifdef SANDBOX_TEST_BUILD
int	__lsan_is_turned_off(void);

static bool entered;

/* The leak check traces its process from another one, which none here can. */
int
__lsan_is_turned_off(void)
{
	return entered;
}
#endif

/* The number of a call, or __NR_SCMP_ERROR if libseccomp has no such name. */
static int
number(const char *call)
{
	return seccomp_syscall_resolve_name(call);
}

static struct scmp_arg_cmp
compare(const struct test *t)
{
	struct scmp_arg_cmp c;

	memset(&c, 0, sizeof(c));
	c.arg = t->arg;
	c.op = SCMP_CMP_MASKED_EQ;
	switch (t->op) {
	case T_IS:
	case T_PID:
		c.op = SCMP_CMP_EQ;
		c.datum_a = t->op == T_IS ? t->a : (uint64_t)getpid();
		break;
	case T_NOT:
		c.op = SCMP_CMP_NE;
		c.datum_a = t->a;
		break;
	case T_ONLY:		/* the kernel looks at 32 bits of flags */
		c.datum_a = (uint32_t)~t->a;
		break;
	case T_NONE:
		c.datum_a = t->a;
		break;
	case T_FLAG:
		c.datum_a = ~t->b;
		c.datum_b = t->a;
		break;
	case T_END:
		fatalx("sandbox: no test");
	}
	return c;
}

/* Adds a call to a filter; one that this architecture lacks needs none. */
static void
add(scmp_filter_ctx f, uint32_t action, const char *call,
    const struct test *tests)
{
	struct scmp_arg_cmp cmp[MAX_TESTS];
	unsigned int n = 0;
	int nr, rc;

	if ((nr = number(call)) == __NR_SCMP_ERROR)
		return;
	while (tests != NULL && n < MAX_TESTS && tests[n].op != T_END) {
		cmp[n] = compare(&tests[n]);
		n++;
	}
	rc = seccomp_rule_add_array(f, action, nr, n, cmp);
	if (rc != 0 && rc != -EEXIST) {
		errno = -rc;
		fatal("sandbox: rule for %s", call);
	}
}

static scmp_filter_ctx
begin(uint32_t otherwise)
{
	scmp_filter_ctx f;

	/* no_new_privs is set; the second load could not do it again. */
	if ((f = seccomp_init(otherwise)) == NULL ||
	    seccomp_attr_set(f, SCMP_FLTATR_CTL_NNP, 0) != 0 ||
	    seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2) != 0 ||
	    seccomp_attr_set(f, SCMP_FLTATR_ACT_BADARCH,
	    SCMP_ACT_KILL_PROCESS) != 0)
		fatalx("sandbox: filter cannot be made");
	return f;
}

static void
load(scmp_filter_ctx f)
{
	int rc;

	if ((rc = seccomp_load(f)) != 0) {
		errno = -rc;
		fatal("sandbox: filter cannot be loaded");
	}
	seccomp_release(f);
}

static bool
role_has(const char *call, unsigned int bit)
{
	size_t i;

	for (i = 0; i < NITEMS(rules); i++)
		if ((rules[i].roles & bit) != 0 &&
		    strcmp(rules[i].call, call) == 0)
			return true;
	return false;
}

/* What the role may do; EPERM for all else, EACCES for files. */
static scmp_filter_ctx
make_inner(unsigned int bit)
{
	static const struct test path = { T_NOT, 3, AT_EMPTY_PATH, 0 };
	struct test tests[MAX_TESTS];
	scmp_filter_ctx f;
	size_t i;

	f = begin(SCMP_ACT_ERRNO(EPERM));
	for (i = 0; i < NITEMS(rules); i++)
		if ((rules[i].roles & bit) != 0)
			add(f, SCMP_ACT_ALLOW, rules[i].call, rules[i].tests);
	for (i = 0; i < NITEMS(files); i++)
		if (!role_has(files[i], bit))
			add(f, SCMP_ACT_ERRNO(EACCES), files[i], NULL);
	if ((bit & D) == 0) {
		memset(tests, 0, sizeof(tests));
		tests[0] = path;
		add(f, SCMP_ACT_ERRNO(EACCES), "newfstatat", tests);
	}
	for (i = 0; i < NITEMS(deadly); i++)
		add(f, SCMP_ACT_KILL_PROCESS, deadly[i], NULL);
	add(f, SCMP_ACT_ALLOW, "seccomp", NULL);	/* for the outer one */
	return f;
}

/*
 * Lets every call pass that we have an opinion on; ENOSYS for the others, so
 * that a library takes its older way.  Of two equal verdicts the kernel takes
 * that of the filter loaded last.  The inner one alone cannot say it, since a
 * filter has one verdict for all that no rule names.
 */
static scmp_filter_ctx
make_outer(void)
{
	scmp_filter_ctx f;
	size_t i;

	f = begin(SCMP_ACT_ERRNO(ENOSYS));
	for (i = 0; i < NITEMS(rules); i++)
		add(f, SCMP_ACT_ALLOW, rules[i].call, NULL);
	for (i = 0; i < NITEMS(files); i++)
		add(f, SCMP_ACT_ALLOW, files[i], NULL);
	for (i = 0; i < NITEMS(deadly); i++)
		add(f, SCMP_ACT_ALLOW, deadly[i], NULL);
	for (i = 0; i < NITEMS(refused); i++)
		add(f, SCMP_ACT_ALLOW, refused[i], NULL);
	return f;
}

void
sandbox_filter(enum role role)
{
	scmp_filter_ctx inner, outer;

	if ((BIT(role) & ALL) == 0)
		fatalx("sandbox: no rights are written down for %s",
		    role_name(role));
#ifdef SANDBOX_TEST_BUILD
	log_warnx("sandbox: open for AddressSanitizer, do not use this build");
	entered = true;
#endif
	inner = make_inner(BIT(role));
	outer = make_outer();
	load(inner);
	load(outer);
}

#endif
