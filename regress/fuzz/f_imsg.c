/*
 * Input: an octet of flags, then what a peer writes to the socket, in pieces
 * whose lengths the input says.  Whatever comes, every message lies within
 * its bounds and none is made up.
 */

#include <sys/socket.h>
#include <stdlib.h>

#include "common/compat/compat.h"

#define MAX_BODY	4000

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

/* Takes the messages there are; the octets they had, or -1 at an error. */
static long
drain(struct imsgbuf *b)
{
	static uint8_t sink[MAX_BODY];
	struct imsg imsg;
	struct ibuf view;
	long got = 0;
	int rc;

	while ((rc = imsgbuf_get(b, &imsg)) == 1) {
		if (imsg_get_len(&imsg) > MAX_BODY || imsg_get_fd(&imsg) != -1)
			abort();
		if (imsg_get_ibuf(&imsg, &view) == 0) {
			if (ibuf_size(&view) != imsg_get_len(&imsg))
				abort();
			memcpy(sink, ibuf_data(&view), ibuf_size(&view));
		} else if (imsg_get_len(&imsg) != 0)
			abort();
		got += (long)(imsg_get_len(&imsg) + IMSG_HEADER_SIZE);
		imsg_free(&imsg);
	}
	return rc == -1 ? -1 : got;
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct imsgbuf b;
	size_t piece, total = 0, seen = 0;
	long got;
	int sv[2];

	if (n < 1 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
	    sv) == -1)
		return 0;
	if (imsgbuf_init(&b, sv[1]) == -1 ||
	    imsgbuf_set_maxsize(&b, MAX_BODY) == -1)
		abort();
	if ((p[0] & 1) != 0)
		imsgbuf_allow_fdpass(&b);
	p++;
	n--;
	while (n > 0) {
		piece = (size_t)p[0] * 16 + 1;
		if (piece > n)
			piece = n;
		if (write(sv[0], p, piece) != (ssize_t)piece)
			break;		/* the machine is short of memory */
		if (imsgbuf_read(&b) != 1)
			abort();
		total += piece;
		p += piece;
		n -= piece;
		if ((got = drain(&b)) == -1)
			break;
		seen += (size_t)got;
		if (seen > total)
			abort();
	}
	imsgbuf_clear(&b);
	(void)close(sv[0]);
	(void)close(sv[1]);
	return 0;
}
