/*
 * The part of OpenBSD's imsg(3) that we use, for systems without it: the same
 * names, arguments and results.  Include "common/compat/compat.h" instead.
 */

#ifndef COMMON_COMPAT_IMSG_H
#define COMMON_COMPAT_IMSG_H

#include <sys/types.h>
#include <sys/uio.h>
#include <stddef.h>
#include <stdint.h>

#define IMSG_HEADER_SIZE	sizeof(struct imsg_hdr)
#define MAX_IMSGSIZE		16384	/* the limit unless one is set */

/* In the byte order of the machine: no imsg leaves it. */
struct imsg_hdr {
	uint32_t	 type;
	uint32_t	 len;		/* header included */
	uint32_t	 peerid;
	uint32_t	 pid;
};

struct imsg_block;		/* octets read, shared with their imsgs */
struct imsg_chunk;		/* octets to be written */

/* A message that was read; imsg_free() gives its octets back. */
struct imsg {
	struct imsg_hdr		 hdr;
	void			*data;	/* NULL if there are none */
	struct imsg_block	*block;
	int			 fd;
};

/* One end of a socket. */
struct imsgbuf {
	int			 fd;
	pid_t			 pid;
	uint32_t		 maxsize;	/* header included */
	int			 fdpass;
	struct imsg_block	*in;
	int			 fds[4];	/* received, not yet claimed */
	unsigned int		 nfds;
	struct imsg_chunk	*first;
	struct imsg_chunk	*last;
	struct imsg_chunk	*spare;
	size_t			 queued;
	uint32_t		 nmsgs;
};

/* A view of a message's body. */
struct ibuf {
	void		*p;
	size_t		 n;
};

/* Takes the socket fd, which stays the caller's to close.  0 or -1. */
int	 imsgbuf_init(struct imsgbuf *, int fd);
/* From now on descriptors are received; without it they are discarded. */
void	 imsgbuf_allow_fdpass(struct imsgbuf *);
/* Longest body that is sent or taken.  0, or -1 with errno ERANGE. */
int	 imsgbuf_set_maxsize(struct imsgbuf *, uint32_t max);
/*
 * One read.  1, or 0 at the end, or -1 with errno; 1 also for EAGAIN.  EMFILE:
 * a descriptor came that this process has no room for; it is lost, and so are
 * the octets that it came with.
 */
int	 imsgbuf_read(struct imsgbuf *);
/*
 * Writes what is queued, until all is out or the socket is full.  0, or -1
 * with errno.
 */
int	 imsgbuf_write(struct imsgbuf *);
/* Writes all, waiting where it must.  0 or -1. */
int	 imsgbuf_flush(struct imsgbuf *);
/* Messages queued; those that are written together count until all are out. */
uint32_t imsgbuf_queuelen(struct imsgbuf *);
/* Wipes and frees all that is queued or was read; closes descriptors. */
void	 imsgbuf_clear(struct imsgbuf *);

/*
 * The next whole message.  1, or 0 if there is none yet, or -1 with errno:
 * EBADMSG for a length that cannot be, EPROTO for a descriptor where none is
 * taken; nothing can be read after that.
 */
int	 imsgbuf_get(struct imsgbuf *, struct imsg *);
/* The same, but the message's length for 1. */
ssize_t	 imsg_get(struct imsgbuf *, struct imsg *);
/* Queues a copy; takes over fd (-1: none).  1, or -1: fd stays the caller's. */
int	 imsg_compose(struct imsgbuf *, uint32_t type, uint32_t id, pid_t,
	    int fd, const void *, size_t);
int	 imsg_composev(struct imsgbuf *, uint32_t type, uint32_t id, pid_t,
	    int fd, const struct iovec *, int);
/* Wipes and gives back its octets, closes a descriptor nobody took. */
void	 imsg_free(struct imsg *);

/* The body as a view, which lives until imsg_free().  0; -1 if it is empty. */
int	 imsg_get_ibuf(struct imsg *, struct ibuf *);
/* A copy of the body, which must have exactly n octets.  0 or -1. */
int	 imsg_get_data(struct imsg *, void *, size_t n);
/* The descriptor that came with it, now the caller's; -1 for none. */
int	 imsg_get_fd(struct imsg *);
uint32_t imsg_get_id(struct imsg *);
/* Octets of the body. */
size_t	 imsg_get_len(struct imsg *);
pid_t	 imsg_get_pid(struct imsg *);
uint32_t imsg_get_type(struct imsg *);

void	*ibuf_data(const struct ibuf *);
size_t	 ibuf_size(const struct ibuf *);

#endif
