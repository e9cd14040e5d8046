/*
 * What the core asks of HTTP: the seam between it and libcurl (http.h) or a
 * test.
 */

#ifndef WORKER_FETCH_ASK_H
#define WORKER_FETCH_ASK_H

#include <stdbool.h>
#include <stdint.h>

#include "common/str.h"

#define ASK_URL_MAX	1024	/* octets of an URL */
#define ASK_FIELD	256	/* a header field's value and a NUL */

enum ask_method {
	ASK_GET,
	ASK_HEAD,
	ASK_POST		/* application/jose+json (RFC 8555 6.2) */
};

/* Nothing in it needs to outlive the start. */
struct ask {
	enum ask_method	 method;
	const char	*url;		/* https, at most ASK_URL_MAX */
	const char	*accept;	/* NULL: anything */
	struct slice	 body;		/* of a POST */
	uint32_t	 max;		/* octets of the answer's body */
	uint32_t	 total_ms;	/* for all of it */
	/*
	 * "", an address to be used instead of a look-up, or "none": not this
	 * family.  NULL is "".
	 */
	const char	*ip4;
	const char	*ip6;
	bool		 insecure;	/* whatever certificate it has */
};

/* All of it lives until the handler returns; fields too long are "". */
struct answer {
	unsigned int	 status;	/* 0: there was no whole answer */
	const char	*why;		/* then: why not; never NULL */
	struct slice	 body;
	const char	*type;		/* media type alone, lower case */
	const char	*nonce;		/* Replay-Nonce */
	const char	*location;	/* at most ASK_URL_MAX octets */
	const char	*retry_after;
	uint32_t	 us;		/* from the request to its answer */
};

typedef void	(*ask_done)(void *tag, const struct answer *);

struct ask_ops {
	/*
	 * Starts it; done(tag, ...) is called once, later, never from within.
	 * What is returned is valid until then.
	 */
	void	*(*start)(void *arg, const struct ask *, ask_done, void *tag);
	/* Ends it without done. */
	void	 (*stop)(void *arg, void *job);
};

#endif
