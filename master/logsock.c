#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <errno.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "common/compat/compat.h"
#include "master/logsock.h"

static bool
look(struct logsock *l)
{
	struct stat st;

	if (stat(_PATH_LOG, &st) == -1)
		return false;
	l->dev = st.st_dev;
	l->ino = st.st_ino;
	l->made = st.st_ctim;
	return true;
}

int
logsock_open(struct logsock *l)
{
	struct logsock now = { 0 };
	struct sockaddr_un sun;
	int fd, saved;

	memset(&sun, 0, sizeof(sun));
	sun.sun_family = AF_UNIX;
	(void)strlcpy(sun.sun_path, _PATH_LOG, sizeof(sun.sun_path));
	/* Before it is opened: one that comes between is found later. */
	(void)look(&now);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return -1;
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == -1) {
		saved = errno;
		close(fd);
		errno = saved;
		return -1;
	}
	if (l != NULL)
		*l = now;
	return fd;
}

bool
logsock_is_new(const struct logsock *l)
{
	struct logsock now;

	return look(&now) && (now.dev != l->dev || now.ino != l->ino ||
	    now.made.tv_sec != l->made.tv_sec ||
	    now.made.tv_nsec != l->made.tv_nsec);
}
