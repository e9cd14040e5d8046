#include <sys/mman.h>
#include <sys/stat.h>
#include <errno.h>
#include <stdint.h>

#include "common/compat/compat.h"
#include "common/compat/sys.h"
#include "common/memfd.h"

static int
write_all(int fd, const void *p, size_t n)
{
	const uint8_t *at = p;
	ssize_t put;

	while (n > 0) {
		if ((put = write(fd, at, n)) == -1) {
			if (errno == EINTR)
				continue;
			return -1;
		}
		at += put;
		n -= (size_t)put;
	}
	return 0;
}

static int
copy_all(int fd, int from, size_t n)
{
	ssize_t put = 1;
	off_t at = 0;

	while (put != 0 && (size_t)at < n)
		if ((put = compat_copy(fd, from, &at, n - (size_t)at)) == -1 &&
		    errno != EINTR)
			return -1;
	return 0;
}

/* Of a file that is there; bad: it could not be written. */
static int
seal(int fd, bool bad)
{
	int saved;

	if (bad || compat_memfd_seal(fd) == -1) {
		saved = errno;
		(void)close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

int
memfd_make(const char *name, const void *p, size_t n)
{
	int fd;

	if ((fd = compat_memfd(name)) == -1)
		return -1;
	return seal(fd, write_all(fd, p, n) == -1);
}

int
memfd_copy(const char *name, int from, size_t n)
{
	int fd;

	if ((fd = compat_memfd(name)) == -1)
		return -1;
	return seal(fd, copy_all(fd, from, n) == -1);
}

bool
memfd_check(int fd, size_t n)
{
	struct stat st;

	/* The seals first: only then does the length stay as it is. */
	return compat_memfd_sealed(fd) && fstat(fd, &st) == 0 &&
	    st.st_size >= 0 && (uintmax_t)st.st_size == n;
}

const void *
memfd_map(int fd, size_t n)
{
	void *p;

	if (n == 0 || !memfd_check(fd, n)) {
		errno = EINVAL;
		return NULL;
	}
	/* Linux before 6.7 lets nobody share a file sealed against writing. */
	p = mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0);
	return p == MAP_FAILED ? NULL : p;
}

void
memfd_unmap(const void *p, size_t n)
{
	void *q;

	if (p == NULL)
		return;
	memcpy(&q, &p, sizeof(q));	/* munmap() wants it without const */
	(void)munmap(q, n);
}
