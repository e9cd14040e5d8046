/* Certificates and keys: opened together, in force together. */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/stat.h>

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/memfd.h"
#include "common/str.h"
#include "master/conf.h"
#include "master/keypairs.h"
#include "regress/lib/confkit.h"

static char top[64];

static void
put(const char *name, const char *text, mode_t mode)
{
	int fd;

	/* Another file takes its place, as who renews a certificate does. */
	fd = open("new", O_WRONLY | O_CREAT | O_EXCL, 0600);
	assert_true(fd != -1);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
	assert_int_equal(rename("new", name), 0);
}

static int
setup(void **state)
{
	(void)state;
	strlcpy(top, "/tmp/t_master_keypairs.XXXXXX", sizeof(top));
	if (mkdtemp(top) == NULL || chdir(top) == -1)
		return -1;
	umask(022);
	put("a.pem", "cert a", 0644);
	put("a.key", "key a", 0600);
	put("b.pem", "cert b", 0644);
	put("b.key", "key b", 0600);
	return 0;
}

static int
teardown(void **state)
{
	static const char *const names[] = {
		"a.pem", "a.key", "b.pem", "b.key"
	};
	size_t i;

	(void)state;
	for (i = 0; i < 4; i++)
		(void)unlink(names[i]);
	return chdir("/") == 0 && rmdir(top) == 0 ? 0 : -1;
}

static struct conf *
conf_with(const char *names)
{
	char text[1024];
	size_t n;

	n = (size_t)snprintf(text, sizeof(text), "server_url = \"https://h.x\" "
	    "listen \"a\" { address = \"*\" port = 443 tls = on }\ntls {\n");
	for (; *names != '\0'; names++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "keypair "
		    "\"%c\" {\ncertificate = \"%c.pem\"\nkey = \"%c.key\" }\n",
		    *names, *names, *names);
	(void)snprintf(text + n, sizeof(text) - n, "}\n");
	return confkit_in(top, text);
}

/* What a descriptor gives from where it stands to the end. */
static const char *
all(int fd)
{
	static char text[64];
	ssize_t n;

	assert_true(fd > 2);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	n = read(fd, text, sizeof(text) - 1);
	assert_true(n >= 0);
	text[n] = '\0';
	close(fd);
	return text;
}

static void
test_commit(void **state)
{
	struct keypairs *p = keypairs_new();
	struct conf *ab = conf_with("ab"), *b = conf_with("b");
	char why[400];
	int one, two;

	(void)state;
	assert_true(keypairs_stage(p, ab, why, sizeof(why)));
	assert_int_equal(keypairs_get(p, false, 1, true), -1);
	assert_string_equal(all(keypairs_get(p, true, 1, true)), "key a");
	assert_string_equal(all(keypairs_get(p, true, 2, false)), "cert b");
	keypairs_commit(p);
	assert_int_equal(keypairs_get(p, true, 1, true), -1);
	/* From its beginning for whoever comes, and apart from others. */
	assert_string_equal(all(keypairs_get(p, false, 1, true)), "key a");
	assert_string_equal(all(keypairs_get(p, false, 1, true)), "key a");
	one = keypairs_get(p, false, 1, false);
	two = keypairs_get(p, false, 1, false);
	assert_true(memfd_check(one, 6));
	assert_string_equal(all(one), "cert a");
	assert_string_equal(all(two), "cert a");
	assert_int_equal(keypairs_get(p, false, 3, false), -1);
	assert_int_equal(keypairs_get(p, false, 0, false), -1);
	/* In the order of the configuration; thought better of. */
	assert_true(keypairs_stage(p, b, why, sizeof(why)));
	assert_string_equal(all(keypairs_get(p, true, 1, true)), "key b");
	keypairs_discard(p);
	assert_string_equal(all(keypairs_get(p, false, 1, true)), "key a");
	conf_free(ab);
	conf_free(b);
	keypairs_free(p);
}

/* One file for both, as some servers want it: workers would read the key. */
static void
test_key_inside(void **state)
{
	static const char mark[] = "-----BEGIN EC PRIVATE KEY-----\n";
	struct keypairs *p = keypairs_new();
	struct conf *c = conf_with("a");
	char text[9000], why[400];
	size_t at;

	(void)state;
	for (at = 0; at < 8300; at += at > 4040 && at < 4120 ? 1 : 83) {
		memset(text, 'x', sizeof(text));
		memcpy(text + at, mark, sizeof(mark) - 1);
		text[sizeof(text) - 1] = '\0';
		put("a.pem", text, 0644);
		assert_false(keypairs_stage(p, c, why, sizeof(why)));
		assert_non_null(strstr(why, "a.pem: holds a private key"));
	}
	memset(text, 'x', sizeof(text) - 1);
	put("a.pem", text, 0644);
	assert_true(keypairs_stage(p, c, why, sizeof(why)));
	conf_free(c);
	keypairs_free(p);
}

/* Renewed on disk: taken with the next reload, both or none. */
static void
test_renewed(void **state)
{
	struct keypairs *p = keypairs_new();
	struct conf *c = conf_with("a");
	char why[400];

	(void)state;
	assert_true(keypairs_stage(p, c, why, sizeof(why)));
	keypairs_commit(p);
	put("a.pem", "cert 2", 0644);
	put("a.key", "key 2", 0600);
	assert_string_equal(all(keypairs_get(p, false, 1, false)), "cert a");
	assert_string_equal(all(keypairs_get(p, false, 1, true)), "key a");
	assert_true(keypairs_stage(p, c, why, sizeof(why)));
	keypairs_commit(p);
	assert_string_equal(all(keypairs_get(p, false, 1, false)), "cert 2");
	assert_string_equal(all(keypairs_get(p, false, 1, true)), "key 2");
	conf_free(c);
	keypairs_free(p);
}

/* Written over in place, as some do: a keyd that starts anew gets a pair. */
static void
test_overwritten(void **state)
{
	struct keypairs *p = keypairs_new();
	struct conf *c = conf_with("a");
	char why[400];
	int fd;

	(void)state;
	assert_true(keypairs_stage(p, c, why, sizeof(why)));
	keypairs_commit(p);
	fd = open("a.key", O_WRONLY | O_TRUNC);
	assert_int_equal(write(fd, "other", 5), 5);
	close(fd);
	assert_string_equal(all(keypairs_get(p, false, 1, true)), "key a");
	conf_free(c);
	keypairs_free(p);
}

static void
test_refused(void **state)
{
	struct keypairs *p = keypairs_new();
	struct conf *c = conf_with("ab");
	char why[400], want[400];

	(void)state;
	assert_true(keypairs_stage(p, c, why, sizeof(why)));
	keypairs_commit(p);
	assert_int_equal(chmod("b.key", 0640), 0);
	assert_false(keypairs_stage(p, c, why, sizeof(why)));
	snprintf(want, sizeof(want), "c:8: %s/b.key: not safe: a secret must "
	    "have mode 0600, not 0640", top);
	assert_string_equal(why, want);
	assert_int_equal(unlink("a.pem"), 0);
	assert_false(keypairs_stage(p, c, why, sizeof(why)));
	snprintf(want, sizeof(want), "c:4: %s/a.pem: No such file or "
	    "directory", top);
	assert_string_equal(why, want);
	keypairs_discard(p);
	/* What is in force stays. */
	assert_string_equal(all(keypairs_get(p, false, 1, false)), "cert a");
	assert_string_equal(all(keypairs_get(p, false, 2, true)), "key b");
	conf_free(c);
	keypairs_free(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_commit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_key_inside, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(test_renewed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_overwritten, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
