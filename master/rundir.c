#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/compat/compat.h"
#include "common/ids.h"
#include "common/log.h"
#include "common/str.h"
#include "master/path.h"
#include "master/rundir.h"

#define CTL_BACKLOG	16
#define LOCK_TRIES	50
#define LOCK_STEP_NS	(10 * 1000 * 1000)
#define PID_TRIES	8

static bool
failed(const char *path, char *why, size_t whylen)
{
	(void)snprintf(why, whylen, "%s: %s", path, strerror(errno));
	return false;
}

/* The folder itself, not those above it.  *made: it was not there. */
static bool
folder(const char *path, mode_t mode, bool *made, char *why, size_t whylen)
{
	char *real;

	*made = false;
	if (mkdir(path, mode) == 0)
		*made = true;
	else if (errno != EEXIST)
		return failed(path, why, whylen);
	/* The umask may have taken bits. */
	if (*made && chmod(path, mode) == -1)
		return failed(path, why, whylen);
	real = path_check(path, PATH_DIR, NULL, why, whylen);
	free(real);
	return real != NULL;
}

/* As they are written: the one may not be there yet, nor the other. */
static bool
is_in(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	while (n > 1 && dir[n - 1] == '/')
		n--;
	return strncmp(path, dir, n) == 0 && path[n] == '/' &&
	    strchr(path + n + strspn(path + n, "/"), '/') == NULL;
}

bool
place_check(const struct conf *conf, const char *path, char *why,
    size_t whylen)
{
	return is_in(path, conf->files.run_dir) ||
	    is_in(path, conf->files.state_dir) ||
	    path_parent_ok(path, why, whylen);
}

bool
dirs_check(const struct conf *conf, char *why, size_t whylen)
{
	const struct conf_files *f = &conf->files;
	const char *dirs[] = { f->run_dir, f->state_dir, f->chroot };
	bool missing;
	char *real;
	size_t i;

	for (i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		real = path_check(dirs[i], PATH_DIR, &missing, why, whylen);
		free(real);
		if (real == NULL && (!missing ||
		    !place_check(conf, dirs[i], why, whylen)))
			return false;
	}
	return place_check(conf, f->pid_file, why, whylen) &&
	    place_check(conf, f->control_socket, why, whylen);
}

bool
run_dir_make(const struct conf *conf, const struct users *u, char *why,
    size_t whylen)
{
	const char *path = conf->files.run_dir;
	struct stat st;
	bool made;

	if (!folder(path, 0750, &made, why, whylen))
		return false;
	if (!u->drop)
		return true;
	if (stat(path, &st) == -1)
		return failed(path, why, whylen);
	if (st.st_uid == 0 && st.st_gid == u->group)
		return true;
	/*
	 * One that nobody else may enter, as systemd makes it, becomes the
	 * group's.  One that is open to all is not ours alone: it stays as
	 * it is, and the mode of the socket in it must do.
	 */
	if (made || (st.st_mode & 007) == 0) {
		if (chown(path, 0, u->group) == -1 || chmod(path, 0750) == -1)
			return failed(path, why, whylen);
	} else
		log_info("%s is open to all (mode %04o): only the mode of the "
		    "control socket keeps others out", path,
		    (unsigned int)st.st_mode & 07777);
	return true;
}

char *
db_dir(const struct conf *conf)
{
	return path_join(conf->files.state_dir, "db");
}

/* dbd's own folder, which path.h would not call safe for root. */
static bool
db_dir_make(const struct conf *conf, const struct users *u, char *why,
    size_t whylen)
{
	struct stat st;
	char *path = db_dir(conf);
	bool ok = true;

	if (mkdir(path, 0700) == -1 && errno != EEXIST)
		ok = failed(path, why, whylen);
	else if (lstat(path, &st) == -1)
		ok = failed(path, why, whylen);
	else if (!S_ISDIR(st.st_mode)) {
		(void)snprintf(why, whylen, "%s: not a directory", path);
		ok = false;
	} else if (st.st_uid != u->dbd.uid && st.st_uid != geteuid()) {
		(void)snprintf(why, whylen, "%s: is owned by uid %lu, not by "
		    "%s", path, (unsigned long)st.st_uid, conf->users.dbd);
		ok = false;
	} else if (u->drop && st.st_uid != u->dbd.uid &&
	    lchown(path, u->dbd.uid, u->dbd.gid) == -1)
		ok = failed(path, why, whylen);
	else if ((st.st_mode & 07777) != 0700 && chmod(path, 0700) == -1)
		ok = failed(path, why, whylen);
	free(path);
	return ok;
}

bool
chroot_make(const char *dir, char *why, size_t whylen)
{
	struct dirent *e;
	bool made, empty = true;
	DIR *d;

	if (!folder(dir, 0755, &made, why, whylen))
		return false;
	if ((d = opendir(dir)) == NULL)
		return failed(dir, why, whylen);
	while ((e = readdir(d)) != NULL)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			empty = false;
	(void)closedir(d);
	if (!empty)
		(void)snprintf(why, whylen, "%s: the chroot must be empty",
		    dir);
	return empty;
}

bool
state_dir_make(const struct conf *conf, const struct users *u, char *why,
    size_t whylen)
{
	bool made;

	return folder(conf->files.state_dir, 0700, &made, why, whylen) &&
	    db_dir_make(conf, u, why, whylen) &&
	    (!u->drop || chroot_make(conf->files.chroot, why, whylen));
}

bool
state_is_lost(const struct conf *conf)
{
	char *dir = db_dir(conf), *db = path_join(dir, DB_FILE);
	struct stat key, st;
	bool lost;

	lost = stat(conf->files.noise_key, &key) == 0 && key.st_size != 0 &&
	    (stat(db, &st) == -1 ? errno == ENOENT : st.st_size == 0);
	free(dir);
	free(db);
	return lost;
}

int
state_lock(const char *path, char *why, size_t whylen)
{
	const struct timespec step = { 0, LOCK_STEP_NS };
	unsigned int i;
	int fd;

	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1) {
		(void)failed(path, why, whylen);
		return -1;
	}
	for (i = 0; flock(fd, LOCK_EX | LOCK_NB) == -1; i++) {
		if (errno == EWOULDBLOCK && i < LOCK_TRIES) {
			(void)nanosleep(&step, NULL);
			continue;
		}
		if (errno == EWOULDBLOCK)
			(void)snprintf(why, whylen, "%s: another headscaled "
			    "has this state_dir", path);
		else
			(void)failed(path, why, whylen);
		(void)close(fd);
		return -1;
	}
	return fd;
}

/* The pid file. */

static void
say_running(int fd, const char *path, char *why, size_t whylen)
{
	struct flock lk;
	long pid = 0;

	memset(&lk, 0, sizeof(lk));
	lk.l_type = F_WRLCK;
	lk.l_whence = SEEK_SET;
	if (fcntl(fd, F_GETLK, &lk) == 0 && lk.l_type != F_UNLCK)
		pid = (long)lk.l_pid;
	(void)snprintf(why, whylen, "%s: already running as pid %ld", path,
	    pid);
}

/* True if the path still names the file that we have open. */
static bool
still_there(int fd, const char *path)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 && lstat(path, &b) == 0 &&
	    a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* A master that was killed lets go of it a moment later. */
static bool
lock_soon(int fd)
{
	const struct timespec step = { 0, LOCK_STEP_NS };
	struct flock lk;
	unsigned int i;

	memset(&lk, 0, sizeof(lk));
	lk.l_type = F_WRLCK;
	lk.l_whence = SEEK_SET;
	for (i = 0; i < LOCK_TRIES; i++) {
		if (i != 0)
			(void)nanosleep(&step, NULL);
		if (fcntl(fd, F_SETLK, &lk) == 0)
			return true;
	}
	return false;
}

int
pid_lock(const char *path, char *why, size_t whylen)
{
	char text[32];
	unsigned int i;
	int fd, n;

	if (!path_parent_ok(path, why, whylen))
		return -1;
	for (i = 0; i < PID_TRIES; i++) {
		fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC,
		    0644);
		if (fd == -1) {
			(void)failed(path, why, whylen);
			return -1;
		}
		if (!lock_soon(fd)) {
			say_running(fd, path, why, whylen);
			(void)close(fd);
			return -1;
		}
		/* Its last owner may have removed it meanwhile. */
		if (still_there(fd, path))
			break;
		(void)close(fd);
		fd = -1;
	}
	n = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
	if (fd != -1 && ftruncate(fd, 0) == 0 &&
	    pwrite(fd, text, (size_t)n, 0) == n)
		return fd;
	(void)failed(path, why, whylen);
	if (fd != -1)
		(void)close(fd);
	return -1;
}

void
pid_remove(const char *path)
{
	if (unlink(path) == -1 && errno != ENOENT)
		log_warn("%s", path);
}

/* The control socket. */

static bool
remove_old(const char *path, char *why, size_t whylen)
{
	struct stat st;

	if (lstat(path, &st) == -1)
		return errno == ENOENT ? true : failed(path, why, whylen);
	if (!S_ISSOCK(st.st_mode)) {
		(void)snprintf(why, whylen, "%s: there is something that is "
		    "not a socket", path);
		return false;
	}
	return unlink(path) == 0 ? true : failed(path, why, whylen);
}

int
control_listen(const char *path, const struct users *u, char *why,
    size_t whylen)
{
	struct sockaddr_un sun;
	mode_t old;
	int fd, rc;

	if (!path_parent_ok(path, why, whylen) ||
	    !remove_old(path, why, whylen))
		return -1;
	memset(&sun, 0, sizeof(sun));
	sun.sun_family = AF_UNIX;
	if (strlcpy(sun.sun_path, path, sizeof(sun.sun_path)) >=
	    sizeof(sun.sun_path)) {
		errno = ENAMETOOLONG;
		(void)failed(path, why, whylen);
		return -1;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1) {
		(void)failed(path, why, whylen);
		return -1;
	}
	old = umask(0177);	/* ours alone until it has its group */
	rc = bind(fd, (struct sockaddr *)&sun, sizeof(sun));
	(void)umask(old);
	if (rc == 0 && (!u->drop || (lchown(path, 0, u->group) == 0 &&
	    chmod(path, 0660) == 0)) && listen(fd, CTL_BACKLOG) == 0)
		return fd;
	(void)failed(path, why, whylen);
	(void)close(fd);
	return -1;
}
