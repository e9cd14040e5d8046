#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/compat/compat.h"
#include "ctl/policy.h"

#define TEXT_MAX	(1024 * 1024)
#define PART_OCTETS	60000

int
policy_file_read(struct buf *b, const char *file, char *why, size_t whylen)
{
	ssize_t n = 1;
	int fd = STDIN_FILENO, saved;

	if (strcmp(file, "-") != 0 &&
	    (fd = open(file, O_RDONLY | O_CLOEXEC)) == -1) {
		(void)snprintf(why, whylen, "%s: %s", file, strerror(errno));
		return -1;
	}
	while (n > 0 && b->n <= TEXT_MAX) {
		n = read(fd, buf_room(b, 65536), 65536);
		if (n > 0)
			b->n += (size_t)n;
		else if (n == -1 && errno == EINTR)
			n = 1;
	}
	saved = errno;
	if (fd != STDIN_FILENO)
		(void)close(fd);
	if (n == -1)
		(void)snprintf(why, whylen, "%s: %s", file, strerror(saved));
	else if (b->n > TEXT_MAX)
		(void)snprintf(why, whylen, "%s: a policy has at most %d "
		    "octets", file, TEXT_MAX);
	else
		return 0;
	return -1;
}

void
policy_send(struct client *c, struct slice text)
{
	struct msg m;
	size_t at, n;

	for (at = 0; at < text.n; at += n) {
		n = text.n - at < PART_OCTETS ? text.n - at : PART_OCTETS;
		msg_init(&m, M_CTL_POLICY_PART);
		m.u.ctl_policy_part.octets = slice_mem(text.p + at, n);
		client_send(c, &m);
	}
}
