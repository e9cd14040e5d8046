/* What regress/bin/rights tries: the table and what its arguments mean. */

#ifndef REGRESS_LIB_RIGHTS_H
#define REGRESS_LIB_RIGHTS_H

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <netinet/in.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/msg.h"

/* Arguments that only the process itself knows. */
enum {
	V_LISTEN,		/* a listening TCP socket, one client waits */
	V_TCP,			/* a connected one */
	V_FRESH,		/* one that is not connected */
	V_UDP,
	V_UNIX,			/* half a socketpair, five octets wait */
	V_FILE,			/* a file open for reading and writing */
	V_MEMFD,		/* a file in memory, not sealed */
	V_BUF,
	V_ADDR,			/* of V_LISTEN */
	V_MSG,			/* struct msghdr: one octet, no descriptor */
	V_IOV,
	V_ONE,			/* int 1 */
	V_LEN,			/* socklen_t, as long as V_BUF */
	V_SPEC,			/* eight octets of zero */
	V_LIMIT,		/* struct rlimit of zero */
	V_NOTHING,		/* { NULL } */
	V_PASSWD,		/* "/etc/passwd" */
	V_EMPTY,		/* "" */
	V_OWN,			/* a free name in dbd's folder */
	V_COPY,			/* another */
	V_OWNFILE,		/* V_FILE's name */
	V_HOSTS,		/* a file that is out's to read */
	V_PID,
	V_TID,
	V_PARENT,		/* its parent's pid */
	V_PAGE,			/* a page of memory */
	V_CODE,			/* 32-bit machine code, or 0 */
	V_MAX
};

/* Descriptors that are open when the process starts and must not stay so. */
#define RIGHTS_STRAY_1	4
#define RIGHTS_STRAY_2	700

#define V(n)		(LONG_MIN + (n))
#define IS_V(a)		((a) < LONG_MIN + V_MAX)
#define WHICH_V(a)	((a) - LONG_MIN)

struct world {
	long			 v[V_MAX];
	struct sockaddr_in	 addr;
	struct msghdr		 msg;
	struct iovec		 iov;
	struct rlimit		 limit;
	int			 one;
	socklen_t		 len;
	char			 buf[4096];
	char			 spec[64];
	const char		*nothing[1];
	char			 own[128];
	char			 copy[128];
	char			 file[128];
	char			 hosts[128];
};

struct row {
	const char	*call;		/* or NULL: fn */
	const char	*note;
	/*
	 * Verdict for worker, keyd, dbd, policyc, stun, out: y allowed,
	 * p EPERM, a EACCES, n ENOSYS, f EFBIG, o not within reach (EACCES,
	 * in a chroot ENOENT), x killed for it, b dead of abort(3), - not tried
	 */
	const char	*want;
	int		 also;		/* a failure that proves y as well */
	long		 a[6];
	/* Before the rights are gone; NULL: nothing. */
	void		(*before)(struct world *);
	/* 0, or -1 with errno, like a call. */
	long		(*fn)(const struct world *, enum role, bool drop);
	/* NULL: on every machine. */
	bool		(*applies)(void);
};

/* The table. */
const struct row *rights_rows(size_t *n);
/* A call's number on this machine, negative if it has none. */
int		 rights_number(const char *call);
/* For V_CODE. */
long		 rights_foreign_code(void);

#endif
