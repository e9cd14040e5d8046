/* Memory for secrets: locked, not in core dumps, wiped when freed. */

#ifndef COMMON_SECRET_H
#define COMMON_SECRET_H

#include <stddef.h>
#include <stdint.h>

struct secret;

/*
 * n zero octets on pages of their own.  Where mlock is refused the log says
 * so once and the secret is kept all the same.  Never NULL.
 */
struct secret	*secret_new(size_t n);
/* A copy of n octets; the source is wiped. */
struct secret	*secret_take(void *, size_t n);
uint8_t		*secret_data(struct secret *);
size_t		 secret_len(const struct secret *);
/* Wipes and frees; NULL is fine. */
void		 secret_free(struct secret *);
/* Wipes n octets; not optimised away. */
void		 wipe(void *, size_t n);

#endif
