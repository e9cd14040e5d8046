#include <sys/mman.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/compat/compat.h"
#include "common/compat/sys.h"
#include "common/memfd.h"

#define N	100000

static uint8_t octets[N];

static int
setup(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < N; i++)
		octets[i] = (uint8_t)(i * 7);
	return 0;
}

static void
test_round_trip(void **state)
{
	const void *p;
	int fd;

	(void)state;
	fd = memfd_make("test", octets, N);
	assert_int_not_equal(fd, -1);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_true(memfd_check(fd, N));
	p = memfd_map(fd, N);
	assert_non_null(p);
	assert_int_equal(close(fd), 0);
	assert_memory_equal(p, octets, N);
	memfd_unmap(p, N);
	memfd_unmap(NULL, N);
}

/* Nobody who gets it can change it, nor it itself be unsealed. */
static void
test_sealed(void **state)
{
	int fd;

	(void)state;
	fd = memfd_make("test", octets, N);
	assert_int_not_equal(fd, -1);
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(fd, N - 1), -1);
	assert_int_equal(ftruncate(fd, N + 1), -1);
	assert_ptr_equal(mmap(NULL, N, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
	    0), MAP_FAILED);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	assert_int_equal(close(fd), 0);
}

static void
refused(int fd, size_t n)
{
	assert_false(memfd_check(fd, n));
	errno = 0;
	assert_null(memfd_map(fd, n));
	assert_int_equal(errno, EINVAL);
}

/* A receiver takes nothing that its sender could still change. */
static void
test_refused(void **state)
{
	FILE *f;
	int fd;

	(void)state;
	fd = memfd_make("test", octets, N);
	assert_int_not_equal(fd, -1);
	refused(fd, N - 1);
	refused(fd, N + 1);
	refused(fd, 0);
	assert_int_equal(close(fd), 0);

	fd = compat_memfd("open");
	assert_int_not_equal(fd, -1);
	assert_int_equal(ftruncate(fd, N), 0);
	refused(fd, N);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SEAL), 0);
	refused(fd, N);		/* could still shrink */
	assert_int_equal(close(fd), 0);

	assert_non_null(f = tmpfile());
	assert_int_equal(ftruncate(fileno(f), N), 0);
	refused(fileno(f), N);
	assert_int_equal(fclose(f), 0);
	refused(-1, N);
}

static void
test_empty(void **state)
{
	int fd;

	(void)state;
	fd = memfd_make("empty", NULL, 0);
	assert_int_not_equal(fd, -1);
	assert_true(memfd_check(fd, 0));
	errno = 0;
	assert_null(memfd_map(fd, 0));
	assert_int_equal(errno, EINVAL);
	assert_int_equal(close(fd), 0);
}

/* Of a file: as many as asked for, or as there are, whatever its offset is. */
static void
test_copy(void **state)
{
	static const size_t want[] = { 0, 1, 4097, N, N + 5 };
	char path[] = "/tmp/t_memfd.XXXXXX";
	const void *p;
	size_t i, n;
	int fd, from;

	(void)state;
	from = mkstemp(path);
	assert_int_not_equal(from, -1);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(write(from, octets, N), N);
	for (i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		n = want[i] > N ? N : want[i];
		fd = memfd_copy("test", from, want[i]);
		assert_int_not_equal(fd, -1);
		assert_true(memfd_check(fd, n));
		if (n != 0) {
			p = memfd_map(fd, n);
			assert_non_null(p);
			assert_memory_equal(p, octets, n);
			memfd_unmap(p, n);
		}
		assert_int_equal(close(fd), 0);
	}
	assert_int_equal(lseek(from, 0, SEEK_CUR), N);
	assert_int_equal(close(from), 0);
	assert_int_equal(memfd_copy("test", -1, 1), -1);
	assert_int_equal(errno, EBADF);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_sealed),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_copy)
	};

	return cmocka_run_group_tests_name("memfd", tests, setup, NULL);
}
