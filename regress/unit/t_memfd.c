#include <sys/mman.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_sealed),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_empty)
	};

	return cmocka_run_group_tests_name("memfd", tests, setup, NULL);
}
