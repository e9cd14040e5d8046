#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/enc.h"
#include "common/noise.h"
#include "keyd/store.h"
#include "regress/lib/fakeenv.h"

#define HEX \
	"40ab1b58e9076c7a4d9d07291f5edf9d1aa017eb949624ba683317f48a640369"

static char why[128];

/* An empty file without a name. */
static int
file_new(void)
{
	char path[] = "/tmp/t_keyfile.XXXXXXXXXX";
	int fd;

	fd = mkstemp(path);
	assert_int_not_equal(fd, -1);
	assert_int_equal(unlink(path), 0);
	return fd;
}

static struct secret *
read_text(const char *text, size_t n)
{
	struct secret *s;
	int fd;

	fd = file_new();
	assert_int_equal(write(fd, text, n), (ssize_t)n);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	(void)snprintf(why, sizeof(why), "untouched");
	s = keyfile_read(fd, why, sizeof(why));
	(void)close(fd);
	return s;
}

static void
good(const char *text)
{
	struct secret *s;
	uint8_t want[32];

	assert_true(hex_dec(want, sizeof(want), slice_str(HEX)));
	s = read_text(text, strlen(text));
	assert_non_null(s);
	assert_int_equal(secret_len(s), 32);
	assert_memory_equal(secret_data(s), want, 32);
	secret_free(s);
}

static void
bad(const char *text, size_t n, const char *reason)
{
	assert_null(read_text(text, n));
	assert_non_null(strstr(why, reason));
}

#define BAD(text)	bad(text, sizeof(text) - 1, "not a key file")

static void
test_read(void **state)
{
	(void)state;
	good("privkey:" HEX "\n");
	/* As Headscale writes it. */
	good("privkey:" HEX);
	good("privkey:40AB1B58E9076C7A4D9D07291F5EDF9D"
	    "1aa017eb949624ba683317f48a640369\n");
}

static void
test_refuse(void **state)
{
	(void)state;
	BAD("");
	BAD("\n");
	BAD("privkey:");
	BAD("privkey:" HEX "\n\n");
	BAD("privkey:" HEX "\r\n");
	BAD("privkey:" HEX " ");
	BAD("privkey:" HEX "0");
	BAD("privkey:" HEX "\nprivkey:" HEX "\n");
	BAD(" privkey:" HEX "\n");
	BAD("Privkey:" HEX "\n");
	BAD("mkey:" HEX "\n");
	BAD("nlpriv:" HEX HEX "\n");
	BAD(HEX "\n");
	BAD("privkey:40ab1b58e9076c7a4d9d07291f5edf9d\n");
	BAD("privkey:40ab1b58e9076c7a4d9d07291f5edf9d"
	    "1aa017eb949624ba683317f48a64036g\n");
	BAD("privkey:40ab1b58e9076c7a4d9d07291f5edf9d"
	    "1aa017eb949624ba683317f48a6403\0009\n");
	bad("privkey:00000000000000000000000000000000"
	    "00000000000000000000000000000000\n", 73, "zero");
}

static void
test_read_error(void **state)
{
	int fd;

	(void)state;
	fd = open("/dev/null", O_WRONLY);
	assert_int_not_equal(fd, -1);
	assert_null(keyfile_read(fd, why, sizeof(why)));
	assert_string_equal(why, strerror(EBADF));
	(void)close(fd);
}

static void
test_make(void **state)
{
	uint8_t raw[32];
	struct fakeenv *f;
	struct secret *s, *again;
	char text[128];
	int fd;

	(void)state;
	f = fakeenv_new(1);
	memset(raw, 0xff, sizeof(raw));
	fakeenv_feed(f, raw, sizeof(raw));
	fd = file_new();
	s = keyfile_make(fd, fakeenv_env(f), why, sizeof(why));
	assert_non_null(s);
	assert_int_equal(fakeenv_drawn(f), 32);
	noise_clamp(raw);
	assert_memory_equal(secret_data(s), raw, 32);
	assert_int_equal(raw[0], 0xf8);
	assert_int_equal(raw[31], 0x7f);

	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(read(fd, text, sizeof(text)), 73);
	assert_memory_equal(text, "privkey:f8ffff", 14);
	assert_int_equal(text[72], '\n');
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	again = keyfile_read(fd, why, sizeof(why));
	assert_non_null(again);
	assert_memory_equal(secret_data(again), raw, 32);
	secret_free(again);

	/* What is there already is never overwritten, wherever fd stands. */
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_null(keyfile_make(fd, fakeenv_env(f), why, sizeof(why)));
	assert_string_equal(why, "the file is not empty");
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(read(fd, text + 1, sizeof(text) - 1), 73);
	assert_memory_equal(text + 1, "privkey:f8ffff", 14);
	secret_free(s);
	(void)close(fd);
	fakeenv_free(f);
}

static void
test_make_error(void **state)
{
	struct fakeenv *f;
	int fd;

	(void)state;
	f = fakeenv_new(1);
	fd = open("/dev/full", O_WRONLY);
	if (fd != -1) {
		assert_null(keyfile_make(fd, fakeenv_env(f), why,
		    sizeof(why)));
		assert_string_equal(why, strerror(ENOSPC));
		(void)close(fd);
	}
	fd = open("/dev/null", O_RDONLY);
	assert_int_not_equal(fd, -1);
	assert_null(keyfile_make(fd, fakeenv_env(f), why, sizeof(why)));
	assert_string_equal(why, strerror(EBADF));
	(void)close(fd);
	fakeenv_free(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_refuse),
		cmocka_unit_test(test_read_error),
		cmocka_unit_test(test_make),
		cmocka_unit_test(test_make_error)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
