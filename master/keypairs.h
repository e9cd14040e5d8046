/*
 * Certificates and their private keys: opened together, and kept as they were
 * then, so that processes that start later get what fits together.  Keys are
 * not read; certificates are copied, as files.h has it.
 */

#ifndef MASTER_KEYPAIRS_H
#define MASTER_KEYPAIRS_H

#include <stdbool.h>
#include <stddef.h>

#include "master/conf.h"

struct keypairs;

/* Never NULL. */
struct keypairs	*keypairs_new(void);
/* NULL is fine. */
void		 keypairs_free(struct keypairs *);
/*
 * Opens all that a configuration names and keeps it aside; false with
 * "file:line: path: reason".
 */
bool		 keypairs_stage(struct keypairs *, const struct conf *,
		    char *why, size_t whylen);
void		 keypairs_commit(struct keypairs *);
void		 keypairs_discard(struct keypairs *);
/*
 * A new descriptor, at its beginning, of the key or the certificate with this
 * number (from 1, in the order of the configuration), in force or staged; -1
 * (logged) if there is none to be had.
 */
int		 keypairs_get(const struct keypairs *, bool staged,
		    unsigned int number, bool key);

#endif
