/*
 * Messages between processes.  msg.tbl says what there is; everything here
 * is derived from it.  No C struct crosses a link.
 */

#ifndef COMMON_MSG_H
#define COMMON_MSG_H

#include "common/buf.h"
#include "common/msg_gen.h"

/* Trust level of each: role_rank(). */
enum role {
	ROLE_NONE,
	ROLE_MASTER,
	ROLE_KEYD,
	ROLE_DBD,
	ROLE_IDP,
	ROLE_OUT,
	ROLE_WORKER,
	ROLE_API,
	ROLE_STUN,
	ROLE_POLICYC,
	ROLE_CTL,		/* headscalectl: outside, like a peer */
	ROLE_MAX
};

enum msg_link {
	LINK_NONE,
	LINK_CFG,
	LINK_KEY,
	LINK_SIG,
	LINK_DB,
	LINK_ID,
	LINK_OUT,
	LINK_MESH,
	LINK_CTL,
	LINK_ACME,
	LINK_POL,
	LINK_MAX
};

enum msg_state {
	MSG_SETUP = 1,
	MSG_RUN = 2,
	MSG_ANY = 3
};

enum msg_class {
	MSG_REQUEST,
	MSG_REPLY,
	MSG_ROW,
	MSG_NOTIFY
};

/* On whose authority the receiver acts. */
enum msg_principal {
	MSG_BY_PROCESS,
	MSG_BY_TICKET,
	MSG_BY_NONE,
	MSG_BY_ADMIN,
	MSG_BY_BEARER
};

#define MSG_MAX		(160 * 1024)	/* longest body on any link */

/* "worker"; "?" for a number that is none. */
const char	*role_name(unsigned int);
/* Smaller is more trusted: master 0, keyd and dbd 1, idp 2, out 3, others 4. */
unsigned int	 role_rank(enum role);
const char	*link_kind_name(unsigned int);

/* "DB_REG"; "?" for a number that is none. */
const char	*msg_name(unsigned int type);
/*
 * The table's verdict before anything is decoded: may a process of role from
 * send this type to one of role to, on this kind of link in this state?
 */
bool		 msg_permitted(unsigned int type, enum role from, enum role to,
		    enum msg_link link, enum msg_state state);
enum msg_class	 msg_class(enum msg_type);
bool		 msg_wants_fd(enum msg_type);
/* How many requests of the type may be open on a link at once. */
unsigned int	 msg_credit(enum msg_type);
enum msg_principal msg_principal(enum msg_type);
/* Octets that carried it must be wiped after use. */
bool		 msg_is_secret(enum msg_type);

/* Zeroes *m but for its type, and fd, which becomes -1. */
void		 msg_init(struct msg *m, enum msg_type);
/*
 * Appends the body of m.  A value out of its bounds is our own bug: fatal.
 * Where values come from a peer, ask msg_ok() first.
 */
void		 msg_encode(struct buf *, const struct msg *m);
/* Every value is within its bounds (lengths, counts, UTF-8 without NUL). */
bool		 msg_ok(const struct msg *m);
/*
 * Decodes n octets as a message of the given type into *m, which then points
 * into them; sets id 0 and fd -1.  Consumes exactly.  Returns 0, or -1 if any
 * field is short, out of bounds, not UTF-8, or octets are left over.
 */
int		 msg_decode(struct msg *m, enum msg_type, const void *, size_t);
/* Appends one line for the debug log: secrets as "...", text through vis. */
void		 msg_print(struct buf *, const struct msg *);

/*
 * Walks a decoded list: fills *out (a struct r_NAME of the list's kind) and
 * advances *it; false at the end.  Copy the list first to walk it twice.
 */
bool		 msg_list_next(struct msg_list *it, enum msg_rec, void *out);
/* A list of MR_ROUTE has the prefix. */
bool		 msg_routes_have(const struct msg_list *,
		    const struct prefix *);
/*
 * Appends a record to b and counts it in *list; when all are in, call
 * msg_list_close(), which points the list at b's octets.  b lives on.
 */
void		 msg_list_add(struct msg_list *list, struct buf *b,
		    enum msg_rec, const void *p);
void		 msg_list_close(struct msg_list *list, const struct buf *b);
/* Same octets: lists and records have one encoding only. */
bool		 msg_list_eq(const struct msg_list *, const struct msg_list *);

/* A record by itself: ask (as msg_ok), encode, decode (as msg_decode). */
bool		 msg_rec_ok(enum msg_rec, const void *p);
void		 msg_rec_encode(struct buf *, enum msg_rec, const void *p);
int		 msg_rec_decode(void *out, enum msg_rec, const void *, size_t);

#endif
