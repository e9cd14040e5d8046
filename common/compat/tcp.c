#include <sys/types.h>
#include <sys/socket.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include "common/compat/tcp.h"

static int
set(int fd, int option, int value)
{
	return setsockopt(fd, IPPROTO_TCP, option, &value, sizeof(value));
}

int
compat_tcp_tune(int fd, const struct compat_tcp *t)
{
	int rc = 0;

#ifdef TCP_KEEPIDLE
	if (set(fd, TCP_KEEPIDLE, t->idle_s) == -1)
		rc = -1;
#endif
#ifdef TCP_KEEPINTVL
	if (set(fd, TCP_KEEPINTVL, t->probe_s) == -1)
		rc = -1;
#endif
#ifdef TCP_KEEPCNT
	if (set(fd, TCP_KEEPCNT, t->probes) == -1)
		rc = -1;
#endif
#ifdef TCP_USER_TIMEOUT
	if (set(fd, TCP_USER_TIMEOUT, t->user_ms) == -1)
		rc = -1;
#endif
#ifdef TCP_NOTSENT_LOWAT
	if (set(fd, TCP_NOTSENT_LOWAT, t->notsent) == -1)
		rc = -1;
#endif
	/* Where there is none of them. */
	(void)set;
	(void)fd;
	(void)t;
	return rc;
}

int
compat_tcp_user(int fd, int ms)
{
#ifdef TCP_USER_TIMEOUT
	return set(fd, TCP_USER_TIMEOUT, ms);
#else
	(void)fd;
	(void)ms;
	return 0;
#endif
}
