/* Octets of map messages: zstd frames and lists of frames (protocol.md 5.2). */

#ifndef WORKER_TAILNET_PACK_INT_H
#define WORKER_TAILNET_PACK_INT_H

#include <stdbool.h>

#include "common/buf.h"
#include "worker/frame.h"

#define PACK_PREFIX	4	/* the message's length, little-endian */

struct pack;		/* the compressor, shared by all */

/* Never NULL. */
struct pack	*pack_new(void);
void		 pack_free(struct pack *);
/*
 * One zstd frame of the text: level 1, no content size, no checksum.  The
 * reference is the caller's.
 */
struct frame	*pack_frame(struct pack *, const struct buf *text);
/*
 * The same of what one recipient alone is given: short text is not worth the
 * time that compressing takes, and stands in the frame as it is.
 */
struct frame	*pack_own(struct pack *, const struct buf *text);
/* A whole message in one frame, prefix first; compressed or as it is. */
struct frame	*pack_message(struct pack *, const struct buf *text,
		    bool compress);

/* The frames of one message.  Zeroed is empty. */
struct parts {
	struct frame	**frame;
	size_t		 n;
	size_t		 cap;
	size_t		 octets;
};

/* Takes over the reference. */
void		 parts_add(struct parts *, struct frame *);
/* Puts the prefix in front: all parts are there. */
void		 parts_close(struct parts *);
/*
 * Joins the last ones so that at most max (> 0) remain.
 */
void		 parts_limit(struct parts *, size_t max);
/* Gives the references back and frees the list. */
void		 parts_free(struct parts *);

#endif
