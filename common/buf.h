/* A growing buffer. */

#ifndef COMMON_BUF_H
#define COMMON_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/str.h"

/* Zeroed is empty and valid.  p is owned; octets n..cap are undefined. */
struct buf {
	uint8_t		*p;
	size_t		 n;
	size_t		 cap;
};

/* Memory running out ends the process: none of these can fail. */
void		 buf_put(struct buf *, const void *, size_t);
void		 buf_u8(struct buf *, uint8_t);
void		 buf_u16(struct buf *, uint16_t);	/* big-endian, as all */
void		 buf_u32(struct buf *, uint32_t);
void		 buf_u64(struct buf *, uint64_t);
void		 buf_str(struct buf *, const char *);
void		 buf_slice(struct buf *, struct slice);
void		 buf_printf(struct buf *, const char *, ...)
		    __attribute__((__format__(printf, 2, 3)));
/* Room for n more octets: returns where they go; the caller adds to ->n. */
uint8_t		*buf_room(struct buf *, size_t n);
/* Forgets the first n octets. */
void		 buf_drain(struct buf *, size_t n);
/* Empties it, keeps the memory. */
void		 buf_clear(struct buf *);
/* Frees the memory and zeroes the struct; buf_wipe also wipes the octets. */
void		 buf_free(struct buf *);
void		 buf_wipe(struct buf *);
struct slice	 buf_slice_of(const struct buf *);

/* A bounded reader whose error sticks. */
struct rd {
	const uint8_t	*p;
	const uint8_t	*end;
	bool		 bad;
};

void		 rd_init(struct rd *, const void *, size_t);
/* Each yields zero (or NULL) once anything was short. */
uint8_t		 rd_u8(struct rd *);
uint16_t	 rd_u16(struct rd *);
uint32_t	 rd_u32(struct rd *);
uint64_t	 rd_u64(struct rd *);
/* n octets within what is read, or NULL. */
const uint8_t	*rd_take(struct rd *, size_t n);
size_t		 rd_left(const struct rd *);
/* Nothing was short and nothing is left. */
bool		 rd_done(const struct rd *);

#endif
