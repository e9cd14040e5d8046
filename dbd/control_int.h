/* Control connections: between the control*.c files only. */

#ifndef DBD_CONTROL_INT_H
#define DBD_CONTROL_INT_H

#include "dbd/dbd_int.h"

enum list_kind {
	LIST_NONE,
	LIST_USERS,
	LIST_KEYS,
	LIST_NODES,
	LIST_EXPOSURES,
	LIST_RELAYS,
	LIST_CERTS
};

/*
 * A list that goes out row by row as the peer takes it.  The place is where
 * the last row stood, not a pointer: what is listed changes meanwhile.
 */
struct listing {
	enum list_kind	 kind;
	uint32_t	 id;		/* of the request */
	uint64_t	 tailnet;	/* of the last row */
	uint64_t	 last;		/* its id */
	uint32_t	 count;
	struct buf	 rows;		/* rows_add(): all at once */
	size_t		 at;		/* in rows */
};

/* A question to master, which outlives the connection that asked. */
struct ask {
	TAILQ_ENTRY(ask) all;
	struct conn	*conn;		/* NULL: it is gone */
	struct dbd	*d;
	enum msg_type	 type;		/* CTL_STATUS, ... */
	uint32_t	 id;
	uint32_t	 rows;
	bool		 waits;		/* CTL_RELOAD: for its policy's file */
	struct buf	 text;		/* what master said of it */
	struct timer	 bound;		/* of that wait */
};
TAILQ_HEAD(ask_list, ask);

struct conn {
	TAILQ_ENTRY(conn) all;
	struct dbd	*d;
	struct link	*link;
	uint32_t	 uid;
	bool		 refused;	/* one too many: it is told so */
	unsigned int	 asking;
	struct listing	 list;
	struct buf	 text;		/* of a policy that is coming */
	bool		 too_long;
	struct policy_ask *policy;	/* is being worked on */
	struct timer	 pump;
	struct timer	 deadline;
};
TAILQ_HEAD(conn_list, conn);

struct control {
	struct conn_list conns;
	unsigned int	 n;
	struct ask_list	 asks;
	unsigned int	 nasks;
};

/*
 * Starts a list in answer to m, the first rows at once.  A connection has one
 * at a time: the peer gets CTL_NO while another runs.
 */
void	list_start(struct conn *, enum list_kind, const struct msg *m);
/* Appends u32 length, body. */
void	rows_add(struct buf *, const struct msg *);
/* Ends it without an answer. */
void	list_stop(struct conn *);
/* The pump's timer: more rows if the peer has taken some. */
void	list_pump(void *conn);

/* What is about policies (control_policy.c). */
void	on_policy_part(struct conn *, const struct msg *);
void	on_policy_set(struct conn *, const struct msg *);
void	on_policy_check(struct conn *, const struct msg *);
void	on_policy_diff(struct conn *, const struct msg *);
void	on_policy_why(struct conn *, const struct msg *);
void	on_policy_rollback(struct conn *, const struct msg *);
void	on_policy_get(struct conn *, const struct msg *);
void	on_policy_history(struct conn *, const struct msg *);
/* The connection goes. */
void	policy_ask_forget(struct conn *);

/* CTL_OK with the id; CTL_NO. */
void	ctl_yes(struct conn *, const struct msg *to, uint64_t id);
void	ctl_no(struct conn *, const struct msg *to, const char *why);

#endif
