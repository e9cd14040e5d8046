/* The socket of syslogd, which makes a new one whenever it is started. */

#ifndef MASTER_LOGSOCK_H
#define MASTER_LOGSOCK_H

#include <sys/types.h>
#include <stdbool.h>
#include <time.h>

/* Which one it was.  Zeroed: none. */
struct logsock {
	dev_t		 dev;
	ino_t		 ino;
	struct timespec	 made;
};

/* Connected and non-blocking; -1 with errno. */
int	 logsock_open(void);
/* True if there is one and it is not the one that was kept. */
bool	 logsock_is_new(const struct logsock *);
/*
 * Keeps the one that is there, if any.  To be called before it is opened: one
 * that comes between is opened twice, and not missed.
 */
void	 logsock_keep(struct logsock *);

#endif
