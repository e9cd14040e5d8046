#include "common/compat/compat.h"

#ifdef __OpenBSD__

#define MEAN_BODY	4096

/* libutil tells how many messages wait, not how long they are. */
size_t
imsgbuf_queued(struct imsgbuf *b)
{
	return (size_t)imsgbuf_queuelen(b) * MEAN_BODY;
}

#else

#include <sys/socket.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>

#define FD_MARK		0x80000000U	/* in hdr.len: a descriptor comes */
#define BLOCK_SIZE	(64 * 1024)
#define CHUNK_SIZE	(32 * 1024)
#define WRITE_CHUNKS	16

/*
 * Octets that were read.  Messages point into it, so it is not moved while
 * one is held.
 */
struct imsg_block {
	unsigned int	 refs;
	size_t		 cap;
	size_t		 at;		/* first octet not yet handed out */
	size_t		 end;
	uint8_t		 p[];
};

/*
 * Octets to write: whole messages, and all of them are in the kernel before
 * it goes.  A descriptor belongs to its first octet.
 */
struct imsg_chunk {
	struct imsg_chunk *next;
	int		 fd;
	uint32_t	 nmsgs;
	size_t		 cap;
	size_t		 at;
	size_t		 end;
	uint8_t		 p[];
};

int
imsgbuf_init(struct imsgbuf *b, int fd)
{
	memset(b, 0, sizeof(*b));
	b->fd = fd;
	b->pid = getpid();
	b->maxsize = MAX_IMSGSIZE;
	return 0;
}

void
imsgbuf_allow_fdpass(struct imsgbuf *b)
{
	b->fdpass = 1;
}

int
imsgbuf_set_maxsize(struct imsgbuf *b, uint32_t max)
{
	if (max > FD_MARK - 1 - IMSG_HEADER_SIZE) {
		errno = ERANGE;
		return -1;
	}
	b->maxsize = max + (uint32_t)IMSG_HEADER_SIZE;
	return 0;
}

/* Reading. */

static struct imsg_block *
block_new(size_t cap)
{
	struct imsg_block *k;

	if ((k = malloc(sizeof(*k) + cap)) == NULL)
		return NULL;
	k->refs = 1;
	k->cap = cap;
	k->at = k->end = 0;
	return k;
}

static void
block_unref(struct imsg_block *k)
{
	if (k == NULL || --k->refs > 0)
		return;
	explicit_bzero(k->p, k->end);
	free(k);
}

/* Octets of the message that is being read, as far as that is known. */
static size_t
wanted(const struct imsgbuf *b, const struct imsg_block *k)
{
	struct imsg_hdr hdr;
	size_t len;

	if (k->end - k->at < IMSG_HEADER_SIZE)
		return IMSG_HEADER_SIZE;
	memcpy(&hdr, k->p + k->at, sizeof(hdr));
	len = hdr.len & ~FD_MARK;
	return len > b->maxsize ? IMSG_HEADER_SIZE : len;
}

/*
 * Makes room for a read behind what is there, which is less than a message;
 * -1 if memory ran out.
 */
static int
block_ready(struct imsgbuf *b)
{
	struct imsg_block *k = b->in, *fresh;
	size_t have, want;

	if (k == NULL)
		return (b->in = block_new(BLOCK_SIZE)) == NULL ? -1 : 0;
	have = k->end - k->at;
	want = wanted(b, k);
	if (want < BLOCK_SIZE)
		want = BLOCK_SIZE;
	if (k->refs == 1 && (k->cap == want || (k->cap > want && have > 0))) {
		if (k->at > 0 && have > 0) {
			memmove(k->p, k->p + k->at, have);
			explicit_bzero(k->p + have, k->end - have);
		}
		k->at = 0;
		k->end = have;
		if (have < k->cap)
			return 0;
	}
	/* Held by a message, too small, or larger than is needed now. */
	if ((fresh = block_new(want > have ? want : have + BLOCK_SIZE)) == NULL)
		return -1;
	memcpy(fresh->p, k->p + k->at, have);
	fresh->end = have;
	block_unref(k);
	b->in = fresh;
	return 0;
}

static void
fd_close(int fd)
{
	int saved = errno;

	if (fd != -1)
		(void)close(fd);
	errno = saved;
}

/* Takes the descriptors of a control message: one, the others are closed. */
static void
take_fds(struct imsgbuf *b, const struct cmsghdr *cmsg)
{
	size_t i, n;
	int fd;

	n = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(fd);
	for (i = 0; i < n; i++) {
		memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(fd), sizeof(fd));
		if (i == 0 && b->nfds < sizeof(b->fds) / sizeof(b->fds[0]))
			b->fds[b->nfds++] = fd;
		else
			fd_close(fd);
	}
}

static ssize_t
read_with_fds(struct imsgbuf *b, void *p, size_t n)
{
	union {
		struct cmsghdr	 hdr;
		char		 room[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr msg;
	struct cmsghdr *cmsg;
	struct iovec iov;
	ssize_t got;
	bool any = false;

	iov.iov_base = p;
	iov.iov_len = n;
	memset(&msg, 0, sizeof(msg));
	msg.msg_iov = &iov;
	msg.msg_iovlen = 1;
	msg.msg_control = &control;
	/* Not CMSG_SPACE: its padding would let a second one in. */
	msg.msg_controllen = CMSG_LEN(sizeof(int));
	if ((got = recvmsg(b->fd, &msg, MSG_CMSG_CLOEXEC)) == -1)
		return -1;
	for (cmsg = CMSG_FIRSTHDR(&msg); cmsg != NULL;
	    cmsg = CMSG_NXTHDR(&msg, cmsg))
		if (cmsg->cmsg_level == SOL_SOCKET &&
		    cmsg->cmsg_type == SCM_RIGHTS) {
			take_fds(b, cmsg);
			any = true;
		}
	/* There was room for one: it is this process that has none left. */
	if ((msg.msg_flags & MSG_CTRUNC) != 0 && !any) {
		errno = EMFILE;
		return -1;
	}
	return got;
}

int
imsgbuf_read(struct imsgbuf *b)
{
	struct imsg_block *k;
	ssize_t n;

	if (block_ready(b) == -1)
		return -1;
	k = b->in;
	do {
		if (b->fdpass)
			n = read_with_fds(b, k->p + k->end, k->cap - k->end);
		else
			n = read(b->fd, k->p + k->end, k->cap - k->end);
	} while (n == -1 && errno == EINTR);
	if (n == -1)
		return errno == EAGAIN || errno == EWOULDBLOCK ? 1 : -1;
	k->end += (size_t)n;
	return n == 0 ? 0 : 1;
}

/* Descriptors that no message claimed, once all that was read is gone. */
static void
drop_fds(struct imsgbuf *b)
{
	while (b->nfds > 0)
		fd_close(b->fds[--b->nfds]);
}

static int
claim_fd(struct imsgbuf *b)
{
	int fd;

	if (b->nfds == 0)
		return -1;
	fd = b->fds[0];
	b->nfds--;
	memmove(b->fds, b->fds + 1, b->nfds * sizeof(b->fds[0]));
	return fd;
}

int
imsgbuf_get(struct imsgbuf *b, struct imsg *imsg)
{
	struct imsg_block *k = b->in;
	size_t len;
	bool marked;

	if (k == NULL || k->end == k->at) {
		drop_fds(b);
		return 0;
	}
	if (k->end - k->at < IMSG_HEADER_SIZE)
		return 0;
	memcpy(&imsg->hdr, k->p + k->at, sizeof(imsg->hdr));
	marked = (imsg->hdr.len & FD_MARK) != 0;
	imsg->hdr.len &= ~FD_MARK;
	len = imsg->hdr.len;
	if (len < IMSG_HEADER_SIZE || len > b->maxsize) {
		errno = EBADMSG;
		return -1;
	}
	if (marked && !b->fdpass) {
		errno = EPROTO;
		return -1;
	}
	if (k->end - k->at < len)
		return 0;
	imsg->data = len == IMSG_HEADER_SIZE ? NULL :
	    k->p + k->at + IMSG_HEADER_SIZE;
	imsg->fd = marked ? claim_fd(b) : -1;
	imsg->block = k;
	k->refs++;
	k->at += len;
	return 1;
}

ssize_t
imsg_get(struct imsgbuf *b, struct imsg *imsg)
{
	int rc;

	if ((rc = imsgbuf_get(b, imsg)) != 1)
		return rc;
	return (ssize_t)imsg->hdr.len;
}

void
imsg_free(struct imsg *imsg)
{
	if (imsg->data != NULL)
		explicit_bzero(imsg->data, imsg_get_len(imsg));
	fd_close(imsg->fd);
	block_unref(imsg->block);
	imsg->data = NULL;
	imsg->block = NULL;
	imsg->fd = -1;
}

int
imsg_get_ibuf(struct imsg *imsg, struct ibuf *view)
{
	if (imsg->data == NULL) {
		errno = EBADMSG;
		return -1;
	}
	view->p = imsg->data;
	view->n = imsg_get_len(imsg);
	return 0;
}

int
imsg_get_data(struct imsg *imsg, void *p, size_t n)
{
	if (n == 0 || imsg_get_len(imsg) != n) {
		errno = EBADMSG;
		return -1;
	}
	memcpy(p, imsg->data, n);
	return 0;
}

int
imsg_get_fd(struct imsg *imsg)
{
	int fd = imsg->fd;

	imsg->fd = -1;
	return fd;
}

uint32_t
imsg_get_id(struct imsg *imsg)
{
	return imsg->hdr.peerid;
}

size_t
imsg_get_len(struct imsg *imsg)
{
	return imsg->hdr.len - IMSG_HEADER_SIZE;
}

pid_t
imsg_get_pid(struct imsg *imsg)
{
	return (pid_t)imsg->hdr.pid;
}

uint32_t
imsg_get_type(struct imsg *imsg)
{
	return imsg->hdr.type;
}

void *
ibuf_data(const struct ibuf *view)
{
	return view->p;
}

size_t
ibuf_size(const struct ibuf *view)
{
	return view->n;
}

/* Writing. */

static struct imsg_chunk *
chunk_new(struct imsgbuf *b, size_t n)
{
	struct imsg_chunk *c = b->spare;
	size_t cap = n < CHUNK_SIZE ? CHUNK_SIZE : n;

	if (c != NULL && cap == CHUNK_SIZE)
		b->spare = NULL;
	else if ((c = malloc(sizeof(*c) + cap)) == NULL)
		return NULL;
	c->next = NULL;
	c->fd = -1;
	c->nmsgs = 0;
	c->cap = cap;
	c->at = c->end = 0;
	if (b->last == NULL)
		b->first = c;
	else
		b->last->next = c;
	b->last = c;
	return c;
}

/* Takes the first chunk out, wiped. */
static void
chunk_done(struct imsgbuf *b)
{
	struct imsg_chunk *c = b->first;

	if ((b->first = c->next) == NULL)
		b->last = NULL;
	b->nmsgs -= c->nmsgs;
	fd_close(c->fd);
	explicit_bzero(c->p, c->end);
	if (b->spare == NULL && c->cap == CHUNK_SIZE)
		b->spare = c;
	else
		free(c);
}

int
imsg_compose(struct imsgbuf *b, uint32_t type, uint32_t id, pid_t pid, int fd,
    const void *p, size_t n)
{
	struct iovec iov;

	memset(&iov, 0, sizeof(iov));
	memcpy(&iov.iov_base, &p, sizeof(p));	/* it is only read from */
	iov.iov_len = n;
	return imsg_composev(b, type, id, pid, fd, &iov, 1);
}

int
imsg_composev(struct imsgbuf *b, uint32_t type, uint32_t id, pid_t pid, int fd,
    const struct iovec *iov, int niov)
{
	struct imsg_chunk *c = b->last;
	struct imsg_hdr hdr;
	size_t len = IMSG_HEADER_SIZE;
	int i;

	for (i = 0; i < niov; i++) {
		if (iov[i].iov_len > b->maxsize - len) {
			errno = ERANGE;
			return -1;
		}
		len += iov[i].iov_len;
	}
	if (c == NULL || fd != -1 || c->cap - c->end < len)
		if ((c = chunk_new(b, len)) == NULL)
			return -1;
	hdr.type = type;
	hdr.len = (uint32_t)len | (fd != -1 ? FD_MARK : 0);
	hdr.peerid = id;
	hdr.pid = (uint32_t)(pid == 0 ? b->pid : pid);
	memcpy(c->p + c->end, &hdr, sizeof(hdr));
	c->end += sizeof(hdr);
	for (i = 0; i < niov; i++) {
		if (iov[i].iov_len != 0)
			memcpy(c->p + c->end, iov[i].iov_base,
			    iov[i].iov_len);
		c->end += iov[i].iov_len;
	}
	if (fd != -1)
		c->fd = fd;
	c->nmsgs++;
	b->nmsgs++;
	b->queued += len;
	return 1;
}

static ssize_t
write_with_fd(struct imsgbuf *b, struct iovec *iov, int niov, int fd)
{
	union {
		struct cmsghdr	 hdr;
		char		 room[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr msg;
	struct cmsghdr *cmsg;

	memset(&msg, 0, sizeof(msg));
	memset(&control, 0, sizeof(control));
	msg.msg_iov = iov;
	msg.msg_iovlen = (size_t)niov;
	msg.msg_control = &control;
	msg.msg_controllen = sizeof(control.room);
	cmsg = CMSG_FIRSTHDR(&msg);
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	return sendmsg(b->fd, &msg, 0);
}

/*
 * One system call for as many chunks as go together: the first, and those
 * behind it that carry no descriptor.  *all says what there was.
 */
static ssize_t
write_some(struct imsgbuf *b, size_t *all)
{
	struct iovec iov[WRITE_CHUNKS];
	struct imsg_chunk *c;
	ssize_t n;
	int niov = 0;

	*all = 0;
	for (c = b->first; c != NULL && niov < WRITE_CHUNKS; c = c->next) {
		if (niov > 0 && c->fd != -1)
			break;
		iov[niov].iov_base = c->p + c->at;
		iov[niov++].iov_len = c->end - c->at;
		*all += c->end - c->at;
	}
	c = b->first;
	if (c->fd == -1)
		return niov == 1 ? write(b->fd, iov[0].iov_base,
		    iov[0].iov_len) : writev(b->fd, iov, niov);
	if ((n = write_with_fd(b, iov, niov, c->fd)) > 0) {
		fd_close(c->fd);
		c->fd = -1;
	}
	return n;
}

int
imsgbuf_write(struct imsgbuf *b)
{
	struct imsg_chunk *c;
	size_t all, left, part;
	ssize_t n;

	while (b->first != NULL) {
		n = write_some(b, &all);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return errno == EAGAIN || errno == EWOULDBLOCK ||
			    errno == ENOBUFS ? 0 : -1;
		b->queued -= (size_t)n;
		for (left = (size_t)n; left > 0; left -= part) {
			c = b->first;
			part = c->end - c->at;
			if (part > left)
				part = left;
			c->at += part;
			if (c->at == c->end)
				chunk_done(b);
		}
		if ((size_t)n < all)
			return 0;
	}
	return 0;
}

int
imsgbuf_flush(struct imsgbuf *b)
{
	struct pollfd pfd;

	pfd.fd = b->fd;
	pfd.events = POLLOUT;
	while (b->first != NULL) {
		if (poll(&pfd, 1, -1) == -1 && errno != EINTR)
			return -1;
		if (imsgbuf_write(b) == -1)
			return -1;
	}
	return 0;
}

uint32_t
imsgbuf_queuelen(struct imsgbuf *b)
{
	return b->nmsgs;
}

size_t
imsgbuf_queued(struct imsgbuf *b)
{
	return b->queued;
}

void
imsgbuf_clear(struct imsgbuf *b)
{
	while (b->first != NULL)
		chunk_done(b);
	free(b->spare);
	b->spare = NULL;
	b->queued = 0;
	block_unref(b->in);
	b->in = NULL;
	drop_fds(b);
}

#endif
