/* What a child is given at its birth; where programs are; sd_notify. */

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
#include "master/notify.h"
#include "master/spawn.h"
#include "regress/lib/quiet.h"

static char	top[] = "/tmp/t_master_spawn.XXXXXX";

/* A child that says on its link what it was given. */
static const char script[] = "#!/bin/sh\n"
    "exec >&3\n"
    "echo \"args $# ${#1} [$(echo $1)]\"\n"
    "tr '\\0' '\\n' < /proc/$$/environ | grep -c =\n"
    "for f in /proc/$$/fd/*; do case ${f##*/} in [0-9]) "
    "echo fd ${f##*/};; esac; done\n"
    "echo end\n";

static void
put(const char *name, const char *text, mode_t mode)
{
	int fd;

	fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd != -1);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static void
put_all(const char *dir)
{
	static const char *const roles[] = { "keyd", "dbd", "worker",
	    "policyc" };
	char path[PATH_MAX];
	size_t i;

	for (i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), "%s/headscaled-%s", dir,
		    roles[i]);
		put(path, script, 0755);
	}
}

static int
group_setup(void **state)
{
	(void)state;
	if (mkdtemp(top) == NULL || chdir(top) == -1 || mkdir("sbin", 0755) ==
	    -1 || mkdir("libexec", 0755) == -1 || mkdir("libexec/headscaled",
	    0755) == -1)
		return -1;
	return 0;
}

static int
group_teardown(void **state)
{
	char cmd[] = "rm";
	pid_t pid;
	int status;

	(void)state;
	if (chdir("/") == -1)
		return -1;
	if ((pid = fork()) == 0) {
		execlp(cmd, cmd, "-rf", top, (char *)NULL);
		_exit(1);
	}
	return waitpid(pid, &status, 0) == pid && status == 0 ? 0 : -1;
}

static void
test_libexec(void **state)
{
	char self[PATH_MAX], want[PATH_MAX], why[512], *dir;

	(void)state;
	snprintf(self, sizeof(self), "%s/sbin/headscaled", top);
	assert_null(spawn_libexec(NULL, self, why, sizeof(why)));
	snprintf(want, sizeof(want), "%s/libexec/headscaled/headscaled-keyd: "
	    "No such file or directory (libexec_dir says where the programs "
	    "are)", top);
	assert_string_equal(why, want);
	put_all("libexec/headscaled");
	dir = spawn_libexec(NULL, self, why, sizeof(why));
	snprintf(want, sizeof(want), "%s/libexec/headscaled", top);
	assert_string_equal(dir, want);
	free(dir);
	/* Not everybody wants these. */
	assert_false(spawn_has(want, ROLE_STUN, why, sizeof(why)));
	assert_non_null(strstr(why, "/headscaled-stun: No such file"));
	put("libexec/headscaled/headscaled-stun", script, 0755);
	assert_true(spawn_has(want, ROLE_STUN, why, sizeof(why)));
	/* Who connects out is a role of headscaled-fetch. */
	assert_false(spawn_has(want, ROLE_OUT, why, sizeof(why)));
	assert_non_null(strstr(why, "/headscaled-fetch: No such file"));
	put("libexec/headscaled/headscaled-fetch", script, 0755);
	assert_true(spawn_has(want, ROLE_OUT, why, sizeof(why)));
	/* Those in our own folder come first, even if one is missing. */
	put("sbin/headscaled-dbd", script, 0755);
	assert_null(spawn_libexec(NULL, self, why, sizeof(why)));
	snprintf(want, sizeof(want), "%s/sbin/headscaled-keyd: ", top);
	assert_memory_equal(why, want, strlen(want));
	put_all("sbin");
	dir = spawn_libexec(NULL, self, why, sizeof(why));
	snprintf(want, sizeof(want), "%s/sbin", top);
	assert_string_equal(dir, want);
	free(dir);
	/* A configured one is looked at as any path. */
	assert_int_equal(mkdir("open", 0777), 0);
	assert_int_equal(chmod("open", 0777), 0);
	put_all("open");
	assert_null(spawn_libexec("open", self, why, sizeof(why)));
	assert_non_null(strstr(why, "is writable by everybody"));
	assert_int_equal(chmod("open", 0755), 0);
	dir = spawn_libexec("open", self, why, sizeof(why));
	assert_non_null(dir);
	free(dir);
	assert_null(spawn_libexec(NULL, NULL, why, sizeof(why)));
}

static void
test_self(void **state)
{
	char path[PATH_MAX], *p;

	(void)state;
	put("sbin/prog", script, 0755);
	snprintf(path, sizeof(path), "%s/sbin/prog", top);
	p = spawn_self("./sbin/../sbin/prog");
	assert_string_equal(p, path);
	free(p);
	setenv("PATH", "/nonexistent:sbin:/bin:/usr/bin", 1);
	p = spawn_self("prog");
	assert_string_equal(p, path);
	free(p);
	assert_null(spawn_self("surely-no-such-program"));
}

static void
read_all(int fd, char *text, size_t n)
{
	size_t got = 0;
	ssize_t r;

	assert_int_equal(fcntl(fd, F_SETFL, 0), 0);
	while (got < n - 1 && (r = read(fd, text + got, n - 1 - got)) > 0)
		got += (size_t)r;
	text[got] = '\0';
}

static void
test_child(void **state)
{
	char text[2048];
	int cfg, status, extra;
	pid_t pid;

	(void)state;
	put_all("sbin");
	/* Not even what has lost its close-on-exec flag. */
	extra = fcntl(STDERR_FILENO, F_DUPFD, 7);
	assert_int_equal(extra, 7);
	pid = spawn_child("sbin", ROLE_KEYD, true, &cfg);
	assert_true(pid > 0);
	read_all(cfg, text, sizeof(text));
	close(cfg);
	close(extra);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_string_equal(spawn_how(status), "exit 0");
	assert_non_null(strstr(text, "args 1 200 []\n"));
	assert_non_null(strstr(text, "\n0\n"));
	assert_non_null(strstr(text, "fd 3\n"));
	assert_null(strstr(text, "fd 7\n"));
	assert_non_null(strstr(text, "end\n"));
}

static char	said[256];

static void
on_line(int level, const char *line, void *arg)
{
	(void)level;
	(void)arg;
	(void)strlcpy(said, line, sizeof(said));
}

/* The log says which file it was, and why. */
static void
test_exec_fails(void **state)
{
	int cfg, status;
	pid_t pid;

	(void)state;
	put("sbin/headscaled-dbd", "no program\n", 0644);
	log_capture(on_line, NULL);
	pid = spawn_child("sbin", ROLE_DBD, true, &cfg);
	quiet_log();
	assert_true(pid > 0);
	assert_string_equal(said, "sbin/headscaled-dbd cannot be run: "
	    "Permission denied");
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_string_equal(spawn_how(status), "exec failed");
	close(cfg);
	assert_string_equal(spawn_how(9), "signal 9");
	assert_string_equal(spawn_how(2 << 8), "exit 2");
}

static void
test_notify(void **state)
{
	struct sockaddr_un sun;
	char path[PATH_MAX], text[128];
	ssize_t n;
	int fd;

	(void)state;
	unsetenv("NOTIFY_SOCKET");
	notify_init();
	notify("READY=1");		/* to nobody */
	snprintf(path, sizeof(path), "%s/notify", top);
	memset(&sun, 0, sizeof(sun));
	sun.sun_family = AF_UNIX;
	strlcpy(sun.sun_path, path, sizeof(sun.sun_path));
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	setenv("NOTIFY_SOCKET", path, 1);
	notify_init();
	assert_null(getenv("NOTIFY_SOCKET"));
	notify("READY=1\nSTATUS=%s", "on");
	n = recv(fd, text, sizeof(text), 0);
	assert_int_equal(n, 17);
	assert_memory_equal(text, "READY=1\nSTATUS=on", 17);
	close(fd);
	assert_int_equal(unlink("notify"), 0);
	notify("READY=1");		/* the manager is gone */
	setenv("NOTIFY_SOCKET", "relative", 1);
	notify_init();
	notify("READY=1");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_libexec),
		cmocka_unit_test(test_self),
		cmocka_unit_test(test_child),
		cmocka_unit_test(test_exec_fails),
		cmocka_unit_test(test_notify)
	};

	quiet_log();
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
