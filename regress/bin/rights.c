/*
 * trust.md 7, as a table: each role tries each call and argument, once as it
 * runs when master is root (own user, chroot) and once as it runs when master
 * is an ordinary user.  A process of its own for each try.  stun is tried a
 * second time as it is once it answers, when far less is left.
 *
 *	rights
 */
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

#include <seccomp.h>

#include "common/compat/compat.h"
#include "common/sandbox.h"
#include "regress/lib/rights.h"

#define NOBODY		65534
#define RESULT_FD	3
#define NROLES		6
#define NITEMS(a)	(sizeof(a) / sizeof((a)[0]))

/* How a try ended. */
struct result {
	long	 ret;
	int	 err;
};

struct end {
	bool		 told;		/* r is what the child said */
	struct result	 r;
	int		 status;	/* waitpid() */
	char		 log[1024];	/* its stderr */
};

/* Where and as whom. */
struct mode {
	const char	*name;
	bool		 drop;
	char		 empty[64];	/* chroot of all but dbd */
	char		 own[64];	/* dbd's folder */
};

static const enum role roles[NROLES] = {
	ROLE_WORKER, ROLE_KEYD, ROLE_DBD, ROLE_POLICYC, ROLE_STUN,
	ROLE_OUT
};

/* All that stun may call once it has started, besides what ends it. */
static const char *const answering[] = {
	"poll", "ppoll", "recvmsg", "sendmsg", "read", "write", "close",
	"clock_gettime", "gettimeofday", "time", "restart_syscall"
};

static unsigned int passed, failed, skipped;
static bool has_landlock;
static bool started;		/* that is what is tried */

static void
say(bool good, const struct mode *m, enum role role, const char *what,
    const char *how)
{
	printf("%s %s %s%s: %s: %s\n", good ? "ok" : "FAIL", m->name,
	    role_name(role), started ? ", started" : "", what, how);
	if (good)
		passed++;
	else
		failed++;
}

/* The world of a try: what the arguments of the table stand for. */

static int
tcp(void)
{
	int fd;

	if ((fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) == -1)
		err(1, "socket");
	return fd;
}

static void
make_sockets(struct world *w)
{
	socklen_t len = sizeof(w->addr);
	int sv[2];

	w->addr.sin_family = AF_INET;
	w->addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	w->v[V_LISTEN] = tcp();
	w->v[V_TCP] = tcp();
	w->v[V_FRESH] = tcp();
	if (bind((int)w->v[V_LISTEN], (struct sockaddr *)&w->addr, len) == -1 ||
	    listen((int)w->v[V_LISTEN], 5) == -1 ||
	    getsockname((int)w->v[V_LISTEN], (struct sockaddr *)&w->addr,
	    &len) == -1 ||
	    connect((int)w->v[V_TCP], (struct sockaddr *)&w->addr, len) == -1)
		err(1, "loopback");
	if ((w->v[V_UDP] = socket(AF_INET, SOCK_DGRAM, 0)) == -1)
		err(1, "socket");
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sv) == -1)
		err(1, "socketpair");
	w->v[V_UNIX] = sv[0];
	if (write(sv[1], "hello", 5) != 5)
		err(1, "write");
}

/* Between sandbox_fds() and sandbox_enter(): then it is still possible. */
static void
make_world(struct world *w, const struct mode *m, enum role role)
{
	char path[128];

	make_sockets(w);
	(void)snprintf(path, sizeof(path), "%s/file", m->own);
	w->v[V_FILE] = open(path, O_RDWR | O_CREAT, 0600);
	w->v[V_MEMFD] = memfd_create("rights", MFD_ALLOW_SEALING);
	if (w->v[V_FILE] == -1 || w->v[V_MEMFD] == -1 ||
	    ftruncate((int)w->v[V_MEMFD], 4096) == -1)
		err(1, "files");
	if (m->drop && role == ROLE_DBD &&
	    fchown((int)w->v[V_FILE], NOBODY, NOBODY) == -1)
		err(1, "fchown");
	(void)snprintf(w->own, sizeof(w->own), "%s/other",
	    m->drop ? "" : m->own);
	(void)snprintf(w->copy, sizeof(w->copy), "%s/copy",
	    m->drop ? "" : m->own);
	(void)snprintf(w->file, sizeof(w->file), "%s/file",
	    m->drop ? "" : m->own);
	(void)snprintf(w->hosts, sizeof(w->hosts), "%s/hosts",
	    m->drop ? "" : m->empty);
	w->iov.iov_base = w->buf;
	w->iov.iov_len = 1;
	w->msg.msg_iov = &w->iov;
	w->msg.msg_iovlen = 1;
	w->one = 1;
	w->len = sizeof(w->buf);
	w->nothing[0] = NULL;
	w->v[V_BUF] = (long)w->buf;
	w->v[V_ADDR] = (long)&w->addr;
	w->v[V_MSG] = (long)&w->msg;
	w->v[V_IOV] = (long)&w->iov;
	w->v[V_ONE] = (long)&w->one;
	w->v[V_LEN] = (long)&w->len;
	w->v[V_SPEC] = (long)w->spec;
	w->v[V_LIMIT] = (long)&w->limit;
	w->v[V_NOTHING] = (long)w->nothing;
	w->v[V_PASSWD] = (long)"/etc/passwd";
	w->v[V_EMPTY] = (long)"";
	w->v[V_OWN] = (long)w->own;
	w->v[V_COPY] = (long)w->copy;
	w->v[V_OWNFILE] = (long)w->file;
	w->v[V_HOSTS] = (long)w->hosts;
	w->v[V_PID] = getpid();
	w->v[V_TID] = syscall(SYS_gettid);
	w->v[V_PARENT] = getppid();
	w->v[V_PAGE] = (long)mmap(NULL, 4096, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANON, -1, 0);
	w->v[V_CODE] = rights_foreign_code();
}

static void
become_user(void)
{
	if (geteuid() != 0)
		return;
	if (setgroups(0, NULL) == -1 ||
	    setresgid(NOBODY, NOBODY, NOBODY) == -1 ||
	    setresuid(NOBODY, NOBODY, NOBODY) == -1)
		err(1, "setresuid");
}

static void
enter(const struct mode *m, enum role role)
{
	struct sandbox_conf conf;

	memset(&conf, 0, sizeof(conf));
	conf.role = role;
	conf.drop = m->drop;
	conf.uid = m->drop ? NOBODY : getuid();
	conf.gid = m->drop ? NOBODY : getgid();
	conf.dir = role == ROLE_DBD ? m->own : m->empty;
	sandbox_enter(&conf);
	if (started)
		sandbox_started(role);
}

static void
tell(long ret, int e)
{
	struct result r;

	memset(&r, 0, sizeof(r));
	r.ret = ret;
	r.err = e;
	if (write(RESULT_FD, &r, sizeof(r)) != sizeof(r))
		_exit(9);
	_exit(0);
}

/* The child's side: what comes back goes through fd 3. */
static void
child(const struct mode *m, enum role role, const struct row *row)
{
	static struct world w;
	long a[6], ret;
	size_t i;

	if (!m->drop)
		become_user();
	(void)signal(SIGXFSZ, SIG_IGN);	/* as child_main() does */
	(void)signal(SIGPIPE, SIG_IGN);
	(void)dup2(STDERR_FILENO, RIGHTS_STRAY_1);
	(void)dup2(STDERR_FILENO, RIGHTS_STRAY_2);
	sandbox_fds();
	make_world(&w, m, role);
	if (row->before != NULL)
		row->before(&w);
	enter(m, role);
	if (row->fn != NULL) {
		ret = row->fn(&w, role, m->drop);
		tell(ret, ret == 0 ? 0 : errno);
	}
	for (i = 0; i < 6; i++)
		a[i] = IS_V(row->a[i]) ? w.v[WHICH_V(row->a[i])] : row->a[i];
	errno = 0;
	ret = syscall(rights_number(row->call), a[0], a[1], a[2], a[3], a[4],
	    a[5]);
	tell(ret, errno);
}

/* Forks one try and waits for its end. */
static void
try(const struct mode *m, enum role role, const struct row *row,
    struct end *end)
{
	int out[2], log[2];
	ssize_t n;
	pid_t pid;

	memset(end, 0, sizeof(*end));
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, out) == -1 || pipe(log) == -1)
		err(1, "socketpair");
	(void)fflush(stdout);
	if ((pid = fork()) == -1)
		err(1, "fork");
	if (pid == 0) {
		/* 2 first: log[1] may be 3 */
		if (dup2(log[1], STDERR_FILENO) == -1 ||
		    dup2(out[1], RESULT_FD) == -1)
			_exit(9);
		child(m, role, row);
	}
	(void)close(out[1]);
	(void)close(log[1]);
	n = read(out[0], &end->r, sizeof(end->r));
	end->told = n == sizeof(end->r);
	n = read(log[0], end->log, sizeof(end->log) - 1);
	end->log[n < 0 ? 0 : n] = '\0';
	end->log[strcspn(end->log, "\n")] = '\0';
	(void)close(out[0]);
	(void)close(log[0]);
	if (waitpid(pid, &end->status, 0) == -1)
		err(1, "waitpid");
}

/* Judging. */

static void
describe(char *p, size_t n, const struct end *e)
{
	if (e->told && e->r.err == 0)
		(void)snprintf(p, n, "allowed");
	else if (e->told)
		(void)snprintf(p, n, "%s", strerrorname_np(e->r.err));
	else if (WIFSIGNALED(e->status))
		(void)snprintf(p, n, "killed by SIG%s",
		    sigabbrev_np(WTERMSIG(e->status)));
	else
		(void)snprintf(p, n, "exit %d: %s", WEXITSTATUS(e->status),
		    e->log);
}

static bool
killed_by(const struct end *e, int signo)
{
	return !e->told && WIFSIGNALED(e->status) &&
	    WTERMSIG(e->status) == signo;
}

static bool
as_wanted(char want, const struct mode *m, const struct row *row,
    const struct end *e)
{
	switch (want) {
	case 'y':
		return e->told && (e->r.err == 0 || e->r.err == row->also);
	case 'p':
		return e->told && e->r.err == EPERM;
	case 'a':
		return e->told && e->r.err == EACCES;
	case 'n':
		return e->told && e->r.err == ENOSYS;
	case 'f':		/* RLIMIT_FSIZE */
		return e->told && e->r.err == EFBIG;
	case 'o':		/* outside of its folder */
		return e->told && e->r.err == (m->drop ? ENOENT : EACCES);
	case 'x':
		return killed_by(e, SIGSYS);
	case 'b':
		return killed_by(e, SIGABRT);
	default:
		errx(1, "table: '%c'", want);
	}
}

/* True if the row says nothing on this machine. */
static bool
to_skip(char want, const struct mode *m, const struct row *row)
{
	if (want == '-')
		return true;
	if (row->call != NULL && rights_number(row->call) < 0)
		return true;	/* another architecture's */
	if (row->applies != NULL && !row->applies())
		return true;
	if (want == 'o' && !m->drop && !has_landlock) {
		printf("skipped: %s %s: no landlock\n", m->name, row->note);
		skipped++;
		return true;
	}
	return false;
}

static void
run_row(const struct mode *m, size_t k, const struct row *row)
{
	char what[160], how[1200];
	struct end e;

	if (to_skip(row->want[k], m, row))
		return;
	try(m, roles[k], row, &e);
	describe(how, sizeof(how), &e);
	(void)snprintf(what, sizeof(what), "%s%s%s",
	    row->call == NULL ? "" : row->call,
	    row->call == NULL || row->note[0] == '\0' ? "" : " ", row->note);
	if (!as_wanted(row->want[k], m, row, &e)) {
		(void)snprintf(how + strlen(how), sizeof(how) - strlen(how),
		    " (wanted '%c')", row->want[k]);
		say(false, m, roles[k], what, how);
	} else
		say(true, m, roles[k], what, how);
}

/* The same table, for stun that has started. */

static bool
is_left(const char *call)
{
	size_t i;

	for (i = 0; i < NITEMS(answering); i++)
		if (strcmp(answering[i], call) == 0)
			return true;
	return false;
}

static void
run_started(const struct mode *m, size_t k, const struct row *row)
{
	char want[NROLES + 1];
	struct row r = *row;

	/* What is no single call has rows of its own. */
	if (row->call == NULL || row->want[k] == '-')
		return;
	(void)snprintf(want, sizeof(want), "%s", row->want);
	if (want[k] != 'x' && !is_left(row->call))
		want[k] = 'p';
	r.want = want;
	run_row(m, k, &r);
}

/* What a reload and a line of the log want, and no system call more. */
static long
answer_memory(const struct world *w, enum role role, bool drop)
{
	unsigned char *p[8];
	unsigned int i, k;

	(void)w;
	(void)role;
	(void)drop;
	for (i = 0; i < 100; i++) {
		for (k = 0; k < NITEMS(p); k++) {
			if ((p[k] = malloc(100000 + 1000 * k)) == NULL)
				return -1;
			memset(p[k], (int)i, 100000);
		}
		for (k = 0; k < NITEMS(p); k++)
			free(p[k]);
	}
	return time(NULL) > 0 ? 0 : -1;
}

/* ... and there is an end of it. */
static long
answer_no_more(const struct world *w, enum role role, bool drop)
{
	int i;

	for (i = 0; i < 3; i++)
		if (malloc(4 * 1024 * 1024) != NULL || errno != ENOMEM)
			return -1;
	/* The C library sees an end that is below all there is. */
	return syscall(SYS_brk, 0) == 0 && answer_memory(w, role, drop) == 0 ?
	    0 : -1;
}

static const struct row started_rows[] = {
	{ NULL, "a heap that is set aside", "----y-", 0, { 0 }, NULL,
	    answer_memory, NULL },
	{ NULL, "no other memory", "----y-", 0, { 0 }, NULL, answer_no_more,
	    NULL },
	{ "seccomp", "", "----p-", 0, { 0 }, NULL, NULL, NULL }
};

/* What the kernel says of a child from outside. */

static bool
limit_reads(pid_t pid, const char *name, const char *value)
{
	char path[64], line[256];
	bool good = false;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%ld/limits", (long)pid);
	if ((f = fopen(path, "r")) == NULL)
		err(1, "%s", path);
	while (fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, name, strlen(name)) == 0)
			good = strncmp(line + strlen(name) + strspn(line +
			    strlen(name), " "), value, strlen(value)) == 0;
	(void)fclose(f);
	return good;
}

/* stun cannot ask for its own. */
static void
check_limits(const struct mode *m, enum role role, pid_t pid)
{
	const char *size = role == ROLE_DBD ? "unlimited " :
	    role == ROLE_KEYD ? "4096 " : "0 ";

	say(limit_reads(pid, "Max file size", size), m, role,
	    "length of a file", size);
	say(limit_reads(pid, "Max core file size", "0 "), m, role, "core",
	    "0");
	if (m->drop)
		say(limit_reads(pid, "Max processes", "0 "), m, role,
		    "processes", "0");
}

static void
check_status(const struct mode *m, enum role role, pid_t pid)
{
	char path[64], line[256], uid[64];
	unsigned int good = 0;
	struct stat st;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%ld/status", (long)pid);
	if (stat(path, &st) == -1)
		err(1, "%s", path);
	/* Where no dump is allowed what is in /proc is root's. */
	say(st.st_uid == 0, m, role, "not dumpable", path);
	(void)snprintf(uid, sizeof(uid), "Uid:\t%d\t%d\t%d\t%d\n", NOBODY,
	    NOBODY, NOBODY, NOBODY);
	if ((f = fopen(path, "r")) == NULL)
		err(1, "%s", path);
	while (fgets(line, sizeof(line), f) != NULL)
		if (strcmp(line, "NoNewPrivs:\t1\n") == 0 ||
		    strcmp(line, "Seccomp:\t2\n") == 0 ||
		    strcmp(line, "CapEff:\t0000000000000000\n") == 0 ||
		    strcmp(line, "CapPrm:\t0000000000000000\n") == 0 ||
		    strcmp(line, "CapInh:\t0000000000000000\n") == 0 ||
		    strcmp(line, "CapAmb:\t0000000000000000\n") == 0 ||
		    (m->drop && strcmp(line, uid) == 0) ||
		    (m->drop && strcmp(line, "Groups:\t65534 \n") == 0))
			good++;
	(void)fclose(f);
	say(good == (m->drop ? 8 : 6), m, role,
	    "no capability, no new privileges, own user", path);
}

/* The sandboxed process says its number, then sleeps: who ends it? */
static void
sleeper(const struct mode *m, enum role role, int out, bool orphan)
{
	pid_t pid;

	if (orphan && (pid = fork()) != 0) {
		(void)close(out);
		(void)pause();		/* until check_life() kills us */
		_exit(0);
	}
	if (!m->drop)
		become_user();
	if (dup2(out, RESULT_FD) == -1)
		_exit(9);
	/* The log in a file would want another limit. */
	if (dup2(open("/dev/null", O_RDWR), STDERR_FILENO) == -1)
		_exit(9);
	sandbox_fds();
	enter(m, role);
	pid = getpid();
	if (write(RESULT_FD, &pid, sizeof(pid)) != sizeof(pid))
		_exit(9);
	(void)poll(NULL, 0, 20000);
	_exit(0);
}

static void
check_life(const struct mode *m, enum role role, bool orphan)
{
	struct pollfd pfd;
	pid_t mid, pid;
	int p[2], rc;

	if (pipe(p) == -1)
		err(1, "pipe");
	(void)fflush(stdout);
	if ((mid = fork()) == -1)
		err(1, "fork");
	if (mid == 0)
		sleeper(m, role, p[1], orphan);
	(void)close(p[1]);
	if (read(p[0], &pid, sizeof(pid)) != sizeof(pid)) {
		say(false, m, role, "starts", "no sign of life");
		(void)kill(mid, SIGKILL);
	} else if (orphan) {
		(void)kill(mid, SIGKILL);
		pfd.fd = p[0];
		pfd.events = POLLIN;
		rc = poll(&pfd, 1, 5000);
		say(rc == 1 && read(p[0], &pid, 1) == 0, m, role,
		    "dies with its parent", rc == 1 ? "end of file" : "lives");
	} else {
		check_status(m, role, pid);
		check_limits(m, role, pid);
		(void)kill(pid, SIGKILL);
	}
	(void)waitpid(mid, NULL, 0);
	(void)close(p[0]);
}

static void
run_answering(const struct mode *m)
{
	const struct row *rows;
	size_t i, k = 0, n;

	while (roles[k] != ROLE_STUN)
		k++;
	started = true;
	rows = rights_rows(&n);
	for (i = 0; i < n; i++)
		run_started(m, k, &rows[i]);
	for (i = 0; i < NITEMS(started_rows); i++)
		run_row(m, k, &started_rows[i]);
	started = false;
}

static void
run_mode(const struct mode *m)
{
	const struct row *rows;
	struct end e;
	size_t i, k, n;

	rows = rights_rows(&n);
	try(m, roles[0], &rows[0], &e);
	if (strstr(e.log, "AddressSanitizer") != NULL) {
		printf("skipped: %s: the filter is open in this build\n",
		    m->name);
		skipped++;
		return;
	}
	for (k = 0; k < NROLES; k++) {
		check_life(m, roles[k], false);
		check_life(m, roles[k], true);
		for (i = 0; i < n; i++)
			run_row(m, k, &rows[i]);
	}
	run_answering(m);
}

static void
make_folders(struct mode *m, const char *name, bool drop, const char *top)
{
	char path[128];
	int fd;

	m->name = name;
	m->drop = drop;
	(void)snprintf(m->empty, sizeof(m->empty), "%s/%s.empty", top, name);
	(void)snprintf(m->own, sizeof(m->own), "%s/%s.own", top, name);
	if (mkdir(m->empty, 0755) == -1 || mkdir(m->own, 0700) == -1)
		err(1, "%s", m->own);
	if (geteuid() == 0 && chown(m->own, NOBODY, NOBODY) == -1)
		err(1, "%s", m->own);
	(void)snprintf(path, sizeof(path), "%s/hosts", m->empty);
	if ((fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644)) == -1)
		err(1, "%s", path);
	(void)close(fd);
}

static void
remove_folders(const struct mode *m)
{
	static const char *const left[] = { "file", "other", "copy" };
	char path[128];
	size_t i;

	for (i = 0; i < NITEMS(left); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", m->own, left[i]);
		(void)unlink(path);
	}
	(void)snprintf(path, sizeof(path), "%s/hosts", m->empty);
	(void)unlink(path);
	if (rmdir(m->own) == -1 || rmdir(m->empty) == -1)
		warn("%s", m->own);
}

int
main(void)
{
	char top[] = "/tmp/rights.XXXXXXXXXX";
	struct mode root, user;
	bool is_root = geteuid() == 0;

	has_landlock = syscall(444, NULL, 0, 1) > 0;
	(void)umask(022);
	if (mkdtemp(top) == NULL || chmod(top, 0755) == -1)
		err(1, "%s", top);
	if (is_root) {
		make_folders(&root, "root", true, top);
		run_mode(&root);
		remove_folders(&root);
	} else {
		printf("skipped: the half that needs root\n");
		skipped++;
	}
	make_folders(&user, "user", false, top);
	run_mode(&user);
	remove_folders(&user);
	(void)rmdir(top);
	printf("%u passed, %u failed", passed, failed);
	if (skipped != 0)
		printf(", %u skipped", skipped);
	printf("\n");
	return failed == 0 ? 0 : 1;
}
