/* The objects of RFC 8555, read from a server's JSON. */

#ifndef WORKER_FETCH_ACME_INT_H
#define WORKER_FETCH_ACME_INT_H

#include "worker/fetch/acme.h"
#include "worker/fetch/ask.h"

#define OBJ_MAX		65536	/* octets of a JSON answer */
#define URL		(ASK_URL_MAX + 1)

enum obj_status {
	OBJ_PENDING,
	OBJ_READY,
	OBJ_PROCESSING,
	OBJ_VALID,
	OBJ_INVALID,
	OBJ_OVER		/* deactivated, expired, revoked */
};

struct directory {		/* 7.1.1 */
	char		 new_nonce[URL];
	char		 new_account[URL];
	char		 new_order[URL];
	char		 revoke[URL];
	bool		 external;	/* wants an account of another kind */
};

struct order {			/* 7.1.3 */
	enum obj_status	 status;
	char		 auth[ACME_NAMES][URL];
	size_t		 nauth;
	char		 finalize[URL];
	char		 certificate[URL];	/* "" until there is one */
	char		 why[ACME_TEXT];	/* of an invalid one, or "" */
};

struct authz {			/* 7.1.4 and the challenge in it, 7.1.5 */
	enum obj_status	 status;
	char		 name[254];
	bool		 wildcard;
	bool		 found;		/* it has one of our kind */
	char		 url[URL];
	char		 token[256];
	char		 why[ACME_TEXT];
};

struct problem {		/* 6.7, RFC 7807 */
	char		 type[64];	/* without the urn, or "" */
	char		 text[ACME_TEXT];
};

/* Each: NULL, or what is wrong with the octets. */
const char	*obj_directory(struct directory *, struct slice);
const char	*obj_account(enum obj_status *, struct slice);
const char	*obj_order(struct order *, struct slice);
/* kind: "http-01" or "tls-alpn-01". */
const char	*obj_authz(struct authz *, struct slice, const char *kind);
/* Never fails: garbage gives an empty type and text. */
void		 obj_problem(struct problem *, struct slice);
/* PEM certificates and nothing else, at least one (9.1). */
const char	*obj_chain(struct slice);

#endif
