#include <sys/socket.h>
#include <sys/wait.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/enc.h"
#include "common/log.h"

static char seen[2048];
static int level, lines;

static void
on_line(int l, const char *line, void *arg)
{
	assert_ptr_equal(arg, seen);
	level = l;
	lines++;
	(void)strlcpy(seen, line, sizeof(seen));
}

static void
levels(void **state)
{
	char big[3000];

	(void)state;
	lines = 0;
	log_capture(on_line, seen);
	log_info("started pid=%d", 7);
	assert_string_equal(seen, "started pid=7");
	assert_int_equal(level, LOG_INFO);
	errno = ENOENT;
	log_warn("open %s", "x");
	assert_string_equal(seen, "open x: No such file or directory");
	assert_int_equal(level, LOG_ERR);
	assert_int_equal(errno, ENOENT);
	log_warnx("odd");
	assert_string_equal(seen, "odd");
	assert_int_equal(lines, 3);
	log_verbose(0);
	log_debug("quiet");
	assert_int_equal(lines, 3);
	log_verbose(1);
	assert_int_equal(log_is_verbose(), 1);
	log_debug("loud");
	assert_string_equal(seen, "loud");
	assert_int_equal(level, LOG_DEBUG);
	log_verbose(0);
	/* One line stays one line. */
	log_info("a\nb\rc\x1b[d");
	assert_string_equal(seen, "a?b?c?[d");
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	log_info("%s", big);
	assert_int_equal(strlen(seen), 1023);
	log_capture(NULL, NULL);
}

static void
to_a_file(void **state)
{
	char text[512];
	int p[2];
	ssize_t n;

	(void)state;
	assert_int_equal(pipe(p), 0);
	log_init("tester", p[1], false, 0);
	log_info("hello");
	n = read(p[0], text, sizeof(text) - 1);
	assert_true(n > 0);
	text[n] = '\0';
	assert_int_equal(text[10], 'T');	/* 2026-08-05T10:00:00Z */
	assert_int_equal(text[19], 'Z');
	assert_memory_equal(text + 20, " tester[", 8);
	assert_string_equal(strchr(text, ']'), "]: hello\n");
	(void)close(p[0]);
	(void)close(p[1]);
	log_init("tester", STDERR_FILENO, false, 0);
}

/* A socket that is full loses lines, and the log says how many. */
static void
to_a_socket(void **state)
{
	char text[2048];
	int sv[2], sent = 0, k;
	ssize_t n;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0,
	    sv), 0);
	log_init("tester", sv[1], true, 0);
	log_warnx("first");
	n = recv(sv[0], text, sizeof(text) - 1, 0);
	assert_true(n > 0);
	text[n] = '\0';
	assert_memory_equal(text, "<27>", 4);	/* daemon.err */
	assert_non_null(strstr(text, " tester["));
	assert_string_equal(strchr(text, ']'), "]: first");
	for (k = 0; k < 2000; k++)
		log_info("line %d", k);
	while (recv(sv[0], text, sizeof(text), 0) > 0)
		sent++;
	assert_true(sent < 2000);
	log_info("after");
	n = recv(sv[0], text, sizeof(text) - 1, 0);
	assert_true(n > 0);
	text[n] = '\0';
	assert_non_null(strstr(text, "log lines lost count="));
	assert_int_equal(strtol(strchr(text, '=') + 1, NULL, 10), 2000 - sent);
	n = recv(sv[0], text, sizeof(text) - 1, 0);
	assert_true(n > 0);
	text[n] = '\0';
	assert_string_equal(strchr(text, ']'), "]: after");
	assert_true(recv(sv[0], text, sizeof(text), 0) == -1);
	(void)close(sv[0]);
	(void)close(sv[1]);
	log_init("tester", STDERR_FILENO, false, 0);
}

static void
dies(void **state)
{
	pid_t pid;
	int status, p[2];
	char text[256];
	ssize_t n;

	(void)state;
	assert_int_equal(pipe(p), 0);
	if ((pid = fork()) == 0) {
		log_init("victim", p[1], false, 0);
		errno = EACCES;
		fatal("cannot go on");
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	n = read(p[0], text, sizeof(text) - 1);
	assert_true(n > 0);
	text[n] = '\0';
	assert_non_null(strstr(text, ": cannot go on: Permission denied\n"));
	(void)close(p[0]);
	(void)close(p[1]);
}

static void
peers_text(void **state)
{
	char big[1000];
	const char *one, *two;
	uint8_t key[32];
	int i;

	(void)state;
	assert_string_equal(log_vis(slice_mem(NULL, 0)), "");
	assert_string_equal(log_vis(slice_str("plain name")), "plain name");
	assert_string_equal(log_vis(slice_str("a\nb\"c\\d\te")),
	    "a\\nb\\\"c\\\\d\\te");
	/* No raw octet of a terminal's gets through. */
	for (i = 0; i < 256; i++)
		big[i] = (char)i;
	for (one = log_vis(slice_mem(big, 200)); *one != '\0'; one++)
		assert_true(*one >= ' ' && *one < 0x7f);
	for (one = log_vis(slice_mem(big + 100, 156)); *one != '\0'; one++)
		assert_true(*one >= ' ' && *one < 0x7f);
	memset(big, 'x', sizeof(big));
	assert_int_equal(strlen(log_vis(slice_mem(big, sizeof(big)))), 200);
	memset(big, 0xff, sizeof(big));
	assert_int_equal(strlen(log_vis(slice_mem(big, sizeof(big)))), 800);
	/* Eight in turn. */
	one = log_vis(slice_str("one"));
	for (i = 0; i < 7; i++)
		two = log_vis(slice_str("two"));
	assert_string_equal(one, "one");
	assert_string_equal(two, "two");
	two = log_vis(slice_str("again"));
	assert_ptr_equal(one, two);

	assert_true(hex_dec(key, 32, slice_str("50d20b455ecf12bc453f83c2cfdb2a"
	    "24925d06cf2598dcaa54e91af82ce9f765")));
	assert_string_equal(log_key(key), "[UNILR]");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(levels),
		cmocka_unit_test(to_a_file),
		cmocka_unit_test(to_a_socket),
		cmocka_unit_test(dies),
		cmocka_unit_test(peers_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
