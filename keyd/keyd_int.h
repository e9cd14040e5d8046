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
TAILQ_HEAD(workers, worker);

struct keyd {
	struct env		*env;
	struct keyd_conf	 conf;
	struct responder	*responder;
	struct derp		*derp;		/* NULL: no relay */
	struct signer		*signer;
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
