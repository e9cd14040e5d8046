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

/* Connected and non-blocking; it says which one (NULL: no).  -1 with errno. */
int	 logsock_open(struct logsock *);
/* True if there is one, and another than this. */
bool	 logsock_is_new(const struct logsock *);

#endif
