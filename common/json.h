/* A streaming JSON writer over struct buf: the map path's encoder. */

#ifndef COMMON_JSON_H
#define COMMON_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "common/buf.h"

/* On the stack; depth is not checked: the caller closes what it opens. */
struct json {
	struct buf	*b;
	bool		 comma;		/* the next value needs one before it */
	uint64_t	 arr;		/* bit k: level k is an array */
	unsigned int	 depth;		/* at most 63 */
};

/* Starts at the end of b, which the caller owns. */
void	json_init(struct json *, struct buf *b);
void	json_obj(struct json *);
void	json_arr(struct json *);
/* Ends the innermost object or array. */
void	json_end(struct json *);
/* A member name of n octets that needs no escaping. */
void	json_key_n(struct json *, const char *name, size_t n);
/* The same for a literal: its length is known when this is compiled. */
static inline void
json_key(struct json *j, const char *name)
{
	json_key_n(j, name, strlen(name));
}
/* A member name from data. */
void	json_keys(struct json *, struct slice name);
/* Escapes by RFC 8259; octets that are no UTF-8 become U+FFFD. */
void	json_str(struct json *, struct slice);
void	json_cstr(struct json *, const char *);
void	json_u64(struct json *, uint64_t);
void	json_i64(struct json *, int64_t);
void	json_bool(struct json *, bool);
void	json_null(struct json *);
/* A value that is JSON already. */
void	json_raw(struct json *, struct slice);
/* After bytes were appended to b by hand: sets whether a comma is due. */
void	json_comma(struct json *, bool due);

#endif
