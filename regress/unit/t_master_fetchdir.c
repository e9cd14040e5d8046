/* The folder of the process that connects out: copies of what it reads. */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/stat.h>
#include <sys/wait.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/str.h"
#include "master/conf.h"
#include "master/fetchdir.h"
#include "regress/lib/confkit.h"

static char top[64];
static char said[512];

static void
put(const char *name, const char *text, mode_t mode)
{
	int fd;

	(void)unlink(name);
	fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0600);
	assert_true(fd != -1);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static void
on_log(int level, const char *line, void *arg)
{
	(void)level;
	(void)arg;
	strlcpy(said, line, sizeof(said));
}

static int
setup(void **state)
{
	(void)state;
	strlcpy(top, "/tmp/t_master_fetchdir.XXXXXX", sizeof(top));
	if (mkdtemp(top) == NULL || chdir(top) == -1)
		return -1;
	/* What it makes does not depend on it. */
	umask(077);
	put("resolv", "nameserver 192.0.2.1\n", 0644);
	put("hosts", "192.0.2.2 a\n", 0644);
	put("bundle", "bundle 1", 0644);
	put("ca.pem", "own", 0644);
	said[0] = '\0';
	log_capture(on_log, NULL);
	return 0;
}

static int
teardown(void **state)
{
	char rm[] = "rm", rf[] = "-rf";
	char *argv[] = { rm, rf, top, NULL };
	int status;
	pid_t pid;

	(void)state;
	log_capture(NULL, NULL);
	if (chdir("/") == -1)
		return -1;
	if ((pid = fork()) == 0) {
		execv("/bin/rm", argv);
		_exit(1);
	}
	return waitpid(pid, &status, 0) == pid && status == 0 ? 0 : -1;
}

static struct fetchdir *
make(void)
{
	static const char *const bundles[] = { "nowhere", "bundle", NULL };
	struct fetchdir_from from = { "resolv", "hosts", bundles };

	return fetchdir_new("d", &from);
}

static struct conf *
conf_with(const char *more)
{
	char text[1024];

	(void)snprintf(text, sizeof(text), "server_url = \"http://127.0.0.1\" "
	    "listen \"a\" { address = \"*\" port = 80 }\n%s", more);
	return confkit_in(top, text);
}

#define URLS	"derp { urls = { \"https://a/\" } }\n"
#define MAP	"derp { map_file = \"m\" }\n"
#define OWN	URLS "fetch {\nca_file = \"ca.pem\" }\n"

static const char *
has(const char *name)
{
	static char text[64];
	struct stat st;
	ssize_t n;
	int fd;

	fd = open(name, O_RDONLY);
	assert_true(fd != -1);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	n = read(fd, text, sizeof(text) - 1);
	assert_true(n >= 0);
	text[n] = '\0';
	close(fd);
	return text;
}

static bool
stage(struct fetchdir *f, const char *more, char *why, size_t whylen)
{
	struct conf *c = conf_with(more);
	bool ok = fetchdir_stage(f, c, why, whylen);

	conf_free(c);
	return ok;
}

static void
test_copies(void **state)
{
	static const char *const dirs[] = { "d", "d/etc", "d/etc/ssl" };
	struct fetchdir *f = make();
	struct stat st;
	char why[600];
	size_t i;

	(void)state;
	/* Nothing, where nothing is asked of others. */
	assert_true(stage(f, "", why, sizeof(why)));
	assert_false(fetchdir_ready(f, true));
	assert_int_equal(access("d", F_OK), -1);
	assert_true(stage(f, URLS, why, sizeof(why)));
	assert_true(fetchdir_ready(f, true));
	assert_false(fetchdir_ready(f, false));
	fetchdir_commit(f);
	assert_true(fetchdir_ready(f, false));
	assert_string_equal(fetchdir_path(f), "d");
	assert_string_equal(has("d/etc/resolv.conf"), "nameserver 192.0.2.1\n");
	assert_string_equal(has("d/etc/hosts"), "192.0.2.2 a\n");
	assert_string_equal(has("d/etc/ssl/cert.pem"), "bundle 1");
	for (i = 0; i < 3; i++) {
		assert_int_equal(stat(dirs[i], &st), 0);
		assert_int_equal(st.st_mode & 07777, 0755);
		assert_int_equal(st.st_uid, geteuid());
	}
	fetchdir_remove(f);
	assert_int_equal(access("d", F_OK), -1);
	fetchdir_free(f);
}

/* A reload takes what has changed; one that is refused leaves no trace. */
static void
test_reload(void **state)
{
	struct fetchdir *f = make();
	char why[600];

	(void)state;
	assert_true(stage(f, URLS, why, sizeof(why)));
	fetchdir_commit(f);
	put("resolv", "nameserver 192.0.2.9\n", 0644);
	assert_true(stage(f, OWN, why, sizeof(why)));
	/* Whoever looks at it before all have agreed must find it there. */
	assert_string_equal(has("d/etc/ssl/cert.pem"), "own");
	fetchdir_discard(f);
	assert_string_equal(has("d/etc/ssl/cert.pem"), "bundle 1");
	assert_string_equal(has("d/etc/resolv.conf"), "nameserver 192.0.2.1\n");
	assert_true(fetchdir_ready(f, false));
	assert_true(stage(f, OWN, why, sizeof(why)));
	fetchdir_commit(f);
	fetchdir_discard(f);
	assert_string_equal(has("d/etc/ssl/cert.pem"), "own");
	assert_string_equal(has("d/etc/resolv.conf"), "nameserver 192.0.2.9\n");
	assert_true(stage(f, "", why, sizeof(why)));
	fetchdir_commit(f);
	assert_false(fetchdir_ready(f, false));
	fetchdir_free(f);
}

static void
test_refused(void **state)
{
	struct fetchdir *f = make();
	char why[600], want[600];

	(void)state;
	assert_true(stage(f, URLS, why, sizeof(why)));
	fetchdir_commit(f);
	assert_int_equal(chmod("ca.pem", 0666), 0);
	assert_false(stage(f, OWN, why, sizeof(why)));
	snprintf(want, sizeof(want), "c:4: %s/ca.pem: not safe: %s/ca.pem is "
	    "writable by everybody", top, top);
	assert_string_equal(why, want);
	assert_int_equal(unlink("ca.pem"), 0);
	assert_false(stage(f, OWN, why, sizeof(why)));
	snprintf(want, sizeof(want), "c:4: %s/ca.pem: No such file or "
	    "directory", top);
	assert_string_equal(why, want);
	assert_false(fetchdir_ready(f, true));
	assert_string_equal(has("d/etc/ssl/cert.pem"), "bundle 1");
	/* A folder that others may write to is not used. */
	assert_int_equal(chmod("d/etc", 0777), 0);
	assert_false(stage(f, URLS, why, sizeof(why)));
	assert_non_null(strstr(why, "d/etc: not safe: "));
	assert_int_equal(chmod("d/etc", 0755), 0);
	/* What cannot be put in place does not stay beside it. */
	assert_int_equal(unlink("d/etc/hosts"), 0);
	assert_int_equal(mkdir("d/etc/hosts", 0755), 0);
	assert_false(stage(f, URLS, why, sizeof(why)));
	assert_non_null(strstr(why, "d/etc/hosts: "));
	assert_int_equal(access("d/etc/hosts.new", F_OK), -1);
	assert_int_equal(rmdir("d/etc/hosts"), 0);
	fetchdir_remove(f);
	assert_int_equal(access("d", F_OK), -1);
	fetchdir_free(f);
}

/* Without certificates only those who need them are told no. */
static void
test_no_bundle(void **state)
{
	struct fetchdir *f = make();
	char why[600];

	(void)state;
	assert_int_equal(unlink("bundle"), 0);
	assert_false(stage(f, URLS, why, sizeof(why)));
	assert_string_equal(why, "c:1: this system has no bundle of CA "
	    "certificates: install ca-certificates, or name one in section "
	    "fetch");
	assert_true(stage(f, MAP, why, sizeof(why)));
	assert_false(fetchdir_ready(f, true));
	assert_non_null(strstr(said, "relays are not asked how they are"));
	fetchdir_commit(f);
	assert_false(fetchdir_ready(f, false));
	put("bundle", "b", 0644);
	assert_true(stage(f, MAP, why, sizeof(why)));
	assert_true(fetchdir_ready(f, true));
	fetchdir_free(f);
}

/* resolv.conf may be somebody else's: what not all may read is not copied. */
static void
test_system(void **state)
{
	struct fetchdir *f = make();
	char why[600];

	(void)state;
	put("secret", "root:x", 0640);
	assert_int_equal(unlink("resolv"), 0);
	assert_int_equal(symlink("secret", "resolv"), 0);
	assert_int_equal(unlink("hosts"), 0);
	assert_int_equal(mkfifo("hosts", 0644), 0);
	assert_int_equal(chmod("hosts", 0644), 0);
	assert_true(stage(f, URLS, why, sizeof(why)));
	assert_non_null(strstr(said, "not a file that everybody may read"));
	assert_string_equal(has("d/etc/resolv.conf"), "");
	assert_string_equal(has("d/etc/hosts"), "");
	assert_int_equal(chmod("secret", 0644), 0);
	assert_true(stage(f, URLS, why, sizeof(why)));
	assert_string_equal(has("d/etc/resolv.conf"), "root:x");
	assert_int_equal(unlink("hosts"), 0);
	assert_true(stage(f, URLS, why, sizeof(why)));
	assert_non_null(strstr(said, "hosts"));
	assert_string_equal(has("d/etc/hosts"), "");
	fetchdir_free(f);
}

#define T(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_copies), T(test_reload), T(test_refused),
		T(test_no_bundle), T(test_system)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
