#ifdef __linux__

/*
 * What each role may call.  The build makes programs for the kernel of it
 * (sandbox_gen.c); no daemon has the maker of programs in it.
 */

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
#include "common/sandbox_int.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL	8U
#endif

#define BIT(role)	(1U << (role))
#define W		BIT(ROLE_WORKER)
#define K		BIT(ROLE_KEYD)
#define D		BIT(ROLE_DBD)
#define P		BIT(ROLE_POLICYC)
#define S		BIT(ROLE_STUN)
#define O		BIT(ROLE_OUT)
#define WKD		(W | K | D)
#define ALL		(WKD | P | O)
#define EACH		(ALL | S)	/* what no process does without */
#define MAX_TESTS	3

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
#define SOCKET(f, t)	{ { T_IS, 0, f, 0 }, \
	{ T_FLAG, 1, t, SOCK_NONBLOCK | SOCK_CLOEXEC }, { T_IS, 2, 0, 0 } }

/*
 * What each role may call, and with what.  A call that stands here but not for
 * the role, or not with these arguments, gets EPERM.
 */
static const struct rule rules[] = {
	/* octets on descriptors that are open */
	{ "read", EACH, ANY },
	{ "readv", WKD, ANY },
	{ "pread64", WKD, ANY },
	{ "write", EACH, ANY },
	{ "writev", EACH, ANY },
	{ "close", EACH, ANY },
	{ "fstat", ALL, ANY },
	{ "lseek", WKD, ANY },
	{ "poll", EACH, ANY },
	{ "ppoll", EACH, ANY },
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
	{ "recvmsg", WKD | S | O, ANY },
	/* stun: an answer, which says where it goes and whence */
	{ "sendmsg", D | S, ANY },

	/* clients, and for dbd the control socket */
	{ "accept4", W | D, ANY },
	{ "getsockname", W | D | O, ANY },
	{ "getpeername", W | D | O, ANY },
	{ "recvfrom", W | O, ANY },
	/* a destination or MSG_FASTOPEN would connect us to anywhere */
	{ "sendto", W | O, { { T_ONLY, 3,
	    MSG_NOSIGNAL | MSG_DONTWAIT | MSG_MORE, 0 },
	    { T_IS, 4, 0, 0 } } },
	{ "setsockopt", W, OPTION(SOL_SOCKET, SO_SNDBUF) },
	{ "setsockopt", W, OPTION(SOL_SOCKET, SO_RCVBUF) },
	{ "setsockopt", W, OPTION(SOL_SOCKET, SO_KEEPALIVE) },
	{ "setsockopt", W, OPTION(SOL_SOCKET, SO_LINGER) },
	{ "setsockopt", W | O, OPTION(IPPROTO_TCP, TCP_NODELAY) },
	{ "setsockopt", W, OPTION(IPPROTO_TCP, TCP_NOTSENT_LOWAT) },
	{ "setsockopt", W, OPTION(IPPROTO_TCP, TCP_USER_TIMEOUT) },
	{ "setsockopt", W, OPTION(IPPROTO_TCP, TCP_KEEPIDLE) },
	{ "setsockopt", W, OPTION(IPPROTO_TCP, TCP_KEEPINTVL) },
	{ "setsockopt", W, OPTION(IPPROTO_TCP, TCP_KEEPCNT) },
	{ "getsockopt", W | D | O, OPTION(SOL_SOCKET, SO_ERROR) },
	{ "getsockopt", W, OPTION(SOL_SOCKET, SO_SNDBUF) },
	{ "getsockopt", W, OPTION(IPPROTO_TCP, TCP_INFO) },
	{ "getsockopt", D, OPTION(SOL_SOCKET, SO_PEERCRED) },

	/* out: to servers and resolvers; which ones it decides itself */
	{ "socket", O, SOCKET(AF_INET, SOCK_STREAM) },
	{ "socket", O, SOCKET(AF_INET, SOCK_DGRAM) },
	{ "socket", O, SOCKET(AF_INET6, SOCK_STREAM) },
	{ "socket", O, SOCKET(AF_INET6, SOCK_DGRAM) },
	{ "connect", O, ANY },
	/* out: its three files, renewed by master, are only read */
	{ "openat", O, ONLY(2, O_CLOEXEC | O_LARGEFILE) },

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
	{ "brk", EACH, ANY },
	{ "mmap", EACH, NONE(2, PROT_EXEC) },
	{ "mprotect", EACH, NONE(2, PROT_EXEC) },
	{ "munmap", EACH, ANY },
	{ "mremap", EACH, ANY },
	{ "madvise", EACH, ANY },
	{ "mlock", WKD, ANY },
	{ "mlock2", WKD, ANY },
	{ "munlock", WKD, ANY },

	/* time, and what it is cheap to know of oneself */
	{ "clock_gettime", EACH, ANY },
	{ "clock_getres", EACH, ANY },
	{ "clock_nanosleep", WKD, ANY },
	{ "nanosleep", WKD, ANY },
	{ "gettimeofday", EACH, ANY },
	{ "time", EACH, ANY },
	{ "getrandom", EACH, ANY },
	{ "getpid", EACH, ANY },
	{ "getppid", ALL, ANY },
	{ "gettid", EACH, ANY },
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
	{ "rt_sigaction", EACH, ANY },
	{ "rt_sigprocmask", EACH, ANY },
	{ "rt_sigreturn", EACH, ANY },
	{ "restart_syscall", EACH, ANY },
	{ "tgkill", EACH, { { T_PID, 0, 0, 0 }, { T_IS, 2, SIGABRT, 0 } } },

	{ "futex", EACH, ANY },
	{ "exit", EACH, ANY },
	{ "exit_group", EACH, ANY },
#ifdef SANDBOX_TEST_BUILD
	{ "open", EACH, ANY },
	{ "openat", EACH, ANY },
	{ "readlink", EACH, ANY },
	{ "readlinkat", EACH, ANY },
	{ "stat", EACH, ANY },
	{ "getcwd", EACH, ANY },
	{ "ioctl", EACH, ANY },
	{ "pipe", EACH, ANY },
	{ "pipe2", EACH, ANY },
	{ "prctl", EACH, ANY },
	{ "sched_getaffinity", EACH, ANY },
	{ "sigaltstack", EACH, ANY },
	{ "tgkill", EACH, { { T_PID, 0, 0, 0 }, { T_END, 0, 0, 0 } } },
#endif
};

/*
 * What is left once it has started.  The clock, since not every machine tells
 * the time without a call; restart_syscall ends what poll was asked when
 * somebody stopped the process for a while.
 */
static const struct rule started[] = {
	{ "poll", S, ANY },
	{ "ppoll", S, ANY },
	{ "recvmsg", S, ANY },
	{ "sendmsg", S, ANY },
	{ "read", S, ANY },
	{ "write", S, ANY },
	/* a socket whose address a reload took away */
	{ "close", S, ANY },
	{ "clock_gettime", S, ANY },
	{ "gettimeofday", S, ANY },
	{ "time", S, ANY },
	{ "restart_syscall", S, ANY },
	{ "exit", S, ANY },
	{ "exit_group", S, ANY },
#ifndef __GLIBC__	/* where no heap can be set aside */
	{ "brk", S, ANY },
	{ "mmap", S, NONE(2, PROT_EXEC) },
	{ "munmap", S, ANY },
	{ "mremap", S, ANY },
	{ "madvise", S, ANY },
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

/* What went wrong first. */
static const char *fault;

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
		c.datum_a = t->op == T_IS ? t->a : SANDBOX_PID;
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
		break;
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
	if (rc != 0 && rc != -EEXIST && fault == NULL)
		fault = call;
}

static scmp_filter_ctx
begin(uint32_t otherwise)
{
	scmp_filter_ctx f;

	if ((f = seccomp_init(otherwise)) == NULL)
		return NULL;
	if (seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2) == 0 &&
	    seccomp_attr_set(f, SCMP_FLTATR_ACT_BADARCH,
	    SCMP_ACT_KILL_PROCESS) == 0)
		return f;
	seccomp_release(f);
	return NULL;
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

	if ((f = begin(SCMP_ACT_ERRNO(EPERM))) == NULL)
		return NULL;
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
make_outer(bool more)
{
	scmp_filter_ctx f;
	size_t i;

	if ((f = begin(SCMP_ACT_ERRNO(ENOSYS))) == NULL)
		return NULL;
	for (i = 0; i < NITEMS(rules); i++)
		add(f, SCMP_ACT_ALLOW, rules[i].call, NULL);
	for (i = 0; i < NITEMS(files); i++)
		add(f, SCMP_ACT_ALLOW, files[i], NULL);
	for (i = 0; i < NITEMS(deadly); i++)
		add(f, SCMP_ACT_ALLOW, deadly[i], NULL);
	for (i = 0; i < NITEMS(refused); i++)
		add(f, SCMP_ACT_ALLOW, refused[i], NULL);
	if (more)
		add(f, SCMP_ACT_ALLOW, "seccomp", NULL);
	return f;
}

static bool
is_narrowed(unsigned int bit)
{
	size_t i;

	for (i = 0; i < NITEMS(started); i++)
		if ((started[i].roles & bit) != 0)
			return true;
	return false;
}

/* Loaded on top of the two others, whose verdicts of death it leaves. */
static scmp_filter_ctx
make_started(unsigned int bit)
{
	scmp_filter_ctx f;
	size_t i;

	if ((f = begin(SCMP_ACT_ERRNO(EPERM))) == NULL)
		return NULL;
	for (i = 0; i < NITEMS(started); i++)
		if ((started[i].roles & bit) != 0)
			add(f, SCMP_ACT_ALLOW, started[i].call,
			    started[i].tests);
#ifdef __GLIBC__
	/*
	 * What brk(2) returns is an address, so that an error looks like one
	 * to glibc, very high up, and it would write there; 0 is too low.
	 */
	add(f, SCMP_ACT_ERRNO(0), "brk", NULL);
#endif
	return f;
}

static scmp_filter_ctx
make(enum sandbox_part part, enum role role)
{
	if (part == PART_ROLE)
		return make_inner(BIT(role));
	if (part == PART_OUTER)
		return make_outer(role != ROLE_NONE);
	return make_started(BIT(role));
}

static bool
is_made(enum sandbox_part part, enum role role)
{
	if (part == PART_ROLE)
		return (BIT(role) & EACH) != 0;
	if (part == PART_OUTER && role == ROLE_NONE)
		return true;
	return is_narrowed(BIT(role));
}

int
sandbox_export(enum sandbox_part part, enum role role, int fd,
    const char **why)
{
	scmp_filter_ctx f;
	int rc = -1;

	fault = NULL;
	if (!is_made(part, role))
		return 0;
	f = make(part, role);
	*why = fault;
	if (f != NULL && fault == NULL)
		rc = seccomp_export_bpf(f, fd);
	if (f != NULL)
		seccomp_release(f);
	return rc == 0 ? 0 : -1;
}

#endif
