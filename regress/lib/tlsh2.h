/*
 * Clients of HTTP/2 over TLS, without Noise, on what tlsworld.h has.  Whatever
 * does not go as a function here says fails the test that calls it.
 */

#ifndef REGRESS_LIB_TLSH2_H
#define REGRESS_LIB_TLSH2_H

#include "regress/lib/tlsworld.h"

#define TH_ANSWERS	512	/* requests of a client */

struct th_answer {
	unsigned int	 status;	/* 0: none yet */
	bool		 ended;
	uint32_t	 error;		/* of its end */
	struct buf	 fields;	/* "name: value\n" */
	struct buf	 body;
};

struct tlsh2 {
	struct tlsworld	*x;
	struct tlspeer	 p;
	struct h2_client *c;
	bool		 stuck;		/* it takes no octets */
	struct th_answer a[TH_ANSWERS];
};

/* A client that has agreed on h2; window as in h2_client_conf. */
struct tlsh2	*th_dial(struct tlsworld *, uint32_t window);
/* Both ends. */
void		 th_free(struct tlsh2 *);
/* The client alone: its connection stays, and is returned. */
struct conn	*th_leave(struct tlsh2 *);
/* Moves octets until nothing moves. */
void		 th_run(struct tlsh2 *);
/* Moves the clock in steps of at most a tenth of a second and runs. */
void		 th_pass(struct tlsh2 *, uint64_t us);
/* Sends a request, and runs; its answer, which may have come or not. */
struct th_answer *th_ask(struct tlsh2 *, const char *method,
		    const char *path, const char *const *fields,
		    const void *body, size_t n);
/* A frame, made by hand. */
void		 th_frame(struct tlsh2 *, unsigned int type,
		    unsigned int flags, uint32_t stream, const void *,
		    size_t n);
/* The answer's field, or its begin. */
bool		 th_has(const struct th_answer *, const char *field);

#endif
