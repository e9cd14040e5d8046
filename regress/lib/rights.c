#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <err.h>
#include <linux/filter.h>
#include <netinet/tcp.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>

#include <seccomp.h>
#include <sqlite3.h>

#include "common/compat/compat.h"
#include "common/ev.h"
#include "common/memfd.h"
#include "common/sandbox.h"
#include "regress/lib/rights.h"

static struct ev *loop, *poll_loop;
static struct timer wake;
static int sealed = -1;

int
rights_number(const char *call)
{
	return seccomp_syscall_resolve_name(call);
}

/* Other machines' ways in. */

static bool
is_x86_64(void)
{
	struct utsname u;

	return uname(&u) == 0 && strcmp(u.machine, "x86_64") == 0;
}

/* getpid() as a 32-bit program says it. */
long
rights_foreign_code(void)
{
	static const unsigned char code[] = {
		0xb8, 0x14, 0x00, 0x00, 0x00,	/* mov $20, %eax */
		0xcd, 0x80,			/* int $0x80 */
		0xc3				/* ret */
	};
	void *p;

	if (!is_x86_64())
		return 0;
	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
	    MAP_PRIVATE | MAP_ANON, -1, 0);
	if (p == MAP_FAILED)
		return 0;
	memcpy(p, code, sizeof(code));
	return (long)p;
}

static long
run_code(long at)
{
	long (*f)(void);

	memcpy(&f, &at, sizeof(f));
	return f();
}

/* The kernel may have been built, or started, without 32-bit calls. */
static bool
has_int80(void)
{
	static int known = -1;
	int status;
	long at;
	pid_t pid;

	if (known != -1)
		return known == 1;
	known = 0;
	if ((at = rights_foreign_code()) == 0)
		return false;
	if ((pid = fork()) == 0)
		_exit(run_code(at) > 0 ? 0 : 1);
	if (pid != -1 && waitpid(pid, &status, 0) == pid && status == 0)
		known = 1;
	return known == 1;
}

static long
int80(const struct world *w, enum role role, bool drop)
{
	(void)role;
	(void)drop;
	return run_code(w->v[V_CODE]) < 0 ? -1 : 0;
}

static long
x32(const struct world *w, enum role role, bool drop)
{
	(void)w;
	(void)role;
	(void)drop;
	return syscall(0x40000000L | rights_number("getpid")) == -1 ? -1 : 0;
}

/* The rest of trust.md 7. */

static void
session_before(struct world *w)
{
	(void)w;
	if (getsid(0) != getpid())
		errx(1, "no session of its own");
}

static long
descriptors(const struct world *w, enum role role, bool drop)
{
	struct stat st;
	int fd;

	(void)w;
	(void)role;
	(void)drop;
	for (fd = 0; fd < 2; fd++)
		if (fstat(fd, &st) == -1 || st.st_rdev != makedev(1, 3))
			return -1;
	/* the first one is taken again by what the try needs */
	if (fcntl(RIGHTS_STRAY_2, F_GETFD) != -1 || errno != EBADF)
		return -1;
	return fstat(RIGHTS_STRAY_1, &st) == 0 && S_ISSOCK(st.st_mode) ? 0 :
	    -1;
}

static bool
limit_is(int what, rlim_t n)
{
	struct rlimit rl;

	return getrlimit(what, &rl) == 0 && rl.rlim_cur == n &&
	    rl.rlim_max == n;
}

static long
limits(const struct world *w, enum role role, bool drop)
{
	struct rlimit rl;
	bool good;

	(void)w;
	good = limit_is(RLIMIT_CORE, 0) &&
	    getrlimit(RLIMIT_NOFILE, &rl) == 0 && rl.rlim_cur == rl.rlim_max;
	if (drop)
		good = good && limit_is(RLIMIT_NPROC, 0);
	if (role == ROLE_WORKER || role == ROLE_POLICYC || role == ROLE_OUT)
		good = good && limit_is(RLIMIT_FSIZE, 0);
	else if (role == ROLE_KEYD)
		good = good && limit_is(RLIMIT_FSIZE, 4096);
	if (role == ROLE_POLICYC)
		good = good && limit_is(RLIMIT_CPU, 30) &&
		    limit_is(RLIMIT_DATA, 512 * 1024 * 1024);
	errno = ERANGE;
	return good ? 0 : -1;
}

static long
long_file(const struct world *w, enum role role, bool drop)
{
	(void)role;
	(void)drop;
	if (lseek((int)w->v[V_FILE], 8192, SEEK_SET) == -1)
		return -1;
	return write((int)w->v[V_FILE], w->buf, 1) == 1 ? 0 : -1;
}

static void
log_file_before(struct world *w)
{
	if (dup2((int)w->v[V_FILE], STDERR_FILENO) == -1)
		err(1, "dup2");
}

static long
log_file(const struct world *w, enum role role, bool drop)
{
	(void)role;
	(void)drop;
	return write(STDERR_FILENO, w->buf, 1) == 1 ? 0 : -1;
}

static void
on_wake(void *arg)
{
	(void)arg;
	ev_stop(loop);
}

static void
loop_before(struct world *w)
{
	(void)w;
	loop = ev_new();
	poll_loop = ev_new_poll();
}

/* What every process lives on: memory, random numbers, time, its loop. */
static long
life(const struct world *w, enum role role, bool drop)
{
	unsigned char octets[64];
	void *p;
	int i;

	(void)w;
	(void)drop;
	if (role == ROLE_STUN)
		loop = poll_loop;
	timer_init(&wake, ev_env(loop), on_wake, NULL);
	for (i = 0; i < 100; i++) {
		p = xmalloc(200000);
		memset(p, i, 200000);
		p = xrealloc(p, 3, 200000);
		free(p);
	}
	env_random(ev_env(loop), octets, sizeof(octets));
	timer_in(&wake, 10 * US_PER_MS);
	ev_run(loop, NULL, NULL);
	return 0;
}

static void
snapshot_before(struct world *w)
{
	sealed = memfd_make("snapshot", w->buf, sizeof(w->buf));
	if (sealed == -1)
		err(1, "memfd_make");
}

static long
take_snapshot(const struct world *w, enum role role, bool drop)
{
	const void *p;

	(void)role;
	(void)drop;
	if ((p = memfd_map(sealed, sizeof(w->buf))) == NULL)
		return -1;
	memfd_unmap(p, sizeof(w->buf));
	return close(sealed);
}

static long
make_snapshot(const struct world *w, enum role role, bool drop)
{
	(void)role;
	(void)drop;
	if ((sealed = memfd_make("snapshot", w->buf, sizeof(w->buf))) == -1)
		return -1;
	return memfd_check(sealed, sizeof(w->buf)) ? 0 : -1;
}

/* A database as dbd keeps it, and the copy that a migration makes. */
static long
database(const struct world *w, enum role role, bool drop)
{
	sqlite3 *db = NULL, *copy = NULL;
	sqlite3_backup *b;
	long rc = -1;

	(void)role;
	(void)drop;
	if (sqlite3_open(w->own, &db) != SQLITE_OK ||
	    sqlite3_exec(db, "PRAGMA locking_mode = EXCLUSIVE;"
	    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
	    "BEGIN; CREATE TABLE t (v BLOB) STRICT;"
	    "INSERT INTO t VALUES (randomblob(1000000)); COMMIT;"
	    "PRAGMA wal_checkpoint(TRUNCATE); DELETE FROM t; VACUUM",
	    NULL, NULL, NULL) != SQLITE_OK)
		goto out;
	if (sqlite3_open(w->copy, &copy) != SQLITE_OK ||
	    (b = sqlite3_backup_init(copy, "main", db, "main")) == NULL)
		goto out;
	(void)sqlite3_backup_step(b, -1);
	if (sqlite3_backup_finish(b) == SQLITE_OK)
		rc = 0;
 out:
	if (sqlite3_close(copy) != SQLITE_OK || sqlite3_close(db) != SQLITE_OK)
		rc = -1;
	errno = EIO;
	return rc;
}

#define TRY(call, note, want, also, ...) \
	{ call, note, want, also, { __VA_ARGS__ }, NULL, NULL, NULL }
#define CHECK(note, want, before, fn, applies) \
	{ NULL, note, want, 0, { 0 }, before, fn, applies }

static const struct row rows[] = {
	/* octets on open descriptors */
	TRY("write", "to a socket", "yyyyyy", 0, V(V_TCP), V(V_BUF), 1),
	TRY("ppoll", "", "yyyyyy", 0, 0, 0, V(V_SPEC), 0, 8),
	TRY("epoll_wait", "", "yyyypy", EINVAL, V(V_FILE), V(V_BUF), 1, 0),
	TRY("fstat", "", "yyyypy", 0, V(V_FILE), V(V_BUF)),
	TRY("clock_nanosleep", "", "yyyppp", 0, 1, 0, V(V_SPEC), 0),
	TRY("writev", "", "yyyyyy", 0, V(V_TCP), V(V_IOV), 1),
	TRY("read", "", "yyyyyy", 0, V(V_UNIX), V(V_BUF), 1),
	TRY("pread64", "", "yyyppp", 0, V(V_FILE), V(V_BUF), 1),
	TRY("recvmsg", "", "yyypyy", 0, V(V_UNIX), V(V_MSG)),
	TRY("write", "to a file", "fyyfff", 0, V(V_FILE), V(V_BUF), 1),
	TRY("newfstatat", "without a path", "yyyypy", 0, V(V_FILE), V(V_EMPTY),
	    V(V_BUF), AT_EMPTY_PATH),
	TRY("close", "", "yyyyyy", 0, V(V_FILE)),
	TRY("fcntl", "F_GETFL", "yyyypy", 0, V(V_TCP), F_GETFL),
	TRY("fcntl", "F_GET_SEALS", "yyyppp", 0, V(V_MEMFD), 1034),
	TRY("fcntl", "F_SETFL O_NONBLOCK", "yyyypy", 0, V(V_TCP), F_SETFL,
	    O_NONBLOCK),
	TRY("fcntl", "F_SETFL O_RDWR | O_NONBLOCK", "yyyypy", 0, V(V_TCP),
	    F_SETFL, O_RDWR | O_NONBLOCK),
	TRY("fcntl", "F_SETFL blocking", "pppppp", 0, V(V_TCP), F_SETFL, 0),
	TRY("fcntl", "F_SETFL O_ASYNC", "pppppp", 0, V(V_TCP), F_SETFL,
	    O_NONBLOCK | O_ASYNC),
	TRY("fcntl", "F_SETFL O_APPEND", "pppppp", 0, V(V_FILE), F_SETFL,
	    O_NONBLOCK | O_APPEND),
	TRY("fcntl", "F_SETFL with a high bit", "pppppp", 0, V(V_TCP), F_SETFL,
	    O_NONBLOCK | 1L << 40),
	TRY("fcntl", "F_SETOWN", "pppppp", 0, V(V_TCP), F_SETOWN, V(V_PARENT)),
	TRY("fcntl", "F_SETSIG", "pppppp", 0, V(V_TCP), F_SETSIG, SIGTERM),
	TRY("fcntl", "F_SETLEASE", "pppppp", 0, V(V_FILE), F_SETLEASE, F_RDLCK),
	TRY("fcntl", "F_NOTIFY", "pppppp", 0, V(V_FILE), F_NOTIFY, 1),
	TRY("fcntl", "F_DUPFD", "pppppp", 0, V(V_FILE), F_DUPFD, 0),
	TRY("fcntl", "F_SETOWN with a high bit", "pppppp", 0, V(V_TCP),
	    F_SETOWN | 1L << 32, V(V_PARENT)),
	TRY("fcntl", "F_SETPIPE_SZ", "pppppp", 0, V(V_UNIX), F_SETPIPE_SZ,
	    4096),
	TRY("fcntl", "F_ADD_SEALS", "ppyppp", 0, V(V_MEMFD), 1033, 1),
	TRY("ioctl", "FIONREAD", "pppppp", 0, V(V_TCP), 0x541b, V(V_BUF)),
	TRY("ioctl", "TIOCSTI", "pppppp", 0, 0, 0x5412, V(V_BUF)),
	TRY("ioctl", "SIOCGIFCONF", "pppppp", 0, V(V_UDP), 0x8912, V(V_BUF)),
	TRY("dup2", "", "pppppp", 0, V(V_TCP), 1),
	/* sockets */
	TRY("accept4", "a client", "ypyppp", 0, V(V_LISTEN), 0, 0,
	    SOCK_NONBLOCK),
	TRY("accept", "", "pppppp", 0, V(V_LISTEN), 0, 0),
	TRY("getpeername", "", "ypyppy", 0, V(V_TCP), V(V_BUF), V(V_LEN)),
	TRY("getsockname", "", "ypyppy", 0, V(V_TCP), V(V_BUF), V(V_LEN)),
	TRY("recvfrom", "", "yppppy", 0, V(V_UNIX), V(V_BUF), 1),
	TRY("sendto", "without destination", "yppppy", 0, V(V_TCP), V(V_BUF), 1,
	    MSG_NOSIGNAL, 0, 0),
	TRY("sendto", "MSG_FASTOPEN with destination", "pppppp", 0, V(V_FRESH),
	    V(V_BUF), 1, MSG_FASTOPEN, V(V_ADDR), 16),
	TRY("sendto", "MSG_FASTOPEN without destination", "pppppp", 0,
	    V(V_FRESH),
	    V(V_BUF), 1, MSG_FASTOPEN, 0, 0),
	TRY("sendto", "UDP with destination", "pppppp", 0, V(V_UDP), V(V_BUF),
	    1,
	    0, V(V_ADDR), 16),
	TRY("sendto", "MSG_OOB", "pppppp", 0, V(V_TCP), V(V_BUF), 1, MSG_OOB, 0,
	    0),
	TRY("sendto", "MSG_ZEROCOPY", "pppppp", 0, V(V_TCP), V(V_BUF), 1,
	    MSG_ZEROCOPY, 0, 0),
	TRY("sendmsg", "", "ppypyp", 0, V(V_TCP), V(V_MSG)),
	TRY("sendmmsg", "", "pppppp", 0, V(V_TCP), V(V_MSG), 1),
	TRY("recvmmsg", "", "nnnnnn", 0, V(V_UNIX), V(V_MSG), 1),
	TRY("socket", "TCP", "pppppy", 0, AF_INET, SOCK_STREAM),
	TRY("socket", "UDP", "pppppy", 0, AF_INET6, SOCK_DGRAM),
	TRY("socket", "raw", "pppppp", 0, AF_INET, SOCK_RAW, IPPROTO_ICMP),
	TRY("socket", "MPTCP", "pppppp", 0, AF_INET, SOCK_STREAM, 262),
	TRY("socket", "UNIX", "pppppp", 0, AF_UNIX, SOCK_STREAM),
	TRY("socket", "netlink", "pppppp", 0, AF_NETLINK, SOCK_RAW),
	TRY("socket", "vsock", "pppppp", 0, AF_VSOCK, SOCK_STREAM),
	TRY("socketpair", "", "pppppp", 0, AF_UNIX, SOCK_STREAM, 0, V(V_BUF)),
	TRY("connect", "", "pppppy", 0, V(V_FRESH), V(V_ADDR), 16),
	TRY("connect", "UDP", "pppppy", 0, V(V_UDP), V(V_ADDR), 16),
	TRY("bind", "", "pppppp", 0, V(V_FRESH), V(V_SPEC), 16),
	TRY("listen", "", "pppppp", 0, V(V_FRESH), 5),
	TRY("shutdown", "of the listener", "pppppp", 0, V(V_LISTEN), SHUT_RDWR),
	TRY("shutdown", "of a connection", "pppppp", 0, V(V_TCP), SHUT_WR),
	TRY("setsockopt", "SO_SNDBUF", "yppppp", 0, V(V_TCP), SOL_SOCKET,
	    SO_SNDBUF, V(V_ONE), 4),
	TRY("setsockopt", "SO_RCVBUF", "yppppp", 0, V(V_TCP), SOL_SOCKET,
	    SO_RCVBUF, V(V_ONE), 4),
	TRY("setsockopt", "SO_KEEPALIVE", "yppppp", 0, V(V_TCP), SOL_SOCKET,
	    SO_KEEPALIVE, V(V_ONE), 4),
	TRY("setsockopt", "SO_LINGER", "yppppp", 0, V(V_TCP), SOL_SOCKET,
	    SO_LINGER, V(V_SPEC), 8),
	TRY("setsockopt", "TCP_NODELAY", "yppppy", 0, V(V_TCP), IPPROTO_TCP,
	    TCP_NODELAY, V(V_ONE), 4),
	TRY("setsockopt", "TCP_NOTSENT_LOWAT", "yppppp", 0, V(V_TCP),
	    IPPROTO_TCP, TCP_NOTSENT_LOWAT, V(V_ONE), 4),
	TRY("setsockopt", "TCP_USER_TIMEOUT", "yppppp", 0, V(V_TCP),
	    IPPROTO_TCP,
	    TCP_USER_TIMEOUT, V(V_ONE), 4),
	TRY("setsockopt", "TCP_KEEPIDLE", "yppppp", 0, V(V_TCP), IPPROTO_TCP,
	    TCP_KEEPIDLE, V(V_ONE), 4),
	TRY("setsockopt", "TCP_KEEPINTVL", "yppppp", 0, V(V_TCP), IPPROTO_TCP,
	    TCP_KEEPINTVL, V(V_ONE), 4),
	TRY("setsockopt", "TCP_KEEPCNT", "yppppp", 0, V(V_TCP), IPPROTO_TCP,
	    TCP_KEEPCNT, V(V_ONE), 4),
	TRY("setsockopt", "SO_ATTACH_FILTER", "pppppp", 0, V(V_LISTEN),
	    SOL_SOCKET, SO_ATTACH_FILTER, V(V_SPEC), 4),
	TRY("setsockopt", "SO_ATTACH_REUSEPORT_CBPF", "pppppp", 0, V(V_LISTEN),
	    SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, V(V_SPEC), 4),
	TRY("setsockopt", "SO_ATTACH_REUSEPORT_EBPF", "pppppp", 0, V(V_LISTEN),
	    SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, V(V_SPEC), 4),
	TRY("setsockopt", "SO_DETACH_FILTER", "pppppp", 0, V(V_LISTEN),
	    SOL_SOCKET, SO_DETACH_FILTER, V(V_SPEC), 4),
	TRY("setsockopt", "SO_REUSEPORT", "pppppp", 0, V(V_LISTEN), SOL_SOCKET,
	    SO_REUSEPORT, V(V_SPEC), 4),
	TRY("setsockopt", "SO_REUSEADDR", "pppppp", 0, V(V_LISTEN), SOL_SOCKET,
	    SO_REUSEADDR, V(V_SPEC), 4),
	TRY("setsockopt", "SO_BINDTODEVICE", "pppppp", 0, V(V_LISTEN),
	    SOL_SOCKET, SO_BINDTODEVICE, V(V_SPEC), 4),
	TRY("setsockopt", "SO_MARK", "pppppp", 0, V(V_LISTEN), SOL_SOCKET,
	    SO_MARK, V(V_SPEC), 4),
	TRY("setsockopt", "SO_PRIORITY", "pppppp", 0, V(V_LISTEN), SOL_SOCKET,
	    SO_PRIORITY, V(V_SPEC), 4),
	TRY("setsockopt", "SO_SNDBUFFORCE", "pppppp", 0, V(V_LISTEN),
	    SOL_SOCKET,
	    SO_SNDBUFFORCE, V(V_SPEC), 4),
	TRY("setsockopt", "SO_BROADCAST", "pppppp", 0, V(V_LISTEN), SOL_SOCKET,
	    SO_BROADCAST, V(V_SPEC), 4),
	TRY("setsockopt", "SO_LOCK_FILTER", "pppppp", 0, V(V_LISTEN),
	    SOL_SOCKET,
	    SO_LOCK_FILTER, V(V_SPEC), 4),
	TRY("setsockopt", "TCP_FASTOPEN", "pppppp", 0, V(V_TCP), IPPROTO_TCP,
	    TCP_FASTOPEN, V(V_ONE), 4),
	TRY("setsockopt", "TCP_FASTOPEN_CONNECT", "pppppp", 0, V(V_TCP),
	    IPPROTO_TCP, TCP_FASTOPEN_CONNECT, V(V_ONE), 4),
	TRY("setsockopt", "TCP_REPAIR", "pppppp", 0, V(V_TCP), IPPROTO_TCP,
	    TCP_REPAIR, V(V_ONE), 4),
	TRY("setsockopt", "TCP_ULP", "pppppp", 0, V(V_TCP), IPPROTO_TCP,
	    TCP_ULP,
	    V(V_ONE), 4),
	TRY("setsockopt", "TCP_CONGESTION", "pppppp", 0, V(V_TCP), IPPROTO_TCP,
	    TCP_CONGESTION, V(V_ONE), 4),
	TRY("setsockopt", "TCP_MD5SIG", "pppppp", 0, V(V_TCP), IPPROTO_TCP,
	    TCP_MD5SIG, V(V_ONE), 4),
	TRY("setsockopt", "TCP_DEFER_ACCEPT", "pppppp", 0, V(V_TCP),
	    IPPROTO_TCP,
	    TCP_DEFER_ACCEPT, V(V_ONE), 4),
	TRY("setsockopt", "IP_TRANSPARENT", "pppppp", 0, V(V_TCP), IPPROTO_IP,
	    IP_TRANSPARENT, V(V_ONE), 4),
	TRY("setsockopt", "IP_OPTIONS", "pppppp", 0, V(V_TCP), IPPROTO_IP,
	    IP_OPTIONS, V(V_ONE), 4),
	TRY("setsockopt", "SO_SNDBUF with a high bit", "pppppp", 0, V(V_TCP),
	    SOL_SOCKET, SO_SNDBUF | 1L << 32, V(V_ONE), 4),
	TRY("getsockopt", "SO_ERROR", "ypyppy", 0, V(V_TCP), SOL_SOCKET,
	    SO_ERROR, V(V_BUF), V(V_LEN)),
	TRY("getsockopt", "TCP_INFO", "yppppp", 0, V(V_TCP), IPPROTO_TCP,
	    TCP_INFO, V(V_BUF), V(V_LEN)),
	TRY("getsockopt", "SO_PEERCRED", "ppyppp", 0, V(V_UNIX), SOL_SOCKET,
	    SO_PEERCRED, V(V_BUF), V(V_LEN)),
	TRY("getsockopt", "SO_PEERPIDFD", "pppppp", 0, V(V_UNIX), SOL_SOCKET,
	    77,
	    V(V_BUF), V(V_LEN)),
	TRY("getsockopt", "SO_GET_FILTER", "pppppp", 0, V(V_TCP), SOL_SOCKET,
	    SO_GET_FILTER, V(V_BUF), V(V_LEN)),
	/* files by name: /etc/passwd, then dbd's own */
	TRY("open", "", "aaoaaa", 0, V(V_PASSWD), O_RDONLY),
	TRY("openat", "", "aaoaao", 0, AT_FDCWD, V(V_PASSWD), O_RDONLY),
	TRY("openat", "to write", "aaoaap", 0, AT_FDCWD, V(V_PASSWD), O_WRONLY),
	TRY("openat2", "", "aaaaaa", 0, AT_FDCWD, V(V_PASSWD), V(V_SPEC), 24),
	TRY("creat", "", "aaaaaa", 0, V(V_PASSWD), 384),
	TRY("newfstatat", "by name", "aayaaa", ENOENT, AT_FDCWD, V(V_PASSWD),
	    V(V_BUF), 0),
	TRY("stat", "", "aayaaa", ENOENT, V(V_PASSWD), V(V_BUF)),
	TRY("lstat", "", "aayaaa", ENOENT, V(V_PASSWD), V(V_BUF)),
	TRY("statx", "", "aaaaaa", 0, AT_FDCWD, V(V_PASSWD), 0, 0, V(V_BUF)),
	TRY("statfs", "", "aaaaaa", 0, V(V_PASSWD), V(V_BUF)),
	TRY("access", "", "aayaaa", ENOENT, V(V_PASSWD), 0),
	TRY("faccessat", "", "aayaaa", ENOENT, AT_FDCWD, V(V_PASSWD), 0),
	TRY("faccessat2", "", "aayaaa", ENOENT, AT_FDCWD, V(V_PASSWD), 0, 0),
	TRY("readlink", "", "aayaaa", ENOENT, V(V_OWN), V(V_BUF), 64),
	TRY("readlinkat", "", "aayaaa", ENOENT, AT_FDCWD, V(V_OWN), V(V_BUF),
	    64),
	TRY("unlink", "", "aaoaaa", 0, V(V_PASSWD)),
	TRY("unlinkat", "", "aaoaaa", 0, AT_FDCWD, V(V_PASSWD), 0),
	TRY("rename", "", "aaoaaa", 0, V(V_PASSWD), V(V_PASSWD)),
	TRY("truncate", "", "aaaaaa", 0, V(V_PASSWD), 0),
	TRY("mkdir", "", "aaaaaa", 0, V(V_OWN), 448),
	TRY("mkdirat", "", "aaaaaa", 0, AT_FDCWD, V(V_OWN), 448),
	TRY("rmdir", "", "aaaaaa", 0, V(V_PASSWD)),
	TRY("link", "", "aaaaaa", 0, V(V_PASSWD), V(V_OWN)),
	TRY("linkat", "", "aaaaaa", 0, AT_FDCWD, V(V_PASSWD), AT_FDCWD,
	    V(V_OWN),
	    0),
	TRY("symlink", "", "aaaaaa", 0, V(V_PASSWD), V(V_OWN)),
	TRY("symlinkat", "", "aaaaaa", 0, V(V_PASSWD), AT_FDCWD, V(V_OWN)),
	TRY("mknod", "", "aaaaaa", 0, V(V_OWN), S_IFIFO | 0600, 0),
	TRY("mknodat", "", "aaaaaa", 0, AT_FDCWD, V(V_OWN), S_IFIFO | 0600, 0),
	TRY("chmod", "", "aaaaaa", 0, V(V_PASSWD), 511),
	TRY("fchmodat", "", "aaaaaa", 0, AT_FDCWD, V(V_PASSWD), 511),
	TRY("chown", "", "aaaaaa", 0, V(V_PASSWD), 0, 0),
	TRY("lchown", "", "aaaaaa", 0, V(V_PASSWD), 0, 0),
	TRY("fchownat", "", "aaaaaa", 0, AT_FDCWD, V(V_PASSWD), 0, 0, 0),
	TRY("utimensat", "", "aaaaaa", 0, AT_FDCWD, V(V_PASSWD), 0, 0),
	TRY("chdir", "", "aaaaaa", 0, V(V_PASSWD)),
	TRY("chroot", "", "aaaaaa", 0, V(V_PASSWD)),
	TRY("mount", "", "aaaaaa", 0, V(V_PASSWD), V(V_PASSWD),
	    V(V_PASSWD), 0, 0),
	TRY("umount2", "", "aaaaaa", 0, V(V_PASSWD), 0),
	TRY("pivot_root", "", "aaaaaa", 0, V(V_PASSWD), V(V_PASSWD)),
	TRY("inotify_add_watch", "", "aaaaaa", 0, V(V_FILE), V(V_PASSWD), 1),
	TRY("name_to_handle_at", "", "aaaaaa", 0, AT_FDCWD, V(V_PASSWD),
	    V(V_BUF),
	    V(V_BUF), 0),
	TRY("open_by_handle_at", "", "aaaaaa", 0, AT_FDCWD, V(V_BUF), 0),
	TRY("open_tree", "", "aaaaaa", 0, AT_FDCWD, V(V_PASSWD), 0),
	TRY("openat", "a new file in its folder", "aayaap", 0, AT_FDCWD,
	    V(V_OWN),
	    O_RDWR | O_CREAT, 384),
	TRY("openat", "a folder", "aa-aap", 0, AT_FDCWD, V(V_PASSWD),
	    O_RDONLY | O_DIRECTORY),
	TRY("openat", "out's copy of a file", "aa-aay", 0, AT_FDCWD,
	    V(V_HOSTS), O_RDONLY),
	TRY("openat", "out's copy, to write", "aa-aap", 0, AT_FDCWD,
	    V(V_HOSTS), O_WRONLY),
	TRY("rename", "in its folder", "aayaaa", 0, V(V_OWNFILE), V(V_COPY)),
	TRY("unlink", "in its folder", "aayaaa", ENOENT, V(V_OWNFILE)),
	TRY("fsync", "", "pyyppp", 0, V(V_FILE)),
	TRY("fdatasync", "", "ppyppp", 0, V(V_FILE)),
	TRY("ftruncate", "", "ppyppp", 0, V(V_FILE), 0),
	TRY("pwrite64", "", "ppyppp", 0, V(V_FILE), V(V_BUF), 1, 0),
	TRY("fchmod", "", "ppyppp", 0, V(V_FILE), 384),
	TRY("fchown", "", "pppppp", 0, V(V_FILE), 0, 0),
	TRY("fcntl", "F_SETLK", "ppyppp", 0, V(V_FILE), F_SETLK, V(V_SPEC)),
	TRY("flock", "", "nnnnnn", 0, V(V_FILE), 1),
	/* memory that is not code */
	TRY("mmap", "", "yyyyyy", 0, 0, 4096, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANON, -1, 0),
	TRY("mmap", "a file, shared", "yyyyyy", 0, 0, 4096, PROT_READ,
	    MAP_SHARED, V(V_FILE), 0),
	TRY("mmap", "to execute", "pppppp", 0, 0, 4096, PROT_READ | PROT_EXEC,
	    MAP_PRIVATE | MAP_ANON, -1, 0),
	TRY("mprotect", "to execute", "pppppp", 0, V(V_PAGE), 4096,
	    PROT_READ | PROT_EXEC),
	TRY("pkey_mprotect", "", "nnnnnn", 0, V(V_PAGE), 4096, PROT_EXEC, -1),
	TRY("memfd_create", "", "ppyppp", 0, V(V_EMPTY), 3),
	TRY("memfd_create", "on huge pages", "pppppp", 0, V(V_EMPTY), 7),
	TRY("userfaultfd", "", "nnnnnn", 0, 0),
	/* processes */
	TRY("kill", "its parent", "pppppp", 0, V(V_PARENT), 0),
	TRY("kill", "itself", "pppppp", 0, V(V_PID), SIGTERM),
	TRY("kill", "everybody", "pppppp", 0, -1, 0),
	TRY("tkill", "", "pppppp", 0, V(V_TID), SIGTERM),
	TRY("tgkill", "its parent", "pppppp", 0, V(V_PARENT), V(V_PARENT),
	    SIGABRT),
	TRY("tgkill", "itself, SIGTERM", "pppppp", 0, V(V_PID), V(V_TID),
	    SIGTERM),
	TRY("tgkill", "itself, as abort(3)", "bbbbbb", 0, V(V_PID), V(V_TID),
	    SIGABRT),
	TRY("rt_sigqueueinfo", "", "pppppp", 0, V(V_PARENT), SIGTERM, V(V_BUF)),
	TRY("rt_tgsigqueueinfo", "", "pppppp", 0, V(V_PARENT), V(V_PARENT),
	    SIGTERM, V(V_BUF)),
	TRY("pidfd_open", "", "pppppp", 0, V(V_PARENT), 0),
	TRY("pidfd_send_signal", "", "pppppp", 0, V(V_FILE), SIGTERM, 0, 0),
	TRY("pidfd_getfd", "", "pppppp", 0, V(V_FILE), 0, 0),
	TRY("kcmp", "", "pppppp", 0, V(V_PARENT), V(V_PID), 0, 0, 0),
	TRY("process_madvise", "", "pppppp", 0, V(V_FILE), V(V_IOV), 1, 4, 0),
	TRY("ptrace", "PTRACE_TRACEME", "xxxxxx", 0, 0),
	TRY("ptrace", "PTRACE_ATTACH", "xxxxxx", 0, 16, V(V_PARENT), 0, 0),
	TRY("process_vm_readv", "", "xxxxxx", 0, V(V_PARENT), V(V_IOV), 1,
	    V(V_IOV), 1, 0),
	TRY("process_vm_writev", "", "xxxxxx", 0, V(V_PARENT), V(V_IOV), 1,
	    V(V_IOV), 1, 0),
	TRY("io_uring_setup", "", "xxxxxx", 0, 4, V(V_SPEC)),
	TRY("io_uring_enter", "", "xxxxxx", 0, V(V_FILE), 0, 0, 0, 0, 0),
	TRY("io_uring_register", "", "xxxxxx", 0, V(V_FILE), 0, 0, 0),
	TRY("execve", "", "xxxxxx", 0, V(V_PASSWD), V(V_NOTHING), V(V_NOTHING)),
	TRY("execveat", "", "xxxxxx", 0, V(V_FILE), V(V_EMPTY), V(V_NOTHING),
	    V(V_NOTHING), AT_EMPTY_PATH),
	TRY("fork", "", "pppppp", 0, 0),
	TRY("vfork", "", "pppppp", 0, 0),
	TRY("clone", "", "pppppp", 0, SIGCHLD, 0),
	TRY("clone", "a new user namespace", "pppppp", 0,
	    CLONE_NEWUSER | SIGCHLD, 0),
	TRY("clone3", "", "nnnnnn", 0, V(V_SPEC), 64),
	TRY("unshare", "", "pppppp", 0, CLONE_NEWUSER),
	TRY("setns", "", "pppppp", 0, V(V_FILE), 0),
	TRY("setsid", "", "pppppp", 0, 0),
	TRY("wait4", "", "nnnnnn", 0, -1, 0, 1, 0),
	/* rights that are gone */
	TRY("setuid", "0", "pppppp", 0, 0),
	TRY("setgid", "0", "pppppp", 0, 0),
	TRY("setreuid", "", "pppppp", 0, 0, 0),
	TRY("setregid", "", "pppppp", 0, 0, 0),
	TRY("setresuid", "", "pppppp", 0, 0, 0, 0),
	TRY("setresgid", "", "pppppp", 0, 0, 0, 0),
	TRY("setgroups", "", "pppppp", 0, 0, 0),
	TRY("capset", "", "pppppp", 0, V(V_SPEC), V(V_SPEC)),
	TRY("prctl", "PR_SET_DUMPABLE", "pppppp", 0, 4, 1),
	TRY("prctl", "PR_SET_PDEATHSIG", "pppppp", 0, 1, 0),
	TRY("prctl", "PR_SET_PTRACER", "pppppp", 0, 0x59616d61, V(V_PARENT)),
	/* stun: one more when it has started, and none from then on */
	TRY("seccomp", "another filter", "nnnnyn", EINVAL, 1, 0, V(V_SPEC)),
	TRY("prlimit64", "reading", "yyyypy", 0, 0, RLIMIT_NOFILE, 0, V(V_BUF)),
	TRY("prlimit64", "setting", "pppppp", 0, 0, RLIMIT_NOFILE, V(V_LIMIT),
	    0),
	TRY("prlimit64", "of its parent", "pppppp", 0, V(V_PARENT),
	    RLIMIT_NOFILE, 0, V(V_BUF)),
	TRY("setrlimit", "", "pppppp", 0, RLIMIT_NOFILE, V(V_LIMIT)),
	/* all the rest */
	TRY("getrandom", "", "yyyyyy", 0, V(V_BUF), 16, 0),
	TRY("pipe2", "", "nnnnnn", 0, V(V_BUF), 0),
	TRY("eventfd2", "", "nnnnnn", 0, 0, 0),
	TRY("timerfd_create", "", "nnnnnn", 0, 1, 0),
	TRY("signalfd4", "", "nnnnnn", 0, -1, V(V_SPEC), 8, 0),
	TRY("epoll_create1", "", "nnnnnn", 0, 0),
	TRY("inotify_init1", "", "nnnnnn", 0, 0),
	TRY("fanotify_init", "", "nnnnnn", 0, 0, 0),
	TRY("landlock_create_ruleset", "", "nnnnnn", 0, 0, 0, 1),
	TRY("bpf", "", "nnnnnn", 0, 0, V(V_SPEC), 8),
	TRY("perf_event_open", "", "nnnnnn", 0, V(V_SPEC), 0, -1, -1, 0),
	TRY("keyctl", "", "nnnnnn", 0, 0, -3, 0),
	TRY("add_key", "", "nnnnnn", 0, V(V_EMPTY), V(V_EMPTY), 0, 0, -3),
	TRY("init_module", "", "nnnnnn", 0, V(V_BUF), 0, V(V_EMPTY)),
	TRY("kexec_load", "", "nnnnnn", 0, 0, 0, 0, 0),
	TRY("reboot", "", "nnnnnn", 0, 0, 0, 0, 0),
	TRY("personality", "", "nnnnnn", 0, 0xffffffffL),
	TRY("splice", "", "nnnnnn", 0, V(V_UNIX), 0, V(V_TCP), 0, 1, 0),
	TRY("sendfile", "", "nnnnnn", 0, V(V_TCP), V(V_FILE), 0, 1),
	TRY("copy_file_range", "", "nnnnnn", 0, V(V_FILE), 0, V(V_FILE), 0, 1,
	    0),
	TRY("modify_ldt", "", "nnnnnn", 0, 0, V(V_BUF), 16),
	TRY("shmget", "", "nnnnnn", 0, 0, 4096, 512),
	TRY("mq_open", "", "pppppp", 0, V(V_EMPTY), 0, 0, 0),
	/* what no single call shows */
	CHECK("session of its own, two stray descriptors closed", "yyyy-y",
	    session_before, descriptors, NULL),
	CHECK("limits", "yyyy-y", NULL, limits, NULL),
	CHECK("a file longer than a key", "ffyppp", NULL, long_file, NULL),
	CHECK("the log in a file", "yyyyyy", log_file_before, log_file, NULL),
	CHECK("memory, random numbers, the loop", "yyyyyy", loop_before, life,
	    NULL),
	CHECK("to take a sealed snapshot", "yyy---", snapshot_before,
	    take_snapshot, NULL),
	CHECK("to make a sealed snapshot", "ppyppp", NULL, make_snapshot, NULL),
	CHECK("a database", "--y---", NULL, database, NULL),
	CHECK("a 32-bit system call", "xxxxxx", NULL, int80, has_int80),
	CHECK("an x32 system call", "xxxxxx", NULL, x32, is_x86_64)
};

const struct row *
rights_rows(size_t *n)
{
	*n = sizeof(rows) / sizeof(rows[0]);
	return rows;
}
