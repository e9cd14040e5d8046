#include <sys/socket.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "common/compat/compat.h"
#include "common/log.h"
#include "common/str.h"
#include "master/logsock.h"
#include "master/path.h"
#include "master/spawn.h"
#include "master/util.h"

#define CFG_FD		3
#define TITLE_ROOM	200
#define EXEC_FAILED	127

/* Those that everybody needs. */
static const enum role roles[] = {
	ROLE_KEYD, ROLE_DBD, ROLE_WORKER, ROLE_POLICYC
};

/* A program may have several roles, one for each user. */
static void
program_name(char dst[48], enum role role)
{
	(void)snprintf(dst, 48, "headscaled-%s", role == ROLE_OUT ? "fetch" :
	    role_name(role));
}

static char *
program(const char *dir, enum role role)
{
	char name[48];

	program_name(name, role);
	return path_join(dir, name);
}

/* How many of the programs are in the folder; the first missing in *lacks. */
static unsigned int
holds(const char *dir, enum role *lacks)
{
	unsigned int i, n = 0;
	char *p;

	*lacks = ROLE_NONE;
	for (i = 0; i < NITEMS(roles); i++) {
		p = program(dir, roles[i]);
		if (access(p, X_OK) == 0)
			n++;
		else if (*lacks == ROLE_NONE)
			*lacks = roles[i];
		free(p);
	}
	return n;
}

static char *
parent(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL || slash == path)
		return xstrdup("/");
	return slice_dup(slice_mem(path, (size_t)(slash - path)));
}

char *
spawn_self(const char *argv0)
{
	char path[PATH_MAX], *real = NULL, *list, *p, *dir;

	if (strchr(argv0, '/') != NULL)
		return realpath(argv0, NULL);
	if ((p = getenv("PATH")) == NULL)
		return NULL;
	list = p = xstrdup(p);
	while (real == NULL && (dir = strsep(&p, ":")) != NULL) {
		if ((size_t)snprintf(path, sizeof(path), "%s/%s",
		    dir[0] == '\0' ? "." : dir, argv0) < sizeof(path) &&
		    access(path, X_OK) == 0)
			real = realpath(path, NULL);
	}
	free(list);
	return real;
}

/* A folder of our own choice is as safe as the program that we are. */
static char *
own_libexec(const char *self, enum role *lacks)
{
	char *dir, *up, *beside;
	unsigned int n;

	dir = parent(self);
	if ((n = holds(dir, lacks)) > 0)
		return dir;
	up = parent(dir);
	beside = path_join(up, "libexec/headscaled");
	free(up);
	free(dir);
	(void)holds(beside, lacks);
	return beside;
}

bool
spawn_has(const char *dir, enum role role, char *why, size_t whylen)
{
	char *p = program(dir, role);
	bool ok = access(p, X_OK) == 0;

	if (!ok)
		(void)snprintf(why, whylen, "%s: %s (libexec_dir says where "
		    "the programs are)", p, strerror(errno == EACCES ? EACCES :
		    ENOENT));
	free(p);
	return ok;
}

char *
spawn_libexec(const char *configured, const char *self, char *why,
    size_t whylen)
{
	enum role lacks;
	char *dir;

	if (configured != NULL) {
		dir = path_check(configured, PATH_DIR, NULL, why, whylen);
		if (dir == NULL)
			return NULL;
		(void)holds(dir, &lacks);
	} else if (self != NULL)
		dir = own_libexec(self, &lacks);
	else {
		(void)snprintf(why, whylen, "libexec_dir: not set, and the "
		    "path of this program is unknown");
		return NULL;
	}
	if (lacks == ROLE_NONE || spawn_has(dir, lacks, why, whylen))
		return dir;
	free(dir);
	return NULL;
}

int
spawn_pair(int fd[2])
{
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    0, fd);
}

/*
 * In the child, on our memory (vfork): async-signal-safe calls alone, nothing
 * is written but the own frame and *error, and nobody is there to report to.
 * A handler of ours must not run in it.
 */
static void __attribute__((__noreturn__))
fail(volatile int *error)
{
	*error = errno;
	_exit(EXEC_FAILED);
}

static void __attribute__((__noreturn__))
become(char *path, char **argv, int cfg, int log, const sigset_t *mask,
    volatile int *error)
{
	char *envp[] = { NULL };
	struct sigaction sa;
	int sig;

	for (sig = 1; sig < NSIG; sig++) {
		if (sigaction(sig, NULL, &sa) == -1 ||
		    sa.sa_handler == SIG_IGN || sa.sa_handler == SIG_DFL)
			continue;
		sa.sa_handler = SIG_DFL;
		sa.sa_flags = 0;
		if (sigaction(sig, &sa, NULL) == -1)
			fail(error);
	}
	if (sigprocmask(SIG_SETMASK, mask, NULL) == -1)
		fail(error);
	/* log may be where cfg must go. */
	if (log != -1 && dup2(log, STDERR_FILENO) == -1)
		fail(error);
	if (cfg == CFG_FD) {
		if (fcntl(cfg, F_SETFD, 0) == -1)
			fail(error);
	} else if (dup2(cfg, CFG_FD) == -1)
		fail(error);
	closefrom(CFG_FD + 1);
	(void)execve(path, argv, envp);
	fail(error);
}

/* No copy of our memory is made for what execve(2) throws away at once. */
static pid_t
start(char *path, char **argv, int cfg, int log)
{
	volatile int error = 0;
	sigset_t all, mask;
	pid_t pid;

	(void)sigfillset(&all);
	if (sigprocmask(SIG_BLOCK, &all, &mask) == -1)
		return -1;
	if ((pid = vfork()) == 0)
		become(path, argv, cfg, log, &mask, &error);
	(void)sigprocmask(SIG_SETMASK, &mask, NULL);
	/* Where vfork(2) copies all the same, its exit says it alone. */
	if (pid != -1 && error != 0) {
		errno = error;
		log_warn("%s cannot be run", path);
	}
	return pid;
}

/* argv[0] and argv[1], the room for a title, are filled in here. */
static pid_t
run(const char *dir, enum role role, bool to_stderr, char **argv, int *cfg)
{
	static char room[TITLE_ROOM + 1];
	int fd[2], log = -1;
	char *path, name[48];
	pid_t pid = -1;

	program_name(name, role);
	memset(room, ' ', TITLE_ROOM);
	argv[0] = name;
	argv[1] = room;
	if (spawn_pair(fd) == -1) {
		log_warn("socketpair");
		return -1;
	}
	if (!to_stderr && (log = logsock_open(NULL)) == -1)
		log_warn("%s: the log of %s goes to stderr", _PATH_LOG, name);
	path = program(dir, role);
	if ((pid = start(path, argv, fd[1], log)) == -1)
		log_warn("vfork");
	free(path);
	if (log != -1)
		close(log);
	close(fd[1]);
	if (pid == -1)
		close(fd[0]);
	else
		*cfg = fd[0];
	return pid;
}

pid_t
spawn_child(const char *dir, enum role role, bool to_stderr, int *cfg)
{
	char *argv[3] = { NULL, NULL, NULL };

	return run(dir, role, to_stderr, argv, cfg);
}

pid_t
spawn_policyc(const char *dir, bool to_stderr, const struct spawn_as *as,
    int *fd)
{
	char log[16], uid[16], gid[16], *cage = NULL;
	char *argv[7] = { NULL, NULL, log, NULL, NULL, NULL, NULL };
	pid_t pid;

	(void)strlcpy(log, to_stderr ? "stderr" : "syslog", sizeof(log));
	if (as != NULL) {
		(void)snprintf(uid, sizeof(uid), "%u", (unsigned int)as->uid);
		(void)snprintf(gid, sizeof(gid), "%u", (unsigned int)as->gid);
		argv[3] = uid;
		argv[4] = gid;
		argv[5] = cage = xstrdup(as->dir);
	}
	pid = run(dir, ROLE_POLICYC, to_stderr, argv, fd);
	free(cage);
	return pid;
}

const char *
spawn_how(int status)
{
	static char how[48];

	if (WIFSIGNALED(status))
		(void)snprintf(how, sizeof(how), "signal %d",
		    WTERMSIG(status));
	else if (WEXITSTATUS(status) == EXEC_FAILED)
		(void)snprintf(how, sizeof(how), "exec failed");
	else
		(void)snprintf(how, sizeof(how), "exit %d",
		    WEXITSTATUS(status));
	return how;
}
