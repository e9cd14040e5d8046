#include <sys/resource.h>
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdbool.h>

#include "common/compat/compat.h"
#include "common/log.h"
#include "common/sandbox.h"
#include "common/sandbox_int.h"

#define FD_FIRST_OTHER	4
#define KEY_FILE_MAX	4096	/* octets; a key file has far fewer */
#define POLICYC_DATA	((rlim_t)512 * 1024 * 1024)
#define POLICYC_CPU	30	/* seconds */

static pid_t parent;

pid_t
sandbox_parent(void)
{
	return parent;
}

/* Sets both limits; what cannot be taken away is fatal. */
static void
limit(int what, const char *name, rlim_t n)
{
	struct rlimit rl;

	rl.rlim_cur = rl.rlim_max = n;
	if (setrlimit(what, &rl) == -1)
		fatal("%s cannot be lowered", name);
}

void
sandbox_fds(void)
{
	struct rlimit rl;
	int fd;

	parent = getppid();
	if (setsid() == -1 && getsid(0) != getpid())
		fatal("setsid");
	if ((fd = open("/dev/null", O_RDWR)) == -1)
		fatal("/dev/null");
	if (dup2(fd, STDIN_FILENO) == -1 || dup2(fd, STDOUT_FILENO) == -1)
		fatal("dup2");
	/* A closed 2 or 3 has become /dev/null; else it goes with the rest. */
	closefrom(FD_FIRST_OTHER);
	limit(RLIMIT_CORE, "RLIMIT_CORE", 0);
	if (getrlimit(RLIMIT_NOFILE, &rl) == -1)
		fatal("RLIMIT_NOFILE");
	rl.rlim_cur = rl.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &rl) == -1)
		log_warn("RLIMIT_NOFILE cannot be raised");
}

/* How long a file the role may write; the log on 2 may be one itself. */
static void
limit_files(enum role role)
{
	struct stat st;

	if (fstat(STDERR_FILENO, &st) == -1)
		fatal("fstat");
	if (role == ROLE_DBD || S_ISREG(st.st_mode))
		return;
	limit(RLIMIT_FSIZE, "RLIMIT_FSIZE",
	    role == ROLE_KEYD ? KEY_FILE_MAX : 0);
}

/* Whoever may write a policy must not have the machine by it. */
static void
limit_compile(enum role role)
{
	if (role != ROLE_POLICYC)
		return;
	limit(RLIMIT_CPU, "RLIMIT_CPU", POLICYC_CPU);
#ifndef SANDBOX_TEST_BUILD	/* whose shadow memory is larger */
	limit(RLIMIT_DATA, "RLIMIT_DATA", POLICYC_DATA);
#endif
}

/*
 * Nobody but root, or for dbd its own user, may have a hand in the folder.
 * Looked at through a descriptor: what was checked is what is entered.
 */
static void
enter_folder(const struct sandbox_conf *conf)
{
	uid_t owner = conf->role == ROLE_DBD ? conf->uid : 0;
	struct stat st;
	int fd;

	fd = open(conf->dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1 || fstat(fd, &st) == -1)
		fatal("%s", conf->dir);
	if (st.st_uid != owner || (st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		fatalx("%s: must belong to uid %u and be writable by nobody "
		    "else", conf->dir, (unsigned int)owner);
	if (fchdir(fd) == -1 || chroot(".") == -1 || chdir("/") == -1)
		fatal("chroot %s", conf->dir);
	(void)close(fd);
}

static void
change_user(const struct sandbox_conf *conf)
{
	if (conf->uid == 0 || conf->gid == 0)
		fatalx("a role does not run as root");
	if (setgroups(1, &conf->gid) == -1 ||
	    setresgid(conf->gid, conf->gid, conf->gid) == -1 ||
	    setresuid(conf->uid, conf->uid, conf->uid) == -1)
		fatal("user and group cannot be changed");
}

void
sandbox_drop(const struct sandbox_conf *conf)
{
	limit_files(conf->role);
	limit_compile(conf->role);
	if (conf->drop) {
		/* Only where no other process of the user is counted. */
		limit(RLIMIT_NPROC, "RLIMIT_NPROC", 0);
		enter_folder(conf);
		change_user(conf);
	}
}

void
sandbox_prove(const struct sandbox_conf *conf)
{
	gid_t rg, eg, sg, group;
	uid_t r, e, s;
	int n;

	if (getresuid(&r, &e, &s) == -1 || getresgid(&rg, &eg, &sg) == -1)
		fatal("getresuid");
	if (r == 0 || e != r || s != r || eg != rg || sg != rg)
		fatalx("user and group are not settled");
	if (setresuid(0, 0, 0) != -1 || setuid(0) != -1 || seteuid(0) != -1 ||
	    chroot("/") != -1 || setgroups(0, NULL) != -1)
		fatalx("privileges came back");
	if (!conf->drop)
		return;
	n = getgroups(1, &group);
	if (r != conf->uid || rg != conf->gid || n != 1 || group != conf->gid ||
	    setresgid(0, 0, 0) != -1 || setgid(0) != -1)
		fatalx("user and group are not the role's own");
}

const char *
sandbox_folder(const struct sandbox_conf *conf)
{
	return conf->drop ? "/" : conf->dir;
}
