/*
 * A strict, bounded JSON reader (json-c behind it).  Member names match
 * without regard to case, as in Go (protocol.md 2.3); null is as absent.
 */

#ifndef COMMON_JSON_READ_H
#define COMMON_JSON_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/str.h"

struct jdoc;		/* a parsed text; owns everything below */
struct jval;		/* a value in it: borrowed from the document */

/*
 * Parses n octets, at most max, depth at most 64, UTF-8, nothing after the
 * value.  At most 4,096 objects and arrays and 65,536 values, so that memory
 * is bounded, and no NUL in a string: what jval_str() yields is good for a
 * message.  NULL with a text in *why and the offset in *at (either may be
 * NULL) if it is not exactly JSON.
 */
struct jdoc	*json_read(const void *, size_t n, size_t max,
		    const char **why, size_t *at);
/* NULL is fine.  Wipes strings if secret. */
void		 jdoc_free(struct jdoc *, bool secret);
const struct jval *jdoc_root(const struct jdoc *);

bool		 jval_is_obj(const struct jval *);
bool		 jval_is_arr(const struct jval *);
/* The member, or NULL if absent or null or v is no object (NULL is fine). */
const struct jval *jval_get(const struct jval *v, const char *name);
/* Number of elements or members; 0 for others. */
size_t		 jval_count(const struct jval *);
/* Element k of an array; NULL if there is none, or it is null. */
const struct jval *jval_at(const struct jval *, size_t k);
/*
 * Walks an object's members in their order: *it starts as NULL; false at the
 * end.  Names and values live as long as the document.
 */
bool		 jval_each(const struct jval *, void **it, struct slice *name,
		    const struct jval **value);

/* false if v is NULL or of another type; then *out is untouched. */
bool		 jval_str(const struct jval *v, struct slice *out);
/* Integers only: 1.0 and "1" are none, nor is what the type cannot hold. */
bool		 jval_u64(const struct jval *v, uint64_t *out);
bool		 jval_i64(const struct jval *v, int64_t *out);
bool		 jval_bool(const struct jval *v, bool *out);
bool		 jval_double(const struct jval *v, double *out);

#endif
