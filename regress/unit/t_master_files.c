/* Safe paths, files by descriptor, the Noise key's file, pid lock, folders. */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/str.h"
#include "master/conf.h"
#include "master/files.h"
#include "master/path.h"
#include "master/rundir.h"
#include "regress/lib/confkit.h"

#define OTHER_UID	54321

struct dir {
	char	path[PATH_MAX];
	char	log[256];
};

static void
on_log(int level, const char *line, void *arg)
{
	(void)level;
	strlcpy(((struct dir *)arg)->log, line, 256);
}

static int
setup(void **state)
{
	struct dir *d;

	d = calloc(1, sizeof(*d));
	if (d == NULL)
		return -1;
	strlcpy(d->path, "/tmp/t_master_files.XXXXXX", sizeof(d->path));
	if (mkdtemp(d->path) == NULL || chdir(d->path) == -1)
		return -1;
	log_capture(on_log, d);
	umask(022);
	*state = d;
	return 0;
}

static int
teardown(void **state)
{
	struct dir *d = *state;
	pid_t pid;
	int status;

	log_capture(NULL, NULL);
	if (chdir("/") == -1)
		return -1;
	if ((pid = fork()) == 0) {
		execlp("rm", "rm", "-rf", d->path, (char *)NULL);
		_exit(1);
	}
	if (waitpid(pid, &status, 0) == -1 || status != 0)
		return -1;
	free(d);
	return 0;
}

static void
put(const char *name, const char *text, mode_t mode)
{
	int fd;

	fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd != -1);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

/* What is said of a path; "" if it is safe. */
static const char *
judge(const char *path, enum path_kind kind)
{
	static char why[512];
	char *real;
	bool missing;

	why[0] = '\0';
	real = path_check(path, kind, &missing, why, sizeof(why));
	assert_int_equal(real == NULL, why[0] != '\0');
	free(real);
	return why;
}

static void
test_path(void **state)
{
	struct dir *d = *state;
	char text[PATH_MAX + 64], *real;

	assert_string_equal(judge("/etc/passwd", PATH_PLAIN), "");
	put("f", "x", 0644);
	assert_string_equal(judge("f", PATH_PLAIN), "");
	assert_string_equal(judge("./../../tmp/./", PATH_DIR),
	    "./../../tmp/./: not safe: /tmp is writable by everybody");
	/* A sticky folder passes on the way. */
	snprintf(text, sizeof(text), "%s/f", d->path);
	assert_string_equal(judge(text, PATH_PLAIN), "");
	real = path_check("f", PATH_PLAIN, NULL, text, sizeof(text));
	assert_non_null(real);
	snprintf(text, sizeof(text), "%s/f", d->path);
	assert_string_equal(real, text);
	free(real);
	assert_string_equal(judge("none", PATH_PLAIN),
	    "none: No such file or directory");
	snprintf(text, sizeof(text), "none/f: %s/none: No such file or "
	    "directory", d->path);
	assert_string_equal(judge("none/f", PATH_PLAIN), text);
	assert_string_equal(judge(".", PATH_PLAIN), ".: not a regular file");
	assert_string_equal(judge("f", PATH_DIR), "f: not a directory");
	snprintf(text, sizeof(text), "f/g: %s/f is not a directory", d->path);
	assert_string_equal(judge("f/g", PATH_PLAIN), text);
	assert_string_equal(judge("f", PATH_PROGRAM), "f: not executable");
	assert_string_equal(judge("/bin/sh", PATH_PROGRAM), "");
}

static void
test_path_modes(void **state)
{
	struct dir *d = *state;
	char text[PATH_MAX + 64];

	put("f", "x", 0664);
	snprintf(text, sizeof(text), "f: not safe: %s/f is writable by its "
	    "group", d->path);
	assert_string_equal(judge("f", PATH_PLAIN), text);
	put("f", "x", 0646);
	snprintf(text, sizeof(text), "f: not safe: %s/f is writable by "
	    "everybody", d->path);
	assert_string_equal(judge("f", PATH_PLAIN), text);
	put("f", "x", 0640);
	assert_string_equal(judge("f", PATH_SECRET),
	    "f: not safe: a secret must have mode 0600, not 0640");
	put("f", "x", 0600);
	assert_string_equal(judge("f", PATH_SECRET), "");
	put("f", "x", 0400);
	assert_string_equal(judge("f", PATH_SECRET), "");
	assert_int_equal(mkdir("d", 0755), 0);
	put("d/f", "x", 0644);
	assert_string_equal(judge("d/f", PATH_PLAIN), "");
	assert_int_equal(chmod("d", 0777), 0);
	snprintf(text, sizeof(text), "d/f: not safe: %s/d is writable by "
	    "everybody", d->path);
	assert_string_equal(judge("d/f", PATH_PLAIN), text);
	/* Sticky alone does not do: it must be root's. */
	assert_int_equal(chmod("d", 01777), 0);
	if (geteuid() != 0) {
		assert_string_equal(judge("d/f", PATH_PLAIN), text);
		return;
	}
	assert_string_equal(judge("d/f", PATH_PLAIN), "");
	assert_int_equal(chown("d/f", OTHER_UID, 0), 0);
	snprintf(text, sizeof(text), "d/f: not safe: %s/d/f is owned by uid "
	    "%d", d->path, OTHER_UID);
	assert_string_equal(judge("d/f", PATH_PLAIN), text);
	assert_int_equal(chmod("d", 0755), 0);
	assert_int_equal(chown("d", OTHER_UID, 0), 0);
	snprintf(text, sizeof(text), "d/f: not safe: %s/d is owned by uid %d",
	    d->path, OTHER_UID);
	assert_string_equal(judge("d/f", PATH_PLAIN), text);
}

static void
test_path_links(void **state)
{
	struct dir *d = *state;
	char text[PATH_MAX + 64], *real;

	assert_int_equal(mkdir("d", 0755), 0);
	put("d/f", "x", 0644);
	assert_int_equal(symlink("d/../d/f", "l"), 0);
	assert_int_equal(symlink("d", "e"), 0);
	snprintf(text, sizeof(text), "%s/d/f", d->path);
	assert_int_equal(symlink(text, "abs"), 0);
	assert_string_equal(judge("l", PATH_PLAIN), "");
	assert_string_equal(judge("abs", PATH_PLAIN), "");
	real = path_check("e/f", PATH_PLAIN, NULL, text, sizeof(text));
	assert_non_null(real);
	snprintf(text, sizeof(text), "%s/d/f", d->path);
	assert_string_equal(real, text);
	free(real);
	assert_int_equal(symlink("loop", "loop"), 0);
	assert_string_equal(judge("loop", PATH_PLAIN),
	    "loop: too many symbolic links");
	/* Through a folder that others can write to. */
	assert_int_equal(chmod("d", 0775), 0);
	snprintf(text, sizeof(text), "l: not safe: %s/d is writable by its "
	    "group", d->path);
	assert_string_equal(judge("l", PATH_PLAIN), text);
	assert_int_equal(chmod("d", 0755), 0);
	if (geteuid() == 0) {
		assert_int_equal(lchown("l", OTHER_UID, 0), 0);
		snprintf(text, sizeof(text), "l: not safe: %s/l is owned by "
		    "uid %d", d->path, OTHER_UID);
		assert_string_equal(judge("l", PATH_PLAIN), text);
	}
	/* A FIFO does not make us wait. */
	assert_int_equal(mkfifo("fifo", 0644), 0);
	assert_string_equal(judge("fifo", PATH_PLAIN),
	    "fifo: not a regular file");
}

static struct conf *
conf_with(const char *more)
{
	char text[512], cwd[PATH_MAX];

	assert_non_null(getcwd(cwd, sizeof(cwd)));
	snprintf(text, sizeof(text), "server_url = \"http://localhost\"\n"
	    "run_dir = run state_dir = state chroot = empty\n"
	    "listen \"a\" { address = \"127.0.0.1\" port = 80 }\n%s", more);
	return confkit_in(cwd, text);
}

static char
first_octet(int fd)
{
	char c = '\0';

	assert_true(fd != -1);
	assert_int_equal(pread(fd, &c, 1, 0), 1);
	close(fd);
	return c;
}

static void
test_watched(void **state)
{
	struct dir *d = *state;
	struct files *f = files_new();
	struct conf *c;
	char why[512];

	c = conf_with("derp { map_file = \"map\" }\n");
	assert_false(files_stage(f, c, why, sizeof(why)));
	assert_non_null(strstr(why, "c:4: "));
	assert_non_null(strstr(why, "/map: No such file or directory"));
	put("map", "1", 0644);
	assert_true(files_stage(f, c, why, sizeof(why)));
	assert_int_equal(files_get(f, FILE_DERP_MAP, false, 0), -1);
	assert_int_equal(first_octet(files_get(f, FILE_DERP_MAP, true, 0)),
	    '1');
	files_discard(f);
	assert_int_equal(files_get(f, FILE_DERP_MAP, true, 0), -1);
	assert_true(files_stage(f, c, why, sizeof(why)));
	files_commit(f);
	assert_int_equal(first_octet(files_get(f, FILE_DERP_MAP, false, 0)),
	    '1');
	assert_int_equal(files_get(f, FILE_RECORDS, false, 0), -1);
	assert_false(files_changed(f, FILE_DERP_MAP));
	assert_false(files_changed(f, FILE_RECORDS));
	/* Replaced, as careful programs do it. */
	put("map.new", "2", 0644);
	assert_int_equal(rename("map.new", "map"), 0);
	assert_true(files_changed(f, FILE_DERP_MAP));
	assert_false(files_changed(f, FILE_DERP_MAP));
	assert_int_equal(first_octet(files_get(f, FILE_DERP_MAP, false, 0)),
	    '2');
	/* The one that was committed is kept for one who refuses this. */
	assert_int_equal(first_octet(files_get(f, FILE_DERP_MAP, false, 1)),
	    '1');
	assert_int_equal(files_get(f, FILE_DERP_MAP, false, 2), -1);
	/* Gone, or not safe any more: said once, the last one stays. */
	assert_int_equal(chmod("map", 0666), 0);
	assert_false(files_changed(f, FILE_DERP_MAP));
	assert_non_null(strstr(d->log, "writable by everybody; the old one "
	    "stays"));
	d->log[0] = '\0';
	assert_int_equal(unlink("map"), 0);
	assert_false(files_changed(f, FILE_DERP_MAP));
	assert_string_equal(d->log, "");
	assert_int_equal(first_octet(files_get(f, FILE_DERP_MAP, false, 0)),
	    '2');
	put("map", "33", 0644);
	assert_true(files_changed(f, FILE_DERP_MAP));
	conf_free(c);
	/* A configuration without it. */
	c = conf_with("");
	assert_true(files_stage(f, c, why, sizeof(why)));
	files_commit(f);
	assert_int_equal(files_get(f, FILE_DERP_MAP, false, 0), -1);
	conf_free(c);
	files_free(f);
}

/* An editor that writes in place changes no version that is kept. */
static void
test_in_place(void **state)
{
	struct dir *d = *state;
	struct files *f = files_new();
	struct conf *c = conf_with("derp { map_file = \"map\" }\n");
	char why[512], text[8] = "";
	int fd, old;

	put("map", "1 good", 0644);
	assert_true(files_stage(f, c, why, sizeof(why)));
	files_commit(f);
	old = files_get(f, FILE_DERP_MAP, false, 0);
	put("map", "2", 0644);
	assert_int_equal(pread(old, text, sizeof(text), 0), 6);
	assert_string_equal(text, "1 good");
	/* Nobody who has it can change it, either. */
	assert_int_equal(pwrite(old, "x", 1, 0), -1);
	assert_int_equal(ftruncate(old, 0), -1);
	close(old);
	assert_true(files_changed(f, FILE_DERP_MAP));
	assert_int_equal(first_octet(files_get(f, FILE_DERP_MAP, false, 0)),
	    '2');
	assert_int_equal(first_octet(files_get(f, FILE_DERP_MAP, false, 1)),
	    '1');
	assert_int_equal(files_get(f, FILE_DERP_MAP, false, 2), -1);
	/* Between the newest and the committed one: the one before. */
	put("map", "three", 0644);
	assert_true(files_changed(f, FILE_DERP_MAP));
	assert_int_equal(first_octet(files_get(f, FILE_DERP_MAP, false, 0)),
	    't');
	assert_int_equal(first_octet(files_get(f, FILE_DERP_MAP, false, 1)),
	    '2');
	assert_int_equal(first_octet(files_get(f, FILE_DERP_MAP, false, 2)),
	    '1');
	assert_int_equal(files_get(f, FILE_DERP_MAP, false, 3), -1);
	assert_int_equal(files_get(f, FILE_DERP_MAP, false, 100), -1);
	/* Empty is a version like others. */
	put("map", "", 0644);
	assert_true(files_changed(f, FILE_DERP_MAP));
	fd = files_get(f, FILE_DERP_MAP, false, 0);
	assert_int_equal(read(fd, text, sizeof(text)), 0);
	close(fd);
	/* One that is too large is not taken, and said once. */
	assert_int_equal(truncate("map", (4 << 20) + 1), 0);
	assert_false(files_changed(f, FILE_DERP_MAP));
	assert_non_null(strstr(d->log, "/map: has more than 4194304 octets; "
	    "the old one stays"));
	d->log[0] = '\0';
	assert_false(files_changed(f, FILE_DERP_MAP));
	assert_string_equal(d->log, "");
	assert_false(files_stage(f, c, why, sizeof(why)));
	assert_non_null(strstr(why, "c:4: "));
	assert_non_null(strstr(why, "has more than 4194304 octets"));
	assert_int_equal(truncate("map", 4 << 20), 0);
	assert_true(files_changed(f, FILE_DERP_MAP));
	conf_free(c);
	files_free(f);
}

static void
test_key(void **state)
{
	char why[512], c;
	struct stat st;
	bool made;
	int fd;

	(void)state;
	assert_true(key_check("k", why, sizeof(why)));
	/* Not made where none may be made. */
	assert_int_equal(key_open("k", false, &made, why, sizeof(why)), -1);
	assert_string_equal(why, "k: No such file or directory");
	fd = key_open("k", true, &made, why, sizeof(why));
	assert_true(fd != -1);
	assert_true(made);
	assert_int_equal(lstat("k", &st), -1);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	close(fd);
	/* What was begun and left is begun again. */
	fd = key_open("k", true, &made, why, sizeof(why));
	assert_true(fd != -1);
	assert_int_equal(write(fd, "secret", 6), 6);
	close(fd);
	assert_true(key_made("k", why, sizeof(why)));
	assert_int_equal(lstat("k.new", &st), -1);
	fd = key_open("k", true, &made, why, sizeof(why));
	assert_true(fd != -1);
	assert_false(made);
	assert_int_equal(read(fd, &c, 1), 1);
	assert_int_equal(write(fd, "x", 1), -1);	/* read only */
	close(fd);
	/* A key that is there is never overwritten. */
	put("k.new", "other", 0600);
	assert_false(key_made("k", why, sizeof(why)));
	assert_string_equal(why, "k: File exists");
	assert_int_equal(chmod("k", 0644), 0);
	assert_int_equal(key_open("k", true, &made, why, sizeof(why)), -1);
	assert_string_equal(why,
	    "k: not safe: a secret must have mode 0600, not 0644");
	assert_false(key_check("k", why, sizeof(why)));
	assert_int_equal(unlink("k"), 0);
	assert_int_equal(mkdir("k", 0700), 0);
	assert_int_equal(key_open("k", true, &made, why, sizeof(why)), -1);
	assert_string_equal(why, "k: not a regular file");
}

/* In another process: a lock is not refused to its own holder. */
static int
lock_elsewhere(char *why, size_t n)
{
	int fd[2], status;
	pid_t pid;
	ssize_t got;

	assert_int_equal(pipe(fd), 0);
	if ((pid = fork()) == 0) {
		int rc = pid_lock("pid", why, n);

		if (write(fd[1], why, strlen(why)) == -1)
			_exit(2);
		_exit(rc == -1);
	}
	close(fd[1]);
	got = read(fd[0], why, n - 1);
	close(fd[0]);
	why[got < 0 ? 0 : got] = '\0';
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
test_pid(void **state)
{
	char why[256] = "", text[64];
	struct stat st;
	int fd;

	(void)state;
	put("pid", "99999999\n", 0644);		/* of one that has died */
	fd = pid_lock("pid", why, sizeof(why));
	assert_true(fd != -1);
	memset(text, 0, sizeof(text));
	assert_true(pread(fd, text, sizeof(text) - 1, 0) > 0);
	assert_int_equal(strtol(text, NULL, 10), getpid());
	why[0] = '\0';
	assert_int_equal(lock_elsewhere(why, sizeof(why)), 1);
	snprintf(text, sizeof(text), "pid: already running as pid %ld",
	    (long)getpid());
	assert_string_equal(why, text);
	pid_remove("pid");
	assert_int_equal(lstat("pid", &st), -1);
	close(fd);
	why[0] = '\0';
	assert_int_equal(lock_elsewhere(why, sizeof(why)), 0);
	/* Nothing is followed, and not anywhere is good enough. */
	assert_int_equal(unlink("pid"), 0);
	assert_int_equal(symlink("/etc/passwd", "pid"), 0);
	assert_int_equal(pid_lock("pid", why, sizeof(why)), -1);
	assert_int_equal(mkdir("d", 0777), 0);
	assert_int_equal(chmod("d", 0777), 0);
	assert_int_equal(pid_lock("d/pid", why, sizeof(why)), -1);
	assert_non_null(strstr(why, "is writable by everybody"));
}

/* Another server may have the same state with another pid file. */
static void
test_state_lock(void **state)
{
	char why[256] = "";
	int fd, other;

	(void)state;
	assert_int_equal(mkdir("state", 0700), 0);
	fd = state_lock("state", why, sizeof(why));
	assert_true(fd != -1);
	other = state_lock("state", why, sizeof(why));
	assert_int_equal(other, -1);
	assert_string_equal(why, "state: another headscaled has this "
	    "state_dir");
	assert_int_equal(close(fd), 0);
	fd = state_lock("state", why, sizeof(why));
	assert_true(fd != -1);
	assert_int_equal(close(fd), 0);
	assert_int_equal(state_lock("nowhere", why, sizeof(why)), -1);
	assert_non_null(strstr(why, "nowhere: "));
}

static void
test_folders(void **state)
{
	struct conf *c = conf_with("");
	struct users u = { 0 };
	struct stat st;
	char why[512];

	(void)state;
	u.worker.uid = u.keyd.uid = u.dbd.uid = geteuid();
	u.worker.gid = u.keyd.gid = u.dbd.gid = getegid();
	u.group = getegid();
	assert_true(run_dir_make(c, &u, why, sizeof(why)));
	assert_int_equal(stat("run", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0750);
	assert_true(state_dir_make(c, &u, why, sizeof(why)));
	assert_int_equal(stat("state", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(stat("state/db", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(stat("empty", &st), -1);	/* no root, no chroot */
	/* A key without a database, or with an empty one. */
	assert_false(state_is_lost(c));
	put("state/noise.key", "key\n", 0600);
	assert_true(state_is_lost(c));
	put("state/db/headscaled.db", "", 0600);
	assert_true(state_is_lost(c));
	put("state/db/headscaled.db", "SQLite", 0600);
	assert_false(state_is_lost(c));
	/* Again, and put right. */
	assert_int_equal(chmod("state/db", 0755), 0);
	assert_true(state_dir_make(c, &u, why, sizeof(why)));
	assert_int_equal(stat("state/db", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(chmod("state", 0770), 0);
	assert_false(state_dir_make(c, &u, why, sizeof(why)));
	assert_non_null(strstr(why, "/state is writable by its group"));
	assert_int_equal(chmod("state", 0700), 0);
	assert_true(chroot_make("empty", why, sizeof(why)));
	assert_int_equal(stat("empty", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	put("empty/f", "", 0600);
	assert_false(chroot_make("empty", why, sizeof(why)));
	assert_string_equal(why, "empty: the chroot must be empty");
	if (geteuid() == 0) {
		u.drop = true;
		u.dbd.uid = OTHER_UID;
		u.dbd.gid = u.group = OTHER_UID;
		assert_int_equal(unlink("empty/f"), 0);
		assert_true(state_dir_make(c, &u, why, sizeof(why)));
		assert_int_equal(stat("state/db", &st), 0);
		assert_int_equal(st.st_uid, OTHER_UID);
		assert_true(run_dir_make(c, &u, why, sizeof(why)));
		assert_int_equal(stat("run", &st), 0);
		assert_int_equal(st.st_gid, OTHER_UID);
		/* One that is open to all is left as it is. */
		assert_int_equal(chown("run", 0, 0), 0);
		assert_int_equal(chmod("run", 0755), 0);
		assert_true(run_dir_make(c, &u, why, sizeof(why)));
		assert_int_equal(stat("run", &st), 0);
		assert_int_equal(st.st_gid, 0);
		assert_int_equal(st.st_mode & 07777, 0755);
		assert_int_equal(chown("state/db", OTHER_UID + 1, 0), 0);
		assert_false(state_dir_make(c, &u, why, sizeof(why)));
	}
	conf_free(c);
}

static void
test_control(void **state)
{
	struct users u = { 0 };
	struct sockaddr_un sun;
	struct stat st;
	char why[512];
	int fd, c;

	(void)state;
	fd = control_listen("sock", &u, why, sizeof(why));
	assert_true(fd != -1);
	assert_int_equal(lstat("sock", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	memset(&sun, 0, sizeof(sun));
	sun.sun_family = AF_UNIX;
	strlcpy(sun.sun_path, "sock", sizeof(sun.sun_path));
	c = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(connect(c, (struct sockaddr *)&sun, sizeof(sun)), 0);
	close(c);
	close(fd);
	/* What a dead one left is removed; what is no socket is not. */
	if (geteuid() == 0) {
		u.drop = true;
		u.group = OTHER_UID;
	}
	fd = control_listen("sock", &u, why, sizeof(why));
	assert_true(fd != -1);
	close(fd);
	assert_int_equal(lstat("sock", &st), 0);
	assert_int_equal(st.st_mode & 07777, u.drop ? 0660 : 0600);
	assert_int_equal(st.st_gid, u.drop ? OTHER_UID : getegid());
	assert_int_equal(unlink("sock"), 0);
	put("sock", "x", 0600);
	assert_int_equal(control_listen("sock", &u, why, sizeof(why)), -1);
	assert_string_equal(why,
	    "sock: there is something that is not a socket");
}

#define T(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_path), T(test_path_modes), T(test_path_links),
		T(test_watched), T(test_in_place), T(test_key), T(test_pid),
		T(test_state_lock),
		T(test_folders), T(test_control)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
