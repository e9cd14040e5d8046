#include <sys/socket.h>
#include <sys/un.h>

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/compat/compat.h"
#include "master/notify.h"

static struct sockaddr_un	sun;
static socklen_t		sun_len;

void
notify_init(void)
{
	const char *path = getenv("NOTIFY_SOCKET");
	size_t n;

	sun_len = 0;
	if (path == NULL || (path[0] != '/' && path[0] != '@'))
		return;
	n = strlen(path);
	if (n < 2 || n >= sizeof(sun.sun_path))
		return;
	memset(&sun, 0, sizeof(sun));
	sun.sun_family = AF_UNIX;
	memcpy(sun.sun_path, path, n);
	if (path[0] == '@')
		sun.sun_path[0] = '\0';		/* Linux's abstract names */
	sun_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
	(void)unsetenv("NOTIFY_SOCKET");
}

void
notify(const char *fmt, ...)
{
	char text[512];
	va_list ap;
	int fd, n;

	if (sun_len == 0)
		return;
	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(text))
		return;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return;
	/* Nobody is helped by a server that ends because of this. */
	(void)sendto(fd, text, (size_t)n, 0, (struct sockaddr *)&sun, sun_len);
	(void)close(fd);
}
