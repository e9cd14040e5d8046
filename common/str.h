/* Borrowed pieces of text and octets. */

#ifndef COMMON_STR_H
#define COMMON_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Octets that somebody else owns; not NUL-terminated.  n 0: p may be NULL. */
struct slice {
	const char	*p;
	size_t		 n;
};

/* For printf("%.*s"). */
#define SLICE_FMT(s)	(int)(s).n, (s).n == 0 ? "" : (s).p

/* A slice of a NUL-terminated string (NULL: empty), without the NUL. */
struct slice	 slice_str(const char *);
/* A slice of n octets at p. */
struct slice	 slice_mem(const void *p, size_t n);
/* Same length and octets. */
bool		 slice_eq(struct slice, struct slice);
bool		 slice_eqs(struct slice, const char *);
bool		 slice_prefix(struct slice, const char *prefix);
/* Bytewise order, shorter first when one begins the other: <0, 0, >0. */
int		 slice_cmp(struct slice, struct slice);
/* A NUL-terminated copy that the caller frees; never NULL (memory: fatal). */
char		*slice_dup(struct slice);
/*
 * Copies into dst of size n with a NUL; false, and dst is "", if it does not
 * fit or holds a NUL.
 */
bool		 slice_copy(char *dst, size_t n, struct slice);

/*
 * Octets of the UTF-8 character that begins n octets (n > 0), as RFC 3629
 * has it; 0 if none does, or it is NUL.
 */
size_t		 utf8_len(const char *, size_t n);
/* True if the octets are UTF-8 (RFC 3629) without NUL. */
bool		 utf8_ok(const char *, size_t);
/*
 * True if s is a DNS name for a search list or route: labels of 1 to 63
 * letters, digits, hyphens or underscores, no hyphen at either end, 253 octets
 * in all, one trailing dot allowed.  protocol.md 5.10: one bad name crashes
 * clients up to 1.103.
 */
bool		 dns_name_ok(struct slice s);
/*
 * A DNS label from what a client calls itself: lower case, runs of other
 * octets become one hyphen, none at the ends, at most 63 octets.  Writes
 * "node" if nothing is left.
 */
void		 dns_label(char dst[64], struct slice name);

/* "90", "90s", "30m", "24h", "7d", "1w", "1y" in seconds; -1 if malformed. */
int64_t		 duration_parse(const char *);
/* RFC 3339 in UTC; "0001-01-01T00:00:00Z" for 0.  Returns its length. */
size_t		 time_rfc3339(char dst[32], int64_t unix_s);
/*
 * Unix seconds of an RFC 3339 time (zone and fraction allowed), 0 for the
 * first second of year 1; false if bad.
 */
bool		 time_parse(int64_t *unix_s, struct slice);

/* malloc family that ends the process when memory is gone.  Never NULL. */
void		*xmalloc(size_t);
void		*xcalloc(size_t, size_t);
/* Room for n members of size octets. */
void		*xrealloc(void *, size_t n, size_t size);
char		*xstrdup(const char *);

#endif
