/*
 * Immutable octets that many streams send: a message is a list of references
 * to frames, encoded once and not per recipient.  One thread: counts are
 * plain integers.
 */

#ifndef WORKER_FRAME_H
#define WORKER_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"

struct frame {
	uint32_t	 refs;
	uint32_t	 len;
	uint8_t		 data[];
};

/* A copy of n octets, with one reference. */
struct frame	*frame_new(const void *, size_t n);
/* Takes b's octets and leaves it empty; one reference. */
struct frame	*frame_take(struct buf *);
/* Another reference: returns its argument. */
struct frame	*frame_ref(struct frame *);
/* Gives a reference back; frees with the last.  NULL is fine. */
void		 frame_unref(struct frame *);
/* Octets in all live frames, for status and tests. */
size_t		 frame_bytes(void);

#endif
