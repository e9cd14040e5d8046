/*
 * The TLS keys of a configuration on its way in: files from descriptors,
 * checked against their certificates, in force or thrown away as a whole.
 */

#ifndef KEYD_PAIRS_H
#define KEYD_PAIRS_H

#include "common/msg.h"
#include "keyd/keyd.h"

struct pairs;

/* Never NULL. */
struct pairs	*pairs_new(void);
/* NULL is fine. */
void		 pairs_free(struct pairs *);
/* A configuration begins: what was staged before is gone. */
void		 pairs_begin(struct pairs *, struct slice self_signed);
/*
 * A private key (kind 8) or a certificate (9) of CFG_FILE; the descriptor
 * stays the caller's.
 */
void		 pairs_file(struct pairs *, const struct m_cfg_file *, int fd);
/*
 * All came: false, with the reason, if a file is bad, lacks its other half or
 * does not fit it.  now: Unix seconds, for a self-signed certificate.
 */
bool		 pairs_check(struct pairs *, int64_t now, char *why,
		    size_t whylen);
/* The keys that were checked, still ours; NULL: none are staged. */
struct signer	*pairs_staged(struct pairs *);
/* What was checked, of this epoch, is in force from now on. */
void		 pairs_commit(struct pairs *, struct keyd *, uint32_t epoch);

#endif
