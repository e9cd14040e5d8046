/* Inside keyd's core: what its files share. */

#ifndef KEYD_KEYD_INT_H
#define KEYD_KEYD_INT_H

#include <sys/queue.h>

#include "common/buf.h"
#include "keyd/derp.h"
#include "keyd/keyd.h"
#include "keyd/responder.h"
#include "keyd/signer.h"

struct worker;
struct cells;

/* So many a second, and at once.  next: zeroed is full. */
struct budget {
	uint64_t	 next;		/* when all of it will be there */
	uint32_t	 rate;
	uint32_t	 burst;
};
TAILQ_HEAD(workers, worker);

struct keyd {
	struct env		*env;
	struct keyd_conf	 conf;
	struct responder	*responder;
	struct derp		*derp;		/* NULL: no relay */
	struct budget		 logins;	/* of all workers */
	struct signer		*signer;
	struct signer		*before;	/* the one it replaced */
	struct signer		*next;		/* staged; not ours */
	uint32_t		 epoch;		/* of each, its low bits */
	uint32_t		 before_epoch;
	uint32_t		 next_epoch;
	struct acme		*acme;		/* NULL: none */
	struct link		*acme_link;	/* to dbd; NULL: down */
	struct buf		 cert;		/* DER; empty: none */
	struct secret		*boot;
	struct secret		*scratch;
	struct cells		*cells;
	uint64_t		 generation;
	uint64_t		 serial;
	struct workers		 workers;	/* next to be served first */
	struct r_counters	 counts;
};

#endif
