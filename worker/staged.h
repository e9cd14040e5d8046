/*
 * A worker's configuration on its way in, with the files that belong to it:
 * DERP map, extra records, certificates.
 */

#ifndef WORKER_STAGED_H
#define WORKER_STAGED_H

#include "worker/control/control.h"

struct staged;

/*
 * Certificates that have expired are used, but with aloud a line in the log
 * says so: one worker is enough, with its first configuration, since a reload
 * begins with the first one of a worker that checks it.  Never NULL.
 */
struct staged	*staged_new(struct env *, struct control *, bool aloud);
void		 staged_free(struct staged *);
/* A new configuration begins; what was staged is gone. */
void		 staged_conf(struct staged *, const struct msg *);
/*
 * Part of the configuration to come, or, with the epoch in force, a file that
 * changed on disk: a bad one then keeps the old one.  Closes fd.
 */
void		 staged_file(struct staged *, const struct m_cfg_file *,
		    int fd);
void		 staged_nofile(struct staged *, const struct m_cfg_nofile *);
/* All of this epoch came: false, with the reason, if it cannot be used. */
bool		 staged_check(struct staged *, uint32_t epoch, char *why,
		    size_t whylen);
/* It comes into force.  Must have been checked. */
void		 staged_commit(struct staged *, uint32_t epoch);
void		 staged_discard(struct staged *);
/* The epoch that is staged, and the one in force; 0: none. */
uint32_t	 staged_epoch(const struct staged *);
uint32_t	 staged_in_force(const struct staged *);

#endif
