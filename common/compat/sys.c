#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "common/compat/compat.h"
#include "common/compat/sys.h"

#ifdef F_ADD_SEALS

#include <sys/sendfile.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL	8U
#endif

#define SEALS	(F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL)

int
compat_memfd(const char *name)
{
	unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	int fd;

	/* Linux from 6.3 on complains where nobody says what is executable. */
	fd = memfd_create(name, flags | MFD_NOEXEC_SEAL);
	if (fd == -1 && errno == EINVAL)
		fd = memfd_create(name, flags);
	return fd;
}

int
compat_memfd_seal(int fd)
{
	return fcntl(fd, F_ADD_SEALS, SEALS);
}

ssize_t
compat_copy(int to, int from, off_t *at, size_t n)
{
	return sendfile(to, from, at, n);
}

bool
compat_memfd_sealed(int fd)
{
	int seals;

	seals = fcntl(fd, F_GET_SEALS);
	return seals != -1 && (seals & SEALS) == SEALS;
}

#else

int
compat_memfd(const char *name)
{
	(void)name;
	errno = ENOSYS;
	return -1;
}

int
compat_memfd_seal(int fd)
{
	(void)fd;
	errno = ENOSYS;
	return -1;
}

ssize_t
compat_copy(int to, int from, off_t *at, size_t n)
{
	(void)to;
	(void)from;
	(void)at;
	(void)n;
	errno = ENOSYS;
	return -1;
}

bool
compat_memfd_sealed(int fd)
{
	(void)fd;
	return false;
}

#endif

void
compat_title_init(int argc, char **argv)
{
#ifdef __OpenBSD__
	(void)argc;
	(void)argv;
#else
	setproctitle_init(argc, argv, environ);
#endif
}
